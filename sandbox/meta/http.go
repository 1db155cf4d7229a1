package meta

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/sandbox/fault"
)

// Versions of the Graph API that are served. Others below are served by
// oldestVersion without a word, as the network does; others above are unknown.
const (
	oldestVersion = 21
	newestVersion = 26
)

// call is one request on its way through the network.
type call struct {
	request  *http.Request
	body     []byte
	params   params
	at       time.Time
	version  string
	op       string
	account  string // ad account in the path or of the audience
	audience string
	dataset  string
	node     string  // campaign, ad set, ad or creative in the path
	outer    *call   // the batch that it is a part of
	parts    []*call // of a batch
	effect   int     // number of the call that took effect, for all of its parts
	broken   *apiError
	invalid  int // rows that a fault wants to be invalid
	token    Token
	percent  int           // of the account's hourly calls
	regain   time.Duration // until the account is free again, if it is throttled
	record   Call
}

// answer is what a call is answered with.
type answer struct {
	status int
	body   any
	err    *apiError
}

func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, readErr := io.ReadAll(io.LimitReader(r.Body, n.opts.MaxBytes+1))
	c := &call{request: r, body: body, at: n.deps.Now()}
	c.record = Call{At: c.at, Method: r.Method, Path: r.URL.Path, Bytes: len(body)}
	if readErr != nil {
		n.finish(c, 0)
		panic(http.ErrAbortHandler)
	}
	n.route(c)
	if !n.isBatch(c) {
		n.noteUsage(c)
	}
	f, met := n.deps.Faults.Take(fault.Call{Network: "meta", Method: r.Method, Path: r.URL.Path, Op: c.op})
	if met {
		c.record.Fault = string(f.Kind)
		n.serveFault(w, c, f)
		return
	}
	n.write(w, c, n.answer(c))
}

// answer carries the call out.
func (n *Network) answer(c *call) answer {
	body, err := n.handle(c)
	if err != nil {
		return answer{status: err.status, err: err}
	}
	return answer{status: http.StatusOK, body: body}
}

// handle checks what every call needs and hands it to its operation.
func (n *Network) handle(c *call) (any, *apiError) {
	if int64(len(c.body)) > n.opts.MaxBytes {
		return nil, tooLarge(n.opts.MaxBytes)
	}
	if c.percent > 100 {
		return nil, throttled(0, c.op)
	}
	if c.broken != nil {
		return nil, c.broken
	}
	var err *apiError
	if c.params, err = readParams(c.request, c.body); err != nil {
		return nil, err
	}
	if err = n.authorize(c); err != nil {
		return nil, err
	}
	if err = n.reachable(c); err != nil {
		return nil, err
	}
	if body, err, ok := n.campaigns(c); ok {
		return body, err
	}
	switch c.op {
	case opBatch, opBatchRead:
		return n.batch(c)
	case opMe:
		return n.selectFields(c, "User", map[string]any{"id": "100000000000001", "name": "Sandbox system user"}, "id", "name")
	case opDebugToken:
		return n.debugToken(c)
	case opAccount:
		return n.readAccount(c)
	case opTerms:
		return n.acceptTerms(c)
	case opList:
		return n.listAudiences(c)
	case opCreate:
		return n.createAudience(c)
	case opRead:
		return n.readAudience(c)
	case opUpdate:
		return n.updateAudience(c)
	case opDelete:
		return n.deleteAudience(c)
	case opAdd, opRemove, opReplace:
		return n.users(c)
	case opErase:
		return n.erase(c)
	case opSessions:
		return n.readSessions(c)
	case opDataset:
		return n.readDataset(c)
	case opEvents:
		return n.sendEvents(c)
	}
	return nil, unknownPath()
}

// The operations, as fault scripts name them.
const (
	opMe         = "me"
	opDebugToken = "debug_token"
	opAccount    = "account"
	opTerms      = "terms"
	opList       = "list"
	opCreate     = "create"
	opRead       = "read"
	opUpdate     = "update"
	opDelete     = "delete"
	opAdd        = "add"
	opRemove     = "remove"
	opReplace    = "replace"
	opErase      = "erase"
	opSessions   = "sessions"
	opDataset    = "dataset"
	opEvents     = "events"
)

// writes reports whether an operation needs the permission to change things.
func writes(op string) bool {
	switch op {
	case opTerms, opCreate, opUpdate, opDelete, opAdd, opRemove, opReplace, opErase, opEvents:
		return true
	}
	return changesCampaigns(op) && op != opBatch // its parts are asked
}

var (
	versionPattern = regexp.MustCompile(`^v(\d{1,3})\.0$`)
	accountPattern = regexp.MustCompile(`^act_(\d+)$`)
	objectPattern  = regexp.MustCompile(`^\d+$`)
)

// isBatch finds out whether a call is a batch, and reads its operations.
func (n *Network) isBatch(c *call) bool {
	if c.outer != nil || c.op != opBatch {
		return false
	}
	if c.broken = n.readBatch(c); c.broken == nil && !slices.ContainsFunc(c.parts, func(p *call) bool { return p.request.Method != http.MethodGet }) {
		c.op = opBatchRead
	}
	c.record.Op, c.record.Account = c.op, c.account
	return true
}

// route reads version, operation and object from the path.
func (n *Network) route(c *call) {
	parts := strings.Split(strings.Trim(c.request.URL.Path, "/"), "/")
	version := newestVersion
	if m := versionPattern.FindStringSubmatch(parts[0]); m != nil {
		version, _ = strconv.Atoi(m[1])
		parts = parts[1:]
	}
	c.version = "v" + strconv.Itoa(max(version, oldestVersion)) + ".0"
	if path := strings.Join(parts, ""); path == "" && c.request.Method == http.MethodPost && c.outer == nil && version <= newestVersion {
		c.op = opBatch
		c.record.Op = c.op
		return
	}
	if len(parts) == 0 || len(parts) > 2 || version > newestVersion {
		return
	}
	edge := c.request.Method + " " + strings.Join(parts[1:], "")
	switch {
	case len(parts) == 1 && parts[0] == "me" && c.request.Method == http.MethodGet:
		c.op = opMe
	case len(parts) == 1 && parts[0] == "debug_token" && c.request.Method == http.MethodGet:
		c.op = opDebugToken
	case accountPattern.MatchString(parts[0]):
		c.account = accountPattern.FindStringSubmatch(parts[0])[1]
		c.op = accountOps[edge]
	case slices.Contains(n.opts.Datasets, parts[0]):
		c.dataset = parts[0]
		c.op = datasetOps[edge]
	case objectPattern.MatchString(parts[0]) && n.routeNode(c, parts[0], edge):
	case objectPattern.MatchString(parts[0]):
		c.audience = parts[0]
		c.op = audienceOps[edge]
		c.account = n.accountOf(c.audience)
	}
	c.record.Op, c.record.Audience, c.record.Account = c.op, c.audience, c.account
}

// Method and edge below an object, and what they do.
var (
	accountOps = map[string]string{
		"GET ":                      opAccount,
		"GET customaudiences":       opList,
		"POST customaudiences":      opCreate,
		"POST customaudiencestos":   opTerms,
		"DELETE usersofanyaudience": opErase,
		"GET insights":              opInsights,
		"POST campaigns":            campaignEdge + suffixCreate,
		"GET campaigns":             campaignEdge + suffixList,
		"POST adsets":               setEdge + suffixCreate,
		"GET adsets":                setEdge + suffixList,
		"POST ads":                  adEdge + suffixCreate,
		"GET ads":                   adEdge + suffixList,
		"POST adcreatives":          creativeEdge + suffixCreate,
		"GET adcreatives":           creativeEdge + suffixList,
	}
	datasetOps = map[string]string{
		"GET ":        opDataset,
		"POST events": opEvents,
	}
	audienceOps = map[string]string{
		"GET ":              opRead,
		"POST ":             opUpdate,
		"DELETE ":           opDelete,
		"POST users":        opAdd,
		"DELETE users":      opRemove,
		"POST usersreplace": opReplace,
		"GET sessions":      opSessions,
	}
)

// write sends the answer and closes the call's books.
func (n *Network) write(w http.ResponseWriter, c *call, a answer) {
	if a.err != nil {
		c.record.Code, c.record.Subcode = a.err.code, a.err.subcode
	}
	n.finish(c, a.status)
	n.send(w, c, a)
}

// send writes the answer.
func (n *Network) send(w http.ResponseWriter, c *call, a answer) {
	trace := n.traceID()
	body := a.body
	if a.err != nil {
		body = a.err.envelope(trace)
	}
	percent, regain := c.percent, time.Duration(0)
	if a.err != nil && a.err.code == useCaseOf(c.op).code {
		percent, regain = max(percent, 100), c.regain
	}
	h := w.Header()
	tell(h, useCaseOf(c.op).name, cmp.Or(c.account, c.dataset), percent, regain)
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("Facebook-Api-Version", c.version)
	h.Set("X-Fb-Trace-Id", trace)
	if a.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `OAuth "Facebook Platform" "invalid_token"`)
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
