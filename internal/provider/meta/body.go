package meta

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"usher/internal/provider"
)

// appendUsers appends the body of a users call. It is written by hand because
// it is most of the work of a delivery. A value that is none becomes "".
func appendUsers(dst []byte, b provider.Batch) []byte {
	dst = append(dst, `{"session":{"session_id":`...)
	dst = strconv.AppendInt(dst, sessionID(b.Item, b.Attempt), 10)
	dst = append(dst, `,"batch_seq":1,"last_batch_flag":true,"estimated_num_total":`...)
	dst = strconv.AppendInt(dst, int64(b.Rows()), 10)
	dst = append(dst, `},"payload":{"schema":[`...)
	for i, k := range b.Keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, []byte(k.Name))
	}
	dst = append(dst, `],"data":[`...)
	for i := range b.Rows() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		for j, v := range b.Row(i) {
			if j > 0 {
				dst = append(dst, ',')
			}
			if b.Keys[j].Hash {
				dst = appendHex(dst, v)
			} else {
				dst = appendText(dst, v)
			}
		}
		dst = append(dst, ']')
	}
	return append(dst, `]}}`...)
}

const hexDigits = "0123456789abcdef"

// appendHex appends v in hexadecimal between quotes.
func appendHex(dst, v []byte) []byte {
	dst = append(dst, '"')
	n := len(dst)
	dst = slices.Grow(dst, 2*len(v)+1)[:n+2*len(v)]
	for i, c := range v {
		dst[n+2*i], dst[n+2*i+1] = hexDigits[c>>4], hexDigits[c&15]
	}
	return append(dst, '"')
}

// appendText appends v as a JSON text. What is not UTF-8 becomes U+FFFD.
func appendText(dst, v []byte) []byte {
	dst = append(dst, '"')
	for len(v) > 0 {
		n := 0
		for n < len(v) && v[n] >= ' ' && v[n] < utf8.RuneSelf && v[n] != '"' && v[n] != '\\' {
			n++
		}
		dst = append(dst, v[:n]...)
		if v = v[n:]; len(v) == 0 {
			break
		}
		if c := v[0]; c < utf8.RuneSelf {
			dst = appendEscaped(dst, c)
			v = v[1:]
			continue
		}
		r, size := utf8.DecodeRune(v)
		dst = utf8.AppendRune(dst, r)
		v = v[size:]
	}
	return append(dst, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	if c == '"' || c == '\\' {
		return append(dst, '\\', c)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
