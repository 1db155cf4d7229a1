package duckdb

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// A period before a job began is staged beside the log's order: the run looks at
// the messages whose time lies in it and which came before the place where the
// cursor began, and leaves the cursor where it is. A job that was never staged
// would begin now. Nothing of a period waits: it is looked at once.

// history reports whether the run stages a period instead of what waits.
func (s *eventStager) history() bool { return !s.r.Period.From.IsZero() || !s.r.Period.Until.IsZero() }

// locatePeriod finds what of the log the period has.
func (s *eventStager) locatePeriod(ctx context.Context) error {
	if s.r.Stream == "" {
		return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "period", Message: "only the messages of a stream can be sent for a period; people who entered and left an audience can't"}
	}
	if err := s.open(ctx, 0); err != nil {
		return err
	}
	s.begins = fmt.Sprintf("seq <= %d", s.start())
	if p := s.r.Period; !p.From.IsZero() {
		s.begins += fmt.Sprintf(" AND _time >= %d", p.From.UnixMicro())
	}
	if p := s.r.Period; !p.Until.IsZero() {
		s.begins += fmt.Sprintf(" AND _time < %d", p.Until.UnixMicro())
	}
	s.cursor = cursor{} // each event counts as staged for the first time
	return nil
}

// start is the place in the log where the job began at the target.
func (s *eventStager) start() int64 {
	c := s.cursor
	switch known := c.known && c.job == s.r.Job; {
	case known && c.start.Valid:
		return c.start.Int64
	case s.r.Backfill:
		return 0
	case known:
		return c.began
	}
	return s.event.seq
}
