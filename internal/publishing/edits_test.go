package publishing_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/publishing"
)

func TestEdit(t *testing.T) {
	o := stocked(t)
	r := o.edit(activation.SendNightly,
		set(shoes, "status=paused"),
		set(red, "bid=0.550"),
		set(blue, "status=paused", "bid=1"),
		set(bags, "budget=20.50", "status=paused"), // as it is
		publishing.EditSpec{Action: publishing.ActionSet, Kind: activation.KindOther, ID: "71", Fields: map[string]string{"bid_adjustment": "1.2"}},
		publishing.EditSpec{Action: publishing.ActionDelete, Kind: activation.KindKeyword, ID: "53", Client: "mine-7"},
		publishing.EditSpec{Action: publishing.ActionSet, Kind: activation.KindCampaign, ID: "13", Clear: []string{"labels", "start_date"}, Fields: map[string]string{"name": " Twin one"}},
		publishing.EditSpec{Action: publishing.ActionCreate, Kind: activation.KindCampaign, Fields: map[string]string{"name": "Hats ", "budget": "010.0", "channel": "Display_Only", "labels": " x, y,,", "shared_budget": "Pool"}},
		publishing.EditSpec{Action: publishing.ActionCreate, Kind: activation.KindGroup, Parent: ref(activation.KindCampaign, activation.PendingObjectID(7)), Fields: map[string]string{"name": "Straw", "rotate": "Yes"}},
		publishing.EditSpec{Action: publishing.ActionCreate, Kind: activation.KindKeyword, Parent: ref(activation.KindGroup, activation.PendingObjectID(8)), Fields: map[string]string{"keyword": "straw hat", "match_type": "Exact"}},
	)
	if r.Adds != 3 || r.Edits != 5 || r.Deletes != 1 || r.Same != 1 || r.Errors != 0 || len(r.Entries) != 9 {
		t.Errorf("%s", asJSON(r))
	}
	var got []string
	for _, e := range o.log() {
		got = append(got, inOneLine(e))
		if e.By != "bob" || e.Source != "api" || e.Origin != activation.OriginUser {
			t.Errorf("%+v", e)
		}
	}
	want := []string{
		`to_be_sent status campaign 11 [status:enabled>paused] Pause “Shoes”`,
		`to_be_sent bid group 21 [bid:0.42>0.55] “Red”: bid 0.42 → 0.55`,
		`to_be_sent edit group 22 [status:enabled>paused bid:1.25>1] “Blue”: status enabled → paused, bid 1.25 → 1`,
		`to_be_sent geo other 71 [bid_adjustment:1.1>1.2] “71”: bid adjustment 1.1 → 1.2`,
		`to_be_sent delete keyword 53 [] Delete keyword “blue shoes” in “Blue”`,
		`to_be_sent edit campaign 13 [name:Twin>Twin one] “Twin”: name Twin → Twin one`,
		`to_be_sent create campaign new-7 [name:>Hats budget:>10 channel:>display only labels:>x,y shared_budget:>61] Create campaign “Hats”`,
		`to_be_sent create group new-8 [name:>Straw rotate:>true] Create ad group “Straw” in “Hats” needs [7]`,
		`to_be_sent create keyword new-9 [keyword:>straw hat match_type:>exact] Create keyword “straw hat” in “Straw” needs [8]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if e := o.log()[4]; e.Detail["client_id"] != "mine-7" {
		t.Errorf("the caller's own id: %v", e.Detail)
	}
	if o.local(shoes, "status") != "paused" || o.local(ref(activation.KindCampaign, "new-7"), "budget") != "10" {
		t.Error("local values are not what they will be")
	}
	// Edits of what waits to be created need its create.
	r = o.edit(activation.SendHold, set(ref(activation.KindCampaign, "new-7"), "budget=11"), set(shoes, "status=enabled"))
	if e := r.Entries[0]; inOneLine(e) != `held edit campaign new-7 [budget:10>11] “Hats”: budget 10 → 11 needs [7]` || e.Reason != activation.ReasonUser {
		t.Errorf("%s", inOneLine(e))
	}
	if e := r.Entries[1]; inOneLine(e) != `held status campaign 11 [status:paused>enabled] Resume “Shoes”` {
		t.Errorf("%s", inOneLine(e))
	}
	if len(o.woken) != 0 {
		t.Errorf("woken for nothing: %v", o.woken)
	}
	r = o.edit(activation.SendNow, set(bags, "status=enabled"))
	if r.Entries[0].Status != activation.EntryQueued || !slices.Contains(o.woken, "pass "+string(o.account.PostJob)) {
		t.Errorf("%s, %v", inOneLine(r.Entries[0]), o.woken)
	}
	v, err := o.Object(t.Context(), o.account.ID, shoes)
	if err != nil || len(v.Waits) != 2 || v.Waits[0].ID != 1 || v.Local["status"] != "enabled" || v.Confirmed["status"] != "enabled" || len(v.History) != 0 {
		t.Errorf("%s, %v", asJSON(v), err)
	}
}

func TestWrongEditsSayWhatWouldBeRight(t *testing.T) {
	o := stocked(t)
	o.edit(activation.SendNightly, publishing.EditSpec{Action: publishing.ActionDelete, Kind: activation.KindCampaign, ID: "14"})
	create := func(kind activation.ObjectKind, parent activation.ObjectRef, fields ...string) publishing.EditSpec {
		e := set(ref(kind, ""), fields...)
		e.Action, e.Parent = publishing.ActionCreate, parent
		return e
	}
	del := func(kind activation.ObjectKind, id string) publishing.EditSpec {
		return publishing.EditSpec{Action: publishing.ActionDelete, Kind: kind, ID: id}
	}
	clear := func(r activation.ObjectRef, fields ...string) publishing.EditSpec {
		return publishing.EditSpec{Action: publishing.ActionSet, Kind: r.Kind, ID: r.ID, Clear: fields}
	}
	before := len(o.log())
	for _, tc := range []struct {
		edits       []publishing.EditSpec
		code, field string
		says        string
	}{
		{[]publishing.EditSpec{{Action: "kill", Kind: activation.KindCampaign, ID: "11"}}, "PUB-FIELD", "action", "must be set, create or delete"},
		{[]publishing.EditSpec{set(ref("page", "1"))}, "PUB-OBJECT", "kind", "must be one of campaign, group, creative, keyword, other"},
		{[]publishing.EditSpec{set(ref(activation.KindCampaign, ""), "status=paused")}, "PUB-OBJECT", "id", "which campaign is meant"},
		{[]publishing.EditSpec{set(ref(activation.KindCampaign, "99"), "status=paused")}, "PUB-OBJECT", "id", "there is no campaign “99” in this account"},
		{[]publishing.EditSpec{set(ref(activation.KindCampaign, "14"), "status=enabled")}, "PUB-OBJECT", "id", "a waiting entry deletes campaign “Twin”"},
		{[]publishing.EditSpec{set(ref(activation.KindCampaign, "row-0"), "status=paused")}, "PUB-OBJECT", "id", "has all its values in its create"},
		{[]publishing.EditSpec{set(shoes, "status=paused"), set(shoes, "budget=1")}, "PUB-OBJECT", "id", "here twice, at index 0 too"},
		{[]publishing.EditSpec{set(shoes, "status=paused"), del(activation.KindCampaign, "11")}, "PUB-OBJECT", "id", "is deleted and edited, at index 0 too"},
		{[]publishing.EditSpec{{Action: "set", Kind: activation.KindOther, ID: "61", Type: "location"}}, "PUB-OBJECT", "type", "is of the type budget"},
		{[]publishing.EditSpec{set(shoes, "colour=red")}, "PUB-FIELD", "colour", "they have name, status, budget"},
		{[]publishing.EditSpec{set(shoes, "serving=no")}, "PUB-FIELD", "serving", "can only be read"},
		{[]publishing.EditSpec{set(shoes, "channel=display only")}, "PUB-FIELD", "channel", "can't be changed once the campaign is there; it is “search”"},
		{[]publishing.EditSpec{clear(shoes, "budget")}, "PUB-VALUE", "budget", "can't be cleared"},
		{[]publishing.EditSpec{clear(shoes, "status")}, "PUB-VALUE", "status", "can't be cleared"},
		{[]publishing.EditSpec{set(shoes, "budget=1,50")}, "PUB-VALUE", "budget", "with a point and without separators of thousands"},
		{[]publishing.EditSpec{set(shoes, "budget=1,234.50")}, "PUB-VALUE", "budget", "with a point and without separators of thousands"},
		{[]publishing.EditSpec{set(shoes, "budget=1.234")}, "PUB-VALUE", "budget", "write 1234 if it is thousands, or 1.2340 if it is a fraction"},
		{[]publishing.EditSpec{set(shoes, "budget=-5")}, "PUB-VALUE", "budget", "must be an amount in EUR"},
		{[]publishing.EditSpec{set(shoes, "budget=€5")}, "PUB-VALUE", "budget", "must be an amount in EUR"},
		{[]publishing.EditSpec{set(shoes, "status=stopped")}, "PUB-VALUE", "status", "must be one of enabled, paused"},
		{[]publishing.EditSpec{set(shoes, "status=Deleted")}, "PUB-VALUE", "status", "has the action remove"},
		{[]publishing.EditSpec{set(shoes, "start_date=20.11.2026")}, "PUB-VALUE", "start_date", "written as 2026-11-20"},
		{[]publishing.EditSpec{set(shoes, "start_date=2026-02-30")}, "PUB-VALUE", "start_date", "written as 2026-11-20"},
		{[]publishing.EditSpec{set(shoes, "ends_at=2026-11-20")}, "PUB-VALUE", "ends_at", "written as 2026-11-20 20:00"},
		{[]publishing.EditSpec{set(shoes, "name="+strings.Repeat("é", 41))}, "PUB-VALUE", "name", "has 41 characters and may have 40"},
		{[]publishing.EditSpec{set(shoes, "name=a\x01b")}, "PUB-VALUE", "name", "no text"},
		{[]publishing.EditSpec{set(shoes, "labels=, ,")}, "PUB-VALUE", "labels", "divided by commas"},
		{[]publishing.EditSpec{set(shoes, "shared_budget=62")}, "PUB-OBJECT", "shared_budget", "there is no budget of this id"},
		{[]publishing.EditSpec{set(red, "rotate=maybe")}, "PUB-VALUE", "rotate", "true or false"},
		{[]publishing.EditSpec{set(ref(activation.KindCreative, "41"), "final_url=example.com")}, "PUB-VALUE", "final_url", "such as https://example.com/page"},
		{[]publishing.EditSpec{set(ref(activation.KindOther, "71"), "bid_adjustment=1,2")}, "PUB-VALUE", "bid_adjustment", "with a point"},
		{[]publishing.EditSpec{del(activation.KindOther, "61")}, "PUB-OBJECT", "action", "can't be deleted"},
		{[]publishing.EditSpec{create(activation.KindOther, activation.ObjectRef{}, "name=x")}, "PUB-OBJECT", "type", "one of budget, location"},
		{[]publishing.EditSpec{create(activation.KindCampaign, activation.ObjectRef{}, "name=x", "channel=search")}, "PUB-VALUE", "budget", "is needed to create: The amount per day"},
		{[]publishing.EditSpec{create(activation.KindCampaign, shoes, "name=x", "channel=search", "budget=1")}, "PUB-OBJECT", "parent", "lie in none"},
		{[]publishing.EditSpec{create(activation.KindGroup, activation.ObjectRef{}, "name=x")}, "PUB-OBJECT", "parent", "is needed: the campaign it lies in"},
		{[]publishing.EditSpec{create(activation.KindGroup, ref(activation.KindCampaign, "99"), "name=x")}, "PUB-OBJECT", "parent", "there is no campaign of this id"},
		{[]publishing.EditSpec{create(activation.KindGroup, ref(activation.KindCampaign, "14"), "name=x")}, "PUB-OBJECT", "parent", "is to be deleted"},
		{[]publishing.EditSpec{del(activation.KindCampaign, "13"), create(activation.KindGroup, ref(activation.KindCampaign, "13"), "name=x")}, "PUB-OBJECT", "parent", "is to be deleted"},
		{[]publishing.EditSpec{create(activation.KindGroup, ref(activation.KindCampaign, "row-1"), "name=x"), create(activation.KindCampaign, activation.ObjectRef{}, "name=x", "channel=search", "budget=1")}, "PUB-OBJECT", "parent", "must come before"},
		{[]publishing.EditSpec{create(activation.KindKeyword, ref(activation.KindGroup, "21"), "keyword=x", "match_type=near")}, "PUB-VALUE", "match_type", "must be one of exact, phrase, broad"},
		{[]publishing.EditSpec{{Action: publishing.ActionSet, Kind: activation.KindCampaign, ID: "11", Fields: map[string]string{"labels": "x"}, Clear: []string{"labels"}}}, "PUB-VALUE", "labels", "is given a value and cleared"},
	} {
		// One that is right beside them is not written either.
		edits := append(slices.Clone(tc.edits), set(ref(activation.KindCampaign, "12"), "status=enabled"))
		r, err := o.Edit(t.Context(), o.account.ID, edits, activation.SendNow, "api", "bob")
		o.ok(err)
		if len(r.Problems) != 1 || r.Errors != 1 {
			t.Errorf("%v: %+v", tc.edits, r.Problems)
			continue
		}
		if p := r.Problems[0]; p.Code != tc.code || p.Field != tc.field || !strings.Contains(p.Message, tc.says) {
			t.Errorf("%v: %+v, want %s, %s, %q", tc.edits, p, tc.code, tc.field, tc.says)
		}
	}
	if n := len(o.log()); n != before {
		t.Errorf("%d entries were written", n-before)
	}
	if _, err := o.Edit(t.Context(), o.account.ID, make([]publishing.EditSpec, publishing.MaxEdits+1), activation.SendNow, "api", "bob"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("too many: %v", err)
	}
	if _, err := o.Edit(t.Context(), o.account.ID, nil, "soon", "api", "bob"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("no time to send: %v", err)
	}
	if _, err := o.Edit(t.Context(), "none", nil, activation.SendNow, "api", "bob"); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("no account: %v", err)
	}
}

// TestEditsAgreeWithWhatIsThereNow: an object that changes while an edit of it is
// planned is planned again, so that Before is what was there and what is the same by
// then makes no entry.
func TestEditsAgreeWithWhatIsThereNow(t *testing.T) {
	o := stocked(t)
	done := false
	o.between = func() {
		if done {
			return
		}
		done = true
		_, err := o.store.WriteEntries(t.Context(), o.account.ID, nil, []activation.Entry{
			{Status: activation.EntryToBeSent, Origin: activation.OriginUser, By: "eve", Operation: activation.OpBid, Object: red, Type: "ad group", Changes: []activation.Change{{Field: "bid", Before: "0.42", After: "0.9"}}},
			{Status: activation.EntryToBeSent, Origin: activation.OriginUser, By: "eve", Operation: activation.OpStatus, Object: shoes, Type: "campaign", Changes: []activation.Change{{Field: "status", Before: "enabled", After: "paused"}}},
		}, activation.EntryWrite{})
		o.ok(err)
	}
	r := o.edit(activation.SendNightly, set(red, "bid=1"), set(shoes, "status=paused"))
	if len(r.Entries) != 1 || r.Same != 1 || r.Entries[0].Changes[0].Before != "0.9" {
		t.Errorf("%s", asJSON(r))
	}
	// One that is changed each time is given up.
	o.between = func() {
		w := o.between
		o.between = nil
		defer func() { o.between = w }()
		_, err := o.store.WriteEntries(t.Context(), o.account.ID, nil, []activation.Entry{
			{Status: activation.EntryToBeSent, Origin: activation.OriginUser, By: "eve", Operation: activation.OpBid, Object: red, Type: "ad group", Changes: []activation.Change{{Field: "bid", After: fmt.Sprint(len(o.log()))}}},
		}, activation.EntryWrite{})
		o.ok(err)
	}
	if _, err := o.Edit(t.Context(), o.account.ID, []publishing.EditSpec{set(red, "bid=2")}, activation.SendNow, "api", "bob"); !errors.Is(err, activation.ErrConflict) {
		t.Errorf("%v", err)
	}
}
