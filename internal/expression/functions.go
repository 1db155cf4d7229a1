package expression

import (
	"fmt"
	"slices"
	"strings"
)

// call compiles an operator or function whose arguments are compiled.
func (c *compiler) call(n *node, args []value) value {
	v := value{typ: n.typ, fails: failsOf(args)}
	first := args[0]
	switch n.text {
	case "+", "-", "*":
		v.sql, v.wild = "("+args[0].sql+" "+n.text+" "+args[1].sql+")", true
	case "/":
		v.sql, v.wild = "("+first.sql+" / "+c.divisor(args[1])+")", true
	case "neg":
		v.sql, v.wild = "(-"+first.sql+")", first.wild
	case "and", "or":
		v.sql = "(" + first.sql + " " + strings.ToUpper(n.text) + " " + args[1].sql + ")"
	case "not":
		v.sql = "(NOT " + first.sql + ")"
	case "=", "!=", "<", "<=", ">", ">=":
		op := strings.Replace(n.text, "!=", "<>", 1)
		v.sql = "(" + c.settle(first).sql + " " + op + " " + c.settle(args[1]).sql + ")"
	case "exists":
		v.sql, v.fails = "("+c.settle(first).sql+" IS NOT NULL)", nil
	case "coalesce":
		v.sql = c.coalesce(n, args)
	case "round":
		v.sql, v.wild = c.round(n, args), first.wild
	case "text":
		return c.asText(first)
	case "number":
		return c.toNumber(n, first)
	case "date":
		return c.toTime(n, first)
	case "boolean":
		return c.readBoolean(first)
	default:
		v.sql = c.textFunction(n, args)
	}
	return v
}

func failsOf(args []value) []string {
	var fails []string
	for _, a := range args {
		fails = append(fails, a.fails...)
	}
	return slices.Compact(fails)
}

// divisor makes dividing by zero, or by what overflowed, a missing value.
func (c *compiler) divisor(v value) string {
	return c.let(v, func(x string) string { return "CASE WHEN " + x + " <> 0 AND isfinite(" + x + ") THEN " + x + " END" })
}

func (c *compiler) coalesce(n *node, args []value) string {
	parts := make([]string, len(args))
	for i, a := range args {
		if parts[i] = c.settle(a).sql; n.args[i].isEmpty() {
			parts[i] = missing(n.typ).sql
		}
	}
	return "coalesce(" + strings.Join(parts, ", ") + ")"
}

func (c *compiler) round(n *node, args []value) string {
	digits := 0
	if len(n.args) == 2 {
		digits = int(n.args[1].number)
	}
	return fmt.Sprintf("round(%s, %d)", args[0].sql, digits)
}

// blanks are the characters that trim() takes off: white space, and the marks
// without width that spreadsheets leave behind.
const blanks = " \t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"

// textFunction compiles the functions on text. Where the result may be empty
// it is missing.
func (c *compiler) textFunction(n *node, args []value) string {
	x := args[0].sql
	switch n.text {
	case "lower", "upper":
		return n.text + "(" + x + ")"
	case "length":
		return "CAST(length(" + x + ") AS DOUBLE)"
	case "trim":
		return c.some(trim(x))
	case "replace":
		to := args[2].sql
		if n.args[2].isEmpty() {
			to = "''"
		}
		return c.some("replace(" + x + ", " + args[1].sql + ", " + to + ")")
	case "split":
		return c.some(fmt.Sprintf("split_part(%s, %s, %d)", x, args[1].sql, int(n.args[2].number)))
	case "substr":
		return c.some(substr(n, x))
	case "concat":
		parts := make([]string, len(args))
		for i, a := range args {
			parts[i] = c.asText(a).sql
		}
		return c.some("concat(" + strings.Join(parts, ", ") + ")")
	}
	return c.split(x, args[1].sql) // set
}

// some makes an empty text a missing one. (DuckDB's nullif() would do, but it
// repeats its argument, and nested functions would double each other.)
func (c *compiler) some(text string) string {
	return c.let(value{sql: text}, func(x string) string { return "CASE WHEN " + x + " <> '' THEN " + x + " END" })
}

func trim(x string) string { return "trim(" + x + ", '" + blanks + "')" }

func substr(n *node, x string) string {
	start := int(n.args[1].number)
	if start < 0 {
		x, start = fmt.Sprintf("right(%s, %d)", x, -start), 1
	}
	if len(n.args) == 2 {
		return fmt.Sprintf("substring(%s, %d)", x, start)
	}
	return fmt.Sprintf("substring(%s, %d, %d)", x, start, int(n.args[2].number))
}

// split makes a set of the parts of a text that are not blank, each once.
func (c *compiler) split(x, separator string) string {
	parts := "list_transform(string_split(" + x + ", " + separator + "), lambda part: " + trim("part") + ")"
	set := value{sql: "list_distinct(list_filter(" + parts + ", lambda part: part <> ''))", typ: Set}
	return c.let(set, func(s string) string { return "CASE WHEN len(" + s + ") > 0 THEN list_sort(" + s + ") END" })
}
