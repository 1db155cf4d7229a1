package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/warehouse"
)

// createStream makes the tables of a new stream.
func createStream(ctx context.Context, tx *sql.Tx, name string, st stream) error {
	what := fmt.Sprintf("create stream %q", name)
	if _, err := exec(ctx, tx, what, `INSERT INTO streams VALUES ($1, $2)`, name, st.n); err != nil {
		return err
	}
	if _, err := exec(ctx, tx, what, `CREATE TABLE `+st.reference()+` (_key VARCHAR)`); err != nil {
		return err
	}
	_, err := exec(ctx, tx, what, `CREATE TABLE `+st.table()+` (_seq BIGINT, _pid BIGINT, _mid UHUGEINT, _hash UHUGEINT, _time BIGINT, _received BIGINT)`)
	return err
}

// ensureStream returns the stream with all the columns a load brings, adding
// what is missing: an undeclared stream is kept raw until it is declared.
// It must be called with ingest locked.
func (d *DB) ensureStream(ctx context.Context, name string, columns []string) (stream, error) {
	old := d.state.snapshot()
	st, known := old.streams[name]
	if known && !slices.ContainsFunc(columns, func(c string) bool { return st.column(c) == "" }) {
		return st, nil
	}
	if !validName(name) {
		return stream{}, validateStream(warehouse.Stream{Name: name})
	}
	next := old.clone()
	err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if !known {
			n, err := take(ctx, tx, "stream", 1)
			if err != nil {
				return err
			}
			st = stream{Stream: warehouse.Stream{Name: name}, n: int(n)}
			if err := createStream(ctx, tx, name, st); err != nil {
				return err
			}
		}
		st.columns = slices.Clone(st.columns)
		return addColumns(ctx, tx, &st, columns)
	})
	if err != nil {
		return stream{}, err
	}
	next.streams[name] = st
	d.state.setSchema(next)
	return st, nil
}

func addColumns(ctx context.Context, tx *sql.Tx, st *stream, columns []string) error {
	what := fmt.Sprintf("add columns to stream %q", st.Name)
	for _, name := range columns {
		if st.column(name) != "" {
			continue
		}
		st.columns = append(st.columns, name)
		n := len(st.columns)
		if _, err := exec(ctx, tx, what, `INSERT INTO stream_columns VALUES ($1, $2, $3)`, st.n, n, name); err != nil {
			return err
		}
		for _, table := range []string{st.table(), st.reference()} {
			if _, err := exec(ctx, tx, what, fmt.Sprintf(`ALTER TABLE %s ADD COLUMN c%d VARCHAR`, table, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// streamsWithMessages tells which streams hold raw messages.
func (d *DB) streamsWithMessages(ctx context.Context, sc *schema) (map[string]bool, error) {
	used := make(map[string]bool, len(sc.streams))
	for name, st := range sc.streams {
		var any bool
		if err := queryRow(ctx, d.sql, "look for messages", `SELECT count(*) > 0 FROM (SELECT 1 FROM `+st.table()+` LIMIT 1)`, nil, &any); err != nil {
			return nil, err
		}
		used[name] = any
	}
	return used, nil
}

// Streams tells what streams there are, by name.
func (d *DB) Streams(ctx context.Context) ([]warehouse.StreamStat, error) {
	sc := d.state.snapshot()
	var out []warehouse.StreamStat
	for _, st := range sc.streams {
		stat := warehouse.StreamStat{Stream: st.Stream, Columns: slices.Clone(st.columns), Unmapped: unmapped(sc, st)}
		var message, receipt sql.NullInt64
		if err := queryRow(ctx, d.sql, "count messages", `SELECT count(*), max(_time), max(_received) FROM `+st.table(), nil, &stat.Messages, &message, &receipt); err != nil {
			return nil, err
		}
		stat.LastMessage, stat.LastReceipt = microTime(message), microTime(receipt)
		out = append(out, stat)
	}
	slices.SortFunc(out, func(a, b warehouse.StreamStat) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// microTime turns Unix microseconds into a time; NULL is the zero time.
func microTime(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return time.UnixMicro(us.Int64).UTC()
}

// unmapped returns the columns that no declared mapping reads.
func unmapped(sc *schema, st stream) []string {
	read := make(map[string]bool)
	for _, c := range st.MessageID {
		read[c] = true
	}
	read[st.TimestampField] = true
	read[st.ReferenceKey] = true
	for _, m := range sc.Declared.Mappings {
		for _, c := range columnsRead(m, st.Name) {
			read[c] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(st.columns), func(c string) bool { return read[c] })
}

// Messages returns up to limit of the newest raw messages of a stream.
func (d *DB) Messages(ctx context.Context, name string, limit int) ([]warehouse.Message, error) {
	st, ok := d.state.snapshot().streams[name]
	if !ok {
		return nil, warehouse.NoStream()
	}
	selected := `_time, _received`
	for i := range st.columns {
		selected += fmt.Sprintf(", c%d", i+1)
	}
	rows, err := d.sql.QueryContext(ctx, `SELECT `+selected+` FROM `+st.table()+` ORDER BY _seq DESC LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("read messages of stream %q: %w", name, scrub(ctx, err))
	}
	defer rows.Close()
	var out []warehouse.Message
	values := make([]sql.NullString, len(st.columns))
	var message, received int64
	dest := []any{&message, &received}
	for i := range values {
		dest = append(dest, &values[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, fmt.Errorf("read messages of stream %q: %w", name, scrub(ctx, err))
		}
		m := warehouse.Message{MessageTime: time.UnixMicro(message).UTC(), ReceivedAt: time.UnixMicro(received).UTC(), Values: make(map[string]string)}
		for i, v := range values {
			if v.Valid {
				m.Values[st.columns[i]] = v.String
			}
		}
		out = append(out, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read messages of stream %q: %w", name, scrub(ctx, err))
	}
	return out, nil
}
