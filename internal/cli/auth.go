package cli

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/api/client"
	"usher/internal/catalog"
)

func (a *app) authCommand() *cobra.Command {
	c := &cobra.Command{Use: "auth", Short: "Stored credentials, sealed at rest"}
	c.AddCommand(a.jsonFlag(a.listAuths()), a.showAuth(), a.jsonFlag(a.createAuth()), a.jsonFlag(a.connectAuth()), a.jsonFlag(a.editAuth()), a.testAuth(), a.jsonFlag(a.replaceAuth()), a.deleteAuth())
	return c
}

func authPath(id string) string { return "/v2/auth/" + url.PathEscape(id) }

// query is the query of a list whose filters were given.
func query(filters map[string]*string) string {
	q := url.Values{}
	for name, v := range filters {
		if *v != "" {
			q.Set(name, *v)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func (a *app) listAuths() *cobra.Command {
	filters := map[string]*string{}
	c := &cobra.Command{
		Use: "list", Short: "List authorizations", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []client.Authorization
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/auth"+query(filters), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, s := range out {
				rows[i] = []string{string(s.ID), s.Label, s.ProviderSlug, strings.TrimSpace(string(s.Status) + " " + s.StatusReason), when(s.LastAccessedAt), when(s.ExpiresAt), count(int64(s.UsedBy.Destinations)), count(int64(s.UsedBy.Jobs))}
			}
			return a.table([]string{"ID", "LABEL", "PROVIDER", "STATUS", "CHECKED", "ENDS", "DESTINATIONS", "JOBS"}, rows)
		},
	}
	filters["type"] = c.Flags().String("type", "", "only those of a provider")
	filters["status"] = c.Flags().String("status", "", "healthy, unhealthy or unknown")
	return c
}

func (a *app) showAuth() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one authorization, never its secrets", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out client.Authorization
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, authPath(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}

// credentials are the flags that give the values of an authorization.
type credentials struct {
	label, description string
	values, secrets    []string
}

func (v *credentials) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&v.label, "label", "", "name for people")
	f.StringVar(&v.description, "description", "", "what it is for")
	f.StringArrayVar(&v.values, "set", nil, "name=value, not secret (repeat)")
	f.StringArrayVar(&v.secrets, "secret", nil, "name=- reads the secret from standard input (repeat)")
}

// body is what the flags say, secrets read from standard input; what was not
// given is left out.
func (a *app) credentialBody(cmd *cobra.Command, v *credentials) (map[string]any, error) {
	config, err := pairs("set", v.values)
	if err != nil {
		return nil, err
	}
	in := bufio.NewScanner(a.in)
	for _, s := range v.secrets {
		name, given, _ := strings.Cut(s, "=")
		if given != "-" {
			return nil, usageError("--secret %s: write %s=- and give the secret on standard input", name, name)
		}
		if !in.Scan() {
			return nil, usageError("--secret %s: standard input ended before it", name)
		}
		config[name] = strings.TrimSpace(in.Text())
	}
	body := map[string]any{}
	if cmd.Flags().Changed("label") {
		body["label"] = v.label
	}
	if cmd.Flags().Changed("description") {
		body["description"] = v.description
	}
	if len(config) > 0 {
		body["config"] = config
	}
	return body, nil
}

func (a *app) createAuth() *cobra.Command {
	var v credentials
	c := &cobra.Command{
		Use: "create PROVIDER", Short: "Store credentials for a provider", Args: cobra.ExactArgs(1),
		Long: `Store credentials for a provider. Secrets are given as name=- and read from
standard input, one line each, so that they stay out of the shell's history.`,
		Example: `  usher auth create meta --label "Meta" --secret access_token=- < token.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := a.credentialBody(cmd, &v)
			if err != nil {
				return err
			}
			var out client.Authorization
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, authPath(args[0]), body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			_, err = fmt.Fprintln(a.out, out.ID)
			return err
		},
	}
	v.flags(c)
	_ = c.MarkFlagRequired("label")
	return c
}

func (a *app) editAuth() *cobra.Command {
	var v credentials
	c := &cobra.Command{
		Use: "edit ID", Short: "Change label, description or single values; what is left out stays", Args: cobra.ExactArgs(1),
		Long: `Change an authorization. Values that are given replace those of the same name,
the others stay. New credentials wake what slept because of the old ones.`,
		Example: `  usher auth edit ID --secret access_token=- < token.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := a.credentialBody(cmd, &v)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return usageError("nothing to change; see: %s --help", cmd.CommandPath())
			}
			var out client.Authorization
			if _, err := a.client().Do(cmd.Context(), http.MethodPut, authPath(args[0]), body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%s is changed", out.Label)
			return nil
		},
	}
	v.flags(c)
	return c
}

func (a *app) testAuth() *cobra.Command {
	return &cobra.Command{
		Use: "test ID", Short: "Try the credentials now; writes nothing at the network", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, authPath(args[0])+"/test", nil, nil); err != nil {
				return err
			}
			a.say("the credentials work")
			return nil
		},
	}
}

func (a *app) replaceAuth() *cobra.Command {
	var anew bool
	c := &cobra.Command{
		Use: "replace OLD NEW", Short: "Move every destination and job to another authorization", Args: cobra.ExactArgs(2),
		Long: `Move every destination and job from one authorization to another, all or none,
and wake what slept because of the old one. It is refused, naming each, unless
the new one opens every account and every remote audience. With --new-audiences
those that it does not open are left behind and new ones begun.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var out catalog.Replacement
			body := map[string]any{"with": args[1], "new_audiences": anew}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, authPath(args[0])+"/replace", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%d destinations and %d jobs of their own moved, %d audiences begin anew", len(out.Destinations), len(out.Jobs), len(out.NewAudiences))
			return nil
		},
	}
	c.Flags().BoolVar(&anew, "new-audiences", false, "leave remote audiences that it does not open behind, and begin new ones")
	return c
}

func (a *app) deleteAuth() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete credentials nothing uses", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, authPath(args[0]), nil, nil)
			return err
		},
	}
}
