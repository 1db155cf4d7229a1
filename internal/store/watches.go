package store

import (
	"slices"

	"usher/internal/activation"
)

// A target watches the audiences that decide, beside its own, who is wanted
// there: those that its job leaves out, and those that come first in a priority
// list. Whatever changes in them makes it dirty. They are exactly those that a
// plan reads: one too few would go unnoticed, and a change of one too many would
// never be done with.

// watch notes what a target watches, and reports whether that is another thing
// than before. Where it watches less, what the others made dirty is so no more;
// what is dirty still is raised again.
func (t *tx) watch(target activation.Target) (changed bool, err error) {
	if target.Audience == "" {
		return false, nil
	}
	rows, err := t.query(`SELECT audience_id FROM watches WHERE target_id = $1`, target.ID)
	had, err := collect(rows, err, scanID)
	if err != nil {
		return false, err
	}
	watched, err := t.watched(target)
	if err != nil {
		return false, err
	}
	for _, audience := range watched {
		if slices.Contains(had, string(audience)) {
			continue
		}
		changed = true
		if _, err := t.exec(`INSERT INTO watches (target_id, audience_id) VALUES ($1, $2)`, target.ID, audience); err != nil {
			return false, err
		}
	}
	for _, audience := range had {
		if slices.Contains(watched, activation.AudienceID(audience)) {
			continue
		}
		changed = true
		if _, err := t.exec(`DELETE FROM watches WHERE target_id = $1 AND audience_id = $2`, target.ID, audience); err != nil {
			return false, err
		}
		if _, err := t.exec(`UPDATE targets SET dirty_seq = done_seq WHERE id = $1 AND dirty_seq > done_seq`, target.ID); err != nil {
			return false, err
		}
	}
	return changed, nil
}

// watched lists what a target has to watch.
func (t *tx) watched(target activation.Target) ([]activation.AudienceID, error) {
	out, err := t.outranking(target)
	if err != nil || target.Job == "" {
		return out, err
	}
	job, err := t.job(target.Job)
	if err != nil {
		return nil, err
	}
	for _, audience := range job.Exclude {
		if audience == target.Audience || slices.Contains(out, audience) {
			continue
		}
		if n, err := t.count(`SELECT count(*) FROM audiences WHERE id = $1`, audience); err != nil || n == 0 {
			return nil, orErr(err, invalid("exclude", "there is no audience %q to leave out", audience))
		}
		out = append(out, audience)
	}
	return out, nil
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
			if _, err := t.watch(target); err != nil {
				return err
			}
		}
		due = append(due, target.ID)
	}
	return t.makeDue(due, activation.CauseManual, false)
}
