package mysql_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/mysql"
	"usher/internal/provider/mysql/mysqltest"
	"usher/internal/provider/sourcetest"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }

func TestConformance(t *testing.T) {
	mysqltest.New(t).Close() // the server runs, whose own connections are no leak of a case
	sourcetest.Run(t, mysqltest.Harness(t))
}

type reads struct {
	*mysqltest.Network
	t    *testing.T
	deps provider.Deps
}

func newReads(t *testing.T) *reads {
	t.Helper()
	n := mysqltest.New(t)
	d := n.Deps()
	d.Dial = outbound.Dialer(outbound.Config{AllowedHosts: n.Hosts()})
	return &reads{n, t, d}
}

// source makes one with these settings: name, value, name, value…
func (r *reads) source(settings ...string) provider.Source {
	r.t.Helper()
	d := r.deps
	d.Config = maps.Clone(d.Config)
	for i := 0; i < len(settings); i += 2 {
		d.Config[settings[i]] = strings.ReplaceAll(settings[i+1], "%s", r.Name)
	}
	s, err := mysql.Definition().NewSource(d)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close() })
	return s
}

func wantCode(t *testing.T, err error, code, field string) {
	t.Helper()
	var e *activation.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || e.MayHaveApplied {
		t.Errorf("got %v, want %s of field %q", err, code, field)
	}
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
	r.Do("CREATE TABLE %s.things (a bigint, b decimal(40,4), c double, d boolean, e timestamp(3) NULL, f datetime(6), g date, h varbinary(10), i json, j bigint unsigned, k text, l bit(9), m float, n time, o enum('x','y'), p year, q blob, r datetime)")
	r.Do("SET SESSION time_zone = '+02:00', SESSION sql_mode = ''")
	// One connection of the oracle's pool has that zone now; the value is given in UTC all the same.
	r.Do(`INSERT INTO %s.things VALUES (-9007199254740993, '12345678901234567890.1200', 0.1, true, FROM_UNIXTIME(1795334400.25), '2026-11-22 07:00:00.5', '2026-11-22', x'00ff', '{"x": [1]}', 18446744073709551615, 'l\t"ä"\n\\', b'100000001', 1.1, '-12:30:00', 'y', 2026, x'61', '0000-00-00 00:00:00'), (NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)`)
	lines, _, _ := piece(t, r.source("table", "%s.things"), nil)
	want := `{"a":-9007199254740993,"b":12345678901234567890.1200,"c":0.1,"d":1,"e":"2026-11-22T08:00:00.250Z","f":"2026-11-22T07:00:00.500000Z","g":"2026-11-22","h":"AP8=","i":"{\"x\": [1]}","j":18446744073709551615,"k":"l\u0009\"ä\"\n\\","l":257,"m":1.1,"n":"-12:30:00","o":"y","p":2026,"q":"YQ=="}`
	if len(lines) != 2 || lines[0] != want || lines[1] != "{}" || !json.Valid([]byte(want)) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), want)
	}
}

func TestWithoutACursorEverythingEachPass(t *testing.T) {
	r := newReads(t)
	r.Do("CREATE TABLE %s.t AS SELECT seq AS i FROM seq_1_to_1234")
	for range 2 {
		s := r.source("query", "SELECT i FROM %s.t ORDER BY i; # all")
		p, ok, err := s.Next(t.Context(), nil)
		if err != nil || !ok || !p.Whole || p.Name != "query" {
			t.Fatalf("%+v %v %v", p, ok, err)
		}
		lines, after, _ := piece(t, s, nil)
		if len(lines) != 1234 {
			t.Errorf("%d rows", len(lines))
		}
		if _, ok, err := s.Next(t.Context(), after); ok || err != nil {
			t.Errorf("a pass has one piece: %v, %v", ok, err)
		}
	}
}

// TestACursorLosesNothingAndRepeatsNothing plays random inserts, many under one
// value of the cursor, against a set of all rows.
func TestACursorLosesNothingAndRepeatsNothing(t *testing.T) {
	for _, kind := range []string{"timestamp(1)", "datetime", "date", "bigint", "bigint unsigned", "decimal(10,3)", "double"} {
		t.Run(kind, func(t *testing.T) {
			r := newReads(t)
			r.Do("CREATE TABLE %s.t (n int, v " + kind + " NULL, INDEX (v))")
			seed := mathrand.Uint64()
			t.Logf("seed %d", seed)
			random := mathrand.New(mathrand.NewPCG(seed, 0))
			got, written, tick := map[string]int{}, 0, 0
			var state []byte
			for range 12 {
				tick += random.IntN(2) // some steps stay at the value of the last one
				for range random.IntN(4) {
					written++
					value := map[string]string{
						"timestamp(1)": fmt.Sprintf("'2026-11-22 08:00:%02d.5'", tick), "datetime": fmt.Sprintf("'2026-11-22 08:00:%02d'", tick), "date": fmt.Sprintf("'2026-11-%02d'", tick+1),
						"bigint": fmt.Sprint(int64(9007199254740992) + int64(tick)), "bigint unsigned": fmt.Sprint(uint64(18446744073709551000) + uint64(tick)),
						"decimal(10,3)": fmt.Sprintf("%d.5", tick), "double": fmt.Sprintf("%d.1e0", tick),
					}[kind]
					r.Do(fmt.Sprintf("INSERT INTO %s.t VALUES (%d, %s)", r.Name, written, value))
				}
				r.Do("INSERT INTO %s.t VALUES (-1, NULL)")
				s := r.source("table", "t", "cursor_column", "v")
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

// TestPiecesEnd: pieces hold 100,000 rows, and the state of each is where the next
// one begins.
func TestPiecesEnd(t *testing.T) {
	r := newReads(t)
	r.Do("CREATE TABLE %s.t AS SELECT seq AS id, seq DIV 70000 AS v FROM seq_1_to_110000")
	for _, key := range []string{"", "id"} {
		seen := map[string]bool{}
		var sizes []int
		var state []byte
		s := r.source("table", "t", "cursor_column", "v", "key_column", key)
		for {
			lines, after, ok := piece(t, s, state)
			if !ok {
				break
			}
			state = after
			sizes = append(sizes, len(lines))
			for _, l := range lines {
				seen[l] = true
			}
		}
		if fmt.Sprint(sizes) != "[100000 10000]" || len(seen) != 110000 {
			t.Errorf("key %q: pieces of %v, %d rows", key, sizes, len(seen))
		}
	}
}

func TestWhatAQueryMayNot(t *testing.T) {
	r := newReads(t)
	r.Do("CREATE TABLE %s.t (id int, v varchar(10), f float)")
	r.Do("CREATE FUNCTION %s.writes() RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO t VALUES (1, 'x', 1); RETURN 1; END")
	r.Do("GRANT FILE ON *.* TO " + r.User + "@localhost")
	for _, c := range []struct{ code, field, part, query, cursor string }{
		{"QUERY-STATEMENT", "query", "near line 2", "SELECT 1 AS a\n  FORM t WHERE", ""},
		{"QUERY-STATEMENT", "query", "no such table", "SELECT * FROM none", ""},
		{"QUERY-STATEMENT", "query", "1054", "SELECT none FROM t", ""},
		{"QUERY-STATEMENT", "query", "", "SELECT 1 AS a INTO OUTFILE '/tmp/usher-outfile'", ""},
		{"QUERY-STATEMENT", "query", "two columns", "SELECT 1 AS a, 2 AS a", ""},
		{"MYSQL-PERMISSION", "", "", "SELECT * FROM mysql.global_priv", ""},
		{"QUERY-CURSOR", "cursor_column", "it has id, v, f", "SELECT * FROM t", "updated_at"},
		{"QUERY-CURSOR", "cursor_column", "VARCHAR", "SELECT * FROM t", "v"},
		{"QUERY-CURSOR", "cursor_column", "FLOAT", "SELECT * FROM t", "f"},
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
	p, _, err := r.source("query", "SELECT writes() AS a").Next(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Open(t.Context())
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		_ = body.Close()
	}
	wantCode(t, err, "QUERY-STATEMENT", "query")
	if n := r.Ask("SELECT count(*) FROM %s.t"); n != "0" {
		t.Errorf("%s rows were written", n)
	}
	if _, err := os.Stat("/tmp/usher-outfile"); err == nil {
		t.Error("a query wrote a file")
	}
}

func TestASlowQueryAndALostServer(t *testing.T) {
	r := newReads(t)
	p, _, _ := r.source("query", "SELECT seq, sleep(3) AS p FROM seq_1_to_3", "statement_timeout", "1s").Next(t.Context(), nil)
	body, err := p.Open(t.Context())
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		_ = body.Close()
	}
	var e *activation.Error
	if !errors.As(err, &e) || e.Code != "QUERY-TIMEOUT" || e.Kind != activation.Unavailable {
		t.Errorf("a slow query: %v", err)
	}
	s := r.source("query", "SELECT seq, repeat('x', 200) AS p FROM seq_1_to_99999", "cursor_column", "seq")
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
	r.Cut()
	_, err = io.Copy(io.Discard, body)
	if !errors.As(err, &e) || e.Code != "MYSQL-LOST" || e.Kind != activation.Unavailable {
		t.Errorf("cut: %v", err)
	}
	if _, again := io.Copy(io.Discard, body); again == nil {
		t.Error("a reading that broke goes on")
	}
	if _, err := p.After(); err == nil {
		t.Error("there is a state behind rows that were not read")
	}
	_ = body.Close()
	if lines, _, _ := piece(t, s, nil); len(lines) != 99999 {
		t.Errorf("%d rows after it came back", len(lines))
	}
}

// TestACancelledReadingEnds: a query that runs is left at once; nobody waits for it.
func TestACancelledReadingEnds(t *testing.T) {
	r := newReads(t)
	p, _, _ := r.source("query", "SELECT seq, sleep(60) AS p FROM seq_0_to_3").Next(t.Context(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for t.Context().Err() == nil && r.Ask("SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep' AND user = '"+r.User+"'") == "0" {
		}
	}()
	body, err := p.Open(ctx)
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		_ = body.Close()
	}
	if activation.KindOf(err) != activation.Unavailable || activation.CodeOf(err) != "MYSQL-LOST" {
		t.Errorf("got %v", err)
	}
}

func TestWhoIsRefused(t *testing.T) {
	page, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Close() }()
	go func() { // something in between, which greets with a page
		for {
			c, err := page.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n"+strings.Repeat("<html>bad gateway</html>", 1000))
			_ = c.Close()
		}
	}()
	host, port, err := net.SplitHostPort(page.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code, field string
		change            func(*provider.Deps)
	}{
		{"password", "MYSQL-AUTH", "", func(d *provider.Deps) { d.Auth["password"] = "another" }},
		{"database", "MYSQL-PERMISSION", "", func(d *provider.Deps) { d.Auth["database"] = "none" }},
		{"TLS", "MYSQL-TLS", "sslmode", func(d *provider.Deps) { d.Auth["sslmode"] = "require" }},
		{"address", "OUTBOUND-ADDRESS", "", func(d *provider.Deps) { d.Dial = outbound.Dialer(outbound.Config{}) }},
		{"a page", "MYSQL-ANSWER", "", func(d *provider.Deps) {
			d.Auth["host"], d.Auth["port"] = provider.Secret(host), provider.Secret(port)
			d.Dial = outbound.Dialer(outbound.Config{AllowedHosts: []string{page.Addr().String()}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReads(t)
			c.change(&r.deps)
			wantCode(t, r.source("table", "t").Check(t.Context()), c.code, c.field)
		})
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for field, change := range map[string]func(*provider.Deps){
		"port":             func(d *provider.Deps) { d.Auth["port"] = "70000" },
		"host":             func(d *provider.Deps) { d.Auth["host"] = "/var/run/mysqld.sock" },
		"username":         func(d *provider.Deps) { d.Auth["username"] = "" },
		"database":         func(d *provider.Deps) { d.Auth["database"] = "" },
		"sslmode":          func(d *provider.Deps) { d.Auth["sslmode"] = "sometimes" },
		"root_certificate": func(d *provider.Deps) { d.Auth["sslmode"], d.Auth["root_certificate"] = "verify-full", "none" },
	} {
		d := provider.Deps{
			Auth:   map[string]provider.Secret{"host": "db.example.com", "username": "usher", "database": "shop", "sslmode": "disable"},
			Config: map[string]string{"table": "t"}, Dial: (&net.Dialer{}).DialContext,
		}
		if _, err := mysql.Definition().NewSource(d); err != nil {
			t.Fatal(err)
		}
		change(&d)
		_, err := mysql.Definition().NewSource(d)
		wantCode(t, err, "MYSQL-SETTINGS", field)
	}
}
