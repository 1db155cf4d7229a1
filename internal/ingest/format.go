package ingest

import (
	"bytes"
	"mime"
)

// emptyBody is the error of a body without a byte.
type emptyBody struct{ error }

// Unwrap returns what it is for people.
func (e emptyBody) Unwrap() error { return e.error }

// format is how a body is written.
type format string

const (
	formatUnknown format = ""
	formatCSV     format = "text/csv"
	formatArray   format = "application/json"
	formatNDJSON  format = "application/x-ndjson"
	// formatObjects is one JSON object after the other, spanning lines.
	formatObjects format = "application/json; objects"
)

// contentType is the format as answers name it.
func (f format) contentType() string {
	if f == formatObjects {
		return string(formatArray)
	}
	return string(f)
}

// declared is what a Content-Type promises.
type declared int

const (
	declaresNothing declared = iota
	declaresCSV
	declaresJSON
	declaresNDJSON
)

// parseContentType reads the header. Types that clients send without being
// asked (curl's form type, octet streams) promise nothing.
func parseContentType(header string) (declared, error) {
	if header == "" {
		return declaresNothing, nil
	}
	kind, params, err := mime.ParseMediaType(header)
	if err != nil {
		return 0, invalid("content-type", "the content type can't be read")
	}
	if cs := params["charset"]; cs != "" && !bytes.EqualFold([]byte(cs), []byte("utf-8")) && !bytes.EqualFold([]byte(cs), []byte("us-ascii")) {
		return 0, invalid("content-type", "the charset must be utf-8")
	}
	switch kind {
	case "text/csv", "application/csv", "text/tab-separated-values":
		return declaresCSV, nil
	case "application/json", "text/json":
		return declaresJSON, nil
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines", "application/json-lines":
		return declaresNDJSON, nil
	case "text/plain", "application/octet-stream", "application/x-www-form-urlencoded", "application/gzip", "application/x-gzip":
		return declaresNothing, nil
	}
	return 0, invalid("content-type", "the content type must be CSV, JSON or NDJSON")
}

// detect tells the format from what was declared and how the body begins. It
// consumes a byte order mark. A body that contradicts its declaration is refused.
func detect(w *window, d declared) (format, error) {
	for len(w.bytes()) < len(w.buf) && w.fill() {
		if len(w.bytes()) > peekBytes {
			break
		}
	}
	if err := w.failure(); err != nil {
		return formatUnknown, err
	}
	if err := refuseBinary(w.bytes()); err != nil {
		return formatUnknown, err
	}
	if bytes.HasPrefix(w.bytes(), bom) {
		w.consume(len(bom))
	}
	head := bytes.TrimLeft(w.bytes(), " \t\r\n")
	switch {
	case len(head) == 0 && w.err == nil:
		return formatUnknown, invalid("", "the body begins with white space and nothing else")
	case len(head) == 0:
		return formatUnknown, emptyBody{invalid("", "the body is empty")}
	case d == declaresCSV && looksJSON(head):
		return formatUnknown, invalid("content-type", "the content type says CSV, but the body is JSON")
	case d == declaresCSV, d == declaresNothing && head[0] != '[' && head[0] != '{':
		return formatCSV, nil
	case d == declaresNDJSON && head[0] == '[':
		return formatUnknown, invalid("content-type", "the content type says NDJSON, but the body is a JSON array")
	case d == declaresNDJSON:
		return formatNDJSON, nil
	case head[0] == '[':
		return formatArray, nil
	case head[0] == '{':
		return objectFormat(head), nil
	}
	return formatUnknown, invalid("content-type", "the content type says JSON, but the body begins with neither [ nor {")
}

// peekBytes is how much of a body detect looks at.
const peekBytes = 32 << 10

var bom = []byte{0xEF, 0xBB, 0xBF}

// objectFormat tells one object a line from objects that span lines.
func objectFormat(head []byte) format {
	line, _, found := bytes.Cut(head, []byte{'\n'})
	if line = bytes.TrimSpace(line); !found || line[len(line)-1] == '}' {
		return formatNDJSON
	}
	return formatObjects
}

func looksJSON(head []byte) bool {
	rest := bytes.TrimLeft(head[1:], " \t\r\n")
	if len(rest) == 0 {
		return false
	}
	return head[0] == '{' && (rest[0] == '"' || rest[0] == '}') || head[0] == '[' && (rest[0] == '{' || rest[0] == ']')
}

// refuseBinary names the usual files that are not text.
func refuseBinary(head []byte) error {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return invalid("", "the body is a ZIP archive or a spreadsheet: send CSV, JSON or gzip of those")
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{0xFE, 0xFF}), nulBetween(head):
		return invalid("", "the body is UTF-16: save it as UTF-8")
	}
	return nil
}

// nulBetween reports whether every other byte of the beginning is NUL, as in
// UTF-16 without a byte order mark.
func nulBetween(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	return head[0] == 0 && head[2] == 0 && head[1] != 0 || head[1] == 0 && head[3] == 0 && head[0] != 0
}
