package expression

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Options say what columns and lookups are in SQL.
type Options struct {
	// Columns returns the SQL of a column of the stream, a VARCHAR.
	Columns func(name string) (sql string, ok bool)
	// LaterColumns makes a column that Columns does not know a missing value
	// instead of an error: it may appear in a later load.
	LaterColumns bool
	// Lookup returns the SQL of a column found by lookup(), a VARCHAR that is
	// NULL when no row has the key. It is called in the order in which joins
	// must stand; lookups with the same Stream and Key can share one join. nil
	// refuses lookups.
	Lookup func(l Lookup) (sql string, err error)
	// PhoneCountry is the country of phone numbers without a country code, such as
	// US, for phone(text); "" refuses it without a country of its own.
	PhoneCountry string
	// FirstParam is the number of the first parameter; 0 = 1.
	FirstParam int
	// Inline writes literals into the SQL, quoted and typed, in place of
	// parameters: for statements that put many expressions together.
	Inline bool
}

// Compiled is an expression as DuckDB SQL.
type Compiled struct {
	// SQL gives the value; NULL = missing. It never fails, whatever the data.
	SQL string
	// UnparsedSQL is a boolean, never NULL: the value is missing because text
	// that is there could not be read as what it should be.
	UnparsedSQL string
	// Args are the parameters of both and of the keys of Lookups, from
	// $FirstParam on. Each of them is used.
	Args []any
	// Lookups are the distinct lookups, in the order in which joins must stand.
	Lookups []Lookup
	// Columns are the columns read, sorted.
	Columns []string
	// Type is the type of the value.
	Type Type
}

// Compile makes SQL of an expression. Every error is an *Error.
func Compile(e *Expr, opt Options) (Compiled, error) { return compile(e, e.Type(), opt) }

// CompileAs makes SQL that gives a value for a field of type t, or NULL. A
// text is read as number(), boolean() and date() do. Every error is an *Error.
func CompileAs(e *Expr, t Type, opt Options) (Compiled, error) { return compile(e, t, opt) }

func compile(e *Expr, t Type, opt Options) (Compiled, error) {
	c := compiler{opt: opt, first: cmp.Or(opt.FirstParam, 1), keys: map[string]value{}}
	v, err := c.compile(e.root)
	if err != nil {
		return Compiled{}, err
	}
	if v, err = c.convert(e.root, c.settle(v), t); err != nil {
		return Compiled{}, err
	}
	v = c.settle(v)
	out := Compiled{SQL: v.sql, UnparsedSQL: "false", Args: c.args, Lookups: c.lookups, Columns: Columns(e), Type: t}
	if len(v.fails) > 0 {
		out.UnparsedSQL = "(" + v.sql + " IS NULL AND (" + strings.Join(v.fails, " OR ") + "))"
	}
	return out, c.bound(e.root, v)
}

// value is a compiled part: SQL and what is known of it.
type value struct {
	sql string
	typ Type
	// simple: the SQL is short and costs nothing, it may be repeated.
	simple bool
	// wild: a number that arithmetic may have made infinite.
	wild bool
	// fails are conditions, never NULL, under which a text could not be read.
	fails []string
}

type compiler struct {
	opt     Options
	first   int
	args    []any
	lookups []Lookup
	keys    map[string]value // compiled keys of lookups, by canonical text
	lets    int
}

func (c *compiler) compile(n *node) (value, error) {
	v, err := c.node(n)
	if err == nil {
		err = c.bound(n, v)
	}
	return v, err
}

// bound stops an expression from growing without measure.
func (c *compiler) bound(n *node, v value) error {
	size := len(v.sql)
	for _, f := range v.fails {
		size += len(f)
	}
	if size > maxSQLBytes {
		return errorAt(n.pos, "the expression is too large")
	}
	return nil
}

func (c *compiler) node(n *node) (value, error) {
	switch n.kind {
	case textNode:
		if n.text == "" {
			return missing(Text), nil
		}
		return c.literal(n.text, n.text, Text), nil
	case numberNode:
		return c.literal(print(n), n.number, Number), nil
	case booleanNode:
		return value{sql: fmt.Sprint(n.truth), typ: Boolean, simple: true}, nil
	case columnNode:
		return c.column(n)
	}
	switch n.text {
	case "if":
		return c.choose(n)
	case "lookup":
		return c.lookup(n)
	case "phone":
		return c.phone(n)
	}
	args := make([]value, len(n.operands()))
	for i, a := range n.operands() {
		var err error
		if args[i], err = c.compile(a); err != nil {
			return value{}, err
		}
	}
	return c.call(n, args), nil
}

var sqlTypes = map[Type]string{
	Text: "VARCHAR", Integer: "BIGINT", Number: "DOUBLE", Boolean: "BOOLEAN", Time: "TIMESTAMP", Set: "VARCHAR[]",
}

// missing is a missing value of a type.
func missing(t Type) value {
	return value{sql: "CAST(NULL AS " + sqlTypes[t] + ")", typ: t, simple: true}
}

// literal binds a literal, or writes it.
func (c *compiler) literal(text string, arg any, t Type) value {
	v := value{typ: t, simple: true}
	if c.opt.Inline {
		v.sql = "CAST('" + strings.ReplaceAll(text, "'", "''") + "' AS " + sqlTypes[t] + ")"
		return v
	}
	v.sql = fmt.Sprintf("CAST($%d AS %s)", c.first+len(c.args), sqlTypes[t])
	c.args = append(c.args, arg)
	return v
}

func (c *compiler) column(n *node) (value, error) {
	if c.opt.Columns != nil {
		if sql, ok := c.opt.Columns(n.text); ok {
			return value{sql: "nullif(" + sql + ", '')", typ: Text, simple: true}, nil
		}
	}
	if c.opt.LaterColumns {
		return missing(Text), nil
	}
	return value{}, errorAt(n.pos, "unknown column %q", brief(n.text))
}

func (c *compiler) lookup(n *node) (value, error) {
	if c.opt.Lookup == nil {
		return value{}, errorAt(n.pos, "lookup is not possible here")
	}
	l := lookupOf(n)
	key, known := c.keys[l.Key]
	if !known {
		k, err := c.compile(n.args[1])
		if err != nil {
			return value{}, err
		}
		key = c.asText(k)
		c.keys[l.Key] = key
	}
	l.KeySQL = key.sql
	sql, err := c.opt.Lookup(l)
	if err != nil {
		e := errorAt(n.pos, "lookup in %q", brief(l.Stream))
		e.Err = err
		return value{}, e
	}
	if !slices.Contains(c.lookups, l) {
		c.lookups = append(c.lookups, l)
	}
	return value{sql: "nullif(" + sql + ", '')", typ: Text, simple: true, fails: key.fails}, nil
}

// choose compiles if(): what could not be read counts in the chosen branch only.
func (c *compiler) choose(n *node) (value, error) {
	condition, err := c.compile(n.args[0])
	if err != nil {
		return value{}, err
	}
	branches := []value{missing(n.typ), missing(n.typ)}
	for i, a := range n.args[1:] {
		if a.isEmpty() {
			continue
		}
		if branches[i], err = c.compile(a); err != nil {
			return value{}, err
		}
	}
	then, otherwise := branches[0], branches[1]
	v := value{typ: n.typ, wild: then.wild || otherwise.wild, fails: slices.Clone(condition.fails)}
	v.sql = "CASE WHEN " + condition.sql + " THEN " + then.sql + " ELSE " + otherwise.sql + " END"
	if len(then.fails)+len(otherwise.fails) > 0 {
		v.fails = append(v.fails, "CASE WHEN "+condition.sql+" THEN "+anyOf(then.fails)+" ELSE "+anyOf(otherwise.fails)+" END")
	}
	return v, nil
}

func anyOf(conditions []string) string {
	if len(conditions) == 0 {
		return "false"
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

// let returns body of v where v may stand several times. What is not simple is
// computed once: a list of one, transformed.
func (c *compiler) let(v value, body func(v string) string) string {
	if v.simple {
		return body(v.sql)
	}
	c.lets++
	name := fmt.Sprintf("v%d", c.lets)
	return "list_transform([" + v.sql + "], lambda " + name + ": " + body(name) + ")[1]"
}

// settle makes a number that overflowed a missing value.
func (c *compiler) settle(v value) value {
	if !v.wild {
		return v
	}
	v.sql = c.let(v, func(x string) string { return "CASE WHEN isfinite(" + x + ") THEN " + x + " END" })
	v.wild = false
	return v
}
