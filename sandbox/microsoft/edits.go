package microsoft

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"usher/sandbox/fault"
)

// edit is the body of a call that changes campaigns.
type edit struct {
	AccountID     id      `json:"AccountId"`
	CampaignID    id      `json:"CampaignId"`
	AdGroupID     id      `json:"AdGroupId"`
	CriterionType *string `json:"CriterionType"`

	Budgets            []map[string]any
	Campaigns          []map[string]any
	AdGroups           []map[string]any
	Ads                []map[string]any
	Keywords           []map[string]any
	CampaignCriterions []map[string]any

	BudgetIDs            []id `json:"BudgetIds"`
	CampaignIDs          []id `json:"CampaignIds"`
	AdGroupIDs           []id `json:"AdGroupIds"`
	AdIDs                []id `json:"AdIds"`
	KeywordIDs           []id `json:"KeywordIds"`
	CampaignCriterionIDs []id `json:"CampaignCriterionIds"`

	// Those of queries.
	CampaignType *string  `json:"CampaignType"`
	AdTypes      []string `json:"AdTypes"`
}

func (e *edit) rows(k kind) []map[string]any {
	return map[string][]map[string]any{
		"Budgets": e.Budgets, "Campaigns": e.Campaigns, "AdGroups": e.AdGroups, "Ads": e.Ads, "Keywords": e.Keywords, "CampaignCriterions": e.CampaignCriterions,
	}[k.name]
}

func (e *edit) ids(k kind) []id {
	return map[string][]id{
		"Budgets": e.BudgetIDs, "Campaigns": e.CampaignIDs, "AdGroups": e.AdGroupIDs, "Ads": e.AdIDs, "Keywords": e.KeywordIDs, "CampaignCriterions": e.CampaignCriterionIDs,
	}[k.name]
}

// only refuses what belongs into another call.
func (e *edit) only(body []byte, allowed ...string) *apiError {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(body, &all) // it was read before
	for name := range all {
		known := false
		for _, a := range allowed {
			known = known || a == name
		}
		if !known {
			return bad("UnknownElement", "%s does not belong here", name)
		}
	}
	return nil
}

// place is the id of what the rows lie in, and whether it is there.
func (n *Network) place(e *edit, k kind) (string, *apiError) {
	switch k.within {
	case "AccountId":
		if string(e.AccountID) != n.opts.Account {
			return "", bad("InvalidAccountId", "AccountId must be that of the header")
		}
		return "", nil
	case "CampaignId":
		return n.parent(string(e.CampaignID), k)
	case "AdGroupId":
		return n.parent(string(e.AdGroupID), k)
	}
	return "", nil
}

func (n *Network) parent(id string, k kind) (string, *apiError) {
	if o, ok := n.tree.objects[id]; !ok || o.Kind != k.parent {
		return "", bad("Invalid"+k.within, "There is no such object to lie in.")
	}
	return id, nil
}

// campaigns answers a call of the Campaign Management service. The caller holds the
// lock.
func (n *Network) campaigns(c *call, path string) (any, *apiError) {
	resource, query, isQuery := strings.Cut(path, "/")
	k, ok := kinds[resource]
	if !ok {
		return nil, &apiError{http.StatusNotFound, 0, "NotFound", "There is no such resource."}
	}
	var in edit
	if e := decode(c.body, &in); e != nil {
		return nil, e
	}
	if isQuery {
		return n.query(c, k, query, &in)
	}
	scope := []string{k.within}
	if k.name == "CampaignCriterions" {
		if in.CriterionType == nil || *in.CriterionType != "Targets" {
			return nil, bad("InvalidCriterionType", "Targets are changed with the type Targets")
		}
		scope = []string{"CriterionType"}
	}
	switch c.request.Method {
	case http.MethodPost, http.MethodPut:
		if e := in.only(c.body, append(scope, k.name)...); e != nil {
			return nil, e
		}
		return n.put(c, k, &in, c.request.Method == http.MethodPost)
	case http.MethodDelete:
		if k.name == "CampaignCriterions" {
			scope = append(scope, "CampaignId")
		}
		if e := in.only(c.body, append(scope, k.ids)...); e != nil {
			return nil, e
		}
		return n.remove(c, k, &in)
	}
	return nil, &apiError{http.StatusMethodNotAllowed, 0, "MethodNotAllowed", "There is no such method here."}
}

// size checks how many rows a call has.
func (n *Network) size(c *call, k kind, rows int) *apiError {
	c.record.Rows = rows
	switch {
	case rows == 0:
		return bad(k.name+"ArrayShouldNotBeNullOrEmpty", "There are no rows.")
	case rows > n.opts.Limits[k.name]:
		return bad(k.name+"ArrayExceedsLimit", "There are more rows than a call takes.")
	}
	return nil
}

// put adds or updates rows.
func (n *Network) put(c *call, k kind, in *edit, add bool) (any, *apiError) {
	rows := in.rows(k)
	if e := n.size(c, k, len(rows)); e != nil {
		return nil, e
	}
	parent := ""
	if k.name != "CampaignCriterions" {
		var e *apiError
		if parent, e = n.place(in, k); e != nil {
			return nil, e
		}
	}
	out, seen := n.newOutcome(k, add), map[string]bool{}
	for i, row := range rows {
		within := parent
		if k.name == "CampaignCriterions" {
			within, _ = row["CampaignId"].(string)
		}
		out.row(c, i, func() (string, *rowError) {
			if self, _ := row["Id"].(string); !add {
				if seen[self] {
					return "", wrong("DuplicateInRequest", "Id")
				}
				seen[self] = true
				return self, n.update(k, within, self, row)
			}
			return n.add(k, within, row)
		})
	}
	return out.body(), nil
}

func (n *Network) add(k kind, parent string, row map[string]any) (string, *rowError) {
	if e := k.look(row, true); e != nil {
		return "", e
	}
	if k.name == "CampaignCriterions" {
		if o, ok := n.tree.objects[parent]; !ok || o.Kind != "Campaigns" {
			return "", wrong("InvalidCampaignId", "CampaignId")
		}
	}
	if k.name == "Campaigns" {
		if e := n.tree.budget(row, nil); e != nil {
			return "", e
		}
	}
	if row["Type"] == "NegativeCampaignCriterion" && row["CriterionBid"] != nil {
		return "", wrong("BidNotAllowed", "CriterionBid")
	}
	if n.tree.taken(k, parent, "", row) {
		return "", wrong("CannotCreateDuplicate", k.unique)
	}
	k.defaults(row)
	o := &Object{Kind: k.name, ID: n.nextID(), Parent: parent, Fields: map[string]any{}}
	o.put(row)
	n.tree.objects[o.ID] = o
	n.tree.order = append(n.tree.order, o.ID)
	n.tree.effects[o.ID]++
	return o.ID, nil
}

func (n *Network) update(k kind, parent, self string, row map[string]any) *rowError {
	o, ok := n.tree.objects[self]
	if !ok || o.Kind != k.name || o.Parent != parent {
		return k.missing()
	}
	if e := k.look(row, false); e != nil {
		return e
	}
	if k.name == "Campaigns" {
		if e := n.tree.budget(row, o.Fields); e != nil {
			return e
		}
	}
	if n.tree.taken(k, parent, self, row) {
		return wrong("CannotCreateDuplicate", k.unique)
	}
	o.put(row)
	n.tree.effects[self]++
	return nil
}

func (n *Network) remove(c *call, k kind, in *edit) (any, *apiError) {
	ids := in.ids(k)
	if e := n.size(c, k, len(ids)); e != nil {
		return nil, e
	}
	parent, e := n.place(in, k)
	if e != nil {
		return nil, e
	}
	out := n.newOutcome(k, false)
	for i, id := range ids {
		out.row(c, i, func() (string, *rowError) {
			o, ok := n.tree.objects[string(id)]
			switch {
			case !ok || o.Kind != k.name || o.Parent != parent:
				return "", k.missing()
			case k.name == "Budgets" && n.tree.used(o.ID):
				return "", wrong("BudgetIsUsed", "Id")
			}
			n.tree.drop(o.ID)
			n.tree.effects[o.ID]++
			return o.ID, nil
		})
	}
	return out.body(), nil
}

// outcome is the answer of a call that changes campaigns.
type outcome struct {
	kind kind
	add  bool
	ids  []*string
	errs []any
}

func (n *Network) newOutcome(k kind, add bool) *outcome {
	return &outcome{kind: k, add: add, ids: []*string{}, errs: []any{}}
}

// row carries one row out, or has it meet the fault of the call.
func (o *outcome) row(c *call, i int, do func() (string, *rowError)) {
	f := c.spoil
	met := f.Kind == fault.Invalid && i >= f.Row && i < f.Row+f.Rows
	var id string
	var e *rowError
	if !met || f.Applied {
		id, e = do()
	}
	if met {
		id, e = "", &rowError{code: f.Code, word: cmp.Or(f.Message, "Scripted"), text: "A scripted error."}
	}
	if e == nil {
		o.ids = append(o.ids, &id)
		return
	}
	o.ids = append(o.ids, nil)
	body := e.body(i)
	if o.kind.name == "CampaignCriterions" {
		body = map[string]any{"Type": "BatchErrorCollection", "Index": i, "Code": nil, "ErrorCode": nil, "Message": nil, "BatchErrors": []any{body}}
	}
	o.errs = append(o.errs, body)
}

// body is the error of row i.
func (e *rowError) body(i int) map[string]any {
	return map[string]any{"Type": "BatchError", "Index": i, "Code": e.code, "ErrorCode": e.word, "Message": e.text, "Details": nil, "FieldPath": e.path}
}

// missing is the error of a row whose object is not there (guides/operation-error-codes;
// the last two have no number of their own there).
func (k kind) missing() *rowError {
	e := map[string]rowError{
		"Campaigns": {code: 1100, word: "CampaignServiceInvalidCampaignId"}, "AdGroups": {code: 1201, word: "CampaignServiceInvalidAdGroupId"},
		"Ads": {code: 1308, word: "CampaignServiceInvalidAdId"}, "Keywords": {code: 1501, word: "CampaignServiceInvalidKeywordId"},
		"Budgets": {code: 1044, word: "CampaignServiceEntityDoesNotExist"}, "CampaignCriterions": {code: 1044, word: "CampaignServiceEntityDoesNotExist"},
	}[k.name]
	e.path, e.text = "Id", "There is no such object."
	return &e
}

func (o *outcome) body() any {
	out := map[string]any{}
	if o.kind.name == "CampaignCriterions" {
		out["NestedPartialErrors"] = o.errs
	} else {
		out["PartialErrors"] = o.errs
	}
	if o.add {
		out[o.kind.ids] = o.ids
	}
	return out
}

// query answers a call that reads objects.
func (n *Network) query(c *call, k kind, how string, in *edit) (any, *apiError) {
	if c.request.Method != http.MethodPost {
		return nil, &apiError{http.StatusMethodNotAllowed, 0, "MethodNotAllowed", "There is no such method here."}
	}
	scope := []string{k.within, k.ids}
	switch k.name {
	case "Campaigns":
		scope = append(scope, "CampaignType")
		if in.CampaignType == nil || *in.CampaignType != "Search" {
			return nil, bad("InvalidCampaignType", "There are campaigns of the type Search only.")
		}
	case "Ads":
		scope = append(scope, "AdTypes")
		if len(in.AdTypes) == 0 {
			return nil, bad("AdTypesMissing", "AdTypes are needed.")
		}
	case "CampaignCriterions":
		scope = append(scope, "CriterionType")
		if in.CriterionType == nil || *in.CriterionType != "Location" {
			return nil, bad("InvalidCriterionType", "Locations are read with the type Location.")
		}
	}
	if e := in.only(c.body, scope...); e != nil {
		return nil, e
	}
	parent, e := n.place(in, k)
	if e != nil {
		return nil, e
	}
	all := how == "QueryBy"+k.within && k.name != "CampaignCriterions" && k.within != ""
	everything := how == "QueryByIds" && in.ids(k) == nil && (k.name == "Budgets" || k.name == "CampaignCriterions")
	list, errs := []any{}, []any{}
	switch {
	case all && len(in.ids(k)) == 0, everything:
		for _, o := range n.tree.siblings(k, parent) {
			list = append(list, o.shown(&n.tree))
		}
	case how == "QueryByIds":
		if e := n.size(c, k, len(in.ids(k))); e != nil {
			return nil, e
		}
		if k.reads > 0 && len(in.ids(k)) > k.reads {
			return nil, bad(k.name+"IdsArrayExceedsLimit", "There are more ids than a call takes.")
		}
		for i, id := range in.ids(k) {
			if o, ok := n.tree.objects[string(id)]; ok && o.Kind == k.name && o.Parent == parent {
				list = append(list, o.shown(&n.tree))
				if k.name == "Campaigns" { // their errors are told place by place
					errs = append(errs, nil)
				}
				continue
			}
			list, errs = append(list, nil), append(errs, k.missing().body(i))
		}
	default:
		return nil, &apiError{http.StatusNotFound, 0, "NotFound", "There is no such query."}
	}
	return map[string]any{k.name: list, "PartialErrors": errs}, nil
}

// shown is an object as the API tells it. A campaign that shares a budget shows its
// amount as well.
func (o *Object) shown(t *tree) map[string]any {
	out := map[string]any{"Id": o.ID, "ForwardCompatibilityMap": []any{}}
	for name, v := range o.Fields {
		out[name] = v
	}
	if b, ok := o.Fields["BudgetId"].(string); ok && t.objects[b] != nil {
		out["DailyBudget"], out["BudgetType"] = t.objects[b].Fields["Amount"], t.objects[b].Fields["BudgetType"]
	} else if o.Kind == "Campaigns" {
		out["BudgetId"] = nil
	}
	return out
}
