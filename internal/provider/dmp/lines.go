package dmp

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/rowfile"
)

// lineLayout is one line a customer: the id, a space, and add= or remove= with
// the audience.
type lineLayout struct{}

// lineName is how files are called where the job does not say. A line says its
// operation itself; the name says it for people.
const lineName = "{AUDIENCE}_{TIMESTAMP}_{RUN}_{PART}_{OP}"

// lineSettings are those of a job, read.
type lineSettings struct {
	rows     rowfile.Settings // for what all files have
	name     rowfile.Pattern
	audience string
	side     drop.Side
}

func readLines(a provider.Audience) (lineSettings, error) {
	var s lineSettings
	var err error
	if s.rows, err = rowfile.Parse(only(a.Config, rowfile.CompressField, rowfile.MaxBytesField)); err != nil {
		return s, err
	}
	if s.side, err = drop.ParseSide(a.Config, drop.NoSide); err != nil {
		return s, err
	}
	if s.name, err = rowfile.ParsePattern(a.Config, lineName, ".txt", rowfile.Needs{Split: s.rows.MaxBytes > 0, Gzip: s.rows.Compress}); err != nil {
		return s, err
	}
	if s.audience = strings.TrimSpace(a.Config[audienceField]); s.audience == "" {
		if s.audience = a.Slug; s.audience == "" {
			s.audience = a.Name
		}
	}
	if s.audience == "" || unfitForLine(s.audience) {
		return s, wrong(audienceField, "the platform's name of the audience must have no spaces, commas, equals signs or line breaks")
	}
	return s, nil
}

// only are the named settings.
func only(config map[string]string, names ...string) map[string]string {
	out := make(map[string]string, len(names))
	for _, name := range names {
		out[name] = config[name]
	}
	return out
}

// unfitForLine reports whether a text would break the line it stands on.
func unfitForLine(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return r == ',' || r == '=' || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

// Check proves the settings of a job.
func (lineLayout) Check(a provider.Audience) error {
	_, err := readLines(a)
	return err
}

// Name is that of file i of a batch.
func (lineLayout) Name(b provider.Batch, i int) (string, error) {
	s, err := readLines(b.Audience)
	if err != nil {
		return "", err
	}
	return s.name.Of(b, i)
}

// Shipment writes a line for each customer of the batch once. An id that would
// break its line is rejected.
func (lineLayout) Shipment(b provider.Batch) (drop.Shipment, error) {
	ship := drop.Shipment{Columns: []string{customerKey}}
	s, err := readLines(b.Audience)
	if err != nil {
		return ship, err
	}
	ship.Side = s.side
	at := slices.IndexFunc(b.Keys, func(k matchkey.Key) bool { return k.Name == customerKey })
	if at < 0 {
		return ship, wrong("mapping", "the destination's mapping has no "+customerKey)
	}
	tail := " " + rowfile.Operation(b.Op) + "=" + s.audience + "\n"
	parts := rowfile.Parts{Max: s.rows.MaxBytes}
	seen := make(map[string]struct{}, b.Rows())
	var line bytes.Buffer
	for i := range b.Rows() {
		id := rowfile.Text(b.Keys[at], b.Row(i)[at])
		if id == "" || unfitForLine(id) {
			ship.Rejected = append(ship.Rejected, activation.Exception{Ordinal: int64(i), Outcome: activation.Rejected, Code: codeID})
			continue
		}
		if _, twice := seen[id]; twice {
			continue // two profiles, one customer: one line says it
		}
		seen[id] = struct{}{}
		line.Reset()
		line.WriteString(id)
		line.WriteString(tail)
		parts.Add(line.Bytes())
	}
	ship.Files, err = s.rows.Finish(parts.Files(), "text/plain; charset=utf-8", func(i int) (string, error) { return s.name.Of(b, i) })
	return ship, err
}
