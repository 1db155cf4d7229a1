package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"usher/internal/engine"
	"usher/internal/queue"
	"usher/internal/store/postgres"
	"usher/internal/store/postgres/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// wake tells of a kind and an id.
type wake = func(kind, id string)

// truth is the works there are. Each may be done by one node only, and no two
// nodes may ever work under one lease.
type truth struct {
	mu    sync.Mutex
	left  map[engine.Work]bool
	doing map[string]string // lease -> node
	count map[string]int    // node in lease -> works in hand
	clash string
	empty chan struct{} // told when nothing is left
}

func (tr *truth) add(w engine.Work) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.left[w] = true
}

// hands are the worker of one node.
type hands struct {
	node string
	*truth
}

func (h hands) Kind() string { return "run" }

func (h hands) Due(_ context.Context, limit int) ([]engine.Work, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []engine.Work
	for w := range h.left {
		if len(out) < limit {
			out = append(out, w)
		}
	}
	return out, nil
}

func (h hands) Do(_ context.Context, w engine.Work) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, ok := h.doing[w.Lease]; ok && other != h.node && h.count[w.Lease] > 0 {
		h.clash = fmt.Sprintf("%s and %s both work under %s", h.node, other, w.Lease)
	}
	h.doing[w.Lease] = h.node
	h.count[w.Lease]++
	h.mu.Unlock()
	runtime.Gosched() // let others in, were they to come
	h.mu.Lock()
	h.count[w.Lease]--
	delete(h.left, w)
	if len(h.left) == 0 {
		select {
		case h.empty <- struct{}{}:
		default:
		}
	}
	return nil
}

// TestQueues: two nodes, their leases in PostgreSQL, get all work done whatever
// carries the wake-ups. Where it loses none, they do it long before the sweep.
func TestQueues(t *testing.T) {
	for name, test := range map[string]struct {
		sweep time.Duration
		// carry connects the nodes and returns what each of them wakes with.
		carry func(t *testing.T, url string, nodes []*engine.Engine) []wake
	}{
		"in process": {time.Hour, func(_ *testing.T, _ string, nodes []*engine.Engine) []wake {
			return []wake{nodes[0].Wake, nodes[1].Wake}
		}},
		"River": {time.Hour, func(t *testing.T, url string, nodes []*engine.Engine) []wake {
			return []wake{carried(t, url, "n0", nodes[0].Wake), carried(t, url, "n1", nodes[1].Wake)}
		}},
		"drops and doubles": {200 * time.Millisecond, func(t *testing.T, _ string, nodes []*engine.Engine) []wake {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 1))
			bad := func(kind, id string) {
				mu.Lock()
				defer mu.Unlock()
				for range r.IntN(4) { // none, one, or several, at whichever node
					nodes[r.IntN(2)].Wake(kind, id)
				}
			}
			return []wake{bad, bad}
		}},
		"River that drops and doubles": {200 * time.Millisecond, func(t *testing.T, url string, nodes []*engine.Engine) []wake {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 1))
			out := make([]wake, 2)
			for i := range out {
				send := carried(t, url, fmt.Sprint("n", i), nodes[i].Wake)
				out[i] = func(kind, id string) {
					mu.Lock()
					defer mu.Unlock()
					for range r.IntN(4) {
						send(kind, fmt.Sprint(id, r.IntN(3)))
					}
				}
			}
			return out
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := postgrestest.New(t)
			tr := &truth{left: map[engine.Work]bool{}, doing: map[string]string{}, count: map[string]int{}, empty: make(chan struct{}, 1)}
			nodes := make([]*engine.Engine, 2)
			for i := range nodes {
				node := fmt.Sprint("n", i)
				s, err := postgres.Open(t.Context(), url, postgres.Options{MaxConns: 4})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				nodes[i] = engine.New(engine.Config{Node: node, Leases: s, Sweep: test.sweep}, hands{node, tr})
				started(t, nodes[i].Run)
			}
			wakes := test.carry(t, url, nodes)
			for round := range 5 {
				for i := range 20 {
					id := fmt.Sprint(round, "-", i)
					lease := "auth:" + id // without a sweep nobody comes back to a lease that was taken
					if test.sweep < time.Hour {
						lease = fmt.Sprint("auth:", i%4)
					}
					tr.add(engine.Work{Kind: "run", ID: id, Lease: lease})
					wakes[i%2]("run", id)
				}
				for !tr.done() {
					select {
					case <-tr.empty:
					case <-time.After(2 * time.Minute):
						t.Fatalf("round %d: %d works are left", round, len(tr.left))
					}
				}
			}
			if tr.clash != "" {
				t.Error(tr.clash)
			}
		})
	}
}

func (tr *truth) done() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.left) == 0
}

// carried opens a node's queue and returns what it wakes with.
func carried(t *testing.T, url, node string, handle wake) wake {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Config{URL: url, Node: node, Handle: handle, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	started(t, q.Run)
	return q.Wake
}

// started runs something until the test ends, and waits for it.
func started(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestEqualOnesAreOne: wake-ups that wait are sent together and once each.
func TestEqualOnesAreOne(t *testing.T) {
	url := postgrestest.New(t)
	seen := make(chan string, 5000)
	q, err := queue.Open(t.Context(), queue.Config{URL: url, Node: "n", Log: slog.New(slog.DiscardHandler), Handle: func(kind, id string) { seen <- kind + " " + id }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	for range 1000 {
		q.Wake("run", "1")
		q.Wake("target", "2")
	}
	for i := range 3000 { // far more than may wait
		q.Wake("many", fmt.Sprint(i))
	}
	started(t, q.Run)
	got := map[string]int{}
	for range 1000 {
		select {
		case s := <-seen:
			got[s]++
		case <-time.After(2 * time.Minute):
			t.Fatalf("%d wake-ups arrived, want 1000", len(got))
		}
	}
	if got["run 1"] != 1 || got["target 2"] != 1 || len(got) != 1000 {
		t.Errorf("%d different ones, run 1 %d times, target 2 %d times", len(got), got["run 1"], got["target 2"])
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var schema string
	if err := conn.QueryRow(t.Context(), `SELECT current_schema()`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	var most, rows int
	if err := conn.QueryRow(t.Context(), `SELECT max(max_attempts), count(*) FROM `+schema+`_queue.river_job WHERE kind = 'wake'`).Scan(&most, &rows); err != nil || most != 1 || rows != 1000 {
		t.Errorf("%d messages of at most %d attempts, %v; want 1000 of 1", rows, most, err)
	}
}

// TestAnAddressIsNotSaid: a queue that cannot be opened does not say the password.
func TestAnAddressIsNotSaid(t *testing.T) {
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable", "postgres://u:hunter2@127.0.0.1:x/x"} {
		_, err := queue.Open(t.Context(), queue.Config{URL: url, Node: "n", Handle: func(string, string) {}, Log: slog.New(slog.DiscardHandler)})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}
