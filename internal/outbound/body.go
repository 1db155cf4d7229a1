package outbound

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Buffers hands out request bodies whose memory is used again. The zero value
// is ready; it may be used by any goroutine.
type Buffers struct{ pool sync.Pool }

// Take returns an empty buffer. Append to B, make requests of it, Release it.
func (p *Buffers) Take() *Buffer {
	b, ok := p.pool.Get().(*Buffer)
	if !ok {
		b = &Buffer{home: p}
	}
	b.B = b.B[:0]
	b.users.Store(1)
	return b
}

// Buffer is a request body in memory. It goes back for use only when its owner
// has released it and the transport has closed every reader, which it may do
// after the call has returned.
type Buffer struct {
	B     []byte
	home  *Buffers
	users atomic.Int32
}

// Release ends the owner's use. Call it once, after the call.
func (b *Buffer) Release() {
	if b.users.Add(-1) == 0 {
		b.home.pool.Put(b)
	}
}

// Request returns a request with the buffer as its body. B must not change from
// then on.
func (b *Buffer) Request(ctx context.Context, method, url string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, cause{text: "the address cannot be called"}
	}
	req.Body = b.reader()
	req.ContentLength = int64(len(b.B))
	req.GetBody = func() (io.ReadCloser, error) { return b.reader(), nil }
	return req, nil
}

func (b *Buffer) reader() io.ReadCloser {
	b.users.Add(1)
	return &reader{buf: b}
}

// reader reads a buffer until it is closed; closing waits for a read under way.
type reader struct {
	mu  sync.Mutex
	buf *Buffer // nil = closed
	off int
}

func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf == nil {
		return 0, io.ErrClosedPipe
	}
	if r.off == len(r.buf.B) {
		return 0, io.EOF
	}
	n := copy(p, r.buf.B[r.off:])
	r.off += n
	return n, nil
}

func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf != nil {
		r.buf.Release()
		r.buf = nil
	}
	return nil
}
