package rowfile

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// File is one file of a batch.
type File struct {
	Name string
	Body []byte
	// Type is its media type.
	Type string
	Rows int
}

// Digest is the SHA-256 of the file, in lower-case hexadecimal.
func (f File) Digest() string {
	sum := sha256.Sum256(f.Body)
	return hex.EncodeToString(sum[:])
}

// Columns are the names of the columns in order: those of the mapping, and then
// the operation.
func (s Settings) Columns(keys []matchkey.Key) ([]string, error) {
	names := make([]string, 0, len(keys)+1)
	for _, k := range keys {
		if k.Name == s.Operation {
			return nil, &activation.Error{
				Kind: activation.Invalid, Code: CodeColumns, Field: OperationField,
				Message: "the mapping has a column of the name that the column of the operation has: name one of them otherwise",
			}
		}
		names = append(names, k.Name)
	}
	if s.Operation != "" {
		names = append(names, s.Operation)
	}
	return names, nil
}

// Files are the files of a batch, which has at least one row.
func (s Settings) Files(b provider.Batch) ([]File, error) {
	columns, err := s.Columns(b.Keys)
	if err != nil {
		return nil, err
	}
	w := s.writer(columns, b.Op)
	parts := Parts{Max: s.MaxBytes, Head: w.head()}
	for i := range b.Rows() {
		parts.Add(w.row(b.Keys, b.Row(i)))
	}
	return s.Finish(parts.Files(), s.mediaType(), func(i int) (string, error) { return s.Name.Of(b, i) })
}

// Finish names the files and compresses them where the settings say so.
func (s Settings) Finish(files []File, mediaType string, name func(i int) (string, error)) ([]File, error) {
	var err error
	for i := range files {
		f := &files[i]
		if f.Name, err = name(i); err != nil {
			return nil, err
		}
		f.Type = mediaType
		if s.Compress {
			f.Type = "application/gzip"
			if f.Body, err = compressed(f.Body); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

func (s Settings) mediaType() string {
	switch {
	case s.Format == NDJSON:
		return "application/x-ndjson"
	case s.Delimiter == '\t':
		return "text/tab-separated-values; charset=utf-8"
	}
	return "text/csv; charset=utf-8"
}

// compressed returns body as gzip, without name and time: the same rows make the
// same bytes.
func compressed(body []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(body); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

// Parts cuts lines into files of at most Max bytes each, all of which begin with
// Head. A line is never cut.
type Parts struct {
	Max   int64 // 0 = no limit
	Head  []byte
	files []File
}

// Add puts a line behind those already there. It keeps nothing of line.
func (p *Parts) Add(line []byte) {
	last := len(p.files) - 1
	if last < 0 || p.Max > 0 && p.files[last].Rows > 0 && int64(len(p.files[last].Body)+len(line)) > p.Max {
		p.files = append(p.files, File{Body: slices.Clone(p.Head)})
		last++
	}
	p.files[last].Body = append(p.files[last].Body, line...)
	p.files[last].Rows++
}

// Files returns the files so far.
func (p *Parts) Files() []File { return p.files }

// writer writes rows one by one; what it returns is good until the next call.
type writer interface {
	head() []byte
	row(keys []matchkey.Key, values [][]byte) []byte
}

func (s Settings) writer(columns []string, op activation.Op) writer {
	operation := ""
	if s.Operation != "" {
		operation = Operation(op)
	}
	if s.Format == NDJSON {
		w := &objects{names: make([][]byte, len(columns)), operation: operation}
		for i, name := range columns {
			w.names[i] = quoted(name)
		}
		return w
	}
	w := &lines{join: s.Join, operation: operation, record: make([]string, len(columns))}
	w.csv = csv.NewWriter(&w.buf)
	w.csv.Comma = s.Delimiter
	if s.Headers {
		w.columns = columns
	}
	return w
}

// lines writes CSV.
type lines struct {
	buf       bytes.Buffer
	csv       *csv.Writer
	columns   []string // nil = no header
	join      string
	operation string
	record    []string
}

func (w *lines) head() []byte {
	if w.columns == nil {
		return nil
	}
	return slices.Clone(w.line(w.columns))
}

func (w *lines) row(keys []matchkey.Key, values [][]byte) []byte {
	for i, v := range values {
		w.record[i] = Text(keys[i], v)
		if list, ok := set(keys[i], v); ok {
			w.record[i] = joined(list, w.join)
		}
	}
	if w.operation != "" {
		w.record[len(values)] = w.operation
	}
	return w.line(w.record)
}

func (w *lines) line(record []string) []byte {
	w.buf.Reset()
	_ = w.csv.Write(record) // the delimiter is one of ours, and memory takes all
	w.csv.Flush()
	return w.buf.Bytes()
}

// objects writes NDJSON.
type objects struct {
	names     [][]byte
	operation string
	buf       []byte
}

func (w *objects) head() []byte { return nil }

func (w *objects) row(keys []matchkey.Key, values [][]byte) []byte {
	w.buf = append(w.buf[:0], '{')
	for i, v := range values {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(append(w.buf, w.names[i]...), ':')
		switch list, ok := set(keys[i], v); {
		case v == nil:
			w.buf = append(w.buf, "null"...)
		case ok:
			w.buf = append(w.buf, list...)
		default:
			w.buf = append(w.buf, quoted(Text(keys[i], v))...)
		}
	}
	if w.operation != "" {
		w.buf = append(append(append(w.buf, ','), w.names[len(values)]...), ':')
		w.buf = append(w.buf, quoted(w.operation)...)
	}
	w.buf = append(w.buf, '}', '\n')
	return w.buf
}

// Text is a value as it is written: a hash in lower-case hexadecimal, all else
// as it is. None is empty.
func Text(k matchkey.Key, value []byte) string {
	if k.Hash {
		return hex.EncodeToString(value)
	}
	return string(value)
}

// set returns the value as a JSON list of scalars where it is one: so the value
// of a field with several values arrives.
func set(k matchkey.Key, value []byte) (json.RawMessage, bool) {
	if !k.Exact || len(value) < 2 || value[0] != '[' || value[len(value)-1] != ']' {
		return nil, false
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		return nil, false
	}
	for _, item := range list {
		if item[0] == '{' || item[0] == '[' {
			return nil, false
		}
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return nil, false
	}
	return compact.Bytes(), true
}

// joined is a JSON list of scalars as one text; null is left out.
func joined(list json.RawMessage, join string) string {
	var items []json.RawMessage
	_ = json.Unmarshal(list, &items) // set has read it
	texts := make([]string, 0, len(items))
	for _, item := range items {
		var text string
		switch {
		case string(item) == "null":
			continue
		case json.Unmarshal(item, &text) != nil: // a number or true or false
			text = string(item)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, join)
}

// quoted is a JSON text with <, > and & as they are.
func quoted(text string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a text can be written
	return bytes.TrimRight(out.Bytes(), "\n")
}
