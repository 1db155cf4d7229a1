package manifest_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/decision"
	"usher/internal/manifest"
	"usher/internal/provider"
	"usher/internal/provider/google"
	"usher/internal/provider/meta"
	"usher/internal/provider/sftp"
	"usher/internal/provider/usher"
	"usher/internal/provider/webhook"
	"usher/internal/publishing"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/warehouse/duckdb"
)

type box struct{}

func (box) Open([]byte, string) (map[string]provider.Secret, error) { return nil, nil }

func (box) Seal(map[string]provider.Secret) ([]byte, string, error) {
	return []byte("sealed"), "key", nil
}

// keepsAll gives nothing up: no plan deletes an action.
type keepsAll struct{ decision.Releaser }

type world struct {
	*manifest.Manifest
	t     *testing.T
	store *store.Store
	plane *duckdb.DB
	now   time.Time // Sunday, 22 November 2026, 12:00 UTC
}

func (w *world) clock() time.Time { return w.now }

func newWorld(t *testing.T, label string) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	st, err := sqlite.Open(t.Context(), sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.sqlite")), sqlite.Options{Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	db, err := duckdb.Open(t.Context(), duckdb.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(st.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	cat := catalog.New(catalog.Config{
		Store: st, Warehouse: db, Sealer: box{}, Providers: []provider.Definition{meta.Definition(), webhook.Definition(), usher.Definition(), sftp.Definition(), adverts(), google.Definition()}, Log: slog.New(slog.DiscardHandler), Now: w.clock,
	})
	if _, err := cat.CreateAuthorization(t.Context(), "meta", label, map[string]string{"access_token": "hunter2"}, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := cat.CreateAuthorization(t.Context(), "webhook", "Our endpoint", map[string]string{"webhook_url": "https://shop.example.com/events"}, "ann"); err != nil {
		t.Fatal(err)
	}
	for _, a := range []activation.Authorization{{Label: "Adverts", Provider: "adverts"}, {Label: "Files", Provider: "sftp"}, {Label: "Our Google", Provider: "google"}} {
		a.KeyID, a.Sealed = "key", []byte("sealed")
		if _, err := st.CreateAuthorization(t.Context(), a, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	best := decision.New(decision.Config{Store: st, Warehouse: db, Catalog: cat, Jobs: cat, Delivery: keepsAll{}})
	w.store, w.plane = st, db
	w.Manifest = &manifest.Manifest{Catalog: cat, Decisions: best, Jobs: st, Plane: db, Desk: publishing.New(w.publishers()), Publishing: w.publishers()}
	return w
}

// shop is a whole configuration, in an order in which nothing finds what it
// needs, spread over files as people do it.
func shop() map[string]string {
	return map[string]string{
		"a-jobs.yaml": `# what goes where
kind: job
name: Spenders nightly
workflow: meta-custom-audience
destination: Shop
audiences: [big-spenders]
run_frequency: daily
time_of_day: "2:30"
timezone: Europe/Berlin
quiet_time_of_day: "22:00"
quiet_period: 8h
withbackfill: false
user_limit: 1000
user_limit_frequency: daily
fail_after: 2h
on_end: empty
config:
  customer_file_source: BOTH_USER_AND_PARTNER_PROVIDED
---
kind: job
name: Home
workflow: meta_custom_audience
destination: Shop
audiences: [home]
exclude: [big-spenders]
holdout_percent: 12.5
---
kind: job
name: Tell the shop
workflow: webhook-triggers
destination: Shop's endpoint
audiences: [home]
config: {template_id: Chat message, audience_events: enters_only}
`,
		"best.yaml": `kind: job
name: Offers to the shop
workflow: meta_custom_audience
destination: Shop
level: Sales/Retention offers
---
kind: job
name: Decide offers
workflow: next_best_action
run_frequency: daily
config: {level: Sales/Retention offers}
---
kind: audience
slug: never-discounted
name: Never discounted
rule: FILTER INCLUDE sales-retention-offers-discount-n
---
kind: action
issue: Sales
group: Retention offers
name: Discount
eligibility: FILTER INCLUDE home
priority: 20
---
kind: action
issue: Sales
group: Retention offers
name: Free shipping
description: While the warehouse has room
eligibility: FILTER *
enabled: false
---
kind: group
issue: Sales
name: Retention offers
---
kind: issue
name: Sales
description: What brings people to buy again
`,
		"lists.yaml": `kind: priority_list
name: Spenders first
destination: Shop
audiences: [big-spenders, home]
`,
		"b.yaml": `kind: audience
slug: big-spenders
name: Big spenders
rule: |
  FILTER AND (
    INCLUDE home,
    spent > 100
  )
---
kind: audience
slug: home
name: At home
rule: FILTER country = "DE"
---
kind: destination
name: Shop
provider: meta
authorization: Our Meta
account: "123"
mapping: {EMAIL: email}
config: {default_country: DE, max_request_bytes: 500000}
`,
		"hook.yaml": `kind: destination
name: Shop's endpoint
provider: webhook
authorization: Our endpoint
mapping: {mail: email}
---
kind: template
name: Chat message
description: One line for the shop's chat
text: |
  local event = std.extVar('event');
  {
    text: 'new: ' + event.data.segments[0],
  }
`,
		"z/data.yml": `kind: stream
name: orders
timestamp_field: at
date_order: dmy
mappings:
  email: lower(mail)
  spent: number(total)
  country: country
---
kind: field
name: email
type: text
identifier_rank: 1
pii: true
---
{kind: field, name: spent, type: number, merge: sum}
---
kind: field
name: country
type: text
---
kind: authorization
label: Our Meta
provider: meta
`,
	}
}

func (w *world) apply(files map[string]string) []manifest.Step {
	w.t.Helper()
	steps, err := w.Apply(w.t.Context(), files, "ann")
	if err != nil {
		w.t.Fatal(err)
	}
	return steps
}

func count(steps []manifest.Step, a manifest.Action) (n int) {
	for _, s := range steps {
		if s.Action == a {
			n++
		}
	}
	return n
}

// TestApply: a plan writes nothing, an apply makes everything whatever the
// order of the files, and the second one changes nothing.
func TestApply(t *testing.T) {
	w := newWorld(t, "Our Meta")
	plan, err := w.Plan(t.Context(), shop())
	if err != nil {
		t.Fatal(err)
	}
	if count(plan, manifest.Create) != 20 || len(plan) != 21 {
		t.Fatalf("the plan is %+v", plan)
	}
	w.isEmpty()
	done := w.apply(shop())
	if !slices.EqualFunc(plan, done, func(a, b manifest.Step) bool {
		return a.Action == b.Action && a.Kind == b.Kind && a.Name == b.Name && a.File == b.File && a.Line == b.Line
	}) {
		t.Errorf("planned %+v, did %+v", plan, done)
	}
	again := w.apply(shop())
	if count(again, manifest.Unchanged) != len(again) {
		t.Errorf("the second apply changed something: %+v", again)
	}
	jobs, err := w.store.Jobs(t.Context(), store.JobFilter{})
	if err != nil || len(jobs) != 5 {
		t.Fatal(jobs, err)
	}
	i := slices.IndexFunc(jobs, func(j activation.Job) bool { return j.Name == "Spenders nightly" })
	j := jobs[i]
	if j.TimeOfDay != "02:30" || j.QuietPeriod != 8*time.Hour || !j.SkipBackfill || j.UserLimit != 1000 || j.FailAfter != 2*time.Hour || j.OnEnd != activation.EndEmpty || j.Config["customer_file_source"] != "BOTH_USER_AND_PARTNER_PROVIDED" {
		t.Errorf("the job is %+v", j)
	}
	made, err := w.store.Template(t.Context(), "Chat message")
	i = slices.IndexFunc(jobs, func(j activation.Job) bool { return j.Name == "Tell the shop" })
	if err != nil || jobs[i].Config["template_id"] != made.ID || !strings.HasSuffix(made.Text, "\n}\n") {
		t.Errorf("the job of a template is %+v, the template %+v, %v", jobs[i], made, err)
	}
}

// TestChanges: what differs is named by field, and only that is done.
func TestChanges(t *testing.T) {
	w := newWorld(t, "Our Meta")
	w.apply(shop())
	files := shop()
	files["a-jobs.yaml"] = strings.ReplaceAll(files["a-jobs.yaml"], "fail_after: 2h", "fail_after: 3h\nhidden: true")
	files["best.yaml"] = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(files["best.yaml"], "priority: 20", "priority: 30"), "enabled: false", ""), "to buy again", "back")
	files["hook.yaml"] = strings.ReplaceAll(files["hook.yaml"], "text: 'new", "text: 'welcome")
	files["b.yaml"] = strings.ReplaceAll(strings.ReplaceAll(files["b.yaml"], "{EMAIL: email}", "{EMAIL: email, COUNTRY: country}"), "spent > 100", "spent > 200")
	files["z/data.yml"] = strings.ReplaceAll(files["z/data.yml"], "  country: country\n", "")
	var got []string
	for _, s := range w.apply(files) {
		if s.Action != manifest.Unchanged {
			got = append(got, s.Kind+" "+s.Name+": "+strings.Join(s.Changes, ", "))
		}
	}
	want := []string{
		"stream orders: mappings", "issue Sales: description", "audience big-spenders: rule",
		"action Sales/Retention offers/Discount: priority", "action Sales/Retention offers/Free shipping: enabled", "template Chat message: text", "destination Shop: mapping",
		"job Spenders nightly (meta_custom_audience): fail_after, hidden",
	}
	if !slices.Equal(got, want) {
		t.Errorf("changed %q, want %q", got, want)
	}
	if again := w.apply(files); count(again, manifest.Unchanged) != len(again) {
		t.Errorf("not settled: %+v", again)
	}
	// A job that sends a level follows it: nothing but the action is made.
	files["more.yaml"] = "kind: action\nissue: Sales\ngroup: Retention offers\nname: Gift\neligibility: FILTER *\n"
	if more := w.apply(files); count(more, manifest.Create) != 1 || count(more, manifest.Unchanged) != len(more)-1 {
		t.Errorf("an action more: %+v", more)
	}
	if again := w.apply(files); count(again, manifest.Unchanged) != len(again) {
		t.Errorf("not settled with one action more: %+v", again)
	}
	// Layout and comments are no change; a description that is gone is.
	files["b.yaml"] = strings.ReplaceAll(files["b.yaml"], "rule: FILTER country", "# at home\nrule: filter country")
	if again := w.apply(files); count(again, manifest.Unchanged) != len(again) {
		t.Errorf("layout is a change: %+v", again)
	}
}

// TestExport: what is exported applies to another server, and changes nothing
// on its own. It holds no secret.
func TestExport(t *testing.T) {
	w := newWorld(t, "Our Meta")
	w.apply(shop())
	files, err := w.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again := w.apply(files); count(again, manifest.Unchanged) != len(again) || len(again) != 25 {
		t.Errorf("its own export changes something: %+v", again)
	}
	other := newWorld(t, "Our Meta")
	other.apply(files)
	back, err := other.Export(t.Context())
	if err != nil || !maps.Equal(files, back) {
		t.Errorf("the export of the copy differs: %v\n%v\n%v", err, files, back)
	}
	if text := files["jobs/tell-the-shop.yaml"]; !strings.Contains(text, "template_id: Chat message\n") {
		t.Errorf("the job does not name its template: %s", text)
	}
	for name, text := range files {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "sealed") {
			t.Errorf("%s holds a secret", name)
		}
	}
}

// TestProblems: everything wrong is named at once with file, line and field,
// without the value, and nothing is stored.
func TestProblems(t *testing.T) {
	const mark = "mark-of-a-value"
	cases := map[string]struct{ text, want string }{
		"no yaml":          {"kind: field\nname: [" + mark, "x.yaml:"},
		"no kind":          {"name: x", "x.yaml:1: kind must be one of"},
		"a list":           {"- " + mark, "x.yaml:1: a document is keys and values"},
		"unknown kind":     {"kind: " + mark, "kind must be one of authorization, field"},
		"unknown key":      {"kind: field\nname: a\ntype: text\nzzz: " + mark, "x.yaml:4: unknown field"},
		"wrong type":       {"kind: field\nname: a\ntype: text\npii: [" + mark + "]", "x.yaml:4: needs a value of another kind (true or false)"},
		"no name":          {"kind: job\nname: " + mark, "name and workflow are needed"},
		"twice":            {"kind: field\nname: a\ntype: text\n---\nkind: field\nname: a\ntype: text", "declared in x.yaml already"},
		"field type":       {"kind: field\nname: a\ntype: " + mark, "x.yaml:"},
		"rule":             {"kind: audience\nslug: a\nname: A\nrule: FILTER nothing_there = \"" + mark + "\"", "x.yaml:4: rule: "},
		"rule syntax":      {"kind: audience\nslug: a\nname: A\nrule: FILTER >", "x.yaml:4: rule: line 1, column"},
		"cycle":            {"kind: audience\nslug: a\nname: A\nrule: FILTER INCLUDE b\n---\nkind: audience\nslug: b\nname: B\nrule: FILTER INCLUDE a", "rule: "},
		"no authorization": {"kind: destination\nname: D\nprovider: meta\nauthorization: " + mark + "\naccount: 1\nmapping: {}", "x.yaml:4: authorization: there is no authorization of meta with this label"},
		"account type":     {"kind: destination\nname: D\nprovider: meta\nauthorization: Our Meta\naccount: 1\nmapping: {EMAIL: " + mark + "}", "x.yaml:6: mapping.EMAIL: there is no such field"},
		"template":         {"kind: template\nname: T\ntext: |\n  {\n    a: " + mark + ",\n  }", "x.yaml:3: text: line 2, column 6: "},
		"no text":          {"kind: template\nname: T", "x.yaml:1: text: is needed"},
		"no such template": {"kind: job\nname: J\nworkflow: webhook_triggers\ndestination: Shop's endpoint\naudiences: [home]\nconfig:\n  template_id: " + mark, "x.yaml:7: config.template_id: there is no such template"},
		"setting":          {"kind: destination\nname: D\nprovider: meta\nauthorization: Our Meta\naccount: 1\nconfig:\n  zzz: " + mark, "x.yaml:7: config.zzz: is not a setting"},
		"job":              {"kind: job\nname: J\nworkflow: meta-custom-audience\ndestination: " + mark + "\nfail_after: " + mark, "x.yaml:4: destination: there is no destination"},
		"schedule":         {"kind: job\nname: J\nworkflow: meta-custom-audience\naudiences: [" + mark + "]\ntimezone: " + mark, "x.yaml:5: timezone: "},
		"no issue":         {"kind: group\nname: " + mark, "x.yaml:1: issue and name are needed"},
		"no such issue":    {"kind: group\nname: G\nissue: " + mark, "x.yaml:3: issue: there is no issue of this name"},
		"no such group":    {"kind: action\nissue: Sales\nname: A\neligibility: FILTER *\ngroup: " + mark, "x.yaml:5: group: the issue has no group of this name"},
		"name of a part":   {"kind: issue\nname: " + mark, "x.yaml:2: name: must be made of letters"},
		"eligibility":      {"kind: action\nissue: Sales\ngroup: Retention offers\nname: A\neligibility: FILTER nothing_there = \"" + mark + "\"", "x.yaml:5: eligibility: "},
		"no eligibility":   {"kind: action\nissue: Sales\ngroup: Retention offers\nname: A", "x.yaml:1: eligibility: is needed"},
		"priority":         {"kind: action\nissue: Sales\ngroup: Retention offers\nname: A\neligibility: FILTER *\npriority: 1000001", "x.yaml:6: priority: must be from"},
		"no such level":    {"kind: job\nname: J\nworkflow: meta_custom_audience\ndestination: Shop\nlevel: " + mark, "x.yaml:5: level: no such level"},
		"level of nothing": {"kind: job\nname: J\nworkflow: next_best_action\nconfig:\n  level: " + mark, "x.yaml:5: config.level: no such level"},
		"includes given":   {"kind: audience\nslug: a\nname: A\nrule: FILTER INCLUDE sales-retention-offers-discount", "x.yaml:4: rule: "},
		"listed twice":     {"kind: priority_list\nname: L\ndestination: Shop\naudiences: [home, never-discounted]", "x.yaml:4: audiences: "},
		"workflow":         {"kind: job\nname: J\nworkflow: " + mark, "x.yaml:3: workflow: no such workflow"},
	}
	w := newWorld(t, "Our Meta") // one for all: nothing is stored
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			files := shop()
			files["x.yaml"] = c.text
			_, err := w.Apply(t.Context(), files, "ann")
			if activation.KindOf(err) != activation.Invalid {
				t.Fatalf("error is %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nlacks %q", err, c.want)
			}
			if strings.Contains(err.Error(), mark) {
				t.Errorf("gives back a value: %v", err)
			}
			w.isEmpty()
		})
	}
}

// isEmpty fails when anything is declared beside the authorization.
func (w *world) isEmpty() {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	schema, err := w.plane.Schema(ctx)
	audiences, err2 := w.store.Audiences(ctx)
	templates, err5 := w.store.Templates(ctx)
	destinations, err3 := w.store.Destinations(ctx)
	jobs, err4 := w.store.Jobs(ctx, store.JobFilter{})
	h, err6 := w.store.Hierarchy(ctx)
	lists, err7 := w.store.PriorityLists(ctx, "")
	accounts, err8 := w.store.Publishers(ctx)
	if err := errors.Join(err, err2, err3, err4, err5, err6, err7, err8); err != nil {
		w.t.Fatal(err)
	}
	if n := len(schema.Fields) + len(schema.Streams) + len(audiences) + len(templates) + len(destinations) + len(jobs) + len(h.Issues) + len(h.Groups) + len(h.Actions) + len(lists) + len(accounts); n > 0 {
		w.t.Errorf("%d things were stored", n)
	}
}

// FuzzPlan: no file makes a plan panic, and a plan writes nothing.
func FuzzPlan(f *testing.F) {
	for _, text := range shop() {
		f.Add(text)
	}
	f.Add(ads()["ads.yaml"])
	f.Add("kind: job\n? [a]\n: b")
	f.Add("&a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		m := &manifest.Manifest{Catalog: catalog.New(catalog.Config{Store: nothing{}, Warehouse: nothingPlane{}, Providers: []provider.Definition{meta.Definition(), webhook.Definition()}, Now: time.Now}), Jobs: nothing{}, Plane: nothingPlane{}, Publishing: publishing.Config{Store: nobody{}, Providers: []provider.Definition{adverts()}}}
		_, err := m.Plan(t.Context(), map[string]string{"x.yaml": text})
		if err != nil && activation.KindOf(err) != activation.Invalid {
			t.Errorf("error is %v", err)
		}
	})
}

// TestOrder: whatever the order of the documents, the plan is the same.
func TestOrder(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // each is a whole plan
		if err := f.Value.Set("15"); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, "Our Meta")
	var docs []string
	for _, text := range shop() {
		docs = append(docs, strings.Split(text, "---\n")...)
	}
	rapid.Check(t, func(t *rapid.T) {
		steps, err := w.Plan(context.Background(), map[string]string{"x.yaml": strings.Join(rapid.Permutation(docs).Draw(t, "docs"), "\n---\n")})
		if err != nil || count(steps, manifest.Create) != 20 {
			t.Fatalf("%v: %+v", err, steps)
		}
	})
}
