package duckdb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"usher/internal/warehouse"
)

// Identity resolution. Messages and identifier values are a graph: a message
// links the values it carries, and people are its connected components, but
// that one person has at most so many values (identity_cap.go says how larger
// components are cut). A slice resolves the part of the graph that its messages
// touch; a Rebuild, all of it.
//
//	link(seq, key, field)  in: which message carries which identifier value
//	dirty(pid)       in: profiles that may fall apart, because a message of
//	                 theirs was taken back; link has all their other messages
//	msg(seq, pid)    out: whose each message is
//	moved(old, pid)  out: what became of each profile concerned; NULL = gone
//	person(key, known, pid)   out: whose each value was (NULL = nobody's) and is
//	carried(key, pid)         out: which of these people carry which capped value
//	events(…)        out: the merge history of it (identity_history.go)
//
// All of these are temporary tables of one connection. field counts the fields
// of the schema from 0.

// maxIdentifier is how many bytes an identifier value may have; a longer one is
// a value that can't be read.
const maxIdentifier = 256

// keySQL is the digest of an identifier value; 128 bits, so that two values
// are never taken for one.
func keySQL(field, value string) string {
	return fmt.Sprintf("md5_number(%s || (%s)::VARCHAR)", literal(field+"="), value)
}

// linkSQL is a SELECT of (seq, key, field), one row for each identifier value of
// the messages, or "" for a stream that carries none.
func linkSQL(sc *schema, mappings *streamMappings, of messages) string {
	nobody := nobodySQL(sc.Active.Identity)
	var parts []string
	for _, m := range mappings.identifiers() {
		parts = append(parts, fmt.Sprintf("SELECT seq, %s AS key, %d::SMALLINT AS field FROM (SELECT m._seq AS seq, (%s)::VARCHAR AS v %s) WHERE v IS NOT NULL AND lower(v) NOT IN (%s)",
			keySQL(m.field.Name, "v"), sc.fieldNumber(m.field.Name), m.value, of.clause(""), nobody))
	}
	return strings.Join(parts, " UNION ALL ")
}

// identifierMapping makes a mapping one of an identifier: without space around
// the value, and not longer than an identifier may be.
func identifierMapping(m mapped) mapped {
	text := "nullif(trim((" + m.value + ")::VARCHAR), '')"
	m.value = text + "::" + sqlTypes[m.field.Type]
	if m.field.Type != warehouse.Text {
		return m
	}
	m.value = fmt.Sprintf("CASE WHEN strlen(%[1]s) <= %[2]d THEN %[1]s END", text, maxIdentifier)
	m.unparsed = fmt.Sprintf("(%s) OR coalesce(strlen(%s) > %d, false)", m.unparsed, text, maxIdentifier)
	return m
}

// noLinks is a SELECT of the shape of linkSQL without rows.
const noLinks = `SELECT NULL::BIGINT AS seq, NULL::UHUGEINT AS key, NULL::SMALLINT AS field WHERE false`

// nobodySQL lists the values that identify nobody: one profile would swallow
// all who carry them.
func nobodySQL(id warehouse.Identity) string {
	var quoted []string
	for _, list := range [][]string{warehouse.Placeholders, id.StopList} {
		for _, v := range list {
			quoted = append(quoted, literal(v))
		}
	}
	return strings.Join(quoted, ", ")
}

// fieldNumber is the place of a field among those of the schema.
func (s *schema) fieldNumber(name string) int {
	return slices.IndexFunc(s.fields(), func(f warehouse.Field) bool { return f.Name == name })
}

// newNode is where the numbers of values without a profile begin; below are
// profile ids. A component's lowest node is therefore its lowest profile.
const newNode = 1 << 62

// resolver works out whose messages are.
type resolver struct {
	q  queryer
	sc *schema
	// single says that no message has more than one identifier and nobody is
	// dirty: then nothing can link anything.
	single bool
	// load fills link from dirty. It is called again when more people have to
	// be resolved anew than were dirty; they are in drawn too. nil = link is
	// full, and everybody dirty.
	load func(ctx context.Context) error
	// newIDs reserves n profile ids and returns the first.
	newIDs   func(ctx context.Context, n int64) (int64, error)
	firstNew int64
	// stored has all identifiers that there are; "" = the table identifiers.
	stored string
	// links is link, or what of it links anything.
	links string
	// capped says that values are capped, in what there is or in the outcome.
	capped bool
}

// resolve fills msg, moved, person, carried and events from link and dirty. It
// returns how many profiles are new and how many existing ones are concerned.
func (r *resolver) resolve(ctx context.Context) (created, known int64, err error) {
	if err := r.begin(ctx); err != nil {
		return 0, 0, err
	}
	steps := []func(context.Context) error{r.connect, r.components, r.outcome, r.carry, r.history}
	if r.single {
		steps = []func(context.Context) error{r.strip, r.each, r.outcome, r.carry}
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
	if err := r.reserve(ctx, `SELECT count(*) FROM `+r.links); err != nil {
		return err
	}
	_, err := exec(ctx, r.q, "look up identifiers", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE person AS
		SELECT g.key, i.pid AS known, coalesce(i.pid, %d + row_number() OVER (ORDER BY g.first)) AS pid
		FROM (SELECT key, min(seq) AS first FROM %s GROUP BY key) g LEFT JOIN identifiers i ON i.key = g.key`, r.firstNew-1, r.links))
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
			FROM (SELECT key, min(seq) AS first FROM %s GROUP BY key) g
			LEFT JOIN identifiers i ON i.key = g.key
			LEFT JOIN dirty d ON d.pid = i.pid)`, int64(newNode), r.links))
	return err
}

// roots finds the connected components: root maps each node that has an edge to
// the lowest node it is connected with. Each round hooks every tree to its
// lowest neighbour, flattens the chains of hooks and keeps the edges that are
// left between trees; a < b. There are few rounds, whatever the graph.
//
// Tables are made anew rather than updated, and no join asks for two trees that
// differ: DuckDB, which guesses badly about tables of the same transaction, may
// begin with all pairs of those.
func (r *resolver) roots(ctx context.Context) error {
	if err := r.connected(ctx, `edge AS
		WITH n AS MATERIALIZED (SELECT l.seq, k.node FROM `+r.links+` l JOIN node k ON k.key = l.key),
		low AS (SELECT seq, min(node) AS a FROM n GROUP BY seq HAVING min(node) <> max(node))
		SELECT DISTINCT a, node AS b FROM n JOIN low USING (seq) WHERE node <> a`,
		`root AS SELECT a AS node, a AS root FROM edge UNION SELECT b, b FROM edge`); err != nil {
		return err
	}
	for {
		var edges int64
		if err := queryRow(ctx, r.q, "connect identifiers", `SELECT count(*) FROM edge`, nil, &edges); err != nil || edges == 0 {
			return err
		}
		if err := r.hook(ctx); err != nil {
			return err
		}
		if err := r.connected(ctx,
			`root AS SELECT r.node, coalesce(h.upper, r.root) AS root FROM root r LEFT JOIN hook h ON h.lower = r.root`,
			`edge AS SELECT DISTINCT least(x, y) AS a, greatest(x, y) AS b
				FROM (SELECT coalesce(l.upper, e.a) AS x, u.upper AS y FROM edge e JOIN hook u ON u.lower = e.b LEFT JOIN hook l ON l.lower = e.a) WHERE x <> y`); err != nil {
			return err
		}
	}
}

// hook fills hook with the trees that have a lower neighbour, and in which tree
// they go.
func (r *resolver) hook(ctx context.Context) error {
	if err := r.connected(ctx, `hook AS SELECT b AS lower, min(a) AS upper FROM edge GROUP BY b`); err != nil {
		return err
	}
	for {
		var chained int64
		if err := queryRow(ctx, r.q, "connect identifiers", `SELECT count(*) FROM hook WHERE upper IN (SELECT lower FROM hook)`, nil, &chained); err != nil || chained == 0 {
			return err
		}
		if err := r.connected(ctx, `hook AS SELECT h.lower, coalesce(u.upper, h.upper) AS upper FROM hook h LEFT JOIN hook u ON u.lower = h.upper`); err != nil {
			return err
		}
	}
}

// connected makes temporary tables anew; a query may read what its own was.
func (r *resolver) connected(ctx context.Context, tables ...string) error {
	for _, t := range tables {
		if _, err := exec(ctx, r.q, "connect identifiers", `CREATE OR REPLACE TEMP TABLE `+t); err != nil {
			return err
		}
	}
	return nil
}

// parts says of each value in which component it is, and of each component how
// many values it has beside those of firm profiles.
func (r *resolver) parts(ctx context.Context) error {
	for _, query := range []string{
		`CREATE OR REPLACE TEMP TABLE value AS
			SELECT n.key, n.first, n.known, n.node, coalesce(r.root, n.node) AS root FROM node n LEFT JOIN root r ON r.node = n.node`,
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE part AS
			SELECT root, min(first) AS first, count(*) FILTER (known IS NULL OR node >= %d) AS others FROM value GROUP BY root`, int64(newNode)),
	} {
		if _, err := exec(ctx, r.q, "connect identifiers", query); err != nil {
			return err
		}
	}
	return nil
}

// components gives each component its profile id: the lowest of the profiles
// its values belonged to, each profile going to the component of its earliest
// message, else a new one.
func (r *resolver) components(ctx context.Context) error {
	if _, err := exec(ctx, r.q, "name profiles", `CREATE OR REPLACE TEMP TABLE component AS
		WITH won AS (SELECT known AS pid, arg_min(root, first) AS root FROM value WHERE known IS NOT NULL GROUP BY known),
		lowest AS (SELECT root, min(pid) AS pid FROM won GROUP BY root)
		SELECT p.root, p.first, l.pid FROM part p LEFT JOIN lowest l ON l.root = p.root`); err != nil {
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
	query := `SELECT l.seq, any_value(p.pid) AS pid FROM ` + r.links + ` l JOIN person p ON p.key = l.key GROUP BY l.seq`
	if r.single {
		query = `SELECT l.seq, p.pid FROM ` + r.links + ` l JOIN person p ON p.key = l.key`
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
