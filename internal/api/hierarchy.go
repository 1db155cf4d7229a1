package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/decision"
)

// Decision is what the API needs of next-best-action.
type Decision interface {
	Hierarchy(ctx context.Context) (activation.Hierarchy, error)
	CreateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error)
	UpdateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error)
	DeleteIssue(ctx context.Context, id activation.IssueID, user string) error
	CreateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error)
	UpdateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error)
	DeleteGroup(ctx context.Context, id activation.GroupID, user string) error
	CreateAction(ctx context.Context, a activation.Action, user string) (activation.Action, error)
	UpdateAction(ctx context.Context, a activation.Action, user string) (activation.Action, error)
	DeleteAction(ctx context.Context, id activation.ActionID, user string) error
	Leaving(ctx context.Context, id activation.ActionID) (decision.Leaving, error)
	Decide(ctx context.Context, customers []decision.Customer, user string) ([]decision.Outcome, error)
	Preview(ctx context.Context, l activation.Level) (decision.Preview, error)
}

// NameBody declares an issue; what is left out of a change stays.
type NameBody struct {
	Name        *string `json:"name,omitempty" doc:"unique beside its neighbours; letters, digits, spaces, _ and ."`
	Description *string `json:"description,omitempty"`
}

type groupBody struct {
	NameBody
	Issue *string `json:"issue_id,omitempty" doc:"can't be changed later"`
}

type actionBody struct {
	NameBody
	Group       *string `json:"group_id,omitempty" doc:"can't be changed later"`
	Eligibility *string `json:"eligibility,omitempty" doc:"who may be decided for it, in FilterQL"`
	Priority    *int64  `json:"priority,omitempty" doc:"of the eligible actions the one with the highest priority wins, ties by name; default 0"`
	Enabled     *bool   `json:"enabled,omitempty" doc:"takes part in decisions; default true"`
}

// leaving is what deleting an action takes away.
type leaving = decision.Leaving

// hierarchy are the routes of issues, groups and actions.
func (a *API) hierarchy(h huma.API) {
	const tag = "next-best-action"
	type id struct {
		ID string `path:"id" doc:"its id"`
	}
	huma.Register(h, route("GET /v2/paid/issue", Viewer, "list-issues", "List the issues of the next-best-action hierarchy", tag), func(ctx context.Context, _ *struct{}) (*reply[[]activation.Issue], error) {
		all, err := a.Decision.Hierarchy(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all.Issues)
	})
	huma.Register(h, route("POST /v2/paid/issue", Operator, "create-issue", "Make an issue", tag), func(ctx context.Context, in *struct{ Body NameBody }) (*reply[activation.Issue], error) {
		var i activation.Issue
		set(&i.Name, in.Body.Name)
		set(&i.Description, in.Body.Description)
		i, err := a.Decision.CreateIssue(ctx, i, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, i)
	})
	huma.Register(h, route("PUT /v2/paid/issue/{id}", Operator, "edit-issue", "Rename an issue, and with it the audiences of its actions", tag), func(ctx context.Context, in *struct {
		ID   string `path:"id" doc:"its id"`
		Body NameBody
	},
	) (*reply[activation.Issue], error) {
		i, err := a.issue(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		set(&i.Name, in.Body.Name)
		set(&i.Description, in.Body.Description)
		if i, err = a.Decision.UpdateIssue(ctx, i, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, i)
	})
	huma.Register(h, route("DELETE /v2/paid/issue/{id}", Operator, "delete-issue", "Delete an issue that has no group", tag), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Decision.DeleteIssue(ctx, activation.IssueID(in.ID), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, route("GET /v2/paid/group", Viewer, "list-groups", "List the groups of issues", tag), func(ctx context.Context, _ *struct{}) (*reply[[]activation.Group], error) {
		all, err := a.Decision.Hierarchy(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all.Groups)
	})
	huma.Register(h, route("POST /v2/paid/group", Operator, "create-group", "Make a group of an issue", tag), func(ctx context.Context, in *struct{ Body groupBody }) (*reply[activation.Group], error) {
		var g activation.Group
		set(&g.Name, in.Body.Name)
		set(&g.Description, in.Body.Description)
		if in.Body.Issue != nil {
			g.Issue = activation.IssueID(*in.Body.Issue)
		}
		g, err := a.Decision.CreateGroup(ctx, g, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, g)
	})
	huma.Register(h, route("PUT /v2/paid/group/{id}", Operator, "edit-group", "Rename a group, and with it the audiences of its actions", tag), func(ctx context.Context, in *struct {
		ID   string `path:"id" doc:"its id"`
		Body groupBody
	},
	) (*reply[activation.Group], error) {
		g, err := a.group(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		set(&g.Name, in.Body.Name)
		set(&g.Description, in.Body.Description)
		if in.Body.Issue != nil {
			g.Issue = activation.IssueID(*in.Body.Issue)
		}
		if g, err = a.Decision.UpdateGroup(ctx, g, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, g)
	})
	huma.Register(h, route("DELETE /v2/paid/group/{id}", Operator, "delete-group", "Delete a group that has no action", tag), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Decision.DeleteGroup(ctx, activation.GroupID(in.ID), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	a.actions(h, tag)
}

func (a *API) actions(h huma.API, tag string) {
	huma.Register(h, route("GET /v2/paid/action", Viewer, "list-actions", "List actions with the sizes of their audiences, those that win first", tag), func(ctx context.Context, in *struct {
		Level string `query:"level" doc:"only those of a level: all, an issue, or issue/group"`
	},
	) (*reply[[]actionView], error) {
		all, err := a.Decision.Hierarchy(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		level := activation.Level(in.Level)
		if level == "" {
			level = activation.LevelAll
		}
		if !all.Exists(level) {
			return nil, a.fail(ctx, invalid("level", "level: no such level; give all, an issue, or an issue and one of its groups such as Sales/Retention offers"))
		}
		out := make([]actionView, 0, len(all.Actions))
		for _, one := range all.At(level) {
			v, err := a.actionView(ctx, all, one)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			out = append(out, v)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("GET /v2/paid/action/{id}", Viewer, "show-action", "Show an action", tag), func(ctx context.Context, in *ActionPath) (*reply[actionView], error) {
		return a.showAction(ctx, in.ID)
	})
	huma.Register(h, route("POST /v2/paid/action", Operator, "create-action", "Make an action and its two audiences: Issue-Group-Action and Issue-Group-Action-N", tag), func(ctx context.Context, in *struct{ Body actionBody }) (*reply[actionView], error) {
		made, err := a.Decision.CreateAction(ctx, in.Body.over(activation.Action{Enabled: true}), CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		r, err := a.showAction(ctx, string(made.ID))
		if err != nil {
			return nil, err
		}
		r.Status, r.Body.Status = 201, 201
		return r, nil
	})
	huma.Register(h, route("PUT /v2/paid/action/{id}", Operator, "edit-action", "Change an action; what is left out stays. People move at the next decision", tag), func(ctx context.Context, in *struct {
		ActionPath
		Body actionBody
	},
	) (*reply[actionView], error) {
		have, err := a.action(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if _, err := a.Decision.UpdateAction(ctx, in.Body.over(have), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return a.showAction(ctx, in.ID)
	})
	huma.Register(h, route("DELETE /v2/paid/action/{id}", Operator, "delete-action", "Delete an action: everybody leaves its audiences, at every destination. Answers who and where; dry_run tells it only", tag), func(ctx context.Context, in *struct {
		ActionPath
		DryRun bool `query:"dry_run" doc:"delete nothing"`
	},
	) (*reply[leaving], error) {
		out, err := a.Decision.Leaving(ctx, activation.ActionID(in.ID))
		if err == nil && !in.DryRun {
			err = a.Decision.DeleteAction(ctx, activation.ActionID(in.ID), CallerOf(ctx).Name)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
}

// ActionPath is the action in a path.
type ActionPath struct {
	ID string `path:"id" doc:"its id"`
}

// over puts what was sent over an action.
func (b actionBody) over(x activation.Action) activation.Action {
	set(&x.Name, b.Name)
	set(&x.Description, b.Description)
	set(&x.Eligibility, b.Eligibility)
	set(&x.Priority, b.Priority)
	set(&x.Enabled, b.Enabled)
	if b.Group != nil {
		x.Group = activation.GroupID(*b.Group)
	}
	return x
}

// actionView is an action with its place and the sizes of its audiences.
type actionView struct {
	activation.Action
	Level    activation.Level `json:"level" doc:"its issue and group"`
	Size     int64            `json:"size" doc:"people decided for it"`
	Negative int64            `json:"negative_size" doc:"people not eligible for it"`
}

func (a *API) actionView(ctx context.Context, h activation.Hierarchy, x activation.Action) (v actionView, err error) {
	v = actionView{Action: x, Level: h.LevelOf(x)}
	if v.Size, err = a.Warehouse.Size(ctx, x.Audience); err != nil {
		return v, err
	}
	v.Negative, err = a.Warehouse.Size(ctx, x.Negative)
	return v, err
}

func (a *API) showAction(ctx context.Context, id string) (*reply[actionView], error) {
	x, err := a.action(ctx, id)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	h, err := a.Decision.Hierarchy(ctx)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	v, err := a.actionView(ctx, h, x)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, v)
}

func (a *API) action(ctx context.Context, id string) (activation.Action, error) {
	h, err := a.Decision.Hierarchy(ctx)
	if err != nil {
		return activation.Action{}, err
	}
	return one("action", h.Actions, func(x activation.Action) bool { return string(x.ID) == id }, id)
}

func (a *API) issue(ctx context.Context, id string) (activation.Issue, error) {
	h, err := a.Decision.Hierarchy(ctx)
	if err != nil {
		return activation.Issue{}, err
	}
	return one("issue", h.Issues, func(x activation.Issue) bool { return string(x.ID) == id }, id)
}

func (a *API) group(ctx context.Context, id string) (activation.Group, error) {
	h, err := a.Decision.Hierarchy(ctx)
	if err != nil {
		return activation.Group{}, err
	}
	return one("group", h.Groups, func(x activation.Group) bool { return string(x.ID) == id }, id)
}

// one is the element of a list that is meant, or ErrNotFound.
func one[T any](what string, all []T, is func(T) bool, id string) (T, error) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	var none T
	return none, fmt.Errorf("%s %q: %w", what, id, activation.ErrNotFound)
}
