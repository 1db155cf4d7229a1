package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// loadLimit is how many uploads the page of data shows.
const loadLimit = 20

type dataPage struct {
	Streams  []streamRow
	Schema   warehouse.Schema
	Loads    []loadRow
	People   int64
	Identity identityFacts
	Rebuild  *rebuildCard
	Forget   *forgetFacts
	Stream   field
	CSRF     string
	Wrong    string
}

// streamRow is a stream in the list.
type streamRow struct {
	warehouse.StreamStat
	Path  string
	Rate  *rate
	Drift int
}

// rate is how much a stream has brought in the last hours.
type rate struct {
	Total int64
	Bars  []string // heights in per cent, one an hour
	Text  string
}

// identityFacts say how people are told apart, in short.
type identityFacts struct {
	Ranked []warehouse.Field // by rank
	Most   int
	Stops  int
}

func (c *Console) registerData(mux *http.ServeMux) {
	c.page(mux, "/data", "data", func(v visit) (view, error) { return c.dataPage(v, nil) })
	c.action(mux, "/data/streams", activation.RoleOperator, c.declareStream)
	c.registerStream(mux)
	c.registerMapping(mux)
	c.registerFields(mux)
	c.registerProfile(mux)
	c.registerRebuild(mux)
	c.registerLoads(mux)
	c.registerForget(mux)
}

// dataPage is the page of data; wrong is what is wrong with the form that was sent.
func (c *Console) dataPage(v visit, wrong map[string]string) (view, error) {
	ctx := v.Context()
	p := dataPage{CSRF: v.who.CSRF, Wrong: wrong[""]}
	var err error
	if p.Streams, err = c.streamRows(v); err != nil {
		return view{}, err
	}
	if p.Schema, err = c.Warehouse.Schema(ctx); err != nil {
		return view{}, err
	}
	if p.People, err = c.Warehouse.CountProfiles(ctx); err != nil {
		return view{}, err
	}
	if p.Loads, err = c.loadRows(v, "", loadLimit); err != nil {
		return view{}, err
	}
	if p.Rebuild, err = c.rebuildCard(v); err != nil {
		return view{}, err
	}
	if p.Forget, err = c.forgetFacts(v); err != nil {
		return view{}, err
	}
	p.Identity = identityOf(p.Schema)
	p.Stream = field{Name: "stream", Label: "Name", Type: "text", Required: true, Value: v.post("stream"), Error: wrong["stream"], Help: "Lower-case letters, digits and _, such as orders."}
	out := view{Template: "data", Title: "Data", Section: "/data", Page: "data", Regions: []string{"data-streams", "data-loads", "data-rebuild"}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func identityOf(s warehouse.Schema) identityFacts {
	facts := identityFacts{Most: s.Identity.MaxIdentifiers, Stops: len(s.Identity.StopList)}
	if facts.Most == 0 {
		facts.Most = warehouse.DefaultMaxIdentifiers
	}
	for _, f := range s.Fields {
		if f.Rank > 0 {
			facts.Ranked = append(facts.Ranked, f)
		}
	}
	slices.SortStableFunc(facts.Ranked, func(a, b warehouse.Field) int { return a.Rank - b.Rank })
	return facts
}

// rateHours is how many hours back the list of streams counts.
const rateHours = 24

func (c *Console) streamRows(v visit) ([]streamRow, error) {
	all, err := c.Warehouse.Streams(v.Context())
	if err != nil {
		return nil, err
	}
	rows := make([]streamRow, len(all))
	for i, s := range all {
		rows[i] = streamRow{StreamStat: s, Path: streamPath(s.Name)}
		drift, err := c.drift(v, s.Name)
		if err != nil {
			return nil, err
		}
		rows[i].Drift = len(drift)
		if rows[i].Rate, err = c.rate(v, s.Name); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// drift is what a stream brings that nobody declared; nothing where nobody looks.
func (c *Console) drift(v visit, stream string) ([]warehouse.Drifting, error) {
	if c.Mapping == nil {
		return nil, nil
	}
	return c.drifts.get(stream, c.Now(), func() ([]warehouse.Drifting, error) { return c.Mapping.StreamDrift(v.Context(), stream) })
}

// rate counts the messages of the last hours; nil where nobody counts.
func (c *Console) rate(v visit, stream string) (*rate, error) {
	if c.Series == nil {
		return nil, nil //nolint:nilnil // nothing to show
	}
	return c.rates.get(stream, c.Now(), func() (*rate, error) {
		until := c.Now().UTC()
		from := until.Truncate(time.Hour).Add(-(rateHours - 1) * time.Hour)
		counted, err := c.Series.Series(v.Context(), store.SeriesStream, stream, from, until.Add(time.Microsecond), time.Hour)
		if err != nil {
			return nil, err
		}
		return rateOf(counted[messagesCounted], from), nil
	})
}

// messagesCounted is the series of the messages of a stream.
const messagesCounted = "messages"

func rateOf(points []activation.MetricPoint, from time.Time) *rate {
	hours := make([]int64, rateHours)
	r := &rate{}
	for _, p := range points {
		if i := int(p.At.Sub(from) / time.Hour); i >= 0 && i < rateHours && !p.At.Before(from) {
			hours[i] += p.Value
			r.Total += p.Value
		}
	}
	most := max(1, slices.Max(hours))
	for _, n := range hours {
		r.Bars = append(r.Bars, pct(n, most))
	}
	r.Text = many(r.Total, "message") + " in 24 hours, at most " + num(slices.Max(hours)) + " in one hour"
	return r
}

func sentenceWord(s string) string { return strings.TrimSuffix(sentence(s), ".") }

func (c *Console) declareStream(v visit) (view, error) {
	name := v.post("stream")
	_, err := c.Catalog.Declare(v.Context(), warehouse.Schema{Streams: []warehouse.Stream{{Name: name}}}, v.who.Name)
	wrong, err := wrongFields(err, "stream", "name")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.dataPage(v, map[string]string{"stream": allOf(wrong)})
	}
	return view{To: streamPath(name), Said: flash{"ok", "The stream “" + name + "” takes messages now."}}, nil
}

// saved tells that something was declared, and whether a rebuild is owed.
func saved(name string, rebuild []string) flash {
	if len(rebuild) == 0 {
		return flash{"ok", "Saved “" + name + "”."}
	}
	return flash{"ok", "Saved “" + name + "”. Messages received before need a rebuild for " + strings.Join(rebuild, ", ") + "."}
}

// allOf is everything that is wrong, in one text.
func allOf(wrong map[string]string) string {
	var texts []string
	for _, t := range wrong {
		texts = append(texts, t)
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// cell is a value of a profile as text.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return utc(v)
	case []string:
		return strings.Join(v, ", ")
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			parts[i] = cell(one)
		}
		return strings.Join(parts, ", ")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func streamPath(name string) string { return "/data/streams/" + url.PathEscape(name) }

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n < 1000:
		return num(n) + " bytes"
	case n < 1000*1000:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + " kB"
	case n < 1000*1000*1000:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	}
	return strconv.FormatFloat(float64(n)/1e9, 'f', 1, 64) + " GB"
}
