package activation_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"usher/internal/activation"
)

var update = flag.Bool("update", false, "write the generated part of docs/states.md")

// statesPage is the page that the tests hold the code to.
const statesPage = "../../docs/states.md"

// TestMovesAreDocumented: the part of the page about the moves of a job is what
// the table makes of it. Run with -update to write it.
func TestMovesAreDocumented(t *testing.T) {
	const begin, end = "<!-- generated from the table of moves: go test ./internal/activation -run Moves -update -->\n", "<!-- end of the generated part -->\n"
	raw, err := os.ReadFile(statesPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	have, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("the page has no generated part: %q to %q", begin, end)
	}
	want := movesAsText()
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("docs/states.md does not say what the table of moves says; run with -update\nhave:\n%s\nwant:\n%s", have, want)
	}
	if err := os.WriteFile(statesPage, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// movesAsText is the table of moves as a diagram and as a table.
func movesAsText() string {
	var b strings.Builder
	b.WriteString("\n```mermaid\nstateDiagram-v2\n")
	for _, m := range activation.JobMoves {
		if len(m.From) == 0 {
			for _, to := range m.To {
				fmt.Fprintf(&b, "    [*] --> %s: %s\n", to, m.Name)
			}
		}
	}
	for _, from := range activation.JobStates {
		for _, to := range activation.JobStates {
			var names []string
			for _, m := range activation.JobMoves {
				if from != to && slices.Contains(m.From, from) && slices.Contains(m.To, to) {
					names = append(names, string(m.Name))
				}
			}
			if len(names) > 0 {
				fmt.Fprintf(&b, "    %s --> %s: %s\n", from, to, strings.Join(names, ", "))
			}
		}
	}
	b.WriteString("```\n\n| From | To | Move | By | When, and what it does |\n|---|---|---|---|---|\n")
	for _, m := range activation.JobMoves {
		from := "(new)"
		if len(m.From) > 0 {
			from = quoted(m.From)
		}
		name := string(m.Name)
		if m.Command != "" {
			name = fmt.Sprintf("**%s** `…/%s`", m.Name, m.Command)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", from, quoted(m.To), name, m.By, m.When)
	}
	b.WriteString("\n")
	return b.String()
}

func quoted(states []activation.JobState) string {
	out := make([]string, len(states))
	for i, s := range states {
		out[i] = "`" + string(s) + "`"
	}
	return strings.Join(out, ", ")
}

// TestTheTableIsWhole: what every state takes, spelled out, so that a row or a
// state that is dropped from the table is missed.
func TestTheTableIsWhole(t *testing.T) {
	for state, want := range map[activation.JobState]string{
		activation.JobRunnable:  "pause, resume: no, bounce: no, kill, run",
		activation.JobSleeping:  "pause, resume: no, bounce: no, kill, run",
		activation.JobPaused:    "pause: no, resume, bounce: no, kill, run: no",
		activation.JobCompleted: "pause: no, resume: no, bounce: no, kill, run: no",
		activation.JobFailed:    "pause: no, resume: no, bounce, kill, run: no",
		activation.JobKilled:    "pause: no, resume: no, bounce: no, kill, run: no",
	} {
		var got []string
		for _, c := range activation.JobCommands {
			word := string(c)
			if err := c.Check(state); err != nil {
				word += ": no"
				if activation.KindOf(err) != activation.Invalid || activation.CodeOf(err) != "JOB-BADREQ-002" || !strings.Contains(err.Error(), string(state)) || !strings.Contains(err.Error(), "it takes") {
					t.Errorf("%s of a %s job is refused by %v", c, state, err)
				}
			}
			got = append(got, word)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s takes %s, want %s", state, strings.Join(got, ", "), want)
		}
	}
	names := map[activation.MoveName]bool{}
	for _, m := range activation.JobMoves {
		if names[m.Name] || len(m.To) == 0 || m.When == "" || (m.By != activation.ByPerson && m.By != activation.ByRuntime) {
			t.Errorf("the row of %q is not whole or is there twice", m.Name)
		}
		names[m.Name] = true
	}
}

// TestStatesAreDocumented holds docs/states.md and the constants together: the
// tables list exactly the states there are, and transitions name no others.
func TestStatesAreDocumented(t *testing.T) {
	declared := declaredStates(t)
	raw, err := os.ReadFile(statesPage)
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
