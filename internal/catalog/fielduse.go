package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// namedUsers is how many users of a field an error names.
const namedUsers = 5

// DeleteField takes a field away that nothing uses. Else it is ErrConflict and names
// what does: mappings, audiences and actions, destinations, jobs, and identity, where
// the field tells people apart. One that is not declared is ErrNotFound.
func (c *Catalog) DeleteField(ctx context.Context, name, user string) error {
	return c.alone(ctx, func() error {
		s, err := c.Warehouse.Schema(ctx)
		if err != nil {
			return err
		}
		if users, err := c.FieldUsers(ctx, s, name); err != nil || len(users) > 0 {
			return conflictWith(users, err)
		}
		if err := c.Warehouse.DropField(ctx, name); err != nil {
			return err
		}
		return c.note(ctx, user, "delete", "field", name)
	})
}

func conflictWith(users []string, err error) error {
	if err != nil {
		return err
	}
	more := ""
	if n := len(users) - namedUsers; n > 0 {
		users, more = users[:namedUsers], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%w: %w", activation.ErrConflict, &activation.Error{
		Kind: activation.Invalid, Code: "CONFLICT", Field: "name",
		Message: "the field is in use: " + strings.Join(users, ", ") + more + "; take it out there first",
	})
}

// FieldUsers names what a field is used by, so that it cannot be deleted.
func (c *Catalog) FieldUsers(ctx context.Context, s warehouse.Schema, name string) (users []string, err error) {
	if i := slices.IndexFunc(s.Fields, func(f warehouse.Field) bool { return f.Name == name && f.Rank > 0 }); i >= 0 {
		users = append(users, fmt.Sprintf("it identifies people with rank %d (0 ends that)", s.Fields[i].Rank))
	}
	for _, m := range s.Mappings {
		if m.Field == name {
			users = append(users, fmt.Sprintf("the mapping of the stream %q", m.Stream))
		}
	}
	for _, list := range []func(context.Context, string) ([]string, error){c.rulesOn, c.destinationsOf, c.jobsAsking} {
		more, err := list(ctx, name)
		if err != nil {
			return nil, err
		}
		users = append(users, more...)
	}
	return users, nil
}

// rulesOn names the audiences and actions whose rule has a field.
func (c *Catalog) rulesOn(ctx context.Context, field string) (users []string, err error) {
	all, err := c.Store.Audiences(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if !a.Kind.Given() && names(a.Rule, field) {
			users = append(users, fmt.Sprintf("the audience %q", a.Slug))
		}
	}
	h, err := c.Store.Hierarchy(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range h.Actions {
		if names(a.Eligibility, field) {
			users = append(users, fmt.Sprintf("the eligibility of the action %q", a.Name))
		}
	}
	return users, nil
}

// names reports whether a rule has a field. One that cannot be read has none.
func names(rule, field string) bool {
	f, err := filterql.Parse(rule)
	return err == nil && slices.Contains(f.Fields(), field)
}

// destinationsOf names the destinations that are given a field.
func (c *Catalog) destinationsOf(ctx context.Context, field string) (users []string, err error) {
	all, err := c.Store.Destinations(ctx)
	for _, d := range all {
		if slices.Contains(slices.Collect(maps.Values(d.Mapping)), field) {
			users = append(users, fmt.Sprintf("the mapping of the destination %q", d.Name))
		}
	}
	return users, err
}

// jobsAsking names the enrichments that send a field.
func (c *Catalog) jobsAsking(ctx context.Context, field string) (users []string, err error) {
	all, err := c.Store.Jobs(ctx, store.JobFilter{Type: string(provider.Enrichment), Hidden: true, Limit: allJobs})
	for _, j := range all {
		if j.State == activation.JobKilled || j.State == activation.JobCompleted {
			continue
		}
		if slices.Contains(provider.List(j.Config[provider.UserFieldsField]), field) {
			users = append(users, fmt.Sprintf("the enrichment job %q", j.Name))
		}
	}
	return users, err
}
