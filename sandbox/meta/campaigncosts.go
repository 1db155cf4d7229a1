package meta

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Spend is what one node cost on one day.
type Spend struct {
	Impressions int64   `json:"impressions"`
	Clicks      int64   `json:"clicks"`
	Micros      int64   `json:"cost_micros"`
	Purchases   float64 `json:"purchases"`
	Value       float64 `json:"value"`
}

func (s Spend) plus(o Spend) Spend {
	return Spend{s.Impressions + o.Impressions, s.Clicks + o.Clicks, s.Micros + o.Micros, s.Purchases + o.Purchases, s.Value + o.Value}
}

type spendKey struct{ id, date string }

// SetSpend says what a node cost on a day ("2026-11-20"), and that one alone. From
// then on nothing is made up any more.
func (n *Network) SetSpend(id, date string, s Spend) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tree.spent[spendKey{id, date}] = s
}

// insightLevels are the levels of a report and the edge of each.
var insightLevels = map[string]string{"campaign": campaignEdge, "adset": setEdge, "ad": adEdge}

// insightFields are those that may be asked for.
var insightFields = []string{
	"campaign_id", "adset_id", "ad_id", "account_id", "account_currency", "impressions", "clicks", "spend", "actions", "action_values", "date_start", "date_stop",
}

// insights reports what was spent, by day, made up from the seed: an ad costs
// something on every day up to today, whatever its status is.
func (n *Network) insights(c *call) (any, *apiError) {
	for name := range c.params {
		if !slices.Contains([]string{"level", "time_increment", "time_range", "fields", "limit", "after"}, name) && !slices.Contains(common, name) {
			return nil, invalidParam("Unexpected parameter: " + name)
		}
	}
	level := c.params.text("level")
	edge, ok := insightLevels[level]
	if !ok {
		return nil, invalidParam("level must be campaign, adset or ad")
	}
	if c.params.text("time_increment") != "1" {
		return nil, invalidParam("the sandbox reports by day: time_increment must be 1")
	}
	var days struct {
		Since string `json:"since"`
		Until string `json:"until"`
	}
	if json.Unmarshal(c.params.structure("time_range"), &days) != nil {
		return nil, invalidParam("time_range must be like {\"since\":\"2026-11-01\",\"until\":\"2026-11-20\"}")
	}
	since, err1 := time.ParseInLocation(time.DateOnly, days.Since, n.zone)
	until, err2 := time.ParseInLocation(time.DateOnly, days.Until, n.zone)
	if err1 != nil || err2 != nil || until.Before(since) || until.Sub(since) > 37*31*24*time.Hour {
		return nil, invalidParam("time_range is no span of days, or longer than 37 months")
	}
	wanted := c.params.list("fields")
	for _, f := range wanted {
		if !slices.Contains(insightFields, f) {
			return nil, invalidParam("Tried accessing nonexisting field (" + f + ") on node type (AdsInsights)")
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var rows []map[string]any
	var ids []string
	for day := since; !day.After(until) && !day.After(c.at); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		for _, id := range n.tree.order {
			d := n.tree.nodes[id]
			if d.edge != edge || d.account != c.account {
				continue
			}
			if s := n.spent(d, date); s != (Spend{}) {
				rows, ids = append(rows, n.insightRow(d, level, date, s, wanted)), append(ids, date+"-"+id)
			}
		}
	}
	return page(c.params, ids, func(i int) (map[string]any, *apiError) { return rows[i], nil })
}

// spent is what a node cost on a day. The caller holds the lock.
func (n *Network) spent(d *node, date string) Spend {
	if len(n.tree.spent) > 0 {
		return n.tree.spent[spendKey{d.id, date}]
	}
	if d.edge != adEdge {
		var sum Spend
		for _, id := range n.tree.order {
			if below := n.tree.nodes[id]; below.parent == d.id {
				sum = sum.plus(n.spent(below, date))
			}
		}
		return sum
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(d.id + date)) // it never fails
	chance := rand.New(rand.NewPCG(n.deps.Seed, h.Sum64()))
	s := Spend{Impressions: 200 + chance.Int64N(5000)}
	s.Clicks = s.Impressions * chance.Int64N(50) / 1000
	s.Micros = s.Clicks * (200_000 + chance.Int64N(400_000)) / 10_000 * 10_000
	s.Purchases = float64(s.Clicks * chance.Int64N(80) / 1000)
	s.Value = s.Purchases * float64(20+chance.IntN(80))
	return s
}

// insightRow is a row of a report. Numbers are texts, and what is 0 is left out.
func (n *Network) insightRow(d *node, level, date string, s Spend, wanted []string) map[string]any {
	all := map[string]any{level + "_id": d.id, "account_id": d.account, "account_currency": n.opts.Currency}
	if set := n.tree.nodes[d.parent]; d.edge == adEdge && set != nil {
		all["adset_id"], all["campaign_id"] = set.id, set.parent
	}
	if d.edge == setEdge {
		all["campaign_id"] = d.parent
	}
	all["impressions"], all["clicks"] = strconv.FormatInt(s.Impressions, 10), strconv.FormatInt(s.Clicks, 10)
	all["spend"] = strconv.FormatFloat(float64(s.Micros)/1e6, 'f', -1, 64)
	list := func(v float64) []map[string]string {
		return []map[string]string{
			{"action_type": "link_click", "value": strconv.FormatInt(s.Clicks, 10)},
			{"action_type": "purchase", "value": strconv.FormatFloat(v, 'f', -1, 64)},
		}
	}
	if s.Purchases > 0 {
		all["actions"], all["action_values"] = list(s.Purchases), list(s.Value)[1:]
	}
	out := map[string]any{"date_start": date, "date_stop": date}
	for _, f := range wanted {
		if v, ok := all[f]; ok {
			out[f] = v
		}
	}
	return out
}
