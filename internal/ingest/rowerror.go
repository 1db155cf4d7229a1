package ingest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
)

// The codes of refused requests (the class is documented with the API).
const (
	codeBad     = "BADREQ-001"
	codeBadJSON = "JSON-BADREQ-025"
)

// RowError says what is wrong in which row. It never holds a value of the row.
// It is an Invalid activation.Error to whoever asks for one.
type RowError struct {
	// Line is where the fault is, counted from 1 as a text editor counts.
	Line int64 `json:"line"`
	// Column is the character in that line, from 1; 0 when the whole row is at fault.
	Column int `json:"column,omitempty"`
	// Field is the column name or JSON key at fault, when there is one.
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// Error returns place and reason in one sentence.
func (e *RowError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "line %d", e.Line)
	if e.Column > 0 {
		fmt.Fprintf(&b, ", column %d", e.Column)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, ", field %q", e.Field)
	}
	return b.String() + ": " + e.Reason
}

// Unwrap makes the error an Invalid activation.Error with the same text.
func (e *RowError) Unwrap() error {
	return &activation.Error{Kind: activation.Invalid, Code: e.Code, Message: e.Error(), Field: e.Field}
}

// invalid is an error of the whole request. field is the parameter at fault or "".
func invalid(field, format string, args ...any) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeBad, Field: field, Message: fmt.Sprintf(format, args...)}
}

// shown returns a column name if it may be shown: it looks like a name and not
// like a value that stands where a name should. Otherwise it returns "".
func shown(name string) string {
	if !nameLike(name) {
		return ""
	}
	return name
}

// maxNameBytes is the longest column name or key.
const maxNameBytes = 128

func nameLike(name string) bool {
	if name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) || strings.LastIndexByte(name, '@') > 0 {
		return false
	}
	return strings.IndexFunc(name, unicode.IsControl) < 0
}

// position returns line and column of the offset at in text that begins in line
// first. The column counts characters; a broken character counts as one.
func position(text []byte, at int, first int64) (line int64, column int) {
	line = first
	start := 0
	for i, c := range text[:at] {
		if c == '\n' {
			line++
			start = i + 1
		}
	}
	return line, utf8.RuneCount(text[start:at]) + 1
}
