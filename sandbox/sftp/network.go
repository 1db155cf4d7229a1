package sftp

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"usher/sandbox/fault"
)

// What a fresh network takes.
const (
	DefaultUser     = "usher"
	DefaultPassword = "sandbox-password"
	// DefaultFolder is there and can be written to.
	DefaultFolder = "/upload"
	// Fingerprint is that of the host key. The key is no secret: it follows from a
	// fixed text, so that it is known before the sandbox runs.
	Fingerprint = "SHA256:2mHAnopY7nekuHmu5ahOktB/oSDJy2u5mJh4OohIpgk"
)

// Options set up a network. The zero value of every field is usable.
type Options struct {
	// User and Password are those of the one user; "" = the defaults.
	User, Password string
	// NoPassword refuses every password.
	NoPassword bool
	// Keys are public keys that sign the user in, as in authorized_keys.
	Keys []string
	// Folders are there and can be written to; none means DefaultFolder.
	Folders []string
	// ReadOnly are folders that are there and cannot be written to.
	ReadOnly []string
	// Quota is the most bytes of all files; 0 = no limit.
	Quota int64
	// MaxConnections is how many connections may be open; 0 means 10, as
	// OpenSSH's MaxSessions.
	MaxConnections int
}

func (o Options) withDefaults() Options {
	if o.User == "" {
		o.User = DefaultUser
	}
	if o.Password == "" {
		o.Password = DefaultPassword
	}
	if len(o.Folders) == 0 {
		o.Folders = []string{DefaultFolder}
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 10
	}
	return o
}

// Deps are what a network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// Network is one stand-in of an SFTP server. Its methods may be called in
// parallel.
type Network struct {
	opts    Options
	deps    Deps
	server  *ssh.ServerConfig
	keys    map[string]bool
	closing chan struct{}
	once    sync.Once

	mu       sync.Mutex
	address  string
	open     int
	files    map[string]*file
	calls    []Call
	counters Counters
}

// Call is one operation that arrived.
type Call struct {
	At   time.Time `json:"at"`
	Op   string    `json:"op"`
	Path string    `json:"path"`
	// From is the old name of a rename.
	From  string `json:"from,omitempty"`
	Bytes int    `json:"bytes,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// Counters are sums over all calls.
type Counters struct {
	Connections int `json:"connections"`
	SignIns     int `json:"sign_ins"`
	Refused     int `json:"refused"`
	Calls       int `json:"calls"`
	// Opened counts files opened for writing, Renamed those given another name,
	// Removed those taken away.
	Opened  int `json:"opened"`
	Renamed int `json:"renamed"`
	Removed int `json:"removed"`
}

// keptCalls is how many of the latest calls are kept.
const keptCalls = 1000

// New makes a network.
func New(o Options, d Deps) (*Network, error) {
	n := &Network{opts: o.withDefaults(), deps: d, keys: map[string]bool{}, closing: make(chan struct{}), files: map[string]*file{}}
	for _, line := range o.Keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("read a key: %w", err)
		}
		n.keys[string(key.Marshal())] = true
	}
	host, err := hostKey()
	if err != nil {
		return nil, err
	}
	n.server = &ssh.ServerConfig{PublicKeyCallback: n.checkKey, MaxAuthTries: 6}
	if !o.NoPassword {
		n.server.PasswordCallback = n.checkPassword
	}
	n.server.AddHostKey(host)
	return n, nil
}

func hostKey() (ssh.Signer, error) {
	seed := sha256.Sum256([]byte("the host key of usher's sandbox, which is no secret"))
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		return nil, fmt.Errorf("make the host key: %w", err)
	}
	return key, nil
}

// Counters returns the sums so far.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counters
}

// Calls returns the latest calls, oldest first.
func (n *Network) Calls() []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Call(nil), n.calls...)
}

// Release lets the calls go that a fault holds.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close releases held calls. The connections end with Serve.
func (n *Network) Close() error {
	n.Release()
	return nil
}

// Overview is what the sandbox says of the network.
func (n *Network) Overview() map[string]any {
	return map[string]any{"address": n.addressNow(), "files": len(n.Files())}
}

func (n *Network) addressNow() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.address
}
