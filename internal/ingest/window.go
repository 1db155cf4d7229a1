package ingest

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// window reads a body through one buffer of fixed size: what is in it is not
// yet consumed, and it holds at least one whole record.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	consumed   int64 // bytes of the body before start
	err        error // why no more comes; io.EOF at the end
	pooled     *[windowBytes]byte
}

// windowBytes is the size of a window's buffer, unless records may be longer
// than a quarter of it.
const windowBytes = 256 << 10

func newWindow(r io.Reader, maxRecord int) *window {
	if 4*maxRecord > windowBytes {
		return &window{r: r, buf: make([]byte, 4*maxRecord)}
	}
	buf, ok := windows.Get().(*[windowBytes]byte)
	if !ok {
		buf = new([windowBytes]byte)
	}
	return &window{r: r, buf: buf[:], pooled: buf}
}

// windows keeps buffers: small requests come by the thousand.
var windows sync.Pool

// release gives the buffer back; what was read from it must not be used any more.
func (w *window) release() {
	if w.pooled != nil {
		windows.Put(w.pooled)
		w.pooled, w.buf = nil, nil
	}
}

// bytes returns what is there, valid until the next fill.
func (w *window) bytes() []byte { return w.buf[w.start:w.end] }

func (w *window) consume(n int) {
	w.start += n
	w.consumed += int64(n)
}

// fill reads more behind what is there. It returns false at the end, after an
// error and when the buffer is full.
func (w *window) fill() bool {
	if w.start > 0 {
		copy(w.buf, w.buf[w.start:w.end])
		w.start, w.end = 0, w.end-w.start
	}
	if w.end == len(w.buf) {
		return false
	}
	for empty := 0; w.err == nil; empty++ {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		w.err = err
		if err == nil && n == 0 && empty > 100 {
			w.err = io.ErrNoProgress
		}
		if n > 0 {
			return true
		}
	}
	return false
}

// failure returns the error that ended the body, fit to be shown, or nil at its
// proper end.
func (w *window) failure() error {
	if w.err == nil || errors.Is(w.err, io.EOF) {
		return nil
	}
	return bodyError(w.err)
}

// line returns the bytes up to the next line feed, which is n-1; at the end of
// the body there may be none. long means that more than limit bytes came
// without one; text is then what came. Nothing is consumed. n is 0 at the end.
func (w *window) line(limit int) (text []byte, n int, long bool, err error) {
	searched := 0
	for {
		b := w.bytes()
		if i := bytes.IndexByte(b[searched:], '\n'); i >= 0 {
			i += searched
			return b[:i], i + 1, len(trimCR(b[:i])) > limit, nil
		}
		searched = len(b)
		if searched > limit+1 { // + 1: a carriage return may precede the line feed
			return b, len(b), true, nil
		}
		if !w.fill() {
			if err := w.failure(); err != nil {
				return nil, 0, false, err
			}
			b = w.bytes()
			return b, len(b), len(trimCR(b)) > limit, nil
		}
	}
}

// skipLine consumes up to and including the next line feed.
func (w *window) skipLine() error {
	for {
		b := w.bytes()
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			w.consume(i + 1)
			return nil
		}
		w.consume(len(b))
		if !w.fill() {
			return w.failure()
		}
	}
}
