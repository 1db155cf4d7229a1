package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

func (a *app) priorityListCommand() *cobra.Command {
	c := &cobra.Command{Use: "priority-list", Short: "Ordered audiences: a person goes to the first one only, per destination"}
	var destination string
	list := &cobra.Command{
		Use: "list", Short: "List priority lists", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/v2/priority-list"
			if destination != "" {
				path += "?destination_id=" + url.QueryEscape(destination)
			}
			var out []activation.PriorityList
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, path, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			slugs, names, err := a.named(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(out))
			for i, l := range out {
				order := make([]string, len(l.Audiences))
				for j, id := range l.Audiences {
					order[j] = cmp.Or(slugs[id], string(id))
				}
				rows[i] = []string{string(l.ID), l.Name, cmp.Or(names[l.Destination], string(l.Destination)), strings.Join(order, " > ")}
			}
			return a.table([]string{"ID", "NAME", "DESTINATION", "AUDIENCES"}, rows)
		},
	}
	list.Flags().StringVar(&destination, "destination", "", "only those of this destination")
	show := &cobra.Command{
		Use: "show ID", Short: "Show a priority list", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.PriorityList
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/priority-list/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	remove := &cobra.Command{
		Use: "delete ID", Short: "Take an order away: people go to all of its audiences again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/priority-list/"+url.PathEscape(args[0]), nil, nil)
			return err
		},
	}
	c.AddCommand(a.jsonFlag(list), show, a.jsonFlag(a.listSet("create", cobra.NoArgs)), a.jsonFlag(a.listSet("edit ID", cobra.ExactArgs(1))), remove)
	return c
}

// named are the slugs of audiences and the names of destinations, by id.
func (a *app) named(ctx context.Context) (map[activation.AudienceID]string, map[activation.DestinationID]string, error) {
	var audiences []activation.Audience
	if _, err := a.client().Do(ctx, http.MethodGet, "/v2/segment", nil, &audiences); err != nil {
		return nil, nil, err
	}
	var destinations []activation.Destination
	if _, err := a.client().Do(ctx, http.MethodGet, "/v2/destination", nil, &destinations); err != nil {
		return nil, nil, err
	}
	slugs, names := map[activation.AudienceID]string{}, map[activation.DestinationID]string{}
	for _, x := range audiences {
		slugs[x.ID] = x.Slug
	}
	for _, x := range destinations {
		names[x.ID] = x.Name
	}
	return slugs, names, nil
}

// listSet makes or changes a list.
func (a *app) listSet(use string, args cobra.PositionalArgs) *cobra.Command {
	var label, destination string
	var audiences []string
	c := &cobra.Command{
		Use: use, Short: "Create a priority list, and print its id", Args: args,
		Example: `  usher priority-list create --name "First vip" --destination ID --audience vip --audience high`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			for flag, value := range map[string]any{"name": label, "destination": destination, "audience": audiences} {
				if cmd.Flags().Changed(flag) {
					body[map[string]string{"name": "name", "destination": "destination_id", "audience": "segment_ids"}[flag]] = value
				}
			}
			method, path := http.MethodPost, "/v2/priority-list"
			if len(args) == 1 {
				method, path = http.MethodPut, path+"/"+url.PathEscape(args[0])
			}
			var out activation.PriorityList
			if _, err := a.client().Do(cmd.Context(), method, path, body, &out); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(out)
			case len(args) == 0:
				_, err := fmt.Fprintln(a.out, out.ID)
				return err
			}
			return nil
		},
	}
	if strings.HasPrefix(use, "edit") {
		c.Short, c.Example = "Change name or order; what is left out stays", "  usher priority-list edit ID --audience high --audience vip"
	}
	c.Flags().StringVar(&label, "name", "", "name for people")
	c.Flags().StringVar(&destination, "destination", "", "id of the destination; can't be changed later")
	c.Flags().StringSliceVar(&audiences, "audience", nil, "slug or id of an audience, the strongest first (repeat)")
	return c
}
