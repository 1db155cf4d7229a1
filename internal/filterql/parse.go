package filterql

import (
	"strings"
	"unicode/utf8"
)

// Parse reads a rule. Every error is an *Error.
func Parse(text string) (*Filter, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	p := parser{lex: newLexer(text)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	f, err := p.filter()
	if err != nil {
		return nil, err
	}
	return f, nil
}

// checkText refuses what no part of the language can hold.
func checkText(text string) error {
	if len(text) > MaxTextBytes {
		return &Error{Message: "the rule is longer than 1 MiB"}
	}
	bad := strings.IndexByte(text, 0)
	if !utf8.ValidString(text) {
		bad = strings.IndexFunc(text, func(r rune) bool { return r == utf8.RuneError })
	}
	if bad < 0 {
		return nil
	}
	l := newLexer(text)
	l.take(bad)
	return errorAt(l.pos, "the rule is not valid UTF-8 text")
}

// parser is a recursive-descent parser with one token of look-ahead.
type parser struct {
	lex        *lexer
	tok        token
	conditions int
	values     int
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) expected(what string) error {
	return &Error{Line: p.tok.pos.Line, Column: p.tok.pos.Column, Expected: what, Found: p.tok.describe()}
}

// accept consumes the keyword or symbol if it is next.
func (p *parser) accept(word string) (bool, error) {
	if !p.tok.is(word) {
		return false, nil
	}
	return true, p.advance()
}

// need consumes the keyword or symbol, which must be next.
func (p *parser) need(word, what string) error {
	ok, err := p.accept(word)
	if err == nil && !ok {
		return p.expected(what)
	}
	return err
}

func (p *parser) filter() (*Filter, error) {
	if err := p.need("filter", "FILTER"); err != nil {
		return nil, err
	}
	where, err := p.condition(1)
	if err != nil {
		return nil, err
	}
	f := &Filter{Where: where}
	rest := "AND, OR, FROM, ALIAS or the end of the rule"
	if ok, err := p.accept("from"); err != nil {
		return nil, err
	} else if ok {
		if err := p.need("user", "user, the only table"); err != nil {
			return nil, err
		}
		f.From, rest = "user", "ALIAS or the end of the rule"
	}
	if ok, err := p.accept("alias"); err != nil {
		return nil, err
	} else if ok {
		if f.Alias, err = p.name("a slug"); err != nil {
			return nil, err
		}
		rest = "the end of the rule"
	}
	if p.tok.kind != tokenEnd {
		return nil, p.expected(rest)
	}
	return f, checkDepth(f.Where, 1)
}

// checkDepth bounds the tree itself, which infix operators make deeper than
// the nesting of the text.
func checkDepth(c *Condition, depth int) error {
	if depth > MaxDepth {
		return tooDeep(c.Pos)
	}
	for _, a := range c.Args {
		if err := checkDepth(a, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func tooDeep(at Pos) error { return errorAt(at, "conditions are nested deeper than %d", MaxDepth) }

// condition reads alternatives between OR, the operator that binds least.
func (p *parser) condition(depth int) (*Condition, error) {
	return p.chain(Or, depth, p.conjunction)
}

func (p *parser) conjunction(depth int) (*Condition, error) {
	return p.chain(And, depth, p.unary)
}

// chain reads one or more conditions with op between them.
func (p *parser) chain(op Op, depth int, next func(int) (*Condition, error)) (*Condition, error) {
	at := p.tok.pos
	first, err := next(depth)
	if err != nil || !p.tok.is(string(op)) {
		return first, err
	}
	c, err := p.newCondition(op, at, depth)
	if err != nil {
		return nil, err
	}
	c.Args = []*Condition{first}
	for p.tok.is(string(op)) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		arg, err := next(depth + 1)
		if err != nil {
			return nil, err
		}
		c.Args = append(c.Args, arg)
	}
	return c, nil
}

func (p *parser) newCondition(op Op, at Pos, depth int) (*Condition, error) {
	if p.conditions++; p.conditions > MaxConditions {
		return nil, errorAt(at, "the rule has more than %d conditions", MaxConditions)
	}
	if depth > MaxDepth {
		return nil, tooDeep(at)
	}
	return &Condition{Op: op, Pos: at}, nil
}

// unary reads one condition that no infix AND or OR divides.
func (p *parser) unary(depth int) (*Condition, error) {
	at := p.tok.pos
	switch {
	case depth > MaxDepth:
		return nil, tooDeep(at)
	case p.tok.is("not"):
		return p.not(depth)
	case p.tok.is("and"):
		return p.group(And, depth)
	case p.tok.is("or"):
		return p.group(Or, depth)
	case p.tok.is("("):
		return p.parenthesised(depth)
	case p.tok.is("*"), p.tok.is("match_all"):
		return p.leaf(MatchAll, depth, func(*Condition) error { return nil })
	case p.tok.is("exists"):
		return p.leaf(Exists, depth, func(c *Condition) (err error) {
			c.Field, err = p.ident("a field")
			return err
		})
	case p.tok.is("include"):
		return p.leaf(Include, depth, func(c *Condition) (err error) {
			c.Audience, err = p.name("an audience")
			return err
		})
	}
	return p.comparison(depth)
}

// leaf reads a condition that begins with its operator.
func (p *parser) leaf(op Op, depth int, rest func(*Condition) error) (*Condition, error) {
	c, err := p.newCondition(op, p.tok.pos, depth)
	if err == nil {
		err = p.advance()
	}
	if err == nil {
		err = rest(c)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p *parser) not(depth int) (*Condition, error) {
	return p.leaf(Not, depth, func(c *Condition) error {
		arg, err := p.unary(depth + 1)
		c.Args = []*Condition{arg}
		return err
	})
}

// group reads AND (…) or OR (…).
func (p *parser) group(op Op, depth int) (*Condition, error) {
	return p.leaf(op, depth, func(c *Condition) error {
		if err := p.need("(", `"(" after `+strings.ToUpper(string(op))); err != nil {
			return err
		}
		for {
			arg, err := p.condition(depth + 1)
			if err != nil {
				return err
			}
			c.Args = append(c.Args, arg)
			if ok, err := p.accept(","); err != nil {
				return err
			} else if !ok {
				return p.need(")", `",", ")", AND or OR`)
			}
		}
	})
}

func (p *parser) parenthesised(depth int) (*Condition, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	c, err := p.condition(depth + 1)
	if err != nil {
		return nil, err
	}
	return c, p.need(")", `")", AND or OR`)
}
