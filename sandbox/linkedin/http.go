package linkedin

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher/sandbox/fault"
)

// call is one request on its way through the network.
type call struct {
	request *http.Request
	body    []byte
	at      time.Time
	op      string
	id      string // segment or rule in the path
	token   Token
	spoil   fault.Fault // of kind invalid
	record  Call
	made    string // id of what the call made
}

// answer is what a call is answered with.
type answer struct {
	status int
	body   any
}

// The operations, as fault scripts name them.
const (
	opToken   = "token"
	opConsent = "consent"
	opAccount = "account"
	opFind    = "find"
	opCreate  = "create"
	opRead    = "read"
	opUsers   = "users"
	opRules   = "rules"
	opRule    = "rule"
	opNewRule = "new_rule"
	opEvents  = "events"
)

// methods are the Rest.li methods of the operations.
var methods = map[string][]string{
	opAccount: {"GET"}, opRead: {"GET"}, opRule: {"GET"}, opFind: {"FINDER"}, opRules: {"FINDER"},
	opCreate: {"CREATE"}, opNewRule: {"CREATE"}, opUsers: {"CREATE", batchCreate}, opEvents: {"CREATE", batchCreate},
}

const batchCreate = "BATCH_CREATE"

func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, readErr := io.ReadAll(io.LimitReader(r.Body, maxBytes+1))
	c := &call{request: r, body: body, at: n.deps.Now()}
	c.record = Call{At: c.at, Method: r.Method, Path: r.URL.Path, Bytes: len(body)}
	if readErr != nil {
		n.finish(c, 0)
		panic(http.ErrAbortHandler)
	}
	c.route()
	f, met := n.deps.Faults.Take(fault.Call{Network: "linkedin", Method: r.Method, Path: r.URL.Path, Op: c.op})
	if met {
		c.record.Fault = string(f.Kind)
		n.serveFault(w, c, f)
		return
	}
	if c.op == opConsent {
		n.consent(w, c)
		return
	}
	n.write(w, c, n.answer(c))
}

// route reads operation and object from the path.
func (c *call) route() {
	path := strings.Trim(c.request.URL.Path, "/")
	get, post := c.request.Method == http.MethodGet, c.request.Method == http.MethodPost
	parts := strings.Split(path, "/")
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	switch {
	case path == "oauth/v2/accessToken" && post:
		c.op = opToken
	case path == "oauth/v2/authorization" && get:
		c.op = opConsent
	case at(0) != "rest" || len(parts) > 4:
	case at(1) == "adAccounts" && len(parts) == 3 && get:
		c.op, c.id = opAccount, at(2)
	case at(1) == "dmpSegments" && len(parts) == 2:
		c.op = either(get, opFind, post, opCreate)
	case at(1) == "dmpSegments" && len(parts) == 3 && get:
		c.op, c.id = opRead, at(2)
	case at(1) == "dmpSegments" && at(3) == "users" && post:
		c.op, c.id = opUsers, at(2)
	case at(1) == "conversions" && len(parts) == 2:
		c.op = either(get, opRules, post, opNewRule)
	case at(1) == "conversions" && len(parts) == 3 && get:
		c.op, c.id = opRule, at(2)
	case path == "rest/conversionEvents" && post:
		c.op = opEvents
	}
	c.record.Op, c.record.Object = c.op, c.id
}

func either(is bool, a string, other bool, b string) string {
	switch {
	case is:
		return a
	case other:
		return b
	}
	return ""
}

func refusal(e *apiError) answer { return answer{e.status, e.envelope()} }

// answer carries the call out.
func (n *Network) answer(c *call) answer {
	if c.op == opToken {
		return n.accessToken(c)
	}
	if e := n.admit(c); e != nil {
		return refusal(e)
	}
	var body any
	var e *apiError
	status := http.StatusOK
	switch c.op {
	case opAccount:
		body, e = n.readAccount(c)
	case opFind:
		body, e = n.findSegments(c)
	case opCreate:
		status, e = http.StatusCreated, n.createSegment(c)
	case opRead:
		body, e = n.readSegment(c)
	case opUsers:
		body, e = n.streamUsers(c)
	case opRules:
		body, e = n.listRules(c)
	case opRule:
		body, e = n.readRule(c)
	case opNewRule:
		status, e = http.StatusCreated, n.createRule(c)
	case opEvents:
		body, e = n.streamEvents(c)
	}
	switch {
	case e != nil:
		return refusal(e)
	case body == nil && status == http.StatusOK: // a single element was made
		status = http.StatusCreated
	}
	return answer{status, body}
}

// admit checks what every call of the API needs.
func (n *Network) admit(c *call) *apiError {
	h := c.request.Header
	version := h.Get("LinkedIn-Version")
	end, known := n.opts.Versions[version]
	switch {
	case c.request.Method != http.MethodGet && c.request.ContentLength < 0,
		c.request.Method != http.MethodGet && len(c.body) == 0 && h.Get("Content-Length") == "":
		return &apiError{status: http.StatusLengthRequired, code: "LENGTH_REQUIRED", message: "Content-Length is required"}
	case len(c.body) > maxBytes:
		return &apiError{status: http.StatusRequestEntityTooLarge, code: "REQUEST_TOO_LARGE", message: "The request is too large"}
	case version == "":
		return &apiError{status: http.StatusBadRequest, code: "VERSION_MISSING", message: "The header LinkedIn-Version is missing"}
	case !known || !c.at.Before(end):
		return noVersion(version)
	case h.Get("X-Restli-Protocol-Version") != "2.0.0":
		return badRequest("X-RestLi-Protocol-Version must be 2.0.0")
	}
	if e := n.authorize(c); e != nil {
		return e
	}
	if e := n.count(c); e != nil {
		return e
	}
	if c.op == "" {
		return &apiError{status: http.StatusNotFound, code: "RESOURCE_NOT_FOUND", message: "There is no such resource"}
	}
	if m := h.Get("X-Restli-Method"); m != "" && !slices.Contains(methods[c.op], m) {
		return &apiError{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED", message: "The method is not supported here"}
	}
	if len(c.body) > 0 {
		if kind, _, err := mime.ParseMediaType(h.Get("Content-Type")); err != nil || kind != "application/json" {
			return &apiError{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE", message: "The content type must be application/json"}
		}
	}
	if strings.ContainsAny(c.request.URL.RawQuery, ":()',") && !strings.Contains(c.request.URL.RawQuery, "List(") {
		return badRequest("Invalid query parameters: special characters must be percent-encoded")
	}
	return nil
}

// write sends the answer and closes the call's books.
func (n *Network) write(w http.ResponseWriter, c *call, a answer) {
	n.head(w, c)
	n.finish(c, a.status)
	if c.made != "" && a.status == http.StatusCreated {
		name := "X-Restli-Id"
		if n.opts.OldHeader {
			name = "X-Linkedin-Id"
		}
		w.Header().Set(name, c.made)
	}
	if a.body == nil {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the caller may be gone
}

// head sets the headers that every answer has. The date is that of the
// network's clock.
func (n *Network) head(w http.ResponseWriter, c *call) {
	w.Header().Set("Date", c.at.UTC().Format(http.TimeFormat))
	w.Header().Set("X-Li-Uuid", n.opaque())
	w.Header().Set("X-Li-Request-Id", n.opaque())
}

// decode reads a JSON object and refuses fields that are not known.
func decode(body []byte, into any) *apiError {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badRequest("The body cannot be read: %v", err)
	}
	if dec.More() {
		return badRequest("The body has more than one object")
	}
	return nil
}
