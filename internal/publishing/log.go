package publishing

import (
	"context"
	"slices"

	"usher/internal/activation"
	"usher/internal/pass"
)

// mostSearched is how many entries are looked at for one page by filters that no index
// has, so that a page of a very long log is there at once; its cursor goes on from there.
const mostSearched = 10_000

// Entries returns a page of the Activity Log, and the cursor of the next one or "". A
// page of what is rare may have few entries, or none, and a cursor yet.
func (d *Desk) Entries(ctx context.Context, q activation.EntryQuery) (page []activation.Entry, next string, err error) {
	if q.Posting && q.Publisher == "" {
		return nil, "", badRequest("publisher", "the order of posting is that of one account; name it")
	}
	if q.Most == 0 {
		q.Most = mostSearched
	}
	return d.cfg.Store.Entries(ctx, q)
}

// Entry returns an entry, with its place while it waits.
func (d *Desk) Entry(ctx context.Context, id activation.EntryID) (EntryView, error) {
	e, err := d.cfg.Store.Entry(ctx, id)
	if err != nil {
		return EntryView{}, err
	}
	view := EntryView{Entry: e}
	if e.Status.Waits() && !e.IsParent() {
		place, err := d.position(ctx, e)
		if err != nil {
			return EntryView{}, err
		}
		view.Place = &place
	}
	return view, nil
}

// Counts counts entries by status, of one account or of all (""). Uploads are not
// counted, their rows are.
func (d *Desk) Counts(ctx context.Context, id activation.PublisherID) (map[activation.EntryStatus]int64, error) {
	if id != "" {
		if _, err := d.cfg.Store.Publisher(ctx, id); err != nil {
			return nil, err
		}
	}
	return d.cfg.Store.EntryCounts(ctx, id)
}

// commands are those that people may give.
var commands = []activation.EntryCommand{
	activation.CommandPost, activation.CommandPostAll, activation.CommandHold, activation.CommandRelease, activation.CommandCancel, activation.CommandRetry,
}

// Move does a command on all entries that q selects, or with dryRun tells what it would
// do. What can't be moved is refused by reason, and the rest is moved.
func (d *Desk) Move(ctx context.Context, c activation.EntryCommand, q activation.EntryQuery, dryRun bool, user string) (activation.EntriesMoved, error) {
	if !slices.Contains(commands, c) {
		return activation.EntriesMoved{}, badRequest("command", "must be post, post_all, hold, release, cancel or retry")
	}
	if c == activation.CommandPostAll && q.Publisher == "" {
		return activation.EntriesMoved{}, badRequest("publisher", "name the account whose entries are to be posted")
	}
	moved, err := d.cfg.Store.MoveEntries(ctx, c, q, user, dryRun)
	if err != nil || dryRun {
		return moved, err
	}
	for _, id := range moved.Publishers {
		account, err := d.cfg.Store.Publisher(ctx, id)
		if err != nil {
			continue // it was unlinked just now
		}
		d.cfg.Wake(pass.Kind, string(account.PostJob))
	}
	d.cfg.Changed()
	return moved, nil
}
