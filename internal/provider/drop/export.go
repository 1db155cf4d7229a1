package drop

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"regexp"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/rowfile"
)

const (
	// MaxRows is the most rows of one batch, which lies in memory while it is
	// written. It is ours: no place limits rows.
	MaxRows = 100_000
	// maxLeft bounds how many files of an earlier attempt are looked for.
	maxLeft = 1000
)

// The codes of what is wrong with a batch.
const (
	// CodeBatch: the batch is larger than one may be.
	CodeBatch = "FILE-BATCH"
	// CodeRequest: Usher asked for something that files cannot give.
	CodeRequest = "FILE-REQUEST"
)

// Layout makes files of batches.
type Layout interface {
	// Check proves the settings of a job before anything is written.
	Check(a provider.Audience) error
	// Shipment makes the files of a batch that has at least one row.
	Shipment(b provider.Batch) (Shipment, error)
	// Name is that of file i, from 0, of a batch.
	Name(b provider.Batch, i int) (string, error)
}

// Shipment is what becomes of one batch.
type Shipment struct {
	Files []rowfile.File
	// Columns are the names of the columns, for the manifest.
	Columns []string
	Side    Side
	// Rejected are the rows that are in no file, ascending.
	Rejected []activation.Exception
}

// Export is a destination that writes each batch as files into a place.
type Export struct {
	Place  Place
	Layout Layout
	Log    *slog.Logger
}

var idPattern = regexp.MustCompile(`^files-[0-9a-f]{32}$`)

// Check proves credentials and folder.
func (e *Export) Check(ctx context.Context) error {
	d, err := e.Place.Connect(ctx)
	if err != nil {
		return err
	}
	err = d.Check(ctx)
	_ = d.Close() // nothing was written
	return err
}

// EnsureAudience proves the settings of the job and the folder. There is nothing
// to make: an audience at a place is what its files say. Its id follows from the
// marker.
func (e *Export) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	if err := e.Layout.Check(a); err != nil {
		return "", err
	}
	if err := e.Check(ctx); err != nil {
		return "", err
	}
	return idOf(a.Marker), nil
}

func idOf(marker string) provider.RemoteID {
	sum := sha256.Sum256([]byte(marker))
	return provider.RemoteID(fmt.Sprintf("files-%x", sum[:16]))
}

// Deliver writes the batch as files. What an earlier attempt of the same batch
// has written is replaced, and what is too much of it taken away.
func (e *Export) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	if rows == 0 {
		return activation.Receipt{}, nil
	}
	if !idPattern.MatchString(string(b.Remote)) || b.Audience.Marker != "" && b.Remote != idOf(b.Audience.Marker) {
		return activation.Receipt{}, &activation.Error{Kind: activation.Invalid, Code: CodeRequest, Field: "remote", Message: "the id of the audience is not one of these files"}
	}
	if rows > MaxRows {
		return activation.Receipt{}, &activation.Error{Kind: activation.RefusedWhole, Code: CodeBatch, Message: fmt.Sprintf("the batch has %d rows; it may have at most %d", rows, MaxRows)}
	}
	if err := ctx.Err(); err != nil {
		return activation.Receipt{}, Stopped(err, false)
	}
	ship, err := e.Layout.Shipment(b)
	if err != nil {
		return activation.Receipt{}, err
	}
	if err := e.put(ctx, b, ship); err != nil {
		return activation.Receipt{}, err
	}
	rejected := int64(len(ship.Rejected))
	rc := activation.Receipt{Accepted: int64(rows) - rejected, Rejected: rejected, Exceptions: ship.Rejected}
	if len(ship.Files) > 0 {
		rc.RequestID = ship.Files[0].Name
	}
	e.Log.DebugContext(ctx, "batch written as files", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt, "op", b.Op,
		"rows", rows, "rejected", rejected, "files", len(ship.Files))
	return rc, nil
}

// put makes the files appear, the ones beside first: so whoever sees a file can
// prove it, and whoever sees one beside it waits.
func (e *Export) put(ctx context.Context, b provider.Batch, ship Shipment) (err error) {
	if len(ship.Files) == 0 && b.Attempt <= 1 {
		return nil
	}
	d, err := e.Place.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // every file has been answered by then
	files := make([]File, 0, 2*len(ship.Files))
	for _, f := range ship.Files {
		if beside, ok := ship.Side.of(f, b, ship.Columns); ok {
			files = append(files, beside)
		}
		files = append(files, File{Name: f.Name, Body: f.Body, Type: f.Type})
	}
	if len(files) > 0 {
		if err := d.Put(ctx, files...); err != nil {
			return err
		}
	}
	if b.Attempt <= 1 {
		return nil
	}
	return e.removeLeft(ctx, d, b, ship)
}

// removeLeft takes away the files that an earlier attempt made of more rows: a
// row that is not wanted any more is left out when a batch is sent again. By
// then the files of this attempt are there, so an error leaves all unknown.
func (e *Export) removeLeft(ctx context.Context, d Drop, b provider.Batch, ship Shipment) error {
	for i := len(ship.Files); i < maxLeft; i++ {
		name, err := e.Layout.Name(b, i)
		if err != nil {
			return err
		}
		_, there, err := d.Stat(ctx, name)
		if there && err == nil {
			err = d.Remove(ctx, name)
		}
		if beside := ship.Side.name(name); there && err == nil && beside != "" {
			err = d.Remove(ctx, beside)
		}
		if err != nil {
			return applied(err)
		}
		if !there {
			return nil
		}
	}
	return nil
}

// Poll is not for files: a place answers at once.
func (e *Export) Poll(context.Context, string, int64) (activation.Receipt, error) {
	return activation.Receipt{}, &activation.Error{Kind: activation.Invalid, Code: CodeRequest, Message: "a file is there or not; there is nothing to ask for later"}
}

// String says what it is and nothing else: settings are not for print.
func (e *Export) String() string { return "files" }

// GoString is String.
func (e *Export) GoString() string { return e.String() }
