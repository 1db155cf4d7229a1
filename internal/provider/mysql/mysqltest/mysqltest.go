// Package mysqltest runs a throw-away MariaDB for tests: one server per test
// binary, one database per test, and a proxy before each that can cut what is
// open. Only tests import it.
//
// It uses the mariadb-install-db and mariadbd that are installed and starts the
// server at the first call of New on a socket of its own. Where they are not
// installed tests are skipped, unless USHER_MUST_RUN names mariadb. A package that
// uses it calls Main from TestMain, which stops the server.
package mysqltest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"usher/internal/provider"
)

const password = "import-password"

// server is the running one.
type server struct {
	dir  string
	as   *syscall.Credential // nil = who we are
	fail error
	// guard is a shell that stops the server when hold is closed, which the end of
	// this process does, however it comes.
	guard *exec.Cmd
	hold  io.Closer
	admin *sql.DB
}

var (
	once    sync.Once
	running server
	number  atomic.Int64
)

var errMissing = errors.New("MariaDB is not installed (package mariadb-server: mariadbd, mariadb-install-db)")

// Main runs the tests of a binary and stops the server, if one was started.
func Main(m *testing.M) int {
	code := m.Run()
	once.Do(func() {}) // none starts any more
	if running.admin != nil {
		_ = running.admin.Close()
	}
	if running.guard != nil {
		_ = running.hold.Close()
		_ = running.guard.Wait()
	}
	if running.dir != "" {
		_ = os.RemoveAll(running.dir)
	}
	return code
}

// start makes and starts the server. It never syncs to disk: it is thrown away.
func (s *server) start() error {
	install, err1 := exec.LookPath("mariadb-install-db")
	daemon, err2 := find()
	if err := errors.Join(err1, err2); err != nil {
		return errMissing
	}
	var err error
	if s.as, err = notRoot(); err != nil {
		return err
	}
	// The path of a socket may be 107 bytes long, so not t.TempDir.
	if s.dir, err = os.MkdirTemp("", "usher-my"); err != nil {
		return err
	}
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	}
	data, socket := filepath.Join(s.dir, "data"), s.socket()
	if out, err := s.run(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
		return fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	const script = `"$1" --no-defaults --datadir="$2/data" --socket="$2/s" --skip-networking --pid-file="$2/pid" --skip-log-bin \
		--innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-buffer-pool-size=32M --log-error="$2/log" >/dev/null 2>&1 </dev/null &
		cat >/dev/null; kill $! 2>/dev/null; wait; cd /; rm -rf "$2"`
	s.guard = exec.Command("sh", "-c", script, "guard", daemon, s.dir) //nolint:gosec,noctx // it ends with this process
	s.guard.Dir = "/"
	// A group of its own: what interrupts the tests at a terminal must not end it.
	s.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
	hold, err := s.guard.StdinPipe()
	if err != nil {
		return err
	}
	s.hold = hold
	if err := s.guard.Start(); err != nil {
		return err
	}
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.Logger = "root", "unix", socket, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	s.admin = sql.OpenDB(connector)
	for begun := time.Now(); ; {
		if err = s.admin.PingContext(context.Background()); err == nil {
			return nil
		}
		if time.Since(begun) > time.Minute {
			said, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("mariadbd does not answer: %w: %s", err, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *server) socket() string { return filepath.Join(s.dir, "s") }

func (s *server) run(program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // a program of MariaDB; it ends by itself
	cmd.Dir = s.dir
	if s.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	}
	out, err := cmd.CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}

// find returns the server's program: in PATH, else where Debian puts it.
func find() (string, error) {
	if path, err := exec.LookPath("mariadbd"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/mariadbd")
}

// notRoot returns who the server runs as: it refuses to be root.
func notRoot() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no other user is needed
	}
	for _, name := range []string{"mysql", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("MariaDB does not run as root, and there is neither a user mysql nor nobody")
}

// Network is a fresh database, a user that may read it, and a proxy before the
// server.
type Network struct {
	Name, User string
	listener   net.Listener
	admin      *sql.Conn

	// most is how many bytes a session's server may say before it is cut; 0 = any
	// number. down: nobody is let in.
	most atomic.Int64
	down atomic.Bool

	mu   sync.Mutex
	open map[net.Conn]struct{}
	all  sync.WaitGroup
}

// New makes one. It ends with the test.
func New(t testing.TB) *Network {
	t.Helper()
	once.Do(func() { running.fail = running.start() })
	if errors.Is(running.fail, errMissing) && !strings.Contains(os.Getenv("USHER_MUST_RUN"), "mariadb") {
		t.Skipf("%v; `make deps` installs it", running.fail)
	}
	if running.fail != nil {
		t.Fatalf("MariaDB does not start: %v", running.fail)
	}
	id := strconv.FormatInt(number.Add(1), 10)
	n := &Network{Name: "t" + id, User: "u" + id, open: map[net.Conn]struct{}{}}
	var err error
	if n.admin, err = running.admin.Conn(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.Do("CREATE DATABASE " + n.Name + " CHARACTER SET utf8mb4")
	n.Do("USE " + n.Name)
	n.Do("CREATE USER " + n.User + "@localhost IDENTIFIED BY '" + password + "'")
	n.Do("GRANT SELECT, EXECUTE ON " + n.Name + ".* TO " + n.User + "@localhost")
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // a stand-in on loopback
		t.Fatal(err)
	}
	n.all.Go(n.accept)
	t.Cleanup(n.Close)
	return n
}

// Close ends the proxy and what goes through it. It may be called twice.
func (n *Network) Close() {
	_ = n.listener.Close()
	n.Cut()
	n.all.Wait()
	_ = n.admin.Close()
}

func (n *Network) accept() {
	for {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("unix", running.socket()) //nolint:noctx // see above
		if err == nil && n.down.Load() {
			_ = far.Close()
			err = net.ErrClosed
		}
		if err != nil {
			_ = client.Close()
			continue
		}
		n.mu.Lock()
		n.open[client], n.open[far] = struct{}{}, struct{}{}
		n.mu.Unlock()
		carry := func(to, from net.Conn, text io.Reader) {
			_, _ = io.Copy(to, text)
			_ = to.Close()
			_ = from.Close()
			n.mu.Lock()
			delete(n.open, to)
			n.mu.Unlock()
		}
		said := io.Reader(far)
		if most := n.most.Load(); most > 0 {
			said = io.LimitReader(far, most)
		}
		n.all.Go(func() { carry(far, client, client) })
		n.all.Go(func() { carry(client, far, said) })
	}
}

// Cut ends all connections that are open now, without a word.
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		_ = c.Close()
	}
}

// Do runs a statement as the owner of the server; %s is the name of the database.
func (n *Network) Do(statement string) {
	if _, err := n.admin.ExecContext(context.Background(), strings.ReplaceAll(statement, "%s", n.Name)); err != nil {
		panic(fmt.Errorf("%s: %w", statement, err)) // the oracle's own statements
	}
}

// Ask returns the one value that a question has, as text.
func (n *Network) Ask(question string) string {
	var out sql.NullString
	if err := n.admin.QueryRowContext(context.Background(), strings.ReplaceAll(question, "%s", n.Name)).Scan(&out); err != nil {
		panic(fmt.Errorf("%s: %w", question, err))
	}
	return out.String
}

// Deps are those of the server.
func (n *Network) Deps() provider.Deps {
	host, port, err := net.SplitHostPort(n.listener.Addr().String())
	if err != nil {
		panic(err) // the listener made it
	}
	return provider.Deps{
		Workflow: "mysql_import",
		Auth: map[string]provider.Secret{
			"host": provider.Secret(host), "port": provider.Secret(port), "username": provider.Secret(n.User), "password": password,
			"database": provider.Secret(n.Name), "sslmode": "disable",
		},
		Config: map[string]string{},
	}
}

// Hosts is the proxy's address.
func (n *Network) Hosts() []string { return []string{n.listener.Addr().String()} }
