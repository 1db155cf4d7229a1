package cli

import (
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

func (a *app) auditCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "audit", Short: "Who did what to which thing, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.AuditEntry
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/event?limit="+strconv.Itoa(limit), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, e := range out {
				rows[i] = []string{when(e.At), e.Actor, e.Verb, e.SubjectType, e.SubjectID}
			}
			return a.table([]string{"TIME", "WHO", "DID", "TO", "ID"}, rows)
		},
	}
	c.Flags().IntVar(&limit, "limit", 100, "how many")
	return c
}
