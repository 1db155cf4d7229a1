package cli

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

func (a *app) destinationCommand() *cobra.Command {
	c := &cobra.Command{Use: "destination", Short: "Named accounts at providers that audiences go to"}
	filters := map[string]*string{}
	list := &cobra.Command{
		Use: "list", Short: "List destinations", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.Destination
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/destination"+query(filters), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, d := range out {
				rows[i] = []string{string(d.ID), d.Name, d.Provider, d.Account, fmt.Sprint(d.Enabled)}
			}
			return a.table([]string{"ID", "NAME", "PROVIDER", "ACCOUNT", "ENABLED"}, rows)
		},
	}
	filters["provider"] = list.Flags().String("provider", "", "only those at a provider")
	filters["auth_id"] = list.Flags().String("auth", "", "only those with an authorization, by id")
	filters["enabled"] = list.Flags().String("enabled", "", "true or false: only those that are switched on, or off")
	var provider, auth, account string
	var mapping, config []string
	create := &cobra.Command{
		Use: "create NAME", Short: "Name an account that audiences go to", Args: cobra.ExactArgs(1),
		Example: `  usher destination create "Shop" --provider meta --auth ID --account 1234 --map EMAIL=email --map EXTERN_ID=customer_key`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := pairs("map", mapping)
			if err != nil {
				return err
			}
			cfg, err := pairs("set", config)
			if err != nil {
				return err
			}
			body := map[string]any{"name": args[0], "provider": provider, "auth_id": auth, "account": account, "mapping": m, "config": cfg}
			var out activation.Destination
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/destination", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err = fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	f := create.Flags()
	f.StringVar(&provider, "provider", "", "provider, such as meta")
	f.StringVar(&auth, "auth", "", "id of the authorization; none for a provider that needs none")
	f.StringVar(&account, "account", "", "account id at the provider; none for a provider that has no accounts")
	f.StringArrayVar(&mapping, "map", nil, "MATCH_KEY=field or COLUMN=field (repeat); without it files, tables and webhooks get every field")
	f.StringArrayVar(&config, "set", nil, "setting=value (repeat)")
	_ = create.MarkFlagRequired("provider")
	test := &cobra.Command{
		Use: "test ID", Short: "Prove credentials and account; writes nothing", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/destination/"+url.PathEscape(args[0])+"/test", nil, nil); err != nil {
				return err
			}
			a.say("credentials and account are good")
			return nil
		},
	}
	show := &cobra.Command{
		Use: "show ID", Short: "Show one destination", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.Destination
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/destination/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	remove := &cobra.Command{
		Use: "delete ID", Short: "Delete a destination without targets", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/destination/"+url.PathEscape(args[0]), nil, nil)
			return err
		},
	}
	c.AddCommand(a.jsonFlag(list), show, a.jsonFlag(create), a.editDestination(), test, remove,
		a.switchDestination("enable", "Switch a destination on; what waited is sent", true),
		a.switchDestination("disable", "Switch a destination off; pending runs are withdrawn", false))
	return c
}

func (a *app) editDestination() *cobra.Command {
	var name, auth, account string
	var mapping, config []string
	var confirm bool
	c := &cobra.Command{
		Use: "edit ID", Short: "Change a destination; what is left out stays", Args: cobra.ExactArgs(1),
		Long: `Change a destination. Another mapping takes everybody's old keys away at the
network and adds the new ones: the command says how many and does it with
--confirm. The account can change only while no audience is kept there.`,
		Example: `  usher destination edit ID --map EMAIL=work_email --map EXTERN_ID=customer_key --confirm`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			for flag, v := range map[string]struct {
				field string
				value *string
			}{"name": {"name", &name}, "auth": {"auth_id", &auth}, "account": {"account", &account}} {
				if cmd.Flags().Changed(flag) {
					body[v.field] = *v.value
				}
			}
			if len(mapping) > 0 {
				m, err := pairs("map", mapping)
				if err != nil {
					return err
				}
				body["mapping"] = m
			}
			if len(config) > 0 {
				m, err := pairs("set", config)
				if err != nil {
					return err
				}
				body["config"] = m
			}
			if len(body) == 0 {
				return usageError("nothing to change; see: %s --help", cmd.CommandPath())
			}
			return a.putDestination(cmd, args[0], fmt.Sprintf("?confirm=%t", confirm), body)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "name for people")
	f.StringVar(&auth, "auth", "", "id of the authorization; auth replace moves everything that uses one")
	f.StringVar(&account, "account", "", "account id at the provider")
	f.StringArrayVar(&mapping, "map", nil, "MATCH_KEY=field (repeat); the whole mapping")
	f.StringArrayVar(&config, "set", nil, "setting=value (repeat); those left out stay")
	f.BoolVar(&confirm, "confirm", false, "do it, although people get new keys at the network")
	return a.jsonFlag(c)
}

func (a *app) switchDestination(verb, short string, on bool) *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.putDestination(cmd, args[0], "", map[string]any{"enabled": on})
		},
	})
}

func (a *app) putDestination(cmd *cobra.Command, id, query string, body map[string]any) error {
	var out activation.Destination
	if _, err := a.client().Do(cmd.Context(), http.MethodPut, "/v2/destination/"+url.PathEscape(id)+query, body, &out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	a.say("%s is changed", out.Name)
	return nil
}
