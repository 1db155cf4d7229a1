package meta

import "maps"

// Sin names something a caller should never do, although the network puts up
// with it.
type Sin string

const (
	// SinHashOfNothing is a cell that holds the SHA-256 of the empty text.
	SinHashOfNothing Sin = "hash_of_nothing"
	// SinUnmatchable is an added row without any identifying value.
	SinUnmatchable Sin = "unmatchable_add"
	// SinCollateral is a member removed by a row that named somebody else.
	SinCollateral Sin = "collateral_removal"
)

// Books are the exact counts of one audience since it was made.
type Books struct {
	AddCalls    int `json:"add_calls"`
	RemoveCalls int `json:"remove_calls"`
	// AddRows and RemoveRows are the rows received, InvalidRows those of them
	// that had no effect because something was wrong with them.
	AddRows     int            `json:"add_rows"`
	RemoveRows  int            `json:"remove_rows"`
	InvalidRows int            `json:"invalid_rows"`
	Invalid     map[string]int `json:"invalid"`
	// ReplaceCalls and ReplaceRows are the batches of replacements and their rows.
	// A replacement removes all members and adds those of its rows.
	ReplaceCalls int `json:"replace_calls,omitempty"`
	ReplaceRows  int `json:"replace_rows,omitempty"`
	// NewMembers and KnownMembers divide the matched added rows by whether the
	// member was already in.
	NewMembers   int `json:"new_members"`
	KnownMembers int `json:"known_members"`
	// RemovedMembers are the members taken out; NobodyRemoved are the rows to
	// be removed that reached nobody.
	RemovedMembers int         `json:"removed_members"`
	NobodyRemoved  int         `json:"nobody_removed"`
	Sins           map[Sin]int `json:"sins"`
	// Bodies is how often each body came, by the digest of its operation,
	// schema and data.
	Bodies map[string]int `json:"bodies"`
}

func newBooks() Books {
	return Books{Invalid: map[string]int{}, Sins: map[Sin]int{}, Bodies: map[string]int{}}
}

// Repeated is how many calls brought a body that had come before.
func (b Books) Repeated() int {
	repeated := 0
	for _, times := range b.Bodies {
		repeated += times - 1
	}
	return repeated
}

func (b *Books) note(u *upload) {
	switch u.Op {
	case opAdd:
		b.AddCalls++
		b.AddRows += u.Received
	case opReplace:
		b.ReplaceCalls++
		b.ReplaceRows += u.Received
	default:
		b.RemoveCalls++
		b.RemoveRows += u.Received
	}
	b.InvalidRows += u.invalidRows()
	for v, count := range u.Invalid {
		b.Invalid[string(v)] += count
	}
	if count := u.Invalid[hashedBlank]; count > 0 {
		b.Sins[SinHashOfNothing] += count
	}
	b.Bodies[u.Digest]++
}

func (b *Books) noteAdd(isNew, matchable bool) {
	switch {
	case !matchable:
		b.Sins[SinUnmatchable]++
	case isNew:
		b.NewMembers++
	default:
		b.KnownMembers++
	}
}

func (b *Books) noteRemoval(r removal) {
	b.RemovedMembers += r.removed
	if r.removed == 0 {
		b.NobodyRemoved++
	}
	if r.collateral > 0 {
		b.Sins[SinCollateral] += r.collateral
	}
}

func (b Books) clone() Books {
	b.Invalid, b.Sins, b.Bodies = maps.Clone(b.Invalid), maps.Clone(b.Sins), maps.Clone(b.Bodies)
	return b
}
