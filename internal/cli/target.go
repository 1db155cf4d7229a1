package cli

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

type targetView struct {
	activation.Target
	AudienceSlug    string `json:"segment_slug"`
	DestinationName string `json:"destination_name"`
	JobName         string `json:"job_name,omitempty"`
	Holdings        struct {
		In      int64 `json:"in"`
		Maybe   int64 `json:"maybe"`
		Refused int64 `json:"refused"`
		Shared  int64 `json:"shared"`
	} `json:"holdings"`
	Baseline int64 `json:"baseline"`
}

func (a *app) targetCommand() *cobra.Command {
	c := &cobra.Command{Use: "target", Short: "Audiences kept at destinations, and what the ledger says they hold"}
	c.AddCommand(a.jsonFlag(a.targetList()), a.targetShow(), a.jsonFlag(a.targetRelease()))
	c.AddCommand(a.reconcileCommands()...)
	return c
}

func (a *app) targetList() *cobra.Command {
	var job, destination, audience string
	list := &cobra.Command{
		Use: "list", Short: "List targets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"job_id": job, "destination_id": destination, "segment_id": audience} {
				if value != "" {
					query.Set(name, value)
				}
			}
			path := "/v2/target"
			if len(query) > 0 {
				path += "?" + query.Encode()
			}
			var out []targetView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, path, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, t := range out {
				rows[i] = []string{string(t.ID), cmp.Or(t.AudienceSlug, t.Stream), t.DestinationName, t.RemoteID, fmt.Sprint(t.Generation), count(t.Holdings.In), count(t.Holdings.Maybe), count(t.Holdings.Refused), count(t.Holdings.Shared), string(t.Release)}
			}
			return a.table([]string{"ID", "AUDIENCE", "DESTINATION", "REMOTE", "GENERATION", "IN", "MAYBE", "REFUSED", "SHARED", "RELEASE"}, rows)
		},
	}
	list.Flags().StringVar(&job, "job", "", "only those of this job")
	list.Flags().StringVar(&destination, "destination", "", "only those at this destination")
	list.Flags().StringVar(&audience, "audience", "", "only those of this audience (id or slug)")
	return list
}

func (a *app) targetShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one target: remote audience, ledger, beginning, release", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out targetView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/target/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}

func (a *app) targetRelease() *cobra.Command {
	var remote string
	release := &cobra.Command{
		Use: "release ID", Short: "Give up the remote audience of a target that no living job owns", Args: cobra.ExactArgs(1),
		Long: `Give up the remote audience of a target whose job has ended. keep leaves it at
the network as it is, and Usher forgets it; empty removes everybody from it, past
the removal guard; delete removes everybody and then deletes it.`,
		Example: `  usher target release ID --remote delete`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var out targetView
			path := "/v2/target/" + url.PathEscape(args[0]) + "?remote=" + url.QueryEscape(remote)
			if _, err := a.client().Do(cmd.Context(), http.MethodDelete, path, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			if out.Release != "" {
				a.say("a run gives the remote audience up: see usher run list")
				return nil
			}
			a.say("the target has no remote audience to be given up any more")
			return nil
		},
	}
	release.Flags().StringVar(&remote, "remote", "", "keep, empty or delete")
	_ = release.MarkFlagRequired("remote")
	return release
}
