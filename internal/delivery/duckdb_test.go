package delivery_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/warehouse"
	"usher/internal/warehouse/duckdb"
)

// lake is the real data plane as a world uses it. People come in as messages
// and leave by saying so; what a person should be is kept here as well.
type lake struct {
	*duckdb.DB
	t        testing.TB
	dir      string
	audience activation.AudienceID
	people   map[int64]human
	waiting  []int64 // changed since the last load
	loads    int
	last     int64          // time of the last message, Unix microseconds
	gone     map[int64]bool // who was forgotten: what comes of them is dropped
}

func (l *lake) set(id int64, keys [2]string, member bool) {
	was := l.people[id]
	for i := range keys {
		if keys[i] == "" {
			keys[i] = was.keys[i] // a message cannot take a value away
		}
	}
	l.people[id] = human{keys, member}
	l.waiting = append(l.waiting, id)
}

// Seq brings in what has changed before it tells the change numbers.
func (l *lake) Seq(ctx context.Context) (map[activation.AudienceID]int64, error) {
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	return l.DB.Seq(ctx)
}

func (l *lake) load(ctx context.Context) error {
	if len(l.waiting) == 0 {
		return nil
	}
	l.loads++
	path := filepath.Join(l.dir, fmt.Sprint("load", l.loads, ".csv"))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	l.last = max(l.last, time.Now().UnixMicro())
	for i, id := range l.waiting {
		h := l.people[id]
		l.last++                                                                                                                                           // a later message is never older
		_ = w.Write([]string{strconv.Itoa(i + 1), strconv.FormatInt(l.last, 10), fmt.Sprint("u", id), h.keys[0], h.keys[1], strconv.FormatBool(h.member)}) // the error is kept for Error
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	_, err = l.Merge(ctx, warehouse.Load{
		ID: fmt.Sprint("l", l.loads), Stream: "people", Path: path,
		Columns: []string{"uid", "email", "phone", "member"}, Rows: int64(len(l.waiting)), ReceivedAt: time.Now(),
	}, nil)
	l.waiting = nil
	return err
}

func (l *lake) wanted(int) (must, may map[string]bool) {
	must = map[string]bool{}
	for id, h := range l.people {
		if h.member && !l.gone[id] {
			must[h.keys[0]], must[h.keys[1]] = true, true
		}
	}
	delete(must, "")
	return must, maps.Clone(must)
}

// known is not asked of the real ledger, which tells no values.
func (l *lake) known(int) map[string]bool { return nil }

// onDuckDB is a world with the real control store and the real data plane.
func onDuckDB(t *testing.T, template string, seed uint64, replay provider.Replay, async bool) *world {
	t.Helper()
	ctx := t.Context()
	n := newNetwork(time.Now, seed)
	n.async, n.accepts = async, true
	dir, s := t.TempDir(), openSQLite(t, template)
	db, err := duckdb.Open(ctx, duckdb.Config{Path: filepath.Join(dir, "data.duckdb"), MemoryLimitBytes: 256 << 20, Threads: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &lake{DB: db, t: t, dir: dir, people: map[int64]human{}, gone: map[int64]bool{}}
	w := newWorld(&control{s, t}, l, n, replay)
	l.audience = declare(t, s, w)
	l.declare(ctx)
	w.boot()
	return w
}

// declare declares fields, stream, mappings and the audience.
func (l *lake) declare(ctx context.Context) {
	l.t.Helper()
	text := func(name string, rank int) warehouse.Field {
		return warehouse.Field{Name: name, Type: warehouse.Text, Merge: warehouse.Latest, Rank: rank, PII: true}
	}
	s := warehouse.Schema{
		Fields:  []warehouse.Field{text("uid", 1), text("email", 0), text("phone", 0), {Name: "member", Type: warehouse.Boolean, Merge: warehouse.Latest}},
		Streams: []warehouse.Stream{{Name: "people"}},
	}
	for _, f := range s.Fields {
		s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: "people", Field: f.Name, Expression: f.Name})
	}
	if _, err := l.Apply(ctx, s); err != nil {
		l.t.Fatal(err)
	}
	if err := l.SetAudiences(ctx, []warehouse.Rule{{ID: l.audience, Slug: "people", Text: "FILTER member = true", Version: 1}}, time.Now()); err != nil {
		l.t.Fatal(err)
	}
}

// TestCampaignOnDuckDB is the campaign with both real databases. It draws its
// deeds itself, because few campaigns fit into the time; the seed is printed.
func TestCampaignOnDuckDB(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	empty, campaigns := template(t), 4
	if delivery.RaceEnabled {
		campaigns = 1
	}
	for i := range campaigns {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		replay := []provider.Replay{provider.ReplayHarmless, provider.ReplayNever}[r.IntN(2)]
		list := someDeeds(r, 12)
		for range 2 {
			list = slices.Insert(list, 1+r.IntN(len(list)), deed{What: "forget", Seed: r.Uint64()})
		}
		synctest.Test(t, func(t *testing.T) {
			w := onDuckDB(t, empty, r.Uint64(), replay, r.IntN(3) == 0)
			w.reaches([]activation.Reach{{}, {UserLimit: 5}, {UserLimit: 4, UserLimitFrequency: "hourly"}}[r.IntN(3)])
			if wrong := campaign(t.Context(), w, list, activation.OnEnds[i%3]); wrong != "" {
				t.Errorf("campaign %d: %s\ndeeds: %+v", i, wrong, list)
			}
		})
	}
}

// someDeeds draws deeds without rapid.
func someDeeds(r *rand.Rand, n int) []deed {
	list := []deed{{What: "people", Seed: r.Uint64(), Skip: 3}}
	for len(list) < n {
		what := deeds[r.IntN(len(deeds))]
		if what == "kill" {
			continue
		}
		list = append(list, deed{
			What: what, Seed: r.Uint64(), Point: delivery.CrashPoints[r.IntN(len(delivery.CrashPoints))], Skip: r.IntN(4),
			Chaos: []float64{0.1, 0.3, 0.6}[r.IntN(3)], After: []time.Duration{0, time.Second, 61 * time.Second, 15 * time.Minute}[r.IntN(4)],
		})
	}
	return list
}
