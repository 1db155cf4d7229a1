package duckdb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"usher/internal/warehouse"
)

// The cap. A component of more identifier values than one person may have is
// cut: its values are taken by rank, then by digest, and each joins the people
// of the values before it that some message links it with, unless that person
// would then have more than the cap. Such a value is capped: it links nothing.
// A message belongs to the person of the values that link; one that carries only
// capped values, to a person who has nothing but the strongest of them. A capped
// value that no message needs for that is nobody's: Find finds no one by it.
//
// What is capped is thus decided by the set of messages alone. A slice need not
// decide it again: as long as what the links that are not capped join stays
// within the cap, all that was capped stays so, for the values before it have
// only more to join; and what was not capped joins nothing that it would not
// have joined in the end. So capped values are left out of what a slice
// connects, and only where that makes somebody exceed the cap, or a message was
// taken back, everybody who is connected with them is resolved anew, capped
// values included. The table capped(key, pid) knows by which values, and holds
// for each capped value everybody whose messages carry it:
//
//	shared(key)   the values that are capped
//	drawn(pid)    profiles that were made dirty for being connected with others

// capOf is how many identifier values a person may have.
func capOf(id warehouse.Identity) int64 {
	if id.MaxIdentifiers == 0 {
		return warehouse.DefaultMaxIdentifiers
	}
	return int64(id.MaxIdentifiers)
}

// begin draws in whoever is connected with a dirty profile by capped values, and
// fills link.
func (r *resolver) begin(ctx context.Context) error {
	var capped, dirty int64
	if err := queryRow(ctx, r.q, "look for capped values", `SELECT (SELECT count(*) FROM (SELECT 1 FROM capped LIMIT 1)), (SELECT count(*) FROM dirty)`, nil, &capped, &dirty); err != nil {
		return err
	}
	r.capped = capped > 0
	for _, table := range []string{`drawn (pid BIGINT)`, `shared (key UHUGEINT)`, `carried (key UHUGEINT, pid BIGINT)`} {
		if _, err := exec(ctx, r.q, "look for capped values", `CREATE OR REPLACE TEMP TABLE `+table); err != nil {
			return err
		}
	}
	if r.capped && dirty > 0 {
		if _, err := r.draw(ctx, `SELECT pid FROM dirty`, `SELECT key, pid AS who FROM capped`, `SELECT who FROM reached`); err != nil {
			return err
		}
	}
	if r.load == nil {
		return nil
	}
	return r.load(ctx)
}

// connect finds the components, with values capped where that is needed.
func (r *resolver) connect(ctx context.Context) error {
	for {
		if err := r.divide(ctx); err != nil {
			return err
		}
		over, err := r.exceeding(ctx)
		if err != nil || over == 0 {
			return err
		}
		drawn, err := r.drawExceeding(ctx)
		if err != nil {
			return err
		}
		if drawn == 0 {
			break
		}
		if err := r.load(ctx); err != nil {
			return err
		}
	}
	// Whatever is connected with those who exceed the cap is in link now.
	if err := r.cut(ctx); err != nil {
		return err
	}
	r.capped = true
	return r.divideBy(ctx)
}

// divide finds the components that the present capped values leave.
func (r *resolver) divide(ctx context.Context) error {
	if err := r.strip(ctx); err != nil {
		return err
	}
	return r.steps(ctx, r.nodes, r.roots, r.parts)
}

// divideBy finds the components that the values in shared leave.
func (r *resolver) divideBy(ctx context.Context) error {
	return r.steps(ctx, r.leave, r.nodes, r.roots, r.parts)
}

func (r *resolver) steps(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// strip fills shared with the values of link that are capped, but for those of
// dirty profiles, and leaves them out of what links.
func (r *resolver) strip(ctx context.Context) error {
	r.links = "link"
	if !r.capped {
		return nil
	}
	n, err := exec(ctx, r.q, "leave out capped values", `CREATE OR REPLACE TEMP TABLE shared AS
		SELECT DISTINCT key FROM capped WHERE key IN (SELECT key FROM link) AND key NOT IN (SELECT key FROM capped WHERE pid IN (SELECT pid FROM dirty))`)
	if err != nil {
		return err
	}
	if err := queryRow(ctx, r.q, "leave out capped values", `SELECT count(*) FROM shared`, nil, &n); err != nil || n == 0 {
		return err
	}
	return r.leave(ctx)
}

// leave makes linking of link: without the values in shared, but for the
// strongest of each message that carries no other.
func (r *resolver) leave(ctx context.Context) error {
	r.links = "linking"
	for _, query := range []string{
		`CREATE OR REPLACE TEMP TABLE bound AS SELECT DISTINCT seq FROM link WHERE key IN (SELECT key FROM shared)`,
		`CREATE OR REPLACE TEMP TABLE linking AS SELECT seq, key, field FROM link WHERE seq NOT IN (SELECT seq FROM bound)`,
		`INSERT INTO linking SELECT seq, key, field FROM link WHERE seq IN (SELECT seq FROM bound) AND key NOT IN (SELECT key FROM shared)`,
		`INSERT INTO linking SELECT seq, key, field FROM link WHERE seq IN (SELECT seq FROM bound) AND seq NOT IN (SELECT seq FROM linking)
			QUALIFY row_number() OVER (PARTITION BY seq ORDER BY ` + r.rank() + `, key) = 1`,
	} {
		if _, err := exec(ctx, r.q, "leave out capped values", query); err != nil {
			return err
		}
	}
	return nil
}

// rank is SQL for the rank of field.
func (r *resolver) rank() string {
	var b strings.Builder
	b.WriteString("CASE field")
	for i, f := range r.sc.fields() {
		if f.Rank > 0 {
			fmt.Fprintf(&b, " WHEN %d THEN %d", i, f.Rank)
		}
	}
	return b.String() + " ELSE 0 END"
}

// exceeding fills over with the components of more values than the cap and
// returns how many there are.
func (r *resolver) exceeding(ctx context.Context) (n int64, err error) {
	// Only a firm profile that has an edge gets anything it has not.
	firm := fmt.Sprintf(`SELECT node, root FROM root WHERE node < %d`, int64(newNode))
	query := `SELECT root FROM part WHERE others > %d`
	stored := cmp.Or(r.stored, "identifiers")
	if err := queryRow(ctx, r.q, "count identifiers", `SELECT count(*) FROM (`+firm+`)`, nil, &n); err != nil {
		return 0, err
	}
	if n > 0 {
		query = `SELECT p.root FROM part p LEFT JOIN (SELECT f.root, count(*) AS n FROM ` + stored + ` i JOIN (` + firm + `) f ON f.node = i.pid GROUP BY f.root) s ON s.root = p.root
			WHERE p.others + coalesce(s.n, 0) > %d`
	}
	if _, err := exec(ctx, r.q, "count identifiers", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE over AS `+query, capOf(r.sc.Active.Identity))); err != nil {
		return 0, err
	}
	err = queryRow(ctx, r.q, "count identifiers", `SELECT count(*) FROM over`, nil, &n)
	return n, err
}

// drawExceeding draws in the profiles of the components in over and whoever is
// connected with them by capped values, and returns how many.
func (r *resolver) drawExceeding(ctx context.Context) (int64, error) {
	// A profile that is not dirty and the component it is in are one node.
	carry := noCarriers
	if r.capped {
		carry = `SELECT c.key, coalesce(r.root, c.pid) AS who FROM capped c LEFT JOIN root r ON r.node = c.pid WHERE c.pid NOT IN (SELECT pid FROM dirty)`
		if r.links == "linking" {
			carry += ` UNION SELECT l.key, v.root FROM link l JOIN linking k ON k.seq = l.seq JOIN value v ON v.key = k.key WHERE l.key IN (SELECT key FROM shared)`
		}
	}
	return r.draw(ctx, `SELECT root FROM over`, carry, fmt.Sprintf(`SELECT who FROM reached WHERE who < %[1]d
		UNION SELECT node FROM root WHERE node < %[1]d AND root IN (SELECT who FROM reached)`, int64(newNode)))
}

const noCarriers = `SELECT NULL::UHUGEINT AS key, NULL::BIGINT AS who WHERE false`

// draw makes dirty the profiles that people selects of reached, which is
// everybody connected with from by the carriers (key, who) of capped values. It
// returns how many were not dirty before.
func (r *resolver) draw(ctx context.Context, from, carriers, people string) (int64, error) {
	for _, query := range []string{
		`CREATE OR REPLACE TEMP TABLE reached AS SELECT DISTINCT * FROM (` + from + `) AS f(who)`,
		`CREATE OR REPLACE TEMP TABLE carrier AS ` + carriers,
	} {
		if _, err := exec(ctx, r.q, "gather people", query); err != nil {
			return 0, err
		}
	}
	for {
		n, err := exec(ctx, r.q, "gather people", `INSERT INTO reached SELECT DISTINCT who FROM carrier
			WHERE key IN (SELECT key FROM carrier WHERE who IN (SELECT who FROM reached)) AND who NOT IN (SELECT who FROM reached)`)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
	}
	if _, err := exec(ctx, r.q, "gather people", `INSERT INTO drawn SELECT * FROM (`+people+`) AS p(pid) WHERE pid NOT IN (SELECT pid FROM dirty)`); err != nil {
		return 0, err
	}
	return exec(ctx, r.q, "gather people", `INSERT INTO dirty SELECT pid FROM drawn WHERE pid NOT IN (SELECT pid FROM dirty)`)
}

// cut adds to shared the values to be capped in the components in over.
func (r *resolver) cut(ctx context.Context) error {
	if _, err := exec(ctx, r.q, "cut people apart", `CREATE OR REPLACE TEMP TABLE ranked AS
		SELECT key, row_number() OVER (ORDER BY `+r.rank()+`, key) - 1 AS n
		FROM (SELECT l.key, any_value(l.field) AS field FROM `+r.links+` l JOIN value v ON v.key = l.key WHERE v.root IN (SELECT root FROM over) GROUP BY l.key)`); err != nil {
		return err
	}
	var values int
	if err := queryRow(ctx, r.q, "cut people apart", `SELECT count(*) FROM ranked`, nil, &values); err != nil {
		return err
	}
	capped, err := r.cappedOf(ctx, values)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(capped, 50_000) {
		list := strings.Trim(fmt.Sprint(some), "[]")
		if _, err := exec(ctx, r.q, "cut people apart", `INSERT INTO shared SELECT key FROM ranked WHERE n IN (SELECT unnest(string_split($1, ' ')::BIGINT[]))`, list); err != nil {
			return err
		}
	}
	return nil
}

// cappedOf returns the places, in ranked, of the values to be capped.
func (r *resolver) cappedOf(ctx context.Context, values int) ([]int, error) {
	rows, err := r.q.QueryContext(ctx, `WITH p AS MATERIALIZED (SELECT l.seq, k.n FROM `+r.links+` l JOIN ranked k ON k.key = l.key)
		SELECT DISTINCT y.n AS later, x.n AS earlier FROM p x JOIN p y ON y.seq = x.seq AND x.n < y.n ORDER BY later`)
	if err != nil {
		return nil, fmt.Errorf("cut people apart: %w", scrub(ctx, err))
	}
	defer rows.Close()
	c := newCutter(values, int(capOf(r.sc.Active.Identity)))
	for rows.Next() {
		var later, earlier int
		if err := rows.Scan(&later, &earlier); err != nil {
			return nil, fmt.Errorf("cut people apart: %w", scrub(ctx, err))
		}
		c.link(later, earlier)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cut people apart: %w", scrub(ctx, err))
	}
	return c.finish(), nil
}

// carry fills carried with the capped values of everybody concerned.
func (r *resolver) carry(ctx context.Context) error {
	if !r.capped {
		return nil
	}
	_, err := exec(ctx, r.q, "note capped values", `INSERT INTO carried
		SELECT l.key, g.pid FROM link l JOIN msg g ON g.seq = l.seq WHERE l.key IN (SELECT key FROM shared)
		UNION SELECT c.key, m.pid FROM capped c JOIN moved m ON m.old = c.pid WHERE m.old NOT IN (SELECT pid FROM dirty)`)
	return err
}
