// Package expression is the language of field mappings: it makes one typed
// value of one message of a stream, whose columns are all text.
//
// It owns the text form, the types and the SQL of the language. It is pure: no
// I/O, no clock, and no knowledge of tables; the caller says what SQL stands
// for a column and for a lookup in a reference stream.
//
// It is built for data that is not as promised: a value that is missing or
// can't be read never stops a load, it makes the result missing, and the SQL
// that counts what could not be read comes along. A mistake in the expression
// itself is found when it is parsed, with its line and column. Literals are
// parameters, never SQL text.
package expression

import (
	"maps"
	"slices"
)

// Bounds on an expression.
const (
	// MaxTextBytes is the longest expression that is read.
	MaxTextBytes = 16 << 10
	// MaxDepth is how deep an expression may be nested.
	MaxDepth = 100
	// maxSQLBytes bounds what an expression may become.
	maxSQLBytes = 64 << 10
)

// Type is the type of a value.
type Type string

// The types of values. Expressions give all of them except Integer, which is a
// type of fields only.
const (
	Text    Type = "text"
	Integer Type = "integer"
	Number  Type = "number"
	Boolean Type = "boolean"
	Time    Type = "time"
	Set     Type = "set"
)

// Expr is a parsed expression whose types are right.
type Expr struct{ root *node }

// Type returns the type of the expression's value.
func (e *Expr) Type() Type { return e.root.typ }

// Pos is a place in an expression. Both count from 1; Column counts characters.
type Pos struct{ Line, Column int }

type nodeKind int

const (
	textNode nodeKind = iota
	numberNode
	booleanNode
	columnNode
	callNode // function or operator
)

// node is a part of an expression.
type node struct {
	kind   nodeKind
	text   string // of a text literal, a column, a function or an operator
	number float64
	truth  bool
	args   []*node
	pos    Pos
	typ    Type
}

// isEmpty reports whether the node is "", which stands for a missing value of
// any type.
func (n *node) isEmpty() bool { return n.kind == textNode && n.text == "" }

// operands are the arguments that are values; those after them are options,
// which become part of the SQL.
func (n *node) operands() []*node {
	switch n.text {
	case "substr", "number", "date", "round", "phone":
		return n.args[:1]
	case "split":
		return n.args[:2]
	}
	return n.args
}

// Columns returns the columns of the stream that the expression reads, sorted.
func Columns(e *Expr) []string {
	found := map[string]bool{}
	walk(e.root, func(n *node) {
		if n.kind == columnNode {
			found[n.text] = true
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// Lookup is one use of lookup(). Uses with the same Stream and Key find the
// same row of the reference stream.
type Lookup struct {
	Stream string
	// Key is the canonical text of the key expression.
	Key string
	// KeySQL gives the key, a text or NULL. Only set by Compile.
	KeySQL string
	Column string
}

// Lookups returns the distinct lookups of the expression, those a key depends
// on before those that use it.
func Lookups(e *Expr) []Lookup {
	var found []Lookup
	walk(e.root, func(n *node) {
		if n.kind != callNode || n.text != "lookup" {
			return
		}
		if l := lookupOf(n); !slices.Contains(found, l) {
			found = append(found, l)
		}
	})
	return found
}

func lookupOf(n *node) Lookup {
	return Lookup{Stream: n.args[0].text, Key: print(n.args[1]), Column: n.args[2].text}
}

// walk visits every node, arguments first.
func walk(n *node, visit func(*node)) {
	for _, a := range n.args {
		walk(a, visit)
	}
	visit(n)
}
