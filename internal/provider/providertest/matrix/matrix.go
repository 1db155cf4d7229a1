// Command matrix reads the output of go test -json and prints what the
// conformance suite says of every export workflow and every publisher there is, case
// by case.
//
// It owns nothing but that picture, and the rule that it is whole: it fails when
// a workflow has no suite, when a case is missing or failed, and when one was
// skipped that its kind of network must pass. It is built for the failure of a
// suite that is green because it did not run.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"usher/internal/provider"
	"usher/internal/provider/all"
	"usher/internal/provider/providertest"
)

func main() {
	seen, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
	wrong := show(os.Stdout, all.Definitions(), seen)
	for _, w := range wrong {
		fmt.Fprintln(os.Stderr, "matrix:", w)
	}
	if len(wrong) > 0 {
		os.Exit(1)
	}
}

// result is what became of one case.
type result struct{ action, reason string }

// suite is what was run of one workflow.
type suite struct {
	transport providertest.Transport
	cases     map[string]result // by the name as go test writes it
}

// event is a line of go test -json.
type event struct {
	Action, Test, Output string
}

// read collects the results of all conformance tests, by workflow.
func read(in io.Reader) (map[string]*suite, error) {
	seen := map[string]*suite{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // what the build says is no JSON
		}
		parts := strings.Split(e.Test, "/")
		if len(parts) < 2 || !strings.HasSuffix(parts[0], "Conformance") {
			continue
		}
		s := seen[parts[1]]
		if s == nil {
			s = &suite{cases: map[string]result{}}
			seen[parts[1]] = s
		}
		if len(parts) == 2 {
			if _, t, ok := strings.Cut(e.Output, providertest.TransportLine); ok {
				s.transport = providertest.Transport(strings.TrimSpace(t))
			}
			continue
		}
		s.note(parts[2], e)
	}
	return seen, lines.Err()
}

// rank orders results by what they say about a workflow.
var rank = map[string]int{"": 0, "skip": 1, "pass": 2, "fail": 3}

// note takes a line about a case.
func (s *suite) note(name string, e event) {
	r := s.cases[name]
	switch e.Action {
	case "pass", "fail", "skip":
		// A workflow may be judged more than once, with other settings: what fails
		// once fails, what fits once fits.
		if rank[e.Action] > rank[r.action] {
			r.action = e.Action
		}
	case "output":
		// The line of a skip is "    file.go:123: reason".
		if _, reason, ok := strings.Cut(e.Output, ".go:"); ok && r.reason == "" {
			if _, text, ok := strings.Cut(reason, ": "); ok {
				r.reason = strings.TrimSpace(text)
			}
		}
	}
	s.cases[name] = r
}

// show prints a matrix for each kind, and one for publishers, and returns what is
// wrong.
func show(out io.Writer, definitions []provider.Definition, seen map[string]*suite) []string {
	var wrong []string
	for _, kind := range []struct {
		kind  provider.Kind
		title string
		cases []string
	}{
		{provider.State, "Audiences kept in step", providertest.Cases()},
		{provider.Event, "Events taken once", providertest.EventCases()},
	} {
		var columns []string
		for _, d := range definitions {
			for _, w := range d.Workflows {
				if w.Direction == provider.Export && w.Kind == kind.kind {
					columns = append(columns, w.Name)
				}
			}
		}
		p := picture{out: out, seen: seen}
		p.print(kind.title, func(t providertest.Transport) []string { return providertest.MustRun(kind.kind, t) }, kind.cases, columns)
		wrong = append(wrong, p.wrong...)
	}
	var columns []string
	for _, d := range definitions {
		if d.Publishing != nil {
			columns = append(columns, d.Publishing.Post)
		}
	}
	p := picture{out: out, seen: seen}
	p.print("Campaigns edited", func(providertest.Transport) []string { return providertest.MustPublish() }, providertest.PublisherCases(), columns)
	return append(wrong, p.wrong...)
}

// picture is one matrix on its way out.
type picture struct {
	out     io.Writer
	seen    map[string]*suite
	reasons []string
	wrong   []string
}

const nameWidth = 62

// print writes one matrix. must says which cases a transport may not skip.
func (p *picture) print(title string, must func(providertest.Transport) []string, cases, columns []string) {
	fmt.Fprintf(p.out, "%s\n\n", title)
	for i, c := range columns {
		transport := "http"
		if s := p.seen[c]; s == nil {
			transport = "no suite"
			p.wrong = append(p.wrong, c+" has no suite")
		} else if s.transport != providertest.HTTP {
			transport = string(s.transport)
		}
		fmt.Fprintf(p.out, "%4d  %s (%s)\n", i+1, c, transport)
	}
	fmt.Fprintf(p.out, "\n%-*s", nameWidth, "")
	for i := range columns {
		fmt.Fprintf(p.out, "%6d", i+1)
	}
	fmt.Fprintln(p.out)
	for _, name := range cases {
		fmt.Fprintf(p.out, "%-*s", nameWidth, name)
		for _, c := range columns {
			fmt.Fprintf(p.out, "%6s", p.cell(must, c, name))
		}
		fmt.Fprintln(p.out)
	}
	fmt.Fprintln(p.out)
	for i, r := range p.reasons {
		fmt.Fprintf(p.out, "  %d) %s\n", i+1, r)
	}
	fmt.Fprintln(p.out)
}

// cell is what the case is for the workflow: ok, the number of the reason why it
// does not fit, FAIL or none.
func (p *picture) cell(must func(providertest.Transport) []string, workflow, name string) string {
	s := p.seen[workflow]
	if s == nil {
		return "none"
	}
	r := s.cases[strings.ReplaceAll(name, " ", "_")]
	switch r.action {
	case "pass":
		return "ok"
	case "skip":
		if slices.Contains(must(s.transport), name) {
			p.wrong = append(p.wrong, fmt.Sprintf("%s may not skip %q", workflow, name))
			return "FAIL"
		}
		i := slices.Index(p.reasons, r.reason)
		if i < 0 {
			i = len(p.reasons)
			p.reasons = append(p.reasons, r.reason)
		}
		return fmt.Sprintf("%d)", i+1)
	case "fail":
		p.wrong = append(p.wrong, fmt.Sprintf("%s fails %q", workflow, name))
		return "FAIL"
	}
	p.wrong = append(p.wrong, fmt.Sprintf("%s did not run %q", workflow, name))
	return "none"
}
