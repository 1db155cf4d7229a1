package decision_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/decision"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/provider/usher"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/warehouse"
	"usher/internal/warehouse/duckdb"
	"usher/internal/warehouse/warehousetest"
)

// TestInTheRealPlanes leads one action through its life in SQLite and DuckDB: a
// job that sends the level has its audiences, keeps them through a change of
// names, and gives them up when it is deleted.
func TestInTheRealPlanes(t *testing.T) {
	ctx := t.Context()
	control, err := sqlite.Open(ctx, sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.db")), sqlite.Options{Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	db, err := duckdb.Open(ctx, duckdb.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := control.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	loader := warehousetest.NewLoader(t.TempDir(), db)
	loader.Apply(t, warehouse.Schema{
		Fields: fields, Streams: []warehouse.Stream{{Name: "customers"}},
		Mappings: []warehouse.Mapping{{Stream: "customers", Field: "customer", Expression: "customer"}, {Stream: "customers", Field: "age", Expression: "age"}},
	})
	loader.Load(t, "people", "customers", warehousetest.Row{Time: 1, Values: map[string]string{"customer": "young", "age": "17"}}, warehousetest.Row{Time: 1, Values: map[string]string{"customer": "old", "age": "40"}})
	declared := catalog.New(catalog.Config{Store: control, Warehouse: db, Providers: []provider.Definition{meta.Definition(), usher.Definition()}, Now: func() time.Time { return testNow }})
	w := &world{plane: db, Decisions: decision.New(decision.Config{Store: control, Warehouse: db, Catalog: declared, Jobs: declared, Delivery: control, Now: func() time.Time { return testNow }})}

	sales := w.issue(t, "Sales")
	offers := w.group(t, sales, "Offers")
	a := w.action(t, offers, "Loan", "FILTER age >= 18", 1)
	auth, err := control.CreateAuthorization(ctx, activation.Authorization{Label: "a", Provider: "meta", KeyID: "k", Sealed: []byte("x")}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	dest, err := control.CreateDestination(ctx, activation.Destination{Name: "Shop", Provider: "meta", Authorization: auth.ID, Account: "1", Mapping: map[string]string{"EXTERN_ID": "customer"}, Enabled: true}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	job, err := control.CreateJob(ctx, activation.Job{
		Name: "Sales", Workflow: "meta_custom_audience", Provider: "meta", Type: "export", Destination: dest.ID, Level: "Sales",
		Audiences: []activation.AudienceID{a.Audience, a.Negative}, Schedule: activation.Schedule{Continuous: true}, CreatedBy: "ann",
	})
	if err != nil {
		t.Fatal(err)
	}
	targets := func() []activation.Target {
		all, err := control.Targets(ctx, store.TargetFilter{Destination: dest.ID})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}

	b := w.action(t, offers, "Card", "FILTER *", 0)
	if got := targets(); len(got) != 4 {
		t.Errorf("with a second action the job has %d targets", len(got))
	}
	if got := w.decide(t, "old Sales", "young Sales"); !slices.Equal(got, []string{"decided Sales/Offers/Loan", "decided Sales/Offers/Card"}) {
		t.Errorf("got %q", got)
	}
	if done, err := w.DecideLevel(ctx, "Sales/Offers"); err != nil || done.Entered+done.Left != 0 || done.Considered != 2 {
		t.Errorf("deciding for everybody came to %+v, %v", done, err)
	}
	for _, x := range targets() {
		if x.DueCause != activation.CauseOutbound || !x.DueNow {
			t.Errorf("after the outbound decision a target is due by %q", x.DueCause)
		}
	}

	if _, err := w.Decisions.UpdateIssue(ctx, activation.Issue{ID: sales.ID, Name: "Care"}, "ann"); err != nil {
		t.Fatal(err)
	}
	job, err = control.Job(ctx, job.ID)
	if err != nil || job.Level != "Care" || len(job.Audiences) != 4 {
		t.Errorf("after a change of names the job sends %q and %d audiences, %v", job.Level, len(job.Audiences), err)
	}
	positive, err := control.Audience(ctx, a.Audience)
	if err != nil || positive.Name != "Care-Offers-Loan" || positive.Slug != "sales-offers-loan" || positive.Kind != activation.KindAction {
		t.Errorf("the audience is %+v, %v", positive, err)
	}

	if err := w.Decisions.DeleteAction(ctx, a.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	if left := len(w.members(t, a.Audience)) + len(w.members(t, a.Negative)); left > 0 {
		t.Errorf("%d people are still in what was deleted", left)
	}
	if got := w.members(t, b.Audience); !slices.Equal(got, []string{"young"}) {
		t.Errorf("the other action has %v", got)
	}
	positive, err = control.Audience(ctx, a.Audience)
	if err != nil || positive.Kind != activation.KindRetired || !strings.Contains(positive.Slug, "-retired-") {
		t.Errorf("the audience is %+v, %v", positive, err)
	}
	for _, x := range targets() {
		if gone := x.Audience == a.Audience || x.Audience == a.Negative; gone != (x.Job == "") {
			t.Errorf("the target of %s is owned by %q", x.Audience, x.Job)
		}
	}
	if err := w.Settle(ctx); err != nil {
		t.Error(err)
	}
}
