package web

import (
	"maps"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// maxBars is about how many bars a chart has at most.
const maxBars = 48

// chart is what a job has counted over time, as a table that a script draws.
type chart struct {
	Range    string
	Ranges   []segmentLink
	Since    string
	Until    string
	Wrong    string
	Per      string
	Label    string
	Series   []series
	Rows     []bucket
	Anything bool
	// Also are sums that are said and not drawn.
	Also []count
}

// segmentLink is one choice of a few.
type segmentLink struct {
	Text, Href string
	Current    bool
}

// series is one thing that is counted. Style is how it is drawn: up and down are
// bars from zero, more is stacked hatched on what is up, line is a line.
type series struct {
	Name, Title, Style string
	Total              int64
}

type bucket struct {
	At     time.Time
	Name   string
	Values []int64
}

// chartRanges are the periods that end now.
var chartRanges = []struct {
	name, text string
	length     time.Duration
}{{"24h", "24 h", 24 * time.Hour}, {"7d", "7 d", 7 * 24 * time.Hour}, {"30d", "30 d", 30 * 24 * time.Hour}}

// customRange is the period that is given by two days.
const customRange = "custom"

// chartSteps are the widths of bars, and how wide the kept buckets are that they
// are added up from.
var chartSteps = []struct {
	step, base time.Duration
	per        string
}{
	{time.Minute, time.Minute, "minute"},
	{5 * time.Minute, time.Minute, "5 minutes"},
	{15 * time.Minute, time.Minute, "15 minutes"},
	{time.Hour, time.Hour, "hour"},
	{6 * time.Hour, time.Hour, "6 hours"},
	{24 * time.Hour, 24 * time.Hour, "day"},
	{7 * 24 * time.Hour, 24 * time.Hour, "week"},
	{28 * 24 * time.Hour, 24 * time.Hour, "4 weeks"},
}

// chartStep chooses bars that are few enough, of buckets that are still kept at
// the beginning of the period.
func chartStep(from, until, now time.Time) (step, base time.Duration, per string) {
	kept, err := store.MetricWidth(from, from, now)
	if err != nil {
		kept = 24 * time.Hour
	}
	for _, s := range chartSteps {
		step, base, per = s.step, s.base, s.per
		if base >= kept && until.Sub(from) <= maxBars*step {
			break
		}
	}
	return step, base, per
}

// chartPeriod is the period that the page is asked for. wrong says what of it
// cannot be; the last day is shown then.
func chartPeriod(v visit, now time.Time) (name string, from, until time.Time, wrong string) {
	name = orText(v.get("range"), "24h")
	for _, r := range chartRanges {
		if r.name == name {
			return name, now.Add(-r.length), now, ""
		}
	}
	since, err := time.Parse(time.DateOnly, v.get("since"))
	last, err2 := time.Parse(time.DateOnly, orText(v.get("until"), now.Format(time.DateOnly)))
	switch {
	case name != customRange:
		wrong = "There is no such period."
	case err != nil || err2 != nil:
		wrong = "Give both days as 2026-11-22."
	case !since.Before(now):
		wrong = "The first day must be in the past."
	case last.Before(since):
		wrong = "The last day must not be before the first."
	case last.Sub(since) > 1300*24*time.Hour:
		wrong = "Give at most 1,300 days."
	}
	if wrong != "" {
		return name, now.Add(-24 * time.Hour), now, wrong
	}
	until = last.Add(24 * time.Hour)
	if until.After(now) {
		until = now
	}
	return name, since, until, ""
}

func (c *Console) jobChart(v visit, j activation.Job, p *jobPage) error {
	now := c.Now().UTC()
	name, from, until, wrong := chartPeriod(v, now)
	step, base, per := chartStep(from, until, now)
	from = from.Truncate(step)
	if until.Sub(from) > step && name != customRange && until.Sub(from).Truncate(step) != until.Sub(from) {
		from = from.Add(step) // the bar that began before the period is not whole
	}
	counted, err := c.Store.Metrics(v.Context(), store.MetricFilter{Job: j.ID, Width: base, From: from, Until: until.Add(time.Microsecond)})
	if err != nil {
		return err
	}
	ch := chart{Range: name, Since: aDay(v.get("since")), Until: aDay(v.get("until")), Wrong: wrong, Per: per, Series: seriesOf(j.Type, counted), Also: alsoOf(j.Type, counted)}
	if wrong == "" && name == customRange {
		ch.Since, ch.Until = from.Format(time.DateOnly), until.Add(-time.Second).Format(time.DateOnly)
	}
	for _, r := range chartRanges {
		ch.Ranges = append(ch.Ranges, segmentLink{r.text, jobHref(v, j.ID, "range", r.name, "#activity"), r.name == name})
	}
	ch.fill(counted, from, until, step)
	p.Chart = ch
	return nil
}

// aDay is a day as a form takes it back, "" for anything else.
func aDay(text string) string {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return ""
	}
	return text
}

// fill adds the buckets up to bars.
func (ch *chart) fill(counted map[string][]activation.MetricPoint, from, until time.Time, step time.Duration) {
	layout := "2006-01-02 15:04"
	if step >= 24*time.Hour {
		layout = time.DateOnly
	}
	at := map[int64]int{}
	for t := from.Truncate(step); t.Before(until); t = t.Add(step) {
		at[t.Unix()] = len(ch.Rows)
		ch.Rows = append(ch.Rows, bucket{At: t, Name: t.Format(layout), Values: make([]int64, len(ch.Series))})
	}
	var parts []string
	for i, s := range ch.Series {
		for _, pt := range counted[s.Name] {
			if row, ok := at[pt.At.UTC().Truncate(step).Unix()]; ok {
				ch.Rows[row].Values[i] += pt.Value
				ch.Series[i].Total += pt.Value
			}
		}
		ch.Anything = ch.Anything || ch.Series[i].Total != 0
		parts = append(parts, lower(s.Title)+" "+num(ch.Series[i].Total))
	}
	ch.Label = "Counts per " + ch.Per + ": " + joinComma(parts) + ". The same numbers are in the table below."
}

// chartStyles are how counts are drawn. What is not listed is a line.
var chartStyles = map[string]string{
	activation.MetricAdded: "up", activation.MetricRemoved: "down", activation.MetricOmitted: "more", activation.MetricRejected: "line",
	activation.MetricRows: "up", activation.MetricNewProfiles: "other", activation.MetricDeleted: "down",
	activation.MetricReplies: "up", activation.MetricNoReply: "more",
	activation.MetricSent: "up", activation.MetricFailed: "line",
}

// seriesOf is what jobs of a type count, in the order of the legend, and what
// this one counts beside.
func seriesOf(jobType string, counted map[string][]activation.MetricPoint) []series {
	names := slices.Clone(activation.MetricNames(jobType))
	var others []string
	for name := range counted {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	if jobType == "import" {
		others = nil // alsoOf says them
	}
	var out []series
	for _, name := range append(names, others...) {
		if jobType == "export" && name == activation.MetricSent {
			continue // added, removed and rejected say it
		}
		style := chartStyles[name]
		if style == "" || slices.Contains(others, name) {
			style = "other"
		}
		out = append(out, series{Name: name, Title: sentenceWord(countWord(jobType, name)), Style: style})
	}
	return out
}

// countWords are the names of what imports count that say too little by themselves.
var countWords = map[string]string{activation.MetricDeleted: "deleted at the source", "pieces": "files or pieces", "duplicates": "repeated"}

// countWord is the name of a count in words.
func countWord(jobType, name string) string {
	if word := countWords[name]; word != "" && jobType == "import" {
		return word
	}
	return strings.ReplaceAll(name, "_", " ")
}

// alsoOf are the sums of what an import counts beside what its chart draws.
func alsoOf(jobType string, counted map[string][]activation.MetricPoint) (also []count) {
	if jobType != "import" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(counted)) {
		if slices.Contains(activation.MetricNames(jobType), name) {
			continue
		}
		sum := count{Name: countWord(jobType, name)}
		for _, pt := range counted[name] {
			sum.Value += pt.Value
		}
		if sum.Value != 0 {
			also = append(also, sum)
		}
	}
	return also
}
