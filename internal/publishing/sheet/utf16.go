package sheet

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Reader makes UTF-16 into UTF-8. What is no UTF-16 is an error, never a mark
// that stands for something unreadable.
type utf16Reader struct {
	in   *bufio.Reader
	big  bool
	rest []byte // decoded, not read yet
	err  error
}

// Read reads UTF-8.
func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.fill()
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// fill decodes some characters, up to what is wrong.
func (u *utf16Reader) fill() {
	out := make([]byte, 0, 4096)
	for len(out) < cap(out)-utf8.UTFMax && u.err == nil {
		var r rune
		if r, u.err = u.char(); u.err == nil {
			out = utf8.AppendRune(out, r)
		}
	}
	u.rest = out
}

func (u *utf16Reader) char() (rune, error) {
	r, err := u.unit()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	low, err := u.unit()
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); err != nil || r == utf8.RuneError {
		return 0, &Error{Message: "the file is not UTF-16 here: half a character", End: true}
	}
	return r, nil
}

func (u *utf16Reader) unit() (rune, error) {
	a, err := u.in.ReadByte()
	if err != nil {
		return 0, err
	}
	b, err := u.in.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, &Error{Message: "the file ends within a character", End: true}
	}
	if u.big {
		return rune(a)<<8 | rune(b), err
	}
	return rune(b)<<8 | rune(a), err
}
