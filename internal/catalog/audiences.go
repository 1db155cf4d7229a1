package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// Audience returns one audience by id or slug.
func (c *Catalog) Audience(ctx context.Context, idOrSlug string) (activation.Audience, error) {
	return c.Store.Audience(ctx, activation.AudienceID(idOrSlug))
}

// CreateAudience saves a rule. It is live when this returns: everyone it
// selects is a member.
func (c *Catalog) CreateAudience(ctx context.Context, a activation.Audience, user string) (activation.Audience, error) {
	if err := checkAudience(a); err != nil {
		return activation.Audience{}, err
	}
	var out activation.Audience
	err := c.alone(ctx, func() error {
		// The warehouse judges the rule first: it knows fields and other audiences.
		if _, err := c.Warehouse.Try(ctx, a.Rule, c.Now()); err != nil {
			return err
		}
		var err error
		if out, err = c.Store.CreateAudience(ctx, a, user); err != nil {
			return err
		}
		if err := c.setAudiences(ctx); err != nil {
			return errors.Join(err, c.Store.DeleteAudience(context.WithoutCancel(ctx), out.ID, user))
		}
		return nil
	})
	return out, err
}

// UpdateAudience changes name, description or rule; empty fields of a stay as
// they are.
func (c *Catalog) UpdateAudience(ctx context.Context, idOrSlug string, a activation.Audience, user string) (activation.Audience, error) {
	return c.changeAudience(ctx, idOrSlug, user, func(next *activation.Audience) {
		next.Name = cmp.Or(a.Name, next.Name)
		next.Description = cmp.Or(a.Description, next.Description)
		next.Rule = cmp.Or(a.Rule, next.Rule)
	})
}

// ReplaceAudience changes name, description, rule and whether sites may read it
// to what a says.
func (c *Catalog) ReplaceAudience(ctx context.Context, idOrSlug string, a activation.Audience, user string) (activation.Audience, error) {
	if _, err := c.SetPublic(ctx, idOrSlug, a.Public, user); err != nil {
		return activation.Audience{}, err
	}
	return c.changeAudience(ctx, idOrSlug, user, func(next *activation.Audience) {
		next.Name, next.Description, next.Rule = a.Name, a.Description, a.Rule
	})
}

// SetPublic says whether sites may read who is in an audience (the web
// destination). It is refused while a web destination holds the audience.
func (c *Catalog) SetPublic(ctx context.Context, idOrSlug string, public bool, user string) (activation.Audience, error) {
	a, err := c.Audience(ctx, idOrSlug)
	if err != nil || a.Public == public {
		return a, err
	}
	if !public {
		if err := c.notOnSites(ctx, a); err != nil {
			return activation.Audience{}, err
		}
	}
	return c.changeAudience(ctx, idOrSlug, user, func(next *activation.Audience) { next.Public = public })
}

// notOnSites refuses when a destination that sites read holds the audience.
func (c *Catalog) notOnSites(ctx context.Context, a activation.Audience) error {
	targets, err := c.Store.Targets(ctx, store.TargetFilter{Audience: a.ID})
	if err != nil {
		return err
	}
	for _, t := range targets {
		d, err := c.Store.Destination(ctx, t.Destination)
		if err != nil {
			return err
		}
		if def, err := c.Definition(d.Provider); err == nil && def.PublicOnly {
			return fmt.Errorf("%w: %w", activation.ErrConflict, &activation.Error{
				Kind: activation.Invalid, Code: "BADREQ-001", Field: "is_public",
				Message: fmt.Sprintf("is_public: the destination %q shows the audience to sites; take it away there first", d.Name),
			})
		}
	}
	return nil
}

func (c *Catalog) changeAudience(ctx context.Context, idOrSlug, user string, change func(*activation.Audience)) (activation.Audience, error) {
	var out activation.Audience
	err := c.alone(ctx, func() error {
		old, err := c.Audience(ctx, idOrSlug)
		if err != nil {
			return err
		}
		next := old
		change(&next)
		if old.Managed() {
			if next.Name != old.Name || next.Description != old.Description || next.Rule != old.Rule {
				return keptByUsher(old)
			}
			out, err = c.Store.UpdateAudience(ctx, next, user)
			return err
		}
		if err := checkAudience(next); err != nil {
			return err
		}
		if next.Rule != old.Rule {
			if _, err := c.Warehouse.Try(ctx, next.Rule, c.Now()); err != nil {
				return err
			}
		}
		if out, err = c.Store.UpdateAudience(ctx, next, user); err != nil {
			return err
		}
		if next.Rule == old.Rule {
			return nil
		}
		if err := c.setAudiences(ctx); err != nil {
			_, back := c.Store.UpdateAudience(context.WithoutCancel(ctx), old, user)
			return errors.Join(err, back)
		}
		return nil
	})
	return out, err
}

// DeleteAudience removes an audience that no target uses and no other rule
// includes.
func (c *Catalog) DeleteAudience(ctx context.Context, idOrSlug, user string) error {
	return c.alone(ctx, func() error {
		a, err := c.Audience(ctx, idOrSlug)
		if err != nil {
			return err
		}
		if a.Managed() {
			return keptByUsher(a)
		}
		all, err := c.Store.Audiences(ctx)
		if err != nil {
			return err
		}
		for _, other := range all {
			if other.ID == a.ID {
				continue
			}
			f, err := filterql.Parse(other.Rule)
			if err != nil {
				continue // cannot include anything
			}
			for _, ref := range f.Includes() {
				if ref == a.Slug || ref == string(a.ID) {
					return fmt.Errorf("%w: %w", activation.ErrConflict, &activation.Error{
						Kind: activation.Invalid, Code: "BADREQ-001",
						Message: fmt.Sprintf("the audience %q includes it", other.Slug),
					})
				}
			}
		}
		if err := c.Store.DeleteAudience(ctx, a.ID, user); err != nil {
			return err
		}
		return c.setAudiences(ctx)
	})
}

// keptByUsher refuses to change an audience that people do not decide about.
func keptByUsher(a activation.Audience) error {
	what := map[activation.AudienceKind]string{
		activation.KindAction: "belongs to a next-best-action action; change that", activation.KindNegative: "belongs to a next-best-action action; change that",
		activation.KindConversion: "is kept by a conversions job", activation.KindRetired: "is of an action that was deleted",
	}[a.Kind]
	return fmt.Errorf("%w: %w", activation.ErrConflict, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "id", Message: fmt.Sprintf("the audience %q %s", a.Slug, what)})
}

// SyncAudiences tells the warehouse which audiences there are; called at start.
func (c *Catalog) SyncAudiences(ctx context.Context) error {
	return c.alone(ctx, func() error { return c.setAudiences(ctx) })
}

func (c *Catalog) setAudiences(ctx context.Context) error {
	all, err := c.Store.Audiences(ctx)
	if err != nil {
		return err
	}
	rules := make([]warehouse.Rule, len(all))
	for i, a := range all {
		rules[i] = warehouse.Rule{ID: a.ID, Slug: a.Slug, Text: a.Rule, Version: a.Version, Given: a.Kind.Given()}
	}
	return c.Warehouse.SetAudiences(ctx, rules, c.Now())
}

func checkAudience(a activation.Audience) error {
	var p problems
	if !word.MatchString(a.Slug) {
		p.add("slug_name", "must be lower-case letters, digits, - and _, beginning with a letter, at most 63")
	}
	p.name("name", a.Name)
	if _, err := filterql.Parse(a.Rule); err != nil {
		p.add("segment_ql", "%s", err.Error())
	}
	return p.err("BADREQ-001")
}
