package postgres

import (
	"bytes"

	"github.com/jackc/pgx/v5/pgtype"
)

// arrays are the array types whose values become lists, with the type of their
// elements. The others are texts as the server writes them.
var arrays = map[uint32]uint32{
	pgtype.BoolArrayOID: pgtype.BoolOID, pgtype.Int2ArrayOID: pgtype.Int2OID, pgtype.Int4ArrayOID: pgtype.Int4OID, pgtype.Int8ArrayOID: pgtype.Int8OID,
	pgtype.Float4ArrayOID: pgtype.Float4OID, pgtype.Float8ArrayOID: pgtype.Float8OID, pgtype.NumericArrayOID: pgtype.NumericOID,
	pgtype.TextArrayOID: pgtype.TextOID, pgtype.VarcharArrayOID: pgtype.VarcharOID, pgtype.BPCharArrayOID: pgtype.BPCharOID, pgtype.NameArrayOID: pgtype.NameOID,
	pgtype.UUIDArrayOID: pgtype.UUIDOID, pgtype.DateArrayOID: pgtype.DateOID, pgtype.TimestampArrayOID: pgtype.TimestampOID, pgtype.TimestamptzArrayOID: pgtype.TimestamptzOID,
	pgtype.InetArrayOID: pgtype.InetOID, pgtype.ByteaArrayOID: pgtype.ByteaOID,
}

// parseArray reads an array of one dimension as the server writes it ("8.15.6.
// Array Input and Output Syntax"); NULLs are left out. ok is false for what is
// none, such as one of several dimensions.
func parseArray(v []byte) (elements [][]byte, ok bool) {
	if len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}' {
		return nil, false
	}
	v = v[1 : len(v)-1]
	if len(v) == 0 {
		return nil, true
	}
	for {
		var element []byte
		if len(v) > 0 && v[0] == '"' {
			element = []byte{}
			n := 1
			for ; n < len(v) && v[n] != '"'; n++ {
				if v[n] == '\\' {
					n++
				}
				if n == len(v) {
					return nil, false
				}
				element = append(element, v[n])
			}
			if n >= len(v) {
				return nil, false
			}
			v = v[n+1:]
			elements = append(elements, element)
		} else {
			n := bytes.IndexByte(v, ',')
			if n < 0 {
				n = len(v)
			}
			element = v[:n]
			if len(element) == 0 || bytes.ContainsAny(element, `{}"\`) {
				return nil, false
			}
			if string(element) != "NULL" {
				elements = append(elements, element)
			}
			v = v[n:]
		}
		if len(v) == 0 {
			return elements, true
		}
		if v[0] != ',' {
			return nil, false
		}
		v = v[1:]
	}
}

func appendArray(out []byte, of uint32, elements [][]byte) []byte {
	out = append(out, '[')
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendScalar(out, of, e)
	}
	return append(out, ']')
}
