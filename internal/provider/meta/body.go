package meta

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/provider"
)

// session is the upload session that a batch belongs to.
type session struct {
	id    int64
	seq   int
	last  bool
	total int64
}

// sessionOf is that of a batch without its rejected rows: its own, or the one of
// the replacement that it is a part of.
func sessionOf(b provider.Batch, rejected int) session {
	if r := b.Replace; r != nil {
		return session{id: r.Session, seq: r.Number, last: r.Number == r.Of, total: r.Rows}
	}
	return session{id: sessionID(b.Item, b.Attempt), seq: 1, last: true, total: int64(b.Rows() - rejected)}
}

// appendUsers appends the body of a users call, without the rejected rows. It is
// written by hand because it is most of the work of a delivery. A value that is
// none becomes "". A removal does not carry LOOKALIKE_VALUE; limited data use
// counts for it too, since it is the same people's data.
func appendUsers(dst []byte, b provider.Batch, l limits, rejected []activation.Exception) []byte {
	columns := columnsOf(b)
	of := sessionOf(b, len(rejected))
	dst = append(dst, `{"session":{"session_id":`...)
	dst = strconv.AppendInt(dst, of.id, 10)
	dst = append(dst, `,"batch_seq":`...)
	dst = strconv.AppendInt(dst, int64(of.seq), 10)
	dst = append(dst, `,"last_batch_flag":`...)
	dst = strconv.AppendBool(dst, of.last)
	dst = append(dst, `,"estimated_num_total":`...)
	dst = strconv.AppendInt(dst, of.total, 10)
	dst = append(dst, `},"payload":{"schema":[`...)
	for i, c := range columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, []byte(b.Keys[c].Name))
	}
	cells := ""
	if l.limited {
		dst = append(dst, `,"DATA_PROCESSING_OPTIONS"`...)
		cells = `,["LDU"]`
	}
	if l.limited && l.located() {
		dst = append(dst, `,"DATA_PROCESSING_OPTIONS_COUNTRY","DATA_PROCESSING_OPTIONS_STATE"`...)
		cells += "," + strconv.Itoa(l.country) + "," + strconv.Itoa(l.state)
	}
	dst = append(dst, `],"data":[`...)
	for i, before := 0, false; i < b.Rows(); i++ {
		if len(rejected) > 0 && rejected[0].Ordinal == int64(i) {
			rejected = rejected[1:]
			continue
		}
		if before {
			dst = append(dst, ',')
		}
		before = true
		dst = append(dst, '[')
		dst = appendRow(dst, b, columns, i)
		dst = append(dst, cells...)
		dst = append(dst, ']')
	}
	return append(dst, `]}}`...)
}

// columnsOf are the places of the keys that a batch carries.
func columnsOf(b provider.Batch) []int {
	columns := make([]int, 0, len(b.Keys))
	for i, k := range b.Keys {
		if k.Name != keyValued || b.Op == activation.OpAdd {
			columns = append(columns, i)
		}
	}
	return columns
}

func appendRow(dst []byte, b provider.Batch, columns []int, i int) []byte {
	row := b.Row(i)
	for at, c := range columns {
		if at > 0 {
			dst = append(dst, ',')
		}
		switch k := &b.Keys[c]; {
		case k.Hash:
			dst = appendHex(dst, row[c])
		case k.Name == keyValued:
			dst = append(dst, row[c]...) // a number, since there is one
		default:
			dst = appendText(dst, row[c])
		}
	}
	return dst
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
