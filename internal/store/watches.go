package store

import (
	"slices"

	"usher/internal/activation"
)

// A target watches the audiences that decide, beside its own, who is wanted
// there: those that its job leaves out, and those that come first in a priority
// list. Whatever changes in them makes it dirty. Whether a job sends the latter
// is asked when a run is planned, so that watching one too many costs a run and
// watching one too few cannot be.

// watch notes what a target watches.
func (t *tx) watch(target activation.Target) error {
	if _, err := t.exec(`DELETE FROM watches WHERE target_id = $1`, target.ID); err != nil || target.Audience == "" {
		return err
	}
	audiences, err := t.stronger(target)
	if err != nil {
		return err
	}
	if target.Job != "" {
		job, err := t.job(target.Job)
		if err != nil {
			return err
		}
		audiences = append(slices.Clone(audiences), job.Exclude...)
	}
	for i, audience := range audiences {
		if audience == target.Audience || slices.Contains(audiences[:i], audience) {
			continue
		}
		if n, err := t.count(`SELECT count(*) FROM audiences WHERE id = $1`, audience); err != nil || n == 0 {
			return orErr(err, invalid("exclude", "there is no audience %q to leave out", audience))
		}
		if _, err := t.exec(`INSERT INTO watches (target_id, audience_id) VALUES ($1, $2)`, target.ID, audience); err != nil {
			return err
		}
	}
	return nil
}

// rewatch has the targets of a job watch what it leaves out now. They are due
// where whom the job wants has changed.
func (t *tx) rewatch(before, after activation.Job) error {
	left := !slices.Equal(before.Exclude, after.Exclude)
	if !left && before.Level == after.Level && before.HoldoutPercent == after.HoldoutPercent {
		return nil
	}
	targets, err := t.targetsOf(after.ID)
	if err != nil {
		return err
	}
	var due []activation.TargetID
	for _, target := range targets {
		if left {
			if err := t.watch(target); err != nil {
				return err
			}
		}
		due = append(due, target.ID)
	}
	return t.makeDue(due, activation.CauseManual, false)
}
