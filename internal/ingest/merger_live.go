package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// What came in real time is merged beside the uploads, by a goroutine of its own:
// all that waits of a stream is one load, up to the bounds of a batch. The inbox
// writes down which messages that is before the merge and deletes them after it,
// and the warehouse merges an id once: so each message counts once, whatever
// crashes when.

// liveBatch bounds what is merged at a time: more would hold the writer for long.
// It leaves room to catch up, as most of the cost of a batch is not that of its rows.
var liveBatch = inbox.BatchSize{Rows: 25_000, Bytes: 16 << 20, Columns: 1000}

// liveLane is the state of the real-time lane. One goroutine uses it.
type liveLane struct {
	m        *Merger
	stumbles stumbles
	begun    map[string]time.Time // when the last batch of a stream was begun
}

func newLiveLane(m *Merger) *liveLane {
	return &liveLane{m: m, stumbles: stumbles{}, begun: map[string]time.Time{}}
}

// run merges until ctx ends.
func (l *liveLane) run(ctx context.Context) {
	for ctx.Err() == nil {
		posted := l.m.cfg.Inbox.Posted()
		if worked, wait := l.round(ctx); !worked {
			pause(ctx, posted, wait, false)
		}
	}
}

// round merges one batch of each stream that may be merged now. If there is none,
// wait is the time until one may be, 0 = none is known. A stream that the inbox does
// not answer for is left alone for a while, and holds up no other.
func (l *liveLane) round(ctx context.Context) (worked bool, wait time.Duration) {
	for _, stream := range l.m.cfg.Inbox.Streams() {
		if ctx.Err() != nil {
			return worked, 0
		}
		now := l.m.cfg.Now()
		left := l.begun[stream].Add(l.m.cfg.LivePause).Sub(now)
		if s := l.stumbles[stream]; s != nil {
			left = s.next.Sub(now)
		}
		if left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		l.begun[stream] = now
		did, err := l.stream(ctx, stream)
		if err != nil {
			l.m.logStopless(ctx, "merge messages", err)
			l.begun[stream] = now.Add(l.m.cfg.FirstWait - l.m.cfg.LivePause)
			if wait == 0 || l.m.cfg.FirstWait < wait {
				wait = l.m.cfg.FirstWait
			}
		}
		worked = worked || did
	}
	return worked, wait
}

// stream merges the next batch of a stream.
func (l *liveLane) stream(ctx context.Context, stream string) (worked bool, err error) {
	batch, ok, err := l.m.cfg.Inbox.TakeBatch(ctx, stream, liveBatch)
	if err != nil || !ok {
		return false, err
	}
	load := warehouse.Load{
		ID: batch.ID, Stream: stream, Columns: batch.Columns(), Rows: batch.Rows(), ReceivedAt: batch.ReceivedAt(), Urgent: true, Settled: batch.Settled,
	}
	result, err := l.offer(ctx, batch, load)
	if ctx.Err() != nil {
		return false, context.Cause(ctx) // stopping is not a failed attempt
	}
	if err != nil {
		return true, l.stumbled(ctx, batch, load, err)
	}
	if l.m.cfg.OnMerged != nil {
		l.m.cfg.OnMerged(ctx, load, result)
	}
	if err := l.m.cfg.Inbox.BatchDone(ctx, batch, result); err != nil {
		return false, err
	}
	delete(l.stumbles, stream)
	l.m.cfg.Log.DebugContext(ctx, "merged messages", "load_id", load.ID, "stream", stream, "rows", result.Rows, "touched", result.Touched)
	return true, nil
}

// offer writes the rows where the warehouse reads them and has them merged. The
// file need not last: the inbox has the rows until the end.
func (l *liveLane) offer(ctx context.Context, batch inbox.Batch, load warehouse.Load) (r warehouse.LoadResult, err error) {
	if load.Rows == 0 {
		return l.m.cfg.Warehouse.Merge(ctx, load, nil)
	}
	file, err := l.m.cfg.Inbox.NewScratch(batch.ID)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, file.Remove()) }()
	if err := writeBatch(file, batch, load.Columns); err != nil {
		return r, err
	}
	load.Path = file.Name()
	return l.m.cfg.Warehouse.Merge(ctx, load, nil)
}

// writeBatch writes the rows of a batch as the spool file of a load with these
// columns. The same batch gives the same bytes.
func writeBatch(w io.Writer, batch inbox.Batch, columns []string) error {
	index := make(map[string]int, len(columns))
	for i, c := range columns {
		index[c] = i
	}
	out := newCanonical(w)
	for _, p := range batch.Postings {
		place := make([]int, len(columns)) // of each column among the posting's, from 1; 0 = it lacks it
		for i, c := range p.Columns {
			place[index[c]] = i + 1
		}
		if err := writePosting(out, p, place); err != nil {
			return fmt.Errorf("write messages: %w", err)
		}
	}
	return out.flush()
}

func writePosting(out *canonical, p inbox.Posting, place []int) error {
	values := make([][]byte, len(p.Columns))
	in, buf := bytes.NewReader(p.Body), []byte(nil)
	for range p.Rows {
		clear(values)
		_, micros, rest, err := readRow(in, values, buf[:0])
		if err != nil {
			return err
		}
		buf = rest
		out.begin(out.rows+1, micros)
		for _, i := range place {
			if i == 0 {
				out.value(nil)
			} else {
				out.value(values[i-1])
			}
		}
		if err := out.end(nil); err != nil {
			return err
		}
	}
	return nil
}

// stumbled decides what a failed attempt means: wait and try again, or make a
// failed load of the batch, for which the messages behind it do not wait.
func (l *liveLane) stumbled(ctx context.Context, batch inbox.Batch, load warehouse.Load, cause error) error {
	log := l.m.cfg.Log.With("load_id", batch.ID, "stream", batch.Stream, "attempt", batch.Attempts+1)
	wait, again := l.m.judge(l.stumbles, batch.Stream, batch.ID, cause)
	if again {
		log.WarnContext(ctx, "merge of messages will be tried again", "error", cause, "wait", wait)
		return l.m.cfg.Inbox.BatchStumbled(ctx, batch)
	}
	log.ErrorContext(ctx, "merge of messages failed", "error", cause)
	return l.giveUp(ctx, batch, load, cause)
}

func (l *liveLane) giveUp(ctx context.Context, batch inbox.Batch, load warehouse.Load, cause error) error {
	if load.Rows == 0 {
		return l.m.cfg.Inbox.BatchFailed(ctx, batch, load, 0, cause)
	}
	// A crash between file and row leaves a file of the same name and content.
	if err := l.m.cfg.Inbox.RemoveSpool(batch.ID); err != nil {
		return err
	}
	spool, err := l.m.cfg.Inbox.NewSpool(batch.ID)
	if err != nil {
		return err
	}
	err = writeBatch(spool, batch, load.Columns)
	if err == nil {
		load.Path, err = spool.Commit()
	}
	if err == nil {
		err = l.m.cfg.Inbox.BatchFailed(ctx, batch, load, spool.Bytes(), cause)
	}
	if err != nil {
		return errors.Join(err, spool.Abort())
	}
	return nil
}

// stumbles are the streams of a lane whose first load failed.
type stumbles map[string]*stumble

// judge notes a failed attempt and says after which wait it is made again; again
// is false when it is not.
func (m *Merger) judge(all stumbles, stream, load string, cause error) (wait time.Duration, again bool) {
	now := m.cfg.Now()
	s := all[stream]
	if s == nil || s.load != load {
		s = &stumble{load: load, since: now}
		all[stream] = s
	}
	if !activation.KindOf(cause).Retryable() || now.Sub(s.since) >= m.cfg.GiveUpAfter {
		delete(all, stream)
		return 0, false
	}
	s.wait = min(max(2*s.wait, m.cfg.FirstWait), m.cfg.LongestWait)
	s.next = now.Add(s.wait)
	var e *activation.Error
	if errors.As(cause, &e) && e.Kind == activation.WaitUntil && e.Until.After(s.next) {
		s.next = e.Until
	}
	return s.next.Sub(now), true
}
