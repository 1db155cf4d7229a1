package query

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendText appends a text as JSON. What is no UTF-8 becomes U+FFFD.
func AppendText[T string | []byte](out []byte, v T) []byte {
	out = append(out, '"')
	for s := string(v); len(s) > 0; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, "\uFFFD"...)
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r == '\n':
			out = append(out, `\n`...)
		case r < ' ':
			out = append(out, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			out = append(out, s[:n]...)
		}
		s = s[n:]
	}
	return append(out, '"')
}

// AppendNumber appends a number with the digits it has; what JSON has no number
// for, such as NaN, is a text.
func AppendNumber(out, v []byte) []byte {
	if isNumber(v) {
		return append(out, v...)
	}
	return AppendText(out, v)
}

// isNumber reports whether v is a number of JSON.
func isNumber(v []byte) bool {
	digits := func() int {
		n := 0
		for n < len(v) && v[n] >= '0' && v[n] <= '9' {
			n++
		}
		v = v[n:]
		return n
	}
	v = bytes.TrimPrefix(v, []byte("-"))
	zero := len(v) > 0 && v[0] == '0'
	if n := digits(); n == 0 || zero && n > 1 {
		return false
	}
	if len(v) > 0 && v[0] == '.' {
		v = v[1:]
		if digits() == 0 {
			return false
		}
	}
	if len(v) > 0 && v[0]|0x20 == 'e' {
		v = v[1:]
		if len(v) > 0 && (v[0] == '+' || v[0] == '-') {
			v = v[1:]
		}
		if digits() == 0 {
			return false
		}
	}
	return len(v) == 0
}

// AppendBytes appends bytes as base64.
func AppendBytes(out, v []byte) []byte {
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, v)
	return append(out, '"')
}

// AppendTime appends a time in UTC that is written as 2026-11-22 08:00:00.5, with
// or without an offset of zero, as RFC 3339. What is not, such as infinity, is a
// text.
func AppendTime(out, v []byte) []byte {
	v = bytes.TrimSuffix(v, []byte("+00"))
	if len(v) < len("2026-11-22 08:00:00") || v[4] != '-' || v[10] != ' ' {
		return AppendText(out, v)
	}
	if year, err := strconv.Atoi(string(v[:4])); err != nil || year == 0 || bytes.HasSuffix(v, []byte("BC")) {
		return AppendText(out, v)
	}
	out = append(append(out, '"'), v[:10]...)
	out = append(append(out, 'T'), v[11:]...)
	return append(out, 'Z', '"')
}
