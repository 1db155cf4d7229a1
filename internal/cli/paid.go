package cli

import (
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/decision"
	"usher/internal/delivery"
	"usher/internal/paid"
)

func (a *app) paidCommand() *cobra.Command {
	c := &cobra.Command{Use: "paid", Short: "Next-best-action: the hierarchy, decisions, captured responses, pushes of the past"}
	c.AddCommand(
		a.nounCommand("issue", "issues, the top of the hierarchy", []string{"name", "description"}),
		a.nounCommand("group", "groups of issues", []string{"name", "description", "issue_id"}),
		a.nounCommand("action", "actions customers are decided for", []string{"name", "description", "group_id", "eligibility", "priority", "enabled"}),
		a.jsonFlag(a.decideCommand()), a.jsonFlag(a.previewCommand()), a.responseCommand(), a.jsonFlag(a.historyCommand()),
	)
	return c
}

func (a *app) decideCommand() *cobra.Command {
	var level, action, file string
	c := &cobra.Command{
		Use: "decide [CUSTOMER...]", Short: "Decide the next best action for customers, in real time",
		Example: "  usher paid decide --level Sales/Offers id-1 id-2\n  usher paid decide --level all --file customers.csv",
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := customersOf(args, file)
			if err != nil {
				return err
			}
			var all []decision.Outcome
			for len(ids) > 0 {
				n := min(len(ids), 1000)
				customers := make([]decision.Customer, n)
				for i, id := range ids[:n] {
					customers[i] = decision.Customer{ID: id, Level: activation.Level(level), Action: action}
				}
				var out []decision.Outcome
				if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/paid/decision", map[string]any{"customers": customers}, &out); err != nil {
					return err
				}
				all, ids = append(all, out...), ids[n:]
			}
			if a.json {
				return a.printJSON(all)
			}
			rows := make([][]string, len(all))
			for i, o := range all {
				rows[i] = []string{o.ID, string(o.Status), o.Action, strings.Join(o.Left, ", ")}
			}
			return a.table([]string{"CUSTOMER", "STATUS", "ACTION", "LEFT"}, rows)
		},
	}
	c.Flags().StringVar(&level, "level", activation.LevelAll, "all, an issue, or Issue/Group")
	c.Flags().StringVar(&action, "action", "", "decide for this action instead of the best one")
	c.Flags().StringVar(&file, "file", "", "file whose first column names customers; - = standard input")
	return c
}

// customersOf are the customers of the command line and of a file's first column.
func customersOf(args []string, file string) ([]string, error) {
	ids := args
	if file != "" {
		in := io.ReadCloser(os.Stdin)
		if file != "-" {
			f, err := os.Open(file) //nolint:gosec // the file the user names
			if err != nil {
				return nil, err
			}
			in = f
		}
		defer func() { _ = in.Close() }()
		r := csv.NewReader(in)
		r.FieldsPerRecord = -1
		for {
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if id := strings.TrimSpace(row[0]); id != "" {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return nil, usageError("name customers, or a --file of them")
	}
	return ids, nil
}

func (a *app) previewCommand() *cobra.Command {
	return &cobra.Command{
		Use: "preview LEVEL", Short: "What the outbound decision at a level would change now; nothing is written", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out decision.Preview
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/paid/preview", map[string]any{"level": args[0]}, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("of %s people, %s would enter an audience, %s leave one, and there is nothing for %s", count(out.Considered), count(out.Entered), count(out.Left), count(out.Nothing))
			rows := make([][]string, len(out.Actions))
			for i, x := range out.Actions {
				rows[i] = []string{x.Path, strconv.FormatInt(x.Priority, 10), strconv.FormatBool(x.Enabled), count(x.Members), count(x.Chosen)}
			}
			return a.table([]string{"ACTION", "PRIORITY", "ENABLED", "IN NOW", "CHOSEN"}, rows)
		},
	}
}

func (a *app) responseCommand() *cobra.Command {
	var body struct {
		CustomerID string   `json:"CustomerID"`
		Adset      string   `json:"Adset_id,omitempty"`
		Audience   string   `json:"ExternalAudienceId,omitempty"`
		Time       string   `json:"time,omitempty"`
		Value      *float64 `json:"value,omitempty"`
		Currency   string   `json:"currency,omitempty"`
		EventID    string   `json:"event_id,omitempty"`
		EventName  string   `json:"event_name,omitempty"`
	}
	var value float64
	c := &cobra.Command{
		Use: "response CUSTOMER", Short: "Capture a customer's response to paid media", Args: cobra.ExactArgs(1),
		Example: "  usher paid response id-1 --adset 6042 --value 19.90 --currency EUR --event-id order-77",
		RunE: func(cmd *cobra.Command, args []string) error {
			body.CustomerID = args[0]
			if cmd.Flags().Changed("value") {
				body.Value = &value
			}
			var out paid.Captured
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/paid/response", body, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	f := c.Flags()
	f.StringVar(&body.Adset, "adset", "", "the ad set that was answered; or")
	f.StringVar(&body.Audience, "external-audience", "", "the audience at the network")
	f.StringVar(&body.Time, "time", "", "when, such as 2026-12-31T18:00:00Z (default now)")
	f.Float64Var(&value, "value", 0, "what it is worth, with --currency")
	f.StringVar(&body.Currency, "currency", "", "such as EUR")
	f.StringVar(&body.EventID, "event-id", "", "names the response: sent twice it is stored once")
	f.StringVar(&body.EventName, "event-name", "", "what the customer did")
	return c
}

func (a *app) historyCommand() *cobra.Command {
	var from, to string
	var dry bool
	c := &cobra.Command{
		Use: "history DESTINATION", Short: "Send a destination the conversions of a past period, once", Args: cobra.ExactArgs(1),
		Example: "  usher paid history ID --from now-30d --to now --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []delivery.Pushed
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/paid/history", map[string]any{"destination_id": args[0], "from": from, "to": to, "dry_run": dry}, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, p := range out {
				run := "-"
				if p.Run.Number > 0 {
					run = "#" + strconv.FormatInt(p.Run.Number, 10)
				}
				rows[i] = []string{string(p.Target), run, count(p.Counts.Selected), count(p.Counts.Staged), count(p.Counts.Omitted), count(p.Counts.Deferred)}
			}
			return a.table([]string{"TARGET", "RUN", "EVENTS", "TO SEND", "OMITTED", "DEFERRED"}, rows)
		},
	}
	c.Flags().StringVar(&from, "from", "", "RFC 3339, or such as now-30d")
	c.Flags().StringVar(&to, "to", "now", "the same; not included")
	c.Flags().BoolVar(&dry, "dry-run", false, "count only")
	_ = c.MarkFlagRequired("from")
	return c
}
