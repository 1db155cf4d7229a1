package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/sftp"
	"usher/internal/provider/sftp/sftptest"
	"usher/internal/provider/sourcetest"
	"usher/sandbox/fault"
	sandboxsftp "usher/sandbox/sftp"
)

// world is a folder of dated files, behind a proxy that cuts.
type world struct {
	*sftptest.Network
	proxy *sourcetest.Proxy
	files int
}

func openWorld() (sourcetest.World, error) {
	n, err := sftptest.Open(sandboxsftp.Options{})
	if err != nil {
		return nil, err
	}
	proxy, err := sourcetest.NewProxy(n.Hosts()[0])
	if err != nil {
		return nil, err
	}
	return &world{Network: n, proxy: proxy}, nil
}

func (w *world) Hosts() []string { return []string{w.proxy.Addr()} }

func (w *world) Deps() provider.Deps {
	d := w.Network.Deps()
	host, port, _ := net.SplitHostPort(w.proxy.Addr())
	d.Auth["host"], d.Auth["port"] = provider.Secret(host), provider.Secret(port)
	d.Config = map[string]string{"folder": sandboxsftp.DefaultFolder, "prefix": `people_\d+`, "settle": "0s"}
	return d
}

// Add writes a file, every other one compressed.
func (w *world) Add(words []string) error {
	w.files++
	body := []byte("email,name\n")
	for _, word := range words {
		body = fmt.Appendf(body, "%s@example.com,\"A, B\"\n", word)
	}
	name := fmt.Sprintf("people_%04d.csv", w.files)
	if w.files%2 == 0 {
		var z bytes.Buffer
		gz := gzip.NewWriter(&z)
		_, _ = gz.Write(body)
		_ = gz.Close()
		name, body = name+".gz", z.Bytes()
	}
	w.Box.Put(sandboxsftp.DefaultFolder+"/"+name, body)
	return nil
}

func (w *world) Missing() map[string]string { return map[string]string{"folder": "no/where"} }

func (w *world) Fail(f sourcetest.Fault) error {
	switch f {
	case sourcetest.BadCredentials:
		w.Script(fault.Fault{Network: "sftp", Op: "auth", Kind: fault.Token, Times: -1})
	case sourcetest.Cut:
		w.proxy.CutAfter(60_000)
	case sourcetest.Down:
		w.proxy.CutAfter(0)
	}
	return nil
}

func (w *world) Heal() {
	w.Network.Heal()
	w.proxy.CutAfter(-1)
}

func (w *world) Close() {
	w.proxy.Close()
	w.Network.Close()
}

func TestSourceConformance(t *testing.T) {
	sourcetest.Run(t, sourcetest.Harness{Definition: sftp.Definition(), Workflow: "sftp_import", Open: openWorld})
}

// folder is a stand-in whose files a test writes itself, and the clock.
type folder struct {
	*sftptest.Network
	t    *testing.T
	conf map[string]string
	now  time.Time
}

func openFolder(t *testing.T, conf map[string]string) *folder {
	t.Helper()
	n, err := sftptest.Open(sandboxsftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	f := &folder{Network: n, t: t, conf: map[string]string{"folder": sandboxsftp.DefaultFolder, "settle": "0s"}, now: time.Now()}
	maps.Copy(f.conf, conf)
	return f
}

func (f *folder) put(name, body string) { f.Box.Put(sandboxsftp.DefaultFolder+"/"+name, []byte(body)) }

func (f *folder) source() (provider.Source, error) {
	d := f.Deps()
	cfg := outbound.Config{AllowedHosts: f.Hosts(), Log: slog.New(slog.DiscardHandler), Now: time.Now}
	d.Config, d.Dial, d.Log, d.Now = f.conf, outbound.Dialer(cfg), slog.New(slog.DiscardHandler), func() time.Time { return f.now }
	return sftp.NewSource(d)
}

// names reads all that is there now and returns the names in order.
func (f *folder) names(state *[]byte) []string {
	f.t.Helper()
	src, err := f.source()
	if err != nil {
		f.t.Fatal(err)
	}
	defer src.Close()
	var out []string
	for range 50 {
		p, ok, err := src.Next(f.t.Context(), *state)
		if err != nil {
			f.t.Fatal(err)
		}
		if !ok {
			return out
		}
		body, err := p.Open(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			f.t.Fatal(err)
		}
		_ = body.Close()
		if *state, err = p.After(); err != nil {
			f.t.Fatal(err)
		}
		out = append(out, p.Name)
	}
	f.t.Fatal("it never ends")
	return nil
}

func TestWhichFilesAndInWhichOrder(t *testing.T) {
	for _, tc := range []struct {
		what  string
		conf  map[string]string
		there []string
		want  []string
		later []string
		then  []string
	}{
		{
			"one file by name",
			map[string]string{"filename": "a.csv"},
			[]string{"a.csv", "b.csv"},
			[]string{"a.csv"},
			[]string{"c.csv"},
			nil,
		},
		{
			"by name, behind the earliest",
			map[string]string{"prefix": `p_\d+`, "filename": "p_2.csv"},
			[]string{"p_1.csv", "p_3.csv", "p_2.csv", "x.csv", "p_4.csv.part", ".p_5.csv"},
			[]string{"p_2.csv", "p_3.csv"},
			[]string{"p_0.csv", "p_4.csv"},
			[]string{"p_4.csv"},
		},
		{
			"by date, year first",
			map[string]string{"prefix": "p", "order": "date", "filename": "p-20260102.csv"},
			[]string{"pz-2026-01-03.csv", "p-20260101.csv", "pa_2026.01.04.csv", "p-20260102.csv", "p-none.csv"},
			[]string{"p-20260102.csv", "pz-2026-01-03.csv", "pa_2026.01.04.csv"},
			[]string{"pb-20260103T1200.csv"},
			[]string{"pb-20260103T1200.csv"},
		},
		{
			"by date, day first",
			map[string]string{"prefix": "p", "order": "date", "date_order": "dmy"},
			[]string{"p-02-01-2026.csv", "p-01-02-2026.csv", "p-31-12-2025.csv"},
			[]string{"p-31-12-2025.csv", "p-02-01-2026.csv", "p-01-02-2026.csv"},
			nil, nil,
		},
	} {
		f := openFolder(t, tc.conf)
		var state []byte
		for _, name := range tc.there {
			f.put(name, "a\n1\n")
		}
		if got := f.names(&state); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.what, got, tc.want)
		}
		for _, name := range tc.later {
			f.put(name, "a\n2\n")
		}
		if got := f.names(&state); !slices.Equal(got, tc.then) {
			t.Errorf("%s, later: %q, want %q", tc.what, got, tc.then)
		}
	}
}

// TestFilesThatAreWritten: one that may still be written waits, and so do those
// behind it.
func TestFilesThatAreWritten(t *testing.T) {
	f := openFolder(t, map[string]string{"prefix": "p", "settle": "60s"})
	f.put("p1", "a\n1\n")
	f.put("p2", "a\n1\n")
	var state []byte
	if got := f.names(&state); got != nil {
		t.Errorf("read at once: %q", got)
	}
	f.now = f.now.Add(61 * time.Second)
	if got := f.names(&state); !slices.Equal(got, []string{"p1", "p2"}) {
		t.Errorf("after a minute: %q", got)
	}
	src, err := f.source()
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f.put("p3", "a\n1\n")
	p, ok, err := src.Next(t.Context(), state)
	if err != nil || !ok {
		t.Fatalf("%t, %v", ok, err)
	}
	body, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.put("p3", "a\n1\n2\n")
	_, _ = io.Copy(io.Discard, body)
	if _, err := p.After(); activation.CodeOf(err) != "FILE-CHANGED" || activation.KindOf(err) != activation.Unavailable {
		t.Errorf("a file that changed while it was read: %v", err)
	}
}

// TestChangedAndDeletedFiles: a changed file is read again; with delete_file one
// goes when its rows are safe, also where a crash came before.
func TestChangedAndDeletedFiles(t *testing.T) {
	f := openFolder(t, map[string]string{"filename": "a.csv"})
	var state []byte
	for _, body := range []string{"a\n1\n", "a\n1\n2\n", "a\n1\n"} {
		f.put("a.csv", body)
		if got := f.names(&state); len(got) != 1 {
			t.Errorf("changed: %q", got)
		}
		if got := f.names(&state); len(got) != 0 {
			t.Errorf("unchanged: %q", got)
		}
	}
	f = openFolder(t, map[string]string{"prefix": "p", "delete_file": "true"})
	f.put("p1", "a\n1\n")
	f.put("q", "a\n1\n")
	state = nil
	f.names(&state) // it never settles: Settled is not called
	left := slices.Sorted(maps.Keys(f.Folder()))
	if !slices.Equal(left, []string{"q"}) {
		t.Errorf("left: %q", left)
	}
}

func TestWrongSettingsOfImportsNameTheirField(t *testing.T) {
	for _, tc := range []struct {
		conf        map[string]string
		field, code string
	}{
		{map[string]string{}, "filename", "FILE-PATTERN"},
		{map[string]string{"filename": "a/b"}, "filename", "FILE-PATTERN"},
		{map[string]string{"prefix": "p(", "filename": "a"}, "prefix", "FILE-PATTERN"},
		{map[string]string{"prefix": "p", "order": "size"}, "order", "FILE-PATTERN"},
		{map[string]string{"prefix": "p", "order": "date", "filename": "p.csv"}, "filename", "FILE-PATTERN"},
		{map[string]string{"prefix": "p", "settle": "soon"}, "settle", "FILE-PATTERN"},
		{map[string]string{"prefix": "p", "delete_file": "x"}, "delete_file", "FILE-PATTERN"},
		{map[string]string{"prefix": "p", "folder": "../x"}, "folder", "SFTP-SETTINGS"},
	} {
		f := &folder{Network: nil, t: t, conf: tc.conf}
		_, err := sftp.NewSource(provider.Deps{Config: f.conf, Now: time.Now, Auth: map[string]provider.Secret{
			"host": "h", "username": "u", "password": "p", "host_key": "unknown",
		}})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != tc.field || e.Code != tc.code {
			t.Errorf("%v: %v", tc.conf, err)
		}
	}
}

// TestCheckSaysWhatIsWrong is the connection test.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		what   string
		auth   map[string]string
		conf   map[string]string
		kind   activation.Kind
		code   string
		speaks string
	}{
		{"right", nil, nil, "", "", ""},
		{"wrong password", map[string]string{"password": "secret-but-wrong"}, nil, activation.Unauthorized, "SFTP-AUTH", "key or password"},
		{"another host key", map[string]string{"host_key": "SHA256:" + strings.Repeat("A", 43)}, nil, activation.Invalid, "SFTP-HOSTKEY", sandboxsftp.Fingerprint},
		{"no folder", nil, map[string]string{"folder": "/no/where"}, activation.Invalid, "SFTP-FOLDER", "folder"},
		{"no file", nil, map[string]string{"filename": "b.csv"}, activation.Invalid, "FILE-MISSING", "filename"},
	} {
		f := openFolder(t, map[string]string{"filename": "a.csv"})
		f.put("a.csv", "a\n1\n")
		maps.Copy(f.conf, tc.conf)
		d := f.Deps()
		d.Config, d.Now = f.conf, time.Now
		d.Dial = outbound.Dialer(outbound.Config{AllowedHosts: f.Hosts(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
		for name, v := range tc.auth {
			d.Auth[name] = provider.Secret(v)
		}
		src, err := sftp.NewSource(d)
		if err != nil {
			t.Fatal(err)
		}
		err = src.Check(context.Background())
		if err == nil && tc.code != "" || err != nil && (activation.KindOf(err) != tc.kind || activation.CodeOf(err) != tc.code || !strings.Contains(err.Error(), tc.speaks)) {
			t.Errorf("%s: %v", tc.what, err)
		}
		_ = src.Close()
	}
}

func TestOverdue(t *testing.T) {
	f := openFolder(t, map[string]string{"prefix": "p", "file_frequency": "daily"})
	f.put("p1", "a\n1\n")
	var state []byte
	f.names(&state)
	for after, want := range map[time.Duration]bool{time.Hour: false, 47 * time.Hour: false, 49 * time.Hour: true} {
		f.now = time.Now().Add(after)
		src, err := f.source()
		if err != nil {
			t.Fatal(err)
		}
		if got := src.(provider.Reminder).Overdue(state); (got != "") != want {
			t.Errorf("after %v: %q", after, got)
		}
	}
}
