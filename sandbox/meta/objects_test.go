package meta_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"usher/sandbox/meta"
)

func TestCreateRefusesEachCorruption(t *testing.T) {
	tests := map[string]object{
		"no name":            with(settings(), "name", nil),
		"no subtype":         with(settings(), "subtype", nil),
		"other subtype":      with(settings(), "subtype", "LOOKALIKE"),
		"no source":          with(settings(), "customer_file_source", nil),
		"unknown source":     with(settings(), "customer_file_source", "FOUND_ON_THE_STREET"),
		"value based maybe":  with(settings(), "is_value_based", "maybe"),
		"retention negative": with(settings(), "retention_days", -1),
		"retention zero":     with(settings(), "retention_days", 0),
		"retention too long": with(settings(), "retention_days", 181),
		"retention a word":   with(settings(), "retention_days", "long"),
		"opt-out no address": with(settings(), "opt_out_link", "example.com"),
		"data set a word":    with(settings(), "dataset_id", "ds"),
		"another data set":   with(settings(), "dataset_id", "5"),
		"labels a word":      with(settings(), "audience_labels", "HIGH_VALUE_CUSTOMERS"),
		"labels of numbers":  with(settings(), "audience_labels", []int{1}),
		"label in prose":     with(settings(), "audience_labels", []string{"high value"}),
		"fetch or what":      with(settings(), "enable_fetch_or_create", "x"),
	}
	p := newPeer(t, meta.Options{})
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			if r := p.call("POST", "/v26.0/act_7/customaudiences", in); r.status != 400 || r.fault() != "100" {
				t.Errorf("%d %s", r.status, r.text)
			}
		})
	}
	if got := p.net.Audiences(); len(got) != 0 {
		t.Errorf("made %v", got)
	}
}

func TestAudienceLifecycle(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(with(settings(), "description", "marker 17"))
	if twin := p.audience(settings()); twin == id {
		t.Error("two audiences of one name are one")
	}
	if r := p.call("POST", "/v26.0/act_7/customaudiences", with(settings(), "enable_fetch_or_create", true)); r.body["id"] != id {
		t.Errorf("fetch or create: %s, want the first, %s", r.text, id)
	}
	r := p.call("GET", "/v26.0/"+id+"?fields=id,name,subtype,description,operation_status,delivery_status,approximate_count_lower_bound,approximate_count_upper_bound,time_content_updated", nil)
	status, _ := r.body["operation_status"].(object)
	if r.body["name"] != "VIPs" || r.body["description"] != "marker 17" || status["code"] != 200.0 || len(r.body) != 9 {
		t.Errorf("read: %s", r.text)
	}
	if r := p.call("GET", "/v26.0/"+id, nil); len(r.body) != 1 || r.body["id"] != id {
		t.Errorf("read without fields: %s", r.text)
	}
	if r := p.call("GET", "/v26.0/"+id+"?fields=shoe_size", nil); r.fault() != "100" {
		t.Errorf("unknown field: %s", r.text)
	}
	if r := p.call("POST", "/v26.0/"+id, object{"name": "New"}); r.body["success"] != true {
		t.Errorf("update: %s", r.text)
	}
	if r := p.call("POST", "/v26.0/"+id, object{"is_value_based": true}); r.fault() != "100" {
		t.Errorf("update of the kind: %s", r.text)
	}
	if r := p.call("GET", "/v26.0/"+id+"?fields=name,description", nil); r.body["name"] != "New" || r.body["description"] != "marker 17" {
		t.Errorf("after the update: %s", r.text)
	}
	if r := p.call("DELETE", "/v26.0/"+id, nil); r.body["success"] != true {
		t.Errorf("delete: %s", r.text)
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		if r := p.call(method, "/v26.0/"+id, nil); r.status != 400 || r.fault() != "100/33" {
			t.Errorf("%s after delete: %d %s", method, r.status, r.text)
		}
	}
	if r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"1"})); r.fault() != "100/33" {
		t.Errorf("add after delete: %s", r.text)
	}
}

func TestAudienceTakesEverySetting(t *testing.T) {
	p := newPeer(t, meta.Options{})
	all := settings()
	extra := object{
		"description": "d", "is_value_based": true, "retention_days": 180, "opt_out_link": "https://example.com/o", "dataset_id": meta.DefaultDataset,
		"audience_labels": []string{"HIGH_VALUE_CUSTOMERS"},
	}
	for name, v := range extra {
		all[name] = v
	}
	id := p.audience(all)
	r := p.call("GET", "/v26.0/"+id+"?fields=is_value_based,retention_days,opt_out_link,dataset_id,audience_labels", nil)
	if r.body["is_value_based"] != true || r.body["retention_days"] != 180.0 || r.body["opt_out_link"] != "https://example.com/o" || r.body["dataset_id"] != meta.DefaultDataset || fmt.Sprint(r.body["audience_labels"]) != "[HIGH_VALUE_CUSTOMERS]" {
		t.Errorf("%s", r.text)
	}
	a, _ := p.net.Audience(id)
	if a.RetentionDays != 180 || a.Dataset != meta.DefaultDataset || len(a.Labels) != 1 || a.OptOutLink == "" || !a.ValueBased {
		t.Errorf("%+v", a)
	}
	form := with(settings(), "audience_labels", `["HIGH_VALUE_CUSTOMERS"]`) // as the guide's example sends it
	p.audience(form)
}

func TestListPages(t *testing.T) {
	p := newPeer(t, meta.Options{})
	var want []string
	for i := range 7 {
		want = append(want, p.audience(with(settings(), "name", fmt.Sprint("a", i%3))))
	}
	p.call("POST", "/v26.0/act_8/customaudiences", settings())
	var got []string
	after, pages := "", 0
	for {
		pages++
		r := p.call("GET", "/v26.0/act_7/customaudiences?fields=id,name&limit=3&after="+after, nil)
		for _, item := range r.body["data"].([]any) {
			got = append(got, item.(object)["id"].(string))
		}
		paging := r.body["paging"].(object)
		after = paging["cursors"].(object)["after"].(string)
		if paging["next"] == nil {
			break
		}
	}
	if pages != 3 || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%d pages: got %v, want %v", pages, got, want)
	}
	r := p.call("GET", "/v26.0/act_7/customaudiences?limit=3", nil)
	next := r.body["paging"].(object)["next"].(string)
	if r := p.call("GET", strings.TrimPrefix(next, p.base), nil); r.status != 200 || r.body["data"].([]any)[0].(object)["id"] != want[3] {
		t.Errorf("next page %s: %s", next, r.text)
	}
	if r := p.call("GET", "/v26.0/act_9/customaudiences", nil); len(r.body["data"].([]any)) != 0 || r.body["paging"] != nil {
		t.Errorf("empty account: %s", r.text)
	}
	for _, query := range []string{"limit=0", "limit=x", "after=nonsense", "fields=shoe_size"} {
		if r := p.call("GET", "/v26.0/act_7/customaudiences?"+query, nil); r.fault() != "100" {
			t.Errorf("%s: %s", query, r.text)
		}
	}
}

func TestListFilters(t *testing.T) {
	p := newPeer(t, meta.Options{})
	first := p.audience(with(settings(), "name", "VIPs [usher:1]"))
	p.audience(with(settings(), "name", "VIPs [usher:12]"))
	tests := map[string]int{
		`[{"field":"name","operator":"CONTAIN","value":"[usher:1]"}]`:     1,
		`[{"field":"name","operator":"CONTAIN","value":"VIPs"}]`:          2,
		`[{"field":"name","operator":"EQUAL","value":"VIPs [usher:12]"}]`: 1,
		`[{"field":"name","operator":"EQUAL","value":"VIPs"}]`:            0,
		`[{"field":"id","operator":"EQUAL","value":"` + first + `"}]`:     1,
	}
	for filter, want := range tests {
		r := p.call("GET", "/v26.0/act_7/customaudiences?filtering="+url.QueryEscape(filter), nil)
		if got := len(r.body["data"].([]any)); got != want {
			t.Errorf("%s: %d audiences, want %d", filter, got, want)
		}
	}
	for _, filter := range []string{`x`, `[{"field":"shoe","operator":"EQUAL","value":""}]`, `[{"field":"name","operator":"LIKE","value":""}]`} {
		if r := p.call("GET", "/v26.0/act_7/customaudiences?filtering="+url.QueryEscape(filter), nil); r.fault() != "100" {
			t.Errorf("%s: %s", filter, r.text)
		}
	}
}

func TestAccountsAndPaths(t *testing.T) {
	p := newPeer(t, meta.Options{Accounts: []string{"7", "8"}})
	p.net.SetToken(meta.Token{Value: "narrow", Accounts: []string{"8"}})
	id := p.audience(settings())
	tests := []struct {
		token, method, path string
		status              int
		fault               string
	}{
		{"", "GET", "/v26.0/me", 200, ""},
		{"", "GET", "/me?fields=id,name", 200, ""},
		{"", "GET", "/v26.0/me?fields=salary", 400, "100"},
		{"", "GET", "/v26.0/act_7?fields=name,account_status,currency", 200, ""},
		{"", "GET", "/v26.0/act_9", 400, "100/33"},
		{"", "GET", "/v26.0/act_9/customaudiences", 400, "100/33"},
		{"narrow", "GET", "/v26.0/act_7", 400, "100/33"},
		{"narrow", "GET", "/v26.0/act_8", 200, ""},
		{"narrow", "GET", "/v26.0/" + id, 400, "100/33"},
		{"", "GET", "/v26.0/12345", 400, "100/33"},
		{"", "PUT", "/v26.0/" + id, 400, "100/33"},
		{"", "GET", "/v26.0/" + id + "/users", 400, "100/33"},
		{"", "GET", "/v26.0/" + id + "/users/more", 400, "2500"},
		{"", "GET", "/v27.0/me", 400, "2500"},
		{"", "GET", "/v26.0/nonsense", 400, "2500"},
		{"", "GET", "/", 400, "2500"},
	}
	for _, tt := range tests {
		t.Run(tt.token+" "+tt.method+" "+tt.path, func(t *testing.T) {
			caller := *p
			if tt.token != "" {
				caller.token = tt.token
			}
			if r := caller.call(tt.method, tt.path, nil); r.status != tt.status || r.fault() != tt.fault {
				t.Errorf("%d %s", r.status, r.text)
			}
		})
	}
}

func TestVersionIsTold(t *testing.T) {
	p := newPeer(t, meta.Options{})
	for path, want := range map[string]string{"/v26.0/me": "v26.0", "/v22.0/me": "v22.0", "/v3.0/me": "v21.0", "/me": "v26.0"} {
		if got := p.call("GET", path, nil).header.Get("Facebook-Api-Version"); got != want {
			t.Errorf("%s served by %s, want %s", path, got, want)
		}
	}
}

func TestTermsComeFirst(t *testing.T) {
	p := newPeer(t, meta.Options{TermsPending: []string{"7"}})
	if r := p.call("POST", "/v26.0/act_7/customaudiences", settings()); r.status != 403 || r.fault() != "200/1870034" {
		t.Errorf("before: %d %s", r.status, r.text)
	}
	if r := p.call("POST", "/v26.0/act_7/customaudiencestos", object{}); r.fault() != "100" {
		t.Errorf("without tos_id: %s", r.text)
	}
	if r := p.call("POST", "/v26.0/act_7/customaudiencestos", object{"tos_id": "1"}); r.status != 200 {
		t.Errorf("accept: %s", r.text)
	}
	p.audience(settings())
}

func TestFlaggedAudienceTakesNobody(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	if !p.net.SetFlagged(id, true) || p.net.SetFlagged("1", true) {
		t.Fatal("SetFlagged reports wrongly whether the audience exists")
	}
	for _, method := range []string{"POST", "DELETE"} {
		r := p.call(method, "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"1"}))
		if r.status != 400 || r.fault() != "100/1713230" {
			t.Errorf("%s: %d %s", method, r.status, r.text)
		}
	}
	r := p.call("GET", "/v26.0/"+id+"?fields=operation_status", nil)
	if code := r.body["operation_status"].(object)["code"]; code != 471.0 {
		t.Errorf("status %v", code)
	}
	p.net.SetFlagged(id, false)
	p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"1"}))
	if got := p.members(id); got != "1" {
		t.Errorf("members after the flag went: %q", got)
	}
}
