package sftpdrop

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/drop"
)

// clientVersion is how we introduce ourselves.
const clientVersion = "SSH-2.0-Usher"

// stopTime is how long a session lives on when its context has ended, to take
// away what it has half written.
const stopTime = time.Second

// place is a folder on a server. It keeps no connection: a session is opened for
// each batch and closed after it.
type place struct {
	settings
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// New makes the place of credentials and folder. A wrong setting is an Invalid
// error that names its field.
func New(d provider.Deps) (drop.Place, error) {
	s, err := read(d)
	if err != nil {
		return nil, err
	}
	return &place{settings: s, dial: d.Dial}, nil
}

// String hides the settings.
func (p *place) String() string { return "sftp place" }

// GoString hides the settings.
func (p *place) GoString() string { return p.String() }

// Connect signs in. The host key is asked for by one kind after the other until
// the server shows one that is trusted.
func (p *place) Connect(ctx context.Context) (drop.Drop, error) {
	var seen []string
	var last error
	for _, algorithms := range offers(p.pins) {
		w := &witness{pins: p.pins}
		s, err := p.connect(ctx, algorithms, w)
		if err == nil {
			return s, nil
		}
		var negotiation *ssh.AlgorithmNegotiationError
		switch {
		case errors.Is(err, errHostKey):
			if !slices.Contains(seen, w.seen) {
				seen = append(seen, w.seen)
			}
			continue
		case errors.As(err, &negotiation): // it has no key of this kind
			last = err
			continue
		}
		return nil, err
	}
	if len(seen) > 0 {
		return nil, unknownHost(seen)
	}
	return nil, (&session{}).handshakeFault(ctx, last, &witness{})
}

// connect makes one connection. errHostKey and a failed negotiation come back as
// they are.
func (p *place) connect(ctx context.Context, algorithms []string, w *witness) (*session, error) {
	raw, err := p.dial(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	s := &session{place: p, conn: &patient{Conn: raw, limit: p.timeout}}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // nothing is written yet
	conn, channels, requests, err := ssh.NewClientConn(s.conn, p.address, &ssh.ClientConfig{
		User: p.user, Auth: p.auth, HostKeyCallback: w.check, HostKeyAlgorithms: algorithms, ClientVersion: clientVersion,
	})
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case err == nil:
	case w.seen != "" && !w.trusted:
		err = errHostKey
	case errors.As(err, &negotiation) && ctx.Err() == nil:
	default:
		err = s.handshakeFault(ctx, err, w)
	}
	if err != nil {
		stop()
		_ = raw.Close() // the handshake is over
		return nil, err
	}
	s.ssh = ssh.NewClient(conn, channels, requests)
	s.sftp, err = sftp.NewClient(s.ssh, sftp.UseConcurrentWrites(true))
	if !stop() || err != nil {
		_ = s.ssh.Close()
		if err == nil || errors.Is(err, io.EOF) || ctx.Err() != nil || s.conn.silent.Load() {
			return nil, s.lost(ctx, false)
		}
		return nil, &activation.Error{Kind: activation.Invalid, Code: codeUnsupported, Message: "the server lets the user in and offers no sftp"}
	}
	s.stop = context.AfterFunc(ctx, s.endSoon)
	return s, nil
}
