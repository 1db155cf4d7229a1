package web

import (
	"net/http"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

// multiPage says what a multi-edit would do, before it does.
type multiPage struct {
	publisherTab
	CSRF, To, Back, Title string
	Selected, Changes     int64
	Same, Left            int64
	More                  bool
	Sample                []multiRow
	Hidden                []hidden
	Send                  field
	Value                 *field
	Problems              []publishing.Problem
	Wrong, Verb           string
	Grave, Nothing        bool
	// Ask: the value was not said yet. Previewed is the value that the numbers are of.
	Ask       bool
	Previewed hidden
	SendSays  string
}

// multiRow is one object of a multi-edit, In what it lies in.
type multiRow struct {
	Name, Path, Before, After, In string

	parent activation.ObjectRef
}

// multi is a multi-edit: what, and to which value.
type multi struct {
	do    string // field, enable, pause or delete
	field provider.ObjectField
	value string
}

// multiOf reads a multi-edit from a form.
func multiOf(v visit, t provider.ObjectType) (multi, string) {
	m := multi{do: v.post("do")}
	switch m.do {
	case "enable", "pause":
		m.value = map[string]string{"enable": activation.StatusEnabled, "pause": activation.StatusPaused}[m.do]
		m.field, _ = t.Field(activation.FieldStatus)
	case "delete":
		if !t.Deletes {
			return m, "The publisher lets nobody delete these."
		}
	case "field":
		f, ok := t.Field(v.post("field"))
		if !ok || f.Shown || f.Fixed {
			return m, "Choose a field that can be changed."
		}
		m.field, m.value = f, v.post("field."+f.Name)
	default:
		return m, "Choose what to do with them."
	}
	return m, ""
}

// changes reports whether an edit changes an object; left, that it can't have it.
func (m multi) changes(o activation.PublisherObject) (changes, left bool) {
	switch {
	case o.Removed || o.Deleted:
		return false, true
	case m.do == "delete":
		return true, false
	}
	return o.Local[m.field.Name] != m.value, false
}

func (m multi) edit(ref activation.ObjectRef) publishing.EditSpec {
	if m.do == "delete" {
		return publishing.EditSpec{Action: publishing.ActionDelete, Kind: ref.Kind, ID: ref.ID}
	}
	return setField(ref, m.field.Name, m.value)
}

// chosen are the objects of a form: those ticked, or all that fit the filters.
func (c *Console) chosen(v visit, q activation.ObjectQuery) (out []activation.PublisherObject, more bool, err error) {
	if v.post("all") != "" {
		return upTo(multiLimit, func(after string) ([]activation.PublisherObject, string, error) {
			q.After, q.Limit = after, 500
			return c.Publishing.Objects(v.Context(), q)
		})
	}
	for _, text := range v.PostForm["id"] {
		if len(out) == 10*objectsPerPage {
			break
		}
		o, err := c.Publishing.Object(v.Context(), q.Publisher, refOf(text))
		if err != nil {
			return nil, false, err
		}
		out = append(out, o.PublisherObject)
	}
	return out, false, nil
}

// multiEdit says what an edit of many objects does, and does it once somebody has seen
// the numbers.
func (c *Console) multiEdit(v visit) (view, error) {
	head, err := c.publisherHead(v, "Structure")
	if err != nil {
		return view{}, err
	}
	declared := c.publishingOf(head.Provider)
	t, ok := typeAsked(v, declared)
	if !ok {
		return view{}, activation.ErrNotFound
	}
	back := structureHref(v, head.Path, "after", v.get("after"))
	m, wrong := multiOf(v, t)
	if wrong != "" {
		return view{To: back, Said: flash{"bad", wrong}}, nil
	}
	objects, more, err := c.chosen(v, objectQuery(v, head.ID, declared, t))
	if err != nil {
		return refused(back, err)
	}
	if len(objects) == 0 {
		return view{To: back, Said: flash{"bad", "Tick the rows first."}}, nil
	}
	p := multiPage{publisherTab: head, CSRF: v.who.CSRF, To: back, Back: back, Selected: int64(len(objects)), More: more, Send: sendField(orText(v.post("send"), v.get("send")))}
	p.words(m, t)
	edits := p.count(head.ID, m, objects)
	var parents []activation.ObjectRef
	for _, row := range p.Sample {
		parents = append(parents, row.parent)
	}
	names, err := c.objectNames(v.Context(), head.ID, parents)
	if err != nil {
		return view{}, err
	}
	for i, row := range p.Sample {
		p.Sample[i].In = names[row.parent]
	}
	if p.Ask = m.do == "field" && !v.PostForm.Has("field."+m.field.Name); p.Ask || v.post("sure") == "" || more || m.value != v.post("previewed") {
		return c.multiView(v, head, p, m, t), nil
	}
	send := sendOf(v.post("send"))
	done, err := c.Publishing.Edit(v.Context(), head.ID, edits, send, "console", v.who.Name)
	if activation.KindOf(err) == activation.Invalid {
		p.Wrong, err = sentence(reason(err)), nil
	}
	if err != nil {
		return view{}, err
	}
	if done.Errors > 0 || len(done.Problems) > 0 {
		p.Wrong = "Nothing was changed: " + problemWords(done.Problems, t) + "."
	}
	if p.Wrong != "" {
		out := c.multiView(v, head, p, m, t)
		out.Status = http.StatusBadRequest
		return out, nil
	}
	c.waits.drop("")
	return view{To: back, Said: editedWords(done, send, head.PublisherAccount)}, nil
}

// words are the title and the button of a multi-edit.
func (p *multiPage) words(m multi, t provider.ObjectType) {
	n := many(p.Selected, t.Name)
	switch m.do {
	case "enable":
		p.Title, p.Verb = "Enable "+n+"?", "Enable"
	case "pause":
		p.Title, p.Verb = "Pause "+n+"?", "Pause"
	case "delete":
		p.Title, p.Verb, p.Grave = "Delete "+n+"?", "Delete", true
	default:
		p.Title, p.Verb = "Change “"+labelOf(m.field)+"” of "+n, "Change"
	}
}

// count makes the edits, and counts what they change.
func (p *multiPage) count(id activation.PublisherID, m multi, objects []activation.PublisherObject) (edits []publishing.EditSpec) {
	for _, o := range objects {
		changes, left := m.changes(o)
		switch {
		case left:
			p.Left++
			continue
		case !changes:
			p.Same++
			continue
		}
		p.Changes++
		edits = append(edits, m.edit(o.ObjectRef))
		if len(p.Sample) < 10 {
			row := multiRow{parent: o.Parent, Name: o.Name(), Path: objectPath(id, o.ObjectRef), Before: shownValue(m.field, o.Local[m.field.Name]), After: shownValue(m.field, m.value)}
			if m.do == "delete" {
				row.Before, row.After = objectChip(o).Word, "Deleted"
			}
			p.Sample = append(p.Sample, row)
		}
	}
	p.Nothing = p.Changes == 0
	return edits
}

func (c *Console) multiView(v visit, head publisherTab, p multiPage, m multi, t provider.ObjectType) view {
	p.Hidden, p.Previewed = []hidden{{"do", m.do}}, hidden{"previewed", m.value}
	if v.post("all") != "" {
		p.Hidden = append(p.Hidden, hidden{"all", "1"})
	}
	if m.do == "field" {
		p.Hidden = append(p.Hidden, hidden{"field", m.field.Name})
		input := objectField(m.field, m.value, "")
		if !strings.Contains(input.Help, "Empty") {
			input.Help = strings.TrimSpace(input.Help + " Empty takes the value away.")
		}
		p.Value = &input
	}
	for _, text := range v.PostForm["id"] {
		if v.post("all") == "" {
			p.Hidden = append(p.Hidden, hidden{"id", text})
		}
	}
	p.SendSays = "The nightly sync is at " + nightly(head.PublisherAccount) + "."
	out := publisherView("multi", head, p.Title, p)
	out.Crumbs = append(out.Crumbs, link{p.Back, orText(t.Title, t.Name)})
	return out
}
