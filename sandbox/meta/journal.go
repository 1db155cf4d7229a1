package meta

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// journal keeps the events in a file, one JSON line each. A line is written
// whole before its event counts; what a crash left of a last line is cut off
// when the file is opened again. The file holds hashes of people and is for its
// owner's eyes only.
type journal struct {
	file *os.File
	size int64 // of the whole lines
}

// openJournal replays the events of the file and opens it for more.
func openJournal(path string, apply func(event)) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	whole, err := replay(file, apply)
	if err == nil {
		err = file.Truncate(whole)
	}
	if err == nil {
		_, err = file.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &journal{file, whole}, nil
}

// replay applies every whole line and returns how many bytes those are.
func replay(r io.Reader, apply func(event)) (int64, error) {
	var whole int64
	in := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return whole, fmt.Errorf("line %d is not an event", number)
		}
		if err := e.validate(); err != nil {
			return whole, fmt.Errorf("line %d: %w", number, err)
		}
		apply(e)
		whole += int64(len(line))
	}
}

func (e event) validate() error {
	switch e.Kind {
	case eventCreate, eventUpdate:
		if e.Settings == nil {
			return fmt.Errorf("event %q has no settings", e.Kind)
		}
	case eventUsers, eventMeddle:
		if e.Upload == nil {
			return fmt.Errorf("event %q has no upload", e.Kind)
		}
		for _, row := range e.Upload.Rows {
			if len(row) != len(e.Upload.Keys) {
				return fmt.Errorf("event %q has a row of another length than its keys", e.Kind)
			}
		}
	case eventDelete, eventFlag, eventTerms:
	default:
		return fmt.Errorf("unknown event kind %q", e.Kind)
	}
	return nil
}

func (j *journal) write(e event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	written, err := j.file.Write(append(line, '\n'))
	if err != nil {
		_, seekErr := j.file.Seek(j.size, io.SeekStart)
		return errors.Join(err, j.file.Truncate(j.size), seekErr)
	}
	j.size += int64(written)
	return nil
}

func (j *journal) close() error {
	return errors.Join(j.file.Sync(), j.file.Close())
}
