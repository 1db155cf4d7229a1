package cli

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/warehouse"
)

// targetPath is the API's path of a target, and of something below it.
func targetPath(id string, below ...string) string {
	return "/v2/target/" + url.PathEscape(id) + strings.Join(append([]string{""}, below...), "/")
}

// reconcileCommands compare a target with its network, and mend it.
func (a *app) reconcileCommands() []*cobra.Command {
	return []*cobra.Command{a.jsonFlag(a.targetReconcile()), a.jsonFlag(a.targetReconciliations()), a.jsonFlag(a.targetDrift()), a.jsonFlag(a.targetRepair()), a.targetGo("replace", "Send everybody who is wanted in one go; the network drops the others"), a.targetGo("run", "Run one target now")}
}

var reconciliationHead = []string{"STARTED", "BY", "METHOD", "STATUS", "LEDGER", "NETWORK", "MISSING", "EXTRA", "CODE"}

func reconciliationRow(r activation.Reconciliation) []string {
	network := count(r.RemoteLow)
	switch {
	case r.Method == activation.ByNothing || r.RemoteLow < 0:
		network = "-"
	case r.RemoteHigh != r.RemoteLow:
		network += " to " + count(r.RemoteHigh)
	}
	return []string{when(r.StartedAt), r.AskedBy, string(r.Method), string(r.Status), count(r.Ledger), network, count(r.Missing), count(r.Extra), r.ErrorCode}
}

func (a *app) targetReconcile() *cobra.Command {
	return &cobra.Command{
		Use: "reconcile ID", Short: "Compare the ledger with what the network tells of the audience now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.Reconciliation
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, targetPath(args[0], "reconcile"), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			return a.table(reconciliationHead, [][]string{reconciliationRow(out)})
		},
	}
}

func (a *app) targetReconciliations() *cobra.Command {
	return &cobra.Command{
		Use: "reconciliations ID", Short: "What comparing with the network found, newest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []activation.Reconciliation
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, targetPath(args[0], "reconcile"), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, r := range out {
				rows[i] = reconciliationRow(r)
			}
			return a.table(reconciliationHead, rows)
		},
	}
}

func (a *app) targetDrift() *cobra.Command {
	return &cobra.Command{
		Use: "drift ID", Short: "The differences that the last comparison found, person by person", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []warehouse.DriftRow
			for path := targetPath(args[0], "drift") + "?limit=1000"; path != ""; {
				var out []warehouse.DriftRow
				next, err := a.client().Do(cmd.Context(), http.MethodGet, path, nil, &out)
				if err != nil {
					return err
				}
				all = append(all, out...)
				if path = ""; next != "" {
					path = targetPath(args[0], "drift") + "?limit=1000&start=" + url.QueryEscape(next)
				}
			}
			if a.json {
				return a.printJSON(all)
			}
			if len(all) == 0 {
				return a.noDrift(cmd.Context(), args[0])
			}
			rows := make([][]string, len(all))
			for i, r := range all {
				profile := "not known here"
				if r.Profile != 0 {
					profile = strconv.FormatInt(r.Profile, 10)
				}
				rows[i] = []string{string(r.Kind), profile, strings.Join(r.Keys, ", ")}
			}
			return a.table([]string{"DIFFERENCE", "PROFILE", "KEYS"}, rows)
		},
	}
}

// noDrift says why there are no differences to list: not every comparison names
// persons.
func (a *app) noDrift(ctx context.Context, target string) error {
	var last []activation.Reconciliation
	if _, err := a.client().Do(ctx, http.MethodGet, targetPath(target, "reconcile")+"?limit=1", nil, &last); err != nil {
		return err
	}
	switch {
	case len(last) == 0:
		a.say("the target was never compared with its network: usher target reconcile %s", target)
	case last[0].Method == activation.ByMembers:
		a.say("no differences are named: the comparison of %s is %s", when(last[0].StartedAt), last[0].Status)
	default:
		a.say("no differences are named: the comparison of %s is %s, and the network does not tell its members", when(last[0].StartedAt), last[0].Status)
	}
	return nil
}

func (a *app) targetRepair() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "repair ID", Short: "Mend what the last comparison found by a run", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Plan *delivery.Preview `json:"plan,omitempty"`
				Run  *runView          `json:"run,omitempty"`
			}
			path := targetPath(args[0], "repair")
			if dry {
				path += "?dry_run=true"
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, path, nil, &out); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(out)
			case out.Plan != nil:
				a.say("a run would add %s and remove %s, in %d calls", count(out.Plan.Counts.Add), count(out.Plan.Counts.Remove), out.Plan.Calls)
			case out.Run != nil:
				a.say("run #%d: %s", out.Run.Number, runWord(out.Run.Run))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "say what the run would do, and do nothing")
	return c
}

// targetGo is a command that opens a run of a target.
func (a *app) targetGo(name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Args: cobra.ExactArgs(1), Example: "  usher target " + name + " ID",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out runView
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, targetPath(args[0], name), nil, &out); err != nil {
				return err
			}
			a.say("run #%d: %s", out.Number, runWord(out.Run))
			return nil
		},
	}
}
