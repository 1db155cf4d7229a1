package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/warehouse"
)

// audienceState is what the audience and ledger half keeps in memory.
type audienceState struct {
	// refreshing lets one refresh of match keys run at a time: it decides
	// versions from a snapshot and merges them later.
	refreshing sync.Mutex
	// slice is how many people's keys are refreshed at a time; 0 = refreshSlice.
	slice int64
	// reach is of how many members Reach computes keys; 0 = reachPeople.
	reach int64
	// staging is held shared by every Stage and alone by a prune: what a Stage
	// is about to point to shows in no table yet.
	staging sync.RWMutex
}

// audience is a declared audience.
type audience struct {
	warehouse.Rule
	n      int              // its number in membership
	filter *filterql.Filter // nil where members are given
}

// audiences is the declared audiences together, since rules include each other.
type audiences struct {
	all    []audience
	byName map[string]*filterql.Filter // by slug and by id; nil where members are given
	fields filterql.Fields
}

// gather parses rules and makes them find each other.
func gather(sc *schema, all []audience) (*audiences, error) {
	as := &audiences{all: all, byName: map[string]*filterql.Filter{}, fields: ruleFields(sc)}
	for i := range all {
		if !all[i].Given {
			f, err := filterql.Parse(all[i].Text)
			if err != nil {
				return nil, ruleError(all[i].Slug, err)
			}
			all[i].filter = f
		}
		as.byName[string(all[i].ID)] = all[i].filter
	}
	for _, a := range all { // a slug wins over an id that looks like it
		as.byName[a.Slug] = a.filter
	}
	for _, a := range all {
		as.callBySlug(a.filter)
	}
	return as, nil
}

// callBySlug makes a rule name the audiences it includes by slug where it does so
// by id, so that errors name them as people do.
func (as *audiences) callBySlug(f *filterql.Filter) {
	f.Rename(func(name string) string {
		for _, a := range as.all {
			if a.Slug == name {
				return name
			}
		}
		if a, ok := as.find(activation.AudienceID(name)); ok {
			return a.Slug
		}
		return name
	})
}

// ruleFields is what rules may name.
func ruleFields(sc *schema) filterql.Fields {
	fields := filterql.Fields{}
	for _, f := range sc.fields() {
		fields[f.Name] = filterql.Type(f.Type)
	}
	return fields
}

// compile makes SQL over profiles p of a rule; name is its slug, or "".
func (as *audiences) compile(f *filterql.Filter, name string, now time.Time, firstParam int) (filterql.Compiled, error) {
	c, err := filterql.Compile(f, filterql.Options{
		Schema: as.fields, Name: name, Table: "p", Now: now, FirstParam: firstParam,
		Resolve: as.resolve,
	})
	if err != nil {
		return c, ruleError(name, err)
	}
	return c, nil
}

// resolve finds the rule of an included audience.
func (as *audiences) resolve(slugOrID string) (*filterql.Filter, error) {
	f, known := as.byName[slugOrID]
	if known && f == nil {
		return nil, errGivenIncluded
	}
	return f, nil
}

// errGivenIncluded: members that are given follow no rule, so no rule can be
// kept in step with them.
var errGivenIncluded = errors.New("its members come by decisions or conversions, not by a rule, so no rule can include it")

func (as *audiences) find(id activation.AudienceID) (audience, bool) {
	i := slices.IndexFunc(as.all, func(a audience) bool { return a.ID == id })
	if i < 0 {
		return audience{}, false
	}
	return as.all[i], true
}

// ruleError makes an Invalid error of an error in a rule; its text holds
// nothing but words of the rule.
func ruleError(slug string, err error) error {
	message := err.Error()
	if slug != "" {
		message = fmt.Sprintf("audience %q: %s", slug, message)
	}
	return &activation.Error{Kind: activation.Invalid, Code: "FILTERQL", Field: "segment_ql", Message: message}
}

// declared reads the audiences that are declared.
func (d *DB) declared(ctx context.Context, q queryer) (*audiences, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, n, slug, rule, version, given FROM audiences ORDER BY n`)
	if err != nil {
		return nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
	}
	defer rows.Close()
	var all []audience
	for rows.Next() {
		var a audience
		if err := rows.Scan(&a.ID, &a.n, &a.Slug, &a.Text, &a.Version, &a.Given); err != nil {
			return nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
	}
	return gather(d.state.snapshot(), all)
}

// SetAudiences declares all live audiences. It evaluates those whose rule, or
// an included one, now selects by another condition than before.
func (d *DB) SetAudiences(ctx context.Context, rules []warehouse.Rule, now time.Time) error {
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		before, err := d.declared(ctx, tx)
		if err != nil {
			return err
		}
		after, changed, err := d.compare(ctx, tx, before, rules, now)
		if err != nil {
			return err
		}
		for _, a := range before.all {
			if _, kept := after.find(a.ID); !kept {
				if err := dropAudience(ctx, tx, a, now); err != nil {
					return err
				}
			}
		}
		if err := storeAudiences(ctx, tx, after); err != nil {
			return err
		}
		for _, a := range changed {
			if err := evaluate(ctx, tx, after, a, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// compare numbers the new audiences and finds those that must be evaluated.
func (d *DB) compare(ctx context.Context, tx *sql.Tx, before *audiences, rules []warehouse.Rule, now time.Time) (*audiences, []audience, error) {
	all := make([]audience, len(rules))
	for i, r := range rules {
		if r.Given {
			r.Text = ""
		}
		all[i].Rule = r
		if old, ok := before.find(r.ID); ok {
			all[i].n = old.n
			continue
		}
		n, err := take(ctx, tx, "audience", 1)
		if err != nil {
			return nil, nil, err
		}
		all[i].n = int(n)
	}
	after, err := gather(d.state.snapshot(), all)
	if err != nil {
		return nil, nil, err
	}
	var changed []audience
	for _, a := range after.all {
		if a.Given {
			continue
		}
		to, err := after.compile(a.filter, a.Slug, now, 1)
		if err != nil {
			return nil, nil, err
		}
		if old, ok := before.find(a.ID); ok && !old.Given {
			from, err := before.compile(old.filter, old.Slug, now, 1)
			if err == nil && from.SQL == to.SQL && slices.Equal(from.Args, to.Args) {
				continue
			}
		}
		changed = append(changed, a)
	}
	return after, changed, nil
}

// storeAudiences replaces the table of audiences; change numbers stay.
func storeAudiences(ctx context.Context, tx *sql.Tx, as *audiences) error {
	if err := execAll(ctx, tx, `CREATE OR REPLACE TEMP TABLE audiences_before AS SELECT n, seq, keys_seq FROM audiences`, `DELETE FROM audiences`); err != nil {
		return err
	}
	for _, a := range as.all {
		if _, err := exec(ctx, tx, "declare audience", `INSERT INTO audiences (id, n, slug, rule, version, given, seq, keys_seq)
			SELECT $1, $2, $3, $4, $5, $6, coalesce(b.seq, 0), coalesce(b.keys_seq, 0) FROM (SELECT 1) LEFT JOIN audiences_before b ON b.n = $2`,
			string(a.ID), a.n, a.Slug, a.Text, a.Version, a.Given); err != nil {
			return err
		}
	}
	return execAll(ctx, tx, `DROP TABLE audiences_before`)
}

// Evaluate brings one audience in step in full; one whose members are given is.
func (d *DB) Evaluate(ctx context.Context, id activation.AudienceID, now time.Time) error {
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		as, err := d.declared(ctx, tx)
		if err != nil {
			return err
		}
		a, ok := as.find(id)
		if !ok {
			return fmt.Errorf("audience %q: %w", id, activation.ErrNotFound)
		}
		if a.Given {
			return nil
		}
		return evaluate(ctx, tx, as, a, now)
	})
}

// audienceNumber returns the number an audience has in membership, and its
// highest change number.
func audienceNumber(ctx context.Context, q queryer, id activation.AudienceID) (n int, seq int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT n, seq FROM audiences WHERE id = $1`, string(id)).Scan(&n, &seq)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, 0, fmt.Errorf("audience %q: %w", id, activation.ErrNotFound)
	case err != nil:
		return 0, 0, fmt.Errorf("read audience: %w", scrub(ctx, err))
	}
	return n, seq, nil
}
