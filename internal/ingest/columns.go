package ingest

import (
	"fmt"
	"strings"
)

// appended are the values given once and added to every row.
type appended struct {
	names  []string
	suffix []byte // the values as the canonical end of a row
	values map[string][]byte
}

// parseAppend reads the JSON object of Request.Append.
func parseAppend(text string) (appended, error) {
	a := appended{values: map[string][]byte{}}
	if strings.TrimSpace(text) == "" {
		return a, nil
	}
	var p objectParser
	fault := p.parse([]byte(text), func(key, value []byte) *fault {
		name := string(key)
		if _, ok := a.values[name]; ok {
			return &fault{reason: "a key stands twice"}
		}
		a.names = append(a.names, name)
		a.values[name] = append([]byte(nil), value...)
		a.suffix = appendValue(append(a.suffix, ','), value)
		return nil
	})
	if fault != nil {
		return appended{}, invalid("append", "append is not an object of plain values: %s", fault.reason)
	}
	return a, nil
}

// checkHeader refuses columns that can't be told apart or have no name.
func checkHeader(names []string, most int, line int64) error {
	seen := make(map[string]int, len(names))
	for i, name := range names {
		bad := func(format string, args ...any) error {
			return &RowError{Line: line, Field: shown(name), Code: codeBad, Reason: fmt.Sprintf(format, args...)}
		}
		if name == "" {
			return bad("header %d of %d is empty", i+1, len(names))
		}
		if !nameLike(name) {
			return bad("header %d of %d does not look like a name; if the file has no header, give headers", i+1, len(names))
		}
		if first, ok := seen[name]; ok {
			return bad("header %d repeats header %d", i+1, first+1)
		}
		seen[name] = i
	}
	if len(names) > most {
		return &RowError{Line: line, Code: codeBad, Reason: fmt.Sprintf("%d columns are more than the limit of %d", len(names), most)}
	}
	return nil
}

// parseHeaders reads the comma list of Request.Headers.
func parseHeaders(list string) []string {
	names := strings.Split(list, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// parseDelimiter reads Request.Delimiter: one character, or t for a tab.
func parseDelimiter(text string) (byte, error) {
	switch text {
	case "":
		return ',', nil
	case "t", "\t", `\t`, "tab":
		return '\t', nil
	}
	c := text[0]
	letter := c|0x20 >= 'a' && c|0x20 <= 'z'
	if len(text) != 1 || c <= ' ' || c > '~' || c == '"' || letter || isDigit(c) {
		return 0, invalid("delimiter", "the delimiter is one character such as , ; or |, or t for a tab")
	}
	return c, nil
}
