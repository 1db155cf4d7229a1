package sftp

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	pkgsftp "github.com/pkg/sftp"
)

// file is one file. Its network's lock guards it.
type file struct {
	body     []byte
	modified time.Time
}

// Info is a file that is there.
type Info struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256"`
	Modified time.Time `json:"modified"`
}

// Files lists all files by path.
func (n *Network) Files() []Info {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]Info, 0, len(n.files))
	for _, name := range slices.Sorted(maps.Keys(n.files)) {
		f := n.files[name]
		sum := sha256.Sum256(f.body)
		out = append(out, Info{Path: name, Size: int64(len(f.body)), SHA256: hex.EncodeToString(sum[:]), Modified: f.modified})
	}
	return out
}

// File returns the body of a file.
func (n *Network) File(name string) ([]byte, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, ok := n.files[path.Clean("/"+name)]
	if !ok {
		return nil, false
	}
	return slices.Clone(f.body), true
}

// Put places a file behind the caller's back.
func (n *Network) Put(name string, body []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.files[path.Clean("/"+name)] = &file{body: slices.Clone(body), modified: n.deps.Now()}
}

// Delete takes a file away behind the caller's back.
func (n *Network) Delete(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = path.Clean("/" + name)
	_, ok := n.files[name]
	delete(n.files, name)
	return ok
}

// isFolder reports whether name is a folder. The lock is not needed: folders
// never change.
func (n *Network) isFolder(name string) bool {
	for _, f := range slices.Concat(n.opts.Folders, n.opts.ReadOnly) {
		if f = path.Clean("/" + f); name == "/" || name == f || strings.HasPrefix(f, name+"/") {
			return true
		}
	}
	return false
}

// mayWrite says why nothing may be written under name, nil = it may.
func (n *Network) mayWrite(name string) error {
	folder := path.Dir(name)
	switch {
	case !n.isFolder(folder):
		return fs.ErrNotExist
	case n.isFolder(name):
		return pkgsftp.ErrSSHFxFailure
	case !slices.ContainsFunc(n.opts.Folders, func(f string) bool { return path.Clean("/"+f) == folder }):
		return pkgsftp.ErrSSHFxPermissionDenied
	}
	return nil
}

// create makes an empty file, or empties the one that is there.
func (n *Network) create(name string, keep bool) (*file, error) {
	if err := n.mayWrite(name); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if f, ok := n.files[name]; ok && keep {
		return f, nil
	}
	f := &file{modified: n.deps.Now()}
	n.files[name] = f
	return f, nil
}

// write puts bytes into a file, as far as the quota allows.
func (n *Network) write(f *file, p []byte, at int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	end := at + int64(len(p))
	if grown := end - int64(len(f.body)); grown > 0 {
		if n.opts.Quota > 0 && n.used()+grown > n.opts.Quota {
			return pkgsftp.ErrSSHFxFailure // what OpenSSH answers on a full disk
		}
		f.body = append(f.body, make([]byte, grown)...)
	}
	copy(f.body[at:end], p)
	f.modified = n.deps.Now()
	return nil
}

func (n *Network) used() int64 {
	sum := int64(0)
	for _, f := range n.files {
		sum += int64(len(f.body))
	}
	return sum
}

// rename gives a file another name. Without replace, nothing may have it.
func (n *Network) rename(from, to string, replace bool) error {
	if err := n.mayWrite(to); err != nil {
		return err
	}
	if err := n.mayWrite(from); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	f, ok := n.files[from]
	if !ok {
		return fs.ErrNotExist
	}
	if _, taken := n.files[to]; taken && !replace {
		return pkgsftp.ErrSSHFxFailure
	}
	delete(n.files, from)
	n.files[to] = f
	return nil
}

// remove takes a file away.
func (n *Network) remove(name string) error {
	if err := n.mayWrite(name); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.files[name]; !ok {
		return fs.ErrNotExist
	}
	delete(n.files, name)
	return nil
}

// stat describes a file or a folder.
func (n *Network) stat(name string) (fs.FileInfo, error) {
	if n.isFolder(name) {
		return entry{name: path.Base(name), mode: fs.ModeDir | 0o755}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	f, ok := n.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return entry{name: path.Base(name), size: int64(len(f.body)), mode: 0o644, modified: f.modified}, nil
}

// list describes what is in a folder.
func (n *Network) list(folder string) ([]fs.FileInfo, error) {
	if !n.isFolder(folder) {
		return nil, fs.ErrNotExist
	}
	var out []fs.FileInfo
	for _, f := range slices.Concat(n.opts.Folders, n.opts.ReadOnly) {
		if f = path.Clean("/" + f); path.Dir(f) == folder && f != folder {
			out = append(out, entry{name: path.Base(f), mode: fs.ModeDir | 0o755})
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(n.files)) {
		if f := n.files[name]; path.Dir(name) == folder {
			out = append(out, entry{name: path.Base(name), size: int64(len(f.body)), mode: 0o644, modified: f.modified})
		}
	}
	return out, nil
}

// entry is a fs.FileInfo.
type entry struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) Mode() fs.FileMode  { return e.mode }
func (e entry) ModTime() time.Time { return e.modified }
func (e entry) IsDir() bool        { return e.mode.IsDir() }
func (e entry) Sys() any           { return nil }
