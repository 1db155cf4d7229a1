package sftp

import (
	"io"
	"io/fs"
	"net"
	"time"

	pkgsftp "github.com/pkg/sftp"

	"usher/sandbox/fault"
)

// session is one connection that has signed in. It is the handler of its
// requests, which come in parallel.
type session struct {
	net   *Network
	raw   net.Conn
	ended chan struct{}
}

// statuses are the status codes that can be sent.
var statuses = map[int]error{
	0: nil, 1: pkgsftp.ErrSSHFxEOF, 2: pkgsftp.ErrSSHFxNoSuchFile, 3: pkgsftp.ErrSSHFxPermissionDenied, 4: pkgsftp.ErrSSHFxFailure,
	5: pkgsftp.ErrSSHFxBadMessage, 6: pkgsftp.ErrSSHFxNoConnection, 7: pkgsftp.ErrSSHFxConnectionLost, 8: pkgsftp.ErrSSHFxOpUnsupported,
}

// meet notes a call, lets a fault come to it, and else does it.
func (s *session) meet(c Call, do func() error) error {
	f, met := s.net.deps.Faults.Take(fault.Call{Network: "sftp", Method: c.Op, Path: c.Path, Op: c.Op})
	if met {
		c.Fault = string(f.Kind)
	}
	var err error
	if met && f.Applied {
		err = do()
	}
	s.net.note(c)
	if !met {
		return do()
	}
	switch f.Kind {
	case fault.Slow:
		s.hold(time.Duration(f.Delay))
		if !f.Applied {
			err = do()
		}
		return err
	case fault.Timeout:
		s.hold(time.Duration(f.Delay))
		_ = s.raw.Close()
	case fault.Cut:
		_ = s.raw.Close()
	case fault.Invalid: // answered as done, and not done
		return nil
	case fault.Status, fault.Error:
		if status, ok := statuses[f.Code]; ok && f.Code != 0 {
			return status
		}
	}
	return pkgsftp.ErrSSHFxFailure
}

// hold waits until the caller gives up, the network is released, or for as long
// as is said; 0 = without end.
func (s *session) hold(d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-s.ended:
	case <-s.net.closing:
	case <-after:
	}
}

func (n *Network) note(c Call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c.At = n.deps.Now()
	n.counters.Calls++
	switch c.Op {
	case "open":
		n.counters.Opened++
	case "rename":
		n.counters.Renamed++
	case "remove":
		n.counters.Removed++
	case "write": // too many to keep
		return
	}
	if n.calls = append(n.calls, c); len(n.calls) > keptCalls {
		n.calls = append([]Call(nil), n.calls[len(n.calls)-keptCalls:]...)
	}
}

// Fileread opens a file for reading.
func (s *session) Fileread(r *pkgsftp.Request) (io.ReaderAt, error) {
	var body []byte
	err := s.meet(Call{Op: "read", Path: r.Filepath}, func() error {
		var ok bool
		if body, ok = s.net.File(r.Filepath); !ok {
			return fs.ErrNotExist
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return readerAt(body), nil
}

// readerAt reads a body.
type readerAt []byte

func (b readerAt) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Filewrite opens a file for writing.
func (s *session) Filewrite(r *pkgsftp.Request) (io.WriterAt, error) {
	w := &writerAt{session: s, path: r.Filepath}
	err := s.meet(Call{Op: "open", Path: r.Filepath}, func() error {
		var err error
		w.file, err = s.net.create(r.Filepath, !r.Pflags().Trunc)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// writerAt writes a file.
type writerAt struct {
	session *session
	path    string
	file    *file
}

func (w *writerAt) WriteAt(p []byte, at int64) (int, error) {
	err := w.session.meet(Call{Op: "write", Path: w.path, Bytes: len(p)}, func() error { return w.session.net.write(w.file, p, at) })
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *writerAt) Close() error {
	return w.session.meet(Call{Op: "close", Path: w.path}, func() error { return nil })
}

// Filecmd renames and removes. Folders are given: none is made or removed.
func (s *session) Filecmd(r *pkgsftp.Request) error {
	switch r.Method {
	case "Rename":
		return s.meet(Call{Op: "rename", From: r.Filepath, Path: r.Target}, func() error { return s.net.rename(r.Filepath, r.Target, false) })
	case "Remove":
		return s.meet(Call{Op: "remove", Path: r.Filepath}, func() error { return s.net.remove(r.Filepath) })
	case "Mkdir", "Rmdir":
		return s.meet(Call{Op: "mkdir", Path: r.Filepath}, func() error { return pkgsftp.ErrSSHFxPermissionDenied })
	case "Setstat":
		return nil
	}
	return pkgsftp.ErrSSHFxOpUnsupported
}

// PosixRename renames a file in the place of another.
func (s *session) PosixRename(r *pkgsftp.Request) error {
	return s.meet(Call{Op: "rename", From: r.Filepath, Path: r.Target}, func() error { return s.net.rename(r.Filepath, r.Target, true) })
}

// Filelist describes files and folders.
func (s *session) Filelist(r *pkgsftp.Request) (pkgsftp.ListerAt, error) {
	var list listerAt
	if r.Method == "List" {
		err := s.meet(Call{Op: "list", Path: r.Filepath}, func() error {
			var err error
			list, err = s.net.list(r.Filepath)
			return err
		})
		return list, err
	}
	err := s.meet(Call{Op: "stat", Path: r.Filepath}, func() error {
		info, err := s.net.stat(r.Filepath)
		list = listerAt{info}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// listerAt lists entries.
type listerAt []fs.FileInfo

func (l listerAt) ListAt(out []fs.FileInfo, at int64) (int, error) {
	if at >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(out, l[at:])
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}
