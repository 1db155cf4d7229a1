package cli

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/api/client"
)

func (a *app) providerCommand() *cobra.Command {
	c := &cobra.Command{Use: "provider", Short: "Networks, their workflows and settings"}
	list := &cobra.Command{
		Use: "list", Short: "List every setting and match key of every provider", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []client.Provider
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/provider", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			return a.settingsTable(out...)
		},
	}
	show := &cobra.Command{
		Use: "show PROVIDER", Short: "Every setting and match key of one provider", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out client.Provider
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/provider/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			return a.settingsTable(out)
		},
	}
	c.AddCommand(a.jsonFlag(list), a.jsonFlag(show))
	return c
}

func (a *app) workflowCommand() *cobra.Command {
	c := &cobra.Command{Use: "workflow", Short: "What providers can do"}
	list := &cobra.Command{
		Use: "list", Short: "List the workflows of every provider", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []client.Workflow
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/workflow", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, w := range out {
				rows[i] = []string{w.Name, w.Provider, w.Type, w.Subject, strings.Join(w.Starts, " "), w.Title}
			}
			return a.table([]string{"WORKFLOW", "PROVIDER", "TYPE", "SUBJECT", "STARTS", "WHAT"}, rows)
		},
	}
	show := &cobra.Command{
		Use: "show WORKFLOW", Short: "Every setting of one workflow", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out client.Workflow
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/workflow/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			return a.table(settingColumns, workflowRows(out.Provider, out))
		},
	}
	c.AddCommand(a.jsonFlag(list), a.jsonFlag(show))
	return c
}

var settingColumns = []string{"PROVIDER", "FOR", "NAME", "NEEDED", "WHAT"}

func (a *app) settingsTable(providers ...client.Provider) error {
	var rows [][]string
	for _, p := range providers {
		rows = append(rows, settings(p.Slug, "auth create", p.AuthFields)...)
		for _, w := range p.Workflows {
			rows = append(rows, workflowRows(p.Slug, w)...)
		}
	}
	return a.table(settingColumns, rows)
}

func workflowRows(slug string, w client.Workflow) [][]string {
	rows := settings(slug, "destination create", w.Destination)
	for _, k := range w.MatchKeys {
		rows = append(rows, []string{slug, "destination create --map", k.Name, "", k.Help})
	}
	rows = append(rows, []string{slug, "job create", w.Name, "", w.Title})
	return append(rows, settings(slug, "job create "+w.Name, w.Fields)...)
}

// settings are the rows of declared fields.
func settings(slug, where string, fields []client.Field) (rows [][]string) {
	for _, f := range fields {
		needed := ""
		if f.Required {
			needed = "yes"
		}
		rows = append(rows, []string{slug, where, f.Name, needed, f.Help})
	}
	return rows
}
