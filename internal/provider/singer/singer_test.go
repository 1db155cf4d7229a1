package singer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/singer"
	"usher/internal/provider/singer/singertest"
	"usher/internal/provider/sourcetest"
)

func TestMain(m *testing.M) { os.Exit(singertest.Main(m)) }

func TestConformance(t *testing.T) { sourcetest.Run(t, singertest.Harness(t)) }

func deps(t *testing.T, w *singertest.World, settings ...string) provider.Deps {
	t.Helper()
	d := w.Deps()
	d.Scratch, d.Log = t.TempDir(), slog.New(slog.DiscardHandler)
	d.Config = maps.Clone(d.Config)
	for i := 0; i < len(settings); i += 2 {
		d.Config[settings[i]] = settings[i+1]
	}
	return d
}

func source(t *testing.T, d provider.Deps) provider.Source {
	t.Helper()
	s, err := singer.Definition().NewSource(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func wantCode(t *testing.T, err error, code, field string, kind activation.Kind) {
	t.Helper()
	var e *activation.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || e.Kind != kind {
		t.Errorf("got %v, want %s of field %q and kind %s", err, code, field, kind)
	}
}

// read reads one piece.
func read(t *testing.T, s provider.Source, state []byte) (text string, after []byte, ok bool, err error) {
	t.Helper()
	p, ok, err := s.Next(t.Context(), state)
	if err != nil || !ok {
		return "", state, ok, err
	}
	body, err := p.Open(t.Context())
	if err != nil {
		return "", nil, true, err
	}
	raw, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return string(raw), nil, true, err
	}
	after, err = p.After()
	return string(raw), after, true, err
}

func words(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("word-%06d", i)
	}
	return out
}

func TestARecordIsARow(t *testing.T) {
	w := singertest.Open(t)
	if err := w.Add(words(1)); err != nil {
		t.Fatal(err)
	}
	text, state, _, err := read(t, source(t, deps(t, w)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"address__city":"x","address__geo__lat":1.50,"id":0,"name":"word-000000","orders":"[{\"n\":1}]","tags":["a","b"]}` + "\n"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
	if want := `{"program":"tap-test","stream":"shop-people","value":{"position":1}}`; string(state) != want {
		t.Errorf("the state is %s", state)
	}
}

// TestPiecesEndAtAState: a piece of a long run ends at the first STATE behind
// 10,000 rows, the tap goes on with the next one, and a new run goes on behind any
// of them.
func TestPiecesEndAtAState(t *testing.T) {
	w := singertest.Open(t)
	if err := w.Add(words(25_500)); err != nil {
		t.Fatal(err)
	}
	s := source(t, deps(t, w))
	var sizes []int
	var states [][]byte
	var state []byte
	for {
		text, after, ok, err := read(t, s, state)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		state = after
		sizes, states = append(sizes, strings.Count(text, "\n")), append(states, after)
	}
	if fmt.Sprint(sizes) != "[10000 10000 5500]" {
		t.Errorf("pieces of %v", sizes)
	}
	text, _, _, err := read(t, source(t, deps(t, w)), states[1])
	if err != nil || strings.Count(text, "\n") != 5500 || !strings.Contains(text, "word-020000") {
		t.Errorf("behind the second piece: %d rows, %v", strings.Count(text, "\n"), err)
	}
	// The state of another stream is none of this one.
	if text, _, _, err = read(t, source(t, deps(t, w)), bytes.Replace(states[1], []byte("shop-people"), []byte("shop-orders"), 1)); err != nil || strings.Count(text, "\n") != 10000 {
		t.Errorf("with another stream's state: %d rows, %v", strings.Count(text, "\n"), err)
	}
}

func TestHowATapFails(t *testing.T) {
	for _, c := range []struct {
		mode, code string
		kind       activation.Kind
		part       string
	}{
		{"garbage", "SINGER-OUTPUT", activation.Invalid, "no Singer message"},
		{"long", "SINGER-OUTPUT", activation.Invalid, "more than"},
		{"cut", "SINGER-EXIT", activation.Unavailable, "exit code 1 (psycopg2.OperationalError)"},
		{"hang", "SINGER-LIMIT", activation.Unavailable, "time limit"},
		{"memory", "SINGER-EXIT", activation.Unavailable, "exit code 2"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			w := singertest.Open(t)
			if err := errors.Join(w.Add(words(3000)), w.Mode(c.mode)); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			d := deps(t, w, "time_limit", "2s")
			d.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, _, _, err := read(t, source(t, d), nil)
			wantCode(t, err, c.code, "", c.kind)
			if !strings.Contains(fmt.Sprint(err), c.part) {
				t.Errorf("%v lacks %q", err, c.part)
			}
			for _, secret := range []string{"conformance-password", "ann@", "word-00"} {
				if strings.Contains(said.String()+fmt.Sprint(err), secret) {
					t.Errorf("%q was told: %v, %s", secret, err, said.String())
				}
			}
			left, err := os.ReadDir(d.Scratch)
			if err != nil || len(left) != 0 {
				t.Errorf("files are left: %v, %v", left, err)
			}
		})
	}
}

// TestWhatATapStartedEndsToo: a cancelled run leaves no process behind.
func TestWhatATapStartedEndsToo(t *testing.T) {
	w := singertest.Open(t)
	if err := w.Mode("hang"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := source(t, deps(t, w))
	go func() { // as soon as the tap has started its child
		defer cancel()
		for t.Context().Err() == nil {
			if pid, err := os.ReadFile(filepath.Join(w.Dir, "child")); err == nil && len(pid) > 0 {
				return
			}
		}
	}()
	_, _, err := s.Next(ctx, nil)
	wantCode(t, err, "SINGER-LIMIT", "", activation.Unavailable)
	for _, name := range []string{"pid", "child"} {
		raw, err := os.ReadFile(filepath.Join(w.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		for running(pid) { // whoever inherits it takes a moment to notice its end
			if t.Context().Err() != nil {
				t.Fatalf("the %s runs on", name)
			}
		}
	}
}

// running reports whether a process is there and no zombie.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// TestWhatATapIsGiven: the stream and its fields are selected, no other one is,
// and nothing of our environment gets in.
func TestWhatATapIsGiven(t *testing.T) {
	t.Setenv("USHER_SECRET", "in-our-environment")
	w := singertest.Open(t)
	if err := w.Add(words(1)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := read(t, source(t, deps(t, w, "replication_method", "INCREMENTAL", "replication_key", "id")), nil); err != nil {
		t.Fatal(err)
	}
	catalog, err := os.ReadFile(filepath.Join(w.Dir, "catalog"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"streams":[{"metadata":[{"breadcrumb":[],"metadata":{"replication-key":"id","replication-method":"INCREMENTAL","selected":true}},{"breadcrumb":["properties","secret"],"metadata":{"inclusion":"unsupported"}},{"breadcrumb":["properties","id"],"metadata":{"selected":true}},{"breadcrumb":["properties","name"],"metadata":{"selected":true}}],"replication_key":"id","replication_method":"INCREMENTAL","schema":{"properties":{"id":{},"name":{},"secret":{}},"selected":true,"type":"object"},"selected":true,"stream":"people","tap_stream_id":"shop-people"},{"metadata":[{"breadcrumb":[],"metadata":{"selected":false}}],"schema":{"selected":false},"selected":false,"stream":"orders","tap_stream_id":"shop-orders"}]}`
	if string(catalog) != want {
		t.Errorf("the catalog is %s", catalog)
	}
	env, err := os.ReadFile(filepath.Join(w.Dir, "env"))
	if err != nil || strings.Contains(string(env), "in-our-environment") || strings.Count(string(env), "\n") != 4 {
		t.Errorf("the environment is %s, %v", env, err)
	}
	// A catalog of one's own is asked for nowhere, and its fields stay as they are.
	own := `{"streams":[{"tap_stream_id":"people","stream":"people","schema":{"properties":{"id":{}}},"metadata":[{"breadcrumb":["properties","id"],"metadata":{"selected":false}}]}]}`
	if _, _, _, err := read(t, source(t, deps(t, w, "catalog", own, "tap_stream", "people")), nil); err != nil {
		t.Fatal(err)
	}
	if catalog, err = os.ReadFile(filepath.Join(w.Dir, "catalog")); err != nil || !strings.Contains(string(catalog), `{"breadcrumb":["properties","id"],"metadata":{"selected":false}}`) {
		t.Errorf("the catalog is %s, %v", catalog, err)
	}
}

func TestSettings(t *testing.T) {
	w := singertest.Open(t)
	for _, c := range []struct {
		code, field string
		change      func(*provider.Deps)
	}{
		{"SINGER-SETTINGS", "program", func(d *provider.Deps) { d.Config["program"] = "../tap-test" }},
		{"SINGER-SETTINGS", "program", func(d *provider.Deps) { d.Config["program"] = "/bin/sh" }},
		{"SINGER-SETTINGS", "program", func(d *provider.Deps) { d.Config["program"] = "tap-test --x" }},
		{"SINGER-SETTINGS", "program", func(d *provider.Deps) { d.Config["program"] = ".." }},
		{"SINGER-PROGRAM", "program", func(d *provider.Deps) { d.Config["program"] = "tap-none" }},
		{"SINGER-PROGRAM", "program", func(d *provider.Deps) { d.Programs = "" }},
		{"SINGER-SETTINGS", "tap_stream", func(d *provider.Deps) { d.Config["tap_stream"] = "" }},
		{"SINGER-SETTINGS", "config", func(d *provider.Deps) { d.Auth["config"] = "null" }},
		{"SINGER-SETTINGS", "config", func(d *provider.Deps) { d.Auth["config"] = "password=x" }},
		{"SINGER-SETTINGS", "catalog", func(d *provider.Deps) { d.Config["catalog"] = "{" }},
		{"SINGER-STREAM", "tap_stream", func(d *provider.Deps) { d.Config["catalog"] = `{"streams":[{"tap_stream_id":"a"}]}` }},
		{"SINGER-SETTINGS", "time_limit", func(d *provider.Deps) { d.Config["time_limit"] = "48h" }},
		{"SINGER-SETTINGS", "memory_limit_mb", func(d *provider.Deps) { d.Config["memory_limit_mb"] = "1" }},
	} {
		d := deps(t, w)
		d.Auth = maps.Clone(d.Auth)
		c.change(&d)
		_, err := singer.Definition().NewSource(d)
		wantCode(t, err, c.code, c.field, activation.Invalid)
	}
	// A file that is no program.
	if err := os.WriteFile(filepath.Join(singertest.Programs(t), "tap-text"), []byte("no program"), 0o755); err != nil { //nolint:gosec // it must look like one
		t.Fatal(err)
	}
	wantCode(t, source(t, deps(t, w, "program", "tap-text")).Check(t.Context()), "SINGER-PROGRAM", "program", activation.Invalid)
}
