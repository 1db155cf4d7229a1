package duckdb

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// saveChild makes TestKillWhileSaving a process that commits, saves and vacuums
// until it is killed.
const saveChild = "USHER_TEST_SAVE_DIR"

// savedPeople is how many rows the table of that process has, always.
const savedPeople = 3000

// A process is killed again and again while it commits beside saves and vacuums.
// Every transaction it told of is there, whole, and none is there in part. USHER_KILLS
// says how often, USHER_SEED when.
func TestKillWhileSaving(t *testing.T) {
	if dir := os.Getenv(saveChild); dir != "" {
		commitAndSave(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	kills, err := strconv.Atoi(os.Getenv("USHER_KILLS"))
	if err != nil {
		kills = 4
	}
	seed, err := strconv.ParseUint(os.Getenv("USHER_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d kills", seed, kills)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	last := 0
	for n := range kills {
		last = max(last, killWhileSaving(t, dir, time.Duration(r.IntN(500))*time.Millisecond))
		if n%3 == 2 || n == kills-1 { // otherwise the next process goes on with the log as it was left
			checkSaved(t, dir, last)
		}
	}
	t.Logf("%d commits", last)
}

// killWhileSaving returns the last transaction that the process told of.
func killWhileSaving(t *testing.T, dir string, after time.Duration) (last int) {
	t.Helper()
	cmd := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillWhileSaving$", "-test.count=1")
	cmd.Env = append(os.Environ(), saveChild+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, n, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "open":
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		case "committed":
			if last, err = strconv.Atoi(n); err != nil {
				t.Fatal(err)
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
	return last
}

func openSaved(t *testing.T, dir string) *DB {
	t.Helper()
	d, err := Open(t.Context(), Config{Path: filepath.Join(dir, "w.duckdb"), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// commitAndSave gives 20 rows another number in each transaction and tells of it,
// while another goroutine saves without pause and vacuums now and then.
func commitAndSave(t *testing.T, dir string) {
	d := openSaved(t, dir)
	var next int64
	if err := d.write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if err := execAll(ctx, tx, `CREATE TABLE IF NOT EXISTS saved (id BIGINT, n BIGINT, text VARCHAR)`,
			fmt.Sprintf(`INSERT INTO saved SELECT range, 0, 'person' || range FROM range(%d) WHERE NOT EXISTS (SELECT 1 FROM saved)`, savedPeople)); err != nil {
			return err
		}
		return queryRow(ctx, tx, "go on", `SELECT max(n) + 1 FROM saved`, nil, &next)
	}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("open")
	var saves sync.WaitGroup
	saves.Go(func() {
		for i := 0; ; i++ {
			_ = d.save(t.Context()) // a transaction may be in the way
			if i%5 == 4 {
				_ = d.vacuumOnce(t.Context())
			}
		}
	})
	for n := next; ; n++ {
		if err := d.write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return replaceRows(ctx, tx, "change", `saved`, fmt.Sprintf(`id %% 150 = %d`, n%150), fmt.Sprintf(`SELECT id, %d, 'person' || id || ' of %[1]d' FROM saved WHERE id %% 150 = %d`, n, n%150))
		}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("committed", n)
	}
}

// checkSaved opens what the process left. Transaction n wrote the rows that leave n
// over 150, and each earlier one those that a later one did not.
func checkSaved(t *testing.T, dir string, last int) {
	t.Helper()
	d := openSaved(t, dir)
	defer d.Close()
	var rows, people, parts, top int
	if err := queryRow(t.Context(), d.sql, "check", `SELECT count(*), count(DISTINCT id), max(n), (SELECT count(*) FROM (SELECT id % 150 FROM saved GROUP BY ALL HAVING min(n) <> max(n))) FROM saved`,
		nil, &rows, &people, &top, &parts); err != nil {
		t.Fatal(err)
	}
	if rows != savedPeople || people != savedPeople {
		t.Fatalf("%d rows of %d people, want %d", rows, people, savedPeople)
	}
	if parts > 0 {
		t.Fatalf("%d transactions are there in part", parts)
	}
	if top < last {
		t.Fatalf("transaction %d was committed, the last that is there is %d", last, top)
	}
	var lost int
	if err := queryRow(t.Context(), d.sql, "check", `SELECT count(*) FROM saved WHERE n <> greatest(0, $1 - ($1 - id % 150 + 150) % 150) AND n > 0`, []any{top}, &lost); err != nil {
		t.Fatal(err)
	}
	if lost > 0 {
		t.Fatalf("%d rows are not what the last transaction of them wrote", lost)
	}
}
