package expression

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// signature says what a function takes and gives. least and most bound the
// number of arguments (most -1: any number); check looks at the arguments, all
// of which have types, and returns the type of the value.
type signature struct {
	usage       string // for errors
	least, most int
	check       func(n *node) (Type, error)
}

// functions are the functions of the language, by name.
var functions = map[string]signature{
	"lower":    {"lower(text)", 1, 1, texts},
	"upper":    {"upper(text)", 1, 1, texts},
	"trim":     {"trim(text)", 1, 1, texts},
	"replace":  {`replace(text, "old", "new")`, 3, 3, checkReplace},
	"substr":   {"substr(text, start, length)", 2, 3, checkSubstr},
	"split":    {`split(text, "separator", n)`, 3, 3, checkSplit},
	"length":   {"length(text)", 1, 1, giving(Number, texts)},
	"concat":   {"concat(a, b, …)", 1, -1, giving(Text, scalars)},
	"text":     {"text(value)", 1, 1, giving(Text, scalars)},
	"number":   {`number(text) or number(text, ",")`, 1, 2, checkNumber},
	"boolean":  {"boolean(text)", 1, 1, giving(Boolean, texts)},
	"date":     {`date(text) or date(text, "mdy")`, 1, 2, checkDate},
	"phone":    {`phone(text) or phone(text, "US")`, 1, 2, checkPhone},
	"round":    {"round(number, digits)", 1, 2, checkRound},
	"set":      {`set(text, "separator")`, 2, 2, checkSet},
	"coalesce": {"coalesce(a, b, …)", 1, -1, checkCoalesce},
	"if":       {"if(condition, then, else)", 2, 3, checkIf},
	"exists":   {"exists(value)", 1, 1, func(*node) (Type, error) { return Boolean, nil }},
	"lookup":   {`lookup("stream", key, "column")`, 3, 3, checkLookup},
}

// check gives every node its type, or says what does not fit.
func check(n *node, depth int) error {
	if depth > MaxDepth {
		return tooDeep(n.pos)
	}
	for _, a := range n.args {
		if err := check(a, depth+1); err != nil {
			return err
		}
	}
	var err error
	switch n.kind {
	case textNode, columnNode:
		n.typ = Text
	case numberNode:
		n.typ = Number
	case booleanNode:
		n.typ = Boolean
	case callNode:
		n.typ, err = checkCall(n)
	}
	return err
}

func checkCall(n *node) (Type, error) {
	switch n.text {
	case "+", "-", "*", "/", "neg":
		return Number, each(n, Number)
	case "and", "or", "not":
		return Boolean, each(n, Boolean)
	case "=", "!=", "<", "<=", ">", ">=":
		return Boolean, checkComparison(n)
	}
	f := functions[n.text]
	if len(n.args) < f.least || f.most >= 0 && len(n.args) > f.most {
		return "", errorAt(n.pos, "%s has %d arguments, it is written %s", n.text, len(n.args), f.usage)
	}
	return f.check(n)
}

// each checks that every argument is of type t.
func each(n *node, t Type) error {
	for _, a := range n.args {
		if err := want(n, a, t); err != nil {
			return err
		}
	}
	return nil
}

// want checks the type of one argument.
func want(n, arg *node, t Type) error {
	if arg.typ == t {
		return nil
	}
	hint := ""
	if arg.typ == Text || t == Text {
		hint = map[Type]string{Number: "number", Time: "date", Boolean: "boolean", Text: "text"}[t]
		hint = fmt.Sprintf(", use %s(%s)", hint, brief(print(arg)))
	}
	name := n.text
	if name == "neg" {
		name = "-"
	}
	return errorAt(arg.pos, "%s takes %s, %s is %s%s", name, t, brief(print(arg)), arg.typ, hint)
}

func texts(n *node) (Type, error) { return Text, each(n, Text) }

// scalars checks that no argument is a set.
func scalars(n *node) (Type, error) {
	for _, a := range n.args {
		if a.typ == Set {
			return "", errorAt(a.pos, "%s does not take a set", n.text)
		}
	}
	return "", nil
}

// giving makes a check of arguments into one that gives t.
func giving(t Type, check func(*node) (Type, error)) func(*node) (Type, error) {
	return func(n *node) (Type, error) {
		_, err := check(n)
		return t, err
	}
}

func checkComparison(n *node) error {
	left, right := n.args[0], n.args[1]
	for _, a := range n.args {
		switch {
		case a.isEmpty():
			return errorAt(a.pos, `an empty text counts as missing, use exists(…)`)
		case a.typ == Set:
			return errorAt(a.pos, "%s does not take a set", n.text)
		case a.typ == Boolean && n.text != "=" && n.text != "!=":
			return errorAt(a.pos, "%s does not take a boolean", n.text)
		}
	}
	if left.typ == Text {
		return want(n, left, right.typ)
	}
	return want(n, right, left.typ)
}

// literal checks that an argument is a text in quotes.
func literal(n, arg *node, what string) error {
	if arg.kind == textNode && arg.text != "" {
		return nil
	}
	return errorAt(arg.pos, "%s takes %s as text in quotes, found %s", n.text, what, brief(print(arg)))
}

// whole checks that an argument is a whole number between two bounds, not 0
// unless the bounds begin with it.
func whole(n, arg *node, what string, least, most float64) error {
	v := arg.number
	if arg.kind == numberNode && v == math.Trunc(v) && v >= least && v <= most && (v != 0 || least == 0) {
		return nil
	}
	return errorAt(arg.pos, "%s takes %s as a whole number, found %s", n.text, what, brief(print(arg)))
}

// maxPosition bounds positions and lengths within a text.
const maxPosition = 1_000_000

func checkReplace(n *node) (Type, error) {
	if n.args[1].isEmpty() {
		return "", errorAt(n.args[1].pos, "replace can't look for an empty text")
	}
	return texts(n)
}

func checkSubstr(n *node) (Type, error) {
	if err := want(n, n.args[0], Text); err != nil {
		return "", err
	}
	if err := whole(n, n.args[1], "the start (1 = first, -1 = last)", -maxPosition, maxPosition); err != nil {
		return "", err
	}
	if len(n.args) == 3 {
		return Text, whole(n, n.args[2], "the length", 0, maxPosition)
	}
	return Text, nil
}

func checkSplit(n *node) (Type, error) {
	if err := want(n, n.args[0], Text); err != nil {
		return "", err
	}
	if err := literal(n, n.args[1], "the separator"); err != nil {
		return "", err
	}
	return Text, whole(n, n.args[2], "the place of the part (1 = first, -1 = last)", -maxPosition, maxPosition)
}

func checkNumber(n *node) (Type, error) {
	if n.args[0].typ == Number && len(n.args) == 1 {
		return Number, nil
	}
	if err := want(n, n.args[0], Text); err != nil {
		return "", err
	}
	if len(n.args) == 2 && n.args[1].text != "," && n.args[1].text != "." {
		return "", errorAt(n.args[1].pos, `number takes the decimal mark as "." or ","`)
	}
	return Number, nil
}

func checkDate(n *node) (Type, error) {
	if n.args[0].typ == Time && len(n.args) == 1 {
		return Time, nil
	}
	if err := want(n, n.args[0], Text); err != nil {
		return "", err
	}
	if len(n.args) == 2 && !slices.Contains(dateOrders, n.args[1].text) {
		return "", errorAt(n.args[1].pos, `date takes the order of its parts as "%s"`, strings.Join(dateOrders, `", "`))
	}
	return Time, nil
}

// dateOrders are the orders of day, month and year that date() takes.
var dateOrders = []string{"mdy", "dmy", "ymd"}

func checkRound(n *node) (Type, error) {
	if err := want(n, n.args[0], Number); err != nil {
		return "", err
	}
	if len(n.args) == 2 {
		const maxDigits = 10
		return Number, whole(n, n.args[1], "the digits after the point (0 to 10)", 0, maxDigits)
	}
	return Number, nil
}

func checkSet(n *node) (Type, error) {
	if err := want(n, n.args[0], Text); err != nil {
		return "", err
	}
	return Set, literal(n, n.args[1], "the separator")
}

// common finds the one type of values of which any may be the result. An empty
// text, being a missing value, is of every type.
func common(n *node, values []*node) (Type, error) {
	t := Text
	found := false
	for _, v := range values {
		switch {
		case v.isEmpty():
		case !found:
			t, found = v.typ, true
		case v.typ != t:
			return "", errorAt(v.pos, "%s gives %s or %s: both must be of one type", n.text, t, v.typ)
		}
	}
	return t, nil
}

func checkCoalesce(n *node) (Type, error) { return common(n, n.args) }

func checkIf(n *node) (Type, error) {
	if err := want(n, n.args[0], Boolean); err != nil {
		return "", err
	}
	return common(n, n.args[1:])
}

func checkLookup(n *node) (Type, error) {
	if err := literal(n, n.args[0], "the stream"); err != nil {
		return "", err
	}
	if n.args[1].typ == Set {
		return "", errorAt(n.args[1].pos, "lookup does not take a set as the key")
	}
	return Text, literal(n, n.args[2], "the column")
}
