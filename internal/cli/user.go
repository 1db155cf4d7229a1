package cli

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"usher/internal/activation"
)

// passwordHelp is how passwords reach a command: never as an argument, which
// the shell's history and the list of processes would keep.
const passwordHelp = `The password is asked for at the terminal, or read as one line from standard
input; it is never an argument.`

func (a *app) userCommand() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "People who may sign in"}
	c.AddCommand(a.jsonFlag(a.listUsers()), a.showUser(), a.jsonFlag(a.createUser()), a.jsonFlag(a.editUser()), a.deleteUser(), a.resetPassword(), a.changePassword())
	return c
}

func userPath(id string) string { return "/v2/user/" + url.PathEscape(id) }

func (a *app) listUsers() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the people who may sign in", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out []activation.User
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/user", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out))
			for i, u := range out {
				state := "active"
				if u.Disabled {
					state = "disabled"
				}
				rows[i] = []string{string(u.ID), u.Login, u.Name, string(u.Role), state, when(u.LastSignInAt)}
			}
			return a.table([]string{"ID", "E-MAIL", "NAME", "ROLE", "STATUS", "LAST SIGN-IN"}, rows)
		},
	}
}

func (a *app) showUser() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one person", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out activation.User
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, userPath(args[0]), nil, &out); err != nil {
				return err
			}
			return a.printJSON(out)
		},
	}
}

func (a *app) createUser() *cobra.Command {
	var name, role string
	c := &cobra.Command{
		Use: "create E-MAIL", Short: "Make a person who may sign in", Args: cobra.ExactArgs(1),
		Long: `Make a person who may sign in. The first must be an administrator; from then on
the one-time link of the start signs nobody in.

` + passwordHelp,
		Example: `  usher user create ann@example.com --name "Ann" --role admin`,
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := a.newPassword()
			if err != nil {
				return err
			}
			var out activation.User
			body := map[string]string{"email": args[0], "name": name, "role": role, "password": password}
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/user", body, &out); err != nil {
				return err
			}
			return a.printUser(out)
		},
	}
	c.Flags().StringVar(&name, "name", "", "name for people")
	c.Flags().StringVar(&role, "role", string(activation.RoleViewer), "viewer, operator or admin")
	_ = c.MarkFlagRequired("name")
	return c
}

func (a *app) printUser(u activation.User) error {
	if a.json {
		return a.printJSON(u)
	}
	_, err := fmt.Fprintln(a.out, u.ID)
	return err
}

func (a *app) editUser() *cobra.Command {
	var name, role string
	var disable, enable bool
	c := &cobra.Command{
		Use: "edit ID", Short: "Change name or role of a person, disable or enable them", Args: cobra.ExactArgs(1),
		Long: `Change name or role of a person, disable or enable them. Another role and being
disabled sign them out at once; their API tokens can never do more than they may.`,
		Example: `  usher user edit 0f3c…  --role operator
  usher user edit 0f3c… --disable`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			if cmd.Flags().Changed("name") {
				body["name"] = name
			}
			if cmd.Flags().Changed("role") {
				body["role"] = role
			}
			if disable || enable {
				body["disabled"] = disable
			}
			if len(body) == 0 {
				return usageError("nothing to change: give --name, --role, --disable or --enable")
			}
			var out activation.User
			if _, err := a.client().Do(cmd.Context(), http.MethodPut, userPath(args[0]), body, &out); err != nil {
				return err
			}
			return a.printUser(out)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "name for people")
	f.StringVar(&role, "role", "", "viewer, operator or admin")
	f.BoolVar(&disable, "disable", false, "keep the person from doing anything")
	f.BoolVar(&enable, "enable", false, "let the person in again")
	c.MarkFlagsMutuallyExclusive("disable", "enable")
	return c
}

func (a *app) deleteUser() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete a person, with their sessions and tokens", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.client().Do(cmd.Context(), http.MethodDelete, userPath(args[0]), nil, nil)
			return err
		},
	}
}

func (a *app) resetPassword() *cobra.Command {
	return &cobra.Command{
		Use: "reset-password ID", Short: "Give a person a new password and sign them out", Args: cobra.ExactArgs(1),
		Long: `Give a person a new password and sign them out everywhere. On the server's own
machine this works without an account: the way back in when all are locked out.

` + passwordHelp,
		Example: `  usher user reset-password 0f3c…`,
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := a.newPassword()
			if err != nil {
				return err
			}
			_, err = a.client().Do(cmd.Context(), http.MethodPut, userPath(args[0]), map[string]string{"password": password}, nil)
			if err == nil {
				a.say("the password is set and the person signed out")
			}
			return err
		},
	}
}

func (a *app) changePassword() *cobra.Command {
	return &cobra.Command{
		Use: "password", Short: "Change your own password", Args: cobra.NoArgs,
		Long: `Change the password of the person whose API token is used, and sign them out
everywhere. The present password comes first.

` + passwordHelp,
		Example: `  usher user password`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			present, err := a.secret("Present password")
			if err != nil {
				return err
			}
			password, err := a.newPassword()
			if err != nil {
				return err
			}
			_, err = a.client().Do(cmd.Context(), http.MethodPost, "/v2/user/password", map[string]string{"present_password": present, "password": password}, nil)
			if err == nil {
				a.say("the password is changed, and you are signed out everywhere")
			}
			return err
		},
	}
}
