package cli

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/delivery"
)

func (a *app) planCommand() *cobra.Command {
	return &cobra.Command{
		Use: "plan ID", Short: "Dry run: what a run would do now; nothing is written", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []delivery.Preview
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/job/"+url.PathEscape(args[0])+"/plan", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, p := range out {
				c := p.Counts
				rows[i] = []string{string(p.Target), count(c.Selected), count(c.Add), count(c.Update), count(c.Remove), count(c.Unchanged), count(c.Omitted), count(c.Deferred), strconv.Itoa(p.Calls), p.Guard}
			}
			return a.table([]string{"TARGET", "SELECTED", "ADD", "UPDATE", "REMOVE", "UNCHANGED", "OMITTED", "DEFERRED", "CALLS", "GUARD"}, rows)
		},
	}
}
