package expression

import (
	"fmt"
	"strings"
)

// Error says what is wrong with an expression and where. Its text holds
// nothing but the expression's own words.
type Error struct {
	// Line and Column are the place in the text, both from 1; 0 = unknown.
	Line, Column int
	// Expected and Found are set for errors of syntax.
	Expected, Found string
	// Message is set for all other errors.
	Message string
	// Err is the cause when the error came from Options.Lookup.
	Err error
}

// Error returns place and reason as one lower-case sentence.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	}
	if e.Message == "" {
		fmt.Fprintf(&b, "expected %s, found %s", e.Expected, e.Found)
		return b.String()
	}
	b.WriteString(e.Message)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause given by Options.Lookup, if any.
func (e *Error) Unwrap() error { return e.Err }

func errorAt(p Pos, format string, args ...any) *Error {
	return &Error{Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...)}
}

// brief shortens a word of the expression for an error text.
func brief(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
