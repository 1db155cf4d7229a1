package ingest

import (
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
)

func TestCSVBecomesCanonical(t *testing.T) {
	tests := map[string]struct {
		in   string
		req  Request
		want string // without the time of receipt
		cols string
	}{
		"plain":                {in: "a,b\n1,2\n3,4\n", want: "2,1,2\n3,3,4\n"},
		"no last line end":     {in: "a,b\n1,2", want: "2,1,2\n"},
		"CRLF":                 {in: "a,b\r\n1,2\r\n", want: "2,1,2\n"},
		"CR at the very end":   {in: "a,b\n1,2\r", want: "2,1,2\n"},
		"byte order mark":      {in: "\uFEFFa,b\n1,2\n", want: "2,1,2\n", cols: "a,b"},
		"trailing blank lines": {in: "a,b\n1,2\n\n\r\n\n", want: "2,1,2\n"},
		"blank between":        {in: "\na,b\n\n1,2\n", want: "4,1,2\n"},
		"missing values":       {in: "a,b\n,\n\"\",x\n", want: "2,,\n3,,x\n"},
		"money":                {in: "a,b\n\"$90,000 \",2\n", want: "2,\"$90,000 \",2\n"},
		"quoted number":        {in: "a,b\n\"12\",\"2\"\n", want: "2,12,2\n"},
		"doubled quotes":       {in: "a,b\n\"say \"\"hi\"\"\",2\n", want: "2,\"say \"\"hi\"\"\",2\n"},
		"only quotes":          {in: "a,b\n\"\"\"\"\"\",2\n", want: "2,\"\"\"\"\"\",2\n"},
		"quoted line ends":     {in: "a,b\n\"x\ny\r\nz\",2\nlast,3\n", want: "2,\"x\ny\r\nz\",2\n5,last,3\n"},
		"quoted last, CRLF":    {in: "a,b\r\n1,\"x\"\r\n2,\"y\"\r\n", want: "2,1,x\n3,2,y\n"},
		"quoted at the end":    {in: "a,b\n1,\"x\"", want: "2,1,x\n"},
		"carriage return in":   {in: "a,b\nx\ry,2\n", want: "2,\"x\ry\",2\n"},
		"quoted header":        {in: "\"a\",\" b \"\n1,2\n", want: "2,1,2\n", cols: "a,b"},
		"other letters":        {in: "naïve,日本\né,語\n", want: "2,é,語\n", cols: "naïve,日本"},
		"one column":           {in: "a\nx\n\ny\n", want: "2,x\n4,y\n"},
		"semicolon":            {in: "a;b\n1,5;2\n", req: Request{Delimiter: ";"}, want: "2,\"1,5\",2\n"},
		"tab":                  {in: "a\tb\n1\t\"2\t3\"\n", req: Request{Delimiter: "t"}, want: "2,1,2\t3\n"},
		"pipe, quoted":         {in: "a|b\n\"x|y\"|2\n", req: Request{Delimiter: "|"}, want: "2,x|y,2\n"},
		"headers given":        {in: "1,2\n", req: Request{Headers: "x, y"}, want: "1,1,2\n", cols: "x,y"},
		"append":               {in: "a,b\n1,2\n", req: Request{Append: `{"src":"a,b","n":1.50,"no":null}`}, want: "2,1,2,\"a,b\",1.50,\n", cols: "a,b,src,n,no"},
		"header only":          {in: "a,b\n", want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.req.Body, tt.req.ContentType = body(tt.in), "text/csv"
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
		})
	}
}

func TestCSVFaultsNameTheirPlace(t *testing.T) {
	long := strings.Repeat("x", 120)
	tests := map[string]struct {
		in, want string
		req      Request
		open     bool // no content type is sent
	}{
		"too few columns":        {in: "a,b\n1,2\n3\n", want: "line 3: expected 2 columns, found 1"},
		"too many, quoted":       {in: "a,b\n\"1\",2,3\n", want: "line 2: expected 2 columns, found 3"},
		"after a long value":     {in: "a,b\n\"1\n2\n3\",2\nx\n", want: "line 5: expected 2 columns, found 1"},
		"duplicate header":       {in: "a,b,a\n", want: "line 1, field \"a\": header 3 repeats header 1"},
		"empty header":           {in: "a,,b\n", want: "line 1: header 2 of 3 is empty"},
		"a row as header":        {in: "1,jon@example.com\n2,x\n", want: "line 1: header 2 of 2 does not look like a name; if the file has no header, give headers"},
		"duplicate in headers":   {in: "1,2\n", req: Request{Headers: "a,a"}, want: "line 1, field \"a\": header 2 repeats header 1"},
		"bare quote":             {in: "a,b\n1,x\"y\n", want: "line 2, column 4: a quote inside a value that does not begin with one"},
		"text after quote":       {in: "a,b\n\"é\"x,2\n", want: "line 2, column 4: text after a closing quote; quotes inside a quoted value are doubled"},
		"text after quote later": {in: "a,b\n\"1\n22\"x,2\n", want: "line 3, column 4: text after a closing quote; quotes inside a quoted value are doubled"},
		"open quote":             {in: "a,b\n1,\"x\n2,3\n", want: "line 2, column 3: the quote that opens here is never closed"},
		"invalid UTF-8":          {in: "a,b\né1,\xff\n", want: "line 2, column 4: the text is not valid UTF-8 here"},
		"invalid UTF-8, quoted":  {in: "a,b\n\"1\n2\",\xff\n", want: "line 3, column 4: the text is not valid UTF-8 here"},
		"NUL":                    {in: "a,b\n1,2\nx,\x00\n", want: "line 3, column 3: a NUL byte is not text"},
		"long row":               {in: "a,b\n1," + long + "\n", want: "line 2: the row is longer than the limit of 100 bytes"},
		"long row, no line end":  {in: "a,b\n1," + long, want: "line 2: the row is longer than the limit of 100 bytes"},
		"long quoted row":        {in: "a,b\n1,\"" + long + "\n" + long + "\"\n", want: "line 2: the row is longer than the limit of 100 bytes"},
		"open quote, long":       {in: "a,b\n1,\"" + strings.Repeat("2,2\n", 1<<17), want: "line 2, column 3: the row is longer than the limit of 100 bytes, counted through the quoted value that opens here"},
		"long header":            {in: long + "\n1\n", want: "line 1: the row is longer than the limit of 100 bytes"},
		"old Macintosh":          {in: "a,b\r1,2\r3,4\r", want: "line 1: a carriage return stands inside the header: end lines with a line feed"},
		"other delimiter":        {in: "a;b\n1;2\n", want: "BADREQ-001: the header is one column and holds another delimiter: give delimiter (t for a tab) (field \"delimiter\")"},
		"in append too":          {in: "a,b\n1,2\n", req: Request{Append: `{"b":1}`}, want: "line 1, field \"b\": the column is also in append"},
		"no such time column":    {in: "a,b\n1,2\n", req: Request{TimestampField: "ts"}, want: "BADREQ-001: there is no column \"ts\" to read the time from (field \"timestamp_field\")"},
		"empty time":             {in: "a,ts\n1,\n", req: Request{TimestampField: "ts"}, want: "line 2, field \"ts\": the time is empty"},
		"future":                 {in: "a,ts\n1,2026-03-02T12:00:01Z\n", req: Request{TimestampField: "ts"}, want: "line 2, field \"ts\": the time lies more than 24h0m0s in the future"},
		"order not declared":     {in: "a,ts\n1,5/14/1965\n", req: Request{TimestampField: "ts"}, want: "line 2, field \"ts\": day and month can't be told apart: declare date_order (mdy or dmy) for the stream"},
		"too many columns":       {in: "a,b,c,d\n1,2,3,4\n", want: "line 1: 4 columns are more than the limit of 3"},
		"append counts, too":     {in: "a,b,c\n", req: Request{Append: `{"d":1}`}, want: "line 1: 3 columns are more than the limit of 2"},
		"empty":                  {in: "", want: "BADREQ-001: the body is empty"},
		"white space only":       {in: " \n\n", want: "BADREQ-001: the body is empty"},
		"UTF-16 with mark":       {in: "\xff\xfea\x00,\x00", want: "BADREQ-001: the body is UTF-16: save it as UTF-8"},
		"UTF-16 without":         {in: "a\x00,\x00b\x00", want: "BADREQ-001: the body is UTF-16: save it as UTF-8"},
		"spreadsheet":            {in: "PK\x03\x04\x14\x00", open: true, want: "BADREQ-001: the body is a ZIP archive or a spreadsheet: send CSV, JSON or gzip of those"},
		"JSON":                   {in: "[{\"a\":1}]", want: "BADREQ-001: the content type says CSV, but the body is JSON (field \"content-type\")"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.req.Body = body(tt.in)
			if !tt.open {
				tt.req.ContentType = "text/csv"
			}
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

func TestCSVDropErrorsGoesOnAfterTheFault(t *testing.T) {
	long := strings.Repeat("y", 120)
	tests := map[string]struct {
		in, want string
		rejected []int64 // lines
	}{
		"columns":        {in: "a,b\n1\n2,2\n3,3,3\n4,4\n", want: "3,2,2\n5,4,4\n", rejected: []int64{2, 4}},
		"bare quote":     {in: "a,b\n1,x\"y\n2,2\n", want: "3,2,2\n", rejected: []int64{2}},
		"torn value":     {in: "a,b\n1,\"x\n7,7\n\"bad\n2,2\n", want: "5,2,2\n", rejected: []int64{4}},
		"long row":       {in: "a,b\n1," + long + "\n2,2\n", want: "3,2,2\n", rejected: []int64{2}},
		"long value":     {in: "a,b\n1,\"" + long + "\n7,7\n\"\n2,2\n", want: "5,2,2\n", rejected: []int64{2}},
		"long, escaped":  {in: "a,b\n1,\"" + strings.Repeat("\"\"", 60) + "\n7,7\n\"\n2,2\n", want: "5,2,2\n", rejected: []int64{2}},
		"invalid UTF-8":  {in: "a,b\n1,\xff\n2,2\n", want: "3,2,2\n", rejected: []int64{2}},
		"several lines":  {in: "a,b\n\"1\n1\n1\"\n2,2\n", want: "5,2,2\n", rejected: []int64{2}},
		"all of them":    {in: "a,b\n1\n2\n", want: "", rejected: []int64{2, 3}},
		"last, cut long": {in: "a,b\n2,2\n1," + long, want: "2,2,2\n", rejected: []int64{3}},
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
			var lines []int64
			for _, r := range u.reasons {
				lines = append(lines, r.Line)
			}
			if int(u.rejected) != len(tt.rejected) || !slices.Equal(lines, tt.rejected) {
				t.Errorf("rejected %d at lines %v, want %v", u.rejected, lines, tt.rejected)
			}
		})
	}
	for name, in := range map[string]string{
		"open quote":      "a,b\n1,2\n2,\"x\n3,3\n",
		"open quote, far": "a,b\n1,2\n2,\"x\n" + strings.Repeat("3,3\n", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := parsed(t, Request{Body: body(in), DropErrors: true}, Limits{MaxRecordBytes: 100})
			if e := rowError(err); e == nil || e.Line != 3 || e.Column != 3 {
				t.Errorf("error = %v, want the open quote in line 3, column 3", err)
			}
		})
	}
}
