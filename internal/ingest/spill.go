package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxPosting is how many bytes the rows of a real-time request may have to wait
// in the inbox's database; those of a larger one become a load with a file.
const maxPosting = 1 << 20

// spill is a scratch file that stays in memory until it holds more than
// maxPosting bytes.
type spill struct {
	text    []byte
	read    int
	file    scratchFile // nil: all is in text
	newFile func() (scratchFile, error)
}

// Write appends to the rows.
func (s *spill) Write(p []byte) (int, error) {
	if s.file == nil && len(s.text)+len(p) <= maxPosting {
		s.text = append(s.text, p...)
		return len(p), nil
	}
	if s.file == nil {
		f, err := s.newFile()
		if err != nil {
			return 0, err
		}
		s.file = f
		if _, err := f.Write(s.text); err != nil {
			return 0, err
		}
		s.text = nil
	}
	return s.file.Write(p)
}

// Read reads the rows back.
func (s *spill) Read(p []byte) (int, error) {
	if s.file != nil {
		return s.file.Read(p)
	}
	n := copy(p, s.text[s.read:])
	s.read += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Rewind makes the next Read begin at the start.
func (s *spill) Rewind() error {
	if s.file != nil {
		return s.file.Rewind()
	}
	s.read = 0
	return nil
}

// Remove deletes the file, if there is one; what is in memory stays.
func (s *spill) Remove() error {
	if s.file == nil {
		return nil
	}
	return s.file.Remove()
}

// small reports whether all rows are in memory.
func (s *spill) small() bool { return s.file == nil }

// rowSource is what rows in the form of a scratch file are read from.
type rowSource interface {
	io.Reader
	io.ByteReader
}

// readRow reads one row: its values by column, which must be nil before, and its
// line and time. The values are in buf, or in an earlier one that they keep alive.
func readRow(in rowSource, values [][]byte, buf []byte) (line, micros int64, rest []byte, err error) {
	for {
		col, err := binary.ReadUvarint(in)
		if err != nil {
			return 0, 0, buf, torn(err)
		}
		if col == 0 {
			break
		}
		if col > uint64(len(values)) {
			return 0, 0, buf, torn(errors.New("a column that is not there"))
		}
		if values[col-1], buf, err = readValue(in, buf); err != nil {
			return 0, 0, buf, torn(err)
		}
	}
	if line, err = binary.ReadVarint(in); err == nil {
		micros, err = binary.ReadVarint(in)
	}
	if err != nil {
		return 0, 0, buf, torn(err)
	}
	return line, micros, buf, nil
}

func torn(err error) error { return fmt.Errorf("read scratch file: %w", err) }

// appendRow writes a row as readRow reads it, without those values that are empty.
func appendRow(dst []byte, line, micros int64, values [][]byte) []byte {
	for i, v := range values {
		if len(v) == 0 {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(i)+1)
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, line)
	return binary.AppendVarint(dst, micros)
}
