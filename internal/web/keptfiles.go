package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"usher/internal/activation"
)

const (
	// keptFor is how long a file waits for its confirmation, keptMost how many files
	// do: an older one makes room.
	keptFor  = 30 * time.Minute
	keptMost = 8
	// keptPrefix begins the name of the folder below the data directory.
	keptPrefix = "looked-at-"
)

// keptFiles are files that were looked at and wait for somebody to confirm them. They
// lie in a folder of their own, for a while, and are gone after a restart; the person
// chooses the file again then.
type keptFiles struct {
	mu    sync.Mutex
	dir   string
	files []keptFile
}

type keptFile struct {
	id, person, name string
	publisher        activation.PublisherID
	at               time.Time
}

func (k *keptFiles) path(id string) string { return filepath.Join(k.dir, id) }

// put keeps a file for a person, below data, and returns its id.
func (k *keptFiles) put(data string, f keptFile, now time.Time, body io.Reader) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dir == "" {
		if left, err := filepath.Glob(filepath.Join(data, keptPrefix+"*")); err == nil && data != "" {
			for _, dir := range left { // of a server that was killed
				_ = os.RemoveAll(dir)
			}
		}
		dir, err := os.MkdirTemp(data, keptPrefix)
		if err != nil {
			return "", fmt.Errorf("make a folder for a file: %w", err)
		}
		k.dir = dir
	}
	k.drop(now, keptMost-1)
	f.id, f.at = rand.Text(), now
	to, err := os.OpenFile(k.path(f.id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("keep a file: %w", err)
	}
	_, err = io.Copy(to, body)
	if err = errors.Join(err, to.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("keep a file: %w", err), os.Remove(k.path(f.id)))
	}
	k.files = append(k.files, f)
	return f.id, nil
}

// open returns a kept file of this person and account; ErrNotFound once it is gone.
func (k *keptFiles) open(id, person string, publisher activation.PublisherID, now time.Time) (*os.File, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop(now, keptMost)
	for _, f := range k.files {
		if f.id == id && f.person == person && f.publisher == publisher {
			body, err := os.Open(k.path(id))
			if err != nil {
				return nil, "", fmt.Errorf("open a kept file: %w", err)
			}
			return body, f.name, nil
		}
	}
	return nil, "", activation.ErrNotFound
}

// forget removes a file that was confirmed.
func (k *keptFiles) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, f := range k.files {
		if f.id == id {
			_ = os.Remove(k.path(id)) // its folder goes as a whole in the end
			k.files = append(k.files[:i], k.files[i+1:]...)
			return
		}
	}
}

// drop removes what is too old, and the oldest beyond most.
func (k *keptFiles) drop(now time.Time, most int) {
	for len(k.files) > 0 && (len(k.files) > most || now.Sub(k.files[0].at) > keptFor) {
		_ = os.Remove(k.path(k.files[0].id)) // its folder goes as a whole in the end
		k.files = k.files[1:]
	}
}

func (k *keptFiles) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dir != "" {
		_ = os.RemoveAll(k.dir) // the process ends
		k.dir, k.files = "", nil
	}
}
