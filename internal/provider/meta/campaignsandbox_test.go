package meta_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/provider/meta/metatest"
	"usher/sandbox"
	"usher/sandbox/fault"
	sandboxmeta "usher/sandbox/meta"
)

// far is an ad account in the sandbox, and what edits it.
type far struct {
	*metatest.Campaigns
	pub   provider.Publisher
	clock time.Time
	n     activation.EntryID
}

func openFar(t *testing.T) *far {
	t.Helper()
	n := metatest.OpenCampaigns()
	t.Cleanup(n.Close)
	f := &far{Campaigns: n, clock: time.Now()}
	d := n.Deps()
	d.Log, d.Now = slog.New(slog.DiscardHandler), func() time.Time { return f.clock }
	d.HTTP = outbound.New(outbound.Config{Timeout: 5 * time.Second, AllowedHosts: n.Hosts(), Log: d.Log, Now: time.Now})
	t.Cleanup(d.HTTP.CloseIdleConnections)
	pub, err := meta.Definition().Publishing.New(d)
	if err != nil {
		t.Fatal(err)
	}
	f.pub = pub
	return f
}

// create posts a create alone and returns what it made.
func (f *far) create(t *testing.T, typ string, parent activation.ObjectRef, set map[string]string) activation.ObjectRef {
	t.Helper()
	of, _ := meta.Definition().Publishing.Object(typ)
	f.n++
	out, err := f.pub.Post(context.Background(), []provider.Edit{{
		Entry: f.n, Operation: activation.OpCreate, Object: activation.ObjectRef{Kind: of.Kind, ID: activation.NewObjectID(f.n)}, Type: typ, Parent: parent, Set: set,
	}})
	if err != nil || out[0].State != provider.EditDone {
		t.Fatalf("create %s: %+v %v", typ, out, err)
	}
	return activation.ObjectRef{Kind: of.Kind, ID: out[0].ID}
}

// tree makes a campaign with an ad set.
func (f *far) tree(t *testing.T) (campaign, set activation.ObjectRef) {
	t.Helper()
	campaign = f.create(t, "campaign", activation.ObjectRef{}, map[string]string{"name": "C", "objective": "OUTCOME_TRAFFIC"})
	return campaign, f.create(t, "ad set", campaign, map[string]string{
		"name": "S", "budget": "10", "countries": "DE", "optimization_goal": "LINK_CLICKS", "billing_event": "IMPRESSIONS",
	})
}

func (f *far) edit(campaign, set activation.ObjectRef, change map[string]string) provider.Edit {
	return provider.Edit{Operation: activation.OpEdit, Object: set, Type: "ad set", Parent: campaign, Set: change}
}

func raw(text string) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		panic(err)
	}
	return out
}

// TestTargetingOfOthersIsKept: an edit of audiences leaves alone what somebody did
// to the rest of the targeting after it was last read.
func TestTargetingOfOthersIsKept(t *testing.T) {
	f := openFar(t)
	campaign, set := f.tree(t)
	err := f.Sandbox().ChangeNode(set.ID, raw(`{"targeting":{"age_min":30,"interests":[{"id":"6003","name":"Shoes"}],"geo_locations":{"countries":["DE"],"cities":[{"key":"2418779"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	e := f.edit(campaign, set, map[string]string{"audiences": "23850000000000901"})
	e.Have = map[string]string{"targeting": `{"geo_locations":{"countries":["DE"]}}`}
	out, err := f.pub.Post(context.Background(), []provider.Edit{e})
	if err != nil || out[0].State != provider.EditDone {
		t.Fatal(out, err)
	}
	got, err := f.pub.Read(context.Background(), []activation.ObjectRef{set})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"age_min":30,"custom_audiences":[{"id":"23850000000000901"}],"geo_locations":{"cities":[{"key":"2418779"}],"countries":["DE"]},"interests":[{"id":"6003","name":"Shoes"}]}`
	if got[0].Fields["targeting"] != want || out[0].Values["targeting"] != want {
		t.Errorf("the targeting is %s, told as %s", got[0].Fields["targeting"], out[0].Values["targeting"])
	}
}

// TestBudgetsMayChangeFourTimesAnHour: the fifth waits for an hour, and the other
// edits of the account do not.
func TestBudgetsMayChangeFourTimesAnHour(t *testing.T) {
	f := openFar(t)
	campaign, set := f.tree(t)
	for i := range 4 {
		out, err := f.pub.Post(context.Background(), []provider.Edit{f.edit(campaign, set, map[string]string{"budget": strconv.Itoa(20 + i)})})
		if err != nil || out[0].State != provider.EditDone {
			t.Fatal(i, out, err)
		}
	}
	fifth := f.edit(campaign, set, map[string]string{"budget": "30"})
	out, err := f.pub.Post(context.Background(), []provider.Edit{fifth})
	if err != nil || out[0].State != provider.EditLater || !out[0].Until.Equal(f.clock.Add(time.Hour)) || out[0].Code != "META-THROTTLE" {
		t.Fatalf("%+v %v", out, err)
	}
	out, err = f.pub.Post(context.Background(), []provider.Edit{f.edit(campaign, set, map[string]string{"name": "T"})})
	if err != nil || out[0].State != provider.EditDone {
		t.Errorf("another edit: %+v %v", out, err)
	}
}

// TestRefusalsOfTheSandbox are edits that Meta would refuse, in its words and with
// the field at fault.
func TestRefusalsOfTheSandbox(t *testing.T) {
	f := openFar(t)
	campaign, set := f.tree(t)
	for name, tc := range map[string]struct {
		edit              provider.Edit
		code, field, text string
	}{
		"too low":        {f.edit(campaign, set, map[string]string{"budget": "0.5"}), "META-EDIT", "budget", "Budget is too low"},
		"two budgets":    {f.edit(campaign, set, map[string]string{"lifetime_budget": "100"}), "META-EDIT", "lifetime_budget", "not both"},
		"needs a bid":    {f.edit(campaign, set, map[string]string{"bid_strategy": "COST_CAP"}), "META-EDIT", "bid", "bid_amount"},
		"end first":      {f.edit(campaign, set, map[string]string{"start_time": "2030-01-02 10:00", "end_time": "2030-01-01 10:00"}), "META-EDIT", "end_time", "after the start"},
		"lost audience":  {f.edit(campaign, set, map[string]string{"audiences": "999"}), "META-SHARE", "", "deleted, or not shared"},
		"no place":       {f.edit(campaign, set, map[string]string{"countries": ""}), "META-EDIT", "targeting", "needs a location"},
		"no such object": {f.edit(campaign, activation.ObjectRef{Kind: activation.KindGroup, ID: "123"}, map[string]string{"name": "x"}), "META-OBJECT", "", "no object 123"},
		"budget above":   {provider.Edit{Object: campaign, Type: "campaign", Set: map[string]string{"budget": "50"}}, "META-EDIT", "budget", "ad sets of the campaign have budgets"},
	} {
		out, err := f.pub.Post(context.Background(), []provider.Edit{tc.edit})
		if err != nil || out[0].State != provider.EditRefused || out[0].Code != tc.code || out[0].Field != tc.field || !strings.Contains(out[0].Text, tc.text) || out[0].RequestID == "" {
			t.Errorf("%s: %+v %v", name, out, err)
		}
	}
}

// TestPermissionOfOneEdit: an edit that is not permitted fails alone, and nothing
// fails where the token may edit nothing at all.
func TestPermissionOfOneEdit(t *testing.T) {
	f := openFar(t)
	campaign, set := f.tree(t)
	e := f.edit(campaign, set, map[string]string{"name": "T"})
	if _, err := f.Box().Fault(fault.Fault{Op: "node.update", Kind: fault.Error, Status: 403, Code: 200, Message: "not your page"}); err != nil {
		t.Fatal(err)
	}
	before := len(f.Sandbox().Tree(""))
	out, err := f.pub.Post(context.Background(), []provider.Edit{e})
	if err != nil || out[0].State != provider.EditRefused || out[0].Code != "META-PERMISSION" || out[0].Text != "not your page" {
		t.Errorf("%+v %v", out, err)
	}
	if len(f.Sandbox().Tree("")) != before {
		t.Error("the dry run made something")
	}
	f.Sandbox().SetToken(sandboxmeta.Token{Value: f.Deps().Auth["access_token"].Reveal(), ReadOnly: true})
	_, err = f.pub.Post(context.Background(), []provider.Edit{e})
	if activation.KindOf(err) != activation.Invalid || activation.CodeOf(err) != "META-PERMISSION" {
		t.Errorf("read only: %v", err)
	}
}

// TestOtherCurrencies sends whole units where the currency has no hundredths at Meta.
func TestOtherCurrencies(t *testing.T) {
	for currency, want := range map[string]string{"JPY": "1235", "HUF": "1235", "BHD": "123450", "EUR": "123450"} {
		box := sandbox.New(sandbox.Options{Networks: []string{"meta"}, Meta: sandboxmeta.Options{Currency: currency}})
		server := httptest.NewServer(box.Handler())
		t.Cleanup(server.Close)
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		d := provider.Deps{Auth: map[string]provider.Secret{"access_token": sandboxmeta.DefaultToken, "base_url": provider.Secret(server.URL + "/meta")}, Account: "7", Log: log, Now: time.Now}
		d.HTTP = outbound.New(outbound.Config{AllowedHosts: []string{u.Host}, Log: log, Now: time.Now})
		t.Cleanup(d.HTTP.CloseIdleConnections)
		pub, err := meta.Definition().Publishing.New(d)
		if err != nil {
			t.Fatal(err)
		}
		out, err := pub.Post(context.Background(), []provider.Edit{{
			Operation: activation.OpCreate, Object: activation.ObjectRef{Kind: activation.KindCampaign, ID: "new-1"}, Type: "campaign",
			Set: map[string]string{"name": "C", "objective": "OUTCOME_SALES", "budget": "1234.5"},
		}})
		if err != nil || out[0].State != provider.EditDone {
			t.Fatalf("%s: %+v %v", currency, out, err)
		}
		if got := string(box.Meta().Tree("7")[0].Values["daily_budget"]); got != `"`+want+`"` {
			t.Errorf("%s: %s", currency, got)
		}
		if told := out[0].Values["budget"]; (told == "1235") != (want == "1235") || want == "123450" && told != "" {
			t.Errorf("%s: told as %q", currency, told)
		}
	}
}

// TestBatchesNeverDepend posts edits as chance has them, with parts of batches that
// fail: what Meta does not promise to keep in order never travels together, and
// nothing takes effect twice.
func TestBatchesNeverDepend(t *testing.T) {
	f := openFar(t)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		var all []provider.Edit
		campaigns, sets := []activation.ObjectRef{}, []activation.ObjectRef{}
		within := map[activation.ObjectRef]activation.ObjectRef{}
		for range 2 {
			campaign, set := f.tree(t)
			campaigns, sets, within[set] = append(campaigns, campaign), append(sets, set), campaign
		}
		for i := range rapid.IntRange(5, 25).Draw(r, "edits") {
			name := map[string]string{"name": fmt.Sprintf("N%d of %d", i, round)}
			set := rapid.SampledFrom(sets).Draw(r, "set")
			switch rapid.IntRange(0, 3).Draw(r, "what") {
			case 0:
				all = append(all, provider.Edit{Operation: activation.OpEdit, Object: rapid.SampledFrom(campaigns).Draw(r, "campaign"), Type: "campaign", Set: name})
			case 1:
				all = append(all, f.edit(within[set], set, name))
			case 2:
				name["budget"], name["countries"], name["optimization_goal"], name["billing_event"] = "10", "DE", "LINK_CLICKS", "IMPRESSIONS"
				all = append(all, provider.Edit{Operation: activation.OpCreate, Object: activation.ObjectRef{Kind: activation.KindGroup, ID: "new-" + strconv.Itoa(100+i)}, Type: "ad set", Parent: within[set], Set: name})
			default:
				name["objective"] = "OUTCOME_LEADS"
				all = append(all, provider.Edit{Operation: activation.OpCreate, Object: activation.ObjectRef{Kind: activation.KindCampaign, ID: "new-" + strconv.Itoa(100+i)}, Type: "campaign", Set: name})
			}
		}
		if _, err := f.Box().Fault(fault.Fault{Path: "/batch/*", Kind: fault.Timeout, Applied: true, Probability: 0.2}); err != nil {
			r.Fatal(err)
		}
		defer f.Heal()
		for len(all) > 0 {
			n := f.pub.Together(all)
			out, err := f.pub.Post(context.Background(), all[:n])
			if err != nil {
				r.Fatal(err)
			}
			for i, o := range out {
				if o.State != provider.EditDone && o.State != provider.EditUnknown {
					r.Fatalf("%+v is %+v", all[i], o)
				}
			}
			all = all[n:]
		}
		if sins := f.Sandbox().CampaignSins(); len(sins) > 0 {
			r.Fatalf("sins: %v", sins)
		}
		seen := map[string]bool{}
		for _, e := range f.Sandbox().Effects() {
			if name := e.Name; strings.HasPrefix(name, "N") && seen[name] {
				r.Fatalf("%s took effect twice", name)
			}
			seen[e.Name] = true
		}
	})
}
