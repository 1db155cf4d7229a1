package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

// mostStatements is how many compiled statements a connection keeps. The store
// has some three hundred texts; those that are put together as they are needed
// make way for each other.
const mostStatements = 500

// connector opens connections that keep what they have compiled: reading a
// statement's text takes SQLite longer than most of them take to run.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

// Connect opens a connection.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	opened, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	full, ok := opened.(fullConn)
	if !ok {
		return nil, fmt.Errorf("a connection is a %T, which cannot do all that is needed", opened)
	}
	return &conn{fullConn: full, idle: map[string]statement{}}, nil
}

// Driver returns the driver.
func (c connector) Driver() driver.Driver { return c.driver }

// fullConn is what a connection of the driver can do.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// statement is what a compiled statement of the driver can do.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn keeps the statements that nobody uses, by their text. Like every
// connection it has one user at a time.
type conn struct {
	fullConn
	idle map[string]statement
}

// take returns the compiled statement of a text; give takes it back.
func (c *conn) take(ctx context.Context, text string) (statement, error) {
	if s, ok := c.idle[text]; ok {
		delete(c.idle, text)
		return s, nil
	}
	made, err := c.PrepareContext(ctx, unnamed(text))
	if err != nil {
		return nil, err
	}
	s, ok := made.(statement)
	if !ok {
		_ = made.Close()
		return nil, fmt.Errorf("a statement is a %T, which cannot do all that is needed", made)
	}
	return s, nil
}

// unnamed takes the names off the parameters of a text that has them all once and in
// their order, such as the rows of an INSERT: the driver looks for each name among all
// of them, which of many takes longer than the statement.
func unnamed(text string) string {
	parts := strings.Split(text, "$")
	var b strings.Builder
	b.WriteString(parts[0])
	for i, part := range parts[1:] {
		rest, ok := strings.CutPrefix(part, strconv.Itoa(i+1))
		if !ok || rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return text
		}
		b.WriteByte('?')
		b.WriteString(rest)
	}
	return b.String()
}

// give takes a statement back that its user is done with. One that has failed
// is not used again.
func (c *conn) give(text string, s statement, failed error) {
	if _, another := c.idle[text]; another || failed != nil {
		_ = s.Close()
		return
	}
	if len(c.idle) >= mostStatements {
		for other, old := range c.idle {
			delete(c.idle, other)
			_ = old.Close()
			break
		}
	}
	c.idle[text] = s
}

// ExecContext runs a statement without rows.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	res, err := s.ExecContext(ctx, args)
	c.give(query, s, err)
	return res, err
}

// QueryContext runs a statement whose rows are read; it is free again when they
// are closed.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.QueryContext(ctx, args)
	if err != nil {
		c.give(query, s, err)
		return nil, err
	}
	return &rows{Rows: r, done: func(err error) { c.give(query, s, err) }}, nil
}

// Close frees what was compiled and closes the connection.
func (c *conn) Close() error {
	for text, s := range c.idle {
		delete(c.idle, text)
		_ = s.Close()
	}
	return c.fullConn.Close()
}

// rows are the rows of a statement in use.
type rows struct {
	driver.Rows
	done func(error)
}

// Close ends the reading.
func (r *rows) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		r.done(err)
		r.done = nil
	}
	return err
}
