package sftpdrop

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// patient is a connection that ends when the far side says nothing for too
// long. While a session lives there is always something it is waited for.
type patient struct {
	net.Conn
	limit  time.Duration
	silent atomic.Bool // it ended so
}

func (c *patient) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(c.limit)) // a closed connection says so in Read
	n, err := c.Conn.Read(p)
	c.note(err)
	return n, err
}

func (c *patient) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(c.limit))
	n, err := c.Conn.Write(p)
	c.note(err)
	return n, err
}

func (c *patient) note(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.silent.Store(true)
	}
}
