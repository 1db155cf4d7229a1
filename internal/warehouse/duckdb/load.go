package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// load reads what is declared into memory.
func (d *DB) load(ctx context.Context) error {
	if err := dropBeside(ctx, d.sql); err != nil {
		return err
	}
	sc := &schema{streams: make(map[string]stream)}
	if err := loadDocument(ctx, d.sql, sc); err != nil {
		return err
	}
	if err := loadStreams(ctx, d.sql, sc); err != nil {
		return err
	}
	d.state.setSchema(sc)
	return nil
}

func loadDocument(ctx context.Context, q queryer, sc *schema) error {
	var doc string
	err := q.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = 'schema'`).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read schema: %w", scrub(ctx, err))
	}
	if err := json.Unmarshal([]byte(doc), &sc.schemaDocument); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	return nil
}

// saveDocument stores the schema's document.
func saveDocument(ctx context.Context, q queryer, sc *schema) error {
	doc, err := json.Marshal(sc.schemaDocument)
	if err != nil {
		return fmt.Errorf("store schema: %w", err)
	}
	if _, err := exec(ctx, q, "store schema", `DELETE FROM settings WHERE name = 'schema'`); err != nil {
		return err
	}
	_, err = exec(ctx, q, "store schema", `INSERT INTO settings VALUES ('schema', $1)`, string(doc))
	return err
}

func loadStreams(ctx context.Context, q queryer, sc *schema) error {
	rows, err := q.QueryContext(ctx, `SELECT s.name, s.n, c.name FROM streams s LEFT JOIN stream_columns c ON c.stream = s.n ORDER BY s.n, c.n`)
	if err != nil {
		return fmt.Errorf("read streams: %w", scrub(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		var column sql.NullString
		if err := rows.Scan(&name, &n, &column); err != nil {
			return fmt.Errorf("read streams: %w", scrub(ctx, err))
		}
		st, ok := sc.streams[name]
		if !ok {
			st = stream{n: n}
			st.Stream, _ = findStream(sc.Declared.Streams, name)
		}
		if column.Valid {
			st.columns = append(st.columns, column.String)
		}
		sc.streams[name] = st
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read streams: %w", scrub(ctx, err))
	}
	return nil
}
