// Package smtpsink is an SMTP server that keeps what it is given and sends
// nothing on: a stand-in for tests, on loopback.
//
// It speaks enough of RFC 5321 (EHLO, MAIL, RCPT, DATA, RSET, NOOP, QUIT), RFC
// 3207 (STARTTLS) and RFC 4954 (AUTH PLAIN and LOGIN) to judge a sender by, and
// misbehaves on demand. It imports nothing of the product and does not use its
// mail library.
package smtpsink

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"sync"
)

// Message is one message that was taken.
type Message struct {
	From string
	To   []string
	// Data is the message as it came, without the dots of the transfer.
	Data string
	// Secure tells whether it came over TLS, User who had signed in.
	Secure bool
	User   string
}

// Options set a server up. The zero value takes everything in the clear.
type Options struct {
	// TLS is offered by STARTTLS, or spoken from the start where Implicit is set.
	TLS      *tls.Config
	Implicit bool
	// User and Password are needed before MAIL where they are set.
	User, Password string
	// Refuse returns the answer to a recipient, such as "550 no such user"; "" =
	// taken. nil takes all.
	Refuse func(address string) string
	// Answer returns the answer to the end of a message and whether it is taken;
	// "" = "250 taken". "cut" breaks the connection. nil takes all.
	Answer func(n int) (answer string, taken bool)
	// Sender returns the answer to MAIL; "" = taken.
	Sender string
}

// Sink is a running server.
type Sink struct {
	opt Options
	ln  net.Listener

	mu       sync.Mutex
	messages []Message
	ends     int
	commands []string
	conns    map[net.Conn]struct{}
	open     sync.WaitGroup
}

// Serve answers on ln until Close.
func Serve(ln net.Listener, opt Options) *Sink {
	s := &Sink{opt: opt, ln: ln, conns: map[net.Conn]struct{}{}}
	s.open.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = struct{}{}
			s.mu.Unlock()
			s.open.Go(func() { s.serve(conn) })
		}
	})
	return s
}

// Addr is where it answers.
func (s *Sink) Addr() string { return s.ln.Addr().String() }

// Close ends it and waits for its conversations.
func (s *Sink) Close() {
	_ = s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.open.Wait()
}

// Messages returns what was taken, in the order it came.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Commands returns the verbs of all conversations, in the order they came.
func (s *Sink) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

// talk is one conversation.
type talk struct {
	s      *Sink
	conn   net.Conn
	text   *textproto.Conn
	secure bool
	user   string
	now    Message
}

func (s *Sink) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	t := &talk{s: s, conn: conn}
	if s.opt.Implicit {
		t.conn, t.secure = tls.Server(conn, s.opt.TLS), true
	}
	t.text = textproto.NewConn(t.conn)
	t.say("220 sink")
	for {
		line, err := t.text.ReadLine()
		if err != nil || !t.command(line) {
			return
		}
	}
}

func (t *talk) say(line string) { _ = t.text.PrintfLine("%s", line) }

// command does one command, and reports whether the conversation goes on.
func (t *talk) command(line string) bool {
	verb, rest, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	t.s.mu.Lock()
	t.s.commands = append(t.s.commands, verb)
	t.s.mu.Unlock()
	switch verb {
	case "EHLO", "HELO":
		t.greet()
	case "STARTTLS":
		return t.startTLS()
	case "AUTH":
		return t.auth(rest)
	case "MAIL":
		t.mail(rest)
	case "RCPT":
		t.rcpt(rest)
	case "DATA":
		return t.data()
	case "RSET":
		t.now = Message{}
		t.say("250 reset")
	case "NOOP":
		t.say("250 fine")
	case "QUIT":
		t.say("221 bye")
		return false
	default:
		t.say("502 not known")
	}
	return true
}

func (t *talk) greet() {
	lines := []string{"sink"}
	if t.s.opt.TLS != nil && !t.secure {
		lines = append(lines, "STARTTLS")
	}
	if t.s.opt.User != "" {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	lines = append(lines, "8BITMIME")
	for i, l := range lines {
		mark := "-"
		if i == len(lines)-1 {
			mark = " "
		}
		t.say("250" + mark + l)
	}
}

func (t *talk) startTLS() bool {
	if t.s.opt.TLS == nil || t.secure {
		t.say("502 not known")
		return true
	}
	t.say("220 go on")
	safe := tls.Server(t.conn, t.s.opt.TLS)
	if safe.HandshakeContext(context.Background()) != nil {
		return false
	}
	t.conn, t.secure, t.text, t.now = safe, true, textproto.NewConn(safe), Message{}
	return true
}

func (t *talk) auth(rest string) bool {
	way, first, _ := strings.Cut(rest, " ")
	var user, password string
	switch strings.ToUpper(way) {
	case "PLAIN":
		raw, _ := base64.StdEncoding.DecodeString(first)
		parts := strings.Split(string(raw), "\x00")
		if len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case "LOGIN":
		for _, ask := range []struct {
			prompt string
			to     *string
		}{{"VXNlcm5hbWU6", &user}, {"UGFzc3dvcmQ6", &password}} {
			t.say("334 " + ask.prompt)
			line, err := t.text.ReadLine()
			if err != nil {
				return false
			}
			raw, _ := base64.StdEncoding.DecodeString(line)
			*ask.to = string(raw)
		}
	}
	if user != t.s.opt.User || password != t.s.opt.Password || user == "" {
		t.say("535 5.7.8 credentials invalid for " + user)
		return true
	}
	t.user = user
	t.say("235 welcome")
	return true
}

func (t *talk) mail(rest string) {
	switch {
	case t.s.opt.User != "" && t.user == "":
		t.say("530 5.7.0 sign in first")
	case t.s.opt.Sender != "":
		t.say(t.s.opt.Sender)
	default:
		t.now = Message{From: address(rest), Secure: t.secure, User: t.user}
		t.say("250 sender taken")
	}
}

func (t *talk) rcpt(rest string) {
	to := address(rest)
	if t.now.From == "" {
		t.say("503 MAIL first")
		return
	}
	if t.s.opt.Refuse != nil {
		if answer := t.s.opt.Refuse(to); answer != "" {
			t.say(answer)
			return
		}
	}
	t.now.To = append(t.now.To, to)
	t.say("250 recipient taken")
}

func (t *talk) data() bool {
	if len(t.now.To) == 0 {
		t.say("503 RCPT first")
		return true
	}
	t.say("354 go on")
	lines, err := dotLines(t.text.R)
	if err != nil {
		return false
	}
	t.now.Data = lines
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.ends++
	answer, taken := "250 taken", true
	if t.s.opt.Answer != nil {
		if a, ok := t.s.opt.Answer(t.s.ends); a != "" {
			answer, taken = a, ok
		}
	}
	if taken {
		t.s.messages = append(t.s.messages, t.now)
	}
	t.now = Message{}
	if answer == "cut" {
		return false
	}
	t.say(answer)
	return true
}

// dotLines reads a message up to the line with a single dot.
func dotLines(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("read message: %w", err)
		}
		if !strings.HasSuffix(line, "\r\n") {
			return "", errors.New("a line does not end in CRLF")
		}
		if line == ".\r\n" {
			return b.String(), nil
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

// address is what stands between the angle brackets.
func address(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}
