package publishing

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The columns that an error file has behind those of its upload.
var errorColumns = []string{"Result", "Error code", "Error message", "Field", "Request ID", "Row"}

// templateChunk is how many objects a template reads at once.
const templateChunk = 1000

// ErrorFile writes what failed of an upload as a CSV: the columns that it had, and
// what became of each row. Mended, it can be uploaded as it is. Rows that were left
// out because of an error stand behind those that failed, as they were.
func (d *Desk) ErrorFile(ctx context.Context, parent activation.EntryID, w io.Writer) error {
	e, err := d.cfg.Store.Entry(ctx, parent)
	if err != nil {
		return err
	}
	if !e.IsParent() {
		return &activation.Error{Kind: activation.Invalid, Code: CodeObject, Field: "id", Message: "id: the entry stands for no upload"}
	}
	account, err := d.cfg.Store.Publisher(ctx, e.Publisher)
	if err != nil {
		return err
	}
	p, err := d.newPlanner(account, true)
	if err != nil {
		return err
	}
	var l layout
	var header []string
	if text := e.Detail[detailColumns]; text != "" {
		if err := json.Unmarshal([]byte(text), &header); err != nil {
			return fmt.Errorf("read the columns of an upload: %w", err)
		}
	}
	l.read(p.pub, header)
	out := csv.NewWriter(w)
	if err := out.Write(append(append([]string(nil), header...), errorColumns...)); err != nil {
		return err
	}
	q := activation.EntryQuery{Publisher: e.Publisher, Parent: parent, Statuses: []activation.EntryStatus{activation.EntryFailed}}
	err = d.cfg.Store.EachEntry(ctx, q, func(c activation.Entry) error {
		if len(p.find.ids) > templateChunk {
			p.find.forget()
		}
		cells, err := p.cells(ctx, &l, c)
		if err != nil {
			return err
		}
		return out.Write(append(cells, string(c.Status), c.ErrorCode, c.ErrorText, c.ErrorField, c.RequestID, strconv.Itoa(c.Row)))
	})
	if err != nil {
		return err
	}
	var left []leftOut
	if text := e.Detail[detailProblems]; text != "" {
		if err := json.Unmarshal([]byte(text), &left); err != nil {
			return fmt.Errorf("read the problems of an upload: %w", err)
		}
	}
	for _, row := range leftRows(left, len(header)) {
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// leftRows are the rows of an upload that were left out, each once, with what is wrong
// with it: its cells, as far as they could be read and were kept, and the columns behind.
func leftRows(left []leftOut, columns int) [][]string {
	var out [][]string
	at := map[int]int{}
	for _, one := range left {
		field := first(one.Column, one.Field)
		i, seen := at[one.Row]
		if !seen || one.Row == 0 {
			row := make([]string, columns, columns+len(errorColumns))
			copy(row, one.Cells)
			at[one.Row] = len(out)
			out = append(out, append(row, "left out", one.Code, one.Message, field, "", strconv.Itoa(one.Row)))
			continue
		}
		result := out[i][columns:]
		result[2] += "; " + one.Message
		result[3] = first(result[3], field)
	}
	return out
}

// cells writes an entry as a row of these columns.
func (p *planner) cells(ctx context.Context, l *layout, e activation.Entry) ([]string, error) {
	t := l.named(e.Type)
	if t == nil {
		return make([]string, len(l.columns)), nil
	}
	values := map[string]string{}
	for _, c := range e.Changes {
		if values[c.Field] = c.After; c.After == "" {
			values[c.Field] = clearMark
		}
	}
	action := "set"
	switch e.Operation {
	case activation.OpCreate:
		action = "add"
	case activation.OpDelete:
		action = "remove"
	default:
	}
	lies, err := p.lies(ctx, l, t, e.ObjectParent, published)
	if err != nil {
		return nil, err
	}
	own := lie{typ: t, id: published(e.Object.ID), name: e.ObjectName}
	if v, ok := values[identityOf(t)]; ok {
		own.name = v // a new name, or that of a create
	}
	return l.row(p.account, action, append(lies, own), values, e.Detail[detailClient]), nil
}

// lie is one level of where an object lies.
type lie struct {
	typ      *provider.ObjectType
	id, name string
}

// lies returns what an object lies in, the outermost first; shown is how an id is
// written.
func (p *planner) lies(ctx context.Context, l *layout, t *provider.ObjectType, parent activation.ObjectRef, shown func(id string) string) ([]lie, error) {
	var out []lie
	for up := l.named(t.Parent); up != nil && parent.ID != ""; up = l.named(up.Parent) {
		o, err := p.find.object(ctx, parent)
		if err != nil {
			return nil, err
		}
		if create, waits := activation.CreatedBy(parent.ID); o == nil && waits {
			// Its create failed, so there is nothing but the entry.
			e, err := p.find.store.Entry(ctx, create)
			if err != nil {
				return nil, err
			}
			o = &activation.PublisherObject{ObjectRef: e.Object, Parent: e.ObjectParent, Local: map[string]string{activation.FieldName: e.ObjectName}}
		}
		if o == nil {
			return append([]lie{{typ: up, id: shown(parent.ID)}}, out...), nil
		}
		out = append([]lie{{typ: up, id: shown(o.ID), name: o.Name()}}, out...)
		parent = o.Parent
	}
	return out, nil
}

// published is an id that the publisher gave, "" for one of ours.
func published(id string) string {
	if _, ours := activation.CreatedBy(id); ours {
		return ""
	}
	return id
}

// row writes one object in the columns of a file.
func (l *layout) row(account activation.PublisherAccount, action string, lies []lie, values map[string]string, client string) []string {
	own := lies[len(lies)-1]
	byType := map[*provider.ObjectType]lie{}
	for _, one := range lies {
		byType[one.typ] = one
	}
	isNamed := slices.ContainsFunc(l.columns, func(c column) bool { return c.nameOf == own.typ })
	cells := make([]string, len(l.columns))
	for i, c := range l.columns {
		switch c.use {
		case useAction:
			cells[i] = action
		case useType:
			cells[i] = own.typ.Name
		case useAccount:
			cells[i] = account.Account
		case useClient:
			cells[i] = client
		case useID:
			cells[i] = own.id
		case useParentID:
			if len(lies) > 1 {
				cells[i] = lies[len(lies)-2].id
			}
		case useParent:
			if len(lies) > 1 {
				cells[i] = lies[len(lies)-2].name
			}
		}
		switch {
		case c.use != "":
		case c.idOf != nil:
			cells[i] = byType[c.idOf].id
		case c.nameOf != nil && byType[c.nameOf].typ != nil && (c.nameOf != own.typ || identityOf(own.typ) != ""):
			cells[i] = byType[c.nameOf].name
		case isNamed && c.fields[own.typ.Name] == identityOf(own.typ): // its name has a column of its own
		default:
			cells[i] = values[c.fields[own.typ.Name]]
		}
	}
	return cells
}

// Template writes the structure of an account as a file for uploads; as it is, it
// changes nothing.
func (d *Desk) Template(ctx context.Context, id activation.PublisherID, w io.Writer) error {
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return err
	}
	p, err := d.newPlanner(account, true)
	if err != nil {
		return err
	}
	header := templateHeader(p.pub)
	var l layout
	if problems := l.read(p.pub, header); len(problems) > 0 {
		return &activation.Error{Kind: activation.Internal, Message: "the fields of the publisher make no file: " + problems[0].Message}
	}
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return err
	}
	for i := range p.pub.Objects {
		t := &p.pub.Objects[i]
		q := activation.ObjectQuery{Publisher: id, Kind: t.Kind, Type: t.Name, Limit: templateChunk}
		for {
			page, next, err := d.cfg.Store.Objects(ctx, q)
			if err != nil {
				return err
			}
			if err := p.template(ctx, &l, t, page, out); err != nil {
				return err
			}
			if next == "" {
				break
			}
			q.After = next
		}
	}
	out.Flush()
	return out.Error()
}

func (p *planner) template(ctx context.Context, l *layout, t *provider.ObjectType, page []activation.PublisherObject, out *csv.Writer) error {
	p.find.forget()
	var refs []activation.ObjectRef
	for _, o := range page {
		refs = append(refs, o.Parent)
	}
	if err := p.find.load(ctx, refs); err != nil {
		return err
	}
	for _, o := range page {
		if o.Deleted {
			continue
		}
		lies, err := p.lies(ctx, l, t, o.Parent, func(id string) string { return id })
		if err != nil {
			return err
		}
		own := lie{typ: t, id: o.ID}
		if identity := identityOf(t); identity != "" {
			own.name = o.Local[identity]
		}
		values := maps.Clone(o.Local)
		maps.DeleteFunc(values, func(_, v string) bool { return v == clearMark }) // it would clear
		if err := out.Write(l.row(p.account, "", append(lies, own), values, "")); err != nil {
			return err
		}
	}
	return nil
}

// templateHeader names the columns of a template: what rows have in common, ids and
// names from the outside in, and every field that can be written.
func templateHeader(pub *provider.Publishing) []string {
	l := layout{pub: pub}
	header := []string{"Action", "Type", "ID"}
	for i := range pub.Objects {
		t := &pub.Objects[i]
		contains := false
		for _, other := range pub.Objects {
			contains = contains || other.Parent == t.Name
		}
		if !contains && t.Kind != activation.KindKeyword && t.Kind != activation.KindCreative {
			continue
		}
		name := title(t.Name)
		if c := l.column(name + " ID"); c.idOf == t && contains {
			header = append(header, name+" ID")
		}
		if c := l.column(name); c.nameOf == t && identityOf(t) != "" {
			header = append(header, name)
		}
	}
	for i := range pub.Objects {
		t := &pub.Objects[i]
		for _, f := range t.Fields {
			if f.Shown || f.Name == identityOf(t) && named(&l, header, t) {
				continue
			}
			label := f.Label
			if c := l.column(label); label == "" || c.fields[t.Name] != f.Name {
				label = f.Name
			}
			if !covers(&l, header, t.Name, f.Name) {
				header = append(header, label)
			}
		}
	}
	return header
}

// named reports whether a header has the name of a type.
func named(l *layout, header []string, t *provider.ObjectType) bool {
	for _, h := range header {
		if l.column(h).nameOf == t {
			return true
		}
	}
	return false
}

// covers reports whether a header has a field of a type.
func covers(l *layout, header []string, typ, field string) bool {
	for _, h := range header {
		if l.column(h).fields[typ] == field {
			return true
		}
	}
	return false
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
