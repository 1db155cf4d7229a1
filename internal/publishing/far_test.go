package publishing_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// far is a publisher that keeps a tree and counts what took effect. It is told how to
// fail.
type far struct {
	mu      sync.Mutex
	objects map[activation.ObjectRef]*provider.ObjectState
	lastID  int
	// effects are the entries that took effect, in that order; refused those that did
	// not and will not.
	effects, refused []activation.EntryID
	// calls counts the posts, reads what was asked beside.
	calls, reads int
	// most is how many edits travel together; parentAlone: nothing may travel with what
	// it refers to.
	most        int
	parentAlone bool
	// before, mid and after are called around what takes effect in a post: once, between
	// any two edits, and once. An error of theirs is that of the call.
	before, mid, after func(edits []provider.Edit) error
	// judge, where it says ok, answers one edit in place of what would become of it.
	judge func(e provider.Edit) (o provider.EditOutcome, ok bool)
	// asked is called at each reading.
	asked func(what string) error
	// changed is what Changed tells; nil = the publisher can't tell.
	changed []activation.ObjectRef
	costs   []activation.Cost
	// names: a second object of a name below the same parent is refused.
	names bool
	// round makes amounts of hundredths, or of whole units of a currency that has none.
	round bool
	// currency is that of the account, "" = EUR.
	currency string
}

func newFar() *far {
	return &far{objects: map[activation.ObjectRef]*provider.ObjectState{}, most: 10, names: true}
}

// put makes an object as somebody else does.
func (f *far) put(kind activation.ObjectKind, id, typ string, parent activation.ObjectRef, fields map[string]string) activation.ObjectRef {
	f.mu.Lock()
	defer f.mu.Unlock()
	ref := activation.ObjectRef{Kind: kind, ID: id}
	f.objects[ref] = &provider.ObjectState{ObjectRef: ref, Type: typ, Parent: parent, Fields: fields}
	return ref
}

// set changes a field as somebody else does; "" takes it away.
func (f *far) set(ref activation.ObjectRef, field, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if value == "" {
		delete(f.objects[ref].Fields, field)
		return
	}
	f.objects[ref].Fields[field] = value
}

func (f *far) drop(ref activation.ObjectRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.objects, ref)
}

func (f *far) field(ref activation.ObjectRef, field string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.objects[ref]; o != nil {
		return o.Fields[field]
	}
	return "gone"
}

func (f *far) tookEffect() []activation.EntryID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.effects)
}

// do changes what the far side is told about its failures.
func (f *far) do(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// farPublisher is the client of it.
type farPublisher struct{ *far }

// farTeller is one that tells what was changed.
type farTeller struct{ farPublisher }

func (f farTeller) Changed(context.Context, time.Time) ([]activation.ObjectRef, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.changed), true, nil
}

func (f farPublisher) Check(context.Context) (provider.PublisherInfo, error) {
	return provider.PublisherInfo{Name: "far", Currency: "EUR", Timezone: "Europe/Berlin"}, nil
}

func (f farPublisher) Together(edits []provider.Edit) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	made := map[string]bool{}
	for i, e := range edits {
		if i >= f.most || f.parentAlone && slices.ContainsFunc(idsIn(e), func(id string) bool { return made[id] }) {
			return i
		}
		if e.Operation == activation.OpCreate {
			made[e.Object.ID] = true
		}
	}
	return len(edits)
}

// idsIn are all ids that an edit refers to.
func idsIn(e provider.Edit) []string {
	ids := []string{e.Parent.ID, e.Object.ID}
	for _, v := range e.Set {
		ids = append(ids, v)
	}
	return ids
}

var errCut = &activation.Error{Kind: activation.Unavailable, Code: "FAR-CUT", Message: "the connection was cut", MayHaveApplied: true}

func (f farPublisher) Post(ctx context.Context, edits []provider.Edit) ([]provider.EditOutcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.before != nil {
		if err := f.before(edits); err != nil {
			return nil, err
		}
	}
	out := make([]provider.EditOutcome, len(edits))
	made := map[string]string{} // ids of this call
	for i, e := range edits {
		if i > 0 && f.mid != nil {
			if err := f.mid(edits); err != nil {
				return nil, err
			}
		}
		out[i] = f.apply(e, made)
	}
	if f.after != nil {
		if err := f.after(edits); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *far) apply(e provider.Edit, made map[string]string) provider.EditOutcome {
	if f.judge != nil {
		if o, ok := f.judge(e); ok {
			if o.State == provider.EditRefused {
				f.refused = append(f.refused, e.Entry)
			}
			return o
		}
	}
	refuse := func(code, text string) provider.EditOutcome {
		f.refused = append(f.refused, e.Entry)
		return provider.EditOutcome{State: provider.EditRefused, Code: code, Text: text, Field: "name", RequestID: "r1"}
	}
	theirs := func(id string) string {
		if now, ok := made[id]; ok {
			return now
		}
		return id
	}
	e.Parent.ID, e.Set = theirs(e.Parent.ID), maps.Clone(e.Set)
	for name, v := range e.Set {
		e.Set[name] = theirs(v)
	}
	if id := e.Set["shared_budget"]; id != "" && f.objects[activation.ObjectRef{Kind: activation.KindOther, ID: id}] == nil {
		return refuse("FAR-BUDGET", "no such budget "+id)
	}
	if e.Operation == activation.OpCreate {
		if e.Parent.ID != "" && f.objects[e.Parent] == nil {
			return refuse("FAR-PARENT", "no such parent "+e.Parent.ID)
		}
		if twin := f.find(e, nil); twin != "" && f.names {
			return refuse("FAR-TWIN", "Duplicate name.")
		}
		f.lastID++
		ref := activation.ObjectRef{Kind: e.Object.Kind, ID: strconv.Itoa(9000 + f.lastID)}
		made[e.Object.ID] = ref.ID
		f.objects[ref] = &provider.ObjectState{ObjectRef: ref, Type: e.Type, Parent: e.Parent, Fields: maps.Clone(e.Set)}
		f.effects = append(f.effects, e.Entry)
		return provider.EditOutcome{State: provider.EditDone, ID: ref.ID}
	}
	o := f.objects[e.Object]
	if o == nil {
		return refuse("FAR-GONE", "There is no such object.")
	}
	f.effects = append(f.effects, e.Entry)
	if e.Operation == activation.OpDelete {
		delete(f.objects, e.Object)
		return provider.EditOutcome{State: provider.EditDone}
	}
	values := map[string]string{}
	for name, v := range e.Set {
		if amount, err := strconv.ParseFloat(v, 64); f.round && name == activation.FieldBid && err == nil {
			digits := 2
			if f.currency == "JPY" {
				digits = 0
			}
			v = strconv.FormatFloat(amount, 'f', digits, 64)
			values[name] = v
		}
		o.Fields[name] = v
	}
	for _, name := range e.Clear {
		delete(o.Fields, name)
	}
	return provider.EditOutcome{State: provider.EditDone, Values: values, Answer: "OK"}
}

// find looks for an object of the same parent and name.
func (f *far) find(e provider.Edit, known []string) string {
	var ids []string
	for ref, o := range f.objects {
		if ref.Kind == e.Object.Kind && o.Parent == e.Parent && o.Fields["name"] == e.Set["name"] && !slices.Contains(known, ref.ID) {
			ids = append(ids, ref.ID)
		}
	}
	slices.Sort(ids)
	return append(ids, "")[0]
}

func (f *far) ask(what string) error {
	f.reads++
	if f.asked != nil {
		return f.asked(what)
	}
	return nil
}

func (f farPublisher) Read(_ context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask("read"); err != nil {
		return nil, err
	}
	var out []provider.ObjectState
	for _, ref := range refs {
		if o := f.objects[ref]; o != nil {
			out = append(out, copied(o))
		}
	}
	return out, nil
}

func (f farPublisher) Find(_ context.Context, creates []provider.Edit) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask("find"); err != nil {
		return nil, err
	}
	out := make([]string, len(creates))
	for i, e := range creates {
		out[i] = f.find(e, e.Known)
	}
	return out, nil
}

func (f farPublisher) Structure(_ context.Context, yield func(provider.ObjectState) error) error {
	f.mu.Lock()
	if err := f.ask("structure"); err != nil {
		f.mu.Unlock()
		return err
	}
	var all []provider.ObjectState
	for _, o := range f.objects {
		all = append(all, copied(o))
	}
	f.mu.Unlock()
	depth := func(o provider.ObjectState) int { return slices.Index(activation.ObjectKinds, o.Kind) }
	slices.SortFunc(all, func(a, b provider.ObjectState) int {
		return (depth(a)-depth(b))*1000 + compareIDs(a.ID, b.ID)
	})
	for _, o := range all {
		if err := yield(o); err != nil {
			return err
		}
	}
	return nil
}

func copied(o *provider.ObjectState) provider.ObjectState {
	c := *o
	c.Fields = maps.Clone(o.Fields)
	return c
}

func compareIDs(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (f farPublisher) Costs(_ context.Context, from, until string, yield func(activation.Cost) error) error {
	f.mu.Lock()
	costs := slices.Clone(f.costs)
	err := f.ask("costs")
	f.mu.Unlock()
	if err != nil {
		return err
	}
	for _, c := range costs {
		if c.Date >= from && c.Date <= until {
			if err := yield(c); err != nil {
				return err
			}
		}
	}
	return nil
}

var errDown = &activation.Error{Kind: activation.Unavailable, Code: "FAR-DOWN", Message: "the publisher is down"}

// farDefinition declares it.
func farDefinition() provider.Definition {
	status := provider.ObjectField{Name: "status", Label: "Status", Type: "select", Options: []string{"enabled", "paused"}, Operation: activation.OpStatus}
	name := provider.ObjectField{Name: "name", Label: "Name", Type: "text", Required: true}
	bid := provider.ObjectField{Name: "bid", Label: "Bid", Type: "amount", Operation: activation.OpBid}
	list := provider.ObjectField{Name: "places", Label: "Places", Type: "list", Operation: activation.OpGeo}
	object := func(n, title string, kind activation.ObjectKind, parent string, fields ...provider.ObjectField) provider.ObjectType {
		return provider.ObjectType{Name: n, Title: title, Kind: kind, Parent: parent, Creates: true, Deletes: true, Fields: append([]provider.ObjectField{name, status}, fields...)}
	}
	return provider.Definition{
		Name: "farads", Title: "Far Ads",
		Publishing: &provider.Publishing{
			Sync: "farads_sync", Post: "farads_post", MaxEdits: 10, Settles: 30 * time.Second, CostDays: 3,
			Objects: []provider.ObjectType{
				object("budget", "Budgets", activation.KindOther, "", provider.ObjectField{Name: "budget", Label: "Budget", Type: "amount"}),
				object("campaign", "Campaigns", activation.KindCampaign, "", list, provider.ObjectField{Name: "shared_budget", Label: "Shared budget", Type: "object", Object: "budget"}),
				object("group", "Groups", activation.KindGroup, "campaign", bid),
				object("ad", "Ads", activation.KindCreative, "group"),
				object("keyword", "Keywords", activation.KindKeyword, "group", bid),
			},
		},
	}
}

// cutOnce returns a hook that errs once.
func cutOnce() func([]provider.Edit) error {
	done := false
	return func([]provider.Edit) error {
		if done {
			return nil
		}
		done = true
		return errCut
	}
}

var errCrash = errors.New("the node has died")

func ids(list []activation.EntryID) string { return fmt.Sprint(list) }
