package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/store"
)

const (
	// jobLines is how many lines of its log a job's page holds.
	jobLines = 500
	// linesAtOnce is how many lines of a download are read at a time.
	linesAtOnce = 1000
)

// jobLog is the end of a job's log.
type jobLog struct {
	Events       []option
	Event        string
	Lines        []logLine
	NDJSON, Text string
}

type logLine struct {
	activation.LogEntry
	Tone, Says string
}

func (c *Console) jobLines(v visit, j activation.Job, p *jobPage) error {
	f := store.LogFilter{Job: j.ID, Limit: jobLines, Newest: true, Events: logEvents(v)}
	lines, err := c.Store.Logs(v.Context(), f)
	if err != nil {
		return err
	}
	event := ""
	if len(f.Events) > 0 {
		event = string(f.Events[0])
	}
	at := jobPath(j.ID) + "/log?event=" + event + "&format="
	p.Log = jobLog{Event: event, NDJSON: at + "ndjson", Text: at + "text"}
	for _, e := range activation.LogEvents {
		p.Log.Events = append(p.Log.Events, option{string(e), sentenceWord(strings.ReplaceAll(string(e), "_", " ")), string(e) == event})
	}
	for _, l := range lines {
		p.Log.Lines = append(p.Log.Lines, logLine{l, logTone(l), logSays(l)})
	}
	return nil
}

// logEvents is the event that the page is asked for, if there is such a one.
func logEvents(v visit) []activation.LogEvent {
	if e := activation.LogEvent(v.get("event")); slices.Contains(activation.LogEvents, e) {
		return []activation.LogEvent{e}
	}
	return nil
}

// logTone is the colour of the event of a line.
func logTone(l activation.LogEntry) string {
	switch l.Level {
	case "error":
		return "bad"
	case "warn":
		return "warn"
	}
	switch l.Event {
	case activation.LogStarted, activation.LogResumed, activation.LogBounced:
		return "run"
	case activation.LogSleeping:
		return "wait"
	case activation.LogPaused, activation.LogKilled, activation.LogPurgeDue, activation.LogCreated, activation.LogUpdated, activation.LogItem:
		return "off"
	case activation.LogSynced, activation.LogError, activation.LogFailed, activation.LogCompleted:
	}
	return "ok"
}

// logSays is a line in words, without its time and event.
func logSays(l activation.LogEntry) string {
	var b strings.Builder
	b.WriteString(l.Message)
	if l.Code != "" {
		b.WriteString(" (" + l.Code + ")")
	}
	n := l.Context
	if n.Run > 0 {
		b.WriteString(", run #" + num(n.Run))
	}
	var counts []string
	if n.Added != 0 || n.Removed != 0 || n.Omitted != 0 {
		counts = append(counts, num(n.Added)+" added", num(n.Removed)+" removed", num(n.Omitted)+" omitted")
	}
	if more := countsText(n.Counts); more != "" {
		counts = append(counts, more)
	}
	if len(counts) > 0 {
		b.WriteString(": " + joinComma(counts))
	}
	if n.User != "" && !strings.HasSuffix(l.Message, " by "+n.User) {
		b.WriteString(", by " + n.User)
	}
	return b.String()
}

// countsText is counts by name as words, by name.
func countsText(counts map[string]int64) string {
	var parts []string
	for name, n := range counts {
		parts = append(parts, strings.ReplaceAll(name, "_", " ")+" "+num(n))
	}
	slices.Sort(parts)
	return joinComma(parts)
}

// jobLogFile sends the whole log of a job, a line each, as JSON or as text.
func (c *Console) jobLogFile(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	j, err := c.Store.Job(v.Context(), activation.JobID(v.PathValue("id")))
	if err != nil {
		c.render(w, v, c.failed(v, err))
		return
	}
	kind, name := "application/x-ndjson", string(j.ID)+".ndjson"
	asText := v.get("format") == "text"
	if asText {
		kind, name = "text/plain; charset=utf-8", string(j.ID)+".txt"
	}
	f := store.LogFilter{Job: j.ID, Limit: linesAtOnce, Events: logEvents(v)}
	lines, err := c.Store.Logs(v.Context(), f)
	if err != nil {
		c.render(w, v, c.failed(v, err))
		return
	}
	secure(w)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="job-`+name+`"`)
	w.Header().Set("Cache-Control", "no-store")
	write := writeNDJSON
	if asText {
		write = writeText
	}
	for len(lines) > 0 {
		for _, l := range lines {
			if err := write(w, l); err != nil {
				return // the reader has gone
			}
		}
		f.After = lines[len(lines)-1].ID
		if lines, err = c.Store.Logs(v.Context(), f); err != nil {
			c.Log.ErrorContext(v.Context(), "log not sent to its end", slog.String("job", string(j.ID)), slog.Any("err", err))
			panic(http.ErrAbortHandler) // the reader must not take it for whole
		}
	}
}

func writeNDJSON(w http.ResponseWriter, l activation.LogEntry) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(l)
}

func writeText(w http.ResponseWriter, l activation.LogEntry) error {
	_, err := fmt.Fprintf(w, "%s %-9s %s\n", iso(l.At), l.Event, strings.ReplaceAll(logSays(l), "\n", " "))
	return err
}
