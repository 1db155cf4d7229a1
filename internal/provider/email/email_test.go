package email

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/alerttest"
	"usher/sandbox/smtpsink"
)

const (
	testUser     = "usher-sender"
	testPassword = "pa55word-0123"
	recipientA   = "anna.ops@example.com"
	recipientB   = "ben.ops@example.com"
)

// certificate makes one for 127.0.0.1, and its PEM.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// server starts a sink and returns the settings that reach it.
func server(t *testing.T, security string, opt smtpsink.Options) (*smtpsink.Sink, alerttest.Far) {
	t.Helper()
	ca := ""
	if security != noTLS {
		opt.TLS, ca = certificate(t)
		opt.Implicit = security == fullTLS
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sink := smtpsink.Serve(ln, opt)
	t.Cleanup(sink.Close)
	host, port, err := net.SplitHostPort(sink.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return sink, alerttest.Far{
		Auth: map[string]provider.Secret{
			"host": provider.Secret(host), "port": provider.Secret(port), "security": provider.Secret(security), "ca_certificate": provider.Secret(ca),
			"username": provider.Secret(opt.User), "password": provider.Secret(opt.Password), "from": "Usher <usher@sender.example>",
		},
		Config: map[string]string{"recipients": recipientA + ", " + recipientB},
		Host:   sink.Addr(),
	}
}

func TestConformance(t *testing.T) {
	for _, security := range []string{noTLS, startTLS, fullTLS} {
		t.Run(security, func(t *testing.T) {
			alerttest.Run(t, alerttest.Suite{
				Definition: Definition(), HasID: true, Secrets: []string{testPassword, recipientA, recipientB, "usher@sender.example"}, Required: []string{"host", "from", "recipients"},
				Start: func(t *testing.T) alerttest.Far {
					answers := map[alerttest.Fault]struct {
						answer string
						taken  bool
					}{alerttest.Down: {"451 4.3.0 try later " + recipientA, false}, alerttest.Lost: {"cut", true}, alerttest.Refused: {"554 5.7.1 spam from " + recipientA, false}}
					next := make(chan alerttest.Fault, 10)
					sink, far := server(t, security, smtpsink.Options{User: testUser, Password: testPassword, Answer: func(int) (string, bool) {
						select {
						case f := <-next:
							return answers[f].answer, answers[f].taken
						default:
							return "", true
						}
					}})
					far.Seen = func() (out []alerttest.Seen) {
						for _, m := range sink.Messages() {
							out = append(out, alerttest.Seen{ID: parsed(t, m).header.Get("Message-Id"), Text: parsed(t, m).plain})
						}
						return out
					}
					far.Script = func(f alerttest.Fault) bool {
						_, ok := answers[f]
						next <- f
						return ok
					}
					return far
				},
			})
		})
	}
}

// letter is a message as a mail program reads it.
type letter struct {
	header      mail.Header
	plain, html string
}

func parsed(t *testing.T, m smtpsink.Message) letter {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(m.Data))
	if err != nil {
		t.Fatalf("the message cannot be read: %v", err)
	}
	l := letter{header: msg.Header}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("the message is %q, %v; want multipart/alternative", kind, err)
	}
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return l
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			l.html = string(body)
		} else {
			l.plain = string(body)
		}
	}
}

func TestMessage(t *testing.T) {
	sink, far := server(t, startTLS, smtpsink.Options{User: testUser, Password: testPassword})
	client, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler), far.Host))
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Notice("0123456789abcdef")
	n.SubjectName = "Käufer <b>\r\nBcc: eve@evil.example"
	answer, err := client.Notify(t.Context(), n)
	if err != nil || answer != "taken for 2 recipients" {
		t.Fatalf("answer %q, error %v", answer, err)
	}
	m := sink.Messages()[0]
	l := parsed(t, m)
	if !m.Secure || m.User != testUser || m.From != "usher@sender.example" || !slices.Equal(m.To, []string{recipientA, recipientB}) {
		t.Errorf("the envelope is %+v", m)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(l.header.Get("Subject"))
	if err != nil || subject != "[ERROR] Job Käufer <b> Bcc: eve@evil.example failed" {
		t.Errorf("the subject is %q, %v", subject, err)
	}
	for name, want := range map[string]string{
		"Message-Id": "<0123456789abcdef@sender.example>", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Bcc": "", "From": `"Usher" <usher@sender.example>`,
	} {
		if got := l.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(l.html, "Käufer &lt;b&gt;") || strings.Contains(l.html, "<b>") {
		t.Errorf("the HTML is not escaped:\n%s", l.html)
	}
	before := sink.Commands()[:slices.Index(sink.Commands(), "STARTTLS")]
	if slices.Contains(before, "AUTH") || slices.Contains(before, "MAIL") {
		t.Errorf("something was said in the clear: %v", before)
	}
}

// TestRefusals: what a server refuses, and what it means.
func TestRefusals(t *testing.T) {
	only := func(answers map[string]string) func(string) string {
		return func(to string) string { return answers[to] }
	}
	for _, c := range []struct {
		name   string
		opt    smtpsink.Options
		change map[string]provider.Secret
		kind   activation.Kind
		field  string
		answer string
	}{
		{name: "one recipient for good", opt: smtpsink.Options{Refuse: only(map[string]string{recipientB: "550 5.1.1 no such user " + recipientB})}, answer: "taken for 1 of 2 recipients; refused: number 2 (SMTP 550) of the list"},
		{name: "all for good", opt: smtpsink.Options{Refuse: func(to string) string { return "550 no " + to }}, kind: activation.Invalid, field: "recipients"},
		{name: "all, one for now", opt: smtpsink.Options{Refuse: only(map[string]string{recipientA: "450 later", recipientB: "550 no"})}, kind: activation.Unavailable},
		{name: "sender", opt: smtpsink.Options{Sender: "550 not you"}, kind: activation.Invalid, field: "from"},
		{name: "sender for now", opt: smtpsink.Options{Sender: "451 later"}, kind: activation.Unavailable},
		{name: "password", opt: smtpsink.Options{User: testUser, Password: testPassword}, change: map[string]provider.Secret{"password": "wrong"}, kind: activation.Unauthorized},
		{name: "no STARTTLS", change: map[string]provider.Secret{"security": startTLS}, kind: activation.Invalid, field: "security"},
		{name: "no sign-in", change: map[string]provider.Secret{"username": "me", "password": "x"}, kind: activation.Invalid, field: "username"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, far := server(t, noTLS, c.opt)
			for k, v := range c.change {
				far.Auth[k] = v
			}
			client, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler), far.Host))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client.Notify(t.Context(), alerttest.Notice("n1"))
			var e *activation.Error
			if errors.As(err, &e); (err == nil) != (c.kind == "") || (err != nil && (e.Kind != c.kind || e.Field != c.field)) || answer != c.answer {
				t.Errorf("answer %q, error %+v; want %q, %s, field %q", answer, e, c.answer, c.kind, c.field)
			}
			if strings.Contains(answer+activation.SafeMessage(err), "@") {
				t.Errorf("an address is told: %s %v", answer, err)
			}
		})
	}
	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		for _, security := range []string{startTLS, fullTLS} {
			sink, far := server(t, security, smtpsink.Options{User: testUser, Password: testPassword})
			far.Auth["ca_certificate"] = ""
			client, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler), far.Host))
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Check(t.Context()); activation.KindOf(err) != activation.Unavailable || !strings.Contains(err.Error(), "not trusted") {
				t.Errorf("%s: %v", security, err)
			}
			if slices.Contains(sink.Commands(), "AUTH") {
				t.Errorf("%s: the password was given to a stranger", security)
			}
		}
	})
}

func TestSettings(t *testing.T) {
	_, far := server(t, noTLS, smtpsink.Options{})
	for _, c := range []struct{ field, value string }{
		{"port", "0"},
		{"port", "x"},
		{"port", "70000"},
		{"host", "a b"},
		{"host", "evil\r\nhost"},
		{"security", "ssl"},
		{"from", "nobody"},
		{"from", "a@b.example\r\nBcc: c@d.example"},
		{"ca_certificate", "x"},
		{"recipients", "a@b.example, nobody"},
		{"recipients", " , "},
		{"recipients", strings.Repeat("a@b.example,", 101)},
	} {
		broken := far
		broken.Auth, broken.Config = map[string]provider.Secret{}, map[string]string{}
		for k, v := range far.Auth {
			broken.Auth[k] = v
		}
		for k, v := range far.Config {
			broken.Config[k] = v
		}
		if c.field == "recipients" {
			broken.Config[c.field] = c.value
		} else {
			broken.Auth[c.field] = provider.Secret(c.value)
		}
		_, err := New(alerttest.Deps(broken, slog.New(slog.DiscardHandler)))
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != c.field || strings.Contains(e.Message, "b.example") {
			t.Errorf("%s %q: %v", c.field, c.value, err)
		}
	}
}

// TestNothingInTheClear: without TLS only a server on this machine is spoken to.
func TestNothingInTheClear(t *testing.T) {
	sink, far := server(t, noTLS, smtpsink.Options{})
	deps := alerttest.Deps(far, slog.New(slog.DiscardHandler), far.Host)
	open := deps.Dial
	deps.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := open(ctx, network, address)
		return elsewhere{conn}, err
	}
	client, err := New(deps)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Notify(t.Context(), alerttest.Notice("n1"))
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != "security" || len(sink.Messages()) != 0 {
		t.Errorf("error %v, %d messages", err, len(sink.Messages()))
	}
}

// elsewhere is a connection to another machine.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 25} }
