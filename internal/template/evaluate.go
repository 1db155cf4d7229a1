package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"
)

// program is a template that was read. It is for one goroutine.
type program struct {
	vm   *jsonnet.VM
	node ast.Node
}

// diagnosticName is what places in errors are named after; it is not a file.
const diagnosticName = "template"

// read reads the text of a template.
func read(text string) (*program, *Error) {
	vm := jsonnet.MakeVM()
	vm.MaxStack = maxStack
	vm.SetTraceOut(io.Discard)
	vm.Importer(noImports{})
	node, err := jsonnet.SnippetToAST(diagnosticName, text)
	if err != nil {
		return nil, static(err)
	}
	return &program{vm: vm, node: node}, nil
}

// evaluate makes the output of one event.
func (p *program) evaluate(event []byte) ([]byte, *Error) {
	p.vm.ExtCode(Name, string(event))
	p.vm.TLACode(Name, string(event))
	text, err := p.vm.Evaluate(p.node)
	if err != nil {
		return nil, failure(err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		return nil, &Error{Message: "the template does not make JSON"}
	}
	if out.Len() > MaxOutputBytes {
		return nil, &Error{Message: fmt.Sprintf("the template makes more than %d bytes of one event", MaxOutputBytes)}
	}
	return out.Bytes(), nil
}

// noImports refuses every import.
type noImports struct{}

// Import refuses.
func (noImports) Import(string, string) (jsonnet.Contents, string, error) {
	return jsonnet.Contents{}, "", errors.New(importRefused)
}

const importRefused = "a template cannot import anything"

// placed is an error of the parser, which knows its place.
type placed interface {
	error
	Loc() ast.LocationRange
}

// static is the error of a text that cannot be read. Its message quotes the text
// of the template at most.
func static(err error) *Error {
	e := &Error{Static: true, Message: "the template cannot be read"}
	var at placed
	if errors.As(err, &at) {
		loc := at.Loc()
		e.Line, e.Column = loc.Begin.Line, loc.Begin.Column
		_, message, _ := strings.Cut(at.Error(), " ")
		if message = strings.Join(strings.Fields(message), " "); message != "" {
			e.Message = message
		}
	}
	if e.Line < 0 || e.Column < 0 {
		e.Line, e.Column = 0, 0
	}
	return e
}

// failure is the error of an evaluation, at the innermost place that is within
// the template. Jsonnet's own text may hold a part of the event, so only texts
// are passed on that cannot.
func failure(err error) *Error {
	var runtime jsonnet.RuntimeError
	if !errors.As(err, &runtime) {
		return &Error{Message: "the evaluation failed"}
	}
	e := &Error{Message: safeText(runtime.Msg)}
	for _, frame := range runtime.StackTrace {
		if frame.Loc.FileName == diagnosticName && frame.Loc.Begin.Line > 0 {
			e.Line, e.Column = frame.Loc.Begin.Line, frame.Loc.Begin.Column
			break
		}
	}
	return e
}

// quotable are texts of Jsonnet that are made of its own words alone.
var quotable = regexp.MustCompile(`^(?:Unexpected type (?:null|boolean|number|string|object|array|function)(?:, expected (?:null|boolean|number|string|object|array|function))?` +
	`|Division by zero\.?|Overflow|function expected \d+ positional argument\(s\), but got \d+)$`)

// sayings are our texts for those of Jsonnet that may hold a part of the event,
// by how they begin.
var sayings = []struct{ begin, text string }{
	{"max stack frames exceeded", fmt.Sprintf("calls nest deeper than %d", maxStack)},
	{"Field does not exist", "a field is asked for that is not there; std.get(object, name, default) asks with a default"},
	{"Duplicate field name", "an object has a field twice"},
	{"Undefined external variable", `there is no such external variable; the event is std.extVar("` + Name + `")`},
	{"Missing argument", "a function is called with fewer arguments than it has; a template that is a function has the one argument " + Name},
	{"function has no parameter", "a function is called with an argument that it does not have; a template that is a function has the one argument " + Name},
	{"couldn't manifest function", "the template makes a function where JSON has none"},
	{"Couldn't manifest function", "the template makes a function where JSON has none"},
	{"tried to manifest function", "the template makes a function where JSON has none"},
	{"Value non indexable", "a field or an element is asked for of something that has none"},
	{"Index ", "an element is asked for that is not there"},
	{"failed to parse JSON", "a text is read as JSON and is none"},
	{"Format required", "a format and its values do not fit"},
}

func safeText(msg string) string {
	if strings.Contains(msg, importRefused) {
		return importRefused
	}
	for _, s := range sayings {
		if strings.HasPrefix(msg, s.begin) {
			return s.text
		}
	}
	if quotable.MatchString(msg) {
		return strings.ToLower(msg[:1]) + strings.TrimSuffix(msg[1:], ".")
	}
	return "the evaluation failed, or the template raised an error of its own"
}
