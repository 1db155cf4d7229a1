package duckdb

import (
	"context"
	"fmt"
	"strings"
)

// Identity resolution. Messages and identifier values are a graph: a message
// links the values it carries, and people are its connected components. A slice
// resolves the part of the graph that its messages touch; a Rebuild, all of it.
//
//	link(seq, key)   in: which message carries which identifier value
//	dirty(pid)       in: profiles that may fall apart, because a message of
//	                 theirs was taken back; link has all their other messages
//	msg(seq, pid)    out: whose each message is
//	moved(old, pid)  out: what became of each profile concerned; NULL = gone
//	person(key, known, pid)   out: whose each value was (NULL = nobody's) and is
//
// All of these are temporary tables of one connection.

// keySQL is the digest of an identifier value; 128 bits, so that two values
// are never taken for one.
func keySQL(field, value string) string {
	return fmt.Sprintf("md5_number(%s || (%s)::VARCHAR)", literal(field+"="), value)
}

// placeholders are values people type where they have no identifier. They
// identify nobody: one profile would swallow all who carry them.
var placeholders = []string{"test@test.com", "none", "null", "nil", "nan", "n/a", "na", "undefined", "unknown", "-"}

// linkSQL is a SELECT of (seq, key), one row for each identifier value of the
// messages, or "" for a stream that carries none.
func linkSQL(mappings *streamMappings, of messages) string {
	quoted := make([]string, len(placeholders))
	for i, p := range placeholders {
		quoted[i] = literal(p)
	}
	var parts []string
	for _, m := range mappings.identifiers() {
		parts = append(parts, fmt.Sprintf("SELECT seq, %s AS key FROM (SELECT m._seq AS seq, (%s)::VARCHAR AS v %s) WHERE v IS NOT NULL AND lower(v) NOT IN (%s)",
			keySQL(m.field.Name, "v"), m.value, of.clause(""), strings.Join(quoted, ", ")))
	}
	return strings.Join(parts, " UNION ALL ")
}

// newNode is where the numbers of values without a profile begin; below are
// profile ids. A component's lowest node is therefore its lowest profile.
const newNode = 1 << 62

// resolver works out whose messages are.
type resolver struct {
	q queryer
	// single says that no message has more than one identifier and nobody is
	// dirty: then nothing can link anything.
	single bool
	// newIDs reserves n profile ids and returns the first.
	newIDs   func(ctx context.Context, n int64) (int64, error)
	firstNew int64
}

// resolve fills msg, moved and person from link and dirty. It returns how many
// profiles are new and how many existing ones are concerned.
func (r *resolver) resolve(ctx context.Context) (created, known int64, err error) {
	steps := []func(context.Context) error{r.nodes, r.roots, r.components, r.outcome}
	if r.single {
		steps = []func(context.Context) error{r.each, r.outcome}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return 0, 0, err
		}
	}
	// New ids are higher than any there was.
	err = queryRow(ctx, r.q, "count profiles", `SELECT (SELECT count(DISTINCT pid) FROM person WHERE pid >= $1), (SELECT count(*) FROM moved)`, []any{r.firstNew}, &created, &known)
	return created, known, err
}

// each gives every value its profile where nothing can link two of them.
func (r *resolver) each(ctx context.Context) error {
	if err := r.reserve(ctx, `SELECT count(*) FROM link`); err != nil {
		return err
	}
	_, err := exec(ctx, r.q, "look up identifiers", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE person AS
		SELECT g.key, i.pid AS known, coalesce(i.pid, %d + row_number() OVER (ORDER BY g.first)) AS pid
		FROM (SELECT key, min(seq) AS first FROM link GROUP BY key) g LEFT JOIN identifiers i ON i.key = g.key`, r.firstNew-1))
	return err
}

// reserve reserves as many profile ids as the query counts, from firstNew on.
// What is not used is lost: ids have gaps.
func (r *resolver) reserve(ctx context.Context, count string) (err error) {
	var n int64
	if err := queryRow(ctx, r.q, "name profiles", count, nil, &n); err != nil {
		return err
	}
	r.firstNew, err = r.newIDs(ctx, n)
	return err
}

// nodes numbers the identifier values: a value of a firm profile is that
// profile, any other is a node of its own.
func (r *resolver) nodes(ctx context.Context) error {
	_, err := exec(ctx, r.q, "look up identifiers", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE node AS
		SELECT key, first, known, CASE WHEN firm THEN known ELSE %d + row_number() OVER (ORDER BY first, key) END AS node
		FROM (SELECT g.key, g.first, i.pid AS known, i.pid IS NOT NULL AND d.pid IS NULL AS firm
			FROM (SELECT key, min(seq) AS first FROM link GROUP BY key) g
			LEFT JOIN identifiers i ON i.key = g.key
			LEFT JOIN dirty d ON d.pid = i.pid)`, int64(newNode)))
	return err
}

// roots finds the connected components: root maps each node that has an edge to
// the lowest node it is connected with. Each round hooks every tree to its
// lowest neighbour and flattens the chains of hooks.
func (r *resolver) roots(ctx context.Context) error {
	if _, err := exec(ctx, r.q, "connect identifiers", `CREATE OR REPLACE TEMP TABLE edge AS
		WITH n AS MATERIALIZED (SELECT l.seq, k.node FROM link l JOIN node k ON k.key = l.key),
		low AS (SELECT seq, min(node) AS a FROM n GROUP BY seq HAVING min(node) <> max(node))
		SELECT DISTINCT a, node AS b FROM n JOIN low USING (seq) WHERE node <> a`); err != nil {
		return err
	}
	if _, err := exec(ctx, r.q, "connect identifiers", `CREATE OR REPLACE TEMP TABLE root AS
		SELECT node, node AS root FROM (SELECT a AS node FROM edge UNION SELECT b FROM edge)`); err != nil {
		return err
	}
	for {
		n, err := r.hook(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}

// hook is one round of roots; it returns how many trees were hooked.
func (r *resolver) hook(ctx context.Context) (int64, error) {
	if _, err := exec(ctx, r.q, "connect identifiers", `CREATE OR REPLACE TEMP TABLE hook AS
		SELECT greatest(x.root, y.root) AS lower, min(least(x.root, y.root)) AS upper
		FROM edge JOIN root x ON x.node = a JOIN root y ON y.node = b WHERE x.root <> y.root GROUP BY 1`); err != nil {
		return 0, err
	}
	var hooked int64
	if err := queryRow(ctx, r.q, "connect identifiers", `SELECT count(*) FROM hook`, nil, &hooked); err != nil || hooked == 0 {
		return 0, err
	}
	for {
		n, err := exec(ctx, r.q, "connect identifiers", `UPDATE hook SET upper = h.upper FROM hook h WHERE h.lower = hook.upper`)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
	}
	_, err := exec(ctx, r.q, "connect identifiers", `UPDATE root SET root = h.upper FROM hook h WHERE h.lower = root.root`)
	return hooked, err
}

// components gives each component its profile id: the lowest of the profiles
// its values belonged to, each profile going to the component of its earliest
// message, else a new one.
func (r *resolver) components(ctx context.Context) error {
	if _, err := exec(ctx, r.q, "name profiles", `CREATE OR REPLACE TEMP TABLE value AS
		SELECT n.key, n.first, n.known, coalesce(r.root, n.node) AS root FROM node n LEFT JOIN root r ON r.node = n.node`); err != nil {
		return err
	}
	if _, err := exec(ctx, r.q, "name profiles", `CREATE OR REPLACE TEMP TABLE component AS
		WITH won AS (SELECT known AS pid, arg_min(root, first) AS root FROM value WHERE known IS NOT NULL GROUP BY known),
		lowest AS (SELECT root, min(pid) AS pid FROM won GROUP BY root)
		SELECT p.root, p.first, l.pid FROM (SELECT root, min(first) AS first FROM value GROUP BY root) p LEFT JOIN lowest l ON l.root = p.root`); err != nil {
		return err
	}
	if err := r.reserve(ctx, `SELECT count(*) FROM component WHERE pid IS NULL`); err != nil {
		return err
	}
	_, err := exec(ctx, r.q, "name profiles", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE person AS
		WITH named AS (SELECT root, pid FROM component WHERE pid IS NOT NULL
			UNION ALL SELECT root, %d + row_number() OVER (ORDER BY first) FROM component WHERE pid IS NULL)
		SELECT v.key, v.known, c.pid FROM value v JOIN named c ON c.root = v.root`, r.firstNew-1))
	return err
}

// outcome writes msg and moved.
func (r *resolver) outcome(ctx context.Context) error {
	query := `SELECT l.seq, any_value(p.pid) AS pid FROM link l JOIN person p ON p.key = l.key GROUP BY l.seq`
	if r.single {
		query = `SELECT l.seq, p.pid FROM link l JOIN person p ON p.key = l.key`
	}
	if _, err := exec(ctx, r.q, "assign messages", `CREATE OR REPLACE TEMP TABLE msg AS `+query); err != nil {
		return err
	}
	_, err := exec(ctx, r.q, "assign messages", `CREATE OR REPLACE TEMP TABLE moved AS
		SELECT known AS old, any_value(pid) AS pid FROM person
		WHERE known IS NOT NULL AND known NOT IN (SELECT pid FROM dirty) GROUP BY known
		UNION ALL
		SELECT pid, CASE WHEN pid IN (SELECT pid FROM person) THEN pid END FROM dirty`)
	return err
}

// settle brings identifiers and profile_merges in step with what resolve found.
func (r *resolver) settle(ctx context.Context) error {
	var merged, dirty int64
	if err := queryRow(ctx, r.q, "merge profiles", `SELECT (SELECT count(*) FROM moved WHERE pid <> old), (SELECT count(*) FROM dirty)`, nil, &merged, &dirty); err != nil {
		return err
	}
	var steps []string
	if dirty > 0 {
		steps = append(steps, settleDirty...)
	}
	steps = append(steps, `INSERT INTO identifiers SELECT key, pid FROM person WHERE known IS NULL`)
	if merged > 0 {
		steps = append(steps, settleMerged...)
	}
	for _, s := range steps {
		if _, err := exec(ctx, r.q, "store identifiers", s); err != nil {
			return err
		}
	}
	return nil
}

// settleDirty writes the identifiers of profiles that were resolved anew. To a
// profile that is gone nothing may lead any more: its messages were given to
// others one by one.
var settleDirty = []string{
	`DELETE FROM identifiers WHERE pid IN (SELECT pid FROM dirty)`,
	`INSERT INTO identifiers SELECT key, pid FROM person WHERE known IN (SELECT pid FROM dirty)`,
	`DELETE FROM profile_merges WHERE pid IN (SELECT old FROM moved WHERE pid IS NULL)`,
}

// settleMerged points to the living profile whatever led to one merged away.
var settleMerged = []string{
	`UPDATE identifiers SET pid = m.pid FROM moved m WHERE identifiers.pid = m.old AND m.pid <> m.old`,
	`UPDATE profile_merges SET pid = m.pid FROM moved m WHERE profile_merges.pid = m.old AND m.pid <> m.old`,
	`INSERT INTO profile_merges SELECT old, pid FROM moved WHERE pid <> old`,
}
