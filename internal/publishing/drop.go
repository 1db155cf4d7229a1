package publishing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/pass"
	"usher/internal/provider"
)

// CodeDrop is for a file of a drop folder that can't be taken.
const CodeDrop = "PUB-DROP"

// What a pass over a drop folder counts.
const (
	countFiles   = "files"
	countSkipped = "skipped_files"
	countRows    = "rows"
	countAdds    = "adds"
	countEdits   = "edits"
	countDeletes = "deletes"
	countSame    = "same"
	countErrors  = "errors"
)

// maxNoted is how many problems of a file the log of its job names.
const maxNoted = 5

// errRead is told within a writing when a drop folder was read further meanwhile.
var errRead = errors.New("the folder was read further by another attempt")

// drops does the passes of drop folders: each file is one upload.
type drops struct {
	desk      *Desk
	workflows map[string]provider.Workflow
}

// Drops returns what reads drop folders.
func (d *Desk) Drops() pass.Runner {
	r := drops{d, map[string]provider.Workflow{}}
	for _, def := range d.cfg.Providers {
		for _, w := range def.Workflows {
			if w.Direction == provider.Import && w.Subject == provider.Campaigns {
				r.workflows[w.Name] = w
			}
		}
	}
	return r
}

// Workflows names those that read files of edits.
func (r drops) Workflows() []string {
	var out []string
	for _, def := range r.desk.cfg.Providers {
		for _, w := range def.Workflows {
			if _, ok := r.workflows[w.Name]; ok {
				out = append(out, w.Name)
			}
		}
	}
	return out
}

// Due is for jobs in real time, of which drop folders have none.
func (r drops) Due(context.Context, activation.Job) (bool, error) { return false, nil }

// Pass takes every file that is there now, one after the other.
func (r drops) Pass(ctx context.Context, job activation.Job, p pass.Progress) error {
	w, err := r.settings(job)
	if err != nil {
		return err
	}
	if w.account, err = r.desk.cfg.Store.Publisher(ctx, w.account.ID); err != nil {
		if errors.Is(err, activation.ErrNotFound) {
			return wrongDrop(provider.PublisherField, "there is no such publisher account")
		}
		return err
	}
	if w.source, _, err = r.desk.cfg.Source(ctx, job); err != nil {
		return err
	}
	defer func() { _ = w.source.Close() }() // whatever it read is in
	w.progress = p
	for {
		more, err := w.next(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// dropWork is one attempt at a pass over a drop folder.
type dropWork struct {
	*Desk
	job      activation.Job
	account  activation.PublisherAccount
	send     activation.Send
	skipRows bool
	skipFile bool
	source   provider.Source
	progress pass.Progress
}

func (r drops) settings(job activation.Job) (*dropWork, error) {
	declared := r.workflows[job.Workflow].Fields
	value := func(name string) string { return strings.TrimSpace(provider.Setting(declared, job.Config, name)) }
	w := &dropWork{Desk: r.desk, job: job, send: activation.Send(value(provider.SendField))}
	w.account.ID = activation.PublisherID(value(provider.PublisherField))
	if w.account.ID == "" {
		return nil, wrongDrop(provider.PublisherField, "is needed: the id of the publisher account")
	}
	if checkSend(w.send) != nil {
		return nil, wrongDrop(provider.SendField, "must be hold, nightly or now")
	}
	for name, to := range map[string]*bool{provider.SkipErrorsField: &w.skipRows, provider.SkipBadFilesField: &w.skipFile} {
		yes, err := strconv.ParseBool(value(name))
		if err != nil {
			return nil, wrongDrop(name, "must be true or false")
		}
		*to = yes
	}
	return w, nil
}

func wrongDrop(field, what string) error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeSettings, Field: field, Message: field + " " + what}
}

// next takes the next file; more is false when there is none now.
func (w *dropWork) next(ctx context.Context) (more bool, err error) {
	state, err := w.cfg.Store.DropState(ctx, w.job.ID)
	if err != nil {
		return false, err
	}
	piece, ok, err := w.source.Next(ctx, state)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, w.remind(ctx, state)
	}
	w.progress.Moved()
	kept, after, err := w.fetch(ctx, piece)
	if err != nil {
		return false, err
	}
	defer kept.close()
	made, err := w.take(ctx, piece, kept, state, after)
	if err != nil {
		return false, err
	}
	if err := w.tell(ctx, piece, made); err != nil {
		return false, err
	}
	if piece.Settled != nil {
		return true, piece.Settled(ctx)
	}
	return true, nil
}

// remind says in the log of the job what should have come and has not.
func (w *dropWork) remind(ctx context.Context, state []byte) error {
	if r, ok := w.source.(provider.Reminder); ok {
		if text := r.Overdue(state); text != "" {
			return w.progress.Note(ctx, "warn", "", text)
		}
	}
	return nil
}

// fetch reads a file whole, and what is to be kept once its edits are in.
func (w *dropWork) fetch(ctx context.Context, piece provider.Piece) (_ *keptFile, after []byte, err error) {
	body, err := piece.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	kept, err := keep(body)
	_ = body.Close() // all of it was read, or it is read again
	if err != nil {
		return nil, nil, err
	}
	if after, err = piece.After(); err != nil {
		kept.close()
		return nil, nil, err
	}
	return kept, after, nil
}

// taken is what became of a file.
type taken struct {
	preview UploadPreview
	passed  bool // over
}

// take writes the entries of a file and how far the folder is read in one transaction.
func (w *dropWork) take(ctx context.Context, piece provider.Piece, kept *keptFile, before, after []byte) (taken, error) {
	var out taken
	err := w.again(func() error {
		text, err := kept.begin()
		if err != nil {
			return err
		}
		f, err := w.readFile(ctx, w.account, text)
		if err != nil {
			return err
		}
		how := writing{
			send: w.send, origin: activation.OriginUser, source: sourceDrop, user: w.job.CreatedBy, audit: auditUpload, dropJob: w.job.ID, dropState: after,
			check: func() error { return w.unread(ctx, before) },
		}
		out = taken{preview: f.preview(), passed: f.broken || f.result.Errors > 0 && !w.skipRows}
		if out.passed && !w.skipFile {
			// It may be mended there, so the job tries it again.
			return &activation.Error{Kind: activation.Unavailable, Code: CodeDrop, Message: fmt.Sprintf("the file %q can't be taken: %s", piece.Name, faults(out.preview))}
		}
		if out.passed || len(f.plans) == 0 {
			how.audit = ""
			_, err := w.write(ctx, w.account, nil, how)
			return err
		}
		how.parent = f.parent(w.account, piece.Name, how)
		written, err := w.write(ctx, w.account, f.plans, how)
		if err == nil && len(written) > 0 {
			out.preview.Parent = written[0].Parent
		}
		return err
	})
	if errors.Is(err, errRead) {
		err = activation.ErrFenced
	}
	return out, err
}

// unread reports by errRead that the folder is not where this attempt found it.
func (w *dropWork) unread(ctx context.Context, before []byte) error {
	now, err := w.cfg.Store.DropState(ctx, w.job.ID)
	if err == nil && !bytes.Equal(now, before) {
		err = errRead
	}
	return err
}

// tell counts a file and says in the log of the job what became of it.
func (w *dropWork) tell(ctx context.Context, piece provider.Piece, made taken) error {
	m := made.preview
	if made.passed {
		w.progress.Count(countSkipped, 1)
		return w.progress.Note(ctx, "warn", CodeDrop, fmt.Sprintf("passed over %q: %s", piece.Name, faults(m)))
	}
	for _, c := range []struct {
		name string
		n    int64
	}{{countFiles, 1}, {countRows, m.Rows}, {countAdds, m.Adds}, {countEdits, m.Edits}, {countDeletes, m.Deletes}, {countSame, m.Same}, {countErrors, m.Errors}} {
		if c.n > 0 {
			w.progress.Count(c.name, c.n)
		}
	}
	text := fmt.Sprintf("took %q: %s, %s, %s, %d the same", piece.Name, count(m.Adds, "add"), count(m.Edits, "edit"), count(m.Deletes, "delete"), m.Same)
	if m.Parent != 0 {
		text += fmt.Sprintf("; the upload is entry #%d", m.Parent)
	}
	level := "info"
	if m.Errors > 0 {
		level, text = "warn", text+"; left out "+faults(m)
	}
	return w.progress.Note(ctx, level, "", text)
}

// faults says what is wrong with a file: how much, and where the first of it is. It
// names no value of a cell.
func faults(m UploadPreview) string {
	parts := make([]string, 0, maxNoted)
	for _, p := range m.Problems[:min(len(m.Problems), maxNoted)] {
		at := "the file"
		if p.Row > 0 {
			at = "row " + strconv.Itoa(p.Row)
		}
		if p.Column != "" {
			at += ", column " + p.Column
		}
		parts = append(parts, at+": "+p.Code)
	}
	text := count(m.Errors, "error") + " (" + strings.Join(parts, "; ")
	if len(m.Problems) > maxNoted {
		text += "; …"
	}
	return text + ")"
}
