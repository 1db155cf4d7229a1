package delivery_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
)

// memory is a control store in memory that keeps the promises of
// delivery.Store by its own, simplest means.
type memory struct {
	mu       sync.Mutex
	now      func() time.Time
	targets  map[activation.TargetID]*activation.Target
	runs     map[activation.RunID]*activation.Run
	items    map[activation.RunID][]activation.Item
	receipts map[activation.ItemID][]activation.Receipt
	given    map[activation.ItemID]map[int]time.Time // when a receipt was stored
	jobs     map[activation.JobID]*activation.Job
	dests    map[activation.DestinationID]activation.Destination
	auds     map[activation.AudienceID]activation.Audience
	verdicts map[activation.TargetID]activation.GuardVerdict
	asleep   map[activation.TargetID]time.Time
	number   int64
	unstaged map[activation.RunID]bool
	dueAt    map[activation.TargetID]time.Time // DueNow counts from then on
	above    map[activation.TargetID][]activation.AudienceID
	keysAt   map[activation.TargetID]time.Time // when keys were last looked after
	tracked  tracked
}

func newMemory(now func() time.Time) *memory {
	return &memory{
		now: now, targets: map[activation.TargetID]*activation.Target{}, runs: map[activation.RunID]*activation.Run{},
		items: map[activation.RunID][]activation.Item{}, receipts: map[activation.ItemID][]activation.Receipt{},
		given: map[activation.ItemID]map[int]time.Time{}, jobs: map[activation.JobID]*activation.Job{},
		dests: map[activation.DestinationID]activation.Destination{}, auds: map[activation.AudienceID]activation.Audience{},
		verdicts: map[activation.TargetID]activation.GuardVerdict{}, asleep: map[activation.TargetID]time.Time{}, unstaged: map[activation.RunID]bool{},
		dueAt: map[activation.TargetID]time.Time{}, above: map[activation.TargetID][]activation.AudienceID{}, keysAt: map[activation.TargetID]time.Time{},
	}
}

var _ delivery.Store = (*memory)(nil)

func get[K comparable, V any](m map[K]*V, id K) (V, error) {
	if v, ok := m[id]; ok {
		return *v, nil
	}
	var none V
	return none, fmt.Errorf("%v: %w", id, activation.ErrNotFound)
}

func (m *memory) lock() func() { m.mu.Lock(); return m.mu.Unlock }

func (m *memory) Destination(_ context.Context, id activation.DestinationID) (activation.Destination, error) {
	defer m.lock()()
	return m.dests[id], nil
}

func (m *memory) Audience(_ context.Context, id activation.AudienceID) (activation.Audience, error) {
	defer m.lock()()
	return m.auds[id], nil
}

func (m *memory) Job(_ context.Context, id activation.JobID) (activation.Job, error) {
	defer m.lock()()
	return get(m.jobs, id)
}

func (m *memory) setJob(id activation.JobID, s activation.JobState) {
	defer m.lock()()
	if m.jobs[id].State == activation.JobKilled && s == activation.JobPaused {
		return // a killed job takes no command
	}
	for _, t := range m.targets {
		if m.jobs[id].State == activation.JobKilled && s == activation.JobRunnable { // the next job adopts the target
			t.DueNow, t.Release = true, ""
			delete(m.dueAt, t.ID)
		}
		if s == activation.JobKilled && m.jobs[id].State != s {
			m.release(t, m.jobs[id].OnEnd)
		}
	}
	m.jobs[id].State = s
}

// change changes a job.
func (m *memory) change(id activation.JobID, fn func(*activation.Job)) {
	defer m.lock()()
	fn(m.jobs[id])
}

// release has a target given up, if there is anything.
func (m *memory) release(t *activation.Target, how activation.OnEnd) {
	if how != activation.EndEmpty && how != activation.EndDelete || t.RemoteID == "" && t.Generation == 1 && len(m.runs) == 0 {
		return
	}
	t.Release, t.DueNow = how, true
	delete(m.dueAt, t.ID)
	delete(m.asleep, t.ID)
}

func (m *memory) ReleaseTarget(_ context.Context, id activation.TargetID, how activation.OnEnd, _ string) (activation.Target, error) {
	defer m.lock()()
	t := m.targets[id]
	switch {
	case m.jobs[t.Job].State != activation.JobKilled:
		return *t, fmt.Errorf("job %s owns the target: %w", t.Job, activation.ErrConflict)
	case how == activation.EndKeep:
		t.Generation, t.RemoteID, t.Release, t.DueNow = t.Generation+1, "", "", false
	default:
		m.release(t, how)
	}
	return *t, nil
}

// Allowance counts by runs, items and receipts, one after the other. A period is
// an hour, whatever the job calls it.
func (m *memory) Allowance(_ context.Context, id activation.TargetID) (*int64, error) {
	defer m.lock()()
	job := m.jobs[m.targets[id].Job]
	if job.UserLimit == 0 {
		return nil, nil
	}
	left := job.UserLimit
	for _, items := range m.items {
		for _, it := range items {
			if it.Op == activation.OpRemove || !it.Plain || job.UserLimitFrequency == "" {
				continue
			}
			var most int64
			for _, rc := range m.receipts[it.ID] {
				if m.given[it.ID][rc.Attempt].Before(m.now().Truncate(time.Hour)) {
					continue
				}
				n := rc.Accepted + rc.Unknown
				if rc.PollToken != "" {
					n = it.Rows()
				}
				most = max(most, n)
			}
			if it.Code == activation.CodeTakenOver && !m.given[it.ID][it.Attempt].Before(m.now().Truncate(time.Hour)) { // without a receipt
				most = it.Rows()
			}
			left -= most
		}
	}
	left = max(0, left)
	return &left, nil
}

func (m *memory) Target(_ context.Context, id activation.TargetID) (activation.Target, error) {
	defer m.lock()()
	t, err := get(m.targets, id)
	t.DueAt = m.dueAt[id]
	return t, err
}

func (m *memory) TargetsOf(_ context.Context, job activation.JobID, audience activation.AudienceID) ([]activation.Target, error) {
	defer m.lock()()
	var out []activation.Target
	for _, t := range m.targets {
		if (job == "" || t.Job == job) && (audience == "" || t.Audience == audience) {
			out = append(out, *t)
		}
	}
	return out, nil
}

func (m *memory) DueTargets(_ context.Context, _ int) ([]activation.Target, error) {
	defer m.lock()()
	var out []activation.Target
	for _, t := range m.targets {
		if t.OpenRun != "" || t.Release == "" && m.jobs[t.Job].State != activation.JobRunnable || m.now().Before(m.asleep[t.ID]) || m.now().Sub(t.LastOpenedAt) < time.Minute {
			continue
		}
		seen := t.DoneSeq
		for _, r := range m.runs {
			if r.Target == t.ID && r.Status == activation.RunPending {
				seen = max(seen, r.Seq)
			}
		}
		due := t.DueNow && !m.now().Before(m.dueAt[t.ID])
		live := m.jobs[t.Job].Frequency == ""
		due = due || t.Release == "" && live && t.DirtySeq > seen
		due = due || t.Release == "" && !live && m.timeHasCome(t)
		due = due || t.Release == "" && !live && t.KeysSeq > t.KeysDone && m.now().Sub(m.keysAt[t.ID]) >= 15*time.Minute
		if due {
			out = append(out, *t)
		}
	}
	return out, nil
}

func (m *memory) timeHasCome(t *activation.Target) bool {
	return !t.NextAt.IsZero() && !m.now().Before(t.NextAt)
}

func (m *memory) RaiseKeys(_ context.Context, seq map[activation.AudienceID]int64) error {
	defer m.lock()()
	for _, t := range m.targets {
		t.KeysSeq = max(t.KeysSeq, seq[t.Audience])
	}
	return nil
}

func (m *memory) Outranking(_ context.Context, id activation.TargetID) ([]activation.AudienceID, error) {
	defer m.lock()()
	return m.above[id], nil
}

func (m *memory) RaiseDirty(_ context.Context, seq map[activation.AudienceID]int64) error {
	defer m.lock()()
	for _, t := range m.targets {
		if t.Audience != "" {
			t.DirtySeq = max(t.DirtySeq, seq[t.Audience])
		}
		for _, watched := range slices.Concat(m.jobs[t.Job].Exclude, m.above[t.ID]) {
			t.DirtySeq = max(t.DirtySeq, seq[watched])
		}
	}
	return nil
}

func (m *memory) SetRemote(_ context.Context, id activation.TargetID, generation int, remote string) error {
	defer m.lock()()
	t := m.targets[id]
	if t.Generation != generation || (t.RemoteID != "" && t.RemoteID != remote) {
		return activation.ErrFenced
	}
	t.RemoteID = remote
	return nil
}

func (m *memory) RemovedWithin(_ context.Context, id activation.TargetID, since time.Time) (int64, error) {
	defer m.lock()()
	var n int64
	for run, items := range m.items {
		for _, it := range items {
			for _, rc := range m.receipts[it.ID] {
				if m.runs[run].Target == id && it.Plain && it.Op == activation.OpRemove && !m.given[it.ID][rc.Attempt].Before(since) {
					n += rc.Accepted
				}
			}
		}
	}
	return n, nil
}

func (m *memory) OpenRun(_ context.Context, r activation.Run) (activation.Run, error) {
	defer m.lock()()
	t := m.targets[r.Target]
	if t.OpenRun != "" {
		return r, fmt.Errorf("run %s is open: %w", t.OpenRun, activation.ErrConflict)
	}
	for _, old := range m.runs {
		if old.Target == t.ID && old.Status == activation.RunPending {
			old.Status = activation.RunWithdrawn
		}
	}
	m.number++
	r.ID, r.Number = activation.NewID[activation.RunID](), m.number
	r.Job, r.Destination, r.Audience, r.Stream, r.Generation = t.Job, t.Destination, t.Audience, t.Stream, t.Generation
	r.Status, r.StartedAt, r.Release = activation.RunPending, m.now(), t.Release
	m.because(&r, t)
	t.OpenRun, t.LastOpenedAt = r.ID, m.now()
	m.runs[r.ID] = &r
	return r, nil
}

// because notes what triggered a run, and takes it off its target.
func (m *memory) because(r *activation.Run, t *activation.Target) {
	come := m.timeHasCome(t)
	switch due := t.DueNow && !m.now().Before(m.dueAt[t.ID]); {
	case r.Cause != "":
	case due && t.DueCause != "":
		r.Cause = t.DueCause
	case due:
		r.Cause = activation.CauseManual
	case come:
		r.Cause = activation.CauseSchedule
	default:
		r.Cause = activation.CauseRealTime
	}
	m.keysAt[t.ID] = m.now()
	if r.Mode == activation.ModeKeys && t.DueCause != activation.CauseAgent {
		return
	}
	t.DueNow, t.DueCause = false, ""
	delete(m.dueAt, t.ID)
	if come && r.Mode == activation.ModeSync {
		t.NextAt = t.NextAt.Add(24 * time.Hour)
	}
}

func (m *memory) Run(_ context.Context, id activation.RunID) (activation.Run, error) {
	defer m.lock()()
	return get(m.runs, id)
}

func (m *memory) workable(r *activation.Run) bool {
	ended := m.jobs[r.Job].State == activation.JobKilled && r.Release == "" || r.Release != "" && m.targets[r.Target].Release == ""
	return (m.targets[r.Target].OpenRun == r.ID || r.Status == activation.RunAwaiting) &&
		(r.Node == "" || !m.now().Before(r.LeaseUntil)) &&
		(ended || !m.now().Before(r.WaitUntil) && (m.jobs[r.Job].State != activation.JobPaused || r.Release != ""))
}

func (m *memory) OpenRuns(_ context.Context, _ int) ([]activation.Run, error) {
	defer m.lock()()
	var out []activation.Run
	for _, r := range m.runs {
		if m.workable(r) {
			out = append(out, *r)
		}
	}
	slices.SortFunc(out, func(a, b activation.Run) int { return int(a.Number - b.Number) })
	return out, nil
}

func (m *memory) TakeRun(_ context.Context, id activation.RunID, node string, lease time.Duration) (activation.Run, []activation.Item, error) {
	defer m.lock()()
	r := m.runs[id]
	if r == nil || !m.workable(r) {
		return activation.Run{}, nil, activation.ErrConflict
	}
	r.Attempt++
	r.Node, r.LeaseUntil, r.WaitUntil = node, m.now().Add(lease), time.Time{}
	if r.Status != activation.RunAwaiting {
		r.Status = activation.RunRunning
	}
	var lost []activation.Item
	for i := range m.items[id] {
		if it := &m.items[id][i]; it.State == activation.ItemSending {
			it.State, it.Code = activation.ItemUnknown, activation.CodeTakenOver
			if m.given[it.ID] == nil {
				m.given[it.ID] = map[int]time.Time{}
			}
			m.given[it.ID][it.Attempt] = m.now()
			lost = append(lost, *it)
		}
	}
	return *r, lost, nil
}

// mine returns the stored run, fenced unless the attempt is its present one.
func (m *memory) mine(r activation.Run) (*activation.Run, error) {
	stored := m.runs[r.ID]
	if stored.Attempt != r.Attempt || stored.Status.Final() || stored.Status == activation.RunPending {
		return nil, activation.ErrFenced
	}
	return stored, nil
}

func (m *memory) RenewRuns(_ context.Context, runs []activation.HeldRun, lease time.Duration) (fenced []activation.RunID, _ error) {
	defer m.lock()()
	for _, r := range runs {
		stored, err := m.mine(activation.Run{ID: r.ID, Attempt: r.Attempt})
		if err != nil || !m.now().Before(stored.LeaseUntil) {
			fenced = append(fenced, r.ID)
			continue
		}
		stored.LeaseUntil = m.now().Add(lease)
		if r.InLine {
			stored.ProgressAt = m.now()
		}
	}
	return fenced, nil
}

// RestlessJobs lists them all: whoever asks looks for himself.
func (m *memory) RestlessJobs(context.Context, string) ([]activation.JobID, error) {
	defer m.lock()()
	var out []activation.JobID
	for _, r := range m.runs {
		out = append(out, r.Job)
	}
	return out, nil
}

func (m *memory) ReleaseRun(_ context.Context, r activation.Run, waitUntil time.Time) error {
	defer m.lock()()
	stored, err := m.mine(r)
	if err != nil {
		return err
	}
	stored.Node, stored.WaitUntil = "", waitUntil
	return nil
}

func (m *memory) save(r activation.Run) error {
	stored, err := m.mine(r)
	if err != nil {
		return err
	}
	stored.Stage, stored.Seq, stored.Now, stored.KeySet = r.Stage, r.Seq, r.Now, r.KeySet
	stored.Counts, stored.Timings, stored.StagedAt = r.Counts, slices.Clone(r.Timings), r.StagedAt
	return nil
}

func (m *memory) SaveRun(_ context.Context, r activation.Run) error {
	defer m.lock()()
	return m.save(r)
}

func (m *memory) FinishRun(_ context.Context, r activation.Run, end delivery.End) error {
	defer m.lock()()
	if err := m.save(r); err != nil {
		return err
	}
	for _, it := range m.items[r.ID] {
		open := it.State == activation.ItemQueued || it.State == activation.ItemSending
		owed := it.State == activation.ItemAwaiting && r.Status != activation.RunAwaiting
		unfolded := (it.State == activation.ItemDelivered || it.State == activation.ItemUnknown) && !it.Folded && r.ErrorCode != activation.CodeCounts
		if open || owed || unfolded {
			return fmt.Errorf("item %d is %s: %w", it.Number, it.State, activation.ErrConflict)
		}
	}
	stored, t := m.runs[r.ID], m.targets[r.Target]
	counts := r.Status != activation.RunCompleted && r.ErrorKind != "" && stored.ErrorKind == ""
	stored.Status, stored.Node, stored.WaitUntil, stored.EndedAt = r.Status, "", end.Until, r.EndedAt
	stored.ErrorKind, stored.ErrorCode, stored.ErrorText = r.ErrorKind, r.ErrorCode, r.ErrorText
	if t.OpenRun == r.ID {
		t.OpenRun = ""
	}
	if end.Done && stored.Mode != activation.ModeKeys {
		t.DoneSeq = max(t.DoneSeq, r.Seq)
	}
	if end.Done {
		t.KeysDone = max(t.KeysDone, r.Seq)
	}
	again := end.Due || counts || r.Counts.Left > 0
	stranded := r.Counts.Removed > 0 && (r.Status == activation.RunFailed || r.Counts.Unsent+r.Counts.Withdrawn+r.Counts.Superseded > 0)
	if again && !t.DueNow && stored.Mode == activation.ModeKeys && !stranded {
		t.DueCause = activation.CauseAgent
	} else if again {
		t.DueCause = ""
	}
	t.DueNow = t.DueNow || again
	if counts {
		m.asleep[t.ID] = m.now().Add(time.Minute)
	}
	if r.Status == activation.RunCompleted && r.Counts.Capped > 0 {
		t.DueNow, m.dueAt[t.ID] = true, m.now().Add(time.Minute)
		if m.jobs[t.Job].UserLimitFrequency != "" {
			m.dueAt[t.ID] = m.now().Truncate(time.Hour).Add(time.Hour)
		}
	} else {
		delete(m.dueAt, t.ID)
	}
	if r.Release != "" {
		m.endRelease(t, r, end)
	}
	return nil
}

func (m *memory) endRelease(t *activation.Target, r activation.Run, end delivery.End) {
	switch {
	case t.OpenRun != "" || t.Generation != r.Generation:
	case end.Released && end.Gone:
		m.void(t, r.ID)
		t.Generation, t.RemoteID, t.DueNow = t.Generation+1, "", t.Release == ""
		t.Release = ""
	case end.Released && t.Release != "":
		t.Release, t.DueNow = "", false
	case t.Release != "" && r.Status != activation.RunAwaiting:
		t.DueNow = true
	}
}

// void ends the other runs of a generation that is no more.
func (m *memory) void(t *activation.Target, but activation.RunID) {
	for _, other := range m.runs {
		if other.Target != t.ID || other.ID == but || other.Status != activation.RunAwaiting {
			continue
		}
		for i := range m.items[other.ID] {
			if it := &m.items[other.ID][i]; it.State == activation.ItemAwaiting {
				it.State = activation.ItemUnknown
			}
		}
		other.Counts.Unknown, other.Counts.Awaiting = other.Counts.Unknown+other.Counts.Awaiting, 0
		other.Status, other.Node, other.ErrorCode, other.ErrorKind = activation.RunFailed, "", activation.CodeRemoteGone, activation.Gone
		other.Attempt++
	}
}

func (m *memory) UnstageableRuns(_ context.Context, before time.Time, _ int) ([]activation.RunID, error) {
	defer m.lock()()
	var out []activation.RunID
	for id, r := range m.runs {
		newest := true
		for _, other := range m.runs {
			newest = newest && (other.Number <= r.Number || other.StagedAt.IsZero())
		}
		if !r.StagedAt.IsZero() && !m.unstaged[id] && r.Status.Final() && r.EndedAt.Before(before) && (!r.SyncType.OnlyAdds() && (r.Status != activation.RunFailed || !newest) || r.SyncType.OnlyAdds() && r.Status != activation.RunFailed && !newest) {
			out = append(out, id)
		}
	}
	return out, nil
}

func (m *memory) MarkUnstaged(_ context.Context, runs []activation.RunID) error {
	defer m.lock()()
	for _, id := range runs {
		m.unstaged[id] = true
	}
	return nil
}

func (m *memory) NewGeneration(_ context.Context, r activation.Run, status activation.RunStatus) error {
	defer m.lock()()
	t := m.targets[r.Target]
	if t.OpenRun != "" && t.OpenRun != r.ID {
		return fmt.Errorf("run %s is open: %w", t.OpenRun, activation.ErrConflict)
	}
	if err := m.save(r); err != nil {
		return err
	}
	for _, other := range m.runs {
		if other.Target != t.ID || other.Status != activation.RunAwaiting && other.ID != r.ID {
			continue
		}
		for i := range m.items[other.ID] {
			switch it := &m.items[other.ID][i]; it.State {
			case activation.ItemQueued:
				it.State = activation.ItemWithdrawn
			case activation.ItemAwaiting, activation.ItemSending:
				it.State = activation.ItemUnknown
			}
		}
		if other.ID != r.ID {
			other.Counts.Unknown, other.Counts.Awaiting = other.Counts.Unknown+other.Counts.Awaiting, 0
			other.Status = activation.RunFailed
		} else {
			other.Status = status
		}
		other.Node, other.ErrorCode, other.ErrorKind = "", activation.CodeRemoteGone, activation.Gone
		other.Attempt++
	}
	t.Generation++
	t.RemoteID, t.OpenRun, t.DueNow = "", "", true
	return nil
}

func (m *memory) QueueItems(_ context.Context, r activation.Run, items []activation.Item) error {
	defer m.lock()()
	if err := m.save(r); err != nil {
		return err
	}
	m.items[r.ID] = slices.Clone(items)
	return nil
}

func (m *memory) Items(_ context.Context, run activation.RunID) ([]activation.Item, error) {
	defer m.lock()()
	return slices.Clone(m.items[run]), nil
}

func (m *memory) AwaitingItems(_ context.Context, target activation.TargetID, generation int) ([]activation.Item, error) {
	defer m.lock()()
	var out []activation.Item
	for id, r := range m.runs {
		for _, it := range m.items[id] {
			owed := it.State == activation.ItemAwaiting || r.Status == activation.RunAwaiting && !it.Folded && (it.State == activation.ItemDelivered || it.State == activation.ItemUnknown)
			if r.Target == target && r.Generation == generation && !r.Status.Final() && owed {
				out = append(out, it)
			}
		}
	}
	return out, nil
}

// item finds an item of a run whose attempt is r's.
func (m *memory) item(r activation.Run, id activation.ItemID) (*activation.Item, error) {
	if _, err := m.mine(r); err != nil {
		return nil, err
	}
	for i := range m.items[r.ID] {
		if m.items[r.ID][i].ID == id {
			return &m.items[r.ID][i], nil
		}
	}
	return nil, activation.ErrFenced
}

func (m *memory) ClaimItem(_ context.Context, r activation.Run, id activation.ItemID) (activation.Item, error) {
	defer m.lock()()
	it, err := m.item(r, id)
	if err != nil || it.State != activation.ItemQueued || !m.now().Before(m.runs[r.ID].LeaseUntil) {
		return activation.Item{}, activation.ErrFenced
	}
	if r.Release != "" && m.targets[r.Target].Release == "" {
		return activation.Item{}, activation.ErrFenced
	}
	if r.Release == "" && m.jobs[m.runs[r.ID].Job].State == activation.JobPaused {
		return activation.Item{}, activation.ErrPaused
	}
	it.State, it.Attempt, it.Folded, it.Code = activation.ItemSending, it.Attempt+1, false, ""
	return *it, nil
}

// sending finds an item that this attempt sends or polls for.
func (m *memory) sending(r activation.Run, it activation.Item) (*activation.Item, error) {
	stored, err := m.item(r, it.ID)
	if err != nil || stored.Attempt != it.Attempt || (stored.State != activation.ItemSending && stored.State != activation.ItemAwaiting) {
		return nil, activation.ErrFenced
	}
	return stored, nil
}

func (m *memory) UnclaimItem(_ context.Context, r activation.Run, it activation.Item) error {
	defer m.lock()()
	stored, err := m.sending(r, it)
	if err == nil {
		stored.State = activation.ItemQueued
	}
	return err
}

func (m *memory) SaveReceipt(_ context.Context, r activation.Run, it activation.Item, state activation.ItemState, rc activation.Receipt, code, message string) error {
	defer m.lock()()
	stored, err := m.sending(r, it)
	if err != nil {
		return err
	}
	if sum := rc.Accepted + rc.Rejected + rc.Unknown + rc.Unsent + rc.Superseded; state != activation.ItemAwaiting && sum != it.Rows() {
		return fmt.Errorf("a receipt of %d rows for an item of %d: %w", sum, it.Rows(), activation.ErrConflict)
	}
	stored.State, stored.Code, stored.Message = state, code, message
	rc.Attempt = it.Attempt
	m.receipts[it.ID] = append(slices.DeleteFunc(m.receipts[it.ID], func(x activation.Receipt) bool { return x.Attempt == it.Attempt }), rc)
	if m.given[it.ID] == nil {
		m.given[it.ID] = map[int]time.Time{}
	}
	m.given[it.ID][it.Attempt] = m.now()
	return nil
}

func (m *memory) SplitItem(_ context.Context, r activation.Run, it activation.Item, children []activation.Item) error {
	defer m.lock()()
	stored, err := m.sending(r, it)
	if err != nil {
		return err
	}
	stored.State = activation.ItemSplit
	for _, c := range children {
		c.Number = len(m.items[r.ID]) + 1
		m.items[r.ID] = append(m.items[r.ID], c)
	}
	return nil
}

// SaveRest stores the receipt and queues what is left.
func (m *memory) SaveRest(ctx context.Context, r activation.Run, it activation.Item, rc activation.Receipt, children []activation.Item) error {
	if err := m.SaveReceipt(ctx, r, it, activation.ItemDelivered, rc, "", ""); err != nil {
		return err
	}
	defer m.lock()()
	for _, c := range children {
		c.Number, c.Parent = len(m.items[r.ID])+1, it.ID
		m.items[r.ID] = append(m.items[r.ID], c)
	}
	return nil
}

// failAfter is how long the errors of a run of events may last here.
const failAfter = 100 * time.Hour

func (m *memory) RestRun(_ context.Context, r activation.Run, anew bool) (time.Time, error) {
	defer m.lock()()
	stored, err := m.mine(r)
	if err != nil {
		return time.Time{}, err
	}
	t := m.targets[r.Target]
	if anew || t.FailingSince.IsZero() {
		t.FailingSince, t.ConsecutiveErrors = m.now(), 0
	}
	if m.now().Sub(t.FailingSince) >= failAfter {
		return time.Time{}, nil
	}
	t.ConsecutiveErrors++
	stored.Node, stored.WaitUntil = "", m.now().Add(time.Minute<<min(t.ConsecutiveErrors-1, 6))
	return stored.WaitUntil, nil
}

func (m *memory) ReopenRun(_ context.Context, r activation.Run) error {
	defer m.lock()()
	stored, err := m.mine(r)
	if err != nil {
		return err
	}
	t := m.targets[r.Target]
	if t.OpenRun != "" {
		return fmt.Errorf("run %s is open: %w", t.OpenRun, activation.ErrConflict)
	}
	stored.Status, t.OpenRun = activation.RunRunning, r.ID
	return nil
}

func (m *memory) RaiseStreams(_ context.Context, seq map[string]int64) error {
	defer m.lock()()
	for _, t := range m.targets {
		if t.Stream != "" {
			t.DirtySeq = max(t.DirtySeq, seq[t.Stream])
		}
	}
	return nil
}

func (m *memory) EndItems(_ context.Context, r activation.Run, state activation.ItemState) error {
	defer m.lock()()
	if _, err := m.mine(r); err != nil {
		return err
	}
	for i := range m.items[r.ID] {
		if it := &m.items[r.ID][i]; it.State == activation.ItemQueued {
			it.State = state
			if state == activation.ItemFailed {
				it.Code = activation.CodeNotAttempted
			}
		}
	}
	return nil
}

func (m *memory) ReplayItem(_ context.Context, r activation.Run, id activation.ItemID) error {
	defer m.lock()()
	it, err := m.item(r, id)
	if err != nil || it.State != activation.ItemUnknown || !it.Folded {
		return activation.ErrFenced
	}
	it.State, it.Folded = activation.ItemQueued, false
	return nil
}

func (m *memory) MarkFolded(_ context.Context, r activation.Run, items []activation.ItemID) error {
	defer m.lock()()
	if err := m.save(r); err != nil {
		return err
	}
	for _, id := range items {
		it, err := m.item(r, id)
		if err != nil {
			return err
		}
		it.Folded = true
	}
	return nil
}

func (m *memory) Receipts(_ context.Context, run activation.RunID) (map[activation.ItemID][]activation.Receipt, error) {
	defer m.lock()()
	out := map[activation.ItemID][]activation.Receipt{}
	for _, it := range m.items[run] {
		out[it.ID] = slices.Clone(m.receipts[it.ID])
	}
	return out, nil
}

func (m *memory) AwaitApproval(_ context.Context, r activation.Run) error {
	defer m.lock()()
	if err := m.save(r); err != nil {
		return err
	}
	stored := m.runs[r.ID]
	stored.Status, stored.Reason, stored.Node = activation.RunPending, activation.SleepApproval, ""
	m.targets[r.Target].OpenRun = ""
	return nil
}

func (m *memory) answer(id activation.RunID, answer string) error {
	defer m.lock()()
	r := m.runs[id]
	t := m.targets[r.Target]
	if r.Status != activation.RunPending || r.Reason != activation.SleepApproval || t.OpenRun != "" {
		return activation.ErrConflict
	}
	m.verdicts[t.ID] = activation.GuardVerdict{Answer: answer, Removes: r.Counts.Remove, At: m.now()}
	r.Reason, t.OpenRun = "", id
	return nil
}

func (m *memory) Approve(_ context.Context, id activation.RunID, _ string) error {
	return m.answer(id, activation.Approved)
}

func (m *memory) Decline(_ context.Context, id activation.RunID, _ string) error {
	return m.answer(id, activation.Declined)
}

func (m *memory) LastVerdict(_ context.Context, id activation.TargetID) (activation.GuardVerdict, error) {
	defer m.lock()()
	return m.verdicts[id], nil
}

func (m *memory) Withdraw(_ context.Context, id activation.RunID, _ string) error {
	defer m.lock()()
	r := m.runs[id]
	if r.Status != activation.RunPending {
		return activation.ErrConflict
	}
	r.Status = activation.RunWithdrawn
	t := m.targets[r.Target]
	if t.OpenRun == id {
		t.OpenRun = ""
	}
	if r.Release != "" && t.Release != "" { // a person says no
		t.Release, t.DueNow = "", false
	}
	return nil
}

func (m *memory) Retry(_ context.Context, id activation.RunID, _ string) error {
	defer m.lock()()
	r := m.runs[id]
	t := m.targets[r.Target]
	for _, later := range m.runs {
		if later.Target == t.ID && later.Number > r.Number && !later.StagedAt.IsZero() && !r.SyncType.OnlyAdds() {
			return fmt.Errorf("run #%d carries these: %w", later.Number, activation.ErrConflict)
		}
	}
	if r.Status != activation.RunFailed || r.Generation != t.Generation || t.OpenRun != "" || len(m.items[id]) == 0 ||
		r.ErrorCode == activation.CodeCounts || r.ErrorCode == activation.CodeJobEnded || r.ErrorCode == activation.CodeReplaceCut || r.Stage != activation.StageRemote && r.Stage != activation.StageMembers {
		return activation.ErrConflict
	}
	for i := range m.items[id] {
		if it := &m.items[id][i]; it.State == activation.ItemFailed || it.State == activation.ItemUnknown {
			it.State, it.Folded, it.Code = activation.ItemQueued, false, ""
		}
	}
	r.Status, r.Attempt, r.ErrorKind, r.ErrorCode, r.ErrorText, r.EndedAt = activation.RunRunning, r.Attempt+1, "", "", "", time.Time{}
	t.OpenRun, t.LastOpenedAt = id, m.now()
	delete(m.asleep, t.ID)
	return nil
}

// all returns every run, oldest first.
func (m *memory) all() []activation.Run {
	defer m.lock()()
	var out []activation.Run
	for r := range maps.Values(m.runs) {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b activation.Run) int { return int(a.Number - b.Number) })
	return out
}
