package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/cli"
	"usher/internal/server/servertest"
)

// result is what one command did.
type result struct {
	code     int
	out, err string
}

// run runs one command in this process.
func run(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// shop is a server with a shop, and how commands reach it.
type shop struct {
	*servertest.Server
	servertest.Shop
}

func startShop(t testing.TB) shop {
	t.Helper()
	s := servertest.Start(t)
	return shop{s, s.Declare()}
}

// run runs a command as an administrator of the server.
func (s shop) run(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	return run(t, stdin, append(args, "--url", s.URL, "--token", s.Tokens[activation.RoleAdmin])...)
}

// expect fails unless the command ended with the code.
func (r result) expect(t testing.TB, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
}
