package meta

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"usher/sandbox/fault"
)

// maxOperations is the most operations of one batch (developers.facebook.com,
// docs/graph-api/batch-requests, read 2026-11-21).
const maxOperations = 50

// operation is one call of a batch, as it is sent.
type operation struct {
	Method string  `json:"method"`
	URL    string  `json:"relative_url"`
	Body   *string `json:"body"`
}

// batchReply is what is answered to one operation.
type batchReply struct {
	Code    int           `json:"code"`
	Headers []batchHeader `json:"headers"`
	Body    string        `json:"body"`
}

type batchHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// readBatch reads the operations of a batch and routes them.
func (n *Network) readBatch(c *call) *apiError {
	p, err := readParams(c.request, c.body)
	if err != nil {
		return err
	}
	for name := range p {
		if name != "batch" && name != "include_headers" && !slices.Contains(common, name) {
			return invalidParam("Unexpected parameter: " + name)
		}
	}
	dec := json.NewDecoder(bytes.NewReader(p.structure("batch")))
	dec.DisallowUnknownFields()
	var operations []operation
	if dec.Decode(&operations) != nil || len(operations) == 0 {
		return invalidParam("The parameter batch must be a list of operations")
	}
	if len(operations) > maxOperations {
		return invalidParam("Too many requests in batch message: no more than 50 are allowed")
	}
	for _, o := range operations {
		if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodDelete}, o.Method) || o.URL == "" || strings.HasPrefix(o.URL, "/") && strings.HasPrefix(o.URL, "//") {
			return invalidParam("An operation of the batch has no valid method or relative_url")
		}
		part, err := n.readOperation(c, o)
		if err != nil {
			return err
		}
		c.parts = append(c.parts, part)
		if c.account == "" {
			c.account = part.account
		}
	}
	return nil
}

// readOperation makes a call of an operation: it has the token of the batch.
func (n *Network) readOperation(c *call, o operation) (*call, *apiError) {
	body := ""
	if o.Body != nil {
		body = *o.Body
	}
	req, err := http.NewRequestWithContext(c.request.Context(), o.Method, "http://batch/"+strings.TrimPrefix(o.URL, "/"), strings.NewReader(body))
	if err != nil {
		return nil, invalidParam("An operation of the batch has no valid relative_url")
	}
	req.Header.Set("Authorization", c.request.Header.Get("Authorization"))
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	query := req.URL.Query()
	for _, name := range []string{"access_token", "appsecret_proof", "appsecret_time"} {
		if v := c.request.URL.Query().Get(name); v != "" && query.Get(name) == "" {
			query.Set(name, v)
		}
	}
	req.URL.RawQuery = query.Encode()
	text, _ := io.ReadAll(req.Body) // it is in memory
	part := &call{request: req, body: text, at: c.at, outer: c}
	part.record = Call{At: c.at, Method: o.Method, Path: req.URL.Path, Bytes: len(text)}
	n.route(part)
	return part, nil
}

// batch carries the operations out in an order of chance, since none is promised,
// and answers in the order in which they came.
func (n *Network) batch(c *call) (any, *apiError) {
	if err := n.related(c); err != nil {
		return nil, err
	}
	type met struct {
		fault.Fault
		met bool
	}
	faults := make([]met, len(c.parts))
	for i, part := range c.parts {
		n.noteUsage(part)
		f, ok := n.deps.Faults.Take(fault.Call{Network: "meta", Method: part.request.Method, Path: "/batch" + part.request.URL.Path, Op: part.op})
		faults[i] = met{f, ok}
	}
	n.mu.Lock()
	order := n.rand.Perm(len(c.parts))
	n.mu.Unlock()
	replies := make([]*batchReply, len(c.parts))
	for _, i := range order {
		part := c.parts[i]
		if !faults[i].met {
			replies[i] = n.reply(part, n.answer(part))
			continue
		}
		replies[i] = n.faultyReply(part, faults[i].Fault)
		c.record.Fault = string(faults[i].Kind)
	}
	c.record.Parts = len(c.parts)
	return replies, nil
}

// reply is an answer as a batch has it.
func (n *Network) reply(c *call, a answer) *batchReply {
	w := httptest.NewRecorder()
	n.send(w, c, a)
	out := &batchReply{Code: w.Code, Body: strings.TrimSpace(w.Body.String())}
	for name, values := range w.Header() {
		out.Headers = append(out.Headers, batchHeader{Name: name, Value: values[0]})
	}
	slices.SortFunc(out.Headers, func(a, b batchHeader) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// faultyReply is what is answered to an operation that meets a fault: nil where a
// call of its own would get no answer.
func (n *Network) faultyReply(c *call, f fault.Fault) *batchReply {
	if f.Kind == fault.Slow || f.Kind == fault.Invalid {
		return n.reply(c, n.answer(c))
	}
	if f.Applied {
		n.answer(c)
	}
	switch f.Kind {
	case fault.Timeout, fault.Cut:
		return nil
	case fault.HTML:
		return &batchReply{Code: cmp.Or(f.Status, http.StatusBadGateway), Headers: []batchHeader{{"Content-Type", "text/html; charset=utf-8"}}, Body: htmlPage}
	default:
		c.regain = minutesOf(f)
		e := envelopeOf(c, f)
		if f.Status != 0 {
			e.status = f.Status
		}
		return n.reply(c, answer{status: e.status, err: e})
	}
}

// related looks for operations that must not be in one batch.
func (n *Network) related(c *call) *apiError {
	n.mu.Lock()
	defer n.mu.Unlock()
	sets, nodes := map[string]bool{}, map[string]bool{}
	var above []string
	for _, part := range c.parts {
		if !changesCampaigns(part.op) {
			continue
		}
		at, campaign := n.lies(part)
		if part.node != "" && nodes[part.node] {
			n.tree.sins[SinTwice]++
		}
		nodes[part.node] = part.node != ""
		if campaign != "" {
			if sets[campaign] {
				n.tree.sins[SinSiblings]++
				return invalidParam("A batch must not change two ad sets of one campaign")
			}
			sets[campaign] = true
		}
		above = append(above, at...)
	}
	for _, id := range above {
		if nodes[id] {
			n.tree.sins[SinRelated]++
		}
	}
	return nil
}

// lies says what a call's node lies in, and the campaign of a call about an ad set.
func (n *Network) lies(c *call) (above []string, campaign string) {
	p, err := readParams(c.request, c.body)
	if err != nil {
		return nil, ""
	}
	parent := ""
	switch d := n.tree.nodes[c.node]; {
	case d != nil:
		parent = d.parent
		if d.edge == setEdge {
			campaign = parent
		}
	case c.op == setEdge+suffixCreate:
		parent = p.text("campaign_id")
		campaign = parent
	case c.op == adEdge+suffixCreate:
		parent = p.text("adset_id")
	}
	for parent != "" {
		above = append(above, parent)
		up := n.tree.nodes[parent]
		if up == nil {
			break
		}
		parent = up.parent
	}
	return above, campaign
}
