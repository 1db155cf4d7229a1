package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/provider"
)

// rows is a Sealed in a slice.
type rows []activation.Authorization

func (r *rows) Authorizations(context.Context) ([]activation.Authorization, error) {
	return append([]activation.Authorization(nil), *r...), nil
}

func (r *rows) Reseal(_ context.Context, a activation.Authorization, sealed []byte, keyID string) (bool, error) {
	for i, b := range *r {
		if b.ID == a.ID && b.KeyID == a.KeyID && bytes.Equal(b.Sealed, a.Sealed) {
			(*r)[i].Sealed, (*r)[i].KeyID = sealed, keyID
			return true, nil
		}
	}
	return false, nil
}

// add stores a secret that says its own id.
func (r *rows) add(t fatal, v *Vault) {
	id := fmt.Sprint(len(*r))
	sealed, keyID, err := v.Seal(map[string]provider.Secret{"token": provider.Secret("secret " + id)})
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	*r = append(*r, activation.Authorization{ID: activation.AuthorizationID(id), Sealed: sealed, KeyID: keyID})
}

// check opens every secret.
func (r *rows) check(t fatal, v *Vault, when string) {
	for _, a := range *r {
		got, err := v.Open(a.Sealed, a.KeyID)
		if err != nil || got["token"].Reveal() != "secret "+string(a.ID) {
			t.Fatalf("%s: secret %s: %v", when, a.ID, err)
		}
	}
}

type fatal interface{ Fatalf(string, ...any) }

var errCrash = errors.New("crash")

// crashAt fails the nth step.
func crashAt(n int) func(step) error {
	return func(step) error {
		if n--; n < 0 {
			return errCrash
		}
		return nil
	}
}

// TestRotateCrashes stops a change of keys after each step, starts anew, checks
// that every secret opens and that going on ends well.
func TestRotateCrashes(t *testing.T) {
	dir := t.TempDir()
	try := 0
	rapid.Check(t, func(rt *rapid.T) {
		try++
		path := filepath.Join(dir, fmt.Sprint("try[", try, "]*"), "secret.key") // a path that globs
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			rt.Fatalf("%v", err)
		}
		v, err := Open(path)
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		var auths rows
		for range rapid.IntRange(0, 4).Draw(rt, "authorizations") {
			auths.add(rt, v)
		}
		first := v.KeyID()
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 9), 0, 4).Draw(rt, "crashes at step") {
			_, err := v.rotate(rt.Context(), &auths, crashAt(n))
			if err != nil && !errors.Is(err, errCrash) {
				rt.Fatalf("rotate %d: %v", i, err)
			}
			auths.check(rt, v, "after the crash")
			if rapid.Bool().Draw(rt, "restart") {
				if v, err = Open(path); err != nil {
					rt.Fatalf("restart: %v", err)
				}
				auths.check(rt, v, "after the restart")
			}
			auths.add(rt, v)
		}
		done, err := v.Rotate(rt.Context(), &auths)
		if err != nil || done.KeyID != v.KeyID() || done.KeyID == first {
			rt.Fatalf("rotate: %+v %v", done, err)
		}
		for _, a := range auths {
			if a.KeyID != done.KeyID {
				rt.Fatalf("secret %s is sealed with %s", a.ID, a.KeyID)
			}
		}
		// A backup from before opens with the files there are; without the
		// earlier ones, what is in the database does.
		again, err := Open(path)
		if err != nil || !strings.Contains(fmt.Sprint(again.KeyIDs()), first) {
			rt.Fatalf("the first key is lost: %v %v", again, err)
		}
		old, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			rt.Fatalf("%v", err)
		}
		for _, e := range old {
			info, err := e.Info()
			if err != nil || info.Mode().Perm() != 0o600 {
				rt.Fatalf("%s has mode %v %v", e.Name(), info.Mode(), err)
			}
			if e.Name() != "secret.key" {
				if !strings.HasPrefix(e.Name(), "secret.key.old-") {
					rt.Fatalf("%s is left behind", e.Name())
				}
				if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil {
					rt.Fatalf("%v", err)
				}
			}
		}
		alone, err := Open(path)
		if err != nil || len(alone.KeyIDs()) != 1 || alone.KeyID() != done.KeyID {
			rt.Fatalf("the new key alone: %v %v", alone, err)
		}
		auths.check(rt, alone, "with the new key alone")
	})
}

// TestEveryStep is that each point of a change of keys is reached, so that the
// property above stops at all of them.
func TestEveryStep(t *testing.T) {
	v, err := Open(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	var auths rows
	auths.add(t, v)
	var seen []step
	if _, err := v.rotate(t.Context(), &auths, func(s step) error { seen = append(seen, s); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint([]step{stepBegin, stepKey, stepResealed, stepAll, stepKept, stepDone}); fmt.Sprint(seen) != want {
		t.Fatalf("steps %v, want %v", seen, want)
	}
}

// TestRotateGiven changes a key that the environment gives.
func TestRotateGiven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	text := func(name string) string {
		if _, err := createKey(filepath.Join(t.TempDir(), name)); err != nil {
			t.Fatal(err)
		}
		k, err := createKey(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		return k.identity.String()
	}
	one, two := text("one"), text("two")
	var auths rows
	auths.add(t, file)

	first, err := Given(one, "", path) // from the file to the environment
	if err != nil {
		t.Fatal(err)
	}
	auths.check(t, first, "the file's")
	auths.add(t, first)
	if done, err := first.Rotate(t.Context(), &auths); err != nil || done.Resealed != 1 || done.KeyID != first.KeyID() {
		t.Fatalf("%+v %v", done, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if first, err = Given(one, "", path); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Rotate(t.Context(), &auths); activation.KindOf(err) != activation.Invalid || !strings.Contains(err.Error(), EnvOldKeys) {
		t.Fatalf("one key only: %v", err)
	}
	second, err := Given(two, one, path)
	if err != nil {
		t.Fatal(err)
	}
	auths.check(t, second, "the old key's")
	if done, err := second.Rotate(t.Context(), &auths); err != nil || done.Resealed != 2 {
		t.Fatalf("%+v %v", done, err)
	}
	if second, err = Given(two, "", path); err != nil {
		t.Fatal(err)
	}
	auths.check(t, second, "without the old key")
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a key file was made")
	}
	for _, wrong := range [][2]string{{"hunter2", ""}, {two, "hunter2"}} {
		if _, err := Given(wrong[0], wrong[1], path); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("%v", err)
		}
	}
}

// TestRotateLostKey: a secret whose key is lost stops the change, by name, and
// loses nothing else.
func TestRotateLostKey(t *testing.T) {
	v, err := Open(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	var auths rows
	auths.add(t, v)
	auths = append(auths, activation.Authorization{ID: "lost", Sealed: []byte("x"), KeyID: "elsewhere"})
	if _, err := v.Rotate(t.Context(), &auths); activation.CodeOf(err) != CodeKey || !strings.Contains(err.Error(), `"lost"`) {
		t.Fatalf("%v", err)
	}
	auths = auths[:1]
	auths.check(t, v, "after the error")
	if done, err := v.Rotate(t.Context(), &auths); err != nil {
		t.Fatalf("%+v %v", done, err)
	}
}
