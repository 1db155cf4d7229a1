package expression

import (
	"fmt"
	"slices"
)

// convert makes v a value for a field of type t.
func (c *compiler) convert(n *node, v value, t Type) (value, error) {
	switch {
	case n.isEmpty():
		return missing(t), nil
	case v.typ == t:
		return v, nil
	case t == Text && v.typ != Set:
		return c.asText(v), nil
	case t == Set:
		v = c.asText(v)
		v.sql = c.let(v, func(x string) string { return "CASE WHEN " + x + " IS NOT NULL THEN [" + x + "] END" })
		v.typ, v.simple = Set, false
		return v, nil
	case t == Integer && v.typ == Number:
		whole := c.let(v, func(x string) string {
			return "CASE WHEN " + x + " = trunc(" + x + ") THEN TRY_CAST(" + x + " AS BIGINT) END"
		})
		return c.read(v, whole, Integer), nil
	case v.typ == Text:
		return c.readText(v, t), nil
	}
	return value{}, errorAt(n.pos, "the expression gives %s, which can't become %s", v.typ, t)
}

// readText reads a text as number(), boolean() and date() do.
func (c *compiler) readText(v value, t Type) value {
	switch t {
	case Integer:
		return c.read(v, integerSQL(v.sql), Integer)
	case Number:
		return c.read(v, numberSQL(v.sql, "."), Number)
	case Boolean:
		return c.read(v, booleanSQL(v.sql), Boolean)
	}
	return c.read(v, c.let(v, isoSQL), Time)
}

// read is v read as another type by the given SQL. That v is there and the
// result is not means that it could not be read.
func (c *compiler) read(v value, sql string, t Type) value {
	fails := append(slices.Clone(v.fails), "("+v.sql+" IS NOT NULL AND "+sql+" IS NULL)")
	return value{sql: sql, typ: t, fails: fails}
}

func (c *compiler) toNumber(n *node, v value) value {
	if v.typ == Number {
		return v
	}
	mark := "."
	if len(n.args) == 2 {
		mark = n.args[1].text
	}
	return c.read(v, numberSQL(v.sql, mark), Number)
}

func (c *compiler) toTime(n *node, v value) value {
	switch {
	case v.typ == Time:
		return v
	case len(n.args) == 2:
		return c.read(v, orderedSQL(v.sql, n.args[1].text), Time)
	}
	return c.read(v, c.let(v, isoSQL), Time)
}

func (c *compiler) toBoolean(v value) value { return c.read(v, booleanSQL(v.sql), Boolean) }

// asText writes a value as text: 5 and not 5.0, times as ISO 8601 in UTC.
func (c *compiler) asText(v value) value {
	v = c.settle(v)
	switch v.typ {
	case Number: // adding zero makes -0 plain 0
		v.sql = `regexp_replace(CAST(` + v.sql + ` + CAST(0 AS DOUBLE) AS VARCHAR), '\.0$', '')`
	case Boolean:
		v.sql = "CAST(" + v.sql + " AS VARCHAR)"
	case Time:
		v.sql = `regexp_replace(strftime(` + v.sql + `, '%Y-%m-%dT%H:%M:%S.%fZ'), '\.000000Z$', 'Z')`
	case Text:
		return v
	}
	v.typ, v.simple = Text, false
	return v
}

// The patterns below are RE2, which DuckDB uses, and part of the language's
// definition (docs/expressions.md). They hold no quotes but doubled ones.
const (
	space = `[\s\p{Z}]*`
	// group is what may stand between groups of three digits, beside the mark
	// that is not the decimal mark.
	group = `''\p{Zs}`
	// clock is a time of day.
	clock    = `(?:[01]?\d|2[0-3]):` + minutes
	isoClock = `(?:[01]\d|2[0-3]):` + minutes
	minutes  = `[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?`
	year     = `[12]\d{3}`
)

// digits matches whole digits, plain or in groups of three.
func digits(other string) string {
	return `(?:\d{1,3}(?:[` + other + group + `]\d{3})+|\d{1,200})`
}

// amount wraps the pattern of a number in what may stand around it: blanks, a
// sign and a currency sign before or after.
func amount(number string) string {
	return `^` + space + `([+-]?)` + space + `\p{Sc}?` + space + number + space + `\p{Sc}?` + space + `$`
}

// extract gives the parts of x that the template names, ” when x does not match.
func extract(x, pattern, template string) string {
	return fmt.Sprintf(`regexp_replace(regexp_extract(%s, '%s'), '%s', '%s')`, x, pattern, pattern, template)
}

func numberSQL(x, mark string) string {
	other := ","
	if mark == "," {
		other = "."
	}
	number := `(` + digits(other) + `?)(?:[` + mark + `](\d{0,200}))?([eE][+-]?\d{1,2})?`
	parts := extract(x, amount(number), `\1\2`+mark+`\3\4`)
	plain := `regexp_replace(` + parts + `, '[` + other + group + `]', '', 'g')`
	if mark == "," {
		plain = "replace(" + plain + ", ',', '.')"
	}
	return "TRY_CAST(" + plain + " AS DOUBLE)"
}

func integerSQL(x string) string {
	parts := extract(x, amount(`(`+digits(",")+`)(?:\.0*)?`), `\1\2`)
	return `TRY_CAST(regexp_replace(` + parts + `, '[,` + group + `]', '', 'g') AS BIGINT)`
}

func booleanSQL(x string) string {
	return "CASE lower(" + trim(x) + ")" +
		" WHEN 'true' THEN true WHEN 'yes' THEN true WHEN 'y' THEN true WHEN 't' THEN true WHEN '1' THEN true" +
		" WHEN 'false' THEN false WHEN 'no' THEN false WHEN 'n' THEN false WHEN 'f' THEN false WHEN '0' THEN false END"
}

// isoSQL reads ISO 8601, or Unix time: 9 to 11 digits are seconds, 12 to 14
// milliseconds.
func isoSQL(x string) string {
	const date = year + `-\d\d-\d\d`
	const zone = `Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?`
	const local = `^` + space + `(` + date + `)(?:[T ](` + isoClock + `))?` + space + `$`
	const zoned = `^` + space + `(` + date + `)[T ](` + isoClock + `) ?(` + zone + `)` + space + `$`
	// The cast with an offset needs seconds.
	full := "regexp_replace(" + extract(x, zoned, `\1T\2\3`) + `, '^(.{16})([Z+-])', '\1:00\2')`
	return "CASE WHEN regexp_matches(" + x + ", '" + local + "') THEN TRY_CAST(trim(" + extract(x, local, `\1 \2`) + ") AS TIMESTAMP)" +
		" WHEN regexp_matches(" + x + ", '" + zoned + "') THEN make_timestamp(epoch_us(TRY_CAST(" + full + " AS TIMESTAMPTZ)))" +
		" WHEN regexp_matches(" + x + `, '^\s*\d{9,11}\s*$') THEN make_timestamp(TRY_CAST(` + x + ` AS BIGINT) * 1000000)` +
		" WHEN regexp_matches(" + x + `, '^\s*\d{12,14}\s*$') THEN make_timestamp(TRY_CAST(` + x + ` AS BIGINT) * 1000) END`
}

// orderedSQL reads a date whose parts stand in a declared order.
func orderedSQL(x, order string) string {
	const sep = `[/.-]`
	const part = `(\d{1,2})`
	pattern, template := part+sep+part+sep+`(`+year+`)`, `\3-\1-\2 \4`
	switch order {
	case "dmy":
		template = `\3-\2-\1 \4`
	case "ymd":
		pattern, template = `(`+year+`)`+sep+part+sep+part, `\1-\2-\3 \4`
	}
	pattern = `^` + space + pattern + `(?:[T ]+(` + clock + `))?` + space + `$`
	return "TRY_CAST(trim(" + extract(x, pattern, template) + ") AS TIMESTAMP)"
}
