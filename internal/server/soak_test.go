package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/delivery"
	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// A campaign is a server that is used, disturbed and killed at random beside a
// plain model of what its networks should hold.
type campaign struct {
	t       *testing.T
	rand    *rand.Rand
	far     *far
	country *country
	dir     string
	p       *process
	jobs    map[string]string // id by name
	decider string            // the outbound job of level all
	broken  bool              // faults are on
	did     map[string]int    // how often each move was made
	moves   int
	kills   int
	history []string
}

// soakSteps is how many moves a campaign has: USHER_SOAK, else it is skipped.
func soakSteps(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("USHER_SOAK"))
	if err != nil || n <= 0 {
		t.Skip("a campaign of its own: make soak-short, make soak")
	}
	return n
}

// TestSoak: thousands of changes of people, decisions, crashes, faults of the
// network, pauses, approvals and retries. From time to time and at the end
// everything is let come to rest: every remote audience then holds exactly who
// the model says, and every law of every run holds.
func TestSoak(t *testing.T) {
	steps := soakSteps(t)
	seed := seedOf(t)
	c := &campaign{
		t: t, rand: rand.New(rand.NewPCG(seed, 12)), far: startSandbox(t), country: newCountry(seed, 400), dir: t.TempDir(),
		jobs: map[string]string{}, did: map[string]int{},
	}
	c.start("")
	c.declare()
	begin := time.Now()
	for i := 1; i <= steps; i++ {
		c.move()
		if i%100 == 0 || i == steps {
			c.rest()
			c.compare(fmt.Sprintf("move %d", i))
			c.laws()
		}
		if t.Failed() {
			t.Fatalf("seed %d, at move %d; the last ones: %s", seed, i, strings.Join(c.history[max(0, len(c.history)-30):], ", "))
		}
	}
	t.Logf("seed %d: %d moves in %s (%v), killed %d times, %d runs, batches sent twice: %d",
		seed, steps, time.Since(begin).Round(time.Second), c.did, c.kills, len(c.allRuns()), repeated(c.far))
}

func (c *campaign) start(crash string) {
	c.p = start(c.t, c.dir, c.far, crash, envGuard+"=20")
}

// do calls the server; one that has died meanwhile is started again and asked
// once more, so every request must bear that. A refusal is returned.
func (c *campaign) do(method, path string, body, out any) error {
	c.t.Helper()
	for try := 0; ; try++ {
		_, err := c.p.Do(c.t.Context(), method, path, body, out)
		var refused *client.Error
		if err == nil || errors.As(err, &refused) && refused.Status < 500 {
			return err
		}
		select {
		case <-c.p.dead:
			c.kills++
			c.start("")
		case <-time.After(50 * time.Millisecond):
		}
		if try == 200 {
			c.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

func (c *campaign) must(method, path string, body, out any) {
	c.t.Helper()
	if err := c.do(method, path, body, out); err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// declare sets up people, audiences, two destinations, the hierarchy and the
// jobs of the campaign.
func (c *campaign) declare() {
	c.must(http.MethodPut, "/v2/stream/people", map[string]any{}, nil)
	c.must(http.MethodPut, "/v2/stream/links", map[string]any{"message_id_fields": []string{"link"}}, nil)
	for _, f := range []map[string]any{
		{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false},
		{"name": "badge", "type": "text", "merge": "latest", "identifier_rank": 2, "pii": false, "public": false},
		{"name": "email", "type": "text", "merge": "latest", "pii": true, "public": false},
		{"name": "score", "type": "integer", "merge": "latest", "pii": false, "public": false},
		{"name": "blocked", "type": "boolean", "merge": "latest", "pii": false, "public": false},
	} {
		c.must(http.MethodPost, "/v2/field", f, nil)
	}
	c.must(http.MethodPut, "/v2/mapping/people", map[string]string{"customer": `concat("id-", id)`, "badge": `concat("badge-", id)`, "email": "email", "score": "score", "blocked": "blocked"}, nil)
	c.must(http.MethodPut, "/v2/mapping/links", map[string]string{"customer": `concat("id-", customer)`, "badge": `concat("badge-", badge)`}, nil)
	for slug, rule := range map[string]string{"high": "score > 50", "vip": "score > 80", "blocked": "blocked = true"} {
		c.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": slug, "name": strings.ToUpper(slug[:1]) + slug[1:], "segment_ql": "FILTER " + rule}, nil)
	}
	places := map[string]string{}
	for i, name := range []string{"A", "B"} {
		var auth, dest struct{ ID string }
		c.must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": name, "config": map[string]string{"access_token": meta.DefaultToken, "base_url": "http://" + c.far.addr + "/meta"}}, &auth)
		c.must(http.MethodPost, "/v2/destination", map[string]any{
			"name": name, "provider": "meta", "auth_id": auth.ID, "account": strconv.Itoa(i + 1),
			"mapping": map[string]string{"EXTERN_ID": "customer", "EMAIL": "email"}, "config": map[string]string{"regain_unit": "seconds"},
		}, &dest)
		places[name] = dest.ID
	}
	c.hierarchy()
	c.load("people", c.country.all())
	c.must(http.MethodPost, "/v2/priority-list", map[string]any{"name": "First vip", "destination_id": places["B"], "segment_ids": []string{"vip", "high"}}, nil)
	for name, body := range map[string]map[string]any{
		"A rules":  {"destination_id": places["A"], "segment_ids": []string{"high"}, "exclude": []string{"blocked"}},
		"B rules":  {"destination_id": places["B"], "segment_ids": []string{"vip", "high"}},
		"A offers": {"destination_id": places["A"], "level": "Sales/Offers"},
		"B offers": {"destination_id": places["B"], "level": "all", "run_frequency": "1h"},
	} {
		body["name"] = name
		var job struct{ ID string }
		c.must(http.MethodPost, "/v2/job/meta_custom_audience", body, &job)
		c.jobs[name] = job.ID
	}
	var job struct{ ID string }
	c.must(http.MethodPost, "/v2/job/next_best_action", map[string]any{"name": "Outbound", "config": map[string]any{"level": "all"}, "run_frequency": "daily", "time_of_day": "03:00"}, &job)
	c.decider = job.ID
}

func (c *campaign) hierarchy() {
	issues, groups := map[string]string{}, map[string]string{}
	for _, o := range offers {
		var made struct{ ID string }
		if issues[o.issue] == "" {
			c.must(http.MethodPost, "/v2/paid/issue", map[string]any{"name": o.issue}, &made)
			issues[o.issue] = made.ID
		}
		if groups[o.issue+"/"+o.group] == "" {
			c.must(http.MethodPost, "/v2/paid/group", map[string]any{"issue_id": issues[o.issue], "name": o.group}, &made)
			groups[o.issue+"/"+o.group] = made.ID
		}
		c.must(http.MethodPost, "/v2/paid/action", map[string]any{
			"group_id": groups[o.issue+"/"+o.group], "name": o.name, "eligibility": fmt.Sprintf("FILTER score > %d", o.above), "priority": o.priority,
		}, nil)
	}
}

// load brings people in and waits until they are in the profiles.
func (c *campaign) load(stream, csv string) {
	c.t.Helper()
	for try := 0; ; try++ {
		var sum struct {
			ID string `json:"load_id"`
		}
		err := c.p.Upload(c.t.Context(), "/collect/bulk/"+stream, "text/csv", strings.NewReader(csv), &sum)
		if err == nil && c.merged(sum.ID) {
			return
		}
		var none any
		_ = c.do(http.MethodGet, "/v2/profile/count", nil, &none) // starts it again where it has died
		if try == 50 {
			c.t.Fatalf("upload: %v", err)
		}
	}
}

func (c *campaign) merged(load string) bool {
	for range 3000 {
		var l struct{ Status, Error string }
		if err := c.do(http.MethodGet, "/v2/load/"+load, nil, &l); err != nil || l.Status == "failed" {
			c.t.Fatalf("load: %v %s", err, l.Error)
		}
		if l.Status == "merged" {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// links brings links of customers in, if there are any.
func (c *campaign) links(csv string) {
	if strings.Count(csv, "\n") > 1 {
		c.load("links", csv)
	}
}

// move makes one random move.
func (c *campaign) move() {
	moves := []struct {
		name   string
		weight int
		do     func()
	}{
		{"change", 30, func() { c.load("people", c.country.change(1+c.rand.IntN(60))) }},
		{"merge", 8, func() { c.links(c.country.merge(1 + c.rand.IntN(8))) }},
		{"part", 6, func() { c.links(c.country.part(1 + c.rand.IntN(6))) }},
		{"decide", 20, c.decide},
		{"outbound", 4, c.outbound},
		{"run", 25, c.run},
		{"fault", 8, c.fault},
		{"heal", 6, c.heal},
		{"pause", 3, func() { c.command("pause") }},
		{"resume", 6, func() { c.command("resume") }},
		{"bounce", 4, func() { c.command("bounce") }},
		{"retry", 8, c.retry},
		{"answer", 6, c.answer},
		{"gone", 1, c.gone},
		{"crash", 5, c.crash},
		{"kill", 3, c.kill},
		{"wait", 10, func() { time.Sleep(time.Duration(c.rand.IntN(400)) * time.Millisecond) }},
	}
	total := 0
	for _, m := range moves {
		total += m.weight
	}
	n := c.rand.IntN(total)
	for _, m := range moves {
		if n -= m.weight; n < 0 {
			c.moves++
			c.did[m.name]++
			c.history = append(c.history, m.name)
			m.do()
			return
		}
	}
}

// pickOne picks one of the values at random.
func pickOne[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// decide decides in real time for a few people, at a random level, half of the
// time for a given action.
func (c *campaign) decide() {
	level := pickOne(c.rand, []string{"all", "Sales", "Sales/Offers", "Care", "Care/Loyalty"})
	action := ""
	if c.rand.IntN(2) == 0 {
		action = pickOne(c.rand, offersAt(level)).name
	}
	type customer struct {
		ID     string `json:"id"`
		Level  string `json:"level"`
		Action string `json:"action,omitempty"`
	}
	var asked []customer
	for _, id := range c.rand.Perm(len(c.country.people))[:1+c.rand.IntN(20)] {
		asked = append(asked, customer{externOf(id), level, action})
	}
	var out []struct {
		ID, Status string
	}
	c.must(http.MethodPost, "/v2/paid/decision", map[string]any{"customers": asked}, &out)
	if len(out) != len(asked) {
		c.t.Errorf("%d outcomes for %d customers", len(out), len(asked))
	}
	for i, a := range asked {
		var id int
		_, _ = fmt.Sscanf(a.ID, "id-%d", &id)
		if moved := c.country.decide(id, level, action); moved == (out[i].Status == "not_eligible") {
			c.t.Errorf("customer with score %d, level %s, action %q: the answer is %s", c.country.profile(c.country.who[id]).score, level, action, out[i].Status)
		}
	}
}

// outbound runs the scheduled decision for everybody and waits for it.
func (c *campaign) outbound() {
	before := c.passes()
	if err := c.do(http.MethodPost, "/v2/job/"+c.decider+"/run", nil, nil); err != nil {
		c.t.Logf("outbound: %v", err)
		return
	}
	for range 3000 {
		if c.passes() > before {
			for id := range c.country.people {
				c.country.decide(id, "all", "")
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Error("the outbound decision was not made within 30 s")
}

// passes is how many outbound decisions have been made.
func (c *campaign) passes() (n int) {
	var all []struct{ Status string }
	c.must(http.MethodGet, "/v2/job/"+c.decider+"/passes?limit=500", nil, &all)
	for _, p := range all {
		if p.Status == "completed" {
			n++
		}
	}
	return n
}

func (c *campaign) job() string {
	return c.jobs[pickOne(c.rand, slices.Sorted(maps.Keys(c.jobs)))]
}

// run asks for a run of a job; one may be open already.
func (c *campaign) run() { _ = c.do(http.MethodPost, "/v2/job/"+c.job()+"/run", nil, nil) }

func (c *campaign) command(name string) {
	_ = c.do(http.MethodPost, "/v2/job/"+c.job()+"/"+name, nil, nil)
}

// fault disturbs the network in one of the ways it has.
func (c *campaign) fault() {
	c.broken = true
	c.far.fault(c.t, pickOne(c.rand, []fault.Fault{
		{Path: "*/users", Kind: fault.Status, Times: 1 + c.rand.IntN(6)},
		{Path: "*/users", Kind: fault.HTML, Times: 1 + c.rand.IntN(3)},
		{Path: "*/users", Kind: fault.Cut, Applied: true, Times: 1 + c.rand.IntN(3)},
		{Path: "*/users", Kind: fault.Cut, Times: 1 + c.rand.IntN(3)},
		{Path: "*/users", Kind: fault.Throttle, Minutes: 1, Times: 1},
		{Path: "*/users", Kind: fault.Timeout, Applied: true, Delay: fault.Duration(300 * time.Millisecond), Times: 1 + c.rand.IntN(2)},
		{Path: "*/users", Kind: fault.Token, Subcode: 463, Skip: c.rand.IntN(3), Times: -1},
		{Path: "*/users", Kind: fault.Status, Probability: 0.3, Times: 20},
		{Path: "*/users", Kind: fault.Slow, Delay: fault.Duration(30 * time.Millisecond), Times: 40},
		{Path: "*/users", Kind: fault.Flagged, Skip: c.rand.IntN(3), Times: 2},
	}))
}

// heal ends all faults and proves the credentials again.
func (c *campaign) heal() {
	c.broken = false
	c.far.ResetFaults()
	var all []struct{ ID string }
	c.must(http.MethodGet, "/v2/destination", nil, &all)
	for _, d := range all {
		_ = c.do(http.MethodPost, "/v2/destination/"+d.ID+"/test", nil, nil)
	}
}

// soakRun is a run as the campaign reads it.
type soakRun struct {
	activation.Run
	Retry struct{ Allowed bool }
}

// retry retries one of the failed runs of late, offered or not: a refusal must
// be in step with what the list says.
func (c *campaign) retry() {
	var failed []soakRun
	c.must(http.MethodGet, "/v2/run?status=failed&limit=20", nil, &failed)
	if len(failed) == 0 {
		return
	}
	_ = c.do(http.MethodPost, "/v2/run/"+string(pickOne(c.rand, failed).ID)+"/retry", nil, nil)
}

// answer approves or withdraws a run that waits. Nobody declines: who was declined
// stays, which has tests of its own.
func (c *campaign) answer() {
	var waiting []soakRun
	c.must(http.MethodGet, "/v2/run?status=pending&limit=50", nil, &waiting)
	if len(waiting) == 0 {
		return
	}
	_ = c.do(http.MethodPost, "/v2/run/"+string(pickOne(c.rand, waiting).ID)+"/"+pickOne(c.rand, []string{"approve", "approve", "withdraw"}), nil, nil)
}

// gone takes one remote audience away behind the server's back.
func (c *campaign) gone() {
	if all := c.far.Meta().Audiences(); len(all) > 0 {
		c.far.Meta().DeleteAudience(pickOne(c.rand, all).ID)
	}
}

// crash has the server die at a named point of the protocol, when it comes there.
func (c *campaign) crash() {
	c.p.kill()
	c.kills++
	c.start(string(pickOne(c.rand, delivery.CrashPoints)) + " " + strconv.Itoa(c.rand.IntN(4)))
	c.run()
}

// kill kills the server while it works.
func (c *campaign) kill() {
	c.run()
	time.Sleep(time.Duration(c.rand.IntN(300)) * time.Millisecond)
	c.p.kill()
	c.kills++
	c.start("")
}

// rest lets everything come to rest: no faults, nothing paused or failed, every
// question of the guard answered with yes, and runs until nothing is left to do.
func (c *campaign) rest() {
	c.t.Helper()
	c.p.kill() // and with it a crash that was still to come
	c.start("")
	c.heal()
	clean := map[activation.TargetID]int{}
	c.p.eventually("everything at rest", 4*time.Minute, func() (bool, string) {
		left := ""
		for _, name := range slices.Sorted(maps.Keys(c.jobs)) {
			if state := c.wake(c.jobs[name]); state != "" {
				left = name + ": " + state
				continue
			}
			for _, t := range c.targets(c.jobs[name]) {
				if state := c.settled(t, clean); state != "" {
					left = name + ": " + state
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
		return left == "", left
	})
}

// wake brings a job to where it may run.
func (c *campaign) wake(id string) string {
	var j struct{ Status activation.JobState }
	c.must(http.MethodGet, "/v2/job/"+id, nil, &j)
	switch j.Status {
	case activation.JobPaused:
		_ = c.do(http.MethodPost, "/v2/job/"+id+"/resume", nil, nil)
	case activation.JobFailed:
		_ = c.do(http.MethodPost, "/v2/job/"+id+"/bounce", nil, nil)
	case activation.JobRunnable, activation.JobSleeping:
		return ""
	case activation.JobCompleted, activation.JobKilled:
		c.t.Fatalf("a job is %s", j.Status)
	}
	return "it was " + string(j.Status)
}

func (c *campaign) targets(job string) (out []activation.Target) {
	c.must(http.MethodGet, "/v2/target?job_id="+job, nil, &out)
	return out
}

// settled runs a target until its last two runs have found nothing to do.
func (c *campaign) settled(t activation.Target, clean map[activation.TargetID]int) string {
	var runs []soakRun
	c.must(http.MethodGet, "/v2/run?target_id="+string(t.ID)+"&limit=1", nil, &runs)
	ask := func(why string) string {
		_ = c.do(http.MethodPost, "/v2/target/"+string(t.ID)+"/run", nil, nil)
		return why
	}
	if len(runs) == 0 {
		return ask("no run yet")
	}
	r := runs[0]
	switch {
	case r.Status == activation.RunPending && r.Reason == activation.SleepApproval:
		_ = c.do(http.MethodPost, "/v2/run/"+string(r.ID)+"/approve", nil, nil)
		return fmt.Sprintf("run #%d waits for an answer", r.Number)
	case !r.Status.Final():
		return fmt.Sprintf("run #%d is %s at %s", r.Number, r.Status, r.Stage)
	case r.Status != activation.RunCompleted || r.Mode != activation.ModeSync || r.Counts.Staged+r.Counts.Deferred > 0:
		return ask(fmt.Sprintf("run #%d ended %s %s %s with %+v", r.Number, r.Status, r.ErrorCode, r.ErrorText, r.Counts))
	case clean[t.ID] < int(r.Number):
		if clean[t.ID] == 0 { // one more, begun while all is well
			clean[t.ID] = int(r.Number) + 1
			return ask("once more")
		}
		return ""
	}
	return ask("once more")
}

// compare compares every remote audience with the model.
func (c *campaign) compare(when string) {
	c.t.Helper()
	seen := map[string]bool{}
	for _, a := range c.far.Meta().Audiences() {
		where := map[string]string{"1": "A", "2": "B"}[strings.TrimPrefix(a.Account, "act_")] + "/" + a.Name
		if _, ok := c.country.wanted()[where]; !ok || seen[where] {
			c.t.Errorf("after %s: the remote audience %s is not wanted, or there twice", when, where)
			continue
		}
		seen[where] = true
		held, _ := c.far.Meta().Members(a.ID)
		if diff := c.country.differences(where, held); len(diff) > 0 {
			c.t.Errorf("after %s: %d differences: %s", when, len(diff), strings.Join(diff[:min(len(diff), 10)], "; "))
		}
		for sin, n := range a.Books.Sins {
			// Two who share an e-mail and leave together take each other along; whoever
			// was to stay would be missing.
			if n > 0 && sin != meta.SinCollateral {
				c.t.Errorf("after %s: %s: the network holds %d times %v against us", when, where, n, sin)
			}
		}
	}
	if len(seen) != len(c.country.wanted()) {
		c.t.Errorf("after %s: %d remote audiences, want %d", when, len(seen), len(c.country.wanted()))
	}
}

// allRuns reads every run there is.
func (c *campaign) allRuns() (all []soakRun) {
	for before := int64(0); ; {
		var page []soakRun
		path := "/v2/run?limit=500"
		if before > 0 {
			path += "&start=" + strconv.FormatInt(before, 10)
		}
		c.must(http.MethodGet, path, nil, &page)
		all = append(all, page...)
		if len(page) < 500 {
			return all
		}
		before = page[len(page)-1].Number
	}
}

// laws checks the count laws of every run by its numbers alone, and that no run
// is open where everything is at rest.
func (c *campaign) laws() {
	c.t.Helper()
	for _, r := range c.allRuns() {
		k := r.Counts
		raw, _ := json.Marshal(k)
		for law, holds := range map[string]bool{
			"people":   k.Selected == k.HeldOut+k.Excluded+k.Capped+k.Eligible,
			"eligible": k.Eligible == k.Unchanged+k.Add+k.Update+k.Omitted+k.Deferred,
			"rows":     k.Staged == k.Sent+k.Unsent+k.Withdrawn+k.Withheld+k.Superseded,
			"answers":  k.Sent == k.Accepted+k.Rejected+k.Unknown+k.Awaiting,
			"ledger":   k.InAfter == k.InBefore+k.BecameIn-k.LeftIn,
		} {
			if !holds {
				c.t.Errorf("run #%d (%s): the law of %s is broken: %s", r.Number, r.Status, law, raw)
			}
		}
		if r.ErrorCode == activation.CodeCounts {
			c.t.Errorf("run #%d ended because its counts did not add up", r.Number)
		}
	}
}
