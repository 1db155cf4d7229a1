package google

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// Without a time in the answer a call over the quota of a minute waits a minute,
// one over that of a day an hour.
const (
	minuteWait = time.Minute
	dayWait    = time.Hour
)

// answer is what came back, as far as it is looked at.
type answer struct {
	outbound.Answer
	failed envelope // of an error
}

// call makes one call and decodes a good answer into out. A call that is refused
// for its token is made once more with another one: nothing of it was done.
func (g *account) call(ctx context.Context, method, path string, query url.Values, body *outbound.Buffer, out any) (answer, error) {
	token, err := g.token(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := g.once(ctx, token, method, path, query, body, out)
	if a.Status != http.StatusUnauthorized {
		return a, err
	}
	g.tokens.Refused(token)
	next, tokenErr := g.token(ctx)
	if tokenErr != nil {
		return a, tokenErr
	}
	if next == token {
		return a, err
	}
	return g.once(ctx, next, method, path, query, body, out)
}

// token returns an access token, or an error that can be told.
func (g *account) token(ctx context.Context) (string, error) {
	token, err := g.tokens.Token(ctx)
	var own *activation.Error
	switch {
	case err == nil && token != "":
		return token, nil
	case errors.As(err, &own):
		return "", fmt.Errorf("get an access token: %w", err)
	}
	e := failure(classUnavailable, envelope{})
	e.Message = "no access token could be had"
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, cause) {
			e.Err = cause
		}
	}
	return "", e
}

func (g *account) once(ctx context.Context, token, method, path string, query url.Values, body *outbound.Buffer, out any) (answer, error) {
	req, err := g.request(ctx, token, method, path, query, body)
	if err != nil {
		return answer{}, err
	}
	var failed envelope
	a, err := outbound.Call(g.http, req, func(a outbound.Answer) error {
		var err error
		failed, err = g.read(method, a, out)
		return err
	})
	return answer{a, failed}, err
}

func (g *account) request(ctx context.Context, token, method, path string, query url.Values, body *outbound.Buffer) (*http.Request, error) {
	address := g.root + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var req *http.Request
	var err error
	if body != nil {
		req, err = body.Request(ctx, method, address)
	} else {
		req, err = http.NewRequestWithContext(ctx, method, address, http.NoBody)
	}
	if err != nil {
		return nil, invalid(baseURLField, "the API address cannot be called")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.Contains(path, "/userLists") { // other calls name them in their body
		if g.login != nil {
			req.Header.Set("Login-Account", g.login.name())
		}
		if g.linked != nil {
			req.Header.Set("Linked-Account", g.linked.name())
		}
	}
	return req, nil
}

// read makes the answer a value or an error.
//
// What may have been applied: an answer of the class Unavailable to a call that
// changes something, because the server may have broken after its work, and a
// good status whose body cannot be read. A refusal (401, 403, 404, 429, and 400
// whatever it names) was written before any work: Google applies a request whole
// or not at all (devguides/concepts/understand-errors).
func (g *account) read(method string, a outbound.Answer, out any) (envelope, error) {
	var in struct {
		Error *envelope `json:"error"`
	}
	text := bytes.TrimSpace(a.Body)
	isObject := bytes.HasPrefix(text, []byte("{")) && json.Unmarshal(text, &in) == nil
	var c class
	var e envelope
	switch {
	case isObject && in.Error != nil && (in.Error.Code != 0 || in.Error.Status != ""):
		e = *in.Error
		e.open()
		c = e.classify(a.Status)
	case a.Status/100 == 2 && isObject && in.Error == nil:
		if json.Unmarshal(text, out) == nil {
			return e, nil
		}
		c = classAnswer
	default:
		c = classOfStatus(a.Status, isObject)
	}
	err := failure(c, e)
	if e.Code == 0 {
		err.Message += " (HTTP status " + strconv.Itoa(a.Status) + ")"
	}
	err.MayHaveApplied = method != http.MethodGet && c.Kind == activation.Unavailable
	if a.Status/100 == 3 {
		err.Field = baseURLField
	}
	if c.Kind == activation.WaitUntil {
		err.Until = g.waitUntil(e, a.Header)
	}
	return e, err
}

func (g *account) waitUntil(e envelope, h http.Header) time.Time {
	now := g.now()
	if e.retry > 0 {
		return now.Add(e.retry)
	}
	if until, ok := outbound.RetryAfter(h, now); ok {
		return until
	}
	if strings.Contains(e.quota, "Day") {
		return now.Add(dayWait)
	}
	return now.Add(minuteWait)
}

// buffer makes a body of v.
func (g *account) buffer(v any) (*outbound.Buffer, error) {
	body := g.bodies.Take()
	text, err := json.Marshal(v)
	if err != nil {
		body.Release()
		return nil, &activation.Error{Kind: activation.Internal, Code: activation.CodeOf(err), Message: "the request cannot be written as JSON"}
	}
	body.B = append(body.B, text...)
	return body, nil
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

// notABatch turns "the batch is refused" into "the request is refused": there is
// nothing to halve.
func notABatch(err error) error {
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.RefusedWhole {
		return err
	}
	other := *e
	other.Kind, other.Code = classRequest.Kind, classRequest.Code
	other.Message = strings.Replace(e.Message, classData.Message, classRequest.Message, 1)
	return &other
}
