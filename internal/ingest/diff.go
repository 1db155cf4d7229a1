package ingest

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"

	"golang.org/x/crypto/blake2b"

	"usher/internal/warehouse/inbox"
)

// digestBytes is the size of the digest of a row: 128 bits, keyed, so that of a
// billion rows no two are taken for one, and that nobody without the key learns
// a row by trying.
const digestBytes = 16

// digest stands for one row: its columns and values, whatever their order.
type digest [digestBytes]byte

func (d digest) compare(o digest) int { return bytes.Compare(d[:], o[:]) }

const (
	// runDigests is how many digests are sorted in memory at a time: 8 MiB.
	runDigests = 512 << 10
	// pageDigests is how many digests lie between two that the index of the last
	// file has in memory: 32 MiB for a billion rows.
	pageDigests = 512
)

// differ tells which rows of a whole file were not in the one before it. Rows are
// a set here: one that stands twice is there. Its memory does not depend on the
// size of the files, but for one digest in pageDigests.
type differ struct {
	inbox *inbox.Inbox
	hash  hash.Hash
	last  *digestFile // nil = there was no file before

	names  []string // the columns of the rows that come
	order  []int    // their places by name
	fields []csvField
	buf    []byte

	present []digest
	runs    []*os.File

	unchanged, deleted int64
}

func newDiffer(in *inbox.Inbox, key []byte, last string) (*differ, error) {
	h, err := blake2b.New(digestBytes, key)
	if err != nil {
		return nil, fmt.Errorf("begin diff: %w", err)
	}
	d := &differ{inbox: in, hash: h}
	if last == "" {
		return d, nil
	}
	d.last, err = openDigests(last)
	return d, err
}

// columns says which columns the rows have that come.
func (d *differ) columns(names []string) {
	d.names, d.order = names, make([]int, len(names))
	for i := range d.order {
		d.order[i] = i
	}
	slices.SortFunc(d.order, func(a, b int) int { return cmp.Compare(names[a], names[b]) })
}

// keep takes note of a row and reports whether it was not in the last file.
func (d *differ) keep(row []byte) (bool, error) {
	g := d.digest(row[1:])
	d.present = append(d.present, g)
	if len(d.present) == runDigests {
		if err := d.spill(); err != nil {
			return false, err
		}
	}
	if d.last == nil {
		return true, nil
	}
	had, err := d.last.has(g)
	if had {
		d.unchanged++
	}
	return !had, err
}

// digest is that of the canonical text of a row. Values that are missing count
// for nothing, so that a column that is new and empty changes no row.
func (d *differ) digest(text []byte) (g digest) {
	d.fields, _, _ = splitQuoted(text, ',', d.fields[:0])
	d.buf = d.buf[:0]
	for _, i := range d.order {
		f := d.fields[i]
		if f.start == f.end {
			continue
		}
		d.buf = binary.AppendUvarint(d.buf, uint64(len(d.names[i])))
		d.buf = append(d.buf, d.names[i]...)
		d.buf = binary.AppendUvarint(d.buf, uint64(f.end-f.start))
		d.buf = append(d.buf, text[f.start:f.end]...)
	}
	d.hash.Reset()
	d.hash.Write(d.buf)
	d.hash.Sum(g[:0])
	return g
}

// spill writes the digests in memory to a run of their own.
func (d *differ) spill() error {
	f, err := d.inbox.NewDigestRun()
	if err != nil {
		return err
	}
	d.runs = append(d.runs, f)
	slices.SortFunc(d.present, digest.compare)
	w := bufio.NewWriterSize(f, 64<<10)
	for _, g := range slices.Compact(d.present) {
		if _, err := w.Write(g[:]); err != nil {
			return fmt.Errorf("write digests: %w", err)
		}
	}
	d.present = d.present[:0]
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write digests: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("write digests: %w", err)
	}
	return nil
}

// finish writes the digests of the file that was read, sorted and each once, and
// counts those of the last file that are not among them. The file is durable and
// the inbox's to remove.
func (d *differ) finish() (path string, err error) {
	if err := d.spill(); err != nil {
		return "", err
	}
	var all merge
	for _, run := range d.runs {
		if err := all.add(bufio.NewReaderSize(run, 16<<10)); err != nil {
			return "", err
		}
	}
	out, err := d.inbox.NewDigests()
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.inbox.DropDigests(out))
		}
	}()
	if err := d.write(out, &all); err != nil {
		return "", err
	}
	return out.Name(), d.inbox.SealDigests(out)
}

func (d *differ) write(out *os.File, all *merge) error {
	var before merge
	if d.last != nil {
		if _, err := d.last.file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("read digests: %w", err)
		}
		if err := before.add(bufio.NewReaderSize(d.last.file, 64<<10)); err != nil {
			return err
		}
	}
	w := bufio.NewWriterSize(out, 64<<10)
	for {
		g, ok, err := all.next()
		if err != nil {
			return err
		}
		for len(before) > 0 && (!ok || before[0].head.compare(g) < 0) {
			d.deleted++
			if _, _, err := before.next(); err != nil {
				return err
			}
		}
		if !ok {
			break
		}
		if len(before) > 0 && before[0].head == g {
			if _, _, err := before.next(); err != nil {
				return err
			}
		}
		if _, err := w.Write(g[:]); err != nil {
			return fmt.Errorf("write digests: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write digests: %w", err)
	}
	return nil
}

// close removes what was only needed meanwhile.
func (d *differ) close() error {
	err := d.inbox.DropDigests(d.runs...)
	d.runs = nil
	if d.last != nil {
		err = errors.Join(err, d.last.file.Close())
	}
	return err
}

// merge reads several sorted files as one in which everything is once.
type merge []*sorted

type sorted struct {
	head digest
	rest io.Reader
}

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].head.compare(m[j].head) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push is for package heap.
func (m *merge) Push(x any) { *m = append(*m, x.(*sorted)) } //nolint:forcetypeassert // add pushes nothing else

// Pop is for package heap.
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

func (m *merge) add(r io.Reader) error {
	s := &sorted{rest: r}
	if more, err := s.read(); err != nil || !more {
		return err
	}
	heap.Push(m, s)
	return nil
}

func (s *sorted) read() (more bool, err error) {
	switch _, err := io.ReadFull(s.rest, s.head[:]); {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read digests: %w", err)
	}
	return true, nil
}

// next returns the smallest digest and takes it away, however often it is there.
func (m *merge) next() (g digest, ok bool, err error) {
	if len(*m) == 0 {
		return g, false, nil
	}
	g = (*m)[0].head
	for len(*m) > 0 && (*m)[0].head == g {
		more, err := (*m)[0].read()
		if err != nil {
			return g, false, err
		}
		if more {
			heap.Fix(m, 0)
		} else {
			heap.Pop(m)
		}
	}
	return g, true, nil
}

// digestFile is a sorted file of digests that is looked into.
type digestFile struct {
	file  *os.File
	count int64
	index []digest // the first of every page
	page  [pageDigests * digestBytes]byte
}

func openDigests(path string) (_ *digestFile, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open digests: %w", err)
	}
	d := &digestFile{file: f}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open digests: %w", err)
	}
	d.count = info.Size() / digestBytes
	for i := int64(0); i < d.count; i += pageDigests {
		var g digest
		if _, err := f.ReadAt(g[:], i*digestBytes); err != nil {
			return nil, fmt.Errorf("read digests: %w", err)
		}
		d.index = append(d.index, g)
	}
	return d, nil
}

// has reports whether a digest is in the file.
func (d *digestFile) has(g digest) (bool, error) {
	i, found := slices.BinarySearchFunc(d.index, g, digest.compare)
	if found || i == 0 {
		return found, nil
	}
	first := int64(i-1) * pageDigests
	page := d.page[:min(pageDigests, d.count-first)*digestBytes]
	if _, err := d.file.ReadAt(page, first*digestBytes); err != nil {
		return false, fmt.Errorf("read digests: %w", err)
	}
	low, high := 0, len(page)/digestBytes
	for low < high {
		mid := (low + high) / 2
		switch c := bytes.Compare(page[mid*digestBytes:(mid+1)*digestBytes], g[:]); {
		case c == 0:
			return true, nil
		case c < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return false, nil
}
