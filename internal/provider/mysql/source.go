package mysql

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/query"
)

const (
	// connectTimeout bounds reaching the server, TLS and sign-in included.
	connectTimeout = 15 * time.Second
	// answerGrace is how much later than its own time limit a server is given up.
	answerGrace = 15 * time.Second
	// writeTimeout is how long, in seconds, the server waits for us to take a row.
	writeTimeout = 3600
	// maxPacketBytes is the most that one row may be.
	maxPacketBytes = 64 << 20
)

// database is one server with the credentials.
type database struct {
	config   *mysql.Config
	settings query.Settings
}

func newSource(d provider.Deps) (provider.Source, error) {
	def := Definition()
	s, err := query.Read(def.Workflows[0].Fields, d.Config)
	if err != nil {
		return nil, err
	}
	c, err := connectConfig(def, d)
	if err != nil {
		return nil, err
	}
	return query.New(&database{c, s}, s)
}

func connectConfig(def provider.Definition, d provider.Deps) (*mysql.Config, error) {
	auth := func(name string) string {
		if v := d.Auth[name].Reveal(); v != "" {
			return v
		}
		return provider.Setting(def.AuthFields, nil, name)
	}
	port, err := strconv.ParseUint(auth(portField), 10, 16)
	switch host := auth(hostField); {
	case err != nil || port == 0:
		return nil, wrong(portField, "must be a number between 1 and 65535")
	case host == "" || host[0] == '/' || host[0] == '@':
		return nil, wrong(hostField, "must be the name or address of a server")
	case auth(userField) == "":
		return nil, wrong(userField, "is needed")
	case auth(databaseField) == "":
		return nil, wrong(databaseField, "must be the name of a database")
	case d.Dial == nil:
		return nil, &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "there is nothing to open connections with"}
	}
	c := mysql.NewConfig()
	if c.TLS, err = query.TLS(auth(query.SSLModeField), auth(hostField), auth(query.RootField), wrong); err != nil {
		return nil, err
	}
	c.User, c.Passwd, c.DBName = auth(userField), auth(passwordField), auth(databaseField)
	c.Net, c.Addr = "tcp", net.JoinHostPort(auth(hostField), strconv.FormatUint(port, 10))
	// Rows come as texts, which a statement without parameters of its own brings.
	c.InterpolateParams, c.MaxAllowedPacket, c.CheckConnLiveness = true, maxPacketBytes, false
	c.DialFunc, c.Logger = d.Dial, &mysql.NopLogger{}
	if err := c.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "the driver does not take its settings"}
	}
	return c, nil
}

// Dialect is that of MySQL, as the session has it.
func (d *database) Dialect() query.Dialect {
	return query.Dialect{
		MySQL: true,
		Quote: func(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" },
		Parameter: func(_ int, kind string) string {
			// A text compared with a number would be compared as a double.
			switch {
			case strings.HasPrefix(kind, "UNSIGNED"):
				return "CAST(? AS UNSIGNED)"
			case strings.HasSuffix(kind, "INT"):
				return "CAST(? AS SIGNED)"
			case kind == "DECIMAL":
				return "CAST(? AS DECIMAL(65,30))"
			case kind == "DOUBLE":
				return "(? + 0e0)"
			case kind == "DATE":
				return "CAST(? AS DATE)"
			}
			return "CAST(? AS DATETIME(6))"
		},
	}
}

// Open connects and begins a transaction that may change nothing.
func (d *database) Open(ctx context.Context) (query.Conversation, error) {
	if ctx.Err() != nil {
		return nil, fault(ctx, d.settings, ctx.Err())
	}
	reach, stop := context.WithTimeoutCause(ctx, connectTimeout, errTimeLimit)
	defer stop()
	config, garbled := d.config.Clone(), &atomic.Bool{}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.config.DialFunc(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &greeting{Conn: conn, garbled: garbled}, nil
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, wrong(hostField, "or another setting is none that the driver takes")
	}
	c := &conversation{database: d, db: sql.OpenDB(connector)}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	c.timer = time.AfterFunc(time.Hour, func() { c.cancel(errTimeLimit) })
	c.timer.Stop()
	if c.conn, err = c.db.Conn(reach); err == nil {
		err = c.begin(reach)
	}
	if err != nil && garbled.Load() {
		err = classAnswer.error()
	}
	if err != nil {
		return nil, errors.Join(fault(reach, d.settings, err), c.Close())
	}
	return c, nil
}

// greeting looks at how a server begins to speak: a packet with the number zero
// that is a handshake of version 10 or an error ("Protocol::Handshake"). The driver
// tells what is none from a lost connection no more.
type greeting struct {
	net.Conn
	head    []byte
	garbled *atomic.Bool
}

// Read looks at the first bytes.
func (g *greeting) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	const size = 5
	if len(g.head) < size {
		g.head = append(g.head, p[:min(n, size-len(g.head))]...)
		if len(g.head) == size && (g.head[3] != 0 || g.head[4] != 10 && g.head[4] != 0xff) {
			g.garbled.Store(true)
		}
	}
	return n, err
}

// begin makes the session one whose rows do not depend on the server's
// configuration, and begins the transaction.
func (c *conversation) begin(ctx context.Context) error {
	var version string
	if err := c.conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return err
	}
	limit := "max_execution_time = " + strconv.FormatInt(c.settings.Timeout.Milliseconds(), 10)
	if strings.Contains(version, "MariaDB") {
		limit = "max_statement_time = " + strconv.FormatFloat(c.settings.Timeout.Seconds(), 'f', 3, 64)
	}
	seconds := strconv.FormatInt(int64(c.settings.Timeout.Seconds()), 10)
	for _, statement := range []string{
		"SET SESSION time_zone = '+00:00', SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', SESSION net_write_timeout = " + strconv.Itoa(writeTimeout) +
			", SESSION lock_wait_timeout = " + seconds + ", SESSION " + limit,
		"START TRANSACTION READ ONLY",
	} {
		if _, err := c.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// conversation is one connection with its transaction. The driver ties rows to the
// context that they were asked for with, so they have one of their own, which each
// call's own ends.
type conversation struct {
	*database
	db     *sql.DB
	conn   *sql.Conn
	ctx    context.Context //nolint:containedctx // see above
	cancel context.CancelCauseFunc
	timer  *time.Timer
	last   context.Context //nolint:containedctx // the one that is watched
	unhook func() bool

	rows   *sql.Rows
	kinds  []string
	values []sql.RawBytes
	row    [][]byte
}

// watch ends the conversation when ctx is done, or after the time that one answer
// may take; the function it returns ends the latter.
func (c *conversation) watch(ctx context.Context) func() bool {
	if c.last != ctx {
		if c.unhook != nil {
			c.unhook()
		}
		c.last, c.unhook = ctx, context.AfterFunc(ctx, func() { c.cancel(context.Cause(ctx)) })
	}
	c.timer.Reset(c.settings.Timeout + answerGrace)
	return c.timer.Stop
}

func (c *conversation) fault(err error) error { return fault(c.ctx, c.settings, err) }

// Columns describes a statement by running it for no row.
func (c *conversation) Columns(ctx context.Context, statement string, _ int) ([]query.Column, error) {
	defer c.watch(ctx)()
	rows, err := c.conn.QueryContext(c.ctx, statement)
	if err != nil {
		return nil, c.fault(err)
	}
	defer func() { _ = rows.Close() }() // it has no row
	types, err := rows.ColumnTypes()
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
	}
	if err != nil {
		return nil, c.fault(err)
	}
	c.kinds = c.kinds[:0]
	out := make([]query.Column, len(types))
	for i, t := range types {
		kind := t.DatabaseTypeName()
		c.kinds = append(c.kinds, kind)
		out[i] = query.Column{Name: t.Name(), Kind: kind, Orders: strings.HasSuffix(kind, "INT") || slices.Contains(ordered, kind)}
	}
	return out, nil
}

// ordered are the types of columns to go on by, beside whole numbers: those whose
// equal values are written the same. Texts are not, since collations take
// different ones for equal, nor is FLOAT, which is written rounded.
var ordered = []string{"DECIMAL", "DOUBLE", "DATE", "DATETIME", "TIMESTAMP"}

// Query begins to read.
func (c *conversation) Query(ctx context.Context, statement string, args []string) error {
	defer c.watch(ctx)()
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a
	}
	var err error
	if c.rows, err = c.conn.QueryContext(c.ctx, statement, values...); err != nil { //nolint:rowserrcheck // Next does
		return c.fault(err)
	}
	c.values, c.row = make([]sql.RawBytes, len(c.kinds)), make([][]byte, len(c.kinds))
	return nil
}

// Next returns the next row.
func (c *conversation) Next(ctx context.Context) ([][]byte, error) {
	defer c.watch(ctx)()
	if !c.rows.Next() {
		if err := c.rows.Err(); err != nil {
			return nil, c.fault(err)
		}
		if c.ctx.Err() != nil {
			return nil, c.fault(c.ctx.Err())
		}
		return nil, io.EOF
	}
	into := make([]any, len(c.values))
	for i := range c.values {
		into[i] = &c.values[i]
	}
	if err := c.rows.Scan(into...); err != nil {
		return nil, c.fault(err)
	}
	for i, v := range c.values {
		c.row[i] = v
	}
	return c.row, nil
}

// Append appends a value as JSON. A date of zeros stands for none.
func (c *conversation) Append(out []byte, i int, v []byte) ([]byte, bool) {
	switch kind := c.kinds[i]; {
	case strings.HasSuffix(kind, "INT"), slices.Contains([]string{"DECIMAL", "DOUBLE", "FLOAT", "YEAR"}, kind):
		return query.AppendNumber(out, v), true
	case kind == "BIT":
		var n uint64
		for _, b := range v {
			n = n<<8 | uint64(b)
		}
		return strconv.AppendUint(out, n, 10), true
	case kind == "DATETIME", kind == "TIMESTAMP":
		if strings.HasPrefix(string(v), "0000-00-00") {
			return out, false
		}
		return query.AppendTime(out, v), true
	case kind == "DATE" && string(v) == "0000-00-00":
		return out, false
	case strings.HasSuffix(kind, "BLOB"), kind == "BINARY", kind == "VARBINARY", kind == "GEOMETRY":
		return query.AppendBytes(out, v), true
	}
	return query.AppendText(out, v), true
}

// Close ends the connection. Rows that were not read are not waited for.
func (c *conversation) Close() error {
	c.cancel(errBroken)
	c.timer.Stop()
	if c.unhook != nil {
		c.unhook()
	}
	if c.rows != nil {
		_ = c.rows.Close()
	}
	if c.conn != nil {
		_ = c.conn.Close()
	}
	_ = c.db.Close()
	return nil
}
