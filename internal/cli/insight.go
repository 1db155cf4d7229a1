package cli

import (
	"net/http"
	"net/url"
	"strings"

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
			if len(out.Values) == 0 && out.Present > 0 {
				a.say("the values of this field are personal and not listed")
				return nil
			}
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
		Example: `  usher audience overlap big-spenders newsletter vips`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var out insight.Overlaps
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/segment/overlap", map[string]any{"segment_ids": args}, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			head, rows := []string{"SHARED WITH"}, make([][]string, len(out.Audiences))
			for i, one := range out.Audiences {
				head = append(head, one.Slug)
				rows[i] = []string{one.Slug}
				for _, n := range out.Both[i] {
					rows[i] = append(rows[i], count(n))
				}
			}
			return a.table(head, rows)
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
				var keys []string
				if r.Problem != "" {
					keys = append(keys, r.Problem)
				}
				for _, k := range r.Keys {
					keys = append(keys, k.Name+" "+count(k.Count))
				}
				rows = append(rows, append(row, strings.Join(keys, ", ")))
			}
			return a.table([]string{"DESTINATION", "PEOPLE", "REACHABLE", "KEYS"}, rows)
		},
	})
}

func (a *app) audienceTrend() *cobra.Command {
	var period string
	c := &cobra.Command{
		Use: "trend AUDIENCE", Short: "The size of an audience over time", Args: cobra.ExactArgs(1),
		Example: `  usher audience trend big-spenders --range now-30d`,
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
				rows[i] = []string{when(p.At), count(p.Size)}
			}
			return a.table([]string{"AT", "SIZE"}, rows)
		},
	}
	c.Flags().StringVar(&period, "range", "now-7d", "from when until now, such as now-24h or now-30d")
	return a.jsonFlag(c)
}
