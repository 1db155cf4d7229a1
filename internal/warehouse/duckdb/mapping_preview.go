package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"usher/internal/warehouse"
)

// PreviewMappings evaluates what would be mapped after Apply of s, for one stream,
// by the SQL of the merge, on up to looked of its newest messages.
func (d *DB) PreviewMappings(ctx context.Context, s warehouse.Schema, name string, looked, limit int) (warehouse.MappingPreview, error) {
	next, err := d.applied(ctx, d.state.snapshot(), s)
	if err != nil {
		return warehouse.MappingPreview{}, err
	}
	for _, decl := range next.Declared.Streams {
		st := next.streams[decl.Name] // a new one has table 0
		st.Stream = decl
		next.streams[decl.Name] = st
	}
	st, ok := next.streams[name]
	if !ok {
		return warehouse.MappingPreview{}, warehouse.NoStream()
	}
	compiled, err := compileAll(next, next.Declared)
	if err != nil {
		return warehouse.MappingPreview{}, err
	}
	p := preview{st: st, mappings: compiled[name], looked: looked, limit: min(limit, looked)}
	out := warehouse.MappingPreview{Rows: []warehouse.MappingPreviewRow{}, Parsed: map[string]int64{}, Unparsed: map[string]int64{}, Rebuild: waiting(next)}
	for _, m := range p.mappings.fields {
		out.Fields = append(out.Fields, m.field.Name)
	}
	if out.Cost, err = d.Cost(ctx); err != nil {
		return warehouse.MappingPreview{}, err
	}
	err = d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		// A stream that is only declared in s has no messages and no rows to look up.
		if err := execAll(ctx, conn,
			`CREATE OR REPLACE TEMP TABLE stream_0 (_seq BIGINT, _pid BIGINT, _mid UHUGEINT, _hash UHUGEINT, _time BIGINT, _received BIGINT)`,
			`CREATE OR REPLACE TEMP TABLE reference_0 (_key VARCHAR)`); err != nil {
			return err
		}
		if err := p.count(ctx, conn, &out); err != nil {
			return err
		}
		if err := p.rows(ctx, conn, &out); err != nil {
			return err
		}
		return execAll(ctx, conn, `DROP TABLE temp.stream_0`, `DROP TABLE temp.reference_0`)
	})
	return out, err
}

// preview is one look at a stream's newest messages.
type preview struct {
	st            stream
	mappings      *streamMappings
	looked, limit int
}

// newest are the n newest messages.
func (p preview) newest(n int) messages {
	return messages{from: fmt.Sprintf(`(SELECT * FROM %s ORDER BY _seq DESC LIMIT %d) m`, p.st.table(), n)}
}

// count counts, per field, what became a value and what could not.
func (p preview) count(ctx context.Context, q queryer, out *warehouse.MappingPreview) error {
	counts := []string{`count(*)`}
	n := make([]int64, 2*len(p.mappings.fields))
	dest := []any{&out.Looked}
	for i, m := range p.mappings.fields {
		counts = append(counts, `count(`+m.value+`)`, `count(*) FILTER (`+m.unparsed+`)`)
		dest = append(dest, &n[2*i], &n[2*i+1])
	}
	if err := queryRow(ctx, q, "preview mappings", `SELECT `+strings.Join(counts, ", ")+` `+p.newest(p.looked).clause(p.mappings.joins()), nil, dest...); err != nil {
		return err
	}
	for i, m := range p.mappings.fields {
		out.Parsed[m.field.Name], out.Unparsed[m.field.Name] = n[2*i], n[2*i+1]
	}
	return nil
}

// rows reads messages with what is made of them, newest first.
func (p preview) rows(ctx context.Context, q queryer, out *warehouse.MappingPreview) error {
	selected := []string{`m._time`, `m._received`}
	for i := range p.st.columns {
		selected = append(selected, fmt.Sprintf("m.c%d", i+1))
	}
	for _, m := range p.mappings.fields {
		selected = append(selected, m.value, m.unparsed)
	}
	rows, err := q.QueryContext(ctx, `SELECT `+strings.Join(selected, ", ")+` `+p.newest(p.limit).clause(p.mappings.joins())+` ORDER BY m._seq DESC`)
	if err != nil {
		return fmt.Errorf("preview mappings: %w", scrub(ctx, err))
	}
	defer rows.Close()
	var message, received int64
	dest := []any{&message, &received}
	texts := make([]sql.NullString, len(p.st.columns))
	for i := range texts {
		dest = append(dest, &texts[i])
	}
	values, failed := make([]any, len(p.mappings.fields)), make([]sql.NullBool, len(p.mappings.fields))
	for i := range values {
		dest = append(dest, &values[i], &failed[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("preview mappings: %w", scrub(ctx, err))
		}
		row := warehouse.MappingPreviewRow{Results: map[string]any{}}
		row.MessageTime, row.ReceivedAt, row.Values = time.UnixMicro(message).UTC(), time.UnixMicro(received).UTC(), map[string]string{}
		for i, v := range texts {
			if v.Valid {
				row.Values[p.st.columns[i]] = v.String
			}
		}
		for i, m := range p.mappings.fields {
			if values[i] != nil {
				row.Results[m.field.Name] = fieldValue(values[i])
			}
			if failed[i].Bool {
				row.Failed = append(row.Failed, m.field.Name)
			}
		}
		out.Rows = append(out.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("preview mappings: %w", scrub(ctx, err))
	}
	return nil
}

// blockBytes is the size of a block of the database file.
const blockBytes = 256 << 10

// Cost is what a rebuild would have to do: the messages that are kept, and the
// blocks of the file that hold them.
func (d *DB) Cost(ctx context.Context) (warehouse.RebuildCost, error) {
	var c warehouse.RebuildCost
	for _, st := range d.state.snapshot().sortedStreams() {
		var n, blocks int64
		if err := queryRow(ctx, d.sql, "count messages", `SELECT count(*) FROM `+st.table(), nil, &n); err != nil {
			return c, err
		}
		if err := queryRow(ctx, d.sql, "measure messages", `SELECT count(DISTINCT block_id) FROM pragma_storage_info('`+st.table()+`') WHERE block_id >= 0`, nil, &blocks); err != nil {
			return c, err
		}
		c.Messages += n
		c.Bytes += blocks * blockBytes
	}
	return c, nil
}
