package catalog

import (
	"fmt"
	"strings"

	"usher/internal/activation"
)

// problems gathers everything wrong with one declaration.
type problems []problem

type problem struct{ field, text string }

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, problem{field, field + ": " + fmt.Sprintf(format, args...)})
}

// name checks a text for people.
func (p *problems) name(field, value string) {
	switch {
	case strings.TrimSpace(value) == "":
		p.add(field, "is needed")
	case len(value) > 200:
		p.add(field, "is longer than 200 bytes")
	}
}

// err is nil, or a *WrongError that names every wrong field.
func (p problems) err(code string) error {
	if len(p) == 0 {
		return nil
	}
	texts := make([]string, len(p))
	each := make([]*activation.Error, len(p))
	for i, one := range p {
		texts[i] = one.text
		each[i] = &activation.Error{Kind: activation.Invalid, Code: code, Field: one.field, Message: one.text}
	}
	all := &activation.Error{Kind: activation.Invalid, Code: code, Field: p[0].field, Message: strings.Join(texts, "; ")}
	return &WrongError{all: all, each: each}
}

// WrongError is a declaration with wrong fields: one Invalid error of the whole
// to whoever asks for one, and one for each field.
type WrongError struct {
	all  *activation.Error
	each []*activation.Error
}

// Error names every wrong field.
func (e *WrongError) Error() string { return e.all.Error() }

// Unwrap returns the error of the whole.
func (e *WrongError) Unwrap() error { return e.all }

// Each returns one error per wrong field.
func (e *WrongError) Each() []*activation.Error { return e.each }
