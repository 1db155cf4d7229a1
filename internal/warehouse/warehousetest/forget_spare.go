package warehousetest

import (
	"context"
	"fmt"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// sparing: what many people carry, or the stop-list has, tells of none of them.
func sparing(t *testing.T, w warehouse.Warehouse) {
	l := NewLoader(t.TempDir(), w)
	s := contacts(warehouse.Identity{MaxIdentifiers: 3, StopList: []string{"desk@x.org"}})
	s.Streams = append(s.Streams, warehouse.Stream{Name: "calls"})
	l.Apply(t, s)
	var rows []Row
	for n := range 6 {
		rows = append(rows, row(1, "id", fmt.Sprint(n), "customer", fmt.Sprint("c", n), "email", "info@x.org"))
	}
	l.Load(t, "many", "crm", append(rows, row(2, "id", "own", "customer", "c0", "email", "Ann@x.org"), row(3, "id", "desk", "customer", "c0", "email", "desk@x.org"))...)
	l.Load(t, "calls", "calls", row(1, "who", "info@x.org"), row(1, "who", "Desk@x.org"), row(1, "who", "ann@x.org"))
	if e := forgetOne(t, w, "one of many", "customer", "c0"); e.Profiles != 1 || e.Messages != 4 {
		t.Errorf("erased %+v, want c0's three messages and the call that names them", e)
	}
	wantSuppressed := func(load string, want int64, rows ...Row) {
		t.Helper()
		if r := l.Load(t, load, "crm", rows...); r.Suppressed != want {
			t.Errorf("load %s: %d messages are kept away, want %d", load, r.Suppressed, want)
		}
	}
	wantSuppressed("after", 3, row(4, "id", "10", "customer", "c1", "email", "info@x.org"), row(4, "id", "11", "customer", "c2", "email", "desk@x.org"),
		row(4, "id", "12", "customer", "c3", "email", "ANN@x.org"), row(4, "id", "13", "email", "Ann@x.org"), row(4, "id", "14", "customer", "c0"))

	// Asked for by the shared value itself, in whatever spelling.
	for i, value := range []string{"info@x.org", "INFO@x.org"} {
		if e := forgetOne(t, w, activation.ForgetID(fmt.Sprint("by ", i)), "email", value); e.Profiles != 0 || e.Messages != 0 {
			t.Errorf("%s erased %+v, want nobody", value, e)
		}
	}
	wantSuppressed("alone", 0, row(5, "id", "20", "email", "info@x.org"), row(5, "id", "21", "customer", "c4", "email", "info@x.org"))
	if e := forgetOne(t, w, "who has nothing else", "email", "info@x.org"); e.Profiles != 1 || e.Messages != 1 {
		t.Errorf("erased %+v, want who has nothing but that", e)
	}
	for n := 1; n < 6; n++ {
		l.Find(t, "customer", fmt.Sprint("c", n))
	}

	// What only one person carries is theirs, capped or not.
	wantSuppressed("full", 0, row(6, "id", "30", "customer", "f1", "email", "f@x.org", "phone", "+1"), row(6, "id", "31", "customer", "f1", "email", "g@x.org", "phone", "+1"))
	if e := forgetOne(t, w, "full", "phone", "+1"); e.Profiles != 1 || e.Messages != 2 {
		t.Errorf("erased %+v, want f1", e)
	}
	wantSuppressed("full again", 3, row(7, "id", "40", "phone", "+1"), row(7, "id", "41", "email", "g@x.org"), row(7, "id", "42", "customer", "f1"))

	// What comes to be on the stop-list tells of nobody any more.
	wantSuppressed("front", 0, row(8, "id", "50", "customer", "h1", "email", "front@x.org"))
	forgetOne(t, w, "front", "customer", "h1")
	wantSuppressed("front again", 1, row(9, "id", "51", "customer", "h2", "email", "front@x.org"))
	s.Identity.StopList = []string{"desk@x.org", "front@x.org"}
	l.Apply(t, s)
	l.Rebuild(t)
	wantSuppressed("front, stopped", 1, row(9, "id", "52", "customer", "h2", "email", "Front@x.org"), row(9, "id", "53", "customer", "h1", "email", "front@x.org"))
	recognise, err := w.Recognise(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"h1": true, "front@x.org": false, "info@x.org": false, "ANN@x.org": true} {
		if recognise(text) != want {
			t.Errorf("%s is recognised: %t", text, !want)
		}
	}
}
