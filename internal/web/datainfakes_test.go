package web_test

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/explain"
	"usher/internal/expression"
	"usher/internal/imports"
	"usher/internal/ingest"
	"usher/internal/provider"
	"usher/internal/rebuild"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/tracking"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
	"usher/internal/web"
)

// private is what no page shows to anybody but an administrator who asks for
// messages, and forgotten what no page ever shows.
const (
	private   = "jon@private.example"
	forgotten = "gone@private.example"
)

var dayOne = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// plane is a data plane that holds what a test puts into it.
type plane struct {
	warehouse.Warehouse // what a test does not say must not be asked for

	mu       sync.Mutex
	schema   warehouse.Schema
	streams  []warehouse.StreamStat
	messages []warehouse.Message
	rebuild  []string // what every declaration says must be rebuilt
	drift    map[string][]warehouse.Drifting
	refuse   error // what Apply and PreviewMappings return
}

func (p *plane) Schema(context.Context) (warehouse.Schema, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.schema, nil
}

func (p *plane) Apply(_ context.Context, s warehouse.Schema) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return nil, p.refuse
	}
	p.schema = s
	return p.rebuild, nil
}

func (p *plane) DropField(_ context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.schema.Fields = slices.DeleteFunc(slices.Clone(p.schema.Fields), func(f warehouse.Field) bool { return f.Name == name })
	return nil
}

func (p *plane) Preview(_ context.Context, s warehouse.Schema) (warehouse.Schema, []string, error) {
	return s, p.rebuild, p.refuse
}

func (p *plane) Streams(context.Context) ([]warehouse.StreamStat, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.streams)
	for i := range out {
		for _, s := range p.schema.Streams {
			if s.Name == out[i].Name {
				out[i].Stream = s
			}
		}
	}
	return out, nil
}

func (p *plane) Messages(context.Context, string, int) ([]warehouse.Message, error) {
	return p.messages, nil
}
func (p *plane) CountProfiles(context.Context) (int64, error)               { return 18148, nil }
func (p *plane) Size(context.Context, activation.AudienceID) (int64, error) { return 1731, nil }
func (p *plane) SetAudiences(context.Context, []warehouse.Rule, time.Time) error {
	return nil
}

func (p *plane) Find(_ context.Context, field, value string) (warehouse.Profile, error) {
	if field != "email" || value != private {
		return warehouse.Profile{}, activation.ErrNotFound
	}
	return warehouse.Profile{ID: 4711, Values: map[string]any{"email": private, "customer_key": "11000", "first_name": "Jon", "income": 90000.0}, Audiences: []string{"high-income"}}, nil
}

func (p *plane) Explain(_ context.Context, _ warehouse.PlanRequest, profile int64, _ []activation.RunID) (warehouse.Person, error) {
	return warehouse.Person{Profile: profile, Messages: []warehouse.PersonStream{{Stream: "customers", Messages: 2, LastTime: dayOne, LastReceived: dayOne}, {Stream: "orders", Messages: 5, LastTime: dayOne, LastReceived: dayOne}}}, nil
}

// PreviewMappings gives every message's columns to the fields that name them, and
// fails on incomes that are none.
func (p *plane) PreviewMappings(_ context.Context, s warehouse.Schema, stream string, _, limit int) (warehouse.MappingPreview, error) {
	if p.refuse != nil {
		return warehouse.MappingPreview{}, p.refuse
	}
	out := warehouse.MappingPreview{Looked: 1000, Parsed: map[string]int64{}, Unparsed: map[string]int64{}, Rebuild: p.rebuild, Cost: warehouse.RebuildCost{Messages: 18148, Bytes: 4200000}}
	columns := map[string]string{}
	for _, m := range s.Mappings {
		if e, err := expression.Parse(m.Expression); m.Stream == stream && err == nil {
			out.Fields = append(out.Fields, m.Field)
			columns[m.Field] = expression.Columns(e)[0]
		}
	}
	for _, m := range p.messages[:min(limit, len(p.messages))] {
		row := warehouse.MappingPreviewRow{Message: m, Results: map[string]any{}}
		for _, f := range out.Fields {
			if v := m.Values[columns[f]]; strings.HasPrefix(v, "n/") {
				row.Failed = append(row.Failed, f)
				out.Unparsed[f]++
			} else if v != "" {
				row.Results[f] = v
				out.Parsed[f]++
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

func (p *plane) StreamDrift(_ context.Context, stream string) ([]warehouse.Drifting, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drift[stream], nil
}

func (p *plane) SettleDrift(_ context.Context, stream string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.drift, stream)
	return nil
}

func (p *plane) Merges(context.Context, int64, time.Time, int) ([]warehouse.MergeEvent, error) {
	return []warehouse.MergeEvent{
		{At: dayOne, Survivor: 4711, Gone: 12, Fields: []string{"email", "customer_key"}, Stream: "orders", Kind: "merge"},
		{At: dayOne, Survivor: 4711, Fields: []string{"email"}, Stream: "orders", Kind: "capped"},
		{At: dayOne, Survivor: 4711, Fields: []string{"email"}, Kind: "part"},
	}, nil
}

// work is every use case that brings data in, with what it was told.
type work struct {
	mu        sync.Mutex
	rebuilds  []activation.Rebuild
	forgets   []activation.Forget
	asked     [][2]string // field and value of each forget
	loads     []ingest.LoadStatus
	told      []string
	state     imports.Position
	preview   imports.FirstRows
	previewed activation.Job
	wrong     error
}

func (w *work) note(what string) { w.told = append(w.told, what) }

func (w *work) Start(_ context.Context, reason, user string) (activation.Rebuild, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.rebuilds {
		if r.Status == activation.RebuildRunning {
			return r, &activation.Error{Kind: activation.Invalid, Code: "REBUILD-BUSY", Message: "rebuild #1 is under way", Err: activation.ErrConflict}
		}
	}
	r := activation.Rebuild{ID: "r9", Number: 9, Status: activation.RebuildRunning, Reason: reason, AskedBy: user, Attempt: 1, Done: 4537, Total: 18148, StartedAt: dayOne, Left: 42 * time.Second}
	w.rebuilds = append([]activation.Rebuild{r}, w.rebuilds...)
	return r, nil
}

func (w *work) Rebuilds(context.Context, int) ([]activation.Rebuild, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rebuilds), nil
}

func (w *work) Cancel(_ context.Context, id activation.RebuildID, user string) (activation.Rebuild, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range w.rebuilds {
		if r.ID == id && r.Status == activation.RebuildRunning {
			w.rebuilds[i].Status, w.rebuilds[i].CancelledBy, w.rebuilds[i].EndedAt = activation.RebuildCancelled, user, dayOne.Add(time.Minute)
			return w.rebuilds[i], nil
		}
	}
	return activation.Rebuild{}, activation.ErrNotFound
}

func (w *work) Cost(context.Context) (rebuild.Cost, error) {
	return rebuild.Cost{RebuildCost: warehouse.RebuildCost{Messages: 18148, Bytes: 4200000}, Seconds: 56}, nil
}

func (w *work) Ask(_ context.Context, field, value, user string) (activation.Forget, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong != nil {
		return activation.Forget{}, w.wrong
	}
	w.asked = append(w.asked, [2]string{field, value})
	f := activation.Forget{ID: "f9", Status: activation.ForgetPending, Stage: activation.ForgetErase, AskedBy: user, Field: field, RequestedAt: dayOne}
	w.forgets = append([]activation.Forget{f}, w.forgets...)
	return f, nil
}

func (w *work) Forget(_ context.Context, id activation.ForgetID) (activation.Forget, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.forgets {
		if f.ID == id {
			return f, nil
		}
	}
	return activation.Forget{}, activation.ErrNotFound
}

func (w *work) Forgets(context.Context, int) ([]activation.Forget, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.forgets), nil
}

func (w *work) PreviewPlain(_ context.Context, j activation.Job) (imports.FirstRows, error) {
	w.previewed = j
	return w.preview, w.wrong
}

// Preview gives no value at all.
func (w *work) Preview(_ context.Context, j activation.Job) (imports.FirstRows, error) {
	w.previewed = j
	p := w.preview
	p.Masked, p.Columns, p.Rows = true, slices.Clone(p.Columns), [][]string{{"1••", "j••"}, {"1••", "e••"}}
	for i := range p.Columns {
		p.Columns[i].Samples = []string{"m••"}
	}
	return p, w.wrong
}

func (w *work) State(context.Context, activation.Job) (imports.Position, error) { return w.state, nil }
func (w *work) Reset(_ context.Context, j activation.Job) error {
	w.note("reset " + string(j.ID))
	w.state = imports.Position{}
	return nil
}

func (w *work) Rejected(_ context.Context, id string) (io.ReadCloser, error) {
	if id != "l2" {
		return nil, activation.ErrNotFound
	}
	return io.NopCloser(strings.NewReader(`{"line":3,"code":"DATE","text":"` + private + `"}` + "\n")), nil
}

func (w *work) Recent(_ context.Context, stream string, _ int) (out []ingest.LoadStatus, _ error) {
	for _, l := range w.loads {
		if stream == "" || l.Stream == stream {
			out = append(out, l)
		}
	}
	return out, nil
}
func (w *work) Retry(_ context.Context, id string) error   { w.note("retry " + id); return nil }
func (w *work) Discard(_ context.Context, id string) error { w.note("discard " + id); return nil }

func (w *work) Series(_ context.Context, _, _ string, from, until time.Time, width time.Duration) (map[string][]activation.MetricPoint, error) {
	out := map[string][]activation.MetricPoint{}
	for t, i := from.Truncate(width), int64(0); t.Before(until); t, i = t.Add(width), i+1 {
		out["messages"] = append(out["messages"], activation.MetricPoint{At: t, Value: 200 + 37*(i%7)})
		out["duplicates"] = append(out["duplicates"], activation.MetricPoint{At: t, Value: i % 3})
	}
	return out, nil
}

func (w *work) Explain(context.Context, explain.Question) (explain.Answer, error) {
	return explain.Answer{}, activation.ErrNotFound
}

// quietDelivery is a delivery that nobody asks anything of.
type quietDelivery struct{ web.Delivery }

// files is a provider of imports.
var files = provider.Definition{
	Name: "files", Title: "File server", DestinationType: "File server", Icon: "folder-share", Description: "Files of a server.",
	Workflows: []provider.Workflow{{
		Name: "files_import", Title: "Import files", Description: "Brings the rows of files in.", Direction: provider.Import, Scheduled: true, Once: true,
		Fields: append([]provider.Field{{Name: "folder", Label: "Folder", Type: "string", Required: true}}, provider.ImportFields()...),
	}},
}

// dataWorld is a console over fakes: data plane and use cases are what the test
// says, the control store is real.
type dataWorld struct {
	*world
	plane *plane
	work  *work
	store *store.Store
	job   activation.Job
}

// startData starts a console over fakes; more changes what it is made of.
func startData(t testing.TB, more ...func(*web.Config)) *dataWorld {
	t.Helper()
	ctx := t.Context()
	st, err := sqlite.Open(ctx, sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.sqlite")), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	d := &dataWorld{plane: fullPlane(), work: fullWork(), store: st}
	now := func() time.Time { return dayOne.Add(30 * time.Minute) }
	log := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	providers := []provider.Definition{files}
	ledger := struct{ tracking.Ledger }{}
	door := access.New(access.Config{Store: st, Log: log})
	cfg := web.Config{
		Version: "test", Log: log, Now: now, Access: door, Store: st,
		Catalog:  catalog.New(catalog.Config{Store: st, Warehouse: d.plane, Providers: providers, Log: log, Now: now}),
		Tracking: &tracking.Tracking{Store: st, Ledger: ledger, Providers: providers}, Delivery: quietDelivery{}, Warehouse: d.plane, Loads: d.work, Providers: providers, Explain: d.work,
		DataIn: web.DataIn{
			Rebuilds: d.work, Forgets: d.work, Imports: d.work, Mapping: d.plane, Merges: d.plane, Rejected: d.work, Series: d.work,
			Suppressed: func(context.Context) (int64, error) { return 12, nil },
		},
	}
	for _, change := range more {
		change(&cfg)
	}
	c := web.New(cfg)
	mux := http.NewServeMux()
	c.Register(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	t.Cleanup(c.Close)
	d.world = &world{t: t, url: s.URL, dir: t.TempDir()}
	token, err := door.OneTimeToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.signIn = s.URL + "/login?token=" + url.QueryEscape(token)
	if _, err := st.CreateAudience(ctx, activation.Audience{Slug: "high-income", Name: "High income", Rule: "FILTER income > 50000"}, "test"); err != nil {
		t.Fatal(err)
	}
	if d.job, err = st.CreateJobOnce(ctx, activation.Job{
		Name: "Customers from files", Workflow: "files_import", Provider: "files", Type: "import", State: activation.JobRunnable, Config: map[string]string{"folder": "in", "stream": "customers", "timestamps": "ModifiedDate"},
		Schedule: activation.Schedule{Continuous: true, Frequency: "daily"}, FailAfter: time.Hour, StallAfter: time.Hour,
	}, activation.Once{}); err != nil {
		t.Fatal(err)
	}
	return d
}

// as is a browser signed in with a role.
func (d *dataWorld) as(role activation.Role) *browser {
	d.t.Helper()
	text, csrf := "cookie-of-"+string(role), "token-of-"+string(role)
	hash := sha256.Sum256([]byte(text))
	now := time.Now()
	if err := d.store.CreateSession(d.t.Context(), activation.Session{Hash: hash[:], User: string(role), Role: role, CSRF: csrf, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}); err != nil {
		d.t.Fatal(err)
	}
	b := d.browser()
	u, err := url.Parse(d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: access.CookieName, Value: text}})
	b.csrf = csrf
	return b
}

// audited are the verbs and subjects of the audit log, newest first.
func (d *dataWorld) audited() (out []string) {
	d.t.Helper()
	all, err := d.store.Audit(d.t.Context(), store.AuditFilter{Limit: 100})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range all {
		out = append(out, e.Actor+" "+e.Verb+" "+e.SubjectType+" "+e.SubjectID)
		for _, secret := range []string{private, forgotten} {
			if strings.Contains(e.SubjectID+e.Before+e.After, secret) {
				d.t.Errorf("the audit log holds %q", secret)
			}
		}
	}
	return out
}

func fullPlane() *plane {
	text := func(name string, rank int, personal bool) warehouse.Field {
		return warehouse.Field{Name: name, Type: warehouse.Text, Merge: warehouse.Latest, Rank: rank, PII: personal}
	}
	columns := []string{"CustomerKey", "EmailAddress", "FirstName", "AnnualIncome", "ModifiedDate", "Notes"}
	return &plane{
		schema: warehouse.Schema{
			Fields:  []warehouse.Field{text("customer_key", 1, false), text("email", 2, true), text("first_name", 0, true), {Name: "income", Type: warehouse.Number, Merge: warehouse.Latest, Help: "What a person earns in a year"}},
			Streams: []warehouse.Stream{{Name: "customers", TimestampField: "ModifiedDate", DateOrder: "mdy"}, {Name: "orders"}, {Name: "products", ReferenceKey: "sku"}},
			Mappings: []warehouse.Mapping{
				{Stream: "customers", Field: "customer_key", Expression: "CustomerKey"},
				{Stream: "customers", Field: "email", Expression: "lower(EmailAddress)"},
				{Stream: "customers", Field: "income", Expression: "number(AnnualIncome)"},
				{Stream: "orders", Field: "email", Expression: "email"},
			},
		},
		streams: []warehouse.StreamStat{
			{Stream: warehouse.Stream{Name: "customers"}, Columns: columns, Unmapped: []string{"FirstName", "ModifiedDate", "Notes"}, Messages: 18148, LastMessage: dayOne, LastReceipt: dayOne.Add(time.Minute)},
			{Stream: warehouse.Stream{Name: "orders"}, Columns: []string{"email", "total"}, Unmapped: []string{"total"}, Messages: 60398, LastMessage: dayOne, LastReceipt: dayOne},
			{Stream: warehouse.Stream{Name: "products", ReferenceKey: "sku"}, Columns: []string{"sku", "price"}, Messages: 606, LastMessage: dayOne, LastReceipt: dayOne},
		},
		messages: []warehouse.Message{
			{MessageTime: dayOne, ReceivedAt: dayOne, Values: map[string]string{"CustomerKey": "11000", "EmailAddress": private, "FirstName": "Jon", "AnnualIncome": "90000", "ModifiedDate": "11/20/2026"}},
			{MessageTime: dayOne, ReceivedAt: dayOne, Values: map[string]string{"CustomerKey": "11001", "EmailAddress": "eve@private.example", "FirstName": "Eve", "AnnualIncome": "n/a", "Notes": "called twice"}},
		},
		drift: map[string][]warehouse.Drifting{"customers": {
			{Kind: "new_column", Column: "Notes", Since: dayOne, Load: "l2"},
			{Kind: "unparsed", Field: "income", Since: dayOne, Load: "l2", Count: 31, Of: 640},
			{Kind: "missing_column", Column: "Region", Since: dayOne, Load: "l2"},
		}},
	}
}

func fullWork() *work {
	load := func(id, stream, name string, status inbox.Status, rows, rejected int64) ingest.LoadStatus {
		return ingest.LoadStatus{ID: id, Stream: stream, Filename: name, Status: status, Rows: rows, Rejected: rejected, RejectedKept: rejected > 0, ReceivedAt: dayOne, LoadResult: warehouse.LoadResult{NewProfile: 12, Duplicates: 40, Corrected: 3}}
	}
	failed := load("l3", "orders", "orders-2026-11-20.csv", inbox.Failed, 900, 0)
	failed.ErrorCode, failed.Error = "BADREQ-LOAD-001", "the file can't be read"
	return &work{
		loads: []ingest.LoadStatus{failed, load("l2", "customers", "customers.csv", inbox.Merged, 18148, 7), load("l1", "orders", "orders.csv", inbox.Merged, 60398, 0)},
		rebuilds: []activation.Rebuild{
			{ID: "r2", Number: 2, Status: activation.RebuildCompleted, Reason: "income in euros", AskedBy: "ann", Attempt: 1, Done: 18000, Total: 18000, Counts: map[string]int64{"profiles": 18148, "changed_profiles": 4021, "new_profiles": 3, "gone_profiles": 1}, StartedAt: dayOne.Add(-48 * time.Hour), EndedAt: dayOne.Add(-48*time.Hour + 51*time.Second)},
			{ID: "r1", Number: 1, Status: activation.RebuildFailed, AskedBy: "ann", Attempt: 2, Total: 18000, ErrorCode: "DISK-FULL-001", ErrorText: "there is no room", StartedAt: dayOne.Add(-72 * time.Hour), EndedAt: dayOne.Add(-71 * time.Hour)},
		},
		forgets: []activation.Forget{{
			ID: "f1", Status: activation.ForgetComplete, Stage: activation.ForgetDone, AskedBy: "ann", Field: "email", Counts: map[string]int64{"profiles": 1, "messages": 14, "identifiers": 2, "memberships": 3},
			Targets: []activation.ForgetTarget{
				{Target: "t1", Destination: "Facebook shop", Audience: "High income", Status: activation.ForgetAtRemoved, Run: 41, ClosedAt: dayOne.Add(-time.Hour)},
				{Target: "t2", Destination: "TikTok", Audience: "Vip", Status: activation.ForgetAtRefused, Run: 42, Code: "TIKTOK-PERMISSION", ClosedAt: dayOne.Add(-time.Hour)},
			},
			RequestedAt: dayOne.Add(-3 * time.Hour), ErasedAt: dayOne.Add(-3 * time.Hour), RemovedAt: dayOne.Add(-time.Hour), CompletedAt: dayOne.Add(-30 * time.Minute),
		}},
		state: imports.Position{Pieces: 12, Rows: 40000, Last: "customers-2026-11-19.csv", UpdatedAt: dayOne, Position: "cursor-of-jon"},
		preview: imports.FirstRows{
			Name: "customers-2026-11-20.csv", Stream: "customers",
			Columns: []imports.Column{
				{Name: "CustomerKey", Samples: []string{"11000", "11001"}},
				{Name: "EmailAddress", Samples: []string{private, "eve@private.example"}},
				{Name: "Mobile Phone", Identifier: "phone", Samples: []string{"555-0100"}},
				{Name: "BirthDate", Samples: []string{"1966-04-08", "1965-05-14"}, Times: 2},
				{Name: "ModifiedDate", Samples: []string{"2026-11-20"}, Times: 2},
			},
			Rows:     [][]string{{"11000", private, "555-0100", "1966-04-08", "2026-11-20"}, {"11001", "eve@private.example", "555-0101", "1965-05-14", "2026-11-20"}},
			Times:    []string{"2026-11-20T00:00:00Z", ""},
			Rejected: []ingest.RowError{{Line: 3, Code: "ROW-COLUMNS", Reason: "has 4 values where the header has 5"}},
			Pieces:   []imports.PieceInfo{{Name: "customers-2026-11-20.csv", Size: 2400000, Modified: dayOne}, {Name: "customers-2026-11-21.csv", Size: 900}},
		},
	}
}
