package store

import (
	"context"
	"fmt"
	"slices"

	"usher/internal/activation"
)

// negativeEnd is what the name of a negative audience has after that of the
// positive one.
const negativeEnd = "-N"

// CreateAction stores an action of a group together with its two audiences, whom
// it was decided for and who is not eligible for it; a name or slug taken is
// ErrConflict.
func (s *Store) CreateAction(ctx context.Context, a activation.Action, positive, negative activation.Audience, user string) (activation.Action, error) {
	given := a
	err := s.do(ctx, func(t *tx) error {
		a = given
		if n, err := t.count(`SELECT count(*) FROM paid_groups WHERE id = $1`, a.Group); err != nil || n == 0 {
			return orErr(err, invalid("group_id", "there is no group %q", a.Group))
		}
		yes, no := positive, negative
		yes.Kind, yes.Rule, no.Kind = activation.KindAction, "", activation.KindNegative
		for _, audience := range []*activation.Audience{&yes, &no} {
			if err := t.createAudience(audience, user); err != nil {
				return err
			}
		}
		a.ID, a.Audience, a.Negative = orNew(a.ID), yes.ID, no.ID
		a.CreatedAt, a.UpdatedAt = t.now, t.now
		_, err := t.exec(`INSERT INTO paid_actions (id, group_id, name, description, eligibility, priority, enabled, audience_id, negative_id, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)`, a.ID, a.Group, a.Name, a.Description, a.Eligibility, a.Priority, a.Enabled, a.Audience, a.Negative, t.micros())
		if isConflict(err) {
			return conflict("the group has an action named %q already", a.Name)
		}
		if err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "action", SubjectID: string(a.ID), After: actionFace(a)})
	})
	if err != nil {
		return activation.Action{}, fmt.Errorf("create action: %w", err)
	}
	return a, nil
}

func (t *tx) action(id activation.ActionID) (activation.Action, error) {
	a, err := scanAction(t.row(`SELECT `+actionColumns+` FROM paid_actions a WHERE a.id = $1`+t.d.ForUpdate, id))
	return found(a, err, "action", id)
}

// UpdateAction changes an action, which stays in its group, and what its
// audiences are called, said to be and, for the negative one, made of.
func (s *Store) UpdateAction(ctx context.Context, a activation.Action, positive, negative activation.Audience, user string) (activation.Action, error) {
	err := s.do(ctx, func(t *tx) error {
		before, err := t.action(a.ID)
		if err != nil {
			return err
		}
		a.Group, a.Audience, a.Negative = before.Group, before.Audience, before.Negative
		a.CreatedAt, a.UpdatedAt = before.CreatedAt, t.now
		_, err = t.exec(`UPDATE paid_actions SET name = $1, description = $2, eligibility = $3, priority = $4, enabled = $5, updated_at = $6 WHERE id = $7`,
			a.Name, a.Description, a.Eligibility, a.Priority, a.Enabled, t.micros(), a.ID)
		if isConflict(err) {
			return conflict("the group has an action named %q already", a.Name)
		}
		if err != nil {
			return err
		}
		for _, change := range []struct {
			id activation.AudienceID
			to activation.Audience
		}{{a.Audience, positive}, {a.Negative, negative}} {
			if err := t.changeKept(change.id, user, func(now *activation.Audience) {
				now.Slug, now.Name, now.Description = change.to.Slug, change.to.Name, change.to.Description
				if !now.Kind.Given() {
					now.Rule = change.to.Rule
				}
			}); err != nil {
				return err
			}
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "update", SubjectType: "action", SubjectID: string(a.ID), Before: actionFace(before), After: actionFace(a)})
	})
	if err != nil {
		return activation.Action{}, fmt.Errorf("update action: %w", err)
	}
	return a, nil
}

// changeKept changes an audience that Usher keeps, where there is anything to
// change.
func (t *tx) changeKept(id activation.AudienceID, user string, change func(*activation.Audience)) error {
	before, err := scanAudience(t.row(`SELECT `+audienceColumns+` FROM audiences a WHERE a.id = $1`+t.d.ForUpdate, id))
	if err != nil {
		return err
	}
	after := before
	if change(&after); after == before {
		return nil
	}
	return t.updateAudience(before, &after, user)
}

// renameAudiences gives the audiences of all actions the names that follow from
// the hierarchy.
func (t *tx) renameAudiences(user string) error {
	h, err := t.hierarchy()
	if err != nil {
		return err
	}
	for _, a := range h.Actions {
		name := h.AudienceName(a)
		for id, called := range map[activation.AudienceID]string{a.Audience: name, a.Negative: name + negativeEnd} {
			if err := t.changeKept(id, user, func(now *activation.Audience) { now.Name = called }); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeleteAction removes an action. Its audiences keep their names and become
// retired ones without a rule and under another slug: what networks hold of them
// is still theirs. Nothing leaves them out or puts them in order any more.
func (s *Store) DeleteAction(ctx context.Context, id activation.ActionID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		a, err := t.action(id)
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM paid_actions WHERE id = $1`, id); err != nil {
			return err
		}
		for _, audience := range []activation.AudienceID{a.Audience, a.Negative} {
			if err := t.retire(audience, user); err != nil {
				return err
			}
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: "action", SubjectID: string(id), Before: actionFace(a)})
	})
	if err != nil {
		return fmt.Errorf("delete action: %w", err)
	}
	return nil
}

// slugTail is how much of an audience's id its slug gets when it is retired.
const slugTail = 6

// retire leaves of an audience what its targets need.
func (t *tx) retire(id activation.AudienceID, user string) error {
	if err := t.changeKept(id, user, func(a *activation.Audience) {
		a.Kind, a.Rule, a.Public = activation.KindRetired, "", false
		a.Slug += "-retired-" + string(id)[:min(slugTail, len(id))]
	}); err != nil {
		return err
	}
	if err := t.unlist(id); err != nil {
		return err
	}
	rows, err := t.query(`SELECT `+jobColumns+` FROM jobs j WHERE j.exclude LIKE '%"' || CAST($1 AS TEXT) || '"%' AND j.deleted_at IS NULL ORDER BY j.id`, id)
	jobs, err := collect(rows, err, scanJob)
	if err != nil {
		return err
	}
	for _, before := range jobs {
		after := before
		after.Exclude = slices.DeleteFunc(slices.Clone(before.Exclude), func(x activation.AudienceID) bool { return x == id })
		if _, err := t.exec(`UPDATE jobs SET exclude = $1 WHERE id = $2`, list(after.Exclude), before.ID); err != nil {
			return err
		}
		if err := t.rewatch(before, after); err != nil {
			return err
		}
	}
	return nil
}
