package query

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The settings of an authorization that say how a connection is protected.
const (
	SSLModeField = "sslmode"
	RootField    = "root_certificate"
)

// TLSFields are these settings.
func TLSFields() []provider.Field {
	return []provider.Field{
		{
			Name: SSLModeField, Label: "TLS", Type: "select", Options: []string{"verify-full", "verify-ca", "require", "disable"}, Default: "verify-full",
			Help: "How the connection is protected: verify-full checks the server's certificate and its name, verify-ca the certificate only, require encrypts without knowing to whom, disable sends passwords and people in the clear.",
		},
		{Name: RootField, Label: "Root certificate", Help: "The certificate, as PEM, that the server's must be signed by. Empty = those that the machine trusts.", Type: "text"},
	}
}

// TLS is what the modes of libpq mean (PostgreSQL, "32.19. SSL Support"), for any
// database; nil = none. wrong makes the error of a setting.
func TLS(mode, host, root string, wrong func(field, message string) *activation.Error) (*tls.Config, error) {
	if mode == "disable" {
		return nil, nil //nolint:nilnil // see above
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if root != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(root)) {
			return nil, wrong(RootField, "must be a certificate as PEM, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----")
		}
	}
	switch mode {
	case "verify-full":
	case "verify-ca":
		c.InsecureSkipVerify = true // the name only: VerifyConnection checks the rest
		c.VerifyConnection = func(s tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: x509.NewCertPool()}
			for _, x := range s.PeerCertificates[1:] {
				o.Intermediates.AddCert(x)
			}
			_, err := s.PeerCertificates[0].Verify(o)
			return err
		}
	case "require":
		c.InsecureSkipVerify = true // what the setting asks for
	default:
		return nil, wrong(SSLModeField, "must be verify-full, verify-ca, require or disable")
	}
	return c, nil
}

// Untrusted reports whether TLS could not be agreed upon.
func Untrusted(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) ||
		errors.As(err, &record) || errors.As(err, &alert)
}
