package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// rebuildOf is a rebuild as the API shows it.
type rebuildOf struct {
	activation.Rebuild
	Left float64 `json:"seconds_left"`
}

func (r rebuildOf) row() []string {
	left := ""
	if r.Left > 0 {
		left = (time.Duration(r.Left*float64(time.Second)) / time.Second * time.Second).String()
	}
	return []string{strconv.FormatInt(r.Number, 10), string(r.ID), string(r.Status), count(r.Done) + " / " + count(r.Total), left, r.AskedBy, when(r.StartedAt), when(r.EndedAt), r.says()}
}

// says is why it was asked for, and what became of it.
func (r rebuildOf) says() string {
	var parts []string
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	switch {
	case r.ErrorText != "":
		parts = append(parts, r.ErrorCode+": "+r.ErrorText)
	case r.Status == activation.RebuildCompleted:
		parts = append(parts, fmt.Sprintf("%s changed, %s new, %s gone", count(r.Counts["changed_profiles"]), count(r.Counts["new_profiles"]), count(r.Counts["gone_profiles"])))
	}
	return strings.Join(parts, "; ")
}

var rebuildHead = []string{"NUMBER", "ID", "STATUS", "MESSAGES", "LEFT", "ASKED BY", "STARTED", "ENDED", "WHY, AND WHAT CHANGED"}

func (a *app) rebuildCommand() *cobra.Command {
	c := &cobra.Command{Use: "rebuild", Short: "Replay all messages under the present fields, mappings and identity settings"}
	var reason string
	var wait bool
	start := &cobra.Command{
		Use: "start", Short: "Begin a rebuild beside the live profiles", Args: cobra.NoArgs,
		Example: `  usher rebuild start --reason "lifetime value from the new prices" --wait`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out rebuildOf
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/rebuild", map[string]string{"reason": reason}, &out); err != nil {
				return err
			}
			for wait && out.Status == activation.RebuildRunning {
				select {
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				case <-time.After(500 * time.Millisecond):
				}
				if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/rebuild/"+url.PathEscape(string(out.ID)), nil, &out); err != nil {
					return err
				}
			}
			if err := a.rebuilds([]rebuildOf{out}); err != nil {
				return err
			}
			if wait && out.Status != activation.RebuildCompleted {
				return fmt.Errorf("the rebuild ended as %s", out.Status)
			}
			return nil
		},
	}
	start.Flags().StringVar(&reason, "reason", "", "why, for the history")
	start.Flags().BoolVar(&wait, "wait", false, "return when it is done")
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "Rebuilds, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []rebuildOf
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/rebuild?limit="+strconv.Itoa(limit), nil, &out); err != nil {
				return err
			}
			return a.rebuilds(out)
		},
	}
	list.Flags().IntVar(&limit, "limit", 20, "how many")
	one := func(use, short, method, after string) *cobra.Command {
		return a.jsonFlag(&cobra.Command{
			Use: use, Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				var out rebuildOf
				if _, err := a.client().Do(cmd.Context(), method, "/v2/rebuild/"+url.PathEscape(args[0])+after, nil, &out); err != nil {
					return err
				}
				return a.rebuilds([]rebuildOf{out})
			},
		})
	}
	cost := &cobra.Command{
		Use: "cost", Short: "What a rebuild would have to do, and about how long it would take", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Messages int64   `json:"messages"`
				Bytes    int64   `json:"bytes"`
				Seconds  float64 `json:"seconds"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/rebuild/cost", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			bytes, took := "-", "not known before the first one"
			if out.Bytes > 0 { // what is not on disk yet has no size
				bytes = count(out.Bytes)
			}
			if out.Seconds > 0 {
				took = "about " + max(time.Second, time.Duration(out.Seconds*float64(time.Second)).Round(time.Second)).String()
			}
			return a.table([]string{"MESSAGES", "BYTES", "TIME"}, [][]string{{count(out.Messages), bytes, took}})
		},
	}
	c.AddCommand(a.jsonFlag(start), a.jsonFlag(list), one("show ID", "A rebuild, how far it is and when it will be done", http.MethodGet, ""),
		one("cancel ID", "Stop a rebuild; the live profiles stay as they are", http.MethodPost, "/cancel"), a.jsonFlag(cost))
	return c
}

func (a *app) rebuilds(all []rebuildOf) error {
	if a.json {
		return a.printJSON(all)
	}
	rows := make([][]string, len(all))
	for i, r := range all {
		rows[i] = r.row()
	}
	return a.table(rebuildHead, rows)
}
