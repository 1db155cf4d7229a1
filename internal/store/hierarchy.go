package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

const (
	issueColumns  = `i.id, i.name, i.description, i.created_at, i.updated_at`
	groupColumns  = `g.id, g.issue_id, g.name, g.description, g.created_at, g.updated_at`
	actionColumns = `a.id, a.group_id, a.name, a.description, a.eligibility, a.priority, a.enabled, a.audience_id, a.negative_id, a.created_at, a.updated_at`
)

func scanIssue(r scanner) (activation.Issue, error) {
	var i activation.Issue
	err := r.Scan(&i.ID, &i.Name, &i.Description, stamp{&i.CreatedAt}, stamp{&i.UpdatedAt})
	return i, err
}

func scanGroup(r scanner) (activation.Group, error) {
	var g activation.Group
	err := r.Scan(&g.ID, &g.Issue, &g.Name, &g.Description, stamp{&g.CreatedAt}, stamp{&g.UpdatedAt})
	return g, err
}

func scanAction(r scanner) (activation.Action, error) {
	var a activation.Action
	err := r.Scan(&a.ID, &a.Group, &a.Name, &a.Description, &a.Eligibility, &a.Priority, &a.Enabled, &a.Audience, &a.Negative, stamp{&a.CreatedAt}, stamp{&a.UpdatedAt})
	return a, err
}

// Hierarchy returns the issues, groups and actions of next-best-action, each
// list by name.
func (s *Store) Hierarchy(ctx context.Context) (activation.Hierarchy, error) {
	var h activation.Hierarchy
	err := s.view(ctx, func(t *tx) (err error) {
		h, err = t.hierarchy()
		return err
	})
	if err != nil {
		return activation.Hierarchy{}, fmt.Errorf("read hierarchy: %w", err)
	}
	return h, nil
}

func (t *tx) hierarchy() (h activation.Hierarchy, err error) {
	rows, err := t.query(`SELECT ` + issueColumns + ` FROM paid_issues i ORDER BY i.name, i.id`)
	if h.Issues, err = collect(rows, err, scanIssue); err != nil {
		return h, err
	}
	rows, err = t.query(`SELECT ` + groupColumns + ` FROM paid_groups g ORDER BY g.name, g.id`)
	if h.Groups, err = collect(rows, err, scanGroup); err != nil {
		return h, err
	}
	rows, err = t.query(`SELECT ` + actionColumns + ` FROM paid_actions a ORDER BY a.name, a.id`)
	h.Actions, err = collect(rows, err, scanAction)
	return h, err
}

// partFace is what the audit log keeps of an issue or a group.
func partFace(name, description string) string {
	return encode(struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
	}{name, description})
}

// actionFace is what the audit log keeps of an action: not who is eligible, for
// the rule may name a person.
func actionFace(a activation.Action) string {
	return encode(struct {
		Name     string             `json:"name"`
		Group    activation.GroupID `json:"group_id"`
		Priority int64              `json:"priority"`
		Enabled  bool               `json:"enabled"`
	}{a.Name, a.Group, a.Priority, a.Enabled})
}

// CreateIssue stores an issue; a name taken is ErrConflict.
func (s *Store) CreateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error) {
	err := s.do(ctx, func(t *tx) error {
		i.ID = orNew(i.ID)
		i.CreatedAt, i.UpdatedAt = t.now, t.now
		_, err := t.exec(`INSERT INTO paid_issues (id, name, description, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)`, i.ID, i.Name, i.Description, t.micros())
		if isConflict(err) {
			return conflict("an issue named %q exists already", i.Name)
		}
		if err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "issue", SubjectID: string(i.ID), After: partFace(i.Name, i.Description)})
	})
	if err != nil {
		return activation.Issue{}, fmt.Errorf("create issue: %w", err)
	}
	return i, nil
}

// UpdateIssue changes name and description of an issue. The audiences of its
// actions take the new name.
func (s *Store) UpdateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error) {
	err := s.do(ctx, func(t *tx) error {
		before, err := scanIssue(t.row(`SELECT `+issueColumns+` FROM paid_issues i WHERE i.id = $1`+t.d.ForUpdate, i.ID))
		if before, err = found(before, err, "issue", i.ID); err != nil {
			return err
		}
		i.CreatedAt, i.UpdatedAt = before.CreatedAt, t.now
		_, err = t.exec(`UPDATE paid_issues SET name = $1, description = $2, updated_at = $3 WHERE id = $4`, i.Name, i.Description, t.micros(), i.ID)
		if isConflict(err) {
			return conflict("an issue named %q exists already", i.Name)
		}
		if err != nil {
			return err
		}
		if err := t.renameAudiences(user); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{
			Actor: user, Verb: "update", SubjectType: "issue", SubjectID: string(i.ID),
			Before: partFace(before.Name, before.Description), After: partFace(i.Name, i.Description),
		})
	})
	if err != nil {
		return activation.Issue{}, fmt.Errorf("update issue: %w", err)
	}
	return i, nil
}

// DeleteIssue removes an issue; ErrConflict while it has groups.
func (s *Store) DeleteIssue(ctx context.Context, id activation.IssueID, user string) error {
	return s.remove(ctx, "issue", string(id), user, `DELETE FROM paid_issues WHERE id = $1`,
		`SELECT count(*) FROM paid_groups WHERE issue_id = $1`, "the issue has %d groups; delete them first")
}

// CreateGroup stores a group of an issue; a name taken there is ErrConflict.
func (s *Store) CreateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error) {
	err := s.do(ctx, func(t *tx) error {
		if n, err := t.count(`SELECT count(*) FROM paid_issues WHERE id = $1`, g.Issue); err != nil || n == 0 {
			return orErr(err, invalid("issue_id", "there is no issue %q", g.Issue))
		}
		g.ID = orNew(g.ID)
		g.CreatedAt, g.UpdatedAt = t.now, t.now
		_, err := t.exec(`INSERT INTO paid_groups (id, issue_id, name, description, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`, g.ID, g.Issue, g.Name, g.Description, t.micros())
		if isConflict(err) {
			return conflict("the issue has a group named %q already", g.Name)
		}
		if err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "group", SubjectID: string(g.ID), After: partFace(g.Name, g.Description)})
	})
	if err != nil {
		return activation.Group{}, fmt.Errorf("create group: %w", err)
	}
	return g, nil
}

// UpdateGroup changes name and description of a group, which stays with its
// issue. The audiences of its actions take the new name.
func (s *Store) UpdateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error) {
	err := s.do(ctx, func(t *tx) error {
		before, err := scanGroup(t.row(`SELECT `+groupColumns+` FROM paid_groups g WHERE g.id = $1`+t.d.ForUpdate, g.ID))
		if before, err = found(before, err, "group", g.ID); err != nil {
			return err
		}
		g.Issue, g.CreatedAt, g.UpdatedAt = before.Issue, before.CreatedAt, t.now
		_, err = t.exec(`UPDATE paid_groups SET name = $1, description = $2, updated_at = $3 WHERE id = $4`, g.Name, g.Description, t.micros(), g.ID)
		if isConflict(err) {
			return conflict("the issue has a group named %q already", g.Name)
		}
		if err != nil {
			return err
		}
		if err := t.renameAudiences(user); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{
			Actor: user, Verb: "update", SubjectType: "group", SubjectID: string(g.ID),
			Before: partFace(before.Name, before.Description), After: partFace(g.Name, g.Description),
		})
	})
	if err != nil {
		return activation.Group{}, fmt.Errorf("update group: %w", err)
	}
	return g, nil
}

// DeleteGroup removes a group; ErrConflict while it has actions.
func (s *Store) DeleteGroup(ctx context.Context, id activation.GroupID, user string) error {
	return s.remove(ctx, "group", string(id), user, `DELETE FROM paid_groups WHERE id = $1`,
		`SELECT count(*) FROM paid_actions WHERE group_id = $1`, "the group has %d actions; delete them first")
}

// orNew returns an id, or a fresh one where it is empty.
func orNew[T ~string](id T) T {
	if id == "" {
		return activation.NewID[T]()
	}
	return id
}
