package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
)

// AdsResource is a resource as the read-back shows it.
type AdsResource struct {
	// Resource is the whole name, Kind the collection it is in.
	Resource string `json:"resource"`
	Kind     string `json:"kind"`
	Removed  bool   `json:"removed,omitempty"`
	// Fields are as Google's JSON has them.
	Fields json.RawMessage `json:"fields"`
}

// AdsTree returns the resources of an account by kind and number, removed ones too.
func (n *Network) AdsTree(customer string) []AdsResource {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.adsAccount(customer)
	out := []AdsResource{}
	for _, k := range adsKinds {
		for _, r := range a.of(k) {
			text, err := protojson.Marshal(r.message.Interface())
			if err != nil {
				panic(err) // it was made of JSON
			}
			out = append(out, AdsResource{Resource: r.name, Kind: k.collection, Removed: r.removed, Fields: text})
		}
	}
	return out
}

// AdsAccount says what an account is.
func (n *Network) AdsAccount(customer string) AdsCustomer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.adsAccount(customer).is
}

// AdsJournal returns every change of an account, oldest first.
func (n *Network) AdsJournal(customer string) []AdsEffect {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.adsAccount(customer).journal)
}

// AdsCosts returns what resources of an account cost.
func (n *Network) AdsCosts(customer string) []AdsCost {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.adsAccount(customer).costs)
}

// PutAdsCosts adds to what resources cost. Rows of the same day and resource are
// summed up.
func (n *Network) PutAdsCosts(customer string, costs ...AdsCost) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.adsAccount(customer)
	for _, c := range costs {
		if _, err := time.Parse("2006-01-02", c.Date); err != nil || a.resources[c.Resource] == nil {
			return fmt.Errorf("there is no resource %q, or %q is no day", c.Resource, c.Date)
		}
		i := slices.IndexFunc(a.costs, func(o AdsCost) bool { return o.Resource == c.Resource && o.Date == c.Date })
		if i < 0 {
			a.costs = append(a.costs, c)
			continue
		}
		o := &a.costs[i]
		o.Impressions += c.Impressions
		o.Clicks += c.Clicks
		o.CostMicros += c.CostMicros
		o.Conversions += c.Conversions
		o.Value += c.Value
	}
	return nil
}

// ChangeAds changes an account behind the caller's back: somebody does it in Google's
// own console. The body is that of googleAds:mutate, and is judged like one. All of it
// is done or nothing. It returns the names of the resources.
func (n *Network) ChangeAds(customer string, body []byte) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changeAds(customer, body)
}

func (n *Network) changeAds(customer string, body []byte) ([]string, error) {
	a := n.adsAccount(customer)
	m, failed := readOps(customer, body)
	if failed != nil {
		return nil, errors.New(failed.message)
	}
	t := n.begin(a)
	var names []string
	for i, op := range operationsOf(m) {
		name, _, bad := t.attempt(op, nil, false)
		if bad != nil {
			return nil, fmt.Errorf("operation %d: %s: %s", i, bad.code, bad.message)
		}
		names = append(names, name)
	}
	t.keep(0, "GOOGLE_ADS_WEB_CLIENT")
	return names, nil
}

// AdsExample is how large an example account is.
type AdsExample struct {
	Seed uint64 `json:"seed"`
	// Campaigns, Groups (of each), Ads and Keywords (of each group); 0 = 3, 3, 2, 5.
	Campaigns int `json:"campaigns"`
	Groups    int `json:"groups"`
	Ads       int `json:"ads"`
	Keywords  int `json:"keywords"`
	// Days is for how many days there are costs, until yesterday; 0 = 30.
	Days int `json:"days"`
}

// MakeAdsExample fills an account with campaigns and what they cost.
func (n *Network) MakeAdsExample(customer string, e AdsExample) error {
	orNumber(&e.Campaigns, 3)
	orNumber(&e.Groups, 3)
	orNumber(&e.Ads, 2)
	orNumber(&e.Keywords, 5)
	orNumber(&e.Days, 30)
	r := rand.New(rand.NewPCG(e.Seed, 0xad5))
	var ops []any
	op := func(kind string, create map[string]any) {
		ops = append(ops, map[string]any{kind: map[string]any{"create": create}})
	}
	name := func(collection string, id int) string {
		return "customers/" + customer + "/" + collection + "/" + strconv.Itoa(id)
	}
	micros := func(least, most int) string {
		return strconv.FormatInt(int64(least+r.IntN(most-least+1))*1_000_000, 10)
	}
	last := 0
	for c := range e.Campaigns {
		budget, campaign := last-1, last-2
		last -= 2
		op("campaignBudgetOperation", map[string]any{"resourceName": name("campaignBudgets", budget), "amountMicros": micros(20, 200), "explicitlyShared": false})
		op("campaignOperation", map[string]any{
			"resourceName": name("campaigns", campaign), "name": fmt.Sprintf("Campaign %d", c+1), "status": "ENABLED", "advertisingChannelType": "SEARCH",
			"campaignBudget": name("campaignBudgets", budget), "manualCpc": map[string]any{}, "containsEuPoliticalAdvertising": "DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING",
		})
		op("campaignCriterionOperation", map[string]any{"campaign": name("campaigns", campaign), "location": map[string]any{"geoTargetConstant": fmt.Sprintf("geoTargetConstants/%d", 2276+c)}})
		for g := range e.Groups {
			last--
			group := name("adGroups", last)
			op("adGroupOperation", map[string]any{"resourceName": group, "campaign": name("campaigns", campaign), "name": fmt.Sprintf("Group %d.%d", c+1, g+1), "status": "ENABLED", "cpcBidMicros": micros(1, 3)})
			for i := range e.Ads {
				text := func(s string, k int) map[string]any {
					return map[string]any{"text": fmt.Sprintf("%s %d of ad %d", s, k, i+1)}
				}
				op("adGroupAdOperation", map[string]any{"adGroup": group, "status": "ENABLED", "ad": map[string]any{
					"finalUrls":          []string{fmt.Sprintf("https://www.example.com/%d/%d/%d", c+1, g+1, i+1)},
					"responsiveSearchAd": map[string]any{"headlines": []any{text("Headline", 1), text("Headline", 2), text("Headline", 3)}, "descriptions": []any{text("Description", 1), text("Description", 2)}},
				}})
			}
			for i := range e.Keywords {
				op("adGroupCriterionOperation", map[string]any{"adGroup": group, "status": "ENABLED", "cpcBidMicros": micros(1, 3), "keyword": map[string]any{
					"text": fmt.Sprintf("keyword %d", i+1), "matchType": []string{"EXACT", "PHRASE", "BROAD"}[i%3],
				}})
			}
		}
	}
	body, err := json.Marshal(map[string]any{"mutateOperations": ops})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	names, err := n.changeAds(customer, body)
	if err != nil {
		return err
	}
	n.spendExample(n.adsAccount(customer), names, e.Days, r)
	return nil
}

// spendExample makes up what keywords cost, and sums it up for what they are in.
func (n *Network) spendExample(a *adsAccount, names []string, days int, r *rand.Rand) {
	today := n.deps.Now().In(a.zone())
	sums := map[[2]string]*AdsCost{}
	var order []*AdsCost
	add := func(resource, day string, c AdsCost) {
		s := sums[[2]string{resource, day}]
		if s == nil {
			s = &AdsCost{Resource: resource, Date: day}
			sums[[2]string{resource, day}] = s
			order = append(order, s)
		}
		s.Impressions += c.Impressions
		s.Clicks += c.Clicks
		s.CostMicros += c.CostMicros
		s.Conversions += c.Conversions
		s.Value += c.Value
	}
	for _, name := range names {
		keyword := a.resources[name]
		if keyword.kind.row != "ad_group_criterion" {
			continue
		}
		group := a.resources[textAt(keyword.message, "ad_group")]
		for d := days; d > 0; d-- {
			day := today.AddDate(0, 0, -d).Format("2006-01-02")
			clicks := int64(r.IntN(40))
			c := AdsCost{Impressions: clicks*20 + int64(r.IntN(50)), Clicks: clicks, CostMicros: clicks * intAt(keyword.message, "cpc_bid_micros") / 2, Conversions: float64(clicks / 10)}
			c.Value = c.Conversions * 25
			for _, resource := range []string{name, group.name, textAt(group.message, "campaign")} {
				add(resource, day, c)
			}
		}
	}
	for _, c := range order {
		a.costs = append(a.costs, *c)
	}
}

// JudgeAds reads text as the named message of google.ads.googleads.v25, such as
// "services.MutateGoogleAdsRequest", strictly, and returns it in canonical JSON.
func JudgeAds(message string, text []byte) ([]byte, error) {
	m, err := adsMessage(message)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(text, m.Interface()); err != nil {
		return nil, err
	}
	return protojson.Marshal(m.Interface())
}

// adsControl serves the read-back of campaigns (see the package comment).
func (n *Network) adsControl(mux *http.ServeMux) {
	show := func(path, name string, what func(customer string) any) {
		mux.HandleFunc("GET /ads/{customer}/"+path, func(w http.ResponseWriter, r *http.Request) {
			reply(w, map[string]any{name: what(r.PathValue("customer"))})
		})
	}
	show("tree", "resources", func(c string) any { return n.AdsTree(c) })
	show("journal", "effects", func(c string) any { return n.AdsJournal(c) })
	show("costs", "costs", func(c string) any { return n.AdsCosts(c) })
	act := func(path string, do func(customer string, body []byte) (any, error)) {
		mux.HandleFunc("POST /ads/{customer}/"+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
			var out any
			if err == nil {
				out, err = do(r.PathValue("customer"), body)
			}
			if err != nil {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the caller may be gone
				return
			}
			reply(w, out)
		})
	}
	act("mutate", func(c string, body []byte) (any, error) {
		names, err := n.ChangeAds(c, body)
		return map[string]any{"resources": names}, err
	})
	act("costs", func(c string, body []byte) (any, error) {
		var costs []AdsCost
		if err := json.Unmarshal(body, &costs); err != nil {
			return nil, err
		}
		return map[string]any{"costs": len(costs)}, n.PutAdsCosts(c, costs...)
	})
	act("example", func(c string, body []byte) (any, error) {
		e := AdsExample{}
		if len(body) > 0 {
			if err := json.Unmarshal(body, &e); err != nil {
				return nil, err
			}
		}
		err := n.MakeAdsExample(c, e)
		return map[string]any{"resources": len(n.AdsTree(c))}, err
	})
}

// adsOverview counts the resources of all accounts.
func (n *Network) adsOverview() int {
	count := 0
	for _, id := range slices.Sorted(maps.Keys(n.ads)) {
		count += len(n.ads[id].resources)
	}
	return count
}
