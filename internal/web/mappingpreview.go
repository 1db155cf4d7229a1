package web

import (
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/api"
	"usher/internal/expression"
	"usher/internal/rebuild"
	"usher/internal/warehouse"
)

const (
	// previewLooked is how many of the newest messages a preview evaluates,
	// previewShown how many of them it shows.
	previewLooked = 1000
	previewShown  = 10
)

// mappingPreview is what the mappings would make of recent messages.
type mappingPreview struct {
	Looked int64
	Fields []previewField
	Rows   []previewRow
	// Rebuild says what has to be rebuilt, and what that costs.
	Rebuild []string
	Cost    string
	Masked  bool
}

type previewField struct {
	Name             string
	Parsed, Unparsed int64
	Rebuild          bool
}

type previewRow struct {
	At    time.Time
	Cells []previewCell
}

// previewCell is one value beside what it was made of.
type previewCell struct {
	Value, Raw string
	Failed     bool
}

// previewMappings shows what the rows of the form would make. Nothing is stored.
// Administrators see values as they are, and that is noted; everybody else masked.
func (c *Console) previewMappings(v visit, st warehouse.StreamStat, schema warehouse.Schema, rows []warehouse.Mapping) (view, error) {
	if c.Mapping == nil {
		return view{}, activation.ErrNotFound
	}
	made, err := c.Mapping.PreviewMappings(v.Context(), withMappings(schema, st.Name, rows), st.Name, previewLooked, previewShown)
	if wrong, err := mappingErrors(err, rows); err != nil || wrong != nil {
		if err != nil {
			return view{}, err
		}
		return c.mappingPage(v, st, schema, rows, wrong, nil)
	}
	plain := v.who.May(activation.RoleAdmin)
	if plain {
		if err := c.note(v, "read messages", "stream", st.Name); err != nil {
			return view{}, err
		}
	}
	p := previewOf(made, schema, rows, plain)
	if c.Rebuilds != nil && len(made.Rebuild) > 0 {
		cost, err := c.Rebuilds.Cost(v.Context())
		if err != nil {
			return view{}, err
		}
		p.Cost = costText(cost)
	} else if len(made.Rebuild) > 0 {
		p.Cost = costText(rebuild.Cost{RebuildCost: made.Cost})
	}
	return c.mappingPage(v, st, schema, rows, nil, p)
}

// previewOf makes the table of a preview, masked unless plain.
func previewOf(made warehouse.MappingPreview, schema warehouse.Schema, rows []warehouse.Mapping, plain bool) *mappingPreview {
	p := &mappingPreview{Looked: made.Looked, Rebuild: made.Rebuild, Masked: !plain}
	for _, name := range made.Fields {
		p.Fields = append(p.Fields, previewField{name, made.Parsed[name], made.Unparsed[name], slices.Contains(made.Rebuild, name)})
	}
	personal := personalColumns(schema, rows)
	used := map[string][]string{}
	for _, m := range rows {
		if e, err := expression.Parse(m.Expression); err == nil {
			used[m.Field] = expression.Columns(e)
		}
	}
	if !plain {
		people := make([]warehouse.Profile, len(made.Rows))
		for i, r := range made.Rows {
			people[i].Values = r.Results
		}
		api.MaskProfiles(hiding(schema, used, personal), people)
	}
	for _, r := range made.Rows {
		row := previewRow{At: r.MessageTime}
		for _, name := range made.Fields {
			cellOf := previewCell{Value: cell(r.Results[name]), Failed: slices.Contains(r.Failed, name)}
			var raw []string
			for _, column := range used[name] {
				text := r.Values[column]
				if !plain && personal[column] {
					text = activation.Mask(text)
				}
				if text != "" {
					raw = append(raw, text)
				}
			}
			cellOf.Raw = strings.Join(raw, " · ")
			row.Cells = append(row.Cells, cellOf)
		}
		p.Rows = append(p.Rows, row)
	}
	return p
}

// personalColumns are the columns that feed a personal field, by what is declared
// or by the rows of the form.
func personalColumns(schema warehouse.Schema, rows []warehouse.Mapping) map[string]bool {
	personal := map[string]bool{}
	stream := ""
	for _, m := range rows {
		stream = m.Stream
	}
	for column, fields := range feeds(append(mappingsOf(schema, stream), rows...)) {
		personal[column] = slices.ContainsFunc(fields, func(name string) bool { return isPersonal(schema, name) })
	}
	return personal
}

func isPersonal(schema warehouse.Schema, name string) bool {
	return slices.ContainsFunc(schema.Fields, func(f warehouse.Field) bool { return f.Name == name && f.PII })
}

// hiding is the schema with every text field as personal that is made of a
// personal column: else a field that is not would tell it.
func hiding(schema warehouse.Schema, used map[string][]string, personal map[string]bool) warehouse.Schema {
	schema.Fields = slices.Clone(schema.Fields)
	for i, f := range schema.Fields {
		text := f.Type == warehouse.Text || f.Type == warehouse.TextSet
		schema.Fields[i].PII = f.PII || text && slices.ContainsFunc(used[f.Name], func(column string) bool { return personal[column] })
	}
	return schema
}
