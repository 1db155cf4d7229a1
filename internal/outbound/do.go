package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"syscall"

	"usher/internal/activation"
)

// The classes of error this package makes; each has a page in
// docs/troubleshooting.
const (
	// CodeUnreachable: no connection came about; nothing was sent.
	CodeUnreachable = "OUTBOUND-UNREACHABLE"
	// CodeNoAnswer: the request went out and no whole answer came back.
	CodeNoAnswer = "OUTBOUND-NOANSWER"
	// CodeAddress: the address may not be called.
	CodeAddress = "OUTBOUND-ADDRESS"
	// CodePaused: calls pause after failures in a row.
	CodePaused = "OUTBOUND-PAUSED"
	// CodePaced: the pace leaves no room yet.
	CodePaced = "OUTBOUND-PACED"
)

// Codes lists the classes.
var Codes = []string{CodeUnreachable, CodeNoAnswer, CodeAddress, CodePaused, CodePaced}

var errTooLong = errors.New("the answer is longer than allowed")

// Answer is a whole HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes the call and reads the whole answer, whatever its status. An error is
// an *activation.Error with neither URL nor header nor body in it. Its
// MayHaveApplied is true when a connection was obtained for a request that
// changes something: from then on bytes may have left, whatever happened after.
func Do(c *http.Client, req *http.Request) (Answer, error) {
	var left atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { left.Store(true) }}
	resp, err := c.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return Answer{}, fault(req.Method, err, left.Load())
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fault(req.Method, err, true)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Call is Do for those who know more of an answer than its status: read reads
// it, and an Unavailable error of read is the network's failure like a 5xx, so
// that calls pause when there are several in a row.
func Call(c *http.Client, req *http.Request, read func(Answer) error) (Answer, error) {
	v := &verdict{}
	req = req.WithContext(context.WithValue(req.Context(), verdictKey{}, v))
	a, err := Do(c, req)
	answered := err == nil
	if answered {
		err = read(a)
	}
	if v.owed == nil {
		return a, err
	}
	switch {
	case answered:
		v.owed(activation.KindOf(err) == activation.Unavailable)
	case errors.Is(err, context.Canceled):
		v.transport.breaker.abandon()
	default:
		v.owed(true)
	}
	return a, err
}

// Fault is the error of a call that a library made with the transport of a client
// of New: err is what the transport or the body returned, left says that a
// connection was obtained for it.
func Fault(method string, err error, left bool) error { return fault(method, err, left) }

func fault(method string, err error, left bool) error {
	var own *activation.Error
	if errors.As(err, &own) {
		return own
	}
	e := &activation.Error{
		Kind: activation.Unavailable, Code: CodeUnreachable,
		Message: "the network could not be reached; nothing was sent", Err: scrub(err),
	}
	if left {
		e.Code = CodeNoAnswer
		e.Message = "the network was called and gave no whole answer"
		e.MayHaveApplied = method != http.MethodGet && method != http.MethodHead
	}
	return e
}

// cause is what is kept of an error of the HTTP client: a text of ours, never
// the original one, which may quote the URL or what the far side sent.
type cause struct {
	text string
	is   error
}

func (c cause) Error() string { return c.text }
func (c cause) Unwrap() error { return c.is }

func scrub(err error) error {
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		timeout interface{ Timeout() bool }
		ue      *url.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return cause{"cancelled", context.Canceled}
	case errors.As(err, &dns):
		return cause{text: "its name does not resolve"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return cause{"timed out", context.DeadlineExceeded}
	case errors.Is(err, errTooLong):
		return cause{text: errTooLong.Error()}
	case errors.As(err, &cert):
		return cause{text: "its certificate is not trusted"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return cause{text: "connection refused"}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return cause{text: "connection reset"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return cause{text: "connection closed before the answer"}
	case errors.As(err, &ue):
		return cause{text: fmt.Sprintf("%T", ue.Err)}
	}
	return cause{text: fmt.Sprintf("%T", err)}
}
