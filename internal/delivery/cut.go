package delivery

import (
	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

const (
	// hashedBytes is what a hashed key takes in a body: 64 hexadecimal digits,
	// quotes and a comma.
	hashedBytes = 67
	// plainBytes is what a plain key is reckoned at when items are cut.
	plainBytes = 64
	// rowBytes is what a row takes beside its keys, and bodyBytes a body beside
	// its rows.
	rowBytes  = 8
	bodyBytes = 4096
)

// rowsPerItem is the most rows of one item: what the provider takes per call,
// the setting, and what a body has room for by estimate. A batch that is too
// large all the same is halved before it is sent.
func rowsPerItem(def provider.Definition, keys []matchkey.Key, most int) int64 {
	rows := int64(max(1, def.MaxRows))
	if most > 0 {
		rows = min(rows, int64(most))
	}
	if def.MaxBytes <= 0 {
		return rows
	}
	per := int64(rowBytes)
	for _, k := range keys {
		if k.Hash {
			per += hashedBytes
		} else {
			per += plainBytes
		}
	}
	return max(1, min(rows, (def.MaxBytes-bodyBytes)/per))
}

// bodySize estimates the bytes of a request body that carries the batch.
func bodySize(b provider.Batch) int64 {
	size := int64(bodyBytes)
	for i, v := range b.Values {
		if b.Keys[i%len(b.Keys)].Hash {
			size += hashedBytes
		} else {
			size += int64(len(v)) + 3
		}
	}
	return size + int64(b.Rows())*rowBytes
}

// cut makes items out of segments: consecutive ranges of at most rows each,
// numbered in order. With withhold, plain removals become no items; their rows
// are returned as withheld.
func cut(run activation.RunID, segments []warehouse.Segment, rows int64, withhold bool) (items []activation.Item, withheld int64) {
	for _, s := range segments {
		if withhold && s.Plain && s.Op == activation.OpRemove {
			withheld += s.Last - s.First + 1
			continue
		}
		for first := s.First; first <= s.Last; first += rows {
			items = append(items, activation.Item{
				ID: activation.NewID[activation.ItemID](), Run: run, Number: len(items) + 1,
				Phase: s.Phase, Op: s.Op, Plain: s.Plain,
				First: first, Last: min(first+rows-1, s.Last), State: activation.ItemQueued,
			})
		}
	}
	return items, withheld
}

// halves cuts an item of two rows or more in two.
func halves(it activation.Item) []activation.Item {
	middle := it.First + it.Rows()/2
	left, right := child(it), child(it)
	left.Last, right.First = middle-1, middle
	return []activation.Item{left, right}
}

func child(it activation.Item) activation.Item {
	return activation.Item{
		ID: activation.NewID[activation.ItemID](), Run: it.Run, Parent: it.ID,
		Phase: it.Phase, Op: it.Op, Plain: it.Plain, First: it.First, Last: it.Last, State: activation.ItemQueued,
	}
}
