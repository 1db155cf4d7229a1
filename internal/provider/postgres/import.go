package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/query"
)

const (
	workflowImport = "postgres_import"
	databaseField  = "database"
	// fetchRows is how many rows are asked for at a time.
	fetchRows = 500
	// answerGrace is how much later than its own time limit a server is given up.
	answerGrace = 15 * time.Second
)

func importWorkflow() provider.Workflow {
	return provider.Workflow{
		Name: workflowImport, Title: "PostgreSQL query", Direction: provider.Import, Subject: provider.RawEvents,
		Description: "Reads a table or the rows of a query into a stream: what is new since the last pass by a cursor column, or everything each time.",
		Scheduled:   true, Once: true,
		Fields: append([]provider.Field{
			{Name: databaseField, Label: "Database", Type: "string", Required: true, Example: "shop", Help: "The name of the database to read from."},
		}, query.Fields()...),
	}
}

// source reads from one database.
type source struct {
	*destination
	settings query.Settings
}

func newSource(d provider.Deps) (provider.Source, error) {
	fields := importWorkflow().Fields
	s, err := query.Read(fields, d.Config)
	if err != nil {
		return nil, err
	}
	d.Account = provider.Setting(fields, d.Config, databaseField)
	if d.Account == "" {
		return nil, wrong(databaseField, "must be the name of a database")
	}
	c, err := connectConfig(d)
	if err != nil {
		return nil, err
	}
	return query.New(&source{&destination{config: c, timeout: s.Timeout}, s}, s)
}

// Dialect is that of PostgreSQL.
func (s *source) Dialect() query.Dialect {
	return query.Dialect{
		Quote:     quoted,
		Parameter: func(n int, kind string) string { return "CAST($" + strconv.Itoa(n) + "::text AS " + kind + ")" },
	}
}

// reading are the settings of a transaction that reads: what the server writes
// does not depend on its configuration then. They come by a statement, so that
// the transaction cannot be made one that writes any more.
const reading = `SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('lock_timeout', $1, true), ` +
	`pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true), pg_catalog.set_config('standard_conforming_strings', 'on', true), ` +
	`pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('DateStyle', 'ISO, YMD', true), pg_catalog.set_config('IntervalStyle', 'iso_8601', true), ` +
	`pg_catalog.set_config('bytea_output', 'hex', true), pg_catalog.set_config('extra_float_digits', '1', true)`

// Open connects and begins a transaction that may change nothing.
func (s *source) Open(ctx context.Context) (query.Conversation, error) {
	if ctx.Err() != nil {
		return nil, s.fault(ctx, ctx.Err(), 0)
	}
	reach, stop := context.WithTimeoutCause(ctx, connectTimeout, errTimeLimit)
	defer stop()
	conn, err := pgx.ConnectConfig(reach, s.config)
	if err != nil {
		return nil, s.fault(reach, err, 0)
	}
	c := &conversation{source: s, bye: func() {
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer stop()
		_ = conn.Close(end)
	}}
	if c.tx, err = conn.BeginTx(reach, pgx.TxOptions{AccessMode: pgx.ReadOnly}); err == nil {
		_, err = c.tx.Exec(reach, reading, strconv.FormatInt(s.timeout.Milliseconds(), 10))
	}
	if err != nil {
		return nil, errors.Join(s.fault(reach, err, 0), c.Close())
	}
	return c, nil
}

// fault is asError for who reads: nothing can have been applied, and what is
// refused is the query. before is how many characters of the statement stand
// before it.
func (s *source) fault(ctx context.Context, err error, before int) error {
	var said *pgconn.PgError
	if errors.As(err, &said) && ctx.Err() == nil {
		state := ""
		if safeState(said.Code) {
			state = " (SQLSTATE " + said.Code + ")"
		}
		switch {
		case said.Code == "57014": // query_canceled, which is how a time limit ends it
			return s.settings.TimedOut()
		case said.Code == "42501":
			e := classPermission.error()
			e.Field, e.Message = "", "the role may not read this: it needs USAGE on the schema and SELECT on what is read"+state
			return e
		case said.Code == "25006":
			return s.settings.Refused("the query would change something, and may only read" + state)
		case said.Code == "42P01":
			return s.settings.Refused("there is no such table, or the role may not see its schema" + s.place(int(said.Position), before) + state)
		case said.Code == "3F000":
			return s.settings.Refused("there is no such schema" + s.place(int(said.Position), before) + state)
		case len(said.Code) == 5 && (said.Code[:2] == "42" || said.Code[:2] == "0A"):
			return s.settings.Refused("the database does not understand it" + s.place(int(said.Position), before) + state)
		case len(said.Code) == 5 && slices.Contains([]string{"21", "22", "23", "44", "P0", "54", "2F", "38", "39"}, said.Code[:2]):
			return s.settings.Refused("the query fails on a row" + state)
		}
	}
	err = asError(ctx, err, false)
	var e *activation.Error
	if errors.As(err, &e) {
		at := *e
		at.MayHaveApplied = false
		if at.Code == classDatabase.code {
			at.Field = databaseField
		}
		return &at
	}
	return err
}

// place says where in the query the server met what it does not take, by the
// position that it names in characters of the statement.
func (s *source) place(position, before int) string {
	position -= before + 1
	if s.settings.Query == "" || position < 0 || position >= utf8.RuneCountInString(s.settings.Query) {
		return ""
	}
	line, column := 1, 1
	for _, r := range []rune(s.settings.Query)[:position] {
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return " at line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column)
}

// conversation is one connection with its transaction.
type conversation struct {
	*source
	bye   func()
	tx    pgx.Tx
	types []uint32
	page  [][][]byte // rows read ahead
	last  bool       // no row is behind the page
}

// ordered are the types of columns to go on by: those whose equal values are
// written the same, but for zeros at the end of a numeric.
var ordered = []uint32{
	pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID, pgtype.OIDOID,
	pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.TextOID, pgtype.VarcharOID, pgtype.UUIDOID, oidXID8,
}

// oidXID8 is the type xid8, which pgtype has under no name of its own.
const oidXID8 = 5069

// Columns describes a statement by running it for no row.
func (c *conversation) Columns(ctx context.Context, statement string, before int) ([]query.Column, error) {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	rows, err := c.tx.Query(ctx, statement, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		return nil, c.fault(ctx, err, before)
	}
	descriptions := slices.Clone(rows.FieldDescriptions())
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, c.fault(ctx, err, before)
	}
	c.types = c.types[:0]
	out := make([]query.Column, len(descriptions))
	for i, d := range descriptions {
		c.types = append(c.types, d.DataTypeOID)
		out[i] = query.Column{Name: d.Name, Orders: slices.Contains(ordered, d.DataTypeOID)}
		if err := c.tx.QueryRow(ctx, `SELECT pg_catalog.format_type($1, -1)`, strconv.FormatUint(uint64(d.DataTypeOID), 10)).Scan(&out[i].Kind); err != nil {
			return nil, c.fault(ctx, err, 0)
		}
	}
	return out, nil
}

// limited bounds one exchange with the server a little later than the server
// itself does.
func (c *conversation) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout+answerGrace, errTimeLimit)
}

// Query opens a cursor of the server's.
func (c *conversation) Query(ctx context.Context, statement string, args []string) error {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a
	}
	_, err := c.tx.Exec(ctx, `DECLARE usher_rows NO SCROLL CURSOR FOR `+statement, values...)
	return c.fault(ctx, err, 0)
}

// Next returns the next row, asking for a page of them where none is left.
func (c *conversation) Next(ctx context.Context) ([][]byte, error) {
	if len(c.page) == 0 && !c.last {
		if err := c.fetch(ctx); err != nil {
			return nil, err
		}
	}
	if len(c.page) == 0 {
		return nil, io.EOF
	}
	row := c.page[0]
	c.page = c.page[1:]
	return row, nil
}

// fetch reads a page whole: while the server waits its time limit runs.
func (c *conversation) fetch(ctx context.Context) error {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	rows, err := c.tx.Query(ctx, `FETCH FORWARD `+strconv.Itoa(fetchRows)+` FROM usher_rows`, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		return c.fault(ctx, err, 0)
	}
	c.page = c.page[:0]
	for rows.Next() {
		raw := rows.RawValues()
		row := make([][]byte, len(raw))
		for i, v := range raw {
			if v != nil {
				row[i] = append(make([]byte, 0, len(v)), v...)
			}
		}
		c.page = append(c.page, row)
	}
	rows.Close()
	c.last = len(c.page) < fetchRows
	return c.fault(ctx, rows.Err(), 0)
}

// Append appends a value as JSON.
func (c *conversation) Append(out []byte, i int, v []byte) ([]byte, bool) {
	if of, ok := arrays[c.types[i]]; ok {
		if elements, ok := parseArray(v); ok {
			return appendArray(out, of, elements), true
		}
	}
	return appendScalar(out, c.types[i], v), true
}

func appendScalar(out []byte, oid uint32, v []byte) []byte {
	switch oid {
	case pgtype.BoolOID:
		return strconv.AppendBool(out, string(v) == "t")
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID, pgtype.OIDOID, oidXID8:
		return query.AppendNumber(out, v)
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return query.AppendTime(out, v)
	case pgtype.ByteaOID:
		if raw, err := hex.DecodeString(string(v[min(2, len(v)):])); err == nil {
			return query.AppendBytes(out, raw)
		}
	}
	return query.AppendText(out, v)
}

// Close ends the connection; what it read of is rolled back by the server.
func (c *conversation) Close() error {
	c.bye()
	return nil
}
