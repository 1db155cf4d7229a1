package meta

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

const (
	// budgetChanges is how often the budget of an ad set may change in an hour;
	// then it may not for the next (marketing-api/overview/rate-limiting).
	budgetChanges = 4
	// leastBudget is the lowest daily budget, in hundredths; a whole-unit currency
	// has another, which no page names either.
	leastBudget = 100
)

// node is a campaign, an ad set, an ad or a creative.
type node struct {
	id, account string
	edge        string // its type
	parent      string
	values      map[string]json.RawMessage
	created     time.Time
	updated     time.Time
	// budgets are the times at which its budget was changed.
	budgets []time.Time
}

// status is the node's own.
func (d *node) status() string { return textOf(d.values["status"]) }

// textOf is a JSON text as a text, and any other value as it is.
func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// tree holds the nodes of all accounts. It is kept in memory only.
type tree struct {
	nodes   map[string]*node
	order   []string // ids, oldest first
	effects []Effect
	calls   int // that took effect
	sins    map[CampaignSin]int
	spent   map[spendKey]Spend
}

// Effect is one operation that took effect.
type Effect struct {
	// Call is the number of the call that it came with; operations of one batch have
	// the same.
	Call int       `json:"call"`
	At   time.Time `json:"at"`
	// Op is create, update, delete, or outside for what was done behind the callers'
	// back.
	Op     string `json:"op"`
	Edge   string `json:"edge"`
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"`
	Name   string `json:"name,omitempty"`
	// Set is what was set.
	Set map[string]json.RawMessage `json:"set,omitempty"`
}

// CampaignSin names something that a caller of a batch should never do.
type CampaignSin string

const (
	// SinRelated is a batch with a node and one that it lies in, whose order nobody
	// promises.
	SinRelated CampaignSin = "related_in_batch"
	// SinTwice is a batch with two operations on one node.
	SinTwice CampaignSin = "twice_in_batch"
	// SinSiblings is a batch with two ad sets of one campaign. It is refused, too.
	SinSiblings CampaignSin = "ad_sets_of_one_campaign"
)

func newTree() tree {
	return tree{nodes: map[string]*node{}, sins: map[CampaignSin]int{}, spent: map[spendKey]Spend{}}
}

// effective is the status that the network makes of a node's own and those of what
// it lies in. The caller holds the lock.
func (t *tree) effective(d *node) string {
	own := d.status()
	if own == "DELETED" || own == "ARCHIVED" {
		return own
	}
	if up := t.nodes[d.parent]; up != nil {
		switch above := t.effective(up); above {
		case "DELETED", "ARCHIVED":
			return above
		case "PAUSED":
			if own == "ACTIVE" && up.edge == campaignEdge {
				return "CAMPAIGN_PAUSED"
			}
			if own == "ACTIVE" {
				return "ADSET_PAUSED"
			}
		case "CAMPAIGN_PAUSED":
			if own == "ACTIVE" {
				return above
			}
		}
	}
	return own
}

// gone reports whether a node is deleted, by itself or with what it lies in.
func (t *tree) gone(d *node) bool {
	s := t.effective(d)
	return s == "DELETED" || s == "ARCHIVED"
}

// fits says what is wrong with a node as it would be. was is nil for a new one.
func (n *Network) fits(d, was *node, changed map[string]json.RawMessage, now time.Time) *apiError {
	t := &n.tree
	if s := d.status(); d.edge != creativeEdge && (s == "DELETED" || s == "ARCHIVED") {
		return nil
	}
	switch d.edge {
	case setEdge:
		campaign := t.nodes[d.parent]
		if campaign == nil || campaign.edge != campaignEdge || campaign.account != d.account || t.gone(campaign) {
			return blame("campaign_id", "There is no such campaign in this account, or it is deleted")
		}
		if err := n.fitsSet(d, campaign, was, changed, now); err != nil {
			return err
		}
	case adEdge:
		set := t.nodes[d.parent]
		if set == nil || set.edge != setEdge || set.account != d.account || t.gone(set) {
			return blame("adset_id", "There is no such ad set in this account, or it is deleted")
		}
		var of struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(d.values["creative"], &of) // it was checked
		creative := t.nodes[of.ID]
		if creative == nil || creative.edge != creativeEdge || creative.account != d.account || t.gone(creative) {
			return blame("creative", "There is no such creative in this account, or it is deleted")
		}
	case creativeEdge:
		if d.status() == "DELETED" {
			for _, other := range t.nodes {
				var of struct {
					ID string `json:"id"`
				}
				if other.edge == adEdge && json.Unmarshal(other.values["creative"], &of) == nil && of.ID == d.id && !t.gone(other) {
					return blame("status", "The creative is used by an ad")
				}
			}
		}
	case campaignEdge:
		if err := n.fitsBudget(d, "stop_time"); err != nil {
			return err
		}
		for _, other := range t.nodes {
			if was != nil && other.parent == d.id && !t.gone(other) && hasBudget(other) && hasBudget(d) && !hasBudget(was) {
				return blame("daily_budget", "The ad sets of the campaign have budgets")
			}
		}
	}
	return nil
}

// hasBudget reports whether a node has a budget of its own. nil has none.
func hasBudget(d *node) bool {
	return d != nil && (d.values["daily_budget"] != nil || d.values["lifetime_budget"] != nil)
}

func (n *Network) fitsSet(d, campaign, was *node, changed map[string]json.RawMessage, now time.Time) *apiError {
	switch {
	case hasBudget(d) && hasBudget(campaign):
		return blame("daily_budget", "The campaign has the budget")
	case !hasBudget(d) && !hasBudget(campaign):
		return blame("daily_budget", "The ad set needs a budget, or its campaign does")
	}
	if err := n.fitsBudget(d, "end_time"); err != nil {
		return err
	}
	strategy := textOf(d.values["bid_strategy"])
	if strategy == "" {
		strategy = textOf(campaign.values["bid_strategy"])
	}
	if (strategy == "COST_CAP" || strategy == "LOWEST_COST_WITH_BID_CAP") && d.values["bid_amount"] == nil {
		return blame("bid_amount", "The bid strategy needs a bid_amount")
	}
	if err := fitsSchedule(d, campaign, strategy); err != nil {
		return err
	}
	var in map[string]json.RawMessage
	_ = json.Unmarshal(changed["targeting"], &in) // it was checked; none, if it does not change
	for _, key := range []string{"custom_audiences", "excluded_custom_audiences"} {
		ids, _ := audiencesOf(in[key])
		for _, id := range ids {
			if a := n.audiences[id]; (a == nil || a.account != d.account) && !slices.Contains(n.opts.SharedAudiences, id) {
				e := blame("targeting", "The audience is deleted, or not shared with this account")
				e.subcode = 1487366
				return e
			}
		}
	}
	if was == nil || changed["daily_budget"] == nil && changed["lifetime_budget"] == nil {
		return nil
	}
	recent := slices.DeleteFunc(slices.Clone(d.budgets), func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	if len(recent) >= budgetChanges {
		return &apiError{
			status: 400, typ: "OAuthException", code: 17, subcode: 2446079, message: "(#17) User request limit reached",
			title: "Ad set budget changed too often", detail: "The budget of an ad set can be changed four times in an hour.",
		}
	}
	return nil
}

// fitsBudget checks the budgets of a campaign or an ad set. end names its end.
func (n *Network) fitsBudget(d *node, end string) *apiError {
	day, life := d.values["daily_budget"], d.values["lifetime_budget"]
	if day != nil && life != nil {
		return blame("lifetime_budget", "A budget is for a day or for the whole time, not both")
	}
	least := uint64(leastBudget)
	if slices.Contains(wholeCurrencies, n.opts.Currency) {
		least /= 100
	}
	for _, name := range []string{"daily_budget", "lifetime_budget"} {
		if d.values[name] == nil {
			continue
		}
		if units, err := strconv.ParseUint(textOf(d.values[name]), 10, 63); err != nil || units < least {
			e := blame(name, "The budget is too low")
			e.subcode, e.title, e.detail = 1885272, "Budget is too low", "The budget is below the least of the account's currency."
			return e
		}
	}
	begins, _ := time.Parse(timeForm, textOf(d.values["start_time"]))
	ends, err := time.Parse(timeForm, textOf(d.values[end]))
	switch {
	case life != nil && err != nil:
		return blame(end, "A lifetime budget needs an end")
	case err == nil && !begins.IsZero() && !ends.After(begins):
		return blame(end, "The end must be after the start")
	}
	return nil
}

// wholeCurrencies are those that have no hundredths (docs/marketing-api/currencies,
// read 2026-11-22).
var wholeCurrencies = []string{"CLP", "COP", "CRC", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "TWD", "VND"}

// put carries out what readNode read. d is nil for a new node of that edge. The
// caller holds the lock.
func (n *Network) put(account, edge string, d *node, set map[string]json.RawMessage, now time.Time) (*node, *apiError) {
	was := d
	next := &node{account: account, edge: edge, values: map[string]json.RawMessage{}, created: now, updated: now}
	if d != nil {
		copied := *d
		next = &copied
		next.values, next.updated = maps.Clone(d.values), now
		if n.tree.gone(d) {
			e := blame("id", "Deleted objects cannot be edited")
			e.subcode = 1487056
			return nil, e
		}
	} else {
		next.parent = textOf(set["campaign_id"])
		if edge == adEdge {
			next.parent = textOf(set["adset_id"])
		}
		if edge == campaignEdge || edge == creativeEdge {
			next.parent = ""
		}
		if set["status"] == nil {
			next.values["status"] = json.RawMessage(`"ACTIVE"`)
		}
	}
	for name, raw := range set {
		switch {
		case name == "spend_cap" && textOf(raw) == strconv.Itoa(neverCapped), name == "end_time" && textOf(raw) == "0":
			delete(next.values, name)
		default:
			next.values[name] = raw
		}
	}
	if s := textOf(set["bid_strategy"]); s != "" && s != "LOWEST_COST_WITH_MIN_ROAS" && set["bid_constraints"] == nil {
		delete(next.values, "bid_constraints") // our inference: they go with the strategy
	}
	if err := n.fits(next, was, set, now); err != nil {
		return nil, err
	}
	return next, nil
}

// keep makes a node that put returned the one that is there. The caller holds the
// lock.
func (n *Network) keep(next *node, set map[string]json.RawMessage, call int, outside bool, now time.Time) {
	op := "update"
	if next.id == "" {
		op = "create"
		n.lastID += 1 + n.rand.Uint64N(1000)
		next.id = strconv.FormatUint(n.lastID, 10)
		n.tree.order = append(n.tree.order, next.id)
	} else if set["daily_budget"] != nil || set["lifetime_budget"] != nil {
		next.budgets = append(slices.Clone(next.budgets), now)
	}
	if textOf(set["status"]) == "DELETED" {
		op = "delete"
	}
	if outside {
		op = "outside"
	}
	n.tree.nodes[next.id] = next
	n.tree.effects = append(n.tree.effects, Effect{
		Call: call, At: now, Op: op, Edge: next.edge, ID: next.id, Parent: next.parent, Name: textOf(next.values["name"]), Set: maps.Clone(set),
	})
}
