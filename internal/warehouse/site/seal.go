package site

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
)

// errSeal tells of a row that was not written under this key.
var errSeal = errors.New("a public id cannot be unsealed")

// newSeal makes what public ids are sealed with, from a key of its own that
// follows from the key of the table.
func newSeal(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(derived(key, "the seal of public ids"))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func derived(key []byte, what string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(what)) // it never fails
	return h.Sum(nil)
}

// sealed is a public id that only the key opens. The nonce follows from the id,
// so that one id is always sealed alike and no two share a nonce.
func (s *Site) sealed(publicID string) []byte {
	nonce := derived(s.key, "a nonce of "+publicID)[:s.seal.NonceSize()]
	return s.seal.Seal(nonce, nonce, []byte(publicID), nil)
}

// unsealed is the public id again.
func (s *Site) unsealed(sealed []byte) (string, error) {
	n := s.seal.NonceSize()
	if len(sealed) < n {
		return "", errSeal
	}
	id, err := s.seal.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil {
		return "", errSeal
	}
	return string(id), nil
}
