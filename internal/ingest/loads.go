package ingest

import (
	"context"
	"io"
	"time"

	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// LoadStatus is an upload as people see it: where it stands and what it did.
type LoadStatus struct {
	ID          string       `json:"id"`
	Stream      string       `json:"stream"`
	Filename    string       `json:"filename"`
	ContentType string       `json:"content-type"`
	Status      inbox.Status `json:"status"`
	Rows        int64        `json:"rows"`
	Rejected    int64        `json:"rejected"`
	// RejectedKept says that rejected rows can be looked at.
	RejectedKept bool `json:"rejected_kept,omitempty"`
	// RealTime: the row sums up what the stream received in real time within an hour.
	RealTime bool `json:"real_time,omitempty"`
	// Done is how many rows are in the profiles so far.
	Done       int64     `json:"done"`
	ReceivedAt time.Time `json:"received"`
	FinishedAt time.Time `json:"finished,omitzero"`
	ErrorCode  string    `json:"error_code,omitempty"`
	Error      string    `json:"error,omitempty"`
	warehouse.LoadResult
}

// Load returns one upload, or ErrNotFound.
func (m *Merger) Load(ctx context.Context, id string) (LoadStatus, error) {
	l, err := m.cfg.Inbox.Load(ctx, id)
	if err != nil {
		return LoadStatus{}, err
	}
	return m.status(l), nil
}

// Recent lists uploads, newest first; stream "" = of all streams.
func (m *Merger) Recent(ctx context.Context, stream string, limit int) ([]LoadStatus, error) {
	loads, err := m.cfg.Inbox.Recent(ctx, stream, limit)
	if err != nil {
		return nil, err
	}
	out := make([]LoadStatus, len(loads))
	for i, l := range loads {
		out[i] = m.status(l)
	}
	return out, nil
}

// Rejected opens the rows of an upload that were passed over because droperrors
// was asked for, as NDJSON: one inbox.RejectedRow a line. They are kept for
// KeepRejected. ErrNotFound where there are none.
func (m *Merger) Rejected(_ context.Context, id string) (io.ReadCloser, error) {
	return m.cfg.Inbox.Rejected(id)
}

// Waiting returns how many rows and bytes that came in real time wait to be merged.
func (m *Merger) Waiting() (rows, bytes int64) { return m.cfg.Inbox.Waiting() }

// Retry makes a failed upload pending again, in its old place; ErrConflict for
// one that has not failed.
func (m *Merger) Retry(ctx context.Context, id string) error { return m.cfg.Inbox.Retry(ctx, id) }

// Discard forgets a failed upload and its rows; ErrConflict for one that has
// not failed.
func (m *Merger) Discard(ctx context.Context, id string) error { return m.cfg.Inbox.Discard(ctx, id) }

func (m *Merger) status(l inbox.Load) LoadStatus {
	s := LoadStatus{
		ID: l.ID, Stream: l.Stream, Filename: l.Filename, ContentType: l.ContentType, Status: l.Status, Rejected: l.Rejected,
		RejectedKept: l.Rejected > 0 && m.cfg.Inbox.HasRejected(l.ID), RealTime: l.RealTime(),
		ReceivedAt: l.ReceivedAt, FinishedAt: l.FinishedAt, ErrorCode: l.ErrorCode, Error: l.Error, LoadResult: l.Result,
	}
	s.Rows = l.Rows
	if l.Status == inbox.Merged {
		s.Done = l.Rows
	} else if p, merging := m.Progress(); merging && p.LoadID == l.ID {
		s.Done = p.Done
	}
	return s
}
