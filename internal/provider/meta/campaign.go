package meta

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/provider"
)

const (
	syncWorkflow = "meta_sync"
	postWorkflow = "meta_post"

	// maxTogether is the most operations of one batch (docs/graph-api/batch-requests).
	maxTogether = 50
	// settles is how long a call that was cut may still take effect. Meta names no
	// time; a call is given up by its servers well before that.
	settles = time.Minute
	// costDays is the longest attribution window that Meta reports by: what a day
	// brought still changes so long (marketing-api/insights).
	costDays = 28

	conversionActions = "conversion_actions"
)

// editing are the two workflows of a publisher account.
func editing() []provider.Workflow {
	return []provider.Workflow{{
		Name: syncWorkflow, Title: "Meta sync", Direction: provider.Editing, Subject: provider.Campaigns,
		Description: "Reads the campaigns and costs of an ad account every night, and finds what was changed there by others.",
		Scheduled:   true, Once: true,
	}, {
		Name: postWorkflow, Title: "Meta edits", Direction: provider.Editing, Subject: provider.Campaigns,
		Description: "Posts the edits of the Activity Log to an ad account, in their order.",
		RealTime:    true,
	}}
}

// publishing declares what can be edited of an ad account. settings are those of a
// destination.
func publishing(settings []provider.Field) *provider.Publishing {
	p := &provider.Publishing{
		Sync: syncWorkflow, Post: postWorkflow,
		AccountHelp: "The id of the ad account: the digits after act= in the address of Ads Manager, with or without act_ before them.",
		MaxEdits:    maxTogether, Settles: settles, CostDays: costDays,
		New: func(d provider.Deps) (provider.Publisher, error) {
			p, err := newPublisher(d)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		Fields: slices.DeleteFunc(slices.Clone(settings), func(f provider.Field) bool {
			return f.Name != "api_version" && f.Name != "regain_unit"
		}),
	}
	p.Fields = append(p.Fields, conversionField, pageField)
	for _, l := range levels {
		p.Objects = append(p.Objects, l.object())
	}
	return p
}

// conversionField says what counts as a conversion. Meta reports each kind of
// action apart, and some within others, so that not all may be added up.
var conversionField = provider.Field{
	Name: conversionActions, Label: "Conversions", Type: "list", Default: "purchase", Example: "purchase,lead",
	Help: "The kinds of actions that count as conversions in cost reports and bidding, as Meta names them, divided by commas. Name none that is a part of another.",
}

// pageSizeField says how many objects are asked for at a time.
const pageSizeField = "page_size"

var pageField = provider.Field{
	Name: pageSizeField, Label: "Objects per page", Type: "int", Default: "200", Example: "100",
	Help: "How many objects are read at a time, 1 to 500. Meta publishes no limit, and refuses pages that are too much work: lower it where reading fails with code 1.",
}

// publisher edits one ad account. One goroutine at a time calls it.
type publisher struct {
	m       *destination
	actions []string
	page    string // objects per page
	// learned is what the account was the last time it was asked, nil before.
	learned *learned
}

// learned is what values are written by.
type learned struct {
	provider.PublisherInfo
	zone *time.Location
}

func newPublisher(d provider.Deps) (*publisher, error) {
	m, err := openAccount(d)
	if err != nil {
		return nil, err
	}
	actions := provider.List(provider.Setting([]provider.Field{conversionField}, d.Config, conversionActions))
	if slices.ContainsFunc(actions, func(a string) bool { return strings.ContainsFunc(a, notOfAction) }) {
		return nil, invalid(conversionActions, "conversions must be kinds of actions such as purchase, divided by commas")
	}
	page := provider.Setting([]provider.Field{pageField}, d.Config, pageSizeField)
	if n, err := strconv.Atoi(page); err != nil || n < 1 || n > maxPageSize {
		return nil, invalid(pageSizeField, "the number of objects per page must be from 1 to 500")
	}
	return &publisher{m: m, actions: actions, page: page}, nil
}

func notOfAction(r rune) bool {
	return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '_' && r != '.'
}

// String names the account only.
func (p *publisher) String() string { return p.m.String() }

// account is the path of the ad account.
func (p *publisher) account() string { return "act_" + p.m.account }

// Check proves credentials and account.
func (p *publisher) Check(ctx context.Context) (provider.PublisherInfo, error) {
	var got struct {
		Name     string `json:"name"`
		Currency string `json:"currency"`
		Zone     string `json:"timezone_name"`
	}
	query := url.Values{"fields": {"name,currency,timezone_name"}}
	if _, err := p.m.call(ctx, http.MethodGet, p.account(), query, nil, &got); err != nil {
		if codeIs(err, classGone) || codeIs(err, classData) {
			return provider.PublisherInfo{}, as(err, classAccount)
		}
		return provider.PublisherInfo{}, err
	}
	zone, err := time.LoadLocation(got.Zone)
	if err != nil || got.Zone == "" || len(got.Currency) != 3 {
		e := failure(classAnswer, envelope{})
		e.Message += " (currency or time zone of the account)"
		return provider.PublisherInfo{}, e
	}
	p.learned = &learned{provider.PublisherInfo{Name: got.Name, Currency: got.Currency, Timezone: got.Zone}, zone}
	return p.learned.PublisherInfo, nil
}

// learn makes sure that currency and time zone are known. They never change at
// Meta: an account in another currency is another account.
func (p *publisher) learn(ctx context.Context) error {
	if p.learned != nil {
		return nil
	}
	_, err := p.Check(ctx)
	return err
}
