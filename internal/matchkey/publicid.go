package matchkey

import (
	"regexp"
	"strings"
	"unicode"
)

// MaxPublicID is the most bytes of a public id.
const MaxPublicID = 256

// phoneLike is a phone number as people write it with its country code. Digits
// alone are an id like any other.
var phoneLike = regexp.MustCompile(`^\+[0-9][0-9 ().\-/]{5,}$`)

// PublicID is an id of ours that anybody may see, such as a visitor's. What looks
// like an e-mail address or a phone number is none: nobody is to be found on a
// site by what others know of them.
func PublicID(value string, row Row) string {
	v := Plain(value, row)
	if len(v) > MaxPublicID || strings.Contains(v, "@") || phoneLike.MatchString(v) || strings.ContainsFunc(v, unicode.IsControl) {
		return ""
	}
	return v
}
