package cli

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"usher/internal/api/client"
)

// askEvery is how often the command line asks whether a person has consented.
const askEvery = 2 * time.Second

func (a *app) connectAuth() *cobra.Command {
	var v credentials
	var id string
	var begin bool
	c := &cobra.Command{
		Use: "connect PROVIDER", Short: "Connect an authorization by a person's consent at the network", Args: cobra.ExactArgs(1),
		Long: `Print the address at which a person consents at the network, and wait until they
have. Open it in a browser in which an admin is signed in to the console: the
network sends the person back there. With --auth an authorization that is there
is connected again; it stays the same one, and what slept because of it wakes.`,
		Example: `  usher auth connect google --label "Google Ads" --set client_id=… --secret client_secret=- < secret.txt
  usher auth connect google --auth ID`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := a.credentialBody(cmd, &v)
			if err != nil {
				return err
			}
			var before client.Authorization
			if id != "" {
				body["auth_id"] = id
				if _, err := a.client().Do(cmd.Context(), http.MethodGet, authPath(id), nil, &before); err != nil {
					return err
				}
			}
			var out client.Connecting
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, authPath(args[0])+"/connect", body, &out); err != nil {
				return err
			}
			if a.json || begin {
				if a.json {
					return a.printJSON(out)
				}
				a.say("%s", out.AuthorizeURL)
				return nil
			}
			a.say("open this address in a browser in which an admin is signed in to the console:\n\n  %s\n\nwaiting until somebody has consented; Ctrl-C stops the wait and nothing else", out.AuthorizeURL)
			made, err := a.awaitConsent(cmd.Context(), out, before.UpdatedAt)
			if err != nil {
				return err
			}
			a.say("%s is connected: %s", made.Label, made.ID)
			return nil
		},
	}
	v.flags(c)
	f := c.Flags()
	f.StringVar(&id, "auth", "", "an authorization to connect again, in place of a new one")
	f.BoolVar(&begin, "no-wait", false, "print the address and do not wait")
	return c
}

// awaitConsent asks until the authorization is there, or other than before.
func (a *app) awaitConsent(ctx context.Context, c client.Connecting, before time.Time) (client.Authorization, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.ExpiresIn)*time.Second)
	defer cancel()
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		var now client.Authorization
		_, err := a.client().Do(ctx, http.MethodGet, authPath(string(c.AuthID)), nil, &now)
		var refused *client.Error
		switch {
		case err == nil && now.UpdatedAt.After(before):
			return now, nil
		case err != nil && (!errors.As(err, &refused) || refused.Status != http.StatusNotFound) && ctx.Err() == nil:
			return now, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return now, usageError("nobody has consented in time; connect again")
		}
	}
}
