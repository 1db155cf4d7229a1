// Package cli is the command line: one file per command, each a thin layer over
// the HTTP API (api/client) but for serve, demo, sandbox and doctor, which run
// things on this machine.
//
// It owns words, flags, tables and exit codes. It decides nothing: what a
// command does is a use case of a domain package, reached through the API, so
// that API, console and command line can't differ.
//
// Exit codes: 0 done; 1 it ran and did not succeed; 2 usage or configuration;
// 3 environment (no server answers, something is missing).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"usher/internal/api/client"
)

// Version is set by the build.
var Version = "dev"

// exit codes, see the package comment.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitEnvironment
)

// exitError carries the exit code of a command that did not succeed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func environmentError(format string, args ...any) error {
	return &exitError{exitEnvironment, fmt.Errorf(format, args...)}
}

// app is what commands share: streams and how to reach the server.
type app struct {
	in       io.Reader
	out, err io.Writer
	url      string
	token    string
	json     bool
}

// Main runs one command and returns the exit code.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitFailed
	}
	_, _ = fmt.Fprintln(errOut, "usher: "+err.Error())
	var ee *exitError
	if errors.As(err, &ee) {
		return ee.code
	}
	if errors.Is(err, client.ErrUnreachable) {
		_, _ = fmt.Fprintln(errOut, "Is the server running? Start one with `usher serve`, or name it with --url or USHER_URL.")
		return exitEnvironment
	}
	var ce *client.Error
	if errors.As(err, &ce) {
		return exitFailed
	}
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "usher",
		Short:         "Audience activation: customers in, audiences at the networks, every change proved",
		Version:       Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Long: `Usher brings customer data in, keeps profiles, decides who is in which audience
and keeps those audiences in step at ad networks.

Start with "usher demo" to see all of it, or "usher serve" to run it for real.`,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	p := root.PersistentFlags()
	p.StringVar(&a.url, "url", envOr("USHER_URL", "http://127.0.0.1:8080"), "address of the server (USHER_URL)")
	p.StringVar(&a.token, "token", "", "API token (USHER_TOKEN); on the server's machine it is found in the data directory")
	root.AddCommand(
		a.serveCommand(), a.demoCommand(), a.sandboxCommand(), a.doctorCommand(), a.applyCommand(), a.exportCommand(),
		a.importCommand(), a.streamCommand(), a.fieldCommand(), a.mappingCommand(), a.identityCommand(), a.rebuildCommand(), a.profileCommand(), a.forgetCommand(),
		a.audienceCommand(), a.authCommand(), a.destinationCommand(), a.targetCommand(), a.priorityListCommand(), a.paidCommand(), a.jsonFlag(a.explainCommand()),
		a.jobCommand(), a.jsonFlag(a.metricCommand()), a.runCommand(), a.providerCommand(), a.workflowCommand(), a.vaultCommand(), a.loadCommand(), a.jsonFlag(a.auditCommand()),
		a.alertCommand(), a.noticeCommand(), a.templateCommand(), a.publisherCommand(), a.entryCommand(),
		a.userCommand(), a.tokenCommand(), a.webCommand(),
	)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.InitDefaultCompletionCmd() // keeps the output it finds
	markUsage(root)
	return root
}

// markUsage makes wrong arguments, missing flags and unknown commands usage
// errors everywhere.
func markUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(check(cmd, args), cmd.ValidateRequiredFlags()); err != nil {
				return &exitError{exitUsage, fmt.Errorf("%w\nSee: %s --help", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("%q is not a command of %s; see: %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())
			}
			return cmd.Help()
		}
		c.Args = cobra.ArbitraryArgs // or cobra would judge them first
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

func envOr(name, value string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return value
}

// client reaches the server with the token given, or the one it left on this machine.
func (a *app) client() *client.Client {
	token := a.token
	if token == "" {
		token = os.Getenv("USHER_TOKEN")
	}
	if token == "" && isLoopback(a.url) {
		if raw, err := os.ReadFile(filepath.Join(envOr("USHER_DATA", "usher-data"), tokenFile)); err == nil {
			token = strings.TrimSpace(string(raw))
		}
	}
	return &client.Client{URL: a.url, Token: token}
}

// isLoopback reports whether a URL leads to this machine: the token found here
// goes nowhere else.
func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// tokenFile in the data directory holds the token of this machine's command
// line; only the server's own user can read it.
const tokenFile = "cli.token"

// Commands returns the tree of commands, for the tests and tools that look at it.
func Commands() *cobra.Command {
	return (&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).root()
}
