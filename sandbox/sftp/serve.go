package sftp

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	pkgsftp "github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"usher/sandbox/fault"
)

var errRefused = errors.New("refused")

// Serve answers on ln until ctx ends or ln is closed, closes all connections when
// ctx ends, and returns nil when nothing of it runs on.
func (n *Network) Serve(ctx context.Context, ln net.Listener) error {
	n.mu.Lock()
	n.address = ln.Addr().String()
	n.mu.Unlock()
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var failed error
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				failed = fmt.Errorf("accept: %w", err)
			}
			break
		}
		wg.Go(func() { n.serve(ctx, conn) })
	}
	_ = ln.Close()
	wg.Wait()
	return failed
}

// serve answers one connection until it ends or ctx does.
func (n *Network) serve(ctx context.Context, raw net.Conn) {
	defer func() { _ = raw.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	n.mu.Lock()
	n.counters.Connections++
	n.open++
	full := n.open > n.opts.MaxConnections
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.open--
		n.mu.Unlock()
	}()
	if full {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(raw, n.server)
	if err != nil {
		n.mu.Lock()
		n.counters.Refused++
		n.mu.Unlock()
		return
	}
	n.mu.Lock()
	n.counters.SignIns++
	n.mu.Unlock()
	s := &session{net: n, raw: raw, ended: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { ssh.DiscardRequests(requests) })
	wg.Go(func() {
		_ = conn.Wait() // how it ended is not asked
		close(s.ended)
	})
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, channelRequests, err := offered.Accept()
		if err != nil {
			break
		}
		wg.Go(func() { s.channel(channel, channelRequests, &wg) })
	}
	_ = conn.Close()
	wg.Wait()
}

// channel answers the requests of one channel: sftp and nothing else.
func (s *session) channel(channel ssh.Channel, requests <-chan *ssh.Request, wg *sync.WaitGroup) {
	for r := range requests {
		ok := r.Type == "subsystem" && len(r.Payload) > 4 && string(r.Payload[4:]) == "sftp"
		_ = r.Reply(ok, nil)
		if !ok {
			continue
		}
		server := pkgsftp.NewRequestServer(channel, pkgsftp.Handlers{FileGet: s, FilePut: s, FileCmd: s, FileList: s})
		wg.Go(func() {
			if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
				s.net.deps.Log.Debug("sftp session ended", "error", err)
			}
			_ = channel.Close()
		})
	}
}

// checkPassword lets the user in.
func (n *Network) checkPassword(conn ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	if n.refused(conn) || conn.User() != n.opts.User || subtle.ConstantTimeCompare(password, []byte(n.opts.Password)) != 1 {
		return nil, errRefused
	}
	return nil, nil //nolint:nilnil // no permissions are needed
}

// checkKey lets the user in.
func (n *Network) checkKey(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if n.refused(conn) || conn.User() != n.opts.User || !n.keys[string(key.Marshal())] {
		return nil, errRefused
	}
	return nil, nil //nolint:nilnil // no permissions are needed
}

// refused reports whether a fault keeps everybody out.
func (n *Network) refused(ssh.ConnMetadata) bool {
	_, met := n.deps.Faults.Take(fault.Call{Network: "sftp", Op: "auth", Path: "/"})
	return met
}
