package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/engine"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/tradedesk"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/warehouse"
	"usher/sandbox/fault"
	far "usher/sandbox/tradedesk"
)

// masses is a crowd whose audiences have many people each, so that a run is
// several calls.
type masses struct {
	*crowd
	people int64

	mu       sync.Mutex
	received map[activation.TargetID]int64 // rows accepted and folded
}

func (m *masses) Stage(ctx context.Context, r warehouse.PlanRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	p, err := m.crowd.Stage(ctx, r, stage)
	return m.widen(r, p), err
}

func (m *masses) DryRun(ctx context.Context, r warehouse.PlanRequest) (warehouse.Plan, error) {
	p, err := m.crowd.DryRun(ctx, r)
	return m.widen(r, p), err
}

// widen makes the plan one of all people: those that the target lacks are added.
func (m *masses) widen(r warehouse.PlanRequest, p warehouse.Plan) warehouse.Plan {
	in := m.in(r.Target)
	p.Counts = activation.Counts{Selected: m.people, Eligible: m.people, Unchanged: in, InBefore: in, Add: m.people - in, Staged: m.people - in}
	p.Holding, p.Segments = in, nil
	if in < m.people {
		p.Segments = []warehouse.Segment{{Phase: 1, Op: activation.OpAdd, Plain: true, First: in + 1, Last: m.people}}
	}
	return p
}

func (m *masses) Rows(_ context.Context, r warehouse.Range, _ bool, fn func(warehouse.KeyRow) error) error {
	for n := r.First; n <= r.Last; n++ {
		if err := fn(warehouse.KeyRow{Ordinal: n, Profile: n, Values: [][]byte{fmt.Appendf(nil, "XY1000bdfSAgk6K9cEMq-%08d", n)}}); err != nil {
			return err
		}
	}
	return nil
}

func (m *masses) Fold(_ context.Context, items []warehouse.FoldItem) ([]warehouse.FoldResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []warehouse.FoldResult
	for _, it := range items {
		r := warehouse.FoldResult{Item: it.Item}
		if it.Outcome == activation.Accepted {
			r.BecameIn = it.Last - it.First + 1
			m.received[it.Target] += r.BecameIn
		}
		out = append(out, r)
	}
	return out, nil
}

func (m *masses) InRows(_ context.Context, _ activation.RunID, t activation.TargetID, _ int) (int64, error) {
	return m.in(t), nil
}

func (m *masses) Holdings(_ context.Context, t activation.TargetID, _ int) (warehouse.Holdings, error) {
	return warehouse.Holdings{In: m.in(t)}, nil
}

func (m *masses) in(t activation.TargetID) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received[t]
}

// full says whether all of the targets have everybody.
func (m *masses) full(of []activation.TargetID) bool {
	for _, t := range of {
		if m.in(t) < m.people {
			return false
		}
	}
	return true
}

// manyPerCall is how many people one call takes.
const manyPerCall = 10

// BenchmarkDestinations delivers an audience to many destinations at once, each
// with an authorization, a job and an HTTP client of its own: the real engine,
// delivery, store and provider against the stand-in over HTTP, 2,000 calls or
// five each; only the data plane is made up. Of each hundred destinations one is dead (half
// of those refuse connections, half never answer) and one of all takes 5 seconds
// for a call. It reports the calls a second to the healthy ones until all of
// them have everybody, with the others and without, and what share is left with
// them.
//
// It is repeated in turns, because a machine that does something else as well
// makes single figures worth little; the share is that of the totals.
func BenchmarkDestinations(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dead, rounds := max(1, n/100), 2
			healthy := n - dead - 1
			each := max(5, 2000/n)
			for b.Loop() {
				var alone, beside time.Duration
				for range rounds {
					alone += benchDestinations(b, each, healthy, 0, 0)
					beside += benchDestinations(b, each, healthy, dead, 1)
				}
				calls := float64(rounds * healthy * each)
				b.ReportMetric(calls/alone.Seconds(), "calls/s-alone")
				b.ReportMetric(calls/beside.Seconds(), "calls/s-beside")
				b.ReportMetric(100*alone.Seconds()/beside.Seconds(), "%-left")
			}
		})
	}
}

// benchDestinations returns how long it takes until all healthy destinations
// have everybody, in so many calls each.
func benchDestinations(b *testing.B, each, healthy, dead, slow int) time.Duration {
	b.Helper()
	ctx := b.Context()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	st, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "control.db"), sqlite.Options{Now: time.Now})
	must(err)
	good := standIn(b, nil)
	bad := standIn(b, &fault.Fault{Kind: fault.Slow, Delay: fault.Duration(5 * time.Second), Times: -1})
	mute := standIn(b, &fault.Fault{Kind: fault.Timeout, Times: -1})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	nobody := "http://" + ln.Addr().String()
	must(ln.Close())

	plane := &masses{crowd: newCrowd(), people: int64(each * manyPerCall), received: map[activation.TargetID]int64{}}
	a, err := st.CreateAudience(ctx, activation.Audience{Slug: "people", Name: "People", Rule: "FILTER *"}, "ann")
	must(err)
	plane.add(a.ID)
	def := tradedesk.Definition()
	clients := map[activation.DestinationID]provider.Destination{}
	declare := func(label, address string) activation.TargetID {
		auth, err := st.CreateAuthorization(ctx, activation.Authorization{Label: label, Provider: def.Name, KeyID: "k", Sealed: []byte("s")}, "ann")
		must(err)
		d, err := st.CreateDestination(ctx, activation.Destination{Name: label, Provider: def.Name, Authorization: auth.ID, Account: far.DefaultAdvertiser, Mapping: map[string]string{"RampID": "ramp"}, Enabled: true}, "ann")
		must(err)
		j, err := st.CreateJob(ctx, activation.Job{
			Name: label, Workflow: def.Workflows[0].Name, Provider: def.Name, Type: "export", Destination: d.ID,
			Audiences: []activation.AudienceID{a.ID}, Schedule: activation.Schedule{Continuous: true, Frequency: activation.Realtime}, CreatedBy: "ann",
		})
		must(err)
		client := outbound.New(outbound.Config{AllowedHosts: []string{strings.TrimPrefix(address, "http://")}, MaxConcurrent: def.Concurrency, Log: log, Now: time.Now})
		b.Cleanup(client.CloseIdleConnections)
		clients[d.ID], err = tradedesk.New(provider.Deps{
			HTTP: client, Log: log, Now: time.Now, Account: far.DefaultAdvertiser,
			Auth: map[string]provider.Secret{"advertiser_secret": far.DefaultSecret, "base_url": provider.Secret(address)},
		})
		must(err)
		targets, err := st.Targets(ctx, store.TargetFilter{Job: j.ID})
		must(err)
		return targets[0].ID
	}
	for i := range dead {
		declare(fmt.Sprint("dead ", i), []string{nobody, mute}[i%2])
	}
	for i := range slow {
		declare(fmt.Sprint("slow ", i), bad)
	}
	var wanted []activation.TargetID
	for i := range healthy {
		wanted = append(wanted, declare(fmt.Sprint("healthy ", i), good))
	}

	var e *engine.Engine
	deliver := delivery.New(delivery.Config{
		Node: "n1", Store: st, Ledger: plane, Audiences: plane, Log: log, Wake: func(kind, id string) { e.Wake(kind, id) },
		Settings: delivery.Settings{ItemRows: manyPerCall},
		Providers: func(_ context.Context, d activation.Destination, _ string) (provider.Destination, provider.Definition, error) {
			return clients[d.ID], def, nil
		},
	})
	e = engine.New(engine.Config{Node: "n1", Leases: st, Log: log}, workers(deliver)...)
	run, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- e.Run(run) }()
	for !plane.full(wanted) && run.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(begin)
	if run.Err() != nil {
		b.Error("not everybody arrived within 5 minutes")
	}
	stop()
	must(<-done)
	must(st.Close())
	return took
}

// standIn serves one network; fault, if any, meets every call.
func standIn(b *testing.B, f *fault.Fault) string {
	b.Helper()
	plan := fault.NewPlan(1)
	if f != nil {
		if _, err := plan.Add(*f); err != nil {
			b.Fatal(err)
		}
	}
	n, err := far.New(far.Options{}, far.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: plan})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.Handler(n))
	b.Cleanup(func() {
		n.Release()
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}
