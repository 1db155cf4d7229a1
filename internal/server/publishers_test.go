package server_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/manifest"
	"usher/internal/publishing"
	"usher/internal/server"
	"usher/internal/server/servertest"
	"usher/sandbox/google"
)

// customer is the account at the stand-in of Google Ads.
const customer = "1234567890"

// desk is a whole server with an account of the stand-in of Google Ads.
type desk struct {
	*servertest.Server
	*client.Client
	t    *testing.T
	far  *google.Network
	id   string
	sync string // job
}

func openDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{Server: servertest.Start(t), t: t}
	d.far = d.Sandbox.Network("google").(*google.Network)
	if err := d.far.MakeAdsExample(customer, google.AdsExample{Campaigns: 2, Groups: 2, Ads: 1, Keywords: 3, Days: 3}); err != nil {
		t.Fatal(err)
	}
	d.Client = &client.Client{URL: d.Server.URL, Token: d.Tokens[activation.RoleAdmin]}
	config := map[string]string{}
	for _, n := range d.Sandbox.Networks(strings.TrimPrefix(d.Network, "http://")) {
		if n.Name == "google" {
			config = n.Credentials
		}
	}
	var auth struct{ ID string }
	d.must(http.MethodPost, "/v2/auth/google", map[string]any{"label": "sandbox", "config": config}, &auth)
	var account activation.PublisherAccount
	d.must(http.MethodPost, "/v2/publisher", map[string]any{"name": "Shop", "provider": "google", "auth_id": auth.ID, "account": customer}, &account)
	d.id, d.sync = "/v2/publisher/"+string(account.ID), string(account.SyncJob)
	d.must(http.MethodPost, d.id+"/sync", nil, nil)
	d.quiet()
	return d
}

func (d *desk) must(method, path string, body, out any) {
	d.t.Helper()
	if _, err := d.Do(d.t.Context(), method, path, body, out); err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// quiet waits until nothing is queued or under way.
func (d *desk) quiet() {
	d.t.Helper()
	d.Eventually("everything released is posted", func() bool {
		var n map[activation.EntryStatus]int64
		d.must(http.MethodGet, "/v2/entry/count", nil, &n)
		return n[activation.EntryQueued]+n[activation.EntryProcessing] == 0
	})
}

// objects are those of a kind, by name.
func (d *desk) objects(kind string) map[string]activation.PublisherObject {
	d.t.Helper()
	var all []activation.PublisherObject
	d.must(http.MethodGet, d.id+"/object?limit=1000&kind="+kind, nil, &all)
	out := map[string]activation.PublisherObject{}
	for _, o := range all {
		out[o.Name()] = o
	}
	return out
}

// entries are those that a query selects, oldest first.
func (d *desk) entries(query string) []activation.Entry {
	d.t.Helper()
	var all []activation.Entry
	d.must(http.MethodGet, "/v2/entry?limit=1000&"+query, nil, &all)
	slices.Reverse(all)
	return all
}

// fields are those of the far side's resources of a kind, by name.
func (d *desk) fields(kind string) map[string]map[string]any {
	d.t.Helper()
	out := map[string]map[string]any{}
	for _, r := range d.far.AdsTree(customer) {
		if r.Kind != kind || r.Removed {
			continue
		}
		var f map[string]any
		if err := json.Unmarshal(r.Fields, &f); err != nil {
			d.t.Fatal(err)
		}
		out[fmt.Sprint(f["name"])] = f
	}
	return out
}

func (d *desk) upload(file, query string) (made publishing.UploadPreview) {
	d.t.Helper()
	if err := d.Client.Upload(d.t.Context(), d.id+"/upload?"+query, "text/csv", strings.NewReader(file), &made); err != nil {
		d.t.Fatal(err)
	}
	return made
}

// TestPublishers is the story of an account with a whole server and the stand-in of
// Google Ads, whose tree judges.
func TestPublishers(t *testing.T) {
	if server.RaceEnabled {
		t.Skip("make test runs it without the race detector")
	}
	d := openDesk(t)
	campaigns := d.objects("campaign")
	if len(campaigns) != 2 || len(d.objects("group")) == 0 || len(d.objects("keyword")) == 0 {
		t.Fatalf("the structure has campaigns %v", campaigns)
	}
	first, second := campaigns["Campaign 1"], campaigns["Campaign 2"]

	t.Run("held until posted", func(t *testing.T) {
		var r publishing.EditResult
		d.must(http.MethodPatch, d.id+"/object/campaign/"+first.ID, map[string]any{"fields": map[string]string{"name": "Autumn"}, "send": "hold"}, &r)
		if o := d.objects("campaign")["Autumn"]; o.Local["name"] != "Autumn" || o.Confirmed["name"] != "Campaign 1" {
			t.Fatalf("local and confirmed: %v, %v", o.Local, o.Confirmed)
		}
		var moved activation.EntriesMoved
		d.must(http.MethodPost, d.id+"/post-all", nil, &moved)
		if moved.Done != 0 || d.fields("campaigns")["Autumn"] != nil {
			t.Fatalf("post all moved %d held entries", moved.Done)
		}
		d.must(http.MethodPost, "/v2/entry/post", map[string]any{"ids": []activation.EntryID{r.Entries[0].ID}}, &moved)
		d.quiet()
		if d.fields("campaigns")["Autumn"] == nil {
			t.Fatalf("after Post Now: %v", d.entries("status=failed"))
		}
	})

	t.Run("a tree by file, and what is wrong with another", func(t *testing.T) {
		const head = "Type\tCampaign\tAd group\tKeyword\tMatch type\tStatus\tBudget\tMax CPC\tEU political advertising\tCampaign type\n"
		bad := d.upload(head+"keyword\tAutumn\tnobody\tboots\tEXACT\t\t\t1,5\t\t\n", "preview=true")
		if bad.Errors == 0 || len(bad.Problems) == 0 || bad.Problems[0].Row != 2 {
			t.Fatalf("the preview of a wrong file: %+v", bad)
		}
		file := head + "campaign\tWinter\t\t\t\tpaused\t12.50\t\tno\tsearch\nad group\tWinter\tBoots\t\t\tenabled\t\t0.40\t\t\nkeyword\tWinter\tBoots\twinter boots\texact\tenabled\t\t0.55\t\t\n"
		preview := d.upload(file, "preview=true")
		if preview.Adds != 3 || preview.Errors != 0 || len(d.entries("text=Winter")) != 0 {
			t.Fatalf("the preview: %+v", preview)
		}
		made := d.upload(file, "send=now&filename=winter.tsv")
		d.quiet()
		var parent publishing.EntryView
		d.must(http.MethodGet, fmt.Sprintf("/v2/entry/%d", made.Parent), nil, &parent)
		if parent.Status != activation.EntryDone || parent.Children[activation.EntryDone] != 3 {
			t.Fatalf("the upload is %s: %v; %v", parent.Status, parent.Children, d.entries("status=failed"))
		}
		winter := d.fields("campaigns")["Winter"]
		if winter == nil || winter["status"] != "PAUSED" || d.fields("adGroups")["Boots"] == nil {
			t.Fatalf("the far side has %v", winter)
		}
		if again := d.upload(file, "preview=true"); again.Adds+again.Edits+again.Errors != 0 || again.Same != 3 {
			t.Fatalf("the same file again: %+v", again.EditResult)
		}
	})

	t.Run("the structure as a file changes nothing", func(t *testing.T) {
		var file bytes.Buffer
		if err := d.Download(t.Context(), d.id+"/template", &file); err != nil {
			t.Fatal(err)
		}
		if p := d.upload(file.String(), "preview=true"); p.Adds+p.Edits+p.Deletes+p.Errors != 0 || p.Same == 0 {
			t.Fatalf("%+v", p.EditResult)
		}
	})

	t.Run("a failure is told and retried", func(t *testing.T) {
		file := "Campaign ID,Name\n" + second.ID + "," + "Autumn" + "\n" // a name that another campaign has
		made := d.upload(file, "send=now")
		d.quiet()
		failed := d.entries(fmt.Sprintf("status=failed&parent_id=%d", made.Parent))
		if len(failed) != 1 || failed[0].ErrorCode == "" || failed[0].ErrorText == "" {
			t.Fatalf("failed: %+v", failed)
		}
		var raw bytes.Buffer
		if err := d.Download(t.Context(), fmt.Sprintf("/v2/entry/%d/errors", made.Parent), &raw); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&raw).ReadAll()
		if err != nil || len(rows) != 2 || !slices.Contains(rows[0], "Error code") || !slices.Contains(rows[1], failed[0].ErrorCode) {
			t.Fatalf("the error file: %v %v", rows, err)
		}
		if _, err := d.far.ChangeAds(customer, fmt.Appendf(nil, `{"mutateOperations":[{"campaignOperation":{"update":{"resourceName":"customers/%s/campaigns/%s","name":"Spring"},"updateMask":"name"}}]}`, customer, first.ID)); err != nil {
			t.Fatal(err)
		}
		var moved activation.EntriesMoved
		d.must(http.MethodPost, "/v2/entry/retry", map[string]any{"ids": []activation.EntryID{failed[0].ID}}, &moved)
		d.quiet()
		if moved.Done != 1 || d.fields("campaigns")["Autumn"]["resourceName"] != "customers/"+customer+"/campaigns/"+second.ID {
			t.Fatalf("after the retry of %d: %v; %v", moved.Done, d.fields("campaigns"), d.entries("status=failed"))
		}
	})

	t.Run("a conflict is held, and the night goes on", func(t *testing.T) {
		d.must(http.MethodPatch, d.id+"/object/campaign/"+first.ID, map[string]any{"fields": map[string]string{"name": "Ours"}, "send": "nightly"}, nil)
		d.must(http.MethodPatch, d.id+"/object/campaign/"+second.ID, map[string]any{"fields": map[string]string{"status": "paused"}, "send": "nightly"}, nil)
		d.must(http.MethodPost, "/v2/job/"+d.sync+"/run", nil, nil) // the night, which finds Spring
		var passes []activation.Pass
		d.Eventually("the night is over", func() bool {
			d.must(http.MethodGet, "/v2/job/"+d.sync+"/passes", nil, &passes)
			return len(passes) > 0 && passes[0].Status != activation.RunRunning
		})
		if d.fields("campaigns")["Autumn"]["status"] != "PAUSED" {
			t.Fatalf("the night: %+v; %+v", passes[0], d.entries("since=now-1h"))
		}
		held := d.entries("status=held")
		if len(held) != 1 || held[0].Reason != activation.ReasonConflict || held[0].Changes[0].Theirs != "Spring" {
			t.Fatalf("held: %+v", held)
		}
		d.must(http.MethodPost, "/v2/entry/cancel", map[string]any{"ids": []activation.EntryID{held[0].ID}}, nil)
		if o := d.objects("campaign")["Spring"]; o.Local["name"] != "Spring" || o.Waiting != 0 {
			t.Fatalf("after taking theirs: %+v", o)
		}
		var costs publishing.CostReport
		d.must(http.MethodGet, d.id+"/cost?by=object", nil, &costs)
		want := map[string]int64{}
		for _, c := range d.far.AdsCosts(customer) {
			if strings.Contains(c.Resource, "/campaigns/") {
				want[c.Resource[strings.LastIndexByte(c.Resource, '/')+1:]] += c.CostMicros
			}
		}
		for _, row := range costs.Rows {
			if row.Micros != want[row.Object.ID] || row.Currency != costs.Currency {
				t.Errorf("campaign %s cost %d %s, want %d", row.Object.ID, row.Micros, row.Currency, want[row.Object.ID])
			}
		}
		if len(costs.Rows) != len(want) || len(want) == 0 {
			t.Errorf("%d rows of costs, want %d", len(costs.Rows), len(want))
		}
	})

	t.Run("scheduled, given and taken away", func(t *testing.T) {
		next := time.Now().Add(90 * time.Minute).Truncate(time.Hour)
		var s activation.ScheduledOperation
		object := activation.ObjectRef{Kind: activation.KindCampaign, ID: first.ID}
		if _, err := d.Do(t.Context(), http.MethodPost, d.id+"/schedule", map[string]any{"object": object, "action": "pause", "at": next.Add(time.Minute)}, nil); err == nil {
			t.Error("a minute past the hour is taken")
		}
		d.must(http.MethodPost, d.id+"/schedule", map[string]any{"object": object, "action": "pause", "at": next}, &s)
		d.must(http.MethodPut, d.id+"/schedule/"+s.ID, map[string]any{"action": "resume"}, &s)
		if s.Action != activation.ActionResume || !s.At.Equal(next) {
			t.Errorf("changed: %+v", s)
		}
		d.must(http.MethodDelete, d.id+"/schedule/"+s.ID, nil, nil)

		var strategy activation.Strategy
		d.must(http.MethodPost, d.id+"/strategy", map[string]any{"name": "ours", "goal": "given", "kind": "keyword", "floor": 0.05, "ceiling": 1, "mode": "traffic"}, &strategy)
		keyword := d.objects("keyword")["winter boots"]
		var r publishing.EditResult
		d.must(http.MethodPost, d.id+"/strategy/"+strategy.ID+"/bids", map[string]any{"bids": []publishing.GivenBid{{Object: keyword.ObjectRef, Bid: 0.60}}}, &r)
		if bids := d.entries("operation=bid&status=to_be_sent"); r.Edits != 1 || len(bids) != 1 || bids[0].Origin != activation.OriginSystem {
			t.Errorf("given bids: %+v, %v", r, bids)
		}
		d.must(http.MethodPost, d.id+"/strategy/"+strategy.ID+"/override", activation.BidOverride{Object: keyword.ObjectRef, Bid: 0.9, Until: "2099-01-01"}, &strategy)
		if len(strategy.Overrides) != 1 {
			t.Errorf("overrides: %v", strategy.Overrides)
		}
	})

	var declared struct{ Files map[string]string }
	d.must(http.MethodGet, "/v2/export", nil, &declared)

	t.Run("unlinked", func(t *testing.T) {
		if _, err := d.Do(context.WithoutCancel(t.Context()), http.MethodPost, "/v2/job/"+d.sync+"/kill", nil, nil); err == nil {
			t.Error("a job of an account was killed by itself")
		}
		d.must(http.MethodDelete, d.id, nil, nil)
		if left := d.entries("limit=10"); len(left) != 0 || d.fields("campaigns")["Autumn"] == nil {
			t.Errorf("%d entries are left", len(left))
		}
	})

	t.Run("declared again", func(t *testing.T) {
		if !strings.Contains(declared.Files["publishers/shop.yaml"], "name: ours") {
			t.Fatalf("declared are %v", declared.Files)
		}
		d.Eventually("everything is as it was declared", func() bool {
			var done struct{ Steps []manifest.Step }
			d.must(http.MethodPost, "/v2/apply", map[string]any{"files": declared.Files}, &done)
			return !slices.ContainsFunc(done.Steps, func(s manifest.Step) bool { return s.Action != manifest.Unchanged })
		})
		var back struct{ Files map[string]string }
		if d.must(http.MethodGet, "/v2/export", nil, &back); !maps.Equal(declared.Files, back.Files) {
			t.Errorf("declared %v, now %v", declared.Files, back.Files)
		}
	})
}
