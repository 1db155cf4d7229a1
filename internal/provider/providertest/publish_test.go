package providertest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/providertest"
)

func honest(p provider.Publisher) provider.Publisher { return p }

// TestPublisherSuitePassesTheHonest runs the whole suite against a publisher without a fault.
func TestPublisherSuitePassesTheHonest(t *testing.T) {
	providertest.RunPublisher(t, paperHarness(honest))
}

// misprint is a publisher with one fault of its own.
type misprint struct {
	provider.Publisher
	check     func(p provider.Publisher, ctx context.Context) (provider.PublisherInfo, error)
	together  func(p provider.Publisher, edits []provider.Edit) int
	post      func(p provider.Publisher, ctx context.Context, edits []provider.Edit) ([]provider.EditOutcome, error)
	read      func(p provider.Publisher, ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error)
	find      func(p provider.Publisher, ctx context.Context, creates []provider.Edit) ([]string, error)
	structure func(p provider.Publisher, ctx context.Context, yield func(provider.ObjectState) error) error
	changed   func(p provider.ChangeTeller, ctx context.Context, since time.Time) ([]activation.ObjectRef, bool, error)
	costs     func(p provider.Publisher, ctx context.Context, from, until string, yield func(activation.Cost) error) error
	text      string
}

func (m misprint) String() string { return "misprint " + m.text }

func (m misprint) Check(ctx context.Context) (provider.PublisherInfo, error) {
	if m.check != nil {
		return m.check(m.Publisher, ctx)
	}
	return m.Publisher.Check(ctx)
}

func (m misprint) Together(edits []provider.Edit) int {
	if m.together != nil {
		return m.together(m.Publisher, edits)
	}
	return m.Publisher.Together(edits)
}

func (m misprint) Post(ctx context.Context, edits []provider.Edit) ([]provider.EditOutcome, error) {
	if m.post != nil {
		return m.post(m.Publisher, ctx, edits)
	}
	return m.Publisher.Post(ctx, edits)
}

func (m misprint) Read(ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
	if m.read != nil {
		return m.read(m.Publisher, ctx, refs)
	}
	return m.Publisher.Read(ctx, refs)
}

func (m misprint) Find(ctx context.Context, creates []provider.Edit) ([]string, error) {
	if m.find != nil {
		return m.find(m.Publisher, ctx, creates)
	}
	return m.Publisher.Find(ctx, creates)
}

func (m misprint) Structure(ctx context.Context, yield func(provider.ObjectState) error) error {
	if m.structure != nil {
		return m.structure(m.Publisher, ctx, yield)
	}
	return m.Publisher.Structure(ctx, yield)
}

func (m misprint) Changed(ctx context.Context, since time.Time) ([]activation.ObjectRef, bool, error) {
	teller := m.Publisher.(provider.ChangeTeller)
	if m.changed != nil {
		return m.changed(teller, ctx, since)
	}
	return teller.Changed(ctx, since)
}

func (m misprint) Costs(ctx context.Context, from, until string, yield func(activation.Cost) error) error {
	if m.costs != nil {
		return m.costs(m.Publisher, ctx, from, until, yield)
	}
	return m.Publisher.Costs(ctx, from, until, yield)
}

type edits = []provider.Edit

type outcomes = []provider.EditOutcome

// told changes what a post says of itself.
func told(change func(e provider.Edit, o *provider.EditOutcome)) misprint {
	return misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
		out, err := p.Post(ctx, list)
		for i := range out {
			change(list[i], &out[i])
		}
		return out, err
	}}
}

// sent changes what is posted.
func sent(change func(e *provider.Edit)) misprint {
	return misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
		list = slices.Clone(list)
		for i := range list {
			change(&list[i])
		}
		return p.Post(ctx, list)
	}}
}

// erred changes the errors of a post.
func erred(change func(e *activation.Error)) misprint {
	return misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
		out, err := p.Post(ctx, list)
		return out, changed(err, change)
	}}
}

const (
	noAnswerTaken = "a call without an answer took effect"
	cutTaken      = "a call was cut after it took effect"
	cutLost       = "a call was cut before it took effect"
	brokenTaken   = "a call that took effect is answered with an internal error"
	oneUnknown    = "one edit of unknown outcome took effect"
	oneNotTaken   = "one edit of unknown outcome took none"
	allTypes      = "every type is created as asked"
	allFields     = "every field is edited"
	treeWanted    = "edits in order give the tree that was wanted"
	manyPages     = "the structure of many pages"
	wholeTree     = "the structure is that of the far side, parents first"
)

// misprints are publishers that are wrong in one way each, with the cases that are
// there to find them.
func misprints() map[string]struct {
	fails []string
	misprint
} {
	type all = map[string]struct {
		fails []string
		misprint
	}
	return all{
		"tells another currency": {[]string{"check tells name, currency and zone and writes nothing"}, misprint{check: func(p provider.Publisher, ctx context.Context) (provider.PublisherInfo, error) {
			info, err := p.Check(ctx)
			info.Currency = "USD"
			return info, err
		}}},
		"checks nothing": {[]string{"check with a bad token", "check tells name, currency and zone and writes nothing"}, misprint{check: func(provider.Publisher, context.Context) (provider.PublisherInfo, error) {
			return newPaper().Info(), nil
		}}},
		"says that all is done": {
			[]string{"one edit is refused and its neighbours are done", oneUnknown, oneNotTaken, "the edit at the head has to wait", "an edit of what is gone is refused", "every field is cleared, or its clearing refused"},
			told(func(_ provider.Edit, o *provider.EditOutcome) {
				if o.State != provider.EditDone {
					*o = provider.EditOutcome{State: provider.EditDone}
				}
			}),
		},
		"says that children are made": {[]string{"what lies in a refused parent is not made"}, told(func(e provider.Edit, o *provider.EditOutcome) {
			if e.Type == "ad group" && o.State == provider.EditRefused {
				*o = provider.EditOutcome{State: provider.EditDone, ID: "77"}
			}
		})},
		"says that nothing was applied": {
			[]string{noAnswerTaken, cutTaken, cutLost, brokenTaken, "edits are answered with a web page", "cancelled during the edits"},
			erred(func(e *activation.Error) { e.MayHaveApplied = false }),
		},
		"says that anything may have been applied": {
			[]string{"the token is refused between edits", "edits are throttled for a time", "cancelled before the edits", "a call that is refused whole"},
			erred(func(e *activation.Error) { e.MayHaveApplied = true }),
		},
		"waits as it likes": {[]string{"edits are throttled for a time", "edits are throttled without a time"}, erred(func(e *activation.Error) { e.Until = time.Time{} })},
		"makes two": {[]string{allTypes, "a tree is made in order", treeWanted}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			out, err := p.Post(ctx, list)
			if list[0].Operation == activation.OpCreate && err == nil {
				_, _ = p.Post(ctx, list[:1])
			}
			return out, err
		}}},
		"sends edits again that were not answered": {[]string{noAnswerTaken}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			out, err := p.Post(ctx, list)
			if err != nil {
				out, err = p.Post(ctx, list)
			}
			return out, err
		}}},
		"sends edits again and tells of the first time": {[]string{noAnswerTaken, cutTaken, brokenTaken}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			out, err := p.Post(ctx, list)
			if err != nil {
				_, _ = p.Post(ctx, list)
			}
			return out, err
		}}},
		"forgets a field": {[]string{allFields, allTypes}, sent(func(e *provider.Edit) {
			if e.Set["budget"] != "" {
				e.Set = map[string]string{"name": "budgets are forgotten", "kind": "search"}
			}
		})},
		"clears what it does not set": {[]string{allFields}, sent(func(e *provider.Edit) {
			if e.Operation == activation.OpStatus {
				e.Clear = []string{"bid", "budget"}
			}
		})},
		"clears nothing": {[]string{"every field is cleared, or its clearing refused"}, sent(func(e *provider.Edit) {
			if len(e.Clear) > 0 && e.Clear[0] != "list" {
				e.Clear = nil
			}
		})},
		"pauses only": {[]string{"paused and enabled again", treeWanted}, sent(func(e *provider.Edit) {
			if e.Operation == activation.OpStatus {
				e.Set = map[string]string{"status": "paused"}
			}
		})},
		"deletes nothing": {[]string{"every type that may be is deleted", treeWanted}, sent(func(e *provider.Edit) {
			if e.Operation == activation.OpDelete {
				e.Operation = activation.OpEdit
			}
		})},
		"pauses what it should delete": {[]string{"every type that may be is deleted", treeWanted}, sent(func(e *provider.Edit) {
			if e.Operation == activation.OpDelete {
				e.Operation, e.Set = activation.OpStatus, map[string]string{"status": "paused"}
			}
		})},
		"loses quotes":    {[]string{"names are kept as they are"}, sent(func(e *provider.Edit) { swapName(e, `"`, "") })},
		"knows no ümlaut": {[]string{"names are kept as they are"}, sent(func(e *provider.Edit) { swapName(e, "ü", "u") })},
		"finds by case": {[]string{"names are kept as they are", "what was not created is not found"}, misprint{find: func(p provider.Publisher, ctx context.Context, list edits) ([]string, error) {
			list = slices.Clone(list)
			for i := range list {
				list[i].Known = nil
				list[i].Set = map[string]string{"name": strings.TrimSuffix(list[i].Set["name"], "x"), "keyword": list[i].Set["keyword"]}
			}
			return p.Find(ctx, list)
		}}},
		"rounds in silence": {[]string{"an amount is rounded as it is told"}, told(func(_ provider.Edit, o *provider.EditOutcome) { o.Values = nil })},
		"sends one by one and says together": {[]string{"edits of several objects travel together", "a tree is made in order"}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			var all outcomes
			for i := range list {
				out, err := p.Post(ctx, list[i:i+1])
				if err != nil {
					return nil, err
				}
				all = append(all, out...)
			}
			return all, nil
		}}},
		"lets nothing travel together": {[]string{"edits of several objects travel together"}, misprint{together: func(provider.Publisher, edits) int { return 1 }}},
		"lets everything travel":       {[]string{"edits of several objects travel together"}, misprint{together: func(_ provider.Publisher, list edits) int { return len(list) }}},
		"lets none travel":             {[]string{treeWanted, "a tree is made in order"}, misprint{together: func(provider.Publisher, edits) int { return 0 }}},
		"decides by what comes after":  {[]string{"edits of several objects travel together"}, misprint{together: func(_ provider.Publisher, list edits) int { return min(len(list), 10, 12-len(list)%3) - len(list)%2 }}},
		"asks how many travel together": {[]string{"a tree is made in order"}, misprint{together: func(p provider.Publisher, list edits) int {
			_, _ = p.Check(context.Background())
			return p.Together(list)
		}}},
		"calls for nothing": {[]string{"no edits are no call"}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			if len(list) == 0 {
				list = edits{{Operation: activation.OpDelete, Object: activation.ObjectRef{Kind: activation.KindCampaign, ID: "1"}}}
				_, err := p.Post(ctx, list)
				return nil, err
			}
			return p.Post(ctx, list)
		}}},
		"sends more than it may": {[]string{"more edits than the limit"}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			return p.Post(ctx, list[:min(len(list), 10)])
		}}},
		"goes on when it is cancelled": {[]string{"cancelled before the edits", "cancelled during the edits"}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			return p.Post(context.WithoutCancel(ctx), list)
		}}},
		"reads what it was sent": {[]string{"what was changed by others is read"}, remembering()},
		"reads what is gone": {[]string{"every type that may be is deleted", "what was changed by others is read", "many objects are read back, and none that is not there"}, misprint{read: func(p provider.Publisher, ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
			all, err := p.Read(ctx, refs)
			if len(all) < len(refs) && err == nil {
				all = append(all, provider.ObjectState{ObjectRef: refs[0], Type: "campaign", Fields: map[string]string{"name": "gone"}})
			}
			return all, err
		}}},
		"reads the first page": {[]string{"many objects are read back, and none that is not there"}, misprint{read: func(p provider.Publisher, ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
			return p.Read(ctx, refs[:min(len(refs), 20)])
		}}},
		"reads what is not declared": {[]string{allTypes}, misprint{read: func(p provider.Publisher, ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
			all, err := p.Read(ctx, refs)
			for _, o := range all {
				o.Fields["etag"] = "5"
			}
			return all, err
		}}},
		"finds nothing": {[]string{noAnswerTaken, cutTaken, brokenTaken, allTypes}, misprint{find: func(_ provider.Publisher, _ context.Context, list edits) ([]string, error) {
			return make([]string, len(list)), nil
		}}},
		"finds anything": {[]string{cutLost, "what was not created is not found"}, misprint{find: func(_ provider.Publisher, _ context.Context, list edits) ([]string, error) {
			return slices.Repeat([]string{"1"}, len(list)), nil
		}}},
		"finds only what has a parent": {[]string{noAnswerTaken}, misprint{find: func(p provider.Publisher, ctx context.Context, list edits) ([]string, error) {
			ids := make([]string, len(list))
			for i := range list {
				one, err := p.Find(ctx, list[i:i+1])
				if err != nil {
					return nil, err
				}
				ids[i] = one[0]
			}
			return ids, nil
		}}},
		"has children first": {[]string{wholeTree, manyPages}, misprint{structure: func(p provider.Publisher, ctx context.Context, yield func(provider.ObjectState) error) error {
			var all []provider.ObjectState
			if err := p.Structure(ctx, func(o provider.ObjectState) error { all = append(all, o); return nil }); err != nil {
				return err
			}
			for _, o := range slices.Backward(all) {
				if err := yield(o); err != nil {
					return err
				}
			}
			return nil
		}}},
		"has one page": {[]string{manyPages}, misprint{structure: func(p provider.Publisher, ctx context.Context, yield func(provider.ObjectState) error) error {
			n := 0
			return p.Structure(ctx, func(o provider.ObjectState) error {
				if n++; n > 30 {
					return nil
				}
				return yield(o)
			})
		}}},
		"invents an object": {[]string{"the structure of an empty account", wholeTree}, misprint{structure: func(p provider.Publisher, ctx context.Context, yield func(provider.ObjectState) error) error {
			if err := p.Structure(ctx, yield); err != nil {
				return err
			}
			return yield(provider.ObjectState{ObjectRef: activation.ObjectRef{Kind: activation.KindCampaign, ID: "900"}, Type: "campaign"})
		}}},
		"does not stop": {[]string{"the structure stops when it is told to", "costs stop when they are told to"}, misprint{
			structure: func(p provider.Publisher, ctx context.Context, yield func(provider.ObjectState) error) error {
				return p.Structure(ctx, func(o provider.ObjectState) error { _ = yield(o); return nil })
			},
			costs: func(p provider.Publisher, ctx context.Context, from, until string, yield func(activation.Cost) error) error {
				return p.Costs(ctx, from, until, func(c activation.Cost) error { _ = yield(c); return nil })
			},
		}},
		"takes a refusal for an empty account": {[]string{"the structure with a bad token", "costs with a bad token"}, misprint{
			structure: func(p provider.Publisher, ctx context.Context, yield func(provider.ObjectState) error) error {
				_ = p.Structure(ctx, yield)
				return nil
			},
			costs: func(p provider.Publisher, ctx context.Context, from, until string, yield func(activation.Cost) error) error {
				_ = p.Costs(ctx, from, until, yield)
				return nil
			},
		}},
		"names no change": {[]string{"what others changed is named"}, misprint{changed: func(provider.ChangeTeller, context.Context, time.Time) ([]activation.ObjectRef, bool, error) {
			return nil, true, nil
		}}},
		"costs a day too much": {[]string{"costs are those of the far side"}, misprint{costs: func(p provider.Publisher, ctx context.Context, _, until string, yield func(activation.Cost) error) error {
			return p.Costs(ctx, "2000-01-01", until, yield)
		}}},
		"costs a cent less": {[]string{"costs are those of the far side"}, misprint{costs: func(p provider.Publisher, ctx context.Context, from, until string, yield func(activation.Cost) error) error {
			return p.Costs(ctx, from, until, func(c activation.Cost) error { c.Micros -= 10_000; return yield(c) })
		}}},
		"costs in another currency": {[]string{"costs are those of the far side"}, misprint{costs: func(p provider.Publisher, ctx context.Context, from, until string, yield func(activation.Cost) error) error {
			return p.Costs(ctx, from, until, func(c activation.Cost) error { c.Currency = "USD"; return yield(c) })
		}}},
		"costs something at least": {[]string{"no costs are no error"}, misprint{costs: func(_ provider.Publisher, _ context.Context, from, _ string, yield func(activation.Cost) error) error {
			return yield(activation.Cost{Date: from, Micros: 1})
		}}},
		"errs where nothing was spent": {[]string{"no costs are no error"}, misprint{costs: func(p provider.Publisher, ctx context.Context, from, until string, yield func(activation.Cost) error) error {
			n := 0
			err := p.Costs(ctx, from, until, func(c activation.Cost) error { n++; return yield(c) })
			if err == nil && n == 0 {
				err = errors.New("there is no report")
			}
			return err
		}}},
		"says its key": {[]string{"the token is refused between edits"}, misprint{text: "secret-key-", post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			out, err := p.Post(ctx, list)
			return out, changed(err, func(e *activation.Error) { e.Message += " for " + p.(*printer).key })
		}}},
		"gives outcomes and an error": {[]string{cutTaken}, misprint{post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
			out, err := p.Post(ctx, list)
			if err != nil {
				out = make(outcomes, len(list))
			}
			return out, err
		}}},
		"refuses without a reason": {[]string{"one edit is refused and its neighbours are done"}, told(func(_ provider.Edit, o *provider.EditOutcome) { o.Text = "" })},
		"leaves a goroutine": {[]string{"the structure of an empty account"}, misprint{structure: func(p provider.Publisher, ctx context.Context, yield func(provider.ObjectState) error) error {
			go func() { <-forever }()
			return p.Structure(ctx, yield)
		}}},
	}
}

// forever ends when all variants are judged.
var forever = make(chan struct{})

func swapName(e *provider.Edit, old, other string) {
	if v := strings.ReplaceAll(e.Set["name"], old, other); v != e.Set["name"] {
		set := map[string]string{}
		for name, was := range e.Set {
			set[name] = was
		}
		set["name"] = v
		e.Set = set
	}
}

// remembering reads from what it posted, and never from the far side.
func remembering() misprint {
	kept := map[activation.ObjectRef]provider.ObjectState{}
	return misprint{read: func(p provider.Publisher, ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
		all, err := p.Read(ctx, refs)
		for i, o := range all {
			all[i] = kept[o.ObjectRef]
		}
		return all, err
	}, post: func(p provider.Publisher, ctx context.Context, list edits) (outcomes, error) {
		out, err := p.Post(ctx, list)
		for i, o := range out {
			if o.ID != "" {
				ref := activation.ObjectRef{Kind: list[i].Object.Kind, ID: o.ID}
				kept[ref] = provider.ObjectState{ObjectRef: ref, Type: list[i].Type, Parent: list[i].Parent, Fields: list[i].Set}
			}
		}
		return out, err
	}}
}

// TestPublisherSuiteFindsMisprints gives the suite publishers that are wrong in one
// way each, wants the cases to fail that are there for it, and wants every case to
// have failed for one of them.
func TestPublisherSuiteFindsMisprints(t *testing.T) {
	defer close(forever)
	found := map[string]bool{"the declaration is well formed": true} // TestPublisherSuiteFindsDeclarations
	for name, tc := range misprints() {
		h := paperHarness(func(p provider.Publisher) provider.Publisher {
			m := tc.misprint
			m.Publisher = p
			return m
		})
		for _, c := range tc.fails {
			found[c] = true
			if err := h.Judge(c); err == nil {
				t.Errorf("a publisher that %s passes %q", name, c)
			}
		}
	}
	for _, c := range providertest.PublisherCases() {
		if !found[c] {
			t.Errorf("no variant fails %q", c)
		}
	}
}

// TestPublisherSuiteFindsDeclarations breaks the declaration in one way each.
func TestPublisherSuiteFindsDeclarations(t *testing.T) {
	campaign := func(p *provider.Publishing) *provider.ObjectType { return &p.Objects[1] }
	for name, breaks := range map[string]func(p *provider.Publishing){
		"no workflow":          func(p *provider.Publishing) { p.Post = "paper_export" },
		"no limit":             func(p *provider.Publishing) { p.MaxEdits = 0 },
		"no days":              func(p *provider.Publishing) { p.CostDays = 0 },
		"a type twice":         func(p *provider.Publishing) { p.Objects = append(p.Objects, p.Objects[0]) },
		"children first":       func(p *provider.Publishing) { slices.Reverse(p.Objects) },
		"a kind":               func(p *provider.Publishing) { campaign(p).Kind = "page" },
		"a field twice":        func(p *provider.Publishing) { campaign(p).Fields = append(campaign(p).Fields, campaign(p).Fields[0]) },
		"a type of field":      func(p *provider.Publishing) { campaign(p).Fields[3].Type = "string" },
		"no help":              func(p *provider.Publishing) { campaign(p).Fields[3].Help = "" },
		"an object of none":    func(p *provider.Publishing) { campaign(p).Fields[4].Object = "page" },
		"a status of its own":  func(p *provider.Publishing) { campaign(p).Fields[1].Options = []string{"on", "off"} },
		"a budget as text":     func(p *provider.Publishing) { campaign(p).Fields[2].Type = "text" },
		"an alias twice":       func(p *provider.Publishing) { campaign(p).Fields[2].Aliases = []string{"NOTE "} },
		"shown and required":   func(p *provider.Publishing) { campaign(p).Fields[3].Shown, campaign(p).Fields[3].Required = true, true },
		"nothing required":     func(p *provider.Publishing) { p.Objects[0].Fields[0].Required = false },
		"camel case":           func(p *provider.Publishing) { campaign(p).Fields[3].Name = "theNote" },
		"a bid that is edited": func(p *provider.Publishing) { p.Objects[2].Fields[2].Operation = activation.OpEdit },
	} {
		h := paperHarness(honest)
		breaks(h.Definition.Publishing)
		if err := h.Judge("the declaration is well formed"); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// TestPublisherHarnessIsLookedAt refuses harnesses that would leave cases out.
func TestPublisherHarnessIsLookedAt(t *testing.T) {
	for name, breaks := range map[string]func(h *providertest.PublisherHarness){
		"a case that is none":  func(h *providertest.PublisherHarness) { h.Skip = map[string]string{"x": "y"} },
		"no reason":            func(h *providertest.PublisherHarness) { h.Skip = map[string]string{oneUnknown: ""} },
		"a case that must run": func(h *providertest.PublisherHarness) { h.Skip = map[string]string{cutTaken: "it never is"} },
		"a field that is none": func(h *providertest.PublisherHarness) {
			h.Fields = map[string]providertest.FieldSample{"campaign.colour": {}}
		},
		"a type that is none": func(h *providertest.PublisherHarness) {
			h.Sample = map[string]func(int) map[string]string{"page": nil}
		},
		"no publishing": func(h *providertest.PublisherHarness) { h.Definition.Publishing = nil },
	} {
		h := paperHarness(honest)
		breaks(&h)
		if h.Validate() == nil {
			t.Errorf("%s passes", name)
		}
	}
}
