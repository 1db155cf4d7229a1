package cli

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/publishing"
)

// entryFilter are the flags that select entries.
type entryFilter struct {
	text   map[string]*string
	parent *int64
}

// filterFlags gives a command the flags that select entries.
func filterFlags(c *cobra.Command) *entryFilter {
	f := &entryFilter{text: map[string]*string{}}
	for _, x := range [][3]string{
		{"publisher", "publisher_id", "of one account, by id"},
		{"status", "status", "held, to_be_sent, queued, processing, done, partial, failed or cancelled; several with commas"},
		{"origin", "origin", "scheduled, user or system"},
		{"kind", "kind", "campaign, group, creative, keyword or other"},
		{"operation", "operation", "sync, create, edit, bid, geo, status, delete or upload"},
		{"object", "object", "id of one object, with its one kind"},
		{"text", "text", "within the text, or the name or id of the object"},
		{"since", "since", "RFC 3339, or such as now-3d"},
		{"until", "until", "the same"},
	} {
		f.text[x[1]] = c.Flags().String(x[0], "", x[2])
	}
	f.parent = c.Flags().Int64("upload", 0, "the rows of one upload, by its entry")
	return f
}

// body is the filter for a command, nil where nothing is filtered by.
func (f *entryFilter) body() map[string]any {
	out := map[string]any{}
	for name, value := range f.text {
		if *value != "" {
			out[name] = *value
		}
	}
	if *f.parent != 0 {
		out["parent_id"] = *f.parent
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// query is the filter for a list.
func (f *entryFilter) query() url.Values {
	q := url.Values{}
	for name, value := range f.text {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	if *f.parent != 0 {
		q.Set("parent_id", strconv.FormatInt(*f.parent, 10))
	}
	return q
}

func (a *app) entryCommand() *cobra.Command {
	c := &cobra.Command{Use: "entry", Short: "The Activity Log: campaign changes on their way to the publishers"}
	show := &cobra.Command{
		Use: "show ID", Short: "One entry: what it changes, where it waits, what the publisher answered", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out publishing.EntryView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/entry/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	failed := &cobra.Command{
		Use: "errors ID", Short: "What failed of an upload, as a CSV", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.client().Download(cmd.Context(), "/v2/entry/"+url.PathEscape(args[0])+"/errors", a.out)
		},
	}
	c.AddCommand(a.jsonFlag(a.entryList()), a.jsonFlag(a.entryCount()), show, a.jsonFlag(a.entryPosition()), failed)
	for _, x := range [][2]string{
		{"post", "Release entries, held ones too; they go out in their turn"},
		{"hold", "Keep entries back until somebody posts or releases them"},
		{"release", "Take held entries back to what is to be sent"},
		{"cancel", "End entries that are not queued yet"},
		{"retry", "Queue failed entries again, in the place they had"},
	} {
		c.AddCommand(a.jsonFlag(a.entryMove(x[0], x[1])))
	}
	return c
}

func (a *app) entryList() *cobra.Command {
	var posting bool
	var start string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "Entries, newest first, or what waits of one account in the order of posting", Args: cobra.NoArgs,
		Example: "  usher entry list --status failed --since now-1d\n  usher entry list --publisher ID --posting",
	}
	f := filterFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		q := f.query()
		q.Set("limit", strconv.Itoa(limit))
		if posting {
			q.Set("order", "posting")
		}
		if start != "" {
			q.Set("start", start)
		}
		var out []activation.Entry
		next, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/entry?"+q.Encode(), nil, &out)
		if err != nil {
			return err
		}
		if err := a.entryTable(out); err != nil {
			return err
		}
		if next != "" && !a.json {
			a.say("more: --start %s", next)
		}
		return nil
	}
	c.Flags().BoolVar(&posting, "posting", false, "what waits of one account, in the order of posting")
	c.Flags().StringVar(&start, "start", "", "where the page starts, as the page before says")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	return c
}

func (a *app) entryTable(all []activation.Entry) error {
	if a.json {
		return a.printJSON(all)
	}
	rows := make([][]string, len(all))
	for i, e := range all {
		says := e.Reason
		if e.ErrorText != "" {
			says = e.ErrorCode + ": " + e.ErrorText
		}
		if e.IsParent() {
			says = waitingOrEnded(e.Children)
		}
		rows[i] = []string{
			strconv.FormatInt(int64(e.ID), 10), strings.ReplaceAll(string(e.Status), "_", " "), string(e.Origin), e.By, string(e.Object.Kind), string(e.Operation), e.Text, when(e.CreatedAt), cmp.Or(says, "-"),
		}
	}
	return a.table([]string{"ID", "STATUS", "ORIGIN", "BY", "OBJECT", "OPERATION", "CHANGE", "WRITTEN", "WHAT TO KNOW"}, rows)
}

// waitingOrEnded counts the children of an upload by status.
func waitingOrEnded(children map[activation.EntryStatus]int64) string {
	var parts []string
	for _, s := range activation.EntryStatuses {
		if n := children[s]; n > 0 {
			parts = append(parts, count(n)+" "+strings.ReplaceAll(string(s), "_", " "))
		}
	}
	return strings.Join(parts, ", ")
}

func (a *app) entryCount() *cobra.Command {
	var publisher string
	c := &cobra.Command{
		Use: "count", Short: "How many entries there are of each status", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/v2/entry/count"
			if publisher != "" {
				path += "?publisher_id=" + url.QueryEscape(publisher)
			}
			var out map[activation.EntryStatus]int64
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, path, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			var rows [][]string
			for _, s := range activation.EntryStatuses {
				if n := out[s]; n > 0 {
					rows = append(rows, []string{strings.ReplaceAll(string(s), "_", " "), count(n)})
				}
			}
			return a.table([]string{"STATUS", "ENTRIES"}, rows)
		},
	}
	c.Flags().StringVar(&publisher, "publisher", "", "of one account, by id")
	return c
}

func (a *app) entryPosition() *cobra.Command {
	return &cobra.Command{
		Use: "position ID", Short: "The place of a waiting entry, what it waits behind, and about how long", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out publishing.Position
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/entry/"+url.PathEscape(args[0])+"/position", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("place %s: %s", count(out.Place), out.Why)
			if out.Blocked != "" {
				a.say("nothing of the account goes now: %s", out.Blocked)
			}
			rows := make([][]string, len(out.Behind))
			for i, b := range out.Behind {
				rows[i] = []string{count(b.Count), "#" + strconv.FormatInt(int64(b.First), 10), b.Text}
			}
			if len(rows) == 0 {
				return nil
			}
			return a.table([]string{"ENTRIES", "FIRST", "IN FRONT OF IT"}, rows)
		},
	}
}

// entryMove does a command on entries, by id or all that match.
func (a *app) entryMove(name, short string) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: name + " [ID...]", Short: short + "; by id, or all that match the flags", Args: cobra.ArbitraryArgs,
		Example: "  usher entry " + name + " 48213190 48213191\n  usher entry " + name + " --publisher ID --operation bid --dry-run",
	}
	f := filterFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		body := map[string]any{"dry_run": dry}
		filter := f.body()
		switch {
		case len(args) > 0 && filter != nil:
			return usageError("give ids or flags that select entries, not both")
		case len(args) == 0 && filter == nil:
			return usageError("name at least one entry, or give a flag that selects some")
		case filter != nil:
			body["filter"] = filter
		}
		ids := make([]int64, len(args))
		for i, s := range args {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return usageError("%q is no id of an entry; it is a number", s)
			}
			ids[i] = n
		}
		if len(ids) > 0 {
			body["ids"] = ids
		}
		var out activation.EntriesMoved
		if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/entry/"+name, body, &out); err != nil {
			return err
		}
		return a.moved(out)
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "count, and do nothing")
	return c
}
