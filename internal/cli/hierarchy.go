package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
	"usher/internal/decision"
)

// fieldHelp says what each field of the hierarchy is.
var fieldHelp = map[string]string{
	"name": "name, unique beside its neighbours", "description": "what it is for", "issue_id": "the issue it belongs to, by name or id", "group_id": "the group it belongs to, as Issue/Group or by id",
	"eligibility": "who may be decided for it, in FilterQL", "priority": "the highest wins", "enabled": "takes part in decisions: true or false",
}

// createExamples are of the creations, by noun.
var createExamples = map[string]string{
	"issue":  `  usher paid issue create --name Sales`,
	"group":  `  usher paid group create --issue Sales --name "Retention offers"`,
	"action": `  usher paid action create --group "Sales/Retention offers" --name Discount --eligibility 'FILTER spent > 100' --priority 20`,
}

// A part is an issue, a group or an action, under the names that lead to it.
type part struct {
	path, id    string
	description string
	row         []string // what else a list shows of it
}

// parts are those of a noun, and what was read to make them.
func (a *app) parts(ctx context.Context, noun string) ([]part, any, error) {
	get := func(noun string, out any) error {
		_, err := a.client().Do(ctx, http.MethodGet, "/v2/paid/"+noun, nil, out)
		return err
	}
	var out []part
	if noun == "action" {
		var all []struct {
			activation.Action
			Level    activation.Level `json:"level"`
			Size     int64            `json:"size"`
			Negative int64            `json:"negative_size"`
		}
		err := get(noun, &all)
		for _, x := range all {
			out = append(out, part{
				string(x.Level) + "/" + x.Name, string(x.ID), x.Description,
				[]string{strconv.FormatInt(x.Priority, 10), strconv.FormatBool(x.Enabled), count(x.Size), count(x.Negative), x.Eligibility},
			})
		}
		return out, all, err
	}
	var issues []activation.Issue
	if err := get("issue", &issues); err != nil {
		return nil, nil, err
	}
	names := map[activation.IssueID]string{}
	for _, i := range issues {
		names[i.ID] = i.Name
		out = append(out, part{path: i.Name, id: string(i.ID), description: i.Description})
	}
	if noun == "issue" {
		return out, issues, nil
	}
	var groups []activation.Group
	err := get(noun, &groups)
	out = nil
	for _, g := range groups {
		out = append(out, part{path: names[g.Issue] + "/" + g.Name, id: string(g.ID), description: g.Description})
	}
	return out, groups, err
}

// idOf is the id of a part that is given by id or by its names. What is not found
// is left to the server to refuse.
func (a *app) idOf(ctx context.Context, noun, given string) (string, error) {
	all, _, err := a.parts(ctx, noun)
	if i := slices.IndexFunc(all, func(p part) bool { return p.path == given }); err == nil && i >= 0 {
		return all[i].id, nil
	}
	return given, err
}

// nounCommand lists, makes, changes and deletes issues, groups or actions.
func (a *app) nounCommand(noun, what string, fields []string) *cobra.Command {
	c := &cobra.Command{Use: noun, Short: strings.ToUpper(what[:1]) + what[1:]}
	c.AddCommand(a.jsonFlag(a.nounList(noun, what)), a.jsonFlag(a.nounSet("create", noun, fields)), a.jsonFlag(a.nounSet("edit", noun, fields)))
	if noun == "action" {
		c.AddCommand(a.showAction(), a.jsonFlag(a.deleteAction()))
		return c
	}
	c.AddCommand(&cobra.Command{
		Use: "delete ID", Short: "Delete one of the " + noun + "s that has nothing below it, by id or names", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onPart(cmd.Context(), http.MethodDelete, noun, args[0], "", nil, nil)
		},
	})
	return c
}

// onPart asks the server about one part, given by id or names.
func (a *app) onPart(ctx context.Context, method, noun, given, query string, body, out any) error {
	id, err := a.idOf(ctx, noun, given)
	if err != nil {
		return err
	}
	_, err = a.client().Do(ctx, method, "/v2/paid/"+noun+"/"+url.PathEscape(id)+query, body, out)
	return err
}

func (a *app) nounList(noun, what string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List " + what, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, raw, err := a.parts(cmd.Context(), noun)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(raw)
			}
			head := []string{"ID", "NAME"}
			if noun == "action" {
				head = append(head, "PRIORITY", "ENABLED", "DECIDED", "NOT ELIGIBLE", "ELIGIBILITY")
			}
			rows := make([][]string, len(all))
			for i, p := range all {
				rows[i] = append(append([]string{p.id, p.path}, p.row...), p.description)
			}
			return a.table(append(head, "DESCRIPTION"), rows)
		},
	}
}

// nounSet is create or edit.
func (a *app) nounSet(verb, noun string, fields []string) *cobra.Command {
	values := map[string]*string{}
	c := &cobra.Command{
		Use: verb, Short: "Create one of the " + noun + "s, and print its id", Args: cobra.NoArgs, Example: createExamples[noun],
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := nounBody(cmd, values)
			if err != nil {
				return err
			}
			for field, above := range map[string]string{"issue_id": "issue", "group_id": "group"} {
				if given, ok := body[field].(string); ok {
					if body[field], err = a.idOf(cmd.Context(), above, given); err != nil {
						return err
					}
				}
			}
			var out map[string]any
			if len(args) == 1 {
				err = a.onPart(cmd.Context(), http.MethodPut, noun, args[0], "", body, &out)
			} else {
				_, err = a.client().Do(cmd.Context(), http.MethodPost, "/v2/paid/"+noun, body, &out)
			}
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(out)
			case len(args) == 0:
				_, err = fmt.Fprintln(a.out, out["id"])
				return err
			}
			return nil
		},
	}
	if verb == "edit" {
		c.Use, c.Args, c.Short = "edit ID", cobra.ExactArgs(1), "Change one of the "+noun+"s, by id or names; what is left out stays"
		c.Example = "  usher paid " + noun + " edit ID --name \"Other name\""
	}
	for _, f := range fields {
		values[f] = c.Flags().String(flagOf(f), "", fieldHelp[f])
	}
	return c
}

func flagOf(field string) string { return strings.TrimSuffix(field, "_id") }

// nounBody is what was given, as the API takes it.
func nounBody(cmd *cobra.Command, values map[string]*string) (map[string]any, error) {
	body := map[string]any{}
	for field, v := range values {
		if !cmd.Flags().Changed(flagOf(field)) {
			continue
		}
		switch field {
		case "priority":
			n, err := strconv.ParseInt(*v, 10, 64)
			if err != nil {
				return nil, usageError("--priority %q is not a whole number", *v)
			}
			body[field] = n
		case "enabled":
			on, err := strconv.ParseBool(*v)
			if err != nil {
				return nil, usageError("--enabled must be true or false")
			}
			body[field] = on
		default:
			body[field] = *v
		}
	}
	return body, nil
}

func (a *app) showAction() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an action, by id or as Issue/Group/Action", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out map[string]any
			if err := a.onPart(cmd.Context(), http.MethodGet, "action", args[0], "", nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}

func (a *app) deleteAction() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "delete ID", Short: "Delete an action: everybody leaves its audiences, at every destination", Args: cobra.ExactArgs(1),
		Example: `  usher paid action delete "Sales/Retention offers/Discount" --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			query := ""
			if dry {
				query = "?dry_run=true"
			}
			var out decision.Leaving
			if err := a.onPart(cmd.Context(), http.MethodDelete, "action", args[0], query, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			if dry {
				a.say("%s people would leave, at %d targets", count(out.People), len(out.Targets))
				return nil
			}
			a.say("%s people leave, at %d targets", count(out.People), len(out.Targets))
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "say who would leave, and delete nothing")
	return c
}
