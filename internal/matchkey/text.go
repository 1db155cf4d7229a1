package matchkey

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// emptySHA256 is the SHA-256 of nothing. A source that hashed its empty cells
// sends it for everybody without a value; it identifies nobody.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// prepare does what all hashed keys have in common: it trims, and settles the
// values that need no rule. done is true when v is the answer: a SHA-256 passes
// lower-cased, so that sources which hash by themselves work; the digest of
// nothing, any other digest (MD5, SHA-1, SHA-512: the networks would take it
// for a name and match nobody) and broken UTF-8 give "".
func prepare(value string) (v string, done bool) {
	v = trim(value)
	if v == "" {
		return "", true
	}
	switch len(v) {
	case 64:
		if isHex(v) {
			if v = strings.ToLower(v); v == emptySHA256 {
				v = ""
			}
			return v, true
		}
	case 32, 40, 128:
		if isHex(v) {
			return "", true
		}
	}
	if !isASCII(v) && !utf8.ValidString(v) {
		return "", true
	}
	return v, false
}

// trim removes white space and the invisible marks that spreadsheets leave.
func trim(v string) string {
	if v == "" || plain(v[0]) && plain(v[len(v)-1]) {
		return v
	}
	return strings.TrimFunc(v, func(r rune) bool {
		return unicode.IsSpace(r) || r == '\uFEFF' || r >= '\u200B' && r <= '\u200D' || r == '\u2060'
	})
}

func plain(c byte) bool { return c > ' ' && c < 0x7f }

func isHex(v string) bool {
	for i := range len(v) {
		if _, ok := nibble(v[i]); !ok {
			return false
		}
	}
	return true
}

// letters keeps the letters of v, lower-case and composed (NFC): no space, no
// punctuation, no digit.
func letters(v string) string { return fold(v, false) }

// words keeps the letters, digits and single inner spaces of v, lower-case and
// composed, if there is any letter.
func words(v string) string { return fold(v, true) }

func fold(v string, asWords bool) string {
	if lettersOnly(v) {
		return strings.ToLower(v)
	}
	ascii := isASCII(v)
	if !ascii {
		v = norm.NFC.String(v)
	}
	var b strings.Builder
	b.Grow(len(v))
	space, letter := false, false
	for _, r := range v {
		switch {
		case unicode.IsLetter(r):
			letter = true
		case unicode.IsMark(r):
		case asWords && unicode.IsNumber(r):
		case asWords && unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		default:
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if !letter {
		return ""
	}
	if ascii {
		return b.String()
	}
	return norm.NFC.String(b.String())
}

func lettersOnly(v string) bool {
	for i := range len(v) {
		if c := v[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

func isASCII(v string) bool {
	for i := range len(v) {
		if v[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// onlyDigits reports whether v is ASCII digits and not empty.
func onlyDigits(v string) bool {
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return false
		}
	}
	return v != ""
}
