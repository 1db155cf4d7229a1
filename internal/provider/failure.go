package provider

import (
	"strings"

	"usher/internal/activation"
)

// Failure is one way a call, an edit or a row can fail at a network: what it is called,
// what is to be done, and what is said. A provider declares those it knows, each with a
// page in docs/troubleshooting, and finds the one of an answer.
type Failure struct {
	Code    string
	Kind    activation.Kind
	Message string
}

// Fails declares one.
func Fails(code string, kind activation.Kind, message string) Failure {
	return Failure{Code: code, Kind: kind, Message: message}
}

// New makes its error. said is what the answer said of itself, which goes behind the
// message: numbers, and words that OnlyOf let through, never texts.
func (f Failure) New(said ...string) *activation.Error {
	err := &activation.Error{Kind: f.Kind, Code: f.Code, Message: f.Message}
	if len(said) > 0 {
		err.Message += " (" + strings.Join(said, ", ") + ")"
	}
	return err
}

// Codes are the codes of failures.
func Codes(all []Failure) []string {
	codes := make([]string, len(all))
	for i, f := range all {
		codes[i] = f.Code
	}
	return codes
}

// Letters and digits, as OnlyOf takes them.
const (
	UpperCase = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	LowerCase = "abcdefghijklmnopqrstuvwxyz"
	Digits    = "0123456789"
)

// OnlyOf returns text if it has no more than most characters, all of them of that
// alphabet, else "". What comes from a network is told and kept only where it can be
// nothing but an id or a word for an error.
func OnlyOf(text string, most int, alphabet ...string) string {
	if len(text) > most || strings.Trim(text, strings.Join(alphabet, "")) != "" {
		return ""
	}
	return text
}
