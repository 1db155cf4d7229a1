package provider

import (
	"context"
	"io"
	"time"
)

// Source brings data in. Whether a workflow's provider is one, its NewSource
// says. Its errors are those of Destination and name no value of a row.
//
// A source is read piece by piece, oldest first: a file, or some rows of a query.
// Usher keeps what Piece.After returned together with the rows, in one
// transaction, and gives it back to Next; so a source keeps nothing itself and
// every row counts once, whatever crashes.
type Source interface {
	// Check proves credentials, settings and that there is what they name. It
	// reads as little as it can and changes nothing.
	Check(ctx context.Context) error
	// Next returns the piece that comes behind state (nil: the first one); ok is
	// false when there is none now.
	Next(ctx context.Context, state []byte) (p Piece, ok bool, err error)
	// Close ends what Next has opened. It may be called twice.
	Close() error
}

// Piece is something to read whole.
type Piece struct {
	// Name is that of the file, table or stream, for the history of loads. It
	// holds nothing personal that the far side did not put into a name.
	Name string
	// Version tells one content of the same name from another (size and time, or
	// an ETag). A piece whose reading was cut goes on where it stopped while
	// Version is the same; "" = it is always read from its beginning.
	Version string
	// ContentType is that of Body, as for an upload; "" = told by looking. A body
	// that begins like gzip is unpacked.
	ContentType string
	Modified    time.Time
	// Size in bytes as it lies there; 0 = not known.
	Size int64
	// Whole pieces hold everything there is, so that Diff makes sense.
	Whole bool
	// Open begins to read. It is called once for each attempt.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// After returns what to keep once the whole body was read and its rows are
	// durable. It is called after the body's end, or to pass over a file that can't
	// be read (SkipBadFilesField).
	After func() ([]byte, error)
	// Settled is called when rows and state are durable, for instance to delete
	// the file; it may be called again after a crash, or never. nil = nothing.
	Settled func(ctx context.Context) error
}

// PieceLister is a Source that can tell what it would read.
type PieceLister interface {
	// Pieces returns up to limit pieces behind state, oldest first, with name, size
	// and time. They are not to be opened.
	Pieces(ctx context.Context, state []byte, limit int) ([]Piece, error)
}

// Reminder is a Source that knows when something new should have come.
type Reminder interface {
	// Overdue says what has not come in time, "" = nothing. It asks nobody.
	Overdue(state []byte) string
}

// Enricher asks an outside system about people.
type Enricher interface {
	// Check proves credentials and settings. It asks about nobody.
	Check(ctx context.Context) error
	// Ask asks about some people in one call, at most Definition.MaxRows or the
	// job's batch size. replies has one entry for each, in their order. An error
	// means that nothing of it is known; whether the call may have been made does
	// not matter, for asking again is harmless.
	Ask(ctx context.Context, people []AskedPerson) (replies []Reply, err error)
}

// AskedPerson is one person asked about, as the settings of the job say.
type AskedPerson struct {
	// ID names the person within one call; it is Usher's number of the profile.
	ID     int64
	Values map[string]any
}

// Reply is what the far side said of one person: the fields of a message, or
// nothing.
type Reply struct {
	// Known is false where the far side knows nothing of the person.
	Known  bool
	Values map[string]any // text, numbers, booleans, lists of those
}

// The settings that every import has, read by package imports.
const (
	StreamField       = "stream"
	TimestampsField   = "timestamps"
	DateOrderField    = "date_order"
	SkipBadRowsField  = "skip_bad_rows"
	SkipBadFilesField = "skip_bad_files"
	DiffField         = "diff"
	DelimiterField    = "delimiter"
	ColumnsField      = "fields"
)

// ImportFields are the settings that every import has: the stream its rows go to
// and how their times are read.
func ImportFields() []Field {
	return []Field{
		{Name: StreamField, Label: "Stream", Type: "string", Example: "customers", Help: "Where the rows go; a stream that is not there is made. Empty = the workflow and the file or table, such as sftp_import_customers."},
		{Name: TimestampsField, Label: "Timestamps", Type: "list", Example: "updated_at,created_at", Help: "The columns that hold the time of a row, by importance: the first that has a value counts. Empty = the stream's own, or the time of the import."},
		{Name: DateOrderField, Label: "Order of dates", Type: "select", Options: []string{"mdy", "dmy", "ymd"}, Help: "How dates such as 5/14/2024 are written. Without it they are refused, never guessed."},
		{Name: SkipBadRowsField, Label: "Skip bad rows", Type: "bool", Default: "false", Help: "Passes over faulty rows, counts them and keeps them to be downloaded; otherwise the first one stops the file."},
	}
}

// FileFields are the settings that imports of files have beside them.
func FileFields() []Field {
	return []Field{
		{Name: DelimiterField, Label: "Delimiter", Type: "string", Default: ",", Example: "t", Help: "What stands between the values of a CSV: one character, t for a tab."},
		{Name: ColumnsField, Label: "Columns", Type: "list", Example: "email,first_name", Help: "The columns of files that have no header. Empty = the first line is the header."},
		{Name: DiffField, Label: "Changed rows only", Type: "bool", Default: "false", Help: "Takes only the rows that were not in the previous file; for files that hold everything each time."},
		{Name: SkipBadFilesField, Label: "Skip bad files", Type: "bool", Default: "false", Help: "Passes over a file that can't be read, notes it in the log and goes on with the next; otherwise the job waits and tries it again."},
	}
}

// The settings that every drop folder has, read by package publishing: a source whose
// files are edits of campaigns (an import of Campaigns).
const (
	PublisherField  = "publisher"
	SendField       = "send"
	SkipErrorsField = "skip_errors"
)

// UploadFields are the settings of a drop folder beside where its files are.
func UploadFields() []Field {
	return []Field{
		{Name: PublisherField, Label: "Publisher account", Type: "string", Required: true, Help: "The id of the publisher account whose campaigns the files edit."},
		{Name: SendField, Label: "Send", Type: "select", Options: []string{"hold", "nightly", "now"}, Default: "nightly", Help: "When the edits go out: kept until somebody posts them, with the nightly sync, or at once."},
		{Name: SkipErrorsField, Label: "Leave out bad rows", Type: "bool", Default: "false", Help: "Takes a file without the rows that have an error; otherwise one such row is reason enough to take nothing of it."},
		{Name: SkipBadFilesField, Label: "Skip bad files", Type: "bool", Default: "false", Help: "Passes over a file that can't be taken, notes it in the log and goes on with the next; otherwise the job waits and tries it again."},
	}
}
