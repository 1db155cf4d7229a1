package cli

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"usher/internal/imports"
)

func (a *app) jobPreview() *cobra.Command {
	var f jobFlags
	c := &cobra.Command{
		Use: "preview WORKFLOW", Short: "The first rows that an import job would read; nothing is stored", Args: cobra.ExactArgs(1),
		Example: `  usher job preview sftp_import --auth ID --set folder=/exports --set filename=customers.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := f.body(cmd)
			if err != nil {
				return err
			}
			var out imports.FirstRows
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/job/"+url.PathEscape(args[0])+"/preview", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%s", out.Name)
			head := []string{"TIME"}
			for _, col := range out.Columns {
				head = append(head, col.Name)
			}
			rows := make([][]string, len(out.Rows))
			for i, r := range out.Rows {
				at := ""
				if i < len(out.Times) {
					at = out.Times[i]
				}
				rows[i] = append([]string{at}, r...)
			}
			if err := a.table(head, rows); err != nil {
				return err
			}
			for _, bad := range out.Rejected {
				a.say("%s", bad.Error())
			}
			for _, col := range out.Columns {
				if col.Identifier != "" {
					a.say("%s looks like the identifier %s", col.Name, col.Identifier)
				}
				if col.Times > 0 {
					a.say("%s reads as a time in %d of %d rows", col.Name, col.Times, len(out.Rows))
				}
			}
			return nil
		},
	}
	f.register(c)
	return a.jsonFlag(c)
}

func (a *app) jobPosition() *cobra.Command {
	return a.positionOf("position ID", "How far an import job has read", http.MethodGet, "/position")
}

func (a *app) jobReset() *cobra.Command {
	return a.positionOf("reset ID", "Have an import job read everything again from the beginning", http.MethodPost, "/reset")
}

func (a *app) positionOf(use, short, method, after string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out imports.Position
			if _, err := a.client().Do(cmd.Context(), method, "/v2/job/"+url.PathEscape(args[0])+after, nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}
