package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"usher/sandbox"
	"usher/sandbox/expect"
	"usher/sandbox/meta"
)

func (a *app) sandboxCommand() *cobra.Command {
	var addr, state, token string
	var seed uint64
	c := &cobra.Command{
		Use: "sandbox", Short: "Run stand-ins of the networks, with read-back and faults on demand", Args: cobra.NoArgs,
		Long: `Run stand-ins of the networks on loopback: the same paths, rules, limits and
errors as the real ones. Point an authorization's base_url at them to try things
out; what they hold can be read under /_sandbox/, and faults set there.`,
		Example: `  usher sandbox --listen 127.0.0.1:9090
  echo sandbox-token | usher auth create meta --label Sandbox --secret access_token=- --set base_url=http://127.0.0.1:9090/meta
  curl -d '{"kind":"status","status":503,"times":3}' http://127.0.0.1:9090/_sandbox/faults`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ln, err := sandbox.Listen(cmd.Context(), addr)
			if err != nil {
				return environmentError("%w", err)
			}
			s, err := sandbox.Open(sandbox.Options{
				Seed: seed, StateFile: state, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
				Meta: meta.Options{Tokens: []meta.Token{{Value: token}}},
			})
			if err != nil {
				return environmentError("%w", err)
			}
			a.say("the sandbox serves Meta at http://%s/meta, read-back at http://%s/_sandbox/", ln.Addr(), ln.Addr())
			a.say("run the server with --allow-host %s to let it call here", ln.Addr())
			return s.Serve(cmd.Context(), ln)
		},
	}
	f := c.Flags()
	f.StringVar(&addr, "listen", "127.0.0.1:9090", "address, on loopback")
	f.StringVar(&state, "state", "", "file that keeps what the networks hold over a restart")
	f.StringVar(&token, "access-token", meta.DefaultToken, "the token that Meta's stand-in takes")
	f.Uint64Var(&seed, "seed", 1, "decides everything left to chance")

	var members bool
	judge := &cobra.Command{
		Use: "expect DIR…", Short: "Say who should be in which demo audience, from the CSV files alone", Args: cobra.MinimumNArgs(1),
		Long: `Work out, with nothing but a CSV reader and maps, who should be in which of the
demo's audiences. It shares no code with the server; the demo runs it as a
process of its own and compares.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.expect(cmd.Context(), args, members)
		},
	}
	judge.Flags().BoolVar(&members, "members", false, "print every member as JSON instead of counts")
	c.AddCommand(judge)
	return c
}

// expect prints what the judge says of the deliveries in dirs, in order.
func (a *app) expect(_ context.Context, dirs []string, members bool) error {
	sets, err := expect.Members(deliveries(dirs)...)
	if err != nil {
		return err
	}
	if members {
		return a.printJSON(sets)
	}
	for _, slug := range demoAudiences {
		if _, err := fmt.Fprintf(a.out, "%s\t%d\n", slug, len(sets[slug])); err != nil {
			return err
		}
	}
	return nil
}
