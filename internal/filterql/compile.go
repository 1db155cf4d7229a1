package filterql

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Resolver returns the rule of an audience by its slug or id; nil without an
// error when there is none.
type Resolver func(slugOrID string) (*Filter, error)

// Options say what a rule is compiled against.
type Options struct {
	Schema Schema
	// Resolve finds included audiences; nil = there are none.
	Resolve Resolver
	// Name is the slug of the rule itself, for errors about cycles. May be "".
	Name string
	// Dialect is the kind of SQL; "" = DuckDB.
	Dialect Dialect
	// Table is the alias of the profiles table in the statement, such as "p".
	Table string
	// Now is what "now" means in date math.
	Now time.Time
	// FirstParam is the number of the first parameter; 0 = 1.
	FirstParam int
}

// Compiled is a rule as SQL.
type Compiled struct {
	// SQL is one boolean expression that is never NULL.
	SQL string
	// Args are the parameters, from $FirstParam on.
	Args []any
	// TimeDependent is true when the rule or one it includes uses date math or
	// timewindow, so that it selects other people as time passes.
	TimeDependent bool
	// Fields are the profile fields the rule reads, sorted.
	Fields []string
}

// Compile makes SQL of a rule and all it includes. Every error of the rule is
// an *Error.
func Compile(f *Filter, opt Options) (Compiled, error) {
	forms, err := opt.Dialect.forms()
	if err != nil {
		return Compiled{}, err
	}
	c := compiler{opt: opt, forms: forms, fields: map[string]bool{}, first: cmp.Or(opt.FirstParam, 1)}
	if name := cmp.Or(opt.Name, f.Alias); name != "" {
		c.chain = []string{name}
	}
	sql, err := c.condition(f.Where, 1)
	if err != nil {
		return Compiled{}, err
	}
	return Compiled{SQL: sql, Args: c.args, TimeDependent: c.timeDependent, Fields: slices.Sorted(maps.Keys(c.fields))}, nil
}

type compiler struct {
	opt   Options
	forms forms
	first int

	args          []any
	fields        map[string]bool
	timeDependent bool
	conditions    int
	chain         []string // audiences being included, outermost first
}

func (c *compiler) condition(n *Condition, depth int) (string, error) {
	if depth > MaxDepth {
		return "", tooDeep(n.Pos)
	}
	if c.conditions++; c.conditions > MaxConditions {
		return "", errorAt(n.Pos, "the rule with what it includes has more than %d conditions", MaxConditions)
	}
	switch n.Op {
	case And, Or:
		return c.group(n, depth)
	case Not:
		arg, err := c.condition(n.Args[0], depth+1)
		return "(NOT " + arg + ")", err
	case MatchAll:
		return "true", nil
	case Include:
		return c.include(n, depth)
	}
	return c.leaf(n)
}

func (c *compiler) group(n *Condition, depth int) (string, error) {
	parts := make([]string, len(n.Args))
	for i, a := range n.Args {
		sql, err := c.condition(a, depth+1)
		if err != nil {
			return "", err
		}
		parts[i] = sql
	}
	return "(" + strings.Join(parts, " "+strings.ToUpper(string(n.Op))+" ") + ")", nil
}

// include compiles another audience's rule in place.
func (c *compiler) include(n *Condition, depth int) (string, error) {
	f, leave, err := enter(&c.chain, c.opt.Resolve, n)
	if err != nil {
		return "", err
	}
	defer leave()
	sql, err := c.condition(f.Where, depth+1)
	return sql, inAudience(err, n.Audience)
}

// leaf compiles a condition on one field: the field is there and the test holds.
func (c *compiler) leaf(n *Condition) (string, error) {
	t, err := field(c.opt.Schema, n.Field)
	if err != nil {
		return "", err
	}
	if err := applies(n, t); err != nil {
		return "", err
	}
	name := n.Field.Name()
	c.fields[name] = true
	column := quoteIdent(name)
	if c.opt.Table != "" {
		column = c.opt.Table + "." + column
	}
	if n.Op == GeoDistance || n.Op == TimeWindow {
		sql, err := c.function(n, t, column)
		return "coalesce(" + sql + ", false)", err
	}
	params := make([]string, len(n.Values))
	for i, v := range n.Values {
		if params[i], err = c.param(n, v, t); err != nil {
			return "", err
		}
	}
	tests := []string{column + " IS NOT NULL"}
	if t == Set {
		tests = append(tests, c.forms.notEmpty(column))
	}
	if t == Text && !excludesEmpty(n.Op) {
		tests = append(tests, column+" <> ''")
	}
	if test := c.test(n.Op, t, column, params, n.Values); test != "" {
		tests = append(tests, test)
	}
	return "(" + strings.Join(tests, " AND ") + ")", nil
}

// excludesEmpty reports whether the operator can't hold for an empty text
// anyway, since no literal is empty.
func excludesEmpty(op Op) bool { return op == Equal || op == In || op == Intersects || op == Contains }

// test is the condition itself, for a value that is there.
func (c *compiler) test(op Op, t Type, column string, params []string, values []Value) string {
	if t == Text {
		column = c.forms.text(column)
	}
	switch op {
	case Exists:
		return ""
	case Contains:
		if t == Set {
			return c.forms.setHas(column, params[0])
		}
		return c.forms.contains(column, params[0])
	case Like:
		like := " LIKE " + params[0]
		if needsEscape(values[0].Text) {
			like += ` ESCAPE '\'`
		}
		if t == Set {
			return c.forms.setHasLike(column, like)
		}
		return c.forms.likeColumn(column, values[0].Text) + like
	case In, Intersects:
		if t == Set {
			return c.forms.setHasAny(column, params)
		}
		return column + " IN (" + strings.Join(params, ", ") + ")"
	case Between:
		return column + " BETWEEN " + params[0] + " AND " + params[1]
	case NotEqual:
		return column + " <> " + params[0]
	}
	return column + " " + string(op) + " " + params[0]
}

// param binds a literal and returns the SQL that stands for it.
func (c *compiler) param(n *Condition, v Value, t Type) (string, error) {
	arg, err := coerce(n, v, t, c.opt.Now)
	if err != nil {
		return "", err
	}
	sql, err := c.bind(v.Pos, arg, t)
	if t == Time {
		c.timeDependent = c.timeDependent || isDateMath(v.Text)
		sql = c.forms.time(sql)
	}
	return sql, err
}

// bind adds a parameter and returns the SQL that stands for it; a time is its
// Unix microseconds.
func (c *compiler) bind(at Pos, arg any, t Type) (string, error) {
	if len(c.args) >= MaxValues {
		return "", errorAt(at, "the rule with what it includes has more than %d values", MaxValues)
	}
	sql := fmt.Sprintf("CAST($%d AS %s)", c.first+len(c.args), c.forms.casts[t])
	c.args = append(c.args, arg)
	return sql, nil
}
