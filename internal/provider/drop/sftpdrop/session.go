package sftpdrop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"usher/internal/activation"
	"usher/internal/provider/drop"
)

const (
	// writeAhead is how many packets of a file may be under way, 32 KiB each.
	writeAhead = 32
	// temporary ends the names of files that are being written.
	temporary = ".tmp"

	fsyncExtension  = "fsync@openssh.com"
	renameExtension = "posix-rename@openssh.com"
)

// session is a connection that has signed in.
type session struct {
	*place
	conn *patient
	ssh  *ssh.Client
	sftp *sftp.Client
	stop func() bool

	mu     sync.Mutex
	timer  *time.Timer // ends the connection after its context, nil = not ended
	closed bool
}

// endSoon gives the session time to take away what is half written, and ends
// its connection then.
func (s *session) endSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.timer = time.AfterFunc(stopTime, func() { _ = s.conn.Close() })
	}
}

// Close ends the session.
func (s *session) Close() error {
	s.stop()
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
	}
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	_ = s.ssh.Close()  // what had to be answered has been
	_ = s.conn.Close() // whatever state the library left it in
	_ = s.sftp.Close()
	return nil
}

// path is where a file of the folder is.
func (s *session) path(name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", &activation.Error{Kind: activation.Invalid, Code: codeFolder, Field: FolderField, Message: "a file has a name that would lead out of the folder"}
	}
	return path.Join(s.folder, name), nil
}

// Check proves that the folder is one.
func (s *session) Check(ctx context.Context) error {
	info, err := s.sftp.Stat(s.folder)
	switch {
	case err != nil:
		return s.fault(ctx, err, false)
	case !info.IsDir():
		return &activation.Error{Kind: activation.Invalid, Code: codeFolder, Field: FolderField, Message: "what the setting names is not a folder"}
	}
	return nil
}

// List returns the files of the folder.
func (s *session) List(ctx context.Context, prefix string) ([]drop.Info, error) {
	all, err := s.sftp.ReadDirContext(ctx, s.folder)
	if err != nil {
		return nil, s.fault(ctx, err, false)
	}
	var out []drop.Info
	for _, info := range all {
		if info.Mode().IsRegular() && strings.HasPrefix(info.Name(), prefix) {
			out = append(out, drop.Info{Name: info.Name(), Size: info.Size(), Modified: info.ModTime()})
		}
	}
	slices.SortFunc(out, func(a, b drop.Info) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Stat returns a file of the folder.
func (s *session) Stat(ctx context.Context, name string) (drop.Info, bool, error) {
	full, err := s.path(name)
	if err != nil {
		return drop.Info{}, false, err
	}
	info, err := s.sftp.Stat(full)
	if code, ok := statusOf(err); ok && code == noSuchFile {
		return drop.Info{}, false, nil
	}
	if err != nil {
		return drop.Info{}, false, s.fault(ctx, err, false)
	}
	return drop.Info{Name: name, Size: info.Size(), Modified: info.ModTime()}, true, nil
}

// Open reads a file of the folder.
func (s *session) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	full, err := s.path(name)
	if err != nil {
		return nil, err
	}
	f, err := s.sftp.Open(full)
	if err != nil {
		return nil, s.fault(ctx, err, false)
	}
	return &reading{ctx: ctx, session: s, file: f}, nil
}

// reading is a file that is read; its errors are ours.
type reading struct {
	ctx     context.Context
	session *session
	file    *sftp.File
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // a reader returns io.EOF itself
		return n, err
	}
	return n, r.session.fault(r.ctx, err, false)
}

func (r *reading) Close() error { return r.file.Close() }

// Put writes all files under other names first, and then gives them theirs in
// order: from the first that appears to the last is as short as it can be.
func (s *session) Put(ctx context.Context, files ...drop.File) (err error) {
	written, named := 0, 0
	defer func() {
		if err != nil {
			s.discard(files[named:written])
		}
	}()
	for _, f := range files {
		written++
		if err := s.write(ctx, f); err != nil {
			return err
		}
	}
	appeared := false
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return drop.Stopped(err, appeared)
		}
		full, err := s.path(f.Name)
		if err != nil {
			return err
		}
		if err := s.rename(full+temporary, full); err != nil {
			e := s.fault(ctx, err, !f.Beside)
			e.MayHaveApplied = e.MayHaveApplied || appeared
			return e
		}
		named++
		appeared = appeared || !f.Beside
	}
	return nil
}

// discard takes away files that are half written, as far as the connection
// still does it. What stays is replaced by the next attempt.
func (s *session) discard(files []drop.File) {
	for _, f := range files {
		if full, err := s.path(f.Name); err == nil && s.sftp.Remove(full+temporary) != nil {
			return
		}
	}
}

// write writes a file under its temporary name, has it flushed where the server
// can, and measures it.
func (s *session) write(ctx context.Context, f drop.File) error {
	full, err := s.path(f.Name)
	if err != nil {
		return err
	}
	file, err := s.sftp.OpenFile(full+temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return s.fault(ctx, err, false)
	}
	_, err = file.ReadFromWithConcurrency(&untilEnd{ctx: ctx, body: bytes.NewReader(f.Body)}, writeAhead)
	if _, can := s.sftp.HasExtension(fsyncExtension); can && err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		if ctx.Err() != nil {
			return s.lost(ctx, false)
		}
		return s.fault(ctx, err, false)
	}
	info, err := s.sftp.Stat(full + temporary)
	switch {
	case err != nil:
		return s.fault(ctx, err, false)
	case info.Size() != int64(len(f.Body)):
		return &activation.Error{
			Kind: activation.Unavailable, Code: codeSize,
			Message: fmt.Sprintf("the server holds %d bytes of a file of %d that it has taken", info.Size(), len(f.Body)),
		}
	}
	return nil
}

// rename gives a file its name, in one step where the server can. Where it
// cannot, the file that has the name is taken away first.
func (s *session) rename(from, to string) error {
	if _, can := s.sftp.HasExtension(renameExtension); can {
		return s.sftp.PosixRename(from, to)
	}
	if _, err := s.sftp.Stat(to); err == nil {
		if err := s.sftp.Remove(to); err != nil {
			return err
		}
	}
	return s.sftp.Rename(from, to)
}

// Remove takes a file of the folder away.
func (s *session) Remove(ctx context.Context, name string) error {
	full, err := s.path(name)
	if err != nil {
		return err
	}
	err = s.sftp.Remove(full)
	if code, ok := statusOf(err); err == nil || ok && code == noSuchFile {
		return nil
	}
	return s.fault(ctx, err, true)
}

// Rename gives a file of the folder another name.
func (s *session) Rename(ctx context.Context, from, to string) error {
	a, err := s.path(from)
	if err != nil {
		return err
	}
	b, err := s.path(to)
	if err != nil {
		return err
	}
	if err := s.rename(a, b); err != nil {
		return s.fault(ctx, err, true)
	}
	return nil
}

// untilEnd reads until its context ends.
type untilEnd struct {
	ctx  context.Context
	body io.Reader
}

func (r *untilEnd) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.body.Read(p)
}
