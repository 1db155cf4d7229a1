package storetest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// What the runs of a benchmark are spread over: a few destinations, jobs and
// audiences with most of the runs, and many with few.
const (
	benchDestinations = 12
	benchJobs         = 30
)

// spread makes jobs, and returns a statement that gives the runs of a benchmark
// to them, by their numbers.
func (w *world) spread() string {
	w.t.Helper()
	providers := []string{"meta", "google", "linkedin"}
	var destinations, jobs, audiences, targets, words []string
	for i := range benchDestinations {
		d, err := w.CreateDestination(w.t.Context(), activation.Destination{
			Name: fmt.Sprintf("D%02d", i), Provider: providers[i%len(providers)], Authorization: w.auth.ID, Account: fmt.Sprint(i), Mapping: map[string]string{}, Enabled: true,
		}, "ann")
		w.ok(err)
		destinations = append(destinations, string(d.ID))
	}
	for i := range benchJobs {
		a := w.audience(fmt.Sprintf("a%02d", i))
		j, owned := w.job(fmt.Sprintf("j%02d", i), func(j *activation.Job) { j.Destination = activation.DestinationID(destinations[i%benchDestinations]) }, a)
		jobs, audiences, targets = append(jobs, string(j.ID)), append(audiences, string(a.ID)), append(targets, string(owned[0].ID))
		words = append(words, a.Name)
	}
	// Half of the runs are of the first job, a quarter of the second, and so on.
	pick := func(values []string) string {
		var text strings.Builder
		text.WriteString("CASE")
		for i, v := range values[:len(values)-1] {
			from := 1000 - 1000>>min(i, 9)
			to := 1000 - 1000>>min(i+1, 9)
			fmt.Fprintf(&text, " WHEN number * 7919 %% 1000 BETWEEN %d AND %d THEN '%s'", from, to-1, v)
		}
		fmt.Fprintf(&text, " ELSE '%s' END", values[len(values)-1])
		return text.String()
	}
	byJob := func(values []string) []string {
		out := make([]string, benchJobs)
		for i := range out {
			out[i] = values[i%len(values)]
		}
		return out
	}
	kinds := []string{"segment", "pii_update", "next_best_action", "offline_conversion", "conversion_audience", "events"}
	causes := []string{"schedule", "real_time", "manual", "outbound", "agent", "repair"}
	return `UPDATE runs SET destination_id = ` + pick(byJob(destinations)) + `, job_id = ` + pick(jobs) + `, audience_id = ` + pick(audiences) + `, target_id = ` + pick(targets) +
		`, sync_type = ` + pick(byJob(kinds)) + `, triggered_by = ` + pick(words) + `,
		cause = CASE number % 11 WHEN 0 THEN '` + causes[2] + `' WHEN 1 THEN '` + causes[3] + `' WHEN 2 THEN '` + causes[4] + `' WHEN 3 THEN '` + causes[1] + `' ELSE '` + causes[0] + `' END
		WHERE number > 1`
}

// column is a filter with a value that most runs have, and one that few have.
type column struct {
	name         string
	common, rare func(*store.RunFilter)
}

// benchFilters measures the list of runs and their counts by every filter, and by
// every two of them, over the runs that are there, and logs what takes longest.
func benchFilters(b *testing.B, w *world, n int) {
	runs, err := w.Runs(b.Context(), store.RunFilter{Limit: 3000, Before: int64(n)})
	w.ok(err)
	seen := map[activation.JobID]int{}
	for _, r := range runs {
		seen[r.Job]++
	}
	slices.SortFunc(runs, func(a, b activation.Run) int { return seen[b.Job] - seen[a.Job] })
	much, few := runs[0], runs[len(runs)-1]
	newest := time.Unix(0, 0)
	for _, r := range runs {
		if r.StartedAt.After(newest) {
			newest = r.StartedAt
		}
	}
	columns := []column{
		{"status", func(f *store.RunFilter) { f.Status = []activation.RunStatus{activation.RunCompleted} }, func(f *store.RunFilter) { f.Status = []activation.RunStatus{activation.RunPending} }},
		{"sync type", func(f *store.RunFilter) { f.SyncType = []activation.SyncType{much.SyncType} }, func(f *store.RunFilter) { f.SyncType = []activation.SyncType{few.SyncType} }},
		{"destination type", func(f *store.RunFilter) { f.Providers = []string{"meta"} }, func(f *store.RunFilter) { f.Providers = []string{"linkedin"} }},
		{"destination", func(f *store.RunFilter) { f.Destination = much.Destination }, func(f *store.RunFilter) { f.Destination = few.Destination }},
		{"job", func(f *store.RunFilter) { f.Job = much.Job }, func(f *store.RunFilter) { f.Job = few.Job }},
		{"audience", func(f *store.RunFilter) { f.Audience = much.Audience }, func(f *store.RunFilter) { f.Audience = few.Audience }},
		{"triggered by", func(f *store.RunFilter) { f.TriggeredBy = much.TriggeredBy }, func(f *store.RunFilter) { f.TriggeredBy = "nobody" }},
		{"cause", func(f *store.RunFilter) { f.Cause = []activation.Cause{activation.CauseSchedule} }, func(f *store.RunFilter) { f.Cause = []activation.Cause{activation.CauseRepair} }},
		{"time", func(f *store.RunFilter) { f.Since = newest.Add(-time.Duration(n) * time.Second) }, func(f *store.RunFilter) { f.Since = newest.Add(-time.Hour) }},
	}
	type measured struct {
		name          string
		list, counted time.Duration
	}
	var all []measured
	measure := func(name string, f store.RunFilter) {
		m := measured{name: name, list: time.Hour, counted: time.Hour}
		for range 2 {
			begin := time.Now()
			_, err := w.Runs(b.Context(), f)
			w.ok(err)
			m.list = min(m.list, time.Since(begin))
			begin = time.Now()
			_, err = w.RunCounts(b.Context(), f)
			w.ok(err)
			m.counted = min(m.counted, time.Since(begin))
		}
		all = append(all, m)
	}
	b.Run("filters", func(b *testing.B) {
		for b.Loop() {
			all = all[:0]
			measure("none", store.RunFilter{})
			for i, c := range columns {
				for _, set := range []struct {
					word string
					fn   func(*store.RunFilter)
				}{{"", c.common}, {" (few)", c.rare}} {
					var f store.RunFilter
					set.fn(&f)
					measure(c.name+set.word, f)
					for _, d := range columns[i+1:] {
						for _, other := range []struct {
							word string
							fn   func(*store.RunFilter)
						}{{"", d.common}, {" (few)", d.rare}} {
							both := f
							other.fn(&both)
							measure(c.name+set.word+" + "+d.name+other.word, both)
						}
					}
				}
			}
		}
		slices.SortFunc(all, func(a, b measured) int { return int(max(b.list, b.counted) - max(a.list, a.counted)) })
		var text strings.Builder
		for _, m := range all {
			if !strings.Contains(m.name, "+") || max(m.list, m.counted) >= max(all[24].list, all[24].counted) {
				fmt.Fprintf(&text, "%-55s list %8.2f ms  counts %8.2f ms\n", m.name, m.list.Seconds()*1000, m.counted.Seconds()*1000)
			}
		}
		if name := os.Getenv("USHER_BENCH_TABLE"); name != "" { // a log of a benchmark is cut after a few lines
			w.ok(os.WriteFile(name, []byte(text.String()), 0o600))
		}
		b.Logf("%d filters over %d runs, the slowest: %s", len(all), n, all[0].name)
		b.ReportMetric(max(all[0].list, all[0].counted).Seconds()*1000, "worst-ms")
	})
}
