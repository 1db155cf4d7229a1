package web_test

import (
	"time"

	"usher/internal/activation"
)

// fullDesk is an account with some of everything: campaigns, groups and keywords,
// entries of every status, an upload with failures, a conflict, schedules and bids.
func fullDesk() *desk {
	object := func(kind activation.ObjectKind, id, typ string, parent activation.ObjectRef, confirmed map[string]string) activation.PublisherObject {
		return activation.PublisherObject{Publisher: shop, ObjectRef: activation.ObjectRef{Kind: kind, ID: id}, Type: typ, Parent: parent, Confirmed: confirmed, Local: copied(confirmed), ConfirmedAt: dayOne.Add(-13 * time.Hour)}
	}
	campaign := func(id, name, status, budget string) activation.PublisherObject {
		return object(activation.KindCampaign, id, "campaign", activation.ObjectRef{}, map[string]string{"name": name, "status": status, "budget": budget, "start": "2026-11-01", "strategy": "manual_cpc", "serving": "serving"})
	}
	coats := activation.ObjectRef{Kind: activation.KindCampaign, ID: "11"}
	group := activation.ObjectRef{Kind: activation.KindGroup, ID: "21"}
	keyword := func(id, text, bid string) activation.PublisherObject {
		return object(activation.KindKeyword, id, "keyword", group, map[string]string{"keyword": text, "match": "exact", "status": "enabled", "bid": bid})
	}
	d := &desk{
		accounts: []activation.PublisherAccount{
			{ID: shop, Name: "Shop", Provider: "adverts", Account: "4711081500", Currency: "EUR", Timezone: "Europe/Berlin", NightlyAt: "20:00", SyncedAt: dayOne.Add(-13 * time.Hour), CostAt: dayOne.Add(-13 * time.Hour), Config: map[string]string{"manager": "999"}},
			{ID: "outlet", Name: "Outlet", Provider: "adverts", Account: "4711081501", Currency: "GBP", Timezone: "Europe/London", NightlyAt: "20:00"},
		},
		objects: []activation.PublisherObject{
			campaign("11", "Coats, search", "enabled", "120.00"), campaign("12", "Black Friday UK, prospecting", "paused", "300.00"), campaign("13", nasty, "enabled", "40.00"),
			object(activation.KindGroup, "21", "ad group", coats, map[string]string{"name": "Parkas", "status": "enabled", "bid": "0.42"}),
			object(activation.KindGroup, "22", "ad group", coats, map[string]string{"name": "Trench coats", "status": "paused", "bid": "0.38"}),
			keyword("31", "winter parka", "0.42"), keyword("32", "parka women", "0.55"), keyword("33", "waterproof parka", "0.31"),
			object(activation.KindOther, "41", "budget", activation.ObjectRef{}, map[string]string{"name": "Brand", "budget": "90.00"}),
		},
		schedules: []activation.ScheduledOperation{
			{ID: "s1", Publisher: shop, Object: coats, Action: activation.ActionPause, At: dayOne.Add(9 * time.Hour), Days: []int{1, 2, 3, 4, 5}, Hour: 19, LastEntry: 1029, CreatedBy: "ann"},
			{ID: "s2", Publisher: shop, Object: activation.ObjectRef{Kind: activation.KindCampaign, ID: "12"}, Action: activation.ActionResume, At: dayOne.Add(14 * time.Hour), Hour: 0, CreatedBy: "ann"},
		},
		plans: []activation.Strategy{
			{
				ID: "b1", Publisher: shop, Name: "Parkas at 8 euros", Goal: "cpa", Target: 8, Kind: activation.KindKeyword, Within: []activation.ObjectRef{coats}, Floor: 0.1, Ceiling: 1.2, Mode: "preview", RunAt: dayOne.Add(-13 * time.Hour),
				Overrides: []activation.BidOverride{{Object: activation.ObjectRef{Kind: activation.KindKeyword, ID: "33"}, Bid: 0.31, Until: "2026-12-24"}},
			},
			{ID: "b2", Publisher: shop, Name: "Groups by value", Goal: "roas", Target: 4, Kind: activation.KindGroup, Floor: 0.05, Ceiling: 2, Mode: "off"},
		},
	}
	d.objects[0].Local["budget"], d.objects[0].Waiting = "150.00", 1
	d.objects[5].Local["bid"], d.objects[5].Waiting = "0.55", 2
	d.objects = append(d.objects, activation.PublisherObject{Publisher: shop, ObjectRef: activation.ObjectRef{Kind: activation.KindCampaign, ID: "new-1036"}, Type: "campaign", Local: map[string]string{"name": "Gift cards", "status": "paused", "budget": "25.00"}, Waiting: 1})
	proposal := func(id, name string, before, after float64, why string, in map[string]float64) activation.BidProposal {
		return activation.BidProposal{Object: activation.ObjectRef{Kind: activation.KindKeyword, ID: id}, Name: name, Old: before, New: after, Why: why, Inputs: in}
	}
	d.proposed = []activation.BidProposal{
		proposal("32", "parka women", 0.55, 0.55, "only 4 conversions in 14 days; 10 are needed", map[string]float64{"days": 14, "cost": 31.2, "conversions": 4}),
		proposal("31", "winter parka", 0.42, 0.5, "", map[string]float64{"days": 14, "cost": 120.4, "conversions": 18, "actual": 6.69, "target": 8}),
		proposal("33", "waterproof parka", 0.31, 0.248, "a step is at most 20%", map[string]float64{"days": 14, "cost": 210, "conversions": 14, "actual": 15, "target": 8}),
	}
	d.entries = fullLog(coats, group)
	return d
}

func fullLog(coats, group activation.ObjectRef) []activation.Entry {
	kw := func(id string) activation.ObjectRef {
		return activation.ObjectRef{Kind: activation.KindKeyword, ID: id}
	}
	entry := func(id activation.EntryID, status activation.EntryStatus, origin activation.Origin, by, source string, op activation.Operation, of activation.ObjectRef, typ, name, text string, changes ...activation.Change) activation.Entry {
		e := activation.Entry{ID: id, Publisher: shop, Status: status, Origin: origin, By: by, Source: source, Operation: op, Object: of, Type: typ, ObjectName: name, Text: text, Changes: changes, CreatedAt: dayOne.Add(-time.Duration(1050-id) * time.Minute)}
		if !status.Waits() {
			e.EndedAt, e.PostedAt, e.Attempt, e.Batch, e.Answer = e.CreatedAt.Add(time.Minute), e.CreatedAt.Add(50*time.Second), 1, 77, "accepted"
		}
		return e
	}
	user, system := activation.OriginUser, activation.OriginSystem
	all := []activation.Entry{
		entry(1029, activation.EntryDone, activation.OriginScheduled, "ann", "schedule", activation.OpStatus, coats, "campaign", "Coats, search", "Pause “Coats, search”", activation.Change{Field: "status", Before: "enabled", After: "paused"}),
		entry(broken, activation.EntryFailed, user, "ben", "console", activation.OpEdit, coats, "campaign", "Coats, search", "Budget of “Coats, search” to 0.001", activation.Change{Field: "budget", Before: "120.00", After: "0.001"}),
		entry(1033, activation.EntryQueued, activation.OriginScheduled, "ann", "schedule", activation.OpStatus, activation.ObjectRef{Kind: activation.KindCampaign, ID: "12"}, "campaign", "Black Friday UK, prospecting", "Resume “Black Friday UK, prospecting”", activation.Change{Field: "status", Before: "paused", After: "enabled"}),
		entry(1034, activation.EntryQueued, user, "ann", "console", activation.OpEdit, coats, "campaign", "Coats, search", "Budget of “Coats, search” from 120.00 to 150.00", activation.Change{Field: "budget", Before: "120.00", After: "150.00"}),
		entry(1035, activation.EntryProcessing, user, "ann", "api", activation.OpBid, group, "ad group", "Parkas", "Bid of “Parkas” from 0.40 to 0.42", activation.Change{Field: "bid", Before: "0.40", After: "0.42"}),
		entry(1036, activation.EntryToBeSent, user, "ann", "console", activation.OpCreate, activation.ObjectRef{Kind: activation.KindCampaign, ID: "new-1036"}, "campaign", "Gift cards", "Create campaign “Gift cards”", activation.Change{Field: "name", After: "Gift cards"}, activation.Change{Field: "budget", After: "25.00"}),
		entry(1037, activation.EntryToBeSent, user, "ben", "console", activation.OpBid, kw("31"), "keyword", "winter parka", "Bid of “winter parka” from 0.42 to 0.55", activation.Change{Field: "bid", Before: "0.42", After: "0.55"}),
		entry(conflict, activation.EntryHeld, user, "ben", "console", activation.OpEdit, activation.ObjectRef{Kind: activation.KindCampaign, ID: "13"}, "campaign", nasty, "Budget of “"+nasty+"” from 40.00 to 55.00", activation.Change{Field: "budget", Before: "40.00", After: "55.00", Theirs: "48.00"}),
		entry(1039, activation.EntryHeld, user, "ann", "console", activation.OpDelete, group, "ad group", "Parkas", "Delete ad group “Parkas”"),
		entry(1040, activation.EntryToBeSent, system, "", "bidding", activation.OpBid, kw("33"), "keyword", "waterproof parka", "Bid of “waterproof parka” from 0.31 to 0.25", activation.Change{Field: "bid", Before: "0.31", After: "0.25"}),
		entry(upload, activation.EntryPartial, user, "ben", "upload", activation.OpUpload, activation.ObjectRef{}, "", "", "Upload “q4-clean.csv”"),
		entry(1042, activation.EntryDone, user, "ben", "upload", activation.OpDelete, kw("35"), "keyword", "cheap parka", "Delete keyword “cheap parka”"),
		entry(1043, activation.EntryFailed, user, "ben", "upload", activation.OpDelete, kw("36"), "keyword", "parka", "Delete keyword “parka”"),
		entry(1044, activation.EntryCancelled, user, "ben", "upload", activation.OpDelete, kw("37"), "keyword", "parka sale", "Delete keyword “parka sale”"),
	}
	for i := range all {
		switch e := &all[i]; e.ID {
		case conflict:
			e.Reason = activation.ReasonConflict
		case 1039:
			e.Reason = activation.ReasonUser
		case upload:
			e.Children = map[activation.EntryStatus]int64{activation.EntryDone: 1, activation.EntryFailed: 1, activation.EntryCancelled: 1}
		case broken:
			e.ErrorCode, e.ErrorText, e.RequestID, e.Answer = "BADREQ-PUB-002", "Budget amount is below the minimum of 0.01", "req-9f2", ""
		case 1042, 1043, 1044:
			e.Parent, e.Row = upload, int(e.ID-1040)
			if e.ID == 1043 {
				e.ErrorCode, e.ErrorText, e.Answer = "GOOGLE-INVALID", "The resource was not found", ""
			}
		case 1040:
			e.Detail = map[string]string{"cost": "210.00", "conversions": "14", "actual": "15.00", "target": "8.00"}
		}
	}
	return all
}
