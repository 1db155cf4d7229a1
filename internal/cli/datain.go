package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/warehouse"
)

func (a *app) mappingPreview() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "preview STREAM [FIELD=EXPRESSION…]", Short: "What mappings would make of a stream's newest messages", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := map[string]string{}
			if len(args) > 1 {
				var err error
				if set, err = pairs("mapping", args[1:]); err != nil {
					return err
				}
			}
			var out warehouse.MappingPreview
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/mapping/"+url.PathEscape(args[0])+"/preview", map[string]any{"mappings": set, "limit": limit}, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			head := []string{"MESSAGE TIME"}
			for _, f := range out.Fields {
				head = append(head, strings.ToUpper(f))
			}
			rows := make([][]string, len(out.Rows))
			for i, r := range out.Rows {
				row := []string{when(r.MessageTime)}
				for _, f := range out.Fields {
					v, there := r.Results[f]
					switch {
					case there:
						row = append(row, fmt.Sprint(v))
					case slices.Contains(r.Failed, f):
						row = append(row, "(could not be read)")
					default:
						row = append(row, "")
					}
				}
				rows[i] = row
			}
			if err := a.table(head, rows); err != nil {
				return err
			}
			for _, f := range out.Fields {
				a.say("%s: %s values of %s messages, %s could not be read", f, count(out.Parsed[f]), count(out.Looked), count(out.Unparsed[f]))
			}
			if len(out.Rebuild) > 0 {
				a.say("a rebuild of %s messages would be needed for %s", count(out.Cost.Messages), strings.Join(out.Rebuild, ", "))
			}
			return nil
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "messages to show")
	return a.jsonFlag(c)
}

func (a *app) mappingDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete STREAM FIELD", Short: "Take a mapping away; the field keeps what it has until a rebuild", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/mapping/"+url.PathEscape(args[0])+"/"+url.PathEscape(args[1]), nil, nil)
			return err
		},
	}
}

func (a *app) streamDrift() *cobra.Command {
	c := &cobra.Command{
		Use: "drift NAME", Short: "What a stream brings that nobody declared", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []warehouse.Drifting
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, streamPath(args[0])+"/drift", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, d := range out {
				what := d.Column + d.Field
				if d.Of > 0 {
					what += fmt.Sprintf(" (%s of %s values)", count(d.Count), count(d.Of))
				}
				rows[i] = []string{strings.ReplaceAll(d.Kind, "_", " "), what, when(d.Since), d.Load}
			}
			return a.table([]string{"WHAT", "WHICH", "SINCE", "LOAD"}, rows)
		},
	}
	return a.jsonFlag(c)
}

func (a *app) streamAccept() *cobra.Command {
	return &cobra.Command{
		Use: "accept NAME", Short: "Take what a stream brings now for how it should be", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodPost, streamPath(args[0])+"/drift/accept", nil, nil)
			return err
		},
	}
}

func (a *app) identityCommand() *cobra.Command {
	c := &cobra.Command{Use: "identity", Short: "How people are told apart"}
	show := &cobra.Command{
		Use: "show", Short: "The settings by which people are told apart", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out map[string]any
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/identity", nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	var most int
	var stop []string
	set := &cobra.Command{
		Use: "set", Short: "Say how people are told apart; takes effect at the next rebuild", Args: cobra.NoArgs,
		Example: `  usher identity set --max-identifiers 30 --stop-list info@example.com,noreply@example.com`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Rebuild []string `json:"rebuild"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodPut, "/v2/identity", map[string]any{"max_identifiers": most, "stop_list": stop}, &out); err != nil {
				return err
			}
			if len(out.Rebuild) > 0 {
				a.say("messages are there already: rebuild to apply it to them (usher rebuild start)")
			}
			return nil
		},
	}
	set.Flags().IntVar(&most, "max-identifiers", warehouse.DefaultMaxIdentifiers, "identifier values one profile may have")
	set.Flags().StringSliceVar(&stop, "stop-list", nil, "values that identify nobody, in lower case (repeat); replaces the list")
	c.AddCommand(show, set)
	return c
}

func (a *app) profileMerges() *cobra.Command {
	var id int64
	var limit int
	c := &cobra.Command{
		Use: "merges", Short: "Profiles that were found to be one, or parted, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []warehouse.MergeEvent
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, fmt.Sprintf("/v2/merge?profile_id=%d&limit=%d", id, limit), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, m := range out {
				gone := ""
				if m.Gone > 0 {
					gone = strconv.FormatInt(m.Gone, 10)
				}
				rows[i] = []string{when(m.At), m.Kind, strconv.FormatInt(m.Survivor, 10), gone, strings.Join(m.Fields, " "), m.Stream, m.Load}
			}
			return a.table([]string{"AT", "KIND", "PROFILE", "MERGED", "BY", "STREAM", "LOAD"}, rows)
		},
	}
	c.Flags().Int64Var(&id, "profile", 0, "of one profile, with all that went into it (default all)")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	return a.jsonFlag(c)
}

func (a *app) loadRejected() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "rejected ID", Short: "Download the rows that an upload did not take, one JSON object a line", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v2/load/" + url.PathEscape(args[0]) + "/rejected"
			if to == "" {
				return a.client().Download(cmd.Context(), path, a.out)
			}
			f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			return errors.Join(a.client().Download(cmd.Context(), path, f), f.Close())
		},
	}
	c.Flags().StringVar(&to, "output", "", "write to this new file instead of standard output")
	return c
}
