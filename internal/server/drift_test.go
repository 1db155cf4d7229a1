package server_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"usher/internal/activation"
	"usher/internal/server/servertest"
	"usher/internal/store/postgres/postgrestest"
	"usher/internal/warehouse"
)

// TestDrift: three rows are deleted from a real table and two are put in behind
// the server's back. It names exactly those five, mends them by a run after
// showing a plan, and finds nothing more.
func TestDrift(t *testing.T) {
	dsn := postgrestest.New(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	port := forward(t, filepath.Join(config.Host, fmt.Sprintf(".s.PGSQL.%d", config.Port)))
	config.Host, config.Port = "127.0.0.1", port
	v := &voyages{Server: servertest.Start(t, fmt.Sprintf("127.0.0.1:%d", port)), t: t, database: dsn}
	v.declare()
	var rows, ids []string
	for id := 1; id <= 9; id++ {
		rows, ids = append(rows, row(id, 90)), append(ids, fmt.Sprint(id))
	}
	v.Load("people", peopleHead+strings.Join(rows, "")+row(10, 90))
	g := voyage{
		name: "Table", workflow: "postgres_export", network: "-", account: config.Database,
		own:     map[string]string{"host": config.Host, "port": fmt.Sprint(port), "username": config.User, "password": config.Password, "sslmode": "disable"},
		mapping: map[string]string{"customer": "customer", "email": "email", "score": "score"}, destination: map[string]any{"schema": config.RuntimeParams["search_path"], "id_column": "customer"},
		held: func(v *voyages) []string { return v.query(`SELECT customer FROM usher_high`) },
	}
	v.embark(&g)
	v.arrives(&g, "1 10 2 3 4 5 6 7 8 9")
	var targets []struct{ ID string }
	v.Must(http.MethodGet, "/v2/target?job_id="+g.id, nil, &targets)
	target := "/v2/target/" + targets[0].ID
	v.Load("people", peopleHead+row(10, 10)) // was in once: known by the keys of then
	_, _ = v.Client(activation.RoleOperator).Do(t.Context(), http.MethodPost, target+"/run", nil, nil)
	v.arrives(&g, strings.Join(ids, " "))
	compare := func() (r activation.Reconciliation) {
		t.Helper()
		v.Eventually("comparing", func() bool { // refused while a run is open
			_, err := v.Client(activation.RoleOperator).Do(t.Context(), http.MethodPost, target+"/reconcile", nil, &r)
			return err == nil
		})
		return r
	}
	if r := compare(); r.Status != activation.ReconcileEqual || r.Method != activation.ByMembers || r.Ledger != 9 || r.RemoteLow != 9 {
		t.Fatalf("at first: %+v", r)
	}

	v.query(`DELETE FROM usher_high WHERE customer IN ('2', '5', '7') RETURNING customer`)
	v.query(`INSERT INTO usher_high (customer, email, score) VALUES ('10', 'p10@example.com', 10), ('stranger', 'stranger@example.com', 1) RETURNING customer`)
	if r := compare(); r.Status != activation.ReconcileDrifted || r.Missing != 3 || r.Extra != 2 {
		t.Fatalf("behind our back: %+v", r)
	}
	var drift []warehouse.DriftRow
	v.Must(http.MethodGet, target+"/drift", nil, &drift)
	var named []string
	for _, d := range drift {
		named = append(named, fmt.Sprintf("%s %d", d.Kind, d.Profile))
	}
	slices.Sort(named)
	want := []string{"extra 0", "extra " + v.profile("10"), "missing " + v.profile("2"), "missing " + v.profile("5"), "missing " + v.profile("7")}
	slices.Sort(want)
	if !slices.Equal(named, want) {
		t.Errorf("it names %v, want %v", named, want)
	}

	var plan struct {
		Plan struct {
			Counts activation.Counts `json:"counts"`
		} `json:"plan"`
	}
	v.Must(http.MethodPost, target+"/repair?dry_run=true", nil, &plan)
	if plan.Plan.Counts.Add+plan.Plan.Counts.Update != 3 || plan.Plan.Counts.Remove != 2 {
		t.Errorf("the plan of the repair: %+v", plan.Plan.Counts)
	}
	v.Must(http.MethodPost, target+"/repair", nil, nil)
	v.arrives(&g, strings.Join(ids, " "))
	if r := compare(); r.Status != activation.ReconcileEqual {
		t.Errorf("after the repair: %+v", r)
	}

	// A full replace mends it too, whatever the ledger says.
	v.query(`DELETE FROM usher_high WHERE customer IN ('1', '9') RETURNING customer`)
	v.query(`INSERT INTO usher_high (customer, email, score) VALUES ('stranger', 'stranger@example.com', 1) RETURNING customer`)
	v.Must(http.MethodPost, target+"/replace", nil, nil)
	v.arrives(&g, strings.Join(ids, " "))
	if r := compare(); r.Status != activation.ReconcileEqual || r.Ledger != 9 {
		t.Errorf("after the replace: %+v", r)
	}
}

// profile is the id of a customer's profile.
func (v *voyages) profile(customer string) string {
	var p struct {
		ID int64 `json:"id"`
	}
	v.Must(http.MethodPost, "/v2/profile/lookup", map[string]string{"field": "customer", "value": customer}, &p)
	return fmt.Sprint(p.ID)
}
