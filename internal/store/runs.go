package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

const runColumns = `r.id, r.number, r.target_id, r.job_id, r.destination_id, r.audience_id, r.generation, r.run_key, r.sync_type,
	r.triggered_by, r.status, r.stage, r.attempt, r.node, r.lease_until, r.seq, r.plan_now, r.key_set, r.wait_until, r.reason, r.staged_at,
	r.counts, r.timings, r.error_kind, r.error_code, r.error_text, r.progress_at, r.stalled_at, r.stalls, r.release_mode, r.started_at, r.ended_at, r.stream, r.mode, r.cause, r.period`

func scanRun(row scanner) (activation.Run, error) {
	var r activation.Run
	err := row.Scan(&r.ID, &r.Number, &r.Target, word[activation.JobID]{&r.Job}, &r.Destination, &r.Audience, &r.Generation, &r.Key, &r.SyncType,
		&r.TriggeredBy, &r.Status, &r.Stage, &r.Attempt, word[string]{&r.Node}, stamp{&r.LeaseUntil}, &r.Seq, stamp{&r.Now}, &r.KeySet, stamp{&r.WaitUntil}, word[activation.SleepReason]{&r.Reason}, stamp{&r.StagedAt},
		object{&r.Counts}, object{&r.Timings}, &r.ErrorKind, &r.ErrorCode, &r.ErrorText, stamp{&r.ProgressAt}, stamp{&r.StalledAt}, &r.Stalls, word[activation.OnEnd]{&r.Release}, stamp{&r.StartedAt}, stamp{&r.EndedAt}, &r.Stream, &r.Mode, &r.Cause, object{&r.Period})
	return r, err
}

// Run returns one run, or ErrNotFound.
func (s *Store) Run(ctx context.Context, id activation.RunID) (activation.Run, error) {
	r, err := scanRun(s.read.QueryRowContext(ctx, `SELECT `+runColumns+` FROM runs r WHERE r.id = $1`, id))
	return found(r, err, "run", id)
}

// lockRun reads a run after its target, which is the order in which every
// transaction takes them.
func (t *tx) lockRun(id activation.RunID) (activation.Run, activation.Target, error) {
	r, err := t.run(id)
	if err != nil {
		return r, activation.Target{}, err
	}
	target, err := t.target(r.Target)
	if err != nil {
		return r, target, err
	}
	r, err = t.run(id)
	return r, target, err
}

func (t *tx) run(id activation.RunID) (activation.Run, error) {
	r, err := scanRun(t.row(`SELECT `+runColumns+` FROM runs r WHERE r.id = $1`, id))
	return found(r, err, "run", id)
}

// OpenRun opens r for its target: it takes open_run where it is empty (else
// ErrConflict naming the run that is open), withdraws older Pending runs of the
// target, clears what made it due, numbers and inserts the run as Pending, and wakes
// delivery. Of r it needs Target and SyncType; id, key, job, destination,
// audience, generation and cause follow from the target where they are empty. A
// run opens only while its job may run. A forget always does; where the job may
// not, it leaves sleep and errors of the target alone. What a run does not do,
// because it forgets, only moves keys or sends the past, stays due.
func (s *Store) OpenRun(ctx context.Context, r activation.Run) (activation.Run, error) {
	var opened activation.Run
	err := s.do(ctx, func(t *tx) (err error) {
		opened, err = t.openRun(r)
		return err
	})
	if err != nil {
		return activation.Run{}, fmt.Errorf("open run: %w", err)
	}
	return opened, nil
}

func (t *tx) openRun(r activation.Run) (activation.Run, error) {
	target, err := t.target(r.Target)
	if err != nil {
		return r, err
	}
	if target, err = t.revive(r, target); err != nil {
		return r, err
	}
	forget := r.Mode == activation.ModeForget
	if !forget {
		r.Release = target.Release
	}
	aside, err := t.mayOpen(target, forget || r.Release != "", forget)
	if err != nil {
		return r, err
	}
	if r.Cause == "" {
		if r.Cause, err = t.causeOf(target); err != nil {
			return r, err
		}
	}
	r = t.newRun(r, target)
	owed, err := t.withdrawOlder(r)
	if err != nil {
		return r, err
	}
	if err := t.row(`UPDATE counters SET value = value + 1 WHERE name = 'run' RETURNING value`).Scan(&r.Number); err != nil {
		return r, fmt.Errorf("number the run: %w", err)
	}
	if err := t.insertRun(r); err != nil {
		return r, err
	}
	if err := t.takeTarget(r, target, aside); err != nil {
		return r, err
	}
	if owed != nil && !aside {
		if err := t.setDue(r.Target, t.now.Add(runGap).UnixMicro(), again(*owed)); err != nil {
			return r, err
		}
	}
	if err := t.opened(r); err != nil {
		return r, err
	}
	t.Enqueue(WakeRun, string(r.ID))
	return r, nil
}

// mayOpen checks that a run may open, and reports whether it does so aside from
// the job's own runs. A job that does not take the command run says so, whatever
// else is in the way.
func (t *tx) mayOpen(target activation.Target, always, forget bool) (aside bool, err error) {
	state, goes, err := t.goesOn(target)
	released := target.Release != "" && !goes
	if err == nil && !goes && !released && !forget && target.Job != "" {
		err = activation.CommandRun.Check(state)
	}
	if err == nil && target.OpenRun != "" {
		err = t.openConflict(target)
	}
	switch {
	case err != nil || goes && always:
		return false, err
	case goes:
		return false, t.quietConflict(target.Job)
	case forget, released:
		return true, nil
	}
	return false, conflict("the job is %s and its target %s", state, target.State)
}

// goesOn reports whether a target's job may run, and the target with it.
func (t *tx) goesOn(target activation.Target) (state activation.JobState, goes bool, err error) {
	state, gone, err := t.jobState(target.Job)
	goes = !gone && (state == activation.JobRunnable || state == activation.JobSleeping) &&
		(target.State == activation.TargetRunnable || target.State == activation.TargetSleeping)
	return state, goes, err
}

// revive wakes a target that has failed where a person asks for a run of it and
// its job goes on with others: nothing else would.
func (t *tx) revive(r activation.Run, target activation.Target) (activation.Target, error) {
	if r.Cause != activation.CauseManual || target.State != activation.TargetFailed {
		return target, nil
	}
	state, gone, err := t.jobState(target.Job)
	if err != nil || gone || state != activation.JobRunnable && state != activation.JobSleeping {
		return target, err
	}
	if err := t.setRest(target, activation.RetriedRest(restOf(target))); err != nil {
		return target, err
	}
	return t.target(target.ID)
}

// takeTarget makes r its target's open run.
func (t *tx) takeTarget(r activation.Run, target activation.Target, aside bool) error {
	if r.Release != "" {
		return t.openRelease(r)
	}
	if aside {
		return t.must(activation.ErrConflict, `UPDATE targets SET open_run = $1 WHERE id = $2 AND open_run IS NULL`, r.ID, r.Target)
	}
	if part(r.Mode) {
		return t.takeBeside(r)
	}
	job, err := t.job(r.Job)
	if err != nil {
		return err
	}
	return t.must(activation.ErrConflict, `UPDATE targets SET open_run = $1, due_at = NULL, due_cause = NULL, last_opened_at = $2, next_at = $3,
		state = 'runnable', sleep_reason = NULL, sleep_until = NULL WHERE id = $4 AND open_run IS NULL`, r.ID, t.micros(), at(nextAt(job, target, t.now)), r.Target)
}

// openConflict is the ErrConflict that names the target's open run.
func (t *tx) openConflict(target activation.Target) error {
	open, err := t.run(target.OpenRun)
	if err != nil {
		return err
	}
	return conflict("run #%d (%s) is open for this audience at this destination", open.Number, open.ID)
}

// newRun fills in what follows from the target.
func (t *tx) newRun(r activation.Run, target activation.Target) activation.Run {
	if r.ID == "" {
		r.ID = activation.NewID[activation.RunID]()
	}
	if r.SyncType == "" {
		r.SyncType = activation.SyncSegment
	}
	r.Job, r.Destination, r.Audience, r.Stream = target.Job, target.Destination, target.Audience, target.Stream
	r.Generation = target.Generation
	if r.Key == "" {
		r.Key = keyOf(r, target)
	}
	r.Status, r.Attempt, r.Node, r.LeaseUntil = activation.RunPending, 0, "", time.Time{}
	r.Seq, r.Now, r.KeySet, r.Counts, r.Timings = 0, time.Time{}, "", activation.Counts{}, nil
	r.Stage, r.WaitUntil, r.Reason, r.StagedAt, r.EndedAt = "", time.Time{}, "", time.Time{}, time.Time{}
	r.ErrorKind, r.ErrorCode, r.ErrorText = "", "", ""
	r.StartedAt, r.ProgressAt, r.StalledAt, r.Stalls = t.now, t.now, time.Time{}, 0
	return r
}

// keyOf names what a run shares with those of its kind: the sync type, the
// destination and the audience, and for next-best-action the level, however the
// decisions came about. What a stream feeds is told by its target.
func keyOf(r activation.Run, target activation.Target) string {
	key := string(r.SyncType) + "/" + string(target.Destination) + "/" + string(target.Audience)
	if target.Stream != "" {
		key += string(target.ID)
	}
	if r.SyncType == activation.SyncNextBestAction {
		key += "/" + r.TriggeredBy
	}
	return key
}

func (t *tx) insertRun(r activation.Run) error {
	_, err := t.exec(`INSERT INTO runs (id, number, target_id, job_id, destination_id, audience_id, generation, run_key, sync_type, triggered_by,
		status, stage, attempt, seq, plan_now, key_set, counts, timings, error_kind, error_code, error_text, started_at, progress_at, release_mode, stream, mode, cause, period)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending', '', 0, 0, NULL, '', $11, $12, '', '', '', $13, $13, $14, $15, $16, $17, $18)`,
		r.ID, r.Number, r.Target, text(r.Job), r.Destination, r.Audience, r.Generation, r.Key, r.SyncType, r.TriggeredBy,
		encode(r.Counts), encode(r.Timings), t.micros(), text(r.Release), r.Stream, r.Mode, r.Cause, encode(r.Period))
	return err
}

// withdrawOlder withdraws the Pending runs of r's target, of whatever kind: they
// wait for approval, hold no target, and their plans are older than r's will be.
// What only adds takes the place of nothing. It returns the one whose work r
// does not do, if there is one.
func (t *tx) withdrawOlder(r activation.Run) (owed *activation.Run, err error) {
	if r.SyncType.OnlyAdds() && r.Release == "" {
		return nil, nil
	}
	rows, err := t.query(`SELECT `+runColumns+` FROM runs r WHERE r.target_id = $1 AND r.status = 'pending'`, r.Target)
	older, err := collect(rows, err, scanRun)
	if err != nil {
		return nil, err
	}
	for i, o := range older {
		if err := t.endUnsent(o.ID); err != nil {
			return nil, err
		}
		if part(r.Mode) && o.Mode != r.Mode {
			owed = &older[i]
		}
	}
	return owed, nil
}

// endUnsent makes a run Withdrawn, and its items with it, and frees its target.
func (t *tx) endUnsent(id activation.RunID) error {
	if err := t.moveItems(id, activation.ItemQueued, activation.ItemWithdrawn, "", ""); err != nil {
		return err
	}
	if err := t.must(activation.ErrConflict, `UPDATE runs SET status = 'withdrawn', ended_at = $1, reason = NULL, reason_until = NULL,
		node = NULL, lease_until = NULL, wait_until = NULL, stalled_at = NULL, attempt = attempt + 1
		WHERE id = $2 AND status IN ('pending', 'running')`, t.micros(), id); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE targets SET open_run = NULL WHERE open_run = $1`, id); err != nil {
		return err
	}
	t.Enqueue(WakeRun, string(id))
	return nil
}

// opened notes the run on its job: last run, derived state, first start.
func (t *tx) opened(r activation.Run) error {
	if r.Job == "" {
		return nil
	}
	var first bool
	if err := t.row(`SELECT last_run_at IS NULL FROM jobs WHERE id = $1`, r.Job).Scan(&first); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	if _, err := t.exec(`UPDATE jobs SET last_run_at = $1 WHERE id = $2`, t.micros(), r.Job); err != nil {
		return err
	}
	if first {
		if err := t.startedEvent(r.Job, r.Number); err != nil {
			return err
		}
		if err := t.log(activation.LogEntry{Job: r.Job, Event: activation.LogStarted, Message: "the first run began", Context: activation.LogContext{Run: r.Number}}); err != nil {
			return err
		}
	}
	return t.settleJob(r.Job)
}
