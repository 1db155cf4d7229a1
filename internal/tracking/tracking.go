// Package tracking is Sync Tracking: export runs as people see them, with the
// names of things, the laws, the errors grouped by cause, and whether Retry is
// offered and if not, why. API, console and command line show the same view.
//
// It reads and never changes anything. It is built for the failure of a view that
// says more than the tables do: counts, laws and the offer of Retry are read from
// what is stored, and rows are shown by their keys' names, never by a value.
package tracking

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// Store is what tracking reads of the control store.
type Store interface {
	Runs(ctx context.Context, f store.RunFilter) ([]activation.Run, error)
	Run(ctx context.Context, id activation.RunID) (activation.Run, error)
	Items(ctx context.Context, run activation.RunID) ([]activation.Item, error)
	ItemTallies(ctx context.Context, runs []activation.RunID) (map[activation.RunID]store.ItemTally, error)
	Receipts(ctx context.Context, run activation.RunID) (map[activation.ItemID][]activation.Receipt, error)
	RetryVerdict(ctx context.Context, id activation.RunID) (ok bool, reason string, err error)
	RetryVerdicts(ctx context.Context, ids []activation.RunID) (map[activation.RunID]store.Verdict, error)
	Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error)
	Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error)
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	Targets(ctx context.Context, f store.TargetFilter) ([]activation.Target, error)
}

// Ledger is what tracking reads of the data plane.
type Ledger interface {
	Holdings(ctx context.Context, t activation.TargetID, generation int) (warehouse.Holdings, error)
	StagedView(ctx context.Context, run activation.RunID, first, last int64, limit int) ([]warehouse.StagedRow, error)
}

// Tracking answers questions about runs and targets.
type Tracking struct {
	Store     Store
	Ledger    Ledger
	Providers []provider.Definition
}

// View is a run as Sync Tracking lists it.
type View struct {
	activation.Run
	AudienceSlug    string `json:"segment_slug"`
	AudienceName    string `json:"segment_name"`
	DestinationName string `json:"destination_name"`
	DestinationType string `json:"destination_type"`
	JobName         string `json:"job_name"`
	ItemsDone       int    `json:"items_done"`
	ItemsFailed     int    `json:"items_failed"`
	// Laws are the count laws with both sides.
	Laws  []activation.Law `json:"laws"`
	Retry Retry            `json:"retry"`
	// Errors are what went wrong, grouped by cause.
	Errors []Cause `json:"errors"`
}

// Retry says whether Retry is offered, and if not, why.
type Retry struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
}

// Cause is the items or rows that failed for one reason.
type Cause struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Items   int    `json:"items"`
	Rows    int64  `json:"rows"`
	// Page is the page of docs/troubleshooting that says what to do, and Advice its
	// first sentence of that.
	Page   string `json:"page"`
	Advice string `json:"advice,omitempty"`
}

// WithErrors reports whether a completed run has rows that were not simply
// accepted.
func (v View) WithErrors() bool {
	return v.Status == activation.RunCompleted && v.Counts.Rejected+v.Counts.Unplaced+v.Counts.Unknown > 0
}

// Duration is how long the run took so far.
func (v View) Duration(now time.Time) time.Duration {
	if !v.EndedAt.IsZero() {
		now = v.EndedAt
	}
	return now.Sub(v.StartedAt)
}

// List returns runs newest first.
func (t *Tracking) List(ctx context.Context, f store.RunFilter) ([]View, error) {
	runs, err := t.Store.Runs(ctx, f)
	if err != nil {
		return nil, err
	}
	ids, failed := make([]activation.RunID, len(runs)), []activation.RunID{}
	for i, r := range runs {
		ids[i] = r.ID
		if r.Status == activation.RunFailed {
			failed = append(failed, r.ID)
		}
	}
	verdicts, err := t.Store.RetryVerdicts(ctx, failed)
	if err != nil {
		return nil, err
	}
	tallies, err := t.Store.ItemTallies(ctx, ids)
	if err != nil {
		return nil, err
	}
	names := t.names(ctx)
	out := make([]View, len(runs))
	for i, r := range runs {
		v := View{Run: r, Laws: r.Counts.Laws(), ItemsDone: int(tallies[r.ID].Done), ItemsFailed: int(tallies[r.ID].Failed)}
		if err := names.fill(&v); err != nil {
			return nil, err
		}
		if verdict, ok := verdicts[r.ID]; ok {
			v.Retry = Retry{verdict.OK, verdict.Reason}
		}
		out[i] = v
	}
	return out, nil
}

// Run returns one run with everything known of it.
func (t *Tracking) Run(ctx context.Context, id activation.RunID) (View, []activation.Item, error) {
	r, err := t.Store.Run(ctx, id)
	if err != nil {
		return View{}, nil, err
	}
	items, err := t.Store.Items(ctx, id)
	if err != nil {
		return View{}, nil, err
	}
	v := View{Run: r, Laws: r.Counts.Laws()}
	if err := t.names(ctx).fill(&v); err != nil {
		return View{}, nil, err
	}
	if v.Retry.Allowed, v.Retry.Reason, err = t.Store.RetryVerdict(ctx, id); err != nil {
		return View{}, nil, err
	}
	receipts, err := t.Store.Receipts(ctx, id)
	if err != nil {
		return View{}, nil, err
	}
	v.Errors = causes(r, items, receipts)
	for _, it := range items {
		switch it.State {
		case activation.ItemDelivered:
			v.ItemsDone++
		case activation.ItemFailed, activation.ItemUnknown:
			v.ItemsFailed++
		case activation.ItemQueued, activation.ItemSending, activation.ItemAwaiting, activation.ItemWithdrawn, activation.ItemSuperseded, activation.ItemSplit:
		}
	}
	return v, items, nil
}

// causes groups what went wrong in a run by code.
func causes(r activation.Run, items []activation.Item, receipts map[activation.ItemID][]activation.Receipt) []Cause {
	by := map[string]*Cause{}
	group := func(code, message string) *Cause {
		c := by[code]
		if c == nil {
			c = &Cause{Code: code, Message: message, Page: Page(code), Advice: Advice(code)}
			by[code] = c
		}
		return c
	}
	for _, it := range items {
		if it.State == activation.ItemFailed || it.State == activation.ItemUnknown {
			c := group(cmp.Or(it.Code, "UNKNOWN-000"), it.Message)
			c.Items++
			c.Rows += it.Rows()
			continue
		}
		all := receipts[it.ID]
		if len(all) == 0 || it.State != activation.ItemDelivered {
			continue
		}
		last := all[len(all)-1]
		seen := map[string]bool{}
		for _, e := range last.Exceptions {
			if e.Outcome != activation.Rejected && e.Outcome != activation.Unknown {
				continue
			}
			c := group(cmp.Or(e.Code, "UNKNOWN-000"), "refused by the network")
			c.Rows++
			if !seen[c.Code] {
				c.Items++
				seen[c.Code] = true
			}
		}
		if last.Unplaced > 0 {
			c := group("UNPLACED", "the network called these rows invalid without saying which")
			c.Items++
			c.Rows += last.Unplaced
		}
	}
	if r.ErrorCode != "" && by[r.ErrorCode] == nil {
		group(r.ErrorCode, r.ErrorText)
	}
	out := make([]Cause, 0, len(by))
	for _, c := range by {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Cause) int { return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Code, b.Code)) })
	return out
}

// TargetView is a target with its names and what the ledger says it holds.
type TargetView struct {
	activation.Target
	AudienceSlug    string             `json:"segment_slug"`
	DestinationName string             `json:"destination_name"`
	DestinationType string             `json:"destination_type"`
	JobName         string             `json:"job_name,omitempty"`
	Holdings        warehouse.Holdings `json:"holdings"`
}

// Targets lists targets.
func (t *Tracking) Targets(ctx context.Context, f store.TargetFilter) ([]TargetView, error) {
	list, err := t.Store.Targets(ctx, f)
	if err != nil {
		return nil, err
	}
	names := t.names(ctx)
	out := make([]TargetView, len(list))
	for i, target := range list {
		v := View{Run: activation.Run{Audience: target.Audience, Stream: target.Stream, Destination: target.Destination, Job: target.Job}}
		if err := names.fill(&v); err != nil {
			return nil, err
		}
		h, err := t.Ledger.Holdings(ctx, target.ID, target.Generation)
		if err != nil {
			return nil, err
		}
		out[i] = TargetView{Target: target, AudienceSlug: v.AudienceSlug, DestinationName: v.DestinationName, DestinationType: v.DestinationType, JobName: v.JobName, Holdings: h}
	}
	return out, nil
}

// names looks each id up once.
func (t *Tracking) names(ctx context.Context) *nameCache {
	return &nameCache{ctx: ctx, t: t, audiences: map[activation.AudienceID]activation.Audience{}, destinations: map[activation.DestinationID]activation.Destination{}, jobs: map[activation.JobID]activation.Job{}}
}

type nameCache struct {
	ctx          context.Context //nolint:containedctx // lives no longer than the call that made it
	t            *Tracking
	audiences    map[activation.AudienceID]activation.Audience
	destinations map[activation.DestinationID]activation.Destination
	jobs         map[activation.JobID]activation.Job
}

func (n *nameCache) fill(v *View) error {
	if v.Stream != "" {
		n.audiences[v.Audience] = activation.Audience{}
	}
	a, err := cached(n.audiences, v.Audience, func() (activation.Audience, error) { return n.t.Store.Audience(n.ctx, v.Audience) })
	if err != nil {
		return err
	}
	d, err := cached(n.destinations, v.Destination, func() (activation.Destination, error) { return n.t.Store.Destination(n.ctx, v.Destination) })
	if err != nil {
		return err
	}
	j, err := cached(n.jobs, v.Job, func() (activation.Job, error) { return n.t.Store.Job(n.ctx, v.Job) })
	if err != nil {
		return err
	}
	v.AudienceSlug, v.AudienceName, v.DestinationName, v.JobName = a.Slug, a.Name, d.Name, j.Name
	for _, def := range n.t.Providers {
		if def.Name == d.Provider {
			v.DestinationType = def.DestinationType
		}
	}
	return nil
}

// cached returns m[k], looking it up once. What is not there any more has no name.
func cached[K comparable, V any](m map[K]V, k K, look func() (V, error)) (V, error) {
	if v, ok := m[k]; ok {
		return v, nil
	}
	v, err := look()
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return v, err
	}
	m[k] = v
	return v, nil
}
