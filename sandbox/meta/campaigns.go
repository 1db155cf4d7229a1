package meta

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The operations on campaigns, as fault scripts name them. Those on an edge are
// named by it, such as "campaigns.create" and "ads.list"; what creates, edits or
// deletes something within a batch has the same name, and "/batch" before its path.
const (
	opNodeRead   = "node.read"
	opNodeUpdate = "node.update"
	opNodeDelete = "node.delete"
	opInsights   = "insights"
	// opBatch is a batch that changes something, opBatchRead one that only reads.
	opBatch     = "batch"
	opBatchRead = "batch.read"

	suffixCreate = ".create"
	suffixList   = ".list"
)

// maxPage is the most rows of a page.
const maxPage = 500

// changesCampaigns reports whether an operation changes campaigns.
func changesCampaigns(op string) bool {
	return op == opNodeUpdate || op == opNodeDelete || op == opBatch || strings.HasSuffix(op, suffixCreate)
}

// nodeOps are method and edge below a node, and what they do. Which edges a node
// has, listOf says.
var nodeOps = map[string]string{
	"GET ":       opNodeRead,
	"POST ":      opNodeUpdate,
	"DELETE ":    opNodeDelete,
	"GET adsets": setEdge + suffixList,
	"GET ads":    adEdge + suffixList,
}

// routeNode finds a node by the id in the path.
func (n *Network) routeNode(c *call, id, edge string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.tree.nodes[id]
	if d == nil {
		return false
	}
	c.node, c.account, c.op = id, d.account, nodeOps[edge]
	return true
}

// campaigns carries out an operation on the tree. ok is false for another one.
func (n *Network) campaigns(c *call) (body any, err *apiError, ok bool) {
	switch edge, what, _ := strings.Cut(c.op, "."); {
	case c.op == opNodeRead:
		body, err = n.readNode(c)
	case c.op == opNodeUpdate, c.op == opNodeDelete:
		body, err = n.changeNode(c)
	case c.op == opInsights:
		body, err = n.insights(c)
	case !slices.Contains(edges, edge):
		return nil, nil, false
	case "."+what == suffixCreate:
		body, err = n.createNode(c, edge)
	default:
		body, err = n.listNodes(c, edge)
	}
	return body, err, true
}

// dryRun reports whether a call is only to be checked.
func dryRun(p params) (bool, *apiError) {
	raw := p.structure("execution_options")
	if len(raw) == 0 {
		return false, nil
	}
	var words []string
	if json.Unmarshal(raw, &words) != nil || slices.ContainsFunc(words, func(w string) bool {
		return w != "validate_only" && w != "include_recommendations" && w != "synchronous_ad_review"
	}) {
		return false, blame("execution_options", "The parameter execution_options has an unknown value")
	}
	return slices.Contains(words, "validate_only"), nil
}

func (n *Network) createNode(c *call, edge string) (any, *apiError) {
	set, err := readNode(edge, c.params, true)
	if err != nil {
		return nil, err
	}
	dry, err := dryRun(c.params)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	next, err := n.put(c.account, edge, nil, set, c.at)
	if err != nil {
		return nil, err
	}
	if dry {
		return map[string]any{"success": true}, nil
	}
	if n.closed {
		return nil, unknownError(0)
	}
	n.keep(next, set, n.effectCall(c), false, c.at)
	c.record.Applied = true
	return map[string]any{"id": next.id}, nil
}

func (n *Network) changeNode(c *call) (any, *apiError) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.tree.nodes[c.node]
	if d == nil {
		return nil, noSuchObject(c.node)
	}
	set := map[string]json.RawMessage{"status": json.RawMessage(`"DELETED"`)}
	if c.op == opNodeUpdate {
		var err *apiError
		if set, err = readNode(d.edge, c.params, false); err != nil {
			return nil, err
		}
		if len(set) == 0 {
			return nil, invalidParam("There is nothing to change")
		}
	}
	dry, err := dryRun(c.params)
	if err != nil {
		return nil, err
	}
	next, err := n.put(d.account, d.edge, d, set, c.at)
	if err != nil {
		return nil, err
	}
	if n.closed {
		return nil, unknownError(0)
	}
	if !dry {
		n.keep(next, set, n.effectCall(c), false, c.at)
		c.record.Applied = true
	}
	return map[string]any{"success": true}, nil
}

// effectCall is the number of the call that an effect came with. The caller holds
// the lock.
func (n *Network) effectCall(c *call) int {
	if c.outer != nil {
		c = c.outer
	}
	if c.effect == 0 {
		n.tree.calls++
		c.effect = n.tree.calls
	}
	return c.effect
}

func (n *Network) readNode(c *call) (any, *apiError) {
	n.mu.Lock()
	d := n.tree.nodes[c.node]
	if d == nil {
		n.mu.Unlock()
		return nil, noSuchObject(c.node)
	}
	fields := n.fieldsOf(d)
	n.mu.Unlock()
	return selectNode(d.edge, c.params.list("fields"), fields)
}

// selectNode answers with the fields that were asked for. What has no value is left
// out, as the network does.
func selectNode(edge string, wanted []string, all map[string]any) (map[string]any, *apiError) {
	out := map[string]any{"id": all["id"]}
	for _, name := range wanted {
		_, known := specs[edge][name]
		v, there := all[name]
		if !known && !slices.Contains(told[edge], name) {
			return nil, invalidParam("Tried accessing nonexisting field (" + name + ") on node type (" + edge + ")")
		}
		if there {
			out[name] = v
		}
	}
	return out, nil
}

// told are the fields of a type beside its parameters.
var told = map[string][]string{
	campaignEdge: {"id", "account_id", "effective_status", "configured_status", "created_time", "updated_time"},
	setEdge:      {"id", "account_id", "effective_status", "configured_status", "created_time", "updated_time"},
	adEdge:       {"id", "account_id", "effective_status", "configured_status", "created_time", "updated_time", "campaign_id"},
	creativeEdge: {"id", "account_id"},
}

// fieldsOf are all fields of a node. The caller holds the lock.
func (n *Network) fieldsOf(d *node) map[string]any {
	out := map[string]any{"id": d.id, "account_id": d.account}
	for name, raw := range d.values {
		out[name] = raw
	}
	for name, one := range specs[d.edge] {
		if at, err := time.Parse(timeForm, textOf(d.values[name])); one.kind == kindTime && err == nil {
			out[name] = at.In(n.zone).Format(timeForm)
		}
	}
	for _, name := range []string{"daily_budget", "lifetime_budget"} { // an ad set and a campaign without one say 0
		if _, ok := specs[d.edge][name]; ok && out[name] == nil {
			out[name] = "0"
		}
	}
	out["effective_status"], out["configured_status"] = n.tree.effective(d), d.status()
	out["created_time"], out["updated_time"] = d.created.In(n.zone).Format(timeForm), d.updated.In(n.zone).Format(timeForm)
	if set := n.tree.nodes[d.parent]; d.edge == adEdge && set != nil {
		out["campaign_id"] = set.parent
	}
	return out
}

// listNodes lists a type below the account or a node, page by page. What is deleted
// is not in it unless effective_status asks for it.
func (n *Network) listNodes(c *call, edge string) (any, *apiError) {
	for name := range c.params {
		if !slices.Contains([]string{"fields", "limit", "after", "effective_status"}, name) && !slices.Contains(common, name) {
			return nil, invalidParam("Unexpected parameter: " + name)
		}
	}
	statuses := c.params.list("effective_status")
	n.mu.Lock()
	defer n.mu.Unlock()
	if at := n.tree.nodes[c.node]; at != nil && (at.edge != campaignEdge && at.edge != setEdge || at.edge == setEdge && edge == setEdge) {
		return nil, unknownPath()
	}
	var ids []string
	for _, id := range n.tree.order {
		d := n.tree.nodes[id]
		if d.edge != edge || d.account != c.account || c.node != "" && d.parent != c.node && (n.tree.nodes[d.parent] == nil || n.tree.nodes[d.parent].parent != c.node) {
			continue
		}
		if len(statuses) == 0 && n.tree.gone(d) || len(statuses) > 0 && !slices.Contains(statuses, n.tree.effective(d)) {
			continue
		}
		ids = append(ids, id)
	}
	wanted := c.params.list("fields")
	return page(c.params, ids, func(i int) (map[string]any, *apiError) {
		return selectNode(edge, wanted, n.fieldsOf(n.tree.nodes[ids[i]]))
	})
}

// page is one page of the rows that ids name. A cursor names the last row of the page
// before.
func page(p params, ids []string, row func(i int) (map[string]any, *apiError)) (any, *apiError) {
	limit, err := p.integer("limit", defaultPage)
	if err != nil {
		return nil, err
	}
	if limit < 1 || limit > maxPage {
		return nil, invalidParam("limit must be from 1 to " + strconv.Itoa(maxPage))
	}
	from := 0
	if after := p.text("after"); after != "" {
		at := slices.Index(ids, strings.TrimPrefix(after, "after-"))
		if at < 0 || !strings.HasPrefix(after, "after-") {
			return nil, invalidParam("Invalid cursor")
		}
		from = at + 1
	}
	to := min(from+limit, len(ids))
	rows := make([]map[string]any, to-from)
	for i := range rows {
		if rows[i], err = row(from + i); err != nil {
			return nil, err
		}
	}
	out := map[string]any{"data": rows}
	if to > from {
		paging := map[string]any{"cursors": map[string]string{"before": "after-" + ids[from], "after": "after-" + ids[to-1]}}
		if to < len(ids) {
			paging["next"] = "https://graph.facebook.com/next?access_token=hidden&after=after-" + ids[to-1]
		}
		out["paging"] = paging
	}
	return out, nil
}
