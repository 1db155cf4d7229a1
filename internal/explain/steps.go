package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// answer makes the steps and sums them up.
func (c *inquiry) answer() Answer {
	a := Answer{Target: c.target.ID, Profile: c.person.Profile}
	switch {
	case !c.known:
		c.nobody()
	case c.events:
		a.Synced = c.eventSteps()
	default:
		c.memberSteps()
		row, ok := c.current()
		a.Synced = ok && row.State == inLedger && c.wanted()
	}
	c.steps = slices.CompactFunc(c.steps, func(a, b Step) bool { return a.Name == b.Name && a.Text == b.Text }) // two rows, one reason
	for i := range c.steps {
		s := &c.steps[i]
		switch {
		case s.Status != Stop:
		case a.Synced:
			s.Status = Info
		case a.Summary == "":
			s.Cause = true
			a.Summary = s.Text
		}
	}
	a.Steps = c.steps
	a.Summary = c.summary(a)
	return a
}

// summary is the answer in a sentence or two; cause is that of the first stop.
func (c *inquiry) summary(a Answer) string {
	cause := a.Summary
	switch {
	case !c.known:
		return cause
	case c.events && a.Synced:
		return sentence(fmt.Sprintf("yes: %s took the newest event of this person that was staged", c.title))
	case a.Synced:
		row, _ := c.current()
		return sentence(fmt.Sprintf("yes: %s has this person in %s since %s", c.title, c.what(), when(row.DeliveredAt)))
	case c.events:
		return "No. " + cause
	case !c.wanted() && c.held() && c.req.Keep:
		return sentence(c.title+" still has this person, or may have, and nobody is taken away there") + " " + cause
	case !c.wanted() && c.held():
		return sentence("not for long: "+c.title+" still has this person, or may have, and the next run that is through takes them away") + " " + cause
	case cause == "":
		return sentence("no: " + c.title + " does not have this person in " + c.what() + " as far as Usher knows, and nothing says why")
	}
	return "No. " + cause
}

// what is what feeds the target.
func (c *inquiry) what() string {
	if c.target.Stream != "" {
		return "the stream " + quoted(c.target.Stream)
	}
	return c.audiences[c.target.Audience]
}

func (c *inquiry) add(name string, status Status, text string) *Step {
	c.steps = append(c.steps, Step{Name: name, Status: status, Text: sentence(text)})
	return &c.steps[len(c.steps)-1]
}

// coded gives a step an error code and its page.
func (c *inquiry) coded(s *Step, code string) *Step {
	if code != "" {
		s.Code, s.Page = code, c.e.Page(code)
	}
	return s
}

// of makes a step one of a run, and of an item of it.
func (s *Step) of(r activation.Run, it *activation.Item) *Step {
	number := r.Number
	s.Run = &number
	if it != nil {
		n := it.Number
		s.Item = &n
	}
	return s
}

func (s *Step) at(t time.Time) *Step {
	s.At = t
	return s
}

// nobody is the answer about a value that no message ever told of.
func (c *inquiry) nobody() {
	c.add("Message", Stop, fmt.Sprintf("nobody is known by this %s: no message that carried it has been merged, or the value is written differently there", c.field))
}

// memberSteps follow a person to a target that is kept in step.
func (c *inquiry) memberSteps() {
	c.messages("")
	c.add("Profile", OK, fmt.Sprintf("this %s belongs to profile %d", c.field, c.person.Profile))
	c.membership()
	c.choice()
	c.keys(true)
	c.work()
	c.stagedSteps()
	c.ledger()
}

// messages tells which streams told of the person; of is the one that must have,
// "" = any.
func (c *inquiry) messages(of string) {
	if len(c.person.Messages) == 0 {
		c.add("Message", Info, "no message that is still kept told of this person")
	}
	for _, m := range c.person.Messages {
		c.add("Message", OK, fmt.Sprintf("%s in the stream %s told of this person; the last one is of %s and was received on %s",
			many(m.Messages, "message"), quoted(m.Stream), when(m.LastTime), when(m.LastReceived))).at(m.LastReceived)
	}
	if of != "" && !slices.ContainsFunc(c.person.Messages, func(m warehouse.PersonStream) bool { return m.Stream == of }) {
		c.add("Message", Stop, fmt.Sprintf("the stream %s, which feeds this destination, told nothing of this person", quoted(of)))
	}
}

// membership tells whether the person is in the audience.
func (c *inquiry) membership() {
	p, audience := c.person, c.what()
	switch {
	case c.req.Nobody:
		c.add("Audience", Stop, fmt.Sprintf("%s is being given up at %s, so that nobody is wanted there", audience, c.dest.Name))
	case p.Member && p.Changed.IsZero():
		c.add("Audience", OK, "the person is in "+audience)
	case p.Member:
		c.add("Audience", OK, fmt.Sprintf("the person is in %s since %s", audience, when(p.Changed))).at(p.Changed)
	case p.Changed.IsZero():
		c.add("Audience", Stop, fmt.Sprintf("the person is not in %s and never was: its rule does not select them", audience))
	default:
		c.add("Audience", Stop, fmt.Sprintf("the person left %s on %s", audience, when(p.Changed))).at(p.Changed)
	}
}

// choice tells why a member is not wanted.
func (c *inquiry) choice() {
	p := c.person
	if !p.Member || c.req.Nobody {
		return
	}
	if p.HeldOut && c.req.Holdout != nil {
		c.add("Holdout", Stop, fmt.Sprintf("the person is in the holdout: %s %% of %s are sent nowhere, always the same people, so that others can be compared with them", trim(c.req.Holdout.Percent), c.what()))
	}
	if others := c.without(p.ExcludedBy, p.OutrankedBy); len(others) > 0 {
		c.add("Exclusion", Stop, fmt.Sprintf("the person is also in %s, whose members the job leaves out", list(others, "and")))
	}
	if first := c.without(p.OutrankedBy, nil); len(first) > 0 {
		c.add("Priority", Stop, fmt.Sprintf("the person goes to %s instead, which comes before %s in a priority list of %s", list(first, "and"), c.what(), c.dest.Name))
	}
	if p.Begun {
		c.add("Beginning", Stop, "the person was a member when the job began, and the job sends only who comes later; leaving and coming back would change that")
	}
	if c.steps[len(c.steps)-1].Name == "Audience" {
		c.add("Choice", OK, "nothing keeps the person out: no holdout, no excluded audience, no priority list")
	}
}

// without names the audiences of ids that are not in but.
func (c *inquiry) without(ids, but []activation.AudienceID) (names []string) {
	for _, id := range ids {
		if !slices.Contains(but, id) {
			names = append(names, c.audiences[id])
		}
	}
	return names
}

func trim(percent float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", percent), "0"), ".")
}

// keys tells by what the network could find the person; needed: without any they
// can't be sent.
func (c *inquiry) keys(needed bool) {
	if c.unfit != nil {
		c.coded(c.add("Keys", Stop, "no run can be planned: "+c.hide(activation.SafeMessage(c.unfit))), activation.CodeOf(c.unfit))
		return
	}
	var usable, missing, bad []string
	for _, k := range c.person.Keys {
		switch {
		case k.Present && k.Identifies:
			usable = append(usable, k.Name)
		case k.Present || !k.Identifies:
		case k.HasValue:
			bad = append(bad, fmt.Sprintf("%s (%s)", k.Field, k.Name))
		default:
			missing = append(missing, fmt.Sprintf("%s (%s)", k.Field, k.Name))
		}
	}
	var lacks []string
	if len(missing) > 0 {
		lacks = append(lacks, "nothing is known of "+list(missing, "and"))
	}
	if len(bad) > 0 {
		lacks = append(lacks, "what is known of "+list(bad, "and")+" does not have the form that the network asks for")
	}
	switch {
	case c.person.Usable && len(bad) > 0:
		c.add("Keys", OK, fmt.Sprintf("%s can find the person by %s; %s", c.title, list(usable, "and"), lacks[len(lacks)-1]))
	case c.person.Usable:
		c.add("Keys", OK, fmt.Sprintf("%s can find the person by %s", c.title, list(usable, "and")))
	case needed:
		c.add("Keys", Stop, fmt.Sprintf("the person has no usable key: %s", list(lacks, "and")))
	default:
		c.add("Keys", Info, "the person has no usable key: "+list(lacks, "and"))
	}
}

// ledger tells what Usher believes the network has.
func (c *inquiry) ledger() {
	if len(c.person.Ledger) == 0 {
		c.add("Ledger", Info, fmt.Sprintf("as far as Usher knows, %s does not have this person", c.title))
	}
	for _, l := range c.person.Ledger {
		switch {
		case l.State == inLedger && l.Current:
			c.add("Ledger", OK, fmt.Sprintf("%s has the person by their present keys since %s", c.title, when(l.DeliveredAt))).at(l.DeliveredAt)
		case l.State == inLedger:
			c.add("Ledger", Info, fmt.Sprintf("%s has the person by keys they had before; the next run changes that", c.title)).at(l.DeliveredAt)
		case l.State == maybeInLedger:
			c.coded(c.add("Ledger", Stop, fmt.Sprintf("nobody knows whether %s has the person; the next run asks again", c.title)).at(l.DeliveredAt), l.Code)
		case l.State == refusedInIt && l.Current:
			c.coded(c.add("Ledger", Stop, fmt.Sprintf("%s refused the person's present keys; they are sent again when the keys change", c.title)).at(l.DeliveredAt), l.Code)
		case l.State == refusedInIt:
			c.coded(c.add("Ledger", Info, fmt.Sprintf("%s refused keys that the person had before", c.title)).at(l.DeliveredAt), l.Code)
		case l.State == sharedInIt:
			c.add("Ledger", Info, fmt.Sprintf("the person was taken away from %s, but for values that other members still need", c.title)).at(l.DeliveredAt)
		}
	}
}
