package providertest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/provider"
)

// mayNotFitPublisher are cases that a declaration may make senseless.
var mayNotFitPublisher = []string{casePublishTogether, casePublishChanged, casePublishMoney, casePublishRefusedParent}

const (
	casePublishTogether      = "edits of several objects travel together"
	casePublishChanged       = "what others changed is named"
	casePublishMoney         = "an amount is rounded as it is told"
	casePublishRefusedParent = "what lies in a refused parent is not made"
)

// publishDeclarationChecks are about what is declared, and about the account.
func publishDeclarationChecks() []publishCheck {
	return []publishCheck{
		{"the declaration is well formed", never, func(w *publisherWorld) error { return declaration(w.def) }},
		{"check tells name, currency and zone and writes nothing", never, checkTells},
		{"check with a bad token", never, checkBadToken},
	}
}

// publishEditChecks are about each type and field.
func publishEditChecks() []publishCheck {
	return []publishCheck{
		{"every type is created as asked", never, createsTypes},
		{"every field is edited", never, editsFields},
		{"every field is cleared, or its clearing refused", never, clearsFields},
		{"paused and enabled again", never, pauses},
		{"every type that may be is deleted", never, deletes},
		{"names are kept as they are", never, keepsNames},
		{casePublishMoney, never, roundsMoney},
		{"an edit of what is gone is refused", never, editsGone},
	}
}

// declaration says what of a provider's publishing part is not well formed.
func declaration(d provider.Definition) error {
	p := d.Publishing
	var wrong []error
	say := func(format string, a ...any) { wrong = append(wrong, fmt.Errorf(format, a...)) }
	for _, name := range []string{p.Sync, p.Post} {
		w, ok := d.Workflow(name)
		if !ok || w.Direction != provider.Editing || w.Subject != provider.Campaigns {
			say("there is no workflow %q that edits campaigns", name)
		}
	}
	if p.Sync != d.Name+"_sync" || p.Post != d.Name+"_post" {
		say("the workflows are %q and %q", p.Sync, p.Post)
	}
	if p.AccountHelp == "" || p.MaxEdits < 1 || p.Settles < 0 || p.CostDays < 1 || p.New == nil || len(p.Objects) == 0 {
		say("help for the account, the most edits, the days of costs, the objects and the client are needed")
	}
	for _, f := range p.Fields {
		if f.Name == "" || f.Label == "" || f.Help == "" || f.Secret || (f.Type == typeSelect) != (len(f.Options) > 0) {
			say("the setting %q is not whole", f.Name)
		}
	}
	seen := map[string]bool{}
	for _, t := range p.Objects {
		switch {
		case t.Name == "" || t.Title == "" || seen[t.Name] || strings.ToLower(t.Name) != t.Name:
			say("the type %q is there twice, or without a title", t.Name)
		case !slices.Contains(activation.ObjectKinds, t.Kind):
			say("the type %q is of kind %q", t.Name, t.Kind)
		case t.Parent != "" && !seen[t.Parent]:
			say("the type %q comes before the %q it lies in", t.Name, t.Parent)
		}
		seen[t.Name] = true
		wrong = append(wrong, declaredFields(p, t)...)
	}
	return errors.Join(wrong...)
}

var fieldOperations = []activation.Operation{"", activation.OpEdit, activation.OpBid, activation.OpGeo, activation.OpStatus}

func declaredFields(p *provider.Publishing, t provider.ObjectType) (wrong []error) {
	say := func(f provider.ObjectField, text string) {
		wrong = append(wrong, fmt.Errorf("%s.%s: %s", t.Name, f.Name, text))
	}
	seen := map[string]string{}
	names := map[string]bool{}
	for _, f := range t.Fields {
		_, refers := p.Object(f.Object)
		twice := names[f.Name]
		names[f.Name] = true
		switch {
		case twice:
			say(f, "it is there twice")
		case f.Name == "" || f.Label == "" || f.Help == "":
			say(f, "it lacks name, label or help")
		case strings.Trim(f.Name, "abcdefghijklmnopqrstuvwxyz_0123456789") != "":
			say(f, "the name is not snake case")
		case !slices.Contains(fieldTypes, f.Type):
			say(f, "its type "+f.Type+" is unknown")
		case (f.Type == typeSelect) != (len(f.Options) > 0):
			say(f, "options go with select")
		case (f.Type == typeObject) != (f.Object != "") || f.Object != "" && !refers:
			say(f, "it refers to no declared type")
		case f.Shown && (f.Required || f.Fixed):
			say(f, "what can only be read is neither required nor fixed")
		case !slices.Contains(fieldOperations, f.Operation):
			say(f, "a change of it is called "+string(f.Operation))
		case f.Max < 0:
			say(f, "its limit is negative")
		case f.Name == activation.FieldStatus && (!slices.Equal(slices.Sorted(slices.Values(f.Options)), []string{activation.StatusEnabled, activation.StatusPaused}) || f.Operation != activation.OpStatus):
			say(f, "the status is enabled or paused, and a change of it is called status")
		case (f.Name == activation.FieldBid || f.Name == activation.FieldBudget) && f.Type != typeAmount:
			say(f, "it is no amount")
		case f.Name == activation.FieldBid && f.Operation != activation.OpBid:
			say(f, "a change of a bid is called bid")
		}
		for _, name := range append([]string{f.Name, f.Label}, f.Aliases...) {
			name = strings.Map(func(r rune) rune {
				if strings.ContainsRune(" _-", r) {
					return -1
				}
				return r
			}, strings.ToLower(name))
			if other := seen[name]; other != "" && other != f.Name {
				say(f, "it is called like "+other)
			}
			seen[name] = f.Name
		}
	}
	if t.Creates && !slices.ContainsFunc(t.Fields, func(f provider.ObjectField) bool { return f.Required && !f.Shown }) {
		wrong = append(wrong, fmt.Errorf("%s: a create needs no field", t.Name))
	}
	return wrong
}

func checkTells(w *publisherWorld) error {
	got, err := w.pub.Check(w.ctx)
	w.said.hear(err)
	switch {
	case err != nil:
		return err
	case got != w.net.Info():
		return fmt.Errorf("it tells %+v, the account is %+v", got, w.net.Info())
	case w.net.Writes() != 0:
		return errors.New("it wrote something")
	case w.net.Calls() == 0:
		return errors.New("it asked nobody")
	}
	return nil
}

func checkBadToken(w *publisherWorld) error {
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	_, err := w.pub.Check(w.ctx)
	w.said.hear(err)
	if _, err := wantError(checkError(activation.Receipt{}, err), activation.Unauthorized, false); err != nil {
		return err
	}
	w.net.Heal()
	_, err = w.pub.Check(w.ctx)
	return err
}

// createsTypes makes two objects of every type and looks for them on both sides.
func createsTypes(w *publisherWorld) error {
	made := 0
	for _, t := range w.p.Objects {
		if !t.Creates {
			continue
		}
		for i := 1; i <= 2; i++ {
			e, err := w.create(t, i, nil)
			if err != nil {
				return err
			}
			out, err := w.do(e)
			if err != nil {
				return err
			}
			ref := activation.ObjectRef{Kind: t.Kind, ID: out[0].ID}
			err = errors.Join(w.truth([]provider.Edit{e}, out), w.readsTrue(ref), w.once(1, ref), w.finds([]provider.Edit{e}, []string{ref.ID}))
			if err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			made++
		}
	}
	if made == 0 {
		return errors.New("no type can be created")
	}
	return nil
}

// editable calls do with every field that can be set after the creation, and an
// object of its own that has it.
func (w *publisherWorld) editable(with bool, do func(t provider.ObjectType, f provider.ObjectField, sample FieldSample, have provider.ObjectState) error) error {
	for _, t := range w.p.Objects {
		for i, f := range t.Fields {
			if f.Fixed || f.Shown {
				continue
			}
			sample := w.h.Fields[t.Name+"."+f.Name]
			change := maps.Clone(sample.With)
			if change == nil {
				change = map[string]string{}
			}
			if _, there := w.h.wanted(t, 100+i, change)[f.Name]; with && !there {
				change[f.Name] = cmp.Or(sample.Value, value(t, f, i))
			}
			ref, err := w.object(t, 100+i, change)
			if err != nil {
				return fmt.Errorf("to edit %s: %w", f.Name, err)
			}
			all, err := w.tree()
			if err != nil {
				return err
			}
			if err := do(t, f, sample, all[ref]); err != nil {
				return fmt.Errorf("%s.%s: %w", t.Name, f.Name, err)
			}
		}
	}
	return nil
}

func editsFields(w *publisherWorld) error {
	return w.editable(false, func(t provider.ObjectType, f provider.ObjectField, sample FieldSample, have provider.ObjectState) error {
		after := sample.Value
		for i := 1; after == "" || after == have.Fields[f.Name]; i++ {
			if after = value(t, f, 200+i); i > 3 {
				return errors.New("the harness gives no other value")
			}
		}
		if typ, ok := strings.CutPrefix(after, "@"); ok {
			other, ok := w.p.Object(typ)
			if !ok {
				return fmt.Errorf("type %q is not declared", typ)
			}
			ref, err := w.object(other, 500+len(w.base), nil)
			if err != nil {
				return err
			}
			after = ref.ID
		}
		e := w.editOf(have, map[string]string{f.Name: after})
		out, err := w.do(e)
		if err != nil {
			return err
		}
		return errors.Join(w.truth([]provider.Edit{e}, out), w.readsTrue(have.ObjectRef), w.once(2, have.ObjectRef), w.others(have, e, out[0]))
	})
}

// others says which field beside those of an edit is not as it was. Fields that can
// only be read may follow, and so may those that the publisher told of.
func (w *publisherWorld) others(before provider.ObjectState, e provider.Edit, o provider.EditOutcome) error {
	all, err := w.tree()
	if err != nil {
		return err
	}
	after := all[before.ObjectRef]
	t, _ := w.p.Object(before.Type)
	for _, f := range t.Fields {
		_, set := e.Set[f.Name]
		_, told := o.Values[f.Name]
		if !set && !told && !f.Shown && !slices.Contains(e.Clear, f.Name) && before.Fields[f.Name] != after.Fields[f.Name] {
			return fmt.Errorf("%s went from %q to %q and nobody asked for it", f.Name, before.Fields[f.Name], after.Fields[f.Name])
		}
	}
	return nil
}

func clearsFields(w *publisherWorld) error {
	return w.editable(true, func(_ provider.ObjectType, f provider.ObjectField, sample FieldSample, have provider.ObjectState) error {
		if f.Required || f.Name == activation.FieldStatus || f.Name == activation.FieldName {
			return nil
		}
		if have.Fields[f.Name] == "" {
			return errors.New("it was created with a value and has none")
		}
		change := map[string]string{f.Name: ""}
		also := maps.Clone(sample.Also)
		if err := w.resolve(also); err != nil {
			return err
		}
		maps.Copy(change, also)
		e := w.editOf(have, change)
		out, err := w.post(e)
		if err != nil {
			return err
		}
		want := provider.EditDone
		if sample.Kept != "" {
			want = provider.EditRefused
		}
		if out[0].State != want {
			return fmt.Errorf("its clearing is %s (%s %s), want %s", out[0].State, out[0].Code, out[0].Text, want)
		}
		return errors.Join(w.truth([]provider.Edit{e}, out), w.readsTrue(have.ObjectRef))
	})
}

func pauses(w *publisherWorld) error {
	paused := 0
	for _, t := range w.p.Objects {
		f, ok := t.Field(activation.FieldStatus)
		if !ok || f.Shown || f.Fixed {
			continue
		}
		ref, err := w.object(t, 1, nil)
		if err != nil {
			return err
		}
		for i, status := range []string{activation.StatusPaused, activation.StatusEnabled} {
			e, err := w.edit(ref, map[string]string{activation.FieldStatus: status})
			if err != nil {
				return err
			}
			out, err := w.do(e)
			if err != nil {
				return err
			}
			if err := errors.Join(w.truth([]provider.Edit{e}, out), w.readsTrue(ref), w.once(2+i, ref)); err != nil {
				return fmt.Errorf("%s %s: %w", t.Name, status, err)
			}
		}
		paused++
	}
	if paused == 0 {
		return errors.New("nothing can be paused")
	}
	return nil
}

func deletes(w *publisherWorld) error {
	for _, t := range w.p.Objects {
		if !t.Deletes {
			continue
		}
		ref, err := w.object(t, 1, nil)
		if err != nil {
			return err
		}
		stays, err := w.object(t, 2, nil)
		if err != nil {
			return err
		}
		all, err := w.tree()
		if err != nil {
			return err
		}
		e := w.remove(all[ref])
		out, err := w.do(e)
		if err != nil {
			return err
		}
		if err := errors.Join(w.truth([]provider.Edit{e}, out), w.readsTrue(ref, stays), w.once(2, ref), w.once(1, stays)); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if all, err = w.tree(); err != nil || all[stays].ID == "" {
			return errors.Join(err, fmt.Errorf("another %s went with it", t.Name))
		}
		if out, err = w.post(e); err != nil || out[0].State != provider.EditRefused && out[0].State != provider.EditDone {
			return errors.Join(err, fmt.Errorf("%s: deleting it again has the outcome %+v", t.Name, out))
		}
	}
	return nil
}

// keepsNames names objects in ways that bring programs into trouble. A publisher
// may refuse those that are marked.
func keepsNames(w *publisherWorld) error {
	t, err := w.top()
	if err != nil {
		return err
	}
	f, _ := t.Field(activation.FieldName)
	long := strings.Repeat("a long name ", 30)
	if most := cmp.Or(f.Max, 100); utf8.RuneCountInString(long) > most {
		long = strings.TrimSpace(string([]rune(long)[:most-1])) + "."
	}
	for i, tc := range []struct {
		name      string
		mayRefuse bool
	}{
		{`O'Brien & "Söhne"`, false},
		{`back\slash %s 100% a/b`, false},
		{"Winter in 東京", false},
		{"Ürünler İstanbul ß", false},
		{long, false},
		{"sale 🎉🛒", true},
		{"<b>bold</b> {json: []}", true},
	} {
		e, err := w.create(t, 10+i, map[string]string{activation.FieldName: tc.name})
		if err != nil {
			return err
		}
		out, err := w.post(e)
		if err != nil {
			return fmt.Errorf("%q: %w", tc.name, err)
		}
		if err := w.truth([]provider.Edit{e}, out); err != nil {
			return fmt.Errorf("%q: %w", tc.name, err)
		}
		if out[0].State != provider.EditDone {
			if tc.mayRefuse && out[0].State == provider.EditRefused {
				continue
			}
			return fmt.Errorf("%q is %s: %s", tc.name, out[0].State, out[0].Text)
		}
		ref := activation.ObjectRef{Kind: t.Kind, ID: out[0].ID}
		other, err := w.create(t, 10+i, map[string]string{activation.FieldName: tc.name + "x"})
		if err != nil {
			return err
		}
		if err := errors.Join(w.readsTrue(ref), w.finds([]provider.Edit{e, other}, []string{ref.ID, ""})); err != nil {
			return fmt.Errorf("%q: %w", tc.name, err)
		}
	}
	return nil
}

// roundsMoney asks for amounts finer than any currency.
func roundsMoney(w *publisherWorld) error {
	tried := 0
	for _, t := range w.p.Objects {
		for i, f := range t.Fields {
			if f.Type != typeAmount || f.Fixed || f.Shown {
				continue
			}
			ref, err := w.object(t, 100+i, w.h.Fields[t.Name+"."+f.Name].With)
			if err != nil {
				return err
			}
			tried++
			e, err := w.edit(ref, map[string]string{f.Name: "7.123456"})
			if err != nil {
				return err
			}
			out, err := w.post(e)
			if err != nil {
				return err
			}
			if err := errors.Join(w.truth([]provider.Edit{e}, out), w.readsTrue(ref)); err != nil {
				return fmt.Errorf("%s.%s: %w", t.Name, f.Name, err)
			}
			if v := out[0].Values[f.Name]; out[0].State == provider.EditDone && v != "7" && v != "7.1" && v != "7.12" {
				return fmt.Errorf("%s.%s: 7.123456 became %q", t.Name, f.Name, v)
			}
		}
	}
	if tried == 0 {
		return unfit("there are no amounts to be edited")
	}
	return nil
}

func editsGone(w *publisherWorld) error {
	t, err := w.top()
	if err != nil {
		return err
	}
	refs, err := w.objects(t, 1, 2)
	if err != nil {
		return err
	}
	e, err := w.rename(refs[0], "after the end")
	if err != nil {
		return err
	}
	other, err := w.rename(refs[1], "still here")
	if err != nil {
		return err
	}
	if err := w.net.Remove(refs[0]); err != nil {
		return err
	}
	out, err := w.post(e, other)
	if err != nil {
		return err
	}
	if out[0].State != provider.EditRefused || out[1].State != provider.EditDone {
		return fmt.Errorf("the edit of what is gone is %s (%s), its neighbour %s (%s)", out[0].State, out[0].Text, out[1].State, out[1].Text)
	}
	return errors.Join(w.truth([]provider.Edit{e, other}, out), w.readsTrue(refs...))
}

// publishOrderChecks are about edits that travel together.
func publishOrderChecks() []publishCheck {
	return []publishCheck{
		{"a tree is made in order", never, makesTree},
		{casePublishTogether, never, travels},
		{"edits in order give the tree that was wanted", never, givesTree},
		{"no edits are no call", never, noEdits},
		{"more edits than the limit", never, tooMany},
	}
}

// treeEdits are creates of one object of every type, each in the one before, by ids
// that none of them has yet.
func (w *publisherWorld) treeEdits(i int) ([]provider.Edit, error) {
	var edits []provider.Edit
	made := map[string]activation.ObjectRef{}
	var add func(typ string) error
	add = func(typ string) error {
		t, _ := w.p.Object(typ)
		if _, ok := made[typ]; ok || !t.Creates {
			return nil
		}
		set := w.h.wanted(t, i, nil)
		needs := []string{}
		if t.Parent != "" {
			needs = append(needs, t.Parent)
		}
		for _, name := range slices.Sorted(maps.Keys(set)) {
			if other, ok := strings.CutPrefix(set[name], "@"); ok {
				needs = append(needs, other)
			}
		}
		for _, other := range needs {
			if err := add(other); err != nil {
				return err
			}
		}
		for name, v := range set {
			if other, ok := strings.CutPrefix(v, "@"); ok {
				if ref, ok := made[other]; ok {
					set[name] = ref.ID
				}
			}
		}
		if err := w.resolve(set); err != nil {
			return err
		}
		e, err := w.createIn(t, made[t.Parent], i, set)
		if err != nil {
			return err
		}
		made[typ] = e.Object
		edits = append(edits, e)
		return nil
	}
	for _, t := range w.p.Objects {
		if err := add(t.Name); err != nil {
			return nil, err
		}
	}
	return edits, nil
}

// withIDs are the edits as they are once the creates among them are done.
func withIDs(edits []provider.Edit, out []provider.EditOutcome) []provider.Edit {
	ids := map[string]string{}
	list := make([]provider.Edit, len(edits))
	for i, e := range edits {
		e = known(e, ids)
		list[i] = e
		if e.Operation == activation.OpCreate && out[i].State == provider.EditDone {
			ids[e.Object.ID] = out[i].ID
		}
	}
	return list
}

func makesTree(w *publisherWorld) error {
	edits, err := w.treeEdits(1)
	if err != nil {
		return err
	}
	out, err := w.post(edits...)
	if err != nil {
		return err
	}
	list := withIDs(edits, out)
	for i, o := range out {
		ref := activation.ObjectRef{Kind: edits[i].Object.Kind, ID: o.ID}
		if o.State != provider.EditDone {
			return fmt.Errorf("the %s is %s: %s %s", edits[i].Type, o.State, o.Code, o.Text)
		}
		if err := errors.Join(w.once(1, ref), w.readsTrue(ref)); err != nil {
			return err
		}
		all, err := w.tree()
		if err != nil {
			return err
		}
		if all[ref].Parent != list[i].Parent {
			return fmt.Errorf("the %s lies in %+v, want %+v", edits[i].Type, all[ref].Parent, list[i].Parent)
		}
	}
	if err := w.truth(list, out); err != nil {
		return err
	}
	all, err := w.tree()
	if err == nil && len(all) != len(edits) {
		err = fmt.Errorf("the account has %d objects, %d were made", len(all), len(edits))
	}
	return err
}

// travels renames several objects: they go out in one call where more than one edit
// may travel at all.
func travels(w *publisherWorld) error {
	if w.p.MaxEdits == 1 {
		return unfit("the publisher takes one edit a call")
	}
	t, err := w.top()
	if err != nil {
		return err
	}
	refs, err := w.objects(t, 1, 3)
	if err != nil {
		return err
	}
	var edits []provider.Edit
	for i, ref := range refs {
		e, err := w.rename(ref, fmt.Sprintf("renamed %d", i))
		if err != nil {
			return err
		}
		edits = append(edits, e)
	}
	if n, err := w.together(edits[:min(3, w.p.MaxEdits)]); err != nil || n < 2 {
		return errors.Join(err, fmt.Errorf("%d renames of several objects travel together", n))
	}
	many := make([]provider.Edit, w.p.MaxEdits+5)
	for i := range many {
		many[i] = edits[0]
		many[i].Object.ID = fmt.Sprintf("%d", 1_000_000+i)
	}
	if n, err := w.together(many); err != nil || n < 2 {
		return errors.Join(err, fmt.Errorf("%d of %d renames travel together", n, len(many)))
	}
	out, err := w.do(edits...)
	if err != nil {
		return err
	}
	return errors.Join(w.truth(edits, out), w.readsTrue(refs...), w.once(2, refs...))
}

// givesTree posts edits as chance has them, and compares the far side with what they
// come to when one is done after the other.
func givesTree(w *publisherWorld) error {
	const seed = 7
	chance := rand.New(rand.NewPCG(seed, 0))
	want := forest{}
	edits, err := w.treeEdits(1)
	if err != nil {
		return err
	}
	open := map[activation.ObjectRef]activation.ObjectRef{} // by the id that it has at first
	for _, e := range edits {
		want[e.Object] = provider.ObjectState{ObjectRef: e.Object, Type: e.Type, Parent: e.Parent, Fields: e.Set}
	}
	creates := slices.DeleteFunc(slices.Clone(w.p.Objects), func(t provider.ObjectType) bool { return !t.Creates })
	for i := range 40 {
		refs := slices.SortedFunc(maps.Keys(want), func(a, b activation.ObjectRef) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
		})
		pick := func(typ string) (o provider.ObjectState, ok bool) {
			fits := slices.DeleteFunc(slices.Clone(refs), func(ref activation.ObjectRef) bool { return want[ref].Type != typ })
			if len(fits) == 0 {
				return o, false
			}
			return want[fits[chance.IntN(len(fits))]], true
		}
		t := creates[chance.IntN(len(creates))]
		o, there := pick(t.Name)
		switch what := chance.IntN(10); {
		case what < 5 || !there:
			var parent provider.ObjectState
			if t.Parent != "" {
				if parent, there = pick(t.Parent); !there {
					continue
				}
			}
			set := w.h.wanted(t, 10+i, nil)
			fits := true
			for name, v := range set {
				if typ, ok := strings.CutPrefix(v, "@"); ok {
					other, there := pick(typ)
					set[name], fits = other.ID, fits && there
				}
			}
			if !fits {
				continue
			}
			e, err := w.createIn(t, parent.ObjectRef, 10+i, set)
			if err != nil {
				return err
			}
			want[e.Object] = provider.ObjectState{ObjectRef: e.Object, Type: t.Name, Parent: parent.ObjectRef, Fields: maps.Clone(e.Set)}
			edits = append(edits, e)
		case what < 6 && t.Deletes && !usedBy(w.p, want, o):
			edits = append(edits, w.remove(o))
			drop(want, o.ObjectRef)
		default:
			f, ok := t.Field([]string{activation.FieldName, activation.FieldStatus}[chance.IntN(2)])
			if !ok || f.Fixed || f.Shown {
				continue
			}
			e := w.editOf(o, map[string]string{f.Name: value(t, f, 1000+i)})
			edits = append(edits, e)
			maps.Copy(want[o.ObjectRef].Fields, e.Set)
		}
	}
	out, err := w.post(edits...)
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	told := map[activation.ObjectRef]map[string]string{}
	for i, e := range edits {
		if out[i].State != provider.EditDone {
			return fmt.Errorf("seed %d: edit %d, %s %s %v, is %s: %s %s", seed, i, e.Operation, e.Type, e.Set, out[i].State, out[i].Code, out[i].Text)
		}
		if e.Operation == activation.OpCreate {
			open[e.Object] = activation.ObjectRef{Kind: e.Object.Kind, ID: out[i].ID}
		}
		if told[e.Object] == nil {
			told[e.Object] = map[string]string{}
		}
		maps.Copy(told[e.Object], out[i].Values)
	}
	all, err := w.tree()
	if err != nil {
		return err
	}
	if len(all) != len(want) {
		return fmt.Errorf("seed %d: the account has %d objects, want %d", seed, len(all), len(want))
	}
	ids := map[string]string{}
	for from, to := range open {
		ids[from.ID] = to.ID
	}
	for ref, o := range want {
		have := all[open[ref]]
		if have.Type != o.Type || have.Parent != open[o.Parent] {
			return fmt.Errorf("seed %d: %s is a %s in %+v, want one in %+v", seed, o.Type, have.Type, have.Parent, open[o.Parent])
		}
		if err := sets(have, known(provider.Edit{Set: o.Fields}, ids).Set, told[ref]); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

// usedBy reports whether a field of another object refers to it.
func usedBy(p *provider.Publishing, all forest, o provider.ObjectState) bool {
	for _, other := range all {
		t, _ := p.Object(other.Type)
		for _, f := range t.Fields {
			if f.Type == typeObject && other.Fields[f.Name] == o.ID {
				return true
			}
		}
	}
	return false
}

// drop takes an object away with all that lies in it.
func drop(all forest, ref activation.ObjectRef) {
	delete(all, ref)
	for _, o := range maps.Clone(all) {
		if o.Parent == ref {
			drop(all, o.ObjectRef)
		}
	}
}

func noEdits(w *publisherWorld) error {
	out, err := w.pub.Post(w.ctx, nil)
	w.said.hear(err)
	if err != nil || len(out) > 0 {
		return errors.Join(err, fmt.Errorf("%d outcomes of no edits", len(out)))
	}
	read, err := w.pub.Read(w.ctx, nil)
	found, findErr := w.pub.Find(w.ctx, nil)
	if err = errors.Join(err, findErr); err != nil || len(read)+len(found) > 0 {
		return errors.Join(err, fmt.Errorf("%d objects and %d ids of nothing", len(read), len(found)))
	}
	if w.net.Writes() != 0 {
		return errors.New("a call was made")
	}
	return nil
}

func tooMany(w *publisherWorld) error {
	t, err := w.top()
	if err != nil {
		return err
	}
	ref, err := w.object(t, 1, nil)
	if err != nil {
		return err
	}
	one, err := w.rename(ref, "too many")
	if err != nil {
		return err
	}
	edits := make([]provider.Edit, w.p.MaxEdits+1)
	for i := range edits {
		edits[i] = one
		edits[i].Object.ID = ref.ID + strings.Repeat("0", 1+i%5) + fmt.Sprint(i)
	}
	writes := w.net.Writes()
	_, err = w.send(w.ctx, w.pub, edits)
	var e *activation.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("%d edits in a call: %v", len(edits), err) //nolint:errorlint // what is wrong must not pass for what it wraps
	case e.Kind != activation.Invalid && e.Kind != activation.RefusedWhole || e.MayHaveApplied:
		return fmt.Errorf("%d edits in a call: %w", len(edits), err)
	case w.net.Writes() != writes:
		return fmt.Errorf("%d edits were sent", len(edits))
	}
	return nil
}
