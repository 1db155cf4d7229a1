// Package postgrestest connects the conformance suite to a real PostgreSQL with
// a proxy before it, which loses answers. It is imported by tests only.
//
// Its oracle looks into the tables as another role, past the proxy. A package
// that uses it calls Main from TestMain, which stops the server.
package postgrestest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/postgres"
	"usher/internal/provider/providertest"
	cluster "usher/internal/store/postgres/postgrestest"
)

const password = "conformance-password"

// Main runs the tests of a binary and stops the server.
func Main(m *testing.M) int { return cluster.Main(m) }

// Harness returns what the suite needs to judge tables of people.
func Harness(t testing.TB) providertest.Harness {
	return providertest.Harness{
		Definition: postgres.Definition(),
		Workflow:   "postgres_export",
		Transport:  providertest.Database,
		Open:       func() (providertest.Network, error) { return Open(t, nil), nil },
		Person:     person,
		Skip: map[string]string{
			"one row is counted invalid without an index": "the database names the rows it does not take",
			"an answer that comes late":                   "a database answers at once",
			"a late answer that rejects one row":          "a database answers at once",
			"throttled for a time":                        "a database names no time to come back",
			"throttled without a time":                    "a database that is full is out of order, not throttling",
		},
	}
}

// EventHarness returns what the suite needs to judge tables of events.
func EventHarness(t testing.TB) providertest.EventHarness {
	return providertest.EventHarness{
		Definition: postgres.Definition(),
		Workflow:   "postgres_events_export",
		Settings:   map[string]string{"table": "events"},
		Transport:  providertest.Database,
		Open:       func() (providertest.EventNetwork, error) { return Open(t, nil), nil },
		Event:      event,
		ID:         "event_id",
		Skip: map[string]string{
			"one event is counted invalid without an index": "the database names the rows it does not take",
			"events keep their order":                       "rows of a table have no order; received_at has",
			"a zero is a value":                             "every value is a text, and 0 is one",
			"events throttled for a time":                   "a database names no time to come back",
			"events throttled without a time":               "a database that is full is out of order, not throttling",
			"an answer about events that comes late":        "a database answers at once",
			"a late answer that rejects one event":          "a database answers at once",
		},
	}
}

func person(i int) map[string]string {
	return map[string]string{
		"customer_id": fmt.Sprintf("customer-%05d", i),
		"email":       fmt.Sprintf("Person.%d@Example.com", i),
		"first_name":  fmt.Sprintf("Firstname%c \\N \t\"O'Lastname\"", 'a'+rune(i%26)),
		"tags":        `["vip","new"]`,
	}
}

func event(i int) map[string]string {
	return map[string]string{
		"event_id":    fmt.Sprintf("event-%05d", i),
		"event_time":  "2026-11-22T08:00:00+01:00",
		"received_at": "2026-11-22T07:00:01.5Z",
		"stream":      "conformance-stream",
		"profile":     strconv.Itoa(100_000 + i),
		"message":     fmt.Sprintf(`{"message_number":%d,"text":"\u0000 and \ud800"}`, 1_000_000+i),
		"email":       fmt.Sprintf("Person.%d@Example.com", i),
	}
}

// Network is a fresh schema of a real server, and a role that may make tables in
// it.
type Network struct {
	Schema, Role string
	proxy        *proxy

	mu    sync.Mutex
	admin *pgx.Conn
	bad   bool
}

// Open makes one. Close ends it. secure is the server's TLS; nil = it has none.
func Open(t testing.TB, secure *tls.Config) *Network {
	t.Helper()
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, cluster.New(t))
	if err != nil {
		t.Fatalf("reach the server: %v", err)
	}
	n := &Network{admin: admin, Schema: admin.Config().RuntimeParams["search_path"]}
	n.Role = "role_" + n.Schema
	n.do(`CREATE ROLE ` + n.Role + ` LOGIN PASSWORD '` + password + `'`)
	n.do(`GRANT USAGE, CREATE ON SCHEMA ` + n.Schema + ` TO ` + n.Role)
	_, socket := pgxAddress(admin.Config())
	if n.proxy, err = newProxy(socket, secure); err != nil {
		t.Fatalf("stand before the server: %v", err)
	}
	return n
}

func pgxAddress(c *pgx.ConnConfig) (network, address string) {
	return "unix", c.Host + "/.s.PGSQL." + strconv.Itoa(int(c.Port))
}

// Do runs a statement as the owner of the database.
func (n *Network) Do(statement string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.do(statement)
}

func (n *Network) do(statement string) {
	if _, err := n.admin.Exec(context.Background(), statement); err != nil {
		panic(fmt.Errorf("%s: %w", statement, err)) // the oracle's own statements
	}
}

// Ask returns the one value that a question has, as text; "" = no row or NULL.
func (n *Network) Ask(question string, args ...any) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out *string
	err := n.admin.QueryRow(context.Background(), question, args...).Scan(&out)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		panic(fmt.Errorf("%s: %w", question, err))
	}
	if out == nil {
		return ""
	}
	return *out
}

func (n *Network) count(question string, args ...any) int {
	c, err := strconv.Atoi(n.Ask(question, args...))
	if err != nil {
		panic(err)
	}
	return c
}

// Deps are those of the database.
func (n *Network) Deps() provider.Deps {
	host, port, err := net.SplitHostPort(n.proxy.listener.Addr().String())
	if err != nil {
		panic(err) // the listener made it
	}
	return provider.Deps{
		Auth: map[string]provider.Secret{
			"host": provider.Secret(host), "port": provider.Secret(port), "username": provider.Secret(n.Role), "password": password, "sslmode": "disable",
		},
		Account: n.admin.Config().Database,
		Config:  map[string]string{"schema": n.Schema, "id_column": "customer_id", "hash_columns": "email"},
	}
}

// Hosts is the proxy's address.
func (n *Network) Hosts() []string { return []string{n.proxy.listener.Addr().String()} }

// Fail arranges the fault: those of the connection at the proxy, the others in
// the database itself.
func (n *Network) Fail(f providertest.Fault) error {
	switch f.Kind {
	case providertest.NoAnswer, providertest.Cut, providertest.Broken, providertest.Page:
		n.proxy.arrange(f.Kind)
		return nil
	case providertest.BadToken:
		n.Do(`ALTER ROLE ` + n.Role + ` NOLOGIN`)
	case providertest.RefuseWhole:
		n.trigger(`RAISE EXCEPTION 'no such person as ann@example.com' USING ERRCODE = '23514'`)
	case providertest.BadRow:
		n.Do(`CREATE SEQUENCE IF NOT EXISTS ` + n.Schema + `.seen`)
		n.trigger(`IF pg_catalog.nextval('` + n.Schema + `.seen') = ` + strconv.Itoa(f.Row+1) + ` THEN RETURN NULL; END IF`)
	default:
		return fmt.Errorf("postgresql does not fail by %q", f.Kind)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bad = true
	return nil
}

// trigger runs body before each row that is inserted into any table.
func (n *Network) trigger(body string) {
	n.Do(`CREATE OR REPLACE FUNCTION ` + n.Schema + `.meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN ` + body + `; RETURN NEW; END $$`)
	for _, table := range n.tables() {
		n.Do(`CREATE OR REPLACE TRIGGER meddle BEFORE INSERT ON ` + table + ` FOR EACH ROW EXECUTE FUNCTION ` + n.Schema + `.meddle()`)
	}
}

// Heal ends all faults.
func (n *Network) Heal() {
	n.proxy.arrange("")
	n.mu.Lock()
	bad := n.bad
	n.bad = false
	n.mu.Unlock()
	if !bad {
		return
	}
	n.Do(`ALTER ROLE ` + n.Role + ` LOGIN`)
	n.Do(`DROP FUNCTION IF EXISTS ` + n.Schema + `.meddle() CASCADE`)
}

func (n *Network) tables() []string {
	list := n.Ask(`SELECT string_agg(format('%I.%I', schemaname, tablename), ',') FROM pg_tables WHERE schemaname = $1`, n.Schema)
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func (n *Network) table(id provider.RemoteID) string {
	name, _, _ := strings.Cut(string(id), "/")
	return pgx.Identifier{n.Schema, name}.Sanitize()
}

func (n *Network) hasColumn(id provider.RemoteID, column string) bool {
	name, _, _ := strings.Cut(string(id), "/")
	return n.Ask(`SELECT 'yes' FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 AND column_name = $3`, n.Schema, name, column) != ""
}

// present is the condition that a row is of somebody who is in.
func (n *Network) present(id provider.RemoteID) string {
	if n.hasColumn(id, "left_at") {
		return "left_at IS NULL"
	}
	return "TRUE"
}

// Holds looks for the value in its column.
func (n *Network) Holds(id provider.RemoteID, key matchkey.Key, value []byte) bool {
	if !n.hasColumn(id, key.Name) {
		return false
	}
	text := string(value)
	if key.Hash {
		text = fmt.Sprintf("%x", value)
	}
	if !utf8.ValidString(text) {
		return false // no database of UTF-8 can
	}
	return n.count(`SELECT count(*)::text FROM `+n.table(id)+` WHERE `+n.present(id)+` AND `+pgx.Identifier{key.Name}.Sanitize()+` = $1`, text) > 0
}

// Size counts the rows.
func (n *Network) Size(id provider.RemoteID) int {
	return n.count(`SELECT count(*)::text FROM ` + n.table(id) + ` WHERE ` + n.present(id))
}

// Put writes rows past the provider.
func (n *Network) Put(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	for row := range slices.Chunk(values, len(keys)) {
		var names, texts []string
		for i, k := range keys {
			if row[i] != nil {
				names, texts = append(names, pgx.Identifier{k.Name}.Sanitize()), append(texts, literal(k, row[i]))
			}
		}
		n.Do(`INSERT INTO ` + n.table(id) + ` (` + strings.Join(names, ", ") + `) VALUES (` + strings.Join(texts, ", ") + `)`)
	}
}

// Drop deletes rows past the provider.
func (n *Network) Drop(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	for row := range slices.Chunk(values, len(keys)) {
		for i, k := range keys {
			if k.Identifies {
				n.Do(`DELETE FROM ` + n.table(id) + ` WHERE ` + pgx.Identifier{k.Name}.Sanitize() + ` = ` + literal(k, row[i]))
			}
		}
	}
}

func literal(k matchkey.Key, value []byte) string {
	text := string(value)
	if k.Hash {
		text = fmt.Sprintf("%x", value)
	}
	return `'` + strings.ReplaceAll(text, `'`, `''`) + `'`
}

// Audiences counts the tables.
func (n *Network) Audiences() int { return len(n.tables()) }

// Delete drops the table.
func (n *Network) Delete(id provider.RemoteID) { n.Do(`DROP TABLE ` + n.table(id)) }

// Got counts the rows of one event.
func (n *Network) Got(id string) int {
	got := 0
	for _, table := range n.tables() {
		got += n.count(`SELECT count(*)::text FROM `+table+` WHERE event_id = $1`, id)
	}
	return got
}

// Count counts the rows of all events.
func (n *Network) Count() int {
	got := 0
	for _, table := range n.tables() {
		got += n.count(`SELECT count(*)::text FROM ` + table)
	}
	return got
}

// Writes counts the transactions that were committed.
func (n *Network) Writes() int { return int(n.proxy.commits.Load()) }

// Calls counts the sessions.
func (n *Network) Calls() int { return int(n.proxy.sessions.Load()) }

// Close ends proxy, tables and role.
func (n *Network) Close() {
	n.proxy.close()
	n.Do(`DROP SCHEMA ` + n.Schema + ` CASCADE`)
	n.Do(`DROP ROLE ` + n.Role)
	if err := n.admin.Close(context.Background()); err != nil {
		panic(err)
	}
}

// Cut ends all connections that are open now, without a word.
func (n *Network) Cut() { n.proxy.cut() }
