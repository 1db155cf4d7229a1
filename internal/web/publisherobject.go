package web

import (
	"net/http"
	"net/url"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

type objectPage struct {
	publisherTab
	CSRF, Wrong string
	Object      activation.PublisherObject
	Title, Here string
	Chip        chip
	TypeWord    string
	Parent      *link
	Values      []objectValue
	Fields      []field
	Send        field
	Delete      *ask
	Toggle      *button
	Within      []link
	Schedule    string
	Waits, Past []entryRow
	Log         string
	Costs       *costChart
	Withheld    string
	Uneditable  string
}

// objectValue is one field as it is here and at the publisher.
type objectValue struct {
	Label, Local, Confirmed string
	Differs                 bool
	Link                    string
}

// object is the page of one object: values, edits, what waits and what was done.
func (c *Console) object(v visit, wrong map[string]string, given func(string) string) (view, error) {
	head, err := c.publisherHead(v, "Structure")
	if err != nil {
		return view{}, err
	}
	ref := activation.ObjectRef{Kind: activation.ObjectKind(orText(v.PathValue("kind"), v.get("kind"))), ID: orText(v.PathValue("object"), v.get("object"))}
	o, err := c.Publishing.Object(v.Context(), head.ID, ref)
	if err != nil {
		return view{}, err
	}
	declared := c.publishingOf(head.Provider)
	t, _ := declared.Object(o.Type)
	p := objectPage{
		publisherTab: head, CSRF: v.who.CSRF, Wrong: wrong[""], Object: o.PublisherObject, Title: o.Name(), Here: objectPath(head.ID, ref), Chip: objectChip(o.PublisherObject), TypeWord: sentenceWord(orText(o.Type, string(ref.Kind))),
		Send: sendField(orText(v.post("send"), v.get("send"))), Withheld: v.press("", "", "").Withheld, Log: "/activity?publisher=" + url.QueryEscape(string(head.ID)) + "&ref=" + url.QueryEscape(refText(ref)),
	}
	if o.Parent.ID != "" {
		names, err := c.objectNames(v.Context(), head.ID, []activation.ObjectRef{o.Parent})
		if err != nil {
			return view{}, err
		}
		p.Parent = &link{objectPath(head.ID, o.Parent), names[o.Parent]}
	}
	c.objectValues(v, &p, declared, t, wrong, given)
	p.Wrong = formWrong(wrong, p.Fields)
	c.objectDo(v, &p, declared, t)
	accounts := []activation.PublisherAccount{head.PublisherAccount}
	for _, e := range o.Waits {
		p.Waits = append(p.Waits, c.entryRow(e, accounts))
	}
	for _, e := range o.History {
		p.Past = append(p.Past, c.entryRow(e, accounts))
	}
	if ref.Kind != activation.KindOther && ref.Kind != activation.KindCreative && o.Confirmed != nil {
		costs, err := c.costsOf(v, head.PublisherAccount, p.Here, ref)
		if err != nil {
			return view{}, err
		}
		p.Costs = &costs
	}
	out := publisherView("object", head, p.Title, p)
	out.Crumbs = append(out.Crumbs, link{head.Path + "/structure?kind=" + string(ref.Kind), orText(t.Title, kindWord(ref.Kind))})
	q := filters(v)
	q.Set("id", v.PathValue("id"))
	q.Set("kind", string(ref.Kind))
	q.Set("object", ref.ID)
	out.Page, out.Query, out.Regions = "object", q, []string{"object-values", "object-waits", "object-past"}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// objectValues are the values of an object, and the inputs of those that can be
// changed.
func (c *Console) objectValues(v visit, p *objectPage, declared *provider.Publishing, t provider.ObjectType, wrong map[string]string, given func(string) string) {
	o := p.Object
	for _, f := range t.Fields {
		value := objectValue{Label: labelOf(f), Local: shownValue(f, o.Local[f.Name]), Confirmed: shownValue(f, o.Confirmed[f.Name])}
		value.Differs = o.Confirmed != nil && o.Local[f.Name] != o.Confirmed[f.Name]
		if of, ok := declared.Object(f.Object); ok && f.Type == "object" && value.Local != "" {
			value.Link = objectPath(p.ID, activation.ObjectRef{Kind: of.Kind, ID: o.Local[f.Name]})
		}
		p.Values = append(p.Values, value)
		if editable(f, o) {
			at := o.Local[f.Name]
			if given != nil {
				at = given("field." + f.Name)
			}
			p.Fields = append(p.Fields, objectField(f, at, wrong["field."+f.Name]))
		}
	}
	switch {
	case o.Removed:
		p.Uneditable = "The publisher does not have it any more."
	case o.Deleted:
		p.Uneditable = "It is to be deleted. Cancel that change to edit it again."
	}
}

// objectDo is what else can be done with an object.
func (c *Console) objectDo(v visit, p *objectPage, declared *provider.Publishing, t provider.ObjectType) {
	o := p.Object
	if o.Removed || o.Deleted {
		return
	}
	if t.Deletes {
		p.Delete = askFirst("delete", "Delete “"+p.Title+"”?", v.press(p.Here+"/delete", "Delete", "trash"), "Keep it",
			"It is deleted at "+p.Publisher+", with everything in it, when the change is sent. That can't be taken back there.").grave()
		p.Delete.Fields = []field{sendField("")}
	}
	if status := o.Local[activation.FieldStatus]; status == activation.StatusEnabled || status == activation.StatusPaused {
		b := v.press(p.Here, "Pause", "player-pause")
		to := activation.StatusPaused
		if status == activation.StatusPaused {
			b.Text, b.Icon, to = "Enable", "player-play", activation.StatusEnabled
		}
		b.Hidden = []hidden{{"only", activation.FieldStatus}, {"field." + activation.FieldStatus, to}}
		p.Toggle = &b
		p.Schedule = p.Path + "/schedules?object=" + url.QueryEscape(refText(o.ObjectRef))
	}
	for _, in := range declared.Objects {
		if in.Parent == t.Name {
			q := url.Values{"kind": {string(in.Kind)}, "parent": {refText(o.ObjectRef)}}
			if severalOf(declared, in.Kind) {
				q.Set("type", in.Name)
			}
			p.Within = append(p.Within, link{p.Path + "/structure?" + q.Encode(), orText(in.Title, in.Name)})
		}
	}
}

// editObject changes the fields of an object that differ from what they are.
func (c *Console) editObject(v visit) (view, error) {
	a, o, t, err := c.objectOf(v)
	if err != nil {
		return view{}, err
	}
	edit := publishing.EditSpec{Action: publishing.ActionSet, Kind: o.Kind, ID: o.ID, Fields: map[string]string{}}
	for _, f := range t.Fields {
		value := v.post("field." + f.Name)
		if only := v.post("only"); only != "" && only != f.Name || !v.PostForm.Has("field."+f.Name) || value == o.Local[f.Name] {
			continue
		}
		if value == "" {
			edit.Clear = append(edit.Clear, f.Name)
		} else {
			edit.Fields[f.Name] = value
		}
	}
	to := objectPath(a.ID, o.ObjectRef)
	if len(edit.Fields)+len(edit.Clear) == 0 {
		return view{To: to, Said: flash{"ok", "Nothing changes: the values are as they were."}}, nil
	}
	send := sendOf(v.post("send"))
	done, err := c.Publishing.Edit(v.Context(), a.ID, []publishing.EditSpec{edit}, send, "console", v.who.Name)
	wrong, err := editWrong(done, err)
	if err != nil {
		return refused(to, err)
	}
	if wrong != nil {
		return c.object(v, wrong, v.post)
	}
	c.waits.drop("")
	return view{To: to, Said: editedWords(done, send, a)}, nil
}

// objectOf reads the object that the address names.
func (c *Console) objectOf(v visit) (activation.PublisherAccount, publishing.ObjectView, provider.ObjectType, error) {
	a, err := c.Publishing.Account(v.Context(), activation.PublisherID(v.PathValue("id")))
	if err != nil {
		return a, publishing.ObjectView{}, provider.ObjectType{}, err
	}
	o, err := c.Publishing.Object(v.Context(), a.ID, activation.ObjectRef{Kind: activation.ObjectKind(v.PathValue("kind")), ID: v.PathValue("object")})
	t, _ := c.publishingOf(a.Provider).Object(o.Type)
	return a, o, t, err
}

// editWrong is what is wrong with edits, by the inputs of their form; nil = nothing.
func editWrong(r publishing.EditResult, err error) (map[string]string, error) {
	if activation.KindOf(err) == activation.Invalid {
		return map[string]string{"": sentence(reason(err))}, nil
	}
	if err != nil || r.Errors == 0 && len(r.Problems) == 0 {
		return nil, err
	}
	wrong := map[string]string{}
	for _, p := range r.Problems {
		at := ""
		if p.Field != "" {
			at = "field." + p.Field
		}
		wrong[at] = strings.TrimSpace(wrong[at] + " " + sentence(p.Message))
	}
	if len(wrong) == 0 {
		wrong[""] = "Nothing was changed."
	}
	return wrong, nil
}

func (c *Console) deleteObject(v visit) (view, error) {
	a, o, _, err := c.objectOf(v)
	if err != nil {
		return view{}, err
	}
	to := objectPath(a.ID, o.ObjectRef)
	send := sendOf(v.post("send"))
	done, err := c.Publishing.Edit(v.Context(), a.ID, []publishing.EditSpec{{Action: publishing.ActionDelete, Kind: o.Kind, ID: o.ID}}, send, "console", v.who.Name)
	wrong, err := editWrong(done, err)
	if err != nil {
		return refused(to, err)
	}
	for _, text := range wrong {
		return view{To: to, Said: flash{"bad", text}}, nil
	}
	c.waits.drop("")
	return view{To: to, Said: editedWords(done, send, a)}, nil
}

type createPage struct {
	publisherTab
	CSRF, Wrong, Back  string
	Withheld, TypeName string
	Fields             []field
	Parent             *field
	Send               field
}

// createForm is the form of a new object, as its type is declared.
func (c *Console) createForm(v visit, wrong map[string]string) (view, error) {
	head, err := c.publisherHead(v, "Structure")
	if err != nil {
		return view{}, err
	}
	declared := c.publishingOf(head.Provider)
	t, ok := declared.Object(orText(v.post("type"), v.get("type")))
	if !ok || !t.Creates {
		return view{}, activation.ErrNotFound
	}
	p := createPage{publisherTab: head, CSRF: v.who.CSRF, Withheld: v.press("", "", "").Withheld, TypeName: t.Name, Back: head.Path + "/structure?kind=" + string(t.Kind), Send: sendField(orText(v.post("send"), v.get("send")))}
	if severalOf(declared, t.Kind) {
		p.Back += "&type=" + url.QueryEscape(t.Name)
	}
	if t.Parent != "" {
		if p.Parent, err = c.parentField(v, head.ID, declared, t, wrong); err != nil {
			return view{}, err
		}
	}
	for _, f := range t.Fields {
		if f.Shown {
			continue
		}
		input := objectField(f, v.post("field."+f.Name), wrong["field."+f.Name])
		if f.Type == "object" {
			if err := c.offer(v, head.ID, declared, f, &input); err != nil {
				return view{}, err
			}
		}
		p.Fields = append(p.Fields, input)
	}
	inputs := p.Fields
	if p.Parent != nil {
		inputs = append([]field{*p.Parent}, inputs...)
	}
	p.Wrong = formWrong(wrong, inputs)
	out := publisherView("create", head, "New "+t.Name, p)
	out.Crumbs = append(out.Crumbs, link{p.Back, orText(t.Title, t.Name)})
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// offered is the most objects that a select offers; others are named by id.
const offered = 200

// parentField is the select of what a new object lies in.
func (c *Console) parentField(v visit, id activation.PublisherID, declared *provider.Publishing, t provider.ObjectType, wrong map[string]string) (*field, error) {
	f := &field{Name: "parent", Label: sentenceWord(t.Parent), Type: "select", Required: true, Error: wrong["parent"]}
	of, _ := declared.Object(t.Parent)
	chosen := refOf(orText(v.post("parent"), v.get("parent")))
	options, err := c.objectOptions(v, id, declared, of, chosen)
	f.Options = append([]option{{"", "Choose one", chosen.ID == ""}}, options...)
	if len(options) > offered {
		f.Help = "The first " + num(offered) + " are offered. For another, open it in the structure and create from there."
	}
	return f, err
}

// objectOptions are the objects of a type, as options by their refs; the chosen one is
// among them.
func (c *Console) objectOptions(v visit, id activation.PublisherID, declared *provider.Publishing, of provider.ObjectType, chosen activation.ObjectRef) ([]option, error) {
	q := activation.ObjectQuery{Publisher: id, Kind: of.Kind}
	if severalOf(declared, of.Kind) {
		q.Type = of.Name
	}
	objects, more, err := upTo(offered, func(after string) ([]activation.PublisherObject, string, error) {
		q.After, q.Limit = after, offered
		return c.Publishing.Objects(v.Context(), q)
	})
	if err != nil {
		return nil, err
	}
	var out []option
	found := false
	for _, o := range objects {
		if o.Deleted || o.Removed {
			continue
		}
		found = found || o.ObjectRef == chosen
		out = append(out, option{refText(o.ObjectRef), o.Name(), o.ObjectRef == chosen})
	}
	if !found && chosen.ID != "" {
		names, err := c.objectNames(v.Context(), id, []activation.ObjectRef{chosen})
		if err != nil {
			return nil, err
		}
		out = append([]option{{refText(chosen), names[chosen], true}}, out...)
	}
	if more {
		for len(out) <= offered {
			out = append(out, option{"", "…", false})
		}
	}
	return out, nil
}

// offer makes a select of a field that names an object, where there are few.
func (c *Console) offer(v visit, id activation.PublisherID, declared *provider.Publishing, f provider.ObjectField, input *field) error {
	of, ok := declared.Object(f.Object)
	if !ok {
		return nil
	}
	options, err := c.objectOptions(v, id, declared, of, activation.ObjectRef{})
	if err != nil || len(options) > offered {
		return err
	}
	input.Type, input.Options = "select", []option{{"", "None", input.Value == ""}}
	for _, o := range options {
		id := refOf(o.Value).ID
		input.Options = append(input.Options, option{id, o.Text, id == input.Value})
	}
	return nil
}

func (c *Console) createObject(v visit) (view, error) {
	a, err := c.Publishing.Account(v.Context(), activation.PublisherID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	t, ok := c.publishingOf(a.Provider).Object(v.post("type"))
	if !ok || !t.Creates {
		return view{}, activation.ErrNotFound
	}
	edit := publishing.EditSpec{Action: publishing.ActionCreate, Kind: t.Kind, Type: t.Name, Parent: refOf(v.post("parent")), Fields: map[string]string{}}
	if t.Parent != "" && edit.Parent.ID == "" {
		return c.createForm(v, map[string]string{"parent": "Choose the " + t.Parent + " that it lies in."})
	}
	for _, f := range t.Fields {
		if value := v.post("field." + f.Name); value != "" && !f.Shown {
			edit.Fields[f.Name] = value
		}
	}
	send := sendOf(v.post("send"))
	done, err := c.Publishing.Edit(v.Context(), a.ID, []publishing.EditSpec{edit}, send, "console", v.who.Name)
	wrong, err := editWrong(done, err)
	if err != nil {
		return refused(publisherPath(a.ID)+"/structure/new?type="+url.QueryEscape(t.Name), err)
	}
	if wrong != nil {
		return c.createForm(v, wrong)
	}
	c.waits.drop("")
	to := publisherPath(a.ID) + "/structure?kind=" + string(t.Kind)
	if len(done.Entries) > 0 && done.Entries[0].Object.ID != "" {
		to = objectPath(a.ID, done.Entries[0].Object)
	}
	return view{To: to, Said: editedWords(done, send, a)}, nil
}
