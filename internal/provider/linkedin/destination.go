package linkedin

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"usher/internal/outbound"
	"usher/internal/provider"
)

// client is one ad account. Its methods may be called in parallel.
type client struct {
	http    *http.Client
	log     *slog.Logger
	now     func() time.Time
	tokens  provider.Tokens
	root    string // base URL without a slash at the end
	version string
	account string // digits
	gate    gate
	bodies  outbound.Buffers
}

// segments is an ad account that keeps DMP segments.
type segments struct {
	client
	platform string
	apple    bool // APPLE_IDFA is sent
	memory   memory
}

// conversions is an ad account that takes conversions.
type conversions struct{ client }

const (
	accountPrefix = "urn:li:sponsoredAccount:"
	rulePrefix    = "urn:lla:llaPartnerConversion:"
)

var (
	versionPattern  = regexp.MustCompile(`^20[0-9]{2}(0[1-9]|1[0-2])$`)
	platformPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// isNumber reports whether s is an id of LinkedIn's: up to 19 digits.
func isNumber(s string) bool { return digits(s) && len(s) <= 19 }

// New makes the client of an ad account for segments. A wrong setting is an
// Invalid error that names its field.
func New(d provider.Deps) (provider.Destination, error) {
	s := &segments{}
	if err := s.open(d); err != nil {
		return nil, err
	}
	fields := destinationFields()
	s.platform = strings.TrimSpace(provider.Setting(fields, d.Config, platformField))
	if s.platform != "" && !platformPattern.MatchString(s.platform) {
		return nil, invalid(platformField, "the source platform must be the one word that LinkedIn assigned")
	}
	switch provider.Setting(fields, d.Config, appleField) {
	case "true":
		s.apple = true
	case "false":
	default:
		return nil, invalid(appleField, "must be true or false")
	}
	return s, nil
}

// NewConversions makes the client of an ad account for conversions.
func NewConversions(d provider.Deps) (provider.Destination, error) {
	c := &conversions{}
	if err := c.open(d); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *client) open(d provider.Deps) error {
	c.http, c.log, c.now, c.tokens = d.HTTP, d.Log, d.Now, d.Tokens
	if c.tokens == nil {
		return invalid(provider.RefreshTokenField, "the credentials give no access token: connect, or set a refresh token or an access token")
	}
	c.account = strings.TrimPrefix(strings.TrimSpace(d.Account), accountPrefix)
	if !isNumber(c.account) {
		return invalid("account", "the ad account id must be digits, with or without "+accountPrefix+" before them")
	}
	c.version = provider.Setting(destinationFields(), d.Config, versionField)
	if !versionPattern.MatchString(c.version) {
		return invalid(versionField, "the API version must be a year and a month like "+defaultVersion)
	}
	base := provider.Setting(authFields(), map[string]string{"base_url": d.Auth["base_url"].Reveal()}, "base_url")
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return invalid("base_url", "the API address must be like "+defaultBaseURL)
	}
	c.root = strings.TrimRight(u.String(), "/")
	return nil
}

func (c *client) accountURN() string { return accountPrefix + c.account }

// String names the account only: nothing else of a destination is for print.
func (c *client) String() string { return fmt.Sprintf("linkedin account %s", c.account) }
