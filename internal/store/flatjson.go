package store

import (
	"strings"
	"unicode/utf8"

	"usher/internal/activation"
)

// A page of the Activity Log, and what is sent next, hold much JSON that this package has
// written itself: maps of texts and lists of changes. These readers take that form
// without what is escaped, and leave everything else to encoding/json.

// flatPair takes "key":"value", or "key":true as "true", from the beginning of text.
func flatPair(text string) (key, value, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		return "", "", "", false
	}
	key, rest, ok = strings.Cut(text[1:], `":`)
	if !ok || strings.IndexByte(key, '"') >= 0 {
		return "", "", "", false
	}
	if after, is := strings.CutPrefix(rest, "true"); is {
		return key, "true", after, true
	}
	if rest == "" || rest[0] != '"' {
		return "", "", "", false
	}
	value, rest, ok = strings.Cut(rest[1:], `"`)
	return key, value, rest, ok
}

// flatObject calls set with all pairs of the object at the beginning of text, and
// returns what follows it.
func flatObject(text string, set func(key, value string, quoted bool) bool) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(text, "{")
	for ok {
		var key, value string
		before := rest
		if key, value, rest, ok = flatPair(rest); !ok {
			break
		}
		quoted := before[len(before)-len(rest)-1] == '"'
		if !set(key, value, quoted) || rest == "" {
			return "", false
		}
		switch rest[0] {
		case '}':
			return rest[1:], true
		case ',':
			rest = rest[1:]
		default:
			return "", false
		}
	}
	return "", false
}

// flatMap reads a map of texts.
func flatMap(text string) (map[string]string, bool) {
	m := make(map[string]string, strings.Count(text, `":"`))
	rest, ok := flatObject(text, func(key, value string, quoted bool) bool {
		m[key] = value
		return quoted
	})
	return m, ok && rest == ""
}

// flatChanges reads changes of fields.
func flatChanges(text string) (out []activation.Change, ok bool) {
	rest, ok := strings.CutPrefix(text, "[")
	for ok {
		var c activation.Change
		rest, ok = flatObject(rest, func(key, value string, quoted bool) bool {
			switch key {
			case "field":
				c.Field = value
			case "before":
				c.Before = value
			case "after":
				c.After = value
			case "theirs":
				c.Theirs = value
			case "object":
				c.Object = true
				return !quoted
			default:
				return false
			}
			return quoted
		})
		if !ok {
			break
		}
		out = append(out, c)
		if rest == "]" {
			return out, true
		}
		rest, ok = strings.CutPrefix(rest, ",")
	}
	return nil, false
}

// isPlain reports whether nothing in a text is escaped, or would have to be.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '\\' {
			return false
		}
	}
	return utf8.ValidString(text)
}

// flat reads JSON into a map of texts or a list of changes that is empty yet, and
// reports whether it could.
func flat(text string, to any) bool {
	switch to := to.(type) {
	case *map[string]string:
		if *to == nil && isPlain(text) {
			m, ok := flatMap(text)
			if ok {
				*to = m
			}
			return ok
		}
	case *[]activation.Change:
		if *to == nil && isPlain(text) {
			list, ok := flatChanges(text)
			if ok {
				*to = list
			}
			return ok
		}
	}
	return false
}
