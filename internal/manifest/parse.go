package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"usher/internal/activation"
)

// Limits of what is read.
const (
	maxFiles     = 10_000
	maxFileBytes = 1 << 20
)

// Problem is one thing that is wrong, and where.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

// String is the problem in one line.
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Field != "" {
		return where + ": " + p.Field + ": " + p.Message
	}
	return where + ": " + p.Message
}

// Problems is everything that is wrong with the files: one Invalid error of the
// whole, and one for each.
type Problems []Problem

// Error names the first few problems.
func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, one := range p {
		texts[i] = one.String()
	}
	return strings.Join(texts, "; ")
}

// Each returns one error per problem.
func (p Problems) Each() []*activation.Error {
	out := make([]*activation.Error, len(p))
	for i, one := range p {
		out[i] = &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: one.Field, Message: one.String()}
	}
	return out
}

// Unwrap returns the error of the whole.
func (p Problems) Unwrap() error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Message: p.Error()}
}

// A thing is one document of a file.
type thing struct {
	kind string
	name string // what it is found by
	doc  document
	file string
	node ast.Node
}

// at makes a problem of the thing, at the line of the field where it has one.
func (t thing) at(field, message string) Problem {
	if own, ok := fieldNames[field]; ok {
		field = own
	}
	return Problem{File: t.file, Line: lineOf(t.node, field), Field: field, Message: message}
}

// lineOf is the line of a field ("config.rate", "operations.0.hour") of a document, or of the
// document where it has none.
func lineOf(n ast.Node, field string) int {
	line := 0
	if n.GetToken() != nil {
		line = n.GetToken().Position.Line
	}
	if field == "" {
		return line
	}
	head, rest, _ := strings.Cut(field, ".")
	switch n := n.(type) {
	case *ast.SequenceNode:
		if i, err := strconv.Atoi(head); err == nil && i >= 0 && i < len(n.Values) {
			return lineOf(n.Values[i], rest)
		}
	case *ast.MappingValueNode: // one key alone
		return lineOf(ast.Mapping(n.GetToken(), false, n), field)
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			line = n.Values[0].Key.GetToken().Position.Line
		}
		for _, v := range n.Values {
			if v.Key.GetToken().Value != head {
				continue
			}
			if inner := lineOf(v.Value, rest); rest != "" && inner > 0 {
				return inner
			}
			return v.Key.GetToken().Position.Line
		}
	}
	return line
}

// parse reads all documents of all files, in the order of their names.
func parse(files map[string]string) ([]thing, Problems) {
	var all []thing
	var wrong Problems
	if len(files) > maxFiles {
		return nil, Problems{{Message: fmt.Sprintf("there are more than %d files", maxFiles)}}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if len(files[name]) > maxFileBytes {
			wrong = append(wrong, Problem{File: name, Message: "is larger than 1 MiB"})
			continue
		}
		f, err := parser.ParseBytes([]byte(files[name]), 0)
		if err != nil {
			wrong = append(wrong, yamlProblem(name, 0, err))
			continue
		}
		for _, d := range f.Docs {
			if d.Body == nil || d.Body.Type() == ast.NullType || d.Body.Type() == ast.CommentType {
				continue
			}
			t, problem := readThing(name, d.Body)
			if problem != nil {
				wrong = append(wrong, *problem)
				continue
			}
			all = append(all, t)
		}
	}
	return all, append(wrong, twice(all)...)
}

func readThing(file string, n ast.Node) (thing, *Problem) {
	t := thing{file: file, node: n}
	line := lineOf(n, "kind")
	refuse := func(format string, args ...any) (thing, *Problem) {
		return t, &Problem{File: file, Line: line, Message: fmt.Sprintf(format, args...)}
	}
	if m, ok := n.(*ast.MappingValueNode); ok { // a document with one key
		n = ast.Mapping(m.GetToken(), false, m)
		t.node = n
	}
	if _, ok := n.(*ast.MappingNode); !ok {
		return refuse("a document is keys and values, beginning with kind: one of %s", strings.Join(kindNames(), ", "))
	}
	var head struct {
		Kind string `yaml:"kind"`
	}
	if err := yaml.NodeToValue(n, &head); err != nil {
		p := yamlProblem(file, line, err)
		return t, &p
	}
	t.kind = head.Kind
	i := slices.IndexFunc(kinds, func(k category) bool { return k.name == head.Kind })
	if i < 0 {
		return refuse("kind must be one of %s", strings.Join(kindNames(), ", "))
	}
	doc := kinds[i].empty()
	if err := yaml.NodeToValue(n, doc, yaml.Strict()); err != nil {
		p := yamlProblem(file, line, err)
		return t, &p
	}
	if t.doc, t.name = doc, doc.found(); t.name == "" {
		return refuse("%s needed", kinds[i].found)
	}
	return t, nil
}

// yamlProblem is an error of the YAML reader with its line and without the
// value that was wrong.
func yamlProblem(file string, line int, err error) Problem {
	var y yaml.Error
	if !errors.As(err, &y) {
		return Problem{File: file, Line: line, Message: "is no YAML that can be read"}
	}
	p := Problem{File: file, Line: line, Message: "cannot be read here"}
	if tk := y.GetToken(); tk != nil {
		p.Line = tk.Position.Line
	}
	var unknown *yaml.UnknownFieldError
	var typed *yaml.TypeError
	var syntax *yaml.SyntaxError
	switch {
	case errors.As(err, &unknown):
		p.Message = unknown.GetMessage()
	case errors.As(err, &typed):
		p.Message = fmt.Sprintf("needs a value of another kind (%s)", kindOf(typed))
	case errors.As(err, &syntax):
		p.Message = "is no YAML from here on"
		if tk := syntax.GetToken(); tk != nil {
			p.Message += fmt.Sprintf(" (column %d)", tk.Position.Column)
		}
	}
	return p
}

func kindOf(e *yaml.TypeError) string {
	switch e.DstType.Kind().String() {
	case "bool":
		return "true or false"
	case "int", "int64":
		return "a whole number"
	case "slice":
		return "a list"
	case "map", "struct":
		return "keys and values"
	}
	return "text"
}

// twice finds things that are declared twice.
func twice(all []thing) (wrong Problems) {
	seen := map[string]thing{}
	for _, t := range all {
		key := t.kind + "\x00" + t.name
		if first, ok := seen[key]; ok {
			wrong = append(wrong, t.at("", fmt.Sprintf("the %s %q is declared in %s already", t.kind, t.name, first.file)))
			continue
		}
		seen[key] = t
	}
	return wrong
}
