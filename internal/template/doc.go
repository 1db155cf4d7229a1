// Package template evaluates payload templates: Jsonnet text in, one JSON value
// out, with the event as the external variable "event" and as the argument of a
// template that is a function.
//
// It owns the limits: no imports, a bounded stack, a second and some memory for
// each event, a megabyte of output. It must not quote an event in an error. It is
// built for the template that never ends or takes all memory: Jsonnet knows no
// way to stop an evaluation, so each template is evaluated in a process of its
// own, which is this same program started again, with no environment and no
// file but two pipes, and which ends itself when a limit is reached.
package template

import (
	"fmt"
	"time"
)

// Name is what the event is called within a template.
const Name = "event"

const (
	// MaxTextBytes is the most of a template's text.
	MaxTextBytes = 64 << 10
	// MaxEventBytes is the most of one event as JSON.
	MaxEventBytes = 4 << 20
	// MaxOutputBytes is the most that a template may make of one event.
	MaxOutputBytes = 1 << 20
	// MaxTime is how long one evaluation may take.
	MaxTime = time.Second
	// maxStack is how deep calls within a template may nest.
	maxStack = 500
	// maxMemoryBytes is what the process of a template may hold at a time beyond
	// what it held when it began.
	maxMemoryBytes = 128 << 20
	// startTime is how long the process may take to begin: a machine under load.
	startTime = 15 * time.Second
	// graceTime is what the process has over its own limit to answer, before it
	// is ended from outside.
	graceTime = time.Second
)

// Error is what is wrong with a template, by its line and column; 0 = no place
// in particular. The text never quotes an event.
type Error struct {
	Line, Column int
	Message      string
	// Static is true when the text is wrong whatever the event is.
	Static bool
}

// Error says where and what.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}
