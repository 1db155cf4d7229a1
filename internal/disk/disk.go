// Package disk watches how much room is left where the server keeps its data.
//
// It owns the one limit under which nothing new is begun: no run starts and no
// upload is taken, while what is under way may end and be written down. It must
// not delete anything. It is built for the disk that fills up over night: the
// databases stop while there is still room for them to close in good order.
package disk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"usher/internal/activation"
	"usher/internal/warehouse/inbox"
)

const (
	// LeastPercent is how much of the disk must be free.
	LeastPercent = 5
	// lookEvery is how long an answer holds.
	lookEvery = 5 * time.Second
	// code is that of every fault of the server itself.
	code = "INTERNAL-019"
)

// Config is what a Guard is made of.
type Config struct {
	// Dir is the directory whose disk is watched.
	Dir string
	// Room tells how many bytes of a disk are free and how many there are; nil
	// = asks the system.
	Room func(dir string) (free, total uint64, err error)
	// Changed is told when the room has become too little (nil error = enough
	// again), before anybody else; it may fail, and is then told again. May be nil.
	Changed func(ctx context.Context, err error) error
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Guard says whether there is room to begin anything new. Its method may be
// called by any goroutine.
type Guard struct {
	cfg Config

	mu     sync.Mutex
	looked time.Time
	err    error
	told   bool // of err
}

// New returns a guard. The first call of Check looks.
func New(cfg Config) *Guard {
	if cfg.Room == nil {
		cfg.Room = room
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func(context.Context, error) error { return nil }
	}
	return &Guard{cfg: cfg, told: true}
}

// Check returns nil when there is room, else an Internal error with
// inbox.ErrDiskFull in its chain. A disk that cannot be asked counts as one with
// room: what is wrong with it shows in what is done there.
func (g *Guard) Check(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.cfg.Now()
	if !g.looked.IsZero() && now.Sub(g.looked) < lookEvery {
		return g.err
	}
	g.looked = now
	found := g.look()
	if (found == nil) != (g.err == nil) {
		g.told = false
	}
	g.err = found
	if !g.told {
		g.told = g.cfg.Changed(ctx, found) == nil
	}
	return g.err
}

func (g *Guard) look() error {
	free, total, err := g.cfg.Room(g.cfg.Dir)
	if err != nil || total == 0 || float64(free)*100 >= float64(total)*LeastPercent {
		return nil //nolint:nilerr // see Check
	}
	return &activation.Error{
		Kind: activation.Internal, Code: code, Err: inbox.ErrDiskFull,
		Message: fmt.Sprintf("less than %d %% of the server's disk is free; nothing new is begun until there is more room", LeastPercent),
	}
}

func room(dir string) (free, total uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, fmt.Errorf("ask how full the disk is: %w", err)
	}
	size := uint64(max(fs.Bsize, 0))
	return fs.Bavail * size, fs.Blocks * size, nil
}
