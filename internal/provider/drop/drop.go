// Package drop puts files where other systems fetch them: it says what such a
// place must be able to do, and keeps an audience there as files that say who
// came and who went.
//
// It owns the order in which files appear, the side files and what is left over
// from an earlier attempt; how rows are written is package rowfile's, and how a
// place is spoken to is that of the packages below. It knows no network. It is
// built for the reader who looks at any moment, and for the connection that is
// lost between the last byte and the answer.
package drop

import (
	"context"
	"io"
	"time"
)

// Place is where files go. Its methods may be called in parallel. Errors of a
// place and of its sessions are *activation.Error, and hold no name that people
// have not given.
type Place interface {
	// Connect begins to use the place; whoever calls it closes what it returns.
	Connect(ctx context.Context) (Drop, error)
}

// Drop is one session at a place. Names are those of files in the folder of the
// place, without any path. A session is used by one goroutine at a time, and by
// no call whose context is not that of Connect or one made from it.
type Drop interface {
	// Check proves that the folder is there. It writes nothing.
	Check(ctx context.Context) error
	// List returns the files of the folder whose names begin with prefix, by name.
	List(ctx context.Context, prefix string) ([]Info, error)
	// Stat returns a file; ok is false when it is not there.
	Stat(ctx context.Context, name string) (info Info, ok bool, err error)
	// Open reads a file. Whoever calls it closes what it returns.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Put makes the files appear in the order given, each whole or not at all,
	// and each in the place of one of the same name. The error tells by
	// MayHaveApplied whether one that counts may have appeared.
	Put(ctx context.Context, files ...File) error
	// Remove takes a file away; one that is not there is no error.
	Remove(ctx context.Context, name string) error
	// Rename gives a file another name, in the place of one that has it.
	Rename(ctx context.Context, from, to string) error
	// Close ends the session. It may be called twice.
	Close() error
}

// File is a file to put.
type File struct {
	Name string
	Body []byte
	// Type is its media type.
	Type string
	// Beside marks a file that is nothing without the one it belongs to: that it
	// has appeared changes nothing for a reader.
	Beside bool
}

// Info is a file that is there.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
	// Tag names the content, where the place has such a thing.
	Tag string
}

// Walker is a Drop whose files may lie deeper than its folder: their names have
// slashes in them.
type Walker interface {
	// Walk returns up to most files whose names come behind after, by name.
	Walk(ctx context.Context, after string, most int) ([]Info, error)
}
