package ingest

import (
	"bytes"
	"io"
	"strconv"
)

// canonical writes the rows of a spool file (warehouse.Load tells the format)
// through one buffer. After the first failed write it writes nothing more.
type canonical struct {
	w    io.Writer
	buf  []byte
	rows int64
	err  error

	flushed int64 // bytes written
	mark    int   // where the present row begins in buf
	head    int   // where its values begin, with the comma before them
	// keep says whether a row is wanted; nil = all are. row is without line, time
	// and line feed, valid during the call.
	keep func(row []byte) (bool, error)

	micros int64  // the last row's time
	stamp  []byte // the same, written out: times repeat
}

const canonicalBytes = 128 << 10

func newCanonical(w io.Writer) *canonical {
	return &canonical{w: w, buf: make([]byte, 0, canonicalBytes+32<<10), stamp: []byte(",0")}
}

// begin starts a row.
func (c *canonical) begin(line, micros int64) {
	c.mark = len(c.buf)
	c.buf = strconv.AppendInt(c.buf, line, 10)
	if micros != c.micros {
		c.micros = micros
		c.stamp = strconv.AppendInt(append(c.stamp[:0], ','), micros, 10)
	}
	c.buf = append(c.buf, c.stamp...)
	c.head = len(c.buf)
}

// raw appends text that is canonical already, without the comma before it.
func (c *canonical) raw(text []byte) {
	c.buf = append(c.buf, ',')
	c.buf = append(c.buf, text...)
}

// value appends one value, quoted if it must be.
func (c *canonical) value(v []byte) {
	c.buf = append(c.buf, ',')
	c.buf = appendValue(c.buf, v)
}

// quoted appends a value that needs quotes and in which they are doubled already.
func (c *canonical) quoted(v []byte) {
	c.buf = append(c.buf, ',', '"')
	c.buf = append(append(c.buf, v...), '"')
}

// end finishes a row.
func (c *canonical) end(suffix []byte) error {
	c.buf = append(c.buf, suffix...)
	if c.keep != nil {
		if wanted, err := c.keep(c.buf[c.head:]); err != nil || !wanted {
			c.buf = c.buf[:c.mark]
			return err
		}
	}
	c.buf = append(c.buf, '\n')
	c.rows++
	if len(c.buf) >= canonicalBytes {
		return c.flush()
	}
	return nil
}

func (c *canonical) flush() error {
	if c.err == nil && len(c.buf) > 0 {
		_, c.err = c.w.Write(c.buf)
		c.flushed += int64(len(c.buf))
	}
	c.buf = c.buf[:0]
	return c.err
}

// bytes is how many the rows have so far.
func (c *canonical) bytes() int64 { return c.flushed + int64(len(c.buf)) }

func appendValue(dst, v []byte) []byte {
	if !needsQuotes(v) {
		return append(dst, v...)
	}
	dst = append(dst, '"')
	for {
		i := bytes.IndexByte(v, '"')
		if i < 0 {
			return append(append(dst, v...), '"')
		}
		dst = append(append(dst, v[:i]...), '"', '"')
		v = v[i+1:]
	}
}

func needsQuotes(v []byte) bool {
	for _, c := range v {
		if c == ',' || c == '"' || c == '\n' || c == '\r' {
			return true
		}
	}
	return false
}
