package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/template"
)

// longest is how long one batch begins requests; what is left then is unsent, and
// is sent as a batch of its own. A receiver that takes its second for each event
// would else hold a batch for longer than a run may be without an answer, and
// none of it would ever count as sent.
const longest = 30 * time.Second

// message is one event on its way.
type message struct {
	ordinal int
	// id names it at the receiver, person is whose events keep their order.
	id, person string
	body       []byte
}

// Deliver sends the events of one batch in as many requests as the job asks for.
//
// The events of one person go out one after another, and none overtakes one of
// theirs that was not taken. What the receiver refuses for good is rejected;
// what was not answered, or by a server that broke, is unknown; everything
// behind a limit, a refusal of the credentials or a closed endpoint is unsent. A
// request of several events that is refused is unsent as well, so that it is
// sent alone and halved until the bad event is found.
func (d *destination) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	switch {
	case rows == 0:
		return activation.Receipt{}, nil
	case rows > maxRows:
		return activation.Receipt{}, &activation.Error{Kind: activation.RefusedWhole, Code: codeSize, Message: fmt.Sprintf("the batch has %d events, at most %d are sent", rows, maxRows)}
	case ctx.Err() != nil:
		return activation.Receipt{}, cancelled(ctx)
	}
	j, err := readJob(d.workflow, b.Audience.Config)
	if err != nil {
		return activation.Receipt{}, err
	}
	own, columns := split(b.Keys, d.workflow.Events)
	if err := checkColumns(d.workflow, columns); err != nil {
		return activation.Receipt{}, err
	}
	c := &course{destination: d, job: j, run: b, ends: d.now().Add(longest), states: make([]state, rows)}
	for i := range c.states {
		c.states[i].outcome = activation.Unsent
	}
	messages, err := c.compose(ctx, own, columns)
	if err != nil {
		return activation.Receipt{}, err
	}
	c.send(ctx, messages)
	return c.receipt(ctx)
}

// state is what became of one row.
type state struct {
	outcome activation.Outcome
	code    string
}

// course is one batch on its way. mu holds everything below it.
type course struct {
	*destination
	job job
	run provider.Batch
	// ends is when nothing more is begun.
	ends time.Time

	mu     sync.Mutex
	states []state
	// stop ends the whole batch, refused is the refusal of a request of several
	// events, soft an error of single requests.
	stop, refused, soft error
	// status, headers and id are of the answer that is kept: the last good one, or
	// the first that is not.
	status  int
	headers http.Header
	id      string
}

// late reports whether nothing more is to be begun.
func (c *course) late() bool { return !c.now().Before(c.ends) }

// compose makes the messages of all rows, or of as many as there is time for;
// those that cannot be made are rejected.
func (c *course) compose(ctx context.Context, own, columns []matchkey.Key) ([]message, error) {
	session, err := c.open(ctx, c.job)
	if err != nil {
		return nil, err
	}
	if session != nil {
		defer session.Close()
	}
	var out []message
	for i := range c.states {
		if i > 0 && c.late() {
			break
		}
		if lacks(own, c.run.Row(i)) {
			c.states[i] = state{activation.Rejected, codeEvent}
			continue
		}
		m, err := c.destination.compose(c.run, c.job, i, own, columns)
		if err != nil {
			return nil, err
		}
		if session != nil {
			var wrong *template.Error
			m.body, err = session.Render(ctx, m.body)
			switch {
			case errors.As(err, &wrong):
				c.states[i] = state{activation.Rejected, codeTemplate}
				c.log.WarnContext(ctx, "template failed on an event", "run_id", c.run.Run, "item_id", c.run.Item, "ordinal", i, "reason", wrong.Error())
				continue
			case err != nil && ctx.Err() != nil:
				return nil, cancelled(ctx)
			case err != nil:
				return nil, &activation.Error{Kind: activation.Internal, Message: "the template could not be evaluated", Err: err}
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// lacks reports whether a row lacks what every event needs.
func lacks(own []matchkey.Key, row [][]byte) bool {
	named := false
	for i, k := range own {
		if k.Required && len(row[i]) == 0 {
			return true
		}
		named = named || k.Name == keyID
	}
	return !named
}

// send sends all messages and returns when no request is under way any more. Each
// worker has people of its own, so that one person's events keep their order.
func (c *course) send(ctx context.Context, all []message) {
	lanes := make([][]message, c.job.workers)
	for _, m := range all {
		h := fnv.New32a()
		_, _ = h.Write([]byte(m.person))
		i := int(h.Sum32() % uint32(len(lanes))) //nolint:gosec // at most maxWorkers
		lanes[i] = append(lanes[i], m)
	}
	var workers sync.WaitGroup
	for _, lane := range lanes {
		if len(lane) > 0 {
			workers.Go(func() { c.work(ctx, lane) })
		}
	}
	workers.Wait()
}

// work sends the messages of one worker, in order.
func (c *course) work(ctx context.Context, lane []message) {
	held := map[string]bool{} // people who wait for an event of theirs
	for first := true; len(lane) > 0 && (first || !c.late()); first = false {
		var part []message
		for len(lane) > 0 && len(part) < c.job.perCall {
			if !held[lane[0].person] {
				part = append(part, lane[0])
			}
			lane = lane[1:]
		}
		if len(part) == 0 || c.stopped() {
			return
		}
		if ctx.Err() != nil {
			c.halt(cancelled(ctx))
			return
		}
		if !c.request(ctx, part) {
			for _, m := range part {
				held[m.person] = true
			}
		}
	}
}

func (c *course) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop != nil
}

// halt ends the batch: nothing more is begun.
func (c *course) halt(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop == nil {
		c.stop = err
	}
}

// request sends one request and notes what became of its events. It returns
// false when events of the same people have to wait.
func (c *course) request(ctx context.Context, part []message) bool {
	id, text := part[0].id, part[0].body
	if c.job.perCall > 1 {
		id, text = together(c.run.Audience.Marker, part)
	}
	limited, cancel := context.WithTimeout(ctx, c.job.timeout)
	answer, err := c.to.call(limited, c.job.method, id, c.now, text)
	cancel()
	if err == nil && answer.Status/100 == 2 {
		c.note(part, activation.Accepted, "", id, answer)
		return true
	}
	if err == nil && c.job.refuses(answer.Status) {
		code := fmt.Sprintf("%s-%d", codeRefused, answer.Status)
		if len(part) == 1 {
			c.note(part, activation.Rejected, code, id, answer)
			return true
		}
		c.note(part, activation.Unsent, code, id, answer)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refused = &activation.Error{Kind: activation.RefusedWhole, Code: code, Message: fmt.Sprintf("the receiver refuses a request of several events (HTTP status %d)", answer.Status), RequestID: id}
		return false
	}
	if err == nil {
		e := c.fault(answer)
		e.RequestID = id
		err = e
	}
	var e *activation.Error
	if !errors.As(err, &e) {
		e = &activation.Error{Kind: activation.Internal, Message: "the request could not be made", Err: err}
	}
	outcome := activation.Unsent
	if e.MayHaveApplied {
		outcome = activation.Unknown
	}
	c.note(part, outcome, e.Code, id, answer)
	// What is not the fault of this one request is so for all of them.
	if ctx.Err() != nil || e.Kind != activation.Unavailable || e.Code == outbound.CodeUnreachable || e.Code == outbound.CodePaused {
		c.halt(e)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.soft = e
	return false
}

// together makes one request of several events.
func together(marker string, part []message) (id string, body []byte) {
	ids := make([]string, len(part))
	var out bytes.Buffer
	for i, m := range part {
		ids[i] = m.id
		out.WriteByte("[,"[min(i, 1)])
		out.Write(m.body)
	}
	out.WriteByte(']')
	return messageID(marker, ids...), out.Bytes()
}

// note keeps what became of the events of one request.
func (c *course) note(part []message, outcome activation.Outcome, code, id string, a outbound.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range part {
		c.states[m.ordinal] = state{outcome, code}
	}
	if c.id == "" || c.status/100 == 2 {
		c.status, c.headers, c.id = a.Status, a.Header, id
	}
}

// kept are the headers that are stored for support, and nothing else is.
var kept = []string{"Retry-After", "X-Request-Id"}

// maxKeptBytes bounds one stored header.
const maxKeptBytes = 256

// receipt says what became of the batch: an error where nothing was taken and
// nothing is settled, else each row.
func (c *course) receipt(ctx context.Context) (activation.Receipt, error) {
	rc := activation.Receipt{HTTPStatus: c.status, RequestID: c.id}
	for i, s := range c.states {
		switch s.outcome {
		case activation.Accepted:
			rc.Accepted++
			continue
		case activation.Rejected:
			rc.Rejected++
		case activation.Unknown:
			rc.Unknown++
		default:
			rc.Unsent++
		}
		rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: s.outcome, Code: s.code})
	}
	if err := c.whole(rc); err != nil {
		return activation.Receipt{}, err
	}
	for _, name := range kept {
		if v := c.headers.Get(name); v != "" && len(v) <= maxKeptBytes {
			if rc.Headers == nil {
				rc.Headers = map[string]string{}
			}
			rc.Headers[http.CanonicalHeaderKey(name)] = v
		}
	}
	c.log.DebugContext(ctx, "webhook batch delivered", "run_id", c.run.Run, "item_id", c.run.Item, "attempt", c.run.Attempt,
		"accepted", rc.Accepted, "rejected", rc.Rejected, "unknown", rc.Unknown, "unsent", rc.Unsent, "request_id", rc.RequestID)
	return rc, nil
}

// whole is the one error of a batch of which nothing was taken and nothing is
// settled; nil where rows differ.
func (c *course) whole(rc activation.Receipt) error {
	rows := int64(len(c.states))
	switch {
	case rc.Unsent == rows && c.stop != nil:
		return c.stop
	case rc.Unsent == rows && c.refused != nil:
		return c.refused
	case rc.Unsent == rows || rc.Unknown == rows:
		if c.stop != nil {
			return c.stop
		}
		return c.soft
	}
	return nil
}
