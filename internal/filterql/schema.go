package filterql

import (
	"slices"
	"strings"
)

// Type is the type of a profile field.
type Type string

// The types of profile fields.
const (
	Text    Type = "text"
	Integer Type = "integer"
	Number  Type = "number"
	Boolean Type = "boolean"
	Time    Type = "time"
	Set     Type = "set"
)

// Schema tells the type of a profile field. A Schema that also has the method
// Names() []string makes "unknown field" errors name the nearest fields.
type Schema interface {
	Field(name string) (Type, bool)
}

// Fields is a Schema in a map, by field name.
type Fields map[string]Type

// Field returns the type of the field.
func (f Fields) Field(name string) (Type, bool) {
	t, ok := f[name]
	return t, ok
}

// Names returns the names of all fields.
func (f Fields) Names() []string {
	var names []string
	for n := range f {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// field finds the type of the field a condition names.
func field(s Schema, id Ident) (Type, error) {
	if t, ok := s.Field(id.Name()); ok {
		return t, nil
	}
	near := ""
	if n, ok := s.(interface{ Names() []string }); ok {
		near = nearest(id.Name(), n.Names())
	}
	return "", errorAt(id.Pos, "unknown field %q%s", brief(id.Name()), near)
}

// nearest says which names look like the one that is not there.
func nearest(name string, names []string) string {
	const most, longest = 3, 100
	if len(name) > longest {
		return ""
	}
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	letters := len([]rune(name))
	limit := min(3, max(1, (letters+1)/2-1))
	for _, n := range names {
		d := distance(strings.ToLower(name), strings.ToLower(n))
		if d > limit && (letters < 3 || !strings.Contains(n, strings.ToLower(name))) {
			continue
		}
		found = append(found, candidate{n, d})
	}
	if len(found) == 0 {
		return ""
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var quoted []string
	for _, c := range found[:min(most, len(found))] {
		quoted = append(quoted, `"`+c.name+`"`)
	}
	return ", did you mean " + strings.Join(quoted, " or ") + "?"
}

// distance is the number of letters to insert, delete or change to make a
// into b (Levenshtein).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(y)]
}
