package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// newPassword asks for a new password: twice at a terminal, where it is not
// seen, else one line of standard input.
func (a *app) newPassword() (string, error) {
	password, err := a.secret("New password")
	if err != nil || !a.atTerminal() {
		return password, err
	}
	again, err := a.secret("New password again")
	if err == nil && again != password {
		err = usageError("the two passwords differ")
	}
	return password, err
}

// atTerminal reports whether standard input is a terminal.
func (a *app) atTerminal() bool {
	f, ok := a.in.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	return err == nil
}

// secret reads one line. At a terminal it asks for it and shows nothing of what
// is typed, and puts the terminal right again whatever ends the typing.
func (a *app) secret(what string) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !a.atTerminal() {
		return line(a.in)
	}
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return "", fmt.Errorf("read terminal settings: %w", err)
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, os.Interrupt, unix.SIGTERM)
	defer signal.Stop(stopped)
	if err := unix.IoctlSetTermios(fd, setTermios, &silent); err != nil {
		return "", fmt.Errorf("hide the typing: %w", err)
	}
	restore := func() { _ = unix.IoctlSetTermios(fd, setTermios, before) } // the terminal is gone: nothing to restore
	defer restore()
	_, _ = fmt.Fprint(a.err, what+": ")
	defer func() { _, _ = fmt.Fprintln(a.err) }()
	type typed struct {
		text string
		err  error
	}
	done := make(chan typed, 1)
	go func() { text, err := line(f); done <- typed{text, err} }() // ends with the line, or with the process
	select {
	case t := <-done:
		return t.text, t.err
	case <-stopped:
		return "", errors.New("given up")
	}
}

// line reads one line byte by byte, so that what follows is left for the next.
func line(in io.Reader) (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for b.Len() <= 4096 {
		n, err := in.Read(one)
		if n == 1 && one[0] == '\n' {
			return strings.TrimSuffix(b.String(), "\r"), nil
		}
		b.Write(one[:n])
		if errors.Is(err, io.EOF) {
			if b.Len() == 0 {
				return "", usageError("a password is needed on standard input")
			}
			return strings.TrimSuffix(b.String(), "\r"), nil
		}
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
	}
	return "", usageError("the line is too long for a password")
}
