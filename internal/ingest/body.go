package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"usher/internal/activation"
)

// ErrTooLarge is in the chain of the error for a body over the limit. Answered
// as HTTP 413.
var ErrTooLarge = errors.New("body too large")

// errTooLarge is what reading beyond the batch limit returns.
type errTooLarge struct{ limit int64 }

func (e errTooLarge) Error() string { return "body over the limit" }

// openBody returns the body as text: decompressed, never more than limit bytes,
// ended by ctx, and complete or an error.
func openBody(ctx context.Context, r Request, limit int64) (io.Reader, error) {
	encoded := false
	switch strings.ToLower(strings.TrimSpace(r.ContentEncoding)) {
	case "", "identity":
	case "gzip", "x-gzip":
		encoded = true
	default:
		return nil, invalid("content-encoding", "the content encoding must be gzip or none")
	}
	in := bufio.NewReaderSize(&source{ctx: ctx, r: r.Body, promised: r.ContentLength}, 32<<10)
	// A file that is gzip may be sent with gzip as its encoding: two layers.
	for layer := 0; ; layer++ {
		head, err := in.Peek(2)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, bodyError(err)
		}
		zipped := len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b
		if layer == 0 && encoded && !zipped {
			return nil, invalid("content-encoding", "the content encoding says gzip, but the body is not")
		}
		if !zipped {
			return &limited{r: in, limit: limit, left: limit}, nil
		}
		if layer == 2 {
			return nil, invalid("", "the body is compressed more than twice")
		}
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, bodyError(err)
		}
		in = bufio.NewReaderSize(z, 32<<10)
	}
}

// source is the body as it comes: a dead context ends it, and one that brings
// another number of bytes than promised is cut.
type source struct {
	ctx      context.Context
	r        io.Reader
	promised int64 // 0 = unknown
	read     int64
}

// stopped is what reading under a dead context returns.
type stopped struct{ cause error }

func (e stopped) Error() string { return "stopped: " + e.cause.Error() }
func (e stopped) Unwrap() error { return e.cause }

// Read reads from the body.
func (s *source) Read(p []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, stopped{err}
	}
	n, err := s.r.Read(p)
	s.read += int64(n)
	if errors.Is(err, io.EOF) && s.promised > 0 && s.read != s.promised {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// limited ends with an error where more than limit bytes come.
type limited struct {
	r           io.Reader
	limit, left int64
}

// Read reads from the text.
func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge{l.limit}
	}
	return n, err
}

// bodyError gives an error of reading the body its kind and a safe text.
func bodyError(err error) error {
	var large errTooLarge
	var stop stopped
	switch {
	case errors.As(err, &stop):
		return fmt.Errorf("read body: %w", err)
	case errors.As(err, &large):
		return &activation.Error{
			Kind: activation.Invalid, Code: codeBad, Err: ErrTooLarge,
			Message: fmt.Sprintf("the body is larger than the limit of %d bytes, decompressed: send it in parts", large.limit),
		}
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return invalid("", "the gzip data is damaged")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("", "the body ended before it was complete; nothing was kept")
	}
	return invalid("", "the body can't be read to its end; nothing was kept")
}
