package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/postgres"
	"usher/internal/provider/postgres/postgrestest"
)

// reads is a source on a network of its own.
type reads struct {
	*postgrestest.Network
	t    *testing.T
	deps provider.Deps
}

func newReads(t *testing.T) *reads {
	t.Helper()
	n := postgrestest.Open(t, nil)
	t.Cleanup(n.Close)
	d := n.Deps()
	d.Dial = outbound.Dialer(outbound.Config{AllowedHosts: n.Hosts()})
	d.Workflow, d.Config = "postgres_import", map[string]string{"database": d.Account}
	d.Account = ""
	n.Do(`ALTER DEFAULT PRIVILEGES IN SCHEMA ` + n.Schema + ` GRANT SELECT ON TABLES TO ` + n.Role)
	return &reads{n, t, d}
}

// source makes one with these settings: name, value, name, value…
func (r *reads) source(settings ...string) provider.Source {
	r.t.Helper()
	d := r.deps
	d.Config = maps.Clone(d.Config)
	for i := 0; i < len(settings); i += 2 {
		d.Config[settings[i]] = strings.ReplaceAll(settings[i+1], "%s", r.Schema)
	}
	s, err := postgres.Definition().NewSource(d)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close() })
	return s
}

// piece reads the next piece whole.
func piece(t *testing.T, s provider.Source, state []byte) (lines []string, after []byte, ok bool) {
	t.Helper()
	p, ok, err := s.Next(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return nil, state, false
	}
	body, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err = p.After(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n"), after, true
}

func TestValuesAsLines(t *testing.T) {
	r := newReads(t)
	r.Do(`CREATE DOMAIN ` + r.Schema + `.mail AS text`)
	r.Do(`CREATE TABLE ` + r.Schema + `.things (a bigint, b numeric, c double precision, d boolean, e timestamptz, f timestamp, g date, h bytea, i text[], j numeric[], k jsonb, l uuid, m text, n ` + r.Schema + `.mail, o interval, p int[][], q timestamptz, r numeric)`)
	r.Do(`INSERT INTO ` + r.Schema + `.things VALUES (9007199254740993, 12345678901234567890.1200, 0.1, true, '2026-11-22 09:00:00.25+02', '2026-11-22 07:00', '2026-11-22', '\x00ff', '{a,"b \"c\"\\",NULL,"NULL"}', '{1.50,NULL,2}', '{"x": [1, {"y": null}]}', '6f0c1b9e-0000-4000-8000-000000000001', E'l\t"ä"\n', 'x@example.com', '1 day', '{{1,2},{3,4}}', 'infinity', 'NaN'), (NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)`)
	lines, _, _ := piece(t, r.source("table", "%s.things"), nil)
	want := `{"a":9007199254740993,"b":12345678901234567890.1200,"c":0.1,"d":true,"e":"2026-11-22T07:00:00.25Z","f":"2026-11-22T07:00:00Z","g":"2026-11-22","h":"AP8=","i":["a","b \"c\"\\","NULL"],"j":[1.50,2],"k":"{\"x\": [1, {\"y\": null}]}","l":"6f0c1b9e-0000-4000-8000-000000000001","m":"l\u0009\"ä\"\n","n":"x@example.com","o":"P1D","p":"{{1,2},{3,4}}","q":"infinity","r":"NaN"}`
	if len(lines) != 2 || lines[0] != want || lines[1] != "{}" {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), want)
	}
	if !json.Valid([]byte(lines[0])) {
		t.Error("a line is no JSON")
	}
}

func TestWithoutACursorEverythingEachPass(t *testing.T) {
	r := newReads(t)
	r.Do(`CREATE TABLE ` + r.Schema + `.t AS SELECT i FROM generate_series(1, 1234) i`)
	for range 2 {
		s := r.source("query", "SELECT i FROM %s.t ORDER BY i; -- all")
		p, ok, err := s.Next(t.Context(), nil)
		if err != nil || !ok || !p.Whole || p.Name != "query" {
			t.Fatalf("%+v %v %v", p, ok, err)
		}
		lines, after, _ := piece(t, s, nil)
		if len(lines) != 1234 || lines[1233] != `{"i":1234}` {
			t.Errorf("%d rows, the last %s", len(lines), lines[len(lines)-1])
		}
		if _, ok, err := s.Next(t.Context(), after); ok || err != nil {
			t.Errorf("a pass has one piece: %v, %v", ok, err)
		}
	}
}

// TestACursorLosesNothingAndRepeatsNothing plays random inserts and updates, many
// under one value of the cursor, against a set of all rows.
func TestACursorLosesNothingAndRepeatsNothing(t *testing.T) {
	for _, kind := range []string{"timestamptz", "bigint", "numeric", "text"} {
		t.Run(kind, func(t *testing.T) {
			r := newReads(t)
			r.Do(`CREATE TABLE ` + r.Schema + `.t (n int, v ` + kind + `)`)
			seed := mathrand.Uint64()
			t.Logf("seed %d", seed)
			random := mathrand.New(mathrand.NewPCG(seed, 0))
			got, written := map[string]int{}, 0
			var state []byte
			tick := 0
			for range 12 {
				tick += random.IntN(2) // some steps stay at the value of the last one
				for range random.IntN(4) {
					written++
					value := map[string]string{
						"timestamptz": fmt.Sprintf(`'2026-11-22 08:00:%02d.5+01'`, tick), "bigint": fmt.Sprint(int64(9007199254740992) + int64(tick)),
						"numeric": fmt.Sprintf("%d.5%s", tick, strings.Repeat("0", random.IntN(3))), "text": fmt.Sprintf(`'v%03d'`, tick),
					}[kind]
					r.Do(fmt.Sprintf(`INSERT INTO %s.t VALUES (%d, %s)`, r.Schema, written, value))
				}
				r.Do(`INSERT INTO ` + r.Schema + `.t VALUES (-1, NULL)`)
				s := r.source("table", "%s.t", "cursor_column", "v")
				for {
					lines, after, ok := piece(t, s, state)
					if !ok {
						break
					}
					state = after
					for _, l := range lines {
						got[l]++
					}
				}
			}
			if len(got) != written {
				t.Errorf("%d rows came of %d", len(got), written)
			}
			for l, n := range got {
				if n != 1 {
					t.Errorf("%s came %d times", l, n)
				}
			}
		})
	}
}

// TestEqualRows: two rows that are the same in everything are two, and a third one
// that comes later is a third.
func TestEqualRows(t *testing.T) {
	r := newReads(t)
	r.Do(`CREATE TABLE ` + r.Schema + `.t (v int)`)
	r.Do(`INSERT INTO ` + r.Schema + `.t VALUES (1), (1)`)
	lines, state, _ := piece(t, r.source("table", "%s.t", "cursor_column", "v"), nil)
	if len(lines) != 2 {
		t.Errorf("got %v", lines)
	}
	r.Do(`INSERT INTO ` + r.Schema + `.t VALUES (1)`)
	if lines, state, _ = piece(t, r.source("table", "%s.t", "cursor_column", "v"), state); len(lines) != 1 {
		t.Errorf("got %v", lines)
	}
	if _, _, ok := piece(t, r.source("table", "%s.t", "cursor_column", "v"), state); ok {
		t.Error("a row came again")
	}
}

// TestPiecesEnd: pieces hold 100,000 rows, whatever ties there are, and the state
// of each is where the next one begins.
func TestPiecesEnd(t *testing.T) {
	r := newReads(t)
	r.Do(`CREATE TABLE ` + r.Schema + `.t AS SELECT i AS id, (i / 70000) AS v FROM generate_series(0, 229999) i`)
	for _, key := range []string{"", "id"} {
		seen := map[string]bool{}
		var sizes []int
		var state []byte
		s := r.source("table", "%s.t", "cursor_column", "v", "key_column", key)
		for {
			lines, after, ok := piece(t, s, state)
			if !ok {
				break
			}
			state = after
			sizes = append(sizes, len(lines))
			for _, l := range lines {
				if seen[l] {
					t.Fatalf("key %q: %s came twice", key, l)
				}
				seen[l] = true
			}
		}
		if fmt.Sprint(sizes) != "[100000 100000 30000]" || len(seen) != 230000 {
			t.Errorf("key %q: pieces of %v, %d rows", key, sizes, len(seen))
		}
	}
	r.Do(`CREATE TABLE ` + r.Schema + `.flat AS SELECT i AS id, 1 AS v FROM generate_series(0, 120000) i`)
	s := r.source("table", "%s.flat", "cursor_column", "v")
	_, state, _ := piece(t, s, nil)
	_, _, err := s.Next(t.Context(), state)
	wantCode(t, err, "QUERY-CURSOR", "key_column")
}

func TestWhatAQueryMayNot(t *testing.T) {
	r := newReads(t)
	r.Do(`CREATE TABLE ` + r.Schema + `.t (id int, v int, j json)`)
	r.Do(`CREATE FUNCTION ` + r.Schema + `.writes() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO ` + r.Schema + `.t VALUES (1, 1) RETURNING 1'`)
	r.Do(`CREATE TABLE ` + r.Schema + `.hidden (id int)`)
	r.Do(`REVOKE ALL ON ` + r.Schema + `.hidden FROM ` + r.Role)
	for _, c := range []struct{ code, field, part, query, cursor string }{
		{"QUERY-STATEMENT", "query", "line 2, column 3", "SELECT 1 AS a\n  FORM t WHERE", ""},
		{"QUERY-STATEMENT", "query", "line 1, column 22", "SELECT id, 'ä' AS x, none FROM %s.t", ""},
		{"QUERY-STATEMENT", "query", "no such table", "SELECT * FROM %s.none", ""},
		{"QUERY-STATEMENT", "query", "", "WITH x AS (DELETE FROM %s.t RETURNING *) SELECT * FROM x", ""},
		{"QUERY-STATEMENT", "query", "", "SELECT * INTO %s.copy FROM %s.t", ""},
		{"QUERY-STATEMENT", "query", "no name", "SELECT 1", ""},
		{"QUERY-STATEMENT", "query", "two columns", "SELECT 1 AS a, 2 AS a", ""},
		{"POSTGRES-PERMISSION", "", "", "SELECT * FROM %s.hidden", ""},
		{"QUERY-CURSOR", "cursor_column", "it has id, v, j", "SELECT * FROM %s.t", "updated_at"},
		{"QUERY-CURSOR", "cursor_column", "json", "SELECT * FROM %s.t", "j"},
	} {
		err := r.source("query", c.query, "cursor_column", c.cursor).Check(t.Context())
		wantCode(t, err, c.code, c.field)
		if err != nil && !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v lacks %q", c.query, err, c.part)
		}
		if k := activation.KindOf(err); k != activation.Invalid {
			t.Errorf("%s: kind %s", c.query, k)
		}
	}
	p, _, err := r.source("query", "SELECT %s.writes() AS a").Next(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Open(t.Context())
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		_ = body.Close()
	}
	wantCode(t, err, "QUERY-STATEMENT", "query")
	if n := r.Ask(`SELECT count(*)::text FROM ` + r.Schema + `.t`); n != "0" {
		t.Errorf("%s rows were written", n)
	}
}

// TestAFaultyRowIsToldWithoutItsValue: what a query stumbles over at its ten
// thousandth row is the query's fault, and the value is not told.
func TestAFaultyRowIsToldWithoutItsValue(t *testing.T) {
	r := newReads(t)
	s := r.source("query", "SELECT CASE WHEN i < 600 THEN '1' ELSE 'ann@example.com' END::int AS a FROM generate_series(1, 1000) i")
	p, _, err := s.Next(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	_, err = io.Copy(io.Discard, body)
	wantCode(t, err, "QUERY-STATEMENT", "query")
	if strings.Contains(fmt.Sprint(err), "ann@") {
		t.Errorf("the error tells a value: %v", err)
	}
	if _, err := p.After(); err == nil {
		t.Error("there is a state behind rows that were not read")
	}
}

func TestASlowQueryAndALostServer(t *testing.T) {
	r := newReads(t)
	s := r.source("query", "SELECT i, pg_sleep(10)::text AS p FROM generate_series(1, 3) i", "statement_timeout", "1s")
	p, _, _ := s.Next(t.Context(), nil)
	body, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, body)
	_ = body.Close()
	var e *activation.Error
	if !errors.As(err, &e) || e.Code != "QUERY-TIMEOUT" || e.Kind != activation.Unavailable || e.MayHaveApplied {
		t.Errorf("a slow query: %v", err)
	}
	for name, cut := range map[string]func(){
		"POSTGRES-UNAVAILABLE": func() {
			r.Do(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '` + r.Role + `'`)
		},
		"POSTGRES-LOST": r.Cut,
	} {
		s := r.source("query", "SELECT i FROM generate_series(1, 100000) i", "cursor_column", "i")
		p, ok, err := s.Next(t.Context(), nil)
		if err != nil || !ok {
			t.Fatal(err)
		}
		if body, err = p.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, body, 100); err != nil {
			t.Fatal(err)
		}
		cut()
		_, err = io.Copy(io.Discard, body)
		if !errors.As(err, &e) || e.Code != name || e.Kind != activation.Unavailable {
			t.Errorf("want %s: %v", name, err)
		}
		_ = body.Close()
		if lines, _, _ := piece(t, s, nil); len(lines) != 100000 {
			t.Errorf("%d rows after it came back", len(lines))
		}
	}
}

func TestACancelledReadingEnds(t *testing.T) {
	r := newReads(t)
	p, _, _ := r.source("query", "SELECT i, CASE WHEN i > 400 THEN pg_sleep(30)::text END AS p FROM generate_series(1, 600) i").Next(t.Context(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	body, err := p.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, body); activation.KindOf(err) != activation.Unavailable {
		t.Errorf("got %v", err)
	}
	_ = body.Close()
}

func TestImportSettings(t *testing.T) {
	r := newReads(t)
	for _, c := range []struct {
		code, field string
		settings    map[string]string
	}{
		{"QUERY-SETTINGS", "query", map[string]string{}},
		{"QUERY-SETTINGS", "query", map[string]string{"table": "a", "query": "SELECT 1 AS a"}},
		{"QUERY-SETTINGS", "table", map[string]string{"table": "a.b.c"}},
		{"QUERY-SETTINGS", "table", map[string]string{"table": `a"b`}},
		{"QUERY-SETTINGS", "key_column", map[string]string{"table": "a", "key_column": "id"}},
		{"QUERY-SETTINGS", "statement_timeout", map[string]string{"table": "a", "statement_timeout": "0"}},
		{"QUERY-SETTINGS", "diff", map[string]string{"table": "a", "cursor_column": "x", "diff": "true"}},
		{"POSTGRES-SETTINGS", "database", map[string]string{"table": "a", "database": ""}},
		{"QUERY-STATEMENT", "query", map[string]string{"query": "SELECT 1 AS a; DELETE FROM b"}},
		{"QUERY-STATEMENT", "query", map[string]string{"query": "SELECT $1 AS a"}},
	} {
		d := r.deps
		d.Config = maps.Clone(d.Config)
		maps.Copy(d.Config, c.settings)
		_, err := postgres.Definition().NewSource(d)
		wantCode(t, err, c.code, c.field)
	}
	wantCode(t, r.source("table", "a", "database", "none").Check(t.Context()), "POSTGRES-DATABASE", "database")
}
