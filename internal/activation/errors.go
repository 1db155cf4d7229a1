package activation

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the behaviour an error asks for. The engine decides by kind and
// never by text or HTTP status.
type Kind string

const (
	// Invalid: the configuration or the request is wrong and will be wrong
	// again. The job fails at once and the message says which field.
	Invalid Kind = "invalid"
	// Unauthorized: the credentials no longer work. The authorization becomes
	// unhealthy and every job on it sleeps.
	Unauthorized Kind = "unauthorized"
	// WaitUntil: the provider asked us to come back at Error.Until. It is not
	// counted as an error.
	WaitUntil Kind = "wait_until"
	// Unavailable: the provider is down or unreachable for now. Retryable.
	Unavailable Kind = "unavailable"
	// RefusedWhole: the whole batch was refused, nothing of it took effect and
	// no position was told. The engine halves the range.
	RefusedWhole Kind = "refused_whole"
	// Gone: the network says, for this account, that the remote audience no
	// longer exists. Never derived from 401, 403 or an empty look-up.
	Gone Kind = "gone"
	// Internal: our own fault (disk full, database locked). Retryable.
	Internal Kind = "internal"
)

// Kinds lists every kind, in the order the docs use.
var Kinds = []Kind{Invalid, Unauthorized, WaitUntil, Unavailable, RefusedWhole, Gone, Internal}

// Retryable reports whether trying the same thing again may work without
// anybody doing anything.
func (k Kind) Retryable() bool {
	return k == Unavailable || k == WaitUntil || k == Internal
}

// Error is an error that carries behaviour and two texts: Message is safe for
// any reader (no secret, no personal data); the wrapped cause is for the log
// and must be scrubbed by whoever makes it.
type Error struct {
	// Kind says what to do about it.
	Kind Kind
	// Code names the class of the error, such as "META-190" or "JOB-BADREQ-002".
	// Every code's class has a page in docs/troubleshooting.
	Code string
	// Message is one lower-case sentence without a full stop, safe to show.
	Message string
	// Field is the configuration field at fault, for Invalid.
	Field string
	// Until is when the provider will take calls again, for WaitUntil.
	Until time.Time
	// MayHaveApplied is true when the call may have taken effect although it
	// failed: a timeout after sending, a cut connection, a 5xx of a call that
	// changes something. Such a batch is unknown, never unsent.
	MayHaveApplied bool
	// RequestID is the provider's own id of the call, for its support.
	RequestID string
	// Err is the cause, for the log. May be nil.
	Err error
}

// Error returns code, message and cause.
func (e *Error) Error() string {
	s := e.Message
	if e.Code != "" {
		s = e.Code + ": " + s
	}
	if e.Field != "" {
		s = fmt.Sprintf("%s (field %q)", s, e.Field)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, or Internal for
// an error that carries none. It returns "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// CodeOf returns the code of the first Error in err's chain, or INTERNAL-019.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	return "INTERNAL-019"
}

// SafeMessage returns the text of err that any reader may see.
func SafeMessage(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "internal error"
}

// The errors that stores and use cases return for things that are not there or
// not allowed now. Compare with errors.Is.
var (
	// ErrNotFound: no such thing.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the thing is not in a state that allows this, or the name is
	// taken. Answered as HTTP 409.
	ErrConflict = errors.New("conflict")
	// ErrOutdated: what the change was made from is different by now; look again.
	ErrOutdated = errors.New("outdated: it has changed meanwhile")
	// ErrFenced: another attempt owns this now; discard what you have.
	ErrFenced = errors.New("fenced: another attempt owns this")
	// ErrPaused: the job is paused; stop at this safe point and release the run.
	// It is a kind of ErrFenced: whoever does not know it stops all the same.
	ErrPaused = fmt.Errorf("job is paused: %w", ErrFenced)
	// ErrQuiet: the job's quiet window is on. It is a kind of ErrPaused.
	ErrQuiet = fmt.Errorf("quiet window: %w", ErrPaused)
	// ErrRefused: the network refuses the credentials, as another run has found
	// out. It is a kind of ErrPaused: the run goes on when they are mended.
	ErrRefused = fmt.Errorf("authorization is unhealthy: %w", ErrPaused)
)
