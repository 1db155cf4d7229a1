package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// IdentityStore is the part of a warehouse that tells people apart.
type IdentityStore interface {
	IngestStore
	warehouse.Identities
}

// OpenIdentity makes an empty warehouse that merges in slices of at most
// sliceRows rows; 0 = its own choice. The suite closes it.
type OpenIdentity func(sliceRows int) (IdentityStore, error)

// Identity judges how a warehouse tells people apart.
func Identity(t *testing.T, open OpenIdentity) {
	for _, c := range identityCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open(0)
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(t, &teller{NewLoader(t.TempDir(), w), w})
		})
	}
	t.Run("people are the same whatever the order of arrival", func(t *testing.T) {
		dir := t.TempDir()
		within(t, identityTime, func(rt *rapid.T) { toldApart(rt, dir, open) })
	})
}

// identityTime is how long random arrivals of people are tried.
const identityTime = 5 * time.Second

// identityColumns are the columns that identify, with the values drawn for them.
// They are few, so that people meet.
var identityColumns = map[string][]string{
	"customer": {"", "1", "2", "3", "4", "5", "6"},
	"email":    {"", "", "a@x", "b@x", "c@x", "D@x", "none"},
	"phone":    {"", "", "+491", "+492", "+493", "SHARED"},
	"cookie":   {"", "", "k1", "k2", "k3", "k4", "k5"},
}

// identityStreams are the streams, with the columns they map.
var identityStreams = map[string][]string{"crm": {"customer", "email", "phone"}, "web": {"customer", "email", "cookie"}, "news": {"email"}}

// arriving is one property run.
type arriving struct {
	t      *rapid.T
	l      *Loader
	schema warehouse.Schema
	loads  int
	// now is what each message that counts says, by stream and message id.
	now map[[2]string]Row
}

// toldApart is the property that identity rests on: whatever messages and
// corrections come, in whatever order and loads, the people are those of the
// definition, and a rebuild finds the same ones under the same ids.
func toldApart(t *rapid.T, dir string, open OpenIdentity) {
	w, err := open(rapid.SampledFrom([]int{4, 100, 100}).Draw(t, "slice rows"))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer closeStore(t, w)
	a := &arriving{t: t, l: NewLoader(dir, w), now: make(map[[2]string]Row)}
	a.declare(t)
	for n := rapid.IntRange(1, 4).Draw(t, "loads"); n > 0; n-- {
		a.load()
		if n > 1 && rapid.IntRange(0, 2).Draw(t, "look") == 0 {
			a.compare()
		}
	}
	before := a.compare()
	if rapid.Bool().Draw(t, "no rebuild") {
		return
	}
	a.l.Rebuild(t)
	if after := a.compare(); !maps.Equal(before, after) {
		t.Fatalf("a rebuild changed the ids from %v to %v", before, after)
	}
	a.declare(t)
	a.l.Rebuild(t)
	a.compare()
	a.load()
	a.compare()
}

// declare draws ranks, cap and stop-list.
func (a *arriving) declare(t *rapid.T) {
	s := warehouse.Schema{Fields: []warehouse.Field{{Name: "ids", Type: warehouse.TextSet, Merge: warehouse.Set}}}
	for _, c := range slices.Sorted(maps.Keys(identityColumns)) {
		s.Fields = append(s.Fields, warehouse.Field{Name: c, Type: warehouse.Text, Merge: warehouse.Latest, Rank: rapid.IntRange(1, 3).Draw(t, "rank of "+c)})
	}
	for _, name := range slices.Sorted(maps.Keys(identityStreams)) {
		s.Streams = append(s.Streams, warehouse.Stream{Name: name, MessageID: []string{"id"}})
		s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: name, Field: "ids", Expression: "id"})
		for _, c := range identityStreams[name] {
			s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: name, Field: c, Expression: c})
		}
	}
	s.Identity = warehouse.Identity{
		MaxIdentifiers: rapid.SampledFrom([]int{0, 2, 3, 3, 4, 4, 5}).Draw(t, "cap"),
		StopList:       rapid.SampledFrom([][]string{{}, {"shared"}, {"k1", "3"}}).Draw(t, "stop-list"),
	}
	if a.schema.Identity.MaxIdentifiers > 0 && s.Identity.MaxIdentifiers == 0 {
		s.Identity.MaxIdentifiers = warehouse.DefaultMaxIdentifiers
	}
	a.schema = s
	a.l.Apply(t, s)
}

// load merges a few messages, some of which correct earlier ones.
func (a *arriving) load() {
	stream := rapid.SampledFrom([]string{"crm", "web", "crm", "web", "news"}).Draw(a.t, "stream")
	var rows []Row
	for range rapid.IntRange(1, 12).Draw(a.t, "rows") {
		id := fmt.Sprintf("%s-%d", stream, rapid.IntRange(1, 16).Draw(a.t, "id"))
		r := Row{Time: rapid.Int64Range(0, 5).Draw(a.t, "time"), Values: map[string]string{"id": id}}
		for _, c := range identityStreams[stream] {
			r.Values[c] = rapid.SampledFrom(identityColumns[c]).Draw(a.t, c)
		}
		rows = append(rows, r)
		a.now[[2]string{stream, id}] = r
	}
	a.loads++
	a.l.Merge(a.t, a.l.Spool(a.t, fmt.Sprintf("load-%d", a.loads), stream, append([]string{"id"}, identityStreams[stream]...), rows))
}

// compare checks the people against the definition and returns their ids by the
// messages they have.
func (a *arriving) compare() map[string]int64 {
	a.t.Helper()
	want := define(a.said(), a.schema.Identity).people()
	ids := make(map[string]int64)
	for _, c := range slices.Sorted(maps.Keys(identityColumns)) {
		for _, text := range identityColumns[c] {
			if text == "" {
				continue
			}
			v := value{c, text, a.rank(c)}
			p, err := a.l.Store.Find(context.Background(), c, text)
			if errors.Is(err, activation.ErrNotFound) {
				if want[v] != nil {
					a.t.Fatalf("%s %s finds nobody, and not the person with the messages %v", c, text, want[v])
				}
				continue
			}
			if err != nil {
				a.t.Fatalf("find by %s: %v", c, err)
			}
			if !reflect.DeepEqual(p.Values["ids"], want[v]) && (p.Values["ids"] != nil || want[v] != nil) {
				a.t.Fatalf("%s %s finds the person with the messages %v, want %v", c, text, p.Values["ids"], want[v])
			}
			key := strings.Join(want[v], " ")
			if was, ok := ids[key]; ok && was != p.ID {
				a.t.Fatalf("the person with the messages %v has the ids %d and %d", want[v], was, p.ID)
			}
			ids[key] = p.ID
		}
	}
	if n, err := a.l.Store.CountProfiles(context.Background()); err != nil || n != int64(len(ids)) {
		a.t.Fatalf("%d profiles (%v), want %d", n, err, len(ids))
	}
	return ids
}

func (a *arriving) rank(field string) int {
	for _, f := range a.schema.Fields {
		if f.Name == field {
			return f.Rank
		}
	}
	return 0
}

// said returns the messages that count, with the values that identify.
func (a *arriving) said() []said {
	var out []said
	for key, r := range a.now {
		m := said{id: key[1]}
		for _, c := range identityStreams[key[0]] {
			if !nobody(r.Values[c], a.schema.Identity) {
				m.values = append(m.values, value{c, r.Values[c], a.rank(c)})
			}
		}
		out = append(out, m)
	}
	return out
}
