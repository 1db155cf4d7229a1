package cli

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/ingest"
)

func (a *app) loadCommand() *cobra.Command {
	c := &cobra.Command{Use: "load", Short: "Uploads and what became of them"}
	var stream string
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List uploads, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if stream != "" {
				q.Set("stream", stream)
			}
			var out []ingest.LoadStatus
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/load?"+q.Encode(), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, l := range out {
				rows[i] = []string{l.ID, l.Stream, string(l.Status), count(l.Rows), count(l.Rejected), count(l.Duplicates), count(l.Corrected), count(l.NewProfile), when(l.ReceivedAt), l.Error}
			}
			return a.table([]string{"ID", "STREAM", "STATUS", "ROWS", "REJECTED", "DUPLICATES", "CORRECTED", "NEW PEOPLE", "RECEIVED", "ERROR"}, rows)
		},
	}
	list.Flags().StringVar(&stream, "stream", "", "only of this stream")
	list.Flags().IntVar(&limit, "limit", 50, "how many")
	show := &cobra.Command{
		Use: "show ID", Short: "Show one upload", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showLoad(cmd, http.MethodGet, args[0], "")
		},
	}
	retry := &cobra.Command{
		Use: "retry ID", Short: "Merge a failed upload again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showLoad(cmd, http.MethodPost, args[0], "/retry")
		},
	}
	discard := &cobra.Command{
		Use: "discard ID", Short: "Forget a failed upload and its rows", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/load/"+url.PathEscape(args[0]), nil, nil)
			return err
		},
	}
	c.AddCommand(a.jsonFlag(list), show, retry, discard, a.loadRejected())
	return c
}

// showLoad calls a route that answers with an upload, and prints it.
func (a *app) showLoad(cmd *cobra.Command, method, id, command string) error {
	var out ingest.LoadStatus
	if _, err := a.client().Do(cmd.Context(), method, "/v2/load/"+url.PathEscape(id)+command, nil, &out); err != nil {
		return err
	}
	return a.printJSON(out)
}
