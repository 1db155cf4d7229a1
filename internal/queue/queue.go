// Package queue carries wake-ups between the nodes of one PostgreSQL with River.
// Where there is one node only, nothing is carried: its engine is woken directly.
//
// It owns the messages, River's client and River's tables, in a schema of their
// own. A message says that a thing of a kind may have something to do, no more:
// what is to do is asked of the control plane, and whether a message was sent,
// received or worked is never asked at all. So nothing here is retried, no
// message is unique (a wake-up that comes while one is being worked would be
// dropped), and messages are thrown away soon.
//
// It is built for these failures: a database that is away (what was to be sent
// is dropped and said once), wake-ups by the thousand (equal ones that wait are
// one), and a message that arrives twice, late or never (the engine's sweep
// finds what is due).
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Config is what a queue is made of.
type Config struct {
	// URL is the address of the database.
	URL string
	// Node is this node's name, another one for each start of each process.
	Node string
	// Handle is told of each wake-up that arrives here, from any node. It must
	// not block, and is called by any goroutine.
	Handle func(kind, id string)
	Log    *slog.Logger
}

const (
	// linger is how long wake-ups gather before they leave together.
	linger = 10 * time.Millisecond
	// maxWaiting is how many different wake-ups wait to leave; more are left to
	// the engine's sweep.
	maxWaiting = 1000
	// sendWithin is how long sending may take.
	sendWithin = 5 * time.Second
	// stopWithin is how long stopping, and closing, may take.
	stopWithin = 2 * time.Second
	// keep is how long a message is kept once it was worked.
	keep = time.Minute
	// maxConns: one listens, one fetches, one sends, one keeps house.
	maxConns = 4
)

// message is a wake-up as River stores it.
type message struct {
	What string `json:"kind"`
	ID   string `json:"id"`
}

// Kind names the kind of message for River.
func (message) Kind() string { return "wake" }

// Queue sends and receives wake-ups. Make it with Open.
type Queue struct {
	cfg    Config
	pool   *pgxpool.Pool
	schema string // of River's tables
	client *river.Client[pgx.Tx]

	mu      sync.Mutex
	waiting map[message]struct{}
	some    chan struct{} // told when waiting is not empty
}

// Open connects to the database and brings River's tables up to date. Nothing
// is sent or received before Run.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	conf, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil { // its text may hold the password
		return nil, errors.New("open queue: the address of the database cannot be read")
	}
	conf.MaxConns = maxConns
	conf.ConnConfig.RuntimeParams["application_name"] = "usher queue"
	q := &Queue{cfg: cfg, waiting: map[message]struct{}{}, some: make(chan struct{}, 1)}
	if q.pool, err = pgxpool.NewWithConfig(ctx, conf); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	err = q.findSchema(ctx)
	if err == nil {
		err = q.migrate(ctx)
	}
	if err != nil {
		q.pool.Close()
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if q.client, err = river.NewClient(riverpgxv5.New(q.pool), q.config()); err != nil {
		q.pool.Close()
		return nil, fmt.Errorf("open queue: %w", err)
	}
	return q, nil
}

func (q *Queue) config() *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[message]) error {
		q.cfg.Handle(job.Args.What, job.Args.ID)
		return nil
	}))
	return &river.Config{
		ID:                          q.cfg.Node,
		Schema:                      q.schema,
		Logger:                      slog.New(troubles{q.cfg.Log.Handler()}).With(slog.String("part", "queue")),
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 16}},
		Workers:                     workers,
		MaxAttempts:                 1,
		FetchCooldown:               20 * time.Millisecond,
		FetchPollInterval:           5 * time.Second, // as the engine's sweep: what is told of comes at once
		JobTimeout:                  5 * time.Second,
		RescueStuckJobsAfter:        time.Minute,
		CompletedJobRetentionPeriod: keep,
		CancelledJobRetentionPeriod: keep,
		DiscardedJobRetentionPeriod: keep,
		SoftStopTimeout:             time.Second,
	}
}

// troubles drops what River says when all is well.
type troubles struct{ slog.Handler }

// Enabled reports whether a level is worth a line.
func (t troubles) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && t.Handler.Enabled(ctx, l)
}

// WithAttrs keeps dropping.
func (t troubles) WithAttrs(attrs []slog.Attr) slog.Handler {
	return troubles{t.Handler.WithAttrs(attrs)}
}

// WithGroup keeps dropping.
func (t troubles) WithGroup(name string) slog.Handler { return troubles{t.Handler.WithGroup(name)} }

// migrationLock is the number of the advisory lock of whoever migrates.
const migrationLock = 0x7269766572 // "river"

// findSchema names the schema of River's tables after the one of the control
// plane, for two of those may be in one database.
func (q *Queue) findSchema(ctx context.Context) error {
	var name string
	if err := q.pool.QueryRow(ctx, `SELECT coalesce(current_schema(), '')`).Scan(&name); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if !plainName.MatchString(name) {
		return errors.New("the schema of the control plane must be there, and named by at most 40 small letters, digits and underscores")
	}
	if q.schema = name + "_queue"; name == "public" {
		q.schema = "usher_queue"
	}
	return nil
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// migrate brings River's tables up to date. Another node that does so is waited
// for.
func (q *Queue) migrate(ctx context.Context) error {
	conn, err := q.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return err
	}
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock) }()
	if _, err := conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+q.schema); err != nil {
		return err
	}
	m, err := rivermigrate.New(riverpgxv5.New(q.pool), &rivermigrate.Config{Schema: q.schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// Wake sends a wake-up to some node, this one or another. It never blocks. Equal
// ones that have not left yet are one, and one of very many may be dropped.
func (q *Queue) Wake(kind, id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxWaiting {
		return
	}
	q.waiting[message{kind, id}] = struct{}{}
	select {
	case q.some <- struct{}{}:
	default: // told already
	}
}

// Run sends and receives until ctx is done, and returns soon after, also while
// the database does not answer. Call it once.
func (q *Queue) Run(ctx context.Context) error {
	if err := q.client.Start(ctx); err != nil {
		return fmt.Errorf("start queue: %w", err)
	}
	q.send(ctx)
	atMost(stopWithin, func() { <-q.client.Stopped() })
	return nil
}

// atMost returns when fn has, or after d. fn is left alone then: it waits for a
// database that is away, and holds nothing that anybody else needs.
func atMost(d time.Duration, fn func()) {
	done := make(chan struct{})
	go func() {
		fn()
		close(done)
	}()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// send sends what waits, until ctx is done.
func (q *Queue) send(ctx context.Context) {
	gather := time.NewTimer(0)
	defer gather.Stop()
	lost := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.some:
		}
		gather.Reset(linger)
		select {
		case <-ctx.Done():
			return
		case <-gather.C:
		}
		err := q.sendNow(ctx, q.take())
		if err != nil && !lost && ctx.Err() == nil {
			q.cfg.Log.WarnContext(ctx, "wake-ups cannot be sent; the next sweep finds what is due", slog.Any("error", err))
		}
		lost = err != nil
	}
}

func (q *Queue) sendNow(ctx context.Context, messages []river.InsertManyParams) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	_, err := q.client.InsertManyFast(ctx, messages)
	return err
}

// take returns what waits to be sent, and forgets it.
func (q *Queue) take() []river.InsertManyParams {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]river.InsertManyParams, 0, len(q.waiting))
	for m := range q.waiting {
		out = append(out, river.InsertManyParams{Args: m})
	}
	clear(q.waiting)
	return out
}

// Close closes the connections. Call it after Run has returned.
func (q *Queue) Close() { atMost(stopWithin, q.pool.Close) }
