package google

import (
	"slices"
	"strconv"
	"time"
)

// request is one that was accepted. What it comes to is settled later.
type request struct {
	id          string
	op, kind    string
	to          []destination
	rows        [][]identifier
	events      []event
	before      time.Time // of removeAll
	identifiers int
	invalid     int // rows that a fault wants to be wrong

	accepted  time.Time
	processed time.Time // when its status is final
	effective time.Time // when it takes effect
	done      bool
	errors    map[string]int // rows by reason
}

// accept keeps a request and answers with its id.
func (n *Network) accept(c *call, r *request, validateOnly bool) any {
	if validateOnly {
		return map[string]any{}
	}
	r.id, r.accepted = n.random(22), c.at
	c.record.Request = r.id
	took := n.opts.Processing
	if took >= time.Second { // requests overtake each other
		took += time.Duration(n.rand.Int64N(int64(took / 4)))
	}
	r.processed = c.at.Add(took)
	r.effective = r.processed
	if c.op != opEvents {
		r.effective = r.processed.Add(n.opts.Lag)
	}
	r.errors = map[string]int{}
	if wrong := min(r.invalid, len(r.rows)); wrong > 0 {
		r.errors["PROCESSING_ERROR_REASON_INVALID_FORMAT"] = wrong
	}
	n.requests = append(n.requests, r)
	n.byID[r.id] = r
	return map[string]any{"requestId": r.id}
}

// settle lets the requests take effect whose time has come, in that order. The
// caller holds the lock.
func (n *Network) settle(now time.Time) {
	var due []*request
	for _, r := range n.requests {
		if !r.done && !r.effective.After(now) {
			due = append(due, r)
		}
	}
	slices.SortStableFunc(due, func(a, b *request) int { return a.effective.Compare(b.effective) })
	for _, r := range due {
		n.apply(r)
	}
}

// apply lets a request take effect. Rows that a fault wants to be wrong are the
// first ones.
func (n *Network) apply(r *request) {
	r.done = true
	if r.op == opEvents {
		for i := min(r.invalid, len(r.events)); i < len(r.events); i++ {
			if n.convert(r, i) {
				r.errors["PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID"]++
			}
		}
		return
	}
	for _, d := range r.to {
		l := n.lists[d.ProductDestination]
		if l == nil {
			continue
		}
		if r.op == opRemoveAll {
			l.roster.clear(r.before)
		}
		for _, ids := range r.rows[min(r.invalid, len(r.rows)):] {
			if r.op == opIngest {
				l.roster.add(ids, r.accepted)
			} else {
				l.roster.remove(ids)
			}
		}
	}
}

// finishAll processes what is waiting, in an order of the network's choosing.
// The caller holds the lock.
func (n *Network) finishAll(now time.Time) {
	waiting := slices.DeleteFunc(slices.Clone(n.requests), func(r *request) bool { return r.done })
	n.rand.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
	for _, r := range waiting {
		r.processed, r.effective = now, now
		n.apply(r)
	}
}

// state is the status of a request at a time.
func (r *request) state(now time.Time) string {
	wrong := 0
	for _, rows := range r.errors {
		wrong += rows
	}
	switch {
	case r.processed.After(now):
		return "PROCESSING"
	case wrong == 0:
		return "SUCCESS"
	case wrong >= len(r.rows):
		return "FAILED"
	}
	return "PARTIAL_SUCCESS"
}

// status tells what became of a request.
func (n *Network) status(c *call) (any, *apiError) {
	if err := only(c, "requestId"); err != nil {
		return nil, err
	}
	id := c.request.URL.Query().Get("requestId")
	if id == "" {
		return nil, refused(violation("request_id", "REQUIRED_FIELD_MISSING", "Required field is missing."))
	}
	r := n.byID[id]
	if r == nil {
		return nil, refused(violation("request_id", "INVALID_REQUEST_ID", "There is no such request."))
	}
	var out []any
	for _, d := range r.to {
		out = append(out, n.statusOf(r, d, c.at))
	}
	return map[string]any{"requestStatusPerDestination": out}, nil
}

func (n *Network) statusOf(r *request, d destination, now time.Time) map[string]any {
	if d.Reference == "" {
		d.Reference = "0"
	}
	to := map[string]any{"reference": d.Reference, "operatingAccount": d.OperatingAccount, "productDestinationId": d.ProductDestination}
	state := r.state(now)
	out := map[string]any{"destination": to, "requestStatus": state}
	if state == "PROCESSING" {
		return out
	}
	if len(r.errors) > 0 {
		var counts []any
		for reason, rows := range r.errors {
			counts = append(counts, map[string]any{"recordCount": strconv.Itoa(rows), "reason": reason})
		}
		out["errorInfo"] = map[string]any{"errorCounts": counts}
	}
	n.detail(r, out)
	return out
}

// detail adds what was counted, as the kind of the request has it.
func (n *Network) detail(r *request, out map[string]any) {
	counts := map[string]any{"recordCount": strconv.Itoa(len(r.rows))}
	name := map[string]string{"CONTACT_ID": "userData", "MOBILE_ID": "mobileData", "USER_ID": "userIdData"}[r.kind]
	field := map[string]string{"CONTACT_ID": "userIdentifierCount", "MOBILE_ID": "mobileIdCount", "USER_ID": "userIdCount"}[r.kind]
	switch r.op {
	case opEvents:
		out["eventsIngestionStatus"] = counts
	case opIngest:
		counts[field] = strconv.Itoa(r.identifiers)
		if r.kind == "CONTACT_ID" {
			counts["uploadMatchRateRange"] = n.opts.MatchRate
		}
		out["audienceMembersIngestionStatus"] = map[string]any{name + "IngestionStatus": counts}
	case opRemove:
		counts[field] = strconv.Itoa(r.identifiers)
		out["audienceMembersRemovalStatus"] = map[string]any{name + "RemovalStatus": counts}
	}
}
