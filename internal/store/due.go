package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// What makes a target due is kept beside the time, because it decides what its
// run does. Where several things ask at once the run does the most that any of
// them wants: what identifiers ask for is part of every other run, and a person
// is told that it was a person.

// weightOf is how much the cause of a target w counts; one that is due without
// saying why was asked for.
const weightOf = `CASE w.due_cause WHEN 'agent' THEN 0 WHEN 'schedule' THEN 1 WHEN 'real_time' THEN 1 WHEN 'outbound' THEN 2 WHEN 'repair' THEN 3 ELSE 4 END`

var weights = map[activation.Cause]int{
	activation.CauseAgent: 0, activation.CauseSchedule: 1, activation.CauseRealTime: 1,
	activation.CauseOutbound: 2, activation.CauseRepair: 3, activation.CauseManual: 4,
}

// ownCause is the cause of what a target w wants by itself: its job's.
const ownCause = `CASE WHEN EXISTS (SELECT 1 FROM jobs o WHERE o.id = w.job_id AND o.realtime) THEN 'real_time' ELSE 'schedule' END`

// byTarget is the cause of what nobody and nothing else has asked for.
const byTarget activation.Cause = ""

// setDue makes a target want a run at a time, or earlier if it did already.
func (t *tx) setDue(id activation.TargetID, micros int64, cause activation.Cause) error {
	return t.due(id, micros, `CASE WHEN w.due_at <= $1 THEN w.due_at ELSE $1 END`, cause)
}

// due makes a target due at the time that an expression says.
func (t *tx) due(id activation.TargetID, micros int64, when string, cause activation.Cause) error {
	weight, named := weights[cause]
	if !named {
		weight = weights[activation.CauseSchedule]
	}
	_, err := t.exec(`UPDATE targets AS w SET due_at = `+when+`,
		due_cause = CASE WHEN w.due_at IS NOT NULL AND `+weightOf+` >= $3 THEN w.due_cause WHEN $4 <> '' THEN $4 ELSE `+ownCause+` END
		WHERE w.id = $2`, micros, id, weight, cause)
	return err
}

// dueAfter makes a target that an error has put to sleep due when it wakes, for
// what the run was for. One that waits for its authorization is made due by who
// mends that.
func (t *tx) dueAfter(r activation.Run, rest activation.Rest) error {
	due := rest.Until
	if rest.Reason == activation.SleepAuthorization {
		due = t.now
	}
	return t.due(r.Target, due.UnixMicro(), `CAST($1 AS BIGINT)`, again(r))
}

// again is the cause of the run that does what r was to do. What a push or a
// forget was to do, no run of the target does.
func again(r activation.Run) activation.Cause {
	if r.Mode == activation.ModeForget || r.Mode == activation.ModeHistory || strands(r) {
		return byTarget
	}
	return r.Cause
}

// strands reports whether a run that only moves keys may have taken the old keys
// of somebody away without giving the new ones. Such a person is held no more, so
// that none of its kind brings them back.
func strands(r activation.Run) bool {
	c := r.Counts
	return r.Mode == activation.ModeKeys && c.Removed > 0 && (r.Status == activation.RunFailed || c.Unsent+c.Withdrawn+c.Superseded > 0)
}

// anew is the cause of the run that fills another remote audience where r found
// that its own is gone: moving keys alone would leave that empty.
func anew(r activation.Run) activation.Cause {
	if r.Mode == activation.ModeKeys {
		return byTarget
	}
	return again(r)
}

// goesOnFor is the cause of the run that goes on where r has ended: changed
// keys are a matter of their own, everything else is the target's.
func goesOnFor(r activation.Run) activation.Cause {
	if r.Mode == activation.ModeKeys && !strands(r) {
		return activation.CauseAgent
	}
	return byTarget
}

// soon is the next time at which a target may run that nobody asked for.
func (t *tx) soon(target activation.Target) int64 {
	if next := target.LastOpenedAt.Add(runGap); next.After(t.now) {
		return next.UnixMicro()
	}
	return t.micros()
}

// MakeDue makes targets due now for a cause, and wakes them. One that waits for
// nothing but its time begins at once; what rests for another reason rests on,
// and goes to work after that. Only where a person has asked are errors not
// waited for. Those whose job is over are left alone.
func (s *Store) MakeDue(ctx context.Context, targets []activation.TargetID, cause activation.Cause) error {
	if _, ok := weights[cause]; !ok {
		return invalid("cause", "%q is not a cause", cause)
	}
	if len(targets) == 0 {
		return nil
	}
	err := s.do(ctx, func(t *tx) error {
		return t.makeDue(targets, cause, cause == activation.CauseManual || cause == activation.CauseRepair)
	})
	if err != nil {
		return fmt.Errorf("make %d targets due: %w", len(targets), err)
	}
	return nil
}

// makeDue is MakeDue; rouse is whether errors are not waited for.
func (t *tx) makeDue(targets []activation.TargetID, cause activation.Cause, rouse bool) error {
	jobs := map[activation.JobID]activation.Job{}
	for _, id := range targets {
		target, err := t.target(id)
		if err != nil {
			return err
		}
		state, gone, err := t.jobState(target.Job)
		if err != nil {
			return err
		}
		if gone || state == activation.JobKilled || state == activation.JobCompleted || state == activation.JobFailed ||
			target.State == activation.TargetCompleted || target.State == activation.TargetFailed {
			continue
		}
		rest := activation.WokenFrom(restOf(target), activation.SleepSchedule)
		if rouse {
			rest, _ = activation.Roused(restOf(target), false)
		}
		if rest != restOf(target) {
			if err := t.setRest(target, rest); err != nil {
				return err
			}
			jobs[target.Job] = activation.Job{}
		}
		if err := t.setDue(id, t.micros(), cause); err != nil {
			return err
		}
		t.Enqueue(WakeTarget, string(id))
	}
	return t.settleAll(jobs)
}

// causeOf is the cause of a run of a target that names none: what the target is
// due for, or that its time has come, or that something has changed.
func (t *tx) causeOf(target activation.Target) (activation.Cause, error) {
	var realTime bool
	if err := t.row(`SELECT EXISTS (SELECT 1 FROM jobs j WHERE j.id = $1 AND j.realtime)`, string(target.Job)).Scan(&realTime); err != nil {
		return "", err
	}
	due := target.DueNow && !target.DueAt.After(t.now)
	switch {
	case due && target.DueCause != "":
		return target.DueCause, nil
	case due:
		return activation.CauseManual, nil
	case !target.NextAt.IsZero() && !target.NextAt.After(t.now):
		return activation.CauseSchedule, nil
	case realTime:
		return activation.CauseRealTime, nil
	}
	return activation.CauseManual, nil
}
