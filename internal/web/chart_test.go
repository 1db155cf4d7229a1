package web

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

func TestChartStep(t *testing.T) {
	for length, want := range map[time.Duration]string{
		30 * time.Minute: "minute", 3 * time.Hour: "5 minutes", 12 * time.Hour: "15 minutes", 24 * time.Hour: "hour", 7 * 24 * time.Hour: "6 hours",
		30 * 24 * time.Hour: "day", 200 * 24 * time.Hour: "week", 1300 * 24 * time.Hour: "4 weeks",
	} {
		if _, _, per := chartStep(noon.Add(-length), noon, noon); per != want {
			t.Errorf("%v: per %s, want %s", length, per, want)
		}
	}
	// Minutes and hours are not kept for ever.
	if _, base, _ := chartStep(noon.AddDate(-1, 0, 0), noon.AddDate(-1, 0, 1), noon); base != 24*time.Hour {
		t.Errorf("a year ago: of %v", base)
	}
}

func TestChartPeriod(t *testing.T) {
	for _, c := range []struct {
		q           string
		from, until string
		wrong       bool
	}{
		{"", "2026-11-21 12:00", "2026-11-22 12:00", false},
		{"range=7d", "2026-11-15 12:00", "2026-11-22 12:00", false},
		{"range=custom&since=2026-11-01&until=2026-11-03", "2026-11-01 00:00", "2026-11-04 00:00", false},
		{"range=custom&since=2026-11-20", "2026-11-20 00:00", "2026-11-22 12:00", false},
		{"range=custom&since=2026-11-20&until=2026-11-19", "2026-11-21 12:00", "2026-11-22 12:00", true},
		{"range=custom&since=2027-01-01", "2026-11-21 12:00", "2026-11-22 12:00", true},
		{"range=custom", "2026-11-21 12:00", "2026-11-22 12:00", true},
		{"range=year", "2026-11-21 12:00", "2026-11-22 12:00", true},
	} {
		v := visit{Request: httptest.NewRequest("GET", "/jobs/x?"+c.q, nil)}
		_, from, until, wrong := chartPeriod(v, noon)
		if from.Format("2006-01-02 15:04") != c.from || until.Format("2006-01-02 15:04") != c.until || (wrong != "") != c.wrong {
			t.Errorf("%s: %v to %v, %q", c.q, from, until, wrong)
		}
	}
}

// TestChartFill: the bars hold every point of the period once, none too many.
func TestChartFill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.IntRange(1, 1300*24).Draw(t, "hours")) * time.Hour
		from := noon.Add(-length)
		step, base, _ := chartStep(from, noon, noon)
		from = from.Truncate(step)
		var points []activation.MetricPoint
		var sum int64
		for at := from.Truncate(base); at.Before(noon); at = at.Add(base * time.Duration(rapid.IntRange(1, 90).Draw(t, "gap"))) {
			n := rapid.Int64Range(-5, 1000).Draw(t, "n")
			points = append(points, activation.MetricPoint{At: at, Value: n})
			sum += n
		}
		counted := map[string][]activation.MetricPoint{"added": points}
		ch := chart{Series: seriesOf("export", counted)}
		ch.fill(counted, from, noon, step)
		var got int64
		for _, r := range ch.Rows {
			got += r.Values[0]
		}
		if got != sum || ch.Series[0].Total != sum {
			t.Fatalf("%d in the bars, %d in the sum, want %d", got, ch.Series[0].Total, sum)
		}
		if len(ch.Rows) > maxBars+2 {
			t.Fatalf("%d bars for %v", len(ch.Rows), length)
		}
	})
}

func TestSeries(t *testing.T) {
	for kind, want := range map[string]string{
		"export": "Added up, Removed down, Omitted more, Rejected line", "import": "Rows up, New profiles other, Deleted at the source down, Rejected line", "enrichment": "Replies up, No reply more", "alert": "Sent up, Failed line",
	} {
		var got []string
		for _, s := range seriesOf(kind, nil) {
			got = append(got, s.Title+" "+s.Style)
		}
		if joinComma(got) != want {
			t.Errorf("%s: %s", kind, joinComma(got))
		}
	}
	counted := map[string][]activation.MetricPoint{"rows": {{Value: 7}}, "pieces": {{Value: 2}, {Value: 1}}, "skipped_files": {{Value: 1}}, "corrected": {{Value: 0}}}
	if also := alsoOf("import", counted); !slices.Equal(also, []count{{"files or pieces", 3}, {"skipped files", 1}}) || len(seriesOf("import", counted)) != 4 || alsoOf("alert", counted) != nil {
		t.Errorf("beside the chart: %v", also)
	}
	own := seriesOf("enrichment", map[string][]activation.MetricPoint{"rows_skipped": nil})
	if last := own[len(own)-1]; last.Title != "Rows skipped" || last.Style != "other" {
		t.Errorf("a name of its own: %+v", last)
	}
}

func TestJobHref(t *testing.T) {
	v := visit{Request: httptest.NewRequest("GET", "/events?page=job&id=x&range=7d&event=error&before=9&other=1", nil)}
	got, err := url.Parse(jobHref(v, "x", "before", "", "#runs"))
	if err != nil || got.Path != "/jobs/x" || got.RawQuery != "event=error&range=7d" || got.Fragment != "runs" {
		t.Errorf("%v, %v", got, err)
	}
}
