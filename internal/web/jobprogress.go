package web

import (
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/tracking"
)

const (
	// paceOver is the time over which the rate of a run is measured.
	paceOver = time.Minute
	// paceSlices is into how many pieces it is cut; the rate is their median.
	paceSlices = 6
	// paceFirst is for how long after its first batch a run says nothing of its end.
	paceFirst = 5 * time.Second
	// paceVaries is how far apart the middle half of the slices may be, as a
	// share of the median, for the rate to mean something.
	paceVaries = 0.5
	// stuckAfter is how long nothing may move before the page says so.
	stuckAfter = time.Minute
)

// answered is that the network has answered for so many rows at a time.
type answered struct {
	At   time.Time
	Rows int64
}

// pace is what the end of a run is estimated from.
type pace struct {
	// Now is the present, Since when the first batch left.
	Now, Since time.Time
	Answers    []answered
	// Left is how many rows have no answer yet.
	Left int64
	// Wait is how long the provider takes no calls from now on.
	Wait time.Duration
}

// estimate returns how long the run will go on and how many rows a second it
// does: rows left by the median rate of the last minute, and the wait that is
// known. It is false in the first seconds, when nothing was answered in the last
// minute, and while the rate varies by more than half.
func (p pace) estimate() (left time.Duration, rate float64, ok bool) {
	if p.Left <= 0 || p.Now.Sub(p.Since) < paceFirst {
		return 0, 0, false
	}
	from := p.Now.Add(-paceOver)
	if p.Since.After(from) {
		from = p.Since
	}
	rates := p.rates(from)
	if len(rates) == 0 {
		return 0, 0, false
	}
	slices.Sort(rates)
	n := len(rates)
	rate = (rates[(n-1)/2] + rates[n/2]) / 2
	if rate <= 0 || rates[n-1-n/4]-rates[n/4] > paceVaries*rate {
		return 0, 0, false
	}
	return time.Duration(float64(p.Left)/rate*float64(time.Second)) + max(p.Wait, 0), rate, true
}

// rates cuts the time from then until the last answer into slices and returns
// the rows per second of each. The rows of an answer count evenly from the
// answer before it on, so that big batches do not look like a jerky rate.
func (p pace) rates(from time.Time) []float64 {
	answers := slices.Clone(p.Answers)
	slices.SortFunc(answers, func(a, b answered) int { return a.At.Compare(b.At) })
	if len(answers) == 0 {
		return nil
	}
	last := answers[len(answers)-1].At
	if last.After(p.Now) {
		last = p.Now
	}
	slice := last.Sub(from).Seconds() / paceSlices
	if slice <= 0 {
		return nil
	}
	rates := make([]float64, paceSlices)
	before := p.Since
	for _, a := range answers {
		begin, end := before.Sub(from).Seconds(), a.At.Sub(from).Seconds()
		before = a.At
		if end < 0 || end > slice*paceSlices+1e-9 {
			continue
		}
		length := end - begin
		if length <= 0 { // together with the one before
			at := min(int(end/slice), paceSlices-1)
			rates[at] += float64(a.Rows) / slice
			continue
		}
		for i := range rates {
			overlap := min(end, float64(i+1)*slice) - max(begin, float64(i)*slice)
			if overlap > 0 {
				rates[i] += float64(a.Rows) * overlap / length / slice
			}
		}
	}
	return rates
}

// about is a length of time as exactly as it can be meant: 32 s, 4 min, 1 h 10 min.
func about(d time.Duration) string {
	switch {
	case d < 59500*time.Millisecond:
		return fmt.Sprintf("%d s", max(1, int(d.Round(time.Second)/time.Second)))
	case d < 59*time.Minute+30*time.Second:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute)/time.Minute))
	}
	d = d.Round(10 * time.Minute)
	hours, minutes := int(d/time.Hour), int(d%time.Hour/time.Minute)
	switch {
	case hours >= 48:
		return fmt.Sprintf("%d days", (hours+12)/24)
	case minutes == 0:
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d h %d min", hours, minutes)
}

// openRun is a run in progress with its rail.
type openRun struct {
	Number    int64
	Path      string
	Chip      chip
	Of        string
	StartedAt time.Time
	Rail      []stage
	// Known is whether the total is: before the rows are staged, the rail tells alone.
	Known            bool
	Done, Total      int64
	Accepted, Failed int64
	Text             string
	// Left is the estimate of the end; Waiting why nothing is sent now; Stuck
	// since when nothing has moved.
	Left, Waiting string
	Stuck         time.Time
	Restarts      int
	Withdraw      *button
}

func (c *Console) jobOpen(v visit, j activation.Job, p *jobPage) error {
	for _, r := range p.Runs.open {
		o, err := c.openRun(v, j, r)
		if err != nil {
			return err
		}
		p.Open = append(p.Open, o)
	}
	for _, r := range p.Runs.Passes {
		if !r.Status.Final() {
			p.Open = append(p.Open, openPass(r, c.Now()))
		}
	}
	return nil
}

// openPass is a pass in progress: what it has counted so far.
func openPass(r passRow, now time.Time) openRun {
	o := openRun{Number: r.Number, Chip: r.Chip, StartedAt: r.StartedAt, Text: orText(r.Counted, "Nothing counted yet")}
	if moved := latest(r.ProgressAt, r.StartedAt); now.Sub(moved) >= stuckAfter {
		o.Stuck = moved
	}
	return o
}

func (c *Console) openRun(v visit, j activation.Job, r runRow) (openRun, error) {
	n := r.Counts
	o := openRun{
		Number: r.Number, Path: r.Path, Chip: r.Chip, Of: r.AudienceName, StartedAt: r.StartedAt, Rail: rail(r.View, r.Items, c.Now()),
		Known: !r.StagedAt.IsZero() && n.Staged > 0, Total: n.Staged, Restarts: r.Stalls,
	}
	if r.Status == activation.RunPending {
		b := v.press(runPath(r.ID)+"/withdraw", "Withdraw run", "arrow-back-up").as("btn-s")
		o.Withdraw = &b
	}
	items, err := c.Store.Items(v.Context(), r.ID)
	if err != nil {
		return o, err
	}
	receipts, err := c.Store.Receipts(v.Context(), r.ID)
	if err != nil {
		return o, err
	}
	pc := paceOf(r.View, items, c.Now())
	o.Done = o.Total - pc.Left
	rejected := o.answers(items, receipts)
	o.Text = num(o.Done) + " of " + num(o.Total) + " sent, " + num(rejected) + " rejected"
	if last := &o.Rail[len(o.Rail)-1]; last.Class == "now" {
		last.Text = num(o.Accepted) + " of " + num(o.Total) + " accepted"
	}
	o.foretell(r.View, pc, c.providerName(j.Provider))
	return o, nil
}

// answers adds up what the network has said so far; the counts of the run have
// it only once it is folded into the ledger. It returns how many were rejected.
func (o *openRun) answers(items []activation.Item, receipts map[activation.ItemID][]activation.Receipt) (rejected int64) {
	o.Accepted, o.Failed = 0, 0
	for _, it := range items {
		all := receipts[it.ID]
		if !it.State.Final() || it.State == activation.ItemSplit || len(all) == 0 {
			continue
		}
		last := all[len(all)-1]
		o.Accepted += last.Accepted
		rejected += last.Rejected
		o.Failed += last.Rejected + last.Unknown
	}
	return rejected
}

// foretell says when the run will be through, or what it waits for.
func (o *openRun) foretell(r tracking.View, pc pace, provider string) {
	if pc.Wait > 0 && r.Status == activation.RunRunning {
		o.Waiting = "waiting for " + provider + ", " + about(pc.Wait)
	}
	if o.Known && r.Status == activation.RunRunning && r.Stage == activation.StageMembers {
		if left, rate, ok := pc.estimate(); ok {
			o.Left = "About " + about(left) + " left, " + perSecond(rate)
		}
	}
	moved := latest(r.ProgressAt, r.StartedAt)
	for _, a := range pc.Answers {
		moved = latest(moved, a.At)
	}
	if r.Status == activation.RunRunning && o.Waiting == "" && pc.Now.Sub(moved) >= stuckAfter {
		o.Stuck, o.Left = moved, ""
	}
}

func perSecond(rate float64) string {
	if rate < 1 {
		return fmt.Sprintf("%.0f per minute", rate*60)
	}
	return num(int64(rate+0.5)) + " per second"
}

// paceOf reads the pace of a run from its items: each is answered at once.
func paceOf(r tracking.View, items []activation.Item, now time.Time) pace {
	p := pace{Now: now, Since: r.StartedAt, Left: r.Counts.Staged, Wait: r.WaitUntil.Sub(now)}
	if r.WaitUntil.IsZero() {
		p.Wait = 0
	}
	for _, t := range r.Timings {
		if t.Stage == activation.StageMembers {
			p.Since = t.StartedAt
		}
	}
	for _, it := range items {
		if !it.State.Final() || it.State == activation.ItemSplit {
			continue
		}
		p.Left -= it.Rows()
		if !it.UpdateAt.Before(p.Since) {
			p.Answers = append(p.Answers, answered{it.UpdateAt, it.Rows()})
		}
	}
	p.Left = max(p.Left, 0)
	return p
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// clock is the time of day of something that was not long ago.
func clock(t time.Time) string { return t.UTC().Format("15:04") }
