package meta

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// defaultPage is how many audiences a page has unless limit says otherwise.
const defaultPage = 25

// retentionDays is the longest that people are kept for so many days
// (developers.facebook.com, marketing-api/reference/ad-account/customaudiences).
const retentionDays = 180

// labelPattern is how labels are written; which there are the network changes.
var labelPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// selectFields answers with the fields that were asked for, or with those named.
func (n *Network) selectFields(c *call, node string, all map[string]any, fallback ...string) (map[string]any, *apiError) {
	wanted := c.params.list("fields")
	if len(wanted) == 0 {
		wanted = fallback
	}
	out := map[string]any{"id": all["id"]}
	for _, name := range wanted {
		v, ok := all[name]
		if !ok {
			return nil, invalidParam(fmt.Sprintf("Tried accessing nonexisting field (%s) on node type (%s)", name, node))
		}
		out[name] = v
	}
	return out, nil
}

func (n *Network) readAccount(c *call) (any, *apiError) {
	n.mu.Lock()
	fields := n.account(c.account).fields(n.opts)
	n.mu.Unlock()
	return n.selectFields(c, "AdAccount", fields, "account_id", "id")
}

func (n *Network) acceptTerms(c *call) (any, *apiError) {
	if c.params.text("tos_id") == "" {
		return nil, missingParam("tos_id")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.commit(event{Kind: eventTerms, At: c.at, Account: c.account}); err != nil {
		return nil, err
	}
	return map[string]any{"success": true}, nil
}

func (n *Network) createAudience(c *call) (any, *apiError) {
	s, err := readSettings(c.params, settings{})
	if err != nil {
		return nil, err
	}
	fetch, err := c.params.boolean("enable_fetch_or_create")
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	owner := n.account(c.account)
	if owner.termsPending {
		return nil, termsPending()
	}
	if fetch {
		for _, id := range owner.audiences {
			if n.audiences[id].settings.Name == s.Name {
				return map[string]any{"id": id}, nil
			}
		}
	}
	if s.Dataset != "" && !slices.Contains(n.opts.Datasets, s.Dataset) {
		return nil, invalidParam("dataset_id names no data set of the account")
	}
	// Ids look like the network's: long, and without order from one to the next.
	id := strconv.FormatUint(n.lastID+1+n.rand.Uint64N(1000), 10)
	if err := n.commit(event{Kind: eventCreate, At: c.at, Account: c.account, Audience: id, Settings: &s}); err != nil {
		return nil, err
	}
	c.record.Audience, c.record.Applied = id, true
	return map[string]any{"id": id}, nil
}

// readSettings reads what a create or an update says on top of what was.
func readSettings(p params, was settings) (settings, *apiError) {
	s, isNew := was, was.Name == ""
	for name, field := range map[string]*string{
		"name": &s.Name, "description": &s.Description, "subtype": &s.Subtype,
		"customer_file_source": &s.Source, "opt_out_link": &s.OptOutLink,
		"dataset_id": &s.Dataset,
	} {
		if text := p.text(name); text != "" {
			*field = text
		}
	}
	var err *apiError
	if p["is_value_based"] != nil {
		if s.ValueBased, err = p.boolean("is_value_based"); err != nil {
			return s, err
		}
	}
	if s.RetentionDays, err = p.integer("retention_days", s.RetentionDays); err != nil {
		return s, err
	}
	if p.text("retention_days") != "" && (s.RetentionDays < 1 || s.RetentionDays > retentionDays) {
		return s, invalidParam("retention_days must be from 1 to 180")
	}
	if raw := p.structure("audience_labels"); len(raw) > 0 {
		s.Labels = nil
		if json.Unmarshal(raw, &s.Labels) != nil || slices.ContainsFunc(s.Labels, func(l string) bool { return !labelPattern.MatchString(l) }) {
			return s, invalidParam("audience_labels must be a list of labels")
		}
	}
	link, urlErr := url.Parse(s.OptOutLink)
	sources := []string{"USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"}
	switch {
	case s.Name == "":
		return s, missingParam("name")
	case s.Subtype == "":
		return s, missingParam("subtype")
	case s.Subtype != "CUSTOM":
		return s, invalidParam("subtype must be CUSTOM for a customer list")
	case s.Source == "":
		return s, missingParam("customer_file_source")
	case !slices.Contains(sources, s.Source):
		return s, invalidParam("customer_file_source must be one of " + strings.Join(sources, ", "))
	case s.OptOutLink != "" && (urlErr != nil || link.Host == "" || link.Scheme != "https" && link.Scheme != "http"):
		return s, invalidParam("opt_out_link must be an address")
	case s.Dataset != "" && !objectPattern.MatchString(s.Dataset):
		return s, invalidParam("dataset_id must be a number")
	case !isNew && (s.Subtype != was.Subtype || s.ValueBased != was.ValueBased):
		return s, invalidParam("subtype and is_value_based cannot be changed")
	}
	return s, nil
}

// live returns the audience of the call with its due matching done. The caller
// holds the lock.
func (n *Network) live(c *call) (*audience, *apiError) {
	a := n.audiences[c.audience]
	if a == nil {
		return nil, noSuchObject(c.audience)
	}
	a.settle(n.deps.Now())
	a.lapse(c.at, n.opts.SessionWindow)
	return a, nil
}

func (n *Network) readAudience(c *call) (any, *apiError) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.live(c)
	if err != nil {
		return nil, err
	}
	return n.selectFields(c, "CustomAudience", a.fields(), "id")
}

func (n *Network) updateAudience(c *call) (any, *apiError) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.live(c)
	if err != nil {
		return nil, err
	}
	s, err := readSettings(c.params, a.settings)
	if err != nil {
		return nil, err
	}
	if err := n.commit(event{Kind: eventUpdate, At: c.at, Audience: a.id, Settings: &s}); err != nil {
		return nil, err
	}
	c.record.Applied = true
	return map[string]any{"success": true}, nil
}

func (n *Network) deleteAudience(c *call) (any, *apiError) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.live(c); err != nil {
		return nil, err
	}
	if err := n.commit(event{Kind: eventDelete, At: c.at, Audience: c.audience}); err != nil {
		return nil, err
	}
	c.record.Applied = true
	return map[string]any{"success": true}, nil
}

// listAudiences answers with one page, in the order of making.
func (n *Network) listAudiences(c *call) (any, *apiError) {
	limit, err := c.params.integer("limit", defaultPage)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		return nil, invalidParam("The parameter limit must be positive")
	}
	match, err := readFilter(c.params)
	if err != nil {
		return nil, err
	}
	after, err := readCursor(c.params.text("after"))
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	page, more := []any{}, false
	var first, last string
	for _, id := range n.account(c.account).audiences {
		a := n.audiences[id]
		if number, _ := strconv.ParseUint(id, 10, 64); number <= after || !match(a) {
			continue
		}
		if len(page) == limit {
			more = true
			break
		}
		a.settle(n.deps.Now())
		item, err := n.selectFields(c, "CustomAudience", a.fields(), "id")
		if err != nil {
			return nil, err
		}
		page, last = append(page, item), id
		if first == "" {
			first = id
		}
	}
	out := map[string]any{"data": page}
	if len(page) > 0 {
		paging := map[string]any{"cursors": map[string]any{"before": cursor(first), "after": cursor(last)}}
		if more {
			paging["next"] = nextPage(c, cursor(last))
		}
		out["paging"] = paging
	}
	return out, nil
}

// readFilter reads filtering, a list of conditions on the audiences' text fields.
func readFilter(p params) (func(*audience) bool, *apiError) {
	raw := p.structure("filtering")
	if len(raw) == 0 {
		return func(*audience) bool { return true }, nil
	}
	var conditions []struct {
		Field    string `json:"field"`
		Operator string `json:"operator"`
		Value    string `json:"value"`
	}
	if err := json.Unmarshal(raw, &conditions); err != nil {
		return nil, invalidParam("filtering must be a list of conditions")
	}
	for _, cond := range conditions {
		if !slices.Contains([]string{"id", "name", "description", "subtype"}, cond.Field) {
			return nil, invalidParam("filtering names a field that cannot be filtered")
		}
		if cond.Operator != "EQUAL" && cond.Operator != "CONTAIN" {
			return nil, invalidParam("filtering names an unknown operator")
		}
	}
	return func(a *audience) bool {
		fields := a.fields()
		for _, cond := range conditions {
			text, _ := fields[cond.Field].(string)
			if cond.Operator == "EQUAL" && text != cond.Value || !strings.Contains(text, cond.Value) {
				return false
			}
		}
		return true
	}, nil
}

const cursorPrefix = "QVFIU"

func cursor(id string) string {
	if id == "" {
		return ""
	}
	number, _ := strconv.ParseUint(id, 10, 64)
	return cursorPrefix + strconv.FormatUint(number, 36)
}

func readCursor(text string) (uint64, *apiError) {
	if text == "" {
		return 0, nil
	}
	rest, ok := strings.CutPrefix(text, cursorPrefix)
	id, err := strconv.ParseUint(rest, 36, 64)
	if !ok || err != nil {
		return 0, invalidParam("Invalid cursors values")
	}
	return id, nil
}

// nextPage is the address of the page behind the cursor, as the caller sees the
// network. Like the network's own it carries the token if the query did.
func nextPage(c *call, after string) string {
	path, query, _ := strings.Cut(c.request.RequestURI, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		values = url.Values{}
	}
	values.Set("after", after)
	return "http://" + c.request.Host + path + "?" + values.Encode()
}
