package postgres

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"usher/internal/matchkey"
	"usher/internal/provider"
)

// listPage is how many members are fetched at a time.
const listPage = 5_000

// people is a destination of tables of people, which can be read back.
type people struct{ *destination }

func newPeople(d provider.Deps) (provider.Destination, error) {
	inner, err := newDestination(d, nil)
	if err != nil {
		return nil, err
	}
	return &people{inner}, nil
}

func newEvents(d provider.Deps) (provider.Destination, error) {
	inner, err := newDestination(d, eventColumns)
	if err != nil {
		return nil, err
	}
	return inner, nil
}

// Members reads the rows of the table as they are at one moment, in a transaction
// that may change nothing, a page at a time. Rows that are marked as left are not
// in. Each page is bounded by the time limit of the destination.
func (d *people) Members(ctx context.Context, a provider.Audience, yield func(values [][]byte) error) error {
	name, mark, err := parseRemote(a.Remote)
	if err == nil && len(a.Keys) == 0 {
		err = wrong("mapping", "there is no column to list people by")
	}
	if err != nil {
		return err
	}
	var stop error
	err = d.connected(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return asError(ctx, err, false)
		}
		pages, err := d.pages(ctx, tx, name, mark, a.Keys)
		for more := err == nil; more && err == nil; {
			more, err = pages.next(ctx, func(values [][]byte) error {
				stop = yield(values)
				return stop
			})
		}
		if err == nil && ctx.Err() == nil {
			err = tx.Rollback(ctx) // it changed nothing
		}
		return asError(ctx, err, false)
	})
	if stop != nil {
		return stop
	}
	return notABatch(err)
}

// pages is a cursor over the members of a table.
type pages struct {
	d      *destination
	tx     pgx.Tx
	hashed []bool
}

// pages opens the cursor.
func (d *people) pages(ctx context.Context, tx pgx.Tx, name, mark string, keys []matchkey.Key) (*pages, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, errTimeLimit)
	defer cancel()
	if _, err := tx.Exec(ctx, limits, strconv.FormatInt(d.timeout.Milliseconds(), 10)); err != nil {
		return nil, err
	}
	t, err := d.read(ctx, tx, name)
	switch {
	case err != nil:
		return nil, err
	case t.mark() != mark:
		return nil, classGone.error()
	}
	has := func(name string) bool {
		return slices.ContainsFunc(t.columns, func(c column) bool { return c.name == name })
	}
	out := &pages{d: d.destination, tx: tx}
	columns := make([]string, len(keys))
	for i, k := range keys {
		if columns[i] = "NULL::text"; has(k.Name) {
			columns[i] = quoted(k.Name) + "::text"
		}
		out.hashed = append(out.hashed, k.Hash)
	}
	present := ""
	if has(columnLeft) {
		present = " WHERE " + quoted(columnLeft) + " IS NULL"
	}
	_, err = tx.Exec(ctx, `DECLARE usher_members NO SCROLL CURSOR FOR SELECT `+strings.Join(columns, ", ")+` FROM `+d.qualified(name)+present)
	return out, err
}

// next yields one page and reports whether there may be another.
func (p *pages) next(ctx context.Context, yield func([][]byte) error) (more bool, err error) {
	fetching, cancel := context.WithTimeoutCause(ctx, p.d.timeout, errTimeLimit)
	defer cancel()
	page, err := p.fetch(fetching)
	if err != nil {
		if fetching.Err() != nil {
			return false, asError(fetching, err, false)
		}
		return false, err
	}
	n := len(p.hashed)
	for i := 0; i+n <= len(page); i += n {
		if err := yield(page[i : i+n]); err != nil {
			return false, err
		}
	}
	return len(page) == listPage*n, ctx.Err()
}

// fetch reads a page: values row after row. Yielding while the server waits would
// count against its time limit, so a page is read whole.
func (p *pages) fetch(ctx context.Context) (page [][]byte, err error) {
	rows, err := p.tx.Query(ctx, `FETCH FORWARD `+strconv.Itoa(listPage)+` FROM usher_members`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		for i, v := range rows.RawValues() {
			page = append(page, p.value(i, v))
		}
	}
	return page, rows.Err()
}

// value is a value as it was sent. What is no digest where one belongs was put in
// by somebody else: it stays as it is, and is nobody's of ours.
func (p *pages) value(i int, v []byte) []byte {
	if v == nil {
		return nil
	}
	if p.hashed[i] {
		if raw, err := hex.DecodeString(string(v)); err == nil {
			return raw
		}
	}
	return slices.Clone(v)
}
