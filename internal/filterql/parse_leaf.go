package filterql

import (
	"slices"
	"strings"
)

// comparison reads a condition that begins with a field, or a function.
func (p *parser) comparison(depth int) (*Condition, error) {
	at, first := p.tok.pos, p.tok
	field, err := p.ident("a condition")
	if err != nil {
		return nil, err
	}
	if p.tok.is("(") && first.kind == tokenWord {
		return p.function(first, depth)
	}
	negated, err := p.accept("not")
	if err != nil {
		return nil, err
	}
	c, err := p.newCondition("", at, depth)
	if err != nil {
		return nil, err
	}
	c.Field = field
	if err := p.operator(c, negated); err != nil {
		return nil, err
	}
	if !negated {
		return c, nil
	}
	not, err := p.newCondition(Not, at, depth)
	if err != nil {
		return nil, err
	}
	not.Args = []*Condition{c}
	return not, nil
}

var comparisons = map[string]Op{
	"=": Equal, "==": Equal, "!=": NotEqual, ">": Greater, ">=": AtLeast, "<": Less, "<=": AtMost,
}

// operator reads the operator and its values into c.
func (p *parser) operator(c *Condition, negated bool) error {
	word := strings.ToLower(p.tok.text)
	switch op, compares := comparisons[word]; {
	case p.tok.kind == tokenSymbol && compares && !negated:
		c.Op = op
		return p.operands(c, p.value)
	case p.tok.is("contains"), p.tok.is("like"):
		c.Op = Op(word)
		return p.operands(c, p.value)
	case p.tok.is("in"), p.tok.is("intersects"):
		c.Op = Op(word)
		return p.operands(c, p.list)
	case p.tok.is("between"):
		c.Op = Between
		return p.operands(c, p.bounds)
	case negated:
		return p.expected("CONTAINS, LIKE, IN, INTERSECTS or BETWEEN after NOT")
	}
	return p.expected("an operator (=, !=, >, >=, <, <=, CONTAINS, LIKE, IN, INTERSECTS, BETWEEN)")
}

// operands skips the operator and reads what follows it.
func (p *parser) operands(c *Condition, read func(*Condition) error) error {
	if err := p.advance(); err != nil {
		return err
	}
	return read(c)
}

// value reads one literal.
func (p *parser) value(c *Condition) error {
	v := Value{Text: p.tok.text, Pos: p.tok.pos}
	switch {
	case p.tok.kind == tokenString, p.tok.kind == tokenNumber:
	case p.tok.is("true"), p.tok.is("false"):
		v.Text = strings.ToLower(v.Text)
	default:
		return p.expected("a value: text in quotes, a number, true or false")
	}
	if p.values++; p.values > MaxValues {
		return errorAt(v.Pos, "the rule has more than %d values", MaxValues)
	}
	c.Values = append(c.Values, v)
	return p.advance()
}

// list reads a parenthesised list of literals.
func (p *parser) list(c *Condition) error {
	if err := p.need("(", `"(" before the list of values`); err != nil {
		return err
	}
	for {
		if err := p.value(c); err != nil {
			return err
		}
		if ok, err := p.accept(","); err != nil {
			return err
		} else if !ok {
			return p.need(")", `"," or ")"`)
		}
	}
}

// bounds reads the two ends of BETWEEN.
func (p *parser) bounds(c *Condition) error {
	if err := p.value(c); err != nil {
		return err
	}
	if err := p.need("and", "AND between the two values"); err != nil {
		return err
	}
	return p.value(c)
}

// function reads geodistance(…) or timewindow(…); its name has been read.
func (p *parser) function(name token, depth int) (*Condition, error) {
	op := Op(strings.ToLower(name.text))
	if op != GeoDistance && op != TimeWindow {
		return nil, &Error{
			Line: name.pos.Line, Column: name.pos.Column,
			Expected: "a field or one of the functions geodistance and timewindow", Found: name.describe(),
		}
	}
	c, err := p.newCondition(op, name.pos, depth)
	if err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if c.Field, err = p.ident("a field"); err != nil {
		return nil, err
	}
	for range 2 {
		if err := p.need(",", `","`); err != nil {
			return nil, err
		}
		if err := p.value(c); err != nil {
			return nil, err
		}
	}
	return c, p.need(")", `")"`)
}

// ident reads a field name, with its dots.
func (p *parser) ident(what string) (Ident, error) {
	id := Ident{Pos: p.tok.pos}
	for {
		if p.tok.kind != tokenTicked && (p.tok.kind != tokenWord || isKeyword(p.tok.text)) {
			return id, p.expected(what)
		}
		id.Parts = append(id.Parts, p.tok.text)
		if err := p.advance(); err != nil {
			return id, err
		}
		if ok, err := p.accept("."); err != nil || !ok {
			return id, err
		}
		what = "a name after the dot"
	}
}

// name reads the slug or id of an audience, bare or in quotes.
func (p *parser) name(what string) (string, error) {
	kinds := []tokenKind{tokenWord, tokenTicked, tokenString, tokenNumber}
	if !slices.Contains(kinds, p.tok.kind) || p.tok.kind == tokenWord && isKeyword(p.tok.text) || p.tok.text == "" {
		return "", p.expected(what)
	}
	name := p.tok.text
	return name, p.advance()
}
