package web

import (
	"net/http"
	"slices"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

type streamPage struct {
	Stream   warehouse.StreamStat
	Mappings []warehouse.Mapping
	Form     mappingForm
	Loads    []loadRow
	CSRF     string
	Path     string
}

type mappingForm struct {
	Wrong             string
	Field, Expression field
}

// streamPage shows one stream with its columns and mappings.
func (c *Console) streamPage(v visit, name string, wrong map[string]string) (view, error) {
	ctx := v.Context()
	streams, err := c.Warehouse.Streams(ctx)
	if err != nil {
		return view{}, err
	}
	i := slices.IndexFunc(streams, func(s warehouse.StreamStat) bool { return s.Name == name })
	if i < 0 {
		return view{}, activation.ErrNotFound
	}
	schema, err := c.Warehouse.Schema(ctx)
	if err != nil {
		return view{}, err
	}
	p := streamPage{Stream: streams[i], CSRF: v.who.CSRF, Path: streamPath(name)}
	edit := orText(v.post("field"), v.get("field"))
	expression := v.post("expression")
	for _, m := range schema.Mappings {
		if m.Stream != name {
			continue
		}
		p.Mappings = append(p.Mappings, m)
		if m.Field == edit && expression == "" {
			expression = m.Expression
		}
	}
	var options []option
	for _, f := range schema.Fields {
		options = append(options, option{f.Name, f.Name, f.Name == edit})
	}
	p.Form = mappingForm{
		Wrong:      wrong[""],
		Field:      field{Name: "field", Label: "Field", Type: "select", Options: options, Error: wrong["field"]},
		Expression: field{Name: "expression", Label: "Expression", Type: "text", Required: true, Value: expression, Error: wrong["expression"], Help: "A column, or an expression such as lower(trim(email)) or quantity * lookup(prices, sku, price)."},
	}
	loads, err := c.Loads.Recent(ctx, name, loadLimit)
	if err != nil {
		return view{}, err
	}
	for _, l := range loads {
		p.Loads = append(p.Loads, loadRow{l, loadChip(l.Status)})
	}
	out := view{Template: "stream", Title: name, Section: "/data", Crumbs: []link{{"/data", "Data"}}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) declareMapping(v visit) (view, error) {
	name := v.PathValue("id")
	m := warehouse.Mapping{Stream: name, Field: v.post("field"), Expression: v.post("expression")}
	rebuild, err := c.Catalog.Declare(v.Context(), warehouse.Schema{Mappings: []warehouse.Mapping{m}})
	wrong, err := wrongFields(err, "field", "expression")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		if wrong["expression"] == "" && wrong["field"] == "" {
			wrong = map[string]string{"expression": wrong[""]}
		}
		return c.streamPage(v, name, wrong)
	}
	return view{To: streamPath(name), Said: saved(m.Field, rebuild)}, nil
}
