package matchkey

import (
	"strings"
	"unicode"
)

// Country is an ISO 3166-1 alpha-2 code in lower case. Alpha-3 codes and names
// are translated (USA, United Kingdom, Deutschland), which senders either skip
// or hash as they are, to no match. A code that ISO does not know is no value.
func Country(value string, _ Row) string {
	if len(value) == 2 {
		if code := alpha2(value[0], value[1]); code != "" {
			return code
		}
	}
	v, done := prepare(value)
	if done {
		return v
	}
	v = letters(v)
	if len(v) == 2 {
		if code := alpha2(v[0], v[1]); code != "" {
			return code
		}
	}
	return countries().names[v]
}

// City is the letters of a city's name in lower case: no space, digit or
// punctuation. München stays münchen: the rule keeps letters in UTF-8, and the
// network's own sender does so, though others drop the ü. L'Aquila is laquila:
// the rule says no punctuation, though the network's own sender keeps it.
func City(value string, _ Row) string {
	v, done := prepare(value)
	if done {
		return v
	}
	return letters(v)
}

// State returns the normaliser of a state or province: in the United States the
// two-letter code of ANSI INCITS 38 (California and CA are ca, New York is ny),
// elsewhere the letters in lower case. countryKey is the key that holds the
// person's country. Without any country a name of a US state is one, since
// the rule knows no other conversion.
func State(countryKey string) func(string, Row) string {
	return func(value string, row Row) string {
		v, done := prepare(value)
		if done {
			return v
		}
		v = letters(v)
		if c := countryOf(row, countryKey); c == "us" || c == "" {
			if code, ok := usStates[v]; ok {
				return code
			}
		}
		return v
	}
}

// Zip returns the normaliser of a postal code: lower case without spaces; in the
// United States the first five digits, so that 94105-1234 is 94105, and nothing
// when there are fewer. countryKey is the key that holds the person's country.
// Without any country only what is written as ZIP+4 is taken for one; hyphens
// of other countries stay, because the rule does not remove them.
func Zip(countryKey string) func(string, Row) string {
	return func(value string, row Row) string {
		v, done := prepare(value)
		if done {
			return v
		}
		v = strings.ToLower(strings.Join(strings.Fields(v), ""))
		if len(v) > 16 || !strings.ContainsFunc(v, letterOrDigit) {
			return ""
		}
		switch countryOf(row, countryKey) {
		case "us":
			if len(v) < 5 || !onlyDigits(v[:5]) {
				return ""
			}
			return v[:5]
		case "":
			if len(v) == 10 && v[5] == '-' && onlyDigits(v[:5]) && onlyDigits(v[6:]) {
				return v[:5]
			}
		}
		return v
	}
}

func letterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// countryOf is the alpha-2 code of the person's country, else the declared
// default, else "".
func countryOf(row Row, key string) string {
	if row == nil {
		return ""
	}
	if c := Country(row.Value(key), row); len(c) == 2 {
		return c
	}
	return strings.ToLower(row.DefaultCountry())
}

// usStates are the states, the district and the territories by their folded
// English names (ANSI INCITS 38).
var usStates = map[string]string{
	"alabama": "al", "alaska": "ak", "arizona": "az", "arkansas": "ar", "california": "ca",
	"colorado": "co", "connecticut": "ct", "delaware": "de", "districtofcolumbia": "dc",
	"washingtondc": "dc", "florida": "fl", "georgia": "ga", "hawaii": "hi", "idaho": "id",
	"illinois": "il", "indiana": "in", "iowa": "ia", "kansas": "ks", "kentucky": "ky",
	"louisiana": "la", "maine": "me", "maryland": "md", "massachusetts": "ma", "michigan": "mi",
	"minnesota": "mn", "mississippi": "ms", "missouri": "mo", "montana": "mt", "nebraska": "ne",
	"nevada": "nv", "newhampshire": "nh", "newjersey": "nj", "newmexico": "nm", "newyork": "ny",
	"northcarolina": "nc", "northdakota": "nd", "ohio": "oh", "oklahoma": "ok", "oregon": "or",
	"pennsylvania": "pa", "rhodeisland": "ri", "southcarolina": "sc", "southdakota": "sd",
	"tennessee": "tn", "texas": "tx", "utah": "ut", "vermont": "vt", "virginia": "va",
	"washington": "wa", "westvirginia": "wv", "wisconsin": "wi", "wyoming": "wy",
	"americansamoa": "as", "guam": "gu", "northernmarianaislands": "mp", "puertorico": "pr",
	"virginislands": "vi", "usvirginislands": "vi",
}
