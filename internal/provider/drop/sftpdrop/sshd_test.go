package sftpdrop_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/sftpdrop"
)

// sshd is a real server on loopback.
type sshd struct {
	address, folder    string
	key                string // of the user
	ed25519, ecdsa     string // lines of the host keys
	fingerprint        string // of the ECDSA host key
	log                bytes.Buffer
	user               string
	lockedKey, passing string // the key again, locked with passing
}

// startSSHD starts OpenSSH's server. Where it is not installed, or nobody may
// start it, the test is skipped, unless USHER_MUST_RUN names sshd.
func startSSHD(t *testing.T) *sshd {
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
	s := &sshd{folder: t.TempDir(), user: me.Username, passing: "open sesame"}
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
	mine, locked := generate("mine", "-t", "ed25519", "-N", ""), generate("locked", "-t", "ed25519", "-a", "1", "-N", s.passing)
	s.key, s.lockedKey = read(mine), read(locked)
	s.ed25519, s.ecdsa = read(ed+".pub"), read(ecdsa+".pub")
	out, err := exec.CommandContext(t.Context(), keygen, "-lf", ecdsa+".pub").Output()
	if err != nil {
		t.Fatal(err)
	}
	s.fingerprint = strings.Fields(string(out))[1]
	keys := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(keys, []byte(read(mine+".pub")+"\n"+read(locked+".pub")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = ln.Addr().String()
	_ = ln.Close()
	host, port, _ := net.SplitHostPort(s.address)
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
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
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

func (s *sshd) deps(change map[string]string) provider.Deps {
	host, port, _ := net.SplitHostPort(s.address)
	d := provider.Deps{
		Auth:   map[string]provider.Secret{"host": provider.Secret(host), "port": provider.Secret(port), "username": provider.Secret(s.user), "private_key": provider.Secret(s.key), "host_key": provider.Secret(s.ed25519)},
		Config: map[string]string{"folder": s.folder},
		Log:    slog.New(slog.DiscardHandler), Now: time.Now,
		Dial: outbound.Dialer(outbound.Config{AllowedHosts: []string{s.address}, Log: slog.New(slog.DiscardHandler), Now: time.Now}),
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

func (s *sshd) check(t *testing.T, change map[string]string) error {
	t.Helper()
	p, err := sftpdrop.New(s.deps(change))
	if err != nil {
		return err
	}
	return (&drop.Export{Place: p, Layout: drop.Rows{}}).Check(t.Context())
}

// TestOpenSSH is against the server that most people have.
func TestOpenSSH(t *testing.T) {
	s := startSSHD(t)
	t.Run("files appear whole, with their side files", s.filesAppear)
	t.Run("the host key must be trusted", s.hostKeys)
	t.Run("keys with a passphrase", func(t *testing.T) {
		if err := s.check(t, map[string]string{"private_key": s.lockedKey, "passphrase": s.passing}); err != nil {
			t.Error(err)
		}
	})
	t.Run("what is refused", s.refused)
	t.Run("the drop by itself", s.dropByItself)
}

func (s *sshd) filesAppear(t *testing.T) {
	p, err := sftpdrop.New(s.deps(nil))
	if err != nil {
		t.Fatal(err)
	}
	e := &drop.Export{Place: p, Layout: drop.Rows{}, Log: slog.New(slog.DiscardHandler)}
	a := provider.Audience{Marker: "t.g1", Slug: "vip", Config: map[string]string{"filename": "vip.csv", "side_file": "sha256"}}
	if a.Remote, err = e.EnsureAudience(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b := provider.Batch{RunNumber: 7, Number: 1, Attempt: 1, At: time.Unix(0, 0), Audience: a, Remote: a.Remote, Op: activation.OpAdd, Keys: []matchkey.Key{{Name: "id", Identifies: true, Normalize: matchkey.Plain}}}
	for i := range 20_000 {
		b.Values = append(b.Values, fmt.Appendf(nil, "customer-%06d", i))
	}
	for b.Attempt = 1; b.Attempt <= 2; b.Attempt++ {
		rc, err := e.Deliver(t.Context(), b)
		if err != nil || rc.Accepted != 20_000 {
			t.Fatalf("attempt %d: %+v, %v", b.Attempt, rc, err)
		}
	}
	names := listing(t, s.folder)
	if !slices.Equal(names, []string{"vip_7_00001.csv", "vip_7_00001.csv.sha256"}) {
		t.Fatalf("there are %q", names)
	}
	body, err := os.ReadFile(filepath.Join(s.folder, "vip_7_00001.csv"))
	if err != nil || bytes.Count(body, []byte("\n")) != 20_001 {
		t.Errorf("%d lines, %v", bytes.Count(body, []byte("\n")), err)
	}
	side, err := os.ReadFile(filepath.Join(s.folder, "vip_7_00001.csv.sha256"))
	if want := fmt.Sprintf("%x  vip_7_00001.csv\n", sha256.Sum256(body)); err != nil || string(side) != want {
		t.Errorf("side file %q, want %q", side, want)
	}
}

func listing(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s *sshd) hostKeys(t *testing.T) {
	host, _, _ := net.SplitHostPort(s.address)
	for what, key := range map[string]string{
		"authorized_keys form": s.ed25519, "known_hosts line": host + " " + s.ed25519, "the second kind of key": host + " " + s.ecdsa,
		"fingerprint of the second kind": s.fingerprint, "several": "# ours\n" + s.fingerprint + "\n" + s.ed25519 + "\n",
	} {
		if err := s.check(t, map[string]string{"host_key": key}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
	for what, key := range map[string]string{"nothing yet": "unknown", "another fingerprint": "SHA256:" + strings.Repeat("A", 43)} {
		err := s.check(t, map[string]string{"host_key": key})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Code != "SFTP-HOSTKEY" || e.Field != "host_key" || !strings.Contains(e.Message, s.fingerprint) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.check(t, map[string]string{"host_key": other}); activation.CodeOf(err) != "SFTP-HOSTKEY" {
		t.Errorf("another key of the same kind: %v", err)
	}
}

func (s *sshd) refused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what   string
		change map[string]string
		kind   activation.Kind
		code   string
	}{
		{"a key that is not known", map[string]string{"private_key": otherKey(t)}, activation.Unauthorized, "SFTP-AUTH"},
		{"a password where keys are asked for", map[string]string{"private_key": "", "password": "x"}, activation.Unauthorized, "SFTP-AUTH"},
		{"another user", map[string]string{"username": "nobody-of-that-name"}, activation.Unauthorized, "SFTP-AUTH"},
		{"no folder", map[string]string{"folder": "/nowhere/at/all"}, activation.Invalid, "SFTP-FOLDER"},
		{"a file for a folder", map[string]string{"folder": file}, activation.Invalid, "SFTP-FOLDER"},
	} {
		if err := s.check(t, tc.change); activation.KindOf(err) != tc.kind || activation.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
}

func otherKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dropByItself uses what imports will need.
func (s *sshd) dropByItself(t *testing.T) {
	folder := t.TempDir()
	p, err := sftpdrop.New(s.deps(map[string]string{"folder": folder}))
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	useDrop(t, d, func() map[string]string {
		got := map[string]string{}
		for _, name := range listing(t, folder) {
			body, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(body)
		}
		return got
	})
}

// useDrop puts, lists, reads, renames and removes; there looks behind the drop.
func useDrop(t *testing.T, d drop.Drop, there func() map[string]string) {
	t.Helper()
	ctx := t.Context()
	if err := d.Put(ctx, drop.File{Name: "b.csv", Body: []byte("old")}, drop.File{Name: "a.csv", Body: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(ctx, drop.File{Name: "b.csv", Body: []byte("newer")}); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"a.csv": "a", "b.csv": "newer"}; !maps.Equal(there(), want) {
		t.Fatalf("there is %v", there())
	}
	list, err := d.List(ctx, "b")
	if err != nil || len(list) != 1 || list[0].Name != "b.csv" || list[0].Size != 5 || list[0].Modified.IsZero() {
		t.Errorf("list: %+v, %v", list, err)
	}
	in, err := d.Open(ctx, "b.csv")
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(in); err != nil || body.String() != "newer" {
		t.Errorf("read %q, %v", body.String(), err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := d.Rename(ctx, "b.csv", "a.csv"); err != nil {
		t.Error(err)
	}
	if _, ok, err := d.Stat(ctx, "b.csv"); ok || err != nil {
		t.Errorf("the old name: %t, %v", ok, err)
	}
	if info, ok, err := d.Stat(ctx, "a.csv"); !ok || err != nil || info.Size != 5 {
		t.Errorf("the new name: %+v, %t, %v", info, ok, err)
	}
	for range 2 {
		if err := d.Remove(ctx, "a.csv"); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if len(there()) != 0 {
		t.Errorf("there is %v", there())
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b"} {
		if err := d.Put(ctx, drop.File{Name: name}); activation.KindOf(err) != activation.Invalid {
			t.Errorf("put %q: %v", name, err)
		}
		if _, err := d.Open(ctx, name); activation.KindOf(err) != activation.Invalid {
			t.Errorf("open %q: %v", name, err)
		}
	}
}
