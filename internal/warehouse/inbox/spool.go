package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"usher/internal/activation"
)

// The names of files in the spool folder: <id>.part is being written, <id>.csv
// is complete, <id>.rows is a scratch file of a load being read.
const (
	partSuffix    = ".part"
	doneSuffix    = ".csv"
	scratchSuffix = ".rows"
)

// ErrDiskFull is in the chain of every error that comes from a full disk.
// Collection answers it with HTTP 507.
var ErrDiskFull = errors.New("disk full")

// Spool is the file of one load while it is written. One goroutine uses it.
type Spool struct {
	inbox *Inbox
	id    string
	file  File
	bytes int64
	named bool
}

// NewSpool begins the spool file of the load with this id.
func (b *Inbox) NewSpool(id string) (*Spool, error) {
	if !activation.ValidID(id) {
		return nil, fmt.Errorf("spool: %q is not an id", id)
	}
	f, err := b.create(b.path(id, partSuffix))
	if err != nil {
		return nil, diskError("create spool file", err)
	}
	return &Spool{inbox: b, id: id, file: f}, nil
}

// Write appends to the file.
func (s *Spool) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.bytes += int64(n)
	if err != nil {
		return n, diskError("write spool file", err)
	}
	return n, nil
}

// Bytes returns how much was written.
func (s *Spool) Bytes() int64 { return s.bytes }

// Commit makes the file durable under its final name. What it returns goes into
// the load's Path. Without a following Add the file is an orphan: call Abort.
func (s *Spool) Commit() (path string, err error) {
	if err := s.file.Sync(); err != nil {
		return "", diskError("sync spool file", err)
	}
	f := s.file
	s.file = nil
	if err := f.Close(); err != nil {
		return "", diskError("close spool file", err)
	}
	path = s.inbox.path(s.id, doneSuffix)
	if err := os.Rename(s.inbox.path(s.id, partSuffix), path); err != nil {
		return "", diskError("name spool file", err)
	}
	s.named = true
	if err := syncDir(s.inbox.spool); err != nil {
		return "", diskError("sync spool folder", err)
	}
	return path, nil
}

// Abort removes whatever Write and Commit left. It may be called at any time
// before Add has succeeded.
func (s *Spool) Abort() error {
	var errs []error
	if s.file != nil {
		errs = append(errs, s.file.Close())
		s.file = nil
	}
	suffix := partSuffix
	if s.named {
		suffix = doneSuffix
	}
	return errors.Join(append(errs, remove(s.inbox.path(s.id, suffix)))...)
}

// Scratch is a temporary file for reading back what was written.
type Scratch struct{ *os.File }

// NewScratch makes a scratch file in the spool folder, which a crash leaves to
// be removed at the next start.
func (b *Inbox) NewScratch(id string) (*Scratch, error) {
	if !activation.ValidID(id) {
		return nil, fmt.Errorf("scratch: %q is not an id", id)
	}
	f, err := os.OpenFile(b.path(id, scratchSuffix), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, diskError("create scratch file", err)
	}
	return &Scratch{f}, nil
}

// Write appends to the file.
func (s *Scratch) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	if err != nil {
		return n, diskError("write scratch file", err)
	}
	return n, nil
}

// Rewind makes the next Read begin at the start.
func (s *Scratch) Rewind() error {
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return diskError("rewind scratch file", err)
	}
	return nil
}

// Remove closes and deletes the file.
func (s *Scratch) Remove() error { return errors.Join(s.Close(), remove(s.Name())) }

// RemoveSpool removes the spool file of a load that was never added.
func (b *Inbox) RemoveSpool(id string) error {
	if err := errors.Join(remove(b.path(id, partSuffix)), remove(b.path(id, doneSuffix))); err != nil {
		return diskError("remove spool file", err)
	}
	return nil
}

// removeOrphans deletes the files in the spool folder that no load needs: what
// a crash or a refused upload left.
func (b *Inbox) removeOrphans(ctx context.Context) error {
	needed, err := b.files(ctx)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(b.spool)
	if err != nil {
		return err
	}
	removed := 0
	for _, e := range entries {
		if !ours(e.Name()) || needed[e.Name()] {
			continue
		}
		if err := remove(filepath.Join(b.spool, e.Name())); err != nil {
			return err
		}
		removed++
	}
	if removed > 0 {
		b.log.InfoContext(ctx, "removed spool files of uploads that were never accepted", "files", removed)
	}
	return nil
}

// ours reports whether a file name is one that this package makes.
func ours(name string) bool {
	ext := filepath.Ext(name)
	return (ext == partSuffix || ext == doneSuffix || ext == scratchSuffix) && activation.ValidID(strings.TrimSuffix(name, ext))
}

func (b *Inbox) path(id, suffix string) string { return filepath.Join(b.spool, id+suffix) }

func createFile(path string) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes a rename durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// diskError gives a failure of the disk its kind.
func diskError(doing string, err error) error {
	message := "the server could not store the data"
	if errors.Is(err, syscall.ENOSPC) {
		message, err = "the server's disk is full", errors.Join(ErrDiskFull, err)
	}
	return &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: message, Err: fmt.Errorf("%s: %w", doing, err)}
}
