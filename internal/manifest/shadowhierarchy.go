package manifest

import (
	"context"

	"usher/internal/activation"
	"usher/internal/decision"
	"usher/internal/warehouse"
)

// shadowHierarchy is a shadow as decisions see it. What a plan never does is left
// to the nil interface.
type shadowHierarchy struct {
	*shadow
	neverStored
}

type neverStored interface {
	DeleteIssue(ctx context.Context, id activation.IssueID, user string) error
	DeleteGroup(ctx context.Context, id activation.GroupID, user string) error
	DeleteAction(ctx context.Context, id activation.ActionID, user string) error
	MakeDue(ctx context.Context, targets []activation.TargetID, cause activation.Cause) error
}

// shadowDecider is a shadow's data plane as decisions see it: nobody is moved.
type shadowDecider struct {
	*shadowPlane
	neverDecided
}

type neverDecided interface {
	Decide(ctx context.Context, r warehouse.DecideRequest, fn func(warehouse.Decision)) (warehouse.Decided, error)
	Find(ctx context.Context, field, value string) (warehouse.Profile, error)
}

// pretended are the use cases of the hierarchy on a shadow.
func pretended(s *shadow, plane *shadowPlane, real decision.Config) *decision.Decisions {
	real.Store, real.Warehouse = shadowHierarchy{shadow: s}, shadowDecider{shadowPlane: plane}
	return decision.New(real)
}

func (s *shadow) CreateIssue(_ context.Context, i activation.Issue, _ string) (activation.Issue, error) {
	i.ID = activation.NewID[activation.IssueID]()
	s.issues = append(s.issues, i)
	return i, nil
}

func (s *shadow) UpdateIssue(_ context.Context, i activation.Issue, _ string) (activation.Issue, error) {
	s.issues = overlaid(s.issues, []activation.Issue{i}, func(i activation.Issue) activation.IssueID { return i.ID })
	return i, nil
}

func (s *shadow) CreateGroup(_ context.Context, g activation.Group, _ string) (activation.Group, error) {
	g.ID = activation.NewID[activation.GroupID]()
	s.groups = append(s.groups, g)
	return g, nil
}

func (s *shadow) UpdateGroup(_ context.Context, g activation.Group, _ string) (activation.Group, error) {
	s.groups = overlaid(s.groups, []activation.Group{g}, func(g activation.Group) activation.GroupID { return g.ID })
	return g, nil
}

func (s *shadow) CreateAction(ctx context.Context, a activation.Action, positive, negative activation.Audience, user string) (activation.Action, error) {
	for _, one := range []struct {
		audience activation.Audience
		id       *activation.AudienceID
	}{{positive, &a.Audience}, {negative, &a.Negative}} {
		made, err := s.CreateAudience(ctx, one.audience, user)
		if err != nil {
			return a, err
		}
		*one.id = made.ID
	}
	a.ID = activation.NewID[activation.ActionID]()
	s.actions = append(s.actions, a)
	return a, nil
}

func (s *shadow) UpdateAction(ctx context.Context, a activation.Action, positive, negative activation.Audience, user string) (activation.Action, error) {
	for _, audience := range []activation.Audience{positive, negative} {
		if _, err := s.UpdateAudience(ctx, audience, user); err != nil {
			return a, err
		}
	}
	s.actions = overlaid(s.actions, []activation.Action{a}, func(a activation.Action) activation.ActionID { return a.ID })
	return a, nil
}
