package cli

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// runView is a run as the API shows it.
type runView struct {
	activation.Run
	AudienceSlug    string           `json:"segment_slug"`
	DestinationName string           `json:"destination_name"`
	Laws            []activation.Law `json:"laws,omitempty"`
	Retry           struct {
		Allowed bool   `json:"allowed"`
		Reason  string `json:"reason,omitempty"`
	} `json:"retry"`
}

func (a *app) runCommand() *cobra.Command {
	c := &cobra.Command{Use: "run", Short: "Sync Tracking: runs, down to the queue item"}
	filters := map[string]*string{}
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List runs, newest first", Args: cobra.NoArgs,
		Example: "  usher run list --status failed",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range filters {
				if *value != "" {
					q.Set(name, *value)
				}
			}
			var out []runView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/run?"+q.Encode(), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, r := range out {
				rows[i] = []string{
					"#" + strconv.FormatInt(r.Number, 10), string(r.ID), runWord(r.Run), string(r.SyncType), string(r.Cause), cmp.Or(r.AudienceSlug, r.Stream), r.DestinationName, when(r.StartedAt),
					count(r.Counts.Add + r.Counts.Update), count(r.Counts.Remove), count(r.Counts.Unchanged), count(r.Counts.Accepted), count(r.Counts.Rejected + r.Counts.Unplaced), count(r.Counts.Unknown),
				}
			}
			return a.table([]string{"RUN", "ID", "STATUS", "TYPE", "CAUSE", "AUDIENCE", "DESTINATION", "STARTED", "ADD", "REMOVE", "UNCHANGED", "ACCEPTED", "REJECTED", "UNKNOWN"}, rows)
		},
	}
	for flag, filter := range map[string]struct{ name, help string }{
		"status":       {"status", "pending, running, awaiting, completed, withdrawn or failed"},
		"sync-type":    {"sync_type", "segment, next_best_action, pii_update, offline_conversion, conversion_audience or events"},
		"cause":        {"cause", "what triggered it: manual, schedule, real_time, outbound, agent or repair"},
		"type":         {"destination_type", "such as Facebook Ads"},
		"destination":  {"destination_id", "id of the destination"},
		"job":          {"job_id", "id of the job"},
		"audience":     {"segment_id", "id of the audience"},
		"target":       {"target_id", "id of the target"},
		"triggered-by": {"triggered_by", "the audience, or issue and group"},
		"since":        {"since", "RFC 3339, or such as now-3d"},
		"until":        {"until", "the same"},
	} {
		filters[filter.name] = list.Flags().String(flag, "", filter.help)
	}
	list.Flags().IntVar(&limit, "limit", 50, "how many")

	show := &cobra.Command{
		Use: "show ID", Short: "Show one run: stages, counts, laws, errors", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out runView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/run/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	items := &cobra.Command{
		Use: "items ID", Short: "List the queue items of a run", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []activation.Item
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/run/"+url.PathEscape(args[0])+"/items", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, it := range out {
				rows[i] = []string{strconv.Itoa(it.Number), string(it.State), strconv.Itoa(it.Phase), string(it.Op), count(it.Rows()), strconv.Itoa(it.Attempt), it.Code, it.Message}
			}
			return a.table([]string{"ITEM", "STATE", "PHASE", "OP", "ROWS", "ATTEMPT", "CODE", "MESSAGE"}, rows)
		},
	}
	c.AddCommand(a.jsonFlag(list), show, a.jsonFlag(items), a.itemCommand(), a.jsonFlag(a.errorsCommand()))
	for _, cmd := range []struct{ name, short string }{
		{"retry", "Send the failed items of a failed run again, and nothing else"},
		{"approve", "Let a run go on that waits because it removes many people"},
		{"decline", "Let such a run go on without its removals"},
		{"withdraw", "End a pending run before anything is sent"},
	} {
		c.AddCommand(&cobra.Command{
			Use: cmd.name + " ID", Short: cmd.short, Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				var out runView
				if _, err := a.client().Do(c.Context(), http.MethodPost, "/v2/run/"+url.PathEscape(args[0])+"/"+cmd.name, nil, &out); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.err, "run #%d: %s\n", out.Number, runWord(out.Run))
				return err
			},
		})
	}
	return c
}

// runWord is a run's status as people read it.
func runWord(r activation.Run) string {
	s := string(r.Status)
	switch {
	case r.Status == activation.RunPending && r.Reason == activation.SleepApproval:
		s += " (approval)"
	case r.Status == activation.RunCompleted && r.Counts.Rejected+r.Counts.Unplaced+r.Counts.Unknown > 0:
		s += " (with errors)"
	}
	return s
}
