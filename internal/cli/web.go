package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) webCommand() *cobra.Command {
	c := &cobra.Command{Use: "web", Short: "What web sites may ask"}
	c.AddCommand(a.jsonFlag(a.webAudiences()))
	return c
}

func (a *app) webAudiences() *cobra.Command {
	return &cobra.Command{
		Use: "audiences PUBLIC_ID", Short: "Which public audiences a visitor is in, as a site sees it", Args: cobra.ExactArgs(1),
		Long: `Ask what a web page asks: in which public audiences the visitor with this public
id is, and which public attributes they have. Somebody unknown is in none.`,
		Example: `  usher web audiences 8f14e45f-ceea-467f-a0e6-b2d6f1c1a9d3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Audiences  []string                   `json:"audiences"`
				Attributes map[string]json.RawMessage `json:"attributes"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/web/audiences/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := [][]string{{"audiences", strings.Join(out.Audiences, ", ")}}
			for name, value := range out.Attributes {
				rows = append(rows, []string{name, string(value)})
			}
			slices.SortFunc(rows[1:], func(x, y []string) int { return strings.Compare(x[0], y[0]) })
			return a.table([]string{"WHAT", "VALUE"}, rows)
		},
	}
}
