package cli

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"usher/internal/imports"
)

// notRead are the flags of a job that do not change what an import would read.
// They are taken, so that a job create can be tried as it is, and not listed.
var notRead = []string{
	"audience", "backfill-only", "destination", "drop-quiet", "every", "at", "on", "timezone", "once", "exclude", "expires", "fail-after", "hidden", "holdout", "level", "no-backfill", "on-end",
	"quiet-from", "quiet-hours", "quiet-timezone", "stall-after", "tag", "user-limit", "user-limit-per", "verbose-logging", "description", "stream",
}

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
			if out.Name == "" {
				a.say("there is nothing to read now")
				return nil
			}
			a.say("%s, into the stream %s", out.Name, out.Stream)
			head := []string{"TIME"}
			for _, col := range out.Columns {
				head = append(head, col.Name)
			}
			rows := make([][]string, len(out.Rows))
			for i, r := range out.Rows {
				at := "of the import"
				if i < len(out.Times) && out.Times[i] != "" {
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
	for _, name := range notRead {
		if err := c.Flags().MarkHidden(name); err != nil {
			panic(err) // a test makes every command
		}
	}
	return a.jsonFlag(c)
}

func (a *app) jobPosition() *cobra.Command {
	return a.positionOf("position ID", "How far an import job has read", http.MethodGet, "/position")
}

func (a *app) jobReset() *cobra.Command {
	return a.positionOf("reset ID", "Have an import job read everything again from the beginning", http.MethodPost, "/reset")
}

func (a *app) positionOf(use, short, method, after string) *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out imports.Position
			if _, err := a.client().Do(cmd.Context(), method, "/v2/job/"+url.PathEscape(args[0])+after, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			last := out.Last
			if last == "" {
				last = "-"
			}
			return a.table([]string{"PIECES", "ROWS", "LAST PIECE", "READ", "POSITION"}, [][]string{{count(out.Pieces), count(out.Rows), last, when(out.UpdatedAt), out.Position}})
		},
	})
}
