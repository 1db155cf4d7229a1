package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"usher/internal/activation"
)

// A change of keys, and what a crash after each step leaves:
//
//  1. A new key is written beside the old one. It seals from here on; both open,
//     now and after a restart. Going on begins here with the same new key.
//  2. Each authorization is opened and sealed anew, each in one statement that
//     names both keys. Each row says which key it needs, and both are there.
//  3. The old key is kept under a second name, which says its id.
//  4. The new key takes the place of the old one by one rename.
//
// The old key stays on the ring under its second name: a backup of the database
// is sealed with it. Whoever has no such backup deletes the file.

// Sealed is what Rotate needs of the control store.
type Sealed interface {
	Authorizations(ctx context.Context) ([]activation.Authorization, error)
	// Reseal stores the secrets of an authorization under another key, if they
	// are still those given, and reports whether they were.
	Reseal(ctx context.Context, a activation.Authorization, sealed []byte, keyID string) (bool, error)
}

// Rotation is what a change of keys did.
type Rotation struct {
	KeyID    string   `json:"key_id" doc:"the key that seals now"`
	Resealed int      `json:"resealed" doc:"authorizations that were sealed anew"`
	Earlier  []string `json:"earlier_key_ids" doc:"keys that nothing in the database needs any more; backups may"`
}

// step names a point of a change of keys, for tests that stop there.
type step string

const (
	stepBegin    step = "begin"
	stepKey      step = "the new key is written"
	stepResealed step = "one authorization is sealed anew"
	stepAll      step = "all are sealed anew"
	stepKept     step = "the old key is kept"
	stepDone     step = "the new key is in its place"
)

// Rotate changes the key and seals every authorization anew. After a crash or an
// error every secret still opens, and calling it again finishes the work. A key
// that the environment gives is changed there: Rotate then seals with it what an
// earlier key sealed.
func (v *Vault) Rotate(ctx context.Context, s Sealed) (Rotation, error) {
	return v.rotate(ctx, s, func(step) error { return nil })
}

func (v *Vault) rotate(ctx context.Context, s Sealed, at func(step) error) (Rotation, error) {
	v.rotating.Lock()
	defer v.rotating.Unlock()
	if err := at(stepBegin); err != nil {
		return Rotation{}, err
	}
	if v.path == "" {
		if len(v.KeyIDs()) == 1 {
			return Rotation{}, &activation.Error{
				Kind: activation.Invalid, Code: CodeKey, Field: "key",
				Message: fmt.Sprintf("the key is given by %s: restart with a new key there and the present one in %s, then rotate", EnvKey, EnvOldKeys),
			}
		}
	} else if err := v.writeNext(); err != nil {
		return Rotation{}, err
	}
	if err := at(stepKey); err != nil {
		return Rotation{}, err
	}
	n, err := v.resealAll(ctx, s, at)
	if err == nil {
		err = at(stepAll)
	}
	if err == nil && v.path != "" {
		err = v.takePlace(at)
	}
	if err != nil {
		return Rotation{}, err
	}
	out := Rotation{KeyID: v.KeyID(), Resealed: n, Earlier: []string{}}
	for _, id := range v.KeyIDs() {
		if id != out.KeyID {
			out.Earlier = append(out.Earlier, id)
		}
	}
	return out, nil
}

// writeNext makes the new key, or takes the one that an earlier try made, and
// seals with it from here on.
func (v *Vault) writeNext() error {
	k, err := readKey(v.path + newSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = createKey(v.path + newSuffix)
	}
	if err != nil {
		return fmt.Errorf("make the new key: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ring[k.id], v.now = k, k
	return nil
}

// resealAll seals with the present key whatever another one sealed, until there
// is nothing left, and returns how many it did.
func (v *Vault) resealAll(ctx context.Context, s Sealed, at func(step) error) (n int, err error) {
	for {
		all, err := s.Authorizations(ctx)
		if err != nil {
			return n, fmt.Errorf("list authorizations: %w", err)
		}
		left := false
		for _, a := range all {
			if a.KeyID == v.KeyID() {
				continue
			}
			left = true
			done, err := v.reseal(ctx, s, a)
			if err != nil {
				return n, fmt.Errorf("seal authorization %q anew: %w", a.ID, err)
			}
			if done {
				n++
			}
			if err := at(stepResealed); err != nil {
				return n, err
			}
		}
		if !left {
			return n, nil
		}
	}
}

func (v *Vault) reseal(ctx context.Context, s Sealed, a activation.Authorization) (bool, error) {
	secrets, err := v.Open(a.Sealed, a.KeyID)
	if err != nil {
		return false, err
	}
	sealed, keyID, err := v.Seal(secrets)
	if err != nil {
		return false, err
	}
	return s.Reseal(ctx, a, sealed, keyID)
}

// takePlace keeps the old key under its id and puts the new one in its place.
func (v *Vault) takePlace(at func(step) error) error {
	old, err := readKey(v.path)
	if err != nil {
		return fmt.Errorf("keep the old key: %w", err)
	}
	if err := os.Link(v.path, v.path+oldSuffix+old.id); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep the old key: %w", err)
	}
	if err := syncDir(filepath.Dir(v.path)); err != nil {
		return fmt.Errorf("keep the old key: %w", err)
	}
	if err := at(stepKept); err != nil {
		return err
	}
	if err := os.Rename(v.path+newSuffix, v.path); err != nil {
		return fmt.Errorf("put the new key in its place: %w", err)
	}
	if err := syncDir(filepath.Dir(v.path)); err != nil {
		return fmt.Errorf("put the new key in its place: %w", err)
	}
	return at(stepDone)
}
