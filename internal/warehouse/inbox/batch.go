package inbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Batch is a range of the messages of one stream that are merged as one load.
// The same id has the same messages however often it is taken.
type Batch struct {
	ID       string
	Stream   string
	Postings []Posting
	// Own: it is the load of one posting, with a row in the history to itself.
	Own bool
	// Attempts counts the merges that failed.
	Attempts int
	// Settled is the id of the batch before it, which will never be offered again;
	// "" = there is none.
	Settled string
}

// BatchSize bounds a batch. One posting is always taken whole.
type BatchSize struct {
	Rows, Bytes int64
	Columns     int
}

// batchSpan is how far apart the first and the last message of a batch may have
// come; all of a batch are stored with the time of receipt of the first.
const batchSpan = 10 * time.Second

// Rows returns how many rows the batch has.
func (b Batch) Rows() (n int64) {
	for _, p := range b.Postings {
		n += p.Rows
	}
	return n
}

// Rejected returns how many rows were dropped at the door.
func (b Batch) Rejected() (n int64) {
	for _, p := range b.Postings {
		n += p.Rejected
	}
	return n
}

// Bytes returns the size of the batch as the inbox counts it.
func (b Batch) Bytes() (n int64) {
	for _, p := range b.Postings {
		n += p.size()
	}
	return n
}

// ReceivedAt is when its first message came.
func (b Batch) ReceivedAt() time.Time { return b.Postings[0].ReceivedAt }

// Columns returns the columns of all postings, in the order they come in.
func (b Batch) Columns() []string {
	var out []string
	known := map[string]bool{}
	for _, p := range b.Postings {
		for _, c := range p.Columns {
			if !known[c] {
				known[c] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// TakeBatch returns the batch of a stream that is under way, or makes one of what
// waits and writes down which messages it has. ok is false when nothing waits.
func (b *Inbox) TakeBatch(ctx context.Context, stream string, most BatchSize) (batch Batch, ok bool, err error) {
	err = b.inTx(ctx, func(tx *sql.Tx) error {
		batch = Batch{Stream: stream}
		var first, last int64
		err := tx.QueryRowContext(ctx, `SELECT id, first, last, attempts, settled FROM batches WHERE stream = $1`, stream).
			Scan(&batch.ID, &first, &last, &batch.Attempts, &batch.Settled)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		under := batch.ID != ""
		if under {
			most = BatchSize{}
		} else {
			first, last = 0, 1<<62
		}
		if batch.Postings, err = readPostings(ctx, tx, stream, first, last, most); err != nil || len(batch.Postings) == 0 {
			return err
		}
		batch.Own = batch.Postings[0].Load != ""
		if under {
			return nil
		}
		batch.Attempts = 0
		if batch.ID = batch.Postings[0].Load; batch.ID == "" {
			batch.ID = activation.NewID[string]()
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO batches (stream, id, first, last) VALUES ($1, $2, $3, $4)
			ON CONFLICT (stream) DO UPDATE SET id = $2, first = $3, last = $4, attempts = 0`,
			stream, batch.ID, batch.Postings[0].Number, batch.Postings[len(batch.Postings)-1].Number)
		return err
	})
	if err != nil {
		return Batch{}, false, fmt.Errorf("take messages: %w", err)
	}
	return batch, len(batch.Postings) > 0, nil
}

// readPostings reads the postings of a range until most is reached.
func readPostings(ctx context.Context, tx *sql.Tx, stream string, first, last int64, most BatchSize) (out []Posting, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT n, load, columns, row_count, rejected, filename, received_at, body FROM messages
		WHERE stream = $1 AND n BETWEEN $2 AND $3 ORDER BY n`, stream, first, last)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var size BatchSize
	columns := map[string]bool{}
	for rows.Next() {
		p := Posting{Stream: stream}
		var cols string
		var received int64
		if err := rows.Scan(&p.Number, &p.Load, &cols, &p.Rows, &p.Rejected, &p.Filename, &received, &p.Body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(cols), &p.Columns); err != nil {
			return nil, err
		}
		p.ReceivedAt = time.UnixMicro(received).UTC()
		size.Rows, size.Bytes = size.Rows+p.Rows, size.Bytes+p.size()
		for _, c := range p.Columns {
			columns[c] = true
		}
		size.Columns = len(columns)
		if len(out) > 0 && most != (BatchSize{}) && !p.goesWith(out[0], size, most) {
			return out, nil
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// goesWith reports whether p may be in the batch that begins with first and
// would then be of this size.
func (p Posting) goesWith(first Posting, size, most BatchSize) bool {
	return first.Load == "" && p.Load == "" && size.Rows <= most.Rows && size.Bytes <= most.Bytes && size.Columns <= most.Columns &&
		p.ReceivedAt.Sub(first.ReceivedAt) <= batchSpan && HourID(p.Stream, p.ReceivedAt) == HourID(p.Stream, first.ReceivedAt)
}

// hourPrefix begins the id of a row of the history that sums up the batches of a
// stream which came within an hour. No other load has such an id.
const hourPrefix = "live-"

// HourID is the id of the row of the history that sums up what a stream received
// in real time within the hour of a time.
func HourID(stream string, at time.Time) string {
	return hourPrefix + stream + "-" + at.UTC().Format("20060102T15")
}

// BatchDone records that a batch is merged: its messages go, and the history sums
// it up. A second call changes nothing.
func (b *Inbox) BatchDone(ctx context.Context, batch Batch, r warehouse.LoadResult) error {
	done := false
	err := b.inTx(ctx, func(tx *sql.Tx) (err error) {
		if done, err = endBatch(ctx, tx, batch, batch.ID); err != nil || !done {
			return err
		}
		return b.sumUp(ctx, tx, batch, r)
	})
	if err != nil {
		return fmt.Errorf("finish messages: %w", err)
	}
	if done {
		b.left(batch)
	}
	if batch.Own {
		b.notify()
	}
	return nil
}

// endBatch deletes the messages of a batch; done is false if that was before.
func endBatch(ctx context.Context, tx *sql.Tx, batch Batch, settled string) (done bool, err error) {
	res, err := tx.ExecContext(ctx, `UPDATE batches SET id = '', settled = $3 WHERE stream = $1 AND id = $2`, batch.Stream, batch.ID, settled)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM messages WHERE stream = $1 AND n BETWEEN $2 AND $3`,
		batch.Stream, batch.Postings[0].Number, batch.Postings[len(batch.Postings)-1].Number)
	return true, err
}

// sumUp adds a merged batch to the row of its hour, or writes the row of its own.
func (b *Inbox) sumUp(ctx context.Context, tx *sql.Tx, batch Batch, r warehouse.LoadResult) error {
	id, filename := batch.ID, ""
	if batch.Own {
		filename = batch.Postings[0].Filename
	} else {
		id = HourID(batch.Stream, batch.ReceivedAt())
		var text string
		err := tx.QueryRowContext(ctx, `SELECT result FROM loads WHERE id = $1`, id).Scan(&text)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil {
			var before warehouse.LoadResult
			if err := json.Unmarshal([]byte(text), &before); err != nil {
				return err
			}
			r = before.Plus(r)
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO loads (id, stream, file, columns, row_count, rejected, bytes, filename, content_type, received_at, status, result, finished_at)
		VALUES ($1, $2, '', '[]', $3, $4, $5, $6, 'application/json', $7, 'merged', $8, $9)
		ON CONFLICT (id) DO UPDATE SET row_count = row_count + $3, rejected = rejected + $4, bytes = bytes + $5, result = $8, finished_at = $9`,
		id, batch.Stream, batch.Rows(), batch.Rejected(), batch.Bytes(), filename, batch.ReceivedAt().UnixMicro(), string(text), b.now().UnixMicro())
	return err
}

// BatchStumbled records an attempt that failed and will be made again.
func (b *Inbox) BatchStumbled(ctx context.Context, batch Batch) error {
	if _, err := b.exec(ctx, `UPDATE batches SET attempts = attempts + 1 WHERE stream = $1 AND id = $2`, batch.Stream, batch.ID); err != nil {
		return fmt.Errorf("record attempt: %w", err)
	}
	return nil
}

// BatchFailed makes a failed load of a batch, with the spool file that l names, so
// that it can be retried or discarded like any other and the messages behind it
// go on.
func (b *Inbox) BatchFailed(ctx context.Context, batch Batch, l warehouse.Load, bytes int64, cause error) error {
	cols, err := json.Marshal(append([]string{}, l.Columns...))
	if err != nil {
		return fmt.Errorf("fail messages: %w", err)
	}
	file := ""
	if l.Path != "" {
		file = filepath.Base(l.Path)
	}
	done := false
	err = b.inTx(ctx, func(tx *sql.Tx) error {
		// Its record in the warehouse is needed when it is retried: nothing is settled.
		if done, err = endBatch(ctx, tx, batch, ""); err != nil || !done {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO loads (id, stream, file, columns, row_count, rejected, bytes, filename, content_type, received_at, status, attempts, error_code, error, finished_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'application/json', $9, 'failed', $10, $11, $12, $13)`,
			batch.ID, batch.Stream, file, string(cols), l.Rows, batch.Rejected(), bytes, batch.Postings[0].Filename, l.ReceivedAt.UnixMicro(),
			batch.Attempts+1, activation.CodeOf(cause), activation.SafeMessage(cause), b.now().UnixMicro())
		return err
	})
	if err != nil {
		return diskError("fail messages", err)
	}
	if done {
		b.left(batch)
	}
	b.notify()
	return nil
}

// left takes a batch out of the counts of what waits.
func (b *Inbox) left(batch Batch) {
	p := &b.posts
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows, p.bytes = p.rows-batch.Rows(), p.bytes-batch.Bytes()
	if p.streams[batch.Stream] -= int64(len(batch.Postings)); p.streams[batch.Stream] <= 0 {
		delete(p.streams, batch.Stream)
	}
}

// waitingLoad returns the load of a posting that is a load of its own and waits.
func (b *Inbox) waitingLoad(ctx context.Context, id string) (Load, error) {
	l := Load{Load: warehouse.Load{ID: id, Urgent: true}, Status: Pending, ContentType: "application/json"}
	var cols string
	var received int64
	err := b.db.QueryRowContext(ctx, `SELECT n, stream, columns, row_count, rejected, bytes, filename, received_at FROM messages WHERE load = $1`, id).
		Scan(&l.Number, &l.Stream, &cols, &l.Rows, &l.Rejected, &l.Bytes, &l.Filename, &received)
	if err != nil {
		return Load{}, err
	}
	l.ReceivedAt = time.UnixMicro(received).UTC()
	return l, json.Unmarshal([]byte(cols), &l.Columns)
}

// RealTime reports whether a row of the history sums up messages that came in
// real time.
func (l Load) RealTime() bool { return strings.HasPrefix(l.ID, hourPrefix) }

// RewritePostings gives each posting that waits to fn and stores what comes back
// in its place: rows are removed by returning fewer, all of them by none. It is
// for forgetting people. Batches under way are left alone, for some of their rows
// may be merged already; busy says that there was one, and it should be called
// again once that is merged. Everything else waits meanwhile.
func (b *Inbox) RewritePostings(ctx context.Context, fn func(Posting) (body []byte, rows int64, err error)) (busy bool, err error) {
	w := rewriting{fn: fn}
	if err := b.inTx(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT count(*) > 0 FROM batches WHERE id <> ''`).Scan(&busy); err != nil {
			return err
		}
		streams, err := postedStreams(ctx, tx)
		for i := 0; i < len(streams) && err == nil; i++ {
			err = w.stream(ctx, tx, streams[i])
		}
		return err
	}); err != nil {
		return false, fmt.Errorf("rewrite messages: %w", err)
	}
	b.posts.mu.Lock()
	defer b.posts.mu.Unlock()
	b.posts.rows, b.posts.bytes = b.posts.rows-w.rows, b.posts.bytes-w.bytes
	return busy, nil
}

// rewriting is a RewritePostings under way, and what it took out.
type rewriting struct {
	fn          func(Posting) (body []byte, rows int64, err error)
	rows, bytes int64
}

func (w *rewriting) stream(ctx context.Context, tx *sql.Tx, stream string) error {
	var next int64 // behind the batch under way
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(last) + 1, 0) FROM batches WHERE stream = $1 AND id <> ''`, stream).Scan(&next); err != nil {
		return err
	}
	for {
		some, err := readPostings(ctx, tx, stream, next, 1<<62, BatchSize{Rows: 1 << 40, Bytes: maxGroup, Columns: 1 << 30})
		if err != nil || len(some) == 0 {
			return err
		}
		for _, p := range some {
			if err := w.posting(ctx, tx, p); err != nil {
				return err
			}
		}
		next = some[len(some)-1].Number + 1
	}
}

func (w *rewriting) posting(ctx context.Context, tx *sql.Tx, p Posting) error {
	body, rows, err := w.fn(p)
	if err != nil || rows == p.Rows {
		return err
	}
	before := p.size()
	w.rows += p.Rows - rows
	p.Body, p.Rows = append([]byte{}, body...), rows
	w.bytes += before - p.size()
	_, err = tx.ExecContext(ctx, `UPDATE messages SET body = $2, row_count = $3, bytes = $4 WHERE n = $1`, p.Number, p.Body, p.Rows, p.size())
	return err
}

func postedStreams(ctx context.Context, tx *sql.Tx) (out []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT stream FROM messages ORDER BY stream`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
