package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const accountAnswer = `{"id":"act_1234567890","name":"Shoes","currency":"EUR","timezone_name":"Europe/Berlin"}`

// openPublisher starts the scripted network and a publisher that knows its account.
func openPublisher(t *testing.T, answers ...answer) (*publisher, *network) {
	t.Helper()
	n := &network{t: t, answers: append([]answer{{body: accountAnswer}}, answers...)}
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	p, err := newPublisher(deps(t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.m.http.CloseIdleConnections)
	if _, err := p.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.calls = nil
	return p, n
}

// spelled is what was sent, with forms and batches in a form to be read.
func spelled(calls []string) string {
	var out strings.Builder
	for _, call := range calls {
		head, body, _ := strings.Cut(call, "\n\n")
		fmt.Fprintln(&out, strings.TrimSpace(head))
		form, err := url.ParseQuery(strings.TrimSpace(body))
		if err != nil || body == "" {
			fmt.Fprintln(&out)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(form)) {
			var parts []operation
			if name != "batch" || json.Unmarshal([]byte(form.Get(name)), &parts) != nil {
				fmt.Fprintf(&out, "= %s = %s\n", name, form.Get(name))
				continue
			}
			for _, part := range parts {
				fmt.Fprintf(&out, "- %s %s\n", part.Method, part.URL)
				inner, _ := url.ParseQuery(part.Body)
				for _, k := range slices.Sorted(maps.Keys(inner)) {
					fmt.Fprintf(&out, "  = %s = %s\n", k, inner.Get(k))
				}
			}
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

func ref(kind activation.ObjectKind, id string) activation.ObjectRef {
	return activation.ObjectRef{Kind: kind, ID: id}
}

// edited makes an edit of a campaign.
func edited(id string, set map[string]string, clear ...string) provider.Edit {
	return provider.Edit{Operation: activation.OpEdit, Object: ref(activation.KindCampaign, id), Type: typeCampaign, Set: set, Clear: clear}
}

// editedSet makes an edit of an ad set of campaign 10.
func editedSet(id string, set map[string]string, clear ...string) provider.Edit {
	return provider.Edit{Operation: activation.OpEdit, Object: ref(activation.KindGroup, id), Type: typeSet, Parent: ref(activation.KindCampaign, "10"), Set: set, Clear: clear}
}

// created makes a create.
func created(n activation.EntryID, typ string, parent activation.ObjectRef, set map[string]string) provider.Edit {
	l, _ := levelOf(typ)
	return provider.Edit{Entry: n, Operation: activation.OpCreate, Object: ref(l.kind, activation.NewObjectID(n)), Type: typ, Parent: parent, Set: set}
}

// reply1 is a part of the answer to a batch.
func reply1(code int, body string) string {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"code":%d,"headers":[{"name":"X-FB-Trace-ID","value":"Apart"}],"body":%s}`, code, text)
}

func replies(parts ...string) answer { return answer{body: "[" + strings.Join(parts, ",") + "]"} }

const good = `{"success":true}`

func TestCampaignRequests(t *testing.T) {
	ctx := context.Background()
	posted := func(edits ...provider.Edit) func(p *publisher) error {
		return func(p *publisher) error {
			if n := p.Together(edits); n != len(edits) {
				return fmt.Errorf("%d of %d travel together", n, len(edits))
			}
			out, err := p.Post(ctx, edits)
			for i, o := range out {
				if o.State != provider.EditDone {
					return fmt.Errorf("edit %d: %+v", i, o)
				}
			}
			return err
		}
	}
	for _, tc := range []struct {
		name    string
		answers []answer
		do      func(p *publisher) error
	}{
		{"campaign_edit", []answer{{body: good}}, posted(edited("10", map[string]string{
			"name": "Frühling & Co", "status": "paused", "budget": "12.5", "bid_strategy": "COST_CAP", "stop_time": "2026-12-24 18:00", "special_ad_categories": "HOUSING, CREDIT",
		}, "spend_cap"))},
		{"campaign_batch", []answer{replies(reply1(200, good), reply1(200, good), reply1(200, `{"id":"12"}`))}, posted(
			edited("10", map[string]string{"status": "enabled"}),
			provider.Edit{Operation: activation.OpDelete, Object: ref(activation.KindCampaign, "11"), Type: typeCampaign},
			created(7, typeCampaign, activation.ObjectRef{}, map[string]string{"name": "New", "objective": "OUTCOME_SALES"}),
		)},
		{"campaign_create_set", []answer{{body: `{"id":"20"}`}}, posted(created(8, typeSet, ref(activation.KindCampaign, "10"), map[string]string{
			"name": "Set", "status": "enabled", "lifetime_budget": "300", "end_time": "2026-07-01 20:00", "bid": "0.333", "optimization_goal": "LINK_CLICKS",
			"billing_event": "IMPRESSIONS", "countries": "DE,AT", "audiences": "77,78", "promoted_object": `{"pixel_id":"5"}`,
		}))},
		{"campaign_create_ad", []answer{{body: `{"id":"30"}`}}, posted(created(9, typeAd, ref(activation.KindGroup, "20"), map[string]string{"name": "Ad", "creative": "40"}))},
		{"campaign_create_creative", []answer{{body: `{"id":"40"}`}}, posted(created(9, typeCreative, activation.ObjectRef{}, map[string]string{
			"name": "Creative", "page": "5", "link": "https://example.com/?a=1&b=2", "message": "Hi", "headline": "Head", "description": "Small", "image": "abc", "call_to_action": "SHOP_NOW",
		}))},
		{"campaign_targeting", []answer{
			replies(reply1(200, `{"id":"20","targeting":{"age_min":18,"custom_audiences":[{"id":"77","name":"Old"},{"id":"78"}],"geo_locations":{"countries":["DE"],"cities":[{"key":"1"}]},"excluded_custom_audiences":[{"id":"9"}]}}`)),
			{body: good},
		}, posted(editedSet("20", map[string]string{"audiences": "79,77", "countries": "AT"}, "excluded_audiences"))},
		{"campaign_repoint", []answer{{body: good}}, posted(provider.Edit{
			Operation: activation.OpEdit, Object: ref(activation.KindCreative, "30"), Type: typeAd, Parent: ref(activation.KindGroup, "20"), Set: map[string]string{"creative": "41", "bid": "1"},
		})},
		{"campaign_no_category", []answer{{body: good}}, posted(edited("10", map[string]string{"special_ad_categories": "NONE"}))},
		{"campaign_open_end", []answer{{body: good}}, posted(editedSet("20", map[string]string{}, "end_time"))},
		{"campaign_read", []answer{replies(reply1(200, `{"id":"10","name":"A"}`), reply1(400, `{"error":{"code":100,"error_subcode":33}}`), reply1(200, `{"id":"30","status":"DELETED"}`), reply1(200, `{"id":"40"}`)), {body: accountAnswer}}, func(p *publisher) error {
			got, err := p.Read(ctx, []activation.ObjectRef{ref(activation.KindCampaign, "10"), ref(activation.KindGroup, "20"), ref(activation.KindCreative, "30"), ref(activation.KindOther, "40"), ref(activation.KindKeyword, "50"), ref(activation.KindCampaign, "new-3")})
			if len(got) != 2 || got[0].ID != "10" || got[1].ID != "40" {
				return fmt.Errorf("%v %w", got, err)
			}
			return err
		}},
		{"campaign_find", []answer{
			{body: `{"data":[{"id":"20","name":"Set","created_time":"2026-11-01T00:00:00+0000"}],"paging":{"cursors":{"after":"A"},"next":"n"}}`},
			{body: `{"data":[{"id":"21","name":"Set","created_time":"2026-11-02T00:00:00+0000"},{"id":"22","name":"Set","created_time":"2026-11-03T00:00:00+0000","status":"ARCHIVED"}]}`},
		}, func(p *publisher) error {
			e := created(8, typeSet, ref(activation.KindCampaign, "10"), map[string]string{"name": "Set"})
			old := e
			old.Known = []string{"21", "20"}
			got, err := p.Find(ctx, []provider.Edit{e, old, created(9, typeSet, ref(activation.KindCampaign, "new-7"), e.Set)})
			if err == nil && !slices.Equal(got, []string{"21", "", ""}) {
				err = fmt.Errorf("found %q", got)
			}
			return err
		}},
		{"campaign_structure", []answer{{body: `{"data":[]}`}, {body: `{"data":[]}`}, {body: `{"data":[]}`}, {body: `{"data":[]}`}}, func(p *publisher) error {
			return p.Structure(ctx, func(provider.ObjectState) error { return nil })
		}},
		{"campaign_costs", []answer{{body: `{"data":[]}`}, {body: `{"data":[]}`}, {body: `{"data":[]}`}}, func(p *publisher) error {
			return p.Costs(ctx, "2026-11-01", "2026-11-20", func(activation.Cost) error { return nil })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, n := openPublisher(t, tc.answers...)
			if err := tc.do(p); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name, spelled(n.calls))
			if len(n.answers) > 0 {
				t.Errorf("%d answers were not asked for", len(n.answers))
			}
		})
	}
}

// TestCampaignErrors posts two edits of which one is answered with an error, and then
// that one alone.
func TestCampaignErrors(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	budget := editedSet("20", map[string]string{"budget": "3"})
	rename := edited("11", map[string]string{"name": "A"})
	for _, tc := range []struct {
		name   string
		edit   provider.Edit
		status int
		body   string
		state  provider.EditState
		code   string
		// alone is the kind of error of the whole call when the edit is posted alone, ""
		// where it has an outcome.
		alone activation.Kind
		text  string
		field string
		until time.Duration
	}{
		{"done", rename, 200, good, provider.EditDone, "", "", "", "", 0},
		{"no success", rename, 200, `{"success":false}`, provider.EditUnknown, "META-ANSWER", activation.Unavailable, "", "", 0},
		{"no object", rename, 200, `[]`, provider.EditUnknown, "META-ANSWER", activation.Unavailable, "", "", 0},
		{"empty", rename, 200, ``, provider.EditUnknown, "META-ANSWER", activation.Unavailable, "", "", 0},
		{"page", rename, 502, `<html>`, provider.EditUnknown, "META-UNAVAILABLE", activation.Unavailable, "", "", 0},
		{"page with 200", rename, 200, `<html>`, provider.EditUnknown, "META-ANSWER", activation.Unavailable, "", "", 0},
		{"unknown error", rename, 400, `{"error":{"code":1}}`, provider.EditUnknown, "META-UNAVAILABLE", activation.Unavailable, "", "", 0},
		{"transient", rename, 400, `{"error":{"code":100,"is_transient":true}}`, provider.EditUnknown, "META-UNAVAILABLE", activation.Unavailable, "", "", 0},
		{"parameter", rename, 400, `{"error":{"code":100,"error_subcode":1885272,"message":"no","error_user_title":"Too low","error_user_msg":"Below.","error_data":{"blame_field_specs":[["daily_budget"]]}}}`, provider.EditRefused, "META-EDIT", "", "Too low: Below.", "budget", 0},
		{"parameter, quoted data", rename, 200, `{"error":{"code":100,"message":"no\nmore","error_data":"{\"blame_field\":\"name\"}"}}`, provider.EditRefused, "META-EDIT", "", "no more", "name", 0},
		{"says the token", rename, 400, `{"error":{"code":100,"message":"token ` + testToken + ` and ` + testSecret + `"}}`, provider.EditRefused, "META-EDIT", "", "token … and …", "", 0},
		{"audience gone", budget, 400, `{"error":{"code":100,"error_subcode":1487366,"message":"a"}}`, provider.EditRefused, "META-SHARE", "", "a", "", 0},
		{"unknown code", rename, 400, `{"error":{"code":987654,"message":"a"}}`, provider.EditRefused, "META-REQUEST", "", "a", "", 0},
		{"token", rename, 400, `{"error":{"code":190,"error_subcode":463}}`, provider.EditLater, "META-AUTH", activation.Unauthorized, "", "", 0},
		{"permission", rename, 403, `{"error":{"code":200}}`, provider.EditLater, "META-PERMISSION", activation.Invalid, "", "", 0},
		{"throttle", rename, 400, `{"error":{"code":80004}}`, provider.EditLater, "META-THROTTLE", activation.WaitUntil, "", "", 5 * time.Minute},
		{"throttle inside 200", rename, 200, `{"error":{"code":613,"error_subcode":1487742}}`, provider.EditLater, "META-THROTTLE", activation.WaitUntil, "", "", 5 * time.Minute},
		{"account limit", rename, 400, `{"error":{"code":17,"error_subcode":2446079}}`, provider.EditLater, "META-THROTTLE", activation.WaitUntil, "", "", 5 * time.Minute},
		{"policy", rename, 400, `{"error":{"code":368}}`, provider.EditLater, "META-BLOCKED", activation.WaitUntil, "", "", time.Hour},
		{"budget changed too often", budget, 400, `{"error":{"code":17,"error_subcode":2446079}}`, provider.EditLater, "META-THROTTLE", "", "", "", time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers := []answer{replies(reply1(200, good), reply1(tc.status, tc.body)), {status: tc.status, body: tc.body}}
			if tc.code == "META-PERMISSION" { // and neither is the dry run
				answers = []answer{answers[0], answers[1], answers[1], answers[1]}
			}
			p, _ := openPublisher(t, answers...)
			p.m.now = func() time.Time { return now }
			first := edited("12", map[string]string{"name": "B"})
			out, err := p.Post(context.Background(), []provider.Edit{first, tc.edit})
			if err != nil {
				t.Fatal(err)
			}
			check := func(o provider.EditOutcome) {
				t.Helper()
				if o.State != tc.state || o.Code != tc.code || tc.text != "" && o.Text != tc.text || o.Field != tc.field {
					t.Errorf("got %+v", o)
				}
				if want := now.Add(tc.until); tc.until > 0 && !o.Until.Equal(want) || tc.until == 0 && !o.Until.IsZero() {
					t.Errorf("until %v, want %v", o.Until, want)
				}
				if tc.state == provider.EditRefused && o.Text == "" {
					t.Error("it is refused without a text")
				}
			}
			if out[0].State != provider.EditDone || out[0].RequestID != "Apart" {
				t.Errorf("its neighbour: %+v", out[0])
			}
			check(out[1])
			out, err = p.Post(context.Background(), []provider.Edit{tc.edit})
			if tc.alone == "" {
				if err != nil {
					t.Fatal(err)
				}
				check(out[0])
				return
			}
			wantError(t, err, tc.alone, tc.code)
			if got, want := err.(*activation.Error).MayHaveApplied, tc.state == provider.EditUnknown; got != want {
				t.Errorf("may have applied: %v, want %v", got, want)
			}
		})
	}
}

// TestCampaignBatchAnswers has a batch answered in ways that say nothing of its
// parts, or only of some.
func TestCampaignBatchAnswers(t *testing.T) {
	edits := []provider.Edit{edited("10", map[string]string{"name": "A"}), edited("11", map[string]string{"name": "B"})}
	for _, tc := range []struct {
		name    string
		answer  answer
		kind    activation.Kind
		code    string
		applied bool
		states  []provider.EditState
	}{
		{"a part is missing", replies("null", reply1(200, good)), "", "", false, []provider.EditState{provider.EditUnknown, provider.EditDone}},
		{"a part is no part", replies(reply1(200, good), `"x"`), "", "", false, []provider.EditState{provider.EditDone, provider.EditUnknown}},
		{"all are missing", replies("null", "null"), "", "", false, []provider.EditState{provider.EditUnknown, provider.EditUnknown}},
		{"too few parts", replies(reply1(200, good)), activation.Unavailable, "META-ANSWER", true, nil},
		{"an object", answer{body: `{"success":true}`}, activation.Unavailable, "META-ANSWER", true, nil},
		{"a page", answer{status: 500, body: `<html>`}, activation.Unavailable, "META-UNAVAILABLE", true, nil},
		{"a list with a bad status", answer{status: 500, body: "[" + reply1(200, good) + "," + reply1(200, good) + "]"}, activation.Unavailable, "META-UNAVAILABLE", true, nil},
		{"refused", answer{status: 400, body: `{"error":{"code":100}}`}, activation.RefusedWhole, "META-EDIT", false, nil},
		{"refused by an unknown code", answer{status: 400, body: `{"error":{"code":987654}}`}, activation.RefusedWhole, "META-EDIT", false, nil},
		{"token", answer{status: 400, body: `{"error":{"code":190}}`}, activation.Unauthorized, "META-AUTH", false, nil},
		{"all parts: token", replies(reply1(400, `{"error":{"code":190}}`), reply1(400, `{"error":{"code":190}}`)), activation.Unauthorized, "META-AUTH", false, nil},
		{"all parts: throttle", replies(reply1(400, `{"error":{"code":4}}`), reply1(400, `{"error":{"code":17}}`)), activation.WaitUntil, "META-THROTTLE", false, nil},
		{"one token, one refused", replies(reply1(400, `{"error":{"code":190}}`), reply1(400, `{"error":{"code":100}}`)), "", "", false, []provider.EditState{provider.EditLater, provider.EditRefused}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _ := openPublisher(t, tc.answer)
			out, err := p.Post(context.Background(), edits)
			if tc.states == nil {
				wantError(t, err, tc.kind, tc.code)
				if got := err.(*activation.Error).MayHaveApplied; got != tc.applied || out != nil {
					t.Errorf("may have applied: %v, outcomes %v", got, out)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range out {
				if o.State != tc.states[i] {
					t.Errorf("edit %d is %+v, want %s", i, o, tc.states[i])
				}
			}
		})
	}
}

// TestCampaignObjectMissing tells an object that is gone from an account that is.
func TestCampaignObjectMissing(t *testing.T) {
	const missing = `{"error":{"code":100,"error_subcode":33}}`
	edit := edited("10", map[string]string{"name": "A"})
	p, _ := openPublisher(t, answer{status: 400, body: missing}, answer{body: accountAnswer})
	out, err := p.Post(context.Background(), []provider.Edit{edit})
	if err != nil || out[0].State != provider.EditRefused || out[0].Code != "META-OBJECT" {
		t.Errorf("object: %+v %v", out, err)
	}
	p, _ = openPublisher(t, answer{status: 400, body: missing}, answer{status: 400, body: missing})
	_, err = p.Post(context.Background(), []provider.Edit{edit})
	wantError(t, err, activation.Invalid, "META-ACCOUNT")
	p, _ = openPublisher(t, replies(reply1(400, missing)), answer{status: 400, body: missing})
	_, err = p.Read(context.Background(), []activation.ObjectRef{edit.Object})
	wantError(t, err, activation.Invalid, "META-ACCOUNT")
	for want, seen := range map[provider.EditState]answer{
		provider.EditDone:    replies(reply1(400, missing)),
		provider.EditRefused: replies(reply1(200, `{"id":"10","name":"A","status":"PAUSED"}`)),
	} {
		p, _ = openPublisher(t, answer{status: 400, body: missing}, answer{body: accountAnswer}, seen, answer{body: accountAnswer})
		out, err = p.Post(context.Background(), []provider.Edit{{Operation: activation.OpDelete, Object: edit.Object, Type: typeCampaign}})
		if err != nil || out[0].State != want {
			t.Errorf("a delete, want %s: %+v %v", want, out, err)
		}
	}
}

// TestCampaignReadIsWholeOrAnError: what is not read must not pass for what is gone.
func TestCampaignReadIsWholeOrAnError(t *testing.T) {
	refs := []activation.ObjectRef{ref(activation.KindCampaign, "10"), ref(activation.KindCampaign, "11")}
	for name, tc := range map[string]struct {
		answer answer
		kind   activation.Kind
	}{
		"a part is missing":    {replies(reply1(200, `{"id":"10"}`), "null"), activation.Unavailable},
		"a part is broken":     {replies(reply1(200, `{"id":"10"}`), reply1(500, `{"error":{"code":2}}`)), activation.Unavailable},
		"a part is throttled":  {replies(reply1(200, `{"id":"10"}`), reply1(400, `{"error":{"code":17}}`)), activation.WaitUntil},
		"another object":       {replies(reply1(200, `{"id":"10"}`), reply1(200, `{"id":"12"}`)), activation.Unavailable},
		"may not be seen":      {replies(reply1(200, `{"id":"10"}`), reply1(403, `{"error":{"code":100,"error_subcode":33}}`)), activation.Invalid},
		"the call is answered": {answer{status: 502, body: "<html>"}, activation.Unavailable},
	} {
		p, _ := openPublisher(t, tc.answer)
		got, err := p.Read(context.Background(), refs)
		if activation.KindOf(err) != tc.kind {
			t.Errorf("%s: %v %v", name, got, err)
		}
		if e, ok := err.(*activation.Error); ok && e.MayHaveApplied {
			t.Errorf("%s: a read may have applied", name)
		}
	}
}

// TestCampaignUnwritable are edits that are refused without a call.
func TestCampaignUnwritable(t *testing.T) {
	for name, tc := range map[string]struct {
		edit  provider.Edit
		field string
	}{
		"no amount":             {edited("10", map[string]string{"budget": "many"}), "budget"},
		"a negative amount":     {edited("10", map[string]string{"budget": "-1"}), "budget"},
		"no time":               {edited("10", map[string]string{"start_time": "tomorrow"}), "start_time"},
		"no status":             {edited("10", map[string]string{"status": "deleted"}), "status"},
		"no bool":               {edited("10", map[string]string{"share_budgets": "perhaps"}), "share_budgets"},
		"fixed":                 {edited("10", map[string]string{"objective": "OUTCOME_LEADS"}), "objective"},
		"shown":                 {edited("10", map[string]string{"effective_status": "ACTIVE"}), "effective_status"},
		"unknown":               {edited("10", map[string]string{"colour": "red"}), "colour"},
		"cannot be emptied":     {edited("10", nil, "budget"), "budget"},
		"emptied by no value":   {edited("10", map[string]string{"budget": ""}), "budget"},
		"an id of our own":      {edited("new-5", map[string]string{"name": "A"}), ""},
		"a parent of our own":   {created(6, typeSet, ref(activation.KindCampaign, "new-5"), nil), ""},
		"a creative of our own": {created(6, typeAd, ref(activation.KindGroup, "20"), map[string]string{"creative": "new-5"}), "creative"},
		"no JSON":               {created(6, typeSet, ref(activation.KindCampaign, "10"), map[string]string{"promoted_object": "[1]"}), "promoted_object"},
		"another kind":          {provider.Edit{Object: ref(activation.KindGroup, "10"), Type: typeCampaign}, ""},
		"content of a creative": {provider.Edit{Object: ref(activation.KindOther, "40"), Type: typeCreative, Set: map[string]string{"message": "x"}}, "message"},
	} {
		p, n := openPublisher(t)
		out, err := p.Post(context.Background(), []provider.Edit{tc.edit})
		if err != nil || out[0].State != provider.EditRefused || out[0].Code != "META-EDIT" || out[0].Field != tc.field || out[0].Text == "" || len(n.calls) > 0 {
			t.Errorf("%s: %+v %v", name, out, err)
		}
	}
}

// TestCampaignLimits: usage headers of parts stop the next call, and one that would
// be too large is not made.
func TestCampaignLimits(t *testing.T) {
	full := `{"code":200,"headers":[{"name":"X-Business-Use-Case-Usage","value":"{\"1\":[{\"type\":\"ads_management\",\"call_count\":100,\"estimated_time_to_regain_access\":9}]}"}],"body":"{\"success\":true}"}`
	p, n := openPublisher(t, replies(full, reply1(200, good)))
	now := time.Now()
	p.m.now = func() time.Time { return now }
	edits := []provider.Edit{edited("10", map[string]string{"name": "A"}), edited("11", map[string]string{"name": "B"})}
	if out, err := p.Post(context.Background(), edits); err != nil || out[1].State != provider.EditDone {
		t.Fatal(out, err)
	}
	_, err := p.Post(context.Background(), edits)
	wantError(t, err, activation.WaitUntil, "META-THROTTLE")
	if e, _ := err.(*activation.Error); !e.Until.Equal(now.Add(9*time.Minute)) || len(n.calls) != 1 {
		t.Errorf("until %v after %d calls", e.Until, len(n.calls))
	}
	p.m.maxBytes = 10_000
	edits[0].Set["name"] = strings.Repeat("x", 3000)
	if got := p.Together(edits); got != 1 {
		t.Errorf("%d edits of too many bytes travel together", got)
	}
}

// TestStructureEnds: cursors that lead in a circle are an error, and orphans are
// passed over.
func TestStructureEnds(t *testing.T) {
	again := answer{body: `{"data":[{"id":"10"}],"paging":{"cursors":{"after":"A"},"next":"n"}}`}
	p, _ := openPublisher(t, again, again)
	err := p.Structure(context.Background(), func(provider.ObjectState) error { return nil })
	wantError(t, err, activation.Unavailable, "META-ANSWER")
	p, _ = openPublisher(t,
		answer{body: `{"data":[{"id":"10","status":"ARCHIVED"},{"id":"11","effective_status":"ACTIVE","daily_budget":"0","spend_cap":"922337203685478","stop_time":"1970-01-01T00:00:00+0000","special_ad_categories":["NONE"]}]}`},
		answer{body: `{"data":[]}`},
		answer{body: `{"data":[{"id":"20","campaign_id":"10"},{"id":21,"campaign_id":11,"effective_status":"CAMPAIGN_PAUSED","bid_amount":250,"targeting":{"custom_audiences":[{"id":77}]}}]}`},
		answer{body: `{"data":[{"id":"30","adset_id":"20"},{"id":"31","adset_id":"21","creative":{"id":"40"}}]}`})
	var got []string
	err = p.Structure(context.Background(), func(s provider.ObjectState) error {
		got = append(got, fmt.Sprintf("%s in %s %v", s.ID, s.Parent.ID, s.Fields))
		return nil
	})
	want := []string{
		"11 in  map[effective_status:ACTIVE]",
		`21 in 11 map[audiences:77 bid:2.5 effective_status:CAMPAIGN_PAUSED targeting:{"custom_audiences":[{"id":77}]}]`,
		"31 in 21 map[creative:40]",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%s", err, strings.Join(got, "\n"))
	}
}

func TestCostRows(t *testing.T) {
	row := `{"data":[{"campaign_id":"10","date_start":"2026-11-01","account_currency":"EUR","impressions":"1000","clicks":"7","spend":"12.345678","actions":[{"action_type":"link_click","value":"7"},{"action_type":"purchase","value":"2"}],"action_values":[{"action_type":"purchase","value":"99.5"}]},{"campaign_id":"11","date_start":"2026-11-01","account_currency":"EUR"}]}`
	p, _ := openPublisher(t, answer{body: row}, answer{body: `{"data":[]}`}, answer{body: `{"data":[]}`})
	var got []activation.Cost
	err := p.Costs(context.Background(), "2026-11-01", "2026-11-01", func(c activation.Cost) error { got = append(got, c); return nil })
	want := []activation.Cost{
		{Date: "2026-11-01", Object: ref(activation.KindCampaign, "10"), Currency: "EUR", Impressions: 1000, Clicks: 7, Micros: 12_345_678, Conversions: 2, Value: 99.5},
		{Date: "2026-11-01", Object: ref(activation.KindCampaign, "11"), Currency: "EUR"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{`{"campaign_id":"10","date_start":"2026-11-01"}`, `{"date_start":"2026-11-01","account_currency":"EUR"}`, `{"campaign_id":"1","date_start":"2026-11-01","account_currency":"EUR","spend":"free"}`, `{"campaign_id":"1","date_start":"2026-11-01","account_currency":"EUR","clicks":"-1"}`, `{"campaign_id":"1","date_start":"2026-11-01","account_currency":"EUR","actions":{}}`} {
		p, _ := openPublisher(t, answer{body: `{"data":[` + bad + `]}`})
		err := p.Costs(context.Background(), "2026-11-01", "2026-11-01", func(activation.Cost) error { return nil })
		wantError(t, err, activation.Unavailable, "META-ANSWER")
	}
}

func TestPublisherSettings(t *testing.T) {
	d := deps(t, defaultBaseURL)
	d.Config = map[string]string{conversionActions: "purchase, lead or so"}
	_, err := newPublisher(d)
	wantError(t, err, activation.Invalid, "META-SETTINGS")
	d.Config = map[string]string{pageSizeField: "501"}
	_, err = newPublisher(d)
	wantError(t, err, activation.Invalid, "META-SETTINGS")
	for name, body := range map[string]string{"zone": `{"currency":"EUR","timezone_name":"Mars/North"}`, "none": `{"currency":"EUR"}`, "currency": `{"currency":"","timezone_name":"UTC"}`} {
		p, n := openPublisher(t)
		n.answers = []answer{{body: body}}
		if _, err := p.Check(context.Background()); activation.CodeOf(err) != "META-ANSWER" {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, n := openPublisher(t)
	n.answers = []answer{{status: http.StatusBadRequest, body: `{"error":{"code":100}}`}}
	_, err = p.Check(context.Background())
	wantError(t, err, activation.Invalid, "META-ACCOUNT")
}
