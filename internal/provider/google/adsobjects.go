package google

import (
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// adsRow is a row of a query, as far as it is asked for. 64-bit numbers are texts.
type adsRow struct {
	Customer struct {
		DescriptiveName, CurrencyCode, TimeZone string
		Manager                                 bool
	}
	CurrencyConstant struct{ BillableUnitMicros string }
	Campaign         struct {
		ID, Name, Status, AdvertisingChannelType, CampaignBudget string
		BiddingStrategy, BiddingStrategyType                     string
		StartDateTime, EndDateTime                               string
		ContainsEuPoliticalAdvertising, TrackingURLTemplate      string
		TargetCpa                                                struct{ TargetCpaMicros string }
		MaximizeConversions                                      struct{ TargetCpaMicros string }
		TargetRoas                                               struct{ TargetRoas float64 }
		MaximizeConversionValue                                  struct{ TargetRoas float64 }
	}
	CampaignBudget struct {
		ID, Name, AmountMicros string
		ExplicitlyShared       bool
	}
	AdGroup   struct{ ID, Name, Status, CpcBidMicros string }
	AdGroupAd struct {
		Status string
		Ad     struct {
			ID, Name, Type     string
			FinalURLs          []string
			ResponsiveSearchAd struct {
				Headlines, Descriptions []struct{ Text string }
				Path1, Path2            string
			}
		}
	}
	AdGroupCriterion struct {
		CriterionID, Status, CpcBidMicros string
		Negative                          bool
		FinalURLs                         []string
		Keyword                           struct{ Text, MatchType string }
	}
	CampaignCriterion struct {
		CriterionID, Type string
		Negative          bool
		BidModifier       *float64
		Keyword           struct{ Text, MatchType string }
		Location          struct{ GeoTargetConstant string }
	}
	ChangeEvent struct{ ChangeResourceType, ChangeResourceName, ResourceChangeOperation string }
	Metrics     struct {
		Impressions, Clicks, CostMicros string
		Conversions, ConversionsValue   float64
	}
	Segments struct{ Date string }
}

// part is what one type of object is read by.
type part struct {
	typ string
	// fields are selected; from and where say of what. Nothing that is removed, or in
	// something that is, is read.
	fields, from, where string
	// id is the field by which objects are picked: a number, or a resource name.
	id string
	// parent and name are the fields by which what a create made is looked for, "" =
	// not by that.
	parent, name string
	state        func(c *campaigns, r *adsRow) provider.ObjectState
}

// The collections that resources are in.
const (
	inCampaigns  = "campaigns"
	inBudgets    = "campaignBudgets"
	inAdGroups   = "adGroups"
	inAds        = "adGroupAds"
	inKeywords   = "adGroupCriteria"
	inCriteria   = "campaignCriteria"
	geoConstants = "geoTargetConstants/"
)

const notRemoved = "campaign.status != 'REMOVED'"

// parts are all, parents before what is in them.
var parts = []part{
	{
		typ: typeBudget, from: "campaign_budget", id: "campaign_budget.id", state: budgetState, name: "campaign_budget.name",
		fields: "campaign_budget.id, campaign_budget.name, campaign_budget.amount_micros, campaign_budget.explicitly_shared",
		where:  "campaign_budget.status = 'ENABLED' AND campaign_budget.explicitly_shared = TRUE",
	},
	{
		typ: typeCampaign, from: "campaign", id: "campaign.id", state: campaignState, where: notRemoved, name: "campaign.name",
		fields: "campaign.id, campaign.name, campaign.status, campaign.advertising_channel_type, campaign.bidding_strategy, campaign.bidding_strategy_type, campaign.target_cpa.target_cpa_micros, campaign.maximize_conversions.target_cpa_micros, campaign.target_roas.target_roas, campaign.maximize_conversion_value.target_roas, campaign.start_date_time, campaign.end_date_time, campaign.contains_eu_political_advertising, campaign.tracking_url_template, campaign_budget.id, campaign_budget.amount_micros, campaign_budget.explicitly_shared",
	},
	{
		typ: typeAdGroup, from: "ad_group", id: "ad_group.id", state: adGroupState, parent: "campaign.id", name: "ad_group.name",
		fields: "campaign.id, ad_group.id, ad_group.name, ad_group.status, ad_group.cpc_bid_micros",
		where:  notRemoved + " AND ad_group.status != 'REMOVED'",
	},
	{
		typ: typeAd, from: "ad_group_ad", id: "ad_group_ad.resource_name", state: adState, parent: "ad_group.id",
		fields: "ad_group.id, ad_group_ad.ad.id, ad_group_ad.ad.name, ad_group_ad.ad.type, ad_group_ad.status, ad_group_ad.ad.final_urls, ad_group_ad.ad.responsive_search_ad.headlines, ad_group_ad.ad.responsive_search_ad.descriptions, ad_group_ad.ad.responsive_search_ad.path1, ad_group_ad.ad.responsive_search_ad.path2",
		where:  notRemoved + " AND ad_group.status != 'REMOVED' AND ad_group_ad.status != 'REMOVED'",
	},
	{
		typ: typeKeyword, from: "ad_group_criterion", id: "ad_group_criterion.resource_name", state: keywordState, parent: "ad_group.id", name: "ad_group_criterion.keyword.text",
		fields: "ad_group.id, ad_group_criterion.criterion_id, ad_group_criterion.keyword.text, ad_group_criterion.keyword.match_type, ad_group_criterion.status, ad_group_criterion.negative, ad_group_criterion.cpc_bid_micros, ad_group_criterion.final_urls",
		where:  notRemoved + " AND ad_group.status != 'REMOVED' AND ad_group_criterion.status != 'REMOVED' AND ad_group_criterion.type = 'KEYWORD'",
	},
	{
		typ: typeLocation, from: "campaign_criterion", id: "campaign_criterion.resource_name", state: criterionState, parent: "campaign.id",
		fields: "campaign.id, campaign_criterion.criterion_id, campaign_criterion.type, campaign_criterion.negative, campaign_criterion.bid_modifier, campaign_criterion.location.geo_target_constant, campaign_criterion.keyword.text, campaign_criterion.keyword.match_type",
		where:  notRemoved + " AND campaign_criterion.status != 'REMOVED' AND campaign_criterion.type IN ('LOCATION', 'KEYWORD')",
	},
}

// partOf is what objects of a type are read by. Both types of criteria of campaigns
// are read by one.
func partOf(typ string) (part, bool) {
	if typ == typeNegative {
		typ = typeLocation
	}
	i := slices.IndexFunc(parts, func(p part) bool { return p.typ == typ })
	if i < 0 {
		return part{}, false
	}
	return parts[i], true
}

// query is the part's, narrowed.
func (p part) query(more string) string {
	q := "SELECT " + p.fields + " FROM " + p.from + " WHERE " + p.where
	if more != "" {
		q += " AND " + more
	}
	return q
}

// quoted is a text within a query (docs/query/grammar).
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", " ", "\r", " ").Replace(text) + "'"
}

// in is the condition that a field has one of these values.
func in(field string, values []string) string {
	return field + " IN (" + strings.Join(values, ", ") + ")"
}

// fields collects values that are there.
type fields map[string]string

func (f fields) put(name, value string) {
	if value != "" {
		f[name] = value
	}
}

// wordOf is Google's word in small letters; its two ways to say that there is none
// are none.
func wordOf(v string) string {
	if v == "UNSPECIFIED" || v == "UNKNOWN" {
		return ""
	}
	return strings.ToLower(v)
}

// statusOf is one of the two that all publishers have.
func statusOf(v string) string {
	switch v {
	case "ENABLED":
		return activation.StatusEnabled
	case "PAUSED":
		return activation.StatusPaused
	}
	return ""
}

// within is the id of what belongs to something.
func within(parent, id string) string { return parent + "~" + id }

func group(id string) activation.ObjectRef {
	return activation.ObjectRef{Kind: activation.KindGroup, ID: id}
}

func campaign(id string) activation.ObjectRef {
	return activation.ObjectRef{Kind: activation.KindCampaign, ID: id}
}

func budgetState(_ *campaigns, r *adsRow) provider.ObjectState {
	f := fields{}
	f.put(activation.FieldName, r.CampaignBudget.Name)
	f.put(activation.FieldBudget, amountOf(r.CampaignBudget.AmountMicros))
	return provider.ObjectState{ObjectRef: activation.ObjectRef{Kind: activation.KindOther, ID: r.CampaignBudget.ID}, Type: typeBudget, Fields: f}
}

// channels are Google's words for types of campaigns that are not ours.
func channelOf(v string) string {
	t, _ := declared().Object(typeCampaign)
	f, _ := t.Field(fieldChannel)
	if w := wordOf(v); slices.Contains(f.Options, w) {
		return w
	}
	return "other"
}

func campaignState(_ *campaigns, r *adsRow) provider.ObjectState {
	c := r.Campaign
	f := fields{fieldChannel: channelOf(c.AdvertisingChannelType)}
	f.put(activation.FieldName, c.Name)
	f.put(activation.FieldStatus, statusOf(c.Status))
	if r.CampaignBudget.ExplicitlyShared {
		f.put(fieldShared, r.CampaignBudget.ID)
	} else {
		f.put(fieldBudgetID, r.CampaignBudget.ID)
		f.put(activation.FieldBudget, amountOf(r.CampaignBudget.AmountMicros))
	}
	f[fieldBidding] = biddingOther
	switch {
	case c.BiddingStrategy != "": // one that several campaigns share
	case c.BiddingStrategyType == "MANUAL_CPC":
		f[fieldBidding] = biddingManual
	case c.BiddingStrategyType == "TARGET_SPEND":
		f[fieldBidding] = biddingClicks
	case c.BiddingStrategyType == "MAXIMIZE_CONVERSIONS", c.BiddingStrategyType == "TARGET_CPA":
		f[fieldBidding] = biddingConversions
		f.put(fieldTargetCPA, amountOf(first(c.MaximizeConversions.TargetCpaMicros, c.TargetCpa.TargetCpaMicros)))
	case c.BiddingStrategyType == "MAXIMIZE_CONVERSION_VALUE", c.BiddingStrategyType == "TARGET_ROAS":
		f[fieldBidding] = biddingValue
		if roas := max(c.MaximizeConversionValue.TargetRoas, c.TargetRoas.TargetRoas); roas > 0 {
			f[fieldTargetROAS] = decimal(roas, 64)
		}
	}
	f.put(fieldStart, minuteOf(c.StartDateTime))
	f.put(fieldEnd, minuteOf(c.EndDateTime))
	switch c.ContainsEuPoliticalAdvertising {
	case "CONTAINS_EU_POLITICAL_ADVERTISING":
		f[fieldPolitical] = politicalYes
	case "DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING":
		f[fieldPolitical] = politicalNo
	}
	f.put(fieldTracking, c.TrackingURLTemplate)
	return provider.ObjectState{ObjectRef: campaign(c.ID), Type: typeCampaign, Fields: f}
}

// minuteOf leaves the seconds of a time away.
func minuteOf(text string) string {
	if len(text) < len("2026-11-20 20:00") {
		return ""
	}
	return text[:len("2026-11-20 20:00")]
}

func adGroupState(_ *campaigns, r *adsRow) provider.ObjectState {
	f := fields{}
	f.put(activation.FieldName, r.AdGroup.Name)
	f.put(activation.FieldStatus, statusOf(r.AdGroup.Status))
	f.put(activation.FieldBid, amountOf(r.AdGroup.CpcBidMicros))
	return provider.ObjectState{ObjectRef: group(r.AdGroup.ID), Type: typeAdGroup, Parent: campaign(r.Campaign.ID), Fields: f}
}

func adState(_ *campaigns, r *adsRow) provider.ObjectState {
	f := fields{}
	ad := r.AdGroupAd.Ad
	f.put(activation.FieldStatus, statusOf(r.AdGroupAd.Status))
	f.put(fieldKind, wordOf(ad.Type))
	f.put(activation.FieldName, ad.Name)
	if len(ad.FinalURLs) > 0 {
		f.put(fieldFinalURL, ad.FinalURLs[0])
	}
	for i, h := range ad.ResponsiveSearchAd.Headlines[:min(len(ad.ResponsiveSearchAd.Headlines), maxHeadlines)] {
		f.put(fieldHeadline+strconv.Itoa(i+1), h.Text)
	}
	for i, d := range ad.ResponsiveSearchAd.Descriptions[:min(len(ad.ResponsiveSearchAd.Descriptions), maxDescriptions)] {
		f.put(fieldDescription+strconv.Itoa(i+1), d.Text)
	}
	if f[activation.FieldName] == "" {
		f.put(activation.FieldName, f[fieldHeadline+"1"])
	}
	f.put(fieldPath+"1", ad.ResponsiveSearchAd.Path1)
	f.put(fieldPath+"2", ad.ResponsiveSearchAd.Path2)
	return provider.ObjectState{
		ObjectRef: activation.ObjectRef{Kind: activation.KindCreative, ID: within(r.AdGroup.ID, ad.ID)},
		Type:      typeAd, Parent: group(r.AdGroup.ID), Fields: f,
	}
}

func keywordState(_ *campaigns, r *adsRow) provider.ObjectState {
	k := r.AdGroupCriterion
	f := fields{fieldNegative: strconv.FormatBool(k.Negative)}
	f.put(fieldKeyword, k.Keyword.Text)
	f.put(fieldMatchType, wordOf(k.Keyword.MatchType))
	f.put(activation.FieldStatus, statusOf(k.Status))
	f.put(activation.FieldBid, amountOf(k.CpcBidMicros))
	if len(k.FinalURLs) > 0 {
		f.put(fieldFinalURL, k.FinalURLs[0])
	}
	return provider.ObjectState{
		ObjectRef: activation.ObjectRef{Kind: activation.KindKeyword, ID: within(r.AdGroup.ID, k.CriterionID)},
		Type:      typeKeyword, Parent: group(r.AdGroup.ID), Fields: f,
	}
}

func criterionState(_ *campaigns, r *adsRow) provider.ObjectState {
	k := r.CampaignCriterion
	o := provider.ObjectState{
		ObjectRef: activation.ObjectRef{Kind: activation.KindOther, ID: within(r.Campaign.ID, k.CriterionID)},
		Type:      typeLocation, Parent: campaign(r.Campaign.ID),
	}
	f := fields{}
	if k.Type == "KEYWORD" {
		o.Type = typeNegative
		f.put(fieldKeyword, k.Keyword.Text)
		f.put(fieldMatchType, wordOf(k.Keyword.MatchType))
		o.Fields = f
		return o
	}
	f[fieldNegative] = strconv.FormatBool(k.Negative)
	f.put(fieldLocation, strings.TrimPrefix(k.Location.GeoTargetConstant, geoConstants))
	if k.BidModifier != nil && *k.BidModifier > 0 {
		f[fieldModifier] = decimal(*k.BidModifier, 32)
	}
	o.Fields = f
	return o
}
