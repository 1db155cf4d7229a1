package expression_test

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"usher/internal/expression"
)

// sample is an expression together with what it means.
type sample struct {
	text string
	eval func(message) result
}

// huge overflows when it is multiplied by itself.
var huge = "1" + strings.Repeat("0", 160)

// The columns of the messages; the readings of the first two as a number, of
// day as a time and of tel as a phone number are written down here, not computed.
var (
	columnNames  = []string{"qty", "Unit Price", "name", "note", "day", "tel"}
	columnValues = map[string][]string{
		"qty":        {"1", "2", "-3", "0", "", "2.5", "abc", "1,000"},
		"Unit Price": {"$34.99", "", "0.01", "1e99", " 12 ", "n/a", "-" + huge},
		"name":       {"Ann", "ann", "", " Bo\u00a0", "日本語", "e\u0301a", "😀 x", "O'Neil", "a-b-c", "-"},
		"note":       {"", "Ann", "x-y", "%", "\t", "é", "ab"},
		"tel":        {"(415) 555-2671", "", "+44 20 7946 0958", "call me", "0044 20 7946 0958 ", "123", "+1 415 555 2671 ext. 5"},
		"day":        {"2024-02-29", "", "2024-02-30", "2024-02-29T10:00:00+02:00", "1709200800"},
	}
	amounts = map[string]float64{"1": 1, "2": 2, "-3": -3, "0": 0, "2.5": 2.5, "1,000": 1000, "$34.99": 34.99, "0.01": 0.01, "1e99": 1e99, " 12 ": 12, "-" + huge: -1e160}
	phones  = map[string]string{
		"(415) 555-2671": "+14155552671", "+44 20 7946 0958": "+442079460958", "0044 20 7946 0958 ": "+442079460958", "+1 415 555 2671 ext. 5": "+14155552671",
	}
	days = map[string]time.Time{
		"2024-02-29":                time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"2024-02-29T10:00:00+02:00": time.Date(2024, 2, 29, 8, 0, 0, 0, time.UTC),
		"1709200800":                time.Date(2024, 2, 29, 10, 0, 0, 0, time.UTC),
	}
)

// draw makes a random expression of a type.
func draw(t *rapid.T, typ expression.Type, depth int) sample {
	if depth > 0 && rapid.IntRange(0, 3).Draw(t, "choice") == 0 {
		return drawChoice(t, typ, depth)
	}
	switch typ {
	case expression.Number:
		return drawNumber(t, depth)
	case expression.Boolean:
		return drawBoolean(t, depth)
	case expression.Time:
		return call("date", func(a []any) any { return a[0] }, read("day", days))
	}
	return drawText(t, depth)
}

// fold makes an expression of parts, which is missing when one of them is.
func fold(text string, f func([]any) any, parts ...sample) sample {
	return sample{text, func(m message) result {
		var args []any
		var out result
		for _, p := range parts {
			r := p.eval(m)
			out.unparsed = out.unparsed || r.unparsed
			args = append(args, r.value)
		}
		if !slices.Contains(args, nil) {
			out.value = f(args)
		}
		return out
	}}
}

// call writes a function of parts.
func call(name string, f func([]any) any, parts ...sample) sample {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text
	}
	return fold(name+"("+strings.Join(texts, ", ")+")", f, parts...)
}

func constant(text string, v any) sample {
	return sample{text, func(message) result { return result{value: v} }}
}

// read is a column whose readings are given; others are unparsed.
func read[T any](column string, readings map[string]T) sample {
	text := column
	if strings.Contains(column, " ") {
		text = "`" + column + "`"
	}
	return sample{text, func(m message) result {
		if m[column] == "" {
			return result{}
		}
		if v, ok := readings[m[column]]; ok {
			return result{value: v}
		}
		return result{unparsed: true}
	}}
}

// drawChoice makes if or coalesce.
func drawChoice(t *rapid.T, typ expression.Type, depth int) sample {
	a, b := draw(t, typ, depth-1), draw(t, typ, depth-1)
	if rapid.Bool().Draw(t, "coalesce") {
		return sample{"coalesce(" + a.text + ", " + b.text + ")", func(m message) result {
			x, y := a.eval(m), b.eval(m)
			out := result{x.value, x.unparsed || y.unparsed}
			if out.value == nil {
				out.value = y.value
			}
			return out
		}}
	}
	c := draw(t, expression.Boolean, depth-1)
	text := "if(" + c.text + ", " + a.text
	if rapid.Bool().Draw(t, "else") {
		text += ", " + b.text
	} else {
		b = constant("", nil)
	}
	return sample{text + ")", func(m message) result {
		is := c.eval(m)
		out := b.eval(m)
		if is.value == true {
			out = a.eval(m)
		}
		out.unparsed = out.unparsed || is.unparsed
		return out
	}}
}

func drawNumber(t *rapid.T, depth int) sample {
	kind := rapid.IntRange(0, 8).Draw(t, "number")
	if depth == 0 {
		kind %= 3
	}
	switch kind {
	case 0:
		v := float64(rapid.IntRange(-8, 8).Draw(t, "quarters")) / 4
		return constant(strconv.FormatFloat(v, 'f', -1, 64), v)
	case 1, 2:
		column := rapid.SampledFrom([]string{"qty", "Unit Price"}).Draw(t, "column")
		return call("number", func(a []any) any { return a[0] }, read(column, amounts))
	case 3:
		digits := rapid.IntRange(0, 2).Draw(t, "digits")
		return call("round", func(a []any) any { return rounded(a[0].(float64), digits) },
			draw(t, expression.Number, depth-1), constant(strconv.Itoa(digits), 0))
	case 4:
		return call("length", func(a []any) any { return float64(len([]rune(a[0].(string)))) }, draw(t, expression.Text, depth-1))
	case 5:
		x := draw(t, expression.Number, depth-1)
		return fold("-("+x.text+")", func(a []any) any { return -a[0].(float64) }, x)
	}
	op := rapid.SampledFrom([]string{"+", "-", "*", "/"}).Draw(t, "op")
	return infix(op, arithmetic(op), draw(t, expression.Number, depth-1), draw(t, expression.Number, depth-1))
}

func infix(op string, f func([]any) any, a, b sample) sample {
	return fold("("+a.text+") "+op+" ("+b.text+")", f, a, b)
}

func arithmetic(op string) func([]any) any {
	return func(args []any) any {
		a, b := args[0].(float64), args[1].(float64)
		v := map[string]float64{"+": a + b, "-": a - b, "*": a * b, "/": a / b}[op]
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil
		}
		return v
	}
}

func rounded(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	if r := math.Round(v*scale) / scale; !math.IsInf(r, 0) {
		return r
	}
	return v
}

func drawBoolean(t *rapid.T, depth int) sample {
	kind := rapid.IntRange(0, 6).Draw(t, "boolean")
	if depth == 0 {
		return constant(strconv.FormatBool(kind < 4), kind < 4)
	}
	switch kind {
	case 0:
		x := draw(t, expression.Boolean, depth-1)
		return fold("not ("+x.text+")", func(a []any) any { return !a[0].(bool) }, x)
	case 1, 2:
		return drawLogic(t, depth)
	case 3:
		x := draw(t, rapid.SampledFrom([]expression.Type{expression.Number, expression.Text, expression.Time}).Draw(t, "of"), depth-1)
		return sample{"exists(" + x.text + ")", func(m message) result { return result{value: x.eval(m).value != nil} }}
	}
	typ := rapid.SampledFrom([]expression.Type{expression.Number, expression.Text, expression.Time}).Draw(t, "of")
	op := rapid.SampledFrom([]string{"=", "==", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
	return infix(op, func(a []any) any { return compares(op, a[0], a[1]) }, draw(t, typ, depth-1), draw(t, typ, depth-1))
}

// drawLogic makes and, or: one false decides an and, one true an or.
func drawLogic(t *rapid.T, depth int) sample {
	a, b := draw(t, expression.Boolean, depth-1), draw(t, expression.Boolean, depth-1)
	op, decides := "and", false
	if rapid.Bool().Draw(t, "or") {
		op, decides = "or", true
	}
	return sample{"(" + a.text + ") " + op + " (" + b.text + ")", func(m message) result {
		x, y := a.eval(m), b.eval(m)
		out := result{unparsed: x.unparsed || y.unparsed}
		switch {
		case x.value == decides || y.value == decides:
			out.value = decides
		case x.value != nil && y.value != nil:
			out.value = !decides
		}
		return out
	}}
}

func compares(op string, a, b any) bool {
	order := 0
	switch a := a.(type) {
	case float64:
		order = map[bool]int{true: -1}[a < b.(float64)] + map[bool]int{true: 1}[a > b.(float64)]
	case string:
		order = strings.Compare(a, b.(string))
	case time.Time:
		order = a.Compare(b.(time.Time))
	}
	return map[string]bool{"=": order == 0, "==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[op]
}

func drawText(t *rapid.T, depth int) sample {
	kind := rapid.IntRange(0, 13).Draw(t, "text")
	if depth == 0 {
		kind %= 4
	}
	if kind == 13 {
		x := read("tel", phones)
		return sample{rapid.SampledFrom([]string{"phone(tel)", `phone(tel, "US")`}).Draw(t, "phone"), x.eval}
	}
	switch kind {
	case 0:
		v := rapid.SampledFrom([]string{"a", "Ann", "-", "%", `"q" \`, "日", "line\nbreak"}).Draw(t, "literal")
		return constant(`"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(v)+`"`, v)
	case 1, 2, 3:
		column := rapid.SampledFrom([]string{"name", "note"}).Draw(t, "column")
		return sample{column, func(m message) result { return result{value: present(m[column])} }}
	case 4:
		return call("text", func(a []any) any { return written(a[0].(float64)) }, draw(t, expression.Number, depth-1))
	case 5, 6:
		return drawConcat(t, depth)
	}
	return drawTextFunction(t, kind, draw(t, expression.Text, depth-1))
}

func drawTextFunction(t *rapid.T, kind int, x sample) sample {
	part := func(choices ...int) int { return rapid.SampledFrom(choices).Draw(t, "place") }
	switch kind {
	case 7:
		return call("lower", func(a []any) any { return strings.ToLower(a[0].(string)) }, x)
	case 8:
		return call("upper", func(a []any) any { return strings.ToUpper(a[0].(string)) }, x)
	case 9:
		return call("trim", func(a []any) any { return present(strings.TrimFunc(a[0].(string), unicode.IsSpace)) }, x)
	case 10:
		old := rapid.SampledFrom([]string{"-", "n", "日"}).Draw(t, "old")
		return fold("replace("+x.text+`, "`+old+`", "")`, func(a []any) any { return present(strings.ReplaceAll(a[0].(string), old, "")) }, x)
	case 11:
		n := part(1, 2, 3, -1, -3)
		return fold("split("+x.text+`, "-", `+strconv.Itoa(n)+")", func(a []any) any { return piece(strings.Split(a[0].(string), "-"), n) }, x)
	}
	start, length := part(1, 2, 4, -1, -2, -5), part(0, 1, 3)
	text := "substr(" + x.text + ", " + strconv.Itoa(start)
	if rapid.Bool().Draw(t, "length") {
		text += ", " + strconv.Itoa(length)
	} else {
		length = math.MaxInt
	}
	return fold(text+")", func(a []any) any { return cut([]rune(a[0].(string)), start, length) }, x)
}

func drawConcat(t *rapid.T, depth int) sample {
	a, b := draw(t, expression.Text, depth-1), draw(t, expression.Text, depth-1)
	return sample{"concat(" + a.text + ", " + b.text + ")", func(m message) result {
		x, y := a.eval(m), b.eval(m)
		first, _ := x.value.(string)
		second, _ := y.value.(string)
		return result{present(first + second), x.unparsed || y.unparsed}
	}}
}

// present makes an empty text a missing value.
func present(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func piece(parts []string, n int) any {
	if n < 0 {
		n += len(parts) + 1
	}
	if n < 1 || n > len(parts) {
		return nil
	}
	return present(parts[n-1])
}

func cut(s []rune, start, length int) any {
	if start < 0 {
		start = max(len(s)+start+1, 1)
	}
	s = s[min(start-1, len(s)):]
	return present(string(s[:min(length, len(s))]))
}

// written writes a number as DuckDB does: with an exponent from 1e16 on and
// below 0.0001.
func written(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v+0, 'f', -1, 64)
}
