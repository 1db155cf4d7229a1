package google

import (
	"slices"
	"strconv"
	"strings"
)

// A query of the Google Ads Query Language, as far as the stand-in reads it: SELECT,
// FROM, WHERE with AND, ORDER BY and LIMIT; of operators = != < <= > >= IN, NOT IN
// and BETWEEN. What is outside of that is refused as Google refuses what it does not
// know.
type gaqlQuery struct {
	fields []string
	from   string
	where  []gaqlCondition
	order  []gaqlOrder
	limit  int // 0 = none
}

type gaqlCondition struct {
	field, operator string
	values          []gaqlValue
	set             map[string]bool // of a list, once it is asked for
}

// gaqlValue is a value as it is written; quoted tells texts from numbers and words.
type gaqlValue struct {
	text   string
	quoted bool
}

type gaqlOrder struct {
	field string
	desc  bool
}

// gaqlToken is a word, a sign, or a text without its quotes.
type gaqlToken struct {
	text   string
	quoted bool
}

func isWordByte(c byte) bool {
	return c == '_' || c == '.' || c == '-' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// gaqlTokens cuts a query.
func gaqlTokens(query string) ([]gaqlToken, *adsError) {
	var out []gaqlToken
	for i := 0; i < len(query); {
		switch c := query[i]; {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
		case c == '\'' || c == '"':
			text, end, bad := gaqlText(query, i)
			if bad != nil {
				return nil, bad
			}
			out, i = append(out, gaqlToken{text, true}), end
		case isWordByte(c):
			end := i
			for end < len(query) && isWordByte(query[end]) {
				end++
			}
			out, i = append(out, gaqlToken{text: query[i:end]}), end
		case strings.IndexByte("!<>", c) >= 0 && i+1 < len(query) && query[i+1] == '=':
			out, i = append(out, gaqlToken{text: query[i : i+2]}), i+2
		case strings.IndexByte("=<>,()", c) >= 0:
			out, i = append(out, gaqlToken{text: query[i : i+1]}), i+1
		default:
			return nil, wrong("queryError.BAD_SYMBOL", "There is a sign that the language does not have.")
		}
	}
	return out, nil
}

// gaqlText reads a text in quotes from its first quote on.
func gaqlText(query string, at int) (text string, end int, bad *adsError) {
	var b strings.Builder
	for i := at + 1; i < len(query); i++ {
		switch c := query[i]; {
		case c == query[at]:
			return b.String(), i + 1, nil
		case c == '\n' || c == '\r':
			return "", 0, wrong("queryError.PROHIBITED_NEWLINE_IN_STRING", "A text goes over the end of a line.")
		case c == '\\' && i+1 < len(query):
			i++
			b.WriteByte(query[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, wrong("queryError.STRING_NOT_TERMINATED", "A text has no end.")
}

// gaqlParser reads tokens.
type gaqlParser struct {
	tokens []gaqlToken
	bad    *adsError
}

func (p *gaqlParser) fail(code, message string) {
	if p.bad == nil {
		p.bad = wrong("queryError."+code, message)
	}
}

// is reports whether the next token is this word or sign.
func (p *gaqlParser) is(word string) bool {
	return len(p.tokens) > 0 && !p.tokens[0].quoted && strings.EqualFold(p.tokens[0].text, word)
}

// take takes the next token if it is that.
func (p *gaqlParser) take(word string) bool {
	if !p.is(word) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *gaqlParser) next() gaqlToken {
	if len(p.tokens) == 0 {
		p.fail("UNEXPECTED_END_OF_QUERY", "The query ends too early.")
		return gaqlToken{}
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

// name takes the name of a field or a resource.
func (p *gaqlParser) name() string {
	t := p.next()
	if p.bad == nil && (t.quoted || t.text == "" || !isWordByte(t.text[0])) {
		p.fail("UNEXPECTED_INPUT", "A name is expected.")
	}
	return t.text
}

// parseGAQL reads a query.
func parseGAQL(query string) (gaqlQuery, *adsError) {
	tokens, bad := gaqlTokens(query)
	if bad != nil {
		return gaqlQuery{}, bad
	}
	p := &gaqlParser{tokens: tokens}
	var q gaqlQuery
	if !p.take("SELECT") {
		p.fail("EXPECTED_SELECT", "A query begins with SELECT.")
	}
	q.fields = append(q.fields, p.name())
	for p.take(",") {
		q.fields = append(q.fields, p.name())
	}
	if !p.take("FROM") {
		p.fail("EXPECTED_FROM", "FROM is expected.")
	}
	q.from = p.name()
	if p.take("WHERE") {
		q.where = append(q.where, p.condition())
		for p.bad == nil && p.take("AND") {
			q.where = append(q.where, p.condition())
		}
	}
	if p.take("ORDER") {
		if !p.take("BY") {
			p.fail("EXPECTED_BY", "BY is expected.")
		}
		q.order = append(q.order, p.ordering())
		for p.take(",") {
			q.order = append(q.order, p.ordering())
		}
	}
	if p.take("LIMIT") {
		n, err := strconv.Atoi(p.next().text)
		if err != nil || n < 1 {
			p.fail("LIMIT_VALUE_TOO_LOW", "The limit must be a number of at least 1.")
		}
		q.limit = n
	}
	if p.bad == nil && len(p.tokens) > 0 {
		p.fail("UNEXPECTED_INPUT", "There is more than a query.")
	}
	return q, p.bad
}

func (p *gaqlParser) ordering() gaqlOrder {
	o := gaqlOrder{field: p.name()}
	if p.take("DESC") {
		o.desc = true
	} else {
		p.take("ASC")
	}
	return o
}

func (p *gaqlParser) condition() gaqlCondition {
	c := gaqlCondition{field: p.name()}
	switch {
	case p.take("IN"):
		c.operator = "IN"
		c.values = p.list()
	case p.take("NOT"):
		c.operator = "NOT IN"
		if !p.take("IN") {
			p.fail("UNEXPECTED_INPUT", "IN is expected.")
		}
		c.values = p.list()
	case p.take("BETWEEN"):
		c.operator = "BETWEEN"
		c.values = append(c.values, p.value())
		if !p.take("AND") {
			p.fail("EXPECTED_AND", "AND is expected.")
		}
		c.values = append(c.values, p.value())
	default:
		c.operator = p.next().text
		if !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, c.operator) {
			p.fail("UNEXPECTED_INPUT", "There is no such operator.")
		}
		c.values = append(c.values, p.value())
	}
	return c
}

func (p *gaqlParser) value() gaqlValue {
	t := p.next()
	if p.bad == nil && !t.quoted && (t.text == "" || !isWordByte(t.text[0])) {
		p.fail("EXPECTED_SINGLE_VALUE", "A value is expected.")
	}
	return gaqlValue(t)
}

func (p *gaqlParser) list() []gaqlValue {
	if !p.take("(") {
		p.fail("EXPECTED_LIST", "A list is expected.")
		return nil
	}
	if p.is(")") {
		p.fail("PROHIBITED_EMPTY_LIST_IN_CONDITION", "The list is empty.")
	}
	out := []gaqlValue{p.value()}
	for p.bad == nil && p.take(",") {
		out = append(out, p.value())
	}
	if !p.take(")") {
		p.fail("UNEXPECTED_INPUT", "The list has no end.")
	}
	if len(out) > 20_000 {
		p.fail("FILTER_HAS_TOO_MANY_VALUES", "The list is too long.")
	}
	return out
}
