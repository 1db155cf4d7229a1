package imports

import (
	"context"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/provider"
)

const (
	previewRows   = 100
	previewPieces = 20
	maxSamples    = 5
)

// FirstRows are what an import would begin with.
type FirstRows struct {
	// Name is that of the file or table; "" = there is nothing to read.
	Name        string `json:"name"`
	Stream      string `json:"stream"`
	ContentType string `json:"content_type"`
	// Masked: values show only how long they are and how they begin.
	Masked  bool       `json:"masked"`
	Columns []Column   `json:"columns"`
	Rows    [][]string `json:"rows"`
	// Times are the message times of the rows, RFC 3339; "" = that of the import.
	Times    []string          `json:"times"`
	Rejected []ingest.RowError `json:"rejected"`
	Pieces   []PieceInfo       `json:"pieces"`
}

// Column is one column of the rows.
type Column struct {
	Name    string   `json:"name"`
	Samples []string `json:"samples"`
	// Times is in how many of the rows the value reads as a time.
	Times int `json:"times"`
	// Identifier is the field that the column seems to hold, by its name: email,
	// phone and the like; "" = none.
	Identifier string `json:"identifier,omitempty"`
}

// PieceInfo is a file or table that would be read.
type PieceInfo struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified,omitzero"`
}

// Preview reads the first 100 rows of the first piece and keeps nothing. Values are
// masked.
func (i *Imports) Preview(ctx context.Context, job activation.Job) (FirstRows, error) {
	p, err := i.PreviewPlain(ctx, job)
	p.mask()
	return p, err
}

// PreviewPlain is Preview with the values, for whoever may see people.
func (i *Imports) PreviewPlain(ctx context.Context, job activation.Job) (p FirstRows, err error) {
	s, err := i.settings(job)
	if err != nil {
		return p, err
	}
	src, _, err := i.cfg.Connect(ctx, job)
	if err != nil {
		return p, err
	}
	defer func() { _ = src.Close() }() // it was only looked at
	if err := src.Check(ctx); err != nil {
		return p, err
	}
	if l, ok := src.(provider.PieceLister); ok {
		pieces, err := l.Pieces(ctx, nil, previewPieces)
		if err != nil {
			return p, err
		}
		for _, one := range pieces {
			p.Pieces = append(p.Pieces, PieceInfo{Name: one.Name, Size: one.Size, Modified: one.Modified})
		}
	}
	piece, ok, err := src.Next(ctx, nil)
	if err != nil || !ok {
		return p, err
	}
	if p.Pieces == nil {
		p.Pieces = []PieceInfo{{Name: piece.Name, Size: piece.Size, Modified: piece.Modified}}
	}
	im := s.of(piece)
	p.Name, p.Stream = piece.Name, im.Stream
	sample, err := i.cfg.Collector.Sample(ctx, im, previewRows)
	if err != nil {
		return p, err
	}
	p.fill(sample)
	return p, nil
}

func (p *FirstRows) fill(s ingest.Sample) {
	p.ContentType, p.Rows, p.Rejected = s.ContentType, s.Rows, s.Rejected
	for i, name := range s.Columns {
		c := Column{Name: name, Times: s.Parsed[i], Identifier: identifier(name)}
		for _, row := range s.Rows {
			if row[i] != "" && len(c.Samples) < maxSamples {
				c.Samples = append(c.Samples, row[i])
			}
		}
		p.Columns = append(p.Columns, c)
	}
	for _, at := range s.Times {
		text := ""
		if !at.IsZero() {
			text = at.Format(time.RFC3339)
		}
		p.Times = append(p.Times, text)
	}
}

func (p *FirstRows) mask() {
	p.Masked = true
	for i := range p.Columns {
		for j, v := range p.Columns[i].Samples {
			p.Columns[i].Samples[j] = activation.Mask(v)
		}
	}
	for _, row := range p.Rows {
		for j, v := range row {
			row[j] = activation.Mask(v)
		}
	}
}

// identifier offers the field that a column holds, by the words of its name.
func identifier(column string) string {
	words := strings.FieldsFunc(strings.ToLower(column), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	name := strings.Join(words, "_")
	for _, known := range []struct{ field, names string }{
		{"email", "email e_mail mail email_address e_mail_address emailaddress useremail user_email customer_email"},
		{"phone", "phone phone_number phonenumber mobile mobile_number mobile_phone telephone tel cell cell_phone msisdn"},
		{"customer_id", "customer_id customerid customer_key customerkey cust_id client_id clientid account_id accountid crm_id crmid member_id memberid"},
		{"user_id", "user_id userid uid external_id externalid"},
		{"device_id", "device_id deviceid idfa gaid maid advertising_id madid"},
	} {
		for alias := range strings.FieldsSeq(known.names) {
			if name == alias {
				return known.field
			}
		}
	}
	return ""
}

// Position is where a job stands with its source.
type Position struct {
	// Pieces and Rows are in since the job began, or its last reset.
	Pieces    int64     `json:"pieces"`
	Rows      int64     `json:"rows"`
	Last      string    `json:"last_piece,omitempty"`
	UpdatedAt time.Time `json:"updated,omitzero"`
	// Position is what the source keeps, for people who know it; it may hold values
	// of a cursor column.
	Position string `json:"position,omitempty"`
	// Diff: the digests of the last whole file are kept.
	Diff bool `json:"diff"`
}

// State tells where a job stands.
func (i *Imports) State(ctx context.Context, job activation.Job) (Position, error) {
	at, err := i.cfg.Inbox.Import(ctx, string(job.ID))
	if err != nil {
		return Position{}, err
	}
	return Position{Pieces: at.Pieces, Rows: at.Rows, Last: at.LastPiece, UpdatedAt: at.UpdatedAt, Position: string(at.State), Diff: at.Digests != ""}, nil
}

// Reset makes a job begin at the beginning of its source, with its next pass. A
// pass under way keeps nothing more. Rows that are in stay.
func (i *Imports) Reset(ctx context.Context, job activation.Job) error {
	return i.cfg.Inbox.ResetImport(ctx, string(job.ID))
}
