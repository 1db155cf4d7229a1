package matchkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// values is a Row for tests; "" holds the default country.
type values map[string]string

func (v values) Value(key string) string { return v[key] }
func (v values) DefaultCountry() string  { return v[""] }

func TestNormalizers(t *testing.T) {
	us, de, gb, none := values{"COUNTRY": "US"}, values{"COUNTRY": "Germany"}, values{"COUNTRY": "gbr"}, values{}
	deByDefault := values{"": "DE"}
	hash := strings.Repeat("AB", 32)
	for _, tc := range []struct {
		rule string
		fn   func(string, Row) string
		row  Row
		in   string
		want string
	}{
		{"email", Email, none, "  Ana.Ng+news@Example.COM ", "ana.ng+news@example.com"},
		{"email", Email, none, "\ufeffana@example.com\u00a0", "ana@example.com"},
		{"email", Email, none, "ana@münchen.de", "ana@münchen.de"},
		{"email", Email, none, "a@b", ""},
		{"email", Email, none, "a@b.", ""},
		{"email", Email, none, "a@.b", ""},
		{"email", Email, none, "@example.com", ""},
		{"email", Email, none, "a@b@example.com", ""},
		{"email", Email, none, "a b@example.com", ""},
		{"email", Email, none, "none", ""},
		{"email", Email, none, "   ", ""},
		{"email", Email, none, hash, strings.ToLower(hash)},
		{"email", Email, none, " " + hash + "\n", strings.ToLower(hash)},
		{"email", Email, none, hash[:32], ""},
		{"email", Email, none, hash[:40], ""},
		{"email", Email, none, hash + hash, ""},
		{"email", Email, none, emptySHA256, ""},
		{"email", Email, none, strings.ToUpper(emptySHA256), ""},
		{"email", Email, none, "a\xff@example.com", ""},

		{"phone", PhoneDigits("COUNTRY"), none, "001 415 555 2671", "14155552671"},
		{"phone", PhoneDigits("COUNTRY"), none, "+44 (0)20 7946 0958", "442079460958"},
		{"phone", PhoneDigits("COUNTRY"), none, "14155552671", "14155552671"},
		{"phone", PhoneDigits("COUNTRY"), us, "(415) 555-2671", "14155552671"},
		{"phone", PhoneDigits("COUNTRY"), us, "(415) 555-2671 ext. 12", "14155552671"},
		{"phone", PhoneDigits("COUNTRY"), us, "6562223333", "16562223333"},
		{"phone", PhoneDigits("COUNTRY"), us, "+6562223333", "6562223333"},
		{"phone", PhoneDigits("COUNTRY"), us, "442079460958", "442079460958"},
		{"phone", PhoneDigits("COUNTRY"), de, "0171 2345678", "491712345678"},
		{"phone", PhoneDigits("COUNTRY"), deByDefault, "0171 2345678", "491712345678"},
		{"phone", PhoneDigits("COUNTRY"), gb, "020 7946 0958", "442079460958"},
		{"phone", PhoneDigits("COUNTRY"), none, "0171 2345678", ""},
		{"phone", PhoneDigits("COUNTRY"), none, "+39 06 698 82 222", "390669882222"},
		{"phone", PhoneDigits("COUNTRY"), none, "12", ""},
		{"phone", PhoneDigits("COUNTRY"), us, "n/a", ""},
		{"phone", PhoneDigits("COUNTRY"), us, hash, strings.ToLower(hash)},
		{"e164", PhoneE164("COUNTRY"), us, "415 555 2671", "+14155552671"},

		{"name", Name, none, " O'Brien ", "obrien"},
		{"name", Name, none, "Jean-Luc", "jeanluc"},
		{"name", Name, none, "Mary  Ann", "mary ann"},
		{"name", Name, none, "Valéry", "valéry"},
		{"name", Name, none, "Vale\u0301ry", "valéry"},
		{"name", Name, none, "정", "정"},
		{"name", Name, none, "MARIA", "maria"},
		{"name", Name, none, "John 3rd.", "john 3rd"},
		{"name", Name, none, "-", ""},
		{"name", Name, none, "42", ""},
		{"initial", Initial, none, " Élodie", "é"},
		{"initial", Initial, none, "3 Ana", "a"},
		{"initial", Initial, none, "?", ""},

		{"gender", Gender, none, "Woman", "f"},
		{"gender", Gender, none, "FEMALE", "f"},
		{"gender", Gender, none, "M", "m"},
		{"gender", Gender, none, "other", ""},
		{"gender", Gender, none, "w", ""},

		{"doby", BirthYear, none, "1980", "1980"},
		{"doby", BirthYear, none, "1980-03-05", "1980"},
		{"doby", BirthYear, none, "80", ""},
		{"doby", BirthYear, none, "1899", ""},
		{"doby", BirthYear, none, "2100", ""},
		{"dobm", BirthMonth, none, "3", "03"},
		{"dobm", BirthMonth, none, "12", "12"},
		{"dobm", BirthMonth, none, "13", ""},
		{"dobm", BirthMonth, none, "0", ""},
		{"dobm", BirthMonth, none, "1980-03-05T00:00:00Z", "03"},
		{"dobm", BirthMonth, none, "05/03/1980", ""},
		{"dobd", BirthDay, none, "5", "05"},
		{"dobd", BirthDay, none, "1980-03-05 00:00:00", "05"},
		{"dobd", BirthDay, none, "32", ""},

		{"city", City, none, "München", "münchen"},
		{"city", City, none, "L'Aquila", "laquila"},
		{"city", City, none, "St. Louis 2", "stlouis"},
		{"state", State("COUNTRY"), none, "California", "ca"},
		{"state", State("COUNTRY"), us, "New York", "ny"},
		{"state", State("COUNTRY"), us, "N.Y.", "ny"},
		{"state", State("COUNTRY"), us, "CA", "ca"},
		{"state", State("COUNTRY"), us, "Washington, D.C.", "dc"},
		{"state", State("COUNTRY"), de, "Baden-Württemberg", "badenwürttemberg"},
		{"state", State("COUNTRY"), values{"COUNTRY": "GE"}, "Georgia", "georgia"},
		{"zip", Zip("COUNTRY"), none, "94105-1234", "94105"},
		{"zip", Zip("COUNTRY"), us, "94105-1234", "94105"},
		{"zip", Zip("COUNTRY"), us, "941051234", "94105"},
		{"zip", Zip("COUNTRY"), us, "2138", ""},
		{"zip", Zip("COUNTRY"), none, " SW1A 1AA ", "sw1a1aa"},
		{"zip", Zip("COUNTRY"), gb, "SW1A 1AA", "sw1a1aa"},
		{"zip", Zip("COUNTRY"), values{"COUNTRY": "PT"}, "1000-205", "1000-205"},
		{"zip", Zip("COUNTRY"), none, "--", ""},

		{"country", Country, none, "US", "us"},
		{"country", Country, none, "USA", "us"},
		{"country", Country, none, "u.s.a.", "us"},
		{"country", Country, none, "United States of America", "us"},
		{"country", Country, none, "UK", "gb"},
		{"country", Country, none, "Deutschland", "de"},
		{"country", Country, none, "Côte d'Ivoire", "ci"},
		{"country", Country, none, "zz", ""},
		{"country", Country, none, "Atlantis", ""},
		{"country", Country, none, hash, strings.ToLower(hash)},

		{"madid", DeviceID, none, " EA7583CD-A667-48BC-B806-42ECB2B48606 ", "ea7583cd-a667-48bc-b806-42ecb2b48606"},
		{"madid", DeviceID, none, noDevice, ""},
		{"madid", DeviceID, none, "ea7583cda66748bcb80642ecb2b48606", ""},
		{"madid", DeviceID, none, hash, ""},
		{"extern", ExternalID, none, "Cust-7 ", "Cust-7 "},
		{"extern", ExternalID, none, " ", ""},
		{"extern", ExternalID, none, "\xff", ""},
	} {
		if got := tc.fn(tc.in, tc.row); got != tc.want {
			t.Errorf("%s of %q: got %q, want %q", tc.rule, tc.in, got, tc.want)
		}
	}
}

func TestCountriesAreISO(t *testing.T) {
	n := 0
	for _, code := range countries().alpha2 {
		if code != "" {
			n++
		}
	}
	if n != 249 {
		t.Errorf("ISO 3166-1 has 249 codes, the table %d", n)
	}
}

// ruleSet has every normaliser, as a network would declare them.
func ruleSet() RuleSet {
	return RuleSet{Name: "test/1", Keys: []Key{
		{Name: "EXTERN_ID", Identifies: true, Normalize: ExternalID},
		{Name: "EMAIL", Hash: true, Identifies: true, Normalize: Email},
		{Name: "PHONE", Hash: true, Identifies: true, Normalize: PhoneDigits("COUNTRY")},
		{Name: "FN", Hash: true, Normalize: Name},
		{Name: "FI", Hash: true, Normalize: Initial},
		{Name: "GEN", Hash: true, Normalize: Gender},
		{Name: "DOBY", Hash: true, Normalize: BirthYear},
		{Name: "DOBM", Hash: true, Normalize: BirthMonth},
		{Name: "DOBD", Hash: true, Normalize: BirthDay},
		{Name: "CT", Hash: true, Normalize: City},
		{Name: "ST", Hash: true, Normalize: State("COUNTRY")},
		{Name: "ZIP", Hash: true, Normalize: Zip("COUNTRY")},
		{Name: "COUNTRY", Hash: true, Normalize: Country},
		{Name: "MADID", Identifies: true, Normalize: DeviceID},
	}}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"Ana@Example.com", "+44 (0)20 7946 0958", "München", "İstanbul", "a\u0308-\u0308", "ǅ", "ΑΣ", "\xff", strings.Repeat("a", 64)} {
		f.Add(seed, "US", "")
		f.Add(seed, "", "DE")
	}
	rs := ruleSet()
	f.Fuzz(func(t *testing.T, in, country, fallback string) {
		row := values{"COUNTRY": country, "": fallback}
		for _, k := range rs.Keys {
			once := k.Normalize(in, row)
			if !utf8.ValidString(once) {
				t.Errorf("%s of %q is not UTF-8: %q", k.Name, in, once)
			}
			if once == "" {
				continue
			}
			again := once
			if k.Name == "PHONE" && len(once) < 64 {
				again = "+" + once // without the plus a number may be two numbers: see PhoneDigits
			}
			if twice := k.Normalize(again, row); twice != once {
				t.Errorf("%s of %q: once %q, twice %q", k.Name, in, once, twice)
			}
		}
	})
}

func TestComputeKeepsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, err := NewSet(ruleSet(), map[string]string{"EXTERN_ID": "id", "EMAIL": "email", "FN": "fn", "MADID": "madid"}, "")
		if err != nil {
			t.Fatal(err)
		}
		var buf []byte
		var rows, wants [][][]byte
		for range rapid.IntRange(1, 80).Draw(t, "rows") {
			in := []string{
				rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringN(500, 600, 3000)).Draw(t, "id"),
				rapid.SampledFrom([]string{"", "ana@example.com", "BO@example.com", strings.Repeat("0c", 32), "bad"}).Draw(t, "email"),
				rapid.SampledFrom([]string{"", "Ana", "O'Brien"}).Draw(t, "fn"),
				"",
			}
			out := make([][]byte, len(set.Keys))
			var fp Fingerprint
			fp, buf = set.Compute(in, out, buf)
			want := plainly(set, in)
			if (fp == Fingerprint{}) != (want == nil) {
				t.Fatalf("usable keys %v, fingerprint %x", want != nil, fp)
			}
			if want == nil {
				want = make([][]byte, len(set.Keys))
			}
			rows, wants = append(rows, out), append(wants, want)
		}
		for i := range rows {
			for j := range rows[i] {
				if !bytes.Equal(rows[i][j], wants[i][j]) || (rows[i][j] == nil) != (wants[i][j] == nil) {
					t.Fatalf("row %d key %s changed after later calls", i, set.Keys[j].Name)
				}
			}
		}
	})
}

// plainly computes the keys with no care for speed; nil when none identifies.
func plainly(s Set, in []string) [][]byte {
	out := make([][]byte, len(s.Keys))
	usable := false
	for i, k := range s.Keys {
		v := k.Normalize(in[i], &setRow{&s, in})
		if v == "" {
			continue
		}
		out[i] = []byte(v)
		if k.Hash {
			if h, err := hex.DecodeString(v); err == nil && len(h) == 32 {
				out[i] = h
			} else {
				sum := sha256.Sum256([]byte(v))
				out[i] = sum[:]
			}
		}
		usable = usable || k.Identifies
	}
	if !usable {
		return nil
	}
	return out
}

func TestFingerprintTellsRowsApart(t *testing.T) {
	set, err := NewSet(RuleSet{Name: "t/1", Keys: []Key{
		{Name: "A", Identifies: true, Normalize: ExternalID},
		{Name: "B", Identifies: true, Normalize: ExternalID},
	}}, map[string]string{"A": "a", "B": "b"}, "")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Fingerprint]string{}
	out := make([][]byte, 2)
	for _, in := range [][]string{{"xy", ""}, {"", "xy"}, {"x", "y"}, {"xyz", ""}, {"x", "yz"}} {
		fp, _ := set.Compute(in, out, nil)
		if other, ok := seen[fp]; ok {
			t.Errorf("%q and %s have one fingerprint", in, other)
		}
		seen[fp] = strings.Join(in, "|")
	}
	if fp, _ := set.Compute([]string{"", ""}, out, nil); fp != (Fingerprint{}) {
		t.Error("no key, yet a fingerprint")
	}
}
