package inbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
)

// Rows that come in real time are no files: they wait in the table messages, one
// posting beside the other, until a batch of a stream takes them. What many
// callers send at the same moment is written in one transaction and so costs one
// sync of the disk (group commit).
//
//	messages   postings that wait, in the order of acceptance
//	batches    one row a stream: the range of its messages that is being merged,
//	           under a name that survives a crash, and the batch before that
const postSchema = `
CREATE TABLE IF NOT EXISTS messages (
	n            INTEGER PRIMARY KEY AUTOINCREMENT,
	stream       TEXT NOT NULL,
	load         TEXT NOT NULL,
	columns      TEXT NOT NULL,
	row_count    INTEGER NOT NULL,
	rejected     INTEGER NOT NULL,
	bytes        INTEGER NOT NULL,
	filename     TEXT NOT NULL,
	received_at  INTEGER NOT NULL,
	body         BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_stream ON messages (stream, n);
CREATE INDEX IF NOT EXISTS messages_load ON messages (load) WHERE load <> '';
CREATE TABLE IF NOT EXISTS batches (
	stream   TEXT PRIMARY KEY,
	id       TEXT NOT NULL,
	first    INTEGER NOT NULL,
	last     INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	settled  TEXT NOT NULL DEFAULT ''
);`

// Posting is the rows of one request that came in real time, or of several with
// the same columns that came at the same moment.
type Posting struct {
	// Number is the place in the order of acceptance.
	Number int64
	Stream string
	// Load is the id of a load of its own that the rows are merged as; "" = they
	// are merged together with others.
	Load       string
	Columns    []string
	Rows       int64
	Rejected   int64 // rows dropped at the door
	Filename   string
	ReceivedAt time.Time
	// Body holds the rows in the form that package ingest gives them. Two bodies
	// with the same columns, one behind the other, are a body.
	Body []byte
}

// Room is how much may wait. Zero = no bound.
type Room struct {
	Rows, Bytes int64
	// Requests is how many callers may wait for the disk at a time.
	Requests int
}

// codeBusy is the code of a posting that found too much waiting.
const codeBusy = "COLLECT-BUSY"

// busyFor is how long whoever finds no room is told to stay away.
const busyFor = 2 * time.Second

// posts is the state of the real-time lane in memory. Its counts are of what is
// in the database or about to be.
type posts struct {
	mu      sync.Mutex
	queue   []*post
	rows    int64
	bytes   int64
	streams map[string]int64 // postings that wait, by stream
	wake    chan struct{}    // of the committer; holds one
	posted  chan struct{}    // closed when something was posted
	stop    chan struct{}
	ended   chan struct{}
	closing sync.Once
}

// post is a posting whose caller waits.
type post struct {
	Posting
	done chan error // holds one
}

// startPosts counts what waits and starts the committer.
func (b *Inbox) startPosts(ctx context.Context) (err error) {
	p := &b.posts
	p.streams = map[string]int64{}
	p.wake, p.posted = make(chan struct{}, 1), make(chan struct{})
	p.stop, p.ended = make(chan struct{}), make(chan struct{})
	rows, err := b.db.QueryContext(ctx, `SELECT stream, count(*), sum(row_count), sum(bytes) FROM messages GROUP BY stream`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var stream string
		var postings, messages, bytes int64
		if err := rows.Scan(&stream, &postings, &messages, &bytes); err != nil {
			return err
		}
		p.streams[stream], p.rows, p.bytes = postings, p.rows+messages, p.bytes+bytes
	}
	if err := rows.Err(); err != nil {
		return err
	}
	go b.commitPosts()
	return nil
}

// stopPosts ends the committer; what waits in memory is refused. It may be called
// twice, and before startPosts.
func (b *Inbox) stopPosts() {
	p := &b.posts
	if p.stop == nil {
		return
	}
	p.closing.Do(func() {
		close(p.stop)
		<-p.ended
	})
}

// errClosed is what a posting gets that comes when the inbox is closed.
var errClosed = errors.New("the inbox is closed")

// HasRoom returns the error that Post would return for want of room, so that a
// body need not be read in vain.
func (b *Inbox) HasRoom(most Room) error {
	b.posts.mu.Lock()
	defer b.posts.mu.Unlock()
	return b.posts.room(most, b.now(), 0, 0)
}

func (p *posts) room(most Room, now time.Time, rows, bytes int64) error {
	what := ""
	switch {
	case most.Requests > 0 && len(p.queue) >= most.Requests:
		what = "requests"
	case most.Rows > 0 && p.rows > 0 && p.rows+rows > most.Rows:
		what = "rows"
	case most.Bytes > 0 && p.bytes > 0 && p.bytes+bytes > most.Bytes:
		what = "bytes"
	default:
		return nil
	}
	return &activation.Error{
		Kind: activation.WaitUntil, Code: codeBusy, Until: now.Add(busyFor),
		Message: "too many " + what + " wait to be merged; nothing of the request was kept: send it again later",
	}
}

// Post accepts a posting. When it returns nil, the rows survive anything that
// leaves the disk whole; otherwise nothing of them is kept. A context that ends
// while the posting waits for its turn takes it back; once its transaction has
// begun, the answer is that of the transaction. Without room it is an error of
// the kind WaitUntil.
func (b *Inbox) Post(ctx context.Context, posting Posting, most Room) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	p := &b.posts
	item := &post{Posting: posting, done: make(chan error, 1)}
	p.mu.Lock()
	if err := p.room(most, b.now(), item.Rows, item.size()); err != nil {
		p.mu.Unlock()
		return err
	}
	p.queue = append(p.queue, item)
	p.rows, p.bytes = p.rows+item.Rows, p.bytes+item.size()
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-item.done:
		return err
	case <-p.ended:
	case <-ctx.Done():
	}
	if p.takeBack(item) {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("post: %w", err)
		}
		return fmt.Errorf("post: %w", errClosed)
	}
	return <-item.done // its transaction has begun
}

// takeBack removes a posting that is not being written yet.
func (p *posts) takeBack(item *post) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.queue, item)
	if i < 0 {
		return false
	}
	p.queue = slices.Delete(p.queue, i, i+1)
	p.rows, p.bytes = p.rows-item.Rows, p.bytes-item.size()
	return true
}

// postOverhead is what a posting takes beside its rows, as a round figure.
const postOverhead = 64

func (p Posting) size() int64 { return int64(len(p.Body)) + postOverhead }

// Waiting returns how many rows and bytes wait for the real-time lane.
func (b *Inbox) Waiting() (rows, bytes int64) {
	b.posts.mu.Lock()
	defer b.posts.mu.Unlock()
	return b.posts.rows, b.posts.bytes
}

// Streams returns the streams for which something waits, by name.
func (b *Inbox) Streams() []string {
	b.posts.mu.Lock()
	defer b.posts.mu.Unlock()
	out := make([]string, 0, len(b.posts.streams))
	for s := range b.posts.streams {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// Posted returns a channel that is closed when something is posted next. Take it
// before looking, so that nothing between look and wait is missed.
func (b *Inbox) Posted() <-chan struct{} {
	b.posts.mu.Lock()
	defer b.posts.mu.Unlock()
	return b.posts.posted
}

// maxGroup is how many bytes one transaction takes at most, unless one posting
// alone has more. Those who wait behind it wait for no more than that.
const maxGroup = 8 << 20

// commitPosts is the one goroutine that writes postings: all that have come while
// the transaction before was being synced go into the next.
func (b *Inbox) commitPosts() {
	p := &b.posts
	defer close(p.ended)
	for {
		select {
		case <-p.stop:
			return
		case <-p.wake:
		}
		for group := p.nextGroup(); len(group) > 0; group = p.nextGroup() {
			b.commitGroup(group)
		}
	}
}

// nextGroup takes the first postings of the queue.
func (p *posts) nextGroup() []*post {
	p.mu.Lock()
	defer p.mu.Unlock()
	var bytes int64
	n := 0
	for n < len(p.queue) && (n == 0 || bytes+p.queue[n].size() <= maxGroup) {
		bytes += p.queue[n].size()
		n++
	}
	group := slices.Clone(p.queue[:n])
	p.queue = slices.Delete(p.queue, 0, n)
	return group
}

// commitGroup writes a group and answers everybody in it.
func (b *Inbox) commitGroup(group []*post) {
	together := joined(group)
	// Nobody's context ends it: it belongs to all of them.
	err := b.insertPostings(context.Background(), together)
	if err != nil {
		err = diskError("store messages", err)
	}
	p := &b.posts
	p.mu.Lock()
	var bytes int64
	for _, g := range group {
		bytes -= g.size()
		if err != nil {
			p.rows -= g.Rows
		}
	}
	if err == nil {
		for _, j := range together {
			bytes += j.size()
			p.streams[j.Stream]++
		}
		close(p.posted)
		p.posted = make(chan struct{})
	}
	p.bytes += bytes
	p.mu.Unlock()
	for _, g := range group {
		g.done <- err
	}
}

// joined makes one posting of all that may be one.
func joined(group []*post) []Posting {
	type kind struct {
		stream, columns string
		rejected        bool
	}
	var out []Posting
	at := map[kind]int{}
	for _, g := range group {
		k := kind{g.Stream, strings.Join(g.Columns, "\x00"), g.Rejected > 0}
		i, ok := at[k]
		if !ok || g.Load != "" {
			if g.Load == "" {
				at[k] = len(out)
			}
			one := g.Posting
			one.Body = slices.Clip(one.Body)
			out = append(out, one)
			continue
		}
		out[i].Rows += g.Rows
		out[i].Rejected += g.Rejected
		out[i].Body = append(out[i].Body, g.Body...)
	}
	return out
}

func (b *Inbox) insertPostings(ctx context.Context, postings []Posting) error {
	return b.inTx(ctx, func(tx *sql.Tx) error {
		for _, p := range postings {
			cols, err := json.Marshal(p.Columns)
			if err != nil {
				return err
			}
			body := p.Body
			if body == nil {
				body = []byte{}
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO messages (stream, load, columns, row_count, rejected, bytes, filename, received_at, body)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
				p.Stream, p.Load, string(cols), p.Rows, p.Rejected, p.size(), p.Filename, p.ReceivedAt.UnixMicro(), body); err != nil {
				return err
			}
		}
		return nil
	})
}

// inTx runs fn in one transaction; any error rolls it back.
func (b *Inbox) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, rollback(tx))
	}
	if err := tx.Commit(); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return nil
}
