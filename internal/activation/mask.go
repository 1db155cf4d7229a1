package activation

import (
	"strings"
	"unicode/utf8"
)

const masked = "•••"

// Mask keeps the first letter of a personal value, and of an e-mail address the
// domain; of anything else that holds an @, nothing more, and of a single letter
// nothing. "" stays "".
func Mask(v string) string {
	_, first := utf8.DecodeRuneInString(v)
	switch {
	case v == "":
		return ""
	case v[first:] == "":
		return masked
	}
	if _, domain, ok := strings.Cut(v, "@"); ok && !strings.ContainsAny(v, " ,;<>") && !strings.Contains(domain, "@") {
		return v[:first] + masked + "@" + domain
	}
	return v[:first] + masked
}
