package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/publishing"
)

func (a *app) publisherObjectCommand() *cobra.Command {
	c := &cobra.Command{Use: "object", Short: "Campaigns, groups, creatives, keywords and others of an account"}
	show := &cobra.Command{
		Use: "show ID KIND OBJECT", Short: "One object with what waits for it and its history", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out publishing.ObjectView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, publisherPath(args[0], "object", args[1], args[2]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	c.AddCommand(a.jsonFlag(a.objectList()), show, a.jsonFlag(a.objectSet()), a.jsonFlag(a.objectCreate()), a.jsonFlag(a.objectDelete()))
	return c
}

func (a *app) objectList() *cobra.Command {
	var kind, typ, parent, status, text, start string
	var waits, removed bool
	var limit int
	c := &cobra.Command{
		Use: "list ID", Short: "A page of the structure: as the publisher has it, and with what waits", Args: cobra.ExactArgs(1),
		Example: "  usher publisher object list ID --kind keyword --parent group:5",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"kind": {kind}, "limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"type": typ, "status": status, "text": text, "start": start} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if parent != "" {
				parentKind, id, ok := strings.Cut(parent, ":")
				if !ok {
					return usageError("--parent %q is not kind:id, such as campaign:7", parent)
				}
				q.Set("parent_kind", parentKind)
				q.Set("parent", id)
			}
			if waits {
				q.Set("waiting", "true")
			}
			if removed {
				q.Set("removed", "true")
			}
			var out []activation.PublisherObject
			next, err := a.client().Do(cmd.Context(), http.MethodGet, publisherPath(args[0], "object")+"?"+q.Encode(), nil, &out)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, o := range out {
				rows[i] = []string{o.ID, o.Type, o.Name(), cmp.Or(o.Local[activation.FieldStatus], "-"), cmp.Or(o.Local[activation.FieldBid], o.Local[activation.FieldBudget], "-"), count(o.Waiting), differing(o)}
			}
			if err := a.table([]string{"ID", "TYPE", "NAME", "STATUS", "BID OR BUDGET", "WAITING", "NOT YET AT THE PUBLISHER"}, rows); err != nil {
				return err
			}
			if next != "" {
				a.say("more: --start %s", next)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&kind, "kind", "campaign", "campaign, group, creative, keyword or other")
	f.StringVar(&typ, "type", "", "the publisher's word, such as location")
	f.StringVar(&parent, "parent", "", "only what lies in this, as kind:id")
	f.StringVar(&status, "status", "", "enabled or paused")
	f.StringVar(&text, "text", "", "within the name or the id")
	f.StringVar(&start, "start", "", "where the page starts, as the page before says")
	f.BoolVar(&waits, "waiting", false, "only those with waiting edits")
	f.BoolVar(&removed, "removed", false, "those too that are gone at the publisher")
	f.IntVar(&limit, "limit", 50, "how many")
	return c
}

// differing says which local values the publisher does not have yet.
func differing(o activation.PublisherObject) string {
	switch {
	case o.Removed:
		return "removed there"
	case o.Deleted:
		return "to be deleted"
	case o.Confirmed == nil:
		return "to be created"
	}
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(o.Local)) {
		if o.Local[field] != o.Confirmed[field] {
			parts = append(parts, fmt.Sprintf("%s: %s > %s", field, cmp.Or(o.Confirmed[field], "none"), o.Local[field]))
		}
	}
	for _, field := range slices.Sorted(maps.Keys(o.Confirmed)) {
		if _, there := o.Local[field]; !there {
			parts = append(parts, field+": cleared")
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// sendFlag says when edits go out.
func sendFlag(c *cobra.Command) *string {
	return c.Flags().String("send", "nightly", "hold (kept until somebody posts it), nightly or now")
}

// edited prints what became of edits.
func (a *app) edited(r publishing.EditResult) error {
	if a.json {
		return a.printJSON(r)
	}
	a.say("%s to create, %s to change, %s to delete, %s as they are already", count(r.Adds), count(r.Edits), count(r.Deletes), count(r.Same))
	if r.Errors > 0 {
		rows := make([][]string, len(r.Problems))
		for i, p := range r.Problems {
			rows[i] = []string{strconv.Itoa(cmp.Or(p.Row, p.Index+1)), cmp.Or(p.Column, p.Field, "-"), p.Code, p.Message}
		}
		if err := a.table([]string{"ROW", "COLUMN", "CODE", "WHAT IS WRONG"}, rows); err != nil {
			return err
		}
		return fmt.Errorf("%s wrong; nothing was written", count(r.Errors))
	}
	if r.Parent != 0 {
		_, err := fmt.Fprintln(a.out, int64(r.Parent))
		return err
	}
	for _, e := range r.Entries {
		if _, err := fmt.Fprintf(a.out, "%d\t%s\t%s\n", e.ID, e.Status, e.Text); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) objectSet() *cobra.Command {
	var fields, clear []string
	c := &cobra.Command{
		Use: "set ID KIND OBJECT", Short: "Change fields of an object: writes an entry", Args: cobra.ExactArgs(3),
		Example: "  usher publisher object set ID keyword 5~9 --field bid=0.55 --send now",
	}
	send := sendFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := pairs("field", fields)
		if err != nil {
			return err
		}
		body := map[string]any{"fields": values, "clear": clear, "send": *send}
		var out publishing.EditResult
		if _, err := a.client().Do(cmd.Context(), http.MethodPatch, publisherPath(args[0], "object", args[1], args[2]), body, &out); err != nil {
			return err
		}
		return a.edited(out)
	}
	c.Flags().StringArrayVar(&fields, "field", nil, "new value as name=value (repeat)")
	c.Flags().StringSliceVar(&clear, "clear", nil, "field that is to have no value (repeat)")
	return c
}

func (a *app) objectCreate() *cobra.Command {
	var fields []string
	var typ, parent string
	c := &cobra.Command{
		Use: "create ID KIND", Short: "Create an object: writes an entry", Args: cobra.ExactArgs(2),
		Example: `  usher publisher object create ID group --parent campaign:7 --field name="Coats DE" --field bid=0.40`,
	}
	send := sendFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := pairs("field", fields)
		if err != nil {
			return err
		}
		body := map[string]any{"fields": values, "send": *send}
		if typ != "" {
			body["type"] = typ
		}
		if parent != "" {
			kind, id, ok := strings.Cut(parent, ":")
			if !ok {
				return usageError("--parent %q is not kind:id, such as campaign:7", parent)
			}
			body["parent"] = activation.ObjectRef{Kind: activation.ObjectKind(kind), ID: id}
		}
		var out publishing.EditResult
		if _, err := a.client().Do(cmd.Context(), http.MethodPost, publisherPath(args[0], "object", args[1]), body, &out); err != nil {
			return err
		}
		return a.edited(out)
	}
	c.Flags().StringArrayVar(&fields, "field", nil, "value as name=value (repeat)")
	c.Flags().StringVar(&typ, "type", "", "needed where the publisher has several types of the kind")
	c.Flags().StringVar(&parent, "parent", "", "what it lies in, as kind:id; new-<entry> names what waits to be created")
	return c
}

func (a *app) objectDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete ID KIND OBJECT", Short: "Delete an object at the publisher: writes an entry", Args: cobra.ExactArgs(3)}
	send := sendFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var out publishing.EditResult
		if _, err := a.client().Do(cmd.Context(), http.MethodDelete, publisherPath(args[0], "object", args[1], args[2])+"?send="+url.QueryEscape(*send), nil, &out); err != nil {
			return err
		}
		return a.edited(out)
	}
	return c
}

func (a *app) publisherBulk() *cobra.Command {
	c := &cobra.Command{
		Use: "bulk ID KINDS FILE", Short: "Up to 10,000 edits of one kind from a JSON file (- = standard input), all of them or none", Args: cobra.ExactArgs(3),
		Example: `  echo '[{"id":"5~9","fields":{"bid":"0.55"}}]' | usher publisher bulk ID keywords -`,
	}
	send := sendFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		raw, err := a.readFile(args[2])
		if err != nil {
			return err
		}
		if !json.Valid(raw) {
			return usageError("%s is no JSON; it should be a list of edits", args[2])
		}
		var out publishing.EditResult
		if _, err := a.client().Do(cmd.Context(), http.MethodPost, publisherPath(args[0], "bulk", args[1]), map[string]any{"edits": json.RawMessage(raw), "send": *send}, &out); err != nil {
			return err
		}
		return a.edited(out)
	}
	return c
}

// readFile reads a file, or standard input for "-".
func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.in)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return raw, nil
}

func (a *app) publisherUpload() *cobra.Command {
	var preview, skip bool
	c := &cobra.Command{
		Use: "upload ID FILE", Short: "Edits as a CSV or TSV (- = standard input); --preview says what it would do, row by row", Args: cobra.ExactArgs(2),
		Example: "  usher publisher upload ID q4-bids.csv --preview\n  usher publisher upload ID q4-bids.csv --send now",
	}
	send := sendFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		body, name := a.in, "standard input"
		if args[1] != "-" {
			f, err := os.Open(args[1])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			defer func() { _ = f.Close() }() // it is only read
			body, name = f, filepath.Base(args[1])
		}
		q := url.Values{"send": {*send}, "filename": {name}}
		if preview {
			q.Set("preview", "true")
		}
		if skip {
			q.Set("skip_errors", "true")
		}
		var out publishing.UploadPreview
		if err := a.client().Upload(cmd.Context(), publisherPath(args[0], "upload")+"?"+q.Encode(), "text/csv", body, &out); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(out)
		}
		a.say("%s, %s rows", out.Format, count(out.Rows))
		for _, col := range out.Columns {
			if col.Field == "" {
				a.say("the column %q is not known and is passed over", col.Header)
			}
		}
		if preview {
			rows := make([][]string, len(out.Sample))
			for i, s := range out.Sample {
				rows[i] = []string{strconv.Itoa(s.Row), string(s.Operation), s.Type, s.Object, changesIn(s.Changes)}
			}
			if len(rows) > 0 {
				if err := a.table([]string{"ROW", "OPERATION", "TYPE", "OBJECT", "CHANGES"}, rows); err != nil {
					return err
				}
			}
		}
		if out.Parent != 0 {
			out.EditResult.Errors = 0 // they were left out on purpose
		}
		return a.edited(out.EditResult)
	}
	c.Flags().BoolVar(&preview, "preview", false, "say what it would do, and do nothing")
	c.Flags().BoolVar(&skip, "skip-errors", false, "leave out rows that have an error")
	return c
}

// changesIn says what changes in words.
func changesIn(changes []activation.Change) string {
	parts := make([]string, len(changes))
	for i, ch := range changes {
		parts[i] = fmt.Sprintf("%s: %s > %s", ch.Field, cmp.Or(ch.Before, "none"), cmp.Or(ch.After, "none"))
	}
	return strings.Join(parts, ", ")
}

func (a *app) publisherTemplate() *cobra.Command {
	return &cobra.Command{
		Use: "template ID", Short: "The structure as a file for uploads; unchanged, it changes nothing", Args: cobra.ExactArgs(1),
		Example: "  usher publisher template ID > structure.csv",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.client().Download(cmd.Context(), publisherPath(args[0], "template"), a.out)
		},
	}
}
