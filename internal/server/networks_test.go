package server_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/server"
	"usher/internal/server/servertest"
	"usher/internal/store/postgres/postgrestest"
	"usher/sandbox/google"
	"usher/sandbox/linkedin"
	"usher/sandbox/meta"
	"usher/sandbox/s3"
	"usher/sandbox/sftp"
	"usher/sandbox/tradedesk"
	"usher/sandbox/webhook"
)

// A voyage is one workflow from its credentials to what its far side holds.
type voyage struct {
	name, workflow string
	// provider and network: whose credentials, "" = the same as workflow's first
	// word; own are credentials beside the sandbox's.
	provider, network string
	own               map[string]string
	account           string
	mapping           map[string]string
	destination, job  map[string]any
	stream            bool // else the audience high
	// held is who, or which events, the far side holds: ids of people (1, 2, 3) or
	// order numbers.
	held func(v *voyages) []string
	id   string // of the job
	// want are what is held at first, and after the change; nil = the people who
	// should be in, or the orders that came.
	first, then []string
}

// voyages is a server with everything that the voyages are made in.
type voyages struct {
	*servertest.Server
	t        *testing.T
	database string
}

// peopleHead begins their files.
const peopleHead = "id,email,phone,public,uid2,score\n"

func row(id, score int) string {
	return fmt.Sprintf("%d,%s,+1415555267%d,site-%d,%s,%d\n", id, emailOf(id), id, id, uidOf(id), score)
}

func emailOf(id int) string { return fmt.Sprintf("p%d@example.com", id) }
func uidOf(id int) string   { return hashOf(fmt.Sprint("uid2-", id))[:43] + "=" }

// idsBy are the ids of the people whom has holds.
func idsBy(has func(id int) bool) []string {
	out := []string{}
	for id := 1; id <= 4; id++ {
		if has(id) {
			out = append(out, fmt.Sprint(id))
		}
	}
	return out
}

// TestNetworks sends the same people and the same orders to every network there
// is, through a whole server, changes both, and compares each time with what the
// far sides really hold.
func TestNetworks(t *testing.T) {
	if server.RaceEnabled {
		t.Skip("it is run without the race detector by make test, to be done in time; the parts are tried with it one by one")
	}
	dsn := postgrestest.New(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	port := forward(t, filepath.Join(config.Host, fmt.Sprintf(".s.PGSQL.%d", config.Port)))
	config.Host, config.Port = "127.0.0.1", port
	v := &voyages{Server: servertest.Start(t, fmt.Sprintf("127.0.0.1:%d", port)), t: t, database: dsn}
	v.declare()
	all := v.all(config)
	for i := range all {
		v.embark(&all[i])
	}
	for i := range all {
		v.arrives(&all[i], cmp.Or(strings.Join(all[i].first, " "), pick(all[i].stream, "o1 o2", "1 2")))
	}
	v.Load("people", peopleHead+row(2, 10)+row(3, 90))
	v.Load("orders", "order,customer,total\no3,3,30.5\no2,2,20\n")
	for _, g := range all { // sooner than a minute after the run before
		_, err := v.Client(activation.RoleAdmin).Do(t.Context(), http.MethodPost, "/v2/job/"+g.id+"/run", nil, nil)
		var refused *client.Error
		if err != nil && !(errors.As(err, &refused) && refused.Status == http.StatusConflict) {
			t.Fatal(err)
		}
	}
	for i := range all {
		v.arrives(&all[i], cmp.Or(strings.Join(all[i].then, " "), pick(all[i].stream, "o1 o2 o3", "1 3")))
	}
}

// forward lets a server that listens on a socket file be reached by a port.
func forward(t *testing.T, socket string) uint16 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); open.Wait() })
	open.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", socket)
			if err != nil {
				_ = near.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				open.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
	return ln.Addr().(*net.TCPAddr).AddrPort().Port()
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// declare declares the data and loads people 1 and 2 with high scores.
func (v *voyages) declare() {
	v.Must(http.MethodPut, "/v2/stream/people", map[string]any{}, nil)
	v.Must(http.MethodPut, "/v2/stream/orders", map[string]any{"message_id_fields": []string{"order"}}, nil)
	for name, more := range map[string]map[string]any{
		"customer": {"identifier_rank": 1}, "email": {"pii": true}, "phone": {"pii": true}, "public_id": {"public": true}, "uid2": {"pii": true}, "score": {"type": "integer"},
	} {
		field := map[string]any{"name": name, "type": "text", "merge": "latest", "pii": false, "public": false}
		maps.Copy(field, more)
		v.Must(http.MethodPost, "/v2/field", field, nil)
	}
	v.Must(http.MethodPut, "/v2/mapping/people", map[string]string{"customer": "id", "email": "email", "phone": "phone", "public_id": "public", "uid2": "uid2", "score": "score"}, nil)
	v.Must(http.MethodPut, "/v2/mapping/orders", map[string]string{"customer": "customer"}, nil)
	v.Must(http.MethodPost, "/v2/segment", map[string]any{"slug_name": "high", "name": "High scores", "segment_ql": "FILTER score > 50", "is_public": true}, nil)
	v.Load("people", peopleHead+row(1, 90)+row(2, 90)+row(3, 10)+row(4, 10))
	v.Load("orders", "order,customer,total\no1,1,10\no2,2,20\n")
}

// embark makes credentials, destination and job of a voyage.
func (v *voyages) embark(g *voyage) {
	var auth, dest, job struct {
		ID string `json:"id"`
	}
	g.provider = cmp.Or(g.provider, strings.SplitN(g.workflow, "_", 2)[0])
	config := map[string]string{}
	if g.network != "-" {
		maps.Copy(config, v.Credentials(cmp.Or(g.network, g.provider)))
	}
	maps.Copy(config, g.own)
	if len(config) > 0 {
		v.Must(http.MethodPost, "/v2/auth/"+g.provider, map[string]any{"label": g.name, "config": config}, &auth)
	}
	v.Must(http.MethodPost, "/v2/destination", map[string]any{
		"name": g.name, "provider": g.provider, "auth_id": auth.ID, "account": g.account, "mapping": g.mapping, "config": pick(g.destination == nil, map[string]any{}, g.destination),
	}, &dest)
	body := map[string]any{"name": g.name, "destination_id": dest.ID, "config": pick(g.job == nil, map[string]any{}, g.job)}
	if g.stream {
		body["stream"] = "orders"
	} else {
		body["segment_ids"] = []string{"high"}
	}
	v.Must(http.MethodPost, "/v2/destination/"+dest.ID+"/test", nil, nil)
	v.Must(http.MethodPost, "/v2/job/"+g.workflow, body, &job)
	g.id = job.ID
}

// arrives waits until the far side of a voyage holds what it should.
func (v *voyages) arrives(g *voyage, want string) {
	v.t.Helper()
	got := ""
	defer func() {
		if got != want {
			v.explain(g)
			v.t.Errorf("%s: the far side holds %q, want %q", g.name, got, want)
		}
	}()
	v.Eventually(g.name, func() bool {
		held := g.held(v)
		slices.Sort(held)
		got = strings.Join(held, " ")
		return got == want
	})
}

// explain logs the runs of a voyage.
func (v *voyages) explain(g *voyage) {
	var runs []struct {
		activation.Run
		DestinationName string `json:"destination_name"`
	}
	v.Must(http.MethodGet, "/v2/run?limit=200", nil, &runs)
	for _, r := range runs {
		if r.DestinationName == g.name {
			v.t.Logf("%s: run #%d %s in %q: %s %s; %+v", g.name, r.Number, r.Status, r.Stage, r.ErrorCode, r.ErrorText, r.Counts)
		}
	}
}

// all are the voyages.
func (v *voyages) all(db *pgx.ConnConfig) []voyage {
	database := map[string]string{"host": db.Host, "port": fmt.Sprint(db.Port), "username": db.User, "password": db.Password, "sslmode": "disable"}
	schema := map[string]any{"schema": db.RuntimeParams["search_path"]}
	columns := map[string]string{"customer": "customer", "email": "email", "score": "score"}
	id := map[string]any{"id_column": "customer"}
	files := map[string]any{"id_column": "customer", "folder": sftp.DefaultFolder}
	return []voyage{
		{name: "Meta audience", workflow: "meta_custom_audience", account: "1", mapping: map[string]string{"EXTERN_ID": "customer", "EMAIL": "email"}, held: func(v *voyages) []string {
			return idsBy(func(id int) bool {
				for _, a := range v.Sandbox.Meta().Audiences() {
					members, _ := v.Sandbox.Meta().Members(a.ID)
					for _, m := range members {
						if m.ExternID == fmt.Sprint(id) {
							return true
						}
					}
				}
				return false
			})
		}},
		{name: "Meta conversions", workflow: "meta_offline_conversion", account: "1", mapping: map[string]string{"EMAIL": "email"}, job: map[string]any{"dataset_id": meta.DefaultDataset, "event_id": "order", "value": "total", "currency": `"EUR"`}, stream: true, held: func(v *voyages) []string {
			all, _ := v.Sandbox.Meta().Conversions(meta.DefaultDataset)
			return each(all, func(c meta.Conversion) string { return c.ID })
		}},
		{name: "Google list", workflow: "google_customer_match", account: "123-456-7890", mapping: map[string]string{"email_address": "email", "phone_number": "phone"}, destination: map[string]any{"first_status_check": "1s"}, job: map[string]any{"customer_match_terms": true}, held: func(v *voyages) []string {
			n := network[*google.Network](v, "google")
			n.Finish()
			return idsBy(func(id int) bool {
				return slices.ContainsFunc(n.Lists(), func(l google.List) bool { return n.Holds(l.ID, "emailAddress", hashOf(emailOf(id))) })
			})
		}},
		{name: "Google conversions", workflow: "google_offline_conversion", account: "1234567890", mapping: map[string]string{"email_address": "email"}, destination: map[string]any{"first_status_check": "1s"}, job: map[string]any{"conversion_action": "4455", "transaction_id": "order", "conversion_value": "total", "currency": `"EUR"`}, stream: true, held: func(v *voyages) []string {
			n := network[*google.Network](v, "google")
			n.Finish()
			return each(n.Events(), func(e google.Event) string { return e.TransactionID })
		}},
		{name: "LinkedIn segment", workflow: "linkedin_dmp_segment", account: "123", mapping: map[string]string{"SHA256_EMAIL": "email"}, destination: map[string]any{"source_platform": "USHER"}, held: func(v *voyages) []string {
			n := network[*linkedin.Network](v, "linkedin")
			return idsBy(func(id int) bool {
				return slices.ContainsFunc(n.Segments(), func(s linkedin.Segment) bool { return n.Holds(s.ID, "SHA256_EMAIL", hashOf(emailOf(id))) })
			})
		}},
		{name: "LinkedIn conversions", workflow: "linkedin_conversion", account: "123", mapping: map[string]string{"SHA256_EMAIL": "email"}, job: map[string]any{"conversion": "104", "event_id": "order", "value": "total", "currency": `"EUR"`}, stream: true, held: func(v *voyages) []string {
			return each(network[*linkedin.Network](v, "linkedin").Events(), func(e linkedin.Event) string { return e.EventID })
		}},
		{name: "The Trade Desk", workflow: "tradedesk_first_party_data", account: "sandboxadv", mapping: map[string]string{"UID2": "uid2"}, held: func(v *voyages) []string {
			n := network[*tradedesk.Network](v, "tradedesk")
			return idsBy(func(id int) bool {
				return slices.ContainsFunc(n.Elements("sandboxadv"), func(e string) bool {
					return slices.ContainsFunc(n.Members("sandboxadv", e), func(m tradedesk.Member) bool { return m.Value == uidOf(id) })
				})
			})
		}},
		{name: "Table", workflow: "postgres_export", network: "-", own: database, account: db.Database, mapping: columns, destination: merged(schema, id), held: func(v *voyages) []string {
			return v.query(`SELECT customer FROM usher_high`)
		}},
		{name: "Table of orders", workflow: "postgres_events_export", network: "-", own: database, account: db.Database, mapping: columns, destination: merged(schema, id), job: map[string]any{"table": "raw_orders", "event_id": "order"}, stream: true, held: func(v *voyages) []string {
			return v.query(`SELECT message->>'order' FROM raw_orders`)
		}},
		{name: "SFTP files", workflow: "sftp_export", mapping: columns, destination: files, job: map[string]any{"filename": "people_{RUN}_{PART}.csv"}, held: func(v *voyages) []string {
			n := network[*sftp.Network](v, "sftp")
			return replay(each(n.Files(), func(f sftp.Info) string { return f.Path }), "people_", func(name string) []byte { b, _ := n.File(name); return b })
		}},
		{name: "S3 files", workflow: "s3_export", account: s3.DefaultBucket, mapping: columns, destination: map[string]any{"id_column": "customer", "prefix": "out"}, job: map[string]any{"filename": "people_{RUN}_{PART}.csv"}, held: func(v *voyages) []string {
			n := network[*s3.Network](v, "s3")
			objects, err := n.Objects()
			if err != nil {
				v.t.Fatal(err)
			}
			return replay(each(objects, func(o s3.Object) string { return o.Key }), "out/people_", func(key string) []byte { b, _ := n.Object(s3.DefaultBucket, key); return b })
		}},
		{name: "DMP lines", workflow: "dmp_lines", network: "sftp", own: map[string]string{"transport": "sftp"}, mapping: map[string]string{"CUSTOMER_ID": "customer"}, destination: map[string]any{"folder": sftp.DefaultFolder}, job: map[string]any{"filename": "lines_{RUN}_{PART}.txt", "audience": "vip"}, held: func(v *voyages) []string {
			n := network[*sftp.Network](v, "sftp")
			in := map[string]bool{}
			for _, f := range sorted(each(n.Files(), func(f sftp.Info) string { return f.Path })) {
				body, _ := n.File(f)
				for s := bufio.NewScanner(bytes.NewReader(body)); strings.Contains(f, "lines_") && s.Scan(); {
					who, what, _ := strings.Cut(s.Text(), " ")
					in[who] = what == "add=vip"
				}
			}
			return idsBy(func(id int) bool { return in[fmt.Sprint(id)] })
		}},
		{name: "Site", workflow: "web_audience", network: "-", mapping: map[string]string{"public_id": "public_id"}, held: func(v *voyages) []string {
			return idsBy(func(id int) bool {
				var out struct {
					Data struct {
						Audiences []string `json:"audiences"`
					} `json:"data"`
				}
				v.site(fmt.Sprintf("site-%d", id), &out)
				return slices.Contains(out.Data.Audiences, "high")
			})
		}},
		{name: "Webhook triggers", workflow: "webhook_triggers", network: "webhook", mapping: columns, destination: id, job: map[string]any{"user_fields": "customer"}, held: func(v *voyages) []string {
			var out []string
			for _, e := range network[*webhook.Network](v, "webhook").Events() {
				var p struct {
					Data struct {
						Customer string                         `json:"customer"`
						Events   []struct{ Event, Slug string } `json:"segment_events"`
					} `json:"data"`
				}
				if decode(e.Body, &p) && len(p.Data.Events) > 0 {
					out = append(out, p.Data.Customer+p.Data.Events[0].Event)
				}
			}
			return out
		}, first: []string{"1enter", "2enter"}, then: []string{"1enter", "2enter", "2exit", "3enter"}},
		{name: "Webhook orders", workflow: "webhook_events", network: "webhook", mapping: columns, destination: id, job: map[string]any{"event_id": "order", "user_fields": "email"}, stream: true, held: func(v *voyages) []string {
			var out []string
			for _, e := range network[*webhook.Network](v, "webhook").Events() {
				var p struct {
					Data struct {
						Event struct {
							Order string `json:"order"`
						} `json:"event"`
					} `json:"data"`
				}
				if decode(e.Body, &p) && p.Data.Event.Order != "" {
					out = append(out, p.Data.Event.Order)
				}
			}
			return out
		}},
	}
}

// decode reads what was kept of a JSON body.
func decode(body, to any) bool {
	b, err := json.Marshal(body)
	return err == nil && json.Unmarshal(b, to) == nil
}

// network is one of the sandbox's.
func network[N any](v *voyages, name string) N {
	n, ok := any(v.Sandbox.Network(name)).(N)
	if !ok {
		v.t.Fatalf("the sandbox's %q is a %T", name, v.Sandbox.Network(name))
	}
	return n
}

func each[T any](all []T, name func(T) string) []string {
	out := make([]string, len(all))
	for i, one := range all {
		out[i] = name(one)
	}
	return out
}

// sorted orders files by the run and the part in their names.
func sorted(all []string) []string {
	place := func(name string) (run, part int) {
		at := strings.IndexByte(name, '_')
		_, _ = fmt.Sscanf(name[at+1:], "%d_%d", &run, &part)
		return run, part
	}
	slices.SortFunc(all, func(a, b string) int {
		run1, part1 := place(a)
		run2, part2 := place(b)
		return cmp.Or(cmp.Compare(run1, run2), cmp.Compare(part1, part2))
	})
	return all
}

func merged(all ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// replay reads files of changes in the order of their names, which rise with the
// runs, and says who is in after the last.
func replay(names []string, prefix string, read func(string) []byte) []string {
	in := map[string]bool{}
	for _, name := range sorted(names) {
		if !strings.Contains(name, prefix) || !strings.HasSuffix(name, ".csv") {
			continue
		}
		rows, err := csv.NewReader(bytes.NewReader(read(name))).ReadAll()
		if err != nil || len(rows) == 0 {
			continue
		}
		op, id := slices.Index(rows[0], "operation"), slices.Index(rows[0], "customer")
		for _, r := range rows[1:] {
			in[r[id]] = r[op] == "add"
		}
	}
	return idsBy(func(id int) bool { return in[fmt.Sprint(id)] })
}

// query reads one column of the database that is exported to.
func (v *voyages) query(text string) []string {
	conn, err := pgx.Connect(context.Background(), v.database)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(context.Background(), text)
	if err != nil {
		return nil
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil // the table is not made yet
	}
	return out
}

// site reads what a site may.
func (v *voyages) site(id string, out any) {
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.URL+"/web/audiences/"+url.PathEscape(id), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Authorization", v.siteToken())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusTooManyRequests {
		wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil {
			v.t.Fatalf("a 429 without a time: %v", err)
		}
		time.Sleep(time.Duration(wait) * time.Second)
		v.site(id, out)
		return
	}
	if resp.StatusCode != http.StatusOK {
		v.t.Fatalf("the site's read answers %d", resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		v.t.Fatal(err)
	}
}

// tokens of sites, by server.
var siteTokens = map[string]string{}

func (v *voyages) siteToken() string {
	if siteTokens[v.URL] == "" {
		var made struct {
			Token string `json:"token"`
		}
		v.Must(http.MethodPost, "/v2/token", map[string]any{"name": "site", "scope": "site"}, &made)
		siteTokens[v.URL] = made.Token
	}
	return siteTokens[v.URL]
}
