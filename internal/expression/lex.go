package expression

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // bare column, function or keyword
	tokenTicked           // column in backticks
	tokenString           // literal in quotes
	tokenNumber
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
		return "the end of the expression"
	case tokenString:
		return "a text" // not which: it may be personal
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

// isKeyword reports whether s can't be a column unless it stands in backticks.
func isKeyword(s string) bool {
	switch strings.ToLower(s) {
	case "and", "or", "not", "true", "false":
		return true
	}
	return false
}

// lexer cuts an expression into tokens.
type lexer struct {
	rest string
	pos  Pos
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
	switch r, _ := utf8.DecodeRuneInString(l.rest); {
	case r == '"' || r == '\'':
		s, err := l.quoted(byte(r))
		return token{tokenString, s, at}, err
	case r == '`':
		s, err := l.ticked()
		return token{tokenTicked, s, at}, err
	case r >= '0' && r <= '9':
		return token{tokenNumber, l.take(numberLen(l.rest)), at}, nil
	case isWordStart(r):
		return token{tokenWord, l.take(wordLen(l.rest)), at}, nil
	default:
		for _, s := range []string{"==", "!=", ">=", "<=", "=", ">", "<", "(", ")", ",", "+", "-", "*", "/"} {
			if strings.HasPrefix(l.rest, s) {
				return token{tokenSymbol, l.take(len(s)), at}, nil
			}
		}
		return token{}, errorAt(at, "character %q means nothing here", r)
	}
}

// ticked reads a column in backticks; two backticks inside mean one.
func (l *lexer) ticked() (string, error) {
	at := l.pos
	l.take(1)
	var b strings.Builder
	for {
		i := strings.IndexByte(l.rest, '`')
		if i < 0 {
			return "", unclosed(at, '`')
		}
		b.WriteString(l.take(i + 1)[:i])
		if !strings.HasPrefix(l.rest, "`") {
			break
		}
		b.WriteString(l.take(1))
	}
	if b.Len() == 0 {
		return "", errorAt(at, "a column in backticks has no name")
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
			return "", unclosed(at, quote)
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

func unclosed(at Pos, quote byte) error {
	return &Error{Line: at.Line, Column: at.Column, Expected: "a closing " + string(quote) + " for this one", Found: "the end of the expression"}
}

func isWordStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }

// wordLen returns how many leading bytes of s make a word.
func wordLen(s string) int {
	for i, r := range s {
		if !isWordStart(r) && !unicode.IsDigit(r) {
			return i
		}
	}
	return len(s)
}

// numberLen returns how many leading bytes of s, which begins with a digit,
// make a number.
func numberLen(s string) int {
	n := digitsLen(s)
	if strings.HasPrefix(s[n:], ".") {
		if d := digitsLen(s[n+1:]); d > 0 {
			return n + 1 + d
		}
	}
	return n
}

func digitsLen(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
