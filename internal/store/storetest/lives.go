package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"usher/internal/activation"
)

// The lives of jobs: random commands of people, ends of runs of every kind,
// crashes and takeovers, stalls, parking and a clock that jumps, also back by
// seconds, lived by a real store and by a model that is product section 2 in
// words and ifs. Both are the same after every step.

// words is a thing of the model: "" is what is not there.
type words map[string]string

func (w words) at(key string) int64 {
	n, _ := strconv.ParseInt(w[key], 10, 64)
	return n
}

func (w words) set(key string, at int64) { w[key] = strconv.FormatInt(at, 10) }

func (w words) is(key string, any ...string) bool {
	for _, v := range any {
		if w[key] == v {
			return true
		}
	}
	return false
}

func (w words) wake() { w["state"], w["reason"], w["until"] = "runnable", "", "" }

func (w words) sleep(reason string, until int64) {
	w["state"], w["reason"] = "sleeping", reason
	w.set("until", until)
}

func (w words) fail() { w["state"], w["reason"], w["until"] = "failed", "", "" }

// life is one job of the model with its targets and their newest runs, which
// all use one authorization.
type life struct {
	job, auth     words
	targets, runs []words // runs[i] is the newest of targets[i]
	now           func() int64
	failAfter     int64
	once          bool
}

const (
	stallLimit = 60
	leaseLimit = int64(lease / time.Second)
)

func (l *life) moves() bool { return l.job.is("state", "runnable", "sleeping") }
func (l *life) over() bool  { return l.job.is("state", "killed", "failed") }

// open: the target's newest run is its open one.
func open(run words) bool { return run.is("status", "pending", "running") && run["asks"] == "" }

func (l *life) held(run words) bool { return run["held"] != "" && run.at("lease") > l.now() }

// workable: somebody may take the run.
func (l *life) workable(run words) bool {
	if !open(run) || l.held(run) {
		return false
	}
	if l.over() {
		return true
	}
	return !l.job.is("state", "paused") && l.auth["bad"] == ""
}

func (l *life) end(run words) {
	run["status"], run["held"], run["asks"], run["stalled"] = "ended", "", "", ""
	run["failed"] = ""
}

func (l *life) touch() {
	for _, r := range l.runs {
		if r.is("status", "pending", "running") {
			r.set("progress", l.now())
		}
	}
}

// endPending withdraws what nobody has begun.
func (l *life) endPending() {
	for i, r := range l.runs {
		if r.is("status", "pending") {
			l.withdraw(i)
		}
	}
}

func (l *life) withdraw(i int) {
	l.end(l.runs[i])
	l.runs[i].set("attempt", l.runs[i].at("attempt")+1)
	if l.targets[i].is("reason", "approval") {
		l.targets[i].wake()
	}
}

func (l *life) state(s string) {
	if l.job["state"] != s {
		l.job.set("since", l.now())
	}
	l.job["state"], l.job["reason"], l.job["until"], l.job["resume"] = s, "", "", ""
}

// show makes the job what its targets come to.
func (l *life) show() {
	var asleep words
	most, first := int64(0), ""
	has := map[string]bool{}
	for _, t := range l.targets {
		has[t["state"]] = true
		most = max(most, t.at("errors"))
		if t["failing"] != "" && (first == "" || t.at("failing") < words{"": first}.at("")) {
			first = t["failing"]
		}
		if t.is("state", "sleeping") && (asleep == nil || t.at("until") < asleep.at("until")) {
			asleep = t
		}
	}
	l.job.set("errors", most)
	l.job["failing"] = first
	if !l.moves() {
		return
	}
	if has["runnable"] {
		l.state("runnable")
	} else if has["sleeping"] {
		l.state("sleeping")
		l.job["reason"], l.job["until"] = asleep["reason"], asleep["until"]
	} else if has["failed"] {
		l.state("failed")
		l.endPending()
	} else {
		l.state("completed")
	}
}

func (l *life) rouse(failedToo bool) {
	for _, t := range l.targets {
		if t.is("state", "failed") && failedToo {
			t.wake()
			t["errors"], t["failing"] = "0", ""
		} else if t.is("state", "runnable", "sleeping") && !t.is("reason", "authorization", "approval") {
			t.wake()
		}
	}
}

func (l *life) park() {
	l.auth["bad"] = "yes"
	if l.job.is("state", "killed", "completed") {
		return
	}
	for _, t := range l.targets {
		l.parkOne(t)
	}
	l.show()
}

func (l *life) parkOne(t words) {
	if t.is("state", "failed", "completed") {
		return
	}
	if t["failing"] == "" {
		t.set("failing", l.now())
	}
	if l.now()-t.at("failing") >= l.failAfter {
		t.fail()
	} else {
		t.sleep("authorization", t.at("failing")+l.failAfter)
	}
}

// mayRetry: the newest run of a target failed and nothing speaks against it.
func (l *life) mayRetry(run words) bool {
	if run["failed"] == "" || l.job.is("state", "killed", "completed", "paused") {
		return false
	}
	return run["failed"] != "unauthorized" || l.auth["healthy"] != ""
}

func (l *life) retry(i int) {
	t, r := l.targets[i], l.runs[i]
	r["status"], r["failed"], r["given up"] = "running", "", ""
	r.set("attempt", r.at("attempt")+1)
	r.set("progress", l.now())
	if t.is("state", "failed") {
		t["errors"], t["failing"] = "0", ""
	}
	if !t.is("state", "completed") {
		t.wake()
	}
	if l.job.is("state", "failed") {
		l.state("runnable")
	}
}

// ended is what the end of a run of an error's kind means.
func (l *life) ended(t words, kind activation.Kind, until int64) {
	if l.job.is("state", "killed") {
		return
	}
	counts := kind != "" && kind != "wait_until" && !t.is("state", "failed", "completed")
	if counts {
		t.set("errors", t.at("errors")+1)
		if t["failing"] == "" {
			t.set("failing", l.now())
		}
	}
	switch {
	case t.is("state", "failed", "completed"):
	case kind == "" && l.once:
		t.wake()
		t["state"], t["errors"], t["failing"] = "completed", "0", ""
	case kind == "":
		t.wake()
		t["errors"], t["failing"] = "0", ""
	case kind == "wait_until":
		t.sleep("provider_limit", until)
	case kind == "invalid":
		t.fail()
	case kind == "unauthorized":
	case l.now()-t.at("failing") >= l.failAfter:
		t.fail()
	default:
		nap := int64(60)
		for i := int64(1); i < t.at("errors") && i <= 20; i++ {
			nap += nap
		}
		t.sleep("error", min(l.now()+nap, t.at("failing")+l.failAfter))
	}
	if kind == "unauthorized" {
		l.auth["healthy"] = ""
		l.park()
	}
	l.show()
}

// stall restarts what hangs in somebody's hands, or what nobody takes, and says
// how many there were. It looks before it restarts. What hangs has erred; where
// that has lasted for too long it has failed, and ends where nothing was staged.
func (l *life) stall() (hung, neglected int) {
	var hang, wait []int
	for i, r := range l.runs {
		still := open(r) && l.now()-r.at("progress") >= stallLimit && !l.job.is("state", "paused")
		if still && l.held(r) {
			hang = append(hang, i)
		}
		if still && r["stalled"] == "" && l.workable(r) && !l.lineBefore(i) {
			wait = append(wait, i)
		}
	}
	for _, i := range hang {
		l.restart(l.runs[i])
		l.errs(i)
	}
	for _, i := range wait {
		if open(l.runs[i]) {
			l.restart(l.runs[i])
			neglected++
		}
	}
	return len(hang), neglected
}

func (l *life) restart(r words) {
	r["held"] = ""
	if r["stalled"] == "" {
		r.set("stalled", l.now())
	}
	r.set("stalls", r.at("stalls")+1)
	r.set("attempt", r.at("attempt")+1)
}

// errs counts a stall of the run of a target.
func (l *life) errs(i int) {
	t, r := l.targets[i], l.runs[i]
	if l.job.is("state", "killed") || t.is("state", "failed", "completed") || r["given up"] != "" {
		return
	}
	t.set("errors", t.at("errors")+1)
	if t["failing"] == "" {
		t.set("failing", l.now())
	}
	if l.now()-t.at("failing") >= l.failAfter {
		t.fail()
		r["given up"] = "yes"
		if r["staged"] == "" {
			l.end(r)
		}
	}
	l.show()
}

// moved ends the stall of the run of a target, and errors that were but that.
func (l *life) moved(i int) {
	t, r := l.targets[i], l.runs[i]
	if r["stalled"] != "" && t["failing"] == r["stalled"] && t.is("state", "runnable", "sleeping") && !t.is("reason", "authorization") {
		t["errors"], t["failing"] = "0", ""
		l.show()
	}
	r["stalled"] = ""
}

// lineBefore: another run of the authorization is worked on and moves.
func (l *life) lineBefore(i int) bool {
	for k, r := range l.runs {
		if k != i && l.held(r) && l.now()-r.at("progress") < stallLimit {
			return true
		}
	}
	return false
}

// actor lives one job's life in store and model.
type actor struct {
	*life
	w       *world
	r       *rand.Rand
	id      activation.JobID
	auth    activation.AuthorizationID
	ids     []activation.TargetID
	runIDs  []activation.RunID
	workers []heldRun
	past    []string
	wrong   string
	what    string         // the present step
	seen    map[string]int // what steps came to, of all lives
}

// heldRun is an attempt that somebody believes to hold.
type heldRun struct {
	target int
	run    activation.Run
}

// lives lives many jobs one after the other. USHER_SEED runs a failure again.
func lives(t *testing.T, env Env) {
	first := rand.Uint64()
	if text := os.Getenv("USHER_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("USHER_SEED: %v", err)
		}
		first = n
	}
	w := newWorld(t, env)
	seen := map[string]int{}
	for n := range uint64(manyLives) {
		a := begin(w, rand.New(rand.NewPCG(first, n)), int(n))
		a.seen = seen
		for range 60 {
			a.step()
			if a.wrong == "" {
				a.wrong = a.differs()
			}
			if a.wrong != "" {
				t.Fatalf("life %d (USHER_SEED=%d): %s\nafter %v", n, first, a.wrong, a.past)
			}
		}
		a.finish()
		w.sound()
	}
	t.Logf("USHER_SEED=%d: %v", first, seen)
	for _, step := range []string{
		"open ok", "open conflict", "open invalid", "take ok", "take conflict", "end ok", "end fenced", "retry ok", "retry conflict", "pause ok", "pause invalid",
		"resume ok", "resume invalid", "bounce ok", "bounce invalid", "run ok", "run conflict", "ask ok", "answer ok", "withdraw ok", "renew ok", "renew fenced", "stall hung", "stall neglected",
	} {
		if seen[step] == 0 && manyLives > 20 {
			t.Errorf("no life had %q", step)
		}
	}
}

func begin(w *world, r *rand.Rand, n int) *actor {
	w.t.Helper()
	now := func() int64 { return w.clock.Now().Unix() }
	a := &actor{w: w, r: r, life: &life{job: words{"state": "runnable", "errors": "0"}, auth: words{}, now: now, failAfter: []int64{7200, 36_000}[r.IntN(2)], once: r.IntN(4) == 0}}
	auth := w.authorization(fmt.Sprint("life ", n))
	a.auth = auth.ID
	w.dest = w.destination(fmt.Sprint("life ", n), fmt.Sprint("life-", n), auth.ID)
	var audiences []activation.Audience
	for i := range []int{1, 1, 2, 3}[r.IntN(4)] {
		audiences = append(audiences, w.audience(fmt.Sprintf("life-%d-%d", n, i)))
		a.targets, a.runs, a.runIDs = append(a.targets, words{"state": "runnable", "errors": "0"}), append(a.runs, words{}), append(a.runIDs, "")
	}
	j, targets := w.job(fmt.Sprint("life ", n), func(j *activation.Job) {
		j.FailAfter, j.StallAfter, j.Continuous = time.Duration(a.failAfter)*time.Second, stallLimit*time.Second, !a.once
	}, audiences...)
	a.id = j.ID
	a.job.set("since", now())
	for _, audience := range audiences {
		for _, t := range targets {
			if t.Audience == audience.ID {
				a.ids = append(a.ids, t.ID)
			}
		}
	}
	return a
}

// expect notes what is wrong unless the store answered as the model does.
func (a *actor) expect(want string, err error) bool {
	a.seen[a.what+" "+want]++
	if got := class(err); got != want {
		a.wrong = fmt.Sprintf("the store answers %v, the model %s", err, want)
		return false
	}
	return want == "ok"
}

// taken is what a command comes to.
func taken(ok bool) string {
	if ok {
		return "ok"
	}
	return "invalid"
}

var actions = []string{
	"clock", "clock", "open", "open", "open", "take", "take", "take", "end", "end", "end", "end", "end", "retry", "retry", "pause", "resume", "resume",
	"bounce", "bounce", "run", "park", "mend", "mend", "sweep", "ask", "answer", "answer", "withdraw", "renew", "renew", "stall", "stall",
}

func (a *actor) step() {
	what := actions[a.r.IntN(len(actions))]
	if a.r.IntN(100) == 0 {
		what = "kill"
	}
	i := a.r.IntN(len(a.targets))
	if a.r.IntN(3) == 0 {
		what = a.likely(i, what)
	}
	a.what = what
	a.past = append(a.past, fmt.Sprint(what, " ", i))
	s, ctx := a.w.Store, a.w.t.Context()
	t, run := a.targets[i], a.runs[i]
	switch what {
	case "clock":
		d := []int64{1, 20, 40, 44, 46, 61, 120, 3600, 9000, -1, -5}[a.r.IntN(11)]
		a.past = append(a.past, fmt.Sprint(d, "s"))
		a.w.clock.Add(time.Duration(d) * time.Second)
	case "pause":
		d := []int64{0, 60}[a.r.IntN(2)]
		ok := a.moves()
		if a.expect(taken(ok), s.Pause(ctx, a.id, time.Duration(d)*time.Second, "ann")) {
			a.state("paused")
			if d > 0 {
				a.job.set("resume", a.now()+d)
			}
			a.touch()
		}
	case "resume":
		if a.expect(taken(a.job.is("state", "paused")), s.Resume(ctx, a.id, "ann")) {
			a.resumed()
		}
	case "bounce":
		if a.expect(taken(a.job.is("state", "failed")), s.Bounce(ctx, a.id, "ann")) {
			a.state("runnable")
			a.rouse(true)
			for k, r := range a.runs {
				if !a.targets[k].is("state", "completed") && a.mayRetry(r) {
					a.life.retry(k)
				}
			}
			a.show()
		}
	case "run":
		want := taken(a.moves())
		for _, r := range a.runs {
			if want == "ok" && open(r) {
				want = "conflict"
			}
		}
		if a.expect(want, s.RunNow(ctx, a.id, "ann")) {
			a.rouse(true)
			a.show()
		}
	case "kill":
		if a.expect("ok", s.Kill(ctx, a.id, "ann")) && !a.job.is("state", "killed") {
			a.state("killed")
			a.endPending()
			a.touch()
			a.show()
		}
	case "park":
		if a.expect("ok", s.MarkUnhealthy(ctx, a.auth, "revoked")) {
			a.life.auth["healthy"] = ""
			a.park()
		}
	case "mend":
		if a.expect("ok", s.MarkHealthy(ctx, a.auth)) {
			a.mended()
		}
	case "sweep":
		_, err := s.ResumeDue(ctx)
		if a.expect("ok", err) && a.job.is("state", "paused") && a.job["resume"] != "" && a.job.at("resume") <= a.now() {
			a.resumed()
		}
		_, err = s.FailOverdue(ctx)
		if a.expect("ok", err) && !a.job.is("state", "killed", "paused") {
			for _, t := range a.targets {
				if t.is("reason", "authorization") && t.at("until") <= a.now() {
					a.parkOne(t)
				}
			}
			a.show()
		}
	case "stall":
		a.stall()
	case "hang":
		a.hang()
	case "open":
		a.open(i)
	case "take":
		a.take(i)
	case "end":
		a.endRun()
	case "renew":
		a.renew()
	case "ask":
		a.ask()
	case "answer":
		if run["asks"] == "" {
			return
		}
		if a.expect("ok", s.Approve(ctx, a.runIDs[i], "ann")) {
			run["asks"] = ""
			run.set("progress", a.now())
			t.wake()
			a.show()
		}
	case "withdraw":
		if a.runIDs[i] == "" {
			return
		}
		want := "conflict"
		if run.is("status", "pending") {
			want = "ok"
		}
		if a.expect(want, s.Withdraw(ctx, a.runIDs[i], "ann")) {
			a.life.withdraw(i)
			a.show()
		}
	case "retry":
		if a.runIDs[i] == "" {
			return
		}
		want := "conflict"
		if a.mayRetry(run) {
			want = "ok"
		}
		if a.expect(want, s.Retry(ctx, a.runIDs[i], "ann")) {
			a.life.retry(i)
			a.show()
		}
	}
}

// likely is what people and nodes do next as things are, so that lives go on.
func (a *actor) likely(i int, otherwise string) string {
	run := a.runs[i]
	switch {
	case a.job.is("state", "failed"):
		return "bounce"
	case a.job.is("state", "paused"):
		return "resume"
	case a.life.auth["bad"] != "":
		return "mend"
	case run["failed"] != "":
		return "retry"
	case run.is("status", "pending") && a.r.IntN(5) == 0:
		return "withdraw"
	case run["asks"] != "":
		return "answer"
	case run.is("status", "pending"):
		return "take"
	case run.is("status", "running") && run["held"] == "":
		return "take"
	case run.is("status", "running"):
		return []string{"end", "hang", "ask", "clock"}[a.r.IntN(4)]
	}
	return otherwise
}

// hang lets somebody hold runs without moving them.
func (a *actor) hang() {
	for range 3 {
		a.renew()
		if a.wrong != "" {
			return
		}
		a.w.clock.Add(30 * time.Second)
	}
	a.stall()
}

func (a *actor) stall() {
	_, err := a.w.RestartStalled(a.w.t.Context(), time.Time{})
	if a.expect("ok", err) {
		hung, neglected := a.life.stall()
		a.seen["stall hung"] += hung
		a.seen["stall neglected"] += neglected
	}
}

func (a *actor) resumed() {
	a.state("runnable")
	a.rouse(false)
	a.touch()
	a.show()
}

func (a *actor) mended() {
	l := a.life
	l.auth["bad"], l.auth["healthy"] = "", "yes"
	if l.job.is("state", "killed", "completed") {
		return
	}
	for k, t := range l.targets {
		if t.is("reason", "authorization") {
			t.wake()
			if l.mayRetry(l.runs[k]) {
				l.retry(k)
			}
		}
	}
	l.show()
}

func (a *actor) open(i int) {
	t, run := a.targets[i], a.runs[i]
	want := "ok"
	if !a.moves() {
		want = "invalid"
	} else if open(run) || t.is("state", "failed", "completed") {
		want = "conflict"
	}
	got, err := a.w.OpenRun(a.w.t.Context(), activation.Run{Target: a.ids[i]})
	if a.expect(want, err) {
		a.runIDs[i] = got.ID
		a.runs[i] = words{"status": "pending", "attempt": "0", "stalls": "0"}
		a.runs[i].set("progress", a.now())
		t.wake()
		a.show()
	}
}

// take takes a run and queues an item, so that it has something to fail.
func (a *actor) take(i int) {
	run := a.runs[i]
	if a.runIDs[i] == "" {
		return
	}
	want := "conflict"
	if a.workable(run) {
		want = "ok"
	}
	got, _, err := a.w.TakeRun(a.w.t.Context(), a.runIDs[i], "some node", lease)
	if !a.expect(want, err) {
		return
	}
	run["status"], run["held"] = "running", "yes"
	run.set("attempt", run.at("attempt")+1)
	run.set("lease", a.now()+leaseLimit)
	run.set("progress", a.now())
	if !a.over() {
		got.Stage, got.StagedAt = activation.StageMembers, a.w.clock.Now()
		if a.expect("ok", a.w.QueueItems(a.w.t.Context(), got, tenEach(1))) {
			a.moved(i)
			run["staged"] = "yes"
		}
	}
	a.workers = append(a.workers, heldRun{i, got})
}

// anyWorker draws somebody who holds a run, or believes so.
func (a *actor) anyWorker() (heldRun, words, bool) {
	if len(a.workers) == 0 {
		return heldRun{}, nil, false
	}
	for try := 1; ; try++ {
		h := a.workers[max(0, len(a.workers)-1-a.r.IntN(4))]
		run := a.runs[h.target]
		mine := a.runIDs[h.target] == h.run.ID && run.is("status", "running") && run.at("attempt") == int64(h.run.Attempt)
		if mine || try == 3 {
			return h, run, mine
		}
	}
}

func (a *actor) endRun() {
	h, run, mine := a.anyWorker()
	if h.run.ID == "" {
		return
	}
	kinds := []activation.Kind{"", "", "", activation.Unavailable, activation.Unavailable, activation.Internal, activation.WaitUntil, activation.Unauthorized, activation.Invalid, activation.Invalid, activation.Invalid}
	kind := kinds[a.r.IntN(len(kinds))]
	a.past = append(a.past, fmt.Sprintf("%q of %d", kind, h.target))
	ctx, r := a.w.t.Context(), h.run
	until := a.w.clock.Now().Add(time.Duration(1+a.r.IntN(100)) * time.Minute)
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, kind, "META-2"
	if kind == "" {
		r.Status, r.ErrorCode = activation.RunCompleted, ""
		err := a.w.EndItems(ctx, r, activation.ItemWithdrawn)
		if !a.expect(map[bool]string{true: "ok", false: "fenced"}[mine], err) {
			return
		}
	}
	if mine && a.over() {
		r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, "", activation.CodeJobEnded
	}
	want := "fenced"
	if mine {
		want = "ok"
	}
	if !a.expect(want, a.w.FinishRun(ctx, r, activation.End{Until: until})) {
		return
	}
	ended := a.over()
	a.life.end(run)
	if ended {
		return
	}
	if kind != "" && run["staged"] != "" {
		run["failed"] = string(kind)
	}
	a.ended(a.targets[h.target], kind, until.Unix())
}

func (a *actor) renew() {
	h, run, mine := a.anyWorker()
	if h.run.ID == "" {
		return
	}
	want := "fenced"
	if mine && a.held(run) {
		want = "ok"
	}
	if a.expect(want, a.w.RenewRun(a.w.t.Context(), h.run, lease)) {
		run.set("lease", a.now()+leaseLimit)
	}
}

func (a *actor) ask() {
	h, run, mine := a.anyWorker()
	if h.run.ID == "" {
		return
	}
	want := "ok"
	if !mine || !a.held(run) || a.over() {
		want = "fenced"
	} else if a.job.is("state", "paused") || a.life.auth["bad"] != "" {
		want = "paused"
	}
	if a.expect(want, a.w.AwaitApproval(a.w.t.Context(), h.run)) {
		run["status"], run["asks"], run["held"], run["stalled"] = "pending", "yes", "", ""
		a.targets[h.target].sleep("approval", a.now()+7*24*3600)
		a.show()
	}
}

// differs compares job, targets and runs; "" = alike.
func (a *actor) differs() string {
	ctx := a.w.t.Context()
	j, err := a.w.Job(ctx, a.id)
	if err != nil {
		return err.Error()
	}
	have := fmt.Sprint(j.State, j.SleepReason, stampOf(j.SleepUntil), stampOf(j.ResumeAt), j.ConsecutiveErrors, stampOf(j.FailingSince), stampOf(j.StateSince))
	m := a.job
	if want := fmt.Sprint(m["state"], m["reason"], m["until"], m["resume"], m.at("errors"), m["failing"], m["since"]); have != want {
		return fmt.Sprintf("the job is %s, the model has %s", have, want)
	}
	var due []activation.Target
	if len(a.past)%8 == 0 {
		due, err = a.w.DueTargets(ctx, 1000)
	}
	if err != nil {
		return err.Error()
	}
	for _, d := range due {
		if d.Job == a.id && (!a.moves() || d.State == activation.TargetFailed || d.State == activation.TargetCompleted) {
			return fmt.Sprintf("a target is due although it is %s and its job %s", d.State, j.State)
		}
	}
	for i, m := range a.targets {
		t, err := a.w.Target(ctx, a.ids[i])
		if err != nil {
			return err.Error()
		}
		have := fmt.Sprint(t.State, t.SleepReason, stampOf(t.SleepUntil), t.ConsecutiveErrors, stampOf(t.FailingSince), t.OpenRun != "")
		if want := fmt.Sprint(m["state"], m["reason"], m["until"], m.at("errors"), m["failing"], open(a.runs[i])); have != want {
			return fmt.Sprintf("target %d is %s, the model has %s", i, have, want)
		}
		if a.runIDs[i] == "" {
			continue
		}
		r, err := a.w.Run(ctx, a.runIDs[i])
		if err != nil {
			return err.Error()
		}
		status := string(r.Status)
		if r.Status.Final() {
			status = "ended"
		}
		n := a.runs[i]
		have = fmt.Sprint(status, r.Reason != "", r.Attempt, r.Node != "", r.Stalls, !r.StalledAt.IsZero())
		if want := fmt.Sprint(n["status"], n["asks"] != "", n.at("attempt"), n["held"] != "", n.at("stalls"), n["stalled"] != ""); have != want {
			return fmt.Sprintf("run of target %d is %s, the model has %s", i, have, want)
		}
	}
	return ""
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// finish ends the job for good, and everything that is open of it.
func (a *actor) finish() {
	a.w.t.Helper()
	ctx := a.w.t.Context()
	a.w.ok(a.w.DeleteJob(ctx, a.id, "ann"))
	a.w.clock.Add(2 * lease)
	for i := range a.targets {
		if a.runIDs[i] == "" {
			continue
		}
		r, _, err := a.w.TakeRun(ctx, a.runIDs[i], "last", lease)
		if errors.Is(err, activation.ErrConflict) {
			continue
		}
		a.w.ok(err)
		r.Status, r.ErrorCode = activation.RunFailed, activation.CodeJobEnded
		a.w.ok(a.w.FinishRun(ctx, r, activation.End{}))
	}
}
