package postgrestest

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"usher/internal/provider/providertest"
)

// The requests that come before a session ("54.7. Message Formats").
const (
	sslRequest    = 80877103
	cancelRequest = 80877102
)

// internalError is the SQLSTATE of a server that has lost its way.
const internalError = "XX000"

// page is what something in between answers.
const page = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html><body>bad gateway</body></html>"

// proxy stands before a real server and is its address. It lets everything
// through but the answer to a COMMIT, where a fault is arranged: the server has
// then committed, and the client cannot know.
type proxy struct {
	listener net.Listener
	socket   string      // of the server
	secure   *tls.Config // nil = TLS is refused

	commits, sessions atomic.Int64
	// most is how many bytes a session's server may say before it is cut; 0 = any
	// number. down: nobody is let in.
	most atomic.Int64
	down atomic.Bool

	mu    sync.Mutex
	fault providertest.FaultKind // of the next COMMIT
	open  map[net.Conn]struct{}
	over  bool
	all   sync.WaitGroup
}

func newProxy(socket string, secure *tls.Config) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a stand-in on loopback
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, socket: socket, secure: secure, open: map[net.Conn]struct{}{}}
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(c) })
		}
	})
	return p, nil
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.over = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}

// keep remembers a connection, so that close ends it.
func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = struct{}{}
	if p.over {
		_ = c.Close()
	}
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	_ = c.Close()
}

func (p *proxy) arrange(k providertest.FaultKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = k
}

func (p *proxy) take() providertest.FaultKind {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.fault
	p.fault = ""
	return k
}

func (p *proxy) serve(raw net.Conn) {
	p.keep(raw)
	defer p.drop(raw)
	if p.down.Load() {
		return
	}
	client := raw
	for {
		first, code, err := readStartup(client)
		switch {
		case err != nil:
			return
		case code == sslRequest && p.secure == nil:
			if _, err := client.Write([]byte{'N'}); err != nil {
				return
			}
			continue
		case code == sslRequest:
			if _, err := client.Write([]byte{'S'}); err != nil {
				return
			}
			client = tls.Server(raw, p.secure)
			continue
		}
		server, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("unix", p.socket)
		if err != nil {
			return
		}
		p.keep(server)
		defer p.drop(server)
		if _, err := server.Write(first); err != nil || code == cancelRequest {
			return
		}
		p.sessions.Add(1)
		p.session(client, server)
		return
	}
}

// session carries one session, message by message on the client's side.
func (p *proxy) session(client, server net.Conn) {
	var fault atomic.Value
	p.all.Go(func() {
		defer func() { _ = client.Close() }()
		from := io.Reader(server)
		if n := p.most.Load(); n > 0 {
			from = io.LimitReader(server, n)
		}
		answer(client, from, &fault)
	})
	defer func() { _ = server.Close() }()
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, max(0, int(binary.BigEndian.Uint32(head[1:]))-4))
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if head[0] == 'Q' && strings.HasPrefix(strings.ToLower(string(body)), "commit") {
			if k := p.take(); k != "" {
				fault.Store(k)
			}
			p.commits.Add(1)
		}
		if _, err := server.Write(append(head[:5:5], body...)); err != nil {
			return
		}
	}
}

// answer carries what the server says, until a fault takes its place.
func answer(client io.Writer, server io.Reader, fault *atomic.Value) {
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		out, last := buf[:n], true
		switch k, _ := fault.Load().(providertest.FaultKind); k {
		case "":
			last = false
		case providertest.NoAnswer:
			out, last = nil, false
		case providertest.Cut:
			out = buf[:min(n, 3)]
		case providertest.Page:
			out = []byte(page)
		case providertest.Broken:
			out, err = (&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: internalError, Message: "could not write the commit record of ann@example.com"}).Encode(nil)
			if err == nil {
				out, err = (&pgproto3.ReadyForQuery{TxStatus: 'I'}).Encode(out)
			}
			if err != nil {
				return
			}
			fault.Store(providertest.FaultKind(""))
			last = false
		default:
			return
		}
		if _, err := client.Write(out); err != nil || last {
			return
		}
	}
}

func readStartup(r io.Reader) (whole []byte, code uint32, err error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, 0, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 8 || n > 10_000 {
		return nil, 0, errors.New("no message of PostgreSQL")
	}
	whole = append(head, make([]byte, n-8)...)
	_, err = io.ReadFull(r, whole[8:])
	return whole, binary.BigEndian.Uint32(whole[4:]), err
}

// cut closes what is open now.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}
