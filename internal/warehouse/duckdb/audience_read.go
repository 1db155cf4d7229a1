package duckdb

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/warehouse"
)

// TimeDependent reports whether the rule or one it includes uses date math.
func (d *DB) TimeDependent(ctx context.Context, id activation.AudienceID) (bool, error) {
	as, err := d.declared(ctx, d.sql)
	if err != nil {
		return false, err
	}
	a, ok := as.find(id)
	if !ok {
		return false, fmt.Errorf("audience %q: %w", id, activation.ErrNotFound)
	}
	if a.Given {
		return false, nil
	}
	c, err := as.compile(a.filter, a.Slug, d.now(), 1)
	return c.TimeDependent, err
}

// Size returns the present number of members.
func (d *DB) Size(ctx context.Context, id activation.AudienceID) (int64, error) {
	n, _, err := audienceNumber(ctx, d.sql, id)
	if err != nil {
		return 0, err
	}
	var size int64
	err = queryRow(ctx, d.sql, "count members", `SELECT count(*) FROM membership WHERE audience = $1`, []any{n}, &size)
	return size, err
}

// Try returns how many people a rule text would select.
func (d *DB) Try(ctx context.Context, text string, now time.Time) (int64, error) {
	c, err := d.compiled(ctx, text, now, 1)
	if err != nil {
		return 0, err
	}
	var n int64
	err = queryRow(ctx, d.sql, "try rule", `SELECT count(*) FROM profiles p WHERE `+c.SQL, c.Args, &n)
	return n, err
}

// compiled is a rule text as a condition on profiles p, whose parameters are
// numbered from first on.
func (d *DB) compiled(ctx context.Context, text string, now time.Time, first int) (filterql.Compiled, error) {
	f, err := filterql.Parse(text)
	if err != nil {
		return filterql.Compiled{}, ruleError("", err)
	}
	as, err := d.declared(ctx, d.sql)
	if err != nil {
		return filterql.Compiled{}, err
	}
	as.callBySlug(f)
	return as.compile(f, "", now, first)
}

// Scan pages through the people a rule text selects, without storing it.
func (d *DB) Scan(ctx context.Context, text string, now time.Time, after int64, limit int) ([]warehouse.Profile, error) {
	c, err := d.compiled(ctx, text, now, 3)
	if err != nil {
		return nil, err
	}
	return d.withAudiences(ctx, `WHERE _pid IN (SELECT p._pid FROM profiles p WHERE p._pid > $1 AND (`+c.SQL+`) ORDER BY p._pid LIMIT $2) ORDER BY _pid`,
		append([]any{after, limit}, c.Args...)...)
}

// Members pages through the members by profile id.
func (d *DB) Members(ctx context.Context, id activation.AudienceID, after int64, limit int) ([]warehouse.Profile, error) {
	n, _, err := audienceNumber(ctx, d.sql, id)
	if err != nil {
		return nil, err
	}
	return d.withAudiences(ctx, `WHERE _pid IN
		(SELECT pid FROM membership WHERE audience = $1 AND pid > $2 ORDER BY pid LIMIT $3) ORDER BY _pid`, n, after, limit)
}

// withAudiences reads profiles and the audiences each is in.
func (d *DB) withAudiences(ctx context.Context, where string, args ...any) ([]warehouse.Profile, error) {
	people, err := readProfiles(ctx, d.sql, d.state.snapshot(), where, args...)
	if err != nil {
		return nil, err
	}
	for i := range people {
		if people[i].Audiences, err = audiencesOf(ctx, d.sql, people[i].ID); err != nil {
			return nil, err
		}
	}
	return people, nil
}

// Seq returns the highest membership change number per audience.
func (d *DB) Seq(ctx context.Context) (map[activation.AudienceID]int64, error) {
	return d.changeNumbers(ctx, `SELECT id, seq FROM audiences`)
}

// KeySeq returns the number of the highest change of a member's identifiers, per
// audience. A rebuild, which may have changed anybody's, is one of each.
func (d *DB) KeySeq(ctx context.Context) (map[activation.AudienceID]int64, error) {
	return d.changeNumbers(ctx, `SELECT id, keys_seq FROM audiences`)
}

func (d *DB) changeNumbers(ctx context.Context, query string) (map[activation.AudienceID]int64, error) {
	rows, err := d.sql.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read change numbers: %w", scrub(ctx, err))
	}
	defer rows.Close()
	all := map[activation.AudienceID]int64{}
	for rows.Next() {
		var id activation.AudienceID
		var seq int64
		if err := rows.Scan(&id, &seq); err != nil {
			return nil, fmt.Errorf("read change numbers: %w", scrub(ctx, err))
		}
		all[id] = seq
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read change numbers: %w", scrub(ctx, err))
	}
	return all, nil
}

// Waits counts the changes of audiences above a change number. A rebuild counts
// as one change of keys of each.
func (d *DB) Waits(ctx context.Context, audiences []activation.AudienceID, above int64) (warehouse.Waiting, error) {
	var w warehouse.Waiting
	numbers, _, err := d.audienceNumbers(ctx)
	if err != nil {
		return w, err
	}
	var ns []int
	for _, id := range audiences {
		if n, declared := numbers[id]; declared {
			ns = append(ns, n)
		}
	}
	if len(ns) == 0 {
		return w, nil
	}
	err = queryRow(ctx, d.sql, "count changes that wait", fmt.Sprintf(`WITH c AS MATERIALIZED
		(SELECT seq, event FROM membership_changes WHERE seq > $1 AND audience IN (%[1]s))
		SELECT count(*) FILTER (event = 'enter'), count(*) FILTER (event = 'exit'), count(*) FILTER (event = 'keys')
			+ (SELECT count(*) FROM audiences WHERE n IN (%[1]s) AND keys_seq > $1 AND keys_seq NOT IN (SELECT seq FROM c)) FROM c`, joinNumbers(ns)),
		[]any{above}, &w.Enters, &w.Exits, &w.Keys)
	return w, err
}
