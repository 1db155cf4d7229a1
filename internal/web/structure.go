package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

const (
	// objectsPerPage is how many objects a page of the grid has.
	objectsPerPage = 50
	// multiLimit is the most objects that one multi-edit takes; a file takes more.
	multiLimit = publishing.MaxEdits
	// costDays is how far back the grid's costs go.
	costDays = 7
	// numberedShown is how many of numbered fields, such as headlines, the grid shows.
	numberedShown = 3
)

type structurePage struct {
	publisherTab
	CSRF             string
	Kinds            []segmentLink
	Type             provider.ObjectType
	Columns          []gridColumn
	Rows             []gridRow
	Status, Text     string
	Statuses         []option
	Waiting, Removed bool
	Parent           *crumbed
	Sends            []segmentLink
	Send             activation.Send
	SendSays         string
	Next, First      string
	Clear            bool
	Here             string // the address of the list
	New              string
	Bulk             gridBulk
	Currency         string
	CostFrom, CostTo string
	Withheld         string
	SyncedAt         bool
	Nothing          bool // nothing was read yet
}

// crumbed is what a list is narrowed to, with the address without it.
type crumbed struct{ Name, Path, Without string }

// gridColumn is a declared field, as the head of a column.
type gridColumn struct {
	provider.ObjectField
	Head  string
	Right bool
}

// gridRow is one object of the grid.
type gridRow struct {
	activation.PublisherObject
	ID, Ref, Path, Name string
	Chip                chip
	New                 bool
	Cells               []gridCell
	// Named and State are the name and the status, which can be edited too.
	Named, State gridCell
	Cost         costDay
	Spent        bool
	ParentName   string
	// Wrong is why an edit of the row was refused.
	Wrong string
	// Ticks: the row can be ticked.
	Ticks bool
}

// gridCell is a value as it is here, with the publisher's where that differs.
type gridCell struct {
	Name, Label, Value, Was string
	Differs                 bool
	Right, Tight, Wide      bool
	// Href opens the cell, "" where it can't be edited; Link leads to the object that
	// the value names.
	Href, Link string
	// Form is set where the cell is open.
	Form *cellForm
}

// cellForm edits one cell.
type cellForm struct {
	To, CSRF, Send, Ref, Keep, Back string
	// Wrong is why what was typed is refused.
	Wrong string
	Field field
}

// gridBulk is what can be done with ticked rows.
type gridBulk struct {
	To, CSRF, Matching, Withheld string
	Fields                       []option
	Status, Deletes              bool
}

func (c *Console) registerStructure(mux *http.ServeMux) {
	c.page(mux, "/publishers/{id}/structure", "", func(v visit) (view, error) { return c.structure(v, nil) })
	c.page(mux, "/publishers/{id}/structure/cell", "", c.cell)
	c.action(mux, "/publishers/{id}/structure/cell", activation.RoleOperator, c.editCell)
	c.action(mux, "/publishers/{id}/structure", activation.RoleOperator, c.multiEdit)
	c.page(mux, "/publishers/{id}/structure/new", "", func(v visit) (view, error) { return c.createForm(v, nil) })
	c.action(mux, "/publishers/{id}/structure/new", activation.RoleOperator, c.createObject)
	c.page(mux, "/publishers/{id}/object/{kind}/{object}", "object", func(v visit) (view, error) { return c.object(v, nil, nil) })
	c.action(mux, "/publishers/{id}/object/{kind}/{object}", activation.RoleOperator, c.editObject)
	c.action(mux, "/publishers/{id}/object/{kind}/{object}/delete", activation.RoleOperator, c.deleteObject)
}

// typeAsked is the declared type that a grid shows: by its name, by its kind, or the
// first.
func typeAsked(v visit, declared *provider.Publishing) (provider.ObjectType, bool) {
	if t, ok := declared.Object(v.get("type")); ok {
		return t, true
	}
	kind := activation.ObjectKind(v.get("kind"))
	for _, t := range declared.Objects {
		if t.Kind == kind || kind == "" {
			return t, true
		}
	}
	return provider.ObjectType{}, false
}

// severalOf reports whether a publisher has more than one type of a kind.
func severalOf(declared *provider.Publishing, kind activation.ObjectKind) bool {
	n := 0
	for _, t := range declared.Objects {
		if t.Kind == kind {
			n++
		}
	}
	return n > 1
}

// structureHref is the address of the grid with some parameters set, from its start;
// "" takes one away.
func structureHref(v visit, path string, set ...string) string {
	q := filters(v)
	q.Del("edit")
	for i := 0; i+1 < len(set); i += 2 {
		q.Del(set[i])
		if set[i+1] != "" {
			q.Set(set[i], set[i+1])
		}
	}
	return withQuery(path+"/structure", q)
}

// objectQuery reads the filters of the grid.
func objectQuery(v visit, id activation.PublisherID, declared *provider.Publishing, t provider.ObjectType) activation.ObjectQuery {
	q := activation.ObjectQuery{
		Publisher: id, Kind: t.Kind, Parent: refOf(v.get("parent")), Status: v.get("status"), Text: v.get("q"),
		Waiting: v.get("waiting") != "", Removed: v.get("removed") != "",
	}
	if severalOf(declared, t.Kind) {
		q.Type = t.Name
	}
	return q
}

// structure is the grid of one type of object: a column for each declared field.
func (c *Console) structure(v visit, at map[activation.ObjectRef]string) (view, error) {
	head, err := c.publisherHead(v, "Structure")
	if err != nil {
		return view{}, err
	}
	declared := c.publishingOf(head.Provider)
	t, ok := typeAsked(v, declared)
	if !ok {
		return view{}, activation.ErrNotFound
	}
	p := structurePage{
		publisherTab: head, CSRF: v.who.CSRF, Type: t, Status: v.get("status"), Text: v.get("q"), Waiting: v.get("waiting") != "", Removed: v.get("removed") != "",
		Here: structureHref(v, head.Path), Withheld: v.press("", "", "").Withheld, SyncedAt: !head.PublisherAccount.SyncedAt.IsZero(), Send: sendOf(v.get("send")),
	}
	c.structureFilters(v, &p, declared)
	q := objectQuery(v, head.ID, declared, t)
	if q.Parent.ID != "" {
		names, err := c.objectNames(v.Context(), head.ID, []activation.ObjectRef{q.Parent})
		if err != nil {
			return view{}, err
		}
		p.Parent = &crumbed{names[q.Parent], objectPath(head.ID, q.Parent), structureHref(v, head.Path, "parent", "")}
	}
	q.Limit, q.After = objectsPerPage, v.get("after")
	page, next, err := c.Publishing.Objects(v.Context(), q)
	if err != nil {
		return view{}, err
	}
	if next != "" {
		p.Next = structureHref(v, head.Path, "after", next)
	}
	if q.After != "" {
		p.First = structureHref(v, head.Path)
	}
	p.Nothing = len(page) == 0 && !p.Clear
	if p.Rows, err = c.gridRows(v, &p, page, at); err != nil {
		return view{}, err
	}
	return publisherView("structure", head, orText(t.Title, t.Name), p), nil
}

func (c *Console) structureFilters(v visit, p *structurePage, declared *provider.Publishing) {
	for _, t := range declared.Objects {
		q := url.Values{"kind": {string(t.Kind)}}
		if severalOf(declared, t.Kind) {
			q.Set("type", t.Name)
		}
		if v.get("send") != "" {
			q.Set("send", v.get("send"))
		}
		p.Kinds = append(p.Kinds, segmentLink{sentenceWord(orText(t.Title, t.Name)), p.Path + "/structure?" + q.Encode(), t.Name == p.Type.Name})
	}
	p.Statuses = choose([]option{{"", "Any status", false}, {activation.StatusEnabled, "Enabled", false}, {activation.StatusPaused, "Paused", false}}, p.Status)
	for _, s := range sends {
		short := map[string]string{string(activation.SendNightly): "Nightly", string(activation.SendNow): "Now", string(activation.SendHold): "Held"}[s.Value]
		p.Sends = append(p.Sends, segmentLink{short, structureHref(v, p.Path, "send", s.Value), s.Value == string(p.Send)})
	}
	p.SendSays = "Edits of this page: " + lower(sendWords(p.Send, p.PublisherAccount)[:1]) + sendWords(p.Send, p.PublisherAccount)[1:]
	q := filters(v)
	for _, name := range []string{"kind", "type", "send", "edit"} {
		q.Del(name)
	}
	p.Clear = len(q) > 0
	p.Columns = gridColumns(p.Type, p.Currency)
	p.Bulk = gridBulk{To: structureHref(v, p.Path), CSRF: v.who.CSRF, Withheld: p.Withheld, Matching: "All that match", Deletes: p.Type.Deletes}
	for _, f := range p.Type.Fields {
		switch {
		case f.Shown || f.Fixed:
		case f.Name == activation.FieldStatus:
			p.Bulk.Status = true
		case f.Name != activation.FieldName:
			p.Bulk.Fields = append(p.Bulk.Fields, option{f.Name, labelOf(f), false})
		}
	}
	if p.Type.Creates {
		p.New = p.Path + "/structure/new?type=" + url.QueryEscape(p.Type.Name) + "&send=" + string(p.Send)
		if parent := v.get("parent"); parent != "" {
			p.New += "&parent=" + url.QueryEscape(parent)
		}
	}
}

func labelOf(f provider.ObjectField) string {
	return orText(f.Label, sentenceWord(strings.ReplaceAll(f.Name, "_", " ")))
}

// gridColumns are the columns of a type beside name and status, which come first.
func gridColumns(t provider.ObjectType, currency string) (out []gridColumn) {
	_, named := t.Field(activation.FieldName)
	for _, f := range t.Fields {
		// What a keyword is, is what it is called.
		if f.Name == activation.FieldName || f.Name == activation.FieldStatus || f.Name == "keyword" && !named || beyondGrid(f.Name) {
			continue
		}
		col := gridColumn{f, labelOf(f), f.Type == "amount" || f.Type == "number"}
		if f.Type == "amount" && currency != "" {
			col.Head += " (" + currency + ")"
		}
		out = append(out, col)
	}
	return out
}

// beyondGrid reports whether a field is one of a long row of the same sort, such as the
// fourth headline: the grid has the first ones, the page of the object all.
func beyondGrid(name string) bool {
	i := strings.LastIndexByte(name, '_')
	n, err := strconv.Atoi(name[i+1:])
	return i > 0 && err == nil && n > numberedShown
}

// gridRows makes the rows of a page, with what each object cost lately.
func (c *Console) gridRows(v visit, p *structurePage, page []activation.PublisherObject, wrong map[activation.ObjectRef]string) ([]gridRow, error) {
	p.Columns = gridColumns(p.Type, p.PublisherAccount.Currency)
	var parents []activation.ObjectRef
	for _, o := range page {
		if o.Parent.ID != "" {
			parents = append(parents, o.Parent)
		}
	}
	names, err := c.objectNames(v.Context(), p.ID, parents)
	if err != nil {
		return nil, err
	}
	today := c.Now().In(zoneOf(p.PublisherAccount))
	p.CostFrom, p.CostTo, p.Currency = today.AddDate(0, 0, 1-costDays).Format("2006-01-02"), today.Format("2006-01-02"), p.PublisherAccount.Currency
	out := make([]gridRow, len(page))
	for i, o := range page {
		out[i] = c.gridRow(v, p, o)
		out[i].ParentName, out[i].Wrong = names[o.Parent], wrong[o.ObjectRef]
		if form := out[i].open(); form != nil {
			form.Wrong, out[i].Wrong = out[i].Wrong, ""
		}
	}
	return out, c.rowCosts(v, p, out)
}

// rowCosts are what the objects of a page cost in the last days, in the account's
// currency, asked for at once.
func (c *Console) rowCosts(v visit, p *structurePage, rows []gridRow) error {
	at := map[string]int{}
	for i, row := range rows {
		if !row.New {
			at[row.ObjectRef.ID] = i
		}
	}
	if p.Type.Kind == activation.KindOther || len(at) == 0 {
		return nil
	}
	report, err := c.Publishing.Costs(v.Context(), activation.CostQuery{
		Publisher: p.PublisherAccount.ID, From: p.CostFrom, Until: p.CostTo, Kind: p.Type.Kind, Objects: slices.Sorted(maps.Keys(at)), By: "object", Currency: p.Currency,
	})
	if err != nil {
		return err
	}
	for _, r := range report.Rows {
		i, ok := at[r.Object.ID]
		if !ok {
			continue
		}
		day := costDay{Impressions: r.Impressions, Clicks: r.Clicks, micros: r.Micros, conversions: r.Conversions, value: r.Value}
		rows[i].Cost, rows[i].Spent = day.said(), true
	}
	return nil
}

// gridRow is one object, cell by cell.
func (c *Console) gridRow(v visit, p *structurePage, o activation.PublisherObject) gridRow {
	row := gridRow{
		PublisherObject: o, ID: rowID(o.ObjectRef), Ref: refText(o.ObjectRef), Path: objectPath(p.PublisherAccount.ID, o.ObjectRef), Name: o.Name(),
		Chip: objectChip(o), New: o.Confirmed == nil, Ticks: p.Withheld == "",
	}
	open := v.get("edit")
	if f, ok := p.Type.Field(activation.FieldName); ok {
		row.Named = c.gridCell(v, p, o, gridColumn{ObjectField: f}, open)
	}
	if f, ok := p.Type.Field(activation.FieldStatus); ok {
		row.State = c.gridCell(v, p, o, gridColumn{ObjectField: f}, open)
	}
	for _, col := range p.Columns {
		row.Cells = append(row.Cells, c.gridCell(v, p, o, col, open))
	}
	return row
}

// open is the form of the cell of a row that is open, if one is.
func (r *gridRow) open() *cellForm {
	for _, cell := range append([]gridCell{r.Named, r.State}, r.Cells...) {
		if cell.Form != nil {
			return cell.Form
		}
	}
	return nil
}

// rowID is the id of an object's row in the page.
func rowID(ref activation.ObjectRef) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, ref.ID)
	return "o-" + string(ref.Kind) + "-" + clean
}

// objectChip is how an object is, here.
func objectChip(o activation.PublisherObject) chip {
	switch {
	case o.Removed:
		return chip{"off", "trash", "Removed", false}
	case o.Deleted:
		return chip{"bad", "trash", "To be deleted", false}
	case o.Confirmed == nil:
		return chip{"run", "plus", "New", false}
	}
	switch o.Local[activation.FieldStatus] {
	case activation.StatusEnabled:
		return chip{"ok", "player-play", "Enabled", false}
	case activation.StatusPaused:
		return chip{"off", "player-pause", "Paused", false}
	case "":
		return chip{"line", "info-circle", "No status", false}
	}
	return chip{"line", "info-circle", choiceWord(o.Local[activation.FieldStatus]), false}
}

func (c *Console) gridCell(v visit, p *structurePage, o activation.PublisherObject, col gridColumn, open string) gridCell {
	f := col.ObjectField
	cell := gridCell{Name: f.Name, Label: labelOf(f), Value: shownValue(f, o.Local[f.Name]), Right: col.Right, Tight: col.Right || f.Type == "date" || f.Type == "time", Wide: f.Type == "text" || f.Type == "url"}
	if was := o.Confirmed[f.Name]; o.Confirmed != nil && was != o.Local[f.Name] {
		cell.Was, cell.Differs = shownValue(f, was), true
	}
	if f.Type == "object" && cell.Value != "" {
		if t, ok := c.publishingOf(p.Provider).Object(f.Object); ok {
			cell.Link = objectPath(p.PublisherAccount.ID, activation.ObjectRef{Kind: t.Kind, ID: o.Local[f.Name]})
		}
	}
	if editable(f, o) && p.Withheld == "" {
		key := refText(o.ObjectRef) + ":" + f.Name
		cell.Href = structureHref(v, p.Path, "edit", key, "after", v.get("after")) + "#" + rowID(o.ObjectRef)
		if open == key {
			cell.Form = c.cellForm(v, p.Path, o.ObjectRef, f, orText(v.post("field."+f.Name), o.Local[f.Name]))
		}
	}
	return cell
}

// editable reports whether a field of an object can be changed now.
func editable(f provider.ObjectField, o activation.PublisherObject) bool {
	return !f.Shown && (!f.Fixed || o.Confirmed == nil) && !o.Removed && !o.Deleted
}

// cellForm is the form of an open cell.
func (c *Console) cellForm(v visit, path string, ref activation.ObjectRef, f provider.ObjectField, value string) *cellForm {
	keep := filters(v)
	for _, name := range []string{"edit", "ref", "field", "part"} {
		keep.Del(name)
	}
	if after := v.get("after"); after != "" {
		keep.Set("after", after)
	}
	input := objectField(f, value, "")
	input.Label, input.Help = labelOf(f), ""
	return &cellForm{
		To: path + "/structure/cell", CSRF: v.who.CSRF, Send: string(sendOf(v.get("send"))), Ref: refText(ref), Keep: keep.Encode(), Back: withQuery(path+"/structure", keep) + "#" + rowID(ref), Field: input,
	}
}

// objectField is the input of a declared field.
func objectField(f provider.ObjectField, value, wrong string) field {
	out := field{Name: "field." + f.Name, Label: labelOf(f), Help: f.Help, Type: "text", Value: value, Example: f.Example, Required: f.Required, Error: wrong}
	switch f.Type {
	case "select":
		out.Type = "select"
		if !slices.Contains(f.Options, value) {
			out.Options = append(out.Options, option{value, orText(value, "–"), true})
		}
		for _, o := range f.Options {
			out.Options = append(out.Options, option{o, choiceWord(o), o == value})
		}
	case "bool":
		out.Type, out.Options = "select", choose([]option{{"", "–", false}, {"true", "Yes", false}, {"false", "No", false}}, value)
	case "date":
		out.Type = "date"
	}
	return out
}

// cell is one row with an open cell, for a browser that swaps it in.
func (c *Console) cell(v visit) (view, error) {
	return c.oneRow(v, "")
}

// oneRow is the row of one object alone; wrong is why an edit of it was refused.
func (c *Console) oneRow(v visit, wrong string) (view, error) {
	head, err := c.publisherHead(v, "Structure")
	if err != nil {
		return view{}, err
	}
	edit := orText(v.get("edit"), v.post("ref")+":"+v.post("field"))
	ref := refOf(edit[:max(0, strings.LastIndex(edit, ":"))])
	o, err := c.Publishing.Object(v.Context(), head.ID, ref)
	if err != nil {
		return view{}, err
	}
	declared := c.publishingOf(head.Provider)
	t, ok := declared.Object(o.Type)
	if !ok {
		return view{}, activation.ErrNotFound
	}
	p := structurePage{publisherTab: head, CSRF: v.who.CSRF, Type: t, Withheld: v.press("", "", "").Withheld}
	if p.Rows, err = c.gridRows(v, &p, []activation.PublisherObject{o.PublisherObject}, map[activation.ObjectRef]string{ref: wrong}); err != nil {
		return view{}, err
	}
	return view{Template: "structure", Fragment: "grid-one", Title: o.Name(), Section: "/publishers", Body: p}, nil
}

// editCell changes one field of one object. A browser that swaps rows gets the row, any
// other the page that it came from.
func (c *Console) editCell(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	a, err := c.Publishing.Account(v.Context(), id)
	if err != nil {
		return view{}, err
	}
	ref, name := refOf(v.post("ref")), v.post("field")
	send := sendOf(v.post("send"))
	keep, _ := url.ParseQuery(v.post("keep"))
	v.URL.RawQuery = keep.Encode()
	edit := setField(ref, name, v.post("field."+name))
	done, err := c.Publishing.Edit(v.Context(), id, []publishing.EditSpec{edit}, send, "console", v.who.Name)
	wrong := ""
	if activation.KindOf(err) == activation.Invalid {
		wrong, err = sentence(reason(err)), nil
	}
	if err != nil {
		return view{}, err
	}
	if done.Errors > 0 || len(done.Problems) > 0 {
		wrong = sentence(problemWords(done.Problems, c.typeWith(a.Provider, ref.Kind, name)))
	}
	c.waits.drop("")
	if v.post("part") != "" {
		if wrong != "" { // the cell stays open, with what was typed
			keep.Set("edit", refText(ref)+":"+name)
			v.URL.RawQuery = keep.Encode()
		}
		return c.oneRow(v, wrong)
	}
	to := withQuery(publisherPath(id)+"/structure", keep) + "#" + rowID(ref)
	if wrong != "" {
		return view{To: to, Said: flash{"bad", wrong}}, nil
	}
	return view{To: to, Said: editedWords(done, send, a)}, nil
}

// typeWith is the first declared type of a kind that has the field.
func (c *Console) typeWith(publisher string, kind activation.ObjectKind, field string) provider.ObjectType {
	for _, t := range c.publishingOf(publisher).Objects {
		if _, ok := t.Field(field); ok && t.Kind == kind {
			return t
		}
	}
	return provider.ObjectType{}
}

// setField is the edit that gives a field a value, or none.
func setField(ref activation.ObjectRef, name, value string) publishing.EditSpec {
	e := publishing.EditSpec{Action: publishing.ActionSet, Kind: ref.Kind, ID: ref.ID}
	if value == "" {
		e.Clear = []string{name}
	} else {
		e.Fields = map[string]string{name: value}
	}
	return e
}

// editedWords says what became of edits that were all taken.
func editedWords(r publishing.EditResult, send activation.Send, a activation.PublisherAccount) flash {
	var parts []string
	for _, one := range []struct {
		n    int64
		noun string
	}{{r.Adds, "new object"}, {r.Edits, "edit"}, {r.Deletes, "delete"}} {
		if one.n > 0 {
			parts = append(parts, many(one.n, one.noun))
		}
	}
	if len(parts) == 0 {
		return flash{"ok", "Nothing changes: the values are as they were."}
	}
	said := sentence(strings.Join(parts, ", "))
	if r.Adds+r.Edits+r.Deletes == 1 {
		said += " " + strings.NewReplacer("They are", "It is", "they are", "it is", "They go", "It goes", "go out in their", "goes out in its", "posts them", "posts it").Replace(sendWords(send, a))
		return flash{"ok", said}
	}
	return flash{"ok", said + " " + sendWords(send, a)}
}
