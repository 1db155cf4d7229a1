package matchkey

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// PhoneDigits returns the normaliser of a phone number as E.164 without the
// plus: 14155552671. countryKey is the key that holds the person's country.
//
// The number is read by its numbering plan before anything is cut off it, so
// that the trunk zero of +44 (0)20 7946 0958 goes (senders who only strip
// punctuation send 4402079460958, which is nobody's number), a leading 00 is a
// plus, and an extension is left out.
//
// A number without a plus is read as a national one of the person's country,
// else of the declared default; only where that is no valid number, as an
// international one written without its plus. Without any country it must be
// international: which country a bare number belongs to is not guessed.
// It follows that a foreign number written without its plus is read as a
// national one where it could be both; with the plus there is never a doubt.
func PhoneDigits(countryKey string) func(string, Row) string {
	e164 := PhoneE164(countryKey)
	return func(value string, row Row) string {
		return strings.TrimPrefix(e164(value, row), "+")
	}
}

// PhoneE164 is PhoneDigits with the plus: +14155552671.
func PhoneE164(countryKey string) func(string, Row) string {
	return func(value string, row Row) string {
		v, done := prepare(value)
		if done {
			return v
		}
		return phoneOf(v, func() string { return strings.ToUpper(countryOf(row, countryKey)) })
	}
}

// Phone returns a phone number as E.164 with the plus, by the rules of PhoneDigits;
// "" = it is none. country is that of numbers without a country code.
func Phone(text, country string) string {
	return phoneOf(trim(text), func() string { return strings.ToUpper(country) })
}

// PhoneCountry reports whether numbers of a country can be read; its code is in
// capital letters.
func PhoneCountry(code string) bool {
	return len(code) == 2 && phonenumbers.GetCountryCodeForRegion(code) > 0
}

// phoneOf reads a number without blanks around it.
func phoneOf(v string, country func() string) string {
	if len(v) > 64 {
		return ""
	}
	if rest, ok := strings.CutPrefix(v, "00"); ok {
		v = "+" + rest
	}
	if strings.HasPrefix(v, "+") {
		return international(v)
	}
	region := country()
	n, err := phonenumbers.Parse(v, region)
	if region != "" && err == nil && phonenumbers.IsValidNumberForRegion(n, region) {
		return phonenumbers.Format(n, phonenumbers.E164)
	}
	if other, err := phonenumbers.Parse("+"+v, ""); err == nil && phonenumbers.IsValidNumber(other) {
		return phonenumbers.Format(other, phonenumbers.E164)
	}
	if region != "" && err == nil && phonenumbers.IsPossibleNumber(n) {
		return phonenumbers.Format(n, phonenumbers.E164)
	}
	return ""
}

// international reads a number with its plus. It asks only that the length be
// possible: numbering plans grow faster than any copy of them.
func international(v string) string {
	n, err := phonenumbers.Parse(v, "")
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}
