// Package vault seals authorizations' secrets at rest and keeps their health.
//
// It owns the key: an age X25519 identity in a file that only the server's user
// can read, or given in the environment. It must never log or show a secret,
// and knows of the control store only what it declares here. It is built for
// the wrong key (a restored database beside another key file): that is one
// clear error, before anything is sent, and never a lost secret.
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
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"usher/internal/activation"
	"usher/internal/provider"
)

// EnvKey is the environment variable that holds the key instead of a file.
const EnvKey = "USHER_SECRET_KEY"

// CodeKey is the code of errors about the key: a secret sealed with another one.
const CodeKey = "VAULT-KEY"

// Vault seals and opens secrets with one key. Its methods may be called by any
// goroutine.
type Vault struct {
	identity *age.X25519Identity
	id       string
}

// Open reads the key file at path, or creates it with a new key, readable by
// its owner alone. A file that others can read is refused.
func Open(path string) (*Vault, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %q can be read by others (mode %04o); run chmod 600 on it", path, info.Mode().Perm())
	}
	v, err := Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("key file %q: %w", path, err)
	}
	return v, nil
}

// create writes a new key so that a crash leaves either no file or a whole one,
// and two processes agree on whose it is.
func create(path string) (*Vault, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(identity.String() + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	switch err := os.Link(temp.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return Open(path) // another process was first
	case err != nil:
		return nil, fmt.Errorf("create key file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	return with(identity), nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Parse returns a vault with a key given as text, as EnvKey holds it.
func Parse(key string) (*Vault, error) {
	identity, err := age.ParseX25519Identity(strings.TrimSpace(key))
	if err != nil {
		return nil, errors.New("not a secret key of the form AGE-SECRET-KEY-1…") // the cause would quote the key
	}
	return with(identity), nil
}

func with(identity *age.X25519Identity) *Vault {
	sum := sha256.Sum256([]byte(identity.Recipient().String()))
	return &Vault{identity: identity, id: hex.EncodeToString(sum[:8])}
}

// KeyID names the vault's key; it says nothing about the key itself.
func (v *Vault) KeyID() string { return v.id }

// String hides the key.
func (v *Vault) String() string { return "vault " + v.id }

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
	var out bytes.Buffer
	w, err := age.Encrypt(&out, v.identity.Recipient())
	if err != nil {
		return nil, "", fmt.Errorf("seal secrets: %w", err)
	}
	if _, err := w.Write(raw); err != nil {
		return nil, "", fmt.Errorf("seal secrets: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, "", fmt.Errorf("seal secrets: %w", err)
	}
	back, err := v.decrypt(out.Bytes())
	if err != nil || !bytes.Equal(back, raw) {
		return nil, "", errors.Join(errors.New("seal secrets: they do not open again"), err)
	}
	return out.Bytes(), v.id, nil
}

// Open decrypts what Seal sealed under the key keyID. With another key the
// error says so, with code VAULT-KEY.
func (v *Vault) Open(sealed []byte, keyID string) (map[string]provider.Secret, error) {
	if keyID != v.id {
		return nil, &activation.Error{
			Kind: activation.Internal, Code: CodeKey,
			Message: fmt.Sprintf("the credentials are sealed with key %s, the server has key %s; put the right key file back or set %s", keyID, v.id, EnvKey),
		}
	}
	raw, err := v.decrypt(sealed)
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

func (v *Vault) decrypt(sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), v.identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
