// Package rowfile turns the rows of a batch into files: how a row is written,
// where a file is cut, and what it is called.
//
// It owns formats, names and the settings they have. It does no I/O, knows no
// network and never asks the clock: the same batch makes the same files under
// the same names, however often it is sent. It is built for the reader who sees
// a file twice, and for the value that holds the delimiter.
package rowfile
