package activation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestStatesAreDocumented holds docs/states.md and the constants together: the
// tables list exactly the states there are, and transitions name no others.
func TestStatesAreDocumented(t *testing.T) {
	declared := declaredStates(t)
	raw, err := os.ReadFile("../../docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	for title, typeName := range map[string]string{"Job": "JobState", "Target": "TargetState", "Run": "RunStatus", "Queue item": "ItemState"} {
		listed, moved := documented(t, string(raw), title)
		want := declared[typeName]
		slices.Sort(want)
		slices.Sort(listed)
		if len(want) == 0 || !slices.Equal(want, listed) {
			t.Errorf("%s: documented %v, declared %v", title, listed, want)
		}
		for _, state := range want {
			if !slices.Contains(moved, state) {
				t.Errorf("%s: no transition names %q", title, state)
			}
		}
		for _, state := range moved {
			if !slices.Contains(want, state) {
				t.Errorf("%s: a transition names %q, which is no state", title, state)
			}
		}
	}
}

var word = regexp.MustCompile("`([a-z_]+)`")

// documented returns the states that a section lists, and those that its
// transitions name.
func documented(t *testing.T, text, title string) (listed, moved []string) {
	t.Helper()
	_, section, found := strings.Cut(text, "\n## "+title+"\n")
	if !found {
		t.Fatalf("there is no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	transitions := false
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---"):
		case strings.HasPrefix(line, "| State |"):
			transitions = false
		case strings.HasPrefix(line, "| From |"):
			transitions = true
		case transitions:
			for _, m := range word.FindAllStringSubmatch(cells[0]+cells[1], -1) {
				moved = append(moved, m[1])
			}
		default:
			listed = append(listed, word.FindStringSubmatch(cells[0])[1])
		}
	}
	return listed, moved
}

// declaredStates reads the typed string constants of states.go.
func declaredStates(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "states.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string][]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		typeName, isIdent := spec.Type.(*ast.Ident)
		value, isLiteral := spec.Values[0].(*ast.BasicLit)
		if isIdent && isLiteral {
			s, err := strconv.Unquote(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			states[typeName.Name] = append(states[typeName.Name], s)
		}
		return true
	})
	return states
}
