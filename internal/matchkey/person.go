package matchkey

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Email trims and lower-cases an address. It folds nothing: to most mail hosts
// a dot or a +tag makes another mailbox, and the networks that do fold say so.
//
// An address without a dot in its domain (a@b) is dropped. Senders disagree
// here (hash it, refuse the call, drop it); nobody registers at a network with
// such an address, and one that is dropped here is counted where one that is
// hashed is never seen again. An MD5 is dropped: no network takes it.
func Email(value string, _ Row) string {
	v, done := prepare(value)
	if done {
		return v
	}
	at, dot := -1, -1
	for i := range len(v) {
		switch c := v[i]; {
		case c <= ' ', c == 0x7f, c == '@' && at >= 0:
			return ""
		case c == '@':
			at = i
		case c == '.':
			dot = i
		}
	}
	if at < 1 || dot <= at+1 || dot == len(v)-1 || len(v) > 320 {
		return ""
	}
	if !isASCII(v) && strings.ContainsFunc(v, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return ""
	}
	return strings.ToLower(v)
}

// Name is a first or last name: lower-case letters of any script, without
// punctuation, inner spaces single. O'Brien is obrien and Jean-Luc jeanluc,
// because the rule says "no punctuation" and most senders agree; é and ü stay,
// because it says that letters in UTF-8 are kept. Letters are composed (NFC),
// so that the same name typed on two systems is one name. A value without any
// letter is none.
func Name(value string, _ Row) string {
	v, done := prepare(value)
	if done {
		return v
	}
	return words(v)
}

// Initial is the first letter of a first name.
func Initial(value string, _ Row) string {
	v, done := prepare(value)
	if done {
		return v
	}
	for i, r := range words(v) {
		if unicode.IsLetter(r) {
			return words(v)[i : i+utf8.RuneLen(r)]
		}
	}
	return ""
}

// Gender is m or f. Only words that say so are read: m, male, man, f, female,
// woman. Anything else is no value, since a guess ("not female, so male") is
// wrong about a person.
func Gender(value string, _ Row) string {
	v, done := prepare(value)
	if done {
		return v
	}
	switch letters(v) {
	case "m", "male", "man":
		return "m"
	case "f", "female", "woman":
		return "f"
	}
	return ""
}

// BirthYear is a year of four digits from 1900 to 2099, alone or at the head of
// an ISO date. There is no clock in this package, so a year to come is not told
// from a year past: it matches nobody, and harms nobody.
func BirthYear(value string, _ Row) string {
	return datePart(value, 0, 4, 1900, 2099)
}

// BirthMonth is 01 to 12, alone (3 is 03) or out of an ISO date.
func BirthMonth(value string, _ Row) string {
	return datePart(value, 5, 7, 1, 12)
}

// BirthDay is 01 to 31, alone (3 is 03) or out of an ISO date.
func BirthDay(value string, _ Row) string {
	return datePart(value, 8, 10, 1, 31)
}

// datePart reads digits that are the part alone, or cuts it from a date written
// year-month-day, with or without a time behind it. Dates written day first or
// month first cannot be told apart and are no value.
func datePart(value string, from, to, least, most int) string {
	v, done := prepare(value)
	if done {
		return v
	}
	if isoDate(v) {
		v = v[from:to]
	}
	width := to - from
	if len(v) > width || !onlyDigits(v) || width == 4 && len(v) != 4 {
		return ""
	}
	n := 0
	for i := range len(v) {
		n = n*10 + int(v[i]-'0')
	}
	if n < least || n > most {
		return ""
	}
	if len(v) < width {
		v = "0" + v
	}
	return v
}

// isoDate reports whether v begins with yyyy-mm-dd and nothing or a time follows.
func isoDate(v string) bool {
	return len(v) >= 10 && onlyDigits(v[:4]) && v[4] == '-' && onlyDigits(v[5:7]) && v[7] == '-' &&
		onlyDigits(v[8:10]) && (len(v) == 10 || v[10] == 'T' || v[10] == ' ')
}
