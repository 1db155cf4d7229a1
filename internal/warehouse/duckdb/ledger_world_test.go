package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// world is a warehouse whose profiles and members are set directly, so that the
// ledger's tests need neither loads nor rules.
type world struct {
	t    testing.TB
	d    *DB
	path string
	seq  int64
	now  time.Time
}

const (
	worldAudience activation.AudienceID = "audience"
	worldTarget   activation.TargetID   = "target"
)

// worldRules has two keys that identify and one that only helps.
var worldRules = matchkey.RuleSet{Name: "test/1", Keys: []matchkey.Key{
	{Name: "EMAIL", Hash: true, Identifies: true, Normalize: plainKey},
	{Name: "PHONE", Identifies: true, Normalize: plainKey},
	{Name: "FN", Normalize: plainKey},
}}

func plainKey(v string, _ matchkey.Row) string { return strings.TrimSpace(v) }

func worldKeys(t testing.TB, names ...string) matchkey.Set {
	t.Helper()
	fields := map[string]string{"EMAIL": "email", "PHONE": "phone", "FN": "first_name"}
	mapping := map[string]string{}
	for _, n := range names {
		mapping[n] = fields[n]
	}
	if len(names) == 0 {
		mapping = fields
	}
	set, err := matchkey.NewSet(worldRules, mapping, "")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// newWorld is a world in memory; newWorldFile one that can be closed and reopened.
func newWorld(t testing.TB, limit int64) *world { return newWorldAt(t, "", limit) }

func newWorldFile(t testing.TB, limit int64) *world {
	return newWorldAt(t, filepath.Join(t.TempDir(), "warehouse.duckdb"), limit)
}

func newWorldAt(t testing.TB, path string, limit int64) *world {
	w := &world{t: t, path: path, now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	w.open(limit)
	w.write(`ALTER TABLE profiles ADD COLUMN email VARCHAR`, `ALTER TABLE profiles ADD COLUMN phone VARCHAR`, `ALTER TABLE profiles ADD COLUMN first_name VARCHAR`,
		`INSERT INTO audiences (id, n, slug, rule, version, seq, given, keys_seq) VALUES ('`+string(worldAudience)+`', 1, 'everyone', 'FILTER *', 1, 0, false, 0)`)
	t.Cleanup(func() { w.d.Close() })
	return w
}

func (w *world) open(limit int64) {
	w.t.Helper()
	d, err := Open(context.Background(), Config{Path: w.path, MemoryLimitBytes: limit, Now: func() time.Time { return w.now }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.d = d
	w.declare()
}

func (w *world) declare() {
	sc := &schema{streams: map[string]stream{}}
	for _, name := range []string{"email", "phone", "first_name"} {
		sc.Active.Fields = append(sc.Active.Fields, warehouse.Field{Name: name, Type: warehouse.Text, Merge: warehouse.Latest})
	}
	sc.Declared = sc.Active
	w.d.state.setSchema(sc)
}

func (w *world) reopen() {
	w.t.Helper()
	if err := w.d.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open(0)
}

func (w *world) write(statements ...string) {
	w.t.Helper()
	if err := w.d.write(context.Background(), func(ctx context.Context, tx *sql.Tx) error { return execAll(ctx, tx, statements...) }); err != nil {
		w.t.Fatal(err)
	}
}

// person sets a person's fields; "" = missing.
func (w *world) person(pid int64, email, phone string) {
	w.t.Helper()
	w.seq++
	w.write(fmt.Sprintf(`DELETE FROM profiles WHERE _pid = %d`, pid),
		fmt.Sprintf(`INSERT INTO profiles (_pid, _seq, email, phone, first_name) VALUES (%d, %d, nullif('%s', ''), nullif('%s', ''), 'ann')`, pid, w.seq, email, phone))
}

// members makes the audience exactly these people.
func (w *world) members(pids ...int64) {
	w.t.Helper()
	w.membersOf(1, pids...)
}

// membersOf makes an audience, by its number, exactly these people.
func (w *world) membersOf(audience int, pids ...int64) {
	w.t.Helper()
	list := []string{"NULL"}
	for _, p := range pids {
		list = append(list, fmt.Sprint(p))
	}
	w.enterInto(audience, fmt.Sprintf(`SELECT DISTINCT unnest([%s])`, strings.Join(list, ", ")))
}

// enter makes the audience exactly the people that a query selects.
func (w *world) enter(query string) {
	w.t.Helper()
	w.enterInto(1, query)
}

func (w *world) enterInto(audience int, query string) {
	w.t.Helper()
	ctx := context.Background()
	if err := w.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := execAll(ctx, tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_change AS SELECT %[1]d AS audience, coalesce(n.pid, m.pid) AS pid,
			CASE WHEN m.pid IS NULL THEN 'enter' ELSE 'exit' END AS event
			FROM (SELECT pid FROM (%[2]s) t(pid) WHERE pid IS NOT NULL) n FULL JOIN (SELECT pid FROM membership WHERE audience = %[1]d) m ON m.pid = n.pid
			WHERE m.pid IS NULL OR n.pid IS NULL`, audience, query)); err != nil {
			return err
		}
		return applyChanges(ctx, tx, w.now)
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) request(run string) warehouse.PlanRequest {
	return warehouse.PlanRequest{Run: activation.RunID(run), Target: worldTarget, Generation: 1, Audience: worldAudience, Keys: worldKeys(w.t)}
}

func (w *world) stage(run string) warehouse.Plan {
	w.t.Helper()
	p, err := w.d.Stage(context.Background(), w.request(run), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// lines shows the staged rows of a run: "1 remove plain 7 EMAIL=… PHONE=…".
func (w *world) lines(run string, plan warehouse.Plan) []string {
	w.t.Helper()
	var all []string
	set := worldKeys(w.t)
	for _, s := range plan.Segments {
		err := w.d.Rows(context.Background(), warehouse.Range{Run: activation.RunID(run), First: s.First, Last: s.Last}, false, func(r warehouse.KeyRow) error {
			line := fmt.Sprintf("%d %s", s.Phase, s.Op)
			if !s.Plain {
				line += " moved"
			}
			line += fmt.Sprintf(" %d", r.Profile)
			for i, v := range r.Values {
				if v != nil && set.Keys[i].Name != "FN" {
					line += " " + set.Keys[i].Name
					if !set.Keys[i].Hash {
						line += "=" + string(v)
					}
				}
			}
			all = append(all, line)
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return all
}

// fold folds every segment of a plan with one outcome.
func (w *world) fold(run string, plan warehouse.Plan, outcome activation.Outcome, exceptions ...activation.Exception) []warehouse.FoldResult {
	w.t.Helper()
	var items []warehouse.FoldItem
	for i, s := range plan.Segments {
		it := w.item(run, fmt.Sprint(i), s, outcome)
		if i == 0 {
			it.Exceptions = exceptions
		}
		items = append(items, it)
	}
	res, err := w.d.Fold(context.Background(), items)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

func (w *world) item(run, name string, s warehouse.Segment, outcome activation.Outcome) warehouse.FoldItem {
	return warehouse.FoldItem{
		Item: activation.ItemID(run + "-" + name), Attempt: 1, Run: activation.RunID(run), Target: worldTarget, Generation: 1,
		Op: s.Op, First: s.First, Last: s.Last, Outcome: outcome, At: w.now,
	}
}

// ledger shows the ledger: "7 in", "7 shared:1".
func (w *world) ledger() []string {
	w.t.Helper()
	rows, err := w.d.sql.Query(`SELECT pid || ' ' || state || CASE WHEN held = -1 THEN '' ELSE ':' || held END || coalesce(' ' || code, '') FROM ledger_1 ORDER BY pid, version`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}
