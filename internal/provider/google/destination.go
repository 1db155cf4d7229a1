package google

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// account is one account at Google, with the credentials that reach it. Its
// methods may be called in parallel.
type account struct {
	http    *http.Client
	log     *slog.Logger
	now     func() time.Time
	tokens  provider.Tokens
	root    string // without a slash at the end
	own     productAccount
	login   *productAccount
	linked  *productAccount
	consent *consent
	days    int // of membership
	look    time.Duration
	bodies  outbound.Buffers
}

// productAccount is an account in a body, and names one in a header.
type productAccount struct {
	Type string `json:"accountType"`
	ID   string `json:"accountId"`
}

func (a productAccount) name() string { return "accountTypes/" + a.Type + "/accounts/" + a.ID }

type consent struct {
	UserData        string `json:"adUserData,omitempty"`
	Personalization string `json:"adPersonalization,omitempty"`
}

var numberPattern = regexp.MustCompile(`^[0-9]{1,19}$`)

// newAccount reads the settings. A wrong one is an Invalid error that names its
// field.
func newAccount(d provider.Deps) (*account, error) {
	if d.Tokens == nil {
		return nil, invalid(provider.RefreshTokenField, "the credentials are missing: connect, or give a service account")
	}
	g := &account{http: d.HTTP, log: d.Log, now: d.Now, tokens: d.Tokens}
	setting := func(name string) string { return provider.Setting(destinationFields(), d.Config, name) }
	var err error
	if g.own, err = readAccount("account", d.Account, accountTypeField, setting(accountTypeField)); err != nil {
		return nil, err
	}
	if id := setting(loginAccountField); id != "" {
		a, err := readAccount(loginAccountField, id, loginTypeField, setting(loginTypeField))
		if err != nil {
			return nil, err
		}
		g.login = &a
	}
	if id := setting(linkedAccountField); id != "" {
		a, err := readAccount(linkedAccountField, id, linkedTypeField, setting(linkedTypeField))
		if err != nil {
			return nil, err
		}
		if g.login == nil || g.login.Type != "DATA_PARTNER" {
			return nil, invalid(linkedAccountField, "a linked account goes with a manager account of kind DATA_PARTNER only")
		}
		g.linked = &a
	}
	if g.consent, err = readConsent(setting); err != nil {
		return nil, err
	}
	if g.days, err = strconv.Atoi(setting(provider.MembershipDaysField)); err != nil || g.days < 1 || g.days > longestMembership {
		return nil, invalid(provider.MembershipDaysField, "the membership must be 1 to 540 days")
	}
	if g.look, err = time.ParseDuration(setting(firstLookField)); err != nil || g.look < time.Second || g.look > 24*time.Hour {
		return nil, invalid(firstLookField, "the first look must be a duration from 1s to 24h, such as 30m")
	}
	return g, g.setRoot(d.Auth[baseURLField].Reveal())
}

// readAccount reads an account's id, with or without hyphens, and its kind.
func readAccount(field, id, typeField, kind string) (productAccount, error) {
	id = strings.ReplaceAll(strings.TrimSpace(id), "-", "")
	if !numberPattern.MatchString(id) {
		return productAccount{}, invalid(field, "the account id must be digits, with or without hyphens between them")
	}
	if !slices.Contains(accountTypes, kind) && (kind != "DATA_PARTNER" || field != loginAccountField) {
		return productAccount{}, invalid(typeField, "the kind of account must be one of "+strings.Join(accountTypes, ", "))
	}
	return productAccount{Type: kind, ID: id}, nil
}

// readConsent returns what the settings say, nil when they say nothing.
func readConsent(setting func(string) string) (*consent, error) {
	var c consent
	for field, into := range map[string]*string{userDataField: &c.UserData, personalizedField: &c.Personalization} {
		switch v := setting(field); v {
		case "CONSENT_GRANTED", "CONSENT_DENIED":
			*into = v
		case consentNotSpecified:
		default:
			return nil, invalid(field, "the consent must be unspecified, CONSENT_GRANTED or CONSENT_DENIED")
		}
	}
	if c == (consent{}) {
		return nil, nil
	}
	return &c, nil
}

// setRoot takes the address of the API, "" for Google's own. Whether it may be
// called is decided by the outbound client.
func (g *account) setRoot(base string) error {
	if base == "" {
		base = defaultBaseURL
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return invalid(baseURLField, "the API address must be like "+defaultBaseURL)
	}
	g.root = strings.TrimRight(u.String(), "/") + "/v1/"
	return nil
}

// target is where a request goes: an audience or a conversion action of the
// account.
type target struct {
	Operating productAccount  `json:"operatingAccount"`
	Login     *productAccount `json:"loginAccount,omitempty"`
	Linked    *productAccount `json:"linkedAccount,omitempty"`
	Product   string          `json:"productDestinationId"`
}

func (g *account) target(product string) []target {
	return []target{{Operating: g.own, Login: g.login, Linked: g.linked, Product: product}}
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: classSettings.Code, Message: message, Field: field}
}

// String names the account only: nothing else of a destination is for print.
func (g *account) String() string { return fmt.Sprintf("google account %s", g.own.ID) }
