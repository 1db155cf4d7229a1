package cli

import (
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/api/client"
)

func (a *app) metricCommand() *cobra.Command {
	var period, since, until string
	var points bool
	c := &cobra.Command{
		Use: "metric [JOB]", Short: "Show what a job, or all jobs together, did over time", Args: cobra.MaximumNArgs(1),
		Example: `  usher metric ID --range now-7d
  usher metric --points`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			for name, text := range map[string]string{"range": period, "since": since, "until": until} {
				if text != "" {
					q.Set(name, text)
				}
			}
			path := "/v2/metric?dimension=works&"
			if len(args) == 1 {
				path = "/v2/job/" + url.PathEscape(args[0]) + "/metric?"
			}
			var out []client.Metric
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, path+q.Encode(), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			var rows [][]string
			for _, m := range out {
				if !points {
					rows = append(rows, []string{m.Name, count(m.Total), when(m.From), when(m.Until), (time.Duration(m.WidthSeconds) * time.Second).String()})
					continue
				}
				for _, p := range m.Points {
					rows = append(rows, []string{when(p.At), m.Name, count(p.Value)})
				}
			}
			if points {
				return a.table([]string{"TIME", "NAME", "COUNT"}, rows)
			}
			return a.table([]string{"NAME", "COUNT", "FROM", "UNTIL", "BUCKETS"}, rows)
		},
	}
	f := c.Flags()
	f.StringVar(&period, "range", "", "from when until now, such as now-24h, now-7d or now-30d; default now-24h")
	f.StringVar(&since, "since", "", "instead of --range: from this time on, RFC 3339 or such as now-2h")
	f.StringVar(&until, "until", "", "before this time")
	f.BoolVar(&points, "points", false, "each bucket in which something was counted")
	return c
}
