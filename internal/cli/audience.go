package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// audienceView is an audience as the API shows it.
type audienceView struct {
	activation.Audience
	Size int64 `json:"size"`
}

func (a *app) audienceCommand() *cobra.Command {
	c := &cobra.Command{Use: "audience", Short: "Saved rules: who is in which audience", Aliases: []string{"segment"}}

	list := &cobra.Command{
		Use: "list", Short: "List audiences with their live size", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []audienceView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/segment", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, s := range out {
				rows[i] = []string{s.Slug, s.Name, count(s.Size), s.Rule}
			}
			return a.table([]string{"SLUG", "NAME", "PEOPLE", "RULE"}, rows)
		},
	}

	show := &cobra.Command{
		Use: "show SLUG|ID", Short: "Show one audience", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out audienceView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/segment/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}

	var name, rule, description string
	var public, newPublic bool
	create := &cobra.Command{
		Use: "create SLUG", Short: "Save a rule as an audience", Args: cobra.ExactArgs(1),
		Example: `  usher audience create big-spenders --rule 'FILTER lifetime_value > 1000'
  usher audience create lapsed --rule 'FILTER AND (last_order < "now-90d", NOT INCLUDE vips)'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if rule == "" {
				return usageError("--rule is needed")
			}
			if name == "" {
				name = args[0]
			}
			var out audienceView
			body := map[string]any{"slug_name": args[0], "name": name, "segment_ql": rule, "description": description, "is_public": public}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/segment", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%s: %s people", out.Slug, count(out.Size))
			_, err := fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	create.Flags().StringVar(&rule, "rule", "", "the rule, in FilterQL")
	create.Flags().BoolVar(&public, "public", false, "sites may read who is in it, through the web destination")
	create.Flags().StringVar(&name, "name", "", "name for people (default: the slug)")
	create.Flags().StringVar(&description, "description", "", "what it is for")

	var newRule, newName, newDescription string
	edit := &cobra.Command{
		Use: "edit SLUG|ID", Short: "Change name, description or rule of an audience", Args: cobra.ExactArgs(1),
		Example: `  usher audience edit big-spenders --rule 'FILTER lifetime_value > 1500'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if newRule+newName+newDescription == "" && !cmd.Flags().Changed("public") {
				return usageError("one of --rule, --name, --description and --public is needed")
			}
			var out audienceView
			body := map[string]any{"segment_ql": newRule, "name": newName, "description": newDescription}
			if cmd.Flags().Changed("public") {
				body["is_public"] = newPublic
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodPut, "/v2/segment/"+url.PathEscape(args[0]), body, &out); err != nil {
				return err
			}
			a.say("%s: %s people", out.Slug, count(out.Size))
			return nil
		},
	}
	edit.Flags().StringVar(&newRule, "rule", "", "the new rule, in FilterQL")
	edit.Flags().BoolVar(&newPublic, "public", false, "sites may read who is in it (--public=false: no longer)")
	edit.Flags().StringVar(&newName, "name", "", "the new name for people")
	edit.Flags().StringVar(&newDescription, "description", "", "the new description")

	size := &cobra.Command{
		Use: "size SLUG|ID", Short: "How many people are in an audience now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Size int64 `json:"size"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/segment/"+url.PathEscape(args[0])+"/sizes", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err := fmt.Fprintln(a.out, out.Size)
			return err
		},
	}

	validate := &cobra.Command{
		Use: "validate RULE|-", Short: "Check a rule and count whom it would select", Args: cobra.ExactArgs(1),
		Example: `  usher audience validate 'FILTER country = "Germany"'
  usher audience validate - < rule.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text := args[0]
			if text == "-" {
				raw, err := io.ReadAll(io.LimitReader(a.in, 1<<20))
				if err != nil {
					return err
				}
				text = string(raw)
			}
			var out struct {
				Canonical string   `json:"segment_ql"`
				Size      int64    `json:"size"`
				Fields    []string `json:"fields"`
			}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/segment/validate", map[string]string{"segment_ql": text}, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("the rule is right and selects %s people", count(out.Size))
			_, err := fmt.Fprintln(a.out, out.Canonical)
			return err
		},
	}

	var after int64
	var limit int
	members := &cobra.Command{
		Use: "members SLUG|ID", Short: "Page through the members (personal values masked)", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []warehouse.Profile
			path := "/v2/segment/" + url.PathEscape(args[0]) + "/scan?limit=" + strconv.Itoa(limit) + "&start=" + strconv.FormatInt(after, 10)
			next, err := a.client().Do(cmd.Context(), http.MethodGet, path, nil, &out)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			for _, p := range out {
				if _, err := fmt.Fprintf(a.out, "%d\t%v\n", p.ID, p.Values); err != nil {
					return err
				}
			}
			if next != "" {
				a.say("more: --after %s", next)
			}
			return nil
		},
	}
	members.Flags().Int64Var(&after, "after", 0, "profile id to start after")
	members.Flags().IntVar(&limit, "limit", 20, "how many")

	run := &cobra.Command{
		Use: "run SLUG|ID", Short: "Send an audience to all its destinations now", Args: cobra.ExactArgs(1),
		Example: "  usher audience run big-spenders",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []activation.Run
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/segment/"+url.PathEscape(args[0])+"/run", nil, &out); err != nil {
				return err
			}
			a.say("%d runs opened", len(out))
			return nil
		},
	}

	remove := &cobra.Command{
		Use: "delete SLUG|ID", Short: "Delete an audience no job uses", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/segment/"+url.PathEscape(args[0]), nil, nil)
			return err
		},
	}

	c.AddCommand(a.jsonFlag(list), show, a.jsonFlag(size), a.jsonFlag(create), edit, a.jsonFlag(validate), a.jsonFlag(members), a.jsonFlag(a.scanRule()), run, remove,
		a.audienceBreakdown(), a.audienceOverlap(), a.audienceReach(), a.audienceTrend())
	return c
}
