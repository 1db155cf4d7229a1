package expression

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse reads an expression and checks its types. Every error is an *Error.
func Parse(text string) (*Expr, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	p := parser{lex: &lexer{rest: text, pos: Pos{1, 1}}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.binary(0, 1)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.expected("an operator or the end of the expression")
	}
	if err := check(root, 1); err != nil {
		return nil, err
	}
	return &Expr{root: root}, nil
}

// checkText refuses what no part of the language can hold.
func checkText(text string) error {
	if len(text) > MaxTextBytes {
		return &Error{Message: "the expression is longer than 16 KiB"}
	}
	bad := strings.IndexByte(text, 0)
	if !utf8.ValidString(text) {
		bad = strings.IndexFunc(text, func(r rune) bool { return r == utf8.RuneError })
	}
	if bad < 0 {
		return nil
	}
	l := lexer{rest: text, pos: Pos{1, 1}}
	l.take(bad)
	return errorAt(l.pos, "the expression is not valid UTF-8 text")
}

// parser is a recursive-descent parser with one token of look-ahead.
type parser struct {
	lex *lexer
	tok token
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) expected(what string) error {
	return &Error{Line: p.tok.pos.Line, Column: p.tok.pos.Column, Expected: what, Found: p.tok.describe()}
}

func (p *parser) need(symbol, what string) error {
	if !p.tok.is(symbol) {
		return p.expected(what)
	}
	return p.advance()
}

// levels are the infix operators, those that bind least first. Between and and
// the comparisons stands not.
var levels = [][]string{
	{"or"},
	{"and"},
	{"=", "==", "!=", "<", "<=", ">", ">="},
	{"+", "-"},
	{"*", "/"},
}

// The levels that the printer and the parser treat apart.
const (
	notLevel        = 1 // not binds like the operands of and
	comparisonLevel = 2
	unaryLevel      = 5
)

// binary reads operands of a level with its operators between them.
func (p *parser) binary(level, depth int) (*node, error) {
	if level == len(levels) {
		return p.unary(depth)
	}
	if level == notLevel+1 && p.tok.is("not") {
		return p.prefix("not", level, depth)
	}
	left, err := p.binary(level+1, depth)
	for err == nil {
		op, ok := p.operator(level)
		if !ok {
			break
		}
		at := p.tok.pos
		if err = p.advance(); err != nil {
			break
		}
		var right *node
		if right, err = p.binary(level+1, depth); err != nil {
			break
		}
		left = &node{kind: callNode, text: op, args: []*node{left, right}, pos: at}
		if level == comparisonLevel {
			break // a < b < c means nothing
		}
	}
	return left, err
}

// operator returns the operator of this level that is next.
func (p *parser) operator(level int) (string, bool) {
	for _, op := range levels[level] {
		if !p.tok.is(op) {
			continue
		}
		if op == "==" {
			op = "="
		}
		return op, true
	}
	return "", false
}

// prefix reads an operator that stands before its operand.
func (p *parser) prefix(op string, level, depth int) (*node, error) {
	if depth > MaxDepth {
		return nil, tooDeep(p.tok.pos)
	}
	at := p.tok.pos
	if err := p.advance(); err != nil {
		return nil, err
	}
	arg, err := p.binary(level, depth+1)
	if err != nil {
		return nil, err
	}
	if op == "neg" && arg.kind == numberNode && !math.Signbit(arg.number) {
		return &node{kind: numberNode, number: -arg.number, pos: at}, nil
	}
	return &node{kind: callNode, text: op, args: []*node{arg}, pos: at}, nil
}

func (p *parser) unary(depth int) (*node, error) {
	if p.tok.is("-") {
		return p.prefix("neg", unaryLevel, depth)
	}
	return p.primary(depth)
}

func (p *parser) primary(depth int) (*node, error) {
	if depth > MaxDepth {
		return nil, tooDeep(p.tok.pos)
	}
	t := p.tok
	switch {
	case t.is("("):
		return p.parenthesised(depth)
	case t.kind == tokenString:
		return &node{kind: textNode, text: t.text, pos: t.pos}, p.advance()
	case t.kind == tokenNumber:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, errorAt(t.pos, "the number is too large")
		}
		return &node{kind: numberNode, number: f, pos: t.pos}, p.advance()
	case t.is("true"), t.is("false"):
		return &node{kind: booleanNode, truth: t.is("true"), pos: t.pos}, p.advance()
	case t.kind == tokenTicked, t.kind == tokenWord && !isKeyword(t.text):
		if err := p.advance(); err != nil {
			return nil, err
		}
		if t.kind == tokenWord && p.tok.is("(") {
			return p.call(t, depth)
		}
		return &node{kind: columnNode, text: t.text, pos: t.pos}, nil
	}
	return nil, p.expected("a column, a value or a function")
}

func (p *parser) parenthesised(depth int) (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.binary(0, depth+1)
	if err != nil {
		return nil, err
	}
	return n, p.need(")", `an operator or ")"`)
}

// call reads the arguments of a function; its name has been read.
func (p *parser) call(name token, depth int) (*node, error) {
	n := &node{kind: callNode, text: strings.ToLower(name.text), pos: name.pos}
	if _, ok := functions[n.text]; !ok {
		return nil, errorAt(name.pos, "unknown function %q", brief(name.text))
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.is(")") {
		return n, p.advance()
	}
	for {
		arg, err := p.binary(0, depth+1)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
		if !p.tok.is(",") {
			return n, p.need(")", `an operator, "," or ")"`)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func tooDeep(at Pos) error { return errorAt(at, "the expression is nested deeper than %d", MaxDepth) }
