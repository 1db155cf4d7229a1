package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"usher/sandbox/fault"
)

// What a fresh network takes.
const (
	DefaultAccessKey = "USHERSANDBOXKEY00001"
	DefaultSecretKey = "sandbox-secret-key"
	DefaultRegion    = "us-east-1"
	DefaultBucket    = "usher-sandbox"
)

// Options set up a network. The zero value of every field is usable.
type Options struct {
	// AccessKey, SecretKey and Region are what requests must be signed with; "" =
	// the defaults. SessionToken, when set, must come with them.
	AccessKey, SecretKey, SessionToken, Region string
	// Buckets are there; none means DefaultBucket.
	Buckets []string
	// Domain, when set, is that below which buckets stand in host names.
	Domain string
	// ReadOnly refuses everything that changes a bucket.
	ReadOnly bool
	// MaxBytes is the most bytes of one object; 0 means 64 MiB. S3 itself takes 5
	// GB in one PUT.
	MaxBytes int64
}

func (o Options) withDefaults() Options {
	if o.AccessKey == "" {
		o.AccessKey = DefaultAccessKey
	}
	if o.SecretKey == "" {
		o.SecretKey = DefaultSecretKey
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if len(o.Buckets) == 0 {
		o.Buckets = []string{DefaultBucket}
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
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

// Call is one request that arrived.
type Call struct {
	At     time.Time `json:"at"`
	Op     string    `json:"op"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Bytes  int       `json:"bytes,omitempty"`
	// Code is what it was refused with.
	Code  string `json:"code,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// keptCalls is how many of the latest calls are kept.
const keptCalls = 1000

// Network is one stand-in of S3. Its methods may be called in parallel.
type Network struct {
	opts    Options
	deps    Deps
	store   *s3mem.Backend
	server  http.Handler
	closing chan struct{}
	once    sync.Once

	mu     sync.Mutex
	calls  []Call
	total  int
	writes int
}

// New makes a network with empty buckets.
func New(o Options, d Deps) (*Network, error) {
	n := &Network{opts: o.withDefaults(), deps: d, store: s3mem.New(s3mem.WithTimeSource(clock{d.Now})), closing: make(chan struct{})}
	for _, b := range n.opts.Buckets {
		if err := n.store.CreateBucket(b); err != nil {
			return nil, fmt.Errorf("make bucket %q: %w", b, err)
		}
	}
	// The clock is looked at with the signature.
	n.server = gofakes3.New(n.store, gofakes3.WithTimeSkewLimit(0), gofakes3.WithTimeSource(clock{d.Now}), gofakes3.WithRequestID(d.Seed), gofakes3.WithoutVersioning()).Server()
	return n, nil
}

// clock tells gofakes3 the time.
type clock struct{ now func() time.Time }

func (c clock) Now() time.Time                  { return c.now() }
func (c clock) Since(t time.Time) time.Duration { return c.now().Sub(t) }

// Release lets the calls go that a fault holds.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close releases held calls.
func (n *Network) Close() error {
	n.Release()
	return nil
}

// Calls returns the latest calls, oldest first.
func (n *Network) Calls() []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Call(nil), n.calls...)
}

// Counts are how many calls have arrived, and how many of them change a bucket.
func (n *Network) Counts() (all, writes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.total, n.writes
}

// Object is one that is there.
type Object struct {
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Type     string `json:"content_type"`
	Checksum string `json:"checksum_sha256,omitempty"`
}

// Objects lists all objects by bucket and key.
func (n *Network) Objects() ([]Object, error) {
	var out []Object
	for _, bucket := range n.opts.Buckets {
		list, err := n.store.ListBucket(bucket, nil, gofakes3.ListBucketPage{})
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", bucket, err)
		}
		for _, entry := range list.Contents {
			body, meta, ok := n.object(bucket, entry.Key)
			if !ok {
				continue
			}
			sum := sha256.Sum256(body)
			out = append(out, Object{
				Bucket: bucket, Key: entry.Key, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]),
				Type: meta["Content-Type"], Checksum: meta["X-Amz-Checksum-Sha256"],
			})
		}
	}
	return out, nil
}

// Object returns the body of an object.
func (n *Network) Object(bucket, key string) ([]byte, bool) {
	body, _, ok := n.object(bucket, key)
	return body, ok
}

func (n *Network) object(bucket, key string) (body []byte, meta map[string]string, ok bool) {
	o, err := n.store.GetObject(bucket, key, nil)
	if err != nil {
		return nil, nil, false
	}
	body, err = io.ReadAll(o.Contents)
	err = errors.Join(err, o.Contents.Close())
	return body, o.Metadata, err == nil
}

// Put places an object behind the caller's back.
func (n *Network) Put(bucket, key string, body []byte) error {
	_, err := n.store.PutObject(bucket, key, map[string]string{"Last-Modified": n.deps.Now().UTC().Format(http.TimeFormat)}, strings.NewReader(string(body)), int64(len(body)), nil)
	if err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	return nil
}

// Delete takes an object away behind the caller's back.
func (n *Network) Delete(bucket, key string) bool {
	if _, ok := n.Object(bucket, key); !ok {
		return false
	}
	_, err := n.store.DeleteObject(bucket, key)
	return err == nil
}

// Overview is what the sandbox says of the network.
func (n *Network) Overview() map[string]any {
	list, err := n.Objects()
	return map[string]any{"path": "/s3", "buckets": n.opts.Buckets, "objects": len(list), "readable": err == nil}
}
