package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// enrichOutcomes are what asking about one person can come to.
var enrichOutcomes = []string{"reply", "none", "failed"}

// ToEnrich returns the next people to ask about, by profile id. Whoever was merged
// into another since has been asked about where the other was.
func (d *DB) ToEnrich(ctx context.Context, r warehouse.EnrichmentRequest) ([]warehouse.Enrichment, error) {
	sc := d.state.snapshot()
	fields, err := enrichFields(sc, r.Fields)
	if err != nil {
		return nil, err
	}
	condition, args, err := d.enrichCondition(ctx, r)
	if err != nil {
		return nil, err
	}
	found, err := readProfiles(ctx, d.sql, sc, fmt.Sprintf(`WHERE _pid IN (SELECT p._pid FROM profiles p WHERE %s ORDER BY p._pid LIMIT %d) ORDER BY _pid`, condition, max(0, r.Limit)), args...)
	if err != nil {
		return nil, err
	}
	identifiers := rankedIdentifiers(sc)
	out := make([]warehouse.Enrichment, 0, len(found))
	for _, p := range found {
		e := warehouse.Enrichment{Profile: p.ID, Values: map[string]any{}}
		for _, f := range fields {
			if v, ok := p.Values[f]; ok {
				e.Values[f] = v
			}
		}
		for _, f := range identifiers {
			switch v := p.Values[f].(type) {
			case string:
				e.Identifiers = append(e.Identifiers, warehouse.FieldValue{Field: f, Value: v})
			case int64:
				e.Identifiers = append(e.Identifiers, warehouse.FieldValue{Field: f, Value: strconv.FormatInt(v, 10)})
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// WaitsEnrichment reports whether ToEnrich would return anybody.
func (d *DB) WaitsEnrichment(ctx context.Context, r warehouse.EnrichmentRequest) (bool, error) {
	if _, err := enrichFields(d.state.snapshot(), r.Fields); err != nil {
		return false, err
	}
	condition, args, err := d.enrichCondition(ctx, r)
	if err != nil {
		return false, err
	}
	var waits bool
	err = queryRow(ctx, d.sql, "look for people to ask about", `SELECT EXISTS (SELECT 1 FROM profiles p WHERE `+condition+`)`, args, &waits)
	return waits, err
}

// enrichCondition is that somebody is to be asked about, as SQL over profiles p.
// Who has no identifier could not be found again by a reply.
func (d *DB) enrichCondition(ctx context.Context, r warehouse.EnrichmentRequest) (string, []any, error) {
	var named []string
	for _, f := range rankedIdentifiers(d.state.snapshot()) {
		named = append(named, "p."+quote(f)+" IS NOT NULL")
	}
	if len(named) == 0 {
		return "false", nil, nil
	}
	condition := `(` + strings.Join(named, " OR ") + `) AND NOT EXISTS (SELECT 1 FROM enriched e WHERE e.job = $1 AND e.pid = p._pid AND ` +
		`CASE WHEN e.outcome = 'failed' THEN e.asked >= $2 ELSE e.asked >= $3 END)`
	args := []any{string(r.Job), enrichTime(r.FailedBefore), enrichTime(r.Before)}
	if len(r.Audiences) > 0 {
		numbers, _, err := d.audienceNumbers(ctx)
		if err != nil {
			return "", nil, err
		}
		var of []int
		for _, id := range r.Audiences {
			n, ok := numbers[id]
			if !ok {
				return "", nil, fmt.Errorf("audience %q: %w", id, activation.ErrNotFound)
			}
			of = append(of, n)
		}
		condition = `p._pid IN (` + membersOf(of) + `) AND ` + condition
	}
	return condition, args, nil
}

// enrichTime is a bound in microseconds; below all times for none.
func enrichTime(t time.Time) int64 {
	if t.IsZero() {
		return -1 << 62
	}
	return t.UnixMicro()
}

// enrichFields are the fields asked for, all declared; none = the identifiers.
func enrichFields(sc *schema, names []string) ([]string, error) {
	if len(names) == 0 {
		return rankedIdentifiers(sc), nil
	}
	for _, name := range names {
		if _, ok := sc.field(name); !ok {
			return nil, &activation.Error{Kind: activation.Invalid, Code: "SCHEMA", Field: "user_fields", Message: fmt.Sprintf("user_fields: the field %q is not declared", name)}
		}
	}
	return names, nil
}

// rankedIdentifiers are the identifier fields, the strongest first.
func rankedIdentifiers(sc *schema) []string {
	var all []warehouse.Field
	for _, f := range sc.fields() {
		if f.Rank > 0 {
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b warehouse.Field) int { return a.Rank - b.Rank })
	out := make([]string, len(all))
	for i, f := range all {
		out[i] = f.Name
	}
	return out
}

// Enriched remembers outcomes of a job: the last one of each person.
func (d *DB) Enriched(ctx context.Context, job activation.JobID, at time.Time, outcomes []warehouse.Enriched) error {
	if len(outcomes) == 0 {
		return nil
	}
	var pids, rows []string
	for _, o := range outcomes {
		if !slices.Contains(enrichOutcomes, o.Outcome) {
			return fmt.Errorf("the outcome %q is none of %v", o.Outcome, enrichOutcomes)
		}
		pids = append(pids, strconv.FormatInt(o.Profile, 10))
		rows = append(rows, fmt.Sprintf("(%d, '%s')", o.Profile, o.Outcome))
	}
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := exec(ctx, tx, "forget earlier outcomes", `DELETE FROM enriched WHERE job = $1 AND pid IN (`+strings.Join(pids, ", ")+`)`, string(job)); err != nil {
			return err
		}
		// Who was forgotten meanwhile is not remembered here either.
		_, err := exec(ctx, tx, "remember who was asked about", `INSERT INTO enriched SELECT $1, v.pid, $2, v.outcome FROM (VALUES `+strings.Join(rows, ", ")+`) v(pid, outcome) WHERE v.pid IN (SELECT _pid FROM profiles)`,
			string(job), at.UnixMicro())
		return err
	})
}

// ForgetEnrichment forgets whom a job has asked about.
func (d *DB) ForgetEnrichment(ctx context.Context, job activation.JobID) error {
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := exec(ctx, tx, "forget whom a job asked about", `DELETE FROM enriched WHERE job = $1`, string(job))
		return err
	})
}
