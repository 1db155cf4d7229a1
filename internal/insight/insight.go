// Package insight counts people for whoever makes audiences: how they spread over
// a field, what audiences share, whom a network could find, and how sizes went.
//
// It asks the warehouse and turns rules from text into trees and back; it decides
// nothing about who is in an audience and shows no personal value. What it records
// are the sizes of audiences over time. It is built for questions that cost: no
// more than a few are asked at a time, each ends when nobody waits for it any
// more, and a size that could not be recorded is recorded the next time.
package insight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// Store is what is needed of the control store.
type Store interface {
	Audience(ctx context.Context, idOrSlug activation.AudienceID) (activation.Audience, error)
	Audiences(ctx context.Context) ([]activation.Audience, error)
	Destinations(ctx context.Context) ([]activation.Destination, error)
	SetSeries(ctx context.Context, kind, subject string, values map[string]int64) error
	Series(ctx context.Context, kind, subject string, from, until time.Time, width time.Duration) (map[string][]activation.MetricPoint, error)
}

// Warehouse is what is needed of the data plane.
type Warehouse interface {
	warehouse.Insights
	Seq(ctx context.Context) (map[activation.AudienceID]int64, error)
}

// Config is what Insight is made of.
type Config struct {
	Store     Store
	Warehouse Warehouse
	Providers []provider.Definition
	// Log may be nil.
	Log *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Insight answers questions about audiences. Its methods may be called by any
// goroutine.
type Insight struct {
	Config
	turn chan struct{}
	// What Run has recorded of each audience.
	recorded map[activation.AudienceID]record
}

// atOnce is how many questions the warehouse is asked at a time.
const atOnce = 2

// New returns an Insight.
func New(cfg Config) *Insight {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Insight{Config: cfg, turn: make(chan struct{}, atOnce), recorded: map[activation.AudienceID]record{}}
}

// alone waits for its turn and asks.
func (n *Insight) alone(ctx context.Context, ask func() error) error {
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
		return ask()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Breakdown spreads the people a rule selects over the values of a field; "" as
// the rule means everybody. Values of personal fields are not told.
func (n *Insight) Breakdown(ctx context.Context, rule, field string, limit int) (out warehouse.Breakdown, err error) {
	if rule == "" {
		rule = "FILTER *"
	}
	err = n.alone(ctx, func() error {
		out, err = n.Warehouse.Breakdown(ctx, rule, field, n.Now(), limit)
		return err
	})
	return out, err
}

// Overlaps is how many people audiences share.
type Overlaps struct {
	Audiences []Compared `json:"segments"`
	// Both[i][j] is how many people are in the audiences i and j; the diagonal has
	// their sizes.
	Both [][]int64 `json:"both"`
}

// Compared is an audience that is compared with others.
type Compared struct {
	ID   activation.AudienceID `json:"id"`
	Slug string                `json:"slug_name"`
	Name string                `json:"name"`
	Size int64                 `json:"size"`
}

// Overlap counts what each two of some audiences share, named by slug or id.
func (n *Insight) Overlap(ctx context.Context, audiences []string) (Overlaps, error) {
	out := Overlaps{Audiences: []Compared{}, Both: [][]int64{}}
	at := map[activation.AudienceID]int{}
	var ids []activation.AudienceID
	for _, name := range audiences {
		a, err := n.Store.Audience(ctx, activation.AudienceID(name))
		if err != nil {
			return out, err
		}
		if _, twice := at[a.ID]; twice {
			continue
		}
		at[a.ID] = len(ids)
		ids = append(ids, a.ID)
		out.Audiences = append(out.Audiences, Compared{ID: a.ID, Slug: a.Slug, Name: a.Name})
	}
	var shared []warehouse.Overlap
	err := n.alone(ctx, func() (err error) {
		shared, err = n.Warehouse.Overlaps(ctx, ids)
		return err
	})
	for range ids {
		out.Both = append(out.Both, make([]int64, len(ids)))
	}
	for _, o := range shared {
		i, j := at[o.A], at[o.B]
		out.Both[i][j], out.Both[j][i] = o.Both, o.Both
		if i == j {
			out.Audiences[i].Size = o.Both
		}
	}
	return out, err
}

// Reach is whom a destination could find of an audience.
type Reach struct {
	Destination activation.DestinationID `json:"destination_id"`
	Name        string                   `json:"name"`
	Provider    string                   `json:"provider"`
	// KeySet names the keys that the destination sends.
	KeySet string `json:"key_set,omitempty"`
	warehouse.KeyReach
	// Problem says why nothing can be told, such as a mapping that does not fit.
	Problem string `json:"problem,omitempty"`
}

// Reach tells of each destination how many members of an audience have keys by
// which its network finds people.
func (n *Insight) Reach(ctx context.Context, audience string) ([]Reach, error) {
	a, err := n.Store.Audience(ctx, activation.AudienceID(audience))
	if err != nil {
		return nil, err
	}
	destinations, err := n.Store.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]warehouse.KeyReach{} // destinations with the same keys find the same people
	out := []Reach{}
	for _, d := range destinations {
		keys, ok, problem := n.keys(d)
		if !ok {
			continue
		}
		r := Reach{Destination: d.ID, Name: d.Name, Provider: d.Provider, KeySet: keys.ID, Problem: problem}
		if problem == "" {
			if r.KeyReach, ok = known[keys.ID]; !ok {
				if err := n.alone(ctx, func() error { r.KeyReach, err = n.Warehouse.Reach(ctx, a.ID, keys); return err }); activation.KindOf(err) == activation.Invalid {
					r.Problem = activation.SafeMessage(err)
				} else if err != nil {
					return nil, err
				}
				known[keys.ID] = r.KeyReach
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// keys are those a destination finds people by; ok is false where it finds nobody.
func (n *Insight) keys(d activation.Destination) (keys matchkey.Set, ok bool, problem string) {
	i := slices.IndexFunc(n.Providers, func(def provider.Definition) bool { return def.Name == d.Provider })
	if i < 0 {
		return keys, false, ""
	}
	rules := n.Providers[i].Rules(d.Config, d.Mapping)
	if !slices.ContainsFunc(rules.Keys, func(k matchkey.Key) bool { return k.Identifies }) {
		return keys, false, ""
	}
	keys, err := matchkey.NewSet(rules, d.Mapping, d.Config[provider.CountryField])
	if err != nil {
		return keys, true, "the mapping of the destination does not fit its network"
	}
	return keys, true, ""
}

// Point is the size of an audience at a time.
type Point struct {
	At   time.Time `json:"at"`
	Size int64     `json:"size"`
}

// sizeSeries is the name under which sizes are recorded.
const sizeSeries = "size"

// Trend returns the recorded sizes of an audience, oldest first, as finely as
// they are kept for the period. Between two of them the size is that of the first.
func (n *Insight) Trend(ctx context.Context, audience string, from, until time.Time) ([]Point, error) {
	a, err := n.Store.Audience(ctx, activation.AudienceID(audience))
	if err != nil {
		return nil, err
	}
	width, err := store.MetricWidth(from, until, n.Now())
	if err != nil {
		return nil, err
	}
	all, err := n.Store.Series(ctx, store.SeriesAudience, string(a.ID), from.Truncate(width), until, width)
	out := []Point{}
	for _, p := range all[sizeSeries] {
		out = append(out, Point{p.At, p.Value})
	}
	return out, err
}

// IncludedBy lists the audiences whose rule itself includes this one.
func (n *Insight) IncludedBy(ctx context.Context, audience string) ([]activation.Audience, error) {
	a, err := n.Store.Audience(ctx, activation.AudienceID(audience))
	if err != nil {
		return nil, err
	}
	all, err := n.Store.Audiences(ctx)
	if err != nil {
		return nil, err
	}
	out := []activation.Audience{}
	for _, other := range all {
		f, err := filterql.Parse(other.Rule)
		if err != nil {
			continue // one without a rule includes nobody
		}
		if names := f.Includes(); slices.Contains(names, a.Slug) || slices.Contains(names, string(a.ID)) {
			out = append(out, other)
		}
	}
	return out, nil
}

// Tree is a rule's JSON form.
func (n *Insight) Tree(rule string) (json.RawMessage, error) {
	f, err := filterql.Parse(rule)
	if err != nil {
		return nil, wrongRule(err)
	}
	tree, err := f.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write rule as a tree: %w", err)
	}
	return tree, nil
}

// Text is the canonical text of a rule's JSON form.
func (n *Insight) Text(tree json.RawMessage) (string, error) {
	f, err := filterql.ParseJSON(tree)
	if err != nil {
		return "", wrongRule(err)
	}
	return f.String(), nil
}

func wrongRule(err error) error {
	return &activation.Error{Kind: activation.Invalid, Code: "FILTERQL", Field: "segment_ql", Message: err.Error()}
}

// How often sizes are recorded.
const (
	recordEvery = time.Minute // of audiences that changed
	recordAll   = time.Hour
)

// record is what was recorded of an audience last.
type record struct {
	seq int64
	at  time.Time
}

// Run records the sizes of audiences until ctx ends: of each every hour, and of
// those that changed every minute.
func (n *Insight) Run(ctx context.Context) error {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		if err := n.record(ctx); err != nil && ctx.Err() == nil {
			n.Log.WarnContext(ctx, "sizes of audiences were not recorded", "error", activation.SafeMessage(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// record records the sizes that are due.
func (n *Insight) record(ctx context.Context) error {
	now := n.Now()
	seqs, err := n.Warehouse.Seq(ctx)
	if err != nil {
		return err
	}
	var due []activation.AudienceID
	for _, id := range slices.Sorted(maps.Keys(seqs)) {
		if last, known := n.recorded[id]; !known || last.seq != seqs[id] || now.Sub(last.at) >= recordAll {
			due = append(due, id)
		}
	}
	maps.DeleteFunc(n.recorded, func(id activation.AudienceID, _ record) bool { _, there := seqs[id]; return !there })
	if len(due) == 0 {
		return nil
	}
	sizes, err := n.Warehouse.Sizes(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range due {
		size, there := sizes[id]
		if !there {
			continue
		}
		if err := n.Store.SetSeries(ctx, store.SeriesAudience, string(id), map[string]int64{sizeSeries: size}); err != nil {
			errs = append(errs, err)
			continue
		}
		n.recorded[id] = record{seqs[id], now}
	}
	return errors.Join(errs...)
}
