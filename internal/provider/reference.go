package provider

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/matchkey"
)

// Reference is the part of the provider's docs page that follows from the
// definition, as Markdown. A test in provider/all keeps the pages equal to it.
func (d Definition) Reference() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", d.Description)
	exports := slices.DeleteFunc(slices.Clone(d.Workflows), func(w Workflow) bool { return w.Direction != Export })
	rows := [][]string{
		{"Provider", "`" + d.Name + "`"},
		{"Workflows", workflowList(d.Workflows)},
	}
	if d.NewDestination != nil {
		rows = append(rows, []string{"Shown as", d.DestinationType})
		if d.AccountHelp != "" {
			rows = append(rows, []string{"Account", d.AccountHelp})
		}
	}
	if d.OAuth != nil {
		rows = append(rows, []string{"Sign-in", signIn(*d.OAuth)})
	}
	if pace := paceText(d); pace != "" {
		rows = append(rows, []string{"Calls per minute", pace})
	}
	if len(exports) == 1 {
		rows = append(rows, limits(d, exports)...)
	}
	table(&b, []string{"", ""}, rows)
	if len(exports) > 1 {
		head := []string{""}
		for _, w := range exports {
			head = append(head, w.Title)
		}
		b.WriteString("\n### Limits\n\n")
		table(&b, head, limits(d, exports))
	}
	fieldTable(&b, "Authorization", d.AuthFields)
	fieldTable(&b, "Destination", d.DestinationFields)
	for _, w := range d.Workflows {
		fieldTable(&b, "Job: "+w.Title, w.Fields)
	}
	for _, w := range exports {
		eventTable(&b, w)
	}
	ruleTables(&b, d, exports)
	publishingTables(&b, d)
	return b.String()
}

func workflowList(all []Workflow) string {
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = "`" + w.Name + "` (" + w.Title + ")"
	}
	return strings.Join(names, ", ")
}

func signIn(o OAuth) string {
	text := "OAuth 2.0 by an app of your own"
	if len(o.Scopes) > 0 {
		text += ", scopes `" + strings.Join(o.Scopes, "`, `") + "`"
	}
	if o.RefreshLife > 0 {
		return text + "; somebody connects again within " + span(o.RefreshLife)
	}
	return text + "; good until it is revoked"
}

func paceText(d Definition) string {
	settable := slices.ContainsFunc(d.AuthFields, func(f Field) bool { return f.Name == PaceField })
	switch {
	case d.RequestsPerMinute > 0 && settable:
		return fmt.Sprintf("at most %d per authorization, or what its setting `%s` says", d.RequestsPerMinute, PaceField)
	case d.RequestsPerMinute > 0:
		return fmt.Sprintf("at most %d per authorization", d.RequestsPerMinute)
	case settable:
		return "what the authorization's setting `" + PaceField + "` says"
	}
	return ""
}

// limits are rows with a cell for each of the workflows.
func limits(d Definition, exports []Workflow) [][]string {
	rows := [][]string{
		{"Takes"},
		{"Rows per call"},
		{"Bytes per call"},
		{"Calls at once"},
		{"Time between runs"},
		{"Sent twice"},
		{"Members are kept"},
		{"Compared by"},
		{"Replaced in one go"},
		{"Events are taken"},
		{"Answers"},
	}
	anyState, anyWindow := false, false
	for _, w := range exports {
		of := d.For(w.Name)
		members, window, compared, replaced := "", "", "", ""
		if w.Kind == State {
			members, anyState = kept(of.Refresh), true
			compared, replaced = comparedBy(of), yes(of.Replaces)
		}
		if w.Window != nil {
			window, anyWindow = "whatever their age", true
			if age := w.Window(nil, nil); age > 0 {
				window = "until they are " + span(age) + " old"
			}
		}
		for i, cell := range []string{
			takes(w),
			fmt.Sprintf("at most %d", of.MaxRows),
			atMost(of.MaxBytes),
			fmt.Sprintf("at most %d per authorization", of.Concurrency),
			atLeast(of.MinInterval),
			replayText(of),
			members,
			compared,
			replaced,
			window,
			map[bool]string{false: "at once", true: "later; Usher asks for them"}[of.Async],
		} {
			rows[i] = append(rows[i], cell)
		}
	}
	return slices.DeleteFunc(rows, func(row []string) bool {
		state := row[0] == "Members are kept" || row[0] == "Compared by" || row[0] == "Replaced in one go"
		return state && !anyState || row[0] == "Events are taken" && !anyWindow
	})
}

// comparedBy is what a reconciliation has to go by.
func comparedBy(of Definition) string {
	switch {
	case of.Lists:
		return "its members, one by one"
	case of.Sizes:
		return "how many there are, as the network tells it"
	}
	return "nothing: what is there cannot be read back"
}

func takes(w Workflow) string {
	switch {
	case w.Kind == State:
		return "people: an audience is kept in step"
	case w.Feed == FeedAudience:
		return "people entering and leaving audiences, each once"
	default:
		return "the messages of a stream, each once"
	}
}

// table writes rows below a head; cells that are missing stay empty.
func table(b *strings.Builder, head []string, rows [][]string) {
	line := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(b, "| %s ", c)
		}
		b.WriteString("|\n")
	}
	if strings.Join(head, "") == "" {
		b.WriteString("| | |\n") // as an editor writes it
	} else {
		line(head)
	}
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, row := range rows {
		line(row)
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

// eventTable says what an event of the workflow carries beside the match keys.
func eventTable(b *strings.Builder, w Workflow) {
	if len(w.Events) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### Event: %s\n\n| Key | Required | Hashed | Enough to send it | What it is |\n|---|---|---|---|---|\n", w.Title)
	for _, k := range w.Events {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", k.Name, yes(k.Required), yes(k.Hash), yes(k.Identifies), k.Help)
	}
}

// ruleTables writes each rule set once, and for which workflows it is where they
// have different ones.
func ruleTables(b *strings.Builder, d Definition, exports []Workflow) {
	if d.NewDestination == nil {
		return
	}
	var sets []matchkey.RuleSet
	users := map[string][]string{}
	open := false
	for _, w := range exports {
		of := d.For(w.Name)
		open = open || of.OpenColumns != nil
		if len(of.RuleSet.Keys) == 0 {
			continue
		}
		if users[of.RuleSet.Name] == nil {
			sets = append(sets, of.RuleSet)
		}
		users[of.RuleSet.Name] = append(users[of.RuleSet.Name], w.Title)
	}
	for _, rs := range sets {
		fmt.Fprintf(b, "\n### Match keys (%s)\n\n", rs.Name)
		if len(sets) > 1 || open {
			fmt.Fprintf(b, "For %s.\n\n", strings.Join(users[rs.Name], ", "))
		}
		b.WriteString("| Key | Hashed | Finds a person alone | What it is |\n|---|---|---|---|\n")
		for _, k := range rs.Keys {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k.Name, yes(k.Hash), yes(k.Identifies), k.Help)
		}
	}
	if open {
		fmt.Fprintf(b, "\n### Columns of your own\n\nThe destination's mapping names the columns: any name, each fed by a field of the profile and sent as the profile has it. `%s` says by which one a person is found (empty = the first by name); those in `%s` leave as the SHA-256 of their value, trimmed and in lower case.\n", IDColumnField, HashColumnsField)
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
	return "at least " + span(d)
}

func kept(d time.Duration) string {
	if d == 0 {
		return "until they are removed"
	}
	return "as long as they are sent again, which Usher does after " + span(d)
}

// span writes a duration in its largest whole unit.
func span(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.size; n > 0 && d%u.size == 0 {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return d.String()
}

func replayText(d Definition) string {
	switch d.Replay {
	case ReplayHarmless:
		return "the same as once; what is unknown is sent again by itself"
	case ReplayDeduplicated:
		return "dropped by the network within " + span(d.ReplayWindow)
	case ReplayNever:
		return "counts twice; what is unknown is sent again by a person only"
	}
	return ""
}
