package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/sandbox/meta"
)

// TestCommands walks through the product by its command line.
func TestCommands(t *testing.T) {
	s := startShop(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("people.csv", "id,email,score\n4,d@example.com,95\n")
	bad := file("bad.csv", "id,email,score\n5,e@example.com,1\n6,f@example.com,1,2\n")
	none := file("none.csv", "id,email,score\n")
	made := ""
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		out, err    string // must contain
		keep        bool
	}{
		{name: "stream list", args: []string{"stream", "list"}, out: "people"},
		{name: "stream declare", args: []string{"stream", "declare", "products", "--reference-key", "key"}},
		{name: "stream messages", args: []string{"stream", "messages", "people"}, out: "score"},
		{name: "field create", args: []string{"field", "create", "country"}},
		{name: "field create, bad", args: []string{"field", "create", "country", "--type", "colour"}, code: 1, err: "unknown type"},
		{name: "field list", args: []string{"field", "list"}, out: "IDENTIFIER"},
		{name: "mapping set", args: []string{"mapping", "set", "people", "country=upper(country)"}, err: "rebuild"},
		{name: "mapping set, bad", args: []string{"mapping", "set", "people", "country"}, code: 2, err: "name=value"},
		{name: "mapping list", args: []string{"mapping", "list", "people"}, out: "upper(country)"},
		{name: "rebuild", args: []string{"rebuild", "start", "--wait"}},
		{name: "import", args: []string{"import", good}, err: "1 messages, 0 rejected"},
		{name: "import of nothing", args: []string{"import", none, "--stream", "people"}, err: "0 messages, 0 rejected"},
		{name: "import, dry", args: []string{"import", good, "--dry-run"}, err: "1 messages"},
		{name: "import, bad", args: []string{"import", bad, "--stream", "people"}, code: 1, err: "line 3: expected 3 columns, found 4"},
		{name: "import, drop", args: []string{"import", bad, "--stream", "people", "--drop-errors"}, err: "line 3"},
		{name: "import, no file", args: []string{"import", "nothing.csv"}, code: 2, err: "nothing.csv"},
		{name: "load list", args: []string{"load", "list"}, out: "merged"},
		{name: "load show", args: []string{"load", "show", s.Shop.Load}, out: "merged"},
		{name: "profile show", args: []string{"profile", "show", "customer=id-1"}, out: "a•••@example.com"},
		{name: "profile show, nobody", args: []string{"profile", "show", "customer=nobody"}, code: 1, err: "not found"},
		{name: "profile show, bad", args: []string{"profile", "show", "customer"}, code: 2},
		{name: "profile count", args: []string{"profile", "count"}, out: "5"},
		{name: "audience create", args: []string{"audience", "create", "low", "--rule", "FILTER score < 50"}, err: "people"},
		{name: "audience create, bad", args: []string{"audience", "create", "worse", "--rule", "FILTER score <"}, code: 1, err: "line 1, column"},
		{name: "audience create, no rule", args: []string{"audience", "create", "worse"}, code: 2, err: "--rule"},
		{name: "audience list", args: []string{"audience", "list"}, out: "FILTER score > 50"},
		{name: "audience show", args: []string{"audience", "show", "high"}, out: `"size"`},
		{name: "audience size", args: []string{"audience", "size", "high"}, out: "3"},
		{name: "audience overlap", args: []string{"audience", "overlap", "high", "low"}, out: "SHARED WITH  high  low"},
		{name: "audience overlap, JSON", args: []string{"audience", "overlap", "high", "--json"}, out: `"both"`},
		{name: "audience breakdown", args: []string{"audience", "breakdown", "score", "high"}, out: "PEOPLE", err: "3 people, 3 have a value"},
		{name: "rebuild cost", args: []string{"rebuild", "cost"}, out: "MESSAGES  BYTES"},
		{name: "rebuild list", args: []string{"rebuild", "list"}, out: "changed, "},
		{name: "audience edit", args: []string{"audience", "edit", "low", "--rule", "FILTER score < 40", "--name", "Very low"}, err: "low"},
		{name: "audience validate", args: []string{"audience", "validate", "filter score>50"}, out: "FILTER score > 50"},
		{name: "audience validate -", stdin: "FILTER score > 60", args: []string{"audience", "validate", "-"}, out: "FILTER score > 60"},
		{name: "audience members", args: []string{"audience", "members", "high", "--limit", "1"}, out: "•••", err: "--after"},
		{name: "audience run", args: []string{"audience", "run", "low"}},
		{name: "audience delete", args: []string{"audience", "delete", "low"}},
		{name: "provider list", args: []string{"provider", "list"}, out: "meta_custom_audience"},
		{name: "auth create", stdin: meta.DefaultToken + "\n", args: []string{"auth", "create", "meta", "--label", "Two", "--secret", "access_token=-", "--set", "base_url=" + s.Network + "/meta"}, keep: true},
		{name: "auth create, secret on the line", args: []string{"auth", "create", "meta", "--label", "x", "--secret", "access_token=mark"}, code: 2, err: "access_token=-"},
		{name: "auth create, no secret", args: []string{"auth", "create", "meta", "--label", "x", "--secret", "access_token=-"}, code: 2, err: "standard input"},
		{name: "auth list", args: []string{"auth", "list"}, out: "Two"},
		{name: "auth show", args: []string{"auth", "show", "{made}"}, out: `"provider_slug": "meta"`},
		{name: "auth delete", args: []string{"auth", "delete", "{made}"}},
		{name: "auth delete, used", args: []string{"auth", "delete", s.Auth}, code: 1},
		{name: "destination list", args: []string{"destination", "list"}, out: "Shop"},
		{name: "destination show", args: []string{"destination", "show", s.Destination}, out: `"account": "1"`},
		{name: "destination test", args: []string{"destination", "test", s.Destination}, err: "good"},
		{name: "destination create, bad", args: []string{"destination", "create", "x", "--provider", "meta", "--auth", s.Auth, "--map", "EMAIL=nothing"}, code: 1, err: "account: is needed"},
		{name: "destination create", args: []string{"destination", "create", "Two", "--provider", "meta", "--auth", s.Auth, "--account", "2", "--map", "EMAIL=email"}, keep: true},
		{name: "destination delete", args: []string{"destination", "delete", "{made}"}},
		{name: "target list", args: []string{"target", "list"}, out: "high"},
		{name: "job list", args: []string{"job", "list"}, out: "paused"},
		{name: "job show", args: []string{"job", "show", s.Job}, out: `"workflow"`},
		{name: "job logs", args: []string{"job", "logs", s.Job}, out: "created"},
		{name: "job plan", args: []string{"job", "plan", s.Job}, out: "pass"},
		{name: "job run, paused", args: []string{"job", "run", s.Job}, code: 1, err: "paused"},
		{name: "job bounce, paused", args: []string{"job", "bounce", s.Job}, code: 1, err: "resume"},
		{name: "job resume", args: []string{"job", "resume", s.Job}, err: "runnable"},
		{name: "job pause", args: []string{"job", "pause", s.Job}, err: "paused"},
		{name: "job create, bad", args: []string{"job", "create", "meta-custom-audience", "--name", "x", "--destination", s.Destination, "--audience", "nothing"}, code: 1, err: "segment_ids"},
		{name: "job create, no workflow", args: []string{"job", "create"}, code: 2, err: "usher job create --help"},
		{name: "job kill", args: []string{"job", "kill", s.Job}, err: "killed"},
		{name: "run list", args: []string{"run", "list"}, out: "completed"},
		{name: "run list, filtered", args: []string{"run", "list", "--status", "failed"}, err: "nothing there"},
		{name: "run list, bad filter", args: []string{"run", "list", "--status", "odd"}, code: 1, err: "status"},
		{name: "run show", args: []string{"run", "show", s.Run}, out: `"laws"`},
		{name: "run items", args: []string{"run", "items", s.Run}, out: "delivered"},
		{name: "run item", args: []string{"run", "item", s.Run, "1"}, out: "accepted"},
		{name: "run errors", args: []string{"run", "errors", s.Run}, err: "nothing there"},
		{name: "run retry", args: []string{"run", "retry", s.Run}, code: 1, err: "only a failed run"},
		{name: "audit", args: []string{"audit"}, out: "token:test admin"},
		{name: "doctor", args: []string{"doctor", "--data", s.Dir}, out: "token"},
		{name: "doctor, nowhere", args: []string{"doctor", "--data", filepath.Join(dir, "nothing")}, code: 3, out: "WRONG", err: "found something wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := make([]string, len(c.args))
			for i, a := range c.args {
				args[i] = strings.ReplaceAll(a, "{made}", made)
			}
			r := s.run(t, c.stdin, args...)
			r.expect(t, c.code)
			if !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.err) {
				t.Errorf("want %q and %q\nstdout: %s\nstderr: %s", c.out, c.err, r.out, r.err)
			}
			for _, secret := range []string{meta.DefaultToken, s.Tokens[activation.RoleAdmin], "a@example.com"} {
				if c.name != "stream messages" && strings.Contains(r.out+r.err, secret) {
					t.Errorf("prints %q: %s%s", secret, r.out, r.err)
				}
			}
			if c.keep {
				made = strings.TrimSpace(r.out)
			}
		})
	}
	t.Run("json", func(t *testing.T) { everyListIsJSON(t, s) })
}

// everyListIsJSON runs each command that takes --json and needs nothing more.
func everyListIsJSON(t *testing.T, s shop) {
	for _, args := range [][]string{
		{"stream", "list"},
		{"field", "list"},
		{"mapping", "list", "people"},
		{"audience", "list"},
		{"audience", "members", "high"},
		{"audience", "validate", "FILTER *"},
		{"auth", "list"},
		{"provider", "list"},
		{"destination", "list"},
		{"target", "list"},
		{"job", "list", "--all"},
		{"job", "list"},
		{"job", "logs", s.Job},
		{"run", "list"},
		{"run", "items", s.Run},
		{"run", "errors", s.Run},
		{"profile", "show", "customer=id-1"},
		{"profile", "count"},
		{"audit"},
		{"doctor", "--data", s.Dir},
	} {
		r := s.run(t, "", append(args, "--json")...)
		if r.code != 0 || !json.Valid([]byte(r.out)) || strings.TrimSpace(r.out) == "null" {
			t.Errorf("%v --json: exit code %d, no JSON: %s%s", args, r.code, r.out, r.err)
		}
	}
}

// TestExitCodes: 2 for what was typed wrong, 3 where nothing answers, 1 for what
// the server refuses.
func TestExitCodes(t *testing.T) {
	const nowhere = "http://127.0.0.1:1"
	for _, c := range []struct {
		args []string
		code int
		err  string
	}{
		{[]string{}, 0, ""},
		{[]string{"--version"}, 0, ""},
		{[]string{"nothing"}, 2, `"nothing"`},
		{[]string{"job", "nothing"}, 2, `"nothing" is not a command of usher job`},
		{[]string{"job", "list", "--nothing"}, 2, "--nothing"},
		{[]string{"job", "list", "extra"}, 2, "usher job list --help"},
		{[]string{"job", "show"}, 2, "usher job show --help"},
		{[]string{"auth", "create", "meta"}, 2, "label"},
		{[]string{"audience", "edit", "x"}, 2, "--name"},
		{[]string{"serve", "--listen", "nowhere"}, 2, "listen"},
		{[]string{"serve", "--config", "nothing.yaml"}, 2, "nothing.yaml"},
		{[]string{"job", "list", "--url", nowhere}, 3, "usher serve"},
		{[]string{"import", "cli_test.go", "--url", nowhere}, 3, "usher serve"},
		{[]string{"doctor", "--data", t.TempDir(), "--url", nowhere}, 3, ""},
		{[]string{"sandbox", "--listen", "8.8.8.8:80"}, 3, ""},
	} {
		r := run(t, "", c.args...)
		if r.code != c.code || !strings.Contains(r.err, c.err) {
			t.Errorf("usher %s: exit code %d, want %d; stderr %q, want %q in it", strings.Join(c.args, " "), r.code, c.code, r.err, c.err)
		}
	}
}
