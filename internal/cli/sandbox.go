package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

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
errors as the real ones. It prints what there is and, for each network, the
command that makes an authorization for it; these credentials open nothing but
the stand-in. What the networks hold can be read under /_sandbox/, and faults
set there.`,
		Example: `  usher sandbox --listen 127.0.0.1:9090
  usher auth create meta --label Sandbox --set access_token=sandbox-token --set base_url=http://127.0.0.1:9090/meta
  curl -d '{"kind":"status","status":503,"times":3}' http://127.0.0.1:9090/_sandbox/faults`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ln, err := sandbox.Listen(cmd.Context(), addr)
			if err != nil {
				return environmentError("%w", err)
			}
			s, err := sandbox.Open(sandbox.Options{
				Seed: seed, StateFile: state, Example: true, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
				Meta: meta.Options{Tokens: []meta.Token{{Value: token}}},
			})
			if err != nil {
				return environmentError("%w", err)
			}
			host, _, _ := net.SplitHostPort(ln.Addr().String())
			if err := s.ListenOwn(cmd.Context(), host); err != nil {
				return errors.Join(environmentError("%w", err), ln.Close(), s.Close())
			}
			networks := s.Networks(ln.Addr().String())
			for i := range networks {
				if networks[i].Name == "meta" {
					networks[i].Credentials["access_token"] = token
				}
			}
			a.describe(ln.Addr().String(), networks)
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

// describe says what the sandbox at addr serves and how to use it.
func (a *app) describe(addr string, networks []sandbox.Listing) {
	hosts := "--allow-host " + addr
	for _, n := range networks {
		a.say("%s at %s", n.Title, n.Address)
		command := "usher auth create " + n.Name + " --label Sandbox"
		if n.Credentials["authorize_url"] != "" { // consent alone, for any provider that asks for it
			command = "usher auth connect google --label Consent"
		}
		for _, name := range slices.Sorted(maps.Keys(n.Credentials)) {
			command += " --set " + shellWord(name+"="+n.Credentials[name])
		}
		a.say("  %s", command)
		if !strings.Contains(n.Address, "/") {
			hosts += " --allow-host " + n.Address
		}
	}
	a.say("an import to try: %s, with %d people, is in the SFTP folder and in the bucket", sandbox.ExampleName, sandbox.ExamplePeople)
	a.say("  usher job preview sftp_import --auth ID --set folder=/upload --set filename=%s --set settle=0s --set timestamps=updated_at", sandbox.ExampleName)
	a.say("  usher job create sftp_import --name Customers --auth ID --every hourly --set folder=/upload --set filename=%s --set settle=0s --set timestamps=updated_at --set stream=customers", sandbox.ExampleName)
	a.say("read-back and faults at http://%s/_sandbox/", addr)
	a.say("run the server with %s to let it call here", hosts)
}

// shellWord quotes s where a shell would not take it as one word.
func shellWord(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("-_.,:/=@%+", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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
