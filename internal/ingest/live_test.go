package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

func (b *bench) live(t testing.TB, stream, text string) Summary {
	t.Helper()
	s, err := b.JSON(t.Context(), Request{Stream: stream, Body: body(text)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// merged returns the rows that were merged, in the order of the merges.
func (b *mergeBench) merged(d time.Duration) string {
	b.after(d)
	b.wh.mu.Lock()
	defer b.wh.mu.Unlock()
	return strings.Join(b.wh.texts, "|")
}

func TestRealTimeRowsAreMergedTogether(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		at := time.Now().UnixMicro()
		s := b.live(t, "web", `{"a":"1","b":"x,y"}`)
		if s.MessageCount != 1 || s.LoadID != "" || s.ContentType != "application/x-ndjson" || !slices.Equal(s.Columns, []string{"a", "b"}) {
			t.Errorf("summary = %+v", s)
		}
		b.live(t, "web", `[{"c":3},{"a":"2","c":4}]`)
		if _, err := b.JSON(t.Context(), Request{Stream: "web", Body: body(`{"a":"3"}`), Append: `{"src":"s","b":"q"}`}); err != nil {
			t.Fatal(err)
		}
		b.start(t)
		want := fmt.Sprintf("1,%[1]d,1,\"x,y\",,\n2,%[1]d,,,3,\n3,%[1]d,2,,4,\n4,%[1]d,3,q,,s\n", at)
		if got := b.merged(time.Millisecond); got != want {
			t.Errorf("merged %q, want %q", got, want)
		}
		l := b.wh.merged[0]
		if !l.Urgent || l.Rows != 4 || !slices.Equal(l.Columns, []string{"a", "b", "c", "src"}) || l.ReceivedAt.UnixMicro() != at {
			t.Errorf("load = %+v", l)
		}
		// The next batch waits for its turn, and says which is settled.
		b.live(t, "web", `{"a":"5"}`)
		if got := b.after(100 * time.Millisecond); got != "web" {
			t.Errorf("merged %q too early", got)
		}
		if got := b.after(time.Second); got != "web web" || b.wh.merged[1].Settled != l.ID || b.wh.merged[1].ID == l.ID {
			t.Errorf("merged %q, second %+v", got, b.wh.merged[1])
		}
		hour := inbox.HourID("web", time.UnixMicro(at))
		if s, err := b.m.Load(t.Context(), hour); err != nil || s.Rows != 5 || s.Status != inbox.Merged || !s.RealTime || s.LoadResult.Rows != 5 {
			t.Errorf("history = %+v, %v", s, err)
		}
		if all, err := b.m.Recent(t.Context(), "", 10); err != nil || len(all) != 1 {
			t.Errorf("history = %+v, %v; want one row", all, err)
		}
		if rows, bytes := b.m.Waiting(); rows != 0 || bytes != 0 {
			t.Errorf("%d rows, %d bytes wait", rows, bytes)
		}
		if files, err := os.ReadDir(filepath.Join(b.dir, "spool")); err != nil || len(files) != 0 {
			t.Errorf("files %v are left, %v", files, err)
		}
	})
}

func TestUploadsDoNotHoldUpRealTime(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		inside, leave := make(chan struct{}), make(chan struct{})
		b.wh.during = func(l warehouse.Load, _ func(int64)) {
			if !l.Urgent {
				close(inside)
				<-leave
			}
		}
		b.send(t, "bulk")
		b.start(t)
		<-inside
		for range 3 {
			b.live(t, "web", `{"a":1}`)
			b.after(time.Second)
		}
		if got := b.after(0); got != "web web web" {
			t.Errorf("merged %q beside the upload", got)
		}
		close(leave)
		if got := b.after(0); got != "web web web bulk" {
			t.Errorf("merged %q", got)
		}
	})
}

func TestAPoisonedBatchStandsAside(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		poisoned := ""
		b.wh.fail = func(l warehouse.Load, _ int) error {
			if l.Stream == "a" && (poisoned == "" || poisoned == l.ID && l.Urgent) {
				poisoned = l.ID
				return &activation.Error{Kind: activation.Invalid, Code: "X-1", Message: "the mapping is wrong"}
			}
			return nil
		}
		b.live(t, "a", `{"x":1}`)
		b.live(t, "a", `{"y":2}`)
		b.live(t, "b", `{"x":3}`)
		b.start(t)
		if got := b.after(0); got != "b" {
			t.Errorf("merged %q, want b", got)
		}
		b.live(t, "a", `{"x":4}`)
		if got := b.after(time.Second); got != "b a" {
			t.Errorf("merged %q, want b a: later messages go on", got)
		}
		s, err := b.m.Load(t.Context(), poisoned)
		if err != nil || s.Status != inbox.Failed || s.Rows != 2 || s.ErrorCode != "X-1" || s.Error != "the mapping is wrong" || s.Stream != "a" {
			t.Errorf("load = %+v, %v", s, err)
		}
		if got := b.wh.merged[1].Settled; got != "" {
			t.Errorf("load %q is said to be settled, and may be offered again", got)
		}
		if err := b.m.Retry(t.Context(), poisoned); err != nil {
			t.Fatal(err)
		}
		l, err := b.m.Wait(t.Context(), poisoned)
		if err != nil || l.Result.Rows != 2 {
			t.Errorf("retried: %+v, %v", l, err)
		}
		b.wh.mu.Lock()
		defer b.wh.mu.Unlock()
		if text := b.wh.texts[2]; strings.Count(text, "\n") != 2 || !strings.Contains(text, ",1,\n") || !strings.HasSuffix(text, ",,2\n") {
			t.Errorf("retried with %q", text)
		}
	})
}

func TestAStumblingBatchIsTheSameEachTime(t *testing.T) {
	inBubble(t, MergerConfig{FirstWait: time.Second, LongestWait: 4 * time.Second}, func(t *testing.T, b *mergeBench) {
		var offered []string
		b.wh.fail = func(l warehouse.Load, attempt int) error {
			if l.Stream != "a" {
				return nil
			}
			text, err := os.ReadFile(l.Path)
			if err != nil {
				return err
			}
			offered = append(offered, l.ID+string(text))
			if attempt <= 2 && strings.HasSuffix(string(text), ",1\n") {
				return errors.New("database is locked")
			}
			return nil
		}
		b.live(t, "a", `{"x":1}`)
		b.start(t)
		b.after(0)
		b.live(t, "a", `{"x":2}`)
		b.live(t, "b", `{"x":3}`)
		if got := b.after(900 * time.Millisecond); got != "b" {
			t.Errorf("merged %q, want b", got)
		}
		b.stop(t) // and a restart in between changes nothing
		b.m = NewMerger(b.m.cfg)
		b.start(t)
		if got := b.after(time.Minute); got != "b a a" {
			t.Errorf("merged %q, want b a a", got)
		}
		if len(offered) != 4 || offered[1] != offered[0] || offered[2] != offered[0] || offered[3] == offered[0] {
			t.Errorf("offered %q", offered)
		}
	})
}

func TestStoppingKeepsTheBatch(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		b.wh.fail = func(_ warehouse.Load, attempt int) error {
			if attempt == 1 {
				b.cancel()
				return context.Canceled
			}
			return nil
		}
		b.live(t, "a", `{"x":1}`)
		b.start(t)
		b.after(0)
		b.stop(t)
		b.start(t)
		if got := b.after(time.Second); got != "a" || len(b.wh.tries) != 1 {
			t.Errorf("merged %q, tries %v", got, b.wh.tries)
		}
	})
}

func TestALoadAloneIsWaitedFor(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		s, err := b.JSON(t.Context(), Request{Stream: "a", Body: body(`[{"x":1},{"x":2}]`), Alone: true})
		if err != nil || s.LoadID == "" {
			t.Fatalf("summary = %+v, %v", s, err)
		}
		b.live(t, "a", `{"x":3}`)
		b.start(t)
		l, err := b.m.Wait(t.Context(), s.LoadID)
		if err != nil || l.Status != inbox.Merged || l.Result.Rows != 2 {
			t.Errorf("load = %+v, %v", l, err)
		}
		b.after(time.Second)
		if b.wh.merged[0].ID != s.LoadID || b.wh.merged[1].Rows != 1 {
			t.Errorf("merged %+v", b.wh.merged)
		}
	})
}

func TestTooMuchWaits(t *testing.T) {
	b := newBench(t, Limits{MaxWaitingRows: 3})
	b.live(t, "a", `[{"x":1},{"x":2},{"x":3}]`)
	_, err := b.JSON(t.Context(), Request{Stream: "a", Body: body(`{"x":4}`)})
	if activation.KindOf(err) != activation.WaitUntil || activation.CodeOf(err) != "COLLECT-BUSY" {
		t.Errorf("error = %v, want to be told to wait", err)
	}
	if rows, _ := b.inbox.Waiting(); rows != 3 {
		t.Errorf("%d rows wait, want 3", rows)
	}
	if _, err := b.Bulk(t.Context(), Request{Stream: "a", Body: body("x\n4\n")}); err != nil {
		t.Errorf("an upload is refused: %v", err)
	}
}

func TestALargeRealTimeBodyIsAnUpload(t *testing.T) {
	b := newBench(t, Limits{})
	row := `{"x":"` + strings.Repeat("y", 10_000) + `"}` + "\n"
	s := b.live(t, "a", strings.Repeat(row, 120))
	l, text := b.spooled(t)
	if l.ID != s.LoadID || l.Rows != 120 || strings.Count(text, "\n") != 120 {
		t.Errorf("load = %+v of summary %+v", l, s)
	}
	files, err := os.ReadDir(filepath.Join(b.dir, "spool"))
	if err != nil || len(files) != 1 {
		t.Errorf("files %v, %v; want the load's", files, err)
	}
	if rows, _ := b.inbox.Waiting(); rows != 0 {
		t.Errorf("%d rows are posted, too", rows)
	}
}

func TestRefusedRealTimeRequests(t *testing.T) {
	large := strings.Repeat(`{"x":"`+strings.Repeat("y", 10_000)+`"}`+"\n", 120)
	for name, tt := range map[string]struct {
		req  Request
		want string
	}{
		"CSV":               {Request{Body: body("a,b\n1,2\n"), ContentType: "text/csv"}, "this route takes JSON; send CSV to the bulk route"},
		"CSV as text":       {Request{Body: body("a,b\n1,2\n"), ContentType: "text/plain"}, "this route takes JSON; send CSV to the bulk route"},
		"bad row":           {Request{Body: body("{\"a\":1}\n{\"a\":x}\n")}, "line 2, column 6: expected a value"},
		"large, bad at end": {Request{Body: body(large + "{")}, "line 121, column 2: expected a string in double quotes"},
		"large, cut":        {Request{Body: body(large), ContentLength: int64(len(large)) + 1}, "the body ended before it was complete; nothing was kept"},
		"too large":         {Request{Body: endless{}, ContentType: "application/x-ndjson", DropErrors: true}, "the body is larger than the limit of 2000000 bytes, decompressed: send it in parts"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Limits{MaxSmallBytes: 2_000_000})
			tt.req.Stream = "s"
			_, err := b.JSON(t.Context(), tt.req)
			if got := activation.SafeMessage(err); err == nil || !strings.HasPrefix(got, tt.want) {
				t.Errorf("error = %q, want %q", got, tt.want)
			}
			b.nothingKept(t)
			if rows, _ := b.inbox.Waiting(); rows != 0 {
				t.Errorf("%d rows wait", rows)
			}
			if files, err := os.ReadDir(filepath.Join(b.dir, "rejected")); err != nil || len(files) != 0 {
				t.Errorf("files %v are left, %v", files, err)
			}
		})
	}
	b := newBench(t, Limits{})
	if s, err := b.JSON(t.Context(), Request{Stream: "s", Body: body(`{"a":1}`), DryRun: true}); err != nil || s.MessageCount != 1 || !s.DryRun {
		t.Errorf("dry run = %+v, %v", s, err)
	}
	if rows, _ := b.inbox.Waiting(); rows != 0 {
		t.Errorf("a dry run left %d rows", rows)
	}
}

func TestRejectedRowsAreKept(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		long := strings.Repeat("x", 20_000)
		bulk, err := b.Bulk(t.Context(), Request{Stream: "a", Body: body("a,b\n1,2\n3\n4,\"" + long + "\"\n\"q\nq\",z,z\n"), DropErrors: true})
		if err != nil {
			t.Fatal(err)
		}
		b.start(t)
		live, err := b.JSON(t.Context(), Request{Stream: "a", Body: body("{\"a\":1}\n{\"a\":[{}]}\n{\"a\":\"" + long + "\"}\n"), DropErrors: true})
		if err != nil || live.RejectedCount != 2 || live.MessageCount != 1 {
			t.Fatalf("summary = %+v, %v", live, err)
		}
		b.after(time.Second)
		hour := inbox.HourID("a", time.Now())
		for id, want := range map[string][]string{
			bulk.LoadID: {`"line":3,"code":"BADREQ-001","reason":"expected 2 columns, found 1","text":"3"}`, `"line":4,`, `"text":"\"q\nq\",z,z"}`},
			hour:        {`"text":"{\"a\":[{}]}"}`, `"cut":true`},
		} {
			r, err := b.m.Rejected(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			if len(lines) != len(want) {
				t.Fatalf("rejected of %s: %.300q", id, text)
			}
			for i := range want {
				if !strings.Contains(lines[i], want[i]) {
					t.Errorf("line %d = %.200q, want %q in it", i, lines[i], want[i])
				}
			}
			if s, err := b.m.Load(t.Context(), id); err != nil || !s.RejectedKept || s.Rejected != int64(len(want)) {
				t.Errorf("load = %+v, %v", s, err)
			}
		}
	})
}
