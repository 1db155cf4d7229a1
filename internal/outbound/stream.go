package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

type bytesKey struct{}

// WithBytes returns a context for calls whose answer may have so many bytes,
// whatever MaxAnswerBytes says: it is read as it comes and not kept.
func WithBytes(ctx context.Context, most int64) context.Context {
	return context.WithValue(ctx, bytesKey{}, most)
}

// maxBytes is how many bytes the answer of a call may have.
func maxBytes(ctx context.Context, fallback int64) int64 {
	if most, ok := ctx.Value(bytesKey{}).(int64); ok {
		return most
	}
	return fallback
}

// Patience ends a call whose far side says nothing for too long, however long
// the whole call takes. Make one for each call.
type Patience struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	limit time.Duration
	timer *time.Timer
	left  atomic.Bool
}

// NewPatience returns one, and the context to make the call with. limit 0 = for
// ever. Stop must be called when the call is over, or Body's reader closed.
func NewPatience(ctx context.Context, limit time.Duration) (*Patience, context.Context) {
	p := &Patience{limit: limit}
	p.ctx, p.end = context.WithCancelCause(ctx)
	if limit > 0 {
		p.timer = time.AfterFunc(limit, func() { p.end(context.DeadlineExceeded) })
	}
	return p, p.ctx
}

// Stop ends the call.
func (p *Patience) Stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.end(context.Canceled)
}

// fault makes an error of what ended the call.
func (p *Patience) fault(err error) error {
	if errors.Is(context.Cause(p.ctx), context.DeadlineExceeded) {
		err = context.DeadlineExceeded
	}
	return fault(http.MethodGet, err, p.left.Load())
}

// Body returns the body of the answer; its errors are *activation.Error, and
// closing it is Stop.
func (p *Patience) Body(body io.ReadCloser) io.ReadCloser {
	p.left.Store(true)
	return &patientBody{p, body}
}

type patientBody struct {
	*Patience
	body io.ReadCloser
}

func (b *patientBody) Read(to []byte) (int, error) {
	n, err := b.body.Read(to)
	if n > 0 && b.timer != nil && b.timer.Stop() {
		b.timer.Reset(b.limit)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // a reader returns io.EOF itself
		err = b.fault(err)
	}
	return n, err
}

func (b *patientBody) Close() error {
	err := b.body.Close()
	b.Stop()
	if err != nil {
		return b.fault(err)
	}
	return nil
}

// Stream makes a GET whose answer is read as it comes, at most so many bytes of
// it: the client's time limit is that of any silence, not of the whole. Whoever
// calls it closes the body. Errors are those of Do.
func Stream(c *http.Client, req *http.Request, most int64) (*http.Response, error) {
	p, ctx := NewPatience(WithBytes(req.Context(), most), c.Timeout)
	patient := *c
	patient.Timeout = 0
	resp, err := patient.Do(req.WithContext(ctx))
	if err != nil {
		err = p.fault(err)
		p.Stop()
		return nil, err
	}
	resp.Body = p.Body(resp.Body)
	return resp, nil
}
