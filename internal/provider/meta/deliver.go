package meta

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// Deliver adds or removes the rows of one batch in one call.
//
// Meta says how many rows are invalid, never which: all rows then count as
// accepted and the number as unplaced. Before anything is sent a batch over the
// limits is refused whole, and a person without a value is rejected where the
// audience is value-based.
func (m *destination) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	if b.Replace != nil {
		return m.replace(ctx, b)
	}
	if rows == 0 {
		return activation.Receipt{}, nil
	}
	if !numberPattern.MatchString(string(b.Remote)) {
		return activation.Receipt{}, invalid("remote", "the id of the audience is not one of meta's")
	}
	j, err := listingOf(b.Audience.Config)
	if err == nil && b.Op == activation.OpAdd {
		err = j.fits(b.Keys)
	}
	if err != nil {
		return activation.Receipt{}, err
	}
	if rows > maxRows {
		return activation.Receipt{}, tooLarge(fmt.Sprintf("%d rows, at most %d", rows, maxRows))
	}
	method := http.MethodPost
	if b.Op == activation.OpRemove {
		method = http.MethodDelete
	}
	rejected := j.valueless(b)
	if len(rejected) == rows {
		return activation.Receipt{Rejected: int64(rows), Exceptions: rejected}, nil
	}
	body := m.bodies.Take()
	defer body.Release()
	body.B = appendUsers(body.B, b, j.limits, rejected)
	if len(body.B) > m.maxBytes {
		return activation.Receipt{}, tooLarge(fmt.Sprintf("%d bytes, at most %d", len(body.B), m.maxBytes))
	}
	var got users
	a, err := m.call(ctx, method, string(b.Remote)+"/users", nil, body, &got)
	switch {
	case codeIs(err, classTooSmall) && b.Op == activation.OpRemove:
		return allRejected(rows, err), nil
	case codeIs(err, classGone):
		return activation.Receipt{}, m.missing(ctx, err)
	case err != nil:
		return activation.Receipt{}, err
	}
	return m.receipt(ctx, b, a, got, rejected)
}

// Poll is not for Meta: it answers at once.
func (m *destination) Poll(context.Context, string, int64) (activation.Receipt, error) {
	return activation.Receipt{}, &activation.Error{Kind: activation.Invalid, Code: classRequest.Code, Message: "meta answers a batch at once; there is nothing to ask for later"}
}

// users is the answer to a batch. invalid_entry_samples is not read: it repeats
// people's values.
type users struct {
	Received *number `json:"num_received"`
	Invalid  number  `json:"num_invalid_entries"`
}

func (m *destination) receipt(ctx context.Context, b provider.Batch, a outbound.Answer, got users, rejected []activation.Exception) (activation.Receipt, error) {
	rows := int64(b.Rows() - len(rejected))
	if got.Received == nil || int64(*got.Received) != rows || got.Invalid < 0 || int64(got.Invalid) > rows {
		e := failure(classAnswer, envelope{})
		e.Message = "meta's count of the rows it received is not the number that was sent"
		e.RequestID, e.MayHaveApplied = requestID(a.Header), true
		return activation.Receipt{}, e
	}
	rc := activation.Receipt{
		Accepted: rows, Unplaced: int64(got.Invalid), Rejected: int64(len(rejected)), Exceptions: rejected,
		RequestID: requestID(a.Header), HTTPStatus: a.Status, Headers: keptHeaders(a.Header),
	}
	m.log.DebugContext(ctx, "meta batch delivered", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt,
		"remote_id", b.Remote, "op", b.Op, "rows", rows, "invalid", rc.Unplaced, "rejected", rc.Rejected, "request_id", rc.RequestID)
	return rc, nil
}

// allRejected is the receipt of a removal that Meta refuses because too few
// people would be left: they stay in, and the next run tries again.
func allRejected(rows int, err error) activation.Receipt {
	code := activation.CodeOf(err)
	rc := activation.Receipt{Rejected: int64(rows), Exceptions: make([]activation.Exception, rows)}
	for i := range rc.Exceptions {
		rc.Exceptions[i] = activation.Exception{Ordinal: int64(i), Outcome: activation.Rejected, Code: code}
	}
	return rc
}

func tooLarge(what string) error {
	e := failure(classSize, envelope{})
	e.Message += ": " + what
	return e
}

// sessionID names the upload session of one attempt of a queue item: a positive
// 63-bit number. Each batch is a session of its own, because an item may be
// retried alone, hours later, and a session takes batches for about 90 minutes
// and none after its last (audiences guide, "session").
func sessionID(item activation.ItemID, attempt int) int64 {
	h := sha256.Sum256(fmt.Appendf(nil, "%s/%d", item, attempt))
	return int64(binary.BigEndian.Uint64(h[:8])>>1 | 1) //nolint:gosec // the sign bit is shifted out
}
