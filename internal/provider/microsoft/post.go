package microsoft

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// parentOf is the id of what an edit's object lies in.
func parentOf(e provider.Edit) string {
	if e.Operation == activation.OpCreate {
		return e.Parent.ID
	}
	parent, _ := split(e.Object.ID)
	return parent
}

// Together is the longest run of edits of one type, in one parent, that all create,
// all change or all delete: what one call of the API can hold. Who takes a name that
// another gives up goes in a later call.
func (p *publisher) Together(edits []provider.Edit) int {
	if len(edits) == 0 {
		return 1
	}
	head := edits[0]
	most := p.limits[head.Type]
	left := map[string]bool{nameLeft(head): true}
	n := 1
	for n < len(edits) && n < most {
		e := edits[n]
		if e.Type != head.Type || actionOf(e) != actionOf(head) || parentOf(e) != parentOf(head) || e.Parent.Kind != head.Parent.Kind {
			break
		}
		if taken := e.Set[activation.FieldName]; taken != "" && left[strings.ToLower(taken)] {
			break // it may take the name only once the other has given it up
		}
		left[nameLeft(e)] = true
		n++
	}
	return n
}

// nameLeft is the name that an edit gives up, in small letters.
func nameLeft(e provider.Edit) string {
	if e.Set[activation.FieldName] == "" {
		return ""
	}
	return strings.ToLower(e.Have[activation.FieldName])
}

// sending is one call of edits: what goes out of them, and where the answer of each
// belongs.
type sending struct {
	spec   spec
	action action
	parent string // the id of what they lie in
	edits  []provider.Edit
	out    []provider.EditOutcome
	told   []map[string]string
	at     []int // the place in edits of each row
	items  []any
}

// Post sends edits in one call.
func (p *publisher) Post(ctx context.Context, edits []provider.Edit) ([]provider.EditOutcome, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	s, ok := specOf(edits[0].Type)
	if !ok || len(edits) > p.Together(edits) {
		return nil, classSize.New()
	}
	c := &sending{spec: s, action: actionOf(edits[0]), parent: parentOf(edits[0]), edits: edits, out: make([]provider.EditOutcome, len(edits)), told: make([]map[string]string, len(edits))}
	if err := p.prepare(ctx, c); err != nil {
		return nil, harmless(err)
	}
	if len(c.items) == 0 {
		return c.out, nil
	}
	var answer map[string]json.RawMessage
	if err := p.call(ctx, p.request(c), &answer); err != nil {
		return nil, err
	}
	if !c.settle(answer, p) {
		err := classAnswer.New()
		err.MayHaveApplied = true
		return nil, err
	}
	return c.out, nil
}

// prepare makes the rows of a call, and refuses what cannot be sent.
func (p *publisher) prepare(ctx context.Context, c *sending) error {
	var info accountInfo
	if slices.ContainsFunc(c.edits, func(e provider.Edit) bool {
		return e.Set[activation.FieldBudget] != "" || e.Set[activation.FieldBid] != "" || c.action == doCreate && c.spec.typ == typeCampaign
	}) {
		var err error
		if info, err = p.known(ctx); err != nil {
			return err
		}
	}
	for i, e := range c.edits {
		if c.action == doCreate && c.spec.parentRef("x") != noRef && !safePath(e.Parent.ID) || c.action != doCreate && !safePath(e.Object.ID) {
			c.refuse(i, refusal{text: "the object that this needs is not there yet"})
			continue
		}
		if c.action == doDelete {
			c.add(i, own(e.Object.ID))
			continue
		}
		object, told, wrong := c.spec.object(e, info.CurrencyCode, info.TimeZone)
		if wrong != nil {
			c.refuse(i, *wrong)
			continue
		}
		c.told[i] = told
		c.add(i, object)
	}
	return nil
}

func (c *sending) add(i int, item any) {
	c.at = append(c.at, i)
	c.items = append(c.items, item)
}

func (c *sending) refuse(i int, r refusal) {
	c.out[i] = provider.EditOutcome{State: provider.EditRefused, Code: classField.Code, Text: r.text, Field: r.field}
}

// request is the call of the rows that go out.
func (p *publisher) request(c *sending) request {
	s := c.spec
	r := request{address: p.campaignURL + campaignPath + s.list, writes: true}
	body := map[string]any{}
	switch s.within {
	case keyAccount:
		body[keyAccount] = p.account
	case keyCampaign, keyGroup:
		if s.typ != typeLocation || c.action == doDelete {
			body[s.within] = own(c.parent)
		}
	}
	if s.typ == typeLocation {
		body["CriterionType"] = "Targets"
	}
	switch c.action {
	case doCreate:
		r.method, body[s.list] = http.MethodPost, c.items
	case doUpdate:
		r.method, body[s.list] = http.MethodPut, c.items
	case doDelete:
		r.method, body[s.ids] = http.MethodDelete, c.items
	}
	r.body = body
	return r
}

// settle reads what became of each row. ok is false for an answer that cannot be
// understood: it has no place for errors, as many ids as there were rows it has not, or
// an error of no row.
func (c *sending) settle(answer map[string]json.RawMessage, p *publisher) (ok bool) {
	errs, ok := rowErrors(answer)
	if !ok {
		return false
	}
	var ids []text
	if c.action == doCreate && (json.Unmarshal(answer[c.spec.ids], &ids) != nil || len(ids) != len(c.at)) {
		return false
	}
	for row, i := range c.at {
		c.out[i] = provider.EditOutcome{State: provider.EditDone, Values: c.told[i]}
		if c.action != doCreate {
			continue
		}
		if ids[row] == "" {
			c.out[i] = provider.EditOutcome{State: provider.EditUnknown, Code: classAnswer.Code, Text: "microsoft gave no id and no error"}
			continue
		}
		c.out[i].ID = join(c.within(i), string(ids[row]))
	}
	told := map[int]bool{} // the rows that have an error
	for _, e := range errs {
		if e.Index < 0 || e.Index >= len(c.at) {
			return false
		}
		i := c.at[e.Index]
		failed := c.failed(e, p)
		if c.out[i].ID != "" { // it has an id and an error
			failed.State = provider.EditUnknown
		}
		if !told[i] || weight(failed.State) > weight(c.out[i].State) {
			c.out[i], told[i] = failed, true
		}
	}
	for i := range c.out {
		if len(c.out[i].Values) == 0 {
			c.out[i].Values = nil
		}
	}
	return true
}

// weight says which of the errors of one row counts: that by which nothing is known,
// then that by which it will not take effect.
func weight(s provider.EditState) int {
	return slices.Index([]provider.EditState{provider.EditLater, provider.EditRefused, provider.EditUnknown}, s)
}

// within is the id of what the object of edit i lies in, "" for those of the account.
func (c *sending) within(i int) string {
	if c.spec.parentRef("x") == noRef {
		return ""
	}
	return c.edits[i].Parent.ID
}

// rowErrors are the errors of an answer by their rows; those of criteria are nested.
// ok is false where neither list is there, or one is of another form: nobody knows
// then that there are none. A list may be null, and so may what is in it.
func rowErrors(answer map[string]json.RawMessage) (errs []rowError, ok bool) {
	flat, hasFlat := answer["PartialErrors"]
	deep, hasDeep := answer["NestedPartialErrors"]
	var list []*rowError
	var nested []*nestedError
	if !hasFlat && !hasDeep || hasFlat && json.Unmarshal(flat, &list) != nil || hasDeep && json.Unmarshal(deep, &nested) != nil {
		return nil, false
	}
	for _, e := range list {
		if e != nil {
			errs = append(errs, *e)
		}
	}
	for _, n := range nested {
		if n != nil {
			errs = append(errs, n.rows()...)
		}
	}
	return errs, true
}

// nestedError is an error of a row that holds what was wrong with it.
type nestedError struct {
	self rowError
	in   []*rowError
}

// UnmarshalJSON reads both.
func (n *nestedError) UnmarshalJSON(raw []byte) error {
	var in struct{ BatchErrors []*rowError }
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	n.in = in.BatchErrors
	return json.Unmarshal(raw, &n.self)
}

// rows are the errors within, or itself where there are none, all of its own row.
func (n *nestedError) rows() []rowError {
	var all []rowError
	for _, e := range n.in {
		if e != nil {
			one := *e
			one.Index = n.self.Index
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		all = append(all, n.self)
	}
	return all
}

// failed is the outcome of a row that has an error.
func (c *sending) failed(e rowError, p *publisher) provider.EditOutcome {
	o := provider.EditOutcome{Text: e.words(), Field: c.field(e.FieldPath)}
	switch {
	case e.throttled():
		o.State, o.Code, o.Until = provider.EditLater, classThrottle.Code, p.now().Add(waitOf(e.Code))
	case e.internal():
		o.State, o.Code = provider.EditUnknown, classUnavailable.Code
	default:
		o.State, o.Code = provider.EditRefused, classRefused.Code
	}
	return o
}

// field is ours of the path that Microsoft gives, "" where there is none.
func (c *sending) field(path string) string {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]{}/", r) }) {
		for name, key := range keys[c.spec.typ] {
			if key == part {
				return name
			}
		}
	}
	return ""
}
