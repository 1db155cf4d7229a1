package sftp

import (
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestFingerprintIsThatOfTheHostKey(t *testing.T) {
	key, err := hostKey()
	if err != nil {
		t.Fatal(err)
	}
	if got := ssh.FingerprintSHA256(key.PublicKey()); got != Fingerprint {
		t.Errorf("got %s", got)
	}
}
