package decision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/store"
)

// CreateAction adds an action to a group, and its two audiences: nobody is in the
// positive one before a decision, and everybody who is not eligible is in the
// negative one when this returns. The error names every wrong field.
func (d *Decisions) CreateAction(ctx context.Context, a activation.Action, user string) (out activation.Action, err error) {
	err = d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		a, rule, err := d.checkAction(ctx, h, a)
		if err != nil {
			return err
		}
		all, err := d.Store.Audiences(ctx)
		if err != nil {
			return err
		}
		name := h.AudienceName(a)
		slug := slugOf(name, func(s string) bool {
			return slices.ContainsFunc(all, func(other activation.Audience) bool { return other.Slug == s })
		})
		out, err = d.Store.CreateAction(ctx, a,
			activation.Audience{Slug: slug, Name: name, Kind: activation.KindAction, Description: "Whom a decision chose this action for."},
			activation.Audience{Slug: slug + negativeSlug, Name: name + negativeName, Kind: activation.KindNegative, Rule: rule, Description: "Everybody who is not eligible for this action."}, user)
		if err != nil {
			return err
		}
		if err := d.follow(ctx, user); err != nil {
			return d.undone(ctx, err, func(ctx context.Context) error { return d.Store.DeleteAction(ctx, out.ID, user) })
		}
		return nil
	})
	return out, err
}

// UpdateAction changes name, description, eligibility, priority and whether the
// action takes part in decisions. The negative audience is in step when this
// returns; who was decided for the action stays so until the next decision. An
// action stays in its group.
func (d *Decisions) UpdateAction(ctx context.Context, a activation.Action, user string) (out activation.Action, err error) {
	err = d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		before, err := actionOf(h, a.ID)
		if err != nil {
			return err
		}
		if a.Group == "" {
			a.Group = before.Group
		}
		a.Audience, a.Negative = before.Audience, before.Negative
		positive, err := d.Store.Audience(ctx, a.Audience)
		if err != nil {
			return err
		}
		negative, err := d.Store.Audience(ctx, a.Negative)
		if err != nil {
			return err
		}
		a, rule, err := d.checkAction(ctx, h, a, positive.Slug, negative.Slug)
		if err != nil {
			return err
		}
		nextPositive, nextNegative := positive, negative
		nextPositive.Name = h.AudienceName(a)
		nextNegative.Name, nextNegative.Rule = nextPositive.Name+negativeName, rule
		if out, err = d.Store.UpdateAction(ctx, a, nextPositive, nextNegative, user); err != nil {
			return err
		}
		if err := d.follow(ctx, user); err != nil {
			return d.undone(ctx, err, func(ctx context.Context) error {
				_, err := d.Store.UpdateAction(ctx, before, positive, negative, user)
				return err
			})
		}
		return nil
	})
	return out, err
}

// checkAction says everything that is wrong with an action, and returns it as it
// is kept with the rule of its negative audience. own are the slugs of its
// audiences where they are there already.
func (d *Decisions) checkAction(ctx context.Context, h activation.Hierarchy, a activation.Action, own ...string) (activation.Action, string, error) {
	var p problems
	if _, err := groupOf(h, a.Group); err != nil {
		p.add("group_id", "there is no such group")
	}
	taken := map[string]bool{}
	for _, other := range h.Actions {
		switch {
		case other.ID == a.ID && other.Group != a.Group:
			p.add("group_id", "can't be changed; make another action")
		case other.ID != a.ID && other.Group == a.Group:
			taken[strings.ToLower(other.Name)] = true
		}
	}
	a.Name, a.Description = p.names(a.Name, a.Description, taken)
	if a.Priority > maxPriority || a.Priority < -maxPriority {
		p.add("priority", "must be from -1000000 to 1000000; the highest wins")
	}
	a.Eligibility = strings.TrimSpace(a.Eligibility)
	rule, err := d.checkEligibility(ctx, a.Eligibility, own)
	if activation.KindOf(err) == activation.Invalid {
		p.add("eligibility", "%s", activation.SafeMessage(err))
	} else if err != nil {
		return a, "", err
	}
	return a, rule, p.Err()
}

// checkEligibility has the warehouse judge a rule, which knows fields and other
// audiences, and returns the rule of the negative audience.
func (d *Decisions) checkEligibility(ctx context.Context, text string, own []string) (string, error) {
	if text == "" {
		return "", unfit("is needed: who may be decided for the action; FILTER * is everybody")
	}
	f, err := filterql.Parse(text)
	if err != nil {
		return "", unfit(err.Error())
	}
	if _, err := d.Warehouse.Try(ctx, text, d.Now()); err != nil {
		return "", err
	}
	others := f.Negated()
	for _, slug := range own {
		// Under the slug of an audience of its own, it is told where it includes that.
		named := *f
		named.Alias = slug
		if _, err := d.Warehouse.Try(ctx, named.String(), d.Now()); err != nil {
			return "", err
		}
	}
	if _, err := filterql.Parse(others.String()); err != nil {
		return "", unfit("its contrary, by which the negative audience is kept, is no rule any more: " + err.Error())
	}
	return others.String(), nil
}

func unfit(message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeBad, Field: "eligibility", Message: message}
}

func actionOf(h activation.Hierarchy, id activation.ActionID) (activation.Action, error) {
	i := slices.IndexFunc(h.Actions, func(x activation.Action) bool { return x.ID == id })
	if i < 0 {
		return activation.Action{}, fmt.Errorf("action: %w", activation.ErrNotFound)
	}
	return h.Actions[i], nil
}

// Leaving is what goes with an action: how many people leave its audience, and
// where networks may hold its audiences.
type Leaving struct {
	People  int64                 `json:"people"`
	Targets []activation.TargetID `json:"target_ids"`
}

// Leaving tells what DeleteAction would take away. Nothing is changed.
func (d *Decisions) Leaving(ctx context.Context, id activation.ActionID) (Leaving, error) {
	h, err := d.Store.Hierarchy(ctx)
	if err != nil {
		return Leaving{}, err
	}
	a, err := actionOf(h, id)
	if err != nil {
		return Leaving{}, err
	}
	out := Leaving{Targets: []activation.TargetID{}}
	if out.People, err = d.Warehouse.Size(ctx, a.Audience); err != nil {
		return Leaving{}, err
	}
	targets, err := d.targetsOf(ctx, []activation.AudienceID{a.Audience, a.Negative})
	for _, t := range targets {
		out.Targets = append(out.Targets, t.ID)
	}
	return out, err
}

// DeleteAction removes an action. Everybody leaves its audiences, which are kept
// as retired ones until no network holds anything of them: what networks hold is
// emptied, past the removal guard. It is refused while a rule includes one of them.
func (d *Decisions) DeleteAction(ctx context.Context, id activation.ActionID, user string) error {
	return d.alone(ctx, func() error {
		h, err := d.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		a, err := actionOf(h, id)
		if err != nil {
			return err
		}
		if err := d.notIncluded(ctx, a); err != nil {
			return err
		}
		if err := d.Store.DeleteAction(ctx, id, user); err != nil {
			return err
		}
		if err := d.follow(ctx, user); err != nil {
			return err // Settle goes on with it
		}
		return errors.Join(d.release(ctx, a.Audience, true, user), d.release(ctx, a.Negative, true, user))
	})
}

// notIncluded refuses where another rule includes an audience of the action.
func (d *Decisions) notIncluded(ctx context.Context, a activation.Action) error {
	all, err := d.Store.Audiences(ctx)
	if err != nil {
		return err
	}
	own := map[string]bool{string(a.Audience): true, string(a.Negative): true}
	for _, x := range all {
		if x.ID == a.Audience || x.ID == a.Negative {
			own[x.Slug] = true
		}
	}
	for _, x := range all {
		if x.ID == a.Negative || x.Kind.Given() {
			continue
		}
		f, err := filterql.Parse(x.Rule)
		if err != nil {
			continue // cannot include anything
		}
		if slices.ContainsFunc(f.Includes(), func(name string) bool { return own[name] }) {
			return conflict("the audience %q includes an audience of the action", x.Slug)
		}
	}
	return nil
}

// targetsOf lists the targets of audiences.
func (d *Decisions) targetsOf(ctx context.Context, audiences []activation.AudienceID) ([]activation.Target, error) {
	var out []activation.Target
	for _, id := range audiences {
		targets, err := d.Store.Targets(ctx, store.TargetFilter{Audience: id})
		if err != nil {
			return nil, err
		}
		out = append(out, targets...)
	}
	return out, nil
}
