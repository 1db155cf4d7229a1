package cli

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"usher/internal/ingest"
)

func (a *app) loadCommand() *cobra.Command {
	c := &cobra.Command{Use: "load", Short: "Uploads and what became of them"}
	show := &cobra.Command{
		Use: "show ID", Short: "Show one upload", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out ingest.LoadStatus
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/load/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	c.AddCommand(show)
	return c
}
