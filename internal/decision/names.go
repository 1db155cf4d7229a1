package decision

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"usher/internal/activation"
)

const (
	// maxName is the most characters of the name of an issue, group or action.
	maxName = 60
	// maxDescriptionBytes is the longest description.
	maxDescriptionBytes = 2000
	// maxPriority is the highest priority; its negative is the lowest.
	maxPriority = 1_000_000
	// maxStem is how long a slug may be before what makes it unique and the -n of
	// the negative audience; slugs have at most 63 characters.
	maxStem = 55
)

// nameShape is what names are made of. A hyphen would part the name of an
// audience in the wrong place, a slash that of a level.
var nameShape = regexp.MustCompile(`^[\p{L}\p{M}\p{Nd}_. ]+$`)

// notSlug is what no slug has.
var notSlug = regexp.MustCompile(`[^a-z0-9_]+`)

// quoted shows a name that may be anything, cut to what a name may be.
func quoted(s string) string {
	if utf8.RuneCountInString(s) > 2*maxName {
		s = string([]rune(s)[:2*maxName]) + "…"
	}
	return strconv.Quote(s)
}

// problems gathers what is wrong with an issue, a group or an action.
type problems struct{ activation.Problems }

func (p *problems) add(field, format string, args ...any) { p.Add(codeBad, field, format, args...) }

// names checks name and description, which come back trimmed. taken are the
// names beside which it must be told apart.
func (p *problems) names(name, description string, taken map[string]bool) (string, string) {
	name, description = strings.TrimSpace(name), strings.TrimSpace(description)
	switch {
	case name == "":
		p.add("name", "is needed")
	case utf8.RuneCountInString(name) > maxName:
		p.add("name", "must have at most %d characters", maxName)
	case !nameShape.MatchString(name):
		p.add("name", "must be made of letters, digits, spaces, _ and full stops, without - and /")
	case taken[strings.ToLower(name)]:
		p.add("name", "is taken; choose another one")
	}
	if len(description) > maxDescriptionBytes {
		p.add("description", "must have at most %d bytes", maxDescriptionBytes)
	}
	return name, description
}

// slugOf makes the short name of an action's audience from its name, so that
// neither it nor that of the negative audience is taken.
func slugOf(name string, taken func(string) bool) string {
	stem := stemOf(name)
	slug := stem
	for n := 2; taken(slug) || taken(slug+negativeSlug); n++ {
		slug = fmt.Sprintf("%s-%d", stem, n)
	}
	return slug
}

// NegativeSlug is the short name of the negative audience of an action that these
// names get where nothing else has it.
func NegativeSlug(issue, group, action string) string {
	return stemOf(issue+"-"+group+"-"+action) + negativeSlug
}

func stemOf(name string) string {
	stem := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if stem == "" || stem[0] < 'a' || stem[0] > 'z' {
		stem = strings.TrimSuffix("action-"+stem, "-")
	}
	return strings.TrimRight(stem[:min(len(stem), maxStem)], "-")
}

// The endings of the negative audience's name and slug.
const (
	negativeName = "-N"
	negativeSlug = "-n"
)
