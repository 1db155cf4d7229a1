package outbound

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"usher/internal/activation"
)

// maxPaceWait is the longest a call waits for its turn; beyond it the caller
// gets its slot back and is told when to come again.
const maxPaceWait = time.Second

// transport puts the guard, the pause, the slots and the pace before a call.
type transport struct {
	cfg     Config
	base    *http.Transport
	guard   *guard
	pace    *rate.Limiter // nil = none
	slots   chan struct{} // nil = no limit
	breaker breaker
}

// RoundTrip makes one call. Its own errors are *activation.Error and mean that
// nothing was sent.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	release, err := t.admit(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		release()
		if own := new(activation.Error); errors.Is(err, context.Canceled) || errors.As(err, &own) {
			t.breaker.abandon() // given up, or refused by the guard: that says nothing about the network
		} else {
			t.judge(req.Context(), req, true)
		}
		return nil, err
	}
	failed := resp.StatusCode >= 500 || page(resp) && req.Context().Value(pagesKey{}) == nil
	if v, ok := req.Context().Value(verdictKey{}).(*verdict); ok && !failed && resp.StatusCode/100 != 3 {
		v.transport, v.owed = t, func(failed bool) { t.judge(req.Context(), req, failed) }
	} else {
		t.judge(req.Context(), req, failed)
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxBytes(req.Context(), t.cfg.MaxAnswerBytes), release: release}
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// admit waits until the call may go out and returns what gives its slot back.
func (t *transport) admit(req *http.Request) (release func(), err error) {
	if err := t.guard.checkScheme(req); err != nil {
		return nil, err
	}
	ctx := req.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := t.breaker.allow(t.cfg.Now()); err != nil {
		return nil, err
	}
	if t.slots != nil {
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			t.breaker.abandon()
			return nil, ctx.Err()
		}
	}
	release = sync.OnceFunc(func() {
		if t.slots != nil {
			<-t.slots
		}
	})
	if err := t.waitTurn(ctx); err != nil {
		release()
		t.breaker.abandon()
		return nil, err
	}
	return release, nil
}

func (t *transport) waitTurn(ctx context.Context) error {
	if t.pace == nil {
		return nil
	}
	now := t.cfg.Now()
	turn := t.pace.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	if wait > maxPaceWait {
		turn.CancelAt(now)
		return &activation.Error{
			Kind: activation.WaitUntil, Code: CodePaced, Until: now.Add(wait),
			Message: "the pace set for this authorization leaves no room for another call yet",
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.CancelAt(t.cfg.Now())
		return ctx.Err()
	}
}

// verdict is left to the caller of Call, who reads the answer before it is said
// whether the network works.
type verdict struct {
	transport *transport
	owed      func(failed bool) // nil = nothing is
}

type verdictKey struct{}

type pagesKey struct{}

// WithPages returns a context for calls to a far side that may answer with a page
// for people, which then says nothing about whether it works.
func WithPages(ctx context.Context) context.Context {
	return context.WithValue(ctx, pagesKey{}, true)
}

// page reports whether the answer is a page for people: then somebody in between
// has answered, a guest network or a balancer, whatever the status says.
func page(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "text/html"
}

// judge tells the breaker how the call ended and logs when it opens.
func (t *transport) judge(ctx context.Context, req *http.Request, failed bool) {
	if !failed {
		t.breaker.succeed()
		return
	}
	if until, opened := t.breaker.fail(t.cfg.Now()); opened {
		t.cfg.Log.WarnContext(ctx, "calls to the network pause", "host", req.URL.Hostname(), "until", until)
	}
}
