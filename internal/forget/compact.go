package forget

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// Compact rewrites all files without what was deleted, now.
func (f *Forgetter) Compact(ctx context.Context, user string) error {
	ready, err := f.readyToCompact(ctx)
	if err != nil {
		return err
	}
	if err := f.cfg.Store.AddAudit(ctx, activation.AuditEntry{Actor: user, Verb: "compact", SubjectType: "data"}); err != nil {
		return err
	}
	if err := f.compact(ctx, ready); !errors.Is(err, warehouse.ErrBusy) {
		return err
	}
	return fmt.Errorf("%w: %w", activation.ErrConflict, &activation.Error{
		Kind: activation.Unavailable, Code: "CONFLICT", Message: "the files are in use by a rebuild or a long upload; try again when it has ended",
	})
}

// readyToCompact lists the forgets that wait for a compaction and for nothing
// else. What was accepted before somebody was erased is merged first, or failed:
// then it is known where it is.
func (f *Forgetter) readyToCompact(ctx context.Context) (ready []activation.Forget, err error) {
	pending, err := f.cfg.Store.PendingForgets(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range pending {
		if one.Stage == activation.ForgetCompact {
			ready = append(ready, one)
		}
	}
	if len(ready) == 0 {
		return nil, nil
	}
	oldest, err := f.cfg.Inbox.OldestWaiting(ctx)
	if err != nil || oldest.IsZero() {
		return ready, err
	}
	var past []activation.Forget
	for _, one := range ready {
		if !oldest.Before(one.ErasedAt) {
			past = append(past, one)
		}
	}
	return past, nil
}

// compact takes people who were forgotten out of files that wait to be looked at,
// rewrites databases, and completes the forgets that were ready before it began.
func (f *Forgetter) compact(ctx context.Context, ready []activation.Forget) error {
	f.compacting.Lock()
	defer f.compacting.Unlock()
	loads, err := f.rewriteFiles(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(f.cfg.Inbox.Compact(ctx), f.cfg.Site.Compact(ctx)); err != nil {
		return err
	}
	if err := f.cfg.Warehouse.Compact(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	f.compacted = f.cfg.Now()
	f.mu.Unlock()
	for _, one := range ready {
		one.Stage, one.ErrorCode, one.ErrorText = activation.ForgetDone, "", ""
		if one.Counts != nil {
			one.Counts["waiting_loads"] = loads
		}
		if _, err := f.cfg.Store.SaveForget(ctx, one); err != nil {
			return err
		}
	}
	f.cfg.Log.InfoContext(ctx, "files were rewritten without what was deleted", "forgets", len(ready))
	return nil
}

// rewriteFiles takes them out of failed loads and rejected rows, and returns how
// many loads there were with them.
func (f *Forgetter) rewriteFiles(ctx context.Context) (loads int64, err error) {
	known, err := f.cfg.Warehouse.Recognise(ctx)
	if err != nil {
		return 0, err
	}
	failed, err := f.cfg.Inbox.FailedLoads(ctx)
	if err != nil {
		return 0, err
	}
	for _, l := range failed {
		blanked, err := f.blank(ctx, l, known)
		if err != nil {
			return 0, fmt.Errorf("load %q: %w", l.ID, err)
		}
		if blanked > 0 {
			loads++
		}
	}
	return loads, f.cfg.Inbox.RewriteRejected(ctx, func(row inbox.RejectedRow) bool {
		return !mentions(row.Text, known) && !mentions(row.Reason, known)
	})
}

// blank empties the rows of a failed load that carry somebody who was forgotten.
// A load whose file is damaged cannot be merged either, and is discarded.
func (f *Forgetter) blank(ctx context.Context, l inbox.Load, known func(string) bool) (int64, error) {
	lines, err := f.cfg.Warehouse.Carrying(ctx, l.Load)
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	mapped := make(map[int64]bool, len(lines))
	for _, n := range lines {
		mapped[n] = true
	}
	blanked, berr := f.cfg.Inbox.BlankRows(ctx, l, func(line int64, values []string) bool {
		if mapped[line] {
			return true
		}
		for _, v := range values {
			if mentions(v, known) {
				return true
			}
		}
		return false
	})
	if berr == nil {
		return blanked, nil // one that the mappings cannot read was looked through all the same
	}
	if errors.Is(berr, fs.ErrNotExist) {
		return 0, nil // nothing is left of it, or it was merged meanwhile
	}
	if !errors.Is(berr, inbox.ErrDamaged) {
		return 0, berr // such as a full disk: its rows are good
	}
	f.cfg.Log.WarnContext(ctx, "a failed load whose file is damaged is discarded, for it may hold somebody who is forgotten", "load_id", l.ID, "error", errors.Join(err, berr))
	return 1, f.cfg.Inbox.Discard(ctx, l.ID)
}

// fewestDigits is how many digits make a number that may be a telephone's.
const fewestDigits = 7

// mentions reports whether a text holds an identifier of somebody who was
// forgotten: as a whole, between separators, or as a number however it is written.
func mentions(text string, known func(string) bool) bool {
	if known(text) {
		return true
	}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",;|\t\r\n\"'{}[]<>:=", r) }) {
		if known(part) || knownNumber(part, known) {
			return true
		}
		for word := range strings.FieldsSeq(part) {
			if known(word) {
				return true
			}
		}
	}
	return false
}

func knownNumber(text string, known func(string) bool) bool {
	digits := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && unicode.IsDigit(r) {
			return r
		}
		return -1
	}, text)
	return len(digits) >= fewestDigits && (known(digits) || known("+"+digits))
}
