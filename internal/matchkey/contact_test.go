package matchkey

import (
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	nameDigest   = "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814" // of givenname
	familyDigest = "77762c287e61ce065bee5c15464012c6fbe088398b8057627d5577249430d574" // of familyname
)

// TestContactNormalizers holds the cases of the tests of googleads/data-manager-node
// and -java (util/test/formatter.test.ts, UserDataFormatterTest.java; Apache-2.0),
// and those in which a value is none.
func TestContactNormalizers(t *testing.T) {
	phone := PhoneE164("region_code")
	address := Address("given_name", "family_name", "region_code")
	person := func(country string) values {
		return values{"given_name": " Mr. GivenName ", "family_name": "Familyname, Jr.", "region_code": country}
	}
	us, de, none := values{"region_code": "us"}, values{"": "DE"}, values{}
	hash := strings.Repeat("AB", 32)
	for _, tc := range []struct {
		rule string
		fn   func(string, Row) string
		row  Row
		in   string
		want string
	}{
		{"email", EmailGmail, none, "QuinnY@example.com", "quinny@example.com"},
		{"email", EmailGmail, none, "QuinnY@EXAMPLE.com", "quinny@example.com"},
		{"email", EmailGmail, none, "user.name+NYC@Example.com", "user.name+nyc@example.com"},
		{"email", EmailGmail, none, "@example.com", ""},
		{"email", EmailGmail, none, "quinn", ""},
		{"email", EmailGmail, none, "a b@gmail.com", ""},
		{"email", EmailGmail, none, "jefferson.Loves.hiking@gmail.com", "jeffersonloveshiking@gmail.com"},
		{"email", EmailGmail, none, "j.e.f..ferson.Loves.hiking@gmail.com", "jeffersonloveshiking@gmail.com"},
		{"email", EmailGmail, none, "jefferson.Loves.hiking@googlemail.com", "jeffersonloveshiking@googlemail.com"},
		{"email", EmailGmail, none, "Cloudy.SanFrancisco+shopping@gmail.com", "cloudysanfrancisco@gmail.com"},
		{"email", EmailGmail, none, "Cloudy.SanFrancisco+shopping@googlemail.com", "cloudysanfrancisco@googlemail.com"},
		{"email", EmailGmail, none, "ana.ng+x@mail.gmail.com", "ana.ng+x@mail.gmail.com"},
		{"email", EmailGmail, none, "..+x@gmail.com", ""},
		{"email", EmailGmail, none, hash, strings.ToLower(hash)},
		{"email", EmailGmail, none, emptySHA256, ""},
		{"email", EmailGmail, none, "  ", ""},

		{"phone", phone, none, "1 800 555 0100", "+18005550100"},
		{"phone", phone, none, "18005550100", "+18005550100"},
		{"phone", phone, none, "+1 800-555-0100", "+18005550100"},
		{"phone", phone, none, "   +1-800-555-0100", "+18005550100"},
		{"phone", phone, none, "1-800-555-0100   ", "+18005550100"},
		{"phone", phone, none, "441134960987", "+441134960987"},
		{"phone", phone, none, "+441134960987", "+441134960987"},
		{"phone", phone, none, "+44-113-496-0987", "+441134960987"},
		{"phone", phone, none, "+1\u2011800\u2011555\u20110100", "+18005550100"},
		{"phone", phone, none, "1\u2011800\u2011555\u20110100", "+18005550100"},
		{"phone", phone, us, "(800)555-0100", "+18005550100"},
		{"phone", phone, us, "800\u2011555\u20110100", "+18005550100"},
		{"phone", phone, de, "0800 1234567", "+498001234567"},
		{"phone", phone, none, "0800 1234567", ""},
		{"phone", phone, none, "+abc-DEF", ""},
		{"phone", phone, none, "++++", ""},
		{"phone", phone, none, hash, strings.ToLower(hash)},

		{"given", GivenName, none, " Alex   ", "alex"},
		{"given", GivenName, none, " Mr. Alex   ", "alex"},
		{"given", GivenName, none, " Mrs. Alex   ", "alex"},
		{"given", GivenName, none, " Dr. Alex   ", "alex"},
		{"given", GivenName, none, "Dr. Mr. Alex", "alex"},
		{"given", GivenName, none, " Alex Dr.", "alex dr."},
		{"given", GivenName, none, " Mralex   ", "mralex"},
		{"given", GivenName, none, "Jean-Luc", "jean-luc"},
		{"given", GivenName, none, "Vale\u0301ry", "valéry"},
		{"given", GivenName, none, " ", ""},
		{"given", GivenName, none, " Mr. ", ""},
		{"given", GivenName, none, hash, strings.ToLower(hash)},
		{"given", GivenName, none, hash[:32], ""},

		{"family", FamilyName, none, " Quinn   ", "quinn"},
		{"family", FamilyName, none, "Quinn-Alex", "quinn-alex"},
		{"family", FamilyName, none, " Quinn, Jr.   ", "quinn"},
		{"family", FamilyName, none, " Quinn,Jr.   ", "quinn"},
		{"family", FamilyName, none, " Quinn Sr.  ", "quinn"},
		{"family", FamilyName, none, "quinn, jr. dds", "quinn"},
		{"family", FamilyName, none, "quinn, jr., dds", "quinn"},
		{"family", FamilyName, none, "Boardds", "boardds"},
		{"family", FamilyName, none, "lacparm", "lacparm"},
		{"family", FamilyName, none, "Quinn III PhD", "quinn"},
		{"family", FamilyName, none, " ", ""},
		{"family", FamilyName, none, ", Jr. ", ""},
		{"family", FamilyName, none, ",Jr.,DDS ", ""},

		{"region", Region, none, "us", "US"},
		{"region", Region, none, "us  ", "US"},
		{"region", Region, none, "  us  ", "US"},
		{"region", Region, none, "Germany", "DE"},
		{"region", Region, none, "", ""},
		{"region", Region, none, "  ", ""},
		{"region", Region, none, "u", ""},
		{"region", Region, none, " u s ", ""},
		{"region", Region, none, " u2 ", ""},
		{"region", Region, none, "zz", ""},
		{"region", Region, none, hash, ""},

		{"address", address, person("us"), " 94045  ", nameDigest + " " + familyDigest + " US 94045"},
		{"address", address, person("us"), "94045-1234", nameDigest + " " + familyDigest + " US 94045-1234"},
		{"address", address, person("pt"), "  1229-076  ", nameDigest + " " + familyDigest + " PT 1229-076"},
		{"address", address, values{"given_name": strings.ToUpper(nameDigest), "family_name": familyDigest, "region_code": "US"}, "94045", nameDigest + " " + familyDigest + " US 94045"},
		{"address", address, person("us"), "940", ""},
		{"address", address, person("us"), "1229-076", ""},
		{"address", address, person(""), "94045", ""},
		{"address", address, values{"given_name": "Mr.", "family_name": "Quinn", "region_code": "US"}, "94045", ""},
		{"address", address, values{"given_name": "Alex", "region_code": "US"}, "94045", ""},
		{"address", address, person("us"), "", ""},
		{"address", address, person("us"), "  ", ""},
		{"address", address, person("pt"), "--", ""},
		{"address", address, nil, "94045", ""},
	} {
		if got := tc.fn(tc.in, tc.row); got != tc.want {
			t.Errorf("%s %q: %q, want %q", tc.rule, tc.in, got, tc.want)
		}
	}
}

// TestEveryTitleGoes: all titles of Google's formatters, before and behind a name,
// and none that is a part of it.
func TestEveryTitleGoes(t *testing.T) {
	for _, title := range []string{"mr.", "mrs.", "ms.", "dr."} {
		for _, in := range []string{title + " Alex", strings.ToUpper(title) + " Alex", " " + title + "\u00a0Alex "} {
			if got := GivenName(in, nil); got != "alex" {
				t.Errorf("%q: %q", in, got)
			}
		}
		if in := strings.TrimSuffix(title, ".") + " alex"; GivenName(in, nil) != in {
			t.Errorf("%q: %q", in, GivenName(in, nil))
		}
	}
	for _, title := range []string{"jr.", "sr.", "2nd", "3rd", "ii", "iii", "iv", "v", "vi", "cpa", "dc", "dds", "vm", "jd", "md", "phd"} {
		for _, in := range []string{"Quinn " + title, "Quinn, " + strings.ToUpper(title), "Quinn," + title + " ", "Quinn " + title + ", " + title, "Quinn\u00a0" + title} {
			if got := FamilyName(in, nil); got != "quinn" {
				t.Errorf("%q: %q", in, got)
			}
		}
		if in := "quinn" + title; FamilyName(in, nil) != in {
			t.Errorf("%q: %q", in, FamilyName(in, nil))
		}
	}
}

// FuzzContact: what a normaliser gives, it gives again, and it is text.
func FuzzContact(f *testing.F) {
	for _, seed := range []string{"Dr. Mr. Alex", "quinn, jr., dds", "a.b+c@gmail.com", "94045-1234", "İ", "v, v", "dr.\u2003dr.", emptySHA256} {
		f.Add(seed, "us")
	}
	rules := map[string]func(string, Row) string{
		"email": EmailGmail, "given": GivenName, "family": FamilyName, "region": Region,
		"address": Address("given_name", "family_name", "region_code"),
	}
	f.Fuzz(func(t *testing.T, in, country string) {
		row := values{"given_name": in, "family_name": country + in, "region_code": country}
		for name, fn := range rules {
			once := fn(in, row)
			if again := fn(once, row); again != once || !utf8.ValidString(once) {
				t.Errorf("%s of %q: %q, then %q", name, in, once, again)
			}
		}
	})
}
