package linkedin

import (
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
)

func answerOf() outbound.Answer { return outbound.Answer{Status: 200} }

// row is the raw values of one person.
type row map[string]string

func (r row) Value(key string) string { return r[key] }
func (row) DefaultCountry() string    { return "" }

// TestRules has the rows of LinkedIn's tables: what comes in and what leaves.
func TestRules(t *testing.T) {
	keys := map[string]matchkey.Key{}
	for _, k := range append(RuleSet().Keys, eventKeys()...) {
		keys[k.Name] = k
	}
	const digest = "55502f40dc8b7c769880b10874abc9d0f2b8c9e7c0f0b5d0b1a2c3d4e5f60718"
	for _, tc := range []struct{ key, in, want string }{
		// trim, remove spaces, lower-case; no folding
		{keyEmail, " Ana . Ng @Example.COM\t", "ana.ng@example.com"},
		{keyEmail, "ana+tag@gmail.com", "ana+tag@gmail.com"},
		{keyEmail, "a.n.a@gmail.com", "a.n.a@gmail.com"},
		{keyEmail, "a@b", ""},
		{keyEmail, "", ""},
		{keyEmail, strings.ToUpper(digest), digest},
		{keyEmail, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""},
		{keyEmail, strings.Repeat("ab", 64), ""}, // SHA-512
		{keyEmail, strings.Repeat("ab", 16), ""}, // MD5
		{keyGoogle, "CDDA802E-FB9C-47AD-9866-0794D394C912", "cdda802e-fb9c-47ad-9866-0794d394c912"},
		{keyGoogle, "00000000-0000-0000-0000-000000000000", ""},
		{keyGoogle, "cdda802e", ""},
		{keyApple, "CDDA802E-FB9C-47AD-9866-0794D394C912", "cdda802e-fb9c-47ad-9866-0794d394c912"},
		// at most 35 and 50 characters, not bytes
		{keyFirstName, "  Ana  María ", "Ana María"},
		{keyFirstName, strings.Repeat("é", 35), strings.Repeat("é", 35)},
		{keyFirstName, strings.Repeat("é", 36), ""},
		{keyLastName, strings.Repeat("x", 36), ""},
		{keyTitle, strings.Repeat("x", 50), strings.Repeat("x", 50)},
		{keyTitle, strings.Repeat("x", 51), ""},
		{keyCompany, strings.Repeat("x", 51), ""},
		{keyCompany, "\xff", ""},
		{keyCountry, "us", "US"},
		{keyCountry, "USA", "US"},
		{keyCountry, "Deutschland", "DE"},
		{keyCountry, "XX", ""},
		{keyCountry, digest, ""},
		// milliseconds
		{keyHappenedAt, "2026-11-22T12:00:00Z", "1795348800000"},
		{keyHappenedAt, "2026-11-22T13:00:00.25+01:00", "1795348800250"},
		{keyHappenedAt, "2026-11-22 12:00:00", "1795348800000"},
		{keyHappenedAt, "2026-11-22", "1795305600000"},
		{keyHappenedAt, "1795348800", "1795348800000"},
		{keyHappenedAt, "1795348800123", "1795348800123"},
		{keyHappenedAt, "1795348800123000", ""},
		{keyHappenedAt, "22.11.2026", ""},
		{keyHappenedAt, "0001-01-01T00:00:00Z", ""},
		// a text with a decimal point
		{keyValue, " 50.0 ", "50.0"},
		{keyValue, "0", "0"},
		{keyValue, "50,0", ""},
		{keyValue, "-5", ""},
		{keyValue, "1e3", ""},
		{keyValue, "NaN", ""},
		{keyValue, ".5", ""},
		{keyCurrency, "eur", "EUR"},
		{keyCurrency, "euro", ""},
		{keyCurrency, "€uR", ""},
		{keyEventID, " o-1 ", "o-1"},
		{keyExternal, "u-1", "u-1"},
	} {
		if got := keys[tc.key].Normalize(tc.in, row{}); got != tc.want {
			t.Errorf("%s %q: got %q, want %q", tc.key, tc.in, got, tc.want)
		}
	}
}

// TestConversionRules: both names find a person, one does not, and device ids do
// not either.
func TestConversionRules(t *testing.T) {
	rules := Definition().For("linkedin_conversion").RuleSet
	for _, tc := range []struct {
		row    row
		usable bool
	}{
		{row{keyEmail: "a@example.com"}, true},
		{row{keyFirstName: "Ana", keyLastName: "Ng"}, true},
		{row{keyFirstName: strings.Repeat("x", 36), keyLastName: "Ng"}, false},
		{row{keyLastName: "Ng"}, false},
		{row{keyFirstName: "Ana"}, false},
		{row{keyGoogle: "cdda802e-fb9c-47ad-9866-0794d394c912"}, false},
	} {
		mapping, values := map[string]string{}, []string{}
		for _, k := range rules.Keys {
			mapping[k.Name] = k.Name
			values = append(values, tc.row[k.Name])
		}
		set, err := matchkey.NewSet(rules, mapping, "")
		if err != nil {
			t.Fatal(err)
		}
		fp, _ := set.Compute(values, make([][]byte, len(values)), nil)
		if usable := fp != (matchkey.Fingerprint{}); usable != tc.usable {
			t.Errorf("%v: usable %v", tc.row, usable)
		}
	}
	if _, err := matchkey.NewSet(rules, map[string]string{keyGoogle: "device"}, ""); err == nil {
		t.Error("a mapping of a device id alone finds nobody")
	}
}

func TestDefinitionOfConversions(t *testing.T) {
	d := Definition()
	events, people := d.For("linkedin_conversion"), d.For("linkedin_dmp_segment")
	if events.Replay != provider.ReplayNever || people.Replay != provider.ReplayHarmless || events.Opens || !people.Opens {
		t.Errorf("conversions %v, people %v", events.Replay, people.Replay)
	}
	w, _ := d.Workflow("linkedin_conversion")
	if got := w.Window(nil, nil).Hours(); got != 90*24 || w.SyncType != activation.SyncOfflineConversion {
		t.Errorf("window %v h, sync type %s", got, w.SyncType)
	}
	if d.OAuth.RefreshLife.Hours() != 365*24 || d.RequestsPerMinute != 600 || d.MaxRows != 5000 {
		t.Errorf("definition %+v", d)
	}
	perSecond, _ := d.Pace(map[string]provider.Secret{provider.PaceField: "300"})
	if perSecond != 5 {
		t.Errorf("pace %v", perSecond)
	}
}

// FuzzNormalize: every rule is idempotent, and what leaves is what LinkedIn takes.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{" Ana@Example.com", "Ana  María", "2026-11-22", "1795348800", "50.0", "eur", "Deutschland", "\xff", "\u200bx\u200b "} {
		f.Add(s)
	}
	all := append(append(RuleSet().Keys, conversionRules().Keys...), eventKeys()...)
	f.Fuzz(func(t *testing.T, in string) {
		r := row{keyFirstName: "Ana"}
		for _, k := range all {
			once := k.Normalize(in, r)
			if twice := k.Normalize(once, r); twice != once {
				t.Errorf("%s: %q, then %q", k.Name, once, twice)
			}
			if once != strings.TrimSpace(once) || strings.ToValidUTF8(once, "") != once {
				t.Errorf("%s: %q", k.Name, once)
			}
		}
	})
}
