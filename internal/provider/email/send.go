package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/hook"
)

// stepTime bounds a whole conversation.
const stepTime = time.Minute

// session is one conversation with the server.
type session struct {
	conn net.Conn
	smtp *smtp.Client
	stop func() bool // of the watch that ends the connection with its context
}

// open speaks with the server up to the sign-in.
func (a *alert) open(ctx context.Context) (*session, error) {
	conn, err := a.dial(ctx, "tcp", a.addr)
	if err != nil {
		var own *activation.Error
		if errors.As(err, &own) {
			at := *own
			if at.Kind == activation.Invalid {
				at.Field = hostField
			}
			return nil, &at
		}
		return nil, broken("the server cannot be reached", false)
	}
	s := &session{conn: conn}
	s.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if err := s.begin(ctx, a); err != nil {
		s.stop()
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) begin(ctx context.Context, a *alert) error {
	if a.security == noTLS && !loopback(s.conn) {
		return wrong(securityField, "can be none only for a server on this machine: the password and the notices would travel in the clear")
	}
	if err := s.conn.SetDeadline(time.Now().Add(stepTime)); err != nil {
		return broken("the connection does not work", false)
	}
	if a.security == fullTLS {
		safe := tls.Client(s.conn, a.tls)
		if err := safe.HandshakeContext(ctx); err != nil {
			return unsafe(err)
		}
		s.conn = safe
	}
	var err error
	if s.smtp, err = smtp.NewClient(s.conn, a.host); err != nil {
		return reply(err, "does not greet", false)
	}
	if err = s.smtp.Hello("localhost"); err != nil {
		return reply(err, "does not greet", false)
	}
	if a.security == startTLS {
		if ok, _ := s.smtp.Extension("STARTTLS"); !ok {
			return wrong(securityField, "is starttls, which the server does not offer at this port")
		}
		if err := s.smtp.StartTLS(a.tls); err != nil {
			return unsafe(err)
		}
	}
	return s.signIn(a)
}

// signIn gives user name and password, in the way that the server knows.
func (s *session) signIn(a *alert) error {
	if a.user == "" {
		return nil
	}
	_, known := s.smtp.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(known))
	var way smtp.Auth
	switch {
	case slices.Contains(ways, "PLAIN"):
		way = smtp.PlainAuth("", a.user, a.pass, a.host, a.security == noTLS)
	case slices.Contains(ways, "LOGIN"):
		way = smtp.LoginAuth(a.user, a.pass, a.host, a.security == noTLS)
	default:
		return wrong(usernameField, "is set, and the server offers neither PLAIN nor LOGIN to sign in")
	}
	err := s.smtp.Auth(way)
	var answer *textproto.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && answer.Code/100 == 5:
		return &activation.Error{Kind: activation.Unauthorized, Code: hook.CodeAuth, Message: fmt.Sprintf("the server refuses user name and password (SMTP %d)", answer.Code)}
	}
	return reply(err, "does not let sign in", false)
}

func (s *session) close() error {
	defer s.stop()
	err := s.smtp.Quit() // closes the connection; that the server did not say goodbye means nothing
	if err != nil {
		_ = s.conn.Close()
	}
	return nil
}

// Notify sends one notice. Recipients that the server refuses are left out and
// named by their number in the answer; it is an error only when none is left.
func (a *alert) Notify(ctx context.Context, n provider.Notice) (string, error) {
	m, err := a.message(n)
	if err != nil {
		return "", err
	}
	s, err := a.open(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.close() }()
	if err := s.smtp.Mail("<" + a.from.Address + ">"); err != nil {
		var answer *textproto.Error
		if errors.As(err, &answer) && answer.Code/100 == 5 {
			return "", wrong(fromField, fmt.Sprintf("is a sender that the server does not allow (SMTP %d)", answer.Code))
		}
		return "", reply(err, "does not take the sender", false)
	}
	refused, err := s.recipients(a)
	if err != nil {
		return "", err
	}
	w, err := s.smtp.Data()
	if err != nil {
		return "", reply(err, "does not take the message", false)
	}
	if _, err := m.WriteTo(w); err != nil {
		return "", reply(err, "does not take the message", false) // without its end it is none
	}
	if err := w.Close(); err != nil {
		return "", reply(err, "did not say whether it took the message", true)
	}
	told := len(a.to) - len(refused)
	if len(refused) == 0 {
		return fmt.Sprintf("taken for %d recipients", told), nil
	}
	return fmt.Sprintf("taken for %d of %d recipients; refused: number %s of the list", told, len(a.to), strings.Join(refused, ", ")), nil
}

// recipients names the recipients to the server and returns the numbers of
// those that it refuses.
func (s *session) recipients(a *alert) (refused []string, err error) {
	passing := false
	for i, to := range a.to {
		err := s.smtp.Rcpt("<" + to.Address + ">")
		var answer *textproto.Error
		switch {
		case err == nil:
		case errors.As(err, &answer):
			refused = append(refused, strconv.Itoa(i+1)+" (SMTP "+strconv.Itoa(answer.Code)+")")
			passing = passing || answer.Code/100 == 4
		default:
			return nil, reply(err, "does not take the recipients", false)
		}
	}
	switch {
	case len(refused) < len(a.to):
		return refused, nil
	case passing:
		return nil, broken("the server takes no recipient for now: number "+strings.Join(refused, ", ")+" of the list", false)
	}
	return nil, wrongRecipients("are all refused by the server: number " + strings.Join(refused, ", ") + " of the list")
}

// reply is the error of a step that the server refused or did not answer. Its
// own words are not kept: they repeat addresses.
func reply(err error, what string, mayHaveApplied bool) *activation.Error {
	var answer *textproto.Error
	switch {
	case errors.As(err, &answer) && answer.Code/100 == 5:
		return &activation.Error{Kind: activation.RefusedWhole, Code: hook.CodeRefused, Message: fmt.Sprintf("the server refuses this notice (SMTP %d)", answer.Code)}
	case errors.As(err, &answer):
		return broken(fmt.Sprintf("the server %s for now (SMTP %d)", what, answer.Code), false)
	}
	return broken("the server "+what, mayHaveApplied)
}

func broken(message string, mayHaveApplied bool) *activation.Error {
	return &activation.Error{Kind: activation.Unavailable, Code: hook.CodeUnavailable, Message: message, MayHaveApplied: mayHaveApplied}
}

// unsafe is the error of a connection that cannot be made safe.
func unsafe(err error) *activation.Error {
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return broken("the certificate of the server is not trusted; where your own authority signed it, give that as "+caField, false)
	}
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		return wrong(securityField, "is tls, which the server does not speak at this port; starttls is usual at 587")
	}
	return broken("no safe connection came about", false)
}

func loopback(c net.Conn) bool {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}
