package provider

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
)

// MaxNoticeBytes is the most of one text of a notice that is shown: names and
// messages are people's and networks', and no far side takes them at any length.
const MaxNoticeBytes = 500

// sourceWords are what people call the sources of events.
var sourceWords = map[activation.Source]string{
	activation.SourceWork: "Job", activation.SourceAuth: "Authorization", activation.SourceSegment: "Audience",
	activation.SourceQuery: "Mapping", activation.SourceServer: "Server",
}

// typeWords are what people call the types of events.
var typeWords = map[activation.EventType]string{
	activation.EventErred: "has an error", activation.EventFailed: "failed", activation.EventRecovered: "works again", activation.EventStalled: "made no progress",
	activation.EventApproval: "waits for approval", activation.EventUnhealthy: "does not work any more", activation.EventExpiring: "ends soon", activation.EventRejected: "had rows rejected",
	activation.EventUnusual: "had unusual counts", activation.EventDrifted: "does not match its network", activation.EventPurgeDue: "will be purged in a week", "test": "sends a test notice",
}

// Title is the notice in one line of plain text: what happened to what.
func (n Notice) Title() string {
	what := sourceWords[n.Source]
	if what == "" {
		what = Line(string(n.Source))
	}
	if name := Line(n.SubjectName); n.Source != activation.SourceServer && name != "" {
		what += " " + name
	}
	word := typeWords[n.Type]
	switch {
	case n.Source == activation.SourceQuery && n.Type == activation.EventDrifted:
		return "Stream " + Line(n.SubjectName) + " brings what nobody declared"
	case n.Recovery && n.Type == activation.EventRejected:
		word = "has fewer rows rejected"
	case word == "":
		word = "was " + Line(string(n.Type))
	}
	return what + " " + word
}

// Detail is one fact of a notice, as plain text.
type Detail struct{ Name, Text string }

// Details are the facts of the notice, the most telling first; empty ones are
// left out.
func (n Notice) Details() []Detail {
	run := ""
	if n.Run > 0 {
		run = "#" + strconv.FormatInt(n.Run, 10)
	}
	all := []Detail{
		{"What", Line(n.Message)},
		{"Code", Line(n.Code)},
		{"Run", run},
		{"When", n.Event.At.UTC().Format("2006-01-02 15:04:05 UTC")},
		{"Told by", Line(n.Job)},
		{"Open", Line(n.Link)},
	}
	out := all[:0]
	for _, d := range all {
		if d.Text != "" {
			out = append(out, d)
		}
	}
	return out
}

// Text is the whole notice as plain text, one fact a line.
func (n Notice) Text() string {
	var b strings.Builder
	b.WriteString(n.Title() + "\n")
	for _, d := range n.Details() {
		b.WriteString("\n" + d.Name + ": " + d.Text)
	}
	return b.String() + "\n"
}

// Line makes one line of a text that others wrote: control characters, which
// could end a header or a line, become spaces, and what is too long is cut.
func Line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= MaxNoticeBytes {
		return s
	}
	cut := MaxNoticeBytes - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
