package manifest

import (
	"context"
	"slices"
	"strings"

	"usher/internal/activation"
)

func (d *issueDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	h, err := w.best.Hierarchy(ctx)
	if err != nil {
		return err
	}
	return settle(ctx, s, user, settling[activation.Issue]{
		there: h.Issues, is: func(i activation.Issue) bool { return i.Name == d.Name },
		want:   activation.Issue{Name: d.Name, Description: d.Description},
		create: w.best.CreateIssue, update: w.best.UpdateIssue,
	})
}

func (d *groupDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	h, err := w.best.Hierarchy(ctx)
	if err != nil {
		return err
	}
	issue, err := issueNamed(h, d.Issue)
	if err != nil {
		return err
	}
	return settle(ctx, s, user, settling[activation.Group]{
		there: h.Groups, is: func(g activation.Group) bool { return g.Issue == issue.ID && g.Name == d.Name },
		want:   activation.Group{Issue: issue.ID, Name: d.Name, Description: d.Description},
		create: w.best.CreateGroup, update: w.best.UpdateGroup,
	})
}

func (d *actionDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	h, err := w.best.Hierarchy(ctx)
	if err != nil {
		return err
	}
	issue, err := issueNamed(h, d.Issue)
	if err != nil {
		return err
	}
	g := slices.IndexFunc(h.Groups, func(x activation.Group) bool { return x.Issue == issue.ID && x.Name == d.Group })
	if g < 0 {
		return unnamed("group_id", "the issue has no group of this name, neither here nor in the files")
	}
	group := h.Groups[g].ID
	return settle(ctx, s, user, settling[activation.Action]{
		there: h.Actions, is: func(a activation.Action) bool { return a.Group == group && a.Name == d.Name },
		want: activation.Action{
			Group: group, Name: d.Name, Description: d.Description, Eligibility: strings.TrimSpace(d.Eligibility), Priority: d.Priority, Enabled: d.Enabled == nil || *d.Enabled,
		},
		adjust: func(have activation.Action, want *activation.Action) {
			want.Audience, want.Negative = have.Audience, have.Negative
			want.Eligibility = sameRule(have.Eligibility, want.Eligibility)
		},
		create: w.best.CreateAction, update: w.best.UpdateAction,
	})
}

func issueNamed(h activation.Hierarchy, name string) (activation.Issue, error) {
	return named(h.Issues, "issue_id", "issue", func(i activation.Issue) bool { return i.Name == name })
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
