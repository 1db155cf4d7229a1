package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// triggeredByAgent is what Sync Tracking names as the trigger of runs that
// nobody asked for and no audience made due.
const triggeredByAgent = "Agent"

// A purpose is what a run is opened for, as Sync Tracking shows it. An empty
// cause is what made the target due, which the store knows as it opens the run.
type purpose struct {
	cause activation.Cause
	mode  activation.RunMode
	sync  activation.SyncType
	by    string
}

// A want is everything that decides whether a target that is due wants nothing
// but other keys for people whom the network holds.
type want struct {
	target   activation.Target
	realTime bool
	now      time.Time
	// own is what has changed in the target's audience since its last run, others
	// in the audiences that decide beside it who is wanted. In real time only.
	own, others warehouse.Waiting
}

// scheduled reports whether the time of the target's job has come.
func (w want) scheduled() bool {
	return !w.realTime && !w.target.NextAt.IsZero() && !w.target.NextAt.After(w.now)
}

// keys reports whether identifiers or the mapping of the destination are all that
// has changed, and what the run does then. In real time everything may be brought
// in step at once; a scheduled job brings nobody and takes nobody before its time.
func (w want) keys() (mode activation.RunMode, only bool) {
	t := w.target
	due := t.DueNow && !t.DueAt.After(w.now)
	asked := due && t.DueCause == activation.CauseAgent
	switch {
	case t.Release != "", w.scheduled(), due && !asked:
		return activation.ModeSync, false
	case w.realTime:
		entered := w.own.Enters+w.own.Exits+w.others.Enters+w.others.Exits > 0
		return activation.ModeSync, asked || w.own.Keys > 0 && !entered
	}
	return activation.ModeKeys, asked || t.KeysSeq > t.KeysDone
}

// purposeOf finds out what a run of a target would be for. cause says who asks;
// empty: it is due by itself.
func (d *Delivery) purposeOf(ctx context.Context, t activation.Target, cause activation.Cause) (purpose, error) {
	var audience activation.Audience
	var err error
	if t.Audience != "" {
		if audience, err = d.store.Audience(ctx, t.Audience); err != nil {
			return purpose{}, err
		}
	}
	dest, err := d.store.Destination(ctx, t.Destination)
	if err != nil {
		return purpose{}, err
	}
	_, def, _ := d.providers(ctx, dest, t.Workflow) // whether it can be built is found out by the run
	p := purpose{cause: cause}
	p.sync, p.by = syncOf(def, t, audience)
	if cause != "" || takesEvents(def, t) {
		return p, nil
	}
	mode, only, err := d.onlyKeys(ctx, t)
	if err != nil || !only {
		return p, err
	}
	p.cause, p.mode = activation.CauseAgent, mode
	if p.sync != activation.SyncConversionAudience { // which only adds, whatever for
		p.sync, p.by = activation.SyncPIIUpdate, triggeredByAgent
	}
	return p, nil
}

// onlyKeys is want.keys for a target as it is now.
func (d *Delivery) onlyKeys(ctx context.Context, t activation.Target) (activation.RunMode, bool, error) {
	job, err := d.store.Job(ctx, t.Job)
	if errors.Is(err, activation.ErrNotFound) {
		return activation.ModeSync, false, nil
	}
	if err != nil {
		return activation.ModeSync, false, err
	}
	w := want{target: t, realTime: job.RealTime(), now: d.now()}
	if w.realTime && t.KeysSeq > t.DoneSeq { // else no identifiers wait
		others, err := d.deciding(ctx, t, job)
		if err != nil {
			return activation.ModeSync, false, err
		}
		if w.own, err = d.audiences.Waits(ctx, []activation.AudienceID{t.Audience}, t.DoneSeq); err == nil && len(others) > 0 {
			w.others, err = d.audiences.Waits(ctx, others, t.DoneSeq)
		}
		if err != nil {
			return activation.ModeSync, false, fmt.Errorf("look at what has changed: %w", err)
		}
	}
	mode, only := w.keys()
	return mode, only, nil
}

// deciding lists the audiences that decide, beside a target's own, who is wanted
// there: those its job leaves out and those before it in a priority list.
func (d *Delivery) deciding(ctx context.Context, t activation.Target, job activation.Job) ([]activation.AudienceID, error) {
	above, err := d.store.Outranking(ctx, t.ID)
	if err != nil {
		return nil, fmt.Errorf("read the priority lists: %w", err)
	}
	return append(append([]activation.AudienceID(nil), job.Exclude...), above...), nil
}

// syncOf is the kind of a target's runs, and what they are triggered by, where
// neither keys nor a person to be forgotten are all there is to do.
func syncOf(def provider.Definition, t activation.Target, audience activation.Audience) (kind activation.SyncType, by string) {
	kind, by = activation.SyncSegment, audience.Name
	if t.Stream != "" {
		by = t.Stream
	}
	w, _ := def.Workflow(t.Workflow)
	switch {
	case w.SyncType != "":
		kind = w.SyncType
	case takesEvents(def, t):
		kind = activation.SyncEvents
	case audience.Kind == activation.KindConversion:
		kind = activation.SyncConversionAudience
	case audience.Kind == activation.KindAction, audience.Kind == activation.KindNegative, audience.Kind == activation.KindRetired:
		kind, by = activation.SyncNextBestAction, issueAndGroup(audience.Name)
	}
	if kind == activation.SyncOfflineConversion || kind == activation.SyncConversionAudience {
		by = ""
	}
	return kind, by
}

// issueAndGroup is "Issue / Group" of an action's audience, whose name Usher makes
// of both and keeps so, also when the action is no more. Neither holds a hyphen.
func issueAndGroup(audience string) string {
	issue, rest, ok := strings.Cut(audience, "-")
	group, _, is := strings.Cut(rest, "-")
	if !ok || !is {
		return audience
	}
	return issue + " / " + group
}
