// Package sshdtest starts a real SFTP server for tests: OpenSSH's, on loopback. It is
// imported by tests only.
package sshdtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/outbound"
	"usher/internal/provider"
)

// Server is one that runs until its test ends.
type Server struct {
	// Address and Folder are where it listens and what it serves; User is who may.
	Address, Folder, User string
	// Key is the user's private key; LockedKey is it again, locked with Passing.
	Key, LockedKey, Passing string
	// ED25519 and ECDSA are the lines of its host keys, Fingerprint that of the second.
	ED25519, ECDSA, Fingerprint string

	log bytes.Buffer
}

// Start starts OpenSSH's server. Where it is not installed, or nobody may
// start it, the test is skipped, unless USHER_MUST_RUN names sshd.
func Start(t testing.TB) *Server {
	t.Helper()
	missing := func(why string) {
		t.Helper()
		if strings.Contains(os.Getenv("USHER_MUST_RUN"), "sshd") {
			t.Fatalf("%s; `make deps` installs it", why)
		}
		t.Skipf("%s; `make deps` installs it", why)
	}
	var program, keygen string
	for _, p := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(p); err == nil {
			program = p
		}
	}
	keygen, err := exec.LookPath("ssh-keygen")
	if program == "" || err != nil {
		missing("OpenSSH's sshd is not installed")
	}
	if os.Getuid() == 0 { // where it goes without privileges
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			missing("sshd cannot be started: " + err.Error())
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Folder: t.TempDir(), User: me.Username, Passing: "open sesame"}
	dir := t.TempDir()
	generate := func(name string, args ...string) string {
		path := filepath.Join(dir, name)
		if out, err := exec.CommandContext(t.Context(), keygen, append([]string{"-q", "-f", path}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		return path
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	ed, ecdsa := generate("host_ed25519", "-t", "ed25519", "-N", ""), generate("host_ecdsa", "-t", "ecdsa", "-N", "")
	mine, locked := generate("mine", "-t", "ed25519", "-N", ""), generate("locked", "-t", "ed25519", "-a", "1", "-N", s.Passing)
	s.Key, s.LockedKey = read(mine), read(locked)
	s.ED25519, s.ECDSA = read(ed+".pub"), read(ecdsa+".pub")
	out, err := exec.CommandContext(t.Context(), keygen, "-lf", ecdsa+".pub").Output()
	if err != nil {
		t.Fatal(err)
	}
	s.Fingerprint = strings.Fields(string(out))[1]
	keys := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(keys, []byte(read(mine+".pub")+"\n"+read(locked+".pub")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = ln.Addr().String()
	_ = ln.Close()
	host, port, _ := net.SplitHostPort(s.Address)
	config := filepath.Join(dir, "sshd_config")
	text := fmt.Sprintf("ListenAddress %s\nPort %s\nHostKey %s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\n",
		host, port, ed, ecdsa, keys)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-D", "-e", "-f", config)
	cmd.Stderr = &s.log
	if err := cmd.Start(); err != nil {
		missing("sshd cannot be started: " + err.Error())
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() { stop(); <-done })
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Address)
		if err == nil {
			_ = conn.Close()
			return s
		}
		select {
		case <-done:
			done <- nil
			t.Fatalf("sshd ended: %s", s.log.String())
		case <-t.Context().Done():
			t.Fatal("sshd does not answer")
		case <-time.After(10 * time.Millisecond): // it is not listening yet
		}
	}
}

// Deps are those of the server's folder, with some settings changed.
func (s *Server) Deps(change map[string]string) provider.Deps {
	host, port, _ := net.SplitHostPort(s.Address)
	d := provider.Deps{
		Auth:   map[string]provider.Secret{"host": provider.Secret(host), "port": provider.Secret(port), "username": provider.Secret(s.User), "private_key": provider.Secret(s.Key), "host_key": provider.Secret(s.ED25519)},
		Config: map[string]string{"folder": s.Folder},
		Log:    slog.New(slog.DiscardHandler), Now: time.Now,
		Dial: outbound.Dialer(outbound.Config{AllowedHosts: []string{s.Address}, Log: slog.New(slog.DiscardHandler), Now: time.Now}),
	}
	for name, v := range change {
		if name == "folder" {
			d.Config[name] = v
		} else {
			d.Auth[name] = provider.Secret(v)
		}
	}
	return d
}
