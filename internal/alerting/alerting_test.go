package alerting_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"usher/internal/activation"
	"usher/internal/alerting"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/email"
	"usher/internal/provider/slack"
	"usher/internal/provider/teams"
	"usher/internal/provider/webhook"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/store/storetest"
	"usher/sandbox/alertsink"
	"usher/sandbox/smtpsink"
)

const (
	testSecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
	testPath     = "/hooks/xyzsecretxyz"
	testPassword = "pa55word-0123"
	recipient    = "anna.ops@example.com"
)

// world is a store with an alert job, and the far side it tells.
type world struct {
	*store.Store
	t     testing.TB
	path  string
	clock *storetest.Clock
	log   *safeBuffer
	sink  *alertsink.Sink
	url   string
	job   activation.Job
	auths []activation.AuthorizationID
	// crash is called between the delivery of a notice and its being recorded.
	crash func()
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t testing.TB, config map[string]string) *world {
	t.Helper()
	w := &world{t: t, path: sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.db")), clock: storetest.NewClock(), log: &safeBuffer{}, sink: alertsink.Webhook(testSecret), crash: func() {}}
	var err error
	if w.Store, err = sqlite.Open(t.Context(), w.path, sqlite.Options{Now: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.sink)
	w.url = server.URL
	t.Cleanup(func() {
		server.Close()
		if err := w.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		a, err := w.CreateAuthorization(t.Context(), activation.Authorization{Label: fmt.Sprintf("auth %d", i), Provider: "webhook", KeyID: "k", Sealed: []byte("sealed")}, "ann")
		w.ok(err)
		w.auths = append(w.auths, a.ID)
	}
	w.job = w.alertJob("Tell operations", "alert_webhook", config)
	return w
}

func (w *world) alertJob(name, workflow string, config map[string]string) activation.Job {
	w.t.Helper()
	j, err := w.CreateJob(w.t.Context(), activation.Job{
		Name: name, Workflow: workflow, Provider: strings.TrimPrefix(workflow, "alert_"), Type: "alert", Config: config,
		Schedule: activation.Schedule{Continuous: true}, Authorizations: w.auths[:1], CreatedBy: "ann",
	})
	w.ok(err)
	return j
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("unexpected error: %v", err)
	}
}

// alerting is a fresh runner, as after a restart.
func (w *world) alerting() *alerting.Alerting {
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return alerting.New(alerting.Config{
		Store: w.Store, Log: log, Now: w.clock.Now, URL: "https://usher.example.com", Providers: []provider.Definition{webhook.Definition()},
		AfterNotify: func() { w.crash() },
		Connect: func(_ context.Context, _ activation.Job) (provider.Alert, error) {
			return webhook.New(provider.Deps{
				Auth: map[string]provider.Secret{"webhook_url": provider.Secret(w.url + testPath), "signing_secret": testSecret},
				HTTP: outbound.New(outbound.Config{AllowedHosts: []string{strings.TrimPrefix(w.url, "http://")}, Log: log, Now: time.Now}), Log: log, Now: time.Now,
			})
		},
	})
}

// progress counts nothing.
type progress struct{}

func (progress) Pass() activation.Pass                              { return activation.Pass{} }
func (progress) Count(string, int64)                                {}
func (progress) Moved()                                             {}
func (progress) Save(context.Context) error                         { return nil }
func (progress) Note(context.Context, string, string, string) error { return nil }

// pass runs one pass; a crash within it is reported as an error.
func (w *world) pass(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("crash: %v", p)
		}
	}()
	return w.alerting().Pass(ctx, w.job, progress{})
}

// told lists the notices of the job, oldest first.
func (w *world) told(job activation.JobID) []activation.Notice {
	w.t.Helper()
	list, err := w.Notices(w.t.Context(), store.NoticeFilter{Job: job, Limit: 10000})
	w.ok(err)
	slices.SortFunc(list, func(a, b activation.Notice) int {
		return int(a.Event.ID - b.Event.ID)
	})
	return list
}

// flipper is something that works or does not, by its own simple model.
type flipper struct {
	name string
	bad  bool
	do   func(bad bool) error
}

// TestOneNoticePerChange: random changes, crashes between any two steps, and a
// far side that fails in every way: each change of state is told exactly once,
// in the order it came, and whatever arrived twice has the id it had before.
func TestOneNoticePerChange(t *testing.T) {
	rounds := 40
	if testing.Short() || raceEnabled {
		rounds = 8
	}
	for range rounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { oneNoticePerChange(t, seed) })
	}
}

func oneNoticePerChange(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, nil)
	ctx := t.Context()
	things := []*flipper{{name: "This server", do: func(bad bool) error {
		if bad {
			return w.ServerErred(ctx, "INTERNAL-019", "the disk is full")
		}
		return w.ServerWorks(ctx)
	}}}
	for i, id := range w.auths {
		things = append(things, &flipper{name: fmt.Sprintf("auth %d", i), do: func(bad bool) error {
			if bad {
				return w.MarkUnhealthy(ctx, id, "refused")
			}
			return w.MarkHealthy(ctx, id)
		}})
	}
	faults := []alertsink.Fault{
		{Applied: true, Cut: true},
		{Cut: true},
		{Status: http.StatusServiceUnavailable},
		{Status: http.StatusInternalServerError, Applied: true},
		{Status: http.StatusTooManyRequests},
		{Status: http.StatusBadGateway, Body: "<html>", Applied: true},
		{Status: http.StatusGone},
	}
	w.crash = func() {
		if r.IntN(5) == 0 {
			panic("between delivery and record")
		}
	}
	var want []string
	for range 60 {
		w.clock.Add(time.Second)
		switch n := r.IntN(10); {
		case n < 6: // what is said again and again is one change
			thing, bad := things[r.IntN(len(things))], r.IntN(2) == 0
			if bad != thing.bad {
				want = append(want, fmt.Sprintf("%s %t", thing.name, !bad))
			}
			thing.bad = bad
			w.ok(thing.do(bad))
		case n < 8:
			if r.IntN(3) == 0 {
				w.sink.Script(faults[r.IntN(len(faults))])
			}
			_ = w.pass(ctx)
		default: // the node is cut off from the database at a random moment
			cut, cancel := context.WithCancel(ctx)
			left := r.IntN(4)
			w.crash = func() {
				if left--; left <= 0 {
					cancel()
				}
			}
			if r.IntN(2) == 0 {
				cancel()
			}
			_ = w.pass(cut)
			cancel()
			w.crash = func() {
				if r.IntN(5) == 0 {
					panic("between delivery and record")
				}
			}
		}
	}
	w.crash = func() {}
	for i := 0; ; i++ {
		err := w.pass(ctx)
		if err == nil {
			break
		}
		if i == 50 {
			t.Fatalf("it never becomes quiet: %v", err)
		}
	}
	var got []string
	first := map[string]string{}
	for _, n := range w.told(w.job.ID) {
		got = append(got, fmt.Sprintf("%s %t", n.Event.SubjectName, n.Recovery))
		if n.State != activation.NoticeSent {
			t.Errorf("notice %s about %s is %s", n.ID, n.Event.SubjectName, n.State)
		}
		first[string(n.ID)] = ""
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%v\nwant\n%v", got, want)
	}
	var order []string
	for _, taken := range w.sink.Taken() {
		text, known := first[taken.ID]
		switch {
		case !known:
			t.Errorf("a notice arrived that is not in the store: %s", taken.ID)
		case text == "":
			first[taken.ID] = taken.Text
			order = append(order, taken.ID)
		case text != taken.Text:
			t.Errorf("%s said %q and then %q", taken.ID, text, taken.Text)
		}
	}
	if len(order) != len(want) {
		t.Errorf("%d different notices arrived, want %d", len(order), len(want))
	}
	for i, n := range w.told(w.job.ID) {
		if i < len(order) && order[i] != string(n.ID) {
			t.Errorf("notice %d arrived out of order", i)
			break
		}
	}
}

// TestNoLoops: an alert job tells nothing of itself; another one does.
func TestNoLoops(t *testing.T) {
	w := newWorld(t, nil)
	other := w.alertJob("The other", "alert_webhook", nil)
	fail := func(j activation.Job) {
		p, err := w.TakePass(t.Context(), j.ID, "n1", time.Minute)
		w.ok(err)
		p.Status, p.ErrorKind, p.ErrorCode, p.ErrorText = activation.RunFailed, activation.Invalid, "NOTICE-ADDRESS", "webhook_url takes no notices"
		w.ok(w.FinishPass(t.Context(), p))
	}
	fail(other)
	fail(w.job)
	w.ok(w.pass(t.Context()))
	w.ok(w.alerting().Pass(t.Context(), other, progress{}))
	for _, c := range []struct{ teller, about activation.Job }{{w.job, other}, {other, w.job}} {
		list := w.told(c.teller.ID)
		if len(list) != 1 || list[0].Event.SubjectID != string(c.about.ID) || list[0].Event.Type != activation.EventFailed {
			t.Errorf("%s told %+v; want that %s failed, and nothing else", c.teller.Name, list, c.about.Name)
		}
	}
	if due, err := w.alerting().Due(t.Context(), w.job); err != nil || due {
		t.Errorf("the job is due (%t, %v) with nothing to do", due, err)
	}
}

// TestKinds: what each kind of error does to the notice and the pass.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		fault alertsink.Fault
		kind  activation.Kind
		state activation.NoticeState
	}{
		{alertsink.Fault{Status: http.StatusTooManyRequests}, activation.WaitUntil, activation.NoticePending},
		{alertsink.Fault{Status: http.StatusBadGateway}, activation.Unavailable, activation.NoticePending},
		{alertsink.Fault{Status: http.StatusNotFound}, activation.Invalid, activation.NoticePending},
		{alertsink.Fault{Status: http.StatusUnauthorized}, activation.Unauthorized, activation.NoticePending},
		{alertsink.Fault{Status: http.StatusBadRequest}, "", activation.NoticeFailed},
	} {
		w := newWorld(t, nil)
		w.ok(w.MarkUnhealthy(t.Context(), w.auths[1], "refused"))
		w.ok(w.MarkUnhealthy(t.Context(), w.auths[2], "refused"))
		w.sink.Script(c.fault)
		if err := w.pass(t.Context()); activation.KindOf(err) != c.kind {
			t.Errorf("%d: %v; want %s", c.fault.Status, err, c.kind)
		}
		list := w.told(w.job.ID)
		if list[0].State != c.state || list[0].ErrorCode == "" {
			t.Errorf("%d: the notice is %+v; want %s", c.fault.Status, list[0], c.state)
		}
		w.ok(w.pass(t.Context()))
		if list := w.told(w.job.ID); list[1].State != activation.NoticeSent || (c.state == activation.NoticePending && list[0].State != activation.NoticeSent) {
			t.Errorf("%d: afterwards the notices are %s and %s", c.fault.Status, list[0].State, list[1].State)
		}
	}
}

// TestNothingLeaks: no address of a webhook, no password and no e-mail is in the
// log, in an error or in a table, but for the recipients of the job.
func TestNothingLeaks(t *testing.T) {
	w := newWorld(t, nil)
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	smtp := smtpsink.Serve(ln, smtpsink.Options{User: "usher", Password: testPassword + "x", Refuse: func(to string) string { return "550 no such user " + to }})
	defer smtp.Close()
	host, port, err := net.SplitHostPort(smtp.Addr())
	w.ok(err)
	defs := []provider.Definition{slack.Definition(), teams.Definition(), webhook.Definition(), email.Definition()}
	runner := alerting.New(alerting.Config{
		Store: w.Store, Log: log, Now: w.clock.Now, Providers: defs,
		Connect: func(_ context.Context, j activation.Job) (provider.Alert, error) {
			cfg := outbound.Config{AllowedHosts: []string{strings.TrimPrefix(w.url, "http://"), smtp.Addr()}, Log: log, Now: time.Now}
			deps := provider.Deps{Config: j.Config, HTTP: outbound.New(cfg), Dial: outbound.Dialer(cfg), Log: log, Now: time.Now, Auth: map[string]provider.Secret{
				"webhook_url": provider.Secret(w.url + testPath), "signing_secret": testSecret, "host": provider.Secret(host), "port": provider.Secret(port), "security": "none",
				"username": "usher", "password": testPassword, "from": "usher@sender.example",
			}}
			i := slices.IndexFunc(defs, func(d provider.Definition) bool { return d.Name == j.Provider })
			return defs[i].NewAlert(deps)
		},
	})
	var heard strings.Builder
	for _, d := range defs {
		tells := slices.IndexFunc(d.Workflows, func(w provider.Workflow) bool { return w.Direction == provider.Alerting })
		j := w.alertJob("tell by "+d.Name, d.Workflows[tells].Name, map[string]string{"recipients": recipient})
		for _, f := range []alertsink.Fault{{Cut: true}, {Status: http.StatusNotFound, Body: w.url + testPath}, {Status: http.StatusFound, Header: map[string]string{"Location": w.url + testPath}}, {Status: http.StatusBadRequest, Body: recipient}} {
			w.sink.Script(f)
			w.ok(w.MarkUnhealthy(t.Context(), w.auths[1], "refused"))
			err := runner.Pass(t.Context(), j, progress{})
			_, _ = fmt.Fprintf(&heard, "%v\n%+v\n", err, err)
			_, err = runner.Test(t.Context(), j.ID, "ann")
			_, _ = fmt.Fprintf(&heard, "%v\n", err)
			w.ok(w.MarkHealthy(t.Context(), w.auths[1]))
		}
	}
	db, err := sql.Open("sqlite", w.path)
	w.ok(err)
	defer db.Close()
	dump := dumped(t, db)
	if !strings.Contains(dump["jobs"], recipient) || len(dump["notices"]) == 0 {
		t.Fatal("the dump does not hold the recipients or notices: is it read at all?")
	}
	delete(dump, "jobs")
	dump["the log"], dump["errors"] = w.log.String(), heard.String()
	for where, text := range dump {
		for i, secret := range []string{testPath, testPassword, recipient, testSecret, "usher@sender.example"} {
			if strings.Contains(text, secret) {
				t.Errorf("secret %d is in %s", i, where)
			}
		}
	}
}

// dumped is every value of every table as text, by table.
func dumped(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	tables := strings.Fields(strings.Join(column(t, db, `SELECT name FROM sqlite_master WHERE type = 'table'`), " "))
	out := map[string]string{}
	for _, table := range tables {
		out[table] = strings.Join(column(t, db, `SELECT * FROM "`+table+`"`), "\n")
	}
	return out
}

// column reads rows, each as one text.
func column(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Trim(fmt.Sprintf("%s", values), "[]"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
