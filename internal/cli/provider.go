package cli

import (
	"net/http"

	"github.com/spf13/cobra"

	"usher/internal/provider"
)

// providerView is a provider as the API shows it.
type providerView struct {
	Slug        string           `json:"slug"`
	Name        string           `json:"name"`
	Description string           `json:"description"`
	AuthFields  []provider.Field `json:"auth_fields"`
	Workflows   []struct {
		Name        string           `json:"name"`
		Title       string           `json:"title"`
		Fields      []provider.Field `json:"fields"`
		Destination []provider.Field `json:"destination_fields"`
		MatchKeys   []struct {
			Name string `json:"name"`
			Help string `json:"help"`
		} `json:"match_keys"`
	} `json:"workflows"`
}

func (a *app) providerCommand() *cobra.Command {
	c := &cobra.Command{Use: "provider", Short: "Networks, their workflows and settings"}
	list := &cobra.Command{
		Use: "list", Short: "List every setting and match key of every provider", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []providerView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/provider", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			var rows [][]string
			for _, p := range out {
				rows = append(rows, settings(p.Slug, "auth create", p.AuthFields)...)
				for _, w := range p.Workflows {
					rows = append(rows, settings(p.Slug, "destination create", w.Destination)...)
					for _, k := range w.MatchKeys {
						rows = append(rows, []string{p.Slug, "destination create --map", k.Name, "", k.Help})
					}
					rows = append(rows, []string{p.Slug, "job create", w.Name, "", w.Title})
					rows = append(rows, settings(p.Slug, "job create "+w.Name, w.Fields)...)
				}
			}
			return a.table([]string{"PROVIDER", "FOR", "NAME", "NEEDED", "WHAT"}, rows)
		},
	}
	c.AddCommand(a.jsonFlag(list))
	return c
}

// settings are the rows of declared fields.
func settings(slug, where string, fields []provider.Field) (rows [][]string) {
	for _, f := range fields {
		needed := ""
		if f.Required {
			needed = "yes"
		}
		rows = append(rows, []string{slug, where, f.Name, needed, f.Help})
	}
	return rows
}
