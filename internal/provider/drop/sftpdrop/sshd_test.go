package sftpdrop_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/sftpdrop"
	"usher/internal/provider/drop/sftpdrop/sshdtest"
)

// sshd is a real server on loopback.
type sshd struct{ *sshdtest.Server }

func (s *sshd) check(t *testing.T, change map[string]string) error {
	t.Helper()
	p, err := sftpdrop.New(s.Deps(change))
	if err != nil {
		return err
	}
	return (&drop.Export{Place: p, Layout: drop.Rows{}}).Check(t.Context())
}

// TestOpenSSH is against the server that most people have.
func TestOpenSSH(t *testing.T) {
	s := &sshd{sshdtest.Start(t)}
	t.Run("files appear whole, with their side files", s.filesAppear)
	t.Run("the host key must be trusted", s.hostKeys)
	t.Run("keys with a passphrase", func(t *testing.T) {
		if err := s.check(t, map[string]string{"private_key": s.LockedKey, "passphrase": s.Passing}); err != nil {
			t.Error(err)
		}
	})
	t.Run("what is refused", s.refused)
	t.Run("the drop by itself", s.dropByItself)
}

func (s *sshd) filesAppear(t *testing.T) {
	p, err := sftpdrop.New(s.Deps(nil))
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
	names := listing(t, s.Folder)
	if !slices.Equal(names, []string{"vip_7_00001.csv", "vip_7_00001.csv.sha256"}) {
		t.Fatalf("there are %q", names)
	}
	body, err := os.ReadFile(filepath.Join(s.Folder, "vip_7_00001.csv"))
	if err != nil || bytes.Count(body, []byte("\n")) != 20_001 {
		t.Errorf("%d lines, %v", bytes.Count(body, []byte("\n")), err)
	}
	side, err := os.ReadFile(filepath.Join(s.Folder, "vip_7_00001.csv.sha256"))
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
	host, _, _ := net.SplitHostPort(s.Address)
	for what, key := range map[string]string{
		"authorized_keys form": s.ED25519, "known_hosts line": host + " " + s.ED25519, "the second kind of key": host + " " + s.ECDSA,
		"fingerprint of the second kind": s.Fingerprint, "several": "# ours\n" + s.Fingerprint + "\n" + s.ED25519 + "\n",
	} {
		if err := s.check(t, map[string]string{"host_key": key}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
	for what, key := range map[string]string{"nothing yet": "unknown", "another fingerprint": "SHA256:" + strings.Repeat("A", 43)} {
		err := s.check(t, map[string]string{"host_key": key})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Code != "SFTP-HOSTKEY" || e.Field != "host_key" || !strings.Contains(e.Message, s.Fingerprint) {
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
	p, err := sftpdrop.New(s.Deps(map[string]string{"folder": folder}))
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
