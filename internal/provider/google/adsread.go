package google

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// maxPicked is how many objects one query picks; Google takes 20,000 values
	// (docs/query/limits), and a query of a megabyte helps nobody.
	maxPicked = 1000
	// maxLooked is how many creates one query looks for.
	maxLooked = 200
	// changesKept is for how long changes are told (docs/change-event), less a day for
	// clocks and zones.
	changesKept = 29 * 24 * time.Hour
	// maxChanges is how many are told of one question.
	maxChanges = 10_000
	// changesLag is how much earlier than asked changes are looked for: they show
	// minutes late, and where clocks go back an hour comes twice.
	changesLag = time.Hour + 10*time.Minute
	// googleTime is how times are written, in the account's zone.
	googleTime = "2006-01-02 15:04:05"
)

// Read reads objects back by type, some at a time.
func (c *campaigns) Read(ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
	picked := map[string][]string{}
	for _, ref := range refs {
		typ, value := c.pick(ref)
		if value != "" && !slices.Contains(picked[typ], value) {
			picked[typ] = append(picked[typ], value)
		}
	}
	var out []provider.ObjectState
	for _, p := range parts {
		for some := range slices.Chunk(picked[p.typ], maxPicked) {
			err := c.objects(ctx, p, in(p.id, some), func(o provider.ObjectState) error {
				out = append(out, o)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// pick is the part by which an object is read and the value it is picked by; "" for
// what can be no id.
func (c *campaigns) pick(ref activation.ObjectRef) (typ, value string) {
	parent, id, two := strings.Cut(ref.ID, "~")
	switch {
	case !customerPattern.MatchString(parent) || two && !customerPattern.MatchString(id):
		return "", ""
	case ref.Kind == activation.KindCampaign && !two:
		return typeCampaign, parent
	case ref.Kind == activation.KindGroup && !two:
		return typeAdGroup, parent
	case ref.Kind == activation.KindCreative && two:
		return typeAd, quoted(c.name(inAds, ref.ID))
	case ref.Kind == activation.KindKeyword && two:
		return typeKeyword, quoted(c.name(inKeywords, ref.ID))
	case ref.Kind == activation.KindOther && two:
		return typeLocation, quoted(c.name(inCriteria, ref.ID))
	case ref.Kind == activation.KindOther:
		return typeBudget, parent
	}
	return "", ""
}

// Structure reads type by type.
func (c *campaigns) Structure(ctx context.Context, yield func(provider.ObjectState) error) error {
	for _, p := range parts {
		if err := c.objects(ctx, p, "", yield); err != nil {
			return err
		}
	}
	return nil
}

// objects reads those of a part, narrowed. A row that does not say which object it is
// of, or what that lies in, is an error: without it the object would pass for gone.
func (c *campaigns) objects(ctx context.Context, p part, more string, yield func(provider.ObjectState) error) error {
	return c.search(ctx, p.query(more), func(r *adsRow) error {
		o := p.state(c, r)
		if !idPattern.MatchString(o.ID) || p.parent != "" && !idPattern.MatchString(o.Parent.ID) {
			return rowless("an object without its id")
		}
		return yield(o)
	})
}

// rowless is the error of a row that does not say what it must.
func rowless(what string) error {
	err := adsAnswer.whole(adsFault{})
	err.Message += " (" + what + ")"
	return err
}

// Find looks for objects with the same parent and name, keyword or, of ads, texts,
// parents first: what was to be made in one that is found is looked for there. Of
// several it takes the newest: numbers grow. What one create was found as, no other
// is.
func (c *campaigns) Find(ctx context.Context, creates []provider.Edit) ([]string, error) {
	out := make([]string, len(creates))
	made := map[string]string{}
	for _, p := range parts {
		var looked []provider.Edit
		wanted := map[string][]int{} // the creates that look the same
		for i, e := range creates {
			if of, ok := partOf(e.Type); !ok || of.typ != p.typ {
				continue
			}
			if id, ok := made[e.Parent.ID]; ok {
				e.Parent.ID = id
			}
			if p.parent != "" && !customerPattern.MatchString(e.Parent.ID) {
				continue // where its parent is not there, neither is it
			}
			key := likeness(e.Type, e.Parent, e.Set)
			wanted[key] = append(wanted[key], i)
			looked = append(looked, e)
		}
		found, err := c.found(ctx, p, looked, wanted)
		if err != nil {
			return nil, err
		}
		for key, ids := range found {
			for _, i := range wanted[key] {
				at := slices.IndexFunc(ids, func(id string) bool { return !slices.Contains(creates[i].Known, id) })
				if at >= 0 {
					out[i], made[creates[i].Object.ID] = ids[at], ids[at]
					ids = slices.Delete(ids, at, at+1)
				}
			}
		}
	}
	return out, nil
}

// found are the ids of objects of a part that look like what is wanted, the newest
// first.
func (c *campaigns) found(ctx context.Context, p part, looked []provider.Edit, wanted map[string][]int) (map[string][]string, error) {
	found := map[string][]string{}
	for some := range slices.Chunk(looked, maxLooked) {
		err := c.objects(ctx, p, p.like(some), func(o provider.ObjectState) error {
			key := likeness(o.Type, o.Parent, o.Fields)
			if len(wanted[key]) > 0 && !slices.Contains(found[key], o.ID) {
				found[key] = append(found[key], o.ID)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, ids := range found {
		slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(ownNumber(b), ownNumber(a)) })
	}
	return found, nil
}

// ownNumber is the number that an object has for itself.
func ownNumber(id string) int64 { return int64Of(id[strings.LastIndexByte(id, '~')+1:]) }

// like is the condition that narrows the look-up of creates of the part.
func (p part) like(creates []provider.Edit) string {
	var parents, names []string
	for _, e := range creates {
		parents = append(parents, e.Parent.ID)
		names = append(names, quoted(first(e.Set[activation.FieldName], e.Set[fieldKeyword])))
	}
	var conditions []string
	if p.parent != "" {
		slices.Sort(parents)
		conditions = append(conditions, in(p.parent, slices.Compact(parents)))
	}
	if p.name != "" {
		slices.Sort(names)
		conditions = append(conditions, in(p.name, slices.Compact(names)))
	}
	return strings.Join(conditions, " AND ")
}

// likeness is what a create and the object that it makes have in common: type,
// parent, and the name, or what can't be changed afterwards.
func likeness(typ string, parent activation.ObjectRef, values map[string]string) string {
	t, _ := declared().Object(typ)
	var b strings.Builder
	b.WriteString(typ + "\x00" + parent.ID)
	for _, f := range t.Fields {
		if f.Fixed || f.Name == activation.FieldName && !f.Shown {
			v := values[f.Name]
			if f.Type == "bool" && v == "" {
				v = "false"
			}
			b.WriteString("\x00" + v)
		}
	}
	return b.String()
}

// Costs reads what was spent, level by level.
func (c *campaigns) Costs(ctx context.Context, from, until string, yield func(activation.Cost) error) error {
	for _, day := range []string{from, until} {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return adsInvalid("", "costs are asked for from a day until another, such as 2026-11-20")
		}
	}
	const figures = "customer.currency_code, segments.date, metrics.impressions, metrics.clicks, metrics.cost_micros, metrics.conversions, metrics.conversions_value"
	for _, level := range []struct {
		fields, from string
		object       func(r *adsRow) activation.ObjectRef
	}{
		{"campaign.id", "campaign", func(r *adsRow) activation.ObjectRef { return campaign(r.Campaign.ID) }},
		{"ad_group.id", "ad_group", func(r *adsRow) activation.ObjectRef { return group(r.AdGroup.ID) }},
		{"ad_group.id, ad_group_criterion.criterion_id", "keyword_view", func(r *adsRow) activation.ObjectRef {
			return activation.ObjectRef{Kind: activation.KindKeyword, ID: within(r.AdGroup.ID, r.AdGroupCriterion.CriterionID)}
		}},
	} {
		query := "SELECT " + level.fields + ", " + figures + " FROM " + level.from + " WHERE segments.date BETWEEN " + quoted(from) + " AND " + quoted(until)
		err := c.search(ctx, query, func(r *adsRow) error {
			cost := activation.Cost{Date: r.Segments.Date, Object: level.object(r), Currency: r.Customer.CurrencyCode, Conversions: r.Metrics.Conversions, Value: r.Metrics.ConversionsValue}
			ok := cost.Date >= from && cost.Date <= until && idPattern.MatchString(cost.Object.ID) && cost.Currency != ""
			for text, to := range map[*string]*int64{&r.Metrics.Impressions: &cost.Impressions, &r.Metrics.Clicks: &cost.Clicks, &r.Metrics.CostMicros: &cost.Micros} {
				if *text == "" { // what did not happen is left out
					continue
				}
				n, err := strconv.ParseInt(*text, 10, 64)
				*to, ok = n, ok && err == nil && n >= 0
			}
			if !ok {
				return rowless("a row of costs")
			}
			return yield(cost)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Changed asks for changes since then, by whomever, of which no more than 10,000 are
// told. What was in a campaign or an ad group that was removed is gone too, and told.
func (c *campaigns) Changed(ctx context.Context, since time.Time) ([]activation.ObjectRef, bool, error) {
	now := c.now()
	if since.After(now) {
		return nil, true, nil
	}
	since = since.Add(-changesLag)
	if now.Sub(since) > changesKept {
		return nil, false, nil
	}
	is, err := c.about(ctx)
	if err != nil {
		return nil, false, err
	}
	zone, err := time.LoadLocation(is.zone)
	if err != nil {
		return nil, false, nil // of a zone that is not known here nothing can be asked
	}
	query := "SELECT change_event.change_date_time, change_event.change_resource_type, change_event.change_resource_name, change_event.resource_change_operation FROM change_event WHERE change_event.change_date_time >= " +
		quoted(since.In(zone).Format(googleTime)) + " AND change_event.change_date_time <= " + quoted(now.Add(time.Hour).In(zone).Format(googleTime)) +
		" ORDER BY change_event.change_date_time LIMIT 10000"
	var refs []activation.ObjectRef
	var budgets []string
	removed := map[string][]string{} // ids of what was removed with all that is in it
	rows := 0
	err = c.search(ctx, query, func(r *adsRow) error {
		rows++
		ev := r.ChangeEvent
		id := ev.ChangeResourceName[strings.LastIndexByte(ev.ChangeResourceName, '/')+1:]
		ref := activation.ObjectRef{ID: id}
		switch ev.ChangeResourceType {
		case "CAMPAIGN":
			ref.Kind = activation.KindCampaign
		case "AD_GROUP":
			ref.Kind = activation.KindGroup
		case "AD_GROUP_AD":
			ref.Kind = activation.KindCreative
		case "AD_GROUP_CRITERION":
			ref.Kind = activation.KindKeyword
		case "CAMPAIGN_CRITERION":
			ref.Kind = activation.KindOther
		case "CAMPAIGN_BUDGET":
			ref.Kind = activation.KindOther
			budgets = append(budgets, quoted(ev.ChangeResourceName))
		default:
			return nil // nothing of it is edited here
		}
		typ, value := c.pick(ref)
		if typ == "" {
			return nil
		}
		refs = append(refs, ref)
		if ev.ResourceChangeOperation == "REMOVE" {
			removed[typ] = append(removed[typ], value)
		}
		return nil
	})
	if err != nil || rows >= maxChanges {
		return nil, false, err
	}
	slices.Sort(budgets)
	for some := range slices.Chunk(slices.Compact(budgets), maxPicked) { // a campaign's own budget is its field
		err := c.search(ctx, "SELECT campaign.id FROM campaign WHERE "+notRemoved+" AND "+in("campaign.campaign_budget", some), func(r *adsRow) error {
			refs = append(refs, campaign(r.Campaign.ID))
			return nil
		})
		if err != nil {
			return nil, false, err
		}
	}
	for _, p := range parts {
		for _, above := range []struct{ typ, field string }{{typeCampaign, "campaign.id"}, {typeAdGroup, "ad_group.id"}} {
			if p.parent == "" || p.parent != above.field && p.parent != "ad_group.id" || p.typ == above.typ {
				continue
			}
			for some := range slices.Chunk(removed[above.typ], maxPicked) {
				err := c.search(ctx, "SELECT "+p.fields+" FROM "+p.from+" WHERE "+in(above.field, some), func(r *adsRow) error {
					refs = append(refs, p.state(c, r).ObjectRef)
					return nil
				})
				if err != nil {
					return nil, false, err
				}
			}
		}
	}
	seen := map[activation.ObjectRef]bool{}
	return slices.DeleteFunc(refs, func(ref activation.ObjectRef) bool {
		known := seen[ref]
		seen[ref] = true
		return known
	}), true, nil
}
