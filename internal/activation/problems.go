package activation

import (
	"fmt"
	"strings"
)

// Problems gathers everything that is wrong with one declaration or request, so
// that its answer names every wrong field at once.
type Problems []*Error

// Add notes that a field is wrong. The text says what would be right; the
// field's name is put before it.
func (p *Problems) Add(code, field, format string, args ...any) {
	*p = append(*p, &Error{Kind: Invalid, Code: code, Field: field, Message: field + ": " + fmt.Sprintf(format, args...)})
}

// Err is nil where nothing is wrong, or one Invalid error of the whole, which
// tells each wrong field apart to whoever asks it for Each.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	texts := make([]string, len(p))
	for i, one := range p {
		texts[i] = one.Message
	}
	return &wrong{whole: &Error{Kind: Invalid, Code: p[0].Code, Field: p[0].Field, Message: strings.Join(texts, "; ")}, each: p}
}

type wrong struct {
	whole *Error
	each  []*Error
}

// Error names every wrong field.
func (e *wrong) Error() string { return e.whole.Error() }

// Unwrap returns the error of the whole.
func (e *wrong) Unwrap() error { return e.whole }

// Each returns one error per wrong field.
func (e *wrong) Each() []*Error { return e.each }
