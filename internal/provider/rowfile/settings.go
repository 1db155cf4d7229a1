package rowfile

import (
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The settings of a job that writes rows.
const (
	FilenameField   = "filename"
	TimeFormatField = "time_format"
	FormatField     = "format"
	DelimiterField  = "delimiter"
	JoinField       = "join"
	HeadersField    = "write_headers"
	OperationField  = "operation_column"
	CompressField   = "compress"
	SlugField       = "append_segment_slug"
	MaxBytesField   = "max_bytes"
)

// The codes of what is wrong with settings and rows.
const (
	// CodeSettings: a setting of the job or the destination is wrong.
	CodeSettings = "FILE-SETTINGS"
	// CodeColumns: the columns of the mapping cannot be those of a file.
	CodeColumns = "FILE-COLUMNS"
)

// NoColumn is the value of OperationField for no such column.
const NoColumn = "-"

// defaultName is the name of a file where the job sets none, without what the
// format adds.
const defaultName = "{AUDIENCE}_{TIMESTAMP}_{RUN}_{PART}_{OP}"

// defaultTimeFormat writes times so that their order is that of the names.
const defaultTimeFormat = "20060102150405"

// Format is how rows are written.
type Format string

const (
	// CSV is one row a line, values divided by the delimiter and quoted by
	// RFC 4180 where they need it.
	CSV Format = "csv"
	// NDJSON is one JSON object a line.
	NDJSON Format = "ndjson"
)

// Settings are those of one job, read.
type Settings struct {
	Name      Pattern
	Format    Format
	Delimiter rune
	// Join divides the values of a set in one column of CSV.
	Join    string
	Headers bool
	// Operation is the column that says add or remove; "" = none.
	Operation string
	Compress  bool
	// MaxBytes is the most bytes of one file before it is compressed; 0 = no
	// limit. A row is never cut.
	MaxBytes int64
}

// Fields are the settings of a job that writes rows.
func Fields() []provider.Field {
	return append(NameFields(),
		provider.Field{
			Name: FormatField, Label: "Format", Type: "select", Default: string(CSV), Options: []string{string(CSV), string(NDJSON)},
			Help: "How rows are written: csv with a delimiter, or ndjson with one JSON object a line.",
		},
		provider.Field{
			Name: DelimiterField, Label: "Delimiter", Type: "string", Default: ",", Example: ";",
			Help: "What divides the columns of CSV: comma, semicolon, colon, pipe or tab, as the character itself or by that name.",
		},
		provider.Field{
			Name: JoinField, Label: "Joins several values", Type: "string", Default: "&", Example: "&",
			Help: "What divides the values of a field that has several, in one column of CSV. In ndjson such a field is a list.",
		},
		provider.Field{
			Name: HeadersField, Label: "Header line", Type: "bool", Default: "true",
			Help: "Whether the first line of each CSV file names the columns.",
		},
		provider.Field{
			Name: OperationField, Label: "Column of the operation", Type: "string", Default: "operation", Example: "operation",
			Help: "The name of the last column, which says add or remove. " + NoColumn + " = no such column; then the name of the file says it.",
		},
		provider.Field{
			Name: CompressField, Label: "Compress", Type: "bool", Default: "false",
			Help: "Whether files are compressed by gzip; .gz is added to their names.",
		},
		provider.Field{
			Name: MaxBytesField, Label: "Largest file", Type: "int", Default: "0", Example: "100000000",
			Help: "The most bytes of one file before it is compressed; more rows go to a further file. A row is never cut. 0 = no limit.",
		},
	)
}

// NameFields are the settings of how files are called.
func NameFields() []provider.Field {
	return []provider.Field{
		{
			Name: FilenameField, Label: "File name", Type: "string", Example: "members_{TIMESTAMP}.csv",
			Help: "How files are called. {TIMESTAMP} is when the run was planned, {RUN} its number, {PART} the number of the file in it, {OP} add or remove, {AUDIENCE} the short name of the audience. {RUN} and {PART} are added where they are missing, for without them one file would replace another. Empty = " + defaultName + " with what the format adds.",
		},
		{
			Name: TimeFormatField, Label: "Time in file names", Type: "string", Default: defaultTimeFormat, Example: "2006-01-02",
			Help: "How {TIMESTAMP} is written, in UTC, shown by the time 2006-01-02 15:04:05: year 2006, month 01, day 02, hour 15, minute 04, second 05.",
		},
		{
			Name: SlugField, Label: "Audience in file names", Type: "bool", Default: "false",
			Help: "Whether the short name of the audience is added to names that do not hold {AUDIENCE}.",
		},
	}
}

// Parse reads the settings of a job. The error is Invalid and names the field.
func Parse(config map[string]string) (Settings, error) {
	get := func(name string) string { return provider.Setting(Fields(), config, name) }
	s := Settings{Format: Format(get(FormatField)), Join: get(JoinField)}
	if s.Format != CSV && s.Format != NDJSON {
		return s, Wrong(FormatField, "must be csv or ndjson")
	}
	var err error
	if s.Delimiter, err = delimiter(get(DelimiterField)); err != nil {
		return s, err
	}
	if s.Headers, err = yes(get, HeadersField); err != nil {
		return s, err
	}
	if s.Compress, err = yes(get, CompressField); err != nil {
		return s, err
	}
	if s.MaxBytes, err = strconv.ParseInt(get(MaxBytesField), 10, 64); err != nil || s.MaxBytes < 0 {
		return s, Wrong(MaxBytesField, "must be a number of bytes, or 0 for no limit")
	}
	if s.Operation = get(OperationField); s.Operation == NoColumn {
		s.Operation = ""
	}
	if strings.ContainsAny(s.Operation, "\r\n") {
		return s, Wrong(OperationField, "must be one line")
	}
	s.Name, err = ParsePattern(config, defaultName, "."+string(s.Format), Needs{Op: s.Operation == "", Split: s.MaxBytes > 0, Gzip: s.Compress})
	return s, err
}

func yes(get func(string) string, name string) (bool, error) {
	v, err := strconv.ParseBool(get(name))
	if err != nil {
		return false, Wrong(name, "must be true or false")
	}
	return v, nil
}

func delimiter(text string) (rune, error) {
	switch strings.ToLower(text) {
	case ",", "comma":
		return ',', nil
	case ";", "semicolon":
		return ';', nil
	case ":", "colon":
		return ':', nil
	case "|", "pipe":
		return '|', nil
	case "\t", "tab", "t", `\t`:
		return '\t', nil
	}
	return 0, Wrong(DelimiterField, "must be a comma, semicolon, colon, pipe or tab")
}

// Wrong is the error of a setting.
func Wrong(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeSettings, Field: field, Message: field + ": " + message}
}
