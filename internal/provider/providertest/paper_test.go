package providertest_test

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/providertest"
)

// paper is a publisher whose far side is a table of this process: both sides of the
// suite in one, and honest.
type paper struct {
	mu      sync.Mutex
	objects map[activation.ObjectRef]provider.ObjectState
	order   []activation.ObjectRef
	effects map[activation.ObjectRef]int
	changed map[activation.ObjectRef]time.Time
	costs   []activation.Cost
	fault   *providertest.Fault
	token   bool // it is refused
	writes  int
	calls   int
	next    int
}

func newPaper() *paper {
	return &paper{objects: map[activation.ObjectRef]provider.ObjectState{}, effects: map[activation.ObjectRef]int{}, changed: map[activation.ObjectRef]time.Time{}}
}

func paperDefinition(build func(provider.Publisher) provider.Publisher) provider.Definition {
	name := provider.ObjectField{Name: "name", Label: "Name", Type: "text", Required: true, Max: 200, Help: "What people call it."}
	status := provider.ObjectField{Name: "status", Label: "Status", Type: "select", Options: []string{"enabled", "paused"}, Operation: activation.OpStatus, Help: "Whether it runs."}
	bid := provider.ObjectField{Name: "bid", Label: "Bid", Type: "amount", Operation: activation.OpBid, Help: "The most of a click."}
	return provider.Definition{
		Name: "paper", Title: "Paper", Description: "Prints.",
		Workflows: []provider.Workflow{
			{Name: "paper_sync", Title: "Sync", Direction: provider.Editing, Subject: provider.Campaigns},
			{Name: "paper_post", Title: "Post", Direction: provider.Editing, Subject: provider.Campaigns},
		},
		AuthFields: []provider.Field{{Name: "key", Label: "Key", Type: "string", Secret: true, Help: "The key."}},
		Publishing: &provider.Publishing{
			Sync: "paper_sync", Post: "paper_post", AccountHelp: "The page.", MaxEdits: 10, CostDays: 7,
			Objects: []provider.ObjectType{
				{Name: "list", Title: "Lists", Kind: activation.KindOther, Creates: true, Deletes: true, Fields: []provider.ObjectField{name}},
				{Name: "campaign", Title: "Campaigns", Kind: activation.KindCampaign, Creates: true, Deletes: true, Fields: []provider.ObjectField{
					name, status,
					{Name: "budget", Label: "Budget", Type: "amount", Required: true, Help: "A day."},
					{Name: "note", Label: "Note", Type: "text", Help: "Anything."},
					{Name: "list", Label: "List", Type: "object", Object: "list", Help: "Who sees it."},
					{Name: "ends", Label: "Ends", Type: "date", Help: "The last day."},
					{Name: "kind", Label: "Kind", Type: "select", Options: []string{"search", "display"}, Required: true, Fixed: true, Help: "Where it shows."},
				}},
				{Name: "ad group", Title: "Ad groups", Kind: activation.KindGroup, Parent: "campaign", Creates: true, Deletes: true, Fields: []provider.ObjectField{name, status, bid}},
				{Name: "keyword", Title: "Keywords", Kind: activation.KindKeyword, Parent: "ad group", Creates: true, Deletes: true, Fields: []provider.ObjectField{
					{Name: "keyword", Label: "Keyword", Type: "text", Required: true, Fixed: true, Help: "The words."}, status, bid,
				}},
			},
			New: func(d provider.Deps) (provider.Publisher, error) { return build(&printer{d.Auth["key"].Reveal()}), nil },
		},
	}
}

// printer finds its table by the key, which it does not keep otherwise.
type printer struct{ key string }

func (p *printer) String() string   { return "printer" }
func (p *printer) GoString() string { return "printer" }
func (p *printer) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("printer")) // into memory
}

var (
	papersMu sync.Mutex
	papers   = map[string]*paper{}
)

func (p *printer) paper() *paper {
	papersMu.Lock()
	defer papersMu.Unlock()
	return papers[p.key]
}

// paperHarness judges what build makes of the honest publisher.
func paperHarness(build func(provider.Publisher) provider.Publisher) providertest.PublisherHarness {
	return providertest.PublisherHarness{
		Definition: paperDefinition(build),
		Open: func() (providertest.PublisherNetwork, error) {
			papersMu.Lock()
			defer papersMu.Unlock()
			n := &paperNetwork{newPaper(), "secret-key-" + strconv.Itoa(len(papers))}
			papers[n.key] = n.paper
			return n, nil
		},
		Sample: map[string]func(int) map[string]string{"campaign": func(int) map[string]string { return map[string]string{"list": "@list"} }},
		Fields: map[string]providertest.FieldSample{"campaign.list": {Kept: "a campaign needs one"}},
		Many:   25,
	}
}

type paperNetwork struct {
	*paper
	key string
}

func (n *paperNetwork) Deps() provider.Deps {
	return provider.Deps{Auth: map[string]provider.Secret{"key": provider.Secret(n.key)}, Account: "1"}
}
func (n *paperNetwork) Hosts() []string { return nil }
func (n *paperNetwork) Close()          {}
func (p *paper) Info() provider.PublisherInfo {
	return provider.PublisherInfo{Name: "Page one", Currency: "EUR", Timezone: "Europe/Paris"}
}

func (p *paper) Tree() []provider.ObjectState {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []provider.ObjectState
	for _, ref := range p.order {
		if o, ok := p.objects[ref]; ok {
			o.Fields = maps.Clone(o.Fields)
			list = append(list, o)
		}
	}
	return list
}

func (p *paper) Effects(ref activation.ObjectRef) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.effects[ref]
}

func (p *paper) Change(ref activation.ObjectRef, field, value string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects[ref].Fields[field] = value
	p.changed[ref] = time.Now()
	return nil
}

func (p *paper) Remove(ref activation.ObjectRef) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(ref)
	return nil
}

// drop is called with the lock held.
func (p *paper) drop(ref activation.ObjectRef) {
	delete(p.objects, ref)
	p.changed[ref] = time.Now()
	for other, o := range p.objects {
		if o.Parent == ref {
			p.drop(other)
		}
	}
}

func (p *paper) Spend(c activation.Cost) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.costs = append(p.costs, c)
}

func (p *paper) Fail(f providertest.Fault) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Kind == providertest.BadToken {
		p.token = true
	} else {
		p.fault = &f
	}
	return nil
}

func (p *paper) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.token = nil, false
}

func (p *paper) Writes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes
}

func (p *paper) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func wrongly(kind activation.Kind, applied bool, cause error) error {
	e := &activation.Error{Kind: kind, Code: "PAPER-" + strings.ToUpper(string(kind)), Message: "the paper is " + string(kind), MayHaveApplied: applied, Err: cause}
	if kind == activation.WaitUntil {
		e.Until = time.Now().Add(time.Minute)
	}
	return e
}

// enter begins a call. The caller holds no lock.
func (p *paper) enter(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return wrongly(activation.Unavailable, false, ctx.Err())
	}
	p.calls++
	if p.token {
		return wrongly(activation.Unauthorized, false, nil)
	}
	return nil
}

func (p *printer) Check(ctx context.Context) (provider.PublisherInfo, error) {
	if err := p.paper().enter(ctx); err != nil {
		return provider.PublisherInfo{}, err
	}
	return p.paper().Info(), nil
}

func (p *printer) Together(edits []provider.Edit) int { return min(len(edits), 10) }

func (p *printer) Post(ctx context.Context, edits []provider.Edit) ([]provider.EditOutcome, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	if len(edits) > 10 {
		return nil, wrongly(activation.Invalid, false, nil)
	}
	far := p.paper()
	if err := far.enter(ctx); err != nil {
		return nil, err
	}
	far.mu.Lock()
	far.writes++
	f := far.fault
	far.fault = nil
	if f == nil {
		f = &providertest.Fault{}
	}
	var out []provider.EditOutcome
	switch f.Kind {
	case providertest.Lost, providertest.Page, providertest.Throttle, providertest.RefuseWhole:
	default:
		out = far.apply(edits, *f)
	}
	far.mu.Unlock()
	switch f.Kind {
	case providertest.NoAnswer:
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		return nil, wrongly(activation.Unavailable, true, ctx.Err())
	case providertest.Lost, providertest.Page, providertest.Cut, providertest.Broken:
		return nil, wrongly(activation.Unavailable, true, nil)
	case providertest.RefuseWhole:
		return nil, wrongly(activation.RefusedWhole, false, nil)
	case providertest.Throttle:
		e := wrongly(activation.WaitUntil, false, nil).(*activation.Error)
		if f.Wait > 0 {
			e.Until = time.Now().Add(f.Wait)
		}
		return nil, e
	}
	return out, nil
}

// apply is called with the lock held.
func (p *paper) apply(edits []provider.Edit, f providertest.Fault) []provider.EditOutcome {
	ids := map[string]string{}
	out := make([]provider.EditOutcome, len(edits))
	refuse := func(text string) provider.EditOutcome {
		return provider.EditOutcome{State: provider.EditRefused, Code: "PAPER-NO", Text: text}
	}
	for i, e := range edits {
		met := i == f.Row
		switch {
		case met && f.Kind == providertest.RefuseEdit:
			out[i] = refuse("no")
			continue
		case met && f.Kind == providertest.LaterEdit:
			out[i] = provider.EditOutcome{State: provider.EditLater, Code: "PAPER-LATER"}
			continue
		case met && f.Kind == providertest.UnknownEdit:
			out[i] = provider.EditOutcome{State: provider.EditUnknown, Code: "PAPER-WHO-KNOWS"}
			if f.Applied {
				p.one(e, ids)
			}
			continue
		}
		out[i] = p.one(e, ids)
	}
	return out
}

func (p *paper) one(e provider.Edit, ids map[string]string) provider.EditOutcome {
	refused := provider.EditOutcome{State: provider.EditRefused, Code: "PAPER-NO", Text: "it is not there"}
	real := func(id string) string {
		if other, ok := ids[id]; ok {
			return other
		}
		return id
	}
	e.Parent.ID = real(e.Parent.ID)
	set, told := map[string]string{}, map[string]string{}
	for name, v := range e.Set {
		set[name] = real(v)
		if amount, ok := new(big.Rat).SetString(v); ok && (name == "budget" || name == "bid") {
			text := amount.FloatString(2)
			if strings.Contains(text, ".") {
				text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
			}
			if set[name] = text; text != v {
				told[name] = text
			}
		}
	}
	ref := e.Object
	if e.Operation == activation.OpCreate {
		if _, ok := p.objects[e.Parent]; !ok && e.Parent.ID != "" {
			return refused
		}
		p.next++
		ref.ID = strconv.Itoa(p.next)
		ids[e.Object.ID] = ref.ID
		p.objects[ref] = provider.ObjectState{ObjectRef: ref, Type: e.Type, Parent: e.Parent, Fields: set}
		p.order = append(p.order, ref)
		p.effects[ref]++
		return provider.EditOutcome{State: provider.EditDone, ID: ref.ID, Values: told}
	}
	o, ok := p.objects[ref]
	switch {
	case !ok:
		return refused
	case slices.Contains(e.Clear, "list"):
		return refused
	case e.Operation == activation.OpDelete:
		p.drop(ref)
	default:
		maps.Copy(o.Fields, set)
		for _, name := range e.Clear {
			delete(o.Fields, name)
		}
	}
	p.effects[ref]++
	return provider.EditOutcome{State: provider.EditDone, Values: told}
}

func (p *printer) Read(ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
	if err := p.paper().enter(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(p.paper().Tree(), func(o provider.ObjectState) bool { return !slices.Contains(refs, o.ObjectRef) }), nil
}

func (p *printer) Find(ctx context.Context, creates []provider.Edit) ([]string, error) {
	if err := p.paper().enter(ctx); err != nil {
		return nil, err
	}
	found, ids := map[string]string{}, make([]string, len(creates))
	for i, e := range creates {
		if id, ok := found[e.Parent.ID]; ok {
			e.Parent.ID = id
		}
		for _, o := range p.paper().Tree() {
			if o.Type == e.Type && o.Parent == e.Parent && o.Fields["name"] == e.Set["name"] && o.Fields["keyword"] == e.Set["keyword"] && !slices.Contains(e.Known, o.ID) {
				ids[i], found[e.Object.ID] = o.ID, o.ID
			}
		}
	}
	return ids, nil
}

func (p *printer) Structure(ctx context.Context, yield func(provider.ObjectState) error) error {
	if err := p.paper().enter(ctx); err != nil {
		return err
	}
	for _, o := range p.paper().Tree() {
		if err := yield(o); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) Changed(ctx context.Context, since time.Time) ([]activation.ObjectRef, bool, error) {
	if err := p.paper().enter(ctx); err != nil {
		return nil, false, err
	}
	far := p.paper()
	far.mu.Lock()
	defer far.mu.Unlock()
	var refs []activation.ObjectRef
	for ref, at := range far.changed {
		if at.After(since) {
			refs = append(refs, ref)
		}
	}
	return refs, true, nil
}

func (p *printer) Costs(ctx context.Context, from, until string, yield func(activation.Cost) error) error {
	if err := p.paper().enter(ctx); err != nil {
		return err
	}
	far := p.paper()
	far.mu.Lock()
	list := slices.Clone(far.costs)
	far.mu.Unlock()
	for _, c := range list {
		if c.Date < from || c.Date > until {
			continue
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}
