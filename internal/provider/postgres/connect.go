package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/query"
)

const (
	// connectTimeout bounds reaching the server, TLS and sign-in included.
	connectTimeout = 15 * time.Second
	// closeTimeout bounds saying goodbye.
	closeTimeout = 2 * time.Second
	// maxTimeout is the most that the setting may be.
	maxTimeout = 10 * time.Minute
	// maxMessageBytes is the most that one answer of a server can be; what claims
	// more is not a PostgreSQL server.
	maxMessageBytes = 64 << 20
)

// destination is one database. A connection lives as long as one call: nothing
// is left open between batches, and a pooler in front of the server is no
// trouble.
type destination struct {
	config  *pgx.ConnConfig
	schema  string
	id      string // the id column by the settings, "" = the batch says
	timeout time.Duration
	events  []column // the columns before the person's; nil = a table of people
	log     *slog.Logger
}

func newDestination(d provider.Deps, events []column) (*destination, error) {
	def := Definition()
	setting := func(name string) string { return provider.Setting(def.DestinationFields, d.Config, name) }
	out := &destination{schema: setting(schemaField), id: setting(provider.IDColumnField), events: events, log: d.Log}
	if out.log == nil {
		out.log = slog.New(slog.DiscardHandler)
	}
	if err := checkName(schemaField, out.schema); err != nil {
		return nil, err
	}
	if out.id != "" {
		if err := checkName(provider.IDColumnField, out.id); err != nil {
			return nil, err
		}
	}
	var err error
	if out.timeout, err = time.ParseDuration(setting(timeoutField)); err != nil || out.timeout < time.Second || out.timeout > maxTimeout {
		return nil, wrong(timeoutField, "must be a duration between 1s and 10m")
	}
	out.config, err = connectConfig(d)
	return out, err
}

// connectConfig makes pgx's configuration from the settings alone: nothing of
// the environment, of password files or service files gets in.
func connectConfig(d provider.Deps) (*pgx.ConnConfig, error) {
	def := Definition()
	auth := func(name string) string {
		if v := d.Auth[name].Reveal(); v != "" {
			return v
		}
		return provider.Setting(def.AuthFields, nil, name)
	}
	port, err := strconv.ParseUint(auth(portField), 10, 16)
	switch {
	case err != nil || port == 0:
		return nil, wrong(portField, "must be a number between 1 and 65535")
	case auth(hostField) == "" || auth(hostField)[0] == '/' || auth(hostField)[0] == '@':
		return nil, wrong(hostField, "must be the name or address of a server")
	case auth(usernameField) == "":
		return nil, wrong(usernameField, "is needed")
	case d.Account == "":
		return nil, wrong("account", "must be the name of a database")
	case d.Dial == nil:
		return nil, &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "there is nothing to open connections with"}
	}
	secure, err := query.TLS(auth(sslModeField), auth(hostField), auth(rootField), wrong)
	if err != nil {
		return nil, err
	}
	c, err := pgx.ParseConfig("host=localhost port=5432 user=nobody dbname=none sslmode=disable passfile='' target_session_attrs=any sslcertmode=disable connect_timeout=0 channel_binding=prefer require_auth='' min_protocol_version=3.0 max_protocol_version=3.0")
	if err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "the environment of the server has settings for PostgreSQL that cannot be understood"}
	}
	c.Host, c.Port, c.Database = auth(hostField), uint16(port), d.Account
	c.User, c.Password = auth(usernameField), auth(passwordField)
	c.Fallbacks, c.TLSConfig, c.ConnectTimeout, c.ValidateConnect = nil, nil, 0, nil
	c.RuntimeParams = map[string]string{"application_name": "usher", "client_encoding": "UTF8"}
	c.KerberosSrvName, c.KerberosSpn, c.SSLNegotiation = "", "", ""
	c.MaxProtocolMessageBodyLen = maxMessageBytes
	// Statements are not kept by name: a pooler may hand us another server process.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	// Dial knows which names may be reached, so it is given the name.
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.Dial(ctx, network, address)
		if err != nil || secure == nil {
			return conn, err
		}
		return encrypted(ctx, conn, secure)
	}
	return c, nil
}

// encrypted asks the server for TLS ("54.2.10 SSL Session Encryption") and goes
// on without it never.
func encrypted(ctx context.Context, conn net.Conn, c *tls.Config) (_ net.Conn, err error) {
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, err
	}
	switch answer[0] {
	case 'S':
	case 'N', 'E':
		return nil, classTLS.error()
	default:
		return nil, classAnswer.error()
	}
	secured := tls.Client(conn, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured, nil
}

// with runs what on a connection of its own, within the time limit.
func (d *destination) with(ctx context.Context, what func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, errTimeLimit)
	defer cancel()
	return d.connected(ctx, what)
}

// connected runs what on a connection of its own, for as long as the context lasts.
func (d *destination) connected(ctx context.Context, what func(context.Context, *pgx.Conn) error) error {
	if ctx.Err() != nil {
		return asError(ctx, ctx.Err(), false)
	}
	reach, stop := context.WithTimeoutCause(ctx, connectTimeout, errTimeLimit)
	defer stop()
	conn, err := pgx.ConnectConfig(reach, d.config)
	if err != nil {
		return asError(reach, err, false)
	}
	defer func() {
		// What was not committed is rolled back by the server.
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer stop()
		_ = conn.Close(end)
	}()
	return what(ctx, conn)
}

var errTimeLimit = errors.New("the time limit of the batch is over")

// limits are those of all statements of a transaction. They are set within it,
// since a pooler refuses them at sign-in.
const limits = `SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('standard_conforming_strings', 'on', true)`

// inTx runs what in one transaction. Its error says by MayHaveApplied whether the
// COMMIT may have taken effect.
func (d *destination) inTx(ctx context.Context, what func(context.Context, pgx.Tx) error) error {
	return d.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return asError(ctx, err, false)
		}
		if _, err := tx.Exec(ctx, limits, strconv.FormatInt(d.timeout.Milliseconds(), 10)); err != nil {
			return asError(ctx, err, false)
		}
		if err := what(ctx, tx); err != nil {
			if errors.Is(err, errNothingToCommit) {
				return nil
			}
			return asError(ctx, err, false)
		}
		if ctx.Err() != nil {
			return asError(ctx, ctx.Err(), false)
		}
		return asError(ctx, tx.Commit(ctx), true)
	})
}

// errNothingToCommit ends a transaction that changed nothing.
var errNothingToCommit = errors.New("nothing was changed")

// Check proves that the database lets us in and that tables can be made in the
// schema.
func (d *destination) Check(ctx context.Context) error {
	return d.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var usage, create bool
		err := conn.QueryRow(ctx, `SELECT pg_catalog.has_schema_privilege($1, 'USAGE'), pg_catalog.has_schema_privilege($1, 'CREATE')`, d.schema).Scan(&usage, &create)
		switch {
		case err != nil:
			return asError(ctx, err, false)
		case !usage || !create:
			return classPermission.error()
		}
		return nil
	})
}

// Poll is not for databases: they answer at once.
func (d *destination) Poll(context.Context, string, int64) (activation.Receipt, error) {
	e := classRequest.error()
	e.Message = "a database answers a batch at once; there is nothing to ask for later"
	return activation.Receipt{}, e
}

// String keeps a printed destination from showing its configuration.
func (d *destination) String() string { return "postgres destination" }

// GoString does the same.
func (d *destination) GoString() string { return d.String() }

func wrong(field, message string) *activation.Error {
	e := classSettings.error()
	e.Field, e.Message = field, field+": "+message
	return e
}
