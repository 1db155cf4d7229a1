package catalog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// CreateDestination names an account at a provider.
func (c *Catalog) CreateDestination(ctx context.Context, d activation.Destination, user string) (activation.Destination, error) {
	if d.Mapping, d.Authorization = maps.Clone(d.Mapping), activation.AuthorizationID(strings.TrimSpace(string(d.Authorization))); len(d.Mapping) == 0 {
		var err error
		if d.Mapping, err = c.everyColumn(ctx, d.Provider); err != nil {
			return activation.Destination{}, err
		}
	}
	var out activation.Destination
	err := c.alone(ctx, func() error { // no field of its mapping is deleted meanwhile
		d, err := c.checkDestination(ctx, d, nil, user)
		if err != nil {
			return err
		}
		d.Enabled = true
		out, err = c.Store.CreateDestination(ctx, d, user)
		return err
	})
	return out, err
}

// UpdateDestination replaces the declaration of a destination; its provider
// stays. A mapping that changes its match keys takes everybody's old keys away
// and adds the new ones at the next run.
func (c *Catalog) UpdateDestination(ctx context.Context, d activation.Destination, user string) (activation.Destination, error) {
	before, err := c.Store.Destination(ctx, d.ID)
	if err != nil {
		return activation.Destination{}, err
	}
	d.Provider = before.Provider
	var out activation.Destination
	err = c.alone(ctx, func() error {
		d, err := c.checkDestination(ctx, d, &before, user)
		if err != nil {
			return err
		}
		out, err = c.Store.UpdateDestination(ctx, d, user)
		return err
	})
	return out, err
}

// ChangesKeys reports whether a change of a destination gives people other keys
// at the network, or what is wrong with the change.
func (c *Catalog) ChangesKeys(ctx context.Context, before, after activation.Destination) (bool, error) {
	after, err := c.checkDestination(ctx, after, &before, "")
	if err != nil {
		return false, err
	}
	def, err := c.Definition(before.Provider)
	if err != nil {
		return false, err
	}
	was, err := matchkey.NewSet(def.Rules(before.Config, before.Mapping), before.Mapping, before.Config[provider.CountryField])
	if err != nil {
		return false, nil //nolint:nilerr // nobody can have keys of a mapping that does not fit
	}
	will, err := matchkey.NewSet(def.Rules(after.Config, after.Mapping), after.Mapping, after.Config[provider.CountryField])
	return was.ID != will.ID, err
}

// everyColumn is the mapping of a destination that says nothing about its
// columns where any will do: every profile field under its own name.
func (c *Catalog) everyColumn(ctx context.Context, name string) (map[string]string, error) {
	def, err := c.Definition(name)
	if err != nil || def.OpenColumns == nil {
		return nil, err
	}
	schema, err := c.Warehouse.Schema(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(schema.Fields))
	for _, f := range schema.Fields {
		if !def.PublicOnly || f.Public {
			out[f.Name] = f.Name
		}
	}
	return out, nil
}

// checkDestination returns a destination with its settings complete, or every
// wrong field. before is what it changes, nil for a new one.
func (c *Catalog) checkDestination(ctx context.Context, d activation.Destination, before *activation.Destination, user string) (activation.Destination, error) {
	def, err := c.Definition(d.Provider)
	if err != nil {
		return d, err
	}
	var p problems
	p.name("name", d.Name)
	if def.NewDestination == nil {
		p.add("provider", "%s has no audiences; it needs no destination", def.Name)
	}
	d.Account = strings.TrimSpace(d.Account)
	switch {
	case def.AccountHelp == "" && d.Account != "":
		p.add("account", "%s has no accounts; leave it out", def.Title)
	case def.AccountHelp != "" && d.Account == "":
		p.add("account", "is needed: %s", def.AccountHelp)
	}
	var auth activation.Authorization
	if d.Authorization != "" || !def.NoAuth() {
		auth, err = c.Store.Authorization(ctx, d.Authorization)
	}
	switch {
	case errors.Is(err, activation.ErrNotFound):
		p.add("auth_id", "no such authorization")
	case err != nil:
		return d, err
	case auth.Provider != "" && auth.Provider != def.Name:
		p.add("auth_id", "belongs to %s, not %s", auth.Provider, def.Name)
	}
	schema, err := c.Warehouse.Schema(ctx)
	if err != nil {
		return d, err
	}
	known := map[string]bool{}
	for _, f := range schema.Fields {
		known[f.Name] = true
	}
	for _, key := range slices.Sorted(maps.Keys(d.Mapping)) {
		if !known[d.Mapping[key]] {
			p.add("mapping."+key, "there is no such field")
		}
	}
	if def.NewDestination != nil {
		if _, err := matchkey.NewSet(def.Rules(d.Config, d.Mapping), d.Mapping, d.Config[provider.CountryField]); err != nil {
			p.add("mapping", "%s", err.Error())
		}
	}
	given := d.Config
	d.Config = p.check("config.", def.DestinationFields, d.Config)
	if def.OpenColumns != nil {
		p.columns(d)
		p.publicFields(def, schema.Fields, d.Config, d.Mapping)
	}
	var agreed map[string]string
	if before != nil {
		agreed = before.Config
	}
	agree(def.DestinationFields, d.Config, given, agreed, user, c.Now())
	return d, p.err("BADREQ-001")
}

// TestDestination proves credentials and account. It writes nothing at the
// network. What it finds is the health of the authorization: credentials that
// were mended wake everything that waits for them.
func (c *Catalog) TestDestination(ctx context.Context, id activation.DestinationID) error {
	d, err := c.Store.Destination(ctx, id)
	if err != nil {
		return err
	}
	client, _, err := c.Connect(ctx, d, "")
	if err != nil {
		return err
	}
	found := client.Check(ctx)
	if d.Authorization != "" && (found == nil || activation.KindOf(found) == activation.Unauthorized) {
		if err := c.Health.Report(ctx, d.Authorization, found); err != nil {
			return errors.Join(found, err)
		}
	}
	return found
}
