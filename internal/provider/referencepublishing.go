package provider

import (
	"cmp"
	"fmt"
	"strings"
)

// publishingTables write what a provider lets be edited, type by type.
func publishingTables(b *strings.Builder, d Definition) {
	p := d.Publishing
	if p == nil {
		return
	}
	settles := "at once"
	if p.Settles > 0 {
		settles = "after " + span(p.Settles)
	}
	b.WriteString("\n### Campaigns\n\n")
	table(b, []string{"", ""}, [][]string{
		{"Account", p.AccountHelp},
		{"Jobs of an account", "`" + p.Sync + "`, `" + p.Post + "`"},
		{"Edits per call", fmt.Sprintf("at most %d", p.MaxEdits)},
		{"A call without an answer", "is read back " + settles + ", and not sent again before"},
		{"Costs", fmt.Sprintf("the last %d days are read again each night", p.CostDays)},
	})
	fieldTable(b, "Publisher account", p.Fields)
	for _, t := range p.Objects {
		objectTable(b, p, t)
	}
}

func objectTable(b *strings.Builder, p *Publishing, t ObjectType) {
	fmt.Fprintf(b, "\n### Object: %s\n\nType `%s`, posted as %s.", t.Title, t.Name, t.Kind)
	if parent, ok := p.Object(t.Parent); ok {
		fmt.Fprintf(b, " Lies in one of %s.", strings.ToLower(parent.Title))
	}
	switch {
	case t.Creates && t.Deletes:
		b.WriteString(" Can be created and deleted.")
	case t.Creates:
		b.WriteString(" Can be created, not deleted.")
	case t.Deletes:
		b.WriteString(" Can be deleted, not created.")
	default:
		b.WriteString(" Can be neither created nor deleted.")
	}
	b.WriteString("\n\n| Field | Type | To create one | Can be changed | In a file also | Meaning |\n|---|---|---|---|---|---|\n")
	for _, f := range t.Fields {
		needed := ""
		switch {
		case f.Required:
			needed = "required"
		case f.Shown:
			needed = "never given"
		}
		aliases := ""
		if len(f.Aliases) > 0 {
			aliases = "`" + strings.Join(f.Aliases, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", f.Name, objectFieldType(p, f), needed, changes(f), aliases, f.Help)
	}
}

// objectFieldType says what a value looks like.
func objectFieldType(p *Publishing, f ObjectField) string {
	kind := f.Type
	if of, ok := p.Object(f.Object); ok {
		kind = "id of one of " + strings.ToLower(of.Title)
	}
	if len(f.Options) > 0 {
		kind += ": `" + strings.Join(f.Options, "`, `") + "`"
	}
	if f.Max > 0 {
		kind += fmt.Sprintf(", at most %d characters", f.Max)
	}
	return kind
}

func changes(f ObjectField) string {
	switch {
	case f.Shown:
		return "no: only read"
	case f.Fixed:
		return "no: as created"
	}
	return "yes: " + string(cmp.Or(f.Operation, "edit"))
}
