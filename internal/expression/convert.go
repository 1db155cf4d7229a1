package expression

import "slices"

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
		return c.read(v, Integer, func(x string) string {
			return "CASE WHEN " + x + " = trunc(" + x + ") THEN TRY_CAST(" + x + " AS BIGINT) END"
		}), nil
	case v.typ == Text:
		return c.readText(v, t), nil
	}
	return value{}, errorAt(n.pos, "the expression gives %s, which can't become %s", v.typ, t)
}

// readText reads a text as number(), boolean() and date() do.
func (c *compiler) readText(v value, t Type) value {
	switch t {
	case Integer:
		return c.read(v, Integer, integerSQL)
	case Number:
		return c.readNumber(v, ".")
	case Boolean:
		return c.readBoolean(v)
	}
	return c.read(v, Time, isoSQL)
}

// read is v read as another type; sql makes the SQL of it from the SQL of v.
// That v is there and the result is not means that it could not be read.
func (c *compiler) read(v value, t Type, sql func(x string) string) value {
	out := value{sql: c.let(v, sql), typ: t}
	out.fails = append(slices.Clone(v.fails), "("+v.sql+" IS NOT NULL AND "+out.sql+" IS NULL)")
	return out
}

func (c *compiler) readNumber(v value, mark string) value {
	out := c.read(v, Number, func(x string) string { return numberSQL(x, mark) })
	out.wild = true
	return out
}

func (c *compiler) readBoolean(v value) value {
	return c.read(v, Boolean, func(x string) string {
		return c.let(value{sql: "lower(" + trim(x) + ")"}, func(word string) string {
			return "CASE WHEN " + word + " IN ('true', 'yes', 'y', 't', '1') THEN true" +
				" WHEN " + word + " IN ('false', 'no', 'n', 'f', '0') THEN false END"
		})
	})
}

func (c *compiler) toNumber(n *node, v value) value {
	switch {
	case v.typ == Number:
		return v
	case len(n.args) == 2:
		return c.readNumber(v, n.args[1].text)
	}
	return c.readNumber(v, ".")
}

func (c *compiler) toTime(n *node, v value) value {
	switch {
	case v.typ == Time:
		return v
	case len(n.args) == 2:
		return c.read(v, Time, func(x string) string { return orderedSQL(x, n.args[1].text) })
	}
	return c.read(v, Time, isoSQL)
}

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
