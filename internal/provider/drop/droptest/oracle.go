// Package droptest reads files as somebody would who gets nothing else: in the
// order of their names, adding and removing. It is imported by tests only.
//
// It shares no code with what writes the files.
package droptest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"usher/internal/matchkey"
)

// Folder are files by name.
type Folder map[string][]byte

// Members are people by id, with all that the files say of them.
type Members map[string]map[string]string

// numbered is what names must hold: the run and the part, with a piece where a
// batch was cut, and add or remove where the name says it.
var numbered = regexp.MustCompile(`_(\d+)_(\d{5})(?:-(\d{3}))?(?:_(add|remove))?\.`)

// file is one that was read.
type file struct {
	name             string
	run, part, piece int
	op               string
	body             []byte
}

// Files returns the files that are no side files, in the order in which they
// take effect, and an error for one that is not named like one.
func (f Folder) files() ([]file, error) {
	var out []file
	for name, body := range f {
		if strings.HasSuffix(name, ".manifest.json") || strings.HasSuffix(name, ".sha256") || strings.HasSuffix(name, ".tmp") {
			continue
		}
		m := numbered.FindStringSubmatch(name)
		if m == nil {
			return nil, fmt.Errorf("file %q is named like none of ours", name)
		}
		one := file{name: name, op: m[4], body: body}
		one.run, _ = strconv.Atoi(m[1])
		one.part, _ = strconv.Atoi(m[2])
		one.piece, _ = strconv.Atoi(m[3])
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				return nil, fmt.Errorf("file %q: %w", name, err)
			}
			if one.body, err = io.ReadAll(z); err != nil {
				return nil, fmt.Errorf("file %q: %w", name, err)
			}
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.part, b.part), cmp.Compare(a.piece, b.piece))
	})
	return out, nil
}

// CSV replays files of CSV with a header. Who somebody is stands in the column
// id; whether a row adds or removes, in the column operation or in the name.
func (f Folder) CSV(id string) (Members, error) {
	members := Members{}
	files, err := f.files()
	if err != nil {
		return nil, err
	}
	for _, one := range files {
		rows, err := csv.NewReader(bytes.NewReader(one.body)).ReadAll()
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", one.name, err)
		}
		if len(rows) < 2 {
			return nil, fmt.Errorf("file %q has no rows", one.name)
		}
		for _, row := range rows[1:] {
			said := map[string]string{}
			for i, name := range rows[0] {
				if row[i] != "" { // an empty column says nothing
					said[name] = row[i]
				}
			}
			op := one.op
			if in, ok := said["operation"]; ok {
				op = in
			}
			if err := members.apply(op, said[id], said); err != nil {
				return nil, fmt.Errorf("file %q: %w", one.name, err)
			}
		}
	}
	return members, nil
}

// Lines replays files of lines: an id, a space, and add= or remove= with the
// audiences.
func (f Folder) Lines(audience, column string) (Members, error) {
	members := Members{}
	files, err := f.files()
	if err != nil {
		return nil, err
	}
	for _, one := range files {
		if !bytes.HasSuffix(one.body, []byte("\n")) || bytes.Contains(one.body, []byte("\r")) {
			return nil, fmt.Errorf("file %q does not consist of lines", one.name)
		}
		seen := map[string]bool{}
		for line := range strings.Lines(string(one.body)) {
			parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
			if len(parts) != 2 || seen[parts[0]] {
				return nil, fmt.Errorf("file %q has a line of %d words, or one customer twice", one.name, len(parts))
			}
			seen[parts[0]] = true
			op, list, _ := strings.Cut(parts[1], "=")
			if !slices.Contains(strings.Split(list, ","), audience) {
				continue
			}
			if err := members.apply(op, parts[0], map[string]string{column: parts[0]}); err != nil {
				return nil, fmt.Errorf("file %q: %w", one.name, err)
			}
		}
	}
	return members, nil
}

func (m Members) apply(op, id string, said map[string]string) error {
	switch {
	case id == "":
		return fmt.Errorf("a row has no id")
	case op == "add":
		m[id] = said
	case op == "remove":
		delete(m, id)
	default:
		return fmt.Errorf("a row has the operation %q", op)
	}
	return nil
}

// Hold reports whether somebody is in by this value of the key, as a batch has
// it.
func (m Members) Hold(key matchkey.Key, value []byte) bool {
	text := string(value)
	if key.Hash {
		text = hex.EncodeToString(value)
	}
	for _, said := range m {
		if got, ok := said[key.Name]; ok && got == text {
			return true
		}
	}
	return false
}
