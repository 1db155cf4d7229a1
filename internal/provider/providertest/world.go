package providertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
)

const (
	// caseTime bounds one case.
	caseTime = 30 * time.Second
	// callTime is the client's time limit; shortTime that of calls which run
	// into it on purpose.
	callTime  = 10 * time.Second
	shortTime = 500 * time.Millisecond
)

// world is all that one case has: a network, a destination that calls it, and
// a record of everything that was said.
type world struct {
	h       Harness
	ctx     context.Context
	net     Network
	dest    provider.Destination
	set     matchkey.Set
	said    record
	clients []*http.Client
	batches int
}

// run plays one case in a fresh world and looks it over afterwards.
func (h Harness) run(c check) error {
	before := goroutines()
	ctx, cancel := context.WithTimeout(context.Background(), caseTime)
	defer cancel()
	w, err := h.open(ctx)
	if err != nil {
		return err
	}
	err = c.run(w)
	err = errors.Join(err, w.nothingLeaked())
	w.close()
	return errors.Join(err, goroutinesEnded(before))
}

func (h Harness) open(ctx context.Context) (*world, error) {
	w := &world{h: h, ctx: ctx}
	mapping := map[string]string{}
	for key := range h.Person(0) {
		mapping[key] = key
	}
	var err error
	if w.set, err = matchkey.NewSet(h.Definition.RuleSet, mapping, ""); err != nil {
		return nil, fmt.Errorf("person does not fit the rule set: %w", err)
	}
	if w.net, err = h.Open(); err != nil {
		return nil, fmt.Errorf("open the network: %w", err)
	}
	if w.dest, err = w.destination(callTime); err != nil {
		w.close()
		return nil, fmt.Errorf("make the destination: %w", err)
	}
	return w, nil
}

// destination makes one whose calls have this time limit.
func (w *world) destination(limit time.Duration) (provider.Destination, error) {
	d := w.net.Deps()
	d.Log = slog.New(slog.NewTextHandler(&w.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d.Now = time.Now
	d.HTTP = outbound.New(outbound.Config{Timeout: limit, AllowedHosts: w.net.Hosts(), Log: d.Log, Now: d.Now})
	w.clients = append(w.clients, d.HTTP)
	return w.h.Definition.NewDestination(d)
}

func (w *world) close() {
	for _, c := range w.clients {
		c.CloseIdleConnections()
	}
	w.net.Close()
}

// person is somebody with match keys: one value per key of the set.
type person [][]byte

// people makes n people, numbered from first.
func (w *world) people(first, n int) []person {
	list := make([]person, n)
	var buf []byte
	for i := range list {
		raw := w.h.Person(first + i)
		values := make([]string, len(w.set.Keys))
		for j, k := range w.set.Keys {
			values[j] = raw[k.Name]
			w.said.mustNotSay(raw[k.Name])
		}
		list[i] = make(person, len(w.set.Keys))
		_, buf = w.set.Compute(values, list[i], buf)
		for j, v := range list[i] {
			if w.set.Keys[j].Hash && v != nil {
				w.said.mustNotSay(fmt.Sprintf("%x", v))
			}
		}
	}
	return list
}

// audience makes sure of an audience and returns its id.
func (w *world) audience() (provider.RemoteID, error) {
	return w.ensure(provider.Audience{Marker: "target-1.g1", Name: "Conformance"})
}

func (w *world) ensure(a provider.Audience) (provider.RemoteID, error) {
	id, err := w.dest.EnsureAudience(w.ctx, a)
	w.said.hear(err)
	if err == nil && id == "" {
		return "", errors.New("an audience without an id and without an error")
	}
	return id, err
}

// batch makes a batch of these people.
func (w *world) batch(op activation.Op, id provider.RemoteID, people ...person) provider.Batch {
	w.batches++
	b := provider.Batch{
		Run:  activation.RunID(fmt.Sprintf("%032x", w.batches)),
		Item: activation.ItemID(fmt.Sprintf("%032x", 0x1000+w.batches)), Attempt: 1,
		Remote: id, Op: op, Keys: w.set.Keys,
	}
	for _, p := range people {
		b.Values = append(b.Values, p...)
	}
	return b
}

// deliver sends a batch, checks that the answer keeps the contract, and asks a
// late network until it has answered.
func (w *world) deliver(b provider.Batch) (activation.Receipt, error) {
	return w.deliverBy(w.ctx, w.dest, b)
}

func (w *world) deliverBy(ctx context.Context, d provider.Destination, b provider.Batch) (activation.Receipt, error) {
	rc, err := d.Deliver(ctx, b)
	w.said.hear(err)
	for tries := 0; err == nil && rc.PollToken != "" && tries < 100; tries++ {
		if !w.h.Definition.Async {
			return rc, errors.New("a poll token from a network that is not asynchronous")
		}
		w.net.Heal()
		rc, err = d.Poll(ctx, rc.PollToken, int64(b.Rows()))
		w.said.hear(err)
	}
	if err != nil {
		return rc, checkError(rc, err)
	}
	return rc, checkReceipt(rc, int64(b.Rows()))
}

// checkError looks at the error itself; it is returned as it is if it is right.
func checkError(rc activation.Receipt, err error) error {
	var e *activation.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("the error is a %T, not an *activation.Error", err)
	case e.Kind == "" || e.Code == "" || e.Message == "":
		return fmt.Errorf("the error lacks kind, code or message: %w", err)
	case rc.Accepted+rc.Rejected+rc.Unknown+rc.Unsent+rc.Superseded != 0 || len(rc.Exceptions) > 0:
		return fmt.Errorf("a receipt and an error at once: %w", err)
	}
	return err
}

// checkReceipt says where a receipt does not cover its rows.
func checkReceipt(rc activation.Receipt, rows int64) error {
	if sum := rc.Accepted + rc.Rejected + rc.Unknown + rc.Unsent + rc.Superseded; sum != rows {
		return fmt.Errorf("the receipt covers %d rows of %d", sum, rows)
	}
	if rc.Unplaced < 0 || rc.Unplaced > rc.Accepted {
		return fmt.Errorf("%d rows unplaced of %d accepted", rc.Unplaced, rc.Accepted)
	}
	last, told := int64(-1), map[activation.Outcome]int64{}
	for _, x := range rc.Exceptions {
		if x.Ordinal <= last || x.Ordinal >= rows {
			return fmt.Errorf("exception at %d after %d, of %d rows", x.Ordinal, last, rows)
		}
		last = x.Ordinal
		told[x.Outcome]++
	}
	if told[activation.Rejected] != rc.Rejected || told[activation.Unknown] != rc.Unknown || told[activation.Unsent] != rc.Unsent || told[activation.Accepted] != 0 {
		return errors.New("the exceptions are not the rows that were not accepted")
	}
	return nil
}

// allIn says who of the people is not in the audience by one of their
// identifying keys.
func (w *world) allIn(id provider.RemoteID, people ...person) error {
	for i, p := range people {
		for j, k := range w.set.Keys {
			if k.Identifies && p[j] != nil && !w.net.Holds(id, k, p[j]) {
				return fmt.Errorf("the network does not hold person %d by %s", i, k.Name)
			}
		}
	}
	return nil
}

// noneIn says who of the people is in the audience by one of their keys.
func (w *world) noneIn(id provider.RemoteID, people ...person) error {
	for i, p := range people {
		for j, k := range w.set.Keys {
			if k.Identifies && p[j] != nil && w.net.Holds(id, k, p[j]) {
				return fmt.Errorf("the network holds person %d by %s", i, k.Name)
			}
		}
	}
	return nil
}

func (w *world) sizeIs(id provider.RemoteID, want int) error {
	if got := w.net.Size(id); got != want {
		return fmt.Errorf("the audience has %d people, want %d", got, want)
	}
	return nil
}

// wantError checks kind and MayHaveApplied of an error.
func wantError(err error, kind activation.Kind, applied bool) (*activation.Error, error) {
	var e *activation.Error
	if !errors.As(err, &e) {
		return &activation.Error{}, fmt.Errorf("want an error of kind %s, got %q", kind, fmt.Sprint(err))
	}
	if e.Kind != kind {
		return e, fmt.Errorf("got kind %s, want %s: %w", e.Kind, kind, err)
	}
	if e.MayHaveApplied != applied {
		return e, fmt.Errorf("may have applied is %v, want %v: %w", e.MayHaveApplied, applied, err)
	}
	return e, nil
}
