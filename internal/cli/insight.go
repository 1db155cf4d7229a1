package cli

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/insight"
	"usher/internal/warehouse"
)

func (a *app) audienceBreakdown() *cobra.Command {
	var rule string
	var limit int
	c := &cobra.Command{
		Use: "breakdown FIELD [AUDIENCE]", Short: "How the values of a field spread over an audience, or over whom a rule selects", Args: cobra.RangeArgs(1, 2),
		Example: `  usher audience breakdown country big-spenders
  usher audience breakdown country --rule 'FILTER lifetime_value > 1000'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"field": args[0], "limit": limit}
			if len(args) == 2 {
				body["id"] = args[1]
			}
			if rule != "" {
				body["segment_ql"] = rule
			}
			var out warehouse.Breakdown
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/segment/breakdown", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%s people, %s have a value, about %s different ones", count(out.People), count(out.Present), count(out.Distinct))
			rows := make([][]string, len(out.Values))
			for i, v := range out.Values {
				value := v.Value
				if v.Until != "" {
					value += " to " + v.Until
				}
				rows[i] = []string{value, count(v.Count)}
			}
			if out.Others > 0 {
				rows = append(rows, []string{"(others)", count(out.Others)})
			}
			return a.table([]string{"VALUE", "PEOPLE"}, rows)
		},
	}
	c.Flags().StringVar(&rule, "rule", "", "a rule instead of an audience")
	c.Flags().IntVar(&limit, "limit", 10, "values to list")
	return a.jsonFlag(c)
}

func (a *app) audienceOverlap() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "overlap AUDIENCE…", Short: "How many people each two audiences share", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out insight.Overlaps
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/segment/overlap", map[string]any{"segment_ids": args}, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	})
}

func (a *app) audienceReach() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "reach AUDIENCE", Short: "Which match keys the members have, per destination", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []insight.Reach
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/segment/"+url.PathEscape(args[0])+"/reach", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			var rows [][]string
			for _, r := range out {
				row := []string{r.Name, count(r.People), count(r.Usable)}
				keys := r.Problem
				for _, k := range r.Keys {
					keys += k.Name + " " + count(k.Count) + "  "
				}
				rows = append(rows, append(row, keys))
			}
			return a.table([]string{"DESTINATION", "PEOPLE", "REACHABLE", "KEYS"}, rows)
		},
	})
}

func (a *app) audienceTrend() *cobra.Command {
	var period string
	c := &cobra.Command{
		Use: "trend AUDIENCE", Short: "The size of an audience over time", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []insight.Point
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/segment/"+url.PathEscape(args[0])+"/trend?range="+url.QueryEscape(period), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, p := range out {
				rows[i] = []string{when(p.At), strconv.FormatInt(p.Size, 10)}
			}
			return a.table([]string{"AT", "SIZE"}, rows)
		},
	}
	c.Flags().StringVar(&period, "range", "now-7d", "from when until now")
	return a.jsonFlag(c)
}
