package decision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider/usher"
	"usher/internal/store"
)

// CreateIssue adds an issue. Its error names every wrong field.
func (d *Decisions) CreateIssue(ctx context.Context, i activation.Issue, user string) (out activation.Issue, err error) {
	err = d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		if i, err = checkIssue(h, i); err != nil {
			return err
		}
		out, err = d.Store.CreateIssue(ctx, i, user)
		return err
	})
	return out, err
}

// UpdateIssue changes name and description. The audiences of its actions, and the
// jobs that name the level, take the new name.
func (d *Decisions) UpdateIssue(ctx context.Context, i activation.Issue, user string) (out activation.Issue, err error) {
	err = d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		before, err := issueOf(h, i.ID)
		if err != nil {
			return err
		}
		if i, err = checkIssue(h, i); err != nil {
			return err
		}
		if out, err = d.Store.UpdateIssue(ctx, i, user); err != nil || before.Name == i.Name {
			return err
		}
		from, to := activation.Level(before.Name), activation.Level(i.Name)
		if err := d.renamed(ctx, from, to, user); err != nil {
			return d.undone(ctx, err, func(ctx context.Context) error {
				_, err := d.Store.UpdateIssue(ctx, before, user)
				return errors.Join(err, d.carry(ctx, to, from, user))
			})
		}
		return nil
	})
	return out, err
}

// DeleteIssue removes an issue that has no groups and that no job names.
func (d *Decisions) DeleteIssue(ctx context.Context, id activation.IssueID, user string) error {
	return d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		i, err := issueOf(h, id)
		if err != nil {
			return err
		}
		if err := d.unused(ctx, activation.Level(i.Name)); err != nil {
			return err
		}
		return d.Store.DeleteIssue(ctx, id, user)
	})
}

// CreateGroup adds a group to an issue. Its error names every wrong field.
func (d *Decisions) CreateGroup(ctx context.Context, g activation.Group, user string) (out activation.Group, err error) {
	err = d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		if g, err = checkGroup(h, g); err != nil {
			return err
		}
		out, err = d.Store.CreateGroup(ctx, g, user)
		return err
	})
	return out, err
}

// UpdateGroup changes name and description, as UpdateIssue does; a group stays
// with its issue.
func (d *Decisions) UpdateGroup(ctx context.Context, g activation.Group, user string) (out activation.Group, err error) {
	err = d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		before, err := groupOf(h, g.ID)
		if err != nil {
			return err
		}
		if g.Issue == "" {
			g.Issue = before.Issue
		}
		if g, err = checkGroup(h, g); err != nil {
			return err
		}
		if out, err = d.Store.UpdateGroup(ctx, g, user); err != nil || before.Name == g.Name {
			return err
		}
		issue, err := issueOf(h, g.Issue)
		if err != nil {
			return err
		}
		from, to := activation.Level(issue.Name+"/"+before.Name), activation.Level(issue.Name+"/"+g.Name)
		if err := d.renamed(ctx, from, to, user); err != nil {
			return d.undone(ctx, err, func(ctx context.Context) error {
				_, err := d.Store.UpdateGroup(ctx, before, user)
				return errors.Join(err, d.carry(ctx, to, from, user))
			})
		}
		return nil
	})
	return out, err
}

// DeleteGroup removes a group that has no actions and that no job names.
func (d *Decisions) DeleteGroup(ctx context.Context, id activation.GroupID, user string) error {
	return d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		g, err := groupOf(h, id)
		if err != nil {
			return err
		}
		issue, err := issueOf(h, g.Issue)
		if err != nil {
			return err
		}
		if err := d.unused(ctx, activation.Level(issue.Name+"/"+g.Name)); err != nil {
			return err
		}
		return d.Store.DeleteGroup(ctx, id, user)
	})
}

func checkIssue(h activation.Hierarchy, i activation.Issue) (activation.Issue, error) {
	var p problems
	taken := map[string]bool{activation.LevelAll: true} // which is another level
	for _, other := range h.Issues {
		if other.ID != i.ID {
			taken[strings.ToLower(other.Name)] = true
		}
	}
	i.Name, i.Description = p.names(i.Name, i.Description, taken)
	return i, p.Err()
}

func checkGroup(h activation.Hierarchy, g activation.Group) (activation.Group, error) {
	var p problems
	if _, err := issueOf(h, g.Issue); err != nil {
		p.add("issue_id", "there is no such issue")
	}
	taken := map[string]bool{}
	for _, other := range h.Groups {
		switch {
		case other.ID == g.ID && other.Issue != g.Issue:
			p.add("issue_id", "can't be changed; make another group")
		case other.ID != g.ID && other.Issue == g.Issue:
			taken[strings.ToLower(other.Name)] = true
		}
	}
	g.Name, g.Description = p.names(g.Name, g.Description, taken)
	return g, p.Err()
}

func issueOf(h activation.Hierarchy, id activation.IssueID) (activation.Issue, error) {
	i := slices.IndexFunc(h.Issues, func(x activation.Issue) bool { return x.ID == id })
	if i < 0 {
		return activation.Issue{}, fmt.Errorf("issue: %w", activation.ErrNotFound)
	}
	return h.Issues[i], nil
}

func groupOf(h activation.Hierarchy, id activation.GroupID) (activation.Group, error) {
	i := slices.IndexFunc(h.Groups, func(x activation.Group) bool { return x.ID == id })
	if i < 0 {
		return activation.Group{}, fmt.Errorf("group: %w", activation.ErrNotFound)
	}
	return h.Groups[i], nil
}

// levelOf is the level that a job names: that which it sends, or at which it
// decides.
func levelOf(j activation.Job) activation.Level {
	if j.Workflow == usher.Workflow {
		return activation.Level(j.Config[usher.LevelField])
	}
	return j.Level
}

// naming lists the jobs that name a level or one within it, hidden ones too;
// those that are killed run no more.
func (d *Decisions) naming(ctx context.Context, l activation.Level) ([]activation.Job, error) {
	var out []activation.Job
	for f := (store.JobFilter{Hidden: true, Limit: 1000}); ; {
		page, err := d.Store.Jobs(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, j := range page {
			if named := levelOf(j); j.State != activation.JobKilled && (named == l || strings.HasPrefix(string(named), string(l)+"/")) {
				out = append(out, j)
			}
		}
		if len(page) < f.Limit {
			return out, nil
		}
		f.After = page[len(page)-1].ID
	}
}

// renamed carries the new name of a level to whatever hangs on it.
func (d *Decisions) renamed(ctx context.Context, from, to activation.Level, user string) error {
	if err := d.carry(ctx, from, to, user); err != nil {
		return err
	}
	return d.follow(ctx, user)
}

// carry gives the jobs that name a level, or one within it, its new name.
func (d *Decisions) carry(ctx context.Context, from, to activation.Level, user string) error {
	jobs, err := d.naming(ctx, from)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		named := to + activation.Level(strings.TrimPrefix(string(levelOf(j)), string(from)))
		if j.Workflow == usher.Workflow {
			j.Config = maps.Clone(j.Config)
			j.Config[usher.LevelField] = string(named)
		} else {
			j.Level = named
		}
		if err := d.Store.UpdateJob(ctx, j, user); err != nil {
			return fmt.Errorf("rename the level of job %q: %w", j.ID, err)
		}
	}
	return nil
}

// unused refuses while a job names the level, which would be lost to it.
func (d *Decisions) unused(ctx context.Context, l activation.Level) error {
	jobs, err := d.naming(ctx, l)
	if err != nil || len(jobs) == 0 {
		return err
	}
	return conflict("the job %q names the level %s; give it another level or end it first", jobs[0].Name, quoted(string(l)))
}

// conflict is ErrConflict with a reason that may be shown.
func conflict(format string, args ...any) error {
	return fmt.Errorf("%w: %w", activation.ErrConflict, &activation.Error{Kind: activation.Invalid, Code: codeBad, Message: fmt.Sprintf(format, args...)})
}
