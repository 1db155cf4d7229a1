package providertest

import (
	"fmt"
	"net/http"
	"time"

	"usher/sandbox/fault"
)

// Scripts turn the suite's faults into those of a stand-in of the sandbox. What a call
// meets on its way is the same at all of them; what a network says of a call, an edit
// or a row is its own.
type Scripts struct {
	// Calls are the calls that are met, by network, method, path and operation.
	Calls fault.Fault
	// Token are the calls that a bad token is met by; the network alone = all.
	Token fault.Fault
	// Own makes the rest of a script of what the network says in words of its own.
	Own map[FaultKind]func(f Fault, script *fault.Fault)
}

// Of is the script of a fault; an error means that the network cannot fail so.
func (s Scripts) Of(f Fault) (fault.Fault, error) {
	script := s.Calls
	own := s.Own[f.Kind]
	switch f.Kind {
	case NoAnswer:
		script.Kind, script.Applied = fault.Timeout, true
	case Cut:
		script.Kind, script.Applied = fault.Cut, true
	case Lost:
		script.Kind = fault.Cut
	case Broken:
		script.Kind, script.Applied, script.Status = fault.Status, true, http.StatusInternalServerError
	case Page:
		script.Kind = fault.HTML
	case BadToken:
		script = s.Token
		script.Network, script.Kind, script.Times = s.Calls.Network, fault.Token, -1
	case Throttle:
		script.Kind, script.Minutes = fault.Throttle, int(f.Wait/time.Minute)
	default:
		if own == nil {
			return script, fmt.Errorf("%s does not fail by %q", s.Calls.Network, f.Kind)
		}
	}
	if own != nil {
		own(f, &script)
	}
	return script, nil
}

// Errors makes scripts of a call that is refused with a code.
func Errors(code int, message string) func(Fault, *fault.Fault) {
	return func(_ Fault, s *fault.Fault) { s.Kind, s.Code, s.Message = fault.Error, code, message }
}

// Rows makes scripts of one row that is answered with a code, the one that the fault
// names.
func Rows(code int, message string) func(Fault, *fault.Fault) {
	return func(f Fault, s *fault.Fault) {
		s.Kind, s.Row, s.Rows, s.Code, s.Message, s.Applied = fault.Invalid, f.Row, 1, code, message, f.Applied
	}
}
