package dmp

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

type row map[string]string

func (r row) Value(key string) string { return r[key] }
func (r row) DefaultCountry() string  { return r[""] }

func sha1Of(text string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(text))) }

func TestPhone(t *testing.T) {
	us, de := row{countryKey: "US"}, row{"": "DE"}
	for _, tc := range []struct {
		in   string
		row  row
		want string
	}{
		{"+1 (415) 555-2671", row{}, sha1Of("4155552671")},
		{"415.555.2671", us, sha1Of("4155552671")},
		{"0171 2345678", de, sha1Of("1712345678")},
		{"+44 (0)20 7946 0958", us, sha1Of("2079460958")},
		{"0049 171 2345678", row{}, sha1Of("1712345678")},
		{strings.ToUpper(sha1Of("4155552671")), row{}, sha1Of("4155552671")},
		{fmt.Sprintf("%x", sha256.Sum256([]byte("4155552671"))), us, ""},
		{"415.555.2671", row{}, ""},
		{"none", us, ""},
		{"", us, ""},
	} {
		got := PhoneSHA1(tc.in, tc.row)
		if got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
		if again := PhoneSHA1(got, tc.row); again != got {
			t.Errorf("%q: twice is %q", tc.in, again)
		}
	}
}

func TestEmail(t *testing.T) {
	for in, want := range map[string]string{
		" Ana.Ng+News @Example.COM ": "ana.ng+news@example.com", "a na@example.com": "ana@example.com", "none": "", "": "",
		strings.Repeat("AB", 32): strings.Repeat("ab", 32),
	} {
		if got := Email(in, nil); got != want || Email(got, nil) != got {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"Ana @example.com", "+44 (0)20 7946 0958", "0171 2345678", strings.Repeat("a", 40), strings.Repeat("0", 64)} {
		f.Add(seed, "US", "DE")
	}
	f.Fuzz(func(t *testing.T, in, country, fallback string) {
		r := row{countryKey: country, "": fallback}
		for _, k := range RuleSet().Keys {
			if once := k.Normalize(in, r); once != "" && k.Normalize(once, r) != once {
				t.Errorf("%s of %q: %q and then %q", k.Name, in, once, k.Normalize(once, r))
			}
		}
	})
}

// batch computes the keys of people by the mapping, as delivery does.
func batch(t testing.TB, op activation.Op, config map[string]string, keys []string, people ...map[string]string) provider.Batch {
	t.Helper()
	mapping := map[string]string{}
	for _, k := range keys {
		mapping[k] = k
	}
	set, err := matchkey.NewSet(RuleSet(), mapping, "US")
	if err != nil {
		t.Fatal(err)
	}
	b := provider.Batch{
		RunNumber: 12, Number: 3, At: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Op: op, Keys: set.Keys,
		Audience: provider.Audience{Slug: "vip", Name: "VIP", Config: config},
	}
	for _, p := range people {
		values, out := make([]string, len(set.Keys)), make([][]byte, len(set.Keys))
		for i, k := range set.Keys {
			values[i] = p[k.Name]
		}
		set.Compute(values, out, nil)
		b.Values = append(b.Values, out...)
	}
	return b
}

func customers(ids ...string) []map[string]string {
	var out []map[string]string
	for _, id := range ids {
		out = append(out, map[string]string{customerKey: id})
	}
	return out
}

func TestLines(t *testing.T) {
	for _, tc := range []struct {
		what   string
		op     activation.Op
		config map[string]string
		name   string
		want   string
	}{
		{"added", activation.OpAdd, nil, "vip_20261122080000_12_00003_add.txt", "c-1 add=vip\nc-2 add=vip\n"},
		{"removed", activation.OpRemove, nil, "vip_20261122080000_12_00003_remove.txt", "c-1 remove=vip\nc-2 remove=vip\n"},
		{"by another name", activation.OpAdd, map[string]string{audienceField: "seg:77", "filename": "{RUN}.dat"}, "12_00003.dat", "c-1 add=seg:77\nc-2 add=seg:77\n"},
	} {
		ship, err := lineLayout{}.Shipment(batch(t, tc.op, tc.config, []string{customerKey}, customers("c-1", "c-2", "c-1")...))
		if err != nil || len(ship.Files) != 1 || string(ship.Files[0].Body) != tc.want || ship.Files[0].Name != tc.name || ship.Files[0].Rows != 2 || len(ship.Rejected) != 0 {
			t.Errorf("%s: %+v, %v", tc.what, ship, err)
		}
	}
}

func TestIDsThatWouldBreakTheirLine(t *testing.T) {
	ids := []string{"good", "a b", "a,b", "a=b", "a\nb", "a\tb", "a\u00a0b", "a\u2028b", "also-good", "a\x00b"}
	ship, err := lineLayout{}.Shipment(batch(t, activation.OpAdd, nil, []string{customerKey, emailKey}, customers(ids...)...))
	if err != nil || string(ship.Files[0].Body) != "good add=vip\nalso-good add=vip\n" {
		t.Fatalf("%+v, %v", ship.Files, err)
	}
	var at []int64
	for _, x := range ship.Rejected {
		if x.Outcome != activation.Rejected || x.Code != codeID {
			t.Errorf("%+v", x)
		}
		at = append(at, x.Ordinal)
	}
	if fmt.Sprint(at) != "[1 2 3 4 5 6 7 9]" {
		t.Errorf("rejected are %v", at)
	}
	ship, err = lineLayout{}.Shipment(batch(t, activation.OpAdd, nil, []string{customerKey}, customers("a b")...))
	if err != nil || len(ship.Files) != 0 || len(ship.Rejected) != 1 {
		t.Errorf("nothing but bad rows: %+v, %v", ship, err)
	}
}

// TestEveryLineIsALine: whatever the ids, each customer has one line of two
// words, or is rejected.
func TestEveryLineIsALine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ids := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-c ,=\n\r]{1,4}`)), 1, 20).Draw(rt, "ids")
		var kept []string
		for _, id := range ids {
			if matchkey.Plain(id, nil) != "" {
				kept = append(kept, id)
			}
		}
		if len(kept) == 0 {
			return
		}
		ship, err := lineLayout{}.Shipment(batch(t, activation.OpAdd, map[string]string{"max_bytes": "20"}, []string{customerKey}, customers(kept...)...))
		if err != nil {
			rt.Fatal(err)
		}
		seen := map[string]bool{}
		for _, f := range ship.Files {
			for line := range strings.Lines(string(f.Body)) {
				words := strings.Split(strings.TrimSuffix(line, "\n"), " ")
				if len(words) != 2 || words[1] != "add=vip" || seen[words[0]] || len(strings.Fields(line)) != 2 {
					rt.Fatalf("line %q", line)
				}
				seen[words[0]] = true
			}
		}
		distinct := map[string]bool{}
		for _, id := range kept {
			distinct[matchkey.Plain(id, nil)] = true
		}
		if len(seen)+len(ship.Rejected) < len(distinct) {
			rt.Fatalf("%d lines and %d rejected of %d", len(seen), len(ship.Rejected), len(distinct))
		}
	})
}

func TestLiveRamp(t *testing.T) {
	layout := liveRampLayout{log: slog.New(slog.DiscardHandler)}
	all := []string{customerKey, emailKey, phoneKey, countryKey}
	people := []map[string]string{
		{customerKey: `c "1", x`, emailKey: "Ana@Example.com", phoneKey: "415 555 2671", countryKey: "USA"},
		{customerKey: "c-2"},
	}
	ship, err := layout.Shipment(batch(t, activation.OpAdd, map[string]string{audienceKeyField: "customer"}, all, people...))
	if err != nil || len(ship.Files) != 1 {
		t.Fatalf("%+v, %v", ship, err)
	}
	want := "customer,EMAIL,PHONE,COUNTRY\n" +
		`"c ""1"", x",` + fmt.Sprintf("%x", sha256.Sum256([]byte("ana@example.com"))) + "," + sha1Of("4155552671") + ",us\nc-2,,,\n"
	if got := string(ship.Files[0].Body); got != want || ship.Files[0].Name != "vip_20261122080000_12_00003_add.csv" {
		t.Errorf("%s: %s\nwant\n%s", ship.Files[0].Name, got, want)
	}
	gone, err := layout.Shipment(batch(t, activation.OpRemove, map[string]string{audienceKeyField: "customer"}, all, customers("c-2")...))
	if err != nil || string(gone.Files[0].Body) != "customer,EMAIL,PHONE,COUNTRY\nc-2,,,\n" || gone.Files[0].Name != "vip_20261122080000_12_00003_remove.csv" {
		t.Errorf("%+v, %v", gone, err)
	}
}

// TestLiveRampTakesEveryFile reads files by the rules of its page: a header of
// letters, digits and underscores, the key first, every row as long as it.
func TestLiveRampTakesEveryFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keys := []string{customerKey}
		for _, k := range []string{emailKey, phoneKey, countryKey} {
			if rapid.Bool().Draw(rt, k) {
				keys = append(keys, k)
			}
		}
		people := customers("one")
		for range rapid.IntRange(0, 10).Draw(rt, "people") {
			people = append(people, map[string]string{
				customerKey: "c" + rapid.String().Draw(rt, "id"), emailKey: rapid.SampledFrom([]string{"", "a@example.com", "x"}).Draw(rt, "email"),
				phoneKey: rapid.SampledFrom([]string{"", "415 555 2671", "x"}).Draw(rt, "phone"), countryKey: rapid.SampledFrom([]string{"", "US", "x"}).Draw(rt, "country"),
			})
		}
		delimiter := rapid.SampledFrom([]string{",", "|", "tab"}).Draw(rt, "delimiter")
		ship, err := liveRampLayout{log: slog.New(slog.DiscardHandler)}.Shipment(batch(t, activation.OpAdd, map[string]string{"delimiter": delimiter}, keys, people...))
		if err != nil {
			rt.Fatal(err)
		}
		r := csv.NewReader(strings.NewReader(string(ship.Files[0].Body)))
		r.Comma = map[string]rune{",": ',', "|": '|', "tab": '\t'}[delimiter]
		rows, err := r.ReadAll() // refuses rows of another length
		if err != nil || len(rows) < 2 || len(rows[0]) != len(keys) || rows[0][0] != customerKey {
			rt.Fatalf("%q, %v", rows, err)
		}
		for _, name := range rows[0] {
			if !headerPattern.MatchString(name) {
				rt.Fatalf("header %q", name)
			}
		}
	})
}

// TestSmallFilesAreSaid: LiveRamp takes none of fewer than 25 rows, and the log
// says so.
func TestSmallFilesAreSaid(t *testing.T) {
	for rows, want := range map[int]bool{24: true, 25: false} {
		var said strings.Builder
		layout := liveRampLayout{log: slog.New(slog.NewTextHandler(&said, nil))}
		var ids []string
		for i := range rows {
			ids = append(ids, fmt.Sprint("customer-", i))
		}
		if _, err := layout.Shipment(batch(t, activation.OpAdd, nil, []string{customerKey}, customers(ids...)...)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(said.String(), "fewer rows"); got != want || strings.Contains(said.String(), "customer-") {
			t.Errorf("%d rows: %q", rows, said.String())
		}
	}
}

func TestWrongSettingsNameTheirField(t *testing.T) {
	layouts := map[string]interface{ Check(provider.Audience) error }{"lines": lineLayout{}, "liveramp": liveRampLayout{}}
	for _, tc := range []struct{ layout, field, value string }{
		{"lines", audienceField, "a b"},
		{"lines", audienceField, "a,b"},
		{"lines", audienceField, "a=b"},
		{"lines", "filename", "a/b"},
		{"lines", "compress", "x"},
		{"lines", "max_bytes", "-1"},
		{"lines", "side_file", "x"},
		{"liveramp", audienceKeyField, "customer id"},
		{"liveramp", audienceKeyField, strings.Repeat("a", 129)},
		{"liveramp", audienceKeyField, emailKey},
		{"liveramp", "delimiter", "x"},
		{"liveramp", "side_file", "x"},
		{"liveramp", "filename", "{X}"},
	} {
		err := layouts[tc.layout].Check(provider.Audience{Slug: "vip", Config: map[string]string{tc.field: tc.value}})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != tc.field {
			t.Errorf("%s: %s %q: %v", tc.layout, tc.field, tc.value, err)
		}
	}
	if err := (lineLayout{}).Check(provider.Audience{Name: "Very good customers"}); activation.CodeOf(err) != codeSettings {
		t.Errorf("a name with spaces and no short name: %v", err)
	}
	if _, err := Definition().NewDestination(provider.Deps{Auth: map[string]provider.Secret{transportField: "fax"}}); activation.CodeOf(err) != codeSettings {
		t.Errorf("transport: %v", err)
	}
}
