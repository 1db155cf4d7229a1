package server_test

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// A link is a message that carries identifiers of two customers: the number of
// one, the badge of the other. One of a customer and their own badge links nothing.
type link struct {
	customer, badge int
	said            int
}

// A person is who has the customer numbers that links join.
type person struct {
	born      int   // the first born stays when people merge
	customers []int // in order
	decided   map[string]bool
}

// profile is what is known of a person.
type profile struct {
	citizen
	extern string
}

// mostCustomers is how many customers become one person; what a cap does to larger
// ones is not this model's business.
const mostCustomers = 5

func (c *country) tick() int {
	c.clock++
	return c.clock
}

func (c *country) birth() int {
	c.born++
	return c.born
}

// everybody yields the people with their profiles.
func (c *country) everybody() iter.Seq2[*person, profile] {
	return func(yield func(*person, profile) bool) {
		for id, p := range c.who {
			if p.customers[0] == id && !yield(p, c.profile(p)) {
				return
			}
		}
	}
}

// profile is what the newest message says, field by field.
func (c *country) profile(p *person) profile {
	var out profile
	newest := -1
	name := func(id, said int) {
		if said > newest {
			newest, out.extern = said, externOf(id)
		}
	}
	for _, id := range p.customers {
		if c.people[id].said >= out.said {
			out.citizen = c.people[id]
		}
		name(id, c.people[id].said)
	}
	for _, l := range c.links {
		if slices.Contains(p.customers, l.customer) {
			name(l.customer, l.said)
		}
	}
	return out
}

// merge links n customers with others, and returns the CSV that says so. Some
// messages correct an earlier one: they link others than it did.
func (c *country) merge(n int) string {
	said := map[int]link{}
	for range n {
		number := c.rand.IntN(len(c.links) + len(said) + 3)
		l := link{customer: c.rand.IntN(len(c.people)), badge: c.rand.IntN(len(c.people))}
		if said[number] == (link{}) && len(c.joined(l.customer, c.links, said, map[int]link{number: l})) <= mostCustomers {
			said[number] = l
		}
	}
	return c.tell(said)
}

// part takes back up to n links.
func (c *country) part(n int) string {
	said := map[int]link{}
	for _, number := range slices.Sorted(maps.Keys(c.links)) {
		l := c.links[number]
		if l.customer != l.badge && len(said) < n && c.rand.IntN(2) == 0 {
			said[number] = link{customer: l.customer, badge: l.customer}
		}
	}
	return c.tell(said)
}

// tell takes note of links and returns their CSV.
func (c *country) tell(said map[int]link) string {
	var b strings.Builder
	b.WriteString("link,customer,badge\n")
	for _, number := range slices.Sorted(maps.Keys(said)) {
		l := said[number]
		if was := c.links[number]; was.customer == l.customer && was.badge == l.badge && was.said > 0 {
			l.said = was.said // the same again is a duplicate
		} else {
			l.said = c.tick()
		}
		c.links[number] = l
		fmt.Fprintf(&b, "%d,%d,%d\n", number, l.customer, l.badge)
	}
	c.settle()
	return b.String()
}

// joined returns the customers whom links join with one, in order; of two links
// with one number the later counts.
func (c *country) joined(id int, links ...map[int]link) []int {
	all := map[int]link{}
	for _, some := range links {
		maps.Copy(all, some)
	}
	in := map[int]bool{id: true}
	for grown := true; grown; {
		grown = false
		for _, l := range all {
			if in[l.customer] != in[l.badge] {
				in[l.customer], in[l.badge], grown = true, true, true
			}
		}
	}
	return slices.Sorted(maps.Keys(in))
}

// settle works out anew who is whom. A person who falls apart goes with their
// first customer, whose messages are the earliest; where several meet, the one
// who was born first stays; whoever else there is is new.
func (c *country) settle() {
	next := make([]*person, len(c.people))
	for id := range c.people {
		all := c.joined(id, c.links)
		if all[0] != id {
			continue
		}
		p := &person{customers: all}
		for _, member := range all {
			was := c.who[member]
			if was.customers[0] == member && (p.born == 0 || was.born < p.born) {
				p.born, p.decided = was.born, was.decided
			}
		}
		for _, member := range all {
			next[member] = p
		}
	}
	for id, p := range next {
		if p.born == 0 && p.customers[0] == id {
			p.born, p.decided = c.birth(), map[string]bool{}
		}
	}
	c.who = next
}
