package catalog

import (
	"context"
	"maps"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// publicAudience refuses an audience that is not public where anybody may read
// who is in it. number is its place in the list, from 0.
func (p *problems) publicAudience(def provider.Definition, number int, a activation.Audience) {
	if def.PublicOnly && !a.Public {
		p.add("segment_ids", "number %d of the list (%s) is not public, and %s shows audiences to anybody: make it public first, or leave it out", number+1, a.Slug, def.Title)
	}
}

// publicFields refuses a mapping that shows a field which is not public. The id
// is asked by and not shown, but must not be personal either.
func (p *problems) publicFields(def provider.Definition, fields []warehouse.Field, config, mapping map[string]string) {
	if !def.PublicOnly {
		return
	}
	id := provider.Setting(def.DestinationFields, config, provider.IDColumnField)
	for _, column := range slices.Sorted(maps.Keys(mapping)) {
		i := slices.IndexFunc(fields, func(f warehouse.Field) bool { return f.Name == mapping[column] })
		switch {
		case i < 0: // told by others
		case column == id && fields[i].PII:
			p.add("mapping."+column, "the field %s is personal, and anybody may see a public id: use a random one", fields[i].Name)
		case column != id && !fields[i].Public:
			p.add("mapping."+column, "the field %s is not public, and %s shows attributes to anybody: make it public first, or leave it out", fields[i].Name, def.Title)
		}
	}
}

// staysPublic refuses to make a field private that a destination shows to
// anybody.
func (c *Catalog) staysPublic(ctx context.Context, f warehouse.Field) error {
	if f.Public && !f.PII {
		return nil
	}
	all, err := c.Store.Destinations(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		def, err := c.Definition(d.Provider)
		if err != nil {
			continue // it shows nothing any more
		}
		var p problems
		p.publicFields(def, []warehouse.Field{f}, d.Config, d.Mapping)
		if len(p) > 0 {
			return &activation.Error{
				Kind: activation.Invalid, Code: "BADREQ-001", Field: "public",
				Message: "public: the destination " + d.Name + " shows the field to anybody; take it out of its mapping first",
			}
		}
	}
	return nil
}
