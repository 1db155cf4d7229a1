package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
	"usher/internal/server"
	"usher/sandbox/fault"
)

// serve runs a server of this process over dir until the test ends.
func serve(t testing.TB, dir string, far *far, set func(*config.Config)) *near {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.MemoryMB, cfg.AllowHosts = dir, 256, []string{far.addr}
	if set != nil {
		set(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.New(ctx, cfg, slog.New(slog.DiscardHandler), server.Options{Listener: ln, Sweep: 100 * time.Millisecond})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &near{Client: &client.Client{URL: s.URL(), Token: token(t, dir)}, t: t, dir: dir}
}

func csvOf(rows ...string) string { return "id,email,score\n" + strings.Join(rows, "\n") + "\n" }

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// ids are the customers in the audience at the sandbox.
func (f *far) ids(t testing.TB) []string {
	var out []string
	for _, m := range f.held(t) {
		out = append(out, m.ExternID)
	}
	slices.Sort(out)
	return out
}

// TestSharedEmail: two people share an e-mail and one leaves: the other stays,
// still reachable by it. When the second leaves too, nobody is left.
func TestSharedEmail(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	job := n.declare(far)
	n.load(csvOf("1,home@example.com,90", "2,home@example.com,90", "3,other@example.com,90"))
	n.settle(job, 30*time.Second)
	if got, want := far.ids(t), []string{"id-1", "id-2", "id-3"}; !slices.Equal(got, want) {
		t.Fatalf("first: %v, want %v", got, want)
	}
	n.load(csvOf("1,home@example.com,10"))
	n.settle(job, 30*time.Second)
	if got, want := far.ids(t), []string{"id-2", "id-3"}; !slices.Equal(got, want) {
		t.Fatalf("after one of two left: %v, want %v", got, want)
	}
	for _, m := range far.held(t) {
		if m.ExternID == "id-2" && !slices.Contains(m.Keys["EMAIL"], hashOf("home@example.com")) {
			t.Error("the one who stays lost the shared e-mail")
		}
	}
	n.load(csvOf("2,home@example.com,10"))
	n.settle(job, 30*time.Second)
	if got, want := far.ids(t), []string{"id-3"}; !slices.Equal(got, want) {
		t.Fatalf("after both left: %v, want %v", got, want)
	}
	if sins(far) > 0 {
		t.Errorf("the sandbox counts %d sins", sins(far))
	}
}

// TestEmailMoves: somebody's e-mail changes while the old one belongs to a
// second member: both stay, each with the right e-mail.
func TestEmailMoves(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	job := n.declare(far)
	n.load(csvOf("1,a@example.com,90", "2,a@example.com,90"))
	n.settle(job, 30*time.Second)
	n.load(csvOf("1,b@example.com,90"))
	n.settle(job, 30*time.Second)
	want := map[string]string{"id-1": hashOf("b@example.com"), "id-2": hashOf("a@example.com")}
	members := far.held(t)
	if len(members) != 2 {
		t.Fatalf("%d members, want 2: %v", len(members), far.ids(t))
	}
	for _, m := range members {
		if !slices.Contains(m.Keys["EMAIL"], want[m.ExternID]) {
			t.Errorf("%s lacks the present e-mail", m.ExternID)
		}
	}
}

// TestGuardDecline and approve: a run that would remove most people waits;
// declined it adds and removes nobody, approved it removes.
func TestGuard(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	job := n.declare(far)
	var first, leave []string
	for i := range 200 {
		first = append(first, fmt.Sprintf("%d,p%d@example.com,90", i, i))
		if i < 100 {
			leave = append(leave, fmt.Sprintf("%d,p%d@example.com,10", i, i))
		}
	}
	n.load(csvOf(first...))
	n.settle(job, 30*time.Second)
	n.load(csvOf(append(leave, "900,new@example.com,90")...))
	held := n.waiting(job)
	if held.Counts.Remove != 100 || len(far.ids(t)) != 200 {
		t.Fatalf("the run would remove %d and the sandbox holds %d: want 100 and, still, 200", held.Counts.Remove, len(far.ids(t)))
	}
	n.must(http.MethodPost, "/v2/run/"+string(held.ID)+"/decline", nil, nil)
	n.eventually("declined run completes", 30*time.Second, func() (bool, string) {
		r := n.run(held.ID)
		return r.Status == activation.RunCompleted, string(r.Status)
	})
	if r := n.run(held.ID); r.Counts.Withheld != 100 || len(far.ids(t)) != 201 {
		t.Fatalf("declined: withheld %d, the sandbox holds %d: want 100 and 201", r.Counts.Withheld, len(far.ids(t)))
	}
	// Three more leave: above one per cent of what was declined, so it asks again.
	n.load(csvOf("100,p100@example.com,10", "101,p101@example.com,10", "102,p102@example.com,10"))
	held = n.waiting(job)
	n.must(http.MethodPost, "/v2/run/"+string(held.ID)+"/approve", nil, nil)
	n.settle(job, 30*time.Second)
	if got := len(far.ids(t)); got != 98 {
		t.Fatalf("approved: the sandbox holds %d, want 98", got)
	}
}

// TestRetryFailedOnly: items that failed are sent again, and nothing else.
func TestRetryFailedOnly(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, func(c *config.Config) { c.MaxBatch = 10 })
	job := n.declare(far)
	var rows []string
	for i := range 50 {
		rows = append(rows, fmt.Sprintf("%d,p%d@example.com,90", i, i))
	}
	// From the third batch on the audience is held back for its integrity: an
	// error that no retry inside the run can mend.
	far.fault(t, fault.Fault{Path: "*/users", Kind: fault.Flagged, Skip: 2, Times: -1})
	n.load(csvOf(rows...))
	ask2(n, job)
	n.eventually("run fails", 30*time.Second, func() (bool, string) {
		rs := n.runs()
		if len(rs) == 0 {
			return false, "no run"
		}
		return rs[0].Status == activation.RunFailed, fmt.Sprintf("%s %s %s %+v", rs[0].Status, rs[0].ErrorCode, rs[0].ErrorText, rs[0].Counts)
	})
	failed := n.runs()[0]
	before := adds(far)
	far.ResetFaults()
	if !failed.Retry.Allowed {
		// The job failed with it; Retry makes it runnable again.
		t.Fatalf("Retry is withheld: %s", failed.Retry.Reason)
	}
	n.must(http.MethodPost, "/v2/run/"+string(failed.ID)+"/retry", nil, nil)
	n.eventually("retried run completes", 30*time.Second, func() (bool, string) {
		r := n.run(failed.ID)
		return r.Status == activation.RunCompleted, string(r.Status) + " " + r.ErrorText
	})
	if got := len(far.ids(t)); got != 50 {
		t.Errorf("the sandbox holds %d, want 50", got)
	}
	if got := adds(far) - before; got != 30 {
		t.Errorf("retry sent %d rows, want the 30 that failed", got)
	}
}

// TestNothingIsOpen: without a token nothing answers but health.
func TestNothingIsOpen(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	open := []string{"/healthz", "/readyz"}
	closed := []string{"/v2/job", "/v2/run", "/v2/segment", "/v2/auth", "/v2/destination", "/v2/stream", "/v2/field", "/v2/profile/count", "/v2/event", "/v2/target"}
	for _, path := range append(open, closed...) {
		res, err := http.Get(n.URL + path) //nolint:gosec // our own server
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		want := http.StatusUnauthorized
		if slices.Contains(open, path) {
			want = http.StatusOK
		}
		if res.StatusCode != want {
			t.Errorf("GET %s without a token: %d, want %d", path, res.StatusCode, want)
		}
	}
}

// waiting runs the job until its newest run waits for approval, and returns it.
func (n *near) waiting(job activation.JobID) (held activation.Run) {
	n.t.Helper()
	n.eventually("run waits for approval", 30*time.Second, func() (bool, string) {
		rs := n.runs()
		if len(rs) > 0 && rs[0].Status == activation.RunPending && rs[0].Reason == activation.SleepApproval {
			held = rs[0].Run
			return true, ""
		}
		ask2(n, job)
		time.Sleep(50 * time.Millisecond)
		return false, fmt.Sprintf("%d runs", len(rs))
	})
	return held
}

func (n *near) run(id activation.RunID) activation.Run {
	n.t.Helper()
	var r runRow
	n.must(http.MethodGet, "/v2/run/"+string(id), nil, &r)
	return r.Run
}

// ask2 asks for a run; a conflict means that one is open already.
func ask2(n *near, job activation.JobID) {
	_, _ = n.Do(n.t.Context(), http.MethodPost, "/v2/job/"+string(job)+"/run", nil, nil)
}

func adds(far *far) int {
	n := 0
	for _, a := range far.Meta().Audiences() {
		n += a.Books.AddRows
	}
	return n
}

// sins are what the sandbox holds against us: hashes of nothing, removals that
// took others along.
func sins(far *far) int {
	n := 0
	for _, a := range far.Meta().Audiences() {
		for _, c := range a.Books.Sins {
			n += c
		}
	}
	return n
}
