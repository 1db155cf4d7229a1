package store

import "usher/internal/activation"

// setStanding stores how a job stands after a move, where it still stands as it
// was read: a job that another transaction has moved is not moved from there.
func (t *tx) setStanding(j activation.Job, next activation.Standing) error {
	return t.must(activation.ErrConflict, `UPDATE jobs SET state = $1, state_since = $2, sleep_reason = $3, sleep_until = $4, resume_at = $5, consecutive_errors = $6, failing_since = $7,
		purge_noticed_at = CASE WHEN state = $1 THEN purge_noticed_at ELSE NULL END
		WHERE id = $8 AND state = $9 AND coalesce(sleep_reason, '') = $10`,
		next.State, at(next.Since), text(next.Reason), at(next.Until), at(next.ResumeAt), next.ConsecutiveErrors, at(next.FailingSince),
		j.ID, j.State, string(j.SleepReason))
}

// moveJob stores a move that somebody has commanded. err is what the move's
// constructor said.
func (t *tx) moveJob(j activation.Job, next activation.Standing, err error) error {
	if err != nil {
		return err
	}
	if err := t.setStanding(j, next); err != nil {
		return err
	}
	_, err = t.exec(`UPDATE jobs SET updated_at = $1 WHERE id = $2`, t.micros(), j.ID)
	return err
}

// setRest stores the rest of a target, where it still rests as it was read.
func (t *tx) setRest(target activation.Target, next activation.Rest) error {
	return t.must(activation.ErrConflict, `UPDATE targets SET state = $1, sleep_reason = $2, sleep_until = $3, consecutive_errors = $4, failing_since = $5
		WHERE id = $6 AND state = $7 AND coalesce(sleep_reason, '') = $8`,
		next.State, text(next.Reason), at(next.Until), next.ConsecutiveErrors, at(next.FailingSince), target.ID, target.State, string(target.SleepReason))
}

// targetsOf reads the targets of a job.
func (t *tx) targetsOf(job activation.JobID) ([]activation.Target, error) {
	rows, err := t.query(`SELECT `+targetColumns+` FROM targets t WHERE t.job_id = $1 ORDER BY t.id`, job)
	return collect(rows, err, scanTarget)
}
