package duckdb

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// eventTime is the text, in SQL, of a time in Unix microseconds.
func eventTime(micros string) string { return rfc3339(fmt.Sprintf("make_timestamp(%s)", micros)) }

// streamEvents is the log of a stream. A stream that nobody has sent to yet has
// no events.
func (d *DB) streamEvents(ctx context.Context, q queryer, name string) (event, error) {
	st, ok := d.state.snapshot().streams[name]
	if !ok {
		return event{}, nil
	}
	var e event
	if err := queryRow(ctx, q, "read message number", `SELECT coalesce(max(_seq), 0) FROM `+st.table(), nil, &e.seq); err != nil {
		return e, err
	}
	e.from = fmt.Sprintf(`SELECT m._seq AS seq, m._time AS happened, m._received AS received, coalesce(l.pid, m._pid) AS pid%s
		FROM (SELECT * FROM (SELECT _seq AS seq, * FROM %s) WHERE %%s ORDER BY seq LIMIT %%d) m LEFT JOIN profile_merges l ON l.old = m._pid`, rawColumns(st), st.table())
	e.rest = fmt.Sprintf(`SELECT count(*) FROM (SELECT _seq AS seq, _time FROM %s) WHERE %%s`, st.table())
	e.source = func(name string, key matchkey.Key) (string, error) {
		switch name {
		case warehouse.SourceID:
			return messageName(st), nil
		case warehouse.SourceReceived:
			return eventTime("e.received"), nil
		case warehouse.SourceStream:
			return literal(st.Name), nil
		case warehouse.SourceMessage:
			return messageObject(st), nil
		}
		if column := st.column(name); column != "" {
			return "e." + column, nil
		}
		return "", unknownSource(name, key, fmt.Sprintf("the stream %q has no such column", st.Name))
	}
	return e, nil
}

// messageName is what names a message: what its stream declares, else its number.
func messageName(st stream) string {
	number := fmt.Sprintf("%s || e.seq", literal(st.Name+"-"))
	var parts, there []string
	for _, c := range st.MessageID {
		column := st.column(c)
		if column == "" {
			column = "NULL::VARCHAR"
		} else {
			column = "e." + column
		}
		parts, there = append(parts, column), append(there, column)
	}
	switch len(parts) {
	case 0:
		return number
	case 1:
		return fmt.Sprintf("coalesce(%s, %s)", parts[0], number)
	}
	for i, p := range parts { // so that no two lists of values read the same
		parts[i] = fmt.Sprintf("replace(replace(coalesce(%s, ''), '%%', '%%25'), '/', '%%2F')", p)
	}
	return fmt.Sprintf("CASE WHEN coalesce(%s) IS NULL THEN %s ELSE %s END", strings.Join(there, ", "), number, strings.Join(parts, " || '/' || "))
}

// messageObject is the whole message as a JSON object, without what it lacks.
func messageObject(st stream) string {
	if len(st.columns) == 0 {
		return `'{}'`
	}
	entries := make([]string, len(st.columns))
	for i, c := range st.columns {
		entries[i] = fmt.Sprintf("{'k': %s, 'v': e.c%d}", literal(c), i+1)
	}
	return fmt.Sprintf("CAST(to_json(map_from_entries(list_filter([%s], lambda x: x.v IS NOT NULL))) AS VARCHAR)", strings.Join(entries, ", "))
}

// audienceEvents is the log of who enters and leaves an audience. One who leaves
// it because they were merged into somebody who is in it does not leave it. Up
// to where a backfill began, those who are still there have entered, once.
func (d *DB) audienceEvents(ctx context.Context, q queryer, r warehouse.EventRequest, began int64) (event, error) {
	var e event
	var slug string
	n, seq, err := audienceNumber(ctx, q, r.Audience)
	if err != nil {
		return e, err
	}
	e.seq = seq
	if err := queryRow(ctx, q, "read audience", `SELECT slug FROM audiences WHERE n = $1`, []any{n}, &slug); err != nil {
		return e, err
	}
	wanted := []string{"NULL"}
	if r.Enters {
		wanted = append(wanted, "'enter'")
	}
	if r.Exits {
		wanted = append(wanted, "'exit'")
	}
	log := fmt.Sprintf(`SELECT c.seq, c.changed_at AS happened, c.changed_at AS received, coalesce(l.pid, c.pid) AS pid, c.event FROM membership_changes c LEFT JOIN profile_merges l ON l.old = c.pid
		WHERE c.audience = %[1]d AND (%%[1]s) AND c.event IN (%[2]s)
		  AND NOT (c.event = 'exit' AND l.pid IS NOT NULL AND l.pid IN (SELECT pid FROM membership WHERE audience = %[1]d))
		  AND (c.seq > %[3]d OR c.seq IN (SELECT max(seq) FROM membership_changes WHERE audience = %[1]d AND seq <= %[3]d AND event IN ('enter', 'exit') GROUP BY pid HAVING arg_max(event, seq) = 'enter'))`,
		n, strings.Join(wanted, ", "), began)
	e.from, e.rest = log+` ORDER BY c.seq LIMIT %[2]d`, `SELECT count(*) FROM (`+log+`)`
	e.source = func(name string, key matchkey.Key) (string, error) {
		switch name {
		case warehouse.SourceID:
			return fmt.Sprintf("%s || e.seq", literal(string(r.Audience)+"-")), nil
		case warehouse.SourceReceived:
			return eventTime("e.received"), nil
		case warehouse.SourceEvent:
			return "e.event", nil
		case warehouse.SourceAudience:
			return literal(slug), nil
		case warehouse.SourceAudienceID:
			return literal(string(r.Audience)), nil
		}
		if f, ok := d.state.snapshot().field(name); ok {
			return keySource(f, key.Exact), nil
		}
		return "", unknownSource(name, key, "events of an audience have no such column")
	}
	return e, nil
}

// sources is what feeds each key of a request, as SQL over e and p.
func (d *DB) sources(r warehouse.EventRequest, e event) ([]string, error) {
	person := matchkey.Set{Keys: r.Keys.Keys[r.Columns:], Fields: r.Keys.Fields[r.Columns:]}
	ofPerson, err := keySources(d.state.snapshot(), person)
	if err != nil {
		return nil, err
	}
	var all []string
	for i, name := range r.Keys.Fields[:r.Columns] {
		expr, err := anySource(name, r.Keys.Keys[i], e)
		if err != nil {
			return nil, err
		}
		all = append(all, expr)
	}
	return append(all, ofPerson...), nil
}

func anySource(name string, key matchkey.Key, e event) (string, error) {
	if len(name) >= 2 && strings.HasPrefix(name, `"`) && strings.HasSuffix(name, `"`) {
		return literal(name[1 : len(name)-1]), nil
	}
	switch name {
	case warehouse.SourceTime:
		return eventTime("e.happened"), nil
	case warehouse.SourceProfile:
		return "CAST(p._pid AS VARCHAR)", nil
	case warehouse.SourceAudiences:
		return `(SELECT coalesce(CAST(to_json(list(a.slug ORDER BY a.slug)) AS VARCHAR), '[]') FROM membership i JOIN audiences a ON a.n = i.audience WHERE i.pid = p._pid)`, nil
	}
	return e.source(name, key)
}

func unknownSource(name string, key matchkey.Key, why string) error {
	return &activation.Error{
		Kind: activation.Invalid, Code: "EVENT-COLUMN", Field: key.Name,
		Message: fmt.Sprintf("%s is to be fed by %s, but %s; name another, or a text in double quotes", key.Name, strconv.Quote(name), why),
	}
}
