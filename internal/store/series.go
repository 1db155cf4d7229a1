package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"usher/internal/activation"
)

// The kinds of series.
const (
	// SeriesStream counts what streams take in, by the stream's name.
	SeriesStream = "stream"
	// SeriesAudience has the sizes of audiences, by the audience's id.
	SeriesAudience = "segment"
)

// AddSeries adds to the counters of a subject, in the bucket of now of every width.
func (s *Store) AddSeries(ctx context.Context, kind, subject string, counts map[string]int64) error {
	return s.series(ctx, kind, subject, counts, `series.value + excluded.value`)
}

// SetSeries sets the gauges of a subject, in the bucket of now of every width: a
// bucket keeps the last value it was given.
func (s *Store) SetSeries(ctx context.Context, kind, subject string, values map[string]int64) error {
	return s.series(ctx, kind, subject, values, `excluded.value`)
}

func (s *Store) series(ctx context.Context, kind, subject string, values map[string]int64, value string) error {
	if len(values) == 0 {
		return nil
	}
	err := s.do(ctx, func(t *tx) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			for _, width := range metricWidths {
				if _, err := t.exec(`INSERT INTO series (kind, subject, name, width, bucket, value) VALUES ($1, $2, $3, $4, $5, $6)
					ON CONFLICT (kind, subject, width, bucket, name) DO UPDATE SET value = `+value,
					kind, subject, name, int64(width/time.Second), t.now.Truncate(width).UnixMicro(), values[name]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record series of %s %q: %w", kind, subject, err)
	}
	return nil
}

// Series returns what was recorded of a subject by name, oldest bucket first, in
// buckets of a width (a minute, an hour, a day) from the one at from to the last
// before until; zero times leave that end open. Buckets without a record are left out.
func (s *Store) Series(ctx context.Context, kind, subject string, from, until time.Time, width time.Duration) (map[string][]activation.MetricPoint, error) {
	var w where
	w.add("kind = $%d AND subject = $%d AND width = $%d", kind, subject, int64(width/time.Second))
	w.compare("bucket", ">=", from)
	w.compare("bucket", "<", until)
	rows, err := s.read.QueryContext(ctx, `SELECT name, bucket, value FROM series`+w.sql()+` ORDER BY name, bucket`, w.args...)
	out := map[string][]activation.MetricPoint{}
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var name string
		var p activation.MetricPoint
		err := r.Scan(&name, stamp{&p.At}, &p.Value)
		out[name] = append(out[name], p)
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	return out, nil
}
