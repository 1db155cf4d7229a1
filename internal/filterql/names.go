package filterql

import "slices"

// Includes returns the audiences that the rule itself includes, by the slug or
// id it names them with, each once, in order.
func (f *Filter) Includes() []string {
	var out []string
	f.Where.walk(func(c *Condition) {
		if c.Audience != "" && !slices.Contains(out, c.Audience) {
			out = append(out, c.Audience)
		}
	})
	return out
}

// Rename calls each audience that the rule itself includes by what name returns
// for it. A nil rule stays nil.
func (f *Filter) Rename(name func(string) string) {
	if f == nil {
		return
	}
	f.Where.walk(func(c *Condition) {
		if c.Op == Include {
			c.Audience = name(c.Audience)
		}
	})
}

// Fields returns the fields that the rule itself names, each once, in order.
func (f *Filter) Fields() []string {
	out := []string{}
	f.Where.walk(func(c *Condition) {
		if len(c.Field.Parts) > 0 && !slices.Contains(out, c.Field.Name()) {
			out = append(out, c.Field.Name())
		}
	})
	return out
}

// walk calls fn for the condition and everything in it.
func (c *Condition) walk(fn func(*Condition)) {
	if c == nil {
		return
	}
	fn(c)
	for i := range c.Args {
		c.Args[i].walk(fn)
	}
}
