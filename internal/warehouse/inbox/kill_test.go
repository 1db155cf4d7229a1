package inbox

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// childDir makes the test binary a process that accepts loads until it is killed.
const childDir = "USHER_TEST_INBOX_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child spools and adds loads without end and prints the id of each that was
// accepted.
func child(dir string) {
	ctx := context.Background()
	b, err := Open(ctx, Config{Dir: dir})
	for n := 0; err == nil; n++ {
		var s *Spool
		id := activation.NewID[string]()
		if s, err = b.NewSpool(id); err != nil {
			break
		}
		for range 50 {
			if _, err = s.Write([]byte(content(id)[:650])); err != nil {
				break
			}
		}
		l := Load{Load: warehouse.Load{ID: id, Stream: "s", Rows: 1, ReceivedAt: time.Now()}, Bytes: s.Bytes()}
		if l.Path, err = s.Commit(); err != nil {
			break
		}
		if n%7 == 3 {
			fmt.Println("named " + id) // the parent may kill between file and row
			time.Sleep(2 * time.Millisecond)
		}
		if err = b.Add(ctx, l); err == nil {
			fmt.Println("accepted " + id)
		}
	}
	fmt.Println("error", err)
	os.Exit(1)
}

func content(id string) string { return strings.Repeat(id+"\n", 20) }

// Whatever moment a process is killed at: all that it accepted is there, whole,
// and no file is there that was not accepted.
func TestKillLosesNothingAccepted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	accepted := map[string]bool{}
	between := 0
	for range 12 {
		last := killedRun(t, exe, dir, accepted, time.Duration(20+rng.IntN(60))*time.Millisecond)
		if strings.HasPrefix(last, "named ") {
			between++
		}
		check(t, dir, accepted)
	}
	// And once surely between file and row.
	for try := 0; between == 0 && try < 50; try++ {
		if strings.HasPrefix(killedRun(t, exe, dir, accepted, 0), "named ") {
			between++
		}
		check(t, dir, accepted)
	}
	if len(accepted) == 0 || between == 0 {
		t.Errorf("%d accepted, %d kills between file and row: nothing was tested", len(accepted), between)
	}
}

// killedRun runs the child and kills it after a while, or with 0 as soon as it
// has named a file. It returns the child's last line.
func killedRun(t *testing.T, exe, dir string, accepted map[string]bool, after time.Duration) (last string) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(cmp.Or(after, 2*time.Minute), func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = lines.Text()
		if after == 0 && strings.HasPrefix(last, "named ") {
			_ = cmd.Process.Kill()
		}
		if strings.HasPrefix(last, "error") {
			t.Errorf("the child says %s", last)
		}
		if id, ok := strings.CutPrefix(last, "accepted "); ok {
			accepted[id] = true
		}
	}
	_ = cmd.Wait() // it was killed
	return last
}

func check(t *testing.T, dir string, accepted map[string]bool) {
	t.Helper()
	b, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	loads, err := b.Pending(t.Context(), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	pending := map[string]bool{}
	for _, l := range loads {
		pending[l.ID] = true
		text, err := os.ReadFile(l.Path)
		if err != nil || int64(len(text)) != l.Bytes || strings.Count(string(text), l.ID) < 950 {
			t.Errorf("load %s: %d of %d bytes, %v", l.ID, len(text), l.Bytes, err)
		}
	}
	for id := range accepted {
		if !pending[id] {
			t.Errorf("load %s was accepted and is gone", id)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "spool", "*"))
	if err != nil || len(files) != len(loads) {
		t.Errorf("%d files for %d loads, %v", len(files), len(loads), err)
	}
}
