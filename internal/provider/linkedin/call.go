package linkedin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// kept are the headers that are stored for support, and nothing else is.
var kept = []string{"X-Li-Uuid", "X-Li-Request-Id", "X-Li-Fabric", "Linkedin-Version", "Retry-After"}

// maxKeptBytes bounds one stored header.
const maxKeptBytes = 2048

// The Rest.li methods of calls (shared/api-guide/concepts/methods).
const (
	restGet    = "GET"
	restFinder = "FINDER"
	restCreate = "CREATE"
	restBatch  = "BATCH_CREATE"
)

// request is one call: a Rest.li method, a path below the root, a query, and a
// body for what changes something.
type request struct {
	method string
	path   string
	query  url.Values
	body   *outbound.Buffer
}

// call makes one call and decodes a good answer into out, which may be nil. A
// token that LinkedIn refuses is exchanged once, and the call made again: it was
// refused before any work.
func (c *client) call(ctx context.Context, r request, out any) (outbound.Answer, error) {
	token, err := c.token(ctx)
	if err != nil {
		return outbound.Answer{}, err
	}
	a, err := c.once(ctx, r, token, out)
	if e, _ := envelopeOf(a.Body); !codeIs(err, classAuth) || !e.stale() {
		return a, err
	}
	c.tokens.Refused(token)
	again, tokenErr := c.token(ctx)
	switch {
	case tokenErr != nil:
		return a, tokenErr
	case again == token: // there is no other one
		return a, err
	}
	return c.once(ctx, r, again, out)
}

func (c *client) token(ctx context.Context) (string, error) {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return "", fmt.Errorf("get the access token: %w", err)
	}
	return token, nil
}

func (c *client) once(ctx context.Context, r request, token string, out any) (outbound.Answer, error) {
	began := c.now()
	if err := c.gate.pass(began); err != nil {
		return outbound.Answer{}, err
	}
	req, err := c.request(ctx, r, token)
	if err != nil {
		return outbound.Answer{}, err
	}
	return outbound.Call(c.http, req, func(a outbound.Answer) error { return c.read(r, began, a, out) })
}

func (c *client) request(ctx context.Context, r request, token string) (*http.Request, error) {
	address := c.root + "/" + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var req *http.Request
	var err error
	if r.body != nil {
		req, err = r.body.Request(ctx, http.MethodPost, address)
	} else {
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	}
	if err != nil {
		return nil, invalid("base_url", "the API address cannot be called")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("LinkedIn-Version", c.version)
	req.Header.Set("X-Restli-Protocol-Version", "2.0.0")
	req.Header.Set("X-RestLi-Method", r.method)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// read makes the answer a value or an error.
//
// What may have been applied: an answer of the class Unavailable to a call that
// changes something, because the server may have broken after its work, and a
// good status whose body cannot be read. All else names a reason that comes
// before any work.
func (c *client) read(r request, began time.Time, a outbound.Answer, out any) error {
	e, isObject := envelopeOf(a.Body)
	var err *activation.Error
	switch {
	case a.Status/100 == 2 && out == nil:
		return nil
	case a.Status/100 == 2:
		if json.Unmarshal(a.Body, out) == nil {
			return nil
		}
		err = failure(classAnswer, a.Status, envelope{})
	default:
		kind := classify(a.Status, e, isObject)
		err = failure(kind, a.Status, e)
		if kind == classThrottle {
			err = throttled(c.gate.refused(a.Header, began, c.now()), a.Status, e)
		}
	}
	err.RequestID = requestID(a.Header)
	err.MayHaveApplied = r.body != nil && err.Kind == activation.Unavailable && err.Code != classConflict.Code
	return err
}

// networkNow is the time at LinkedIn, by which it dates segments; ours where the
// answer has none.
func (c *client) networkNow(a outbound.Answer) time.Time {
	if t, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		return t
	}
	return c.now()
}

// writeJSON puts v into a body. Release it.
func (c *client) writeJSON(v any) (*outbound.Buffer, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Message: "the request cannot be written as JSON", Err: err}
	}
	body := c.bodies.Take()
	body.B = append(body.B, text...)
	return body, nil
}

func requestID(h http.Header) string {
	for _, name := range []string{"X-Li-Uuid", "X-Li-Request-Id"} {
		if id := safeID(h.Get(name)); id != "" {
			return id
		}
	}
	return ""
}

func keptHeaders(h http.Header) map[string]string {
	out := map[string]string{}
	for _, name := range kept {
		if v := h.Get(name); v != "" && len(v) <= maxKeptBytes {
			out[strings.ToLower(name)] = v
		}
	}
	return out
}

func codeIs(err error, c class) bool {
	var e *activation.Error
	return errors.As(err, &e) && e.Code == c.Code
}

// as gives the error the kind, code and text of another class.
func as(err error, c class) error {
	var e *activation.Error
	if !errors.As(err, &e) {
		return err
	}
	other := *e
	other.Kind, other.Code, other.Message = c.Kind, c.Code, c.Message
	return &other
}

// notABatch turns "the batch is refused" into "the request is refused": there
// is nothing to halve.
func notABatch(err error) error {
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.RefusedWhole {
		return err
	}
	other := *e
	other.Kind, other.Code = classRequest.Kind, classRequest.Code
	other.Message = strings.NewReplacer(classData.Message, classRequest.Message, classSize.Message, classRequest.Message).Replace(e.Message)
	return &other
}

// pending says to come back for a new segment.
func pending(until time.Time) error {
	e := classPending.New()
	e.Until = until
	return e
}
