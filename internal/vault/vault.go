// Package vault seals authorizations' secrets at rest and keeps their health.
//
// It owns the keys: age X25519 identities in files that only the server's user
// can read, or given in the environment. One seals, and those it took the place
// of still open. It must never log or show a secret, and knows of the control
// store only what it declares here. It is built for the wrong key (a restored
// database beside another key file): that is one clear error, before anything
// is sent, and never a lost secret; and for the crash in the middle of a change
// of keys, after which every secret still opens.
package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"

	"usher/internal/activation"
	"usher/internal/provider"
)

// EnvKey is the environment variable that holds the key instead of a file.
const EnvKey = "USHER_SECRET_KEY"

// EnvOldKeys is the environment variable that holds the keys which the one in
// EnvKey takes the place of, until Rotate has sealed everything anew.
const EnvOldKeys = "USHER_SECRET_KEY_OLD"

// The files beside the key file: the key that is being changed to, and each
// earlier key, by its id.
const (
	newSuffix = ".new"
	oldSuffix = ".old-"
)

// CodeKey is the code of errors about the key: a secret sealed with another one.
const CodeKey = "VAULT-KEY"

// Vault seals secrets with one key and opens what it, or an earlier one, sealed.
// Its methods may be called by any goroutine.
type Vault struct {
	// path is the key file, "" when the key is not kept in one.
	path string
	// rotating is held while keys change.
	rotating sync.Mutex

	mu   sync.RWMutex
	now  key
	ring map[string]key // every key that opens, by its id; now is one of them
}

// key is one key and its id.
type key struct {
	identity *age.X25519Identity
	id       string
}

// Open reads the key file at path, or creates it with a new key, readable by
// its owner alone, and the files beside it that hold earlier keys or one that is
// being changed to. A file that others can read is refused.
func Open(path string) (*Vault, error) {
	k, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = createKey(path)
	}
	if err != nil {
		return nil, err
	}
	v := with(k)
	v.path = path
	return v, v.openBeside(path)
}

// openBeside takes the keys of the files beside a key file. One that is being
// changed to seals from now on.
func (v *Vault) openBeside(path string) error {
	earlier, err := filepath.Glob(escapeGlob(path) + oldSuffix + "*")
	if err != nil {
		return fmt.Errorf("look for earlier keys: %w", err)
	}
	for _, name := range earlier {
		k, err := readKey(name)
		if err != nil {
			return err
		}
		v.ring[k.id] = k
	}
	next, err := readKey(path + newSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	v.ring[next.id] = next
	if v.path != "" {
		v.now = next
	}
	return nil
}

// escapeGlob makes a path a pattern that matches itself alone.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// readKey reads one key file.
func readKey(path string) (key, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return key{}, fmt.Errorf("open key file: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return key{}, fmt.Errorf("open key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return key{}, fmt.Errorf("key file %q can be read by others (mode %04o); run chmod 600 on it", path, info.Mode().Perm())
	}
	k, err := parseKey(string(raw))
	if err != nil {
		return key{}, fmt.Errorf("key file %q: %w", path, err)
	}
	return k, nil
}

// createKey writes a new key so that a crash leaves either no file or a whole
// one, and two processes agree on whose it is.
func createKey(path string) (key, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return key{}, fmt.Errorf("make key: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return key{}, fmt.Errorf("create key file: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(identity.String() + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return key{}, fmt.Errorf("write key file: %w", err)
	}
	switch err := os.Link(temp.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return readKey(path) // another process was first
	case err != nil:
		return key{}, fmt.Errorf("create key file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return key{}, fmt.Errorf("create key file: %w", err)
	}
	return keyOf(identity), nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Parse returns a vault with a key given as text, as EnvKey holds it.
func Parse(text string) (*Vault, error) {
	k, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	return with(k), nil
}

// Given returns a vault with the key of EnvKey, which opens also what the
// earlier keys of EnvOldKeys sealed (comma-separated, may be empty) and what the
// key files at path did, where there are any.
func Given(text, old, path string) (*Vault, error) {
	v, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvKey, err)
	}
	for _, one := range strings.FieldsFunc(old, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		k, err := parseKey(one)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", EnvOldKeys, err)
		}
		v.ring[k.id] = k
	}
	switch k, err := readKey(path); {
	case err == nil:
		v.ring[k.id] = k
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return v, v.openBeside(path)
}

func parseKey(text string) (key, error) {
	identity, err := age.ParseX25519Identity(strings.TrimSpace(text))
	if err != nil {
		return key{}, errors.New("not a secret key of the form AGE-SECRET-KEY-1…") // the cause would quote the key
	}
	return keyOf(identity), nil
}

func keyOf(identity *age.X25519Identity) key {
	sum := sha256.Sum256([]byte(identity.Recipient().String()))
	return key{identity: identity, id: hex.EncodeToString(sum[:8])}
}

func with(k key) *Vault { return &Vault{now: k, ring: map[string]key{k.id: k}} }

// sealing is the key that seals now.
func (v *Vault) sealing() key {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.now
}

// KeyID names the key that seals; it says nothing about the key itself.
func (v *Vault) KeyID() string { return v.sealing().id }

// KeyIDs names every key that the vault can open with.
func (v *Vault) KeyIDs() []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Sorted(maps.Keys(v.ring))
}

// Given reports whether the key comes from the environment and not from a file.
func (v *Vault) Given() bool { return v.path == "" }

// String hides the key.
func (v *Vault) String() string { return "vault " + v.KeyID() }

// GoString hides the key.
func (v *Vault) GoString() string { return v.String() }

// Seal encrypts secrets by field name, and names the key it used. It opens what
// it sealed before it returns, so that what is stored can be read back.
func (v *Vault) Seal(secrets map[string]provider.Secret) (sealed []byte, keyID string, err error) {
	plain := make(map[string]string, len(secrets))
	for name, s := range secrets {
		plain[name] = s.Reveal()
	}
	raw, err := json.Marshal(plain)
	if err != nil {
		return nil, "", errors.New("seal secrets: they do not encode")
	}
	k := v.sealing()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k.identity.Recipient())
	if err != nil {
		return nil, "", fmt.Errorf("seal secrets: %w", err)
	}
	if _, err := w.Write(raw); err != nil {
		return nil, "", fmt.Errorf("seal secrets: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, "", fmt.Errorf("seal secrets: %w", err)
	}
	back, err := k.decrypt(out.Bytes())
	if err != nil || !bytes.Equal(back, raw) {
		return nil, "", errors.Join(errors.New("seal secrets: they do not open again"), err)
	}
	return out.Bytes(), k.id, nil
}

// Open decrypts what Seal sealed under the key keyID. Without that key the error
// says so, with code VAULT-KEY.
func (v *Vault) Open(sealed []byte, keyID string) (map[string]provider.Secret, error) {
	v.mu.RLock()
	k, ok := v.ring[keyID]
	v.mu.RUnlock()
	if !ok {
		return nil, &activation.Error{
			Kind: activation.Internal, Code: CodeKey,
			Message: fmt.Sprintf("the credentials are sealed with key %s, the server has key %s; put the right key file back or set %s", keyID, v.KeyID(), EnvKey),
		}
	}
	raw, err := k.decrypt(sealed)
	if err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Code: CodeKey, Message: "the sealed credentials do not open: they were changed or cut", Err: err}
	}
	var plain map[string]string
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Code: CodeKey, Message: "the sealed credentials hold no fields"}
	}
	secrets := make(map[string]provider.Secret, len(plain))
	for name, s := range plain {
		secrets[name] = provider.Secret(s)
	}
	return secrets, nil
}

func (k key) decrypt(sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), k.identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
