package ingest

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse/inbox"
)

// A disk that fails at any point: the upload is refused as our fault, not the
// sender's, and leaves nothing.
func TestBrokenDiskLeavesNothing(t *testing.T) {
	long := "a,b\n" + strings.Repeat("1,2\n", 1<<17)
	for name, broken := range map[string]brokenFile{
		"full at once":    {write: syscall.ENOSPC},
		"full later":      {write: syscall.ENOSPC, after: 600_000},
		"sync fails":      {sync: syscall.EIO},
		"close fails":     {close: syscall.EIO},
		"sync, disk full": {sync: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{dir: t.TempDir(), wh: &fakeWarehouse{}}
			b.inbox = openInbox(t, inbox.Config{Dir: b.dir, CreateFile: func(path string) (inbox.File, error) {
				f, err := os.Create(path)
				broken.File = f
				return &broken, err
			}})
			b.Collector = NewCollector(CollectorConfig{Inbox: b.inbox, Schema: b.wh, Now: time.Now})
			_, err := b.Bulk(t.Context(), Request{Stream: "s", Body: body(long)})
			if activation.KindOf(err) != activation.Internal || activation.CodeOf(err) != "INTERNAL-019" {
				t.Errorf("error = %v, want an Internal one", err)
			}
			full := broken.write == syscall.ENOSPC || broken.sync == syscall.ENOSPC
			if errors.Is(err, inbox.ErrDiskFull) != full {
				t.Errorf("error = %v, disk full = %t", err, full)
			}
			b.nothingKept(t)
		})
	}
}

// An inbox that can't commit: the spool file goes, too.
func TestInboxThatFailsLeavesNothing(t *testing.T) {
	b := newBench(t, Limits{})
	if err := b.inbox.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Bulk(t.Context(), Request{Stream: "s", Body: body("a\n1\n")})
	if activation.KindOf(err) != activation.Internal {
		t.Errorf("error = %v, want an Internal one", err)
	}
	b.inbox = openInbox(t, inbox.Config{Dir: b.dir})
	b.nothingKept(t)
}

// No error text holds a value of the data.
func TestErrorsHoldNoValues(t *testing.T) {
	const secret = "jon24@adventure-works.com"
	for _, text := range []string{
		"a,b\n" + secret + "\n",
		"a,b\n1,\"" + secret + "\"x\n",
		"a,b\n1," + secret + "\"\n",
		"a,b\n1,\"" + secret,
		"a,b\n1," + secret + "\xff\n",
		"a,at\n1," + secret + "\n",
		secret + ",b\n1,2\n",
		secret + "," + secret + "\n",
		"{\"at\":\"" + secret + "\"}",
		"{\"at\":\"" + secret + "\\x\"}",
		"{\"at\":1,\"" + secret + "\":{}}",
		"{\"at\":1,\"" + secret + "\":1,\"" + secret + "\":1}",
		"{\"at\":[{\"x\":\"" + secret + "\"}]}",
		"[" + secret + "]",
		"[{\"at\":1700000000}] " + secret,
	} {
		_, _, err := parsed(t, Request{Body: body(text), TimestampField: "at"}, Limits{})
		if err == nil {
			t.Errorf("%q was accepted", text)
		} else if strings.Contains(err.Error(), "jon24") {
			t.Errorf("the error of %q holds the value: %v", text, err)
		}
	}
}
