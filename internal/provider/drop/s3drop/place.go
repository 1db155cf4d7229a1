package s3drop

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the checksum that every S3 knows, beside SHA-256
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/drop"
)

// place is a prefix of a bucket. It is its own session: calls have no connection
// in common.
type place struct {
	settings
	core    minio.Core
	timeout time.Duration
	now     func() time.Time
}

// New makes the place of credentials, bucket and prefix. A wrong setting is an
// Invalid error that names its field.
func New(d provider.Deps, bucket string) (drop.Place, error) {
	s, err := read(d, bucket)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupPath
	if s.byHost {
		lookup = minio.BucketLookupDNS
	}
	client, err := minio.New(s.host, &minio.Options{
		Creds: credentials.NewStaticV4(s.access, s.secret, s.token), Secure: s.secure, Region: s.region, BucketLookup: lookup,
		Transport: tap{base: d.HTTP.Transport, path: s.path},
		// Who asks decides whether to ask again.
		MaxRetries: 1,
	})
	if err != nil {
		return nil, invalid(EndpointField, "is no address of S3: a name or an IP address is needed")
	}
	return &place{settings: s, core: minio.Core{Client: client}, timeout: d.HTTP.Timeout, now: d.Now}, nil
}

// String hides the settings.
func (p *place) String() string { return "s3 place" }

// GoString hides the settings.
func (p *place) GoString() string { return p.String() }

// Connect returns the place itself: there is nothing to open.
func (p *place) Connect(context.Context) (drop.Drop, error) { return p, nil }

// Close does nothing.
func (p *place) Close() error { return nil }

// call makes one call within the client's time limit.
func (p *place) call(ctx context.Context, do func(ctx context.Context) error) (*record, error) {
	if err := ctx.Err(); err != nil {
		return nil, drop.Stopped(err, false)
	}
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	ctx, r := recorded(ctx)
	if err := do(ctx); err != nil {
		return r, r.fault(err, p.now())
	}
	if r.page() || r.status/100 != 2 {
		return r, r.fault(nil, p.now())
	}
	return r, nil
}

// Check lists at most one file.
func (p *place) Check(ctx context.Context) error {
	_, err := p.call(ctx, func(ctx context.Context) error {
		for info := range p.core.ListObjectsIter(ctx, p.bucket, minio.ListObjectsOptions{Prefix: p.prefix, MaxKeys: 1}) {
			return info.Err
		}
		return nil
	})
	return err
}

// List returns the files below the prefix.
func (p *place) List(ctx context.Context, prefix string) ([]drop.Info, error) {
	var out []drop.Info
	_, err := p.call(ctx, func(ctx context.Context) error {
		for info := range p.core.ListObjectsIter(ctx, p.bucket, minio.ListObjectsOptions{Prefix: p.prefix + prefix}) {
			if info.Err != nil {
				return info.Err
			}
			if name := strings.TrimPrefix(info.Key, p.prefix); name != "" && !strings.Contains(name, "/") {
				out = append(out, drop.Info{Name: name, Size: info.Size, Modified: info.LastModified})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b drop.Info) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Stat returns a file.
func (p *place) Stat(ctx context.Context, name string) (drop.Info, bool, error) {
	var info minio.ObjectInfo
	r, err := p.call(ctx, func(ctx context.Context) error {
		var err error
		info, err = p.core.StatObject(ctx, p.bucket, join(p.prefix, name), minio.StatObjectOptions{})
		return err
	})
	// A HEAD has no body that could tell a bucket that is not there from a file
	// that is not.
	if r != nil && r.status == http.StatusNotFound {
		return drop.Info{}, false, nil
	}
	if err != nil {
		return drop.Info{}, false, err
	}
	return drop.Info{Name: name, Size: info.Size, Modified: info.LastModified, Tag: info.ETag}, true, nil
}

// Walk returns the files below the prefix, however deep.
func (p *place) Walk(ctx context.Context, after string, most int) ([]drop.Info, error) {
	var out []drop.Info
	o := minio.ListObjectsOptions{Prefix: p.prefix, Recursive: true}
	if after != "" {
		o.StartAfter = join(p.prefix, after)
	}
	_, err := p.call(ctx, func(ctx context.Context) error {
		for info := range p.core.ListObjectsIter(ctx, p.bucket, o) {
			if info.Err != nil {
				return info.Err
			}
			if name := strings.TrimPrefix(info.Key, p.prefix); name != "" && !strings.HasSuffix(name, "/") && name > after {
				out = append(out, drop.Info{Name: name, Size: info.Size, Modified: info.LastModified, Tag: info.ETag})
			}
			if len(out) == most {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// maxFile is the largest object that S3 keeps.
const maxFile = 5 << 40

// Open reads a file. The time limit is that of any silence: reading is bounded by
// ctx.
func (p *place) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	patience, ctx := outbound.NewPatience(outbound.WithBytes(ctx, maxFile), p.timeout)
	ctx, r := recorded(ctx)
	body, _, _, err := p.core.GetObject(ctx, p.bucket, join(p.prefix, name), minio.GetObjectOptions{})
	if err != nil {
		patience.Stop()
		return nil, r.fault(err, p.now())
	}
	return patience.Body(body), nil
}

// Put puts the files one by one: each appears whole when S3 answers. What S3
// says it has stored must be there in its answer.
func (p *place) Put(ctx context.Context, files ...drop.File) error {
	appeared := false
	for _, f := range files {
		err := p.put(ctx, f)
		var e *activation.Error
		if errors.As(err, &e) {
			e.MayHaveApplied = e.MayHaveApplied && !f.Beside || appeared
			if appeared && e.Kind == activation.RefusedWhole {
				e.Kind = activation.Unavailable
			}
			return e
		}
		if err != nil {
			return err
		}
		appeared = appeared || !f.Beside
	}
	return nil
}

func (p *place) put(ctx context.Context, f drop.File) error {
	digest, old := sha256.Sum256(f.Body), md5.Sum(f.Body) //nolint:gosec // see the import
	r, err := p.call(ctx, func(ctx context.Context) error {
		_, err := p.core.PutObject(ctx, p.bucket, join(p.prefix, f.Name), bytes.NewReader(f.Body), int64(len(f.Body)),
			base64.StdEncoding.EncodeToString(old[:]), hex.EncodeToString(digest[:]), minio.PutObjectOptions{
				ContentType: f.Type, DisableContentSha256: true,
				UserMetadata: map[string]string{"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(digest[:])},
			})
		return err
	})
	if err != nil {
		return err
	}
	if r.header.Get("ETag") == "" {
		return r.fault(nil, p.now())
	}
	return nil
}

// Remove takes a file away.
func (p *place) Remove(ctx context.Context, name string) error {
	_, err := p.call(ctx, func(ctx context.Context) error {
		return p.core.RemoveObject(ctx, p.bucket, join(p.prefix, name), minio.RemoveObjectOptions{})
	})
	return err
}

// Rename copies a file and takes the old one away: a bucket has no other way. In
// between both are there.
func (p *place) Rename(ctx context.Context, from, to string) error {
	_, err := p.call(ctx, func(ctx context.Context) error {
		_, err := p.core.CopyObject(ctx, p.bucket, join(p.prefix, from), p.bucket, join(p.prefix, to), nil, minio.CopySrcOptions{}, minio.PutObjectOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return p.Remove(ctx, from)
}
