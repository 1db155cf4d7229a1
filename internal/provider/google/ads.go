package google

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"usher/internal/outbound"
	"usher/internal/provider"
)

// campaigns edits the campaigns of one Google Ads account, by the Google Ads API
// (pages are below developers.google.com/google-ads/api, read 2026-11-22).
type campaigns struct {
	http *http.Client
	log  *slog.Logger
	now  func() time.Time
	// token gives an access token, forget says that one was refused.
	token     func(context.Context) (string, error)
	forget    func(string)
	root      string // with the version and a slash at its end
	customer  string // digits
	manager   string // "" = none
	developer provider.Secret
	bodies    outbound.Buffers

	mu    sync.Mutex
	known *customer // what does not change of the account
}

// customer is an account as Google describes it.
type customer struct {
	name, currency, zone string
	// unit is what amounts are multiples of, in micros.
	unit int64
}

var customerPattern = regexp.MustCompile(`^[0-9]{1,19}$`)

// NewCampaigns makes the client of an account whose campaigns are edited. A wrong
// setting is an Invalid error that names its field.
func NewCampaigns(d provider.Deps) (provider.Publisher, error) {
	if d.Tokens == nil {
		return nil, adsInvalid(provider.RefreshTokenField, "the credentials are missing: connect, or give a service account")
	}
	g := &account{http: d.HTTP, log: d.Log, now: d.Now, tokens: d.Tokens}
	c := &campaigns{http: d.HTTP, log: d.Log, now: d.Now, token: g.token, forget: d.Tokens.Refused, developer: d.Auth[developerTokenField]}
	setting := func(name string) string {
		return strings.TrimSpace(provider.Setting(accountFields(), d.Config, name))
	}
	if c.customer = strings.ReplaceAll(strings.TrimSpace(d.Account), "-", ""); !customerPattern.MatchString(c.customer) {
		return nil, adsInvalid("account", "the account must be a customer id: digits, with or without hyphens between them")
	}
	if c.manager = strings.ReplaceAll(setting(loginCustomerField), "-", ""); c.manager != "" && !customerPattern.MatchString(c.manager) {
		return nil, adsInvalid(loginCustomerField, "the manager account must be a customer id: digits, with or without hyphens between them")
	}
	version := setting(apiVersionField)
	if !slices.Contains(apiVersions, version) {
		return nil, adsInvalid(apiVersionField, "the version must be one of "+strings.Join(apiVersions, ", "))
	}
	base := d.Auth[adsBaseURLField].Reveal()
	if base == "" {
		base = defaultAdsURL
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, adsInvalid(adsBaseURLField, "the address of the Google Ads API must be like "+defaultAdsURL)
	}
	c.root = strings.TrimRight(u.String(), "/") + "/" + version + "/"
	return c, nil
}

// String names the account only: nothing else of a client is for print.
func (c *campaigns) String() string { return fmt.Sprintf("google ads account %s", c.customer) }

// GoString is String.
func (c *campaigns) GoString() string { return c.String() }

// Check reads the account. A manager account has no campaigns of its own.
func (c *campaigns) Check(ctx context.Context) (provider.PublisherInfo, error) {
	is, err := c.describe(ctx)
	return provider.PublisherInfo{Name: is.name, Currency: is.currency, Timezone: is.zone}, err
}

// describe asks for what the account is.
func (c *campaigns) describe(ctx context.Context) (customer, error) {
	var got customer
	manager := false
	err := c.search(ctx, "SELECT customer.id, customer.descriptive_name, customer.currency_code, customer.time_zone, customer.manager FROM customer LIMIT 1", func(r *adsRow) error {
		got.name, got.currency, got.zone, manager = first(r.Customer.DescriptiveName, c.customer), r.Customer.CurrencyCode, r.Customer.TimeZone, r.Customer.Manager
		return nil
	})
	switch {
	case err != nil:
		return customer{}, err
	case got.currency == "" || got.zone == "":
		return customer{}, adsAnswer.whole(adsFault{})
	case manager:
		return customer{}, adsInvalid("account", "this is a manager account, which has no campaigns: link the account below it, and name this one as its manager account")
	}
	return got, nil
}

// about is describe with the currency's unit, asked for once.
func (c *campaigns) about(ctx context.Context) (customer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known != nil {
		return *c.known, nil
	}
	got, err := c.describe(ctx)
	if err != nil {
		return customer{}, err
	}
	err = c.search(ctx, "SELECT currency_constant.billable_unit_micros FROM currency_constant WHERE currency_constant.code = "+quoted(got.currency), func(r *adsRow) error {
		got.unit = int64Of(r.CurrencyConstant.BillableUnitMicros)
		return nil
	})
	if err != nil {
		return customer{}, err
	}
	if got.unit <= 0 {
		return customer{}, adsAnswer.whole(adsFault{})
	}
	c.known = &got
	return got, nil
}

// name is the resource name of an object of the account.
func (c *campaigns) name(collection, id string) string {
	return "customers/" + c.customer + "/" + collection + "/" + id
}
