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

// Transport is how calls reach a network. It decides which cases a harness may
// skip: what is spoken over HTTP may skip nothing but what it names in no answer.
type Transport string

const (
	// HTTP: every call is answered, and may be answered by anything in between.
	HTTP Transport = ""
	// Files: files are put somewhere (SFTP, S3); nobody there reads them, and
	// nobody answers for a row.
	Files Transport = "files"
	// Database: rows are written in transactions over a connection.
	Database Transport = "database"
	// Local: a table of this process; there is no connection and no credential.
	Local Transport = "local"
)

// rule says which transports may skip a case.
type rule func(Transport) bool

func never(Transport) bool     { return false }
func ability(Transport) bool   { return true }
func notHTTP(t Transport) bool { return t != HTTP }
func local(t Transport) bool   { return t == Local }

// unfit is the reason why a case does not fit what the definition says. It is no
// failure: the definition decides it, not the harness.
type unfit string

func (u unfit) Error() string { return string(u) }

// far is what networks of state and of events have in common.
type far interface {
	Deps() provider.Deps
	Hosts() []string
	Fail(f Fault) error
	Heal()
	Writes() int
	Calls() int
	Close()
}

// stage is what every case has: a network, a destination that calls it, and a
// record of everything that was said.
type stage struct {
	ctx       context.Context
	def       provider.Definition
	transport Transport
	settings  map[string]string
	far       far
	dest      provider.Destination
	set       matchkey.Set
	said      record
	clients   []*http.Client
	batches   int
}

// raise makes the first destination and the set of keys. events are the keys
// before those of the person; raw is the first row, which decides what is mapped.
func (s *stage) raise(events []matchkey.Key, raw map[string]string) error {
	config := s.far.Deps().Config
	mapping, own := map[string]string{}, map[string]bool{}
	for _, k := range events {
		own[k.Name] = true
	}
	for name := range raw {
		if !own[name] {
			mapping[name] = name
		}
	}
	rules := s.def.Rules(config, mapping)
	rules.Keys = append(append([]matchkey.Key{}, events...), rules.Keys...)
	for name := range raw {
		mapping[name] = name
	}
	country := provider.Setting(s.def.DestinationFields, config, provider.CountryField)
	var err error
	if s.set, err = matchkey.NewSet(rules, mapping, country); err != nil {
		return fmt.Errorf("the row does not fit the rule set: %w", err)
	}
	if s.dest, err = s.destination(callTime); err != nil {
		return fmt.Errorf("make the destination: %w", err)
	}
	return nil
}

// destination makes one whose calls have this time limit.
func (s *stage) destination(limit time.Duration) (provider.Destination, error) {
	d := s.far.Deps()
	d.Log = slog.New(slog.NewTextHandler(&s.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d.Now = time.Now
	out := outbound.Config{Timeout: limit, AllowedHosts: s.far.Hosts(), Log: d.Log, Now: d.Now}
	d.HTTP, d.Dial = outbound.New(out), outbound.Dialer(out)
	s.clients = append(s.clients, d.HTTP)
	return s.def.NewDestination(d)
}

// within is the context of a call that runs into its time limit: an HTTP client
// has one of its own, other clients keep to the context.
func (s *stage) within(limit time.Duration) (context.Context, context.CancelFunc) {
	if s.transport == HTTP {
		return context.WithCancel(s.ctx)
	}
	return context.WithTimeout(s.ctx, limit)
}

func (s *stage) close() {
	for _, c := range s.clients {
		c.CloseIdleConnections()
	}
	s.far.Close()
}

// play runs one case in a fresh world and looks the stage over afterwards, which
// is nil where the network did not open.
func play(run func(ctx context.Context) (*stage, error)) error {
	before := goroutines()
	ctx, cancel := context.WithTimeout(context.Background(), caseTime)
	defer cancel()
	s, err := run(ctx)
	if s == nil {
		return err
	}
	var u unfit
	isUnfit := errors.As(err, &u)
	err = errors.Join(err, s.nothingLeaked())
	s.close()
	err = errors.Join(err, goroutinesEnded(before))
	if isUnfit && errors.As(err, &u) {
		return u
	}
	return err
}

// row computes the keys of one row from its raw values.
func (s *stage) row(raw map[string]string, buf []byte) (person, []byte) {
	values, out := make([]string, len(s.set.Keys)), make(person, len(s.set.Keys))
	for j, k := range s.set.Keys {
		values[j] = raw[k.Name]
	}
	_, buf = s.set.Compute(values, out, buf)
	return out, buf
}

// ensure makes sure of an audience and returns its id.
func (s *stage) ensure(a provider.Audience) (provider.RemoteID, error) {
	a.Config, a.Keys = s.settings, s.set.Keys
	id, err := s.dest.EnsureAudience(s.ctx, a)
	s.said.hear(err)
	if err == nil && id == "" {
		return "", errors.New("an audience without an id and without an error")
	}
	return id, err
}

// pack makes a batch of these rows.
func (s *stage) pack(op activation.Op, id provider.RemoteID, a provider.Audience, rows ...person) provider.Batch {
	s.batches++
	a.Config = s.settings
	b := provider.Batch{
		Run:  activation.RunID(fmt.Sprintf("%032x", s.batches)),
		Item: activation.ItemID(fmt.Sprintf("%032x", 0x1000+s.batches)), Attempt: 1,
		RunNumber: int64(s.batches), Number: 1, At: time.Now().UTC().Truncate(time.Second),
		Remote: id, Audience: a, Op: op, Keys: s.set.Keys,
	}
	for _, r := range rows {
		b.Values = append(b.Values, r...)
	}
	return b
}

// send delivers a batch, checks that the answer keeps the contract, and asks a
// late network until it has answered.
func (s *stage) send(ctx context.Context, d provider.Destination, b provider.Batch) (activation.Receipt, error) {
	rc, err := d.Deliver(ctx, b)
	s.said.hear(err)
	for tries := 0; err == nil && rc.PollToken != "" && tries < 100; tries++ {
		if !s.def.Async {
			return rc, errors.New("a poll token from a network that is not asynchronous")
		}
		s.far.Heal()
		rc, err = d.Poll(ctx, rc.PollToken, int64(b.Rows()))
		s.said.hear(err)
	}
	if err != nil {
		return rc, checkError(rc, err)
	}
	return rc, checkReceipt(rc, int64(b.Rows()))
}

// cancelMeanwhile ends the context as soon as the network has got a further
// call that changes something. stop waits for whoever does that.
func (s *stage) cancelMeanwhile() (ctx context.Context, stop func()) {
	writes := s.far.Writes()
	ctx, cancel := context.WithCancel(s.ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for s.far.Writes() == writes && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	return ctx, func() { cancel(); <-over }
}
