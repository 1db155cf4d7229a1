package web

import (
	"errors"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// button is a form with one button that posts.
type button struct {
	To, Text, Icon, Class string
	CSRF                  string
	// Withheld is why it cannot be pressed now.
	Withheld string
	Hidden   []hidden
}

type hidden struct{ Name, Value string }

// press makes a button for this person; those who may only look see why.
func (v visit) press(to, text, icon string) button {
	b := button{To: to, Text: text, Icon: icon, CSRF: v.who.CSRF}
	if !v.who.May(activation.RoleOperator) {
		b.Withheld = "Your role may only look"
	}
	return b
}

func (b button) as(class string) button { b.Class = class; return b }

// needs withholds a button from those below a role.
func (b button) needs(v visit, role activation.Role) button {
	if !v.who.May(role) {
		b.Withheld = "This needs the role " + string(role) + "; you are " + string(v.who.Role)
	}
	return b
}

// field is one input of a form with what was given and what is wrong with it.
type field struct {
	Name, Label, Help, Type string
	Value, Error, Example   string
	Required, Checked       bool
	Options                 []option
	Rows                    int
	// Complete is what a browser may fill in; "" = nothing.
	Complete string
	// List is the id of a datalist with what fits.
	List string
}

type option struct {
	Value, Text string
	Chosen      bool
}

// choose returns the options with the given one chosen.
func choose(options []option, value string) []option {
	out := make([]option, len(options))
	for i, o := range options {
		o.Chosen = o.Value == value
		out[i] = o
	}
	return out
}

// columnList is the id of the datalist that settings of type "column" offer.
const columnList = "event-columns"

// declared makes the fields of a form from a provider's declaration, with what
// was given, else the default. Secrets are never shown again, not even to
// whoever has just typed them.
func declared(given func(name string) string, prefix string, fields []provider.Field, wrong map[string]string) []field {
	out := make([]field, len(fields))
	for i, d := range fields {
		f := field{Name: prefix + d.Name, Label: d.Label, Help: d.Help, Type: "text", Value: d.Default, Example: d.Example, Required: d.Required, Error: wrong[prefix+d.Name]}
		if g := given(f.Name); g != "" {
			f.Value = g
		}
		switch {
		case d.Secret && d.Type == "text":
			f.Type, f.Value, f.Rows = "textarea", "", 6
		case d.Secret:
			f.Type, f.Value = "password", ""
		case d.Type == "select":
			f.Type = "select"
			if d.Default == "" && !slices.Contains(d.Options, "") { // not chosen for anybody
				f.Options = []option{{"", emptyChoice(d), f.Value == ""}}
			}
			for _, o := range d.Options {
				f.Options = append(f.Options, option{o, orText(o, "Any"), o == f.Value})
			}
		case d.Type == "bool":
			f.Type = "select"
			f.Options = []option{{"true", "Yes", f.Value == "true"}, {"false", "No", f.Value != "true"}}
		case d.Type == "agreement":
			f.Type, f.Checked = "checkbox", f.Value != ""
			if f.Value == "true" {
				f.Value = ""
			}
			f.Value = sentence(f.Value)
		case d.Type == "column":
			f.List = columnList
		case d.Type == "text":
			f.Type, f.Rows = "textarea", 4
		case d.Type == "list":
			if !strings.Contains(f.Help, "commas") {
				f.Help = strings.TrimSpace(f.Help + " Several are separated by commas.")
			}
		}
		out[i] = f
	}
	return out
}

// emptyChoice is how a select says that nothing is chosen in it, in the words of
// its help, "Empty = …".
func emptyChoice(d provider.Field) string {
	if d.Required {
		return "Choose one"
	}
	return "Empty"
}

// values reads the declared fields from a form.
func values(v visit, prefix string, fields []provider.Field) map[string]string {
	out := map[string]string{}
	for _, d := range fields {
		if given := v.post(prefix + d.Name); given != "" {
			out[d.Name] = given
		}
	}
	return out
}

// wrongFields splits the message of an Invalid error, "field: what; field:
// what", by the fields of the form. What belongs to no field is under "".
// Other errors come back as they are.
func wrongFields(err error, names ...string) (map[string]string, error) {
	var e *activation.Error
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &e) && e.Kind == activation.Invalid:
	case errors.Is(err, activation.ErrConflict):
		return map[string]string{"": sentence(reason(err))}, nil
	default:
		return nil, err
	}
	out := map[string]string{}
	at := ""
	if contains(names, e.Field) {
		at = e.Field
	}
	for _, part := range strings.Split(e.Message, "; ") {
		if name, rest, ok := strings.Cut(part, ": "); ok && contains(names, name) {
			at, part = name, rest
		}
		if out[at] != "" {
			out[at] += "; "
		}
		out[at] += part
	}
	for name, text := range out {
		out[name] = sentence(text)
	}
	return out, nil
}

// trimField is the message of a wrong field without the field's name.
func trimField(e *activation.Error) string { return strings.TrimPrefix(e.Message, e.Field+": ") }

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s && s != "" {
			return true
		}
	}
	return false
}
