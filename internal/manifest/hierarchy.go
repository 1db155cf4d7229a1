package manifest

import (
	"context"
	"slices"
	"strings"

	"usher/internal/activation"
)

func (w *world) issue(ctx context.Context, d issueDoc, s *Step, user string) error {
	h, err := w.best.Hierarchy(ctx)
	if err != nil {
		return err
	}
	want := activation.Issue{Name: d.Name, Description: d.Description}
	i := slices.IndexFunc(h.Issues, func(x activation.Issue) bool { return x.Name == d.Name })
	if i < 0 {
		s.Action = Create
		_, err := w.best.CreateIssue(ctx, want, user)
		return err
	}
	have := h.Issues[i]
	want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
	if s.compare(have, want) {
		return nil
	}
	_, err = w.best.UpdateIssue(ctx, want, user)
	return err
}

func (w *world) group(ctx context.Context, d groupDoc, s *Step, user string) error {
	h, err := w.best.Hierarchy(ctx)
	if err != nil {
		return err
	}
	issue, err := issueNamed(h, d.Issue)
	if err != nil {
		return err
	}
	want := activation.Group{Issue: issue, Name: d.Name, Description: d.Description}
	i := slices.IndexFunc(h.Groups, func(x activation.Group) bool { return x.Issue == issue && x.Name == d.Name })
	if i < 0 {
		s.Action = Create
		_, err := w.best.CreateGroup(ctx, want, user)
		return err
	}
	have := h.Groups[i]
	want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
	if s.compare(have, want) {
		return nil
	}
	_, err = w.best.UpdateGroup(ctx, want, user)
	return err
}

func (w *world) action(ctx context.Context, d actionDoc, s *Step, user string) error {
	h, err := w.best.Hierarchy(ctx)
	if err != nil {
		return err
	}
	issue, err := issueNamed(h, d.Issue)
	if err != nil {
		return err
	}
	g := slices.IndexFunc(h.Groups, func(x activation.Group) bool { return x.Issue == issue && x.Name == d.Group })
	if g < 0 {
		return unnamed("group_id", "the issue has no group of this name, neither here nor in the files")
	}
	want := activation.Action{
		Group: h.Groups[g].ID, Name: d.Name, Description: d.Description, Eligibility: strings.TrimSpace(d.Eligibility), Priority: d.Priority, Enabled: d.Enabled == nil || *d.Enabled,
	}
	i := slices.IndexFunc(h.Actions, func(x activation.Action) bool { return x.Group == want.Group && x.Name == d.Name })
	if i < 0 {
		s.Action = Create
		_, err := w.best.CreateAction(ctx, want, user)
		return err
	}
	have := h.Actions[i]
	want.ID, want.Audience, want.Negative, want.CreatedAt, want.UpdatedAt = have.ID, have.Audience, have.Negative, have.CreatedAt, have.UpdatedAt
	if canonical(want.Eligibility) == canonical(have.Eligibility) {
		want.Eligibility = have.Eligibility
	}
	if s.compare(have, want) {
		return nil
	}
	_, err = w.best.UpdateAction(ctx, want, user)
	return err
}

func issueNamed(h activation.Hierarchy, name string) (activation.IssueID, error) {
	for _, i := range h.Issues {
		if i.Name == name {
			return i.ID, nil
		}
	}
	return "", unnamed("issue_id", "there is no issue of this name, neither here nor in the files")
}

func unnamed(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: message}
}

// exportHierarchy writes issues, each with its groups, each with its actions.
func (m *Manifest) exportHierarchy(ctx context.Context, e *exporter) error {
	h, err := m.Catalog.Store.Hierarchy(ctx)
	if err != nil {
		return err
	}
	const file = "next-best-action.yaml"
	for _, i := range h.Issues {
		e.add(file, issueDoc{kindIssue, i.Name, i.Description})
		for _, g := range h.Groups {
			if g.Issue != i.ID {
				continue
			}
			e.add(file, groupDoc{kindGroup, i.Name, g.Name, g.Description})
			for _, a := range h.Actions {
				if a.Group != g.ID {
					continue
				}
				doc := actionDoc{Kind: kindAction, Issue: i.Name, Group: g.Name, Name: a.Name, Description: a.Description, Eligibility: a.Eligibility, Priority: a.Priority}
				if !a.Enabled {
					doc.Enabled = new(bool)
				}
				e.add(file, doc)
			}
		}
	}
	return nil
}
