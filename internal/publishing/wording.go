package publishing

import (
	"fmt"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// maxShown is how many characters of a value the text of an entry shows.
	maxShown = 60
	// maxWords is how long such a text is.
	maxWords = 300
)

// quoted is the name of an object within a sentence.
func quoted(name string) string { return "“" + short(name, maxShown) + "”" }

func short(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// shown is a value within a sentence.
func shown(v string) string {
	if v == "" {
		return "none"
	}
	return short(v, maxShown)
}

// inWords says what an entry does. parent is the name of what the object lies in, for
// objects whose own name does not tell which is meant, "" = it is not said.
func inWords(op activation.Operation, t provider.ObjectType, name, parent string, changes []activation.Change) string {
	named := quoted(name)
	if parent != "" {
		named += " in " + quoted(parent)
	}
	switch op {
	case activation.OpDelete:
		return "Delete " + t.Name + " " + named
	case activation.OpCreate:
		return "Create " + t.Name + " " + named
	default:
	}
	if len(changes) == 1 && changes[0].Field == activation.FieldStatus {
		if changes[0].After == activation.StatusPaused {
			return "Pause " + named
		}
		return "Resume " + named
	}
	parts := make([]string, len(changes))
	for i, c := range changes {
		parts[i] = fmt.Sprintf("%s %s → %s", fieldWords(t, c.Field), shown(c.Before), shown(c.After))
	}
	return short(named+": "+strings.Join(parts, ", "), maxWords)
}

// fieldWords is a field as a sentence has it: its name, in words.
func fieldWords(t provider.ObjectType, name string) string {
	if f, ok := t.Field(name); ok && f.Label != "" && !strings.Contains(f.Label, " ") {
		return strings.ToLower(f.Label[:1]) + f.Label[1:]
	}
	return strings.ReplaceAll(name, "_", " ")
}
