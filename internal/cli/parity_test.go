package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"usher/internal/cli"
	"usher/internal/server/servertest"
)

// pageOf is where the console does what each operation does: the path of a page,
// or of a form after POST; a reason in brackets where there is none. {id} stands
// for any name.
var pageOf = map[string]string{
	"health": "(for programs)", "ready": "(for programs)", "collect-bulk": "(for programs)", "collect-json": "(for programs)",
	"list-jobs": "/jobs", "show-job": "/jobs/{id}", "create-workflow-job": "/jobs/new", "edit-job": "POST /jobs/{id}/edit", "delete-job": "POST /jobs/{id}/{command}", "jobs-logs": "/jobs", "job-metrics": "/jobs/{id}", "metrics": "/", "job-passes": "/jobs/{id}", "job-logs": "/jobs/{id}",
	"pause-job": "POST /jobs/{id}/{command}", "resume-job": "POST /jobs/{id}/{command}", "bounce-job": "POST /jobs/{id}/{command}",
	"kill-job": "POST /jobs/{id}/{command}", "run-job": "POST /jobs/{id}/{command}", "plan-job": "/jobs/{id}",
	"list-runs": "/sync", "show-run": "/runs/{id}", "run-items": "/runs/{id}", "run-item": "/runs/{id}/items/{number}", "run-errors": "/runs/{id}",
	"retry-run": "POST /runs/{id}/retry", "approve-run": "POST /runs/{id}/approve", "decline-run": "POST /runs/{id}/decline", "withdraw-run": "POST /runs/{id}/withdraw",
	"list-audiences": "/audiences", "show-audience": "/audiences/{id}", "create-audience": "POST /audiences", "edit-audience": "POST /audiences/{id}",
	"validate-audience": "POST /audiences/try", "run-audience": "POST /audiences/{id}/run", "delete-audience": "(nothing in the console deletes an audience; the command says what uses it)", "audience-size": "/audiences/{id}", "scan-audience": "/audiences/{id}", "scan-rule": "POST /audiences/try",
	"list-destinations": "/destinations", "show-destination": "/destinations/{id}", "create-destination": "POST /destinations", "test-destination": "POST /destinations/{id}/test",
	"edit-destination": "POST /destinations/{id}", "delete-destination": "POST /destinations/{id}/delete", "list-targets": "/destinations/{id}", "show-target": "/targets/{id}",
	"release-target":      "POST /destinations/{id}/targets/{target}/release",
	"list-authorizations": "/authorizations", "show-authorization": "/authorizations/{id}", "create-authorization": "POST /authorizations", "connect-authorization": "POST /authorizations",
	"edit-authorization": "POST /authorizations/{id}", "test-authorization": "POST /authorizations/{id}/test", "replace-authorization": "POST /authorizations/{id}/replace", "delete-authorization": "POST /authorizations/{id}/delete",
	"list-providers": "/jobs/new", "show-provider": "/authorizations/new", "list-workflows": "/jobs/new", "show-workflow": "/jobs/new",
	"list-streams": "/data", "stream-names": "/data", "show-stream": "/data/streams/{id}", "stream-fields": "/data/streams/{id}", "stream-stats": "/data",
	"declare-stream": "POST /data/streams", "stream-messages": "/data/streams/{id}", "rebuild": "POST /data/rebuild",
	"list-fields": "/data", "declare-field": "POST /data/fields", "delete-field": "POST /data/fields/{name}/delete", "list-mappings": "/data/streams/{id}", "set-mappings": "POST /data/streams/{id}/mappings",
	"list-loads": "/data", "show-load": "/data", "lookup-profile": "POST /data/profile", "count-profiles": "/",
	"list-users": "/people", "show-user": "/people/{id}", "create-user": "POST /people", "edit-user": "POST /people/{id}", "delete-user": "POST /people/{id}/delete",
	"change-password": "POST /account/password", "list-tokens": "/tokens", "show-token": "/tokens", "create-token": "POST /tokens", "delete-token": "POST /tokens/{id}/revoke",
	"list-alerts": "/alerts", "acknowledge-alert": "POST /alerts/{job}/{source}/{subject}/{verb}", "silence-alert": "POST /alerts/{job}/{source}/{subject}/{verb}",
	"unsilence-alert": "POST /alerts/{job}/{source}/{subject}/{verb}", "test-alert": "POST /alerts/{job}/test", "list-notices": "/alerts", "audit-log": "/audit",
	"reconcile-target": "POST /targets/{id}/reconcile", "list-reconciliations": "/targets/{id}", "target-drift": "/targets/{id}", "repair-target": "POST /targets/{id}/repair",
	"replace-target": "POST /targets/{id}/replace", "run-target": "POST /targets/{id}/run", "explain": "POST /targets/{id}/explain",
	"list-priority-lists": "/priorities", "show-priority-list": "/priorities/{id}", "create-priority-list": "POST /priorities", "edit-priority-list": "POST /priorities/{id}", "delete-priority-list": "POST /priorities/{id}/delete",
	"list-issues": "/decisions", "create-issue": "POST /decisions/issues", "edit-issue": "POST /decisions/issues/{id}", "delete-issue": "POST /decisions/issues/{id}/delete",
	"list-groups": "/decisions", "create-group": "POST /decisions/groups", "edit-group": "POST /decisions/groups/{id}", "delete-group": "POST /decisions/groups/{id}/delete",
	"list-actions": "/decisions", "show-action": "/decisions/actions/{id}", "create-action": "POST /decisions/actions", "edit-action": "POST /decisions/actions/{id}", "delete-action": "POST /decisions/actions/{id}/delete",
	"decide": "POST /decisions/customer", "preview-decision": "/decisions/preview", "capture-response": "(for programs)", "push-history": "POST /destinations/{id}/history",
	"list-publishers": "/publishers", "show-publisher": "/publishers/{id}", "create-publisher": "POST /publishers", "edit-publisher": "POST /publishers/{id}", "delete-publisher": "POST /publishers/{id}/unlink", "test-publisher": "POST /publishers/{id}/check", "sync-publisher": "POST /publishers/{id}/sync",
	"next-entries": "/activity", "post-all-entries": "POST /activity", "publisher-costs": "/publishers/{id}",
	"list-objects": "/publishers/{id}/structure", "show-object": "/publishers/{id}/object/{kind}/{object}", "edit-object": "POST /publishers/{id}/object/{kind}/{object}", "new-object": "POST /publishers/{id}/structure/new",
	"delete-object": "POST /publishers/{id}/object/{kind}/{object}/delete", "bulk-edit": "POST /publishers/{id}/structure", "upload-edits": "POST /publishers/{id}/upload", "upload-template": "/publishers/{id}/upload/template.csv",
	"list-schedules": "/publishers/{id}/schedules", "create-schedule": "POST /publishers/{id}/schedules", "edit-schedule": "POST /publishers/{id}/schedules", "delete-schedule": "POST /publishers/{id}/schedules/{schedule}/delete",
	"list-strategies": "/publishers/{id}/bidding", "create-strategy": "POST /publishers/{id}/bidding/{strategy}", "edit-strategy": "POST /publishers/{id}/bidding/{strategy}", "delete-strategy": "POST /publishers/{id}/bidding/{strategy}/delete",
	"run-strategy": "POST /publishers/{id}/bidding/{strategy}/run", "list-proposals": "/publishers/{id}/bidding/{strategy}", "override-bid": "POST /publishers/{id}/bidding/{strategy}/override", "give-bids": "(bids that are given come from a program)",
	"list-entries": "/activity", "count-entries": "/activity", "show-entry": "/activity/{id}", "entry-position": "/activity/{id}", "entry-errors": "/activity/{id}/errors.csv",
	"post-entries": "POST /activity", "hold-entries": "POST /activity", "release-entries": "POST /activity", "cancel-entries": "POST /activity", "retry-entries": "POST /activity",
	"list-rebuilds": "/data", "show-rebuild": "/data", "cancel-rebuild": "POST /data/rebuild/{id}/cancel", "rebuild-cost": "/data",
	"preview-mappings": "POST /data/streams/{id}/mappings", "delete-mapping": "POST /data/streams/{id}/mappings", "stream-drift": "/data/streams/{id}", "accept-drift": "POST /data/streams/{id}/accept",
	"show-identity": "/data/fields", "set-identity": "POST /data/identity", "list-merges": "POST /data/profile", "rejected-rows": "/data/loads/{id}/rejected",
	"forget": "POST /data/forget", "list-forgets": "/data/forget", "show-forget": "/data/forget/{id}", "compact": "(it happens every night, and for each forget)",
	"breakdown-audience": "/audiences/{id}", "overlap-audiences": "/audiences/{id}", "audience-reach": "/audiences/{id}", "audience-trend": "/audiences/{id}",
	"preview-import": "POST /jobs/{id}/preview", "import-position": "/jobs/{id}", "reset-import": "POST /jobs/{id}/reset",
	"apply": "/configuration", "export": "/configuration",
	"list-templates": "/templates", "show-template": "/templates/{id}", "create-template": "POST /templates", "edit-template": "POST /templates/{id}", "test-template": "POST /templates/{id}", "delete-template": "POST /templates/{id}/delete",
	"show-visitor": "(for web pages; the page of a web destination has the snippet that asks)",
	"show-vault":   "/settings", "rotate-vault": "POST /settings/keys",
	"retry-load": "(an upload that failed is retried by its sender)", "discard-load": "(an upload that failed is discarded by its sender)",
}

// operationOf is one operation as the document has it.
type operationOf struct {
	id, route string
	old       bool
}

// documented reads the operations of the server's OpenAPI document.
func documented(t *testing.T, s *servertest.Server) []operationOf {
	t.Helper()
	res := send(t, http.DefaultTransport, http.MethodGet, s.URL+"/openapi.json", "")
	raw, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			ID  string `json:"operationId"`
			Old bool   `json:"deprecated"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var out []operationOf
	for path, methods := range doc.Paths {
		for method, op := range methods {
			out = append(out, operationOf{op.ID, strings.ToUpper(method) + " " + path, op.Old})
		}
	}
	slices.SortFunc(out, func(a, b operationOf) int {
		_, x, _ := strings.Cut(a.route, " ")
		_, y, _ := strings.Cut(b.route, " ")
		return strings.Compare(x+a.route, y+b.route)
	})
	return out
}

func send(t *testing.T, through http.RoundTripper, method, address, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	res, err := through.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestParity prints operation × way, and fails where a cell is empty: every
// operation has a command that exists and a page that answers, or the reason why
// not.
func TestParity(t *testing.T) {
	s := servertest.Start(t)
	ops := documented(t, s)
	commands := map[string]bool{}
	walk(cli.Commands(), func(c *cobra.Command) { commands[strings.TrimPrefix(c.CommandPath(), "usher ")] = true })
	seen := map[string]bool{}
	var table strings.Builder
	fmt.Fprintf(&table, "%-58s %-28s %s\n", "API", "CLI", "CONSOLE")
	for _, op := range ops {
		seen[op.id] = true
		command, page := commandOf[op.id], pageOf[op.id]
		if op.old || strings.HasPrefix(command, "(older form)") || strings.HasPrefix(command, "(the same as") {
			page = "(the same as the newer form)"
		}
		if command == "" || !strings.HasPrefix(command, "(") && !commands[command] {
			t.Errorf("%s (%s) has no command: %q", op.route, op.id, command)
		}
		if page == "" {
			t.Errorf("%s (%s) has no page", op.route, op.id)
		}
		fmt.Fprintf(&table, "%-58s %-28s %s\n", op.route, command, page)
	}
	for _, of := range []map[string]string{commandOf, pageOf} {
		for id := range of {
			if !seen[id] {
				t.Errorf("%q is no operation of the API", id)
			}
		}
	}
	t.Logf("%d operations\n%s", len(ops), table.String())
	t.Run("pages", func(t *testing.T) { everyPageAnswers(t, s) })
}

// everyPageAnswers asks for each page, and sends each form without its secret:
// what is registered leads to the sign-in or refuses the form, what is not is a
// page that is not there.
func everyPageAnswers(t *testing.T, s *servertest.Server) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(s.URL); err != nil || len(jar.Cookies(u)) > 0 {
		t.Fatalf("a fresh browser has cookies: %v", err)
	}
	ask := func(page string) string {
		method, path := http.MethodGet, page
		if rest, ok := strings.CutPrefix(page, "POST "); ok {
			method, path = http.MethodPost, rest
		}
		for _, name := range []string{"{id}", "{command}", "{number}", "{job}", "{source}", "{subject}", "{verb}", "{target}", "{kind}", "{object}", "{schedule}", "{strategy}"} {
			path = strings.ReplaceAll(path, name, "1")
		}
		res := send(t, http.DefaultTransport, method, s.URL+path, "")
		_ = res.Body.Close()
		return fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location"))
	}
	const signIn = "303 /login"
	if got := ask("POST /no/such/form"); got == signIn {
		t.Fatalf("a form that is not there answers %s", got)
	}
	for id, page := range pageOf {
		if strings.HasPrefix(page, "(") {
			continue
		}
		if got := ask(page); got != signIn {
			t.Errorf("%s: %s answers %s, want %s", id, page, got, signIn)
		}
	}
}
