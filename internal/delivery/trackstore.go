package delivery

import (
	"context"
	"time"

	"usher/internal/activation"
)

// TrackStore keeps what surrounds ordinary runs: the targets of conversion
// audiences, pushes of the past, and what comparing with networks has found.
type TrackStore interface {
	// ConversionTarget finds or makes the conversion audience a (by its short name)
	// and its target at the destination of another one, owned by the same job;
	// workflow keeps it. created = true where the audience is new.
	ConversionTarget(ctx context.Context, of activation.Target, a activation.Audience, workflow string) (t activation.Target, created bool, err error)
	// OpenPush opens a run of mode history with this period. ErrConflict names the
	// open run, or the run "#N" that has sent some of the period before and was not
	// withdrawn.
	OpenPush(ctx context.Context, t activation.TargetID, p activation.Period, user string) (activation.Run, error)
	// MakeDue makes targets due now, for a cause.
	MakeDue(ctx context.Context, targets []activation.TargetID, cause activation.Cause) error
	// SaveReconciliation inserts a comparison or replaces it. Where its status
	// becomes drifted, whoever is to be told of it is.
	SaveReconciliation(ctx context.Context, r activation.Reconciliation) error
	// Reconciliations lists the comparisons of a target, newest first.
	Reconciliations(ctx context.Context, t activation.TargetID, limit int) ([]activation.Reconciliation, error)
	// DueReconciliations lists targets with a remote audience and a living job none
	// of whose comparisons began at that time or later.
	DueReconciliations(ctx context.Context, before time.Time, limit int) ([]activation.TargetID, error)
}
