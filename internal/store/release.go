package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// calledOff is the condition under which a run r was to give a remote audience
// up that is wanted again: another job has adopted the target, or a person has
// let go of it.
const calledOff = `(r.release_mode IS NOT NULL AND NOT EXISTS (SELECT 1 FROM targets f WHERE f.id = r.target_id AND f.release_mode IS NOT NULL))`

// releaseTargets has what a job left at the network given up as its on_end
// says. It belongs in the transaction that ends the job for good.
func (t *tx) releaseTargets(j activation.Job) error {
	if j.OnEnd != activation.EndEmpty && j.OnEnd != activation.EndDelete {
		return nil
	}
	targets, err := t.targetsOf(j.ID)
	if err != nil {
		return err
	}
	for _, target := range targets {
		if _, err := t.release(target, j.OnEnd); err != nil {
			return err
		}
	}
	return nil
}

// release marks a target to be given up and makes it due, with its errors
// forgotten. It reports whether there is anything to give up.
func (t *tx) release(target activation.Target, how activation.OnEnd) (bool, error) {
	there, err := t.atNetwork(target)
	if err != nil || !there {
		return false, err
	}
	t.Enqueue(WakeTarget, string(target.ID))
	_, err = t.exec(`UPDATE targets SET release_mode = $1, due_at = $2, due_cause = 'manual', next_at = NULL, state = 'runnable', sleep_reason = NULL, sleep_until = NULL,
		consecutive_errors = 0, failing_since = NULL WHERE id = $3`, string(how), t.micros(), target.ID)
	return true, err
}

// atNetwork reports whether a target has a remote audience, or may have one that
// was made without our being told.
func (t *tx) atNetwork(target activation.Target) (bool, error) {
	if target.RemoteID != "" {
		return true, nil
	}
	n, err := t.count(`SELECT count(*) FROM runs WHERE target_id = $1 AND generation = $2 AND stage IN ('remote_audiences', 'members')`, target.ID, target.Generation)
	return n > 0, err
}

// ReleaseTarget gives up the remote audience of a target that no living job
// owns: keep lets go of it as it is, and Usher forgets it at once; empty and
// delete make a run due that removes everybody, and then the audience. A target
// that has none stays as it is. ErrConflict names the job that owns it, or what
// is still under way.
func (s *Store) ReleaseTarget(ctx context.Context, id activation.TargetID, how activation.OnEnd, user string) (activation.Target, error) {
	var target activation.Target
	err := s.do(ctx, func(t *tx) (err error) {
		if target, err = t.target(id); err != nil {
			return err
		}
		if err := t.unowned(target); err != nil {
			return err
		}
		if how == activation.EndKeep {
			err = t.letGo(target)
		} else {
			_, err = t.release(target, how)
		}
		if err != nil {
			return err
		}
		before := target
		if target, err = t.target(id); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "release", SubjectType: "target", SubjectID: string(id), Before: encode(targetFace(before, "")), After: encode(targetFace(target, how))})
	})
	if err != nil {
		return activation.Target{}, fmt.Errorf("release target %q: %w", id, err)
	}
	return target, nil
}

// targetFace is what the audit log keeps of a target.
func targetFace(t activation.Target, how activation.OnEnd) any {
	return struct {
		Remote     string           `json:"remote_id"`
		Generation int              `json:"generation"`
		How        activation.OnEnd `json:"remote,omitempty"`
	}{t.RemoteID, t.Generation, how}
}

// unowned checks that no job owns the target that may run again.
func (t *tx) unowned(target activation.Target) error {
	state, gone, err := t.jobState(target.Job)
	if err != nil || gone || state == activation.JobKilled || state == activation.JobCompleted {
		return err
	}
	name, err := t.ownerName(target.Job)
	if err != nil {
		return err
	}
	return conflict("the job %q, which is %s, owns the target; kill it first", name, state)
}

// letGo leaves the remote audience as it is and begins a new generation.
func (t *tx) letGo(target activation.Target) error {
	rows, err := t.query(`SELECT `+runColumns+` FROM runs r WHERE r.target_id = $1 AND r.status IN ('pending', 'running', 'awaiting')`, target.ID)
	runs, err := collect(rows, err, scanRun)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Status != activation.RunPending {
			return conflict("run #%d is still being ended; try again in a moment", r.Number)
		}
		if err := t.endUnsent(r.ID); err != nil {
			return err
		}
	}
	there, err := t.atNetwork(target)
	if err != nil {
		return err
	}
	return t.endTarget(target.ID, there)
}

// endTarget ends what a target was to do: it waits for a job to adopt it. With
// anew its next remote audience is another one.
func (t *tx) endTarget(id activation.TargetID, anew bool) error {
	if anew {
		if _, err := t.exec(`UPDATE targets SET generation = generation + 1, remote_id = '' WHERE id = $1`, id); err != nil {
			return err
		}
	}
	_, err := t.exec(`UPDATE targets SET release_mode = NULL, due_at = NULL, due_cause = NULL, next_at = NULL, state = 'completed', sleep_reason = NULL, sleep_until = NULL,
		consecutive_errors = 0, failing_since = NULL WHERE id = $1`, id)
	return err
}

// openRelease makes r its target's open run.
func (t *tx) openRelease(r activation.Run) error {
	return t.must(activation.ErrConflict, `UPDATE targets SET open_run = $1, due_at = NULL, due_cause = NULL, last_opened_at = $2,
		state = 'runnable', sleep_reason = NULL, sleep_until = NULL WHERE id = $3 AND open_run IS NULL`, r.ID, t.micros(), r.Target)
}

// endRelease does what follows for the target when a run that was to give it up
// has ended. target is as it was before.
func (t *tx) endRelease(r activation.Run, target activation.Target, end activation.End) error {
	open := target.OpenRun != "" && target.OpenRun != r.ID // it finds out by itself
	switch {
	case end.Released && end.Gone && target.Generation == r.Generation && !open:
		if err := t.voidGeneration(target.ID, r.ID); err != nil {
			return err
		}
		if target.Release != "" {
			return t.endTarget(target.ID, true)
		}
		// Adopted at the last moment: the new owner fills a new one.
		if _, err := t.exec(`UPDATE targets SET generation = generation + 1, remote_id = '' WHERE id = $1`, target.ID); err != nil {
			return err
		}
		return t.setDue(target.ID, t.micros(), byTarget)
	case target.Release == "" || target.Generation != r.Generation:
		return nil
	case end.Released && !open:
		return t.endTarget(target.ID, false)
	case r.Status != activation.RunAwaiting:
		return t.setDue(target.ID, t.soon(target), activation.CauseManual)
	}
	return nil
}

// releaseOutcome records how a run ended that was to give a target up, and did
// not: errors sleep and are tried again as those of any run. The job is over
// and takes no notice.
func (t *tx) releaseOutcome(r activation.Run, until time.Time) error {
	target, err := t.target(r.Target)
	if err != nil || target.Release == "" || r.ErrorCode == activation.CodeJobEnded {
		return err
	}
	kind := r.ErrorKind
	switch {
	case r.Status == activation.RunCompleted:
		kind = ""
	case r.Status == activation.RunWithdrawn, r.Status == activation.RunAwaiting && kind == "":
		return nil
	case kind == "":
		kind = activation.Internal
	}
	rhythm := activation.Rhythm{}
	if r.Job != "" {
		job, err := t.job(r.Job)
		if err != nil {
			return err
		}
		rhythm.FailAfter = job.FailAfter
	}
	rests := kind
	if kind == activation.Unauthorized {
		if err := t.park(r.Destination, "the provider refused the credentials"); err != nil {
			return err
		}
		rests = activation.Unavailable // until the authorization is mended, it is not due
	}
	rest := activation.NextSleep(restOf(target), activation.RunEnd{Kind: rests, Until: until, At: t.now}, rhythm)
	if err := t.setRest(target, rest); err != nil {
		return err
	}
	if kind != "" && rest.State != activation.TargetFailed {
		if err := t.dueAfter(r, rest); err != nil {
			return err
		}
	}
	if r.Job == "" {
		return nil
	}
	return t.logOutcome(r, kind, rest)
}

// callOff lets a person's no to a run that was to give a target up stand.
func (t *tx) callOff(r activation.Run, target activation.Target) error {
	if r.Release == "" || target.Release == "" {
		return nil
	}
	return t.endTarget(target.ID, false)
}
