package delivery

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// codeOvertaken: a run opened while the network was asked, so that what it said
// cannot be compared with the ledger.
const codeOvertaken = "RECONCILE-OVERTAKEN"

// a comparison is one reconciliation under way.
type comparison struct {
	d      *Delivery
	target activation.Target
	dest   activation.Destination
	client provider.Destination
	def    provider.Definition
	keys   matchkey.Set
	asked  provider.Audience
	result activation.Reconciliation
}

// Reconcile compares a target's ledger with what its network tells, keeps the
// differences and returns what it came to. What the network answers wrongly is
// part of that: such a comparison is failed. ErrConflict while a run is open or
// answers are owed: what is under way is no difference.
func (d *Delivery) Reconcile(ctx context.Context, id activation.TargetID, user string) (activation.Reconciliation, error) {
	c, err := d.comparisonOf(ctx, id, user)
	if err != nil {
		return activation.Reconciliation{}, err
	}
	return c.run(ctx)
}

// comparisonOf reads all that a comparison needs, and refuses one that would
// compare what is under way.
func (d *Delivery) comparisonOf(ctx context.Context, id activation.TargetID, user string) (*comparison, error) {
	t, err := d.store.Target(ctx, id)
	if err != nil {
		return nil, err
	}
	c := &comparison{d: d, target: t}
	if c.dest, err = d.store.Destination(ctx, t.Destination); err != nil {
		return nil, err
	}
	if c.client, c.def, err = d.providers(ctx, c.dest, t.Workflow); err != nil {
		return nil, err
	}
	switch {
	case takesEvents(c.def, t):
		return nil, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "target", Message: "this target takes events; there are no members to compare"}
	case t.RemoteID == "":
		return nil, conflict("nothing was sent to this target yet")
	}
	if err := d.atRest(ctx, t); err != nil {
		return nil, err
	}
	d.mu.Lock()
	comparing := d.comparing[t.ID]
	d.mu.Unlock()
	if comparing {
		return nil, conflict("the target is being compared already")
	}
	if c.keys, err = keySet(c.def, c.dest); err != nil {
		return nil, err
	}
	if err := c.audience(ctx); err != nil {
		return nil, err
	}
	c.result = activation.Reconciliation{
		ID: activation.NewID[activation.ReconciliationID](), Target: t.ID, Generation: t.Generation, Method: c.method(),
		Status: activation.ReconcileRunning, AskedBy: user, StartedAt: d.now(), RemoteLow: -1, RemoteHigh: -1,
	}
	return c, nil
}

// atRest is ErrConflict while a run of the target is open or answers are owed.
func (d *Delivery) atRest(ctx context.Context, t activation.Target) error {
	if t.OpenRun == "" {
		return d.unanswered(ctx, t)
	}
	r, err := d.store.Run(ctx, t.OpenRun)
	if err != nil {
		return err
	}
	return conflict("run #%d is under way; compare when it has ended", r.Number)
}

// audience is what the network is asked about.
func (c *comparison) audience(ctx context.Context) error {
	job, err := c.d.store.Job(ctx, c.target.Job)
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return err
	}
	a, err := c.d.store.Audience(ctx, c.target.Audience)
	if err != nil {
		return err
	}
	c.asked = provider.Audience{
		Marker: marker(c.target), Name: c.target.RemoteName, Slug: a.Slug, Remote: provider.RemoteID(c.target.RemoteID),
		Config: settingsOf(c.def, job, c.target), Keys: c.keys.Keys,
	}
	return nil
}

// method is the most that the network can tell.
func (c *comparison) method() activation.ReconcileMethod {
	_, lists := c.client.(provider.Lister)
	_, sizes := c.client.(provider.Sizer)
	switch {
	case c.def.Lists && lists && c.d.drifts != nil:
		return activation.ByMembers
	case c.def.Sizes && sizes:
		return activation.BySize
	}
	return activation.ByNothing
}

// run compares and stores what it comes to. It is stored that it began, so that a
// crash does not have it begin again and again.
func (c *comparison) run(ctx context.Context) (activation.Reconciliation, error) {
	c.d.mu.Lock()
	c.d.comparing[c.target.ID] = true
	c.d.mu.Unlock()
	defer func() {
		c.d.mu.Lock()
		delete(c.d.comparing, c.target.ID)
		c.d.mu.Unlock()
	}()
	if err := c.d.store.SaveReconciliation(ctx, c.result); err != nil {
		return c.result, fmt.Errorf("store a reconciliation: %w", err)
	}
	err := c.compare(ctx)
	if err == nil {
		err = c.overtaken(ctx)
	}
	if err != nil {
		e := asError(err)
		if context.Cause(ctx) != nil {
			e = &activation.Error{Kind: activation.Unavailable, Code: activation.CodeOf(nil), Message: "the comparison was interrupted", Err: err}
		}
		c.result.Status, c.result.ErrorCode, c.result.ErrorText = activation.ReconcileFailed, activation.CodeOf(e), textOf(e)
		c.d.log.WarnContext(ctx, "comparing with the network", "target_id", c.target.ID, "kind", string(e.Kind), "code", c.result.ErrorCode, "error", err)
	}
	c.result.EndedAt = c.d.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.d.set.StopWithin/2)
	defer cancel()
	if err := c.d.store.SaveReconciliation(ctx, c.result); err != nil {
		return c.result, fmt.Errorf("store a reconciliation: %w", err)
	}
	return c.result, nil
}

// compare asks the network by the method it offers. The calls of one comparison
// come one after the other and take a single place among those of its
// authorization.
func (c *comparison) compare(ctx context.Context) error {
	if c.result.Method == activation.ByNothing {
		c.result.Status = activation.ReconcileUntold
		return nil
	}
	leave, err := c.d.slot(ctx, c.dest, c.def.Concurrency)
	if err != nil {
		return err
	}
	defer leave()
	if c.result.Method == activation.BySize {
		return c.bySize(ctx)
	}
	return c.byMembers(ctx)
}

// byMembers compares person by person.
func (c *comparison) byMembers(ctx context.Context) error {
	lister, _ := c.client.(provider.Lister)
	drift, err := c.d.drifts.Compare(ctx, warehouse.CompareRequest{
		Target: c.target.ID, Generation: c.target.Generation, Keys: c.keys,
		Read: func(ctx context.Context, yield func(values [][]byte) error) error {
			_, err := leaving(ctx, c.d.set.StopWithin/2, func() (struct{}, error) {
				return struct{}{}, lister.Members(ctx, c.asked, yield)
			})
			return err
		},
	})
	if err != nil {
		return err
	}
	r := &c.result
	r.Ledger, r.RemoteLow, r.RemoteHigh, r.Missing, r.Extra = drift.Ledger, drift.Remote, drift.Remote, drift.Missing, drift.Extra
	r.Status = activation.ReconcileEqual
	if r.Missing+r.Extra > 0 {
		r.Status = activation.ReconcileDrifted
	}
	return nil
}

// bySize compares how many they are, as exactly as the network says that.
func (c *comparison) bySize(ctx context.Context) error {
	h, err := c.d.ledger.Holdings(ctx, c.target.ID, c.target.Generation)
	if err != nil {
		return fmt.Errorf("count the ledger: %w", err)
	}
	sizer, _ := c.client.(provider.Sizer)
	size, err := leaving(ctx, c.d.set.StopWithin/2, func() (provider.Size, error) { return sizer.Size(ctx, c.asked) })
	if err != nil {
		return err
	}
	r := &c.result
	r.Ledger, r.RemoteLow, r.RemoteHigh = h.In, size.Low, size.High
	r.Status = judgeSize(h, size)
	return nil
}

// judgeSize compares a ledger with what a network says of the size of an audience.
// Nobody knows of the people who are maybe, and those whose values others hold
// may count or not. A size of matched users proves only that there are too many.
func judgeSize(h warehouse.Holdings, s provider.Size) activation.ReconcileStatus {
	tooMany := s.Low >= 0 && s.Low > h.In+h.Maybe+h.Shared
	tooFew := s.High >= 0 && s.High < h.In && !s.Matched
	switch {
	case s.Low < 0 && s.High < 0:
		return activation.ReconcileUntold
	case tooMany, tooFew:
		return activation.ReconcileDrifted
	}
	return activation.ReconcileEqual
}

// overtaken is the error of a comparison that a run came into: nobody can tell
// what of the differences is that run's doing, so all of them are discarded.
func (c *comparison) overtaken(ctx context.Context) error {
	t, err := c.d.store.Target(ctx, c.target.ID)
	if err != nil {
		return err
	}
	if t.OpenRun == "" && t.Generation == c.target.Generation && t.LastOpenedAt.Equal(c.target.LastOpenedAt) {
		if err := c.d.unanswered(ctx, t); err == nil {
			return nil
		}
	}
	r := &c.result
	r.Ledger, r.RemoteLow, r.RemoteHigh, r.Missing, r.Extra = 0, -1, -1, 0, 0
	return &activation.Error{Kind: activation.Unavailable, Code: codeOvertaken, Message: "a run began while the network was asked, so what it said was discarded"}
}

// DriftRows pages through the differences that the last comparison of a target
// found.
func (d *Delivery) DriftRows(ctx context.Context, id activation.TargetID, after int64, limit int) ([]warehouse.DriftRow, error) {
	if _, err := d.store.Target(ctx, id); err != nil || d.drifts == nil {
		return nil, err
	}
	last, err := d.lastComparison(ctx, id)
	if err != nil || last.Status != activation.ReconcileDrifted {
		return nil, err // what was kept of an older one does not count any more
	}
	return d.drifts.DriftRows(ctx, id, after, limit)
}

// lastComparison returns the newest comparison of a target; the zero value where
// there is none.
func (d *Delivery) lastComparison(ctx context.Context, id activation.TargetID) (activation.Reconciliation, error) {
	list, err := d.store.Reconciliations(ctx, id, 1)
	if err != nil || len(list) == 0 {
		return activation.Reconciliation{}, err
	}
	return list[0], nil
}

// mendable returns the differences of a target that a run could mend now.
func (d *Delivery) mendable(ctx context.Context, id activation.TargetID) (activation.Target, activation.Reconciliation, error) {
	t, err := d.store.Target(ctx, id)
	if err != nil {
		return t, activation.Reconciliation{}, err
	}
	last, err := d.lastComparison(ctx, id)
	switch {
	case err != nil:
		return t, last, err
	case last.ID == "":
		return t, last, conflict("the target was never compared with its network")
	case last.Status != activation.ReconcileDrifted:
		return t, last, conflict("the last comparison of the target is %s; there are no differences to repair", last.Status)
	case last.Method != activation.ByMembers || d.drifts == nil:
		return t, last, conflict("the network tells how many members it has and not who they are; replace the audience in full where it offers that")
	case last.Generation != t.Generation || t.LastOpenedAt.After(last.StartedAt):
		return t, last, conflict("a run has begun since the target was compared; compare it again")
	}
	return t, last, d.atRest(ctx, t)
}

// Repair gives the differences that the last comparison of a target found to a
// run, which mends them as it would anything else: who is missing is added again,
// who is there too many is removed, and the removal guard has its say. A crash in
// between leaves differences that are taken on and a comparison that is not marked
// so; asking again opens the run.
func (d *Delivery) Repair(ctx context.Context, id activation.TargetID, user string) (activation.Run, error) {
	t, last, err := d.mendable(ctx, id)
	if err != nil {
		return activation.Run{}, err
	}
	missing, extra, err := d.drifts.Repair(ctx, id, t.Generation)
	if err != nil {
		return activation.Run{}, fmt.Errorf("take the differences on: %w", err)
	}
	p, err := d.purposeOf(ctx, t, activation.CauseRepair)
	if err != nil {
		return activation.Run{}, err
	}
	r, err := d.openFor(ctx, t, p)
	if errors.Is(err, activation.ErrConflict) { // one opened meanwhile: the next one mends them
		err = errors.Join(err, d.store.MakeDue(ctx, []activation.TargetID{id}, activation.CauseRepair))
	}
	if err != nil && !errors.Is(err, activation.ErrConflict) {
		return activation.Run{}, err
	}
	last.Status, last.RepairedBy, last.RepairedAt = activation.ReconcileRepaired, user, d.now()
	if serr := d.store.SaveReconciliation(ctx, last); serr != nil {
		return r, errors.Join(err, fmt.Errorf("store a reconciliation: %w", serr))
	}
	d.log.InfoContext(ctx, "differences are repaired", "target_id", id, "run_id", r.ID, "missing", missing, "extra", extra, "by", user)
	return r, err
}

// RepairPlan previews what a run would do after Repair, without writing anything:
// what it would do now, and the differences of the last comparison on top. It is
// an upper bound, since somebody who is missing may be wanted no more, and
// somebody who is there too many may be wanted.
func (d *Delivery) RepairPlan(ctx context.Context, id activation.TargetID) (Preview, error) {
	t, last, err := d.mendable(ctx, id)
	if err != nil {
		return Preview{}, err
	}
	return d.previewWith(ctx, t, func(p *warehouse.Plan) { addDrift(p, last) })
}

// addDrift adds the differences of a comparison to a plan made without them.
func addDrift(p *warehouse.Plan, r activation.Reconciliation) {
	again := min(r.Missing, p.Counts.Unchanged)
	p.Counts.Unchanged, p.Counts.Update = p.Counts.Unchanged-again, p.Counts.Update+again
	p.Counts.InBefore += again
	p.Counts.Remove += r.Extra
	p.Holding += r.Extra
	for _, s := range []warehouse.Segment{
		{Phase: 1, Op: activation.OpRemove, Plain: true, First: p.Counts.Staged, Last: p.Counts.Staged + r.Extra - 1},
		{Phase: 1, Op: activation.OpAdd, First: p.Counts.Staged + r.Extra, Last: p.Counts.Staged + r.Extra + again - 1},
	} {
		if s.Last >= s.First {
			p.Segments = append(p.Segments, s)
		}
	}
	p.Counts.Staged += r.Extra + again
}

const (
	// nightLasts is how long comparisons may begin; what is busy all that time is
	// left to the next night.
	nightLasts = 6 * time.Hour
	// reconcileSpread is over how much time the comparisons of a night begin.
	reconcileSpread = time.Hour
	// reconcileLook is how often those that are due are looked for, and
	// reconcileAgain how long one that could not begin is left alone.
	reconcileLook  = time.Minute
	reconcileAgain = 10 * time.Minute
	// mostReconciled is how many targets one look may find.
	mostReconciled = 10_000
)

// night is when the present night's comparisons begin; zero by day, and where
// there are none.
func (d *Delivery) night(now time.Time) time.Time {
	if d.set.ReconcileAt < 0 {
		return time.Time{}
	}
	day := now.UTC().Truncate(24 * time.Hour)
	begin := day.Add(d.set.ReconcileAt)
	if begin.After(now) {
		begin = begin.Add(-24 * time.Hour)
	}
	if now.Sub(begin) >= nightLasts {
		return time.Time{}
	}
	return begin
}

// afterwards is how long after the beginning of the night a target is compared,
// the same every night.
func afterwards(id activation.TargetID) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return time.Duration(h.Sum32()) % reconcileSpread
}

// dueReconciliations lists the targets that were not compared since the night
// began, each under the lease of its destination's authorization: an account that
// does not answer holds up nobody else.
func (d *Delivery) dueReconciliations(ctx context.Context, limit int) ([]activation.Work, error) {
	now := d.now()
	begin := d.night(now)
	d.mu.Lock()
	idle := begin.IsZero() || now.Sub(d.reconciled) < reconcileLook
	if !idle {
		d.reconciled = now
	}
	d.mu.Unlock()
	if idle {
		return nil, nil
	}
	due, err := d.store.DueReconciliations(ctx, begin, mostReconciled)
	if err != nil {
		return nil, fmt.Errorf("list targets to compare: %w", err)
	}
	var works []activation.Work
	for _, id := range due {
		if len(works) == limit { // the others as soon as these are under way
			d.mu.Lock()
			d.reconciled = time.Time{}
			d.mu.Unlock()
			break
		}
		if now.Before(begin.Add(afterwards(id))) || !d.mayTry(id, now) {
			continue
		}
		t, err := d.store.Target(ctx, id)
		if err != nil { // the others go on
			d.log.ErrorContext(ctx, "reading a target to compare", "target_id", id, "error", err)
			continue
		}
		dest, err := d.store.Destination(ctx, t.Destination)
		if err != nil {
			d.log.ErrorContext(ctx, "reading the destination of a target to compare", "target_id", id, "error", err)
			continue
		}
		works = append(works, activation.Work{Kind: KindReconcile, ID: string(id), Lease: leaseOf(dest)})
	}
	return works, nil
}

// mayTry reports whether this node has not tried to compare a target lately.
func (d *Delivery) mayTry(id activation.TargetID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.tried[id]) < reconcileAgain {
		return false
	}
	d.tried[id] = now
	return true
}

// reconcile is a comparison at night. A target that is busy is tried again later;
// a network that tells nothing is not asked, and nothing is kept of that.
func (d *Delivery) reconcile(ctx context.Context, id activation.TargetID) error {
	c, err := d.comparisonOf(ctx, id, "system")
	switch {
	case errors.Is(err, activation.ErrConflict) || activation.KindOf(err) == activation.Invalid:
		d.log.DebugContext(ctx, "not compared", "target_id", id, "reason", activation.SafeMessage(err))
		return nil
	case err != nil:
		return err
	case c.result.Method == activation.ByNothing:
		return nil
	}
	_, err = c.run(ctx)
	return err
}
