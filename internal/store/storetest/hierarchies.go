package storetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// action makes an action of a group with its audiences.
func (w *world) action(g activation.Group, name string, priority int64) activation.Action {
	w.t.Helper()
	slug := strings.ToLower(name)
	a, err := w.CreateAction(w.t.Context(), activation.Action{Group: g.ID, Name: name, Eligibility: "FILTER age > 18", Priority: priority, Enabled: true},
		activation.Audience{Slug: slug, Name: "Sales-Cards-" + name}, activation.Audience{Slug: slug + "-n", Name: "Sales-Cards-" + name + "-N", Rule: "FILTER NOT age > 18"}, "ann")
	w.ok(err)
	return a
}

func (w *world) levels() (activation.Issue, activation.Group) {
	w.t.Helper()
	i, err := w.CreateIssue(w.t.Context(), activation.Issue{Name: "Sales", Description: "what is sold"}, "ann")
	w.ok(err)
	g, err := w.CreateGroup(w.t.Context(), activation.Group{Issue: i.ID, Name: "Cards"}, "ann")
	w.ok(err)
	return i, g
}

func (w *world) saved(id activation.AudienceID) activation.Audience {
	w.t.Helper()
	a, err := w.Audience(w.t.Context(), id)
	w.ok(err)
	return a
}

// hierarchy: issues, groups and actions with the audiences that belong to them.
func hierarchy(w *world) {
	ctx := w.t.Context()
	issue, group := w.levels()
	gold, basic := w.action(group, "Gold", 10), w.action(group, "Basic", 20)
	h, err := w.Hierarchy(ctx)
	w.ok(err)
	w.equal([]activation.Issue{issue}, h.Issues)
	w.equal([]activation.Group{group}, h.Groups)
	w.equal([]activation.Action{basic, gold}, h.Actions) // by name
	w.equal([]activation.Action{basic, gold}, h.At("Sales/Cards"))
	w.equal("Sales-Cards-Gold", h.AudienceName(gold))
	w.equal([]any{activation.KindAction, "", activation.KindNegative, "FILTER NOT age > 18"},
		[]any{w.saved(gold.Audience).Kind, w.saved(gold.Audience).Rule, w.saved(gold.Negative).Kind, w.saved(gold.Negative).Rule})

	// Names and slugs are taken once, and nothing half is left behind.
	_, err = w.CreateIssue(ctx, activation.Issue{Name: "Sales"}, "ann")
	w.is(activation.ErrConflict, err)
	_, err = w.CreateGroup(ctx, activation.Group{Issue: issue.ID, Name: "Cards"}, "ann")
	w.is(activation.ErrConflict, err)
	_, err = w.CreateGroup(ctx, activation.Group{Issue: "nobody", Name: "Cards"}, "ann")
	w.equal(activation.Invalid, activation.KindOf(err))
	_, err = w.CreateAction(ctx, activation.Action{Group: group.ID, Name: "Gold"}, activation.Audience{Slug: "x", Name: "x"}, activation.Audience{Slug: "x-n", Name: "x"}, "ann")
	w.is(activation.ErrConflict, err)
	_, err = w.CreateAction(ctx, activation.Action{Group: group.ID, Name: "Other"}, activation.Audience{Slug: "y", Name: "y"}, activation.Audience{Slug: "gold-n", Name: "y"}, "ann")
	w.is(activation.ErrConflict, err)
	_, err = w.CreateAction(ctx, activation.Action{Group: "nobody", Name: "Other"}, activation.Audience{Slug: "y", Name: "y"}, activation.Audience{Slug: "y-n", Name: "y"}, "ann")
	w.equal(activation.Invalid, activation.KindOf(err))
	all, err := w.Audiences(ctx)
	w.ok(err)
	w.equal(4, len(all))

	// People leave these audiences alone.
	for _, id := range []activation.AudienceID{gold.Audience, gold.Negative} {
		a := w.saved(id)
		a.Rule = "FILTER *"
		_, err = w.UpdateAudience(ctx, a, "ann")
		w.is(activation.ErrConflict, err)
		w.equal(true, strings.Contains(err.Error(), "is kept by Usher"))
		w.is(activation.ErrConflict, w.DeleteAudience(ctx, id, "ann"))
	}
	_, err = w.CreateAudience(ctx, activation.Audience{Slug: "z", Name: "z", Kind: activation.KindAction}, "ann")
	w.is(activation.ErrConflict, err)

	// Changing an action changes its audiences; only another rule is another version.
	negative := w.saved(gold.Negative)
	gold.Name, gold.Priority, gold.Enabled, gold.Group = "Platinum", 30, false, "moved"
	negative.Name, negative.Rule = "Sales-Cards-Platinum-N", "FILTER NOT age > 30"
	positive := w.saved(gold.Audience)
	positive.Name, positive.Rule = "Sales-Cards-Platinum", "FILTER *"
	gold, err = w.UpdateAction(ctx, gold, positive, negative, "ann")
	w.ok(err)
	w.equal(group.ID, gold.Group)
	w.equal([]any{"Sales-Cards-Platinum", "", 1, 2}, []any{w.saved(gold.Audience).Name, w.saved(gold.Audience).Rule, w.saved(gold.Audience).Version, w.saved(gold.Negative).Version})
	gold.Name = "Basic"
	_, err = w.UpdateAction(ctx, gold, positive, negative, "ann")
	w.is(activation.ErrConflict, err)
	gold.Name = "Platinum"

	// So does another name of what they are in.
	issue.Name = "Offers"
	_, err = w.UpdateIssue(ctx, issue, "ann")
	w.ok(err)
	w.equal("Offers-Cards-Platinum-N", w.saved(gold.Negative).Name)
	group.Name = "Credit"
	group.Issue = "moved"
	group, err = w.UpdateGroup(ctx, group, "ann")
	w.ok(err)
	w.equal(issue.ID, group.Issue)
	w.equal([]any{"Offers-Credit-Platinum", "gold", 1}, []any{w.saved(gold.Audience).Name, w.saved(gold.Audience).Slug, w.saved(gold.Audience).Version})
	w.equal("Offers-Credit-Basic", w.saved(basic.Audience).Name)

	w.is(activation.ErrConflict, w.DeleteIssue(ctx, issue.ID, "ann"))
	w.is(activation.ErrConflict, w.DeleteGroup(ctx, group.ID, "ann"))
	w.retires(gold, basic)
	w.ok(w.DeleteAction(ctx, basic.ID, "ann"))
	w.ok(w.DeleteGroup(ctx, group.ID, "ann"))
	w.ok(w.DeleteIssue(ctx, issue.ID, "ann"))
	w.is(activation.ErrNotFound, w.DeleteIssue(ctx, issue.ID, "ann"))
	w.is(activation.ErrNotFound, w.DeleteAction(ctx, basic.ID, "ann"))
	for subject, verbs := range map[string]string{"issue " + string(issue.ID): "delete update create", "group " + string(group.ID): "delete update create", "action " + string(gold.ID): "delete update create"} {
		kind, id, _ := strings.Cut(subject, " ")
		entries, err := w.Audit(ctx, storeAudit(kind, id))
		w.ok(err)
		var got []string
		for _, e := range entries {
			w.equal("ann", e.Actor)
			w.equal(false, strings.Contains(e.Before+e.After, "age")) // whom a rule names is nobody's business
			got = append(got, e.Verb)
		}
		w.equal(verbs, strings.Join(got, " "))
	}
}

// retires deletes an action one of whose audiences is sent, while the other is
// left out elsewhere and in a priority list.
func (w *world) retires(gone, stays activation.Action) {
	w.t.Helper()
	ctx := w.t.Context()
	_, sent := w.job("sent", nil, w.saved(gone.Audience))
	leaves, others := w.job("leaves", func(j *activation.Job) { j.Exclude = []activation.AudienceID{gone.Negative, stays.Negative} }, w.saved(stays.Audience))
	l, err := w.CreatePriorityList(ctx, activation.PriorityList{Name: "all", Destination: w.dest.ID, Audiences: []activation.AudienceID{gone.Audience, stays.Audience}}, "ann")
	w.ok(err)
	for _, t := range append(sent, others...) {
		w.done(w.opens(activation.Run{Target: t.ID}), 1)
	}
	w.ok(w.DeleteAction(ctx, gone.ID, "ann"))
	retired := w.saved(gone.Audience)
	w.equal([]any{activation.KindRetired, "gold-retired-" + string(gone.Audience)[:6], "Offers-Credit-Platinum", ""}, []any{retired.Kind, retired.Slug, retired.Name, retired.Rule})
	w.equal([]any{activation.KindRetired, "", 3}, []any{w.saved(gone.Negative).Kind, w.saved(gone.Negative).Rule, w.saved(gone.Negative).Version})
	all, err := w.Audiences(ctx)
	w.ok(err)
	listed := func(id activation.AudienceID) bool {
		return slices.ContainsFunc(all, func(a activation.Audience) bool { return a.ID == id })
	}
	w.equal([]bool{true, false, true}, []bool{listed(gone.Audience), listed(gone.Negative), listed(stays.Negative)})
	l, err = w.PriorityList(ctx, l.ID)
	w.ok(err)
	w.equal([]activation.AudienceID{stays.Audience}, l.Audiences)
	j, err := w.Job(ctx, leaves.ID)
	w.ok(err)
	w.equal([]activation.AudienceID{stays.Negative}, j.Exclude)
	w.equal([]activation.TargetID{others[0].ID}, w.due()) // whom it wants is another thing now
	events, err := w.Events(ctx, store.EventFilter{SubjectID: string(gone.Audience)})
	w.ok(err)
	w.equal(activation.EventUpdated, events[0].Type)
	w.ok(w.DeletePriorityList(ctx, l.ID, "ann"))
}

// priorityLists: what they may be, what stands before a target, and who is due
// when that changes.
func priorityLists(w *world) {
	ctx := w.t.Context()
	a, b, c := w.audience("a"), w.audience("b"), w.audience("c")
	ids := []activation.AudienceID{a.ID, b.ID, c.ID}
	first, targetsA := w.job("first", nil, a)
	_, targets := w.job("others", nil, b, c)
	if targets[0].Audience != b.ID {
		slices.Reverse(targets)
	}
	idle := func() {
		w.t.Helper()
		for _, t := range append(targetsA, targets...) {
			if v := w.target(t.ID); v.DueNow || v.DirtySeq > v.DoneSeq {
				w.done(w.opens(activation.Run{Target: t.ID}), max(v.DirtySeq, 1))
			}
		}
		w.equal(0, len(w.due()))
	}
	before := func(t activation.Target) []activation.AudienceID {
		w.t.Helper()
		out, err := w.Outranking(ctx, t.ID)
		w.ok(err)
		return out
	}
	dueOnly := func(want ...activation.TargetID) {
		w.t.Helper()
		slices.Sort(want)
		got := w.due()
		slices.Sort(got)
		w.equal(want, got)
		idle()
	}
	idle()
	l, err := w.CreatePriorityList(ctx, activation.PriorityList{Name: "order", Destination: w.dest.ID, Audiences: ids}, "ann")
	w.ok(err)
	w.equal([]activation.AudienceID{a.ID}, before(targets[0]))
	w.equal([]activation.AudienceID{a.ID, b.ID}, before(targets[1]))
	w.equal(0, len(before(targetsA[0])))
	dueOnly(targets[0].ID, targets[1].ID)

	// Changes of those before make a target dirty, those after do not.
	w.clockOn()
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{b.ID: 10}))
	dueOnly(targets[0].ID, targets[1].ID)
	w.clockOn()
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{c.ID: 11}))
	dueOnly(targets[1].ID)

	// A list of the same again changes nothing, another order those behind.
	l.Audiences = []activation.AudienceID{a.ID, c.ID, b.ID}
	l, err = w.UpdatePriorityList(ctx, l, "ann")
	w.ok(err)
	w.equal([]activation.AudienceID{a.ID, c.ID}, before(targets[0]))
	dueOnly(targets[0].ID, targets[1].ID)
	l, err = w.UpdatePriorityList(ctx, l, "ann")
	w.ok(err)
	dueOnly()

	// One that nobody sends any more takes nobody, and what it did is forgotten.
	w.clockOn()
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{a.ID: 20}))
	w.ok(w.Kill(ctx, first.ID, "ann"))
	w.equal([]activation.AudienceID{c.ID}, before(targets[0]))
	w.equal(false, w.target(targets[0].ID).DirtySeq == 20)
	targetsA = nil
	dueOnly(targets[0].ID, targets[1].ID)
	w.clockOn()
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{a.ID: 21}))
	dueOnly()
	// And again from the moment that a job adopts it.
	again, _ := w.job("again", nil, a)
	w.equal([]activation.AudienceID{a.ID, c.ID}, before(targets[0]))
	targetsA, err = w.TargetsOf(ctx, again.ID, "")
	w.ok(err)
	dueOnly(targetsA[0].ID, targets[0].ID, targets[1].ID)
	again.Audiences = nil
	w.ok(w.UpdateJob(ctx, again, "ann"))
	w.equal([]activation.AudienceID{c.ID}, before(targets[0]))
	targetsA = nil
	dueOnly(targets[0].ID, targets[1].ID)

	// What a list may not be.
	other := w.destination("Other", "200", w.auth.ID)
	for field, wrong := range map[string]activation.PriorityList{
		"destination_id": {Name: "x", Destination: "nobody", Audiences: ids},
		"segment_ids":    {Name: "x", Destination: w.dest.ID, Audiences: []activation.AudienceID{b.ID}},
		"segment_ids ":   {Name: "x", Destination: other.ID, Audiences: []activation.AudienceID{a.ID, a.ID}},
		"segment_ids  ":  {Name: "x", Destination: other.ID, Audiences: []activation.AudienceID{"nobody"}},
		"segment_ids   ": {Name: "x", Destination: other.ID},
	} {
		_, err := w.CreatePriorityList(ctx, wrong, "ann")
		w.equal(activation.Invalid, activation.KindOf(err))
		w.equal(strings.TrimSpace(field), fieldOf(err))
	}
	moved := l
	moved.Destination = other.ID
	_, err = w.UpdatePriorityList(ctx, moved, "ann")
	w.equal("destination_id", fieldOf(err))
	_, err = w.CreatePriorityList(ctx, activation.PriorityList{Name: "order", Destination: other.ID, Audiences: ids}, "ann")
	w.is(activation.ErrConflict, err)
	elsewhere, err := w.CreatePriorityList(ctx, activation.PriorityList{Name: "elsewhere", Destination: other.ID, Audiences: ids}, "ann")
	w.ok(err)
	w.is(activation.ErrConflict, w.DeleteDestination(ctx, other.ID, "ann"))
	dueOnly()
	lists, err := w.PriorityLists(ctx, "")
	w.ok(err)
	w.equal([]activation.PriorityList{elsewhere, l}, lists)
	lists, err = w.PriorityLists(ctx, other.ID)
	w.ok(err)
	w.equal([]activation.PriorityList{elsewhere}, lists)

	// No more order.
	w.ok(w.DeletePriorityList(ctx, l.ID, "ann"))
	w.equal(0, len(before(targets[0])))
	dueOnly(targets[0].ID)
	_, err = w.PriorityList(ctx, l.ID)
	w.is(activation.ErrNotFound, err)
	w.is(activation.ErrNotFound, w.DeletePriorityList(ctx, l.ID, "ann"))
	w.is(activation.ErrConflict, w.DeleteAudience(ctx, a.ID, "ann"))
	entries, err := w.Audit(ctx, storeAudit("priority_list", string(l.ID)))
	w.ok(err)
	w.equal(4, len(entries))
}

// fieldOf is the field that an error is about.
func fieldOf(err error) string {
	var e *activation.Error
	if errors.As(err, &e) {
		return e.Field
	}
	return ""
}

// clockOn lets enough time pass for another run of a target.
func (w *world) clockOn() { w.clock.Add(time.Minute) }

// exclusions: whom a job leaves out is watched, and a change of that is due.
func exclusions(w *world) {
	ctx := w.t.Context()
	a, out, later := w.audience("a"), w.audience("out"), w.audience("later")
	j, targets := w.job("job", func(j *activation.Job) { j.Exclude = []activation.AudienceID{out.ID} }, a)
	target := targets[0].ID
	seq := int64(0)
	idle := func() {
		w.t.Helper()
		w.equal([]activation.TargetID{target}, w.due())
		w.done(w.opens(activation.Run{Target: target}), max(w.target(target).DirtySeq, 1))
		w.equal(0, len(w.due()))
		w.clockOn()
		seq += 10
	}
	idle()
	stored, err := w.Job(ctx, j.ID)
	w.ok(err)
	w.equal([]activation.AudienceID{out.ID}, stored.Exclude)
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{out.ID: seq, later.ID: seq + 1}))
	w.equal(seq, w.target(target).DirtySeq)
	idle()
	w.is(activation.ErrConflict, w.DeleteAudience(ctx, out.ID, "ann"))

	// Another one, of which the target is dirty for what it no longer watches.
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{out.ID: seq + 500}))
	stored.Exclude = []activation.AudienceID{later.ID}
	w.ok(w.UpdateJob(ctx, stored, "ann"))
	w.equal(w.target(target).DoneSeq, w.target(target).DirtySeq)
	w.equal(activation.CauseManual, w.target(target).DueCause)
	idle()
	w.ok(w.DeleteAudience(ctx, out.ID, "ann"))
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{later.ID: seq}))
	idle()

	for _, change := range []func(*activation.Job){
		func(j *activation.Job) { j.HoldoutPercent = 5 },
		func(j *activation.Job) { j.Level = "Sales/Cards" },
		func(j *activation.Job) { j.Exclude = nil },
	} {
		change(&stored)
		w.ok(w.UpdateJob(ctx, stored, "ann"))
		idle()
	}
	stored, err = w.Job(ctx, j.ID)
	w.ok(err)
	w.equal(activation.Level("Sales/Cards"), stored.Level)
	stored.Description = "no matter"
	w.ok(w.UpdateJob(ctx, stored, "ann"))
	w.equal(0, len(w.due()))
	stored.Exclude = []activation.AudienceID{"nobody"}
	err = w.UpdateJob(ctx, stored, "ann")
	w.equal([]any{activation.Invalid, "exclude"}, []any{activation.KindOf(err), fieldOf(err)})

	// What it leaves out holds no audience back once the job is over.
	stored.Exclude = []activation.AudienceID{later.ID}
	w.ok(w.UpdateJob(ctx, stored, "ann"))
	w.ok(w.Kill(ctx, j.ID, "ann"))
	w.ok(w.DeleteAudience(ctx, later.ID, "ann"))
}
