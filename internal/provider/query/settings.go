package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The settings of an import.
const (
	TableField   = "table"
	QueryField   = "query"
	CursorField  = "cursor_column"
	KeyField     = "key_column"
	TimeoutField = "statement_timeout"
)

// The classes of error of queries; each has a page in docs/troubleshooting.
const (
	// CodeSettings: a setting of the import is wrong.
	CodeSettings = "QUERY-SETTINGS"
	// CodeStatement: the query is none that may be run, or the database refuses it.
	CodeStatement = "QUERY-STATEMENT"
	// CodeCursor: the result does not have the columns by which reading goes on, or
	// they are none to go on by.
	CodeCursor = "QUERY-CURSOR"
	// CodeTimeout: a statement took longer than it may.
	CodeTimeout = "QUERY-TIMEOUT"
)

const (
	minTimeout = time.Second
	maxTimeout = 24 * time.Hour
	// maxQueryBytes bounds the text of a query.
	maxQueryBytes = 100_000
)

// Fields are the settings of an import by query. database comes first where the
// provider wants it for each job.
func Fields() []provider.Field {
	own := []provider.Field{
		{Name: TableField, Label: "Table", Type: "string", Example: "public.customers", Help: "The table or view to read whole, with its schema where it needs one. Give this or a query."},
		{Name: QueryField, Label: "Query", Type: "text", Example: "SELECT id, email, updated_at FROM customers", Help: "One SELECT whose rows are read. It runs in a transaction that may change nothing. Give this or a table."},
		{Name: CursorField, Label: "Cursor column", Type: "string", Example: "updated_at", Help: "A column of the result that rises with every new or changed row: each pass reads the rows from its last value on, and of those at that value only the ones that are new. Rows without a value are not read. Empty = everything each time."},
		{Name: KeyField, Label: "Key column", Type: "string", Example: "id", Help: "A second column to go on by within one value of the cursor column, for tables where more than 100,000 rows share one. A row that appears later with the same value and a smaller key is then not seen. Mostly empty."},
		{Name: TimeoutField, Label: "Time limit", Type: "duration", Default: "10m", Help: "How long the database may work on one statement, 1s to 24h."},
	}
	diff := slices.DeleteFunc(provider.FileFields(), func(f provider.Field) bool { return f.Name != provider.DiffField })
	for i := range diff {
		diff[i].Help = "Takes only the rows that the previous pass did not have; for imports without a cursor column, which read everything each time."
	}
	return slices.Concat(own, provider.ImportFields(), diff)
}

// Settings are those of one import, read.
type Settings struct {
	// Table is its name as it was given, "" with a query.
	Table       string
	Query       string
	Cursor, Key string
	Timeout     time.Duration
}

// Read reads the settings of a job.
func Read(fields []provider.Field, config map[string]string) (Settings, error) {
	value := func(name string) string { return strings.TrimSpace(provider.Setting(fields, config, name)) }
	s := Settings{Table: value(TableField), Query: value(QueryField), Cursor: value(CursorField), Key: value(KeyField)}
	var err error
	s.Timeout, err = time.ParseDuration(value(TimeoutField))
	switch {
	case s.Table == "" && s.Query == "":
		return s, wrong(QueryField, "a query or a table is needed")
	case s.Table != "" && s.Query != "":
		return s, wrong(QueryField, "give a query or a table, not both")
	case len(s.Query) > maxQueryBytes:
		return s, wrong(QueryField, fmt.Sprintf("must have at most %d bytes", maxQueryBytes))
	case s.Key != "" && s.Cursor == "":
		return s, wrong(KeyField, "goes with a cursor column")
	case s.Key != "" && s.Key == s.Cursor:
		return s, wrong(KeyField, "must be another column than the cursor column")
	case err != nil || s.Timeout < minTimeout || s.Timeout > maxTimeout:
		return s, wrong(TimeoutField, "must be a duration from 1s to 24h")
	case slices.ContainsFunc(strings.Split(s.Table, "."), func(part string) bool { return strings.TrimSpace(part) == "" }) && s.Table != "",
		strings.Count(s.Table, ".") > 1, strings.ContainsAny(s.Table, "\"`;\x00"):
		return s, wrong(TableField, "must be a name, or a schema and a name divided by a full stop, without quotes; read anything else by a query")
	case strings.ContainsRune(s.Cursor+s.Key+s.Query, 0):
		return s, wrong(QueryField, "has a byte zero")
	}
	if strings.EqualFold(provider.Setting(fields, config, provider.DiffField), "true") && s.Cursor != "" {
		return s, wrong(provider.DiffField, "a cursor column reads what is new already: take one of them away")
	}
	return s, nil
}

// Name is what the rows are called in the history: the table without its schema,
// or "query".
func (s Settings) Name() string {
	if s.Table == "" {
		return "query"
	}
	return s.Table[strings.LastIndexByte(s.Table, '.')+1:]
}

func wrong(field, message string) *activation.Error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeSettings, Field: field, Message: field + ": " + message}
}

// Refused is the error of a query that the database refuses. what says why in
// words of Usher's; the database's own may repeat values.
func (s Settings) Refused(what string) *activation.Error {
	field := QueryField
	if s.Table != "" {
		field = TableField
	}
	return &activation.Error{Kind: activation.Invalid, Code: CodeStatement, Field: field, Message: field + ": " + what}
}

// TimedOut is the error of a statement that took longer than it may.
func (s Settings) TimedOut() *activation.Error {
	return &activation.Error{Kind: activation.Unavailable, Code: CodeTimeout, Message: "the database worked on the statement longer than its time limit of " + s.Timeout.String()}
}

func cursorError(field, message string) *activation.Error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeCursor, Field: field, Message: field + ": " + message}
}
