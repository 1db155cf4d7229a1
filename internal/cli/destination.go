package cli

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// authView is an authorization as the API shows it: never its secrets.
type authView struct {
	ID        activation.AuthorizationID `json:"id"`
	Label     string                     `json:"label"`
	Provider  string                     `json:"provider_slug"`
	Status    string                     `json:"status"`
	CheckedAt time.Time                  `json:"last_checked_at"`
	CreatedAt time.Time                  `json:"created"`
}

func (a *app) authCommand() *cobra.Command {
	c := &cobra.Command{Use: "auth", Short: "Stored credentials, sealed at rest"}
	list := &cobra.Command{
		Use: "list", Short: "List authorizations", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []authView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/auth", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, s := range out {
				rows[i] = []string{string(s.ID), s.Label, s.Provider, s.Status, when(s.CheckedAt)}
			}
			return a.table([]string{"ID", "LABEL", "PROVIDER", "STATUS", "CHECKED"}, rows)
		},
	}
	var label string
	var values, secrets []string
	create := &cobra.Command{
		Use: "create PROVIDER", Short: "Store credentials for a provider", Args: cobra.ExactArgs(1),
		Long: `Store credentials for a provider. Secrets are given as name=- and read from
standard input, one line each, so that they stay out of the shell's history.`,
		Example: `  usher auth create meta --label "Meta" --secret access_token=- < token.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := pairs("value", values)
			if err != nil {
				return err
			}
			in := bufio.NewScanner(a.in)
			for _, s := range secrets {
				name, v, _ := strings.Cut(s, "=")
				if v != "-" {
					return usageError("--secret %s: write %s=- and give the secret on standard input", name, name)
				}
				if !in.Scan() {
					return usageError("--secret %s: standard input ended before it", name)
				}
				config[name] = strings.TrimSpace(in.Text())
			}
			var out authView
			body := map[string]any{"label": label, "config": config}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/auth/"+url.PathEscape(args[0]), body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err = fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	create.Flags().StringVar(&label, "label", "", "name for people")
	create.Flags().StringArrayVar(&values, "set", nil, "name=value, not secret (repeat)")
	create.Flags().StringArrayVar(&secrets, "secret", nil, "name=- reads the secret from standard input (repeat)")
	_ = create.MarkFlagRequired("label")
	show := &cobra.Command{
		Use: "show ID", Short: "Show one authorization, never its secrets", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out authView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/auth/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
	remove := &cobra.Command{
		Use: "delete ID", Short: "Delete credentials nothing uses", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, "/v2/auth/"+url.PathEscape(args[0]), nil, nil)
			return err
		},
	}
	c.AddCommand(a.jsonFlag(list), show, a.jsonFlag(create), remove)
	return c
}

func (a *app) destinationCommand() *cobra.Command {
	c := &cobra.Command{Use: "destination", Short: "Named accounts at providers that audiences go to"}
	list := &cobra.Command{
		Use: "list", Short: "List destinations", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.Destination
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/destination", nil, &out); err != nil {
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
	f.StringVar(&auth, "auth", "", "id of the authorization")
	f.StringVar(&account, "account", "", "account id at the provider")
	f.StringArrayVar(&mapping, "map", nil, "MATCH_KEY=field (repeat)")
	f.StringArrayVar(&config, "set", nil, "setting=value (repeat)")
	_ = create.MarkFlagRequired("provider")
	_ = create.MarkFlagRequired("auth")
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
	c.AddCommand(a.jsonFlag(list), show, a.jsonFlag(create), test, remove)
	return c
}

// targetView is a target with what the ledger says of it.
type targetView struct {
	activation.Target
	AudienceSlug    string `json:"segment_slug"`
	DestinationName string `json:"destination_name"`
	Holdings        struct {
		In      int64 `json:"in"`
		Maybe   int64 `json:"maybe"`
		Refused int64 `json:"refused"`
		Shared  int64 `json:"shared"`
	} `json:"holdings"`
}

func (a *app) targetCommand() *cobra.Command {
	c := &cobra.Command{Use: "target", Short: "Audiences kept at destinations, and what the ledger says they hold"}
	list := &cobra.Command{
		Use: "list", Short: "List targets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []targetView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/target", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, t := range out {
				rows[i] = []string{string(t.ID), t.AudienceSlug, t.DestinationName, t.RemoteID, fmt.Sprint(t.Generation), count(t.Holdings.In), count(t.Holdings.Maybe), count(t.Holdings.Refused), count(t.Holdings.Shared)}
			}
			return a.table([]string{"ID", "AUDIENCE", "DESTINATION", "REMOTE", "GENERATION", "IN", "MAYBE", "REFUSED", "SHARED"}, rows)
		},
	}
	c.AddCommand(a.jsonFlag(list))
	return c
}
