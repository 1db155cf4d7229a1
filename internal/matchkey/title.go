package matchkey

import (
	"regexp"
	"strings"

	"golang.org/x/text/unicode/norm"
)

var (
	titleBefore = regexp.MustCompile(`^(?:mr|mrs|ms|dr)\.(?:[\s\p{Z}]+|$)`)
	titleAfter  = regexp.MustCompile(`(?:,[\s\p{Z}]*|[\s\p{Z}]+)(?:jr\.|sr\.|2nd|3rd|ii|iii|iv|v|vi|cpa|dc|dds|vm|jd|md|phd)[\s\p{Z}]*$`)
)

// GivenName is a first name in lower case without the titles before it: Mrs. Ana
// is ana. Titles count with their dot only, so that Drew stays drew; hyphens and
// other punctuation stay. Letters are composed (NFC), so that the same name
// typed on two systems is one name.
func GivenName(value string, _ Row) string {
	v, done := nameCase(value)
	for !done {
		rest := trim(titleBefore.ReplaceAllString(v, ""))
		done, v = rest == v, rest
	}
	return v
}

// FamilyName is a last name in lower case without the generations and degrees
// behind it: Quinn, Jr., DDS is quinn. They count behind a comma or a space
// only, so that Boardds stays boardds; hyphens stay.
func FamilyName(value string, _ Row) string {
	v, done := nameCase(value)
	for !done {
		rest := trim(titleAfter.ReplaceAllString(v, ""))
		done, v = rest == v, rest
	}
	return v
}

func nameCase(value string) (v string, done bool) {
	if v, done = prepare(value); done {
		return v, true
	}
	return trim(norm.NFC.String(strings.ToLower(norm.NFC.String(v)))), false
}
