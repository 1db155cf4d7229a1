package catalog

import (
	"fmt"
	"strings"

	"usher/internal/activation"
)

// problems gathers everything wrong with one declaration.
type problems []problem

type problem struct{ field, text string }

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, problem{field, fmt.Sprintf(format, args...)})
}

// name checks a text for people.
func (p *problems) name(field, value string) {
	switch {
	case strings.TrimSpace(value) == "":
		p.add(field, "is needed")
	case len(value) > 200:
		p.add(field, "is longer than 200 bytes")
	}
}

// err is nil, or one Invalid error of this code that names every wrong field.
func (p problems) err(code string) error {
	var all activation.Problems
	for _, one := range p {
		all.Add(code, one.field, "%s", one.text)
	}
	return all.Err()
}
