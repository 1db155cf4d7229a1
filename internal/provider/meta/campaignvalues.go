package meta

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	metaActive   = "ACTIVE"
	metaPaused   = "PAUSED"
	metaArchived = "ARCHIVED"
	metaDeleted  = "DELETED"
	// noCategory stands for no special ad category.
	noCategory = "NONE"

	// timeForm is how values are kept, metaTime how Meta writes times.
	timeForm = "2006-01-02 15:04"
	metaTime = "2006-01-02T15:04:05-0700"
)

// written is what an edit is at Meta.
type written struct {
	path string
	form url.Values
	// values are what the fields come to where that is not just what was asked.
	values map[string]string
}

// write makes the request of an edit. was is the targeting as Meta has it, for edits
// that change it. problem is set where Meta can't be asked for it.
func (p *publisher) write(e provider.Edit, was json.RawMessage) (w written, problem *provider.EditOutcome) {
	l, ok := levelOf(e.Type)
	if !ok || l.kind != e.Object.Kind {
		return w, unwritable("", "there is no such type of object")
	}
	w = written{path: e.Object.ID, form: url.Values{}, values: map[string]string{}}
	create := e.Operation == activation.OpCreate
	if create {
		w.path = p.account() + "/" + l.edge
		if l.up != "" {
			if !numberPattern.MatchString(e.Parent.ID) {
				return w, unwritable("", "what it lies in is not there")
			}
			w.form.Set(l.up, e.Parent.ID)
		}
	} else if !numberPattern.MatchString(e.Object.ID) {
		return w, unwritable("", "the object has no id of meta's")
	}
	if e.Operation == activation.OpDelete {
		w.form.Set("status", metaDeleted)
		return w, nil
	}
	clear := slices.Clone(e.Clear)
	for field, v := range e.Set {
		m, ok := l.member(field)
		switch {
		case !ok, m.Shown, m.Fixed && !create:
			return w, unwritable(field, "meta does not let this be changed")
		case v == "":
			clear = append(clear, field)
		default:
			if problem := p.writeValue(&w, m, v); problem != nil {
				return w, problem
			}
		}
	}
	for _, field := range clear {
		m, ok := l.member(field)
		switch {
		case !ok, m.Shown, m.Fixed && !create:
			return w, unwritable(field, "meta does not let this be changed")
		case create, m.form == asTargeting:
		case m.empty == "":
			return w, unwritable(field, "meta does not let this be emptied")
		case m.form == asSchedule:
			w.setSchedule(nil)
		default:
			w.form.Set(m.param, m.empty)
		}
	}
	return w, p.writeWhole(&w, l, e, was)
}

// writeWhole adds what is written as a whole, and what a create needs that nobody
// asked for.
func (p *publisher) writeWhole(w *written, l level, e provider.Edit, was json.RawMessage) *provider.EditOutcome {
	create := e.Operation == activation.OpCreate
	if l.name == typeSet && (create || targets(e)) {
		merged, ok := mergeTargeting(was, e)
		if !ok {
			return unwritable(fieldTargeting, "the targeting at meta cannot be understood")
		}
		w.form.Set("targeting", string(merged))
		w.values[fieldTargeting] = canonical(merged)
	}
	if !create {
		return nil
	}
	if l.name == typeCreative {
		text, ok := writeStory(e.Set)
		if !ok {
			return unwritable(fieldContent, "the content cannot be written")
		}
		w.form.Set("object_story_spec", text)
		w.values[fieldContent] = canonical(json.RawMessage(text))
		return nil
	}
	if w.form.Get("status") == "" {
		w.form.Set("status", metaPaused)
		w.values[activation.FieldStatus] = activation.StatusPaused
	}
	if l.name == typeCampaign {
		if w.form.Get(fieldCategories) == "" {
			w.form.Set(fieldCategories, "[]")
		}
		if w.form.Get("daily_budget") == "" && w.form.Get("lifetime_budget") == "" && w.form.Get("is_adset_budget_sharing_enabled") == "" {
			w.form.Set("is_adset_budget_sharing_enabled", "false")
			w.values[fieldSharing] = "false"
		}
	}
	return nil
}

// writeValue adds one value.
func (p *publisher) writeValue(w *written, m member, v string) *provider.EditOutcome {
	switch m.form {
	case asStatus:
		switch v {
		case activation.StatusEnabled:
			v = metaActive
		case activation.StatusPaused:
			v = metaPaused
		default:
			return unwritable(m.Name, "the status must be enabled or paused")
		}
	case asMoney:
		units, ok := toUnits(v, p.learned.Currency)
		if !ok {
			return unwritable(m.Name, "the amount must be a number such as 12.50")
		}
		if got, ok := fromUnits(units, p.learned.Currency); ok && got != v {
			w.values[m.Name] = got
		}
		v = units
	case asTime:
		at, err := time.ParseInLocation(timeForm, v, p.learned.zone)
		if err != nil {
			return unwritable(m.Name, "the time must be like 2026-11-20 20:00")
		}
		v = at.Format(metaTime)
	case asWords:
		words := slices.DeleteFunc(provider.List(v), func(w string) bool { return w == noCategory })
		if len(words) == 0 { // Meta's word for none
			w.values[m.Name] = ""
		}
		text, err := json.Marshal(append([]string{}, words...))
		if err != nil {
			return unwritable(m.Name, "the list cannot be written")
		}
		v = string(text)
	case asJSON:
		if canonical(json.RawMessage(v)) == "" || !strings.HasPrefix(strings.TrimSpace(v), "{") {
			return unwritable(m.Name, "it must be a JSON object")
		}
	case asBool:
		on, err := strconv.ParseBool(v)
		if err != nil {
			return unwritable(m.Name, "it must be true or false")
		}
		v = strconv.FormatBool(on)
	case asReference:
		if !numberPattern.MatchString(v) {
			return unwritable(m.Name, "what it refers to is not there")
		}
		v = `{"creative_id":"` + v + `"}`
	case asFloor:
		text, floor, ok := writeFloor(v)
		if !ok {
			return unwritable(m.Name, "the floor must be a number from 0.01 to 1000, such as 1.5")
		}
		w.told(m.Name, v, floor)
		v = text
	case asSchedule:
		week, ok := parseWeek(provider.List(v))
		if !ok {
			return unwritable(m.Name, "a part of the schedule must be days and whole hours such as mon-fri 09:00-17:00, with or without account behind them")
		}
		w.told(m.Name, v, week.String())
		w.setSchedule(week)
		return nil
	case asWindows:
		list, ok := parseWindows(provider.List(v))
		if !ok {
			return unwritable(m.Name, "an attribution window must be days and what counts, such as 7d_click")
		}
		w.told(m.Name, v, list.String())
		v = list.spec()
	case asTargeting, asContent:
		return nil // written as a whole
	case asText:
	}
	w.form.Set(m.param, v)
	return nil
}

// told notes a value that is kept in another form than it was asked for.
func (w *written) told(field, asked, kept string) {
	if asked != kept {
		w.values[field] = kept
	}
}

// unwritable is the outcome of an edit that Meta is not asked for.
func unwritable(field, why string) *provider.EditOutcome {
	return &provider.EditOutcome{State: provider.EditRefused, Code: classEdit.Code, Text: why, Field: field, Answer: "it was not sent"}
}

// state makes an object of what Meta says of it. gone is true for one that is
// archived or deleted.
func (p *publisher) state(l level, in map[string]json.RawMessage) (s provider.ObjectState, gone bool) {
	s = provider.ObjectState{ObjectRef: activation.ObjectRef{Kind: l.kind, ID: scalar(in["id"])}, Type: l.name, Fields: map[string]string{}}
	if up, ok := levelOf(l.parent); ok {
		s.Parent = activation.ObjectRef{Kind: up.kind, ID: scalar(in[l.up])}
	}
	for _, name := range []string{"status", "effective_status"} {
		if v := scalar(in[name]); v == metaArchived || v == metaDeleted {
			return s, true
		}
	}
	for _, m := range l.members {
		if raw := in[m.param]; m.param != "" && len(raw) > 0 && string(raw) != "null" {
			p.readValue(m, raw, s.Fields)
		}
	}
	return s, false
}

// readValue takes one value out of an answer. What cannot be understood counts as no
// value.
func (p *publisher) readValue(m member, raw json.RawMessage, into map[string]string) {
	text := scalar(raw)
	switch m.form {
	case asStatus:
		switch text {
		case metaPaused:
			into[m.Name] = activation.StatusPaused
		case metaActive:
			into[m.Name] = activation.StatusEnabled
		}
	case asMoney:
		if got, ok := fromUnits(text, p.learned.Currency); ok && text != "0" && text != m.empty {
			into[m.Name] = got
		}
	case asTime:
		if at, err := time.Parse(metaTime, text); err == nil && at.Unix() > 0 {
			into[m.Name] = at.In(p.learned.zone).Format(timeForm)
		}
	case asWords:
		var words []string
		_ = json.Unmarshal(raw, &words) // none, then
		words = slices.DeleteFunc(words, func(w string) bool { return w == noCategory })
		put(into, m.Name, strings.Join(words, ","))
	case asJSON:
		put(into, m.Name, canonical(raw))
	case asReference:
		put(into, m.Name, idOf(raw))
	case asTargeting:
		readTargeting(raw, into)
	case asFloor:
		put(into, m.Name, readFloor(raw))
	case asSchedule:
		put(into, m.Name, readWeek(raw).String())
	case asWindows:
		put(into, m.Name, readWindows(raw).String())
	case asContent:
		readStory(raw, into)
	case asText, asBool:
		put(into, m.Name, text)
	}
}

// scalar is a JSON text, number or boolean as a text, "" for anything else.
func scalar(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || string(raw) == "null" {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
