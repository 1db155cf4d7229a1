package tradedesk

import (
	"context"
	"fmt"
	"strconv"

	"usher/internal/activation"
	"usher/internal/provider"
)

// Deliver puts the rows of one batch into the element, or takes them out, in one
// call. Each id of a row is an item of its own; a row counts as rejected when any
// of its items is.
func (t *destination) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	switch {
	case rows == 0:
		return activation.Receipt{}, nil
	case !elementPattern.MatchString(string(b.Remote)):
		return activation.Receipt{}, invalid("remote", "the name of the data element is not one of ours")
	case rows > maxRows:
		return activation.Receipt{}, tooLarge(fmt.Sprintf("%d rows, at most %d", rows, maxRows))
	}
	body := t.bodies.Take()
	defer body.Release()
	var owners []int // the row of each item
	body.B, owners = t.appendItems(t.appendHead(body.B), b)
	body.B = append(body.B, `]}`...)
	if len(body.B) > t.maxBytes {
		return activation.Receipt{}, tooLarge(fmt.Sprintf("%d bytes, at most %d", len(body.B), t.maxBytes))
	}
	got, err := t.call(ctx, body, true)
	if err != nil {
		return activation.Receipt{}, err
	}
	rc := receipt(rows, owners, got.failed)
	rc.HTTPStatus, rc.RequestID, rc.Headers = got.status, got.requestID, got.headers
	t.log.DebugContext(ctx, "trade desk batch delivered", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt,
		"remote_id", b.Remote, "op", b.Op, "rows", rows, "items", len(owners), "rejected", rc.Rejected, "unplaced", rc.Unplaced)
	return rc, nil
}

// receipt places failed lines on rows; those that name no item are counted.
func receipt(rows int, owners []int, failed []line) activation.Receipt {
	codes := map[int]string{}
	var unplaced int64
	for _, l := range failed {
		if l.item < 1 || l.item > len(owners) {
			unplaced++
			continue
		}
		if row := owners[l.item-1]; codes[row] == "" {
			codes[row] = l.code
		}
	}
	rc := activation.Receipt{Rejected: int64(len(codes)), Accepted: int64(rows - len(codes))}
	rc.Unplaced = min(unplaced, rc.Accepted)
	for i := range rows {
		if code := codes[i]; code != "" {
			rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: activation.Rejected, Code: code})
		}
	}
	return rc
}

// appendHead begins a body. The ids are letters and digits, see New.
func (t *destination) appendHead(dst []byte) []byte {
	dst = append(append(dst, `{"AdvertiserId":"`...), t.advertiser...)
	if t.dataProvider != "" {
		dst = append(append(dst, `","DataProviderId":"`...), t.dataProvider...)
	}
	return append(dst, `","Items":[`...)
}

// appendItems appends an item for each id, and says whose it is. No value that
// the rule set lets through needs escaping.
func (t *destination) appendItems(dst []byte, b provider.Batch) ([]byte, []int) {
	minutes := t.minutes
	if b.Op == activation.OpRemove {
		minutes = 0
	}
	owners := make([]int, 0, b.Rows())
	for i := range b.Rows() {
		for j, v := range b.Row(i) {
			if v == nil {
				continue
			}
			if len(owners) > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(dst, `{"`...), b.Keys[j].Name...)
			dst = append(append(dst, `":"`...), v...)
			dst = append(append(dst, `","Data":[{"Name":"`...), b.Remote...)
			dst = append(strconv.AppendInt(append(dst, `","TTLInMinutes":`...), minutes, 10), `}]}`...)
			owners = append(owners, i)
		}
	}
	return dst, owners
}
