package store

import (
	"fmt"

	"usher/internal/activation"
)

// conflict is an ErrConflict with a reason that any reader may see.
func conflict(format string, args ...any) error {
	return &activation.Error{Kind: activation.Invalid, Code: "CONFLICT", Message: fmt.Sprintf(format, args...), Err: activation.ErrConflict}
}

// taken refuses a thing that a living job owns, naming the job.
func taken(what, owner string) error {
	return &activation.Error{
		Kind: activation.Invalid, Code: "JOB-BADREQ-002", Field: "segment_ids",
		Message: fmt.Sprintf("%s belongs to the job %q already", what, owner), Err: activation.ErrConflict,
	}
}

// invalid is a request that will be wrong again.
func invalid(field, format string, args ...any) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: fmt.Sprintf(format, args...)}
}
