package sftpdrop

import (
	"crypto/x509"
	"errors"
	"net"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The credentials.
const (
	HostField       = "host"
	PortField       = "port"
	UserField       = "username"
	PasswordField   = "password"
	KeyField        = "private_key"
	PassphraseField = "passphrase"
	HostKeyField    = "host_key"
	TimeoutField    = "timeout"
	// FolderField is a setting of the destination.
	FolderField = "folder"
)

// anyHostKey is what people write to see which key a server shows.
const anyHostKey = "unknown"

// AuthFields are the credentials of a server. required is false where they are
// one of several ways.
func AuthFields(required bool) []provider.Field {
	return []provider.Field{
		{Name: HostField, Label: "Host", Type: "string", Required: required, Example: "sftp.example.com", Help: "The name or address of the SFTP server, without a scheme."},
		{Name: PortField, Label: "Port", Type: "int", Default: "22", Example: "22", Help: "The port of the SFTP server."},
		{Name: UserField, Label: "User name", Type: "string", Required: required, Example: "usher", Help: "The user on the SFTP server."},
		{Name: PasswordField, Label: "Password", Type: "string", Secret: true, Help: "The user's password. With a private key too, the key is tried first."},
		{Name: KeyField, Label: "Private key", Type: "text", Secret: true, Help: "The user's private key as OpenSSH writes it, from -----BEGIN to END-----."},
		{Name: PassphraseField, Label: "Passphrase", Type: "string", Secret: true, Help: "What the private key is locked with, where it is."},
		{
			Name: HostKeyField, Label: "Host key", Type: "text", Required: required,
			Help: "How the server proves that it is itself: its line of known_hosts, or the fingerprint of its key beginning with SHA256:. Several may stand on lines of their own. Write " + anyHostKey + " to see it: the test of the authorization then names the fingerprint that the server shows, to be compared with what its owner says.",
		},
		{Name: TimeoutField, Label: "Patience", Type: "duration", Default: "60s", Example: "60s", Help: "How long the server may say nothing while it is waited for, at least 1s."},
	}
}

// Folder is the destination's setting of the folder.
func Folder() provider.Field {
	return provider.Field{
		Name: FolderField, Label: "Folder", Type: "string", Default: ".", Example: "upload/usher",
		Help: "The folder files are put in; it must be there. One that does not begin with a slash begins in the user's home.",
	}
}

// settings are those of one place, read.
type settings struct {
	host, address string
	user          string
	auth          []ssh.AuthMethod
	pins          []pin
	folder        string
	timeout       time.Duration
}

func read(d provider.Deps) (settings, error) {
	s := settings{host: strings.TrimSpace(d.Auth[HostField].Reveal()), user: d.Auth[UserField].Reveal()}
	if s.host == "" || strings.ContainsFunc(s.host, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("/@?#", r)
	}) {
		return s, invalid(HostField, "must be the name or address of the server, without a scheme or a path")
	}
	port := orDefault(d.Auth[PortField].Reveal(), "22")
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return s, invalid(PortField, "must be a number from 1 to 65535")
	}
	s.address = net.JoinHostPort(strings.Trim(s.host, "[]"), port)
	if s.user == "" {
		return s, invalid(UserField, "is needed")
	}
	var err error
	if s.auth, err = methods(d); err != nil {
		return s, err
	}
	if s.pins, err = parsePins(d.Auth[HostKeyField].Reveal()); err != nil {
		return s, err
	}
	if s.timeout, err = time.ParseDuration(orDefault(d.Auth[TimeoutField].Reveal(), "60s")); err != nil || s.timeout < time.Second {
		return s, invalid(TimeoutField, "must be a duration of at least 1s")
	}
	s.folder, err = folder(orDefault(d.Config[FolderField], "."))
	return s, err
}

// methods are the ways to sign in, the key before the password.
func methods(d provider.Deps) ([]ssh.AuthMethod, error) {
	var out []ssh.AuthMethod
	if key := d.Auth[KeyField].Reveal(); strings.TrimSpace(key) != "" {
		signer, err := signerOf(strings.TrimSpace(key)+"\n", d.Auth[PassphraseField].Reveal())
		if err != nil {
			return nil, err
		}
		out = append(out, ssh.PublicKeys(signer))
	}
	if password := d.Auth[PasswordField].Reveal(); password != "" {
		// Servers that check passwords by PAM may ask for them one by one.
		out = append(out, ssh.Password(password), ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range questions {
				if !echos[i] {
					answers[i] = password
				}
			}
			return answers, nil
		}))
	}
	if len(out) == 0 {
		return nil, invalid(PasswordField, "a password or a private key is needed")
	}
	return out, nil
}

func signerOf(key, passphrase string) (ssh.Signer, error) {
	var signer ssh.Signer
	var err error
	if passphrase == "" {
		signer, err = ssh.ParsePrivateKey([]byte(key))
	} else {
		signer, err = ssh.ParsePrivateKeyWithPassphrase([]byte(key), []byte(passphrase))
	}
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer, nil
	case errors.As(err, &locked):
		return nil, invalid(PassphraseField, "the private key is locked with a passphrase")
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, invalid(PassphraseField, "does not open the private key")
	}
	return nil, invalid(KeyField, "is not a private key as OpenSSH writes it, or not one that is locked")
}

// folder cleans the folder's path, which may not lead out of itself.
func folder(text string) (string, error) {
	text = strings.TrimSpace(text)
	for part := range strings.SplitSeq(text, "/") {
		if part == ".." {
			return "", invalid(FolderField, "must not hold ..: name the folder itself")
		}
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", invalid(FolderField, "must not hold control characters")
	}
	return path.Clean(text), nil
}

func orDefault(text, fallback string) string {
	if strings.TrimSpace(text) == "" {
		return fallback
	}
	return strings.TrimSpace(text)
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeSettings, Field: field, Message: field + ": " + message}
}
