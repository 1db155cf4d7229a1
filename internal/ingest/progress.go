package ingest

import (
	"time"

	"usher/internal/warehouse/inbox"
)

// Progress is how far the merge under way has come.
type Progress struct {
	LoadID    string    `json:"load_id"`
	Stream    string    `json:"stream"`
	Filename  string    `json:"filename"`
	Done      int64     `json:"rows_done"`
	Total     int64     `json:"rows_total"`
	StartedAt time.Time `json:"started"`
	// At is when the numbers were read.
	At time.Time `json:"at"`
}

// Left estimates the time until the merge is done from its pace so far; ok is
// false while there is no pace yet.
func (p Progress) Left() (left time.Duration, ok bool) {
	spent := p.At.Sub(p.StartedAt)
	if p.Done <= 0 || spent <= 0 {
		return 0, false
	}
	return time.Duration(float64(spent) / float64(p.Done) * float64(max(p.Total-p.Done, 0))), true
}

// Progress returns how far the merge under way has come; ok is false when there
// is none. It may be called from any goroutine.
func (m *Merger) Progress() (p Progress, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p = m.present
	p.At = m.cfg.Now()
	return p, m.merging
}

func (m *Merger) begin(l inbox.Load) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.merging = true
	m.present = Progress{LoadID: l.ID, Stream: l.Stream, Filename: l.Filename, Total: l.Rows, StartedAt: m.cfg.Now()}
}

func (m *Merger) progressed(rows int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.present.Done = rows
}

func (m *Merger) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.merging = false
}
