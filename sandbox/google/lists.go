package google

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// longestMembership is how long a member stays at most
// (developers.google.com/ads/blog/posts/2025/02/update-to-customer-match-membership).
const longestMembership = 540 * 24 * time.Hour

// list is one user list.
type list struct {
	id      string
	account string // accountTypes/T/accounts/A
	fields  map[string]any
	created time.Time
	roster  roster
}

// kinds are the upload key types of the list.
func (l *list) kinds() []string {
	info, _ := l.fields["ingestedUserListInfo"].(map[string]any)
	var kinds []string
	types, _ := info["uploadKeyTypes"].([]any)
	for _, t := range types {
		kind, _ := t.(string)
		kinds = append(kinds, kind)
	}
	return kinds
}

func (l *list) text(name string) string {
	v, _ := l.fields[name].(string)
	return v
}

// show is the list as the API shows it. Sizes of small lists are not shown.
func (l *list) show(smallest int) map[string]any {
	out := maps.Clone(l.fields)
	size := l.roster.size()
	if size < smallest {
		size = 0
	}
	text := strconv.Itoa(size)
	out["name"], out["id"], out["accessReason"] = l.account+"/userLists/"+l.id, l.id, "OWNED"
	out["sizeInfo"] = map[string]string{"displayNetworkMembersCount": text, "searchNetworkMembersCount": text, "youtubeMembersCount": text, "gmailMembersCount": text}
	return out
}

// decodeList judges the body of a user list.
func decodeList(body []byte) (map[string]any, *apiError) {
	canonical, wrong, err := Judge("UserList", body)
	if err != nil {
		return nil, unreadable(err)
	}
	if len(wrong) > 0 {
		return nil, refused(wrong...)
	}
	var fields map[string]any
	if err := json.Unmarshal(canonical, &fields); err != nil {
		return nil, unreadable(err)
	}
	return fields, nil
}

func unreadable(err error) *apiError {
	return refused(violation("", "INVALID_ARGUMENT", "Invalid JSON payload received. "+err.Error()))
}

func (n *Network) createList(c *call) (any, *apiError) {
	if err := only(c, "validateOnly"); err != nil {
		return nil, err
	}
	fields, refusal := decodeList(c.body)
	if refusal != nil {
		return nil, refusal
	}
	if _, ok := fields["name"]; ok {
		return nil, refused(violation("user_list.name", "INVALID_RESOURCE_NAME", "The name of a new list is not the caller's to choose."))
	}
	if refusal := n.judgeList(c, fields, ""); refusal != nil {
		return nil, refusal
	}
	l := &list{account: c.account, fields: fields, created: c.at, roster: newRoster()}
	if len(l.kinds()) != 1 {
		return nil, refused(violation("user_list.ingested_user_list_info.upload_key_types", "UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES", "A list cannot have these key types."))
	}
	if c.request.URL.Query().Get("validateOnly") == "true" {
		return map[string]any{}, nil
	}
	for name, fallback := range map[string]string{"membershipStatus": "OPEN", "membershipDuration": seconds(longestMembership)} {
		if _, ok := fields[name]; !ok {
			fields[name] = fallback
		}
	}
	n.lastList += 1 + int64(n.rand.IntN(1000))
	l.id = strconv.FormatInt(n.lastList, 10)
	n.lists[l.id] = l
	return l.show(n.opts.SmallestShown), nil
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) + "s" }

// judgeList checks what Google's definitions do not say.
func (n *Network) judgeList(c *call, fields map[string]any, id string) *apiError {
	name, _ := fields["displayName"].(string)
	if strings.TrimSpace(name) == "" {
		return refused(violation("user_list.display_name", "INVALID_DISPLAY_NAME", "The display name is not valid."))
	}
	for _, other := range n.lists {
		if other.account == c.account && other.id != id && other.text("displayName") == name {
			return refused(violation("user_list.display_name", "DISPLAY_NAME_ALREADY_USED", "Another list of the account has this name."))
		}
	}
	if info, ok := fields["ingestedUserListInfo"]; ok {
		for key, needs := range map[string]string{"contactIdInfo": "CONTACT_ID", "mobileIdInfo": "MOBILE_ID", "userIdInfo": "USER_ID"} {
			l := list{fields: map[string]any{"ingestedUserListInfo": info}}
			if m, _ := info.(map[string]any); m[key] != nil && !slices.Contains(l.kinds(), needs) {
				return refused(violation("user_list.ingested_user_list_info", "UNSUPPORTED_INGESTED_USER_LIST_INFO_CONFIG", "What is said of the data does not fit the key types."))
			}
		}
	} else if id == "" {
		return refused(violation("user_list.ingested_user_list_info", "REQUIRED_FIELD_MISSING", "The field is needed."))
	}
	text, ok := fields["membershipDuration"].(string)
	if !ok {
		return nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil || d <= 0 || d%(24*time.Hour) != 0:
		return refused(violation("user_list.membership_duration", "INVALID_ARGUMENT", "The duration must be whole days."))
	case d > longestMembership:
		return refused(violation("user_list.membership_duration", "MEMBERSHIP_DURATION_TOO_LONG", "The duration is longer than members are kept."))
	}
	return nil
}

// found returns the list in the call's path.
func (n *Network) found(c *call) (*list, *apiError) {
	l := n.lists[c.list]
	if l == nil || l.account != c.account {
		return nil, notFound()
	}
	return l, nil
}

func (n *Network) readList(c *call) (any, *apiError) {
	if err := only(c); err != nil {
		return nil, err
	}
	l, err := n.found(c)
	if err != nil {
		return nil, err
	}
	return l.show(n.opts.SmallestShown), nil
}

func (n *Network) deleteList(c *call) (any, *apiError) {
	if err := only(c, "validateOnly"); err != nil {
		return nil, err
	}
	l, err := n.found(c)
	if err != nil {
		return nil, err
	}
	if c.request.URL.Query().Get("validateOnly") != "true" {
		delete(n.lists, l.id)
	}
	return map[string]any{}, nil
}

// updateList changes the fields that updateMask names.
func (n *Network) updateList(c *call) (any, *apiError) {
	if err := only(c, "validateOnly", "updateMask"); err != nil {
		return nil, err
	}
	l, refusal := n.found(c)
	if refusal != nil {
		return nil, refusal
	}
	canonical, _, err := Judge("UserList", c.body)
	if err != nil {
		return nil, unreadable(err)
	}
	var given map[string]any
	if err := json.Unmarshal(canonical, &given); err != nil {
		return nil, unreadable(err)
	}
	next := maps.Clone(l.fields)
	for _, name := range strings.Split(c.request.URL.Query().Get("updateMask"), ",") {
		switch name {
		case "displayName", "description", "membershipStatus", "membershipDuration", "integrationCode":
		case "ingestedUserListInfo", "ingestedUserListInfo.uploadKeyTypes":
			return nil, refused(violation("user_list.ingested_user_list_info.upload_key_types", "IMMUTABLE_FIELD_FOR_UPDATE", "The field never changes."))
		default:
			return nil, refused(violation("update_mask", "INVALID_UPDATE_MASK", "The mask names what cannot be changed."))
		}
		delete(next, name)
		if v, ok := given[name]; ok {
			next[name] = v
		}
	}
	if refusal := n.judgeList(c, next, l.id); refusal != nil {
		return nil, refusal
	}
	if c.request.URL.Query().Get("validateOnly") != "true" {
		l.fields = next
	}
	return l.show(n.opts.SmallestShown), nil
}

// listLists shows a page of the account's lists, oldest first.
func (n *Network) listLists(c *call) (any, *apiError) {
	if err := only(c, "filter", "pageSize", "pageToken"); err != nil {
		return nil, err
	}
	q := c.request.URL.Query()
	keep, refusal := parseFilter(q.Get("filter"))
	if refusal != nil {
		return nil, refusal
	}
	size := 50
	if text := q.Get("pageSize"); text != "" {
		v, err := strconv.Atoi(text)
		if err != nil || v < 0 {
			return nil, refused(violation("page_size", "INVALID_NUMBER_FORMAT", "The size must be a number."))
		}
		if v > 0 {
			size = min(v, 1000)
		}
	}
	first, refusal := pageStart(q)
	if refusal != nil {
		return nil, refusal
	}
	var all []*list
	for _, l := range n.lists {
		if l.account == c.account && keep(l) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b *list) int { return strings.Compare(a.id, b.id) })
	out := map[string]any{}
	page := all[min(first, len(all)):min(first+size, len(all))]
	shown := make([]any, len(page))
	for i, l := range page {
		shown[i] = l.show(n.opts.SmallestShown)
	}
	if len(shown) > 0 {
		out["userLists"] = shown
	}
	if first+size < len(all) {
		out["nextPageToken"] = pageToken(q, first+size)
	}
	return out, nil
}

// A page token names where to go on and all that was asked with it.
func pageToken(q url.Values, next int) string {
	return base64.URLEncoding.EncodeToString(fmt.Appendf(nil, "%d|%s|%s", next, q.Get("pageSize"), q.Get("filter")))
}

func pageStart(q url.Values) (int, *apiError) {
	token := q.Get("pageToken")
	if token == "" {
		return 0, nil
	}
	raw, err := base64.URLEncoding.DecodeString(token)
	next, _, _ := strings.Cut(string(raw), "|")
	first, numberErr := strconv.Atoi(next)
	if err != nil || numberErr != nil || pageToken(q, first) != token {
		return 0, refused(violation("page_token", "INVALID_PAGE_TOKEN", "The page token is none of this query."))
	}
	return first, nil
}

var (
	condition   = regexp.MustCompile(`^\s*([a-zA-Z_]+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*$`)
	filterNames = map[string]string{
		"display_name": "displayName", "displayName": "displayName", "integration_code": "integrationCode", "integrationCode": "integrationCode",
		"description": "description",
	}
)

// parseFilter reads conditions with = that are joined by AND: what there is of
// AIP-160 here.
func parseFilter(text string) (func(*list) bool, *apiError) {
	if strings.TrimSpace(text) == "" {
		return func(*list) bool { return true }, nil
	}
	want := map[string]string{}
	for _, part := range strings.Split(text, " AND ") {
		m := condition.FindStringSubmatch(part)
		if m == nil || filterNames[m[1]] == "" {
			return nil, refused(violation("filter", "INVALID_FILTER", "The filter cannot be read."))
		}
		want[filterNames[m[1]]] = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[2])
	}
	return func(l *list) bool {
		for name, value := range want {
			if l.text(name) != value {
				return false
			}
		}
		return true
	}, nil
}
