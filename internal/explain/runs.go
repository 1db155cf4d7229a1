package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// work tells whether anything is sent to the target at all. Where the network has
// refused the person's keys already, that is not what stops them.
func (c *inquiry) work() {
	stop := Stop
	if row, ok := c.current(); ok && row.State == refusedInIt {
		stop = Info
	}
	before := len(c.steps)
	const name = "Delivery"
	if !c.dest.Enabled {
		c.add(name, stop, fmt.Sprintf("the destination %s is switched off", quoted(c.dest.Name)))
	}
	if c.auth.Status == activation.AuthUnhealthy {
		text := fmt.Sprintf("the authorization %s does not work any more", quoted(c.auth.Label))
		if reason := c.hide(c.auth.Reason); reason != "" {
			text += ": " + reason
		}
		c.add(name, stop, text)
	}
	switch {
	case c.target.Job == "":
		c.add(name, stop, fmt.Sprintf("no job sends %s there any more", c.what()))
	case c.ended || c.job.Deleted || c.job.State == activation.JobKilled:
		c.add(name, stop, "the job that sent it there was ended")
	case c.job.State == activation.JobPaused:
		c.add(name, stop, fmt.Sprintf("the job %s is paused since %s", quoted(c.job.Name), when(c.job.StateSince))).at(c.job.StateSince)
	case c.job.State == activation.JobCompleted:
		c.add(name, stop, fmt.Sprintf("the job %s is completed: it runs once, and had its run", quoted(c.job.Name)))
	case c.target.State == activation.TargetFailed:
		c.add(name, stop, fmt.Sprintf("the job %s has failed there and does not run until somebody mends it: %s", quoted(c.job.Name), c.lastError()))
	case c.target.State == activation.TargetCompleted:
		c.add(name, stop, fmt.Sprintf("the job %s runs once, and had its run there", quoted(c.job.Name)))
	case c.target.State == activation.TargetSleeping && c.target.SleepReason == activation.SleepError:
		c.add(name, stop, fmt.Sprintf("the job %s rests after an error until %s: %s", quoted(c.job.Name), when(c.target.SleepUntil), c.lastError())).at(c.target.SleepUntil)
	case c.target.State == activation.TargetSleeping && (c.target.SleepReason == activation.SleepProviderLimit || c.target.SleepReason == activation.SleepQuietWindow):
		c.add(name, Info, fmt.Sprintf("the job %s sleeps until %s (%s)", quoted(c.job.Name), when(c.target.SleepUntil), c.target.SleepReason)).at(c.target.SleepUntil)
	}
	if len(c.steps) == before {
		c.add(name, OK, fmt.Sprintf("the job %s sends %s to %s", quoted(c.job.Name), c.what(), quoted(c.dest.Name)))
	}
}

// lastError is what the newest failed run says.
func (c *inquiry) lastError() string {
	for _, r := range c.runs {
		if r.Status == activation.RunFailed {
			return fmt.Sprintf("%s, %s", runName(r), c.said(r.ErrorCode, r.ErrorText))
		}
	}
	return "its runs tell why"
}

// said is a code with the words that came with it.
func (c *inquiry) said(code, text string) string {
	code = cmp.Or(code, "UNKNOWN-000")
	if text = c.hide(text); text != "" {
		return code + ": " + text
	}
	return code
}

// stagedSteps tell of the newest run that has rows of the person, and what became
// of them; or why there is none.
func (c *inquiry) stagedSteps() {
	if len(c.staged) == 0 {
		c.unstaged()
		return
	}
	for _, row := range c.staged {
		c.add("Staged", OK, fmt.Sprintf("%s has the person among its rows, %s", runName(c.run), asked(row.Op))).of(c.run, nil).at(c.run.StagedAt)
		c.answered(row)
	}
	if latest := c.runs[0]; latest.ID != c.run.ID {
		c.later(latest)
	}
}

// later tells of a run that came after the one with the person's rows.
func (c *inquiry) later(r activation.Run) {
	row, ok := c.current()
	settled := ok && (row.State == inLedger || row.State == refusedInIt) || len(c.person.Ledger) == 0 && !c.wanted()
	switch {
	case settled:
	case waits(r):
		c.approval(r)
	case r.Status == activation.RunFailed:
		c.failed(r)
	}
}

// unstaged tells why no run has rows of the person.
func (c *inquiry) unstaged() {
	const name = "Staged"
	row, ok := c.current()
	switch {
	case !c.wanted() || ok && (row.State == inLedger || row.State == refusedInIt):
		if len(c.runs) > 0 {
			c.add(name, Info, fmt.Sprintf("none of the last %s has the person among the rows that are still kept", many(int64(len(c.runs)), "run")))
		}
		return
	case len(c.runs) == 0:
		c.add(name, Stop, "no run has been made there yet; "+c.next())
		return
	}
	r := c.runs[0]
	n := r.Counts
	switch {
	case waits(r):
		c.approval(r)
	case r.Status == activation.RunFailed:
		c.failed(r)
	case !r.Status.Final() && r.StagedAt.IsZero():
		c.add(name, Stop, runName(r)+" is being planned").of(r, nil).at(r.StartedAt)
	case r.StagedAt.IsZero() || r.StagedAt.Before(c.changed()):
		c.add(name, Stop, "no run has been planned since this person last changed; "+c.next())
	case r.Mode == activation.ModeKeys:
		c.add(name, Stop, runName(r)+" only moved changed identifiers and added nobody; "+c.next()).of(r, nil).at(r.StagedAt)
	case n.Capped > 0:
		c.add("Limit", Stop, fmt.Sprintf("%s left %d people to later runs, because the job may newly add only so many; %s", runName(r), n.Capped, c.next())).of(r, nil).at(r.StagedAt)
	case n.Deferred > 0:
		c.add("Deferred", Stop, fmt.Sprintf("%s put %d people off, because %s still owed an answer about them or their keys had only just come; the next run has them", runName(r), n.Deferred, c.title)).of(r, nil).at(r.StagedAt)
	default:
		c.add(name, Stop, fmt.Sprintf("%s did not have the person among its rows, or they are not kept any more; %s", runName(r), c.next())).of(r, nil).at(r.StagedAt)
	}
}

// changed is when last something about the person became as it is.
func (c *inquiry) changed() time.Time {
	t := c.person.Changed
	for _, m := range c.person.Messages {
		if m.LastReceived.After(t) {
			t = m.LastReceived
		}
	}
	return t
}

// next is when the target runs next.
func (c *inquiry) next() string {
	if !c.target.NextAt.IsZero() {
		return "the next one comes on " + when(c.target.NextAt)
	}
	return "the next one comes by itself, when something changes"
}

func waits(r activation.Run) bool {
	return r.Status == activation.RunPending && r.Reason == activation.SleepApproval
}

func (c *inquiry) approval(r activation.Run) {
	c.add("Approval", Stop, fmt.Sprintf("%s would remove %d people and waits for somebody to approve or decline that; until then nothing of it is sent", runName(r), r.Counts.Remove)).of(r, nil).at(r.StagedAt)
}

// failed tells of a run that failed, and whether it can be retried.
func (c *inquiry) failed(r activation.Run) {
	c.coded(c.add("Run", Stop, fmt.Sprintf("%s failed %s, %s; %s", runName(r), whereFailed(r), c.said(r.ErrorCode, r.ErrorText), c.retrying(r))).of(r, nil).at(r.EndedAt), cmp.Or(r.ErrorCode, "UNKNOWN-000"))
}

func (c *inquiry) retrying(r activation.Run) string {
	if reason := c.retry[r.ID]; reason != "" {
		return "it can't be retried: " + c.hide(reason)
	}
	return "it can be retried"
}

// answered tells what became of one row of the run.
func (c *inquiry) answered(row warehouse.PersonStaged) {
	i := slices.IndexFunc(c.items, func(it activation.Item) bool {
		return it.State != activation.ItemSplit && it.First <= row.Ordinal && row.Ordinal <= it.Last
	})
	if i < 0 {
		c.unqueued(row)
		return
	}
	it, r := c.items[i], c.run
	step := func(status Status, format string, args ...any) *Step {
		return c.add("Answer", status, fmt.Sprintf(format, args...)).of(r, &it).at(it.UpdateAt)
	}
	where := fmt.Sprintf("item %d of %s", it.Number, runName(r))
	switch it.State {
	case activation.ItemQueued:
		if r.Status == activation.RunFailed {
			c.failed(r)
			return
		}
		if waits(r) {
			c.approval(r)
			return
		}
		step(Stop, "%s waits to be sent", where)
	case activation.ItemSending:
		step(Stop, "%s is being sent", where)
	case activation.ItemAwaiting:
		step(Stop, "%s has taken %s and answers later; until then the person is in no other run", c.title, where)
	case activation.ItemDelivered:
		outcome, code := c.outcome(it, row)
		c.decided(step, where, row, outcome, code)
	case activation.ItemFailed:
		c.coded(step(Stop, "%s failed, %s; %s", where, c.said(it.Code, it.Message), c.retrying(r)), cmp.Or(it.Code, "UNKNOWN-000"))
	case activation.ItemUnknown:
		c.coded(step(Stop, "nobody knows whether %s took %s, %s; the next run asks again", c.title, where, c.said(it.Code, it.Message)), cmp.Or(it.Code, "UNKNOWN-000"))
	case activation.ItemWithdrawn:
		step(Stop, "%s was withdrawn before it was sent", where)
	case activation.ItemSuperseded:
		step(Stop, "%s was not sent, because a newer run carries its rows", where)
	case activation.ItemSplit:
	}
}

// outcome is what the last receipt of an item says of a row.
func (c *inquiry) outcome(it activation.Item, row warehouse.PersonStaged) (activation.Outcome, string) {
	all := c.receipts[it.ID]
	if len(all) == 0 {
		return activation.Accepted, ""
	}
	for _, x := range all[len(all)-1].Exceptions {
		if x.Ordinal == row.Ordinal-it.First {
			return x.Outcome, x.Code
		}
	}
	return activation.Accepted, ""
}

func (c *inquiry) decided(step func(Status, string, ...any) *Step, where string, row warehouse.PersonStaged, outcome activation.Outcome, code string) {
	verb := map[bool]string{true: "removed", false: "took"}[row.Op == activation.OpRemove]
	if c.events {
		verb = "took"
	}
	switch outcome {
	case activation.Accepted:
		what := "the person"
		if c.events {
			what = "the event"
		}
		step(OK, "%s %s %s, with %s", c.title, verb, what, where)
	case activation.Rejected:
		c.coded(step(Stop, "%s refused the person's row in %s, %s", c.title, where, c.said(code, "")), cmp.Or(code, "UNKNOWN-000"))
	case activation.Unknown:
		c.coded(step(Stop, "%s did not say whether it took the person's row in %s; the next run asks again", c.title, where), code)
	case activation.Unsent:
		c.coded(step(Stop, "the person's row in %s was not sent, %s; the next run has it", where, c.said(code, "")), cmp.Or(code, "UNKNOWN-000"))
	case activation.Superseded:
		step(Stop, "the person's row in %s was not sent, because they changed meanwhile; the next run has them as they are", where)
	}
}

// unqueued tells of a row that is in no item.
func (c *inquiry) unqueued(row warehouse.PersonStaged) {
	r := c.run
	switch {
	case waits(r):
		c.approval(r)
	case r.Status == activation.RunFailed:
		c.failed(r)
	case r.Status == activation.RunWithdrawn:
		c.add("Run", Stop, runName(r)+" was withdrawn before anything was sent").of(r, nil).at(r.EndedAt)
	case row.Op == activation.OpRemove && (c.verdict.Answer == activation.Declined || r.Counts.Withheld > 0):
		s := c.add("Approval", Stop, fmt.Sprintf("%s was not to remove anybody: somebody declined its removals", runName(r))).of(r, nil)
		if !c.verdict.At.IsZero() {
			s.Text = sentence(fmt.Sprintf("%s was not to remove anybody: its removals were declined on %s", runName(r), when(c.verdict.At)))
			s.At = c.verdict.At
		}
	case !r.Status.Final():
		c.add("Run", Stop, runName(r)+" is being made ready, and sends its rows soon").of(r, nil).at(r.StartedAt)
	default:
		c.add("Run", Info, "what became of the row is not kept any more").of(r, nil)
	}
}

// eventSteps follow a person to a target that takes each event once. It reports
// whether the newest event that was staged was taken.
func (c *inquiry) eventSteps() bool {
	c.messages(c.target.Stream)
	c.add("Profile", OK, fmt.Sprintf("this %s belongs to profile %d", c.field, c.person.Profile))
	if c.target.Stream == "" {
		text := "the person is not in " + c.what()
		if c.person.Member {
			text = "the person is in " + c.what()
		}
		if !c.person.Changed.IsZero() {
			text += ", as of " + when(c.person.Changed)
		}
		c.add("Audience", Info, text+"; entering and leaving it are the events").at(c.person.Changed)
	}
	if len(c.req.Keys.Keys) > 0 || c.unfit != nil {
		c.keys(false)
	}
	c.work()
	if len(c.staged) == 0 {
		c.noEvents()
		return false
	}
	newest := c.staged[len(c.staged)-1]
	c.add("Staged", OK, fmt.Sprintf("%s is the newest that has events of this person: %s", runName(c.run), many(int64(len(c.staged)), "row"))).of(c.run, nil).at(c.run.StagedAt)
	c.answered(newest)
	last := c.steps[len(c.steps)-1]
	return last.Name == "Answer" && last.Status == OK
}

// noEvents tells why no run has events of the person.
func (c *inquiry) noEvents() {
	const name = "Staged"
	if len(c.runs) == 0 {
		c.add(name, Stop, "no run has been made there yet; "+c.next())
		return
	}
	r := c.runs[0]
	switch {
	case r.Status == activation.RunFailed:
		c.failed(r)
	case r.StagedAt.IsZero() || r.StagedAt.Before(c.changed()):
		c.add(name, Stop, "no run was planned since the last message of this person; "+c.next())
	default:
		c.add(name, Stop, fmt.Sprintf("none of the last %s has an event of this person among the rows that are still kept: it came before the job began, was too old, lacked what the destination needs, or waits until the person has a usable key", many(int64(len(c.runs)), "run"))).of(r, nil).at(r.StagedAt)
	}
}

func whereFailed(r activation.Run) string {
	if r.Stage == "" {
		return "before its first stage"
	}
	return "in the stage " + string(r.Stage)
}
