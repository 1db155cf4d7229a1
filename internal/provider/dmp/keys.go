package dmp

import (
	"crypto/sha1" //nolint:gosec // what LiveRamp asks for phone numbers
	"encoding/hex"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"usher/internal/matchkey"
)

// The match keys.
const (
	customerKey = "CUSTOMER_ID"
	emailKey    = "EMAIL"
	phoneKey    = "PHONE"
	countryKey  = "COUNTRY"
)

// RuleSet is dmp/1. Only the customer's id identifies: it is what both formats
// tell people apart by, and what a removal carries.
func RuleSet() matchkey.RuleSet {
	return matchkey.RuleSet{Name: "dmp/1", Keys: []matchkey.Key{
		{
			Name: customerKey, Identifies: true, Normalize: matchkey.Plain,
			Help: "Your own id of the customer, as the platform knows it. One with a space, a comma or a line break in it is rejected where it stands on a line.",
		},
		{
			Name: emailKey, Hash: true, Normalize: Email,
			Help: "E-mail address in lower case without spaces; LiveRamp only.",
		},
		{
			Name: phoneKey, Normalize: PhoneSHA1,
			Help: "Phone number: the SHA-1 of its national digits without country code and leading zero, in lower-case hexadecimal; LiveRamp only.",
		},
		{
			Name: countryKey, Normalize: matchkey.Country,
			Help: "Country as a two-letter code, by which phone numbers without a country code are read; LiveRamp only.",
		},
	}}
}

// Email is an address in lower case without any white space.
func Email(value string, row matchkey.Row) string {
	return matchkey.Email(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, value), row)
}

// e164 reads a phone number by its numbering plan.
var e164 = matchkey.PhoneE164(countryKey)

// PhoneSHA1 is the SHA-1 of the national digits of a phone number. A SHA-1 stays
// as it is; any other hash is dropped, for nobody could match it.
func PhoneSHA1(value string, row matchkey.Row) string {
	trimmed := strings.ToLower(strings.TrimSpace(value))
	if _, err := hex.DecodeString(trimmed); err == nil && len(trimmed) == 2*sha1.Size {
		return trimmed
	}
	full := e164(value, row)
	if !strings.HasPrefix(full, "+") {
		return ""
	}
	number, err := phonenumbers.Parse(full, "")
	if err != nil {
		return ""
	}
	sum := sha1.Sum([]byte(phonenumbers.GetNationalSignificantNumber(number))) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}
