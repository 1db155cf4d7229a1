package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"usher/internal/activation"
	"usher/internal/explain"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

// Explains says step by step whether one person was synced, and why not.
type Explains interface {
	Explain(ctx context.Context, q explain.Question) (explain.Answer, error)
}

// whoForm asks whether one person was synced. It is a POST: the value is in its
// body alone, and never in an address, a log or the answer.
type whoForm struct {
	To, CSRF string
	Field    field
	Value    field
	Withheld string
}

// whoPage is the answer.
type whoPage struct {
	Form   *whoForm
	Target link
	Asked  string // by which field; "" = not yet
	Answer explain.Answer
	Chip   chip
	Steps  []whoStep
}

// whoStep is one step of the answer.
type whoStep struct {
	explain.Step
	Chip chip
	// Help is the page of its code, Path that of its run or item.
	Help string
	Path *link
}

func (c *Console) registerWho(mux *http.ServeMux) {
	c.page(mux, "/targets/{id}/explain", "", func(v visit) (view, error) { return c.who(v, nil) })
	c.action(mux, "/targets/{id}/explain", activation.RoleOperator, c.explained)
}

// runWho puts the question on the page of a run.
func (c *Console) runWho(v visit, r tracking.View, _ []activation.Item, p *runPage) (err error) {
	p.Who, err = c.whoForm(v, r.Target)
	return err
}

// whoForm is the form for a target; nil where nobody answers it.
func (c *Console) whoForm(v visit, t activation.TargetID) (*whoForm, error) {
	if c.Explain == nil {
		return nil, nil //nolint:nilnil // no form
	}
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return nil, err
	}
	f := &whoForm{To: targetPath(t) + "/explain", CSRF: v.who.CSRF}
	if !v.who.May(activation.RoleOperator) {
		f.Withheld = "Your role may only look"
	}
	f.Field = field{Name: "field", Label: "Known by", Type: "select"}
	for _, one := range schema.Fields {
		if one.Rank > 0 {
			f.Field.Options = append(f.Field.Options, option{one.Name, one.Name, one.Name == v.post("field")})
		}
	}
	f.Value = field{Name: "value", Label: "Value", Type: "text", Help: "It is looked up and kept nowhere. That you asked is in the audit log, the value is not."}
	return f, nil
}

// who is the page of the question, with the answer to it.
func (c *Console) who(v visit, wrong map[string]string) (view, error) {
	t, err := c.targetView(v)
	if err != nil {
		return view{}, err
	}
	p := whoPage{Target: link{targetPath(t.ID), t.title()}}
	if p.Form, err = c.whoForm(v, t.ID); err != nil {
		return view{}, err
	}
	if p.Form == nil {
		return view{}, activation.ErrNotFound
	}
	p.Form.Field.Error, p.Form.Value.Error = wrong["field"], orText(wrong["value"], wrong[""])
	out := view{Template: "who", Title: "Was this person synced?", Section: "/sync", Crumbs: []link{{"/sync", "Sync tracking"}, p.Target}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// explained looks the person up, notes who asked, and answers.
func (c *Console) explained(v visit) (view, error) {
	t, err := c.targetView(v)
	if err != nil {
		return view{}, err
	}
	if c.Explain == nil {
		return view{}, activation.ErrNotFound
	}
	if v.post("value") == "" {
		return c.who(v, map[string]string{"value": "Give the value to look for."})
	}
	answer, err := c.Explain.Explain(v.Context(), explain.Question{Field: v.post("field"), Value: v.post("value"), Target: t.ID})
	if errors.Is(err, activation.ErrNotFound) {
		return c.who(v, map[string]string{"value": "Nobody has this " + v.post("field") + "."})
	}
	wrong, err := wrongFields(err, "field", "value")
	if err != nil {
		return view{}, err
	}
	if err := c.Store.AddAudit(v.Context(), activation.AuditEntry{Actor: v.who.Name, Verb: "explain", SubjectType: "target", SubjectID: string(t.ID)}); err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.who(v, wrong)
	}
	out, err := c.who(v, nil)
	if err != nil {
		return view{}, err
	}
	p := out.Body.(whoPage) //nolint:forcetypeassert // made above
	p.Asked, p.Answer, p.Chip = v.post("field"), answer, chip{"ok", "check", "Synced", false}
	if !answer.Synced {
		p.Chip = chip{"warn", "alert-circle", "Not synced", false}
	}
	for _, s := range answer.Steps {
		p.Steps = append(p.Steps, c.whoStepOf(v, s))
	}
	out.Body = p
	return out, nil
}

func (c *Console) whoStepOf(v visit, s explain.Step) whoStep {
	step := whoStep{Step: s, Chip: chip{"line", "info-circle", "Known", false}}
	switch s.Status {
	case explain.OK:
		step.Chip = chip{"ok", "check", "Passed", false}
	case explain.Stop:
		step.Chip = chip{"bad", "x", "Stopped here", false}
	case explain.Info:
	}
	if s.Page != "" {
		step.Help = helpPath(s.Page)
	}
	if s.Run != nil {
		step.Path = c.runLink(v, *s.Run, s.Item)
	}
	return step
}

// runLink leads to a run by its number, or to one of its items.
func (c *Console) runLink(v visit, number int64, item *int) *link {
	runs, err := c.Store.Runs(v.Context(), store.RunFilter{Before: number + 1, Limit: 1})
	if err != nil || len(runs) == 0 || runs[0].Number != number {
		return nil
	}
	if item != nil {
		return &link{runPath(runs[0].ID) + "/items/" + num(*item), "Item " + num(*item) + " of run #" + num(number)}
	}
	return &link{runPath(runs[0].ID), "Run #" + num(number)}
}

func targetPath(id activation.TargetID) string { return "/targets/" + url.PathEscape(string(id)) }

// holdingsText says what the ledger holds of a target.
func holdingsText(h warehouse.Holdings) string {
	parts := []string{num(h.In) + " in"}
	for _, one := range []struct {
		n    int64
		word string
	}{{h.Maybe, "maybe"}, {h.Refused, "refused"}, {h.Shared, "shared"}} {
		if one.n > 0 {
			parts = append(parts, num(one.n)+" "+one.word)
		}
	}
	return strings.Join(parts, ", ")
}
