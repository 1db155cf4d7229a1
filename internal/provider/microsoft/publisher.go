package microsoft

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// publisher edits the campaigns of one account.
type publisher struct {
	http           *http.Client
	tokens         provider.Tokens
	developerToken provider.Secret
	customer       string
	account        string
	campaignURL    string
	reportingURL   string
	customerURL    string
	timezone       string
	campaignTypes  string
	reportPoll     time.Duration
	limits         map[string]int
	now            func() time.Time
	bodies         outbound.Buffers

	mu   sync.Mutex
	info *accountInfo // as it was read once
}

// String hides what the client is made with.
func (p *publisher) String() string { return "microsoft account " + p.account }

// GoString hides it too.
func (p *publisher) GoString() string { return p.String() }

// Paths of the API below its addresses.
const (
	campaignPath = "/CampaignManagement/v13/"
	reportPath   = "/Reporting/v13/GenerateReport/"
	accountPath  = "/CustomerManagement/v13/Account/Query"
)

// NewPublisher builds the client of one account.
func NewPublisher(d provider.Deps) (provider.Publisher, error) {
	p := &publisher{
		http: d.HTTP, tokens: d.Tokens, developerToken: d.Auth[developerTokenField], now: d.Now,
		account: strings.TrimSpace(d.Account), limits: map[string]int{},
	}
	fields := publishing().Fields
	setting := func(name string) string { return strings.TrimSpace(provider.Setting(fields, d.Config, name)) }
	p.customer, p.timezone, p.campaignTypes = setting(customerIDField), setting(timezoneField), setting(campaignTypesField)
	switch {
	case !digits(p.account):
		return nil, invalid("account", "the account id is a number, such as 1234567")
	case !digits(p.customer):
		return nil, invalid(customerIDField, "the customer id is a number, such as 252231699")
	case d.Tokens == nil || p.developerToken == "":
		return nil, invalid(developerTokenField, "a developer token and a connection are needed")
	}
	for name, to := range map[string]*string{campaignURLField: &p.campaignURL, reportingURLField: &p.reportingURL, customerURLField: &p.customerURL} {
		address := provider.Setting(authFields(), map[string]string{name: d.Auth[name].Reveal()}, name)
		*to = strings.TrimRight(address, "/")
	}
	if p.timezone != "" {
		if _, err := time.LoadLocation(p.timezone); err != nil {
			return nil, invalid(timezoneField, "the zone is named as in the IANA database, such as Europe/Paris")
		}
	}
	var err error
	if p.reportPoll, err = time.ParseDuration(setting(reportPollField)); err != nil || p.reportPoll <= 0 {
		return nil, invalid(reportPollField, "the time is written such as 5s")
	}
	for _, s := range specs {
		n, err := strconv.Atoi(setting(s.limitField()))
		if err != nil || n < 1 || n > maxEdits {
			return nil, invalid(s.limitField(), "it is a number from 1 to "+strconv.Itoa(maxEdits))
		}
		p.limits[s.typ] = n
	}
	return p, nil
}

// accountInfo is what Microsoft says of the account.
type accountInfo struct {
	Name         string
	CurrencyCode string
	TimeZone     string
}

// Check proves credentials and account.
func (p *publisher) Check(ctx context.Context) (provider.PublisherInfo, error) {
	info, err := p.readAccount(ctx)
	if err != nil {
		return provider.PublisherInfo{}, err
	}
	zone := p.timezone
	if zone == "" {
		zone = zones[info.TimeZone]
	}
	if zone == "" {
		return provider.PublisherInfo{}, invalid(timezoneField, "usher does not know the zone by the name that microsoft gives it: set it, such as Europe/Paris")
	}
	return provider.PublisherInfo{Name: info.Name, Currency: info.CurrencyCode, Timezone: zone}, nil
}

func (p *publisher) readAccount(ctx context.Context) (accountInfo, error) {
	var out struct{ Account *accountInfo }
	err := p.call(ctx, request{method: http.MethodPost, address: p.customerURL + accountPath, body: map[string]any{keyAccount: p.account}}, &out)
	switch {
	case err != nil:
		return accountInfo{}, err
	case out.Account == nil || len(out.Account.CurrencyCode) != 3:
		return accountInfo{}, classAnswer.New()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info = out.Account
	return *out.Account, nil
}

// known is what Microsoft says of the account, asked for once.
func (p *publisher) known(ctx context.Context) (accountInfo, error) {
	p.mu.Lock()
	info := p.info
	p.mu.Unlock()
	if info != nil {
		return *info, nil
	}
	return p.readAccount(ctx)
}

// wait lets a time go by.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		e := classUnavailable.New()
		e.Message, e.Err = "stopped while waiting", ctx.Err()
		return e
	case <-timer.C:
		return nil
	}
}

var _ provider.Publisher = (*publisher)(nil)

var noRef activation.ObjectRef
