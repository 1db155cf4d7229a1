package provider

import (
	"fmt"
	"strings"
	"time"
)

// Reference is the part of the provider's docs page that follows from the
// definition, as Markdown. A test in provider/all keeps the pages equal to it.
func (d Definition) Reference() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", d.Description)
	b.WriteString("| | |\n|---|---|\n")
	rows := [][2]string{
		{"Provider", "`" + d.Name + "`"},
		{"Workflows", workflowList(d.Workflows)},
	}
	if d.NewDestination != nil {
		rows = append(rows, destinationRows(d)...)
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	fieldTable(&b, "Authorization", d.AuthFields)
	fieldTable(&b, "Destination", d.DestinationFields)
	for _, w := range d.Workflows {
		fieldTable(&b, "Job: "+w.Title, w.Fields)
	}
	if len(d.RuleSet.Keys) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\n### Match keys (%s)\n\n| Key | Hashed | Finds a person alone | What it is |\n|---|---|---|---|\n", d.RuleSet.Name)
	for _, k := range d.RuleSet.Keys {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, yes(k.Hash), yes(k.Identifies), k.Help)
	}
	return b.String()
}

func workflowList(all []Workflow) string {
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = "`" + w.Name + "` (" + w.Title + ")"
	}
	return strings.Join(names, ", ")
}

func destinationRows(d Definition) [][2]string {
	return [][2]string{
		{"Shown as", d.DestinationType},
		{"Account", d.AccountHelp},
		{"Rows per call", fmt.Sprintf("at most %d", d.MaxRows)},
		{"Bytes per call", atMost(d.MaxBytes)},
		{"Calls at once", fmt.Sprintf("at most %d per authorization", d.Concurrency)},
		{"Time between runs", atLeast(d.MinInterval)},
		{"Sent twice", replayText(d)},
		{"Members are kept", kept(d.Refresh)},
		{"Answers", map[bool]string{false: "at once", true: "later; Usher asks for them"}[d.Async]},
	}
}

func fieldTable(b *strings.Builder, title string, fields []Field) {
	if len(fields) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n| Field | Type | Required | Default | Meaning |\n|---|---|---|---|---|\n", title)
	for _, f := range fields {
		kind := f.Type
		if len(f.Options) > 0 {
			kind += ": `" + strings.Join(f.Options, "`, `") + "`"
		}
		if f.Secret {
			kind += ", secret"
		}
		fallback := ""
		if f.Default != "" {
			fallback = "`" + f.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.Name, kind, yes(f.Required), fallback, f.Help)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func atMost(n int64) string {
	if n == 0 {
		return "no limit"
	}
	return fmt.Sprintf("at most %d", n)
}

func atLeast(d time.Duration) string {
	if d == 0 {
		return "no limit"
	}
	return "at least " + d.String()
}

func kept(d time.Duration) string {
	if d == 0 {
		return "until they are removed"
	}
	return d.String() + " after they were last sent"
}

func replayText(d Definition) string {
	switch d.Replay {
	case ReplayHarmless:
		return "the same as once; what is unknown is sent again by itself"
	case ReplayDeduplicated:
		return "dropped by the network within " + d.ReplayWindow.String()
	case ReplayNever:
		return "counts twice; what is unknown is sent again by a person only"
	}
	return ""
}
