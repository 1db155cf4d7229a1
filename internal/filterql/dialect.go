package filterql

import (
	"fmt"
	"strings"
)

// Dialect is a kind of SQL.
type Dialect string

// DuckDB is the dialect of the embedded warehouse, and the default.
const DuckDB Dialect = "duckdb"

// forms are the pieces of SQL in which dialects differ. Each function takes
// SQL texts (a column, parameters already cast) and returns SQL.
type forms struct {
	// casts maps a field type to the SQL type of a parameter for it.
	casts map[Type]string
	// time makes a timestamp of a parameter of Unix microseconds.
	time func(micros string) string
	// text makes a column compare by the bytes of its UTF-8.
	text       func(column string) string
	contains   func(column, param string) string
	notEmpty   func(set string) string
	setHas     func(set, param string) string
	setHasAny  func(set string, params []string) string
	setHasLike func(set, like string) string // like begins with " LIKE "
	// setCount is how many members of the set meet a condition.
	setCount func(set string, test func(member string) string) string
	// instant is the Unix microseconds that a text names, NULL where it names none.
	instant func(text string) string
	// distance is the km between the point in a text and another; NULL where the
	// text is no point.
	distance func(text, lat, lon string) string
	// likeColumn is a text column as it is compared with this rule pattern.
	likeColumn func(column, pattern string) string
}

func (d Dialect) forms() (forms, error) {
	switch d {
	case DuckDB, "":
		return duckDB, nil
	}
	return forms{}, fmt.Errorf("unknown SQL dialect %q", string(d))
}

var duckDB = forms{
	casts: map[Type]string{Text: "VARCHAR", Set: "VARCHAR", Integer: "BIGINT", Number: "DOUBLE", Boolean: "BOOLEAN", Time: "BIGINT"},
	time:  func(micros string) string { return "make_timestamp(" + micros + ")" },
	text:  func(column string) string { return column },
	contains: func(column, param string) string {
		return "contains(" + column + ", " + param + ")"
	},
	notEmpty: func(set string) string { return "len(" + set + ") > 0" },
	setHas:   func(set, param string) string { return "list_contains(" + set + ", " + param + ")" },
	setHasAny: func(set string, params []string) string {
		return "list_has_any(" + set + ", [" + strings.Join(params, ", ") + "])"
	},
	setHasLike: func(set, like string) string {
		return "len(list_filter(" + set + ", lambda x: x" + like + ")) > 0"
	},
	setCount: func(set string, test func(member string) string) string {
		return "len(list_filter(" + set + ", lambda x: " + test("x") + "))"
	},
	instant:    duckDBInstant,
	distance:   duckDBDistance,
	likeColumn: duckDBLikeColumn,
}

// duckDBLikeColumn hides the column from an optimization that DuckDB 1.5.5 makes
// of LIKE: it looks for the text after the pattern's prefix by adding one to the
// prefix's last byte, and fails the query where that makes no UTF-8 (characters
// that end with the byte BF, such as U+07FF, and DEL).
func duckDBLikeColumn(column, pattern string) string {
	prefix, _, _ := strings.Cut(pattern, "*")
	if strings.HasSuffix(prefix, "\xbf") || strings.HasSuffix(prefix, "\x7f") {
		return "concat(" + column + ", '')"
	}
	return column
}

// quoteIdent quotes a name; both dialects quote alike.
func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
