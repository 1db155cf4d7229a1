package sourcetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// Proxy stands before a server and ends connections when it is told to.
type Proxy struct {
	target string
	ln     net.Listener

	mu    sync.Mutex
	after int64 // bytes of the server that pass, -1 = all
	conns map[net.Conn]bool
	done  sync.WaitGroup
}

// NewProxy stands before the server at target, a host:port.
func NewProxy(target string) (*Proxy, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &Proxy{target: target, ln: ln, after: -1, conns: map[net.Conn]bool{}}
	p.done.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.done.Go(func() { p.serve(conn) })
		}
	})
	return p, nil
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// CutAfter ends each connection when so many bytes of the server have passed; 0 =
// at once, -1 = never.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = n
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	p.mu.Lock()
	after := p.after
	p.conns[conn] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
	if after == 0 {
		return
	}
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(server, conn)
		_ = server.Close()
	})
	if after < 0 {
		_, _ = io.Copy(conn, server)
	} else {
		_, _ = io.CopyN(conn, server, after)
	}
	_ = conn.Close()
	_ = server.Close()
	up.Wait()
}

// Close ends all connections and waits for them.
func (p *Proxy) Close() {
	_ = p.ln.Close()
	p.CutAfter(0)
	p.done.Wait()
}
