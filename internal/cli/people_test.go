package cli_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/server/servertest"
)

const (
	firstPassword  = "correct horse battery"
	secondPassword = "another long password"
)

// TestPeople walks through people and tokens by the command line. Passwords come
// from standard input and are in no output.
func TestPeople(t *testing.T) {
	s := shop{Server: servertest.Start(t)}
	ids := map[string]string{}
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		out, err    string // must contain
		keep        string // the output is the id of
	}{
		{name: "nobody yet", args: []string{"user", "list"}, err: "nothing there"},
		{name: "the first is no administrator", stdin: firstPassword, args: []string{"user", "create", "ann@example.com", "--name", "Ann"}, code: 1, err: "the first person must be an administrator"},
		{name: "no name", stdin: firstPassword, args: []string{"user", "create", "ann@example.com"}, code: 2, err: "name"},
		{name: "no password", args: []string{"user", "create", "ann@example.com", "--name", "Ann", "--role", "admin"}, code: 2, err: "a password is needed"},
		{name: "a line without end", stdin: strings.Repeat("x", 5000), args: []string{"user", "create", "ann@example.com", "--name", "Ann", "--role", "admin"}, code: 2, err: "too long"},
		{name: "a short password", stdin: "short\n", args: []string{"user", "create", "ann@example.com", "--name", "Ann", "--role", "admin"}, code: 1, err: "at least 12 characters (PASSWORD)"},
		{name: "create", stdin: firstPassword + "\r\n", args: []string{"user", "create", "ann@example.com", "--name", "Ann", "--role", "admin"}, keep: "ann"},
		{name: "create another", stdin: firstPassword, args: []string{"user", "create", "bob@example.com", "--name", "Bob"}, keep: "bob"},
		{name: "list", args: []string{"user", "list"}, out: "ann@example.com"},
		{name: "list as JSON", args: []string{"user", "list", "--json"}, out: `"role": "viewer"`},
		{name: "show", args: []string{"user", "show", "{bob}"}, out: `"email": "bob@example.com"`},
		{name: "edit", args: []string{"user", "edit", "{bob}", "--role", "operator", "--name", "Robert", "--json"}, out: `"name": "Robert"`},
		{name: "disable", args: []string{"user", "edit", "{bob}", "--disable"}},
		{name: "disabled", args: []string{"user", "list"}, out: "disabled"},
		{name: "enable", args: []string{"user", "edit", "{bob}", "--enable", "--json"}, out: `"disabled": false`},
		{name: "both", args: []string{"user", "edit", "{bob}", "--enable", "--disable"}, code: 1, err: "disable"},
		{name: "nothing to edit", args: []string{"user", "edit", "{bob}"}, code: 2, err: "nothing to change"},
		{name: "the last administrator", args: []string{"user", "delete", "{ann}"}, code: 1, err: "the last administrator"},
		{name: "reset", stdin: secondPassword, args: []string{"user", "reset-password", "{bob}"}, err: "signed out"},
		{name: "reset of nobody", stdin: secondPassword, args: []string{"user", "reset-password", "nobody"}, code: 1, err: "not found"},
		{name: "own, of no person", stdin: firstPassword + "\n" + secondPassword, args: []string{"user", "password"}, code: 1, err: "only a person has a password"},
		{name: "delete", args: []string{"user", "delete", "{bob}"}},

		{name: "token create", args: []string{"token", "create", "ci", "--scope", "operator", "--expires", "7d", "--description", "for the builds"}, out: "usher_", err: "shown once", keep: "text"},
		{name: "token create, bad", args: []string{"token", "create", "x", "--expires", "1y"}, code: 1, err: "expires"},
		{name: "token create, JSON", args: []string{"token", "create", "other", "--json"}, out: `"token": "usher_`},
		{name: "token list", args: []string{"token", "list"}, out: "operator"},
		{name: "token list, JSON", args: []string{"token", "list", "--json"}, out: `"effective_scope": "operator"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string(nil), c.args...)
			for i, a := range args {
				for name, id := range ids {
					args[i] = strings.ReplaceAll(a, "{"+name+"}", id)
					if args[i] != a {
						break
					}
				}
			}
			r := s.run(t, c.stdin, args...)
			r.expect(t, c.code)
			if !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.err) {
				t.Errorf("stdout: %s\nstderr: %s", r.out, r.err)
			}
			for _, secret := range []string{firstPassword, secondPassword, "argon2"} {
				if strings.Contains(r.out+r.err, secret) {
					t.Errorf("the output has %q", secret)
				}
			}
			if c.keep != "" {
				ids[c.keep] = strings.TrimSpace(r.out)
			}
		})
	}
	var list []struct{ ID, Name string }
	if err := json.Unmarshal([]byte(s.run(t, "", "token", "list", "--json").out), &list); err != nil {
		t.Fatal(err)
	}
	for _, token := range list {
		if token.Name == "ci" {
			ids["ci"] = token.ID
		}
	}
	own := func(args ...string) result {
		return run(t, "", append(args, "--url", s.URL, "--token", ids["text"])...)
	}
	own("stream", "declare", "people").expect(t, 0)
	own("user", "list").expect(t, 1)
	if r := own("token", "show", ids["ci"]); r.code != 0 || !strings.Contains(r.out, "for the builds") || strings.Contains(r.out, ids["text"]) {
		t.Errorf("show: %d %s", r.code, r.err)
	}
	s.run(t, "", "token", "delete", ids["ci"]).expect(t, 0)
	own("stream", "list").expect(t, 1)
}

// TestWayBackIn: whoever may read the data directory on the server's machine
// sets a new password, though nobody who knows one is left.
func TestWayBackIn(t *testing.T) {
	s := servertest.Start(t)
	s.Must("POST", "/v2/user", map[string]string{"email": "ann@example.com", "name": "Ann", "role": "admin", "password": firstPassword}, nil)
	var all []activation.User
	s.Must("GET", "/v2/user", nil, &all)
	t.Setenv("USHER_DATA", filepath.Clean(s.Dir))
	t.Setenv("USHER_TOKEN", "")
	run(t, secondPassword, "user", "reset-password", string(all[0].ID), "--url", s.URL).expect(t, 0)
	r := run(t, "", "audit", "--url", s.URL)
	r.expect(t, 0)
	if !strings.Contains(r.out, "set_password") || !strings.Contains(r.out, "token:command line on this machine") {
		t.Errorf("the audit log: %s", r.out)
	}
}
