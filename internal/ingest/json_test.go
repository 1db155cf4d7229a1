package ingest

import (
	"fmt"
	"strings"
	"testing"

	"usher/internal/activation"
)

func TestJSONBecomesCanonical(t *testing.T) {
	tests := map[string]struct {
		in, want, cols string
		format         format
		req            Request
	}{
		"lines":               {in: "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n", want: "1,1,x\n2,2,y\n", cols: "a,b", format: formatNDJSON},
		"no last line end":    {in: "{\"a\":1}\n{\"a\":2}", want: "1,1\n2,2\n", format: formatNDJSON},
		"blank lines, CRLF":   {in: "\n{\"a\":1}\r\n\r\n{\"a\":2}\r\n", want: "2,1\n4,2\n", format: formatNDJSON},
		"byte order mark":     {in: "\uFEFF{\"a\":1}", want: "1,1\n", format: formatNDJSON},
		"array":               {in: "[{\"a\":1}, {\"a\":2}\n,{\"a\":3}]", want: "1,1\n2,2\n3,3\n", format: formatArray},
		"array over lines":    {in: "\n[\n {\"a\":1},\n {\n\"a\":2}\n]\n", want: "3,1\n4,2\n", format: formatArray},
		"empty array":         {in: "[]", want: "", format: formatArray},
		"one object, pretty":  {in: "{\n  \"a\": 1,\n  \"b\": [1, 2]\n}\n", want: "1,1,\"[1,2]\"\n", format: formatObjects},
		"objects, pretty":     {in: "{\n\"a\": 1\n}\n{\n\"a\": 2\n}", want: "1,1\n4,2\n", format: formatObjects},
		"union of keys":       {in: "{\"a\":1}\n{\"b\":2}\n{\"c\":3,\"a\":4}\n", want: "1,1,,\n2,,2,\n3,4,,3\n", cols: "a,b,c", format: formatNDJSON},
		"key order":           {in: "{\"a\":1,\"b\":2}\n{\"b\":3,\"a\":4}\n", want: "1,1,2\n2,4,3\n", format: formatNDJSON},
		"null is missing":     {in: "{\"a\":null,\"b\":2}\n", want: "1,,2\n", cols: "a,b", format: formatNDJSON},
		"numbers as written":  {in: "{\"a\":1.50,\"b\":-0,\"c\":1E+3,\"d\":12345678901234567890}\n", want: "1,1.50,-0,1E+3,12345678901234567890\n", format: formatNDJSON},
		"booleans":            {in: "{\"a\":true,\"b\":false}\n", want: "1,true,false\n", format: formatNDJSON},
		"escapes":             {in: `{"a\u0041":"q\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 \ufffd"}` + "\n", want: "1,\"q\"\"\\/\b\f\n\r\té😀 \uFFFD\"\n", cols: "aA", format: formatNDJSON},
		"array of scalars":    {in: `{"a":[ "x, \"y\"" , 1.0, null,true ],"b":[]}`, want: "1,\"[\"\"x, \\\"\"y\\\"\"\"\",1.0,null,true]\",[]\n", format: formatNDJSON},
		"nested in a string":  {in: `[{"a":"{[}"},{"a":"\\\"]"}]`, want: "1,{[}\n2,\"\\\"\"]\"\n", format: formatArray},
		"append":              {in: "{\"a\":1}\n{\"b\":2}\n", req: Request{Append: `{"src":"web"}`}, want: "1,1,,web\n2,,2,web\n", cols: "a,b,src", format: formatNDJSON},
		"declared NDJSON":     {in: "{\"a\":1}\n", req: Request{ContentType: "application/x-ndjson"}, want: "1,1\n", format: formatNDJSON},
		"declared JSON":       {in: "{\"a\":1}\n", req: Request{ContentType: "application/json; charset=UTF-8"}, want: "1,1\n", format: formatNDJSON},
		"what curl says":      {in: "{\"a\":1}\n", req: Request{ContentType: "application/x-www-form-urlencoded"}, want: "1,1\n", format: formatNDJSON},
		"braces in a CSV":     {in: "[a,b\n1,2\n", req: Request{ContentType: "text/csv"}, want: "2,1,2\n", cols: "[a,b", format: formatCSV},
		"plain text is sniff": {in: "a,b\n1,2\n", req: Request{ContentType: "text/plain"}, want: "2,1,2\n", format: formatCSV},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.req.Body = body(tt.in)
			got, u, err := parsed(t, tt.req, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got = untimed(got); got != tt.want {
				t.Errorf("canonical = %q, want %q", got, tt.want)
			}
			if cols := strings.Join(u.allColumns(), ","); tt.cols != "" && cols != tt.cols {
				t.Errorf("columns = %s, want %s", cols, tt.cols)
			}
			if u.format != tt.format {
				t.Errorf("format = %s, want %s", u.format, tt.format)
			}
		})
	}
}

func TestJSONFaultsNameTheirPlace(t *testing.T) {
	long := strings.Repeat("x", 120)
	tests := map[string]struct {
		in, want string
		req      Request
	}{
		"nested object":       {in: "{\"a\":1}\n{\"a\":1,\"address\":{\"city\":\"x\"}}\n", want: "line 2, column 18, field \"address\": a nested object; send its fields as fields of the row"},
		"array of objects":    {in: "{\"items\":[1,{\"id\":2}]}\n", want: "line 1, column 13, field \"items[1]\": an array of objects; only arrays of plain values can be kept"},
		"array of arrays":     {in: "{\"m\":[[1]]}\n", want: "line 1, column 7, field \"m[0]\": an array of arrays; only arrays of plain values can be kept"},
		"second object":       {in: "[{\"a\":1},\n{\"é\":1,\"b\":tru}]", want: "line 2, column 12: expected a value"},
		"on the same line":    {in: "[{\"a\":1},{\"b\":x}]", want: "line 1, column 15: expected a value"},
		"key twice":           {in: "{\"a\":1,\"a\":2}", want: "line 1, column 12, field \"a\": the key stands twice in one object"},
		"address as key":      {in: "{\"jo@example.com\":{}}", want: "line 1, column 19: a nested object; send its fields as fields of the row"},
		"empty key":           {in: "{\"\":1}", want: "line 1, column 2: a key is empty, longer than 128 bytes or holds control characters"},
		"empty object":        {in: "{}\n", want: "line 1: the object is empty"},
		"cut line":            {in: "{\"a\":1}\n{\"a\":\n", want: "line 2, column 6: expected a value"},
		"two on a line":       {in: "{\"a\":1}{\"a\":2}\n", want: "line 1, column 8: something follows the object"},
		"not an object":       {in: "{\"a\":1}\n3\n", want: "line 2, column 1: expected an object"},
		"number in array":     {in: "[{\"a\":1},3]", want: "line 1, column 10: expected an object"},
		"no comma":            {in: "[{\"a\":1} {\"a\":2}]", want: "line 1, column 10: expected a comma or the end of the array"},
		"dangling comma":      {in: "[{\"a\":1},]", want: "line 1, column 10: expected an object"},
		"array cut":           {in: "[{\"a\":1},\n{\"a\":2}\n", want: "line 3, column 1: the body ends before the array does"},
		"array cut in object": {in: "[{\"a\":1},\n {\"a\":2", want: "line 2, column 2: the body ends before the object that begins here does"},
		"after the array":     {in: "[{\"a\":1}] x", want: "line 1, column 11: something follows the array"},
		"leading zero":        {in: "{\"a\":012}", want: "line 1, column 7: expected a comma or the end of the object"},
		"plus sign":           {in: "{\"a\":+1}", want: "line 1, column 6: expected a value"},
		"no fraction":         {in: "{\"a\":1.}", want: "line 1, column 8: expected a digit"},
		"no exponent":         {in: "{\"a\":1e}", want: "line 1, column 8: expected a digit"},
		"single quotes":       {in: "{'a':1}", want: "line 1, column 2: expected a string in double quotes"},
		"lone surrogate":      {in: `{"a":"x\ud83d"}`, want: "line 1, column 8: a broken escape sequence in a string"},
		"NUL escape":          {in: `{"a":"x\u0000"}`, want: "line 1, column 8: a NUL character is not text"},
		"raw line end":        {in: "[{\"a\":\"x\ny\"}]", want: "line 1, column 9: a control character stands inside a string"},
		"invalid UTF-8":       {in: "{\"a\":\"\xff\"}", want: "line 1, column 7: the text is not valid UTF-8 here"},
		"long line":           {in: "{\"a\":\"" + long + "\"}\n", want: "line 1: the object is longer than the limit of 100 bytes"},
		"long object":         {in: "[{\"a\":1},\n{\"a\":\"" + long + "\"}]\n", want: "line 2: the object is longer than the limit of 100 bytes"},
		"endless object":      {in: "[{\"a\":1},\n{\"a\":\"" + long, want: "line 2: the object is longer than the limit of 100 bytes"},
		"too many keys":       {in: "{\"a\":1,\"b\":2}\n{\"c\":3,\"d\":4}\n", want: "line 2: with this row there are more than 3 different keys"},
		"in append too":       {in: "{\"a\":1,\"b\":2}\n", req: Request{Append: `{"b":1}`}, want: "line 1, column 12, field \"b\": the key is also in append"},
		"time missing":        {in: "{\"a\":1,\"ts\":1700000000}\n{\"a\":1}\n", req: Request{TimestampField: "ts"}, want: "line 2, field \"ts\": the field that holds the time is missing"},
		"time unreadable":     {in: "{\"ts\":\"soon\"}\n", req: Request{TimestampField: "ts"}, want: "line 1, column 7, field \"ts\": not a time in a known format"},
		"says NDJSON":         {in: "[{\"a\":1}]", req: Request{ContentType: "application/x-ndjson"}, want: "BADREQ-001: the content type says NDJSON, but the body is a JSON array (field \"content-type\")"},
		"says JSON":           {in: "a,b\n1,2\n", req: Request{ContentType: "application/json"}, want: "BADREQ-001: the content type says JSON, but the body begins with neither [ nor { (field \"content-type\")"},
		"charset":             {in: "{}", req: Request{ContentType: "application/json; charset=latin1"}, want: "BADREQ-001: the charset must be utf-8 (field \"content-type\")"},
		"image":               {in: "{}", req: Request{ContentType: "image/png"}, want: "BADREQ-001: the content type must be CSV, JSON or NDJSON (field \"content-type\")"},
		"append nested":       {in: "{}", req: Request{Append: `{"a":{}}`}, want: "BADREQ-001: append is not an object of plain values: a nested object; send its fields as fields of the row (field \"append\")"},
		"append twice":        {in: "{}", req: Request{Append: `{"a":1,"a":2}`}, want: "BADREQ-001: append is not an object of plain values: a key stands twice (field \"append\")"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.req.Body = body(tt.in)
			_, _, err := parsed(t, tt.req, Limits{MaxRecordBytes: 100, MaxColumns: 3})
			if err == nil || err.Error() != tt.want {
				t.Errorf("error = %v\nwant    %s", err, tt.want)
			}
			if k := activation.KindOf(err); k != activation.Invalid {
				t.Errorf("kind = %s, want invalid", k)
			}
		})
	}
}

func TestJSONDropErrorsGoesOnAfterTheFault(t *testing.T) {
	long := strings.Repeat("y", 1_000_000)
	tests := map[string]struct {
		in, want, cols string
		rejected       int64
	}{
		"lines":           {in: "{\"a\":1}\n{\"a\":\nx\n{\"a\":{\"z\":2}}\n{\"a\":2}\n", want: "1,1\n5,2\n", rejected: 3},
		"array":           {in: "[{\"a\":1},{\"b\":{}},{\"a\":2}]", want: "1,1\n2,2\n", cols: "a", rejected: 1},
		"array, inner":    {in: "[{\"a\":tru},{\"a\":2}]", want: "1,2\n", rejected: 1},
		"long line":       {in: "{\"a\":\"" + long + "\"}\n{\"a\":2}\n", want: "2,2\n", rejected: 1},
		"long object":     {in: "[{\"a\":\"" + long + "\"},\n{\"a\":2}]", want: "2,2\n", rejected: 1},
		"no trace of key": {in: "{\"new\":1,\"a\":{}}\n{\"a\":2}\n", want: "2,2\n", cols: "a", rejected: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, u, err := parsed(t, Request{Body: body(tt.in), DropErrors: true}, Limits{MaxRecordBytes: 100})
			if err != nil {
				t.Fatal(err)
			}
			if got = untimed(got); got != tt.want {
				t.Errorf("canonical = %q, want %q", got, tt.want)
			}
			if u.rejected != tt.rejected {
				t.Errorf("rejected = %d, want %d: %v", u.rejected, tt.rejected, u.reasons)
			}
			if cols := strings.Join(u.allColumns(), ","); tt.cols != "" && cols != tt.cols {
				t.Errorf("columns = %s, want %s", cols, tt.cols)
			}
		})
	}
}

func TestReasonsAreBounded(t *testing.T) {
	_, u, err := parsed(t, Request{Body: body(strings.Repeat("x\n", 100)), DropErrors: true, Headers: "a,b"}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if u.rejected != 100 || len(u.reasons) != maxReasons {
		t.Errorf("rejected %d with %d reasons, want 100 with %d", u.rejected, len(u.reasons), maxReasons)
	}
}

func TestJSONOfManyKeysIsScatteredRight(t *testing.T) {
	var in, want strings.Builder
	for i := range 900 {
		fmt.Fprintf(&in, "{\"k%d\":\"v%d\"}\n", i, i)
		fmt.Fprintf(&want, "%d%s,v%d%s\n", i+1, strings.Repeat(",", i), i, strings.Repeat(",", 899-i))
	}
	got, _, err := parsed(t, Request{Body: body(in.String())}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if untimed(got) != want.String() {
		t.Error("a value stands in another column than its key's")
	}
}
