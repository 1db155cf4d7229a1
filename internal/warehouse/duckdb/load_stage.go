package duckdb

import (
	"context"
	"fmt"
	"os"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// codeSpool is the class of a spool file that is not what its load says.
const codeSpool = "SPOOL"

// maxLine is the longest spool row in bytes, and csvBuffer what each thread
// reads at a time; DuckDB needs the second to be the larger. A small file is read
// in one piece: a buffer of that size would cost more than all else.
const (
	maxLine   = 16 << 20
	csvBuffer = 32 << 20
	smallFile = 4 << 20
)

// buffers returns the longest row and the buffer for a spool file.
func buffers(path string) (line, buffer int64) {
	i, err := os.Stat(path)
	if err != nil || i.Size() > smallFile {
		return maxLine, csvBuffer
	}
	line = max(i.Size(), 64<<10)
	return line, 2 * line
}

// staged is a spool file read into a table of the scratch database.
type staged struct {
	table       string
	first, last int64 // line numbers
}

// stage reads the spool of l into a table and makes sure that it holds exactly
// the rows it should. The caller drops the table.
func (d *DB) stage(ctx context.Context, st stream, l warehouse.Load) (staged, error) {
	s := staged{table: fmt.Sprintf("scratch.load_%d", d.stagings.Add(1))}
	// Threads that read one file side by side may take a quoted line break for
	// the end of a row: then one reads it alone. So it does while something urgent
	// is under way, which would have no core otherwise.
	for _, parallel := range []bool{l.Urgent || !d.hurried(), false} {
		err := d.readSpool(ctx, &s, st, l, parallel)
		if err == nil {
			return s, nil
		}
		d.unstage(ctx, s)
		if !parallel || context.Cause(ctx) != nil {
			return staged{}, err
		}
	}
	return s, nil
}

func (d *DB) readSpool(ctx context.Context, s *staged, st stream, l warehouse.Load, parallel bool) error {
	what := fmt.Sprintf("read spool of load %q", l.ID)
	columns := make([]string, 0, len(l.Columns)+2)
	columns = append(columns, `'_line': 'BIGINT'`, `'_time': 'BIGINT'`)
	for _, c := range l.Columns {
		columns = append(columns, fmt.Sprintf(`'%s': 'VARCHAR'`, st.column(c)))
	}
	line, buffer := buffers(l.Path)
	if _, err := exec(ctx, d.sql, what, fmt.Sprintf(`CREATE TABLE %s AS SELECT * FROM read_csv(%s, auto_detect=false, header=false,
		delim=',', quote='"', escape='"', new_line='\n', nullstr='', strict_mode=true, null_padding=false, ignore_errors=false,
		max_line_size=%d, buffer_size=%d, parallel=%t, columns={%s})`,
		s.table, literal(l.Path), line, buffer, parallel, strings.Join(columns, ", "))); err != nil {
		return err
	}
	var rows, lines, times int64
	if err := queryRow(ctx, d.sql, what, `SELECT count(*), count(DISTINCT _line), count(_time), coalesce(min(_line), 0), coalesce(max(_line), 0) FROM `+s.table,
		nil, &rows, &lines, &times, &s.first, &s.last); err != nil {
		return err
	}
	if rows != l.Rows || lines != rows || times != rows {
		return &activation.Error{Kind: activation.Internal, Code: codeSpool, Message: fmt.Sprintf(
			"the spool of load %q is damaged: %d rows expected, %d found, %d with a line number of their own, %d with a time", l.ID, l.Rows, rows, lines, times)}
	}
	return nil
}

// unstage drops what stage made; it may not have come that far. It works even
// when ctx is dead, for the table takes memory.
func (d *DB) unstage(ctx context.Context, s staged) {
	if _, err := exec(context.WithoutCancel(ctx), d.sql, "drop staging", `DROP TABLE IF EXISTS `+s.table); err != nil {
		d.log.WarnContext(ctx, "staging table is left until the next start", "error", err)
	}
}
