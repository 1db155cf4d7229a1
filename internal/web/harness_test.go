package web_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
	"usher/internal/server"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/sandbox"
	"usher/sandbox/meta"
)

// secretToken and people hold what no page may ever show.
const (
	secretToken = meta.DefaultToken
	peopleCount = 140
)

// world is a whole server beside a sandbox network, with people loaded, an
// audience, a destination and a job.
type world struct {
	t       testing.TB
	url     string
	signIn  string
	dir     string
	api     *client.Client
	sandbox *sandbox.Sandbox
	network string // host:port
	job     activation.JobID
	auth    string
	dest    string
}

// start runs a server until the test ends.
func start(t testing.TB) *world {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ln, err := sandbox.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), sandbox: sandbox.New(sandbox.Options{Seed: 1}), network: ln.Addr().String()}
	sqlitetest.Fresh(t, filepath.Join(w.dir, "control.sqlite"))
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.MemoryMB, cfg.MaxBatch = w.dir, "127.0.0.1:0", 256, 40
	cfg.AllowHosts = []string{w.network}
	s, err := server.New(ctx, cfg, slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})), server.Options{
		Version: "test", Sweep: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- w.sandbox.Serve(ctx, ln) }()
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	raw, err := os.ReadFile(filepath.Join(w.dir, "cli.token"))
	if err != nil {
		t.Fatal(err)
	}
	w.url, w.signIn, w.api = s.URL(), s.SignInURL(), &client.Client{URL: s.URL(), Token: string(raw)}
	return w
}

// testLog passes the server's warnings on when asked for.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if os.Getenv("USHER_TEST_LOG") != "" {
		_, _ = os.Stderr.Write(p)
	}
	return len(p), nil
}

func (w *world) must(method, path string, body, out any) {
	w.t.Helper()
	if _, err := w.api.Do(w.t.Context(), method, path, body, out); err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// fill declares everything and brings people in. Nothing is sent before a job is made.
func (w *world) fill() {
	w.t.Helper()
	w.must(http.MethodPut, "/v2/stream/people", map[string]any{}, nil)
	for _, f := range []map[string]any{
		{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false},
		{"name": "email", "type": "text", "merge": "latest", "pii": true, "public": false},
		{"name": "score", "type": "integer", "merge": "latest", "pii": false, "public": false},
	} {
		w.must(http.MethodPost, "/v2/field", f, nil)
	}
	w.must(http.MethodPut, "/v2/mapping/people", map[string]string{"customer": `concat("id-", id)`, "email": "email", "score": "score"}, nil)
	w.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": "high", "name": "High scores", "segment_ql": "FILTER score > 50"}, nil)
	var auth, dest struct {
		ID string `json:"id"`
	}
	w.must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": "Shop's token", "config": map[string]string{"access_token": secretToken, "base_url": "http://" + w.network + "/meta"}}, &auth)
	w.must(http.MethodPost, "/v2/destination", map[string]any{"name": "Shop", "provider": "meta", "auth_id": auth.ID, "account": "1", "mapping": map[string]string{"EXTERN_ID": "customer", "EMAIL": "email"}}, &dest)
	w.auth, w.dest = auth.ID, dest.ID
	w.load(func(int) int { return 90 })
	var j struct {
		ID string `json:"id"`
	}
	w.must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": "High scores to Meta", "destination_id": dest.ID, "segment_ids": []string{"high"}, "run_frequency": "daily"}, &j)
	w.job = activation.JobID(j.ID)
}

// load uploads everyone with a score and waits until it is in the profiles.
func (w *world) load(score func(id int) int) {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("id,email,score,unused\n")
	for id := range peopleCount {
		fmt.Fprintf(&b, "%d,%s,%d,x\n", id, emailOf(id), score(id))
	}
	var sum struct {
		ID string `json:"load_id"`
	}
	if err := w.api.Upload(w.t.Context(), "/collect/bulk/people", "text/csv", strings.NewReader(b.String()), &sum); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("load merged", func() bool {
		var l struct{ Status string }
		w.must(http.MethodGet, "/v2/load/"+sum.ID, nil, &l)
		return l.Status == "merged"
	})
}

func emailOf(id int) string { return fmt.Sprintf("person%d@private.example", id) }

// run is the newest run once it fits.
func (w *world) run(what string, fits func(activation.Run) bool) activation.Run {
	w.t.Helper()
	var got []activation.Run
	w.eventually(what, func() bool {
		got = nil
		w.must(http.MethodGet, "/v2/run?limit=5", nil, &got)
		return len(got) > 0 && fits(got[0])
	})
	return got[0]
}

// runJob runs the job, once no other run is open, and waits for the status.
func (w *world) runJob(status activation.RunStatus) activation.Run {
	w.t.Helper()
	var opened []activation.Run
	w.eventually("a run opened", func() bool {
		_, err := w.api.Do(w.t.Context(), http.MethodPost, "/v2/job/"+string(w.job)+"/run", nil, nil)
		return err == nil
	})
	w.must(http.MethodGet, "/v2/run?limit=1", nil, &opened)
	return w.run("a run that is "+string(status), func(r activation.Run) bool {
		return r.Number >= opened[0].Number && r.Status == status && (status != activation.RunPending || r.Reason == activation.SleepApproval)
	})
}

func (w *world) eventually(what string, fn func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !fn(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within two minutes", what)
		}
	}
}

// browser is a client with cookies that does not follow redirects.
type browser struct {
	w    *world
	http *http.Client
	csrf string
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w: w, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// signedIn is a browser with a session.
func (w *world) signedIn() *browser {
	w.t.Helper()
	b := w.browser()
	_, token, _ := strings.Cut(w.signIn, "token=")
	if res, _ := b.post("/login", url.Values{"token": {token}}); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" {
		w.t.Fatalf("sign in: status %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	_, body := b.get("/")
	m := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`).FindStringSubmatch(body)
	if m == nil {
		w.t.Fatal("the overview has no CSRF token")
	}
	b.csrf = m[1]
	return b
}

func (b *browser) get(path string) (*http.Response, string) {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, b.w.url+path, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.do(req)
}

// post sends a form as it is; submit adds the CSRF token.
func (b *browser) post(path string, form url.Values) (*http.Response, string) {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodPost, b.w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

func (b *browser) submit(path string, form url.Values) (*http.Response, string) {
	b.w.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set("csrf_token", b.csrf)
	return b.post(path, form)
}

func (b *browser) do(req *http.Request) (*http.Response, string) {
	b.w.t.Helper()
	res, err := b.http.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return res, string(body)
}
