// Package filterql is the language of audience rules.
//
// It owns the text form, the JSON form and the rule tree between them, and it
// compiles a tree to one SQL expression that says of each profile whether it is
// in. It is pure: no I/O, no clock (date math counts from the time it is
// given) and no knowledge of the warehouse beyond column types.
//
// It is built for rules written by people and by other programs: a mistake
// comes back with its line, its column and what was expected there; a hostile
// rule meets bounds on depth and size; and no value of a rule ever becomes SQL
// text, for every literal is a parameter and every column comes from the schema.
package filterql

import "strings"

// Bounds on a rule. They hold for the rule together with all it includes.
const (
	// MaxDepth is how deep conditions may be nested.
	MaxDepth = 100
	// MaxConditions is how many conditions a rule may come to.
	MaxConditions = 1_000
	// MaxValues is how many literals a rule may come to.
	MaxValues = 10_000
	// MaxTextBytes is the longest rule text or JSON that is read.
	MaxTextBytes = 1 << 20
)

// Op is what a condition does.
type Op string

// The operators, as the JSON form writes them.
const (
	And         Op = "and"
	Or          Op = "or"
	Not         Op = "not"
	MatchAll    Op = "match_all"
	Include     Op = "include"
	Exists      Op = "exists"
	Equal       Op = "="
	NotEqual    Op = "!="
	Greater     Op = ">"
	AtLeast     Op = ">="
	Less        Op = "<"
	AtMost      Op = "<="
	Contains    Op = "contains"
	Like        Op = "like"
	In          Op = "in"
	Intersects  Op = "intersects"
	Between     Op = "between"
	GeoDistance Op = "geodistance"
	TimeWindow  Op = "timewindow"
)

// Pos is a place in a rule's text. Both count from 1; Column counts characters.
type Pos struct{ Line, Column int }

// Filter is a parsed rule.
type Filter struct {
	// Where is the condition a profile must meet.
	Where *Condition
	// From is "user" when the rule says so, else "".
	From string
	// Alias is the slug the rule gives itself, or "".
	Alias string
}

// Condition is a node of the rule tree. Op says which of the other members
// mean something: Args for And, Or and Not, Audience for Include, and Field
// with Values for the rest.
type Condition struct {
	Op       Op
	Args     []*Condition
	Field    Ident
	Values   []Value
	Audience string
	Pos      Pos
}

// Ident names a field. It has one part, or several when it was written with dots.
type Ident struct {
	Parts []string
	Pos   Pos
}

// Name returns the name to look for in the schema.
func (i Ident) Name() string { return strings.Join(i.Parts, ".") }

// Value is a literal. Its meaning depends on the type of the field it is
// compared with and not on whether it was written in quotes.
type Value struct {
	Text string
	Pos  Pos
}
