package google

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"usher/sandbox/fault"
)

// maxBytes bounds a request body. The network's own limit is not published.
const maxBytes = 64 << 20

// The operations, as fault scripts name them.
const (
	opLists     = "list"
	opCreate    = "create"
	opRead      = "get"
	opUpdate    = "update"
	opDelete    = "delete"
	opIngest    = "ingest"
	opRemove    = "remove"
	opRemoveAll = "removeAll"
	opEvents    = "events"
	opStatus    = "status"
	opToken     = "token"
)

// call is one request on its way through the network.
type call struct {
	request *http.Request
	body    []byte
	at      time.Time
	op      string
	account string // accountTypes/T/accounts/A, of userLists calls
	list    string
	invalid int // rows that a fault wants to be wrong
	fault   fault.Fault
	// adsVersion and customer are those of the path of the Google Ads API.
	adsVersion, customer string
	token                Token
	record               Call
}

// answer is what a call is answered with.
type answer struct {
	status  int
	body    any
	err     *apiError
	request string // of the Google Ads API
}

func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	c := &call{request: r, body: body, at: n.deps.Now()}
	c.record = Call{At: c.at, Method: r.Method, Path: r.URL.Path, Bytes: len(body)}
	if err != nil {
		n.finish(c, 0)
		panic(http.ErrAbortHandler)
	}
	route(c)
	c.record.Op = c.op
	f, met := n.deps.Faults.Take(fault.Call{Network: "google", Method: r.Method, Path: r.URL.Path, Op: c.op})
	if met {
		c.record.Fault = string(f.Kind)
		n.serveFault(w, c, f)
		return
	}
	n.write(w, c, n.answer(c))
}

var listsPattern = regexp.MustCompile(`^/v1/(accountTypes/[A-Z_]+/accounts/[0-9]+)/userLists(?:/([^/]+))?$`)

// route reads the operation from method and path.
func route(c *call) {
	routeAds(c)
	at := c.request.Method + " " + c.request.URL.Path
	switch at {
	case "POST /v1/audienceMembers:ingest":
		c.op = opIngest
	case "POST /v1/audienceMembers:remove":
		c.op = opRemove
	case "POST /v1/audienceMembers:removeAll":
		c.op = opRemoveAll
	case "POST /v1/events:ingest":
		c.op = opEvents
	case "GET /v1/requestStatus:retrieve":
		c.op = opStatus
	case "POST /token":
		c.op = opToken
	}
	m := listsPattern.FindStringSubmatch(c.request.URL.Path)
	if m == nil {
		return
	}
	c.account, c.list = m[1], m[2]
	ops := map[string]string{"GET": opLists, "POST": opCreate}
	if c.list != "" {
		ops = map[string]string{"GET": opRead, "PATCH": opUpdate, "DELETE": opDelete}
	}
	c.op = ops[c.request.Method]
}

// answer carries the call out.
func (n *Network) answer(c *call) answer {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch c.op {
	case opToken:
		return n.mint(c)
	case opMutate, opSearch:
		return n.answerAds(c)
	}
	body, err := n.handle(c)
	if err != nil {
		return answer{status: err.status, err: err}
	}
	return answer{status: http.StatusOK, body: body}
}

// handle checks what every call needs and hands it to its operation.
func (n *Network) handle(c *call) (any, *apiError) {
	if c.op == "" {
		return nil, failure(http.StatusNotFound, "NOT_FOUND", "There is no such method.")
	}
	if err := n.authorize(c); err != nil {
		return nil, err
	}
	if err := n.meter(c); err != nil {
		return nil, err
	}
	if err := headers(c); err != nil {
		return nil, err
	}
	n.settle(c.at)
	switch c.op {
	case opLists:
		return n.listLists(c)
	case opCreate:
		return n.createList(c)
	case opRead:
		return n.readList(c)
	case opUpdate:
		return n.updateList(c)
	case opDelete:
		return n.deleteList(c)
	case opIngest:
		return n.ingest(c)
	case opRemove:
		return n.remove(c)
	case opRemoveAll:
		return n.removeAll(c)
	case opEvents:
		return n.ingestEvents(c)
	}
	return n.status(c)
}

var accountName = regexp.MustCompile(`^accountTypes/[A-Z_]+/accounts/[0-9]+$`)

// headers checks those of userLists calls, and that a body is said to be JSON.
func headers(c *call) *apiError {
	h := c.request.Header
	for _, name := range []string{"Login-Account", "Linked-Account"} {
		if v := h.Get(name); v != "" && (c.account == "" || !accountName.MatchString(v)) {
			return refused(violation("header "+name, "INVALID_FORMAT", "The header must be a resource name of an account, on calls for user lists."))
		}
	}
	for _, name := range []string{"Login-Customer-Id", "Developer-Token"} {
		if h.Get(name) != "" {
			return refused(violation("header "+name, "INVALID_ARGUMENT", "The header is not one of this API."))
		}
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if len(c.body) > 0 && kind != "application/json" {
		return refused(violation("header Content-Type", "INVALID_ARGUMENT", "The body must be application/json."))
	}
	return nil
}

// only refuses query parameters that the call does not have.
func only(c *call, allowed ...string) *apiError {
	for name, values := range c.request.URL.Query() {
		if !slices.Contains(allowed, name) || len(values) != 1 {
			return refused(violation(name, "INVALID_ARGUMENT", "The call has no such query parameter, or it is there twice."))
		}
	}
	return nil
}

// write sends the answer and closes the call's books.
func (n *Network) write(w http.ResponseWriter, c *call, a answer) {
	body := a.body
	if a.err != nil {
		n.mu.Lock()
		body = a.err.envelope(n.random(22))
		n.mu.Unlock()
		c.record.Reason = a.err.reason
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if a.request != "" {
		w.Header().Set("Request-Id", a.request)
	}
	if a.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	n.finish(c, a.status)
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
