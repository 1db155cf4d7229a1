package postgres_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// listed are the rows of a table as a listing has them, each as a text.
func (w *world) listed(a provider.Audience) []string {
	w.t.Helper()
	a.Keys = w.keys
	var out []string
	err := w.dest.(provider.Lister).Members(w.t.Context(), a, func(values [][]byte) error {
		cells := make([]string, len(values))
		for i, v := range values {
			if cells[i] = "-"; v != nil {
				cells[i] = fmt.Sprintf("%q", v)
			}
		}
		out = append(out, strings.Join(cells, " "))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// part is one batch of a replacement.
func (w *world) part(a provider.Audience, session int64, number, of int, rows ...[]string) provider.Batch {
	b := w.batch(activation.OpAdd, a, rows...)
	b.Replace = &provider.Replace{Session: session, Number: number, Of: of, Rows: int64(len(rows))}
	return b
}

// TestWhatOthersWroteIsListed: rows of other hands with values that Usher never
// sends, rows that left, and columns that are not there yet.
func TestWhatOthersWroteIsListed(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	a := audience(map[string]string{"leavers": "mark"})
	a.Remote = w.ensure(a)
	if got := w.listed(a); len(got) != 0 { // it has the id column alone
		t.Errorf("an empty table lists %v", got)
	}
	w.deliver(w.batch(activation.OpAdd, a, []string{"c1", hashed, "Ann"}, []string{"c2", "-", "Bob"}))
	w.deliver(w.batch(activation.OpRemove, a, []string{"c2", "-", "-"}))
	w.Do(`INSERT INTO ` + w.Schema + `.usher_vip_people (customer_id, email, name) VALUES ('theirs', 'not a digest', ''), ('', 'abc', NULL)`)
	want := []string{`"" "abc" -`, `"c1" ` + fmt.Sprintf("%q", hashed) + ` "Ann"`, `"theirs" "not a digest" ""`}
	if got := w.listed(a); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	w.Do(`COMMENT ON TABLE ` + w.Schema + `.usher_vip_people IS 'theirs now'`)
	a.Keys = w.keys
	err := w.dest.(provider.Lister).Members(t.Context(), a, nil)
	if activation.KindOf(err) != activation.Gone {
		t.Errorf("a table that is not ours any more: %v", err)
	}
	a.Keys = nil
	wantCode(t, w.dest.(provider.Lister).Members(t.Context(), a, nil), "POSTGRES-SETTINGS", "mapping")
}

// TestAListingIsOfOneMoment: what is written while it is read is not in it, and it
// keeps nobody from writing.
func TestAListingIsOfOneMoment(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	a := audience(nil)
	a.Remote = w.ensure(a)
	const people = 5_000 + 1 // a page and one
	w.deliver(w.batch(activation.OpAdd, a, []string{"c1", "-", "Ann"}))
	w.Do(fmt.Sprintf(`INSERT INTO %s.usher_vip_people (customer_id) SELECT 'p' || n FROM generate_series(2, %d) n`, w.Schema, people))
	seen := 0
	a.Keys = w.keys
	err := w.dest.(provider.Lister).Members(t.Context(), a, func([][]byte) error {
		if seen++; seen == 1 {
			w.deliver(w.batch(activation.OpRemove, a, []string{fmt.Sprintf("p%d", people), "-", "-"}))
			w.deliver(w.batch(activation.OpAdd, a, []string{"late", "-", "-"}))
		}
		return nil
	})
	if err != nil || seen != people {
		t.Errorf("%d of %d were listed: %v", seen, people, err)
	}
	if got := len(w.listed(a)); got != people {
		t.Errorf("%d are in afterwards", got)
	}
}

// TestAReplacementMarksWhoLeaves where the job keeps leavers.
func TestAReplacementMarksWhoLeaves(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	a := audience(map[string]string{"leavers": "mark"})
	a.Remote = w.ensure(a)
	w.deliver(w.batch(activation.OpAdd, a, []string{"c1", "-", "Ann"}, []string{"c2", "-", "Bob"}, []string{"c3", "-", "Cleo"}))
	w.deliver(w.batch(activation.OpRemove, a, []string{"c3", "-", "-"}))
	w.deliver(w.part(a, 7, 1, 2, []string{"c2", "-", "Bob"}))
	last := w.part(a, 7, 2, 2, []string{"c4", "-", "Dan"})
	w.deliver(last)
	state := func() string {
		return w.Ask(`SELECT string_agg(concat_ws('|', customer_id, coalesce(name, '-'), (left_at IS NOT NULL)::text), ';' ORDER BY customer_id) FROM ` + w.Schema + `.usher_vip_people`)
	}
	if got, want := state(), "c1|-|true;c2|Bob|false;c3|-|true;c4|Dan|false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	at := w.Ask(`SELECT left_at::text FROM ` + w.Schema + `.usher_vip_people WHERE customer_id = 'c1'`)
	w.deliver(last) // again changes nothing
	if again := w.Ask(`SELECT left_at::text FROM ` + w.Schema + `.usher_vip_people WHERE customer_id = 'c1'`); again != at {
		t.Errorf("left at %s, and after a repetition at %s", at, again)
	}
}

// TestRandomReplacements plays ordinary batches, replacements and repetitions
// against a table and a set.
func TestRandomReplacements(t *testing.T) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	r := mathrand.New(mathrand.NewPCG(seed, 0))
	w := newWorld(t, "postgres_export", nil)
	a := audience(nil)
	a.Remote = w.ensure(a)
	model := map[string]bool{}
	some := func() (rows [][]string) {
		for range 1 + r.IntN(4) {
			rows = append(rows, []string{fmt.Sprintf("c%d", r.IntN(12)), "-", "-"})
		}
		return rows
	}
	for step := range 25 {
		switch r.IntN(4) {
		case 0:
			rows := some()
			w.deliver(w.batch(activation.OpRemove, a, rows...))
			for _, row := range rows {
				delete(model, row[0])
			}
		case 1:
			next, of := map[string]bool{}, 1+r.IntN(3)
			cut := r.IntN(3) == 0
			for number := 1; number <= of; number++ {
				rows := some()
				if cut && number == of {
					break
				}
				for range 1 + r.IntN(2) {
					w.deliver(w.part(a, int64(step+1), number, of, rows...))
				}
				for _, row := range rows {
					next[row[0]], model[row[0]] = true, true
				}
			}
			if !cut {
				model = next
			}
		default:
			rows := some()
			w.deliver(w.batch(activation.OpAdd, a, rows...))
			for _, row := range rows {
				model[row[0]] = true
			}
		}
		var want []string
		for id := range model {
			want = append(want, fmt.Sprintf("%q - -", id))
		}
		slices.Sort(want)
		if got := w.listed(a); !slices.Equal(got, want) {
			t.Fatalf("step %d: in are %v, want %v", step, got, want)
		}
	}
}

func TestWhatCannotBeAReplacement(t *testing.T) {
	w := newWorld(t, "postgres_export", nil)
	a := audience(nil)
	a.Remote = w.ensure(a)
	removal, zero := w.part(a, 7, 1, 1, []string{"c1", "-", "-"}), w.part(a, 0, 1, 1, []string{"c1", "-", "-"})
	removal.Op = activation.OpRemove
	for _, b := range []provider.Batch{removal, zero} {
		_, err := w.dest.Deliver(t.Context(), b)
		wantCode(t, err, "POSTGRES-SETTINGS", "replace")
	}
	e := newWorld(t, "postgres_events_export", nil)
	if _, is := e.dest.(provider.Lister); is {
		t.Error("a table of events lists members")
	}
}
