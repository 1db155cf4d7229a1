package meta

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// destination is one ad account. Its methods may be called in parallel.
type destination struct {
	http     *http.Client
	log      *slog.Logger
	now      func() time.Time
	tokens   outbound.TokenSource
	secret   provider.Secret
	token    provider.Secret // kept to be taken out of texts
	base     string          // base URL without a slash at the end; calls that hold others go there
	root     string          // base URL and version, without a slash at the end
	version  string
	account  string // digits
	maxBytes int
	unit     time.Duration // of estimated_time_to_regain_access
	gate     gate
	bodies   outbound.Buffers
	warned   atomic.Bool // that another version answers
}

var (
	versionPattern = regexp.MustCompile(`^v[1-9][0-9]{0,2}\.[0-9]$`)
	numberPattern  = regexp.MustCompile(`^[0-9]{1,32}$`)
)

// New makes the client of one ad account. A wrong setting is an Invalid error
// that names its field.
func New(d provider.Deps) (provider.Destination, error) {
	m, err := openAccount(d)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func openAccount(d provider.Deps) (*destination, error) {
	m := &destination{http: d.HTTP, log: d.Log, now: d.Now, secret: d.Auth["app_secret"]}
	token := d.Auth["access_token"].Reveal()
	if token == "" {
		return nil, invalid("access_token", "the access token is missing")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, invalid("access_token", "the access token has characters that no token has: copy it again")
	}
	m.tokens, m.token = outbound.FixedToken(token), provider.Secret(token)
	m.account = strings.TrimPrefix(strings.TrimSpace(d.Account), "act_")
	if !numberPattern.MatchString(m.account) {
		return nil, invalid("account", "the ad account id must be digits, with or without act_ before them")
	}
	def := Definition()
	m.version = provider.Setting(def.DestinationFields, d.Config, "api_version")
	if !versionPattern.MatchString(m.version) {
		return nil, invalid("api_version", "the API version must look like "+defaultVersion)
	}
	base := defaultBaseURL
	if set := d.Auth["base_url"].Reveal(); set != "" {
		base = set
	}
	if err := m.setRoot(base); err != nil {
		return nil, err
	}
	size := provider.Setting(def.DestinationFields, d.Config, provider.MaxBytesField)
	n, err := strconv.Atoi(size)
	if err != nil || n < 10_000 {
		return nil, invalid(provider.MaxBytesField, "the largest request must be a number of bytes, at least 10000")
	}
	m.maxBytes = n
	switch provider.Setting(def.DestinationFields, d.Config, "regain_unit") {
	case "minutes":
		m.unit = time.Minute
	case "seconds":
		m.unit = time.Second
	default:
		return nil, invalid("regain_unit", "the unit must be minutes or seconds")
	}
	return m, nil
}

// setRoot takes the address of the API. Whether it may be called is decided by
// the outbound client.
func (m *destination) setRoot(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return invalid("base_url", "the API address must be like "+defaultBaseURL)
	}
	m.base = strings.TrimRight(u.String(), "/")
	m.root = m.base + "/" + m.version
	return nil
}

// proof is appsecret_proof (docs/graph-api/guides/secure-requests), or "".
func (m *destination) proof(token string) string {
	if m.secret == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(m.secret.Reveal()))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: classSettings.Code, Message: message, Field: field}
}

// String names the account only: nothing else of a destination is for print.
func (m *destination) String() string { return fmt.Sprintf("meta account %s", m.account) }
