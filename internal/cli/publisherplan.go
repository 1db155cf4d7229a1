package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/publishing"
)

// objectFlag reads kind:id.
func objectFlag(flag, s string) (activation.ObjectRef, error) {
	kind, id, ok := strings.Cut(s, ":")
	if !ok || id == "" {
		return activation.ObjectRef{}, usageError("--%s %q is not kind:id, such as campaign:7", flag, s)
	}
	return activation.ObjectRef{Kind: activation.ObjectKind(kind), ID: id}, nil
}

// removing deletes what is under an account.
func (a *app) removing(what, short string) *cobra.Command {
	return &cobra.Command{
		Use: "delete ID " + strings.ToUpper(what), Short: short, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, publisherPath(args[0], what, args[1]), nil, nil)
			return err
		},
	}
}

func (a *app) publisherScheduleCommand() *cobra.Command {
	c := &cobra.Command{Use: "schedule", Short: "Pause and resume objects on the hour"}
	list := &cobra.Command{
		Use: "list ID", Short: "Scheduled operations of an account", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []activation.ScheduledOperation
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, publisherPath(args[0], "schedule"), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, s := range out {
				days := "once"
				if len(s.Days) > 0 {
					days = fmt.Sprintf("days %v at %02d:00", s.Days, s.Hour)
				}
				rows[i] = []string{s.ID, s.Action, string(s.Object.Kind), s.Object.ID, when(s.At), days, s.CreatedBy}
			}
			return a.table([]string{"ID", "ACTION", "KIND", "OBJECT", "NEXT", "AGAIN", "BY"}, rows)
		},
	}
	c.AddCommand(a.jsonFlag(list), a.scheduleSet("create ID", cobra.ExactArgs(1)), a.scheduleSet("edit ID SCHEDULE", cobra.ExactArgs(2)), a.removing("schedule", "Take a scheduled operation away; what it has queued stays"))
	return c
}

func (a *app) scheduleSet(use string, args cobra.PositionalArgs) *cobra.Command {
	var object, action, at string
	var days []int
	var hour int
	c := &cobra.Command{
		Use: use, Short: "Schedule a pause or resume, and print its id", Args: args,
		Example: "  usher publisher schedule create ID --object campaign:7 --action pause --at 2026-11-27T22:00:00+01:00\n  usher publisher schedule create ID --object campaign:7 --action resume --days 1,2,3,4,5 --hour 6",
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			changed := cmd.Flags().Changed
			if changed("object") {
				ref, err := objectFlag("object", object)
				if err != nil {
					return err
				}
				body["object"] = ref
			}
			if changed("action") {
				body["action"] = action
			}
			if changed("at") {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return usageError("--at %q is no time such as 2026-11-27T22:00:00+01:00", at)
				}
				body["at"] = t
			}
			if changed("days") {
				body["days"] = days
			}
			if changed("hour") {
				body["hour"] = hour
			}
			method, path := http.MethodPost, publisherPath(args[0], "schedule")
			if len(args) == 2 {
				method, path = http.MethodPut, publisherPath(args[0], "schedule", args[1])
			}
			var out activation.ScheduledOperation
			if _, err := a.client().Do(cmd.Context(), method, path, body, &out); err != nil {
				return err
			}
			_, err := fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	if strings.HasPrefix(use, "edit") {
		c.Short, c.Example = "Change a scheduled operation; what is left out stays", "  usher publisher schedule edit ID SCHEDULE --hour 7"
	}
	c.Flags().StringVar(&object, "object", "", "what is paused or resumed, as kind:id")
	c.Flags().StringVar(&action, "action", "", "pause or resume")
	c.Flags().StringVar(&at, "at", "", "a moment on the hour; without --days it is done once")
	c.Flags().IntSliceVar(&days, "days", nil, "days of the week on which it is done again, Monday = 1")
	c.Flags().IntVar(&hour, "hour", 0, "with --days: the hour, in the account's zone")
	return c
}

func (a *app) publisherStrategyCommand() *cobra.Command {
	c := &cobra.Command{Use: "strategy", Short: "Bidding strategies"}
	list := &cobra.Command{
		Use: "list ID", Short: "Bidding strategies of an account", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []activation.Strategy
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, publisherPath(args[0], "strategy"), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, s := range out {
				rows[i] = []string{s.ID, s.Name, s.Goal, amount(s.Target), string(s.Kind), amount(s.Floor) + " to " + amount(s.Ceiling), s.Mode, count(len(s.Overrides)), when(s.RunAt)}
			}
			return a.table([]string{"ID", "NAME", "GOAL", "TARGET", "BIDS OF", "BETWEEN", "MODE", "OVERRIDES", "RUN"}, rows)
		},
	}
	run := &cobra.Command{
		Use: "run ID STRATEGY", Short: "Calculate bids now; in the mode traffic they become entries", Args: cobra.ExactArgs(2),
		Example: "  usher publisher strategy run ID STRATEGY",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.proposals(cmd, http.MethodPost, publisherPath(args[0], "strategy", args[1], "run"))
		},
	}
	last := &cobra.Command{
		Use: "proposals ID STRATEGY", Short: "What the last run made of each object, with its inputs", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.proposals(cmd, http.MethodGet, publisherPath(args[0], "strategy", args[1], "proposals"))
		},
	}
	bids := &cobra.Command{
		Use: "bids ID STRATEGY FILE", Short: "Give bids to a strategy whose goal is given, from a JSON file (- = standard input)", Args: cobra.ExactArgs(3),
		Example: `  echo '[{"object":{"kind":"keyword","id":"5~9"},"bid":0.55}]' | usher publisher strategy bids ID STRATEGY -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := a.readFile(args[2])
			if err != nil {
				return err
			}
			if !json.Valid(raw) {
				return usageError("%s is no JSON; it should be a list of bids", args[2])
			}
			var out publishing.EditResult
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, publisherPath(args[0], "strategy", args[1], "bids"), map[string]any{"bids": json.RawMessage(raw)}, &out); err != nil {
				return err
			}
			return a.edited(out)
		},
	}
	c.AddCommand(a.jsonFlag(list), a.strategySet("create ID", cobra.ExactArgs(1)), a.strategySet("edit ID STRATEGY", cobra.ExactArgs(2)), a.removing("strategy", "Take a strategy away; bids stay as they are"),
		a.jsonFlag(run), a.jsonFlag(last), a.jsonFlag(bids), a.strategyOverride())
	return c
}

func amount(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (a *app) proposals(cmd *cobra.Command, method, path string) error {
	var out []activation.BidProposal
	if _, err := a.client().Do(cmd.Context(), method, path, nil, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	rows := make([][]string, len(out))
	for i, p := range out {
		entry := "-"
		if p.Entry != 0 {
			entry = "#" + strconv.FormatInt(int64(p.Entry), 10)
		}
		rows[i] = []string{string(p.Object.Kind), p.Object.ID, p.Name, amount(p.Old), amount(p.New), cmp.Or(p.Why, "-"), amount(p.Inputs["conversions"]), amount(p.Inputs["actual"]), entry}
	}
	return a.table([]string{"KIND", "OBJECT", "NAME", "BID", "NEW BID", "WHY", "CONVERSIONS", "ACTUAL", "ENTRY"}, rows)
}

func (a *app) strategySet(use string, args cobra.PositionalArgs) *cobra.Command {
	var name, goal, kind, mode string
	var target, floor, ceiling float64
	var within []string
	c := &cobra.Command{
		Use: use, Short: "Let bids be found, and print the strategy's id", Args: args,
		Example: `  usher publisher strategy create ID --name "Brand CPA" --goal cpa --target 12.50 --kind keyword --within campaign:7 --floor 0.05 --ceiling 2 --mode preview`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			for flag, value := range map[string]any{"name": name, "goal": goal, "kind": kind, "mode": mode, "target": target, "floor": floor, "ceiling": ceiling} {
				if cmd.Flags().Changed(flag) {
					body[flag] = value
				}
			}
			if cmd.Flags().Changed("within") {
				refs := make([]activation.ObjectRef, len(within))
				for i, w := range within {
					var err error
					if refs[i], err = objectFlag("within", w); err != nil {
						return err
					}
				}
				body["within"] = refs
			}
			method, path := http.MethodPost, publisherPath(args[0], "strategy")
			if len(args) == 2 {
				method, path = http.MethodPut, publisherPath(args[0], "strategy", args[1])
			}
			var out activation.Strategy
			if _, err := a.client().Do(cmd.Context(), method, path, body, &out); err != nil {
				return err
			}
			_, err := fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	if strings.HasPrefix(use, "edit") {
		c.Short, c.Example = "Change a strategy; what is left out stays", "  usher publisher strategy edit ID STRATEGY --mode traffic"
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "name for people")
	f.StringVar(&goal, "goal", "", "cpa, roas or given")
	f.Float64Var(&target, "target", 0, "cost per conversion in the account's currency, or value per cost (4 = 400 %)")
	f.StringVar(&kind, "kind", "", "whose bids they are: group or keyword")
	f.StringSliceVar(&within, "within", nil, "only those in this campaign or group, as kind:id (repeat)")
	f.Float64Var(&floor, "floor", 0, "the least bid")
	f.Float64Var(&ceiling, "ceiling", 0, "the highest bid")
	f.StringVar(&mode, "mode", "", "off, preview (calculate only) or traffic (post)")
	return c
}

func (a *app) strategyOverride() *cobra.Command {
	var object, until string
	var bid float64
	c := &cobra.Command{
		Use: "override ID STRATEGY", Short: "Keep one object's bid as it is given, until a day; without --until the override is taken away", Args: cobra.ExactArgs(2),
		Example: "  usher publisher strategy override ID STRATEGY --object keyword:5~9 --bid 0.80 --until 2026-12-31",
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := objectFlag("object", object)
			if err != nil {
				return err
			}
			_, err = a.client().Do(cmd.Context(), http.MethodPost, "/v2/publisher/"+url.PathEscape(args[0])+"/strategy/"+url.PathEscape(args[1])+"/override", activation.BidOverride{Object: ref, Bid: bid, Until: until}, nil)
			return err
		},
	}
	c.Flags().StringVar(&object, "object", "", "whose bid it is, as kind:id")
	c.Flags().Float64Var(&bid, "bid", 0, "the bid")
	c.Flags().StringVar(&until, "until", "", "last day, such as 2026-12-31")
	return c
}
