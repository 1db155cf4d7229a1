package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/postgres"
	"usher/internal/provider/postgres/postgrestest"
)

// world is a network and a destination of it.
type world struct {
	*postgrestest.Network
	t    *testing.T
	dest provider.Destination
	keys []matchkey.Key
}

func newWorld(t *testing.T, workflow string, change func(*provider.Deps)) *world {
	t.Helper()
	return worldAt(t, postgrestest.Open(t, nil), workflow, change)
}

func worldAt(t *testing.T, n *postgrestest.Network, workflow string, change func(*provider.Deps)) *world {
	t.Helper()
	t.Cleanup(n.Close)
	w := &world{Network: n, t: t}
	d := n.Deps()
	d.Log, d.Now, d.Dial = slog.New(slog.DiscardHandler), time.Now, outbound.Dialer(outbound.Config{AllowedHosts: n.Hosts()})
	if change != nil {
		change(&d)
	}
	def := postgres.Definition().For(workflow)
	var err error
	if w.dest, err = def.NewDestination(d); err != nil {
		t.Fatal(err)
	}
	mapping := map[string]string{"customer_id": "id", "email": "email", "name": "name"}
	if wf, _ := def.Workflow(workflow); wf.Kind == provider.Event {
		w.keys = append(w.keys, wf.Events...)
	}
	w.keys = append(w.keys, def.Rules(d.Config, mapping).Keys...)
	return w
}

func (w *world) ensure(a provider.Audience) provider.RemoteID {
	w.t.Helper()
	id, err := w.dest.EnsureAudience(w.t.Context(), a)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// batch makes rows of texts, one per key, "-" for none.
func (w *world) batch(op activation.Op, a provider.Audience, rows ...[]string) provider.Batch {
	b := provider.Batch{Run: "r", Item: "i", Attempt: 1, Remote: a.Remote, Audience: a, Op: op, Keys: w.keys}
	for _, r := range rows {
		for _, v := range r {
			if v == "-" {
				b.Values = append(b.Values, nil)
				continue
			}
			b.Values = append(b.Values, []byte(v))
		}
	}
	return b
}

func (w *world) deliver(b provider.Batch) activation.Receipt {
	w.t.Helper()
	rc, err := w.dest.Deliver(w.t.Context(), b)
	if err != nil {
		w.t.Fatal(err)
	}
	return rc
}

func audience(config map[string]string) provider.Audience {
	return provider.Audience{Marker: "usher-7-1", Name: "VIP people", Slug: "vip-people", Config: config}
}

func wantCode(t *testing.T, err error, code, field string) {
	t.Helper()
	var e *activation.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || e.MayHaveApplied {
		t.Errorf("got %v, want %s of field %q", err, code, field)
	}
}

const hashed = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x00"

func TestRowsAreWhatWasSent(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	a := audience(nil)
	a.Remote = w.ensure(a)
	rc := w.deliver(w.batch(activation.OpAdd, a,
		[]string{"c1", hashed, "Ann \\. \t'quoted\"\n"},
		[]string{"c2", "-", "first"},
		[]string{"c2", "-", "second"},       // the later row of one id counts
		[]string{"-", "-", "nobody"},        // no id
		[]string{"c3", "-", "zero\x00byte"}, // no database holds it
		[]string{"c4", "-", "-"},
	))
	if rc.Accepted != 4 || rc.Rejected != 2 || rc.Exceptions[0].Ordinal != 3 || rc.Exceptions[1].Ordinal != 4 || rc.Exceptions[0].Code != "POSTGRES-ROW" {
		t.Errorf("receipt %+v", rc)
	}
	got := w.Ask(`SELECT string_agg(concat_ws('|', customer_id, coalesce(left(email, 4), '-'), coalesce(length(email)::text, '-'), coalesce(name, '-')), ';' ORDER BY customer_id) FROM ` + w.Schema + `.usher_vip_people`)
	if want := "c1|0102|64|Ann \\. \t'quoted\"\n;c2|-|-|second;c4|-|-|-"; got != want {
		t.Errorf("the table has %q, want %q", got, want)
	}
	if c := w.Ask(`SELECT obj_description(($1 || '.usher_vip_people')::regclass)`, w.Schema); !strings.Contains(c, "[usher:usher-7-1]") {
		t.Errorf("the comment is %q", c)
	}
}

func TestWhoLeavesIsMarkedAndEmptied(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	a := audience(map[string]string{"table": "Select", "leavers": "mark"})
	a.Remote = w.ensure(a)
	row := []string{"c1", "-", "Ann"}
	w.deliver(w.batch(activation.OpAdd, a, row, []string{"c2", "-", "Bob"}))
	w.Do(`ALTER TABLE ` + w.Schema + `."Select" ADD COLUMN note text DEFAULT 'theirs'`)
	w.Do(`UPDATE ` + w.Schema + `."Select" SET note = 'theirs'`)
	state := func() string {
		return w.Ask(`SELECT string_agg(concat_ws('|', customer_id, coalesce(name, '-'), note, (left_at IS NOT NULL)::text), ';' ORDER BY customer_id) FROM ` + w.Schema + `."Select"`)
	}
	remove := w.batch(activation.OpRemove, a, []string{"c1", "-", "-"})
	w.deliver(remove)
	first := w.Ask(`SELECT left_at::text FROM ` + w.Schema + `."Select" WHERE customer_id = 'c1'`)
	w.deliver(remove) // again changes nothing
	if again := w.Ask(`SELECT left_at::text FROM ` + w.Schema + `."Select" WHERE customer_id = 'c1'`); again != first {
		t.Errorf("left at %s, and after a repetition at %s", first, again)
	}
	if got, want := state(), "c1|-|theirs|true;c2|Bob|theirs|false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w.deliver(w.batch(activation.OpAdd, a, row))
	if got, want := state(), "c1|Ann|theirs|false;c2|Bob|theirs|false"; got != want {
		t.Errorf("back in: got %s, want %s", got, want)
	}
}

// TestRandomHistories plays random batches against a table and a map.
func TestRandomHistories(t *testing.T) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	r := mathrand.New(mathrand.NewPCG(seed, 0))
	w := newWorld(t, "postgres_export", nil)
	a := audience(nil)
	a.Remote = w.ensure(a)
	model := map[string]string{}
	for step := range 15 {
		op := activation.OpAdd
		if r.IntN(3) == 0 {
			op = activation.OpRemove
		}
		var rows [][]string
		for range 1 + r.IntN(8) {
			id, name := fmt.Sprintf("c%d", r.IntN(12)), fmt.Sprintf("n%d", r.IntN(1000))
			rows = append(rows, []string{id, "-", name})
			if model[id] = name; op == activation.OpRemove {
				delete(model, id)
			}
		}
		if rc := w.deliver(w.batch(op, a, rows...)); rc.Accepted != int64(len(rows)) {
			t.Fatalf("step %d: %+v", step, rc)
		}
		if n := w.Size(a.Remote); n != len(model) {
			t.Fatalf("step %d: %d rows, want %d", step, n, len(model))
		}
	}
	for id, name := range model {
		if got := w.Ask(`SELECT name FROM `+w.Schema+`.usher_vip_people WHERE customer_id = $1`, id); got != name {
			t.Errorf("%s is %q, want %q", id, got, name)
		}
	}
}

func TestATableOfSomebodyElseIsRefused(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	w.Do(`CREATE TABLE ` + w.Schema + `.crm (secret text)`)
	_, err := w.dest.EnsureAudience(t.Context(), audience(map[string]string{"table": "crm"}))
	wantCode(t, err, "POSTGRES-TABLE", "table")
	// A name that nobody chose gives way.
	w.Do(`CREATE TABLE ` + w.Schema + `.usher_vip_people (secret text)`)
	id := w.ensure(audience(nil))
	if !strings.HasPrefix(string(id), "usher_vip_people_") || w.ensure(audience(nil)) != id {
		t.Errorf("the table is %s", id)
	}
	// Another table in the settings is another audience.
	a := audience(map[string]string{"table": "other"})
	a.Remote = id
	_, err = w.dest.EnsureAudience(t.Context(), a)
	wantCode(t, err, "POSTGRES-GONE", "")
	// So is a table whose mark was taken away while people go in.
	a = audience(nil)
	a.Remote = id
	w.Do(`COMMENT ON TABLE ` + w.Schema + `.` + strings.Split(string(id), "/")[0] + ` IS 'ours now'`)
	_, err = w.dest.Deliver(t.Context(), w.batch(activation.OpAdd, a, []string{"c1", "-", "Ann"}))
	wantCode(t, err, "POSTGRES-GONE", "")
}

func TestATableThatWasChangedIsRefused(t *testing.T) {
	for name, change := range map[string]string{
		"another type":        `ALTER TABLE %s.usher_vip_people ALTER COLUMN name TYPE varchar(5)`,
		"another primary key": `ALTER TABLE %s.usher_vip_people DROP CONSTRAINT usher_vip_people_pkey, ADD PRIMARY KEY (name)`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "postgres_export", nil)
			a := audience(nil)
			a.Remote = w.ensure(a)
			w.deliver(w.batch(activation.OpAdd, a, []string{"c1", "-", "Ann"}))
			w.Do(fmt.Sprintf(change, w.Schema))
			_, err := w.dest.Deliver(t.Context(), w.batch(activation.OpAdd, a, []string{"c2", "-", "Bob"}))
			wantCode(t, err, "POSTGRES-TABLE", "table")
		})
	}
}

func TestColumnsComeBack(t *testing.T) {
	w := newWorld(t, "postgres_export", func(d *provider.Deps) { delete(d.Config, "id_column") })
	a := audience(nil)
	a.Remote = w.ensure(a)
	w.deliver(w.batch(activation.OpAdd, a, []string{"c1", "-", "Ann"}))
	w.Do(`ALTER TABLE ` + w.Schema + `.usher_vip_people DROP COLUMN name`)
	w.deliver(w.batch(activation.OpAdd, a, []string{"c2", "-", "Bob"}))
	if got := w.Ask(`SELECT string_agg(coalesce(name, '-'), ',' ORDER BY customer_id) FROM ` + w.Schema + `.usher_vip_people`); got != "-,Bob" {
		t.Errorf("names %s", got)
	}
}

func TestColumnsThatCannotBe(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	a := audience(nil)
	a.Remote = w.ensure(a)
	for _, name := range []string{"", "1st", `a"; DROP TABLE x; --`, "a b", "ctid", "left_at", "synced_at", strings.Repeat("x", 64), "naïve"} {
		b := w.batch(activation.OpAdd, a, []string{"c1", "-", "Ann"})
		b.Keys[2].Name = name
		_, err := w.dest.Deliver(t.Context(), b)
		wantCode(t, err, "POSTGRES-SETTINGS", "mapping")
	}
}

func TestWhatTheServerRefuses(t *testing.T) {
	cases := []struct {
		name, code, field string
		before            func(*postgrestest.Network)
		change            func(*provider.Deps)
	}{
		{"no such role", "POSTGRES-AUTH", "", nil, func(d *provider.Deps) { d.Auth["username"] = "nobody_at_all" }},
		{"no such database", "POSTGRES-DATABASE", "account", nil, func(d *provider.Deps) { d.Account = "none" }},
		{"no such schema", "POSTGRES-SCHEMA", "schema", nil, func(d *provider.Deps) { d.Config["schema"] = "none" }},
		{"may not make tables", "POSTGRES-PERMISSION", "schema", func(n *postgrestest.Network) { n.Do(`REVOKE CREATE ON SCHEMA ` + n.Schema + ` FROM ` + n.Role) }, nil},
		{"no TLS", "POSTGRES-TLS", "sslmode", nil, func(d *provider.Deps) { d.Auth["sslmode"] = "require" }},
		{"no way out", "OUTBOUND-ADDRESS", "", nil, func(d *provider.Deps) { d.Dial = outbound.Dialer(outbound.Config{}) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			n := postgrestest.Open(t, nil)
			if c.before != nil {
				c.before(n)
			}
			w := worldAt(t, n, "postgres_export", c.change)
			wantCode(t, w.dest.Check(t.Context()), c.code, c.field)
			_, err := w.dest.EnsureAudience(t.Context(), audience(nil))
			wantCode(t, err, c.code, c.field)
		})
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for field, change := range map[string]func(*provider.Deps){
		"port":             func(d *provider.Deps) { d.Auth["port"] = "70000" },
		"host":             func(d *provider.Deps) { d.Auth["host"] = "/var/run" },
		"username":         func(d *provider.Deps) { d.Auth["username"] = "" },
		"account":          func(d *provider.Deps) { d.Account = "" },
		"sslmode":          func(d *provider.Deps) { d.Auth["sslmode"] = "prefer" },
		"root_certificate": func(d *provider.Deps) { d.Auth["sslmode"], d.Auth["root_certificate"] = "require", "x" },
		"schema":           func(d *provider.Deps) { d.Config["schema"] = `a"b` },
		"id_column":        func(d *provider.Deps) { d.Config["id_column"] = `a b` },
		"timeout":          func(d *provider.Deps) { d.Config["timeout"] = "1h" },
	} {
		d := provider.Deps{
			Auth: map[string]provider.Secret{"host": "db.example.com", "username": "usher", "sslmode": "disable"}, Account: "analytics",
			Config: map[string]string{}, Dial: (&net.Dialer{}).DialContext,
		}
		if _, err := postgres.Definition().NewDestination(d); err != nil {
			t.Fatal(err)
		}
		change(&d)
		_, err := postgres.Definition().NewDestination(d)
		wantCode(t, err, "POSTGRES-SETTINGS", field)
	}
}

// TestTheEnvironmentStaysOut: what the process's environment says of PostgreSQL
// changes nothing.
func TestTheEnvironmentStaysOut(t *testing.T) {
	n := postgrestest.Open(t, nil)
	for name, value := range map[string]string{
		"PGHOST": "other.example.com", "PGPORT": "1", "PGUSER": "other", "PGPASSWORD": "other", "PGDATABASE": "other", "PGOPTIONS": "-c search_path=other",
		"PGSSLMODE": "require", "PGTARGETSESSIONATTRS": "standby", "PGAPPNAME": "other", "PGREQUIREAUTH": "md5",
	} {
		t.Setenv(name, value)
	}
	w := worldAt(t, n, "postgres_export", nil)
	if err := w.dest.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTLS(t *testing.T) {
	mine, root := certificate(t, "127.0.0.1")
	_, other := certificate(t, "127.0.0.1")
	elsewhere, elsewhereRoot := certificate(t, "10.0.0.1")
	for _, c := range []struct {
		name, mode, root string
		server           tls.Certificate
		code             string
	}{
		{"whole", "verify-full", root, mine, ""},
		{"another root", "verify-full", other, mine, "POSTGRES-TLS"},
		{"another name", "verify-full", elsewhereRoot, elsewhere, "POSTGRES-TLS"},
		{"the root only", "verify-ca", elsewhereRoot, elsewhere, ""},
		{"the root only, another one", "verify-ca", other, mine, "POSTGRES-TLS"},
		{"anybody", "require", "", elsewhere, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := postgrestest.Open(t, &tls.Config{Certificates: []tls.Certificate{c.server}, MinVersion: tls.VersionTLS12})
			w := worldAt(t, n, "postgres_export", func(d *provider.Deps) {
				d.Auth["sslmode"], d.Auth["root_certificate"] = provider.Secret(c.mode), provider.Secret(c.root)
			})
			err := w.dest.Check(t.Context())
			if c.code == "" && err != nil {
				t.Fatal(err)
			}
			if c.code != "" {
				wantCode(t, err, c.code, "sslmode")
			}
		})
	}
}

// certificate makes a root and a certificate of this address signed by it.
func certificate(t *testing.T, address string) (tls.Certificate, string) {
	t.Helper()
	make := func(c, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			by = key
		}
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		return key, der
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootKey, rootDER := make(root, root, nil)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.ParseIP(address)}}
	key, der := make(leaf, root, rootKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}))
}

func TestEventsKeepTheirTypes(t *testing.T) {
	w := newWorld(t, "postgres_events_export", nil)
	a := provider.Audience{Marker: "usher-9-1", Name: "Shop", Config: map[string]string{"table": "shop_events"}}
	w.ensure(a)
	b := w.batch(activation.OpAdd, a,
		[]string{"e1", "2026-11-22T08:00:00Z", "2026-11-22T08:00:01Z", "shop", "12", `{"total":12.50,"text":"ä"}`, "c1", "-", "Ann"},
		[]string{"e2", "-", "-", "shop", "-", "-", "-", "-", "-"},
	)
	for range 2 { // a repetition changes nothing
		if rc := w.deliver(b); rc.Accepted != 2 {
			t.Fatalf("receipt %+v", rc)
		}
	}
	got := w.Ask(`SELECT string_agg(concat_ws('|', event_id, event_time AT TIME ZONE 'UTC', message->>'text', message->'total', customer_id, name), ';' ORDER BY event_id) FROM ` + w.Schema + `.shop_events`)
	if want := "e1|2026-11-22 08:00:00|ä|12.50|c1|Ann;e2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// What jsonb cannot hold refuses the batch, so that delivery finds the row.
	_, err := w.dest.Deliver(t.Context(), w.batch(activation.OpAdd, a, []string{"e3", "-", "-", "shop", "-", `{"n":1e999999}`, "-", "-", "-"}))
	if activation.KindOf(err) != activation.RefusedWhole || activation.CodeOf(err) != "POSTGRES-DATA" {
		t.Errorf("got %v", err)
	}
	a.Config = nil
	_, err = w.dest.EnsureAudience(t.Context(), a)
	wantCode(t, err, "POSTGRES-SETTINGS", "table")
}

// TestALockIsWaitedForOnlySoLong: a table that somebody holds makes the batch
// unsent, not unknown.
func TestALockIsWaitedForOnlySoLong(t *testing.T) {
	w := newWorld(t, "postgres_export", func(d *provider.Deps) { d.Config["timeout"] = "1s" })
	a := audience(nil)
	a.Remote = w.ensure(a)
	w.deliver(w.batch(activation.OpAdd, a, []string{"c1", "-", "Ann"}))
	w.Do(`BEGIN`)
	w.Do(`LOCK TABLE ` + w.Schema + `.usher_vip_people`)
	_, err := w.dest.Deliver(context.Background(), w.batch(activation.OpAdd, a, []string{"c2", "-", "Bob"}))
	w.Do(`COMMIT`)
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Unavailable || e.MayHaveApplied {
		t.Errorf("got %v", err)
	}
	if n := w.Size(a.Remote); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func BenchmarkDeliver(b *testing.B) {
	n := postgrestest.Open(b, nil)
	defer n.Close()
	d := n.Deps()
	d.Dial = outbound.Dialer(outbound.Config{AllowedHosts: n.Hosts()})
	def := postgres.Definition()
	dest, err := def.NewDestination(d)
	if err != nil {
		b.Fatal(err)
	}
	a := audience(nil)
	if a.Remote, err = dest.EnsureAudience(b.Context(), a); err != nil {
		b.Fatal(err)
	}
	keys := def.Rules(d.Config, map[string]string{"customer_id": "id", "email": "email", "name": "name"}).Keys
	var first int
	for b.Loop() {
		batch := provider.Batch{Remote: a.Remote, Audience: a, Op: activation.OpAdd, Keys: keys}
		for i := range def.MaxRows {
			batch.Values = append(batch.Values, fmt.Appendf(nil, "c%08d", first+i), []byte(hashed), []byte("Somebody"))
		}
		first += def.MaxRows
		if _, err := dest.Deliver(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(first)/b.Elapsed().Seconds(), "rows/s")
}
