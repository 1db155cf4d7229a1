// Package postgrestest runs a throw-away PostgreSQL for tests: one cluster per
// test binary, one schema or one database per test.
//
// It uses the initdb and pg_ctl that are installed, starts the cluster at the
// first call of New on a socket of its own, and stops it in Main. Where they
// are not installed tests are skipped, unless USHER_MUST_RUN names postgres.
// Only tests import it.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"usher/internal/store/postgres"
)

// cluster is the running one.
type cluster struct {
	dir  string // holds data and socket
	bin  string
	as   *syscall.Credential // nil = who we are
	fail error
	// guard is a shell that stops the cluster when hold is closed, which the end
	// of this process does, however it comes.
	guard *exec.Cmd
	hold  io.Closer
}

var (
	once    sync.Once
	running cluster
	number  atomic.Int64
)

// errMissing: PostgreSQL is not installed.
var errMissing = errors.New("PostgreSQL is not installed (package postgresql: initdb, pg_ctl)")

// Main runs the tests of a binary and stops the cluster, if one was started. A
// package that calls New calls it from TestMain: os.Exit(postgrestest.Main(m)).
func Main(m *testing.M) int {
	code := m.Run()
	Stop()
	return code
}

// Stop stops the cluster, if one was started, and removes it.
func Stop() {
	once.Do(func() {}) // none starts any more
	if running.dir == "" {
		return
	}
	if running.guard != nil {
		_ = running.hold.Close()
		_ = running.guard.Wait()
	}
	_ = os.RemoveAll(running.dir)
}

// New returns the address of a database whose connections see a fresh, empty
// schema and nothing else. It is thrown away with the cluster.
func New(t testing.TB) string {
	t.Helper()
	begin(t)
	name := next()
	if err := running.admin(context.Background(), `CREATE SCHEMA `+name); err != nil {
		t.Fatalf("make a schema: %v", err)
	}
	return running.url("postgres", name)
}

// Fresh returns the address of a database of its own with an empty control
// plane that is up to date. It is a copy of one that was brought up to date once
// for the test binary: never use it in a test that is about migrating. It is
// thrown away with the cluster.
func Fresh(t testing.TB) string {
	t.Helper()
	begin(t)
	if err := template(); err != nil {
		t.Fatalf("make the template: %v", err)
	}
	name := next()
	if err := running.admin(context.Background(), `CREATE DATABASE `+name+` TEMPLATE uptodate`); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return running.url(name, "public")
}

// template makes the database of which Fresh makes copies.
var template = sync.OnceValue(func() error {
	ctx := context.Background()
	if err := running.admin(ctx, `CREATE DATABASE uptodate`); err != nil {
		return err
	}
	s, err := postgres.Open(ctx, running.url("uptodate", "public"), postgres.Options{})
	if err != nil {
		return err
	}
	return s.Close()
})

// begin starts the cluster, or skips the test.
func begin(t testing.TB) {
	t.Helper()
	once.Do(func() { running.fail = running.start() })
	if errors.Is(running.fail, errMissing) && !strings.Contains(os.Getenv("USHER_MUST_RUN"), "postgres") {
		t.Skipf("%v; `make deps` installs it", running.fail)
	}
	if running.fail != nil {
		t.Fatalf("PostgreSQL does not start: %v", running.fail)
	}
}

func next() string { return "t" + strconv.FormatInt(number.Add(1), 10) }

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) url(database, schema string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {c.dir}, "user": {"usher"}, "search_path": {schema}}.Encode()
}

func (c *cluster) admin(ctx context.Context, statement string) (err error) {
	conn, err := pgx.Connect(ctx, c.url("postgres", "public"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// start makes and starts the cluster. It never syncs to disk: it is thrown away.
func (c *cluster) start() error {
	var err error
	if c.bin, err = find(); err != nil {
		return err
	}
	if c.as, err = notRoot(); err != nil {
		return err
	}
	// The path of a socket may be 107 bytes long, so not t.TempDir.
	if c.dir, err = os.MkdirTemp("", "usher-pg"); err != nil {
		return err
	}
	if c.as != nil {
		if err := os.Chown(c.dir, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return err
		}
	}
	if err := c.watch(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	if out, err := c.run("initdb", "-D", c.data(), "-U", "usher", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	options := "-k " + c.dir + " -c listen_addresses='' -c fsync=off -c full_page_writes=off -c synchronous_commit=off" +
		" -c max_connections=300 -c shared_buffers=64MB -c log_min_messages=warning"
	if out, err := c.run("pg_ctl", "-D", c.data(), "-l", filepath.Join(c.dir, "log"), "-o", options, "-w", "start"); err != nil {
		return fmt.Errorf("pg_ctl: %w: %s", err, out)
	}
	return nil
}

// watch starts the guard.
func (c *cluster) watch() error {
	const script = `cat >/dev/null; "$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null 2>&1; cd /; rm -rf "$2"`
	c.guard = exec.Command("sh", "-c", script, "guard", c.bin, c.dir) //nolint:gosec,noctx // it ends with this process
	c.guard.Dir = "/"
	// A group of its own: what interrupts the tests at a terminal must not end it.
	c.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.as}
	hold, err := c.guard.StdinPipe()
	if err != nil {
		return err
	}
	c.hold = hold
	return c.guard.Start()
}

func (c *cluster) run(program string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(c.bin, program), args...) //nolint:gosec,noctx // a program of PostgreSQL; pg_ctl ends by itself
	cmd.Dir = c.dir
	if c.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	}
	// The server inherits what we hand it: a pipe would keep us waiting for it.
	out, err := os.CreateTemp(c.dir, "out")
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	said, rerr := os.ReadFile(out.Name())
	return string(bytes.TrimSpace(said)), errors.Join(err, rerr)
}

// find returns the folder of initdb and pg_ctl: in PATH, else the newest that
// Debian installed.
func find() (string, error) {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, debian...) {
		if _, err := os.Stat(filepath.Join(dir, "pg_ctl")); err == nil {
			return dir, nil
		}
	}
	return "", errMissing
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// notRoot returns who the server runs as: it refuses to be root.
func notRoot() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no other user is needed
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}
