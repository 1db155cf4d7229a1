package web

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/insight"
	"usher/internal/warehouse"
)

// Insight counts people for those who make audiences.
type Insight interface {
	Breakdown(ctx context.Context, rule, field string, limit int) (warehouse.Breakdown, error)
	Overlap(ctx context.Context, audiences []string) (insight.Overlaps, error)
	Reach(ctx context.Context, audience string) ([]insight.Reach, error)
	Trend(ctx context.Context, audience string, from, until time.Time) ([]insight.Point, error)
	IncludedBy(ctx context.Context, audience string) ([]activation.Audience, error)
}

// The parts of an audience's page that cost a count. They are loaded after it,
// or, without a script, when they are asked for.
const (
	partReach     = "reach"
	partOverlap   = "overlap"
	partBreakdown = "breakdown"
)

// comparedWith is how many other audiences are compared where nobody chose any;
// the largest ones.
const comparedWith = 4

// insightParts is what is known about an audience beside its rule.
type insightParts struct {
	Trend      *chart
	IncludedBy []link
	Parts      map[string]insightPart
}

// insightPart is a part of the page: its body, or where it is to be had from.
type insightPart struct {
	Load, Show, Wrong string
	Body              any
}

type breakdownBody struct {
	warehouse.Breakdown
	Field    field
	Path     string
	Rows     []breakdownRow
	Personal bool
}

type breakdownRow struct {
	Text  string
	Count int64
	Share string
}

type overlapBody struct {
	insight.Overlaps
	Path   string
	Choice []option
	Most   int
	Rows   [][]overlapCell
}

type overlapCell struct {
	Count int64
	Share string // of the audience of the row
	Own   bool
}

type reachBody struct{ Rows []reachRow }

type reachRow struct {
	Name, Problem, Share string
	Href                 string
	Logo                 string
	insight.Reach
}

// audienceParts gathers what Insight tells about an audience.
func (c *Console) audienceParts(v visit, a activation.Audience, schema warehouse.Schema) (*insightParts, error) {
	if c.Insight == nil {
		return nil, nil //nolint:nilnil // nothing of it is shown
	}
	p := &insightParts{Parts: map[string]insightPart{}}
	by, err := c.Insight.IncludedBy(v.Context(), string(a.ID))
	if err != nil {
		return nil, err
	}
	for _, other := range by {
		p.IncludedBy = append(p.IncludedBy, link{audiencePath(other.Slug), other.Name})
	}
	if p.Trend, err = c.sizeChart(v, a); err != nil {
		return nil, err
	}
	for _, name := range []string{partBreakdown, partReach, partOverlap} {
		if name == partBreakdown && a.Rule == "" {
			continue // nothing but a rule can be broken down
		}
		part := insightPart{Load: audiencePath(a.Slug) + "/parts/" + name + "?" + v.URL.RawQuery, Show: audiencePath(a.Slug) + "?show=" + name + "#" + name}
		if v.get("show") == name {
			if part, err = c.audiencePart(v, a, schema, name); err != nil {
				return nil, err
			}
		}
		p.Parts[name] = part
	}
	return p, nil
}

// partOf answers one part of an audience's page.
func (c *Console) partOf(v visit) (view, error) {
	a, err := c.Catalog.Audience(v.Context(), v.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return view{}, err
	}
	name := v.PathValue("part")
	if c.Insight == nil || !slices.Contains([]string{partBreakdown, partReach, partOverlap}, name) || name == partBreakdown && a.Rule == "" {
		return view{}, activation.ErrNotFound
	}
	part, err := c.audiencePart(v, a, schema, name)
	return view{Template: "audience", Fragment: "fragment-" + name, Body: part}, err
}

// audiencePart counts what one part shows. What a person asked for and cannot be
// is said in its place.
func (c *Console) audiencePart(v visit, a activation.Audience, schema warehouse.Schema, name string) (part insightPart, err error) {
	switch name {
	case partReach:
		part.Body, err = c.reachOf(v, a)
	case partOverlap:
		part.Body, err = c.overlapOf(v, a)
	default:
		part.Body, err = c.breakdownOf(v, a, schema)
	}
	if activation.KindOf(err) == activation.Invalid {
		return insightPart{Wrong: sentence(reason(err))}, nil
	}
	return part, err
}

func (c *Console) reachOf(v visit, a activation.Audience) (any, error) {
	all, err := c.Insight.Reach(v.Context(), string(a.ID))
	var b reachBody
	for _, r := range all {
		row := reachRow{Name: r.Name, Problem: sentence(r.Problem), Share: pct(r.Usable, r.People), Href: "/destinations/" + url.PathEscape(string(r.Destination)), Logo: c.logoOf(r.Provider), Reach: r}
		b.Rows = append(b.Rows, row)
	}
	return b, err
}

func (c *Console) overlapOf(v visit, a activation.Audience) (any, error) {
	all, err := c.Store.Audiences(v.Context())
	if err != nil {
		return nil, err
	}
	sizes, err := c.Warehouse.Sizes(v.Context())
	if err != nil {
		return nil, err
	}
	chosen := v.URL.Query()["with"]
	all = slices.DeleteFunc(all, func(o activation.Audience) bool { return o.ID == a.ID })
	slices.SortStableFunc(all, func(x, y activation.Audience) int { return cmp.Compare(sizes[y.ID], sizes[x.ID]) })
	if len(chosen) == 0 {
		for _, o := range all[:min(comparedWith, len(all))] {
			chosen = append(chosen, o.Slug)
		}
	}
	b := overlapBody{Path: audiencePath(a.Slug), Most: warehouse.MaxOverlap - 1}
	for _, o := range all {
		b.Choice = append(b.Choice, option{o.Slug, o.Name, slices.Contains(chosen, o.Slug)})
	}
	slices.SortStableFunc(b.Choice, func(x, y option) int { return strings.Compare(strings.ToLower(x.Text), strings.ToLower(y.Text)) })
	if b.Overlaps, err = c.Insight.Overlap(v.Context(), append([]string{a.Slug}, chosen...)); err != nil {
		return nil, err
	}
	for i, row := range b.Both {
		cells := make([]overlapCell, len(row))
		for j, n := range row {
			cells[j] = overlapCell{Count: n, Share: pct(n, b.Audiences[i].Size), Own: i == j}
		}
		b.Rows = append(b.Rows, cells)
	}
	return b, nil
}

func (c *Console) breakdownOf(v visit, a activation.Audience, schema warehouse.Schema) (any, error) {
	b := breakdownBody{Path: audiencePath(a.Slug), Field: field{Name: "field", Label: "Field", Type: "select"}}
	chosen := v.get("field")
	for _, f := range schema.Fields {
		if chosen == "" && !f.PII && f.Rank == 0 {
			chosen = f.Name
		}
		b.Field.Options = append(b.Field.Options, option{f.Name, f.Name, false})
	}
	if chosen == "" && len(schema.Fields) > 0 {
		chosen = schema.Fields[0].Name
	}
	b.Field.Options = choose(b.Field.Options, chosen)
	if chosen == "" {
		return b, nil
	}
	var err error
	if b.Breakdown, err = c.Insight.Breakdown(v.Context(), a.Rule, chosen, 0); err != nil {
		return nil, err
	}
	for _, f := range schema.Fields {
		if f.Name == chosen {
			b.Personal = f.PII || f.Rank > 0
		}
	}
	for _, x := range b.Values {
		b.Rows = append(b.Rows, breakdownRow{rangeText(x), x.Count, pct(x.Count, b.People)})
	}
	return b, nil
}

// rangeText is a value or a range as people read it; times at midnight are days.
func rangeText(x warehouse.BreakdownValue) string {
	from, isTime := shortTime(x.Value)
	until, _ := shortTime(x.Until)
	switch {
	case x.Until == "":
		return from
	case isTime:
		return from + " to " + until
	}
	return from + " to under " + until
}

// shortTime leaves out of a time what is zero of it.
func shortTime(text string) (string, bool) {
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return text, false
	case at.Equal(at.Truncate(24 * time.Hour)):
		return at.Format(time.DateOnly), true
	}
	return at.Format("2006-01-02 15:04"), true
}

// sizeChart is how large the audience was: a line that goes on at the last known
// size, from the first that was recorded on.
func (c *Console) sizeChart(v visit, a activation.Audience) (*chart, error) {
	now := c.Now().UTC()
	name, from, until, wrong := chartPeriod(v, now)
	step, _, per := chartStep(from, until, now)
	points, err := c.Insight.Trend(v.Context(), string(a.ID), from.Truncate(step), until.Add(time.Microsecond))
	if err != nil {
		return nil, err
	}
	ch := &chart{Range: name, Wrong: wrong, Per: per, Series: []series{{Name: "size", Title: "People", Style: "other"}}}
	for _, r := range chartRanges {
		ch.Ranges = append(ch.Ranges, segmentLink{r.text, audiencePath(a.Slug) + "?range=" + r.name + "#trend", r.name == name})
	}
	layout := "2006-01-02 15:04"
	if step >= 24*time.Hour {
		layout = time.DateOnly
	}
	next := 0
	for at := from.Truncate(step); at.Before(until) && len(points) > 0; at = at.Add(step) {
		for next < len(points) && points[next].At.Before(at.Add(step)) {
			ch.Series[0].Total = points[next].Size
			next++
		}
		if next > 0 { // before the first nobody counted
			ch.Rows = append(ch.Rows, bucket{At: at, Name: at.Format(layout), Values: []int64{ch.Series[0].Total}})
		}
	}
	ch.Anything = len(ch.Rows) > 0
	ch.Label = "Size per " + per + ", " + num(ch.Series[0].Total) + " at the end. The same numbers are in the table below."
	return ch, nil
}

// rulePlace finds the place that an error of a rule names.
var rulePlace = regexp.MustCompile(`^[Ll]ine ([0-9]+), column ([0-9]+):`)

// placeIn is the place in the rule itself that a sentence names, zeros for none.
func placeIn(sentence string) (line, column int) {
	m := rulePlace.FindStringSubmatch(sentence)
	if m == nil {
		return 0, 0
	}
	line, err := strconv.Atoi(m[1])
	column, err2 := strconv.Atoi(m[2])
	if err != nil || err2 != nil {
		return 0, 0
	}
	return line, column
}

// keyWords says how many have each key.
func (r reachRow) KeyWords() string {
	var parts []string
	for _, k := range r.Keys {
		parts = append(parts, fmt.Sprintf("%s %s", k.Name, num(k.Count)))
	}
	return joinComma(parts)
}
