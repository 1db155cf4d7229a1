package web

import (
	"database/sql"
	"encoding/csv"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/provider/all"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/tracking"
)

// seeded is a console over a store with so many runs of a hundred targets: nine
// in ten completed, the others in every other state, with four items each.
func seeded(tb testing.TB, runs int) *Console {
	tb.Helper()
	ctx := tb.Context()
	path := sqlitetest.Fresh(tb, filepath.Join(tb.TempDir(), "control.sqlite"))
	st, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = st.Close() })
	must := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	a, err := st.CreateAuthorization(ctx, activation.Authorization{Provider: "meta", Label: "Shop", KeyID: "k", Sealed: []byte("sealed")}, "test")
	must(err)
	for i := range 20 {
		d, err := st.CreateDestination(ctx, activation.Destination{Name: fmt.Sprintf("Destination %d", i), Provider: []string{"meta", "google"}[i%2], Authorization: a.ID, Account: fmt.Sprint(i), Enabled: true}, "test")
		must(err)
		var audiences []activation.AudienceID
		for k := range 5 {
			one, err := st.CreateAudience(ctx, activation.Audience{Slug: fmt.Sprintf("audience-%d", 5*i+k), Name: fmt.Sprintf("Audience %d", 5*i+k), Rule: "FILTER *"}, "test")
			must(err)
			audiences = append(audiences, one.ID)
		}
		_, err = st.CreateJob(ctx, activation.Job{Name: fmt.Sprintf("Job %d", i), Workflow: "meta_custom_audience", Provider: "meta", Type: "export", Destination: d.ID, Audiences: audiences, State: activation.JobRunnable, Schedule: activation.Schedule{Continuous: true, Frequency: "daily"}, FailAfter: time.Hour, StallAfter: time.Hour})
		must(err)
	}
	db, err := sql.Open("sqlite", path)
	must(err)
	defer func() { must(db.Close()) }()
	for _, statement := range []string{
		`CREATE TEMP TABLE nth AS SELECT row_number() OVER (ORDER BY id) - 1 AS k, id, job_id, destination_id, audience_id FROM targets`,
		`INSERT INTO runs (id, number, target_id, job_id, destination_id, audience_id, generation, run_key, sync_type, triggered_by, status, stage, attempt, seq, key_set,
			staged_at, counts, timings, error_kind, error_code, error_text, started_at, ended_at, cause)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(runs) + `)
		SELECT printf('run-%06d', i), i, t.id, t.job_id, t.destination_id, t.audience_id, 1, 'segment/' || t.id,
			CASE i % 5 WHEN 0 THEN 'pii_update' WHEN 1 THEN 'next_best_action' ELSE 'segment' END, CASE i % 5 WHEN 0 THEN 'agent' WHEN 1 THEN 'Sales / Cards' ELSE 'audience' END,
			CASE WHEN i % 100 < 90 THEN 'completed' WHEN i % 100 < 92 THEN 'withdrawn' ELSE 'failed' END, 'members', 1, i, '',
			1700000000000000 + i * 60000000, '{"selected":100,"eligible":100,"add":100,"staged":100,"sent":100,"accepted":100,"added":100,"remove":1}',
			'[{"stage":"payload","started":"2026-11-22T00:00:00Z","ended":"2026-11-22T00:00:01Z"}]',
			CASE WHEN i % 100 < 92 THEN '' ELSE 'unavailable' END, CASE WHEN i % 100 < 92 THEN '' ELSE 'META-UNAVAILABLE' END, '',
			1700000000000000 + i * 60000000, 1700000030000000 + i * 60000000, CASE i % 3 WHEN 0 THEN 'schedule' WHEN 1 THEN 'real_time' ELSE 'manual' END
		FROM n JOIN nth t ON t.k = n.i % 100`,
		`INSERT INTO items (id, run_id, number, phase, op, plain, first_row, last_row, state, attempt, folded, code, message, updated_at)
		SELECT r.id || '-' || x.n, r.id, x.n, 1, 'add', 1, 25 * (x.n - 1) + 1, 25 * x.n, CASE WHEN r.status = 'failed' AND x.n = 4 THEN 'failed' ELSE 'delivered' END, 1, 1, '', '', r.started_at
		FROM runs r, (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) x`,
	} {
		_, err := db.ExecContext(ctx, statement)
		must(err)
	}
	c := New(Config{
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.UnixMicro(1700000000000000 + int64(runs+1)*60000000) },
		Store: st, Tracking: &tracking.Tracking{Store: st, Providers: all.Definitions()}, Providers: all.Definitions(),
	})
	return c
}

// asked is a request of somebody who is signed in.
func asked(tb testing.TB, path string) visit {
	return visit{httptest.NewRequestWithContext(tb.Context(), http.MethodGet, path, nil), access.Caller{Name: "ann", Role: activation.RoleOperator, CSRF: "token"}}
}

// show makes the page as a browser gets it.
func (c *Console) show(tb testing.TB, path string) string {
	tb.Helper()
	v := asked(tb, path)
	w := httptest.NewRecorder()
	c.answer(w, v, c.sync)
	if w.Code != http.StatusOK {
		tb.Fatalf("%s: status %d", path, w.Code)
	}
	return w.Body.String()
}

// listFilters is each filter of the list by a name.
func listFilters(c *Console, tb testing.TB) map[string]string {
	destinations, err := c.Store.Destinations(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return map[string]string{
		"none": "/sync", "old": "/sync?before=50000", "completed": "/sync?status=completed", "failed": "/sync?status=failed", "pending": "/sync?status=pending", "sync_type": "/sync?sync_type=pii_update",
		"type": "/sync?type=google", "destination": "/sync?destination=" + url.QueryEscape(string(destinations[3].ID)), "audience": "/sync?triggered_by=audience-17", "level": "/sync?triggered_by=Sales+%2F+Cards",
		"cause": "/sync?cause=schedule", "retry": "/sync?action=retry", "withheld": "/sync?action=withheld", "within": "/sync?within=24h", "days": "/sync?within=custom&since=2023-11-20&until=2023-12-31",
		"several": "/sync?status=failed&sync_type=segment&type=google&cause=manual&within=720h",
	}
}

// BenchmarkSyncList makes the page with 100,000 runs in the store, for each
// filter.
func BenchmarkSyncList(b *testing.B) {
	c := seeded(b, 100_000)
	for name, path := range listFilters(c, b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.show(b, path)
			}
		})
	}
}

// TestSyncFilters asks for each filter and looks whether every run that fits is
// listed, and no other, over all pages of the list and in the file.
func TestSyncFilters(t *testing.T) {
	c := seeded(t, 400)
	all, err := c.Store.Runs(t.Context(), store.RunFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	destinations := map[activation.DestinationID]activation.Destination{}
	list, err := c.Store.Destinations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		destinations[d.ID] = d
	}
	one, err := c.Store.Audience(t.Context(), "audience-17")
	if err != nil {
		t.Fatal(err)
	}
	day := time.UnixMicro(1700000000000000).UTC()
	newest := map[string]int64{}
	for _, r := range all {
		newest[r.Key] = max(newest[r.Key], r.Number)
	}
	retried := func(r activation.Run) bool { return r.Status == activation.RunFailed && newest[r.Key] == r.Number }
	for query, fits := range map[string]func(activation.Run) bool{
		"":                                  func(activation.Run) bool { return true },
		"status=failed":                     func(r activation.Run) bool { return r.Status == activation.RunFailed },
		"status=withdrawn":                  func(r activation.Run) bool { return r.Status == activation.RunWithdrawn },
		"sync_type=pii_update":              func(r activation.Run) bool { return r.SyncType == activation.SyncPIIUpdate },
		"type=google":                       func(r activation.Run) bool { return destinations[r.Destination].Provider == "google" },
		"destination=" + string(list[3].ID): func(r activation.Run) bool { return r.Destination == list[3].ID },
		"triggered_by=audience-17":          func(r activation.Run) bool { return r.Audience == one.ID },
		"triggered_by=Audience+17":          func(r activation.Run) bool { return r.Audience == one.ID },
		"triggered_by=agent":                func(r activation.Run) bool { return r.SyncType == activation.SyncPIIUpdate },
		"triggered_by=Sales+%2F+Cards":      func(r activation.Run) bool { return r.TriggeredBy == "Sales / Cards" },
		"cause=schedule":                    func(r activation.Run) bool { return r.Cause == activation.CauseSchedule },
		"action=retry":                      retried,
		"action=withheld":                   func(r activation.Run) bool { return r.Status == activation.RunFailed && !retried(r) },
		"within=1h":                         func(r activation.Run) bool { return r.StartedAt.After(c.Now().Add(-time.Hour - time.Second)) },
		"within=custom&since=" + day.Format(time.DateOnly): func(activation.Run) bool { return true },
		"within=custom&until=" + day.Format(time.DateOnly): func(r activation.Run) bool { return r.StartedAt.UTC().YearDay() == day.YearDay() },
		"status=failed&sync_type=segment&type=google&cause=real_time": func(r activation.Run) bool {
			return r.Status == activation.RunFailed && r.SyncType == activation.SyncSegment && destinations[r.Destination].Provider == "google" && r.Cause == activation.CauseRealTime
		},
	} {
		want := map[string]bool{}
		for _, r := range all {
			if fits(r) {
				want["run-"+string(r.ID)] = true
			}
		}
		got := map[string]bool{}
		for next := "/sync?" + query; next != ""; {
			page := c.show(t, next)
			next = ""
			for _, part := range strings.Split(page, `<tr id="`)[1:] {
				id, _, _ := strings.Cut(part, `"`)
				if got[id] {
					t.Errorf("%s: %s is listed twice", query, id)
				}
				got[id] = true
			}
			if i := strings.Index(page, `push" href="`); i >= 0 {
				next, _, _ = strings.Cut(page[i+len(`push" href="`):], `"`)
				next = html.UnescapeString(next)
			}
		}
		if len(want) == 0 && !strings.HasPrefix(query, "action=") {
			t.Errorf("%s: the test tells nothing: no run fits", query)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s lists %d runs, want %d", query, len(got), len(want))
		}
		if rows := c.file(t, "/sync/export.csv?"+query); len(rows) != len(want)+1 || fmt.Sprint(rows[0]) != fmt.Sprint(exportColumns) {
			t.Errorf("%s: the file has %d rows, want %d and a header", query, len(rows), len(want))
		}
	}
}

// file is the list as a file.
func (c *Console) file(tb testing.TB, path string) [][]string {
	tb.Helper()
	v := asked(tb, path)
	w := httptest.NewRecorder()
	c.sendSync(w, v)
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
		tb.Fatalf("%s: %v, %v", path, err, w.Header())
	}
	return rows
}

// TestActionPages: picking runs by what is offered on them goes on where a page
// ends, and ends.
func TestActionPages(t *testing.T) {
	c := seeded(t, 400)
	seen := map[activation.RunID]int{}
	for _, action := range []string{actionRetry, actionWithheld} {
		for f := (store.RunFilter{}); ; {
			runs, next, err := c.runsOf(asked(t, "/sync"), f, action, 5)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				seen[r.ID]++
			}
			if f.Before = next; next == 0 {
				break
			}
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is listed %d times", id, n)
		}
	}
	if len(seen) != 32 { // 8 in 100 failed
		t.Errorf("%d runs have an action or lack it, want the 32 that failed", len(seen))
	}
}

func TestSyncByNumber(t *testing.T) {
	c := seeded(t, 50)
	for text, want := range map[string]string{"12": "/runs/run-000012", "%2350": "/runs/run-000050", "51": "", "0": "", "audience-3": ""} {
		out, err := c.sync(asked(t, "/sync?triggered_by="+text))
		if err != nil || out.To != want {
			t.Errorf("%s leads to %q (%v), want %q", text, out.To, err, want)
		}
	}
	// The page's stream goes nowhere.
	if out, err := c.sync(asked(t, "/events?page=sync&triggered_by=12")); err != nil || out.To != "" || out.Template == "" {
		t.Errorf("the stream leads to %q (%v)", out.To, err)
	}
}

func TestInert(t *testing.T) {
	for text, want := range map[string]string{"": "", "Shop": "Shop", "=1+1": "'=1+1", "@x": "'@x", "-3": "'-3", "+x": "'+x", "\tx": "'\tx", "a=b": "a=b"} {
		if got := inert(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestMendedBy(t *testing.T) {
	for _, c := range []struct {
		run  activation.Run
		code string
		want mender
	}{
		{activation.Run{ErrorCode: "X-1", ErrorKind: activation.Unauthorized}, "X-1", byAuthorization},
		{activation.Run{ErrorCode: "X-1", ErrorKind: activation.Unauthorized}, "Y", byNothing},
		{activation.Run{}, "META-AUTH", byAuthorization},
		{activation.Run{}, "META-AUTH-190", byAuthorization},
		{activation.Run{}, "MAPPING", byDestination},
		{activation.Run{}, "META-ACCOUNT", byDestination},
		{activation.Run{}, "DMP-SETTINGS", byJob},
		{activation.Run{ErrorCode: "Z", ErrorKind: activation.Invalid}, "Z", byJob},
		{activation.Run{}, "META-UNAVAILABLE", byNothing},
	} {
		if got := mendedBy(c.run, c.code); got != c.want {
			t.Errorf("%s of %+v is mended by %d, want %d", c.code, c.run, got, c.want)
		}
	}
}
