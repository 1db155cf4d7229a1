package storetest

import (
	"errors"
	"slices"
	"time"

	"usher/internal/activation"
)

// The model is the protocol of one target in plain maps and slices: what each
// command must do, and which error it must give, is decided here a second time.

type modelItem struct {
	id      activation.ItemID
	state   activation.ItemState
	attempt int
	folded  bool
}

type modelRun struct {
	run     activation.Run // as opened
	status  activation.RunStatus
	asks    bool // waits for approval
	attempt int
	held    bool
	lease   time.Time
	wait    time.Time
	staged  bool
	code    string
	gen     int
	items   []*modelItem
}

type model struct {
	now    func() time.Time
	runs   []*modelRun
	open   *modelRun
	gen    int
	paused bool
}

// final says that nothing can be written about the run any more.
func (r *modelRun) final() bool { return r.status.Final() }

// mine: the run is being worked on in this attempt.
func (r *modelRun) mine(attempt int) bool {
	return r.attempt == attempt && !r.final() && r.status != activation.RunPending
}

func (m *model) owns(r *modelRun, attempt int) error {
	if r.attempt != attempt || r.status != activation.RunRunning || !r.held || !r.lease.After(m.now()) {
		return activation.ErrFenced
	}
	if m.paused {
		return activation.ErrPaused
	}
	return nil
}

func (r *modelRun) count(states ...activation.ItemState) int {
	n := 0
	for _, i := range r.items {
		if slices.Contains(states, i.state) {
			n++
		}
	}
	return n
}

// claimed: an item of the run was claimed once.
func (r *modelRun) claimed() bool {
	return slices.ContainsFunc(r.items, func(i *modelItem) bool { return i.attempt > 0 })
}

func (r *modelRun) unfolded() []*modelItem {
	var out []*modelItem
	for _, i := range r.items {
		if !i.folded && (i.state == activation.ItemDelivered || i.state == activation.ItemUnknown) {
			out = append(out, i)
		}
	}
	return out
}

func (r *modelRun) move(from, to activation.ItemState) {
	for _, i := range r.items {
		if i.state == from {
			i.state = to
		}
	}
}

// close ends a run and frees its target.
func (m *model) close(r *modelRun, status activation.RunStatus) {
	r.status, r.held, r.asks, r.wait = status, false, false, time.Time{}
	if m.open == r {
		m.open = nil
	}
}

func (m *model) openRun(r activation.Run) *modelRun {
	for _, older := range m.runs {
		if older.status == activation.RunPending {
			m.withdraw(older)
		}
	}
	opened := &modelRun{run: r, status: activation.RunPending, gen: m.gen}
	m.runs, m.open = append(m.runs, opened), opened
	return opened
}

func (m *model) mayOpen() error {
	if m.paused {
		return &activation.Error{Kind: activation.Invalid}
	}
	if m.open != nil {
		return activation.ErrConflict
	}
	return nil
}

func (m *model) mayTake(r *modelRun) error {
	free := !r.held || !r.lease.After(m.now())
	if (m.open == r || r.status == activation.RunAwaiting) && free && !r.wait.After(m.now()) && !m.paused {
		return nil
	}
	return activation.ErrConflict
}

// take returns how many items were in flight.
func (m *model) take(r *modelRun, lease time.Duration) int {
	r.attempt, r.held, r.lease, r.wait = r.attempt+1, true, m.now().Add(lease), time.Time{}
	if r.status != activation.RunAwaiting {
		r.status = activation.RunRunning
	}
	lost := r.count(activation.ItemSending)
	r.move(activation.ItemSending, activation.ItemUnknown)
	return lost
}

func (m *model) withdraw(r *modelRun) {
	r.move(activation.ItemQueued, activation.ItemWithdrawn)
	r.attempt++
	m.close(r, activation.RunWithdrawn)
}

// mayFinish repeats the rules of FinishRun in their order.
func (m *model) mayFinish(r *modelRun, attempt int, status activation.RunStatus, code string) error {
	queued, awaited := r.count(activation.ItemQueued), r.count(activation.ItemAwaiting)
	ends := status == activation.RunFailed || status == activation.RunWithdrawn
	counts := status == activation.RunFailed && code == activation.CodeCounts
	switch {
	case !r.mine(attempt):
		return activation.ErrFenced
	case queued > 0 && !ends,
		r.count(activation.ItemSending) > 0,
		len(r.unfolded()) > 0 && !counts,
		awaited > 0 && status != activation.RunAwaiting && !counts,
		awaited == 0 && status == activation.RunAwaiting:
		return activation.ErrConflict
	}
	return nil
}

func (m *model) finish(r *modelRun, status activation.RunStatus, code string) {
	switch status {
	case activation.RunFailed:
		if code == activation.CodeCounts {
			r.move(activation.ItemAwaiting, activation.ItemUnknown)
		}
		r.move(activation.ItemQueued, activation.ItemFailed)
	case activation.RunWithdrawn:
		r.move(activation.ItemQueued, activation.ItemWithdrawn)
	case activation.RunPending, activation.RunRunning, activation.RunAwaiting, activation.RunCompleted:
	}
	r.code = code
	m.close(r, status)
}

func (m *model) mayAnswer(r *modelRun) error {
	if r.asks && m.open == nil {
		return nil
	}
	return activation.ErrConflict
}

func (m *model) mayRetry(r *modelRun) error {
	later := slices.ContainsFunc(m.runs, func(o *modelRun) bool { return o.run.Number > r.run.Number && o.staged })
	if r.status == activation.RunFailed && !m.paused && r.gen == m.gen && r.code != activation.CodeCounts && r.code != activation.CodeRemoteGone &&
		r.staged && m.open == nil && !later && r.count(activation.ItemFailed, activation.ItemUnknown) > 0 {
		return nil
	}
	return activation.ErrConflict
}

func (m *model) retry(r *modelRun) {
	for _, i := range r.items {
		if i.state == activation.ItemFailed || i.state == activation.ItemUnknown {
			i.state, i.folded = activation.ItemQueued, false
		}
	}
	r.status, r.attempt, r.code = activation.RunRunning, r.attempt+1, ""
	m.open = r
}

func (m *model) newGeneration(r *modelRun, status activation.RunStatus) {
	for _, o := range m.runs {
		if o.final() {
			continue
		}
		end := status
		if o != r {
			o.attempt++
			end = activation.RunWithdrawn
			if o.claimed() {
				end = activation.RunFailed
			}
		}
		o.move(activation.ItemAwaiting, activation.ItemUnknown)
		o.move(activation.ItemSending, activation.ItemUnknown)
		o.move(activation.ItemQueued, activation.ItemWithdrawn)
		o.code = activation.CodeRemoteGone
		m.close(o, end)
	}
	m.gen, m.open = m.gen+1, nil
}

// class names the sentinel that an error is, for comparing.
func class(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, activation.ErrPaused):
		return "paused"
	case errors.Is(err, activation.ErrFenced):
		return "fenced"
	case errors.Is(err, activation.ErrConflict):
		return "conflict"
	case errors.Is(err, activation.ErrNotFound):
		return "not found"
	case activation.KindOf(err) == activation.Invalid:
		return "invalid"
	}
	return "other: " + err.Error()
}
