package cli

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

func (a *app) auditCommand() *cobra.Command {
	var limit int
	q := url.Values{}
	c := &cobra.Command{
		Use: "audit", Short: "Who did what to which thing, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Set("limit", strconv.Itoa(limit))
			for flag, name := range map[string]string{"type": "type", "id": "id", "verb": "verb", "user": "user_id", "after": "after", "before": "before"} {
				v, err := cmd.Flags().GetString(flag)
				if err != nil {
					return err
				}
				if v != "" {
					q.Set(name, v)
				}
			}
			var out []activation.AuditEntry
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/event?"+q.Encode(), nil, &out); err != nil {
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
	for name, help := range map[string]string{"type": "kind of thing, such as job", "id": "id of the thing", "verb": "what was done, such as pause", "user": "who did it", "after": "since when, such as now-3d", "before": "until when"} {
		c.Flags().String(name, "", help)
	}
	c.Flags().IntVar(&limit, "limit", 100, "how many")
	return c
}
