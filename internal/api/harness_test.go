package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/server/servertest"
	"usher/sandbox/meta"
)

// mark stands in submitted values: no error may give it back.
const mark = "mark-of-a-secret-value"

// nobody is an id of nothing.
const nobody = "00000000000000000000000000000000"

// answer is an answer with its body read.
type answer struct {
	*http.Response
	body string
}

// call sends one request. A token of "" is none.
func call(t testing.TB, s *servertest.Server, token, method, path string, body io.Reader) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	if body != nil && strings.HasPrefix(path, "/v2/") {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(raw)}
}

// leaks are what no error may hold: secrets, e-mails, hashes, submitted values.
func leaks(s *servertest.Server) []string {
	sum := sha256.Sum256([]byte("a@example.com"))
	out := []string{mark, "@example.com", hex.EncodeToString(sum[:]), meta.DefaultToken}
	return append(out, slices.Collect(maps.Values(s.Tokens))...)
}

// checkAnswer checks status, headers and the envelope of both generations.
func checkAnswer(t testing.TB, s *servertest.Server, a answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", a.StatusCode, status, a.body)
	}
	var env struct {
		Data      *json.RawMessage `json:"data"`
		Status    int              `json:"status"`
		Old       int              `json:"statuscode"`
		Message   string           `json:"message"`
		RequestID string           `json:"request_id"`
		Errors    []struct{ Code, Level, Message, Timestamp string }
	}
	if err := json.Unmarshal([]byte(a.body), &env); err != nil {
		t.Fatalf("no JSON: %v: %s", err, a.body)
	}
	if a.Request != nil && strings.HasPrefix(a.Request.URL.Path, "/api/") {
		if env.Old != status {
			t.Errorf("envelope of the older generation says %d: %s", env.Old, a.body)
		}
		env.Status = env.Old
	}
	if env.Status != status || env.Message == "" {
		t.Errorf("envelope says %d %q: %s", env.Status, env.Message, a.body)
	}
	if id := a.Header.Get("X-Request-Id"); id == "" || env.RequestID != id {
		t.Errorf("request id %q in the header, %q in the envelope", id, env.RequestID)
	}
	if status < 300 {
		if len(env.Errors) > 0 {
			t.Errorf("a success with errors: %s", a.body)
		}
		return
	}
	if env.Data != nil || !strings.Contains(a.body, `"data":null`) {
		t.Errorf("an error without data null: %s", a.body)
	}
	if len(env.Errors) == 0 {
		t.Errorf("an error without errors[]: %s", a.body)
	}
	for _, e := range env.Errors {
		if e.Code == "" || e.Level == "" || e.Message == "" || e.Timestamp == "" {
			t.Errorf("an incomplete entry of errors[]: %+v", e)
		}
	}
	for _, secret := range leaks(s) {
		if strings.Contains(a.body, secret) {
			t.Errorf("the error gives back %q: %s", secret, a.body)
		}
	}
}

// operation is one operation of the OpenAPI document.
type operation struct {
	ID, Method, Path string
	JSON             bool
}

// operations reads the OpenAPI document the server serves.
func operations(t testing.TB, s *servertest.Server) []operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			ID   string `json:"operationId"`
			Body *struct {
				Content map[string]json.RawMessage `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(call(t, s, "", http.MethodGet, "/openapi.json", nil).body), &doc); err != nil {
		t.Fatal(err)
	}
	var out []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			o := operation{ID: op.ID, Method: strings.ToUpper(method), Path: path}
			if op.Body != nil && strings.HasPrefix(path, "/v2/") {
				_, o.JSON = op.Body.Content["application/json"]
			}
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// nowhere is the path of o with ids of nothing.
func (o operation) nowhere() string {
	p := strings.NewReplacer("{id}", nobody, "{workflow}", "meta-custom-audience", "{type}", "meta", "{stream}", "people", "{name}", "people", "{n}", "1", "{slug}", "meta", "{field}", "customer", "{value}", "nobody", "{public_id}", "v1", "{kind}", "campaign", "{kinds}", "campaigns", "{object}", "1", "{plan}", nobody)
	return p.Replace(o.Path)
}

func reader(body string) io.Reader {
	if body == "" {
		return nil
	}
	return bytes.NewReader([]byte(body))
}

// start is one server with a shop for all tables.
func start(t testing.TB) (*servertest.Server, servertest.Shop) {
	t.Helper()
	s := servertest.Start(t)
	return s, s.Declare()
}

// roleOf is the least role that may call an operation.
func roleOf(id string) activation.Role {
	switch id {
	case "health", "ready":
		return ""
	case "create-authorization", "connect-authorization", "delete-authorization", "edit-authorization", "edit-typed-authorization", "replace-authorization", "show-vault", "rotate-vault", "audit-log", "stream-messages", "rejected-rows", "forget", "compact",
		"list-users", "show-user", "create-user", "edit-user", "delete-user", "create-publisher", "edit-publisher", "delete-publisher":
		return activation.RoleAdmin
	case "list-jobs", "show-job", "job-logs", "jobs-logs", "job-passes", "workflow-job-passes", "metrics", "job-metrics", "workflow-job-metrics", "plan-job", "show-workflow-job", "workflow-job-logs", "plan-workflow-job",
		"list-runs", "show-run", "run-items", "run-errors", "run-item", "list-targets", "show-target", "list-reconciliations", "target-drift", "list-priority-lists", "show-priority-list", "list-issues", "list-groups", "list-actions", "show-action", "preview-decision",
		"list-audiences", "show-audience", "audience-size", "scan-audience", "breakdown-audience", "overlap-audiences", "audience-reach", "audience-trend",
		"import-position", "list-rebuilds", "show-rebuild", "rebuild-cost", "list-forgets", "show-forget", "stream-drift", "show-identity", "list-merges",
		"show-stream", "stream-names", "stream-fields", "stream-stats", "scan-rule",
		"show-typed-authorization", "show-provider", "list-workflows", "show-workflow",
		"old-list-jobs", "old-show-job", "old-list-authorizations", "old-show-authorization", "old-list-providers", "old-show-provider",
		"old-list-audiences", "old-show-audience", "old-audience-size", "old-show-profile",
		"list-destinations", "show-destination", "list-authorizations", "show-authorization", "list-providers",
		"list-templates", "show-template", "list-alerts", "list-notices", "show-visitor",
		"list-tokens", "show-token", "create-token", "delete-token", "change-password",
		"list-publishers", "show-publisher", "next-entries", "publisher-costs", "list-objects", "show-object", "upload-template", "list-entries", "count-entries", "show-entry", "entry-position", "entry-errors",
		"list-schedules", "list-strategies", "list-proposals",
		"list-streams", "list-fields", "list-mappings", "list-loads", "show-load", "lookup-profile", "count-profiles":
		return activation.RoleViewer
	}
	return activation.RoleOperator
}

// do sends req and returns the answer and the id of the load it made, if any.
func do(t testing.TB, req *http.Request) (answer, string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	var sum struct {
		Data struct {
			ID string `json:"load_id"`
		} `json:"data"`
	}
	_ = json.Unmarshal(raw, &sum) // judged by whoever reads the answer
	return answer{res, string(raw)}, sum.Data.ID
}

// nothingOf fails when a stream has any message.
func nothingOf(t testing.TB, s *servertest.Server, stream string) {
	t.Helper()
	var messages []json.RawMessage
	s.Must(http.MethodGet, "/v2/stream/"+stream+"/events", nil, &messages)
	if len(messages) > 0 {
		t.Errorf("%d messages of %s are visible", len(messages), stream)
	}
}

// spoolEmpty fails when a file of an upload stays in the inbox's spool.
func spoolEmpty(t testing.TB, s *servertest.Server) {
	t.Helper()
	s.Eventually("spool empty", func() bool {
		left := 0
		err := filepath.WalkDir(filepath.Join(s.Dir, "inbox"), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), "inbox") {
				left++
			}
			return nil
		})
		return err == nil && left == 0
	})
}
