package cli

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"usher/internal/access"
	"usher/internal/activation"
)

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "API tokens for programs"}
	c.AddCommand(a.jsonFlag(a.listTokens()), a.showToken(), a.jsonFlag(a.createToken()), a.deleteToken())
	return c
}

func tokenPath(id string) string { return "/v2/token/" + url.PathEscape(id) }

func (a *app) listTokens() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List API tokens: all for administrators, else your own", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []access.TokenView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/token", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, t := range out {
				scope, ends := string(t.Role), "never"
				if t.Effective != "" && t.Effective != t.Role {
					scope = fmt.Sprintf("%s (made as %s)", t.Effective, t.Role)
				}
				if !t.ExpiresAt.IsZero() {
					ends = when(t.ExpiresAt)
				}
				rows[i] = []string{t.ID, t.Name, string(t.Status), scope, t.CreatedBy, when(t.LastUsedAt), ends}
			}
			return a.table([]string{"ID", "NAME", "STATUS", "SCOPE", "CREATED BY", "LAST USED", "EXPIRES"}, rows)
		},
	}
}

func (a *app) showToken() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one API token; never its text", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out access.TokenView
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, tokenPath(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}

func (a *app) createToken() *cobra.Command {
	var description, scope, expires string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make an API token and print it, once", Args: cobra.ExactArgs(1),
		Long: `Make an API token and print it. It is shown this once and kept nowhere. It can do
no more than you, now and later; one made by a token ends with it at the latest.`,
		Example: `  usher token create nightly-upload --scope operator --expires 90d`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				activation.Token
				Text string `json:"token"`
			}
			body := map[string]string{"name": args[0], "description": description, "scope": scope, "expires": expires}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/token", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("this is shown once:")
			_, err := fmt.Fprintln(a.out, out.Text)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&description, "description", "", "what it is for")
	f.StringVar(&scope, "scope", string(activation.RoleViewer), "viewer, operator or admin, at most your own role; site for web pages")
	f.StringVar(&expires, "expires", "30d", "7d, 30d, 90d or never")
	return c
}

func (a *app) deleteToken() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Revoke an API token at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, tokenPath(args[0]), nil, nil)
			return err
		},
	}
}
