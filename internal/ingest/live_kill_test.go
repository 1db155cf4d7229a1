package ingest_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher/internal/ingest"
	"usher/internal/warehouse"
	"usher/internal/warehouse/duckdb"
	"usher/internal/warehouse/inbox"
)

// killDir makes TestKillCountsOnce a process that takes data in until it is killed.
const killDir = "USHER_TEST_KILL_DIR"

// killAfter is which merge that process kills itself after, before the inbox knows
// of it; "" = it is killed from outside.
const killAfter = "USHER_TEST_KILL_AFTER"

// rowsOfUpload is how many rows an upload of that process has: several slices.
const rowsOfUpload = 450

// A server is killed while messages and uploads come in, by turns at random moments
// and between a merge and the inbox's note of it. In the
// end everything that was acknowledged counts exactly once, what was refused does
// not count, and nothing counts twice. USHER_KILLS says how often, USHER_SEED when.
func TestKillCountsOnce(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		killed(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	kills, err := strconv.Atoi(os.Getenv("USHER_KILLS"))
	if err != nil {
		kills = 3
	}
	seed, err := strconv.ParseUint(os.Getenv("USHER_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d kills", seed, kills)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	accepted := map[string]bool{}
	for n := range kills {
		after := time.Duration(r.IntN(900)) * time.Millisecond
		if n%2 == 0 {
			killOnce(t, dir, n, time.Minute, accepted, fmt.Sprintf("%s=%d", killAfter, 1+r.IntN(4)))
		} else {
			killOnce(t, dir, n, after, accepted)
		}
	}
	countOnce(t, dir, accepted)
}

// killOnce starts the process, kills it some time after its first word and notes
// what it acknowledged.
func killOnce(t *testing.T, dir string, n int, after time.Duration, accepted map[string]bool, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillCountsOnce$", "-test.count=1") //nolint:gosec // this test binary
	cmd.Env = append(append(os.Environ(), killDir+"="+dir, fmt.Sprintf("USHER_TEST_KILL_NAME=k%d", n)), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "open":
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		case "accepted":
			accepted[rest] = true
		case "uploaded":
			for i := range rowsOfUpload {
				accepted[fmt.Sprintf("%s-%d", rest, i)] = true
			}
		default:
			t.Errorf("the child says %q", lines.Text())
		}
	}
	_ = cmd.Wait() // it was killed
	if timer == nil {
		t.Fatal("the child did not start")
	}
	timer.Stop()
}

// killPlant is what the process runs: all of it real, and in small steps.
func killPlant(t *testing.T, dir string) *plant {
	t.Helper()
	db, err := duckdb.Open(t.Context(), duckdb.Config{Path: filepath.Join(dir, "data.duckdb"), Threads: 2, MaxSliceLines: 200})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inbox.Open(t.Context(), inbox.Config{Dir: filepath.Join(dir, "inbox")})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{
		db: db, merger: ingest.NewMerger(ingest.MergerConfig{Inbox: in, Warehouse: db, LivePause: 5 * time.Millisecond, OnMerged: killsItself()}),
		Collector: ingest.NewCollector(ingest.CollectorConfig{Inbox: in, Schema: db}),
	}
	mappings := []warehouse.Mapping{}
	for _, s := range []string{"live", "more", "bulk"} {
		mappings = append(mappings, warehouse.Mapping{Stream: s, Field: "token", Expression: "k"}, warehouse.Mapping{Stream: s, Field: "times", Expression: "n"})
	}
	if _, err := db.Apply(t.Context(), warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "token", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
			{Name: "times", Type: warehouse.Integer, Merge: warehouse.Sum},
		},
		Streams:  []warehouse.Stream{{Name: "live"}, {Name: "more"}, {Name: "bulk"}},
		Mappings: mappings,
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.merger.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_, _ = in.Close(), db.Close()
	})
	return p
}

// killsItself ends the process, in a child that is told so, after some batch of
// messages was merged and before the inbox knows.
func killsItself() func(context.Context, warehouse.Load, warehouse.LoadResult) {
	left, err := strconv.Atoi(os.Getenv(killAfter))
	if err != nil {
		return nil
	}
	return func(_ context.Context, l warehouse.Load, _ warehouse.LoadResult) {
		if !l.Urgent {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

// killed sends messages and uploads until it is killed and says what was accepted.
func killed(t *testing.T, dir string) {
	p, name := killPlant(t, dir), os.Getenv("USHER_TEST_KILL_NAME")
	fmt.Println("open")
	for c := range 4 {
		go func() {
			for n := 0; ; n++ {
				token := fmt.Sprintf("%s-live-%d-%d", name, c, n)
				stream, text := []string{"live", "more"}[n%2], fmt.Sprintf(`{"k":%q,"n":1}`, token)
				if n%5 == 0 { // refused as a whole
					text = fmt.Sprintf(`[{"k":"refused-%s","n":1},{"k":{}}]`, token)
				}
				if _, err := p.JSON(t.Context(), ingest.Request{Stream: stream, Body: strings.NewReader(text)}); err == nil {
					fmt.Println("accepted " + token)
				} else if n%5 != 0 {
					fmt.Println("error", err)
				}
			}
		}()
	}
	for n := 0; ; n++ {
		upload := fmt.Sprintf("%s-bulk-%d", name, n)
		var text strings.Builder
		text.WriteString("k,n\n")
		for i := range rowsOfUpload {
			fmt.Fprintf(&text, "%s-%d,1\n", upload, i)
		}
		if _, err := p.Bulk(t.Context(), ingest.Request{Stream: "bulk", Body: strings.NewReader(text.String())}); err != nil {
			fmt.Println("error", err)
		}
		fmt.Println("uploaded " + upload)
		time.Sleep(300 * time.Millisecond)
	}
}

// countOnce merges what is left and compares the profiles with what was accepted.
func countOnce(t *testing.T, dir string, accepted map[string]bool) {
	t.Helper()
	p := killPlant(t, dir)
	for rest, begun := 1, time.Now(); rest > 0; time.Sleep(20 * time.Millisecond) {
		rows, _ := p.merger.Waiting()
		loads, err := p.merger.Recent(t.Context(), "bulk", 1000)
		if err != nil {
			t.Fatal(err)
		}
		rest = int(rows)
		for _, l := range loads {
			if l.Status == inbox.Failed {
				t.Fatalf("load failed: %+v", l)
			}
			if l.Status == inbox.Pending {
				rest++
			}
		}
		if time.Since(begun) > 5*time.Minute {
			t.Fatalf("%d are still not merged", rest)
		}
	}
	found, live := map[string]bool{}, 0
	for after := int64(0); ; {
		page, err := p.db.Scan(t.Context(), "FILTER *", time.Now(), after, 5000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, who := range page {
			after = who.ID
			token, _ := who.Values["token"].(string)
			found[token] = true
			if strings.Contains(token, "-live-") {
				live++
			}
			if who.Values["times"] != int64(1) {
				t.Errorf("%s counts %v times", token, who.Values["times"])
			}
			if strings.HasPrefix(token, "refused") {
				t.Errorf("%s was refused and counts", token)
			}
		}
	}
	for token := range accepted {
		if !found[token] {
			t.Errorf("%s was accepted and does not count", token)
		}
	}
	t.Logf("%d accepted, %d found, %d of them in real time", len(accepted), len(found), live)
}
