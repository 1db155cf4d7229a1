package meta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// kept are the headers that are stored for support, and nothing else is.
var kept = []string{
	"Facebook-Api-Version", "X-App-Usage", "X-Ad-Account-Usage", "X-Business-Use-Case-Usage",
	"X-Fb-Request-Id", "X-Fb-Trace-Id", "X-Fb-Rev", "Retry-After",
}

// maxKeptBytes bounds one stored header.
const maxKeptBytes = 2048

// Without a time in the answer a throttle waits as long as the longest block of
// the score model (marketing-api/overview/rate-limiting), a policy block an hour.
const (
	throttleWait = 5 * time.Minute
	blockedWait  = time.Hour
)

// call makes one call and decodes a good answer into out. fields go into the
// query; body may be nil.
func (m *destination) call(ctx context.Context, method, path string, query url.Values, body *outbound.Buffer, out any) (outbound.Answer, error) {
	if err := m.gate.pass(ctx, m.now); err != nil {
		return outbound.Answer{}, err
	}
	req, err := m.request(ctx, method, path, query, body)
	if err != nil {
		return outbound.Answer{}, err
	}
	return outbound.Call(m.http, req, func(answer outbound.Answer) error {
		m.gate.note(usageOf(answer.Header, m.unit), m.now())
		m.noteVersion(ctx, answer.Header)
		return m.read(method, answer, out)
	})
}

func (m *destination) request(ctx context.Context, method, path string, query url.Values, body *outbound.Buffer) (*http.Request, error) {
	return m.requestTo(ctx, method, m.root+"/"+path, query, body)
}

// requestTo is request for an address of its own.
func (m *destination) requestTo(ctx context.Context, method, address string, query url.Values, body *outbound.Buffer) (*http.Request, error) {
	token, err := m.tokens.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("get the access token: %w", err)
	}
	if query == nil {
		query = url.Values{}
	}
	if p := m.proof(token); p != "" {
		query.Set("appsecret_proof", p)
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var req *http.Request
	if body != nil {
		req, err = body.Request(ctx, method, address)
	} else {
		req, err = http.NewRequestWithContext(ctx, method, address, http.NoBody)
	}
	if err != nil {
		return nil, invalid("base_url", "the API address cannot be called")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// read makes the answer a value or an error.
//
// What may have been applied: an answer of the class Unavailable to a call that
// changes something, because the server may have broken after its work, and a
// good status whose body cannot be read. An envelope that names throttle, token,
// permission or parameter was written before any work. This counts for codes 1
// and 2 as well, whatever status they come with: "unknown error" says no more
// than that.
func (m *destination) read(method string, a outbound.Answer, out any) error {
	err, _ := m.judge(method, a, out)
	if err == nil {
		return nil
	}
	if err.Kind == activation.WaitUntil {
		m.gate.close(err.Until)
	}
	return err
}

// judge is read without a consequence for other calls. It returns what the error
// was made of as well.
func (m *destination) judge(method string, a outbound.Answer, out any) (*activation.Error, envelope) {
	var in struct {
		Error json.RawMessage `json:"error"`
	}
	isObject := json.Unmarshal(a.Body, &in) == nil && bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("{"))
	if string(in.Error) == "null" {
		in.Error = nil
	}
	var c class
	var e envelope
	switch {
	case isObject && len(in.Error) > 0 && json.Unmarshal(in.Error, &e) == nil && e.Code != 0:
		c = e.classify()
		if c == classGone && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden) {
			c = classPermission // never take "you may not" for "there is none"
		}
	case a.Status/100 == 2 && isObject && len(in.Error) == 0:
		if json.Unmarshal(a.Body, out) == nil {
			return nil, e
		}
		c = classAnswer
	default:
		c = classOfStatus(a.Status, isObject)
	}
	err := failure(c, e)
	if err.RequestID == "" {
		err.RequestID = requestID(a.Header)
	}
	if e.Code == 0 {
		err.Message += " (HTTP status " + strconv.Itoa(a.Status) + ")"
	}
	changes := method != http.MethodGet
	err.MayHaveApplied = changes && c.Kind == activation.Unavailable
	if a.Status/100 == 3 {
		err.Field, err.MayHaveApplied = "base_url", false
	}
	if c.Kind == activation.WaitUntil {
		err.Until = m.waitUntil(c, a.Header)
	}
	return err, e
}

// classOfStatus is for answers without a readable error object.
func classOfStatus(status int, isObject bool) class {
	switch {
	case status/100 == 2:
		return classAnswer
	case status/100 == 3:
		return classSettings
	case status == http.StatusTooManyRequests:
		return classThrottle
	case !isObject, status >= 500: // a page of some machine in between
		return classUnavailable
	case status == http.StatusUnauthorized:
		return classAuth
	case status == http.StatusForbidden:
		return classPermission
	case status == http.StatusRequestEntityTooLarge:
		return classSize
	}
	return classRequest
}

func (m *destination) waitUntil(c class, h http.Header) time.Time {
	now := m.now()
	if until, ok := outbound.RetryAfter(h, now); ok {
		return until
	}
	if c.Code == classBlocked.Code {
		return now.Add(blockedWait)
	}
	if u := usageOf(h, m.unit); u.regain > 0 {
		return now.Add(u.regain)
	}
	return now.Add(throttleWait)
}

// noteVersion warns once when another version answers than was asked for.
func (m *destination) noteVersion(ctx context.Context, h http.Header) {
	v := h.Get("Facebook-Api-Version")
	if v == "" || v == m.version || !versionPattern.MatchString(v) || m.warned.Swap(true) {
		return
	}
	m.log.WarnContext(ctx, "meta answers with another version than was asked for", "asked", m.version, "answered", v)
}

func requestID(h http.Header) string {
	for _, name := range []string{"X-Fb-Request-Id", "X-Fb-Trace-Id"} {
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

// number is a whole number that may come as JSON text.
type number int64

// UnmarshalJSON reads 7 and "7".
func (n *number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = number(v)
	return err
}
