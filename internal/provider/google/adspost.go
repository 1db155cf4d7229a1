package google

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// How edits travel. Google makes the operations of a call either all or none, or
// each for itself (partialFailure). Independent edits go the second way, so that a
// bad one leaves the others alone. What hangs together goes the first way: an edit
// that takes several operations, and creates of which one is in the other, by
// temporary ids.

// Together counts edits that take effect in one call as if they were sent one by one.
func (c *campaigns) Together(edits []provider.Edit) int {
	if len(edits) > 1 && isTree(edits) {
		return tree(edits)
	}
	if len(edits) < 2 || isAtomic(edits[0]) {
		return min(1, len(edits))
	}
	s := newSpan()
	n := 0
	for _, e := range edits[:min(len(edits), maxEdits)] {
		if !s.takes(e) {
			break
		}
		n++
	}
	return max(n, 1)
}

// isAtomic reports whether the edit takes several operations.
func isAtomic(e provider.Edit) bool {
	if e.Type != typeCampaign || e.Operation == activation.OpDelete || e.Set[activation.FieldBudget] == "" {
		return false
	}
	return e.Operation == activation.OpCreate || len(e.Set) > 1 || len(e.Clear) > 0
}

// isTree reports whether the second edit needs what the first one creates.
func isTree(edits []provider.Edit) bool {
	return edits[0].Operation == activation.OpCreate && needs(edits[1], map[string]bool{edits[0].Object.ID: true})
}

// tree counts the creates from the first on of which each needs one before it.
func tree(edits []provider.Edit) int {
	made := map[string]bool{edits[0].Object.ID: true}
	n := 1
	for _, e := range edits[1:min(len(edits), maxEdits)] {
		if e.Operation != activation.OpCreate || !needs(e, made) {
			break
		}
		made[e.Object.ID] = true
		n++
	}
	return n
}

// needs reports whether the edit refers to one of those.
func needs(e provider.Edit, made map[string]bool) bool {
	return made[e.Parent.ID] || made[e.Set[fieldShared]] || made[e.Object.ID] && e.Operation != activation.OpCreate
}

// span is what the edits of a call of independent ones are about.
type span struct {
	made map[string]bool
	// changed and used are what is edited and what is referred to.
	changed, used map[activation.ObjectRef]bool
	// taken and left are names: who takes one that another gives up goes in a later
	// call, since it depends on the order.
	taken, left map[string]bool
	// kinds are those of the objects. Where a campaign or an ad group is deleted, which
	// takes along what is in it, there is one alone.
	kinds   map[activation.ObjectKind]bool
	deletes bool
}

func newSpan() *span {
	return &span{made: map[string]bool{}, changed: map[activation.ObjectRef]bool{}, used: map[activation.ObjectRef]bool{}, taken: map[string]bool{}, left: map[string]bool{}, kinds: map[activation.ObjectKind]bool{}}
}

// takes reports whether the edit may join, and lets it.
func (s *span) takes(e provider.Edit) bool {
	var uses []activation.ObjectRef
	if shared := e.Set[fieldShared]; shared != "" {
		uses = append(uses, activation.ObjectRef{Kind: activation.KindOther, ID: shared})
	}
	if left := e.Have[fieldShared]; left != "" && e.Type == typeCampaign {
		uses = append(uses, activation.ObjectRef{Kind: activation.KindOther, ID: left})
	}
	takes, leaves := namesOf(e)
	deletes := e.Operation == activation.OpDelete && (e.Type == typeCampaign || e.Type == typeAdGroup)
	switch {
	case isAtomic(e), needs(e, s.made), s.changed[e.Object], s.used[e.Object],
		(deletes || s.deletes) && (len(s.kinds) > 1 || len(s.kinds) == 1 && !s.kinds[e.Object.Kind]),
		slices.ContainsFunc(uses, func(ref activation.ObjectRef) bool { return s.changed[ref] }),
		takes != "" && s.left[takes], leaves != "" && s.taken[leaves]:
		return false
	}
	s.changed[e.Object] = true
	for _, ref := range uses {
		s.used[ref] = true
	}
	s.taken[takes], s.left[leaves] = true, true
	s.kinds[e.Object.Kind] = true
	s.deletes = s.deletes || deletes
	if e.Operation == activation.OpCreate {
		s.made[e.Object.ID] = true
	}
	return true
}

// namesOf are the name that an edit takes and the one that it gives up, each in the
// place where it is taken once; "" = none.
func namesOf(e provider.Edit) (takes, leaves string) {
	at := func(values map[string]string) string {
		name := values[activation.FieldName]
		switch e.Type {
		case typeKeyword, typeNegative:
			name = values[fieldKeyword] + "\x00" + values[fieldMatchType]
		case typeLocation:
			name = values[fieldLocation]
		}
		return e.Type + "\x00" + e.Parent.ID + "\x00" + strings.ToLower(name)
	}
	_, renames := e.Set[activation.FieldName]
	switch {
	case e.Type == typeAd:
	case e.Operation == activation.OpCreate:
		return at(e.Set), ""
	case e.Operation == activation.OpDelete:
		return "", at(e.Have)
	case renames:
		return at(e.Set), at(e.Have)
	}
	return "", ""
}

// sent is what became of the edits of one call.
type sent struct {
	edits    []provider.Edit
	outcomes []provider.EditOutcome
	values   []map[string]string
	// ops are the operations, owner is the edit that each belongs to.
	ops    []mutation
	owner  []int
	atomic bool
}

// mutateAnswer is a good answer, of which some may be bad.
type mutateAnswer struct {
	Responses []map[string]mutateResult `json:"mutateOperationResponses"`
	Partial   *adsFault                 `json:"partialFailureError"`
	Error     *adsFault                 `json:"error"`
}

// mutateResult names what an operation was about, under the name of its sort.
type mutateResult struct {
	Name string `json:"resourceName"`
}

// Post sends edits in one call.
func (c *campaigns) Post(ctx context.Context, edits []provider.Edit) ([]provider.EditOutcome, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	if c.Together(edits) < len(edits) {
		err := adsRequest.whole(adsFault{})
		err.Message = "these edits do not travel together"
		return nil, err
	}
	is, err := c.about(ctx)
	if err != nil {
		return nil, unapplied(err)
	}
	s := c.write(edits, is.unit)
	if len(s.ops) == 0 {
		return s.outcomes, nil
	}
	body, err := c.buffer(map[string]any{
		"mutateOperations": s.ops, "partialFailure": !s.atomic, "responseContentType": "RESOURCE_NAME_ONLY",
	})
	if err != nil {
		return nil, err
	}
	defer body.Release()
	err = c.twice(ctx, func(token string) (int, error) {
		req, err := c.request(outbound.WithBytes(ctx, maxMutateAnswer), token, "mutate", body)
		if err != nil {
			return 0, err
		}
		a, err := outbound.Call(c.http, req, func(a outbound.Answer) error { return c.readMutate(s, a) })
		return a.Status, err
	})
	if err != nil {
		return nil, err
	}
	return s.outcomes, nil
}

// unapplied is the error of a question that was asked before anything was sent.
func unapplied(err error) error {
	own, ok := err.(*activation.Error) //nolint:errorlint // only what is made here is changed
	if !ok || !own.MayHaveApplied {
		return err
	}
	other := *own
	other.MayHaveApplied = false
	return &other
}

// write makes the operations of all edits. What can't be sent has its outcome.
func (c *campaigns) write(edits []provider.Edit, unit int64) *sent {
	s := &sent{
		edits: edits, outcomes: make([]provider.EditOutcome, len(edits)), values: make([]map[string]string, len(edits)),
		atomic: isAtomic(edits[0]) || len(edits) > 1 && isTree(edits),
	}
	ids, next := map[string]string{}, 0
	lost := map[string]bool{}
	for i, e := range edits {
		if needs(e, lost) {
			s.outcomes[i] = (&refusal{class: adsNeeds}).outcome()
			lost[e.Object.ID] = true
			continue
		}
		w := &writer{c: c, e: e, ids: ids, next: &next, unit: unit}
		ops, bad := w.write()
		if bad != nil {
			s.outcomes[i] = bad.outcome()
			lost[e.Object.ID] = true
			continue
		}
		s.values[i] = w.values
		for range ops {
			s.owner = append(s.owner, i)
		}
		s.ops = append(s.ops, ops...)
	}
	return s
}

// readMutate reads an answer. An error is that of the whole call; else each edit has
// its outcome.
func (c *campaigns) readMutate(s *sent, a outbound.Answer) error {
	text := bytes.TrimSpace(a.Body)
	var in mutateAnswer
	if a.Status == http.StatusOK && bytes.HasPrefix(text, []byte("{")) && json.Unmarshal(text, &in) == nil && in.Error == nil {
		if in.Partial != nil {
			in.Partial.open()
		}
		return c.settle(s, in, a)
	}
	f, class, err := c.failed(a.Status, a.Header, text)
	if a.Status == http.StatusUnauthorized {
		return err
	}
	if a.Status/100 == 2 { // it says both that it worked and that it did not
		class = adsAnswer
		err = class.whole(f)
	} else if c.blame(s, f) {
		return nil
	}
	if class.Code == adsRequest.Code && len(f.errors) == 0 && f.Status == "INVALID_ARGUMENT" { // the body: one edit is at fault
		err.Kind = activation.RefusedWhole
	}
	err.MayHaveApplied = class.applied
	return err
}

// blame shares out the errors of a call of which nothing took effect. It reports
// whether at least one edit is at fault itself, and Google did not break over another.
func (c *campaigns) blame(s *sent, f adsFault) bool {
	failed := map[int]adsError{}
	for _, e := range f.errors {
		class := e.class()
		i := e.operation
		if i < 0 && len(s.ops) == 1 {
			i = 0
		}
		if class.edit != provider.EditRefused || i < 0 || i >= len(s.owner) {
			continue
		}
		known, told := failed[s.owner[i]]
		if !told || known.class().Code == adsNeeds.Code {
			failed[s.owner[i]] = e
		}
	}
	if len(failed) == 0 || slices.ContainsFunc(f.errors, func(e adsError) bool { return e.class().applied }) ||
		!slices.ContainsFunc(f.errors, func(e adsError) bool {
			c := e.class()
			return c.edit == provider.EditRefused && c.Code != adsNeeds.Code
		}) {
		return false
	}
	lost := map[string]bool{}
	for i, e := range s.edits {
		wrong, told := failed[i]
		switch {
		case s.outcomes[i].State != "":
		case told:
			s.outcomes[i] = c.refused(s.edits[i], wrong, f)
		case needs(e, lost):
			s.outcomes[i] = (&refusal{class: adsNeeds}).outcome()
		default:
			s.outcomes[i] = provider.EditOutcome{State: provider.EditLater, Code: adsTogether.Code, Text: adsTogether.Message}
		}
		if s.outcomes[i].State == provider.EditRefused {
			lost[e.Object.ID] = true
		}
		s.outcomes[i].RequestID = safeID(f.request)
	}
	return true
}

// settle gives each edit the outcome that the answer tells.
func (c *campaigns) settle(s *sent, in mutateAnswer, a outbound.Answer) error {
	var f adsFault
	if in.Partial != nil {
		f = *in.Partial
	}
	f.request = first(f.request, a.Header.Get("Request-Id"))
	errs := map[int]adsError{}
	var other *adsError // one that names no operation
	for _, e := range f.errors {
		if e.operation < 0 || e.operation >= len(s.ops) {
			other = &e
			continue
		}
		if _, told := errs[e.operation]; !told {
			errs[e.operation] = e
		}
	}
	if len(in.Responses) != len(s.ops) { // nobody knows which is whose
		in.Responses = make([]map[string]mutateResult, len(s.ops))
	}
	done, later := 0, adsClass{}
	for op, owner := range s.owner {
		out := &s.outcomes[owner]
		name := c.result(s.ops[op], in.Responses[op])
		wrong, bad := errs[op]
		switch {
		case out.State == provider.EditUnknown: // by an operation before this one
			continue
		case !bad && name != "":
			done++
			s.made(op, name)
		case !bad && other != nil:
			wrong, bad = *other, true
		case !bad:
			*out = provider.EditOutcome{State: provider.EditUnknown, Code: adsAnswer.Code, Text: adsAnswer.Message}
		}
		if bad {
			*out = c.refused(s.edits[owner], wrong, f)
			if out.State == provider.EditDone { // what was to be deleted is gone
				done++
			}
			later = wrong.class()
		}
		out.RequestID = safeID(f.request)
	}
	if done == 0 && later.edit == provider.EditLater && !slices.ContainsFunc(s.outcomes, func(o provider.EditOutcome) bool { return o.State != provider.EditLater }) {
		return c.wholeOf(later, f, a.Header, a.Status)
	}
	return nil
}

// idPattern is Google's id of a resource, with that of what it lies in or without.
var idPattern = regexp.MustCompile(`^[0-9]{1,19}(~[0-9]{1,19})?$`)

// result is the name of the resource that an answer tells of an operation, "" where it
// tells none or the one of another.
func (c *campaigns) result(m mutation, told map[string]mutateResult) string {
	if len(told) != 1 {
		return ""
	}
	for _, r := range told {
		id, ours := strings.CutPrefix(r.Name, c.name(collections[m.kind], ""))
		asked := m.remove
		if m.update != nil {
			asked, _ = m.update["resourceName"].(string)
		}
		if ours && idPattern.MatchString(id) && (asked == "" || asked == r.Name) {
			return r.Name
		}
	}
	return ""
}

// made notes what an operation made or changed.
func (s *sent) made(op int, name string) {
	i := s.owner[op]
	e, out := s.edits[i], &s.outcomes[i]
	out.State, out.Answer = provider.EditDone, cutText(name)
	id := name[strings.LastIndexByte(name, '/')+1:]
	if out.Values == nil && len(s.values[i]) > 0 {
		out.Values = s.values[i]
	}
	if s.ops[op].create == nil {
		return
	}
	if s.ops[op].kind == kindsOf[e.Type].kind {
		out.ID = id
		return
	}
	if out.Values == nil { // the campaign's own budget
		out.Values = map[string]string{}
	}
	out.Values[fieldBudgetID] = id
}

func cutText(s string) string { return s[:min(len(s), maxText)] }

// refused is the outcome of an edit with which something is wrong.
func (c *campaigns) refused(e provider.Edit, wrong adsError, f adsFault) provider.EditOutcome {
	class := wrong.class()
	if e.Operation == activation.OpDelete && class.Code == adsGone.Code {
		return provider.EditOutcome{State: provider.EditDone, Answer: "it was gone already"}
	}
	out := provider.EditOutcome{State: class.edit, Code: class.Code, Text: first(wrong.text(), class.Message), Field: faultyField(e, wrong.path)}
	if class.Code == adsDown.Code && wrong.code == "TRANSIENT_ERROR" {
		out.State = provider.EditLater
	}
	if out.State == provider.EditLater && class.Kind == activation.WaitUntil {
		out.Until = c.until(f, nil)
	}
	return out
}

// faulty are the declared fields behind Google's, where it names the one at fault.
var faulty = map[string][]string{
	"name": {activation.FieldName}, "status": {activation.FieldStatus}, "cpc_bid_micros": {activation.FieldBid}, "amount_micros": {activation.FieldBudget},
	"campaign_budget": {fieldShared}, "final_urls": {fieldFinalURL}, "keyword": {fieldKeyword}, "negative": {fieldNegative}, "bid_modifier": {fieldModifier},
	"location": {fieldLocation}, "start_date_time": {fieldStart}, "end_date_time": {fieldEnd}, "tracking_url_template": {fieldTracking},
	"advertising_channel_type": {fieldChannel}, "contains_eu_political_advertising": {fieldPolitical}, "target_cpa_micros": {fieldTargetCPA},
	"target_roas": {fieldTargetROAS}, "path1": {fieldPath + "1"}, "path2": {fieldPath + "2"}, "match_type": {fieldMatchType},
	"headlines": numbered(fieldHeadline, maxHeadlines), "descriptions": numbered(fieldDescription, maxDescriptions),
}

func numbered(prefix string, most int) []string {
	out := make([]string, most)
	for i := range out {
		out[i] = prefix + strconv.Itoa(i+1)
	}
	return out
}

// faultyField is the field of the object that the error is about, "" = it names none.
func faultyField(e provider.Edit, path []pathElement) string {
	t, _ := declared().Object(e.Type)
	for _, p := range slices.Backward(path) {
		names := faulty[p.Name]
		at := 0
		if p.Index != nil {
			at = *p.Index
		}
		if at < 0 || at >= len(names) {
			continue
		}
		if _, ok := t.Field(names[at]); ok {
			return names[at]
		}
	}
	return ""
}
