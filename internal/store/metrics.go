package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// metricWidths are the widths of the buckets in which every count is kept.
var metricWidths = []time.Duration{time.Minute, time.Hour, 24 * time.Hour}

// meter adds to the counts of a job, in the bucket of now of every width.
func (t *tx) meter(job activation.JobID, add map[string]int64) error {
	for name, n := range add {
		if n == 0 {
			continue
		}
		for _, width := range metricWidths {
			if _, err := t.exec(`INSERT INTO job_metrics (job_id, name, width, bucket, value) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (job_id, width, bucket, name) DO UPDATE SET value = job_metrics.value + excluded.value`,
				job, name, int64(width/time.Second), t.now.Truncate(width).UnixMicro(), n); err != nil {
				return fmt.Errorf("count %s: %w", name, err)
			}
		}
	}
	return nil
}

// unmetered is what counts have that metered has not yet. It is negative where
// a count has shrunk, as what was sent does when it is sent again.
func unmetered(counts, metered map[string]int64) map[string]int64 {
	add := map[string]int64{}
	for name, n := range counts {
		if d := n - metered[name]; d != 0 {
			add[name] = d
		}
	}
	for name, n := range metered {
		if _, ok := counts[name]; !ok && n != 0 {
			add[name] = -n
		}
	}
	return add
}

// meterRun adds to the metrics what a run counts beyond what was added before,
// so that retries and takeovers count once.
func (t *tx) meterRun(id activation.RunID) error {
	var job activation.JobID
	var c activation.Counts
	var metered map[string]int64
	if err := t.row(`SELECT job_id, counts, metered FROM runs WHERE id = $1`, id).Scan(word[activation.JobID]{&job}, object{&c}, object{&metered}); err != nil {
		return fmt.Errorf("read counts of run %q: %w", id, err)
	}
	counts := activation.RunMetrics(c)
	add := unmetered(counts, metered)
	if job == "" || len(add) == 0 {
		return nil
	}
	if err := t.meter(job, add); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE runs SET metered = $1 WHERE id = $2`, encode(counts), id)
	return err
}

// meterPass does the same for a pass.
func (t *tx) meterPass(id activation.PassID) error {
	var job activation.JobID
	var counts, metered map[string]int64
	if err := t.row(`SELECT job_id, counts, metered FROM passes WHERE id = $1`, id).Scan(&job, object{&counts}, object{&metered}); err != nil {
		return fmt.Errorf("read counts of pass %q: %w", id, err)
	}
	add := unmetered(counts, metered)
	if len(add) == 0 {
		return nil
	}
	if err := t.meter(job, add); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE passes SET metered = counts WHERE id = $1`, id)
	return err
}

// MetricFilter is which counts Metrics returns.
type MetricFilter struct {
	// Job is "" for all jobs together.
	Job activation.JobID
	// Width is that of the buckets: a minute, an hour or a day.
	Width time.Duration
	// From and Until are the first bucket and the one after the last.
	From, Until time.Time
}

// Metrics returns the counts by name, oldest bucket first; buckets in which
// nothing was counted are left out.
func (s *Store) Metrics(ctx context.Context, f MetricFilter) (map[string][]activation.MetricPoint, error) {
	var w where
	equal(&w, "m.job_id", f.Job)
	w.add("m.width = $%d", int64(f.Width/time.Second))
	w.compare("m.bucket", ">=", f.From)
	w.compare("m.bucket", "<", f.Until)
	rows, err := s.read.QueryContext(ctx, `SELECT m.name, m.bucket, CAST(sum(m.value) AS BIGINT) FROM job_metrics m`+w.sql()+` GROUP BY m.name, m.bucket ORDER BY m.name, m.bucket`, w.args...)
	out := map[string][]activation.MetricPoint{}
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var name string
		var p activation.MetricPoint
		err := r.Scan(&name, stamp{&p.At}, &p.Value)
		out[name] = append(out[name], p)
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return out, nil
}

// maxPoints is about how many buckets a chart of one series has.
const maxPoints = 1500

// MetricWidth is the finest width of buckets that are still kept at the
// beginning of the period and are no more than about 1,500 of it. A period of
// more days than that is Invalid.
func MetricWidth(from, until, now time.Time) (time.Duration, error) {
	age, length := now.Sub(from), until.Sub(from)
	switch {
	case age <= keepMinutes && length <= maxPoints*time.Minute:
		return time.Minute, nil
	case age <= keepHours && length <= maxPoints*time.Hour:
		return time.Hour, nil
	case length <= maxPoints*24*time.Hour:
		return 24 * time.Hour, nil
	}
	return 0, invalid("range", "range: must not be longer than %d days", maxPoints)
}

// FillMetric returns the points of a series with those in between in which
// nothing was counted.
func FillMetric(points []activation.MetricPoint, width time.Duration, from, until time.Time) []activation.MetricPoint {
	var out []activation.MetricPoint
	for at := from.Truncate(width); at.Before(until); at = at.Add(width) {
		p := activation.MetricPoint{At: at}
		if len(points) > 0 && points[0].At.Equal(at) {
			p, points = points[0], points[1:]
		}
		out = append(out, p)
	}
	return out
}
