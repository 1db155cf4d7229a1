package inbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

var anySize = BatchSize{Rows: 1 << 40, Bytes: 1 << 40, Columns: 1 << 30}

func posting(stream, body string) Posting {
	return Posting{Stream: stream, Columns: []string{"a"}, Rows: int64(strings.Count(body, ";")), ReceivedAt: testNow, Body: []byte(body)}
}

func posted(t testing.TB, b *Inbox, postings ...Posting) {
	t.Helper()
	for _, p := range postings {
		if err := b.Post(t.Context(), p, Room{}); err != nil {
			t.Fatal(err)
		}
	}
}

func taken(t testing.TB, b *Inbox, stream string, most BatchSize) Batch {
	t.Helper()
	batch, ok, err := b.TakeBatch(t.Context(), stream, most)
	if err != nil || !ok {
		t.Fatalf("take = %t, %v", ok, err)
	}
	return batch
}

// bodies are the rows of a batch.
func bodies(b Batch) string {
	var out strings.Builder
	for _, p := range b.Postings {
		out.Write(p.Body)
	}
	return out.String()
}

// Many callers at once, some of whom give up: who was told yes is there once, and
// nobody else is.
func TestPostsAreAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := map[string]bool{}
	for c := range 20 {
		r := rand.New(rand.NewPCG(seed, uint64(c)))
		wg.Go(func() {
			for n := range 40 {
				ctx, cancel := context.WithCancel(t.Context())
				row := fmt.Sprintf("%d-%d;", c, n)
				if r.IntN(3) == 0 {
					go cancel()
				}
				err := b.Post(ctx, posting("s", row), Room{})
				cancel()
				if err == nil {
					mu.Lock()
					accepted[row] = true
					mu.Unlock()
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("post = %v", err)
				}
			}
		})
	}
	wg.Wait()
	rows, bytes := b.Waiting()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if r, by := b.Waiting(); r != rows || by != bytes || r != int64(len(accepted)) {
		t.Errorf("%d rows and %d bytes wait after opening, %d and %d before; %d were accepted", r, by, rows, bytes, len(accepted))
	}
	found := strings.SplitAfter(bodies(taken(t, b, "s", anySize)), ";")
	found = found[:len(found)-1]
	slices.Sort(found)
	if n := len(found); n != len(slices.Compact(found)) || n != len(accepted) {
		t.Errorf("%d rows are there of %d accepted", n, len(accepted))
	}
	for _, row := range found {
		if !accepted[row] {
			t.Errorf("row %q is there and was not accepted", row)
		}
	}
}

func TestPostingsThatComeTogetherAreOne(t *testing.T) {
	one := posting("s", "1;")
	other := one
	other.Columns = []string{"b"}
	own := posting("s", "own;")
	own.Load = activation.NewID[string]()
	bad := posting("s", "bad;")
	bad.Rejected = 2
	var group []*post
	for _, p := range []Posting{one, posting("t", "2;"), own, other, posting("s", "3;"), bad} {
		group = append(group, &post{Posting: p})
	}
	var got []string
	for _, p := range joined(group) {
		got = append(got, fmt.Sprintf("%s %s %s %d %d", p.Stream, p.Columns, p.Body, p.Rows, p.Rejected))
	}
	want := []string{"s [a] 1;3; 2 0", "t [a] 2; 1 0", "s [a] own; 1 0", "s [b] 1; 1 0", "s [a] bad; 1 2"}
	if !slices.Equal(got, want) {
		t.Errorf("joined = %q, want %q", got, want)
	}
}

func TestNoRoom(t *testing.T) {
	b := open(t, t.TempDir())
	posted(t, b, posting("s", "1;2;3;"))
	for name, tt := range map[string]struct {
		room Room
		full bool
	}{
		"rows":          {Room{Rows: 4}, true},
		"bytes":         {Room{Bytes: 2 * postOverhead}, true},
		"just enough":   {Room{Rows: 5, Bytes: 1 << 20, Requests: 1}, false},
		"nothing given": {Room{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.Post(t.Context(), posting("s", "4;5;"), tt.room)
			if !tt.full {
				if err != nil {
					t.Fatal(err)
				}
				batch := taken(t, b, "s", BatchSize{Rows: 3, Bytes: 1 << 20, Columns: 9})
				_ = batch
				return
			}
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != activation.WaitUntil || e.Code != "COLLECT-BUSY" || !e.Until.After(testNow) {
				t.Errorf("post = %v, want an error to wait", err)
			}
		})
		// Back to three rows, whatever the case did.
		drain(t, b, "s")
		posted(t, b, posting("s", "1;2;3;"))
	}
	drain(t, b, "s")
	if rows, bytes := b.Waiting(); rows != 0 || bytes != 0 {
		t.Errorf("%d rows and %d bytes wait, want none", rows, bytes)
	}
	// One that is larger than all there may be is taken when nothing else waits.
	if err := b.Post(t.Context(), posting("s", "1;2;3;4;"), Room{Rows: 2}); err != nil {
		t.Error(err)
	}
	full := &posts{queue: make([]*post, 3)}
	if err := full.room(Room{Requests: 3}, testNow, 1, 1); activation.KindOf(err) != activation.WaitUntil {
		t.Errorf("room with a full queue = %v", err)
	}
}

func drain(t testing.TB, b *Inbox, stream string) {
	t.Helper()
	for slices.Contains(b.Streams(), stream) {
		if err := b.BatchDone(t.Context(), taken(t, b, stream, anySize), warehouse.LoadResult{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A batch is the same whenever it is taken, until it is done; then it counts once.
func TestABatchLasts(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	posted(t, b, posting("s", "1;2;"), posting("s", "3;"))
	first := taken(t, b, "s", anySize)
	posted(t, b, posting("s", "4;"), posting("t", "5;"))
	if err := b.BatchStumbled(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	again := taken(t, b, "s", anySize)
	if again.ID != first.ID || bodies(again) != "1;2;3;" || again.Rows() != 3 || again.Attempts != 1 || again.Settled != "" {
		t.Errorf("taken again: %+v, want %+v", again, first)
	}
	result := warehouse.LoadResult{Rows: 3, NewProfile: 2, Unparsed: map[string]int64{"x": 1}}
	for range 2 {
		if err := b.BatchDone(t.Context(), again, result); err != nil {
			t.Fatal(err)
		}
	}
	next := taken(t, b, "s", anySize)
	if bodies(next) != "4;" || next.ID == first.ID || next.Settled != first.ID || next.Attempts != 0 {
		t.Errorf("next = %+v", next)
	}
	if err := b.BatchDone(t.Context(), next, warehouse.LoadResult{Rows: 1}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := b.TakeBatch(t.Context(), "s", anySize); ok || err != nil {
		t.Errorf("take = %t, %v; want nothing", ok, err)
	}
	l, err := b.Load(t.Context(), HourID("s", testNow))
	if err != nil || l.Status != Merged || l.Rows != 4 || l.Result.Rows != 4 || l.Result.NewProfile != 2 || l.Result.Unparsed["x"] != 1 || !l.RealTime() {
		t.Errorf("history = %+v, %v", l, err)
	}
	if got := b.Streams(); !slices.Equal(got, []string{"t"}) {
		t.Errorf("streams = %v, want t", got)
	}
}

func TestWhatGoesIntoABatch(t *testing.T) {
	late := posting("s", "3;")
	late.ReceivedAt = testNow.Add(batchSpan + time.Second)
	wide := posting("s", "3;")
	wide.Columns = []string{"b", "c"}
	own := posting("s", "3;")
	own.Load = activation.NewID[string]()
	hour := posting("s", "3;")
	hour.ReceivedAt = testNow.Add(-time.Second)
	for name, tt := range map[string]struct {
		third Posting
		most  BatchSize
		want  string
	}{
		"all":          {posting("s", "3;"), anySize, "1;2;3;"},
		"rows":         {posting("s", "3;"), BatchSize{Rows: 2, Bytes: 1 << 20, Columns: 9}, "1;2;"},
		"one too big":  {posting("s", "3;"), BatchSize{Rows: 0, Bytes: 1 << 20, Columns: 9}, "1;"},
		"bytes":        {posting("s", "3;"), BatchSize{Rows: 9, Bytes: 2 * (postOverhead + 2), Columns: 9}, "1;2;"},
		"columns":      {wide, BatchSize{Rows: 9, Bytes: 1 << 20, Columns: 2}, "1;2;"},
		"another hour": {hour, anySize, "1;2;"},
		"much later":   {late, anySize, "1;2;"},
		"own":          {own, anySize, "1;2;"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, t.TempDir())
			posted(t, b, posting("s", "1;"), posting("s", "2;"), tt.third)
			if got := bodies(taken(t, b, "s", tt.most)); got != tt.want {
				t.Errorf("batch = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestABatchThatFailsIsALoad(t *testing.T) {
	b := open(t, t.TempDir())
	posted(t, b, posting("s", "1;2;"))
	batch := taken(t, b, "s", anySize)
	l := spooled(t, b, "s", "1,0,x\n2,0,y\n")
	bytes := l.Bytes
	if err := os.Rename(l.Path, b.path(batch.ID, doneSuffix)); err != nil {
		t.Fatal(err)
	}
	load := warehouse.Load{ID: batch.ID, Stream: "s", Path: b.path(batch.ID, doneSuffix), Columns: batch.Columns(), Rows: 2, ReceivedAt: batch.ReceivedAt()}
	cause := &activation.Error{Kind: activation.Invalid, Code: "X-1", Message: "no"}
	for range 2 {
		if err := b.BatchFailed(t.Context(), batch, load, bytes, cause); err != nil {
			t.Fatal(err)
		}
	}
	posted(t, b, posting("s", "3;"))
	if next := taken(t, b, "s", anySize); bodies(next) != "3;" || next.Settled != "" {
		t.Errorf("next = %+v", next)
	}
	if got, err := b.Load(t.Context(), batch.ID); err != nil || got.Status != Failed || got.ErrorCode != "X-1" || got.Rows != 2 || got.Path != load.Path {
		t.Errorf("load = %+v, %v", got, err)
	}
	if err := b.Retry(t.Context(), batch.ID); err != nil {
		t.Error(err)
	}
	if got, ok, err := b.Next(t.Context(), nil); err != nil || !ok || got.ID != batch.ID || got.Rows != 2 {
		t.Errorf("next load = %+v, %t, %v", got, ok, err)
	}
}

func TestALoadOfItsOwn(t *testing.T) {
	b := open(t, t.TempDir())
	p := posting("s", "1;")
	p.Load, p.Filename = activation.NewID[string](), "x.json"
	posted(t, b, p)
	if l, err := b.Load(t.Context(), p.Load); err != nil || l.Status != Pending || l.Rows != 1 || l.Stream != "s" {
		t.Errorf("load = %+v, %v", l, err)
	}
	batch := taken(t, b, "s", anySize)
	if batch.ID != p.Load || !batch.Own {
		t.Errorf("batch = %+v", batch)
	}
	changed := b.Changed()
	if err := b.BatchDone(t.Context(), batch, warehouse.LoadResult{Rows: 1}); err != nil {
		t.Fatal(err)
	}
	<-changed
	if l, err := b.Load(t.Context(), p.Load); err != nil || l.Status != Merged || l.Filename != "x.json" || l.Result.Rows != 1 {
		t.Errorf("load = %+v, %v", l, err)
	}
}

func TestRewritePostings(t *testing.T) {
	b := open(t, t.TempDir())
	posted(t, b, posting("s", "1;2;"))
	under := taken(t, b, "s", anySize)
	posted(t, b, posting("s", "3;4;"), posting("t", "5;"))
	busy, err := b.RewritePostings(t.Context(), func(p Posting) ([]byte, int64, error) {
		body := bytes.ReplaceAll(p.Body, []byte("4;"), nil)
		return body, int64(bytes.Count(body, []byte(";"))), nil
	})
	if err != nil || !busy {
		t.Errorf("rewrite = %t, %v; want a batch under way", busy, err)
	}
	if again := taken(t, b, "s", anySize); bodies(again) != "1;2;" || again.ID != under.ID {
		t.Errorf("the batch under way became %q", bodies(again))
	}
	if err := b.BatchDone(t.Context(), under, warehouse.LoadResult{}); err != nil {
		t.Fatal(err)
	}
	if got := bodies(taken(t, b, "s", anySize)); got != "3;" {
		t.Errorf("batch = %q, want 3;", got)
	}
	drain(t, b, "s")
	drain(t, b, "t")
	if rows, bytes := b.Waiting(); rows != 0 || bytes != 0 {
		t.Errorf("%d rows and %d bytes wait, want none", rows, bytes)
	}
}

func TestPostToAClosedInbox(t *testing.T) {
	b := open(t, t.TempDir())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Post(t.Context(), posting("s", "1;"), Room{}); err == nil {
		t.Error("a closed inbox took a posting")
	}
}

func TestRejectedRows(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	id, hour := activation.NewID[string](), HourID("s", testNow)
	r := b.NewRejects(id)
	long := strings.Repeat("x", MaxRejectedText+1)
	for i, text := range []string{"a,\xff", long} {
		if err := r.Add(RejectedRow{Line: int64(i + 2), Code: "C", Reason: "why"}, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Keep(); err != nil {
		t.Fatal(err)
	}
	want := `{"line":2,"code":"C","reason":"why","text":"a,` + "\uFFFD" + `"}` + "\n" + `{"line":3,"code":"C","reason":"why","text":"` + long[:MaxRejectedText] + `","cut":true}` + "\n"
	if got := rejected(t, b, id); got != want {
		t.Errorf("rejected = %.200q", got)
	}
	for range 2 { // those of real time are added one behind the other
		live := b.NewRejects(activation.NewID[string]())
		if err := live.Add(RejectedRow{Line: 1, Code: "C", Reason: "why"}, []byte("who@example.com")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(live.AppendTo(hour), live.Abort()); err != nil {
			t.Fatal(err)
		}
	}
	if got := rejected(t, b, hour); strings.Count(got, "\n") != 2 {
		t.Errorf("rejected = %q, want two rows", got)
	}
	if err := b.RewriteRejected(t.Context(), func(r RejectedRow) bool { return !strings.Contains(r.Text, "who@") }); err != nil {
		t.Fatal(err)
	}
	if b.HasRejected(hour) || !b.HasRejected(id) {
		t.Error("forgetting took the wrong rows")
	}
	for _, bad := range []string{"", "nothing", "../inbox", `..\x`, "spool/x"} {
		if _, err := b.Rejected(bad); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("rejected rows of %q: %v", bad, err)
		}
	}
	if n, err := b.PurgeRejected(time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	if n, err := b.PurgeRejected(time.Now().Add(time.Hour)); n != 1 || err != nil || b.HasRejected(id) {
		t.Errorf("purged %d, %v; want one", n, err)
	}
	torn := b.NewRejects(activation.NewID[string]())
	if err := torn.Add(RejectedRow{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if left, err := filepath.Glob(filepath.Join(dir, "rejected", "*")); err != nil || len(left) != 0 {
		t.Errorf("files %v are left, %v", left, err)
	}
}

func TestRejectedRowsAreBounded(t *testing.T) {
	b := open(t, t.TempDir())
	hour := HourID("s", testNow)
	for range 3 {
		r := b.NewRejects(activation.NewID[string]())
		for i := range MaxRejectedRows/2 + 1 {
			if err := r.Add(RejectedRow{Line: int64(i)}, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(r.AppendTo(hour), r.Abort()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(rejected(t, b, hour), "\n"); n != MaxRejectedRows {
		t.Errorf("%d rows are kept, want %d", n, MaxRejectedRows)
	}
}

func rejected(t testing.TB, b *Inbox, id string) string {
	t.Helper()
	r, err := b.Rejected(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
