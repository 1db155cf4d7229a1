package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// teller is a loader that reads the merge history.
type teller struct {
	*Loader
	history warehouse.Identities
}

// identityCases are the examples; each has an empty warehouse.
var identityCases = []struct {
	name string
	run  func(t *testing.T, l *teller)
}{
	{"one shared e-mail makes nobody of many", sharedEmail},
	{"rank says which value is capped", rankDecides},
	{"a changed rank, cap or stop-list waits for a rebuild", identityWaits},
	{"values that stand for nobody identify nobody", stopList},
	{"a value that is too long identifies nobody", tooLong},
	{"a merge is told", mergeTold},
	{"a correction that parts people is told", partTold},
	{"a capped value is told", cappedTold},
	{"a rebuild that merges and parts is told", rebuildTold},
	{"the history is read in pages", historyPages},
	{"settings that can't be are refused", identityRefusals},
}

// contacts declares one stream whose customer, e-mail and phone find people.
func contacts(id warehouse.Identity) warehouse.Schema {
	return warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "customer", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2, PII: true},
			{Name: "phone", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 3, PII: true},
			{Name: "n", Type: warehouse.Integer, Merge: warehouse.Count},
		},
		Streams:  []warehouse.Stream{{Name: "crm", MessageID: []string{"id"}}},
		Mappings: mapAll("crm", map[string]string{"customer": "customer", "email": "email", "phone": "phone", "n": "id"}),
		Identity: id,
	}
}

// merges returns the history of a profile, 0 = of all.
func (l *teller) merges(t *testing.T, profile int64) []warehouse.MergeEvent {
	t.Helper()
	got, err := l.history.Merges(context.Background(), profile, time.Time{}, 100)
	if err != nil {
		t.Fatalf("merge history: %v", err)
	}
	return got
}

// wantHistory compares a history without its times.
func (l *teller) wantHistory(t *testing.T, profile int64, want ...warehouse.MergeEvent) {
	t.Helper()
	got := l.merges(t, profile)
	var later time.Time
	for i, e := range got {
		if e.At.IsZero() || i > 0 && !e.At.Before(later) {
			t.Errorf("event %d is of %v, after one of %v", i, e.At, later)
		}
		later, got[i].At = e.At, time.Time{}
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("the history of profile %d is\n%+v, want\n%+v", profile, got, want)
	}
}

func (l *teller) missing(t *testing.T, field, text string) {
	t.Helper()
	if p, err := l.Store.Find(context.Background(), field, text); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("%s %s finds %d (%v), want nobody", field, text, p.ID, err)
	}
}

func sharedEmail(t *testing.T, l *teller) {
	l.Apply(t, contacts(warehouse.Identity{MaxIdentifiers: 5}))
	var rows []Row
	for n := range 20 {
		rows = append(rows, row(1, "id", fmt.Sprint(n), "customer", fmt.Sprint("c", n), "email", "info@x"))
	}
	l.Load(t, "few", "crm", rows[:3]...)
	if one, other := l.Find(t, "customer", "c0"), l.Find(t, "customer", "c2"); one.ID != other.ID {
		t.Errorf("customers %d and %d have one e-mail and few identifiers, but are two", one.ID, other.ID)
	}
	l.Load(t, "many", "crm", rows[3:]...)
	seen := make(map[int64]bool)
	for n := range 20 {
		p := l.Find(t, "customer", fmt.Sprint("c", n))
		wantValues(t, p, map[string]any{"customer": fmt.Sprint("c", n), "email": "info@x", "n": int64(1)})
		seen[p.ID] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d people, want 20", len(seen))
	}
	l.missing(t, "email", "info@x")
	l.Load(t, "alone", "crm", row(2, "id", "alone", "email", "info@x", "phone", ""))
	wantValues(t, l.Find(t, "email", "info@x"), map[string]any{"email": "info@x", "n": int64(1)})
	// Taken back from all but two, it links these.
	rows = nil
	for n := 2; n < 20; n++ {
		rows = append(rows, row(2, "id", fmt.Sprint(n), "customer", fmt.Sprint("c", n)))
	}
	l.Load(t, "corrected", "crm", rows...)
	wantValues(t, l.Find(t, "email", "info@x"), map[string]any{"customer": "c1", "email": "info@x", "n": int64(3)})
	if one, other := l.Find(t, "customer", "c0"), l.Find(t, "customer", "c1"); one.ID != other.ID {
		t.Errorf("customers %d and %d are two, though what linked too many links few now", one.ID, other.ID)
	}
}

func rankDecides(t *testing.T, l *teller) {
	s := contacts(warehouse.Identity{MaxIdentifiers: 3})
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "id", "1", "customer", "1", "email", "a@x"), row(1, "id", "2", "customer", "2", "email", "a@x"), row(1, "id", "3", "customer", "3", "email", "a@x"))
	if one, other := l.Find(t, "customer", "1"), l.Find(t, "customer", "2"); one.ID == other.ID {
		t.Errorf("the weaker value links the stronger ones beyond the cap")
	}
	l.missing(t, "email", "a@x")
	s.Fields[0].Rank, s.Fields[1].Rank = 2, 1
	if waiting := l.Apply(t, s); !slices.Equal(waiting, []string{"customer", "email"}) {
		t.Errorf("%v wait for a rebuild, want customer and email", waiting)
	}
	l.Rebuild(t)
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"customer": "3", "email": "a@x", "n": int64(3)})
	var lost int
	for _, c := range []string{"1", "2", "3"} {
		if _, err := l.Store.Find(context.Background(), "customer", c); errors.Is(err, activation.ErrNotFound) {
			lost++
		}
	}
	if lost != 1 {
		t.Errorf("%d customers find nobody, want the one that is one too many", lost)
	}
}

func identityWaits(t *testing.T, l *teller) {
	s := contacts(warehouse.Identity{})
	if waiting := l.Apply(t, contacts(warehouse.Identity{MaxIdentifiers: 7})); len(waiting) > 0 {
		t.Errorf("%v of an empty warehouse wait", waiting)
	}
	l.Load(t, "1", "crm", row(1, "id", "1", "email", "front@desk"), row(1, "id", "2", "email", "front@desk", "customer", "1"))
	if waiting := l.Apply(t, s); len(waiting) > 0 {
		t.Errorf("%v wait, though nothing was said about identity", waiting)
	}
	s.Identity = warehouse.Identity{MaxIdentifiers: 7, StopList: []string{"front@desk"}}
	if waiting := l.Apply(t, s); !slices.Equal(waiting, []string{"identity"}) {
		t.Errorf("%v wait for a rebuild, want identity", waiting)
	}
	l.Load(t, "2", "crm", row(1, "id", "3", "email", "Front@Desk", "customer", "2"))
	wantValues(t, l.Find(t, "email", "front@desk"), map[string]any{"customer": "1", "email": "front@desk", "n": int64(2)})
	l.Rebuild(t)
	l.missing(t, "email", "front@desk")
	l.missing(t, "email", "Front@Desk")
	wantValues(t, l.Find(t, "customer", "1"), map[string]any{"customer": "1", "email": "front@desk", "n": int64(1)})
	if waiting := l.Apply(t, s); len(waiting) > 0 {
		t.Errorf("%v wait after a rebuild", waiting)
	}
	if got, err := l.Store.Schema(context.Background()); err != nil || !reflect.DeepEqual(got.Identity, s.Identity) {
		t.Errorf("identity is %+v (%v), want %+v", got.Identity, err, s.Identity)
	}
}

func stopList(t *testing.T, l *teller) {
	long := make([]string, 10_000)
	for i := range long {
		long[i] = fmt.Sprintf("desk-%d@x", i)
	}
	l.Apply(t, contacts(warehouse.Identity{StopList: long}))
	l.Load(t, "1", "crm", row(1, "id", "1", "customer", "1", "email", "DESK-9999@x"), row(1, "id", "2", "customer", "2", "email", "desk-9999@X"),
		row(1, "id", "3", "customer", "3", "email", "N/A"), row(1, "id", "4", "email", "desk-0@x"))
	for _, c := range []string{"1", "2", "3"} {
		if p := l.Find(t, "customer", c); p.Values["n"] != int64(1) {
			t.Errorf("customer %s has %v messages", c, p.Values["n"])
		}
	}
	l.missing(t, "email", "desk-0@x")
}

func tooLong(t *testing.T, l *teller) {
	l.Apply(t, contacts(warehouse.Identity{}))
	most, more := strings.Repeat("ä", 128), strings.Repeat("ä", 128)+"x"
	r := l.Load(t, "1", "crm", row(1, "id", "1", "customer", "1", "email", most), row(1, "id", "2", "customer", "2", "email", " "+most+" "),
		row(1, "id", "3", "customer", "3", "email", more), row(1, "id", "4", "email", more))
	if r.Unidentified != 1 || !reflect.DeepEqual(r.Unparsed, map[string]int64{"email": 2}) {
		t.Errorf("result is %+v, want one unidentified and two e-mails that can't be read", r)
	}
	wantValues(t, l.Find(t, "email", most), map[string]any{"customer": "2", "email": most, "n": int64(2)})
	wantValues(t, l.Find(t, "customer", "3"), map[string]any{"customer": "3", "n": int64(1)})
	l.missing(t, "email", more)
}

func mergeTold(t *testing.T, l *teller) {
	l.Apply(t, contacts(warehouse.Identity{}))
	l.Load(t, "1", "crm", row(1, "id", "1", "email", "a@x"), row(1, "id", "2", "customer", "7", "phone", "+49"), row(1, "id", "3", "email", "z@x"))
	l.wantHistory(t, 0)
	a, b, z := l.Find(t, "email", "a@x").ID, l.Find(t, "customer", "7").ID, l.Find(t, "email", "z@x").ID
	l.Load(t, "2", "crm", row(2, "id", "4", "email", "a@x", "customer", "7"))
	first := warehouse.MergeEvent{Survivor: min(a, b), Gone: max(a, b), Fields: []string{"customer", "email"}, Stream: "crm", Load: "2", Kind: "merge"}
	l.wantHistory(t, 0, first)
	l.wantHistory(t, a, first)
	l.wantHistory(t, b, first)
	l.wantHistory(t, z)
	// A value nobody had links too; what the survivor took before is its history.
	l.Load(t, "3", "crm", row(3, "id", "5", "email", "z@x", "phone", "+1"), row(3, "id", "6", "customer", "7", "phone", "+1"))
	last := max(min(a, b), z)
	second := warehouse.MergeEvent{Survivor: min(a, b, z), Gone: last, Fields: []string{"email", "phone"}, Stream: "crm", Load: "3", Kind: "merge"}
	if last != z {
		second.Fields = []string{"customer", "phone"}
	}
	l.wantHistory(t, min(a, b, z), second, first)
}

func partTold(t *testing.T, l *teller) {
	l.Apply(t, contacts(warehouse.Identity{}))
	l.Load(t, "1", "crm", row(1, "id", "1", "email", "a@x"), row(1, "id", "2", "customer", "7", "phone", "+49"), row(1, "id", "3", "email", "a@x", "customer", "7"))
	was := l.Find(t, "email", "a@x").ID
	l.wantHistory(t, 0)
	l.Load(t, "2", "crm", row(1, "id", "3", "email", "a@x"))
	parted := l.Find(t, "customer", "7").ID
	want := warehouse.MergeEvent{Survivor: parted, From: was, Fields: []string{"customer", "phone"}, Stream: "crm", Load: "2", Kind: "part"}
	l.wantHistory(t, 0, want)
	l.wantHistory(t, was, want)
	l.wantHistory(t, parted, want)
}

func cappedTold(t *testing.T, l *teller) {
	l.Apply(t, contacts(warehouse.Identity{MaxIdentifiers: 2}))
	l.Load(t, "1", "crm", row(1, "id", "1", "customer", "1", "email", "a@x"))
	first := l.Find(t, "customer", "1").ID
	l.Load(t, "2", "crm", row(1, "id", "2", "customer", "2", "email", "a@x"))
	want := warehouse.MergeEvent{Survivor: first, Fields: []string{"email"}, Stream: "crm", Load: "2", Kind: "capped"}
	l.wantHistory(t, 0, want)
	// It is told once.
	l.Load(t, "3", "crm", row(1, "id", "3", "customer", "3", "email", "a@x"), row(1, "id", "4", "email", "a@x"))
	l.wantHistory(t, 0, want)
	l.Rebuild(t)
	l.wantHistory(t, 0, want)
}

func rebuildTold(t *testing.T, l *teller) {
	s := contacts(warehouse.Identity{})
	s.Fields[2].Rank = 0
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "id", "1", "customer", "1", "phone", "+1"), row(1, "id", "2", "email", "b@x", "phone", "+1"), row(1, "id", "3", "customer", "3", "email", "c@x"))
	one, b := l.Find(t, "customer", "1").ID, l.Find(t, "email", "b@x").ID
	s.Fields[2].Rank = 3
	l.Apply(t, s)
	l.Rebuild(t)
	merge := warehouse.MergeEvent{Survivor: min(one, b), Gone: max(one, b), Fields: []string{"email", "phone"}, Kind: "merge"}
	if merge.Gone == one {
		merge.Fields[0] = "customer"
	}
	l.wantHistory(t, 0, merge)
	s.Fields[2].Rank = 0
	l.Apply(t, s)
	l.Rebuild(t)
	moved, field := l.Find(t, "email", "b@x").ID, "email"
	if moved == min(one, b) {
		moved, field = l.Find(t, "customer", "1").ID, "customer"
	}
	l.wantHistory(t, 0, warehouse.MergeEvent{Survivor: moved, From: min(one, b), Fields: []string{field}, Kind: "part"}, merge)
}

func historyPages(t *testing.T, l *teller) {
	l.Apply(t, contacts(warehouse.Identity{}))
	var single, linked []Row
	for n := range 25 {
		single = append(single, row(1, "id", fmt.Sprint("a", n), "customer", fmt.Sprint(n)), row(1, "id", fmt.Sprint("b", n), "email", fmt.Sprint(n)))
		linked = append(linked, row(2, "id", fmt.Sprint("c", n), "customer", fmt.Sprint(n), "email", fmt.Sprint(n)))
	}
	l.Load(t, "1", "crm", single...)
	l.Load(t, "2", "crm", linked...)
	seen := make(map[int64]bool)
	var before time.Time
	for pages := 0; ; pages++ {
		got, err := l.history.Merges(context.Background(), 0, before, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			if len(seen) != 25 || pages != 3 {
				t.Errorf("%d merges in %d pages, want 25 in 3", len(seen), pages)
			}
			return
		}
		for _, e := range got {
			if seen[e.Gone] {
				t.Fatalf("the merge of %d is on two pages", e.Gone)
			}
			seen[e.Gone], before = true, e.At
		}
	}
}

func identityRefusals(t *testing.T, l *teller) {
	for says, id := range map[string]warehouse.Identity{
		"2 to 1000":  {MaxIdentifiers: 1},
		"2 to 1,000": {MaxIdentifiers: 1001},
		"lower case": {StopList: []string{"info@x", "Info@x"}},
		"empty":      {StopList: []string{""}},
		"space":      {StopList: []string{" a"}},
		"256 bytes":  {StopList: []string{strings.Repeat("a", 257)}},
		"at most":    {StopList: strings.Fields(strings.Repeat("a ", 10_001))},
	} {
		_, err := l.Store.Apply(context.Background(), warehouse.Schema{Identity: id})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != "identity" || !strings.Contains(strings.ReplaceAll(e.Message, "1000", "1,000"), strings.ReplaceAll(says, "1000", "1,000")) {
			t.Errorf("error is %v, want an invalid one about identity that says %q", err, says)
		}
	}
}
