package web

import (
	"encoding/json"
	"errors"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/warehouse"
)

// maxTree is the longest tree of a rule, in bytes, that the builder is given to
// show; a longer one is edited as text.
const maxTree = 15_000

// builder is what the rule builder in the browser needs to know. It only turns
// trees into forms and back; what a rule means, and how its tree is written, the
// server says.
type builder struct {
	Fields    []builderField       `json:"fields"`
	Operators map[string][]builtOp `json:"operators"` // by type of field
	Audiences []builderChoice      `json:"audiences"`
}

type builderField struct {
	// Name is as rules write it.
	Name string `json:"name"`
	Type string `json:"type"`
	Help string `json:"help,omitempty"`
}

type builderChoice struct {
	Value string `json:"value"`
	Text  string `json:"text"`
}

// builtOp is an operator as the builder offers it. Op is the operator of the JSON
// form, with "not " before it where it is negated. Inputs says what it takes: "",
// "one", "two" (between), "many", "place" (a point and kilometres) or "window"
// (a count and days).
type builtOp struct {
	Op     string `json:"op"`
	Text   string `json:"text"`
	Inputs string `json:"inputs,omitempty"`
}

// The operators in words, by the type of field they apply to.
var (
	thereOps  = []builtOp{{"exists", "is there", ""}, {"not exists", "is missing", ""}}
	scalarOps = []builtOp{{"=", "is", "one"}, {"!=", "is not, but there", "one"}, {"not =", "is not, or missing", "one"}, {"in", "is one of", "many"}, {"not in", "is none of", "many"}}
	orderOps  = []builtOp{{">", "more than", "one"}, {">=", "at least", "one"}, {"<", "less than", "one"}, {"<=", "at most", "one"}, {"between", "between", "two"}, {"not between", "not between", "two"}}
	timeOps   = []builtOp{
		{">", "after", "one"},
		{">=", "at or after", "one"},
		{"<", "before", "one"},
		{"<=", "at or before", "one"},
		{"between", "between", "two"},
		{"not between", "not between", "two"},
		{"timewindow", "within the last days", "window"},
		{"not timewindow", "not within the last days", "window"},
	}
	textOps = []builtOp{
		{"contains", "contains", "one"},
		{"not contains", "does not contain", "one"},
		{"like", "matches, * is anything", "one"},
		{"not like", "does not match", "one"},
		{"geodistance", "is a place within", "place"},
		{"not geodistance", "is no place within", "place"},
	}
	setOps = []builtOp{
		{"contains", "has", "one"},
		{"not contains", "does not have", "one"},
		{"intersects", "has one of", "many"},
		{"not intersects", "has none of", "many"},
		{"like", "has a match of, * is anything", "one"},
		{"not like", "has no match of", "one"},
		{"timewindow", "has times in the last days", "window"},
		{"not timewindow", "has too few times in the last days", "window"},
	}
)

func builtOps() map[string][]builtOp {
	join := func(lists ...[]builtOp) (out []builtOp) {
		for _, l := range lists {
			out = append(out, l...)
		}
		return out
	}
	return map[string][]builtOp{
		string(filterql.Text):    join(scalarOps, textOps, orderOps, thereOps),
		string(filterql.Integer): join(scalarOps, orderOps, thereOps),
		string(filterql.Number):  join(scalarOps, orderOps, thereOps),
		string(filterql.Boolean): join([]builtOp{{"=", "is", "one"}, {"!=", "is not, but there", "one"}, {"not =", "is not, or missing", "one"}}, thereOps),
		string(filterql.Time):    join(timeOps, scalarOps, thereOps),
		string(filterql.Set):     join(setOps, thereOps),
	}
}

// ruleBuilder is what the builder needs, as JSON; own is the audience that is
// edited, which cannot include itself.
func ruleBuilder(schema warehouse.Schema, all []activation.Audience, own activation.AudienceID) (string, error) {
	b := builder{Fields: []builderField{}, Operators: builtOps(), Audiences: []builderChoice{}}
	for _, f := range schema.Fields {
		b.Fields = append(b.Fields, builderField{filterql.Ident{Parts: []string{f.Name}}.String(), string(f.Type), f.Help})
	}
	for _, a := range all {
		if a.ID != own && !a.Kind.Given() {
			b.Audiences = append(b.Audiences, builderChoice{a.Slug, a.Name})
		}
	}
	raw, err := json.Marshal(b)
	return string(raw), err
}

// tried is what a rule would select, with its other form for the builder.
type tried struct {
	Size, Wrong string
	// Text and Tree are the rule's two forms; Line and Column where it is wrong.
	Text, Tree   string
	Line, Column int
}

// tryRule answers how many people a rule would select, without saving it, and
// turns its text into a tree or, given a tree, that into a text. It is a POST
// since a rule may name a person. A browser that asks anew gives up the old
// question, and its count ends with it.
func (c *Console) tryRule(v visit) (view, error) {
	t, err := c.tried(v)
	return view{Template: "audience", Fragment: "tried", Body: t}, err
}

func (c *Console) tried(v visit) (t tried, err error) {
	t.Text = v.post("segment_ql")
	f, err := filterql.Parse(t.Text)
	if tree := v.post("tree"); tree != "" {
		if f, err = filterql.ParseJSON([]byte(tree)); err == nil {
			t.Text = f.String()
		}
	}
	if err != nil {
		t.place(err)
		return t, nil
	}
	tree, err := f.MarshalJSON()
	if err != nil {
		return t, err
	}
	if len(tree) <= maxTree {
		t.Tree = string(tree)
	}
	n, err := c.Warehouse.Try(v.Context(), t.Text, c.Now())
	wrong, err := wrongRule(err)
	switch {
	case err != nil:
		return t, err
	case wrong != nil:
		t.Wrong = wrong["segment_ql"]
		t.Line, t.Column = placeIn(t.Wrong)
	default:
		t.Size = many(n, "person") + " would be in it"
	}
	return t, nil
}

// place says what is wrong with a rule that cannot be read.
func (t *tried) place(err error) {
	t.Wrong = sentence(err.Error())
	if e, ok := errors.AsType[*filterql.Error](err); ok && e.Path == "" {
		t.Line, t.Column = e.Line, e.Column
	}
}
