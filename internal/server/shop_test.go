package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/sandbox"
	"usher/sandbox/meta"
)

// shop is a plain model of the customers and of who should be in the audience:
// everyone with a score over 50. It shares nothing with the server.
type shop struct {
	rand  *rand.Rand
	email map[int]string
	score map[int]int
}

func newShop(seed uint64, people int) *shop {
	s := &shop{rand: rand.New(rand.NewPCG(seed, 1)), email: map[int]string{}, score: map[int]int{}}
	for id := range people {
		s.email[id] = fmt.Sprintf("p%d@example.com", id)
		s.score[id] = s.rand.IntN(100)
		// Every tenth person shares the e-mail of the one before: whoever
		// leaves must not take the other along.
		if id%10 == 9 {
			s.email[id] = s.email[id-1]
		}
	}
	return s
}

// change alters n people and returns the CSV of the changed ones.
func (s *shop) change(n int) string {
	var ids []int
	for range n {
		id := s.rand.IntN(len(s.email))
		switch s.rand.IntN(3) {
		case 0:
			s.email[id] = fmt.Sprintf("p%d-%d@example.com", id, s.rand.IntN(1_000_000))
		case 1:
			s.email[id] = s.email[s.rand.IntN(len(s.email))] // now shared
		default:
			s.score[id] = s.rand.IntN(100)
		}
		ids = append(ids, id)
	}
	return s.csv(ids)
}

// exodus lets two thirds of the people drop out of the audience.
func (s *shop) exodus() string {
	var ids []int
	for id := range len(s.score) {
		if s.score[id] > 50 && s.rand.IntN(3) > 0 {
			s.score[id] = 1
			ids = append(ids, id)
		}
	}
	return s.csv(ids)
}

func (s *shop) all() string {
	ids := make([]int, 0, len(s.email))
	for id := range s.email {
		ids = append(ids, id)
	}
	return s.csv(ids)
}

func (s *shop) csv(ids []int) string {
	sort.Ints(ids)
	var b strings.Builder
	b.WriteString("id,email,score\n")
	for _, id := range slices.Compact(ids) {
		fmt.Fprintf(&b, "%d,%s,%d\n", id, s.email[id], s.score[id])
	}
	return b.String()
}

// expected is who should be in the audience: id to e-mail hash.
func (s *shop) expected() map[string]string {
	out := map[string]string{}
	for id, score := range s.score {
		if score > 50 {
			sum := sha256.Sum256([]byte(s.email[id]))
			out[fmt.Sprintf("id-%d", id)] = hex.EncodeToString(sum[:])
		}
	}
	return out
}

// differences compares the sandbox's members with the expected ones.
func (s *shop) differences(held []meta.Member) []string {
	want := s.expected()
	var out []string
	for _, m := range held {
		email, ok := want[m.ExternID]
		if !ok {
			out = append(out, m.ExternID+" is there and should not be")
		} else if !slices.Contains(m.Keys["EMAIL"], email) {
			out = append(out, m.ExternID+" lacks the present e-mail")
		} else if len(m.Keys["EMAIL"]) > 1 {
			// An old e-mail may stay only while another member holds it.
			for _, e := range m.Keys["EMAIL"] {
				if e != email && !s.held(e) {
					out = append(out, m.ExternID+" keeps an old e-mail that nobody holds")
				}
			}
		}
		delete(want, m.ExternID)
	}
	for id := range want {
		out = append(out, id+" is missing")
	}
	sort.Strings(out)
	return out
}

func (s *shop) held(hash string) bool {
	for _, h := range s.expected() {
		if h == hash {
			return true
		}
	}
	return false
}

// far is the sandbox as a server on loopback.
type far struct {
	*sandbox.Sandbox
	addr string
}

func startSandbox(t testing.TB) *far {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ln, err := sandbox.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := sandbox.New(sandbox.Options{Seed: 1})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("sandbox: %v", err)
		}
	})
	return &far{s, ln.Addr().String()}
}

// near is a server reached by its API.
type near struct {
	*client.Client
	t   testing.TB
	dir string
}

func (n *near) must(method, path string, body, out any) {
	n.t.Helper()
	if _, err := n.Do(n.t.Context(), method, path, body, out); err != nil {
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// declare sets up streams, fields, mappings, the audience, credentials and the
// destination, and creates the job.
func (n *near) declare(far *far) (job activation.JobID) {
	n.t.Helper()
	n.must(http.MethodPut, "/v2/stream/people", map[string]any{}, nil)
	for _, f := range []map[string]any{
		{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false},
		{"name": "email", "type": "text", "merge": "latest", "pii": true, "public": false},
		{"name": "score", "type": "integer", "merge": "latest", "pii": false, "public": false},
	} {
		n.must(http.MethodPost, "/v2/field", f, nil)
	}
	n.must(http.MethodPut, "/v2/mapping/people", map[string]string{"customer": `concat("id-", id)`, "email": "email", "score": "score"}, nil)
	n.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": "high", "name": "High scores", "segment_ql": "FILTER score > 50"}, nil)
	var auth, dest, j struct {
		ID string `json:"id"`
	}
	n.must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": "sandbox", "config": map[string]string{"access_token": meta.DefaultToken, "base_url": "http://" + far.addr + "/meta"}}, &auth)
	n.must(http.MethodPost, "/v2/destination", map[string]any{
		"name": "Shop", "provider": "meta", "auth_id": auth.ID, "account": "1",
		"mapping": map[string]string{"EXTERN_ID": "customer", "EMAIL": "email"},
		"config":  map[string]string{"regain_unit": "seconds"},
	}, &dest)
	n.must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": "High scores to Meta", "destination_id": dest.ID, "segment_ids": []string{"high"}}, &j)
	return activation.JobID(j.ID)
}

// load uploads CSV and waits until it is in the profiles.
func (n *near) load(csv string) {
	n.t.Helper()
	n.awaitLoad(n.upload(csv))
}

func (n *near) upload(csv string) string {
	n.t.Helper()
	return n.send(strings.NewReader(csv))
}

func (n *near) awaitLoad(id string) {
	n.t.Helper()
	n.eventually("load merged", 10*time.Minute, func() (bool, string) {
		var l struct{ Status, Error string }
		n.must(http.MethodGet, "/v2/load/"+id, nil, &l)
		if l.Status == "failed" {
			n.t.Fatalf("load failed: %s", l.Error)
		}
		return l.Status == "merged", l.Status
	})
}

// runs lists the runs of the job, newest first.
func (n *near) runs() []runRow {
	n.t.Helper()
	var out []runRow
	n.must(http.MethodGet, "/v2/run?limit=500", nil, &out)
	return out
}

// runRow is the part of a run that tests look at.
type runRow struct {
	activation.Run
	Retry struct {
		Allowed bool   `json:"allowed"`
		Reason  string `json:"reason"`
	} `json:"retry"`
}

// settle runs the job until a run that began after this call completes with
// nothing left to do, and no run is open.
func (n *near) settle(job activation.JobID, within time.Duration) activation.Run {
	n.t.Helper()
	var last activation.Run
	asked := false
	before := int64(0)
	if rs := n.runs(); len(rs) > 0 {
		before = rs[0].Number
	}
	n.eventually("runs settled", within, func() (bool, string) {
		rs := n.runs()
		for _, r := range rs {
			if r.Reason == activation.SleepApproval && r.Status == activation.RunPending {
				_, _ = n.Do(n.t.Context(), http.MethodPost, "/v2/run/"+string(r.ID)+"/approve", nil, nil)
			}
			if !r.Status.Final() {
				return false, fmt.Sprintf("run #%d is %s at %s", r.Number, r.Status, r.Stage)
			}
		}
		if len(rs) > 0 {
			last = rs[0].Run
			clean := last.Status == activation.RunCompleted && last.Counts.Add+last.Counts.Remove+last.Counts.Update+last.Counts.Deferred == 0
			if asked && last.Number > before && clean {
				return true, ""
			}
			if last.Number > before {
				before = last.Number
			}
		}
		if _, err := n.Do(n.t.Context(), http.MethodPost, "/v2/job/"+string(job)+"/run", nil, nil); err != nil {
			return false, err.Error()
		}
		asked = true
		time.Sleep(30 * time.Millisecond)
		return false, fmt.Sprintf("last run #%d is %s %s: %+v", last.Number, last.Status, last.ErrorText, last.Counts)
	})
	return last
}

// patience is how many times longer than on a quiet machine things may take:
// nothing is waited for longer than it takes.
const patience = 6

// eventually polls fn until it says true.
func (n *near) eventually(what string, within time.Duration, fn func() (bool, string)) {
	n.t.Helper()
	within *= patience
	deadline := time.Now().Add(within)
	for {
		done, state := fn()
		if done {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s: not within %s: %s", what, within, state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// held reads the one audience at the sandbox.
func (f *far) held(t testing.TB) []meta.Member {
	t.Helper()
	all := f.Meta().Audiences()
	if len(all) != 1 {
		raw, _ := json.Marshal(all)
		t.Fatalf("the sandbox has %d audiences, want 1: %s", len(all), raw)
	}
	members, _ := f.Meta().Members(all[0].ID)
	return members
}

// token reads the token the server left for the command line.
func token(t testing.TB, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "cli.token"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
