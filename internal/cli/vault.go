package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"usher/internal/api/client"
	"usher/internal/vault"
)

func (a *app) vaultCommand() *cobra.Command {
	c := &cobra.Command{Use: "vault", Short: "The keys that seal stored credentials"}
	show := &cobra.Command{
		Use: "show", Short: "Which keys are in use; never a key itself", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out client.Keys
			if _, err := a.client().Do(cmd.Context(), http.MethodGet, "/v2/vault", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			rows := make([][]string, len(out.Keys))
			for i, k := range out.Keys {
				rows[i] = []string{k.ID, keyState(out, k), count(int64(k.Authorizations))}
			}
			return a.table([]string{"KEY", "STATE", "AUTHORIZATIONS"}, rows)
		},
	}
	rotate := &cobra.Command{
		Use: "rotate", Short: "Change the key and seal every authorization anew", Args: cobra.NoArgs,
		Long: `Change the key that seals stored credentials, on the running server, and seal
every authorization anew. Nothing stops meanwhile. After a crash every secret
still opens, and the command again finishes the work. The key from before stays
in the data directory as secret.key.old-ID, for backups of the database; delete
it when there are none.

Where USHER_SECRET_KEY gives the key, restart the server with a new one there and
the present one in USHER_SECRET_KEY_OLD, then use this command, then take
USHER_SECRET_KEY_OLD away.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out vault.Rotation
			if _, err := a.client().Do(cmd.Context(), http.MethodPost, "/v2/vault/rotate", nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.say("%d authorizations are sealed anew with key %s", out.Resealed, out.KeyID)
			return nil
		},
	}
	c.AddCommand(a.jsonFlag(show), a.jsonFlag(rotate))
	return c
}

func keyState(keys client.Keys, k client.KeyUse) string {
	switch {
	case !k.Known:
		return "LOST"
	case k.ID == keys.KeyID:
		return "seals"
	}
	return "opens"
}

// checkVault looks whether every stored credential opens. Only an administrator
// may ask.
func checkVault(ctx context.Context, c *client.Client) []finding {
	var keys client.Keys
	if _, err := c.Do(ctx, http.MethodGet, "/v2/vault", nil, &keys); err != nil {
		return nil
	}
	var out []finding
	for _, k := range keys.Keys {
		if k.Authorizations == 0 && k.ID != keys.KeyID {
			continue
		}
		f := finding{"key " + k.ID, k.Known, fmt.Sprintf("%d authorizations are sealed with it", k.Authorizations)}
		switch {
		case !k.Known:
			f.Detail += ", and the server does not have it"
		case k.ID != keys.KeyID:
			f.Detail += "; usher vault rotate seals them with the present key"
		}
		out = append(out, f)
	}
	return out
}
