package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
	"usher/internal/server"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// The person who is forgotten. The telephone number is also of somebody else.
const (
	annEmail = "ann.forgettable@example.com"
	annPhone = "+15550100777"
	// annOther is an address of theirs that only an older message has.
	annOther = "ann.other@example.com"
	// shared is a number of both.
	shared = "+15550100999"
)

// traces are all texts that would tell that a person was there.
func traces() map[string][]byte {
	out := map[string][]byte{
		"the e-mail": []byte(annEmail), "the phone": []byte(annPhone[1:]), "the other e-mail": []byte(annOther), "the key": []byte("annkey"),
		"the public attribute": []byte("nick-annkey"), "what was imported": []byte("nick-annkey"), "what was enriched": []byte("enriched-annkey"),
	}
	for what, value := range map[string]string{"e-mail": annEmail, "other e-mail": annOther, "public id": "visitor-annkey", "phone with +": annPhone, "phone": annPhone[1:]} {
		sum := sha256.Sum256([]byte(value))
		out["SHA-256 of the "+what] = sum[:]
		out["SHA-256 of the "+what+" as hexadecimal"] = []byte(hex.EncodeToString(sum[:]))
		out["SHA-256 of the "+what+" in base64"] = bytes.ToLower([]byte(base64.StdEncoding.EncodeToString(sum[:])[:40]))
	}
	return out
}

// noTrace reads every file of a directory and finds nothing of the person.
func noTrace(t *testing.T, when, dir string) {
	t.Helper()
	for what, where := range found(t, when, dir) {
		t.Errorf("%s: %s is in %s", when, what, where)
	}
}

// found reads every file of a directory and says which traces are in which.
func found(t *testing.T, when, dir string) map[string]string {
	t.Helper()
	files, out := 0, map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files++
		lower := bytes.ToLower(raw)
		for what, text := range traces() {
			in := lower
			if len(text) == sha256.Size {
				in = raw
			}
			if i := bytes.Index(in, text); i >= 0 {
				out[what] += fmt.Sprintf(" %s (byte %d of %d)", filepath.Base(path), i, len(raw))
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d files read", when, files)
	return out
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is a server in this process.
type running struct {
	*near
	*server.Server
	stop func()
}

func run(t *testing.T, dir string, far *far, log io.Writer) *running {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.MemoryMB, cfg.AllowHosts = dir, 256, strings.Split(far.addr, ",")
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := server.New(ctx, cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), server.Options{Version: "test", Listener: ln, Sweep: 100 * time.Millisecond})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(stop)
	return &running{&near{Client: &client.Client{URL: s.URL(), Token: token(t, dir)}, t: t, dir: dir}, s, stop}
}

// failedLoad leaves a load that has failed in the inbox of a server that is not
// running yet, with a row of the person in a column that no mapping reads.
func failedLoad(t *testing.T, dir string) {
	t.Helper()
	b, err := inbox.Open(t.Context(), inbox.Config{Dir: filepath.Join(dir, "inbox")})
	if err != nil {
		t.Fatal(err)
	}
	id := activation.NewID[string]()
	s, err := b.NewSpool(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, "2,0,8,dan@example.com\n3,0,,Ann.Forgettable@example.com\n"); err != nil {
		t.Fatal(err)
	}
	path, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	l := inbox.Load{Load: warehouse.Load{ID: id, Stream: "people", Path: path, Columns: []string{"id", "referrer"}, Rows: 2, ReceivedAt: time.Now()}, Bytes: s.Bytes()}
	if err := errors.Join(b.Add(t.Context(), l), b.Fail(t.Context(), id, errors.New("broken")), b.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestForgottenForGood: whoever is forgotten is at no network, in no file of the
// data directory and in no log, and does not come back, whichever way they came
// in; whoever shares a value with them keeps it.
func TestForgottenForGood(t *testing.T) {
	if server.RaceEnabled {
		t.Skip("it is run without the race detector by make test, to be done in time; the parts are tried with it one by one")
	}
	dir, far, log, files := filepath.Join(t.TempDir(), "data"), startSandbox(t), &logs{}, serveFiles(t)
	far.addr += "," + files.addr
	failedLoad(t, dir)
	s := run(t, dir, far, log)
	declarePeople(t, s.near, far)
	paused := declareHolders(t, s.near, far)
	const csv = "id,email,phone,score\nannkey,Ann.Forgettable@Example.com," + annPhone + ",90\n2,bob@example.com," + shared + ",80\n3,cy@example.com,,70\nannkey,ann.forgettable@example.com," + shared + ",91\n"
	s.load("id,email,phone,score\nannkey-old," + annOther + ",,99\n")
	s.load(csv)
	s.load("id,email,phone,score\nannkey-old," + annEmail + ",,99\n") // who are one from now on
	s.must(http.MethodPost, "/collect/json/people", []map[string]any{{"id": "annkey", "email": annEmail, "phone": annPhone, "score": 95}}, nil)
	s.must(http.MethodPost, "/collect/json/visits", []map[string]any{{"who": " ANN.forgettable@example.com ", "page": "/"}, {"who": "somebody else", "page": "/"}}, nil)
	var sum struct {
		ID string `json:"load_id"`
	}
	if err := s.Upload(t.Context(), "/collect/bulk/people?droperrors=true", "text/csv", strings.NewReader("id,email,phone,score\n4,dora@example.com,,60\n5,Ann.Forgettable@Example.com,"+annPhone+",1,too,many\n"), &sum); err != nil {
		t.Fatal(err)
	}
	s.awaitLoad(sum.ID)
	enriching, importing := declareSources(t, s.near, files)
	s.passed(enriching, 1)
	s.passed(importing, 1)
	everybody := []string{"ann", "id-2", "id-3", "id-4"}
	for _, name := range []string{"High scores", "Refuses", "Gone"} {
		s.eventually("everybody is in "+name, time.Minute, func() (bool, string) {
			return slices.Equal(atMeta(t, far, name), everybody), strings.Join(atMeta(t, far, name), " ")
		})
	}
	s.eventually("everybody is on the site", time.Minute, func() (bool, string) {
		where := found(t, "site", dir)["the public attribute"]
		return strings.Contains(where, "site.db"), where
	})
	for _, job := range paused {
		s.must(http.MethodPost, "/v2/job/"+job+"/pause", nil, nil)
	}
	for _, a := range far.Meta().Audiences() {
		switch a.Name {
		case "Gone":
			far.Meta().DeleteAudience(a.ID)
		case "Refuses":
			if _, err := far.Fault(fault.Fault{Network: "meta", Op: "remove", Path: "*" + a.ID + "*", Times: -1, Kind: fault.Error, Status: http.StatusBadRequest, Code: 200, Subcode: 1870047}); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := found(t, "before", dir)
	t.Logf("the person is in %v", before)
	if before["the phone"] == "" || !strings.Contains(before["the e-mail"], ".ndjson") || !strings.Contains(before["the e-mail"], ".csv") || before["what was enriched"] == "" || before["what was imported"] == "" {
		t.Fatal("the test does not find the person where they are")
	}
	files.hold() // the next file stops in its middle
	s.must(http.MethodPost, "/v2/job/"+importing+"/run", nil, nil)
	files.await(t)
	var f activation.Forget
	begun := time.Now()
	s.must(http.MethodPost, "/v2/forget", map[string]any{"identifier": map[string]string{"field": "email", "value": " ann.forgettable@EXAMPLE.com "}}, &f)
	stage := func(what string, is func() bool) {
		t.Helper()
		s.eventually(what, 2*time.Minute, func() (bool, string) {
			s.must(http.MethodGet, "/v2/forget/"+string(f.ID), nil, &f)
			return is(), fmt.Sprintf("%s %s %+v", f.Stage, f.ErrorText, f.Targets)
		})
		t.Logf("%s after %s", what, time.Since(begun))
	}
	stage("erased", func() bool { return f.Stage != activation.ForgetErase })
	if f.Status == activation.ForgetComplete {
		t.Error("it is complete while a file that names the person is being read")
	}
	files.goOn()
	s.passed(importing, 2)
	stage("forgotten", func() bool { return f.Status == activation.ForgetComplete })
	if f.Counts["profiles"] != 1 || f.Counts["messages"] < 8 || f.Counts["identifiers"] != 4 || f.Counts["waiting_loads"] != 1 || len(f.Targets) != 4 {
		t.Errorf("the receipt says %+v", f)
	}
	for _, at := range f.Targets {
		want := activation.ForgetTarget{Status: activation.ForgetAtRemoved}
		switch at.Audience {
		case "Refuses":
			want = activation.ForgetTarget{Status: activation.ForgetAtRefused, Code: "META-TOOSMALL"}
		case "Gone":
			want = activation.ForgetTarget{Status: activation.ForgetAtGone, Code: activation.CodeRemoteGone}
		}
		if at.Status != want.Status || at.Code != want.Code || at.Run == 0 {
			t.Errorf("the receipt says of %s at %s: %+v", at.Audience, at.Destination, at)
		}
	}
	if got := atMeta(t, far, "High scores"); !slices.Equal(got, []string{"id-2", "id-3", "id-4"}) {
		t.Errorf("at the network are %q", got)
	}
	if !holdsAtMeta(far, shared) {
		t.Error("what the other person shares was taken from them")
	}
	noTrace(t, "while running", dir)
	s.load(csv)
	for _, id := range []string{"id-annkey", "id-annkey-old", "id-9"} {
		if got := s.customer(id); (got == http.StatusOK) != (id == "id-9") {
			t.Errorf("%s is found: %d", id, got)
		}
	}
	if got := s.customer("id-2"); got != http.StatusOK {
		t.Errorf("the other person is not found: %d", got)
	}
	s.must(http.MethodPost, "/v2/compaction", nil, nil)
	noTrace(t, "after the same file again", dir)
	s.stop()
	noTrace(t, "after the stop", dir)
	for what, text := range traces() {
		if strings.Contains(strings.ToLower(log.String()), string(text)) {
			t.Errorf("the log holds %s", what)
		}
	}
	again := run(t, dir, far, log)
	if got := again.customer("id-annkey"); got != http.StatusNotFound {
		t.Errorf("after a restart the person is found: %d", got)
	}
	if got := atMeta(t, far, "High scores"); !slices.Equal(got, []string{"id-2", "id-3", "id-4"}) {
		t.Errorf("after a restart at the network are %q", got)
	}
}

// files is a far side that has a file of everybody and answers what it is asked
// about people.
type files struct {
	addr    string
	mu      sync.Mutex
	held    chan struct{} // nil = it is not held up
	reached chan struct{}
}

func serveFiles(t *testing.T) *files {
	f := &files{reached: make(chan struct{}, 1)}
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ask" {
			if body, _ := io.ReadAll(r.Body); !bytes.Contains(body, []byte(annEmail)) {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"note":"enriched-annkey"}`)
			return
		}
		f.mu.Lock()
		held := f.held
		f.mu.Unlock()
		w.Header().Set("Content-Type", "text/csv")
		_, _ = io.WriteString(w, "id,email,score,nick\n2,bob@example.com,80,bo\n")
		if held != nil {
			_, _ = io.WriteString(w, "9,new@example.com,10,\nannkey,"+annEmail+",97,nick-annkey,a value too many\n")
			_ = http.NewResponseController(w).Flush()
			f.reached <- struct{}{}
			<-held
		}
		_, _ = io.WriteString(w, "annkey,"+annEmail+",97,nick-annkey\n")
		if held != nil {
			_, _ = io.WriteString(w, "annkey,,98,nick-annkey\n")
		}
	}))
	t.Cleanup(far.Close)
	f.addr = strings.TrimPrefix(far.URL, "http://")
	return f
}

func (f *files) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = make(chan struct{})
}

func (f *files) goOn() { close(f.held) }

func (f *files) await(t *testing.T) {
	t.Helper()
	select {
	case <-f.reached:
	case <-time.After(time.Minute):
		t.Fatal("the file is not read")
	}
}

// declareHolders has everybody sent to three places more: one that will refuse,
// one that will be gone, and the site. It returns their jobs.
func declareHolders(t *testing.T, n *near, far *far) (jobs []string) {
	t.Helper()
	var all []struct {
		ID string `json:"id"`
	}
	n.must(http.MethodGet, "/v2/destination", nil, &all)
	for _, name := range []string{"Refuses", "Gone"} {
		slug := strings.ToLower(name)
		n.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": slug, "name": name, "segment_ql": "FILTER score > 50"}, nil)
		var j struct{ ID string }
		n.must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": name, "destination_id": all[0].ID, "segment_ids": []string{slug}}, &j)
		jobs = append(jobs, j.ID)
	}
	var dest, j struct{ ID string }
	n.must(http.MethodPost, "/v2/segment", map[string]any{"slug_name": "shown", "name": "Shown", "segment_ql": "FILTER score > 50", "is_public": true}, nil)
	n.must(http.MethodPost, "/v2/destination", map[string]any{"name": "Site", "provider": "web", "mapping": map[string]string{"public_id": "visitor", "nick": "nick"}}, &dest)
	n.must(http.MethodPost, "/v2/job/web_audience", map[string]any{"name": "Site", "destination_id": dest.ID, "segment_ids": []string{"shown"}}, &j)
	return append(jobs, j.ID)
}

// declareSources has everybody asked about, and a file of everybody imported of
// which only changed rows are taken.
func declareSources(t *testing.T, n *near, files *files) (enriching, importing string) {
	t.Helper()
	var auth, job struct{ ID string }
	n.must(http.MethodPost, "/v2/auth/webhook", map[string]any{"label": "asks", "config": map[string]string{"webhook_url": "http://" + files.addr + "/ask"}}, &auth)
	n.must(http.MethodPut, "/v2/stream/answers", map[string]any{}, nil)
	n.must(http.MethodPut, "/v2/mapping/answers", map[string]string{"customer": "customer", "email": "email"}, nil)
	n.must(http.MethodPost, "/v2/job/webhook_enrichment", map[string]any{"name": "Ask", "auth_ids": []string{auth.ID}, "run_frequency": "daily", "config": map[string]string{"stream": "answers", "user_fields": "email"}}, &job)
	enriching = job.ID
	n.must(http.MethodPost, "/v2/auth/http", map[string]any{"label": "files", "config": map[string]string{"address": "http://" + files.addr}}, &auth)
	n.must(http.MethodPost, "/v2/job/http_import", map[string]any{"name": "Import", "auth_ids": []string{auth.ID}, "run_frequency": "daily", "config": map[string]string{"path": "people.csv", "stream": "people", "diff": "true", "skip_bad_rows": "true"}}, &job)
	return enriching, job.ID
}

// passed waits until a pass of a job has completed and what it brought is merged.
func (n *near) passed(job string, number int64) {
	n.t.Helper()
	n.eventually(fmt.Sprintf("pass %d", number), time.Minute, func() (bool, string) {
		var all []activation.Pass
		n.must(http.MethodGet, "/v2/job/"+job+"/passes", nil, &all)
		if len(all) == 0 {
			return false, "none"
		}
		return all[0].Number >= number && all[0].Status == activation.RunCompleted, fmt.Sprintf("%+v", all[0])
	})
}

// customer asks for a profile and returns the status of the answer.
func (n *near) customer(id string) int {
	n.t.Helper()
	_, err := n.Do(n.t.Context(), http.MethodPost, "/v2/profile/lookup", map[string]string{"field": "customer", "value": id}, nil)
	var e *client.Error
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &e):
		return e.Status
	}
	n.t.Fatal(err)
	return 0
}

// declarePeople sets up people with an e-mail that identifies and a phone that
// does not, and a job that sends all of them.
func declarePeople(t *testing.T, n *near, far *far) {
	t.Helper()
	n.must(http.MethodPut, "/v2/stream/people", map[string]any{}, nil)
	for _, f := range []map[string]any{
		{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false},
		{"name": "email", "type": "text", "merge": "latest", "identifier_rank": 2, "pii": true, "public": false},
		{"name": "phone", "type": "text", "merge": "latest", "pii": true, "public": false},
		{"name": "score", "type": "integer", "merge": "max", "pii": false, "public": false},
		{"name": "visitor", "type": "text", "merge": "latest", "pii": false, "public": true},
		{"name": "nick", "type": "text", "merge": "latest", "pii": false, "public": true},
	} {
		n.must(http.MethodPost, "/v2/field", f, nil)
	}
	n.must(http.MethodPut, "/v2/mapping/people", map[string]string{"customer": `concat("id-", id)`, "email": "lower(email)", "phone": "phone", "score": "score", "visitor": `concat("visitor-", id)`, "nick": "nick"}, nil)
	n.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": "high", "name": "High scores", "segment_ql": "FILTER score > 50"}, nil)
	var auth, dest, j struct {
		ID string `json:"id"`
	}
	n.must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": "sandbox", "config": map[string]string{"access_token": meta.DefaultToken, "base_url": "http://" + far.sandbox() + "/meta"}}, &auth)
	n.must(http.MethodPost, "/v2/destination", map[string]any{
		"name": "Shop", "provider": "meta", "auth_id": auth.ID, "account": "1",
		"mapping": map[string]string{"EXTERN_ID": "customer", "EMAIL": "email", "PHONE": "phone"},
		"config":  map[string]string{"regain_unit": "seconds"},
	}, &dest)
	n.must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": "High scores to Meta", "destination_id": dest.ID, "segment_ids": []string{"high"}}, &j)
}

// atMeta lists who is in the audience of a name, by the name we gave them.
func atMeta(t *testing.T, far *far, name string) (who []string) {
	t.Helper()
	for _, a := range far.Meta().Audiences() {
		if a.Name != name {
			continue
		}
		members, _ := far.Meta().Members(a.ID)
		for _, m := range members {
			if strings.Contains(m.ExternID, "annkey") {
				m.ExternID = "ann"
			}
			who = append(who, m.ExternID)
		}
	}
	slices.Sort(who)
	return who
}

// sandbox is where the networks are.
func (f *far) sandbox() string {
	addr, _, _ := strings.Cut(f.addr, ",")
	return addr
}

// holdsAtMeta reports whether somebody there has a phone number.
func holdsAtMeta(far *far, phone string) bool {
	sum := sha256.Sum256([]byte(phone[1:]))
	for _, a := range far.Meta().Audiences() {
		members, _ := far.Meta().Members(a.ID)
		for _, m := range members {
			if slices.Contains(m.Keys["PHONE"], hex.EncodeToString(sum[:])) {
				return true
			}
		}
	}
	return false
}
