package matchkey

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

var (
	usZip        = regexp.MustCompile(`^[0-9]{5}(?:-?[0-9]{4})?$`)
	wholeAddress = regexp.MustCompile(`^[0-9a-f]{64} [0-9a-f]{64} [A-Z]{2} \S`)
)

// Region is an ISO 3166-1 alpha-2 code in upper case. Alpha-3 codes and names are
// translated; what ISO does not know is no value.
func Region(value string, row Row) string {
	v := trim(value)
	if len(v) != 2 && len(letters(v)) <= 2 {
		return ""
	}
	if v = Country(v, row); len(v) != 2 {
		return ""
	}
	return strings.ToUpper(v)
}

// Address returns the normaliser of a postal code that makes an address of it: the
// digests of given name and family name, the region and the code, with spaces
// between. Networks that match by address match by all four or not at all, so
// the four are one key and stay one when somebody is taken out again. given,
// family and region are the keys that hold the other parts; where one of them is
// missing there is no address.
//
// The code itself is kept as it is but for the space around it; in the United
// States it must have five digits, or five and four.
func Address(given, family, region string) func(string, Row) string {
	return func(value string, row Row) string {
		v := trim(value)
		if wholeAddress.MatchString(v) && Plain(v, nil) == v {
			return v
		}
		if v, done := prepare(v); done || row == nil || len(v) > 16 || !strings.ContainsFunc(v, letterOrDigit) {
			return ""
		}
		first, last, country := GivenName(row.Value(given), row), FamilyName(row.Value(family), row), Region(row.Value(region), row)
		if first == "" || last == "" || country == "" || country == "US" && !usZip.MatchString(v) {
			return ""
		}
		return digest(first) + " " + digest(last) + " " + country + " " + v
	}
}

// digest is the SHA-256 in hexadecimal, of a value that may be one already.
func digest(v string) string {
	if len(v) == 2*sha256.Size && isHex(v) {
		return v
	}
	sum := sha256.Sum256([]byte(v))
	return hex.EncodeToString(sum[:])
}
