package filterql

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // bare identifier or keyword
	tokenTicked           // identifier in backticks
	tokenString           // literal in quotes
	tokenNumber           // bare number
	tokenSymbol
)

type token struct {
	kind tokenKind
	text string // unquoted
	pos  Pos
}

// describe names the token in an error.
func (t token) describe() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the rule"
	case tokenString:
		return "a text" // not which: a rule may hold what is personal
	case tokenTicked:
		return "`" + brief(t.text) + "`"
	default:
		return fmt.Sprintf("%q", brief(t.text))
	}
}

// is reports whether the token is this keyword or symbol.
func (t token) is(word string) bool {
	return t.kind == tokenSymbol && t.text == word || t.kind == tokenWord && strings.EqualFold(t.text, word)
}

// keywords can't be field names unless they stand in backticks.
var keywords = []string{
	"filter", "and", "or", "not", "match_all", "include", "exists", "contains", "like", "in",
	"intersects", "between", "from", "alias", "true", "false",
}

func isKeyword(s string) bool {
	for _, k := range keywords {
		if strings.EqualFold(s, k) {
			return true
		}
	}
	return false
}

// lexer cuts a rule text into tokens.
type lexer struct {
	rest string
	pos  Pos
}

func newLexer(text string) *lexer { return &lexer{rest: text, pos: Pos{1, 1}} }

func (l *lexer) peek() rune {
	r, _ := utf8.DecodeRuneInString(l.rest)
	return r
}

// take consumes n bytes and returns them.
func (l *lexer) take(n int) string {
	s := l.rest[:n]
	l.rest = l.rest[n:]
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		l.pos.Line += strings.Count(s, "\n")
		l.pos.Column = 1 + utf8.RuneCountInString(s[i+1:])
	} else {
		l.pos.Column += utf8.RuneCountInString(s)
	}
	return s
}

// next returns the next token.
func (l *lexer) next() (token, error) {
	l.take(len(l.rest) - len(strings.TrimLeftFunc(l.rest, unicode.IsSpace)))
	at := l.pos
	if l.rest == "" {
		return token{tokenEnd, "", at}, nil
	}
	switch r := l.peek(); {
	case r == '"' || r == '\'':
		s, err := l.quoted(byte(r))
		return token{tokenString, s, at}, err
	case r == '`':
		s, err := l.ticked()
		return token{tokenTicked, s, at}, err
	case isDigit(r) || r == '-':
		return l.number(at)
	case isWordStart(r):
		return token{tokenWord, l.take(wordLen(l.rest)), at}, nil
	}
	for _, s := range []string{"==", "!=", ">=", "<=", "=", ">", "<", "(", ")", ",", ".", "*"} {
		if strings.HasPrefix(l.rest, s) {
			return token{tokenSymbol, l.take(len(s)), at}, nil
		}
	}
	return token{}, errorAt(at, "character %q means nothing here", l.peek())
}

// number reads a number, or a word that begins with digits such as an id.
func (l *lexer) number(at Pos) (token, error) {
	n := numberLen(l.rest)
	if n == 0 {
		return token{}, &Error{Line: at.Line, Column: at.Column, Expected: "a digit after \"-\"", Found: "none"}
	}
	if w := wordLen(l.rest); w > 0 && w > n {
		return token{tokenWord, l.take(w), at}, nil
	}
	return token{tokenNumber, l.take(n), at}, nil
}

// ticked reads an identifier in backticks; two backticks inside mean one.
func (l *lexer) ticked() (string, error) {
	at := l.pos
	l.take(1)
	var b strings.Builder
	for {
		i := strings.IndexByte(l.rest, '`')
		if i < 0 {
			return "", &Error{Line: at.Line, Column: at.Column, Expected: "a closing ` for this one", Found: "the end of the rule"}
		}
		b.WriteString(l.take(i + 1)[:i])
		if !strings.HasPrefix(l.rest, "`") {
			break
		}
		b.WriteString(l.take(1))
	}
	if b.Len() == 0 {
		return "", errorAt(at, "a name in backticks is empty")
	}
	return b.String(), nil
}

// escapes are the characters that may follow a backslash in a literal.
var escapes = map[byte]byte{'"': '"', '\'': '\'', '\\': '\\', 'n': '\n', 't': '\t', 'r': '\r'}

// quoted reads a literal in quotes.
func (l *lexer) quoted(quote byte) (string, error) {
	at := l.pos
	l.take(1)
	var b strings.Builder
	for {
		i := strings.IndexAny(l.rest, `\`+string(quote))
		if i < 0 {
			return "", &Error{Line: at.Line, Column: at.Column, Expected: "a closing " + string(quote) + " for this one", Found: "the end of the rule"}
		}
		b.WriteString(l.take(i))
		if l.rest[0] == quote {
			l.take(1)
			return b.String(), nil
		}
		if len(l.rest) < 2 || escapes[l.rest[1]] == 0 {
			return "", errorAt(l.pos, `after a backslash only " ' \ n t r may follow`)
		}
		b.WriteByte(escapes[l.take(2)[1]])
	}
}

func isDigit(r rune) bool     { return r >= '0' && r <= '9' }
func isWordStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }

// wordLen returns how many leading bytes of s make a word: letters, digits and
// underscores, and hyphens between them.
func wordLen(s string) int {
	inside := false
	for i, r := range s {
		if isWordStart(r) || unicode.IsDigit(r) {
			inside = true
			continue
		}
		next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		if r == '-' && inside && (isWordStart(next) || unicode.IsDigit(next)) {
			continue
		}
		return i
	}
	return len(s)
}

// numberLen returns how many leading bytes of s make a number.
func numberLen(s string) int {
	i := 0
	if strings.HasPrefix(s, "-") {
		i = 1
	}
	digits := digitsLen(s[i:])
	if digits == 0 {
		return 0
	}
	i += digits
	if strings.HasPrefix(s[i:], ".") {
		if d := digitsLen(s[i+1:]); d > 0 {
			i += 1 + d
		}
	}
	return i
}

func digitsLen(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}
