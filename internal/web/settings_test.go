package web_test

import (
	"archive/zip"
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/store/sqlite"
)

// TestSettings looks at the server's facts, changes the key, and reads the
// audit log.
func TestSettings(t *testing.T) {
	w := start(t)
	w.fill()
	b := w.signedIn()
	wantPage(t, b, "/settings", "SQLite", "control.sqlite", "by the lock of the data directory", "90 days", "job_retention", "More than 20%", "Seals now", `href="/audit"`, `href="/people"`, `href="/tokens"`, `href="/configuration"`)
	wantRedirect(t, b, "/settings/keys", nil, "/settings")
	wantPage(t, b, "/settings", "1 authorization sealed anew", "Opens what is older")
	wantRedirect(t, b, "/authorizations/"+w.auth+"/test", nil, "/authorizations/"+w.auth)
	wantPage(t, b, "/authorizations/"+w.auth, "The credentials work")

	wantPage(t, b, "/audit", "Changed the key", "Created", `href="/jobs/`+string(w.job))
	wantPage(t, b, "/audit?verb=rotate", "vault")
	if _, body := b.get("/audit?verb=rotate"); strings.Contains(body, string(w.job)) {
		t.Error("the filter by verb lets others through")
	}
	wantPage(t, b, "/audit?subject=job&id="+string(w.job), "Created")
	wantPage(t, b, "/audit?person=nobody", "No entry fits these filters")
	// More than a page of them: older ones are a link away, and none is on both.
	for range 60 {
		w.must(http.MethodPut, "/v2/auth/"+w.auth, map[string]any{"description": "again"}, nil)
	}
	_, first := b.get("/audit?verb=update")
	older := strings.ReplaceAll(between(t, first[strings.LastIndex(first, `<div class="in row-x">`):], `href="`, `"`), "&amp;", "&")
	if !strings.Contains(older, "before=") || !strings.Contains(older, "verb=update") {
		t.Fatalf("older entries are at %q", older)
	}
	_, second := b.get(older)
	if n, m := strings.Count(first, "<tr><td><time"), strings.Count(second, "<tr><td><time"); n != 50 || m < 10 || m > 49 || !strings.Contains(second, ">Newest<") {
		t.Errorf("%d entries, then %d", n, m)
	}
}

// send posts files as a browser does.
func (b *browser) send(path string, fields url.Values, files map[string][]byte) (*http.Response, string) {
	b.w.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for name, values := range fields {
		for _, v := range values {
			if err := m.WriteField(name, v); err != nil {
				b.w.t.Fatal(err)
			}
		}
	}
	for name, raw := range files {
		f, err := m.CreateFormFile("upload", name)
		if err == nil {
			_, err = f.Write(raw)
		}
		if err != nil {
			b.w.t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		b.w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodPost, b.w.url+path, &body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", m.FormDataContentType())
	return b.do(req)
}

// TestConfigurationPage downloads everything, plans and applies files, and is
// told what is wrong by file and line.
func TestConfigurationPage(t *testing.T) {
	w := start(t)
	w.fill()
	b := w.signedIn()
	wantPage(t, b, "/configuration", "Declared now", "audiences/high.yaml", "FILTER score", "authorizations.yaml")

	res, archive := b.get("/configuration/export.zip")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/zip" || strings.Contains(archive, secretToken) {
		t.Fatalf("download: status %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	z, err := zip.NewReader(strings.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	inside := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		inside[f.Name] = string(raw)
	}
	if !strings.Contains(inside["audiences/high.yaml"], "score > 50") || len(inside) < 6 {
		t.Errorf("the archive holds %v", inside)
	}

	// What was downloaded changes nothing when it is brought back.
	plan := url.Values{"csrf_token": {b.csrf}, "go": {"plan"}}
	res, body := b.send("/configuration", plan, map[string][]byte{"usher-configuration.zip": []byte(archive)})
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "0 to create, 0 to update") || !strings.Contains(body, "Everything is there already") || strings.Contains(body, `value="apply"`) {
		t.Errorf("plan of the download: status %d %.400s", res.StatusCode, body)
	}
	// A plan writes nothing, and its files are in the form for applying them.
	const more = "kind: audience\nslug: low\nname: Low scores\nrule: FILTER score < 50\n"
	res, body = b.send("/configuration", plan, map[string][]byte{"low.yaml": []byte(more), "high.yaml": []byte(strings.ReplaceAll(inside["audiences/high.yaml"], "50", "60"))})
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "1 to create, 1 to update") || !strings.Contains(body, "low.yaml:1") || !strings.Contains(body, `value="apply"`) || !strings.Contains(body, "Low scores") {
		t.Errorf("plan: status %d", res.StatusCode)
	}
	if res, _ := b.get("/audiences/low"); res.StatusCode != http.StatusNotFound {
		t.Error("planning made the audience")
	}
	apply := url.Values{"csrf_token": {b.csrf}, "go": {"apply"}, "file": {"low.yaml"}, "text": {strings.ReplaceAll(more, "\n", "\r\n")}}
	// What was not planned is planned first; what was is applied.
	res, body = b.send("/configuration", apply, nil)
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "not those that were planned") || !strings.Contains(body, "1 to create, 0 to update") {
		t.Errorf("apply without a plan: status %d", res.StatusCode)
	}
	if res, _ := b.get("/audiences/low"); res.StatusCode != http.StatusNotFound {
		t.Error("what was not planned was applied")
	}
	apply.Set("planned", between(t, body, `name="planned" value="`, `"`))
	if res, body := b.send("/configuration", apply, nil); res.StatusCode != http.StatusOK || !strings.Contains(body, "1 created, 0 updated, 0 unchanged") {
		t.Errorf("apply: status %d", res.StatusCode)
	}
	wantPage(t, b, "/audiences/low", "Low scores")
	if res, body := b.send("/configuration", apply, nil); res.StatusCode != http.StatusOK || !strings.Contains(body, "0 created, 0 updated, 1 unchanged") {
		t.Errorf("apply again: status %d", res.StatusCode)
	}

	for name, c := range map[string]struct {
		fields url.Values
		files  map[string][]byte
		status int
		want   string
	}{
		"wrong by line":  {url.Values{"go": {"apply"}, "file": {"a.yaml"}, "text": {"kind: audience\nslug: odd\nname: Odd\nrule: FILTER nosuch > 1\n"}}, nil, 400, "a.yaml:4"},
		"no yaml":        {url.Values{"file": {"a.yaml"}, "text": {"kind: ["}}, nil, 400, "a.yaml:1"},
		"unknown kind":   {nil, map[string][]byte{"b.yaml": []byte("kind: spaceship\n")}, 400, "b.yaml:1"},
		"nothing":        {nil, nil, 400, "Paste YAML or choose files first."},
		"no archive":     {nil, map[string][]byte{"x.zip": []byte("PK nonsense")}, 400, "is not a .zip archive"},
		"no text":        {nil, map[string][]byte{"x.yaml": {0xff, 0xfe}}, 400, "is not text"},
		"forged":         {url.Values{"csrf_token": {"wrong"}}, nil, 403, "Nothing was changed"},
		"far too large":  {nil, map[string][]byte{"x.yaml": bytes.Repeat([]byte("# x\n"), 5<<20)}, 413, "too large"},
		"climbing paths": {nil, map[string][]byte{`..\..\etc\x.yaml`: []byte("kind: spaceship\n")}, 400, "x.yaml:1"},
	} {
		fields := url.Values{"csrf_token": {b.csrf}, "go": {"plan"}}
		for k, v := range c.fields {
			fields[k] = v
		}
		res, body := b.send("/configuration", fields, c.files)
		if res.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: status %d, lacks %q: %.300s", name, res.StatusCode, c.want, body)
		}
	}
	if res, _ := b.get("/audiences/odd"); res.StatusCode != http.StatusNotFound {
		t.Error("what was wrong was made all the same")
	}
}

// TestSearch finds things of every kind by a part of their names.
func TestSearch(t *testing.T) {
	w := start(t)
	w.fill()
	b := w.signedIn()
	wantPage(t, b, "/search", "Type a part of a name", "Single-key shortcuts", "<kbd>g</kbd> then <kbd>l</kbd>")
	wantPage(t, b, "/search?q=HIGH", "High scores to Meta", `href="/audiences/high"`, "Jobs", "Audiences")
	wantPage(t, b, "/search?q=shop", `href="/destinations/`+w.dest, `href="/authorizations/`+w.auth, "Destinations", "Authorizations")
	wantPage(t, b, "/search?q=sync", `href="/sync"`)
	wantPage(t, b, "/search?q=%3Cscript%3E", "Nothing has “&lt;script&gt;” in its name")
	res, body := b.get("/search?q=high&part=1")
	if res.StatusCode != http.StatusOK || strings.Contains(body, "<html") || !strings.Contains(body, "High scores to Meta") {
		t.Errorf("the part: status %d", res.StatusCode)
	}
	if _, body := w.as(activation.RoleViewer).get("/search?q=people"); strings.Contains(body[strings.Index(body, "<main"):], `href="/people"`) {
		t.Error("a viewer finds the page of people")
	}
}

// TestAttention: what is wrong is on the overview with its fix.
func TestAttention(t *testing.T) {
	w := start(t)
	w.fill()
	w.run("first run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted })
	b := w.signedIn()
	wantPage(t, b, "/", "Everything is in order", `href="/jobs?state=`, `href="/sync?within=24h&amp;status=completed"`)
	st, err := sqlite.Open(t.Context(), filepath.Join(w.dir, "control.sqlite"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	if err := st.MarkUnhealthy(t.Context(), activation.AuthorizationID(w.auth), "the token was revoked"); err != nil {
		t.Fatal(err)
	}
	wantPage(t, b, "/", "The token was revoked. It stops: 1 destination, 1 job.", `action="/authorizations/`+w.auth+`/test"`, "Give new credentials", "Tried again at")
	wantPage(t, w.as(activation.RoleViewer), "/", "The token was revoked", "aria-disabled")
}
