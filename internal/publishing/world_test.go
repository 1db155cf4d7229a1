package publishing_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/engine"
	"usher/internal/pass"
	"usher/internal/provider"
	"usher/internal/publishing"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
)

// world is a control store on a clock of synctest, with accounts at far sides.
type world struct {
	*store.Store
	t    *testing.T
	auth activation.AuthorizationID

	mu   sync.Mutex
	fars map[activation.PublisherID]*far
}

func test(t *testing.T, fn func(w *world)) {
	t.Helper()
	path := sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.db"))
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		a, err := s.CreateAuthorization(t.Context(), activation.Authorization{Label: "far", Provider: "farads", KeyID: "k", Sealed: []byte("sealed")}, "ann")
		if err != nil {
			t.Fatal(err)
		}
		fn(&world{Store: s, t: t, auth: a.ID, fars: map[activation.PublisherID]*far{}})
	})
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("unexpected error: %v", err)
	}
}

// ctx is that of the test.
func (w *world) ctx() context.Context { return w.t.Context() }

// link makes an account at a far side.
func (w *world) link(name string, f *far) activation.PublisherAccount {
	w.t.Helper()
	a, err := w.CreatePublisher(w.ctx(), activation.PublisherAccount{
		Name: name, Provider: "farads", Authorization: w.auth, Account: name, Currency: cmp.Or(f.currency, "EUR"), Timezone: "Europe/Berlin", NightlyAt: "20:00",
	}, "farads_sync", "farads_post", "ann")
	w.ok(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fars[a.ID] = f
	return a
}

// desk is a fresh one, as after a restart. s is the store as it sees it.
func (w *world) desk(s publishing.Store) *publishing.Desk {
	return publishing.New(publishing.Config{
		Store: s, Jobs: w.Store, Providers: []provider.Definition{farDefinition()}, Now: time.Now,
		Connect: func(_ context.Context, a activation.PublisherAccount) (provider.Publisher, provider.Definition, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			f := w.fars[a.ID]
			if f.changed != nil {
				return farTeller{farPublisher{f}}, farDefinition(), nil
			}
			return farPublisher{f}, farDefinition(), nil
		},
	})
}

// node starts a node and returns the function that stops it and waits.
func (w *world) node(name string) (stop func()) {
	w.t.Helper()
	d := w.desk(w.Store)
	worker, err := pass.New(pass.Config{Node: name, Store: w.Store, Runners: []pass.Runner{d.Runner()}})
	w.ok(err)
	e := engine.New(engine.Config{Node: name, Leases: w.Store}, worker, &store.Sweeper{Store: w.Store})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx()))
	ended := make(chan error, 2)
	go func() { ended <- e.Run(ctx) }()
	go func() { ended <- d.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				w.t.Error(err)
			}
		}
	}
}

// progress is a pass in hand without a worker around it.
type progress struct {
	w *world
	p activation.Pass

	mu     sync.Mutex
	counts map[string]int64
	notes  []string
}

func (p *progress) Pass() activation.Pass      { return p.p }
func (p *progress) Moved()                     {}
func (p *progress) Save(context.Context) error { return nil }

func (p *progress) Count(name string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[name] += n
}

func (p *progress) Note(_ context.Context, level, code, message string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, level+" "+code+" "+message)
	return nil
}

// pass gives a job one attempt at a pass, by a desk that sees s, as soon as there can
// be one. A crash leaves it as it is; the next attempt comes when its lease is over.
func (w *world) pass(job activation.JobID, s publishing.Store) (*progress, error) {
	w.t.Helper()
	for range 30 {
		p, err := w.TakePass(w.ctx(), job, fmt.Sprint("node ", time.Now().UnixNano()), 45*time.Second)
		if errors.Is(err, activation.ErrConflict) {
			j, err := w.Job(w.ctx(), job)
			w.ok(err)
			time.Sleep(max(time.Until(j.SleepUntil), 10*time.Second))
			continue
		}
		w.ok(err)
		j, err := w.Job(w.ctx(), job)
		w.ok(err)
		made := &progress{w: w, p: p, counts: map[string]int64{}}
		err = w.desk(s).Runner().Pass(w.ctx(), j, made)
		if errors.Is(err, errCrash) {
			return made, err
		}
		p.Status, p.Counts = activation.RunCompleted, made.counts
		var e *activation.Error
		if errors.As(err, &e) && e.Kind == activation.WaitUntil {
			w.ok(w.ReleasePass(w.ctx(), p, e.Until))
			return made, err
		}
		if err != nil {
			p.Status, p.ErrorKind, p.ErrorCode, p.ErrorText = activation.RunFailed, activation.KindOf(err), activation.CodeOf(err), activation.SafeMessage(err)
		}
		w.ok(w.FinishPass(w.ctx(), p))
		return made, err
	}
	w.t.Fatal("the job never gets a pass")
	return nil, nil
}

// drained gives the post job passes until nothing is released, and returns the errors
// of those that ended with one.
func (w *world) drained(a activation.PublisherAccount) (errs []error) {
	w.t.Helper()
	for range 40 {
		waits, err := w.HasQueued(w.ctx(), a.ID)
		w.ok(err)
		if !waits {
			return errs
		}
		if _, err := w.pass(a.PostJob, w.Store); err != nil {
			errs = append(errs, err)
		}
	}
	w.t.Fatalf("the queue is never empty: %v", errs)
	return nil
}

// read fills Usher's copy with what the far side has.
func (w *world) read(a activation.PublisherAccount) {
	w.t.Helper()
	w.write(a, activation.Entry{Origin: activation.OriginUser, Operation: activation.OpSync, Detail: map[string]string{publishing.DetailWhat: publishing.ReadStructure}})
	if errs := w.drained(a); len(errs) > 0 {
		w.t.Fatal(errs)
	}
}

// write writes entries, queued unless they say otherwise.
func (w *world) write(a activation.PublisherAccount, entries ...activation.Entry) []activation.Entry {
	w.t.Helper()
	for i := range entries {
		e := &entries[i]
		e.Publisher = a.ID
		if e.Status == "" {
			e.Status = activation.EntryQueued
		}
		if e.Origin == "" {
			e.Origin = activation.OriginUser
		}
		if e.By == "" {
			e.By, e.Source = "ann", "api"
		}
		if e.Operation == activation.OpCreate && e.Object.ID == "" {
			e.Object.ID = activation.PendingObjectID(i)
		}
	}
	out, err := w.WriteEntries(w.ctx(), a.ID, nil, entries, activation.EntryWrite{})
	w.ok(err)
	return out
}

// edit is an entry that sets a field.
func edit(ref activation.ObjectRef, op activation.Operation, field, after string) activation.Entry {
	return activation.Entry{Operation: op, Object: ref, Type: typeOf(ref.Kind), ObjectName: ref.ID, Changes: []activation.Change{{Field: field, After: after}}}
}

func create(kind activation.ObjectKind, parent activation.ObjectRef, name string) activation.Entry {
	return activation.Entry{
		Operation: activation.OpCreate, Object: activation.ObjectRef{Kind: kind}, Type: typeOf(kind), ObjectName: name, ObjectParent: parent,
		Changes: []activation.Change{{Field: "name", After: name}, {Field: "status", After: "enabled"}},
	}
}

func remove(ref activation.ObjectRef) activation.Entry {
	return activation.Entry{Operation: activation.OpDelete, Object: ref, Type: typeOf(ref.Kind), ObjectName: ref.ID}
}

func typeOf(kind activation.ObjectKind) string {
	return map[activation.ObjectKind]string{
		activation.KindCampaign: "campaign", activation.KindGroup: "group", activation.KindCreative: "ad", activation.KindKeyword: "keyword", activation.KindOther: "budget",
	}[kind]
}

// tree puts a campaign, a group, an ad, a keyword and a budget at the far side.
func (f *far) tree() (campaign, group, ad, keyword, budget activation.ObjectRef) {
	fields := func(name string) map[string]string { return map[string]string{"name": name, "status": "enabled"} }
	campaign = f.put(activation.KindCampaign, "1", "campaign", activation.ObjectRef{}, fields("Spring"))
	group = f.put(activation.KindGroup, "2", "group", campaign, fields("Shoes"))
	ad = f.put(activation.KindCreative, "3", "ad", group, fields("Ad"))
	keyword = f.put(activation.KindKeyword, "4", "keyword", group, map[string]string{"name": "red shoes", "status": "enabled", "bid": "1"})
	budget = f.put(activation.KindOther, "5", "budget", activation.ObjectRef{}, fields("Budget"))
	return campaign, group, ad, keyword, budget
}

// is checks status, reason and error code of an entry.
func (w *world) is(id activation.EntryID, want string) activation.Entry {
	w.t.Helper()
	e, err := w.Entry(w.ctx(), id)
	w.ok(err)
	got := strings.TrimSpace(string(e.Status) + " " + e.Reason + " " + e.ErrorCode)
	if got = strings.Join(strings.Fields(got), " "); got != want {
		w.t.Fatalf("entry %d is %q (%s), want %q", id, got, e.ErrorText, want)
	}
	return e
}

// object is Usher's copy of an object.
func (w *world) object(a activation.PublisherAccount, ref activation.ObjectRef) activation.PublisherObject {
	w.t.Helper()
	o, err := w.Object(w.ctx(), a.ID, ref)
	w.ok(err)
	return o
}

// sameTree checks that Usher's copy is what the far side has.
func (w *world) sameTree(a activation.PublisherAccount, f *far) {
	w.t.Helper()
	have := map[activation.ObjectRef]map[string]string{}
	q := activation.ObjectQuery{Publisher: a.ID, Limit: 500}
	for {
		page, next, err := w.Objects(w.ctx(), q)
		w.ok(err)
		for _, o := range page {
			have[o.ObjectRef] = o.Confirmed
		}
		if q.After = next; next == "" {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ref, o := range f.objects {
		if !maps.Equal(have[ref], o.Fields) {
			w.t.Errorf("%v is %v at the publisher and %v in Usher's copy", ref, o.Fields, have[ref])
		}
		delete(have, ref)
	}
	for ref := range have {
		w.t.Errorf("%v is in Usher's copy alone", ref)
	}
}

// idsOf are the ids of entries.
func idsOf(entries []activation.Entry) (out []activation.EntryID) {
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

// once checks that no entry took effect twice.
func once(t *testing.T, effects []activation.EntryID) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(effects))
	if len(slices.Compact(slices.Clone(sorted))) != len(sorted) {
		t.Fatalf("something took effect twice: %v", effects)
	}
}
