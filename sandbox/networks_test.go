package sandbox

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
)

// echo is a network with a port of its own that is no HTTP.
type echo struct {
	http.Handler
	released, closed int
	fails            error
}

func (e *echo) Control() http.Handler { return http.NotFoundHandler() }
func (e *echo) Release()              { e.released++ }
func (e *echo) Close() error          { e.closed++; return nil }

func (e *echo) Serve(ctx context.Context, ln net.Listener) error {
	if e.fails != nil {
		return errors.Join(e.fails, ln.Close())
	}
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return nil
		}
		line, _ := bufio.NewReader(conn).ReadString('\n')
		_, _ = conn.Write([]byte(line))
		_ = conn.Close()
	}
}

func boxWith(n Network) *Sandbox {
	s := New(Options{})
	s.networks = append(s.networks, &served{entry: entry{name: "echo", title: "Echo", credentials: Credentials{
		"host": "{host}", "port": "{port}", "at": "{address}", "web": "{url}",
	}}, network: n})
	return s
}

func TestNetworkWithAPortOfItsOwn(t *testing.T) {
	far := &echo{Handler: http.NotFoundHandler()}
	s := boxWith(far)
	ctx, stop := context.WithCancel(t.Context())
	ln, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ListenOwn(ctx, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	list := s.Networks(ln.Addr().String())
	said := list[len(list)-1]
	if said.Credentials["host"] != "127.0.0.1" || net.JoinHostPort(said.Credentials["host"], said.Credentials["port"]) != said.Address ||
		said.Credentials["at"] != said.Address || said.Credentials["web"] != "http://"+ln.Addr().String()+"/echo" {
		t.Errorf("listing: %+v", said)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", said.Address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
		t.Errorf("answer %q: %v", line, err)
	}
	_ = conn.Close()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if far.released == 0 || far.closed == 0 {
		t.Errorf("released %d times, closed %d times", far.released, far.closed)
	}
}

func TestANetworkThatEndsEndsTheSandbox(t *testing.T) {
	broken := errors.New("broken")
	s := boxWith(&echo{Handler: http.NotFoundHandler(), fails: broken})
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), ln); !errors.Is(err, broken) {
		t.Errorf("Serve: %v", err)
	}
}

func TestOnlyTheNetworksAskedFor(t *testing.T) {
	s := New(Options{Networks: []string{"none"}})
	if len(s.Networks("")) != 0 || s.Network("meta") != nil || s.Meta() != nil {
		t.Error("there are networks that were not asked for")
	}
	if New(Options{}).Meta() == nil {
		t.Error("there is no meta")
	}
}
