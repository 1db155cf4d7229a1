package meta

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"usher/internal/activation"
)

// costPage is how many rows of costs are asked for at a time: they are small.
const costPage = "500"

// costLevels are the levels that Meta reports by, and what names the object there
// (marketing-api/insights/parameters).
var costLevels = []struct {
	level, id string
	kind      activation.ObjectKind
}{
	{"campaign", "campaign_id", activation.KindCampaign},
	{"adset", "adset_id", activation.KindGroup},
	{"ad", "ad_id", activation.KindCreative},
}

// Costs reads what was spent, by campaign, ad set and ad, a row for each day.
func (p *publisher) Costs(ctx context.Context, from, until string, yield func(activation.Cost) error) error {
	days, err := json.Marshal(map[string]string{"since": from, "until": until})
	if err != nil {
		return failure(classRequest, envelope{})
	}
	for _, l := range costLevels {
		query := url.Values{
			"limit": {costPage}, "level": {l.level}, "time_increment": {"1"}, "time_range": {string(days)},
			"fields": {l.id + ",account_currency,impressions,clicks,spend,actions,action_values"},
		}
		err := p.pages(ctx, p.account()+"/insights", query, func(in map[string]json.RawMessage) error {
			c, ok := p.cost(in)
			c.Object = activation.ObjectRef{Kind: l.kind, ID: scalar(in[l.id])}
			if !ok || !numberPattern.MatchString(c.Object.ID) || c.Date < from || c.Date > until {
				e := failure(classAnswer, envelope{})
				e.Message += " (a row of costs)"
				return e
			}
			return yield(c)
		})
		if codeIs(err, classGone) {
			return as(err, classAccount)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cost reads one row. Numbers are texts there, and what did not happen is left out.
func (p *publisher) cost(in map[string]json.RawMessage) (activation.Cost, bool) {
	c := activation.Cost{Date: scalar(in["date_start"]), Currency: scalar(in["account_currency"])}
	last := scalar(in["date_stop"]) // a row of several days would count for the first of them
	ok := len(c.Date) == len("2006-01-02") && len(c.Currency) == 3 && (last == "" || last == c.Date)
	for name, to := range map[string]*int64{"impressions": &c.Impressions, "clicks": &c.Clicks} {
		if text := scalar(in[name]); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			*to, ok = n, ok && err == nil && n >= 0
		}
	}
	if text := scalar(in["spend"]); text != "" {
		n, good := micros(text)
		c.Micros, ok = n, ok && good
	}
	for name, to := range map[string]*float64{"actions": &c.Conversions, "action_values": &c.Value} {
		var list []struct {
			Type  string          `json:"action_type"`
			Value json.RawMessage `json:"value"`
		}
		if raw := in[name]; len(raw) > 0 && json.Unmarshal(raw, &list) != nil {
			return c, false
		}
		for _, a := range list {
			if !slices.Contains(p.actions, a.Type) {
				continue
			}
			n, err := strconv.ParseFloat(scalar(a.Value), 64)
			if err != nil {
				return c, false
			}
			*to += n
		}
	}
	return c, ok
}
