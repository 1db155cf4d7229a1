package google

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"usher/sandbox/fault"
)

// maxOperations is the most of one call.
const maxOperations = 10_000

// txn is the work of one call, seen by nobody until it is kept.
type txn struct {
	n        *Network
	a        *adsAccount
	at       time.Time
	resource map[string]*adsResource // changed
	temp     map[string]string       // temporary names to real ones, "" = it failed
	effects  []AdsEffect
}

// get returns a resource as the call sees it.
func (t *txn) get(name string) *adsResource {
	if r, ok := t.resource[name]; ok {
		return r
	}
	return t.a.resources[name]
}

// all calls yield with the resources of a kind that are not removed, until it
// returns false.
func (t *txn) all(k adsKind, yield func(*adsResource) bool) {
	for name, r := range t.a.resources {
		if _, changed := t.resource[name]; !changed && r.kind == k && !r.removed && !yield(r) {
			return
		}
	}
	for _, r := range t.resource {
		if r.kind == k && !r.removed && !yield(r) {
			return
		}
	}
}

// any reports whether one of a kind that is not removed fits.
func (t *txn) any(row string, fits func(*adsResource) bool) bool {
	k, _ := kindOfRow(row)
	found := false
	t.all(k, func(r *adsResource) bool {
		found = fits(r)
		return !found
	})
	return found
}

// keep makes the changes those of the account.
func (t *txn) keep(call int, client string) {
	maps.Copy(t.a.resources, t.resource)
	for i, e := range t.effects {
		e.Call, e.At = call, t.at
		t.a.journal = append(t.a.journal, e)
		t.a.changes = append(t.a.changes, t.changeEvent(e, i, client))
	}
}

// changeEvent is the effect as change_event tells it.
func (t *txn) changeEvent(e AdsEffect, i int, client string) protoreflect.Message {
	types := map[string]string{
		"campaigns": "CAMPAIGN", "campaignBudgets": "CAMPAIGN_BUDGET", "adGroups": "AD_GROUP", "adGroupAds": "AD_GROUP_AD",
		"adGroupCriteria": "AD_GROUP_CRITERION", "campaignCriteria": "CAMPAIGN_CRITERION",
	}
	m := mustAdsMessage("resources.ChangeEvent")
	put(m, "resource_name", fmt.Sprintf("customers/%s/changeEvents/%d~%d~%d", t.a.id, t.at.UnixMicro(), len(t.a.changes), i))
	put(m, "change_date_time", t.at.In(t.a.zone()).Format("2006-01-02 15:04:05.000000"))
	put(m, "change_resource_type", types[strings.Split(e.Resource, "/")[2]])
	put(m, "change_resource_name", e.Resource)
	put(m, "client_type", client)
	put(m, "resource_change_operation", strings.ToUpper(e.Operation))
	return m
}

// readOps reads the body of a mutate call, strictly.
func readOps(customer string, body []byte) (protoreflect.Message, *adsFailure) {
	m := mustAdsMessage("services.MutateGoogleAdsRequest")
	if !json.Valid(body) {
		return nil, adsMalformed("Invalid JSON payload received.")
	}
	if err := protojson.Unmarshal(body, m.Interface()); err != nil {
		return nil, adsMalformed("Invalid JSON payload received. " + strings.ReplaceAll(err.Error(), "\u00a0", " "))
	}
	if own := textAt(m, "customer_id"); own != "" && own != customer {
		return nil, adsRefusal("requestError.INVALID_CUSTOMER_ID", "The customer id of the body is not that of the path.")
	}
	return m, nil
}

// adsMutate answers googleAds:mutate.
func (n *Network) adsMutate(c *call, a *adsAccount) (any, *adsFailure) {
	m, failed := readOps(a.id, c.body)
	if failed != nil {
		return nil, failed
	}
	ops := operationsOf(m)
	c.record.Rows = len(ops)
	switch {
	case len(ops) == 0:
		return nil, adsRefusal("requestError.REQUIRED_FIELD_MISSING", "There are no operations.")
	case len(ops) > maxOperations:
		return nil, adsRefusal("requestError.TOO_MANY_MUTATE_OPERATIONS", "There are too many operations.")
	case a.is.Manager:
		return nil, adsRefusal("requestError.CANNOT_BE_EXECUTED_BY_MANAGER_ACCOUNT", "A manager account has no campaigns.")
	case a.is.Undeclared:
		return nil, adsRefusal("mutateError.EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED", "The account lacks the declaration.")
	}
	if failed := n.spend(a, c.at, len(ops)); failed != nil {
		return nil, failed
	}
	if failed := twice(ops); failed != nil {
		return nil, failed
	}
	a.calls++
	partial, responses, errs := boolAt(m, "partial_failure"), make([]any, len(ops)), []adsError(nil)
	t := n.begin(a)
	for i, op := range ops {
		responses[i] = map[string]any{}
		name, k, bad := t.attempt(op, c.refuses(i), c.fault.Applied)
		if bad != nil {
			bad.operation = i
			errs = append(errs, *bad)
			continue
		}
		responses[i] = t.response(m, name, k)
	}
	if len(errs) > 0 && !partial {
		return nil, &adsFailure{status: 400, errors: errs}
	}
	if !boolAt(m, "validate_only") {
		t.keep(a.calls, "GOOGLE_ADS_API")
	}
	body := map[string]any{"mutateOperationResponses": responses}
	if len(errs) > 0 {
		body["partialFailureError"] = map[string]any{
			"code": 3, "message": "Multiple errors in the operations.", "details": []any{failureBody(errs, "")},
		}
	}
	return body, nil
}

// refuses is the error that a fault wants operation i to have.
func (c *call) refuses(i int) *adsError {
	if c.fault.Kind != fault.Invalid || i < c.fault.Row || i >= c.fault.Row+c.fault.Rows {
		return nil
	}
	code := c.fault.Message
	if code == "" {
		code = "internalError.ERROR_CODE_NOT_PUBLISHED"
	}
	return wrong(code, "Scripted.")
}

func (n *Network) begin(a *adsAccount) *txn {
	return &txn{n: n, a: a, at: n.deps.Now(), resource: map[string]*adsResource{}, temp: map[string]string{}}
}

// operation is one of a call.
type operation struct {
	kind               adsKind
	create, update     protoreflect.Message
	remove             string
	mask               []string
	hasMask, hasRemove bool
}

// name is the resource that it is about, as it is given.
func (o operation) name() string {
	switch {
	case o.create != nil:
		return textAt(o.create, "resource_name")
	case o.update != nil:
		return textAt(o.update, "resource_name")
	}
	return o.remove
}

func operationsOf(request protoreflect.Message) []operation {
	list := request.Get(request.Descriptor().Fields().ByName("mutate_operations")).List()
	out := make([]operation, list.Len())
	for i := range out {
		m := list.Get(i).Message()
		for _, k := range adsKinds {
			f := m.Descriptor().Fields().ByName(k.op())
			if !m.Has(f) {
				continue
			}
			out[i].kind = k
			out[i].read(m.Get(f).Message())
		}
	}
	return out
}

func (o *operation) read(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	if f := fields.ByName("update_mask"); m.Has(f) {
		o.hasMask = true
		paths := m.Get(f).Message()
		list := paths.Get(paths.Descriptor().Fields().ByName("paths")).List()
		for i := range list.Len() {
			o.mask = append(o.mask, list.Get(i).String())
		}
	}
	if f := fields.ByName("create"); m.Has(f) {
		o.create = m.Get(f).Message()
	}
	if f := fields.ByName("update"); m.Has(f) {
		o.update = m.Get(f).Message()
	}
	if f := fields.ByName("remove"); m.Has(f) {
		o.remove, o.hasRemove = m.Get(f).String(), true
	}
}

// twice refuses a call in which a resource, or a temporary id, is there twice.
func twice(ops []operation) *adsFailure {
	seen, temporary := map[string]bool{}, map[string]bool{}
	for i, o := range ops {
		name := o.name()
		if name == "" {
			continue
		}
		code := "mutateError.ID_EXISTS_IN_MULTIPLE_MUTATES"
		known := seen
		if o.create != nil {
			code, known, name = "newResourceCreationError.DUPLICATE_TEMP_IDS", temporary, name[strings.LastIndexByte(name, '/')+1:]
		}
		if known[name] {
			f := adsRefusal(code, "It is there more than once.")
			f.errors[0].operation = i
			return f
		}
		known[name] = true
	}
	return nil
}

// attempt carries one operation out. One that is to be refused is not, or it is and
// nobody is told.
func (t *txn) attempt(o operation, refused *adsError, applied bool) (name string, k adsKind, bad *adsError) {
	if refused == nil || applied {
		name, bad = t.apply(o)
	}
	if refused != nil {
		bad = refused
	}
	if bad != nil && o.create != nil && !applied {
		t.temp[o.name()] = ""
	}
	return name, o.kind, bad
}

func (t *txn) apply(o operation) (string, *adsError) {
	switch {
	case o.create != nil:
		if o.hasMask {
			return "", wrong("fieldMaskError.FIELD_MASK_NOT_ALLOWED", "A create has no mask.").at("update_mask")
		}
		return t.create(o)
	case o.update != nil:
		return t.update(o)
	case o.hasRemove:
		return t.remove(o)
	}
	return "", wrong("requestError.OPERATION_REQUIRED", "The operation is empty, or of a kind that the stand-in does not keep.")
}

// response is the result of one operation.
func (t *txn) response(request protoreflect.Message, name string, k adsKind) any {
	out := map[string]any{"resourceName": name}
	if textAt(request, "response_content_type") == "MUTABLE_RESOURCE" {
		if text, err := protojson.Marshal(t.get(name).message.Interface()); err == nil {
			out[jsonName(k.row)] = json.RawMessage(text)
		}
	}
	return map[string]any{jsonName(string(k.result())): out}
}

// jsonName is a name of the definitions as JSON has it.
func jsonName(name string) string {
	parts := strings.Split(name, "_")
	for i, p := range parts[1:] {
		parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "")
}

// find looks up the resource that an update or a removal names.
func (t *txn) find(k adsKind, name string) (*adsResource, *adsError) {
	prefix := "customers/" + t.a.id + "/" + k.collection + "/"
	id, ok := strings.CutPrefix(name, prefix)
	switch {
	case name == "":
		return nil, wrong("requestError.RESOURCE_NAME_MISSING", "The resource name is missing.")
	case !ok || strings.Contains(id, "/"):
		return nil, wrong("requestError.RESOURCE_NAME_MALFORMED", "The resource name is not one of this account and kind.")
	}
	r := t.get(name)
	if r == nil {
		return nil, wrong("mutateError.RESOURCE_NOT_FOUND", "There is no such resource.")
	}
	return r, nil
}

// create makes a resource.
func (t *txn) create(o operation) (string, *adsError) {
	m := proto.Clone(o.create.Interface()).ProtoReflect()
	temporary := textAt(m, "resource_name")
	if temporary != "" {
		id := strings.TrimPrefix(temporary, "customers/"+t.a.id+"/"+o.kind.collection+"/")
		if n, err := strconv.ParseInt(id, 10, 64); err != nil || n >= 0 || id == temporary {
			return "", wrong("newResourceCreationError.CANNOT_SET_ID_FOR_CREATE", "The id of a new resource is a negative number, or none.").at("create", "resource_name")
		}
	}
	if bad := outputOnly(m, "create"); bad != nil {
		return "", bad
	}
	r := &adsResource{kind: o.kind, message: m}
	if bad := t.born(r); bad != nil {
		return "", bad
	}
	id := strconv.FormatInt(r.own, 10)
	if r.parent > 0 {
		id = strconv.FormatInt(r.parent, 10) + "~" + id
	}
	r.name = "customers/" + t.a.id + "/" + o.kind.collection + "/" + id
	put(m, "resource_name", r.name)
	t.resource[r.name] = r
	if temporary != "" {
		t.temp[temporary] = r.name
	}
	t.effects = append(t.effects, AdsEffect{Operation: "create", Resource: r.name})
	return r.name, nil
}

// outputOnly refuses fields that are Google's to fill.
func outputOnly(m protoreflect.Message, path ...string) *adsError {
	var bad *adsError
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := append(slices.Clone(path), string(f.Name()))
		switch {
		case slices.Contains(behaviors(f), behaviorOutputOnly):
			bad = wrong("fieldError.VALUE_MUST_BE_UNSET", "The field is output only.").at(at...)
		case f.Message() != nil && !f.IsList() && !f.IsMap():
			bad = outputOnly(v.Message(), at...)
		}
		return bad == nil
	})
	return bad
}

// update changes what the mask names.
func (t *txn) update(o operation) (string, *adsError) {
	r, bad := t.find(o.kind, textAt(o.update, "resource_name"))
	switch {
	case bad != nil:
		return "", bad
	case r.removed:
		return "", wrong("operationAccessDeniedError.OPERATION_NOT_PERMITTED_FOR_REMOVED_RESOURCE", "The resource is removed.")
	case !o.hasMask || len(o.mask) == 0:
		return "", wrong("fieldMaskError.FIELD_MASK_MISSING", "An update needs a mask.").at("update_mask")
	}
	next := &adsResource{kind: r.kind, name: r.name, parent: r.parent, own: r.own, message: proto.Clone(r.message.Interface()).ProtoReflect()}
	for _, path := range o.mask {
		if bad := masked(o.update, next.message, path); bad != nil {
			return "", bad
		}
	}
	if bad := t.changed(next, r, o.mask); bad != nil {
		return "", bad
	}
	t.resource[r.name] = next
	t.effects = append(t.effects, AdsEffect{Operation: "update", Resource: r.name, Mask: o.mask})
	return r.name, nil
}

// masked copies the field of a path, or takes it away where it has no value.
func masked(from, into protoreflect.Message, path string) *adsError {
	name, rest, deeper := strings.Cut(path, ".")
	f := into.Descriptor().Fields().ByName(protoreflect.Name(name))
	switch {
	case f == nil || deeper && (f.Message() == nil || f.IsList()):
		return wrong("fieldMaskError.FIELD_NOT_FOUND", "The mask names a field that there is not.").at("update_mask")
	case slices.Contains(behaviors(f), behaviorImmutable):
		return wrong("fieldError.IMMUTABLE_FIELD", "The field can't be changed.").at("update", name)
	case slices.Contains(behaviors(f), behaviorOutputOnly):
		return wrong("fieldError.VALUE_MUST_BE_UNSET", "The field is output only.").at("update", name)
	case deeper:
		if from.Has(f) {
			return masked(from.Get(f).Message(), into.Mutable(f).Message(), rest)
		}
		if into.Has(f) {
			return masked(dynamicpb.NewMessage(f.Message()), into.Mutable(f).Message(), rest)
		}
		return nil
	case f.Message() != nil && !f.IsList() && f.Message().Fields().Len() > 0:
		return wrong("fieldMaskError.FIELD_HAS_SUBFIELDS", "The mask must name the fields of the message.").at("update_mask")
	case from.Has(f):
		into.Set(f, from.Get(f))
	default:
		into.Clear(f)
	}
	return nil
}

// remove takes a resource away. What is in it stays as it is, below a removed parent.
func (t *txn) remove(o operation) (string, *adsError) {
	r, bad := t.find(o.kind, o.remove)
	if bad != nil {
		return "", bad
	}
	if r.removed {
		return "", wrong("mutateError.RESOURCE_NOT_FOUND", "The resource is removed already.")
	}
	if r.kind.row == "campaign_budget" && t.any("campaign", func(c *adsResource) bool { return textAt(c.message, "campaign_budget") == r.name }) {
		return "", wrong("campaignBudgetError.CAMPAIGN_BUDGET_IN_USE", "A campaign has the budget.")
	}
	t.gone(r)
	if r.kind.row == "campaign" { // its own budget goes with it
		if b := t.get(textAt(r.message, "campaign_budget")); b != nil && !boolAt(b.message, "explicitly_shared") && !b.removed {
			t.gone(b)
		}
	}
	t.effects = append(t.effects, AdsEffect{Operation: "remove", Resource: r.name})
	return r.name, nil
}

func (t *txn) gone(r *adsResource) {
	next := &adsResource{kind: r.kind, name: r.name, parent: r.parent, own: r.own, removed: true, message: proto.Clone(r.message.Interface()).ProtoReflect()}
	put(next.message, "status", "REMOVED")
	t.resource[r.name] = next
}
