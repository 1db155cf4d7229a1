package enrich_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/enrich"
	"usher/internal/ingest"
	"usher/internal/pass"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// world is people, who was asked about, and a far side that knows some of them.
type world struct {
	mu     sync.Mutex
	people int64
	asked  map[int64]warehouse.Enriched
	at     map[int64]time.Time
	// stored are the messages by their id; writes counts them.
	stored map[string]map[string]any
	writes int
	// answer is what the far side says; calls are the sizes of the calls, busy how
	// many are under way and most how many ever were.
	answer     func(people []provider.AskedPerson) ([]provider.Reply, error)
	calls      []int
	busy, most int
	crash      bool // after replies were stored
	requests   []warehouse.EnrichmentRequest
}

func newWorld(people int64) *world {
	return &world{people: people, asked: map[int64]warehouse.Enriched{}, at: map[int64]time.Time{}, stored: map[string]map[string]any{}, answer: knowsEven}
}

// knowsEven knows people with even numbers.
func knowsEven(people []provider.AskedPerson) ([]provider.Reply, error) {
	out := make([]provider.Reply, len(people))
	for i, p := range people {
		if p.ID%2 == 0 {
			out[i] = provider.Reply{Known: true, Values: map[string]any{"score": json.Number("1.50"), "customer": "somebody else"}}
		}
	}
	return out, nil
}

func (w *world) Ask(_ context.Context, people []provider.AskedPerson) ([]provider.Reply, error) {
	w.mu.Lock()
	w.calls = append(w.calls, len(people))
	w.busy++
	w.most = max(w.most, w.busy)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.busy--
		w.mu.Unlock()
	}()
	return w.answer(people)
}

func (w *world) Check(context.Context) error { return nil }

func (w *world) ToEnrich(_ context.Context, r warehouse.EnrichmentRequest) (out []warehouse.Enrichment, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, r)
	for id := int64(1); id <= w.people && len(out) < r.Limit; id++ {
		e, known := w.asked[id]
		if !known || e.Outcome == "failed" && w.at[id].Before(r.FailedBefore) || e.Outcome != "failed" && w.at[id].Before(r.Before) {
			out = append(out, warehouse.Enrichment{Profile: id, Values: map[string]any{"country": "DE"}, Identifiers: []warehouse.FieldValue{{Field: "customer", Value: fmt.Sprintf("c%d", id)}, {Field: "customer", Value: "weaker"}}})
		}
	}
	return out, nil
}

func (w *world) WaitsEnrichment(ctx context.Context, r warehouse.EnrichmentRequest) (bool, error) {
	r.Limit = 1
	all, err := w.ToEnrich(ctx, r)
	return len(all) > 0, err
}

var errCrash = errors.New("the process ended")

func (w *world) Enriched(_ context.Context, _ activation.JobID, at time.Time, outcomes []warehouse.Enriched) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.crash {
		return errCrash
	}
	for _, o := range outcomes {
		w.asked[o.Profile], w.at[o.Profile] = o, at
	}
	return nil
}

func (w *world) ForgetEnrichment(context.Context, activation.JobID) error { return nil }

func (w *world) Bulk(_ context.Context, r ingest.Request) (s ingest.Summary, err error) {
	if r.Stream != "scores" || r.TimestampField != enrich.ColumnAt {
		return s, fmt.Errorf("the request is %+v", r)
	}
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		var m map[string]any
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return s, err
		}
		w.mu.Lock()
		w.stored[m[enrich.ColumnID].(string)] = m
		w.writes++
		w.mu.Unlock()
		s.MessageCount++
	}
	return s, lines.Err()
}

func (w *world) runner() pass.Runner {
	return enrich.New(enrich.Config{
		Warehouse: w, Collector: w, Workflows: []string{"webhook_enrichment"},
		Connect: func(context.Context, activation.Job) (provider.Enricher, provider.Definition, error) {
			return w, provider.Definition{}, nil
		},
		Audience: func(_ context.Context, ref string) (activation.AudienceID, error) {
			if ref == "vip" {
				return "id-of-vip", nil
			}
			return "", activation.ErrNotFound
		},
	}).Runner()
}

// progress counts.
type progress struct {
	mu     sync.Mutex
	pass   activation.Pass
	counts map[string]int64
	notes  []string
}

func newProgress(number int64) *progress {
	return &progress{pass: activation.Pass{Number: number, StartedAt: time.Now()}, counts: map[string]int64{}}
}

func (p *progress) Pass() activation.Pass { return p.pass }
func (p *progress) Moved()                {}

func (p *progress) Note(_ context.Context, level, code, message string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, level+" "+code+": "+message)
	return nil
}

func (p *progress) Save(context.Context) error {
	return nil
}

func (p *progress) Count(name string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[name] += n
}

func job(config map[string]string) activation.Job {
	c := map[string]string{"stream": "scores"}
	maps.Copy(c, config)
	return activation.Job{ID: "j", Config: c, Schedule: activation.Schedule{Continuous: true, Frequency: "daily"}}
}

func wantCounts(t *testing.T, p *progress, replies, none, failed int64) {
	t.Helper()
	if p.counts["replies"] != replies || p.counts["no_reply"] != none || p.counts["failed"] != failed {
		t.Errorf("counts %v, want %d replies, %d without, %d failed", p.counts, replies, none, failed)
	}
}

func TestEverybodyIsAskedAboutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(4501)
		inner := w.answer
		w.answer = func(p []provider.AskedPerson) ([]provider.Reply, error) {
			time.Sleep(time.Second) // of the bubble
			return inner(p)
		}
		r, p := w.runner(), newProgress(1)
		if err := r.Pass(t.Context(), job(map[string]string{"batch_requests": "true", "batch_size": "100", "worker_count": "3", "segment_ids": "vip", "user_fields": "country"}), p); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, p, 2250, 2251, 0)
		if w.most != 3 || slices.Max(w.calls) != 100 || len(w.calls) != 46 {
			t.Errorf("%d calls of at most %d people, %d at once", len(w.calls), slices.Max(w.calls), w.most)
		}
		if q := w.requests[0]; fmt.Sprint(q.Audiences, q.Fields) != "[id-of-vip] [country]" || q.Job != "j" {
			t.Errorf("the request is %+v", q)
		}
		if len(w.stored) != 2250 || w.writes != 2250 {
			t.Errorf("%d messages in %d writes", len(w.stored), w.writes)
		}
		for _, m := range w.stored {
			if m["score"] != 1.5 || !strings.HasPrefix(fmt.Sprint(m["customer"]), "c") || m["enriched_at"] == "" {
				t.Fatalf("a message is %v", m)
			}
		}
		before := len(w.calls)
		if err := r.Pass(t.Context(), job(nil), newProgress(2)); err != nil || len(w.calls) != before {
			t.Errorf("asked again: %d calls, %v", len(w.calls)-before, err)
		}
		time.Sleep(25 * time.Hour)
		p = newProgress(3)
		if err := r.Pass(t.Context(), job(map[string]string{"refresh_days": "1", "batch_requests": "true", "batch_size": "1000"}), p); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, p, 2250, 2251, 0)
	})
}

// TestACrashCountsOnce: replies that were stored before a crash are stored again
// under the ids they had.
func TestACrashCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10)
		w.crash = true
		r, p := w.runner(), newProgress(7)
		if err := r.Pass(t.Context(), job(nil), p); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		w.crash = false
		time.Sleep(time.Minute)
		if err := r.Pass(t.Context(), job(nil), p); err != nil {
			t.Fatal(err)
		}
		if w.writes != 10 || len(w.stored) != 5 {
			t.Errorf("%d writes made %d messages, want 10 and 5", w.writes, len(w.stored))
		}
	})
}

// TestOneBadPersonHoldsNobodyUp: a call that is refused is halved until the bad one
// is alone, who is asked about again at the next pass only.
func TestOneBadPersonHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(50)
		bad := true
		w.answer = func(people []provider.AskedPerson) ([]provider.Reply, error) {
			if bad && slices.ContainsFunc(people, func(p provider.AskedPerson) bool { return p.ID == 17 || p.ID == 18 }) {
				return nil, &activation.Error{Kind: activation.RefusedWhole, Code: "WEBHOOK-REFUSED-400"}
			}
			return knowsEven(people)
		}
		r, p, config := w.runner(), newProgress(1), job(map[string]string{"batch_requests": "true", "batch_size": "20", "worker_count": "1"})
		if err := r.Pass(t.Context(), config, p); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, p, 24, 24, 2)
		time.Sleep(time.Hour)
		bad = false
		p = newProgress(2)
		if err := r.Pass(t.Context(), config, p); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, p, 1, 1, 0)
	})
}

func TestHowAPassEnds(t *testing.T) {
	fail := func(kind activation.Kind, code string) error { return &activation.Error{Kind: kind, Code: code} }
	for _, c := range []struct {
		name           string
		err            error
		calls, wrong   int // wrong = calls that fail, from the 6th on
		replies, fails int64
		ends           bool
	}{
		{"one call fails", fail(activation.Unavailable, "WEBHOOK-UNAVAILABLE"), 20, 1, 10, 1, false},
		{"two calls fail", fail(activation.Unavailable, "WEBHOOK-UNAVAILABLE"), 20, 2, 9, 2, false},
		{"three calls fail", fail(activation.Unavailable, "WEBHOOK-UNAVAILABLE"), 8, 3, 2, 2, true},
		{"it can't be reached", fail(activation.Unavailable, "OUTBOUND-UNREACHABLE"), 6, 1, 2, 0, true},
		{"a limit", fail(activation.WaitUntil, "WEBHOOK-LIMIT"), 6, 1, 2, 0, true},
		{"credentials", fail(activation.Unauthorized, "WEBHOOK-AUTH"), 6, 1, 2, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(20)
			calls := 0
			w.answer = func(people []provider.AskedPerson) ([]provider.Reply, error) {
				if calls++; calls > 5 && calls <= 5+c.wrong {
					return nil, c.err
				}
				return knowsEven(people)
			}
			p := newProgress(1)
			err := w.runner().Pass(t.Context(), job(map[string]string{"worker_count": "1"}), p)
			if (err != nil) != c.ends || c.ends && !errors.Is(err, c.err) {
				t.Errorf("the pass ended with %v", err)
			}
			if p.counts["replies"] < c.replies-1 || p.counts["failed"] != c.fails || len(w.calls) != c.calls {
				t.Errorf("%d calls, counts %v", len(w.calls), p.counts)
			}
			if int64(len(w.asked)) != p.counts["replies"]+p.counts["no_reply"]+p.counts["failed"] {
				t.Errorf("%d people are remembered, counts %v", len(w.asked), p.counts)
			}
		})
	}
}

func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		r, config := w.runner(), job(nil)
		due := func(want bool) {
			t.Helper()
			if got, err := r.Due(t.Context(), config); got != want || err != nil {
				t.Errorf("due %v, %v", got, err)
			}
		}
		due(true)
		w.asked[1], w.at[1] = warehouse.Enriched{Profile: 1, Outcome: "failed"}, time.Now()
		due(false)
		time.Sleep(10 * time.Minute)
		due(false)
		time.Sleep(6 * time.Minute)
		due(true)
		w.asked[1] = warehouse.Enriched{Profile: 1, Outcome: "none"}
		due(false)
		looked := len(w.requests)
		w.people = 2
		due(false) // it was looked at a moment ago
		if len(w.requests) != looked {
			t.Error("the warehouse was asked again at once")
		}
		time.Sleep(6 * time.Second)
		due(true)
		config.Config["segment_ids"] = "none"
		due(true) // the pass tells what is wrong
	})
}

func TestSettings(t *testing.T) {
	for field, config := range map[string]map[string]string{
		"stream":         {"stream": "Not A Name"},
		"segment_ids":    {"segment_ids": "vip, none"},
		"batch_requests": {"batch_requests": "perhaps"},
		"batch_size":     {"batch_size": "1001"},
		"worker_count":   {"worker_count": "0"},
		"refresh_days":   {"refresh_days": "-1"},
	} {
		err := newWorld(1).runner().Pass(t.Context(), job(config), newProgress(1))
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
