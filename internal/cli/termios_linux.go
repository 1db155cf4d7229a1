package cli

import "golang.org/x/sys/unix"

// The calls that read and set a terminal.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)
