package publishing_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/publishing"
)

// spend is what an object cost on one day.
func spend(kind activation.ObjectKind, id, date, currency string, units int64, conversions, value float64) activation.Cost {
	return activation.Cost{Date: date, Object: ref(kind, id), Currency: currency, Micros: units * 1_000_000, Clicks: units, Impressions: 10 * units, Conversions: conversions, Value: value}
}

func (o *office) strategy(change func(*activation.Strategy)) activation.Strategy {
	o.t.Helper()
	s := activation.Strategy{Publisher: o.account.ID, Name: "Ten each", Goal: "cpa", Target: 10, Kind: activation.KindGroup, Floor: 0.1, Ceiling: 5, Mode: "traffic"}
	change(&s)
	s, err := o.PutStrategy(o.t.Context(), s, "ann")
	o.ok(err)
	return s
}

// inShort are proposals as "id old>new why".
func inShort(made []activation.BidProposal) (out []string) {
	for _, m := range made {
		out = append(out, fmt.Sprintf("%s %v>%v %s", m.Object.ID, m.Old, m.New, m.Why))
	}
	slices.Sort(out)
	return out
}

func TestBidding(t *testing.T) {
	o := stocked(t)
	o.ok(saveCosts(t, o, []activation.Cost{
		// Today and the fifteenth day back do not count; other currencies never do.
		spend(activation.KindGroup, "21", "2026-11-22", "EUR", 9000, 100, 0), spend(activation.KindGroup, "21", "2026-11-07", "EUR", 9000, 1, 0), spend(activation.KindGroup, "21", "2026-11-20", "USD", 9000, 1, 0),
		spend(activation.KindGroup, "21", "2026-11-08", "EUR", 60, 6, 0), spend(activation.KindGroup, "21", "2026-11-21", "EUR", 50, 5, 0),
		spend(activation.KindGroup, "22", "2026-11-21", "EUR", 100, 20, 0),
		spend(activation.KindGroup, "23", "2026-11-21", "EUR", 100, 20, 0), // it has no bid
		spend(activation.KindKeyword, "51", "2026-11-21", "EUR", 100, 20, 0),
	}))
	s := o.strategy(func(s *activation.Strategy) {})
	made, err := o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann")
	o.ok(err)
	want := []string{"21 0.42>0.42 change under 1 %", "22 1.25>1.5 step of 20 %", "23 0>0 no bid"}
	if got := inShort(made); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	all := o.log()
	if len(all) != 1 || inOneLine(all[0]) != `to_be_sent bid group 22 [bid:1.25>1.5] “Blue”: bid 1.25 → 1.5` || all[0].Origin != activation.OriginSystem || all[0].Source != "bidding" {
		t.Fatalf("%s", asJSON(all))
	}
	for name, v := range map[string]string{"strategy": "Ten each", "goal": "cpa", "target": "10", "days": "14", "cost": "100", "conversions": "20", "actual": "5", "bounded_by": "step of 20 %"} {
		if all[0].Detail[name] != v {
			t.Errorf("the entry says %q of %s, want %q", all[0].Detail[name], name, v)
		}
	}
	kept, err := o.Proposals(t.Context(), o.account.ID, s.ID)
	if err != nil || !slices.Equal(inShort(kept), want) || !slices.ContainsFunc(kept, func(m activation.BidProposal) bool { return m.Entry == all[0].ID }) {
		t.Errorf("%s, %v", asJSON(kept), err)
	}
	// What is done again makes no second step of the same costs.
	if made, err = o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann"); err != nil || !slices.Contains(inShort(made), "22 1.5>1.5 a calculated bid waits") || len(o.log()) != 1 {
		t.Errorf("%q, %v, %d entries", inShort(made), err, len(o.log()))
	}
	cancel := func() {
		t.Helper()
		_, err := o.store.MoveEntries(t.Context(), activation.CommandCancel, activation.EntryQuery{Publisher: o.account.ID, Statuses: []activation.EntryStatus{activation.EntryToBeSent}}, "ann", false)
		o.ok(err)
	}
	cancel()
	o.edit(activation.SendNightly, set(blue, "bid=1.5"))
	// The preview calculates only, and what is off can't be run.
	s.Mode = "preview"
	s, err = o.PutStrategy(t.Context(), s, "ann")
	o.ok(err)
	if made, err = o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann"); err != nil || !slices.Contains(inShort(made), "22 1.5>1.8 step of 20 %") || len(o.log()) != 2 {
		t.Errorf("%q, %v, %d entries", inShort(made), err, len(o.log()))
	}
	s.Mode = "off"
	s, err = o.PutStrategy(t.Context(), s, "ann")
	o.ok(err)
	if _, err = o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("%v", err)
	}
	// Only what lies within, and a bid that is kept.
	s.Mode, s.Within = "traffic", []activation.ObjectRef{bags}
	s, err = o.PutStrategy(t.Context(), s, "ann")
	o.ok(err)
	if made, err = o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann"); err != nil || !slices.Equal(inShort(made), []string{"23 0>0 no bid"}) {
		t.Errorf("%q, %v", inShort(made), err)
	}
	if _, err = o.Override(t.Context(), o.account.ID, s.ID, activation.BidOverride{Object: bagsRed, Bid: 0.33, Until: "2026-11-22"}, "ann"); err != nil {
		t.Fatal(err)
	}
	if made, err = o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann"); err != nil || !slices.Equal(inShort(made), []string{"23 0>0.33 kept until 2026-11-22"}) || o.local(bagsRed, "bid") != "0.33" {
		t.Errorf("%q, %v", inShort(made), err)
	}
	cancel()
	o.edit(activation.SendNightly, set(bagsRed, "bid=0.33"))
	o.now = o.now.AddDate(0, 0, 1)
	if made, err = o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann"); err != nil || !slices.Equal(inShort(made), []string{"23 0.33>0.39 step of 20 %"}) {
		t.Errorf("%q, %v", inShort(made), err)
	}
	// A bid that can't be set is told, and keeps no other back.
	cancel()
	s.Within = nil
	s, err = o.PutStrategy(t.Context(), s, "ann")
	o.ok(err)
	o.ok(saveCosts(t, o, []activation.Cost{spend(activation.KindGroup, "21", "2026-11-22", "EUR", 10, 900, 0)}))
	gone := false
	o.between = func() {
		if gone {
			return
		}
		gone = true
		o.edit(activation.SendNightly, publishing.EditSpec{Action: publishing.ActionDelete, Kind: activation.KindGroup, ID: "22"})
	}
	if made, err = o.RunStrategy(t.Context(), o.account.ID, s.ID, "ann"); err != nil || o.local(red, "bid") != "0.5" || !slices.Contains(inShort(made), "22 1.25>1.25 a waiting entry deletes ad group “Blue”; cancel that entry first") {
		t.Errorf("%q, %v, %s", inShort(made), err, o.local(red, "bid"))
	}
	o.between = nil
	o.ok(o.DeleteStrategy(t.Context(), o.account.ID, s.ID, "ann"))
	if all, err := o.Strategies(t.Context(), o.account.ID); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestGivenBids(t *testing.T) {
	o := stocked(t)
	s := o.strategy(func(s *activation.Strategy) { s.Goal, s.Kind = "given", activation.KindKeyword })
	key := func(id string) activation.ObjectRef { return ref(activation.KindKeyword, id) }
	for _, tc := range []struct {
		bids        []publishing.GivenBid
		code, field string
	}{
		{[]publishing.GivenBid{{Object: key("99"), Bid: 1}}, "PUB-OBJECT", "object"},
		{[]publishing.GivenBid{{Object: red, Bid: 1}}, "PUB-OBJECT", "object"},
		{[]publishing.GivenBid{{Object: key("51"), Bid: 0.05}}, "PUB-VALUE", "bid"},
		{[]publishing.GivenBid{{Object: key("51"), Bid: 5.01}}, "PUB-VALUE", "bid"},
		{[]publishing.GivenBid{{Object: key("51"), Bid: 1}, {Object: key("51"), Bid: 2}}, "PUB-OBJECT", "object"},
	} {
		r, err := o.GiveBids(t.Context(), o.account.ID, s.ID, append(tc.bids, publishing.GivenBid{Object: key("52"), Bid: 1}), "bot")
		if err != nil || len(r.Problems) != 1 || r.Problems[0].Code != tc.code || r.Problems[0].Field != tc.field || len(o.log()) != 0 {
			t.Errorf("%v: %+v, %v", tc.bids, r, err)
		}
	}
	_, err := o.Override(t.Context(), o.account.ID, s.ID, activation.BidOverride{Object: key("53"), Bid: 0.7, Until: "2027-01-01"}, "ann")
	o.ok(err)
	r, err := o.GiveBids(t.Context(), o.account.ID, s.ID, []publishing.GivenBid{{Object: key("51"), Bid: 0.504}, {Object: key("52"), Bid: 2.5}, {Object: key("53"), Bid: 3}}, "bot")
	o.ok(err)
	var got []string
	for _, e := range o.log() {
		got = append(got, inOneLine(e)+" "+e.By+" "+e.Detail["given"])
	}
	want := []string{`to_be_sent bid keyword 52 [bid:0.3>2.5] “red shoes” in “Red”: bid 0.3 → 2.5 bot 2.5`, `to_be_sent bid keyword 53 [bid:>0.7] “blue shoes” in “Blue”: bid none → 0.7 bot 3`}
	if !slices.Equal(got, want) || r.Edits != 2 || r.Same != 1 || len(r.Entries) != 2 {
		t.Errorf("%q\n%s", got, asJSON(r))
	}
	calculated := o.strategy(func(s *activation.Strategy) { s.Name = "Other" })
	if _, err := o.GiveBids(t.Context(), o.account.ID, calculated.ID, nil, "bot"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("%v", err)
	}
}

func TestWrongStrategiesNameTheirFields(t *testing.T) {
	o := stocked(t)
	for _, tc := range []struct {
		field  string
		change func(*activation.Strategy)
	}{
		{"name", func(s *activation.Strategy) { s.Name = " " }},
		{"goal", func(s *activation.Strategy) { s.Goal = "clicks" }},
		{"target", func(s *activation.Strategy) { s.Target = 0 }},
		{"kind", func(s *activation.Strategy) { s.Kind = activation.KindCampaign }},
		{"mode", func(s *activation.Strategy) { s.Mode = "on" }},
		{"floor", func(s *activation.Strategy) { s.Floor = 0 }},
		{"ceiling", func(s *activation.Strategy) { s.Ceiling = 0.05 }},
		{"ceiling", func(s *activation.Strategy) { s.Ceiling = 0 }},
		{"within", func(s *activation.Strategy) { s.Within = []activation.ObjectRef{ref(activation.KindCampaign, "99")} }},
		{"until", func(s *activation.Strategy) {
			s.Overrides = []activation.BidOverride{{Object: red, Bid: 1, Until: "soon"}}
		}},
		{"bid", func(s *activation.Strategy) {
			s.Overrides = []activation.BidOverride{{Object: red, Bid: 9, Until: "2027-01-01"}}
		}},
	} {
		s := activation.Strategy{Publisher: o.account.ID, Name: "Ten each", Goal: "cpa", Target: 10, Kind: activation.KindGroup, Floor: 0.1, Ceiling: 5, Mode: "traffic"}
		tc.change(&s)
		_, err := o.PutStrategy(t.Context(), s, "ann")
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != tc.field {
			t.Errorf("%s: %v", tc.field, err)
		}
	}
}

// TestCosts: amounts of several currencies are never added up.
func TestCosts(t *testing.T) {
	o := stocked(t)
	o.ok(saveCosts(t, o, []activation.Cost{
		spend(activation.KindCampaign, "11", "2026-11-20", "EUR", 5, 1, 10), spend(activation.KindCampaign, "12", "2026-11-20", "EUR", 7, 0, 0), spend(activation.KindCampaign, "11", "2026-11-21", "EUR", 11, 2, 30),
		spend(activation.KindGroup, "21", "2026-11-21", "EUR", 900, 0, 0), spend(activation.KindCampaign, "11", "2026-09-01", "EUR", 900, 0, 0),
	}))
	rows := func(q activation.CostQuery) (out []string) {
		t.Helper()
		q.Publisher = o.account.ID
		r, err := o.Costs(t.Context(), q)
		o.ok(err)
		for _, c := range r.Rows {
			out = append(out, fmt.Sprintf("%s %s %s %d %s", c.Date, c.Object.ID, c.Name, c.Micros/1_000_000, c.Currency))
		}
		return append(out, fmt.Sprint(r.Currency, r.Currencies))
	}
	for _, tc := range []struct {
		q    activation.CostQuery
		want []string
	}{
		{activation.CostQuery{By: "date"}, []string{"2026-11-20   12 EUR", "2026-11-21   11 EUR", "EUR[EUR]"}},
		{activation.CostQuery{By: "object"}, []string{" 11 Shoes 16 EUR", " 12 Bags 7 EUR", "EUR[EUR]"}},
		{activation.CostQuery{From: "2026-11-21", Until: "2026-11-21"}, []string{"2026-11-21 11 Shoes 11 EUR", "EUR[EUR]"}},
		{activation.CostQuery{By: "date", Object: red}, []string{"2026-11-21   900 EUR", "EUR[EUR]"}},
		{activation.CostQuery{From: "2026-01-01", Until: "2026-01-31"}, []string{"EUR[]"}},
		{activation.CostQuery{By: "date", Currency: "usd"}, []string{"USD[EUR]"}},
	} {
		if got := rows(tc.q); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.q, got, tc.want)
		}
	}
	o.ok(saveCosts(t, o, []activation.Cost{spend(activation.KindCampaign, "13", "2026-11-21", "USD", 3, 0, 0)}))
	if got := rows(activation.CostQuery{By: "date"}); !slices.Equal(got, []string{"[EUR USD]"}) {
		t.Errorf("two currencies: %q", got)
	}
	if got := rows(activation.CostQuery{By: "date", Currency: "usd"}); !slices.Equal(got, []string{"2026-11-21   3 USD", "USD[EUR USD]"}) {
		t.Errorf("one of two: %q", got)
	}
	for field, q := range map[string]activation.CostQuery{"from": {From: "yesterday"}, "until": {Until: "now"}, "kind": {Kind: "page"}, "by": {By: "week"}} {
		q.Publisher = o.account.ID
		var e *activation.Error
		if _, err := o.Costs(t.Context(), q); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := o.Costs(t.Context(), activation.CostQuery{Publisher: o.account.ID, From: "2026-11-22", Until: "2026-11-20"}); activation.KindOf(err) != activation.Invalid {
		t.Errorf("%v", err)
	}
}

// saveCosts stores rows as a reading of their own.
func saveCosts(t *testing.T, o *office, rows []activation.Cost) error {
	t.Helper()
	reading, err := o.store.BeginCosts(t.Context(), o.account.ID)
	if err != nil {
		return err
	}
	return o.store.SaveCosts(t.Context(), o.account.ID, reading, rows)
}
