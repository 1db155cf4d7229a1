package delivery

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/schedule"
	"usher/internal/warehouse"
)

// Events is what delivery needs of events. warehouse.Warehouse has it.
type Events interface {
	StageEvents(ctx context.Context, r warehouse.EventRequest, stage func(activation.Stage)) (warehouse.Plan, error)
	DryRunEvents(ctx context.Context, r warehouse.EventRequest) (warehouse.Plan, error)
	StreamSeq(ctx context.Context) (map[string]int64, error)
	ForgetEvents(ctx context.Context, t activation.TargetID) error
	ReadyEvents(ctx context.Context) ([]activation.TargetID, error)
}

// takesEvents reports whether a target takes each event once, instead of being
// kept in step.
func takesEvents(def provider.Definition, t activation.Target) bool {
	w, ok := def.Workflow(t.Workflow)
	return ok && w.Kind == provider.Event || t.Stream != ""
}

// columns are the columns of the rows of a run, and how many of them, from the
// first on, are of the event and not of its person.
func columns(def provider.Definition, dest activation.Destination, t activation.Target, job activation.Job) (keys matchkey.Set, ofEvent int, err error) {
	if !takesEvents(def, t) {
		keys, err = keySet(def, dest)
		return keys, 0, err
	}
	w, _ := def.Workflow(t.Workflow)
	keys.Country = strings.ToUpper(dest.Config[provider.CountryField])
	for _, k := range w.Events {
		source := provider.Setting(w.Fields, job.Config, k.Name)
		if source == "" && !k.Required {
			continue
		}
		if source == "" {
			return keys, 0, &activation.Error{Kind: activation.Invalid, Code: "EVENT-COLUMN", Field: k.Name, Message: "no column of the event feeds " + k.Name + ", without which the network takes none"}
		}
		keys.Keys, keys.Fields = append(keys.Keys, k), append(keys.Fields, source)
	}
	ofEvent = len(keys.Keys)
	person := def.Rules(dest.Config, dest.Mapping)
	for _, k := range person.Keys {
		if f := dest.Mapping[k.Name]; f != "" {
			keys.Keys, keys.Fields = append(keys.Keys, k), append(keys.Fields, f)
		}
	}
	if !slices.ContainsFunc(keys.Keys, func(k matchkey.Key) bool { return k.Identifies }) {
		return keys, 0, &activation.Error{Kind: activation.Invalid, Code: "MAPPING", Field: "mapping", Message: "nothing that is sent identifies an event or its person: feed such a column, or map such a key"}
	}
	keys.ID = eventKeysID(w, person, keys, ofEvent)
	return keys, ofEvent, nil
}

// eventKeysID names the columns of rows: what they are and what feeds them.
func eventKeysID(w provider.Workflow, person matchkey.RuleSet, keys matchkey.Set, ofEvent int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q%q%d;", w.Name, person.Name, ofEvent)
	for i, k := range keys.Keys {
		fmt.Fprintf(h, "%q=%q,%t%t%t%t;", k.Name, keys.Fields[i], k.Hash, k.Identifies, k.Exact, k.Required)
	}
	fmt.Fprintf(h, "%q", keys.Country)
	return fmt.Sprintf("%s-%x", w.Name, h.Sum(nil)[:8])
}

// paidResponses is the stream of answers to ads. They may come before the person
// is known, and wait until then.
const paidResponses = "paid_responses"

// mostEvents is the most events that one run looks at: its rows are cut into
// items at once, and later ones wait for their end.
const mostEvents = 100_000

// eventRequest is what the events of a run are staged from.
func (d *Delivery) eventRequest(ctx context.Context, r activation.Run, t activation.Target, dest activation.Destination, job activation.Job, def provider.Definition) (warehouse.EventRequest, error) {
	keys, ofEvent, err := columns(def, dest, t, job)
	if err != nil {
		return warehouse.EventRequest{}, err
	}
	w, _ := def.Workflow(t.Workflow)
	req := warehouse.EventRequest{
		Run: r.ID, Target: t.ID, Job: string(t.Job), Stream: t.Stream, Audience: t.Audience, Keys: keys, Columns: ofEvent,
		Enters: job.Config[provider.AudienceEventsField] != provider.ExitsOnly, Exits: job.Config[provider.AudienceEventsField] != provider.EntersOnly,
		Backfill: !job.SkipBackfill, Limit: mostEvents,
		Again: func(ctx context.Context, run activation.RunID) (warehouse.Again, error) {
			return d.again(ctx, run, def)
		},
	}
	if w.Window != nil {
		if age := w.Window(dest.Config, job.Config); age > 0 {
			req.Since = d.now().Add(-age)
		}
	}
	if r.Mode == activation.ModeHistory {
		return ofPeriod(req, r.Period), nil
	}
	req.Wait = t.Stream == paidResponses
	if job.DropQuiet {
		req.Drop = func(at time.Time) bool {
			from, until := schedule.Quiet(job.Schedule, at)
			return !at.Before(from) && at.Before(until)
		}
	}
	if req.Allowance, err = d.store.Allowance(ctx, t.ID); err != nil {
		return req, fmt.Errorf("count events: %w", err)
	}
	return req, nil
}

// again tells which rows of a run are to be staged again: all of them where it
// never queued them, and else those that neither it nor a Retry of it will send.
// What was withdrawn with a switched-off destination, or superseded by other
// columns, is so.
func (d *Delivery) again(ctx context.Context, id activation.RunID, def provider.Definition) (warehouse.Again, error) {
	r, err := d.store.Run(ctx, id)
	if errors.Is(err, activation.ErrNotFound) {
		return warehouse.Again{}, nil // purged with its job
	}
	if err != nil {
		return warehouse.Again{}, err
	}
	if !wasCut(r.Stage) {
		return warehouse.Again{All: true}, nil
	}
	items, err := d.store.Items(ctx, id)
	if err != nil {
		return warehouse.Again{}, err
	}
	more := !r.Status.Final() || r.Status == activation.RunFailed && !forGood(r)
	return warehouse.Again{Rows: lost(r, items, mayReplay(def, r, d.now())), More: more}, nil
}

// forGood reports whether a run that failed offers no Retry, ever.
func forGood(r activation.Run) bool {
	return r.ErrorCode == activation.CodeCounts || r.ErrorCode == activation.CodeJobEnded || r.Stage == activation.StageQueue
}

// lost lists the ranges of a run that nobody will send. Where a repetition does
// no harm, what may have been lost is among them.
func lost(r activation.Run, items []activation.Item, repeats bool) (rows []warehouse.Range) {
	final := r.Status == activation.RunFailed && forGood(r)
	for _, it := range items {
		never := it.State == activation.ItemWithdrawn || it.State == activation.ItemSuperseded || it.State == activation.ItemFailed && final
		if never || it.State == activation.ItemUnknown && final && repeats {
			rows = append(rows, warehouse.Range{Run: r.ID, First: it.First, Last: it.Last})
		}
	}
	return rows
}

// stageEvents plans and stages a run of events. One that gives its target up
// stages nothing: there is nobody to be removed.
func (x *execution) stageEvents(ctx context.Context) (warehouse.Plan, error) {
	if x.run.Release != "" {
		x.run.Counts, x.run.StagedAt = activation.Counts{}, x.d.now()
		return warehouse.Plan{}, nil
	}
	req, err := x.d.eventRequest(ctx, x.run, x.target, x.dest, x.job, x.def)
	if err != nil {
		return warehouse.Plan{}, err
	}
	var p warehouse.Plan
	err = x.d.around(ctx, BeforeStage, AfterStage, func() (err error) {
		p, err = x.d.events.StageEvents(ctx, req, x.staging(ctx))
		return err
	})
	if err != nil {
		return p, fmt.Errorf("stage events: %w", err)
	}
	x.run.Counts, x.run.StagedAt = p.Counts, x.d.now()
	if x.run.Mode != activation.ModeHistory { // which is no part of what waits
		x.run.Seq = p.Seq
	}
	return p, planLaws(p)
}

// previewEvents previews a run of events.
func (d *Delivery) previewEvents(ctx context.Context, t activation.Target, dest activation.Destination, def provider.Definition) (Preview, error) {
	job, err := d.store.Job(ctx, t.Job)
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return Preview{}, err
	}
	r := activation.Run{ID: activation.NewID[activation.RunID](), Target: t.ID}
	req, err := d.eventRequest(ctx, r, t, dest, job, def)
	if err != nil {
		return Preview{}, err
	}
	plan, err := d.events.DryRunEvents(ctx, req)
	if err != nil {
		return Preview{}, err
	}
	return summary(t.ID, plan, guardPass, 1, rowsPerItem(def, req.Keys.Keys, d.set.ItemRows)), nil
}

// failsAs is an error as it counts for a run of events: there is no remote
// audience that could be made anew, so one that is gone is a wrong setting.
func (x *execution) failsAs(e *activation.Error) *activation.Error {
	if !x.ofEvents || e == nil || e.Kind != activation.Gone {
		return e
	}
	wrong := *e
	wrong.Kind = activation.Invalid
	return &wrong
}

// rests reports whether an error makes a run of events wait and go on, instead
// of failing: no later run carries its events, so the errors last until the
// job's fail_after.
func (x *execution) rests(e *activation.Error) bool {
	passes := e.Kind == activation.Unavailable || e.Kind == activation.Internal || e.Kind == activation.RefusedWhole
	return x.ofEvents && passes && e.Code != activation.CodeCounts && wasCut(x.run.Stage) &&
		x.run.Status == activation.RunRunning && x.halt == haltNone && x.run.Release == ""
}

// rest gives the run back until its target has slept. ok = false when the errors
// have lasted as long as the job allows.
func (x *execution) rest(ctx context.Context, e *activation.Error) (ok bool, err error) {
	ctx, cancel := x.writing(ctx)
	defer cancel()
	r := x.run
	r.ErrorKind, r.ErrorCode, r.ErrorText = e.Kind, activation.CodeOf(e), textOf(e)
	var until time.Time
	err = x.d.around(ctx, BeforeRest, AfterRest, func() (err error) {
		until, err = x.d.store.RestRun(ctx, r, x.answered)
		return err
	})
	if err == nil && !until.IsZero() {
		x.log.InfoContext(ctx, "the run rests and goes on", "until", until.UTC().Format(time.RFC3339), "code", r.ErrorCode)
	}
	return err == nil && !until.IsZero(), err
}

// leftover are the rows of a batch of events that are to be sent again: those
// that surely were not taken, and where a repetition does no harm those of which
// nobody knows. They are ranges of ordinals of the item.
func leftover(it activation.Item, rc activation.Receipt, unknown bool) []activation.Item {
	var out []activation.Item
	for _, e := range rc.Exceptions {
		if e.Outcome != activation.Unsent && !(unknown && e.Outcome == activation.Unknown) {
			continue
		}
		at := it.First + e.Ordinal
		if n := len(out); n > 0 && out[n-1].Last == at-1 {
			out[n-1].Last = at
			continue
		}
		c := child(it)
		c.First, c.Last = at, at
		out = append(out, c)
	}
	return out
}

// raiseStreams copies the highest message numbers from the data plane.
func (d *Delivery) raiseStreams(ctx context.Context) error {
	if d.events == nil {
		return nil
	}
	seq, err := d.events.StreamSeq(ctx)
	if err != nil {
		return fmt.Errorf("read message numbers: %w", err)
	}
	if err := d.store.RaiseStreams(ctx, maps.Clone(seq)); err != nil {
		return fmt.Errorf("raise message numbers: %w", err)
	}
	return nil
}

// readyLook is how often it is looked whether events that wait for their person
// could be sent.
const readyLook = time.Minute

// raiseReady makes the targets due where events have waited for a person who is
// known now.
func (d *Delivery) raiseReady(ctx context.Context) error {
	d.mu.Lock()
	idle := d.events == nil || d.now().Sub(d.readied) < readyLook
	if !idle {
		d.readied = d.now()
	}
	d.mu.Unlock()
	if idle {
		return nil
	}
	ready, err := d.events.ReadyEvents(ctx)
	if err != nil {
		return fmt.Errorf("look at the events that wait: %w", err)
	}
	if len(ready) == 0 {
		return nil
	}
	if err := d.store.MakeDue(ctx, ready, activation.CauseRealTime); err != nil {
		return fmt.Errorf("make targets due whose events have waited: %w", err)
	}
	return nil
}
