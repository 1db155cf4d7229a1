package filterql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// node is one object of the JSON form. A condition has an op (or a seg alone),
// an operand one of ident, val and seg. From and Alias stand on the outermost.
type node struct {
	Op    string          `json:"op,omitempty"`
	Args  []*node         `json:"args,omitempty"`
	Ident *string         `json:"ident,omitempty"`
	Val   json.RawMessage `json:"val,omitempty"`
	Seg   *string         `json:"seg,omitempty"`
	From  string          `json:"from,omitempty"`
	Alias string          `json:"alias,omitempty"`
}

// MarshalJSON returns the JSON form of the rule.
func (f *Filter) MarshalJSON() ([]byte, error) {
	n := toNode(f.Where)
	n.From, n.Alias = f.From, f.Alias
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // whoever needs ">" escaped does it again
	if err := e.Encode(n); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func toNode(c *Condition) *node {
	n := &node{Op: string(c.Op)}
	switch c.Op {
	case And, Or, Not:
		for _, a := range c.Args {
			n.Args = append(n.Args, toNode(a))
		}
	case Include:
		n.Args = []*node{{Seg: &c.Audience}}
	case MatchAll:
	default:
		ident := c.Field.String()
		n.Args = []*node{{Ident: &ident}}
		for _, v := range c.Values {
			text, _ := json.Marshal(v.Text) // a string always marshals
			n.Args = append(n.Args, &node{Val: text})
		}
	}
	return n
}

// ParseJSON reads the JSON form of a rule. Places in later errors refer to the
// canonical text of the rule. Every error is an *Error.
func ParseJSON(data []byte) (*Filter, error) {
	if len(data) > MaxTextBytes {
		return nil, &Error{Message: "the rule is longer than 1 MiB"}
	}
	var n node
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return nil, jsonError(data, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{Expected: "the end of the rule", Found: "more JSON"}
	}
	b := builder{}
	where, err := b.condition(&n, "", 1)
	if err != nil {
		return nil, err
	}
	f := &Filter{Where: where, From: strings.ToLower(n.From), Alias: n.Alias}
	if f.From != "" && f.From != "user" {
		return nil, &Error{Path: "from", Expected: `"user", the only table`, Found: fmt.Sprintf("%q", brief(n.From))}
	}
	return Parse(f.String()) // gives every part its place in the text
}

// jsonError places an error of encoding/json.
func jsonError(data []byte, err error) error {
	e := &Error{Message: "the JSON form is not valid: " + strings.TrimPrefix(err.Error(), "json: ")}
	offset := int64(-1)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		e.Message, offset = "the JSON form ends too early", int64(len(data))
	} else if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = s.Offset
	} else if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = t.Offset
		e.Message = ""
		e.Expected, e.Found = "an object with op, ident, val or seg", "a "+t.Value
		e.Path = t.Field
	}
	if offset >= 0 {
		l := newLexer(string(data))
		l.take(int(min(offset, int64(len(data)))))
		e.Line, e.Column = l.pos.Line, l.pos.Column
	}
	return e
}

// builder turns nodes into conditions.
type builder struct{ conditions, values int }

func (b *builder) condition(n *node, path string, depth int) (*Condition, error) {
	if depth > MaxDepth {
		return nil, &Error{Path: path, Message: fmt.Sprintf("conditions are nested deeper than %d", MaxDepth)}
	}
	if b.conditions++; b.conditions > MaxConditions {
		return nil, &Error{Path: path, Message: fmt.Sprintf("the rule has more than %d conditions", MaxConditions)}
	}
	if n == nil {
		return nil, &Error{Path: path, Expected: "a condition", Found: "null"}
	}
	if n.Op == "" {
		return b.shorthand(n, path)
	}
	op, negated := jsonOp(n.Op)
	c, err := b.operation(op, n, path, depth)
	if err != nil || !negated {
		return c, err
	}
	return &Condition{Op: Not, Args: []*Condition{c}}, nil
}

// shorthand reads a condition that has no op: an audience, or "everyone".
func (b *builder) shorthand(n *node, path string) (*Condition, error) {
	switch {
	case n.Seg != nil:
		return includeOf(*n.Seg, path)
	case n.Ident != nil && (*n.Ident == "*" || strings.EqualFold(*n.Ident, "match_all")):
		return &Condition{Op: MatchAll}, nil
	}
	return nil, &Error{Path: at(path, "op"), Expected: "an operator", Found: "none"}
}

// jsonOp reads the op member, in any case, with NOT before it or not.
func jsonOp(s string) (op Op, negated bool) {
	s = strings.ToLower(s)
	if rest, ok := strings.CutPrefix(s, "not "); ok && takesNot(Op(rest)) {
		return Op(rest), true
	}
	switch s {
	case "==":
		return Equal, false
	case "*":
		return MatchAll, false
	}
	return Op(s), false
}

func (b *builder) operation(op Op, n *node, path string, depth int) (*Condition, error) {
	switch op {
	case And, Or, Not:
		return b.group(op, n, path, depth)
	case MatchAll:
		return &Condition{Op: MatchAll}, args(n, path, 0, 0)
	case Include:
		if err := args(n, path, 1, 1); err != nil {
			return nil, err
		}
		return b.include(n.Args[0], at(path, "args[0]"))
	case Exists:
		return b.leaf(op, n, path, 0, 0)
	case Equal, NotEqual, Greater, AtLeast, Less, AtMost, Contains, Like:
		return b.leaf(op, n, path, 1, 1)
	case In, Intersects:
		return b.leaf(op, n, path, 1, MaxValues)
	case Between, GeoDistance, TimeWindow:
		return b.leaf(op, n, path, 2, 2)
	}
	return nil, &Error{Path: at(path, "op"), Expected: "an operator", Found: fmt.Sprintf("%q", brief(n.Op))}
}

func (b *builder) group(op Op, n *node, path string, depth int) (*Condition, error) {
	most := MaxConditions
	if op == Not {
		most = 1
	}
	if err := args(n, path, 1, most); err != nil {
		return nil, err
	}
	c := &Condition{Op: op}
	for i, a := range n.Args {
		arg, err := b.condition(a, at(path, fmt.Sprintf("args[%d]", i)), depth+1)
		if err != nil {
			return nil, err
		}
		c.Args = append(c.Args, arg)
	}
	return c, nil
}

func (b *builder) include(n *node, path string) (*Condition, error) {
	switch {
	case n != nil && n.Seg != nil:
		return includeOf(*n.Seg, path)
	case n != nil && n.Ident != nil:
		return includeOf(*n.Ident, path)
	}
	return nil, &Error{Path: path, Expected: `an audience {"seg":"…"}`, Found: "none"}
}

func includeOf(audience, path string) (*Condition, error) {
	if audience == "" {
		return nil, &Error{Path: path, Expected: "an audience", Found: "an empty text"}
	}
	return &Condition{Op: Include, Audience: audience}, checkWord(audience, path)
}

// leaf reads a field and between least and most values.
func (b *builder) leaf(op Op, n *node, path string, least, most int) (*Condition, error) {
	operands := n.Args
	if len(operands) == 2 && operands[1] != nil && operands[1].Op == "" && operands[1].Args != nil {
		operands = slices.Concat(operands[:1], operands[1].Args) // the list as one argument
	}
	if err := args(&node{Args: operands}, path, least+1, most+1); err != nil {
		return nil, err
	}
	if operands[0] == nil || operands[0].Ident == nil {
		return nil, &Error{Path: at(path, "args[0]"), Expected: `a field {"ident":"…"}`, Found: "none"}
	}
	field, err := parseIdent(*operands[0].Ident, at(path, "args[0]"))
	if err != nil {
		return nil, err
	}
	c := &Condition{Op: op, Field: field}
	for i, a := range operands[1:] {
		v, err := b.value(a, at(path, fmt.Sprintf("args[%d]", i+1)))
		if err != nil {
			return nil, err
		}
		c.Values = append(c.Values, v)
	}
	return c, nil
}

func (b *builder) value(n *node, path string) (Value, error) {
	if b.values++; b.values > MaxValues {
		return Value{}, &Error{Path: path, Message: fmt.Sprintf("the rule has more than %d values", MaxValues)}
	}
	if n == nil || n.Val == nil {
		return Value{}, &Error{Path: path, Expected: `a literal {"val":"…"}`, Found: "none"}
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(n.Val))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return Value{}, &Error{Path: path, Message: "the value is not valid JSON"}
	}
	switch v := v.(type) {
	case string:
		return Value{Text: v}, checkWord(v, path)
	case json.Number:
		return Value{Text: v.String()}, nil
	case bool:
		return Value{Text: fmt.Sprint(v)}, nil
	}
	return Value{}, &Error{Path: path, Expected: "a text, a number, true or false", Found: "something else"}
}

// parseIdent reads a field as the text form writes it. A name that the text
// form would need backticks for is taken as it stands.
func parseIdent(s, path string) (Ident, error) {
	if s == "" {
		return Ident{}, &Error{Path: path, Expected: "a field", Found: "an empty text"}
	}
	if err := checkWord(s, path); err != nil {
		return Ident{}, err
	}
	p := parser{lex: newLexer(s)}
	if !isKeyword(s) && p.advance() == nil {
		if id, err := p.ident("a field"); err == nil && p.tok.kind == tokenEnd {
			return id, nil
		}
	}
	// What does not read as an identifier is a name with odd characters, which
	// JSON needs no quoting for.
	return Ident{Parts: []string{s}}, nil
}

func checkWord(s, path string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return &Error{Path: path, Message: "a NUL character is not allowed"}
	}
	return nil
}

// args checks how many arguments a node has.
func args(n *node, path string, least, most int) error {
	if len(n.Args) >= least && len(n.Args) <= most {
		return nil
	}
	want := fmt.Sprintf("%d arguments", least)
	switch {
	case most > least:
		want = fmt.Sprintf("at least %d arguments", least)
	case least == 1:
		want = "1 argument"
	}
	return &Error{Path: at(path, "args"), Expected: want, Found: fmt.Sprint(len(n.Args))}
}

// at appends a member to a path.
func at(path, member string) string {
	if path == "" {
		return member
	}
	return path + "." + member
}
