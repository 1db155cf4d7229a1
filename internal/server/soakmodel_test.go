package server_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"usher/sandbox/meta"
)

// citizen is a customer of the campaign, as the last message about them says.
type citizen struct {
	email   string
	score   int
	blocked bool
	said    int // when it came
}

// An offer is an action of the campaign: whoever scores more than above is
// eligible.
type offer struct {
	issue, group, name string
	above, priority    int
}

func (o offer) audience() string { return o.issue + "-" + o.group + "-" + o.name }

// offers are the hierarchy of the campaign.
var offers = []offer{
	{"Sales", "Offers", "Upsell", 70, 10},
	{"Sales", "Offers", "Basic", 30, 5},
	{"Care", "Loyalty", "Thanks", 60, 7},
}

// offersAt are those of a level, the one that wins first.
func offersAt(level string) []offer {
	var out []offer
	for _, o := range offers {
		if level == "all" || level == o.issue || level == o.issue+"/"+o.group {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b offer) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), strings.Compare(a.name, b.name))
	})
	return out
}

// A country is the plain model of the campaign: everybody, who is whom, and what
// was decided for each. It shares nothing with the server.
type country struct {
	rand   *rand.Rand
	people []citizen // by customer number
	clock  int       // counts messages
	links  map[int]link
	who    []*person // by customer number
	born   int       // people so far
}

func newCountry(seed uint64, people int) *country {
	c := &country{rand: rand.New(rand.NewPCG(seed, 11)), people: make([]citizen, people), links: map[int]link{}}
	for i := range c.people {
		c.people[i] = citizen{email: fmt.Sprintf("c%d@example.com", i), score: c.rand.IntN(101), blocked: c.rand.IntN(10) == 0}
		if i%10 == 9 { // who shares an e-mail must not take the other along
			c.people[i].email = c.people[i-1].email
		}
		c.who = append(c.who, &person{born: c.birth(), customers: []int{i}, decided: map[string]bool{}})
	}
	return c
}

// change alters n people, and returns the CSV of those it altered.
func (c *country) change(n int) string {
	var ids []int
	for range n {
		id := c.rand.IntN(len(c.people))
		p := &c.people[id]
		switch c.rand.IntN(6) {
		case 0:
			p.email = fmt.Sprintf("c%d-%d@example.com", id, c.rand.IntN(1_000_000))
		case 1:
			p.email = c.people[c.rand.IntN(len(c.people))].email // now shared
		case 2:
			p.blocked = !p.blocked
		default:
			p.score = c.rand.IntN(101)
		}
		ids = append(ids, id)
	}
	return c.csv(ids)
}

func (c *country) all() string {
	ids := make([]int, len(c.people))
	for i := range ids {
		ids[i] = i
	}
	return c.csv(ids)
}

func (c *country) csv(ids []int) string {
	slices.Sort(ids)
	var b strings.Builder
	b.WriteString("id,email,score,blocked\n")
	for _, id := range slices.Compact(ids) {
		p := &c.people[id]
		p.said = c.tick()
		fmt.Fprintf(&b, "%d,%s,%d,%t\n", id, p.email, p.score, p.blocked)
	}
	return b.String()
}

// decide is a decision at a level for one person: the action asked for, or
// where that is "" the best one. It reports whether anything was decided.
func (c *country) decide(id int, level, action string) bool {
	chosen, asked := "", false
	who := c.who[id]
	score := c.profile(who).score
	for _, o := range offersAt(level) {
		if score > o.above && (action == "" || action == o.name) {
			chosen = o.audience()
			break
		}
		asked = asked || action == o.name
	}
	if action != "" && chosen == "" {
		return false // not eligible, or not of the level: nothing moves
	}
	for _, o := range offersAt(level) {
		delete(who.decided, o.audience())
	}
	if chosen != "" {
		who.decided[chosen] = true
	}
	return true
}

// wanted is who should be in each remote audience, by destination and name of
// the audience.
func (c *country) wanted() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for who, p := range c.everybody() {
		put := func(where string, in bool) {
			if out[where] == nil {
				out[where] = map[string]bool{}
			}
			if in {
				out[where][p.extern] = true
			}
		}
		put("A/High", p.score > 50 && !p.blocked)
		put("B/Vip", p.score > 80)
		put("B/High", p.score > 50 && p.score <= 80) // the others go to Vip
		for _, o := range offers {
			for _, where := range placesOf(o) {
				put(where+"/"+o.audience(), who.decided[o.audience()])
				put(where+"/"+o.audience()+"-N", p.score <= o.above)
			}
		}
	}
	return out
}

// placesOf are the destinations that an offer is sent to: Sales/Offers goes to A,
// everything to B.
func placesOf(o offer) []string {
	if o.issue == "Sales" {
		return []string{"A", "B"}
	}
	return []string{"B"}
}

func externOf(id int) string { return fmt.Sprintf("id-%d", id) }

// differences compares what one remote audience holds with who should be in it.
func (c *country) differences(where string, held []meta.Member) []string {
	want := maps.Clone(c.wanted()[where])
	inUse := map[string]bool{} // e-mails of those who should be in
	for id := range want {
		inUse[c.emailHash(id)] = true
	}
	var out []string
	for _, m := range held {
		if !want[m.ExternID] {
			out = append(out, where+": "+m.ExternID+" is there and should not be")
			continue
		}
		delete(want, m.ExternID)
		present := c.emailHash(m.ExternID)
		if !slices.Contains(m.Keys["EMAIL"], present) {
			out = append(out, where+": "+m.ExternID+" lacks the present e-mail")
		}
		for _, e := range m.Keys["EMAIL"] {
			if e != present && !inUse[e] {
				out = append(out, where+": "+m.ExternID+" keeps an old e-mail that nobody holds")
			}
		}
	}
	for id := range want {
		out = append(out, where+": "+id+" is missing")
	}
	slices.Sort(out)
	return out
}

func (c *country) emailHash(extern string) string {
	var id int
	if _, err := fmt.Sscanf(extern, "id-%d", &id); err != nil || id >= len(c.people) {
		return ""
	}
	return hashOf(c.profile(c.who[id]).email)
}
