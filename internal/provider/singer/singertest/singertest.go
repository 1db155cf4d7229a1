// Package singertest connects the suite of sources to a tap that is built by the
// test. It is imported by tests only.
package singertest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"usher/internal/provider"
	"usher/internal/provider/singer"
	"usher/internal/provider/sourcetest"
)

var (
	once   sync.Once
	folder string
	failed error
)

// Main runs the tests of a binary and removes the tap.
func Main(m *testing.M) int {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	return code
}

// Programs returns the folder with the program tap-test, which is built at the
// first call.
func Programs(t testing.TB) string {
	t.Helper()
	once.Do(func() {
		if folder, failed = os.MkdirTemp("", "usher-tap"); failed != nil { //nolint:usetesting // it is that of all tests
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(folder, "tap-test"), "usher/internal/provider/singer/singertest/tap").CombinedOutput() //nolint:gosec,noctx // our own program
		if err != nil {
			failed = fmt.Errorf("%w: %s", err, out)
		}
	})
	if failed != nil {
		t.Fatalf("build the tap: %v", failed)
	}
	return folder
}

// Harness returns what the suite of sources needs.
func Harness(t testing.TB) sourcetest.Harness {
	return sourcetest.Harness{
		Definition: singer.Definition(), Workflow: "singer_import",
		Open: func() (sourcetest.World, error) { return Open(t), nil },
		Skip: map[string]string{"credentials that are refused": "a tap ends with a code that says only that it failed"},
	}
}

// World is a folder that the tap reads.
type World struct {
	Dir      string
	programs string
}

// Open makes one.
func Open(t testing.TB) *World { return &World{Dir: t.TempDir(), programs: Programs(t)} }

// Deps are those of the tap.
func (w *World) Deps() provider.Deps {
	config, err := json.Marshal(map[string]string{"dir": w.Dir, "password": "conformance-password"})
	if err != nil {
		panic(err) // two texts
	}
	return provider.Deps{
		Auth: map[string]provider.Secret{"config": provider.Secret(config)}, Programs: w.programs, Workflow: "singer_import",
		Config: map[string]string{"program": "tap-test", "tap_stream": "shop-people"},
	}
}

// Hosts are none.
func (w *World) Hosts() []string { return nil }

// Add brings rows.
func (w *World) Add(words []string) error {
	f, err := os.OpenFile(filepath.Join(w.Dir, "rows"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(strings.Join(words, "\n") + "\n"); err != nil {
		return err
	}
	return f.Close()
}

// Missing names another stream.
func (w *World) Missing() map[string]string { return map[string]string{"tap_stream": "shop-nobody"} }

// Mode makes the tap behave so.
func (w *World) Mode(mode string) error {
	return os.WriteFile(filepath.Join(w.Dir, "mode"), []byte(mode), 0o600)
}

// Fail arranges the fault.
func (w *World) Fail(f sourcetest.Fault) error {
	switch f {
	case sourcetest.Cut:
		return w.Mode("cut")
	case sourcetest.Down:
		return w.Mode("down")
	default:
		return fmt.Errorf("a tap does not fail by %q", f)
	}
}

// Heal ends all faults.
func (w *World) Heal() { _ = w.Mode("") }

// Close has nothing to end.
func (w *World) Close() {}
