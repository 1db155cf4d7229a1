package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/expression"
	"usher/internal/store"
	"usher/internal/warehouse"
)

const (
	// messagesShown is how many recent messages an administrator sees.
	messagesShown = 20
	// daysKept is the most days that a stream may say its messages are kept.
	daysKept = 36500
)

type streamPage struct {
	Stream    warehouse.StreamStat
	Path      string
	CSRF      string
	Wrong     string
	Chart     *chart
	Columns   []columnRow
	Drift     []changeRow
	Accept    button
	Mappings  []warehouse.Mapping
	Loads     []loadRow
	Settings  []field
	Reference bool
	// Messages is where the newest messages are, "" for those who may not.
	Messages string
}

// columnRow is a column of a stream and what is made of it.
type columnRow struct {
	Name   string
	Fields []string
	// Says is what it does besides, "" = nothing.
	Says string
	Map  string // where to map it
}

// changeRow is something that a stream brings and nobody declared.
type changeRow struct {
	warehouse.Drifting
	Chip chip
	Says string
}

func (c *Console) registerStream(mux *http.ServeMux) {
	c.page(mux, "/data/streams/{id}", "stream", func(v visit) (view, error) { return c.streamPage(v, nil) })
	c.page(mux, "/data/streams/{id}/messages", "", c.messages)
	c.action(mux, "/data/streams/{id}/settings", activation.RoleOperator, c.saveStream)
	c.action(mux, "/data/streams/{id}/accept", activation.RoleOperator, c.acceptDrift)
}

// stream is the stream of the address, with all that is declared.
func (c *Console) stream(v visit) (warehouse.StreamStat, warehouse.Schema, error) {
	all, err := c.Warehouse.Streams(v.Context())
	if err != nil {
		return warehouse.StreamStat{}, warehouse.Schema{}, err
	}
	i := slices.IndexFunc(all, func(s warehouse.StreamStat) bool { return s.Name == v.PathValue("id") })
	if i < 0 {
		return warehouse.StreamStat{}, warehouse.Schema{}, activation.ErrNotFound
	}
	schema, err := c.Warehouse.Schema(v.Context())
	return all[i], schema, err
}

// streamPage shows one stream; wrong is what is wrong with its settings.
func (c *Console) streamPage(v visit, wrong map[string]string) (view, error) {
	st, schema, err := c.stream(v)
	if err != nil {
		return view{}, err
	}
	p := streamPage{Stream: st, CSRF: v.who.CSRF, Path: streamPath(st.Name), Reference: st.ReferenceKey != "", Wrong: wrong[""]}
	if v.who.May(activation.RoleAdmin) {
		p.Messages = p.Path + "/messages"
	}
	p.Mappings = mappingsOf(schema, st.Name)
	p.Columns = columnsOf(st, p.Mappings)
	if p.Drift, err = c.changeRows(v, st.Name); err != nil {
		return view{}, err
	}
	p.Accept = v.press(p.Path+"/accept", "Accept", "check").as("btn-s")
	if p.Loads, err = c.loadRows(v, st.Name, loadLimit); err != nil {
		return view{}, err
	}
	if p.Chart, err = c.streamChart(v, st.Name); err != nil {
		return view{}, err
	}
	p.Settings = streamSettings(v, st.Stream, wrong)
	out := view{
		Template: "stream", Title: st.Name, Section: "/data", Crumbs: []link{{"/data", "Data"}}, Body: p,
		Page: "stream", Query: url.Values{"id": {st.Name}}, Regions: []string{"stream-head", "stream-drift", "stream-loads", "stream-columns"},
	}
	if r := v.get("range"); r != "" {
		out.Query.Set("range", r)
	}
	if p.Chart != nil {
		out.Regions = append(out.Regions, "stream-legend", "stream-chart")
	}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func mappingsOf(s warehouse.Schema, stream string) (out []warehouse.Mapping) {
	for _, m := range s.Mappings {
		if m.Stream == stream {
			out = append(out, m)
		}
	}
	return out
}

// feeds says which fields each column feeds.
func feeds(mappings []warehouse.Mapping) map[string][]string {
	out := map[string][]string{}
	for _, m := range mappings {
		e, err := expression.Parse(m.Expression)
		if err != nil {
			continue
		}
		for _, column := range expression.Columns(e) {
			out[column] = append(out[column], m.Field)
		}
	}
	return out
}

func columnsOf(st warehouse.StreamStat, mappings []warehouse.Mapping) (out []columnRow) {
	made := feeds(mappings)
	for _, name := range st.Columns {
		row := columnRow{Name: name, Fields: made[name]}
		switch {
		case name == st.ReferenceKey:
			row.Says = "finds the row"
		case name == st.TimestampField:
			row.Says = "time of the message"
		case slices.Contains(st.MessageID, name):
			row.Says = "names the message"
		}
		if len(row.Fields) == 0 && row.Says == "" && st.ReferenceKey == "" {
			row.Map = streamPath(st.Name) + "/mappings?column=" + url.QueryEscape(name)
		}
		out = append(out, row)
	}
	return out
}

func (c *Console) changeRows(v visit, stream string) ([]changeRow, error) {
	all, err := c.drift(v, stream)
	if err != nil {
		return nil, err
	}
	var rows []changeRow
	for _, d := range all {
		rows = append(rows, changeRowOf(d))
	}
	return rows, nil
}

func changeRowOf(d warehouse.Drifting) changeRow {
	switch d.Kind {
	case "new_column":
		return changeRow{d, chip{"warn", "plus", "New column", false}, "No mapping names it, so nothing is made of it yet."}
	case "missing_column":
		return changeRow{d, chip{"bad", "alert-triangle", "Missing column", false}, "It does not come any more; what is made of it stays as it was."}
	case "unparsed":
		says := num(d.Count) + " of " + many(d.Of, "value") + " could not become the field's type."
		return changeRow{d, chip{"warn", "alert-circle", "Not parsed", false}, says}
	}
	return changeRow{d, chip{"warn", "alert-circle", sentenceWord(strings.ReplaceAll(d.Kind, "_", " ")), false}, ""}
}

// streamDrawn are the counts of a stream that its chart draws; the others are said
// below it.
var streamDrawn = []series{{Name: messagesCounted, Title: "Messages", Style: "up"}, {Name: "new_profiles", Title: "New profiles", Style: "other"}}

// streamChart is what the stream brought; nil where nobody counts.
func (c *Console) streamChart(v visit, stream string) (*chart, error) {
	if c.Series == nil {
		return nil, nil //nolint:nilnil // no chart
	}
	now := c.Now().UTC()
	name, from, until, wrong := chartPeriod(v, now)
	step, base, per := chartStep(from, until, now)
	from = from.Truncate(step).Add(step)
	counted, err := c.Series.Series(v.Context(), store.SeriesStream, stream, from, until.Add(time.Microsecond), base)
	if err != nil {
		return nil, err
	}
	ch := &chart{Range: name, Wrong: wrong, Per: per, Series: slices.Clone(streamDrawn)}
	for _, other := range slices.Sorted(maps.Keys(counted)) {
		if slices.ContainsFunc(streamDrawn, func(s series) bool { return s.Name == other }) {
			continue
		}
		sum := count{Name: strings.ReplaceAll(other, "_", " ")}
		for _, pt := range counted[other] {
			sum.Value += pt.Value
		}
		if sum.Value > 0 {
			ch.Also = append(ch.Also, sum)
		}
	}
	for _, r := range chartRanges {
		ch.Ranges = append(ch.Ranges, segmentLink{r.text, streamPath(stream) + "?range=" + r.name + "#activity", r.name == name})
	}
	ch.fill(counted, from, until, step)
	return ch, nil
}

// settingNames are the fields of the form of a stream's settings.
var settingNames = []string{"reference_key", "message_id_fields", "timestamp_field", "date_order", "phone_country", "raw_retention_days"}

func streamSettings(v visit, st warehouse.Stream, wrong map[string]string) []field {
	shown := map[string]string{
		"reference_key": st.ReferenceKey, "message_id_fields": strings.Join(st.MessageID, ", "), "timestamp_field": st.TimestampField,
		"date_order": st.DateOrder, "phone_country": st.PhoneCountry,
	}
	if st.RetentionDays > 0 {
		shown["raw_retention_days"] = strconv.Itoa(st.RetentionDays)
	}
	if v.Method == http.MethodPost {
		for _, name := range settingNames {
			shown[name] = v.post(name)
		}
	}
	text := func(name, label, example, help string) field {
		return field{Name: name, Label: label, Type: "text", Value: shown[name], Error: wrong[name], Example: example, Help: help}
	}
	dates := text("date_order", "Order of dates", "", "How dates such as 5/14/2024 are written. Without it they are refused, never guessed.")
	dates.Type = "select"
	dates.Options = choose([]option{{"", "Not given", false}, {"mdy", "Month, day, year", false}, {"dmy", "Day, month, year", false}, {"ymd", "Year, month, day", false}}, shown["date_order"])
	id := text("message_id_fields", "Columns that name a message", "order_id, line", "Together they make a message the same when it comes again: the same counts once, another content corrects it. Without them every message is its own. Several are separated by commas.")
	at := text("timestamp_field", "Column with the message's time", "updated_at", "Without one, the time of receipt.")
	for _, f := range []*field{&id, &at} {
		f.List = columnList
	}
	return []field{
		at, dates, id,
		text("phone_country", "Country of phone numbers", "US", "Two letters: where numbers are from that are written without a country code. The function phone() reads it."),
		text("raw_retention_days", "Keep messages for, in days", "730", "Without a number, for ever. A rebuild knows only what is kept."),
		text("reference_key", "Reference by column", "sku", "For streams of look-up rows such as prices, not of people: the column that lookup() finds a row by."),
	}
}

func (c *Console) saveStream(v visit) (view, error) {
	st, _, err := c.stream(v)
	if err != nil {
		return view{}, err
	}
	s := st.Stream
	s.ReferenceKey, s.TimestampField, s.DateOrder, s.PhoneCountry = v.post("reference_key"), v.post("timestamp_field"), v.post("date_order"), strings.ToUpper(v.post("phone_country"))
	s.MessageID, s.RetentionDays = listed(v.post("message_id_fields")), 0
	if days := v.post("raw_retention_days"); days != "" {
		if s.RetentionDays, err = strconv.Atoi(days); err != nil || s.RetentionDays < 0 || s.RetentionDays > daysKept {
			return c.streamPage(v, map[string]string{"raw_retention_days": "Must be a whole number of days, 0 or nothing for ever."})
		}
	}
	rebuild, err := c.Catalog.Declare(v.Context(), warehouse.Schema{Streams: []warehouse.Stream{s}}, v.who.Name)
	wrong, err := wrongFields(err, settingNames...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.streamPage(v, wrong)
	}
	return view{To: streamPath(s.Name), Said: saved("the settings of "+s.Name, rebuild)}, nil
}

// listed splits what is separated by commas.
func listed(text string) (out []string) {
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func (c *Console) acceptDrift(v visit) (view, error) {
	st, _, err := c.stream(v)
	if err == nil && c.Mapping == nil {
		err = activation.ErrNotFound
	}
	if err != nil {
		return view{}, err
	}
	if err := c.Mapping.SettleDrift(v.Context(), st.Name); err != nil {
		return refused(streamPath(st.Name), err)
	}
	c.drifts.drop(st.Name)
	if err := c.note(v, "accept", "stream", st.Name); err != nil {
		return view{}, err
	}
	return view{To: streamPath(st.Name), Said: flash{"ok", "What the stream brings now is accepted. You are told when it changes again."}}, nil
}

type messagesPage struct {
	Path    string
	Columns []string
	Rows    []messageRow
}

type messageRow struct {
	warehouse.Message
	Cells []string
}

// messages are the newest messages of a stream as they were received. They are
// for administrators, and who read them is noted.
func (c *Console) messages(v visit) (view, error) {
	st, _, err := c.stream(v)
	if err != nil {
		return view{}, err
	}
	if !v.who.May(activation.RoleAdmin) {
		return trouble(http.StatusForbidden, "Your role may not see messages", "Messages as they were received are for admins; you are "+string(v.who.Role)+"."), nil
	}
	all, err := c.Warehouse.Messages(v.Context(), st.Name, messagesShown)
	if err != nil {
		return view{}, err
	}
	if err := c.note(v, "read messages", "stream", st.Name); err != nil {
		return view{}, err
	}
	p := messagesPage{Path: streamPath(st.Name), Columns: st.Columns}
	for _, m := range all {
		row := messageRow{Message: m}
		for _, column := range st.Columns {
			row.Cells = append(row.Cells, m.Values[column])
		}
		p.Rows = append(p.Rows, row)
	}
	return view{Template: "messages", Title: "Messages of " + st.Name, Section: "/data", Crumbs: []link{{"/data", "Data"}, {p.Path, st.Name}}, Body: p}, nil
}
