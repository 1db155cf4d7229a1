package drop

import (
	"encoding/json"
	"fmt"
	"time"

	"usher/internal/provider"
	"usher/internal/provider/rowfile"
)

// SideField is the setting of what is written beside each file.
const SideField = "side_file"

// Side is what is written beside each file.
type Side string

const (
	// Manifest is <name>.manifest.json: size, SHA-256, rows and what they are.
	Manifest Side = "manifest"
	// Checksum is <name>.sha256, as sha256sum writes and reads it.
	Checksum Side = "sha256"
	// NoSide is nothing.
	NoSide Side = "none"
)

// SideFileField is the setting of a job; fallback is its default.
func SideFileField(fallback Side) provider.Field {
	return provider.Field{
		Name: SideField, Label: "Beside each file", Type: "select", Default: string(fallback), Options: []string{string(Manifest), string(Checksum), string(NoSide)},
		Help: "What is written beside each file, and before it: manifest writes NAME.manifest.json with size, SHA-256 and number of rows, sha256 writes NAME.sha256 for sha256sum, none writes nothing.",
	}
}

// ParseSide reads the setting.
func ParseSide(config map[string]string, fallback Side) (Side, error) {
	s := Side(config[SideField])
	switch s {
	case "":
		return fallback, nil
	case Manifest, Checksum, NoSide:
		return s, nil
	}
	return s, rowfile.Wrong(SideField, "must be manifest, sha256 or none")
}

// manifest is the body of a manifest. Nothing of it depends on when it is
// written.
type manifest struct {
	File      string    `json:"file"`
	Bytes     int       `json:"bytes"`
	SHA256    string    `json:"sha256"`
	Rows      int       `json:"rows"`
	Operation string    `json:"operation"`
	Audience  string    `json:"audience"`
	Run       int64     `json:"run"`
	Part      int       `json:"part"`
	Planned   time.Time `json:"planned"`
	Columns   []string  `json:"columns"`
}

// of returns the file beside f; ok is false where there is none.
func (s Side) of(f rowfile.File, b provider.Batch, columns []string) (file File, ok bool) {
	switch s {
	case Manifest:
		body, _ := json.MarshalIndent(manifest{ // nothing in it that JSON does not take
			File: f.Name, Bytes: len(f.Body), SHA256: f.Digest(), Rows: f.Rows, Operation: rowfile.Operation(b.Op),
			Audience: b.Audience.Slug, Run: b.RunNumber, Part: b.Number, Planned: b.At.UTC(), Columns: columns,
		}, "", "  ")
		return File{Name: s.name(f.Name), Body: append(body, '\n'), Type: "application/json", Beside: true}, true
	case Checksum:
		return File{Name: s.name(f.Name), Body: fmt.Appendf(nil, "%s  %s\n", f.Digest(), f.Name), Type: "text/plain; charset=utf-8", Beside: true}, true
	case NoSide:
	}
	return File{}, false
}

// name is that of the file beside the named one, "" for none.
func (s Side) name(of string) string {
	switch s {
	case Manifest:
		return of + ".manifest.json"
	case Checksum:
		return of + ".sha256"
	case NoSide:
	}
	return ""
}
