package template

import (
	"encoding/binary"
	"errors"
	"io"
)

// kind says what a frame between the two processes holds.
type kind byte

const (
	// kindText is the text of a template, kindEvent one event as JSON.
	kindText  kind = 't'
	kindEvent kind = 'e'
	// kindReady answers a text that can be evaluated, kindOutput an event;
	// kindError is an Error as JSON.
	kindReady  kind = 'r'
	kindOutput kind = 'o'
	kindError  kind = 'x'
)

var errTooLong = errors.New("a frame is longer than allowed")

// writeFrame writes a kind, a length and as many bytes.
func writeFrame(w io.Writer, k kind, body []byte) error {
	if int64(len(body)) > MaxEventBytes {
		return errTooLong
	}
	head := make([]byte, 5, 5+len(body))
	head[0] = byte(k)
	binary.BigEndian.PutUint32(head[1:], uint32(len(body))) //nolint:gosec // bounded above
	_, err := w.Write(append(head, body...))
	return err
}

// readFrame reads what writeFrame wrote.
func readFrame(r io.Reader) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > MaxEventBytes {
		return 0, nil, errTooLong
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return kind(head[0]), body, err
}
