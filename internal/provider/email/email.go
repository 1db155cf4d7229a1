// Package email tells people what happens in Usher by e-mail, over any SMTP
// server.
//
// It owns the message and the conversation with the server. It must not know
// what is worth telling, and never puts an address, a password or a server's own
// words, which may repeat them, into an error. It is built for texts that try to
// be headers, for servers that take some recipients and refuse others, and for
// the answer that is lost after the message was sent: the Message-ID stays the
// same, so that mailboxes can tell a repetition.
package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The classes of error of this package beside those of package hook; each has a
// page in docs/troubleshooting.
const (
	// CodeRecipients: the server refuses every recipient, or there is none.
	CodeRecipients = "NOTICE-RECIPIENTS"
	// CodeServer: the settings of the server are wrong.
	CodeServer = "NOTICE-SERVER"
)

// The names of the settings.
const (
	hostField       = "host"
	portField       = "port"
	securityField   = "security"
	usernameField   = "username"
	passwordField   = "password"
	fromField       = "from"
	caField         = "ca_certificate"
	recipientsField = "recipients"
)

// How a connection is made safe.
const (
	startTLS = "starttls"
	fullTLS  = "tls"
	noTLS    = "none"
)

// maxRecipients is the most recipients of one job. Servers must take 100 of one
// message (RFC 5321, section 4.5.3.1.8).
const maxRecipients = 100

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "email", Title: "E-mail", Icon: "mail",
		Description: "Tells people by e-mail what happens in Usher, over your own SMTP server or a service's.",
		Workflows: []provider.Workflow{{
			Name: "alert_email", Title: "Alert by e-mail", Direction: provider.Alerting, Subject: provider.SystemEvents, RealTime: true,
			Description: "Sends an e-mail when something happens that somebody should know of.",
			Fields: provider.AlertFields(provider.Field{
				Name: recipientsField, Label: "Recipients", Type: "list", Required: true, Example: "ops@example.com,marketing@example.com",
				Help: "The e-mail addresses to tell, divided by commas; at most 100.",
			}),
		}},
		AuthFields: []provider.Field{
			{Name: hostField, Label: "Server", Type: "string", Required: true, Example: "smtp.example.com", Help: "The name of the SMTP server that takes messages to be sent on."},
			{Name: portField, Label: "Port", Type: "int", Default: "587", Example: "465", Help: "587 with STARTTLS and 465 with TLS from the start are usual."},
			{
				Name: securityField, Label: "Encryption", Type: "select", Default: startTLS, Options: []string{startTLS, fullTLS, noTLS},
				Help: "starttls: the connection begins in the clear and must be made safe before anything is sent. tls: safe from the start. none: only for a server on this machine.",
			},
			{Name: usernameField, Label: "User name", Type: "string", Help: "Empty for a server that asks for none."},
			{Name: passwordField, Label: "Password", Type: "string", Secret: true, Help: "Goes with the user name; many services want a password made for one program."},
			{Name: fromField, Label: "Sender", Type: "string", Required: true, Example: "Usher <usher@example.com>", Help: "The address that messages come from; the server must allow it."},
			{Name: caField, Label: "Certificate authority", Type: "text", Help: "The certificate, as PEM, of the authority that the server's own was signed by. Only where it is not a public one."},
		},
		NewAlert: New,
	}
}

type alert struct {
	dial       func(ctx context.Context, network, address string) (net.Conn, error)
	host, addr string
	security   string
	user, pass string
	from       *mail.Address
	to         []*mail.Address
	tls        *tls.Config
	now        func() time.Time
}

// New checks the settings and builds the sender.
func New(d provider.Deps) (provider.Alert, error) {
	auth := func(name string) string {
		v := strings.TrimSpace(d.Auth[name].Reveal())
		if v == "" {
			return provider.Setting(Definition().AuthFields, nil, name)
		}
		return v
	}
	a := &alert{
		dial: d.Dial, host: auth(hostField), security: auth(securityField),
		user: auth(usernameField), pass: d.Auth[passwordField].Reveal(), now: d.Now,
	}
	port, err := strconv.ParseUint(auth(portField), 10, 16)
	if err != nil || port == 0 {
		return nil, wrong(portField, "must be a number from 1 to 65535")
	}
	if a.host == "" || strings.ContainsAny(a.host, " /@\r\n\t") {
		return nil, wrong(hostField, "must be the name of a server, such as smtp.example.com")
	}
	a.addr = net.JoinHostPort(strings.Trim(a.host, "[]"), strconv.FormatUint(port, 10))
	if a.security != startTLS && a.security != fullTLS && a.security != noTLS {
		return nil, wrong(securityField, "must be starttls, tls or none")
	}
	if a.from, err = mail.ParseAddress(auth(fromField)); err != nil || hasControl(a.from) {
		return nil, wrong(fromField, "must be an e-mail address such as usher@example.com")
	}
	a.tls = &tls.Config{ServerName: strings.Trim(a.host, "[]"), MinVersion: tls.VersionTLS12}
	if pem := d.Auth[caField].Reveal(); strings.TrimSpace(pem) != "" {
		a.tls.RootCAs = x509.NewCertPool()
		if !a.tls.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, wrong(caField, "must be a certificate as PEM text")
		}
	}
	a.to, err = recipients(d.Config[recipientsField])
	return a, err
}

// recipients reads the addresses. An error names them by their number only.
func recipients(list string) ([]*mail.Address, error) {
	words := provider.List(list)
	if len(words) == 0 || len(words) > maxRecipients {
		return nil, wrongRecipients("must name 1 to 100 e-mail addresses")
	}
	out := make([]*mail.Address, len(words))
	for i, w := range words {
		a, err := mail.ParseAddress(w)
		if err != nil || hasControl(a) {
			return nil, wrongRecipients("number " + strconv.Itoa(i+1) + " of the list is no e-mail address")
		}
		out[i] = a
	}
	return out, nil
}

func hasControl(a *mail.Address) bool {
	return strings.ContainsFunc(a.Address+a.Name, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func wrong(field, what string) *activation.Error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeServer, Field: field, Message: field + " " + what}
}

func wrongRecipients(what string) *activation.Error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeRecipients, Field: recipientsField, Message: recipientsField + " " + what}
}

// Check speaks with the server up to and including the sign-in, and sends
// nothing.
func (a *alert) Check(ctx context.Context) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	return s.close()
}
