package filterql

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// String returns the canonical text of the rule: parsing it gives the same
// tree again, and two rules with the same tree have the same text.
func (f *Filter) String() string {
	var b strings.Builder
	b.WriteString("FILTER ")
	printCondition(&b, f.Where)
	if f.From != "" {
		b.WriteString(" FROM " + f.From)
	}
	if f.Alias != "" {
		b.WriteString(" ALIAS " + printName(f.Alias))
	}
	return b.String()
}

func printCondition(b *strings.Builder, c *Condition) {
	switch c.Op {
	case And, Or:
		b.WriteString(strings.ToUpper(string(c.Op)) + " (")
		for i, a := range c.Args {
			if i > 0 {
				b.WriteString(", ")
			}
			printCondition(b, a)
		}
		b.WriteString(")")
	case Not:
		if arg := c.Args[0]; takesNot(arg.Op) {
			printLeaf(b, arg, "NOT ")
			return
		}
		b.WriteString("NOT ")
		printCondition(b, c.Args[0])
	case MatchAll:
		b.WriteString("*")
	case Include:
		b.WriteString("INCLUDE " + printName(c.Audience))
	case Exists:
		b.WriteString("EXISTS " + c.Field.String())
	case GeoDistance, TimeWindow:
		b.WriteString(string(c.Op) + "(" + c.Field.String() + ", " + printValues(c.Values, ", ") + ")")
	default:
		printLeaf(b, c, "")
	}
}

// takesNot reports whether NOT may stand between the field and the operator.
func takesNot(op Op) bool {
	switch op {
	case Contains, Like, In, Intersects, Between:
		return true
	}
	return false
}

func printLeaf(b *strings.Builder, c *Condition, not string) {
	b.WriteString(c.Field.String() + " " + not + strings.ToUpper(string(c.Op)) + " ")
	switch c.Op {
	case In, Intersects:
		b.WriteString("(" + printValues(c.Values, ", ") + ")")
	case Between:
		b.WriteString(printValues(c.Values, " AND "))
	default:
		b.WriteString(printValues(c.Values, ""))
	}
}

func printValues(vs []Value, sep string) string {
	texts := make([]string, len(vs))
	for i, v := range vs {
		texts[i] = v.String()
	}
	return strings.Join(texts, sep)
}

// plainNumber is a number that reads the same in every language.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

var quoteReplacer = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)

// String returns the literal as the canonical text writes it: bare when it is
// a plain number, true or false, else in double quotes.
func (v Value) String() string {
	if v.Text == "true" || v.Text == "false" || plainNumber.MatchString(v.Text) {
		return v.Text
	}
	return `"` + quoteReplacer.Replace(v.Text) + `"`
}

// String returns the field as the canonical text writes it, each part in
// backticks where it must be.
func (i Ident) String() string {
	parts := make([]string, len(i.Parts))
	for n, p := range i.Parts {
		parts[n] = printName(p)
	}
	return strings.Join(parts, ".")
}

func printName(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); isWordStart(first) && wordLen(s) == len(s) && !isKeyword(s) {
		return s
	}
	return "`" + strings.ReplaceAll(s, "`", "``") + "`"
}
