package all

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/meta"
)

var update = flag.Bool("update", false, "write the generated part of the docs pages")

const (
	begin = "<!-- generated from the definition: begin -->\n"
	end   = "<!-- generated from the definition: end -->\n"
)

// TestPagesAreCurrent compares the generated part of docs/providers with the
// definitions.
func TestPagesAreCurrent(t *testing.T) {
	for _, d := range Definitions() {
		path := filepath.Join("..", "..", "..", "docs", "providers", d.Name+".md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		head, rest, ok := strings.Cut(string(text), begin)
		got, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("%s has no generated part", path)
			continue
		}
		want := "\n" + d.Reference() + "\n"
		if *update {
			if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
				t.Error(err)
			}
			got = want
		}
		if got != want {
			t.Errorf("%s is not what the definition says: run go test ./internal/provider/all -update", path)
		}
	}
}

func TestDefinitionsAreWhole(t *testing.T) {
	names, workflows := map[string]bool{}, map[string]bool{}
	for _, d := range Definitions() {
		if names[d.Name] || d.Name == "" || d.Title == "" || d.Description == "" || len(d.Workflows) == 0 {
			t.Errorf("%s: a name that is there once, a title, a description and a workflow are needed", d.Name)
		}
		names[d.Name] = true
		fields := slices.Concat(d.AuthFields, d.DestinationFields)
		for _, w := range d.Workflows {
			if workflows[w.Name] || w.Name == "" || w.Title == "" || w.Description == "" || !slices.Contains(provider.Directions, w.Direction) || w.Subject == "" {
				t.Errorf("%s: workflow %q needs a name that is there once, a title, a description, a direction and a subject", d.Name, w.Name)
			}
			if !w.RealTime && !w.Scheduled && !w.Once {
				t.Errorf("%s: workflow %q can't start", d.Name, w.Name)
			}
			if (w.Direction == provider.Export) != (w.Kind != "") || (w.Direction == provider.Export && d.NewDestination == nil) || (w.Direction == provider.Alerting && d.NewAlert == nil) {
				t.Errorf("%s: workflow %q has no kind or no constructor", d.Name, w.Name)
			}
			workflows[w.Name] = true
			fields = append(fields, w.Fields...)
		}
		if d.NewDestination != nil && (d.DestinationType == "" || d.AccountHelp == "" || d.Replay == "" || d.MaxRows <= 0 || d.Concurrency <= 0) {
			t.Errorf("%s: what a destination must say is missing", d.Name)
		}
		if (d.Replay == provider.ReplayDeduplicated) != (d.ReplayWindow > 0) {
			t.Errorf("%s: a replay window goes with deduplication", d.Name)
		}
		for _, f := range fields {
			checkField(t, d.Name, f)
		}
		if d.NewDestination != nil {
			checkRules(t, d)
		}
	}
}

func TestConfiguredSetsTheLargestRequest(t *testing.T) {
	d := meta.Definition()
	for value, want := range map[string]int64{"": 1_000_000, "200000": 200_000, "x": 1_000_000, "-1": 1_000_000} {
		if got := d.Configured(map[string]string{provider.MaxBytesField: value}).MaxBytes; got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}

func checkField(t *testing.T, owner string, f provider.Field) {
	t.Helper()
	types := []string{"string", "bool", "int", "duration", "select", "url", "text", "list"}
	switch {
	case f.Name == "" || f.Label == "" || f.Help == "":
		t.Errorf("%s: field %q lacks name, label or help", owner, f.Name)
	case !slices.Contains(types, f.Type):
		t.Errorf("%s: field %s is of unknown type %q", owner, f.Name, f.Type)
	case (f.Type == "select") != (len(f.Options) > 0):
		t.Errorf("%s: field %s: options go with select", owner, f.Name)
	case len(f.Options) > 0 && f.Default != "" && !slices.Contains(f.Options, f.Default):
		t.Errorf("%s: the default of %s is no option", owner, f.Name)
	case f.Secret && (f.Default != "" || f.Example != ""):
		t.Errorf("%s: secret %s has a default or an example", owner, f.Name)
	case f.Required && f.Default != "":
		t.Errorf("%s: %s is required and has a default", owner, f.Name)
	}
}

func checkRules(t *testing.T, d provider.Definition) {
	t.Helper()
	rs := d.RuleSet
	if !strings.HasPrefix(rs.Name, d.Name+"/") {
		t.Errorf("%s: rule set %q is not named network/version", d.Name, rs.Name)
	}
	if !slices.ContainsFunc(rs.Keys, func(k matchkey.Key) bool { return k.Identifies }) {
		t.Errorf("%s: no key identifies", d.Name)
	}
	for _, k := range rs.Keys {
		if k.Name == "" || k.Help == "" || k.Normalize == nil {
			t.Errorf("%s: key %q lacks name, help or normaliser", d.Name, k.Name)
		}
	}
}
