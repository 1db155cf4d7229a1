package sftpdrop

import (
	"bytes"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"usher/internal/activation"
)

// pin is one host key that is trusted: the key, or its fingerprint alone.
type pin struct {
	key         []byte // wire form, nil = any with the fingerprint
	kind        string // of the key, "" = not known
	fingerprint string
}

var fingerprintPattern = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}=?$`)

// parsePins reads the setting, one key a line. The host names of known_hosts
// lines are not compared: the setting belongs to one server.
func parsePins(text string) ([]pin, error) {
	const want = "must be the server's line of known_hosts or a fingerprint such as SHA256:… on each line, or " + anyHostKey
	var pins []pin
	if strings.TrimSpace(text) == anyHostKey {
		return nil, nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if fingerprintPattern.MatchString(line) {
			pins = append(pins, pin{fingerprint: strings.TrimSuffix(line, "=")})
			continue
		}
		marker, _, key, _, _, err := ssh.ParseKnownHosts([]byte(line + "\n"))
		if err != nil {
			marker = ""
			key, _, _, _, err = ssh.ParseAuthorizedKey([]byte(line))
		}
		if err != nil {
			return nil, invalid(HostKeyField, want)
		}
		if marker != "" {
			return nil, invalid(HostKeyField, "lines with a marker such as @"+marker+" are not taken: name the key of the server itself")
		}
		pins = append(pins, pin{key: key.Marshal(), kind: key.Type(), fingerprint: ssh.FingerprintSHA256(key)})
	}
	if len(pins) == 0 {
		return nil, invalid(HostKeyField, want)
	}
	return pins, nil
}

// families are the algorithms of host keys, each family one kind of key, in the
// order they are asked for.
var families = []struct {
	kinds      []string
	algorithms []string
}{
	{[]string{ssh.KeyAlgoED25519}, []string{ssh.KeyAlgoED25519}},
	{[]string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}, []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}},
	{[]string{ssh.KeyAlgoRSA}, []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}},
}

// offers are the lists of algorithms to try one after the other: a server shows
// one of its keys only, and a fingerprint does not say which kind it is of.
func offers(pins []pin) [][]string {
	var out [][]string
	for _, f := range families {
		fits := func(p pin) bool { return p.kind == "" || slices.Contains(f.kinds, p.kind) }
		if len(pins) == 0 || slices.ContainsFunc(pins, fits) {
			out = append(out, f.algorithms)
		}
	}
	return out
}

// errHostKey is what the check of the host key ends a handshake with.
var errHostKey = errors.New("the host key is not the one that is trusted")

// witness checks the host key of one handshake and remembers what it saw.
type witness struct {
	pins    []pin
	seen    string // fingerprint, "" = none was shown
	trusted bool
}

func (w *witness) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	w.seen = ssh.FingerprintSHA256(key)
	for _, p := range w.pins {
		if p.key != nil && bytes.Equal(p.key, key.Marshal()) || p.key == nil && p.fingerprint == w.seen {
			w.trusted = true
			return nil
		}
	}
	return errHostKey
}

// unknownHost is the error of a server that shows none of the trusted keys. The
// fingerprints are no secret, and a person can compare them.
func unknownHost(seen []string) error {
	return &activation.Error{
		Kind: activation.Invalid, Code: codeHostKey, Field: HostKeyField,
		Message: "the server does not show the host key that is trusted; it shows " + strings.Join(seen, " and ") + ": compare it with what the server's owner says before you trust it",
	}
}
