package activation_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
)

// The model is product section 2 a second time, as a person would write it down
// from the text: words in maps, one if after the other, times in seconds. It
// shares nothing with the code but the names of the words.

type words map[string]string

func (w words) time(key string) int64 {
	n, _ := strconv.ParseInt(w[key], 10, 64)
	return n
}

func (w words) setTime(key string, at int64) { w[key] = strconv.FormatInt(at, 10) }

func (w words) clear(keys ...string) {
	for _, k := range keys {
		delete(w, k)
	}
}

// plain is one job of the model with its targets, which all use one
// authorization.
type plain struct {
	job       words
	targets   []words
	now       int64
	failAfter int64
	once      bool
	every     int64 // seconds between scheduled times; 0 = real time
}

func (p *plain) state(name string) {
	if p.job["state"] != name {
		p.job.setTime("since", p.now)
	}
	p.job["state"] = name
}

func awaken(t words) {
	t["state"] = "runnable"
	t.clear("reason", "until")
}

func forget(t words) { t.clear("errors", "failing") }

func sleep(t words, reason string, until int64) {
	t["state"], t["reason"] = "sleeping", reason
	t.setTime("until", until)
}

func giveUp(t words) {
	t["state"] = "failed"
	t.clear("reason", "until")
}

// show makes the job what its targets come to.
func (p *plain) show() {
	most, first := int64(0), ""
	count := map[string]int{}
	var earliest words
	for _, t := range p.targets {
		most = max(most, t.time("errors"))
		if t["failing"] != "" && (first == "" || t.time("failing") < mustInt(first)) {
			first = t["failing"]
		}
		count[t["state"]]++
		if t["state"] == "sleeping" && (earliest == nil || t.time("until") < earliest.time("until")) {
			earliest = t
		}
	}
	p.job.clear("errors", "failing")
	if most > 0 {
		p.job.setTime("errors", most)
	}
	if first != "" {
		p.job["failing"] = first
	}
	if p.job["state"] != "runnable" && p.job["state"] != "sleeping" {
		return
	}
	p.job.clear("reason", "until")
	if count["runnable"] > 0 {
		p.state("runnable")
	} else if count["sleeping"] > 0 {
		p.state("sleeping")
		p.job["reason"], p.job["until"] = earliest["reason"], earliest["until"]
	} else if count["failed"] > 0 {
		p.state("failed")
	} else {
		p.state("completed")
	}
}

func mustInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// rouse is what resume, bounce and run do to the targets.
func (p *plain) rouse(failedToo bool) {
	for _, t := range p.targets {
		if t["state"] == "completed" {
			continue
		}
		if t["state"] == "failed" {
			if failedToo {
				awaken(t)
				forget(t)
			}
			continue
		}
		if t["reason"] == "authorization" || t["reason"] == "approval" {
			continue
		}
		awaken(t)
	}
}

func (p *plain) park(t words) {
	if t["state"] == "failed" || t["state"] == "completed" {
		return
	}
	if t["failing"] == "" {
		t.setTime("failing", p.now)
	}
	if p.now-t.time("failing") >= p.failAfter {
		giveUp(t)
	} else {
		sleep(t, "authorization", t.time("failing")+p.failAfter)
	}
}

func (p *plain) parkAll() {
	for _, t := range p.targets {
		p.park(t)
	}
}

// ended is how a run of a target ended.
func (p *plain) ended(t words, kind activation.Kind, until int64) {
	if p.job["state"] == "killed" {
		return
	}
	if t["state"] == "failed" || t["state"] == "completed" {
		if kind == "unauthorized" { // the others use it too
			p.parkAll()
		}
		return
	}
	if kind == "" {
		forget(t)
		awaken(t)
		if p.once {
			t["state"] = "completed"
		} else if p.every > 0 {
			sleep(t, "schedule", p.now+p.every)
		}
		return
	}
	if kind == "wait_until" {
		if until <= p.now {
			until = p.now + 60
		}
		sleep(t, "provider_limit", until)
		return
	}
	t.setTime("errors", t.time("errors")+1)
	if t["failing"] == "" {
		t.setTime("failing", p.now)
	}
	if kind == "invalid" {
		giveUp(t)
		return
	}
	if kind == "unauthorized" {
		p.parkAll()
		return
	}
	if p.now-t.time("failing") >= p.failAfter {
		giveUp(t)
		return
	}
	nap := int64(60)
	for range min(t.time("errors")-1, 20) {
		nap *= 2
	}
	if p.now+nap > t.time("failing")+p.failAfter {
		nap = t.time("failing") + p.failAfter - p.now
	}
	sleep(t, "error", p.now+nap)
}

// deed is one thing that happens to a job.
type deed struct {
	what   string
	target int
	kind   activation.Kind
	n      int64
}

// do does a deed to the model and reports whether the job takes it.
func (p *plain) do(d deed) bool {
	state := p.job["state"]
	moves := state == "runnable" || state == "sleeping"
	t := p.targets[d.target]
	switch d.what {
	case "clock":
		p.now += d.n
		return true
	case "pause":
		if !moves {
			return false
		}
		p.state("paused")
		p.job.clear("reason", "until")
		if d.n > 0 {
			p.job.setTime("resume", p.now+d.n)
		}
	case "resume", "unpause":
		if state != "paused" {
			return false
		}
		if d.what == "unpause" && (p.job["resume"] == "" || p.now < p.job.time("resume")) {
			return false
		}
		p.job.clear("resume")
		p.state("runnable")
		p.rouse(false)
	case "bounce":
		if state != "failed" {
			return false
		}
		p.state("runnable")
		p.rouse(true)
	case "run":
		if !moves {
			return false
		}
		p.rouse(true)
	case "kill", "delete":
		if state == "killed" {
			return true
		}
		p.state("killed")
		p.job.clear("reason", "until", "resume")
		return true
	case "expire":
		if !moves && state != "paused" {
			return false
		}
		p.state("completed")
		p.job.clear("reason", "until", "resume")
		for _, t := range p.targets {
			awaken(t)
			forget(t)
			t["state"] = "completed"
		}
	case "open":
		if !moves || (t["state"] != "runnable" && t["state"] != "sleeping") {
			return false
		}
		awaken(t)
	case "end":
		if state == "killed" {
			return true
		}
		p.ended(t, d.kind, d.n)
	case "retry":
		if state == "killed" || state == "paused" || state == "completed" {
			return false
		}
		if t["state"] == "failed" {
			forget(t)
		}
		if t["state"] != "completed" {
			awaken(t)
		}
		if state == "failed" {
			p.state("runnable")
		}
	case "park":
		if state == "killed" || state == "completed" {
			return false
		}
		p.parkAll()
	case "mend":
		if state == "killed" || state == "completed" {
			return false
		}
		for _, t := range p.targets {
			if t["reason"] == "authorization" {
				awaken(t)
			}
		}
	case "overdue":
		if state == "killed" || state == "paused" {
			return false
		}
		for _, t := range p.targets {
			if t["reason"] == "authorization" && t.time("until") <= p.now {
				p.park(t)
			}
		}
	case "ask":
		if !moves || t["state"] != "runnable" {
			return false
		}
		sleep(t, "approval", p.now+7*24*3600)
	case "answer":
		if t["reason"] == "approval" {
			awaken(t)
		}
	}
	p.show()
	return true
}

// coded is the same job made of the code's moves, put together as the store
// does.
type coded struct {
	s      activation.Standing
	rests  []activation.Rest
	rhythm activation.Rhythm
	every  time.Duration
	now    time.Time
}

func (c *coded) each(fn func(activation.Rest) activation.Rest) {
	for i := range c.rests {
		c.rests[i] = fn(c.rests[i])
	}
}

func (c *coded) rouse(failedToo bool) {
	c.each(func(r activation.Rest) activation.Rest {
		r, _ = activation.Roused(r, failedToo)
		return r
	})
}

func (c *coded) park(r activation.Rest) activation.Rest {
	return activation.Park(r, c.now, c.rhythm)
}

func (c *coded) do(d deed) error {
	var err error
	rest := &c.rests[d.target]
	over := c.s.State == activation.JobKilled || c.s.State == activation.JobCompleted
	next := c.s
	switch d.what {
	case "clock":
		c.now = c.now.Add(time.Duration(d.n) * time.Second)
		return nil
	case "pause":
		next, err = activation.Paused(c.s, c.now, time.Duration(d.n)*time.Second)
	case "resume":
		next, err = activation.Resumed(c.s, c.now)
	case "unpause":
		next, err = activation.Unpaused(c.s, c.now)
	case "bounce":
		next, err = activation.Bounced(c.s, c.now)
	case "run": // what its targets come to then, it settles to
		_, err = activation.Called(c.s, c.now)
	case "kill":
		next, err = activation.Killed(c.s, c.now)
	case "delete":
		next, err = activation.Deleted(c.s, c.now)
	case "expire":
		next, err = activation.Expired(c.s, c.now)
	case "open":
		err = activation.CommandRun.Check(c.s.State)
		if err == nil && (rest.State == activation.TargetFailed || rest.State == activation.TargetCompleted) {
			err = activation.ErrConflict
		}
	case "retry":
		if ok, _ := activation.RetryRule(activation.RetryFacts{
			Run: activation.Run{Status: activation.RunFailed, Stage: activation.StageMembers, ErrorCode: "META-2"}, Job: c.s.State, Left: 1,
		}); !ok {
			return activation.ErrConflict
		}
		if retried, refused := activation.Retried(c.s, c.now); refused != nil || c.s.State == activation.JobFailed {
			next, err = retried, refused
		}
	case "park", "mend":
		if over {
			return activation.ErrConflict
		}
	case "overdue":
		if c.s.State == activation.JobKilled || c.s.State == activation.JobPaused {
			return activation.ErrConflict
		}
	case "ask":
		if activation.CommandRun.Check(c.s.State) != nil || rest.State != activation.TargetRunnable {
			return activation.ErrConflict
		}
	}
	if err != nil {
		return err
	}
	c.s = next
	c.after(d, rest)
	if c.s.State != activation.JobKilled {
		c.s = activation.Settled(c.s, c.rests, c.now)
	}
	return nil
}

// after does to the targets what the move of the job brings about.
func (c *coded) after(d deed, rest *activation.Rest) {
	switch d.what {
	case "resume", "unpause":
		c.rouse(false)
	case "bounce", "run":
		c.rouse(true)
	case "expire":
		c.each(func(activation.Rest) activation.Rest { return activation.Rest{State: activation.TargetCompleted} })
	case "open":
		*rest = activation.Opened(*rest)
	case "end":
		if c.s.State == activation.JobKilled {
			return
		}
		rhythm := c.rhythm
		if c.every > 0 {
			rhythm.Next = c.now.Add(c.every)
		}
		*rest = activation.NextSleep(*rest, activation.RunEnd{Kind: d.kind, At: c.now, Until: time.Unix(d.n, 0).UTC()}, rhythm)
		if d.kind == activation.Unauthorized {
			c.each(c.park)
		}
	case "retry":
		*rest = activation.RetriedRest(*rest)
	case "park":
		c.each(c.park)
	case "mend":
		c.each(func(r activation.Rest) activation.Rest { return activation.WokenFrom(r, activation.SleepAuthorization) })
	case "overdue":
		c.each(func(r activation.Rest) activation.Rest {
			if r.Reason == activation.SleepAuthorization && !r.Until.After(c.now) {
				return c.park(r)
			}
			return r
		})
	case "ask":
		*rest = activation.Asking(*rest, c.now.Add(7*24*time.Hour))
	case "answer":
		*rest = activation.WokenFrom(*rest, activation.SleepApproval)
	}
}

// deeds are drawn by weight: the list names some of them more than once.
var deeds = []string{
	"clock", "clock", "clock", "open", "open", "open", "end", "end", "end", "end", "end", "end", "retry", "pause", "resume", "unpause", "bounce", "bounce",
	"run", "park", "mend", "mend", "overdue", "ask", "answer", "answer",
}

// draw draws what happens next. What ends a job comes rarely, or nothing else
// would be seen. The clock jumps, also back by seconds as time servers set it.
func draw(r *rand.Rand, p *plain) deed {
	d := deed{what: deeds[r.IntN(len(deeds))], target: r.IntN(len(p.targets))}
	if r.IntN(60) == 0 {
		d.what = []string{"kill", "delete", "expire"}[r.IntN(3)]
	}
	switch d.what {
	case "clock":
		d.n = []int64{1, 59, 60, 120, 3600, 7200, 36_000, 90_000, -1, -5}[r.IntN(10)]
	case "pause":
		d.n = []int64{0, 0, 60, 3600}[r.IntN(4)]
	case "end":
		kinds := []activation.Kind{"", "", activation.Unavailable, activation.Unavailable, activation.Unavailable, activation.Internal, activation.RefusedWhole, activation.Gone, activation.WaitUntil, activation.Unauthorized, activation.Invalid}
		d.kind = kinds[r.IntN(len(kinds))]
		d.n = p.now + int64(r.IntN(7200)) - 60
	}
	return d
}

// differs compares model and code; "" = alike.
func differs(p *plain, c *coded) string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return strconv.FormatInt(t.Unix(), 10)
	}
	count := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	j, s := p.job, c.s
	if j["state"] != string(s.State) || j["reason"] != string(s.Reason) || j["until"] != at(s.Until) || j["resume"] != at(s.ResumeAt) ||
		j["errors"] != count(s.ConsecutiveErrors) || j["failing"] != at(s.FailingSince) || j["since"] != at(s.Since) {
		return fmt.Sprintf("the model has the job %v, the code %+v", j, s)
	}
	for i, t := range p.targets {
		r := c.rests[i]
		if t["state"] != string(r.State) || t["reason"] != string(r.Reason) || t["until"] != at(r.Until) || t["errors"] != count(r.ConsecutiveErrors) || t["failing"] != at(r.FailingSince) {
			return fmt.Sprintf("the model has target %d as %v, the code %+v", i, t, r)
		}
	}
	return ""
}

// ledger counts errors by itself, from the deeds alone.
type ledger struct{ errors []int }

// lawful checks what holds after every deed, whatever model and code say; ""
// = all is well.
func (l *ledger) lawful(before, after coded, d deed, taken bool) string {
	s, was := after.s, before.s
	if (s.State == activation.JobSleeping) != (s.Reason != "") || (s.Reason != "") != !s.Until.IsZero() {
		return "sleep and its reason do not go together"
	}
	if !s.ResumeAt.IsZero() && s.State != activation.JobPaused {
		return "a job resumes that is not paused"
	}
	if was.State == activation.JobKilled && s != was {
		return "a killed job changed"
	}
	if s.State != was.State && !listed(was.State, s.State) {
		return fmt.Sprintf("no move of the table leads from %s to %s", was.State, s.State)
	}
	if !taken && s != was {
		return "a refusal changed the job"
	}
	for i, r := range after.rests {
		old := before.rests[i]
		if (r.State == activation.TargetSleeping) != (r.Reason != "") || (r.Reason != "") != !r.Until.IsZero() {
			return "a target's sleep and its reason do not go together"
		}
		clean := r.State != activation.TargetFailed && old.State == activation.TargetFailed // bounce, run or retry
		mine := d.what == "end" && d.target == i && old.State != activation.TargetFailed && old.State != activation.TargetCompleted && was.State != activation.JobKilled
		switch {
		case clean, mine && d.kind == "", d.what == "expire" && taken:
			l.errors[i] = 0
		case mine && d.kind != activation.WaitUntil:
			l.errors[i]++
		}
		if r.ConsecutiveErrors != l.errors[i] {
			return fmt.Sprintf("target %d counts %d errors, it had %d since its last success", i, r.ConsecutiveErrors, l.errors[i])
		}
		if r.State == activation.TargetFailed && old.State != activation.TargetFailed {
			lasted := after.now.Sub(r.FailingSince)
			if !(mine && d.kind == activation.Invalid) && lasted < after.rhythm.FailAfter {
				return fmt.Sprintf("target %d failed after %s of %s", i, lasted, after.rhythm.FailAfter)
			}
		}
	}
	return ""
}

func listed(from, to activation.JobState) bool {
	return slices.ContainsFunc(activation.JobMoves, func(m activation.JobMove) bool {
		return slices.Contains(m.From, from) && slices.Contains(m.To, to)
	}) || from == activation.JobPaused || from == activation.JobFailed // by way of runnable, in one transaction
}

// seed is the environment's, so that a failure can be run again.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("USHER_SEED")
	if text == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("USHER_SEED: %v", err)
	}
	return n
}

// TestModel lives a million steps of jobs beside the model. USHER_SEED runs a
// failure again.
func TestModel(t *testing.T) {
	t.Parallel()
	const life = 60
	first := seed(t)
	seen := map[string]int{}
	for job := uint64(0); job*life < modelSteps; job++ {
		r := rand.New(rand.NewPCG(first, job))
		p, c := born(r)
		l := ledger{make([]int, len(c.rests))}
		var past []deed
		for range life {
			d := draw(r, p)
			past = append(past, d)
			before := coded{c.s, slices.Clone(c.rests), c.rhythm, c.every, c.now}
			want, err := p.do(d), c.do(d)
			wrong := differs(p, c)
			if wrong == "" && want != (err == nil) {
				wrong = fmt.Sprintf("the model takes it: %t, the code: %v", want, err)
			}
			if wrong == "" {
				wrong = l.lawful(before, *c, d, err == nil)
			}
			if err != nil && activation.KindOf(err) == activation.Invalid && !strings.Contains(err.Error(), "it takes") {
				wrong = "the refusal does not say what is taken: " + err.Error()
			}
			if wrong != "" {
				t.Fatalf("job %d (USHER_SEED=%d): %s\nafter %+v", job, first, wrong, past)
			}
			if before.s.State != c.s.State {
				seen[string(before.s.State)+" "+string(c.s.State)]++
			}
		}
	}
	for _, way := range []string{
		"runnable sleeping", "runnable paused", "runnable completed", "runnable failed", "runnable killed", "sleeping runnable", "sleeping paused", "sleeping completed",
		"sleeping failed", "sleeping killed", "paused runnable", "paused killed", "paused completed", "failed runnable", "failed killed", "completed killed",
	} {
		if seen[way] == 0 {
			t.Errorf("no job ever went from %s: %v", way, seen)
		}
	}
}

// born draws a job, runnable or asleep until its time of day.
func born(r *rand.Rand) (*plain, *coded) {
	const now = 1_800_000_000
	p := &plain{now: now, failAfter: []int64{7200, 36_000}[r.IntN(2)], once: r.IntN(4) == 0, every: []int64{0, 0, 3600, 86_400}[r.IntN(4)]}
	c := &coded{now: time.Unix(now, 0).UTC(), rhythm: activation.Rhythm{FailAfter: time.Duration(p.failAfter) * time.Second, Once: p.once}, every: time.Duration(p.every) * time.Second}
	var first time.Time
	p.job = words{"state": "runnable"}
	if r.IntN(3) == 0 {
		first = c.now.Add(5 * time.Hour)
		p.job = words{"state": "sleeping", "reason": "schedule", "until": strconv.Itoa(now + 5*3600)}
	}
	p.job.setTime("since", now)
	c.s = activation.Created(c.now, first)
	for range 1 + r.IntN(3) {
		t := words{"state": p.job["state"]}
		if p.job["reason"] != "" {
			t["reason"], t["until"] = p.job["reason"], p.job["until"]
		}
		p.targets, c.rests = append(p.targets, t), append(c.rests, activation.NewRest(c.now, first))
	}
	return p, c
}
