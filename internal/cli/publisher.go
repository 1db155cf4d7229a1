package cli

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

// publisherPath is the route of an account, or of what is under it.
func publisherPath(id string, under ...string) string {
	path := "/v2/publisher/" + url.PathEscape(id)
	for _, u := range under {
		path += "/" + url.PathEscape(u)
	}
	return path
}

func (a *app) publisherCommand() *cobra.Command {
	c := &cobra.Command{Use: "publisher", Short: "Publisher accounts: campaigns that Usher edits"}
	list := &cobra.Command{
		Use: "list", Short: "List publisher accounts, with what waits in each", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.PublisherAccount
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/publisher", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, p := range out {
				rows[i] = []string{string(p.ID), p.Name, p.Provider, p.Account, p.Currency, p.Timezone, p.NightlyAt, waiting(p.Waiting), when(p.SyncedAt)}
			}
			return a.table([]string{"ID", "NAME", "PROVIDER", "ACCOUNT", "CURRENCY", "ZONE", "NIGHTLY", "WAITING", "STRUCTURE READ"}, rows)
		},
	}
	show := &cobra.Command{
		Use: "show ID", Short: "Show a publisher account", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.PublisherAccount
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, publisherPath(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	unlink := &cobra.Command{
		Use: "unlink ID", Short: "Unlink an account, with Usher's copy of it and its log; the publisher keeps everything", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, publisherPath(args[0]), nil, nil)
			return err
		},
	}
	test := &cobra.Command{
		Use: "test ID", Short: "Ask the publisher whether the account opens", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out provider.PublisherInfo
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, publisherPath(args[0], "test"), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	var costs bool
	sync := &cobra.Command{
		Use: "sync ID", Short: "Read the structure from the publisher (a hard sync), or the costs, in its turn", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]string{"what": "structure"}
			if costs {
				body["what"] = "costs"
			}
			var out activation.Entry
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, publisherPath(args[0], "sync"), body, &out); err != nil {
				return err
			}
			return a.entryTable([]activation.Entry{out})
		},
	}
	sync.Flags().BoolVar(&costs, "costs", false, "the cost report instead of the structure")
	c.AddCommand(a.jsonFlag(list), show, a.publisherSet("link", cobra.NoArgs), a.publisherSet("edit ID", cobra.ExactArgs(1)), unlink, test, a.jsonFlag(sync),
		a.jsonFlag(a.publisherNext()), a.jsonFlag(a.publisherPostAll()), a.jsonFlag(a.publisherCost()),
		a.publisherObjectCommand(), a.jsonFlag(a.publisherBulk()), a.jsonFlag(a.publisherUpload()), a.publisherTemplate(), a.publisherScheduleCommand(), a.publisherStrategyCommand())
	return c
}

// waiting says what waits, by status.
func waiting(counts map[activation.EntryStatus]int64) string {
	var parts []string
	for _, s := range activation.EntryStatuses {
		if n := counts[s]; n > 0 && s.Waits() {
			parts = append(parts, count(n)+" "+strings.ReplaceAll(string(s), "_", " "))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// publisherSet links or changes an account.
func (a *app) publisherSet(use string, args cobra.PositionalArgs) *cobra.Command {
	var name, providerName, auth, account, nightly string
	var settings []string
	c := &cobra.Command{
		Use: use, Short: "Link an account at an ad publisher, begin to read it, and print its id", Args: args,
		Example: `  usher publisher link --name "Google DE" --provider google --auth ID --account 1234567890`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			for _, f := range []struct{ flag, field, value string }{
				{"name", "name", name}, {"provider", "provider", providerName}, {"auth", "auth_id", auth}, {"account", "account", account}, {"nightly", "nightly_at", nightly},
			} {
				if cmd.Flags().Changed(f.flag) {
					body[f.field] = f.value
				}
			}
			if cmd.Flags().Changed("set") {
				config, err := pairs("set", settings)
				if err != nil {
					return err
				}
				body["config"] = config
			}
			method, path := http.MethodPost, "/v2/publisher"
			if len(args) == 1 {
				method, path = http.MethodPut, publisherPath(args[0])
			}
			var out activation.PublisherAccount
			if _, err := a.client().Do(cmd.Context(), method, path, body, &out); err != nil {
				return err
			}
			if len(args) == 1 {
				return nil
			}
			_, err := fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	if strings.HasPrefix(use, "edit") {
		c.Short, c.Example = "Change name, authorization, settings or the time of the nightly sync; what is left out stays", "  usher publisher edit ID --nightly 22:00"
	}
	c.Flags().StringVar(&name, "name", "", "name for people")
	c.Flags().StringVar(&providerName, "provider", "", "google, meta or microsoft; can't be changed later")
	c.Flags().StringVar(&auth, "auth", "", "id of the authorization")
	c.Flags().StringVar(&account, "account", "", "the publisher's own id of the account; can't be changed later")
	c.Flags().StringVar(&nightly, "nightly", "", "time of the nightly sync in the account's zone, such as 20:00")
	c.Flags().StringArrayVar(&settings, "set", nil, "setting of the account as name=value (repeat)")
	return c
}

func (a *app) publisherNext() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "next ID", Short: "What is sent next, in order, and why each is where it is", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []publishing.NextEntry
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, publisherPath(args[0], "next")+"?limit="+strconv.Itoa(limit), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, e := range out {
				rows[i] = []string{strconv.Itoa(i + 1), strconv.FormatInt(int64(e.ID), 10), string(e.Status), e.Text, cmp.Or(e.DecidedBy, "-"), e.Why}
			}
			return a.table([]string{"PLACE", "ID", "STATUS", "CHANGE", "DECIDED BY", "WHY"}, rows)
		},
	}
	c.Flags().IntVar(&limit, "limit", 10, "how many")
	return c
}

func (a *app) publisherPostAll() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "post-all ID", Short: "Release every entry of an account that is to be sent, never held ones", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.EntriesMoved
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, publisherPath(args[0], "post-all"), map[string]bool{"dry_run": dry}, &out); err != nil {
				return err
			}
			return a.moved(out)
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "count, and do nothing")
	return c
}

// moved prints what a command did to entries.
func (a *app) moved(m activation.EntriesMoved) error {
	if a.json {
		return a.printJSON(m)
	}
	rows := [][]string{{"done", count(m.Done), "-", ""}}
	if m.Also > 0 {
		rows = append(rows, []string{"moved along", count(m.Also), "-", "what they need, or what can't be without them"})
	}
	for _, r := range m.Refused {
		rows = append(rows, []string{"refused", count(r.Count), "#" + strconv.FormatInt(int64(r.Example), 10), r.Code + ": " + r.Reason})
	}
	return a.table([]string{"", "ENTRIES", "SUCH AS", "WHY"}, rows)
}

func (a *app) publisherCost() *cobra.Command {
	q := map[string]*string{}
	c := &cobra.Command{
		Use: "cost ID", Short: "What was spent, by date, object or both, in one currency", Args: cobra.ExactArgs(1),
		Example: "  usher publisher cost ID --by object --from 2026-11-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			values := url.Values{}
			for _, name := range slices.Sorted(maps.Keys(q)) {
				if *q[name] != "" {
					values.Set(name, *q[name])
				}
			}
			var out publishing.CostReport
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, publisherPath(args[0], "cost")+"?"+values.Encode(), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out.Rows))
			for i, r := range out.Rows {
				rows[i] = []string{
					cmp.Or(r.Date, "-"), cmp.Or(r.Name, r.Object.ID, "-"), count(r.Impressions), count(r.Clicks),
					fmt.Sprintf("%.2f %s", float64(r.Micros)/1e6, r.Currency), strconv.FormatFloat(r.Conversions, 'f', -1, 64), strconv.FormatFloat(r.Value, 'f', 2, 64),
				}
			}
			return a.table([]string{"DATE", "OBJECT", "IMPRESSIONS", "CLICKS", "COST", "CONVERSIONS", "VALUE"}, rows)
		},
	}
	for _, f := range [][2]string{
		{"from", "first day, in the account's zone, such as 2026-11-01"},
		{"until", "last day"},
		{"kind", "campaign, group, creative or keyword"},
		{"object", "id of one object"},
		{"by", "date, object or both"},
		{"currency", "needed where rows are in several"},
		{"limit", "how many rows"},
	} {
		q[f[0]] = c.Flags().String(f[0], "", f[1])
	}
	return c
}
