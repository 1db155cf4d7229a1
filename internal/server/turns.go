package server

import (
	"net"
	"sync"
)

// turns lets one HTTP server after the other answer at one listener, so that a
// process keeps its address while what it serves changes. A connection that
// comes while nobody serves waits.
type turns struct {
	net.Listener
	next chan arrival
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// arrival is what accepting a connection came to.
type arrival struct {
	conn net.Conn
	err  error
}

func newTurns(ln net.Listener) *turns {
	t := &turns{Listener: ln, next: make(chan arrival), stop: make(chan struct{})}
	t.done.Go(t.accept)
	return t
}

func (t *turns) accept() {
	for {
		conn, err := t.Listener.Accept()
		select {
		case t.next <- arrival{conn, err}:
		case <-t.stop:
			if err == nil {
				_ = conn.Close() // nobody serves any more
			}
			return
		}
	}
}

// Close closes the listener and waits until nothing is accepted any more. It
// may be called twice.
func (t *turns) Close() error {
	var err error
	t.once.Do(func() {
		close(t.stop)
		err = t.Listener.Close()
		t.done.Wait()
	})
	return err
}

// turn returns a listener for one HTTP server. Closing it ends the turn and
// leaves the address open.
func (t *turns) turn() net.Listener { return &turn{turns: t, over: make(chan struct{})} }

type turn struct {
	*turns
	over chan struct{}
	once sync.Once
}

// Accept returns the next connection, or net.ErrClosed when the turn is over.
func (t *turn) Accept() (net.Conn, error) {
	select {
	case <-t.over: // first, for a connection may be waiting as well
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-t.next:
		return a.conn, a.err
	case <-t.over:
	case <-t.stop:
	}
	return nil, net.ErrClosed
}

// Close ends the turn.
func (t *turn) Close() error {
	t.once.Do(func() { close(t.over) })
	return nil
}
