package ingest

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// fault is what is wrong in a JSON text and at which byte.
type fault struct {
	at     int
	field  string
	reason string
}

// objectParser reads one JSON object of plain values: text, numbers, true and
// false, null, and arrays of those. It is reused between objects.
type objectParser struct {
	text  []byte
	i     int
	key   []byte // decoded key of the member being read
	value []byte // decoded value
	name  []byte // scratch for a key with escapes
}

// parse reads text, which is one object and nothing behind it, and gives each
// member's key and canonical value to emit: text decoded, numbers as written,
// arrays as compact JSON, null as empty. Both are valid until emit returns.
func (p *objectParser) parse(text []byte, emit func(key, value []byte) *fault) *fault {
	p.text, p.i = text, 0
	p.space()
	if !p.eat('{') {
		return p.fault("expected an object")
	}
	p.space()
	if p.eat('}') {
		return p.end()
	}
	for {
		p.space()
		if err := p.member(emit); err != nil {
			return err
		}
		p.space()
		if p.eat(',') {
			continue
		}
		if p.eat('}') {
			return p.end()
		}
		return p.fault("expected a comma or the end of the object")
	}
}

func (p *objectParser) end() *fault {
	p.space()
	if p.i < len(p.text) {
		return p.fault("something follows the object")
	}
	return nil
}

func (p *objectParser) member(emit func(key, value []byte) *fault) *fault {
	at := p.i
	key, err := p.str(&p.name)
	if err != nil {
		return err
	}
	p.key = key
	if len(key) == 0 || len(key) > maxNameBytes || hasControl(key) {
		return &fault{at: at, reason: fmt.Sprintf("a key is empty, longer than %d bytes or holds control characters", maxNameBytes)}
	}
	p.space()
	if !p.eat(':') {
		return p.fault("expected a colon")
	}
	p.space()
	at = p.i
	value, err := p.plain()
	if err != nil {
		return err
	}
	if err := emit(key, value); err != nil {
		err.at = at
		return err
	}
	return nil
}

func hasControl(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// plain reads the value of a member.
func (p *objectParser) plain() ([]byte, *fault) {
	switch p.peek() {
	case '{':
		return nil, p.faultIn("", "a nested object; send its fields as fields of the row")
	case '[':
		return p.array()
	case '"':
		return p.str(&p.value)
	}
	start := p.i
	if err := p.literal(); err != nil {
		return nil, err
	}
	if v := p.text[start:p.i]; v[0] != 'n' {
		return v, nil
	}
	return nil, nil
}

// array reads an array of plain values and returns it as compact JSON.
func (p *objectParser) array() ([]byte, *fault) {
	p.i++
	out := append(p.value[:0], '[')
	p.space()
	if p.eat(']') {
		p.value = append(out, ']')
		return p.value, nil
	}
	var scratch []byte
	for n := 0; ; n++ {
		p.space()
		start := p.i
		var err *fault
		switch p.peek() {
		case '{':
			err = p.faultIn(index(n), "an array of objects; only arrays of plain values can be kept")
		case '[':
			err = p.faultIn(index(n), "an array of arrays; only arrays of plain values can be kept")
		case '"':
			_, err = p.str(&scratch)
		default:
			err = p.literal()
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p.text[start:p.i]...)
		p.space()
		if p.eat(',') {
			out = append(out, ',')
			continue
		}
		if p.eat(']') {
			p.value = append(out, ']')
			return p.value, nil
		}
		return nil, p.fault("expected a comma or the end of the array")
	}
}

func index(n int) string { return "[" + strconv.Itoa(n) + "]" }

// literal passes over true, false, null or a number.
func (p *objectParser) literal() *fault {
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(p.text[p.i:], []byte(word)) {
			p.i += len(word)
			return nil
		}
	}
	return p.number()
}

func (p *objectParser) number() *fault {
	p.eat('-')
	if !p.eat('0') && p.digits() == 0 {
		return p.fault("expected a value")
	}
	if p.eat('.') && p.digits() == 0 {
		return p.fault("expected a digit")
	}
	if p.eat('e') || p.eat('E') {
		if !p.eat('+') {
			p.eat('-')
		}
		if p.digits() == 0 {
			return p.fault("expected a digit")
		}
	}
	return nil
}

func (p *objectParser) digits() (n int) {
	for p.i < len(p.text) && isDigit(p.text[p.i]) {
		p.i++
		n++
	}
	return n
}

// str reads a string. Without escapes the result is part of the text, else it
// is in *scratch.
func (p *objectParser) str(scratch *[]byte) ([]byte, *fault) {
	if !p.eat('"') {
		return nil, p.fault("expected a string in double quotes")
	}
	start := p.i
	for ; p.i < len(p.text); p.i++ {
		switch c := p.text[p.i]; {
		case c == '"':
			v := p.text[start:p.i]
			p.i++
			return v, nil
		case c == '\\':
			return p.escaped(start, scratch)
		case c < ' ':
			return nil, p.fault("a control character stands inside a string")
		}
	}
	return nil, p.fault("the string is not closed")
}

// escaped goes on reading a string in which p.i is at the first backslash.
func (p *objectParser) escaped(start int, scratch *[]byte) ([]byte, *fault) {
	out := append((*scratch)[:0], p.text[start:p.i]...)
	for p.i < len(p.text) {
		c := p.text[p.i]
		switch {
		case c == '"':
			p.i++
			*scratch = out
			return out, nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
			continue
		case c < ' ':
			return nil, p.fault("a control character stands inside a string")
		}
		out = append(out, c)
		p.i++
	}
	return nil, p.fault("the string is not closed")
}

// escape reads one escape sequence.
func (p *objectParser) escape() (rune, *fault) {
	at := p.i
	p.i++
	c := p.peek()
	p.i++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, ok := p.unicode()
		if ok && r == 0 {
			return 0, &fault{at: at, reason: "a NUL character is not text"}
		}
		if ok {
			return r, nil
		}
	}
	return 0, &fault{at: at, reason: "a broken escape sequence in a string"}
}

// unicode reads what follows \u, and the second half of a surrogate pair.
func (p *objectParser) unicode() (rune, bool) {
	r, ok := p.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !p.eat('\\') || !p.eat('u') {
		return 0, false
	}
	low, ok := p.hex4()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}

func (p *objectParser) hex4() (rune, bool) {
	if p.i+4 > len(p.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.text[p.i:p.i+4]), 16, 16)
	p.i += 4
	return rune(n), err == nil
}

func (p *objectParser) space() {
	for p.i < len(p.text) {
		switch p.text[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *objectParser) eat(c byte) bool {
	if p.i < len(p.text) && p.text[p.i] == c {
		p.i++
		return true
	}
	return false
}

// peek returns the next byte, or 0 at the end.
func (p *objectParser) peek() byte {
	if p.i < len(p.text) {
		return p.text[p.i]
	}
	return 0
}

func (p *objectParser) fault(reason string) *fault {
	return &fault{at: min(p.i, len(p.text)), reason: reason}
}

func (p *objectParser) faultIn(suffix, reason string) *fault {
	f := p.fault(reason)
	if name := shown(string(p.key)); name != "" {
		f.field = name + suffix
	}
	return f
}
