package sftpdrop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	pkgsftp "github.com/pkg/sftp"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/sftpdrop"
	"usher/internal/provider/sftp/sftptest"
	"usher/sandbox/fault"
	"usher/sandbox/sftp"
)

// place opens a stand-in and makes the place of its folder.
func place(t *testing.T, o sftp.Options, change map[string]string) (*sftptest.Network, drop.Place) {
	t.Helper()
	n, err := sftptest.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	p, err := sftpdrop.New(deps(n, change))
	if err != nil {
		t.Fatal(err)
	}
	return n, p
}

func deps(n *sftptest.Network, change map[string]string) provider.Deps {
	d := n.Deps()
	for name, v := range change {
		if name == "folder" {
			d.Config[name] = v
		} else {
			d.Auth[name] = provider.Secret(v)
		}
	}
	d.Log, d.Now = slog.New(slog.DiscardHandler), time.Now
	d.Dial = outbound.Dialer(outbound.Config{AllowedHosts: n.Hosts(), Log: d.Log, Now: d.Now})
	return d
}

// put writes a file with its side file in a session of its own.
func put(ctx context.Context, p drop.Place) error {
	d, err := p.Connect(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Put(ctx, drop.File{Name: "a.csv.sha256", Body: []byte("side"), Beside: true}, drop.File{Name: "a.csv", Body: []byte(strings.Repeat("line\n", 20_000))})
}

func names(n *sftptest.Network) []string {
	var out []string
	for _, f := range n.Box.Files() {
		out = append(out, path.Base(f.Path))
	}
	slices.Sort(out)
	return out
}

// TestFaults is what goes wrong by its place in the work: what the error asks
// for, whether a file may have appeared, and what is left lying about.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		what    string
		fault   fault.Fault
		kind    activation.Kind
		code    string
		applied bool
		left    []string
	}{
		{"the sign-in is refused", fault.Fault{Op: "auth", Kind: fault.Token, Times: -1}, activation.Unauthorized, "SFTP-AUTH", false, nil},
		{"no right to make files", fault.Fault{Op: "open", Kind: fault.Status, Code: 3}, activation.Invalid, "SFTP-PERMISSION", false, nil},
		{"a failure while writing", fault.Fault{Op: "write", Kind: fault.Status}, activation.Unavailable, "SFTP-FAILURE", false, nil},
		{"cut while writing", fault.Fault{Op: "write", Path: "*a.csv.tmp", Kind: fault.Cut}, activation.Unavailable, "SFTP-LOST", false, []string{"a.csv.sha256.tmp", "a.csv.tmp"}},
		{"a failure while closing", fault.Fault{Op: "close", Kind: fault.Status}, activation.Unavailable, "SFTP-FAILURE", false, nil},
		{"gone before it is measured", fault.Fault{Op: "stat", Path: "*.tmp", Kind: fault.Status, Code: 2}, activation.Invalid, "SFTP-FOLDER", false, nil},
		{"the side file cannot be named", fault.Fault{Op: "rename", Kind: fault.Status}, activation.Unavailable, "SFTP-FAILURE", false, nil},
		{"no right to name the file", fault.Fault{Op: "rename", Path: "*.csv", Kind: fault.Status, Code: 3}, activation.Invalid, "SFTP-PERMISSION", false, []string{"a.csv.sha256"}},
		{"a failure while naming the file", fault.Fault{Op: "rename", Path: "*.csv", Kind: fault.Status}, activation.Unavailable, "SFTP-FAILURE", true, []string{"a.csv.sha256"}},
		{"named, and then a failure", fault.Fault{Op: "rename", Path: "*.csv", Kind: fault.Status, Applied: true}, activation.Unavailable, "SFTP-FAILURE", true, []string{"a.csv", "a.csv.sha256"}},
		{"named, and then cut", fault.Fault{Op: "rename", Path: "*.csv", Kind: fault.Cut, Applied: true}, activation.Unavailable, "SFTP-LOST", true, []string{"a.csv", "a.csv.sha256"}},
		{"naming is not known", fault.Fault{Op: "rename", Kind: fault.Status, Code: 8}, activation.Invalid, "SFTP-UNSUPPORTED", false, nil},
		{"what was written is lost", fault.Fault{Op: "write", Path: "*a.csv.tmp", Kind: fault.Invalid, Rows: 1, Times: -1}, activation.Unavailable, "SFTP-SIZE", false, nil},
		{"not understood", fault.Fault{Op: "rename", Path: "*.csv", Kind: fault.Status, Code: 5}, activation.Unavailable, "SFTP-FAILURE", true, []string{"a.csv.sha256"}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			n, p := place(t, sftp.Options{}, nil)
			tc.fault.Network = "sftp"
			n.Script(tc.fault)
			err := put(t.Context(), p)
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != tc.kind || e.Code != tc.code || e.MayHaveApplied != tc.applied {
				t.Fatalf("got %v, may have applied %t", err, e != nil && e.MayHaveApplied)
			}
			if got := names(n); !slices.Equal(got, tc.left) {
				t.Errorf("left are %q, want %q", got, tc.left)
			}
			n.Heal()
			if err := put(t.Context(), p); err != nil {
				t.Fatalf("again: %v", err)
			}
			if got := names(n); !slices.Equal(got, []string{"a.csv", "a.csv.sha256"}) {
				t.Errorf("in the end there are %q", got)
			}
		})
	}
}

// TestServersThatAreAwkward have limits of their own.
func TestServersThatAreAwkward(t *testing.T) {
	for _, tc := range []struct {
		what    string
		options sftp.Options
		change  map[string]string
		kind    activation.Kind
		code    string
	}{
		{"a full disk", sftp.Options{Quota: 1000}, nil, activation.Unavailable, "SFTP-FAILURE"},
		{"a folder for reading", sftp.Options{ReadOnly: []string{"/in"}}, map[string]string{"folder": "/in"}, activation.Invalid, "SFTP-PERMISSION"},
		{"a folder that is not there", sftp.Options{}, map[string]string{"folder": "elsewhere"}, activation.Invalid, "SFTP-FOLDER"},
		{"too many connections", sftp.Options{MaxConnections: -1}, nil, activation.Unavailable, "SFTP-LOST"},
		{"keys only", sftp.Options{NoPassword: true}, nil, activation.Unauthorized, "SFTP-AUTH"},
		{"a wrong password", sftp.Options{Password: "other"}, nil, activation.Unauthorized, "SFTP-AUTH"},
	} {
		_, p := place(t, tc.options, tc.change)
		if err := put(t.Context(), p); activation.KindOf(err) != tc.kind || activation.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
}

// TestASilentServerIsLeft: nobody waits longer than the setting says.
func TestASilentServerIsLeft(t *testing.T) {
	n, p := place(t, sftp.Options{}, map[string]string{"timeout": "1s"})
	n.Script(fault.Fault{Network: "sftp", Op: "rename", Path: "*.csv", Kind: fault.Timeout, Applied: true})
	err := put(t.Context(), p)
	var e *activation.Error
	if !errors.As(err, &e) || e.Code != "SFTP-LOST" || !e.MayHaveApplied || !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(e.Message, "said nothing") {
		t.Errorf("got %v", err)
	}
}

// TestStoppedTakesItsHalvesAway: what is half written is deleted while the
// connection still does it.
func TestStoppedTakesItsHalvesAway(t *testing.T) {
	n, p := place(t, sftp.Options{}, nil)
	n.Script(fault.Fault{Network: "sftp", Op: "close", Kind: fault.Slow, Delay: fault.Duration(300 * time.Millisecond)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for n.Box.Counters().Opened == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err := put(ctx, p)
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Unavailable || e.MayHaveApplied || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if got := names(n); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}

// TestWithoutPosixRename is a server that renames over nothing.
func TestWithoutPosixRename(t *testing.T) {
	if err := pkgsftp.SetSFTPExtensions(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pkgsftp.SetSFTPExtensions("hardlink@openssh.com", "posix-rename@openssh.com", "statvfs@openssh.com"); err != nil {
			t.Fatal(err)
		}
	}()
	n, p := place(t, sftp.Options{}, nil)
	for range 2 {
		if err := put(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(n); !slices.Equal(got, []string{"a.csv", "a.csv.sha256"}) {
		t.Errorf("there are %q", got)
	}
}

func TestDrop(t *testing.T) {
	n, p := place(t, sftp.Options{}, nil)
	d, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	useDrop(t, d, func() map[string]string {
		got := map[string]string{}
		for name, body := range n.Folder() {
			got[name] = string(body)
		}
		return got
	})
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCheckWritesNothing, not even a file that is deleted again.
func TestCheckWritesNothing(t *testing.T) {
	n, p := place(t, sftp.Options{}, nil)
	if err := (&drop.Export{Place: p, Layout: drop.Rows{}}).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range n.Box.Calls() {
		if c.Op != "stat" {
			t.Errorf("the check did %s %s", c.Op, c.Path)
		}
	}
}

func TestWrongSettingsNameTheirField(t *testing.T) {
	n, err := sftptest.Open(sftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, tc := range []struct{ field, value, at string }{
		{"host", "", ""},
		{"host", "sftp://host", ""},
		{"host", "a b", ""},
		{"host", "user@host", ""},
		{"port", "70000", ""},
		{"port", "x", ""},
		{"username", "", ""},
		{"password", "", ""},
		{"private_key", "not a key", ""},
		{"host_key", "", ""},
		{"host_key", "SHA256:short", ""},
		{"host_key", "MD5:aa:bb", ""},
		{"host_key", "@cert-authority * ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", ""},
		{"timeout", "1", ""},
		{"timeout", "10ms", ""},
		{"folder", "../elsewhere", ""},
		{"folder", "/upload/../../etc", ""},
		{"folder", "a\nb", ""},
	} {
		_, err := sftpdrop.New(deps(n, map[string]string{tc.field: tc.value}))
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Code != "SFTP-SETTINGS" || e.Field != tc.field {
			t.Errorf("%s %q: %v", tc.field, tc.value, err)
		}
	}
}

// TestNothingSecretIsPrinted looks at a place and a session as a log line would.
func TestNothingSecretIsPrinted(t *testing.T) {
	_, p := place(t, sftp.Options{}, nil)
	text := fmt.Sprintf("%v %+v %#v", p, p, p)
	if strings.Contains(text, sftp.DefaultPassword) || strings.Contains(text, sftp.DefaultUser) {
		t.Errorf("printed: %s", text)
	}
}

// TestTheGuardHolds: an address inside the own network is not reached.
func TestTheGuardHolds(t *testing.T) {
	n, err := sftptest.Open(sftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	d := deps(n, nil)
	d.Dial = outbound.Dialer(outbound.Config{Log: d.Log, Now: d.Now})
	p, err := sftpdrop.New(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), p); activation.CodeOf(err) != outbound.CodeAddress {
		t.Errorf("got %v", err)
	}
	if n.Box.Counters().Connections != 0 {
		t.Error("a connection was made")
	}
}
