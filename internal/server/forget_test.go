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
	"usher/sandbox/meta"
)

// The person who is forgotten. The telephone number is also of somebody else.
const (
	annEmail = "ann.forgettable@example.com"
	annPhone = "+15550100777"
	// shared is a number of both.
	shared = "+15550100999"
)

// traces are all texts that would tell that a person was there.
func traces() map[string][]byte {
	out := map[string][]byte{"the e-mail": []byte(annEmail), "the phone": []byte(annPhone[1:])}
	for what, value := range map[string]string{"e-mail": annEmail, "phone with +": annPhone, "phone": annPhone[1:]} {
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
	cfg.Data, cfg.MemoryMB, cfg.AllowHosts = dir, 256, []string{far.addr}
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
// data directory and in no log, and does not come back; whoever shares a value
// with them keeps it.
func TestForgottenForGood(t *testing.T) {
	dir, far, log := filepath.Join(t.TempDir(), "data"), startSandbox(t), &logs{}
	failedLoad(t, dir)
	s := run(t, dir, far, log)
	declarePeople(t, s.near, far)
	const csv = "id,email,phone,score\n1,Ann.Forgettable@Example.com," + annPhone + ",90\n2,bob@example.com," + shared + ",80\n3,cy@example.com,,70\n1,ann.forgettable@example.com," + shared + ",91\n"
	s.load(csv)
	s.must(http.MethodPost, "/collect/json/people", []map[string]any{{"id": "1", "email": annEmail, "phone": annPhone, "score": 95}}, nil)
	s.must(http.MethodPost, "/collect/json/visits", []map[string]any{{"who": " ANN.forgettable@example.com ", "page": "/"}, {"who": "somebody else", "page": "/"}}, nil)
	var sum struct {
		ID string `json:"load_id"`
	}
	if err := s.Upload(t.Context(), "/collect/bulk/people?droperrors=true", "text/csv", strings.NewReader("id,email,phone,score\n4,dora@example.com,,60\n5,Ann.Forgettable@Example.com,"+annPhone+",1,too,many\n"), &sum); err != nil {
		t.Fatal(err)
	}
	s.awaitLoad(sum.ID)
	s.eventually("everybody is at the network", time.Minute, func() (bool, string) {
		return slices.Equal(atMeta(t, far), []string{"id-1", "id-2", "id-3", "id-4"}), strings.Join(atMeta(t, far), " ")
	})
	before := found(t, "before", dir)
	t.Logf("the person is in %v", before)
	if before["the e-mail"] == "" || before["the phone"] == "" || !strings.Contains(before["the e-mail"], ".ndjson") || !strings.Contains(before["the e-mail"], ".csv") {
		t.Fatal("the test does not find the person where they are")
	}
	f, err := s.Forgetter().Ask(t.Context(), "email", " ann.forgettable@EXAMPLE.com ", "ann the admin")
	if err != nil {
		t.Fatal(err)
	}
	s.eventually("forgotten", 2*time.Minute, func() (bool, string) {
		if f, err = s.Forgetter().Forget(t.Context(), f.ID); err != nil {
			t.Fatal(err)
		}
		return f.Status == activation.ForgetComplete, string(f.Stage) + " " + f.ErrorText
	})
	if f.Counts["profiles"] != 1 || f.Counts["messages"] < 4 || f.Counts["waiting_loads"] != 1 || len(f.Targets) != 1 || f.Targets[0].Status != activation.ForgetAtRemoved || f.Targets[0].Run == 0 {
		t.Errorf("the receipt says %+v", f)
	}
	if got := atMeta(t, far); !slices.Equal(got, []string{"id-2", "id-3", "id-4"}) {
		t.Errorf("at the network are %q", got)
	}
	if !holdsAtMeta(far, shared) {
		t.Error("what the other person shares was taken from them")
	}
	noTrace(t, "while running", dir)
	s.load(csv)
	if got := s.customer("id-1"); got != http.StatusNotFound {
		t.Errorf("the person is found: %d", got)
	}
	if got := s.customer("id-2"); got != http.StatusOK {
		t.Errorf("the other person is not found: %d", got)
	}
	if err := s.Forgetter().Compact(t.Context(), "ann the admin"); err != nil {
		t.Fatal(err)
	}
	noTrace(t, "after the same file again", dir)
	s.stop()
	noTrace(t, "after the stop", dir)
	for what, text := range traces() {
		if strings.Contains(strings.ToLower(log.String()), string(text)) {
			t.Errorf("the log holds %s", what)
		}
	}
	again := run(t, dir, far, log)
	if got := again.customer("id-1"); got != http.StatusNotFound {
		t.Errorf("after a restart the person is found: %d", got)
	}
	if got := atMeta(t, far); !slices.Equal(got, []string{"id-2", "id-3", "id-4"}) {
		t.Errorf("after a restart at the network are %q", got)
	}
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
	} {
		n.must(http.MethodPost, "/v2/field", f, nil)
	}
	n.must(http.MethodPut, "/v2/mapping/people", map[string]string{"customer": `concat("id-", id)`, "email": "lower(email)", "phone": "phone", "score": "score"}, nil)
	n.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": "high", "name": "High scores", "segment_ql": "FILTER score > 50"}, nil)
	var auth, dest, j struct {
		ID string `json:"id"`
	}
	n.must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": "sandbox", "config": map[string]string{"access_token": meta.DefaultToken, "base_url": "http://" + far.addr + "/meta"}}, &auth)
	n.must(http.MethodPost, "/v2/destination", map[string]any{
		"name": "Shop", "provider": "meta", "auth_id": auth.ID, "account": "1",
		"mapping": map[string]string{"EXTERN_ID": "customer", "EMAIL": "email", "PHONE": "phone"},
		"config":  map[string]string{"regain_unit": "seconds"},
	}, &dest)
	n.must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": "High scores to Meta", "destination_id": dest.ID, "segment_ids": []string{"high"}}, &j)
}

// atMeta lists who is in the only audience, by the name we gave them.
func atMeta(t *testing.T, far *far) (who []string) {
	t.Helper()
	for _, a := range far.Meta().Audiences() {
		members, _ := far.Meta().Members(a.ID)
		for _, m := range members {
			who = append(who, m.ExternID)
		}
	}
	slices.Sort(who)
	return who
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
