package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"usher/internal/activation"
)

// Sample is the first rows of a piece as an import would take them. It holds
// values of rows: it is for whoever may see people.
type Sample struct {
	ContentType string
	Columns     []string
	Rows        [][]string
	// Times are the message times of the rows; zero where a row would have that of
	// its receipt.
	Times []time.Time
	// Parsed counts, for each column, in how many of the rows its value reads as a
	// time.
	Parsed []int
	// Rejected are the faulty rows among them.
	Rejected []RowError
}

var errSampled = errors.New("that is enough of a sample")

// Sample reads up to so many good rows of a piece and keeps nothing.
func (c *Collector) Sample(ctx context.Context, im Import, rows int) (_ Sample, err error) {
	im.SkipBadRows = true
	u, err := c.prepareImport(ctx, im)
	if err != nil {
		return Sample{}, fmt.Errorf("sample: %w", err)
	}
	var text bytes.Buffer
	u.out = newCanonical(&text)
	u.newScratch = func() (scratchFile, error) { return c.inbox.NewScratch(activation.NewID[string]()) }
	u.cutRows, u.cutBytes, u.full = int64(rows), importBytes, func(place) error { return errSampled }
	p := &importer{c: c, im: im, u: u}
	if err := p.read(ctx); err != nil && !errors.Is(err, errSampled) {
		return Sample{}, fmt.Errorf("sample: %w", err)
	}
	if err := u.out.flush(); err != nil {
		return Sample{}, fmt.Errorf("sample: %w", err)
	}
	s := Sample{ContentType: u.format.contentType(), Columns: u.allColumns(), Rejected: u.reasons}
	s.Parsed = make([]int, len(s.Columns))
	return s, s.fill(u, text.Bytes())
}

// fill reads the rows from their canonical text.
func (s *Sample) fill(u *upload, text []byte) error {
	scan := newCSVScanner(newWindow(bytes.NewReader(text), len(text)), ',', len(text))
	for {
		ok, bad, err := scan.next()
		if err != nil || bad != nil || !ok {
			if bad != nil {
				err = bad
			}
			return err
		}
		rec := &scan.rec
		if !rec.quoted {
			rec.split(',')
		}
		row := make([]string, len(s.Columns))
		for i := range row {
			value := rec.value(i + 2)
			row[i] = string(value)
			if _, reason := parseTime(value, u.order); reason == "" {
				s.Parsed[i]++
			}
		}
		var at time.Time
		if u.timeName != "" {
			micros, err := strconv.ParseInt(string(rec.value(1)), 10, 64)
			if err != nil {
				return fmt.Errorf("read sample: %w", err)
			}
			at = time.UnixMicro(micros).UTC()
		}
		s.Rows, s.Times = append(s.Rows, row), append(s.Times, at)
	}
}
