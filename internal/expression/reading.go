package expression

import "fmt"

// Patterns of what text can be read, in RE2, which DuckDB uses. They hold no
// quotes but doubled ones.
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

// wholeDigits matches the digits of a number, plain or in groups of three that the
// other mark, an apostrophe or a blank divides.
func wholeDigits(other string) string {
	return `(?:\d{1,3}(?:[` + other + group + `]\d{3})+|\d+)`
}

// amount wraps the pattern of a number in what may stand around it: blanks, a
// sign and a currency sign before or after.
func amount(number string) string {
	return `^` + space + `[+-]?` + space + `\p{Sc}?` + space + number + space + `\p{Sc}?` + space + `$`
}

// bare leaves of an amount what belongs to the number itself.
func bare(x, mark string) string {
	return "regexp_replace(" + x + ", '[^0-9eE+" + mark + "-]+', '', 'g')"
}

// numberSQL reads a number whose decimal mark is a point or a comma. Plain
// numbers take a shorter way. The result may be infinite.
func numberSQL(x, mark string) string {
	other := ","
	if mark == "," {
		other = "."
	}
	digits := "replace(" + bare(x, mark) + ", ',', '.')"
	plain := `^[+-]?\d+([` + mark + `]\d+)?$`
	full := amount(wholeDigits(other) + `?(?:[` + mark + `]\d*)?(?:[eE][+-]?\d{1,3})?`)
	return "CASE WHEN regexp_matches(" + x + ", '" + plain + "') THEN TRY_CAST(replace(" + x + ", ',', '.') AS DOUBLE)" +
		" WHEN regexp_matches(" + x + ", '" + full + "') THEN TRY_CAST(" + digits + " AS DOUBLE) END"
}

// integerSQL reads a whole number exactly, which a double could not hold.
func integerSQL(x string) string {
	const plain = `^[+-]?\d{1,18}$`
	full := amount(wholeDigits(",") + `(?:\.0*)?`)
	return "CASE WHEN regexp_matches(" + x + ", '" + plain + "') THEN TRY_CAST(" + x + " AS BIGINT)" +
		" WHEN regexp_matches(" + x + ", '" + full + "') THEN TRY_CAST(" + bare("split_part("+x+", '.', 1)", "") + " AS BIGINT) END"
}

// extract gives the parts of x that the template names, an empty text when x does
// not match.
func extract(x, pattern, template string) string {
	return fmt.Sprintf(`regexp_replace(regexp_extract(%s, '%s'), '%s', '%s')`, x, pattern, pattern, template)
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
	return "CASE WHEN regexp_full_match(" + x + ", '" + date + "') THEN TRY_CAST(" + x + " AS TIMESTAMP)" +
		" WHEN regexp_matches(" + x + ", '" + local + "') THEN TRY_CAST(trim(" + extract(x, local, `\1 \2`) + ") AS TIMESTAMP)" +
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
