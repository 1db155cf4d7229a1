package storetest

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"usher/internal/activation"
)

// benchEntries is how many entries wait in BenchLog.
var benchEntries = flag.Int("entries", 20_000, "how many entries wait in the benchmark of the Activity Log")

// piece is how many entries one call of More gives.
const piece = 1000

// BenchLog measures the Activity Log of one account in which very much waits, as one
// upload. run does statements in the database, past the store.
func BenchLog(b *testing.B, env Env, run func(statements ...string)) {
	w := newWorld(b, env)
	ctx := b.Context()
	a := w.account("Shop")
	p := w.poster(a)
	n := *benchEntries
	objects := n / 10
	for at := 0; at < objects; at += piece {
		var ids []string
		for i := at; i < min(objects, at+piece); i++ {
			ids = append(ids, fmt.Sprint(i))
		}
		w.have(a, p, ids...)
	}
	upload := func(status activation.EntryStatus, most int) activation.Entry {
		given := 0
		more := func() ([]activation.Entry, error) {
			var out []activation.Entry
			for ; len(out) < piece && given < most; given++ {
				e := edit(fmt.Sprint(given), "bid", "1.00", fmt.Sprintf("%d.50", given), status)
				e.Source, e.Row = "upload", given+2
				out = append(out, e)
			}
			return out, nil
		}
		first, err := more()
		w.ok(err)
		out, err := w.WriteEntries(ctx, a.ID, &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "bids.csv"}, first, activation.EntryWrite{More: more})
		w.ok(err)
		return out[0]
	}
	b.Run("upload of a tenth", func(b *testing.B) {
		for b.Loop() {
			e := upload(activation.EntryToBeSent, objects)
			b.StopTimer()
			w.moved(activation.CommandCancel, e.Parent)
			b.StartTimer()
		}
	})
	b.Run("others while a tenth is uploaded", func(b *testing.B) { // the longest that one of them waits
		other, longest := w.account("Other"), time.Duration(0)
		for b.Loop() {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				upload(activation.EntryToBeSent, objects)
			}()
			for up := true; up; {
				from := b.Elapsed()
				w.write(other, activation.Entry{Origin: activation.OriginUser, By: "bob", Source: "api", Operation: activation.OpSync, Status: activation.EntryToBeSent})
				longest = max(longest, b.Elapsed()-from)
				select {
				case <-ended:
					up = false
				default:
				}
			}
		}
		b.ReportMetric(float64(longest.Milliseconds()), "ms-longest")
	})
	like := upload(activation.EntryQueued, 1)
	from, to := int64(like.ID)+1, int64(like.ID)+int64(n)-1
	series := fmt.Sprintf(`(WITH RECURSIVE s(i) AS (SELECT CAST(%d AS BIGINT) UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i FROM s) AS n`, from, to)
	run(fmt.Sprintf(`INSERT INTO entries (id, publisher_id, parent_id, file_row, status, reason, origin, made_by, source, operation, kind, object_id, type, object_name,
			parent_kind, parent_object, changes, refers, wording, detail, own, place, turn, created_at, released_at)
		SELECT n.i, e.publisher_id, e.parent_id, n.i, e.status, e.reason, e.origin, e.made_by, e.source, e.operation, e.kind, CAST(n.i %% %d AS TEXT), e.type, e.object_name,
			e.parent_kind, e.parent_object, e.changes, e.refers, e.wording, e.detail, e.own + n.i - e.id, e.place + n.i - e.id, e.turn + n.i - e.id, e.created_at, e.released_at
		FROM entries e, %s WHERE e.id = %d`, objects, series, like.ID),
		fmt.Sprintf(`UPDATE entry_ids SET last = %d`, to), fmt.Sprintf(`UPDATE entry_counts SET n = %d WHERE status = 'queued'`, n),
		fmt.Sprintf(`UPDATE entries SET children = '{"queued":%d}' WHERE id = %d`, n, like.Parent))
	run(fmt.Sprintf(`INSERT INTO entry_queue (publisher_id, stretch, origin, kind, operation, parent_id, n, first_turn, first_id)
		SELECT e.publisher_id, e.turn / 1024, e.origin, e.kind, e.operation, e.parent_id, count(*), min(e.turn), min(e.id) FROM entries e WHERE e.id > %d AND e.turn / 1024 > (SELECT max(stretch) FROM entry_queue)
		GROUP BY e.publisher_id, e.turn / 1024, e.origin, e.kind, e.operation, e.parent_id`, like.ID))
	last := w.write(a, edit("1", "bid", "1.00", "9.00", activation.EntryQueued))[0].ID
	b.Run("head of 1000", func(b *testing.B) {
		for b.Loop() {
			head, _, err := w.QueueHead(ctx, a.ID, 1000)
			w.ok(err)
			w.equal(1000, len(head))
		}
	})
	b.Run("choice of 1", func(b *testing.B) { // the place of the next batch; the others read it too
		for b.Loop() {
			_, _, err := w.QueueHead(ctx, a.ID, 1)
			w.ok(err)
		}
	})
	b.Run("head of 50", func(b *testing.B) {
		for b.Loop() {
			_, _, err := w.QueueHead(ctx, a.ID, 50)
			w.ok(err)
		}
	})
	for _, c := range []struct {
		name string
		q    activation.EntryQuery
	}{
		{"page newest of all", activation.EntryQuery{}},
		{"page newest", activation.EntryQuery{Publisher: a.ID}},
		{"page at the top", activation.EntryQuery{Publisher: a.ID, Top: true}},
		{"page by status", activation.EntryQuery{Publisher: a.ID, Statuses: []activation.EntryStatus{activation.EntryQueued}}},
		{"page of a rare status", activation.EntryQuery{Statuses: []activation.EntryStatus{activation.EntryFailed}}},
		{"page in the order of posting", activation.EntryQuery{Publisher: a.ID, Posting: true}},
		{"page deep in the order of posting", activation.EntryQuery{Publisher: a.ID, Posting: true, After: w.cursor(a)}},
		{"page of an upload", activation.EntryQuery{Parent: like.Parent}},
		{"page of an object", activation.EntryQuery{Publisher: a.ID, Object: group("1")}},
		{"page of a text that few have", activation.EntryQuery{Publisher: a.ID, Text: "Group 77 ", Most: 10_000}},
		{"page of a text that none has, of all", activation.EntryQuery{Text: "none of them", Most: 10_000}},
		{"page of a kind that none has", activation.EntryQuery{Publisher: a.ID, Kinds: []activation.ObjectKind{activation.KindKeyword}, Most: 10_000}},
		{"page of a kind in the order of posting", activation.EntryQuery{Publisher: a.ID, Posting: true, Kinds: []activation.ObjectKind{activation.KindKeyword}, Most: 10_000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				_, _, err := w.Entries(ctx, c.q)
				w.ok(err)
			}
		})
	}
	b.Run("counts", func(b *testing.B) {
		for b.Loop() {
			_, err := w.EntryCounts(ctx, a.ID)
			w.ok(err)
		}
	})
	b.Run("ahead of the last", func(b *testing.B) {
		for b.Loop() {
			_, err := w.EntriesAhead(ctx, last)
			w.ok(err)
		}
	})
	b.Run("before the last", func(b *testing.B) {
		for b.Loop() {
			_, err := w.EntryBefore(ctx, last)
			w.ok(err)
		}
	})
	b.Run("edit", func(b *testing.B) {
		for b.Loop() {
			w.write(a, edit("2", "bid", "1.00", "9.00", activation.EntryToBeSent))
		}
	})
	b.Run("claim and settle 1000", func(b *testing.B) {
		for b.Loop() {
			head, _, err := w.QueueHead(ctx, a.ID, 1000)
			w.ok(err)
			_, err = w.ClaimEntries(ctx, p, a.ID, entryIDs(head))
			w.ok(err)
			var outcomes []activation.EntryOutcome
			for _, e := range head {
				outcomes = append(outcomes, activation.EntryOutcome{Entry: e.ID, Status: activation.EntryQueued, Answer: "again"})
			}
			w.ok(w.SettleEntries(ctx, p, a.ID, outcomes))
		}
	})
	b.Run("post all of a tenth", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			upload(activation.EntryToBeSent, objects)
			b.StartTimer()
			_, err := w.MoveEntries(ctx, activation.CommandPostAll, activation.EntryQuery{Publisher: a.ID}, "ann", false)
			w.ok(err)
		}
	})
}

// cursor is one in the middle of the order of posting.
func (w *world) cursor(a activation.PublisherAccount) string {
	w.t.Helper()
	_, next, err := w.Entries(w.t.Context(), activation.EntryQuery{Publisher: a.ID, Posting: true, Limit: min(10_000, *benchEntries/2)})
	w.ok(err)
	return next
}
