package web

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/internal/expression"
)

// TestFunctionsHelp ties the functions that the mapping editor explains to those of
// docs/expressions.md, which package expression is tested against: the same, in the
// same order.
func TestFunctionsHelp(t *testing.T) {
	text, err := os.ReadFile("../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`\b([a-z]+)\(`)
	names := func(text string) (out []string) {
		for _, m := range call.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(out, m[1]) {
				out = append(out, m[1])
			}
		}
		return out
	}
	var documented, explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z]+\\([^|]*) \\| [^|]* \\|$").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, names(row[1])...)
	}
	for _, h := range functionsHelp {
		explained = append(explained, names(h.Call)...)
	}
	for _, name := range explained {
		if _, err := expression.Parse(name + "()"); err == nil || strings.Contains(err.Error(), "unknown function") {
			t.Errorf("%s(): %v", name, err)
		}
	}
	if len(documented) < 15 || !slices.Equal(documented, explained) {
		t.Errorf("the editor explains\n%v, docs/expressions.md\n%v", explained, documented)
	}
}
