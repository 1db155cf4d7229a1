package cli

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/tracking"
)

// itemCommand shows one queue item: which keys each row carries, never their
// values, and what the network answered.
func (a *app) itemCommand() *cobra.Command {
	return &cobra.Command{
		Use: "item ID NUMBER", Short: "Show one queue item: its rows, masked, and what the network answered", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return usageError("%q is not the number of an item", args[1])
			}
			var out tracking.ItemDetail
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/run/"+url.PathEscape(args[0])+"/item/"+strconv.Itoa(n), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}

// errorsCommand lists what went wrong in a run by cause.
func (a *app) errorsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "errors ID", Short: "What went wrong in a run, by cause, with the page that says what to do", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []tracking.Cause
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/run/"+url.PathEscape(args[0])+"/errors", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, c := range out {
				rows[i] = []string{c.Code, strconv.Itoa(c.Items), count(c.Rows), c.Message, c.Page}
			}
			return a.table([]string{"CODE", "ITEMS", "ROWS", "WHAT", "PAGE"}, rows)
		},
	}
}
