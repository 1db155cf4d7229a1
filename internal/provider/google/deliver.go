package google

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
)

// maxRounds is how often one batch is sent again without the rows that Google
// named, before it is left to the engine to halve it.
const maxRounds = 8

// What a request does, as a poll token names it.
const (
	opAdd    = "add"
	opRemove = "remove"
	opEvent  = "event"
)

// upload is one batch on its way. One bad row refuses the whole request and
// nothing of it is done, so the rest is sent again without those that Google
// names. What was accepted is told by Poll.
type upload struct {
	*account
	path  string
	op    string
	rows  int
	batch provider.Batch
	// bad says what is wrong with a row before it is sent.
	bad func(row int) class
	// body makes the request of these rows.
	body func(rows []int) any
}

func (u *upload) send(ctx context.Context) (activation.Receipt, error) {
	rejected := map[int]class{}
	keep := make([]int, 0, u.rows)
	for i := range u.rows {
		if c := u.bad(i); c.Code != "" {
			rejected[i] = c
		} else {
			keep = append(keep, i)
		}
	}
	for range maxRounds {
		if len(keep) == 0 {
			return u.receipt(rejected), nil
		}
		id, named, err := u.try(ctx, keep)
		if err == nil {
			rc := u.waiting(id, rejected)
			u.log.DebugContext(ctx, "google took a request", "run_id", u.batch.Run, "item_id", u.batch.Item, "attempt", u.batch.Attempt,
				"op", u.op, "rows", len(keep), "rejected", len(rejected), "request_id", rc.RequestID)
			return rc, nil
		}
		if len(named) == 0 {
			return activation.Receipt{}, err
		}
		rest := keep[:0:0]
		for i, row := range keep {
			if c, ok := named[i]; ok {
				rejected[row] = c
			} else {
				rest = append(rest, row)
			}
		}
		keep = rest
	}
	return activation.Receipt{}, failure(classData, envelope{})
}

// try sends these rows. named are those that Google refuses the request for.
func (u *upload) try(ctx context.Context, rows []int) (id string, named map[int]class, err error) {
	body, err := u.buffer(u.body(rows))
	if err != nil {
		return "", nil, err
	}
	defer body.Release()
	var got struct {
		RequestID string `json:"requestId"`
	}
	a, err := u.call(ctx, http.MethodPost, u.path, nil, body, &got)
	if err != nil {
		if a.Status == http.StatusBadRequest {
			named = a.failed.rows(len(rows))
		}
		return "", named, err
	}
	if got.RequestID == "" || safeID(got.RequestID) == "" {
		e := failure(classAnswer, envelope{})
		e.MayHaveApplied = true
		return "", nil, e
	}
	return got.RequestID, nil, nil
}

// receipt is that of a batch of which nothing could be sent.
func (u *upload) receipt(rejected map[int]class) activation.Receipt {
	rc := activation.Receipt{Rejected: int64(len(rejected))}
	for i, c := range rejected {
		rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: activation.Rejected, Code: c.Code})
	}
	slices.SortFunc(rc.Exceptions, func(a, b activation.Exception) int { return int(a.Ordinal - b.Ordinal) })
	return rc
}

// waiting is the receipt of a request that Google has taken and not processed.
func (u *upload) waiting(id string, rejected map[int]class) activation.Receipt {
	p := pending{Request: id, Op: u.op}
	if len(rejected) > 0 {
		p.Rejected = make(map[int]string, len(rejected))
		for i, c := range rejected {
			p.Rejected[i] = c.Code
		}
	}
	return activation.Receipt{PollToken: p.token(), PollAfter: u.now().Add(u.look), RequestID: id, HTTPStatus: http.StatusOK}
}

func tooMany(rows, most int) error {
	e := failure(classSize, envelope{})
	e.Message += fmt.Sprintf(": %d rows, at most %d", rows, most)
	return e
}
