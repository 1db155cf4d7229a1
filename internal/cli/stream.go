package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/warehouse"
)

func streamPath(name string) string { return "/v2/stream/" + url.PathEscape(name) }

func (a *app) streamNames() *cobra.Command {
	return &cobra.Command{
		Use: "names", Short: "Names of the streams, one a line", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []string
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/stream/names", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			for _, name := range out {
				if _, err := fmt.Fprintln(a.out, name); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) showStream() *cobra.Command {
	var recent bool
	c := &cobra.Command{
		Use: "show NAME", Short: "One stream with counts and columns", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out map[string]any
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, streamPath(args[0])+"?recent_events="+strconv.FormatBool(recent), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	c.Flags().BoolVar(&recent, "recent", false, "with the newest messages as received; for administrators")
	return c
}

func (a *app) streamStats() *cobra.Command {
	return &cobra.Command{
		Use: "stats NAME", Short: "How much a stream has received", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out map[string]any
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, streamPath(args[0])+"/stats", nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}

func (a *app) streamFields() *cobra.Command {
	return &cobra.Command{
		Use: "fields NAME", Short: "Columns of a stream, and the profile fields made of each", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []struct {
				Name   string   `json:"name"`
				Fields []string `json:"fields"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, streamPath(args[0])+"/fields", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, f := range out {
				rows[i] = []string{f.Name, strings.Join(f.Fields, " ")}
			}
			return a.table([]string{"COLUMN", "FIELDS"}, rows)
		},
	}
}

func (a *app) scanRule() *cobra.Command {
	var after int64
	var limit int
	c := &cobra.Command{
		Use: "scan RULE", Short: "Page through whom a rule selects, without saving it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []warehouse.Profile
			path := fmt.Sprintf("/v2/segment/scan?limit=%d&start=%d", limit, after)
			next, err := a.client().Do(cmd.Context(), http.MethodPost, path, map[string]string{"segment_ql": args[0]}, &out)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			for _, p := range out {
				if _, err := fmt.Fprintf(a.out, "%d\t%v\n", p.ID, p.Values); err != nil {
					return err
				}
			}
			if next != "" {
				a.say("more: --after %s", next)
			}
			return nil
		},
	}
	c.Flags().Int64Var(&after, "after", 0, "profile id to start after")
	c.Flags().IntVar(&limit, "limit", 20, "how many")
	return c
}
