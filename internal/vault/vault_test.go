package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/vault"
)

func open(t *testing.T, path string) *vault.Vault {
	t.Helper()
	v, err := vault.Open(path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return v
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	first := open(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file has mode %o", info.Mode().Perm())
	}
	if again := open(t, path); again.KeyID() != first.KeyID() {
		t.Fatal("the key changes when it is opened again")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	given, err := vault.Parse(string(raw))
	if err != nil || given.KeyID() != first.KeyID() {
		t.Fatalf("the key as text: %v", err)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", first, first, first, first); strings.Contains(shown, "SECRET") {
		t.Fatal("a vault shows its key")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("a key that others can read: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("left behind: %v %v", entries, err)
	}
}

func TestKeyFileIsNobodyElses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if v, err := vault.Open(path); err == nil {
				ids[i] = v.KeyID()
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("processes that start at once have keys %v", ids)
		}
	}
}

func TestWrongKey(t *testing.T) {
	for _, text := range []string{"", "hunter2", "AGE-SECRET-KEY-1QQQQ"} {
		_, err := vault.Parse(text)
		if err == nil || (text != "" && strings.Contains(err.Error(), text)) {
			t.Fatalf("key %q: %v", text, err)
		}
	}
	dir := t.TempDir()
	mine, other := open(t, filepath.Join(dir, "a")), open(t, filepath.Join(dir, "b"))
	sealed, id, err := mine.Seal(map[string]provider.Secret{"access_token": "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Open(sealed, id)
	if activation.CodeOf(err) != vault.CodeKey || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), other.KeyID()) {
		t.Fatalf("another key: %v", err)
	}
	if _, err := other.Open(sealed, other.KeyID()); activation.CodeOf(err) != vault.CodeKey {
		t.Fatalf("another key under the wrong name: %v", err)
	}
	if bytes.Contains(sealed, []byte("hunter2")) || bytes.Contains(sealed, []byte("access_token")) {
		t.Fatal("what is sealed can be read")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := mine.Open(sealed, id); activation.CodeOf(err) != vault.CodeKey || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("changed bytes: %v", err)
	}
}

func TestSealOpens(t *testing.T) {
	v := open(t, filepath.Join(t.TempDir(), "key"))
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "secrets")
		secrets := map[string]provider.Secret{}
		for name, s := range plain {
			secrets[name] = provider.Secret(s)
		}
		sealed, id, err := v.Seal(secrets)
		if err != nil {
			t.Fatalf("seal: %v", err)
		}
		back, err := v.Open(sealed, id)
		if err != nil || len(back) != len(plain) {
			t.Fatalf("open: %v %v", back, err)
		}
		for name, s := range plain {
			if back[name].Reveal() != s {
				t.Fatalf("field %q changed", name)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	v, err := vault.Open(filepath.Join(f.TempDir(), "key"))
	if err != nil {
		f.Fatal(err)
	}
	sealed, _, err := v.Seal(map[string]provider.Secret{"a": "b"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := v.Open(raw, v.KeyID()); err == nil && got["a"].Reveal() != "b" {
			t.Fatalf("forged: %d fields", len(got))
		} else if err != nil && activation.CodeOf(err) != vault.CodeKey {
			t.Fatalf("an error without code: %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("AGE-SECRET-KEY-1QQQQ")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := vault.Parse(text); (v == nil) == (err == nil) {
			t.Fatalf("vault %v, error %v", v, err)
		}
	})
}

var errDown = &activation.Error{Kind: activation.Unavailable, Code: "META-2", Message: "down"}

func TestHealth(t *testing.T) {
	s := &memory{auths: map[activation.AuthorizationID]activation.Authorization{}}
	now := newClock()
	var found error
	probes := 0
	var logged bytes.Buffer
	h := &vault.Health{Store: s, Now: now.Now, Log: slog.New(slog.NewTextHandler(&logged, nil)), Probe: func(_ ctx, _ activation.Authorization) error {
		probes++
		return found
	}}
	s.auths["a"] = activation.Authorization{ID: "a", Status: activation.AuthUnknown, CreatedAt: now.Now()}
	s.now = now.Now
	due := func() int {
		t.Helper()
		works, err := h.Due(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range works {
			if w.Lease != "auth:a" || w.Kind != h.Kind() {
				t.Fatalf("work %+v", w)
			}
		}
		return len(works)
	}
	do := func(probe error) error {
		found = probe
		return h.Do(t.Context(), activation.Work{Kind: h.Kind(), ID: "a"})
	}
	steps := []struct {
		name   string
		wait   time.Duration
		probe  error
		status activation.AuthStatus
		errs   bool
	}{
		{"new, and the network is down", 0, errDown, activation.AuthUnknown, true},
		{"nothing to probe", time.Minute, vault.ErrNothingToProbe, activation.AuthUnknown, false},
		{"down again", time.Minute, errDown, activation.AuthUnknown, true},
		{"down for the third time", 4 * time.Minute, errDown, activation.AuthUnknown, true},
		{"works", 8 * time.Minute, nil, activation.AuthHealthy, false},
		{"refused a day later", 24 * time.Hour, &activation.Error{Kind: activation.Unauthorized, Code: "META-190", Message: "the token was revoked"}, activation.AuthUnhealthy, false},
		{"down an hour later", time.Hour, errDown, activation.AuthUnhealthy, true},
		{"mended", time.Minute, nil, activation.AuthHealthy, false},
	}
	for _, step := range steps {
		if step.wait > 0 {
			if due() != 0 {
				t.Fatalf("%s: due at once", step.name)
			}
			now.add(step.wait - time.Second)
			if due() != 0 {
				t.Fatalf("%s: due before its time", step.name)
			}
			now.add(time.Second)
		}
		if due() != 1 {
			t.Fatalf("%s: not due", step.name)
		}
		if err := do(step.probe); (err != nil) != step.errs || (err != nil && !errors.Is(err, step.probe)) {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := s.auths["a"].Status; got != step.status {
			t.Fatalf("%s: %s", step.name, got)
		}
	}
	if probes != len(steps) || !strings.Contains(logged.String(), "META-190") {
		t.Fatalf("%d probes, log %q", probes, logged.String())
	}
}

func TestFields(t *testing.T) {
	v := open(t, filepath.Join(t.TempDir(), "key"))
	sealed, id, err := v.Seal(map[string]provider.Secret{"token": "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	s := &memory{auths: map[activation.AuthorizationID]activation.Authorization{"a": {ID: "a", Sealed: sealed, KeyID: id}, "b": {ID: "b", Sealed: sealed, KeyID: "other"}}}
	got, err := v.Fields(t.Context(), s, activation.Destination{Authorization: "a"})
	if err != nil || got["token"].Reveal() != "hunter2" {
		t.Fatalf("%v %v", got, err)
	}
	if got, err := v.Fields(t.Context(), s, activation.Destination{}); err != nil || len(got) != 0 {
		t.Fatalf("no authorization: %v %v", got, err)
	}
	if _, err := v.Fields(t.Context(), s, activation.Destination{Authorization: "b"}); activation.CodeOf(err) != vault.CodeKey || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("another key: %v", err)
	}
	if _, err := v.Fields(t.Context(), s, activation.Destination{Authorization: "c"}); !errors.Is(err, activation.ErrNotFound) {
		t.Fatalf("unknown: %v", err)
	}
}
