package drop

import (
	"errors"

	"usher/internal/activation"
)

// CodeStopped says that the work was stopped before it ended.
const CodeStopped = "FILE-STOPPED"

// Stopped is the error of work whose context has ended. cause is that of the
// context.
func Stopped(cause error, mayHaveApplied bool) error {
	return &activation.Error{
		Kind: activation.Unavailable, Code: CodeStopped, Message: "stopped before the files were written",
		MayHaveApplied: mayHaveApplied, Err: cause,
	}
}

// applied returns err as that of a call after which files have appeared.
func applied(err error) error {
	var own *activation.Error
	if !errors.As(err, &own) {
		return err
	}
	e := *own
	e.MayHaveApplied = true
	if e.Kind == activation.RefusedWhole {
		e.Kind = activation.Unavailable
	}
	return &e
}
