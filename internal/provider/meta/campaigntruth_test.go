package meta

import (
	"context"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// TestTargetingIsNeverLost: the targeting of an ad set is replaced as a whole, so an
// edit of a part of it goes out only with the rest in hand, and that of this ad set.
func TestTargetingIsNeverLost(t *testing.T) {
	there := func(id string) string {
		return reply1(200, `{"id":"`+id+`","targeting":{"geo_locations":{"countries":["DE"]},"age_min":21}}`)
	}
	gone := reply1(400, `{"error":{"code":100,"error_subcode":33}}`)
	edits := []provider.Edit{
		editedSet("20", map[string]string{fieldAudiences: "901"}),
		{Operation: activation.OpEdit, Object: ref(activation.KindGroup, "21"), Type: typeSet, Parent: ref(activation.KindCampaign, "11"), Set: map[string]string{fieldAudiences: "902"}},
	}
	for name, tc := range map[string]struct {
		answers []answer
		states  string // of the edits; "" = an error of which nothing took effect
		calls   int
	}{
		"both are told":             {[]answer{replies(there("20"), there("21")), replies(reply1(200, good), reply1(200, good))}, "done done", 2},
		"they are told in exchange": {[]answer{replies(there("21"), there("20"))}, "", 1},
		"one has none":              {[]answer{replies(there("20"), reply1(200, `{"id":"21"}`))}, "", 1},
		"one is not told":           {[]answer{replies(there("20"), `null`)}, "", 1},
		"one is gone":               {[]answer{replies(there("20"), gone), {body: accountAnswer}, {body: good}}, "done refused", 3},
		"a list too short":          {[]answer{replies(there("20"))}, "", 1},
	} {
		p, n := openPublisher(t, tc.answers...)
		out, err := p.Post(context.Background(), edits)
		if len(n.calls) != tc.calls {
			t.Errorf("%s: %d calls", name, len(n.calls))
		}
		if tc.states == "" {
			if e, ok := err.(*activation.Error); !ok || e.MayHaveApplied || e.Kind != activation.Unavailable {
				t.Errorf("%s: %+v %v", name, out, err)
			}
			continue
		}
		if err != nil || string(out[0].State)+" "+string(out[1].State) != tc.states {
			t.Errorf("%s: %+v %v", name, out, err)
			continue
		}
		if sent := spelled(n.calls); strings.Count(sent, `"age_min":21`) != strings.Count(tc.states, "done") {
			t.Errorf("%s: sent\n%s", name, sent)
		}
	}
}

// TestNoListIsNoEmptyList: a page that holds no list does not say that the account is
// empty, nor one with an object that does not say what it lies in.
func TestNoListIsNoEmptyList(t *testing.T) {
	empty := answer{body: `{"data":[]}`}
	for name, answers := range map[string][]answer{
		"nothing":                    {{body: `{}`}},
		"something else":             {{body: `{"success":true}`}},
		"no list":                    {{body: `{"data":null}`}},
		"a second page without one":  {{body: `{"data":[{"id":"10"}],"paging":{"cursors":{"after":"A"},"next":"n"}}`}, {body: `{"paging":{}}`}},
		"a campaign without an id":   {{body: `{"data":[{"name":"a"}]}`}},
		"an ad set without a parent": {{body: `{"data":[{"id":"10"}]}`}, empty, {body: `{"data":[{"id":"20"}]}`}},
	} {
		p, _ := openPublisher(t, answers...)
		err := p.Structure(context.Background(), func(provider.ObjectState) error { return nil })
		if activation.CodeOf(err) != "META-ANSWER" {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, _ := openPublisher(t, answer{body: `{}`})
	if _, err := p.Find(context.Background(), []provider.Edit{created(5, typeCampaign, activation.ObjectRef{}, map[string]string{"name": "A"})}); activation.CodeOf(err) != "META-ANSWER" {
		t.Errorf("a create is not found by no list: %v", err)
	}
	for _, row := range []string{
		`{"campaign_id":"1","date_start":"2026-11-01","date_stop":"2026-11-07","account_currency":"EUR","spend":"7"}`,
		`{"campaign_id":"1","date_start":"2026-10-31","date_stop":"2026-10-31","account_currency":"EUR","spend":"7"}`,
	} {
		p, _ := openPublisher(t, answer{body: `{"data":[` + row + `]}`})
		err := p.Costs(context.Background(), "2026-11-01", "2026-11-07", func(activation.Cost) error { return nil })
		if activation.CodeOf(err) != "META-ANSWER" {
			t.Errorf("%s: %v", row, err)
		}
	}
}
