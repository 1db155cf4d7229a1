package web

import (
	"path"
	"time"

	"usher/docs"
	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

// failure is what is wrong with a job that has failed or retries, and what mends it.
type failure struct {
	// Tone is bad for a job that gave up and warn for one that goes on trying.
	Tone, Title, Code string
	Cause, Fix        []span
	Help              string
	Number            int64
	Path              string
	Rail              []stage
	Attempts          []attempt
	More              int
	First, Last       time.Time
	Text              string
	NextTry           time.Time
	Waiting           string
	Correct           []lastGood
	Links             []fixLink
	Buttons           []button
	Retry             *button
	RetryWithheld     string
}

// attempt is one failed try, and how long was waited before it.
type attempt struct {
	Number int
	At     time.Time
	Code   string
	Waited string
}

// lastGood is when a destination was last as it should be.
type lastGood struct {
	Name string
	At   time.Time
}

type fixLink struct {
	link
	Icon  string
	First bool
}

const (
	// attemptsRead is how many errors of the log are looked at, attemptsShown how
	// many of them a page shows.
	attemptsRead  = 500
	attemptsShown = 12
)

// jobFailure finds what went wrong last with a job that has not recovered.
func (c *Console) jobFailure(v visit, j activation.Job, p *jobPage) error {
	failed := j.State == activation.JobFailed
	if !failed && (j.ConsecutiveErrors == 0 || j.State != activation.JobSleeping && j.State != activation.JobRunnable && j.State != activation.JobPaused) {
		return nil
	}
	f := &failure{Tone: "warn"}
	kind, err := c.lastError(v, j, f)
	if err != nil || f.Code == "" {
		return err
	}
	if failed {
		f.Tone = "bad"
	} else if j.State == activation.JobSleeping && (j.SleepReason == activation.SleepError || j.SleepReason == activation.SleepProviderLimit) {
		f.NextTry = j.SleepUntil
	}
	f.Help = helpPath(tracking.Page(f.Code))
	f.Cause, f.Fix = advice(f.Code)
	if err := c.attempts(v, j, f); err != nil {
		return err
	}
	if err := c.correct(v, j, f); err != nil {
		return err
	}
	f.mend(v, j, kind, p.Head)
	p.Failure = f
	return nil
}

// lastError reads the newest failed run or pass.
func (c *Console) lastError(v visit, j activation.Job, f *failure) (activation.Kind, error) {
	if j.Destination == "" {
		passes, err := c.Store.Passes(v.Context(), j.ID, 0, runsPerPage)
		for _, p := range passes {
			if p.ErrorCode != "" {
				f.Code, f.Title, f.Number, f.Last = p.ErrorCode, sentence(p.ErrorText), p.Number, p.EndedAt
				return p.ErrorKind, err
			}
		}
		return "", err
	}
	runs, err := c.Tracking.List(v.Context(), store.RunFilter{Job: j.ID, Status: []activation.RunStatus{activation.RunFailed}, Limit: 1})
	if err != nil || len(runs) == 0 {
		return "", err
	}
	r := runs[0]
	rows, err := c.runRows(v, runs)
	if err != nil {
		return "", err
	}
	f.Code, f.Title, f.Number, f.Path, f.Last = r.ErrorCode, sentence(r.ErrorText), r.Number, runPath(r.ID), r.EndedAt
	f.Rail = rail(r, rows[0].Items, c.Now())
	if r.Retry.Allowed {
		b := v.press(runPath(r.ID)+"/retry", "Retry failed items", "refresh")
		f.Retry = &b
	} else {
		f.RetryWithheld = sentence(r.Retry.Reason)
	}
	return r.ErrorKind, c.waiting(v, r, f)
}

// waiting says what has not been sent since.
func (c *Console) waiting(v visit, r tracking.View, f *failure) error {
	n := r.Counts
	switch left := n.Staged - n.Accepted - n.Rejected; {
	case n.Staged == 0:
		f.Waiting = "Not counted: the run stopped before"
	case left > 0:
		f.Waiting = many(left, "change") + " of run #" + num(r.Number)
	default:
		f.Waiting = "Nothing of run #" + num(r.Number)
	}
	targets, err := c.Store.Targets(v.Context(), store.TargetFilter{Job: r.Job})
	for _, t := range targets {
		if t.DirtySeq > max(r.Seq, t.DoneSeq) {
			f.Waiting += ", and newer ones"
			break
		}
	}
	return err
}

// attempts are the errors since the job fails, as its log has them: when each
// was, and how long was waited before it.
func (c *Console) attempts(v visit, j activation.Job, f *failure) error {
	since := j.FailingSince
	if since.IsZero() {
		f.First = f.Last
		f.Text = "1 attempt"
		return nil
	}
	lines, err := c.Store.Logs(v.Context(), store.LogFilter{
		Job: j.ID, Since: since.Add(-time.Second), Events: []activation.LogEvent{activation.LogError, activation.LogFailed}, Limit: attemptsRead,
	})
	if err != nil {
		return err
	}
	f.Attempts = attemptsOf(lines)
	f.First = since
	if n := len(f.Attempts); n > 0 {
		f.First, f.Last = f.Attempts[0].At, f.Attempts[n-1].At
	}
	f.Text = many(int64(len(f.Attempts)), "attempt")
	if d := f.Last.Sub(f.First); d >= time.Second {
		f.Text += " in " + about(d)
	}
	if n := len(f.Attempts) - attemptsShown; n > 0 {
		f.More, f.Attempts = n, f.Attempts[n:]
	}
	return nil
}

// attemptsOf reads failed attempts from the log: the lines of one run are one.
func attemptsOf(lines []activation.LogEntry) []attempt {
	var out []attempt
	run := int64(0)
	for _, l := range lines {
		if l.Code == activation.CodeStalled || l.Context.Run != 0 && l.Context.Run == run {
			continue // restarted, not failed; or said already
		}
		if l.Context.Run == 0 && len(out) > 0 && l.Event == activation.LogFailed {
			continue // the job gives up for the attempt before
		}
		run = l.Context.Run
		a := attempt{Number: len(out) + 1, At: l.At, Code: l.Code}
		if len(out) > 0 {
			a.Waited = about(l.At.Sub(out[len(out)-1].At))
		}
		out = append(out, a)
	}
	return out
}

// correct says for each destination when it was last as it should be.
func (c *Console) correct(v visit, j activation.Job, f *failure) error {
	if j.Destination == "" {
		passes, err := c.Store.Passes(v.Context(), j.ID, 0, 100)
		for _, p := range passes {
			if p.Status == activation.RunCompleted {
				f.Correct = []lastGood{{"", p.EndedAt}}
				return err
			}
		}
		f.Correct = []lastGood{{}}
		return err
	}
	targets, err := c.Tracking.Targets(v.Context(), store.TargetFilter{Job: j.ID})
	if err != nil {
		return err
	}
	for _, t := range targets {
		good := lastGood{Name: orText(t.AudienceSlug, t.Stream)}
		if len(targets) == 1 {
			good.Name = ""
		}
		runs, err := c.Store.Runs(v.Context(), store.RunFilter{Target: t.ID, Status: []activation.RunStatus{activation.RunCompleted}, Limit: 1})
		if err != nil {
			return err
		}
		if len(runs) > 0 {
			good.At = runs[0].EndedAt
		}
		f.Correct = append(f.Correct, good)
	}
	return nil
}

// mend offers what mends the failure, the most likely first.
func (f *failure) mend(v visit, j activation.Job, kind activation.Kind, h jobHead) {
	switch kind {
	case activation.Unauthorized:
		if h.Authorization != nil {
			f.Links = append(f.Links, fixLink{link{h.Authorization.Href, "Replace the authorization"}, "plug-connected", true})
		}
	case activation.Invalid:
		if h.Edit != "" {
			f.Links = append(f.Links, fixLink{link{h.Edit, "Edit settings"}, "adjustments", true})
		}
	default:
	}
	again := h.Resume
	if j.State != activation.JobFailed && j.State != activation.JobPaused {
		again = h.Run
		again.Text, again.Icon = "Try now", "bolt"
	}
	if len(f.Links) == 0 {
		again = again.as("btn-primary")
	}
	f.Buttons = append(f.Buttons, again)
}

// advice is what the help page of a code says in brief: the cause, and the fix.
func advice(code string) (cause, fix []span) {
	raw, err := docs.Troubleshooting.ReadFile("troubleshooting/" + path.Base(tracking.Page(code)))
	if err != nil {
		return nil, nil
	}
	_, blocks := blocksOf(string(raw))
	under := ""
	for _, b := range blocks {
		switch {
		case b.Kind == "h2" && len(b.Text) > 0:
			under = b.Text[0].Text
		case b.Kind == "pre":
		case under == "Cause" && cause == nil:
			cause = b.Text
		case under == "Fix" && fix == nil:
			fix = b.Text
		}
	}
	return cause, fix
}
