package disk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/disk"
	"usher/internal/warehouse/inbox"
)

func TestGuard(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	var free uint64
	var roomErr, tellErr error
	var told []bool // whether it was full
	g := disk.New(disk.Config{
		Room: func(string) (uint64, uint64, error) { return free, 1000, roomErr },
		Now:  func() time.Time { return now },
		Changed: func(_ context.Context, err error) error {
			told = append(told, err != nil)
			return tellErr
		},
	})
	for _, step := range []struct {
		name  string
		wait  time.Duration
		free  uint64
		room  error
		tell  error
		full  bool
		tells int
	}{
		{"half full", 0, 500, nil, nil, false, 0},
		{"an answer holds", 4 * time.Second, 0, nil, nil, false, 0},
		{"too full, and nobody can be told", time.Second, 49, nil, errors.New("database locked"), true, 1},
		{"told the next time", 5 * time.Second, 49, nil, nil, true, 2},
		{"told once", 5 * time.Second, 10, nil, nil, true, 2},
		{"just enough", 5 * time.Second, 50, nil, nil, false, 3},
		{"cannot be asked", 5 * time.Second, 0, errors.New("no such directory"), nil, false, 3},
	} {
		now = now.Add(step.wait)
		free, roomErr, tellErr = step.free, step.room, step.tell
		err := g.Check(t.Context())
		if (err != nil) != step.full || len(told) != step.tells {
			t.Fatalf("%s: %v, told %v", step.name, err, told)
		}
		if err != nil && (!errors.Is(err, inbox.ErrDiskFull) || activation.CodeOf(err) != "INTERNAL-019" || activation.KindOf(err) != activation.Internal) {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	if err := disk.New(disk.Config{Dir: t.TempDir(), Room: nil}).Check(t.Context()); err != nil && !errors.Is(err, inbox.ErrDiskFull) {
		t.Fatal(err)
	}
}
