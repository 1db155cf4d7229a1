package ingest

import (
	"errors"
	"io"
)

// place is one in a body between two rows, from which reading can go on
// with the same body. It holds no value of a row.
type place struct {
	// Offset is how many bytes of text lie before it, unpacked.
	Offset int64  `json:"offset"`
	Format format `json:"format"`
	// Line and Column are those of the next byte; Row is the number that the last
	// row has.
	Line   int64      `json:"line"`
	Column int        `json:"column,omitempty"`
	Row    int64      `json:"row,omitempty"`
	State  arrayState `json:"state,omitempty"`
	// Columns are those of a CSV.
	Columns []string `json:"columns,omitempty"`
}

// skip reads up to the place. A body that ends before it is another one.
func (p *place) skip(text io.Reader) error {
	switch _, err := io.CopyN(io.Discard, text, p.Offset); {
	case errors.Is(err, io.EOF):
		return invalid("", "the body is shorter than what was read of it before")
	case err != nil:
		return bodyError(err)
	}
	return nil
}

// enough reports whether rows of so many bytes are to become a load.
func (u *upload) enough(rows, bytes int64) bool {
	return u.full != nil && (rows >= u.cutRows || bytes >= u.cutBytes)
}
