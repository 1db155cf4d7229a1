package meta

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cells makes a row from texts such as "EMAIL=a".
func cells(texts ...string) []value {
	var row []value
	for _, text := range texts {
		key, v, _ := strings.Cut(text, "=")
		row = append(row, value{key, v})
	}
	return row
}

// show writes a roster in one fixed way: members sorted, values sorted.
func show(r *roster) string {
	var members []string
	for _, m := range r.members {
		members = append(members, showValues(m.values))
	}
	slices.Sort(members)
	return strings.Join(members, " | ")
}

func showValues(values []value) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, v.key+"="+v.text)
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func TestRosterRules(t *testing.T) {
	type step struct {
		op  string
		row []value
	}
	add := func(texts ...string) step { return step{opAdd, cells(texts...)} }
	remove := func(texts ...string) step { return step{opRemove, cells(texts...)} }
	tests := []struct {
		name  string
		steps []step
		want  string
	}{
		{"a new person", []step{add("EXTERN_ID=1", "EMAIL=a", "FN=x")}, "EMAIL=a EXTERN_ID=1 FN=x"},
		{"twice is once", []step{add("EXTERN_ID=1", "EMAIL=a"), add("EXTERN_ID=1", "EMAIL=a")}, "EMAIL=a EXTERN_ID=1"},
		{"adding never takes away", []step{add("EXTERN_ID=1", "EMAIL=a"), add("EXTERN_ID=1", "EMAIL=b")}, "EMAIL=a EMAIL=b EXTERN_ID=1"},
		{
			"two people may share an address",
			[]step{add("EXTERN_ID=1", "EMAIL=a"), add("EXTERN_ID=2", "EMAIL=a")},
			"EMAIL=a EXTERN_ID=1 | EMAIL=a EXTERN_ID=2",
		},
		{
			"a shared address removes both",
			[]step{add("EXTERN_ID=1", "EMAIL=a"), add("EXTERN_ID=2", "EMAIL=a"), remove("EXTERN_ID=1", "EMAIL=a")},
			"",
		},
		{
			"the own id removes one",
			[]step{add("EXTERN_ID=1", "EMAIL=a"), add("EXTERN_ID=2", "EMAIL=a"), remove("EXTERN_ID=1", "EMAIL=")},
			"EMAIL=a EXTERN_ID=2",
		},
		{"any one key is enough", []step{add("EMAIL=a", "PHONE=p", "MADID=m"), remove("MADID=m")}, ""},
		{"a name finds nobody", []step{add("EMAIL=a", "FN=x", "ZIP=z"), remove("FN=x", "ZIP=z")}, "EMAIL=a FN=x ZIP=z"},
		{"equal text under another key is another value", []step{add("EMAIL=a"), remove("PHONE=a")}, "EMAIL=a"},
		{"without id people with a common value are one", []step{add("EMAIL=a"), add("PHONE=p"), add("EMAIL=a", "PHONE=p")}, "EMAIL=a PHONE=p"},
		{"with and without id are apart", []step{add("EXTERN_ID=1", "EMAIL=a"), add("EMAIL=a", "PHONE=p")}, "EMAIL=a EXTERN_ID=1 | EMAIL=a PHONE=p"},
		{"an old address still reaches", []step{add("EXTERN_ID=1", "EMAIL=a"), add("EXTERN_ID=1", "EMAIL=b"), remove("EMAIL=a")}, ""},
		{"a row without any key is nobody", []step{add("FN=x"), add("EMAIL=", "FN=x")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoster()
			for _, s := range tt.steps {
				if s.op == opAdd {
					r.add(s.row)
				} else {
					r.remove(s.row)
				}
			}
			if got := show(r); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRemovalTellsCollateral(t *testing.T) {
	r := newRoster()
	r.add(cells("EXTERN_ID=1", "EMAIL=a"))
	r.add(cells("EXTERN_ID=2", "EMAIL=a"))
	r.add(cells("EXTERN_ID=3", "EMAIL=b"))
	if got, want := r.remove(cells("EXTERN_ID=1", "EMAIL=a")), (removal{removed: 2, collateral: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := r.remove(cells("EXTERN_ID=1", "EMAIL=a")), (removal{}); got != want {
		t.Errorf("again: got %+v, want %+v", got, want)
	}
	if got, want := r.remove(cells("EMAIL=b")), (removal{removed: 1}); got != want {
		t.Errorf("by address alone: got %+v, want %+v", got, want)
	}
}

// naive is the membership model in its plainest form: a list of sets of
// values, searched from end to end.
type naive []naiveSet

func (n *naive) add(row []value) {
	set, name, reach := naiveSet{}, "", false
	for _, v := range row {
		if v.text == "" {
			continue
		}
		set[v.key+"="+v.text] = true
		switch v.key {
		case "EXTERN_ID":
			name, reach = v.text, true
		case "EMAIL", "PHONE", "MADID", "UID":
			reach = true
		}
	}
	if !reach {
		return
	}
	var others naive
	for _, m := range *n {
		same := name != "" && m["EXTERN_ID="+name]
		if name == "" && !m.named() {
			same = m.meets(set)
		}
		if !same {
			others = append(others, m)
			continue
		}
		for v := range m {
			set[v] = true
		}
	}
	*n = append(others, set)
}

func (n *naive) remove(row []value) {
	set := naiveSet{}
	for _, v := range row {
		if v.text != "" {
			set[v.key+"="+v.text] = true
		}
	}
	*n = slices.DeleteFunc(*n, func(m naiveSet) bool { return m.meets(set) })
}

type naiveSet map[string]bool

func (m naiveSet) meets(other naiveSet) bool {
	for v := range m {
		key, _, _ := strings.Cut(v, "=")
		if other[v] && slices.Contains([]string{"EXTERN_ID", "EMAIL", "PHONE", "MADID", "UID"}, key) {
			return true
		}
	}
	return false
}

func (m naiveSet) named() bool {
	for v := range m {
		if strings.HasPrefix(v, "EXTERN_ID=") {
			return true
		}
	}
	return false
}

func (n naive) show() string {
	var members []string
	for _, m := range n {
		var texts []string
		for v := range m {
			texts = append(texts, v)
		}
		slices.Sort(texts)
		members = append(members, strings.Join(texts, " "))
	}
	slices.Sort(members)
	return strings.Join(members, " | ")
}

// drawRow draws a row from few values, so that people meet often.
func drawRow(t *rapid.T, keys []string) []value {
	var row []value
	for _, key := range keys {
		if text := rapid.SampledFrom([]string{"", "", "a", "b", "c", "d"}).Draw(t, key); text != "" {
			row = append(row, value{key, text})
		}
	}
	return row
}

func TestRosterIsThePlainModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, model := newRoster(), naive{}
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			row := drawRow(t, []string{"EXTERN_ID", "EMAIL", "PHONE", "FN"})
			if rapid.IntRange(0, 2).Draw(t, "op") > 0 {
				r.add(row)
				model.add(row)
			} else {
				r.remove(row)
				model.remove(row)
			}
			if got, want := show(r), model.show(); got != want {
				t.Fatalf("after step %d: got %q, want %q", i, got, want)
			}
		}
		checkIndex(t, r)
	})
}

// checkIndex makes sure that the index names every member by every identifying
// value and nobody else.
func checkIndex(t *rapid.T, r *roster) {
	entries := 0
	for v, ids := range r.byValue {
		entries += len(ids)
		for _, id := range ids {
			if m := r.members[id]; m == nil || !slices.Contains(m.values, v) {
				t.Fatalf("the index names a member by %v that has no such value", v)
			}
		}
	}
	for _, m := range r.members {
		entries -= len(identifying(m.values))
	}
	if entries != 0 {
		t.Fatalf("the index has %d entries too many", entries)
	}
}

func TestAddsAreTheSameInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rows [][]value
		for range rapid.IntRange(1, 12).Draw(t, "rows") {
			rows = append(rows, drawRow(t, []string{"EXTERN_ID", "EMAIL", "PHONE"}))
		}
		inOrder, shuffled := newRoster(), newRoster()
		for _, row := range rows {
			inOrder.add(row)
		}
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range 2 { // and each of them twice
			for _, i := range chance.Perm(len(rows)) {
				shuffled.add(rows[i])
			}
		}
		if a, b := show(inOrder), show(shuffled); a != b {
			t.Fatalf("in order %q, shuffled %q", a, b)
		}
	})
}

func BenchmarkRosterAdd(b *testing.B) {
	r, i := newRoster(), 0
	for b.Loop() {
		i++
		r.add([]value{{keyExternID, fmt.Sprint(i)}, {"EMAIL", fmt.Sprintf("%064x", i)}, {"FN", "x"}})
	}
}
