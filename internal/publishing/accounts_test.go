package publishing_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/publishing"
)

func TestLinkNamesEveryWrongField(t *testing.T) {
	o := openOffice(t)
	other, err := o.store.CreateAuthorization(t.Context(), activation.Authorization{Label: "other", Provider: "otherads", KeyID: "k", Sealed: []byte("sealed")}, "ann")
	o.ok(err)
	good := publishing.AccountSpec{Name: "Second", Provider: "officeads", Authorization: o.auth, Account: "987", NightlyAt: "21:30", Config: map[string]string{"manager": "5"}}
	with := func(change func(*publishing.AccountSpec)) publishing.AccountSpec {
		s := good
		s.Config = maps.Clone(good.Config)
		change(&s)
		return s
	}
	for _, tc := range []struct {
		spec publishing.AccountSpec
		want []string
	}{
		{publishing.AccountSpec{}, []string{"name", "provider"}},
		{publishing.AccountSpec{Provider: "officeads"}, []string{"account", "auth_id", "name"}},
		{with(func(s *publishing.AccountSpec) { s.Provider = "sftp" }), []string{"provider"}},
		{with(func(s *publishing.AccountSpec) { s.Authorization = "gone" }), []string{"auth_id"}},
		{with(func(s *publishing.AccountSpec) { s.Authorization = other.ID }), []string{"auth_id"}},
		{with(func(s *publishing.AccountSpec) { s.Account = "1 2" }), []string{"account"}},
		{with(func(s *publishing.AccountSpec) { s.Name = strings.Repeat("x", 201) }), []string{"name"}},
		{with(func(s *publishing.AccountSpec) { s.NightlyAt = "8 pm" }), []string{"nightly_at"}},
		{with(func(s *publishing.AccountSpec) { s.NightlyAt = "24:00" }), []string{"nightly_at"}},
		{with(func(s *publishing.AccountSpec) { s.NightlyAt = "9:00" }), []string{"nightly_at"}},
		{with(func(s *publishing.AccountSpec) {
			s.Config = map[string]string{"manager": "me", "zone": "moon", "colour": "red"}
		}), []string{"config.colour", "config.manager", "config.zone"}},
	} {
		_, err := o.Link(t.Context(), tc.spec, "ann")
		var all interface{ Each() []*activation.Error }
		if !errors.As(err, &all) {
			t.Errorf("%+v: %v", tc.spec, err)
			continue
		}
		var got []string
		for _, e := range all.Each() {
			got = append(got, e.Field)
			if e.Kind != activation.Invalid || e.Code != "PUB-SETTINGS" {
				t.Errorf("%v", e)
			}
		}
		if slices.Sort(got); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: wrong are %q, want %q", tc.spec, got, tc.want)
		}
	}
	if o.asked != 0 {
		t.Error("the publisher was asked about what is wrong")
	}
	for _, tc := range []struct {
		spec  publishing.AccountSpec
		field string
	}{
		{with(func(s *publishing.AccountSpec) { s.Name = "Shop" }), "name"},
		{with(func(s *publishing.AccountSpec) { s.Account = "123-456-7890" }), "account"},
	} {
		_, err := o.Link(t.Context(), tc.spec, "ann")
		var e *activation.Error
		if !errors.Is(err, activation.ErrConflict) || !errors.As(err, &e) || e.Field != tc.field || o.asked != 0 {
			t.Errorf("%+v: %v", tc.spec, err)
		}
	}
	// One that the publisher does not open is not stored.
	o.infoErr = &activation.Error{Kind: activation.Unauthorized, Code: "OFFICE-AUTH", Message: "no"}
	if _, err := o.Link(t.Context(), good, "ann"); activation.KindOf(err) != activation.Unauthorized {
		t.Errorf("%v", err)
	}
	o.infoErr, o.info.Timezone = nil, "Mars/Base"
	if _, err := o.Link(t.Context(), good, "ann"); activation.KindOf(err) != activation.Unavailable {
		t.Errorf("%v", err)
	}
	if all, err := o.Accounts(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d accounts, %v", len(all), err)
	}
	o.info.Timezone = "America/New_York"
	made, err := o.Link(t.Context(), good, "ann")
	if err != nil || made.Currency != "EUR" || made.Timezone != "America/New_York" || made.NightlyAt != "21:30" || made.Config["zone"] != "eu" || made.SyncJob == "" || made.PostJob == "" {
		t.Errorf("%+v, %v", made, err)
	}
	// Its first reading has begun.
	page, _, err := o.Entries(t.Context(), activation.EntryQuery{Publisher: made.ID, Statuses: []activation.EntryStatus{activation.EntryQueued}})
	if err != nil || len(page) != 2 || page[1].Detail[publishing.DetailWhat] != publishing.ReadStructure || page[0].Detail[publishing.DetailWhat] != publishing.ReadCosts || page[0].By != "ann" {
		t.Errorf("of the new account there wait %+v, %v", page, err)
	}
	if want := "pass " + string(made.PostJob); !slices.Contains(o.woken, want) {
		t.Errorf("woken was %q, without %q", o.woken, want)
	}
}

func TestUpdateAndUnlink(t *testing.T) {
	o := openOffice(t)
	spec := publishing.AccountSpec{Name: "Shop", Provider: "officeads", Authorization: o.auth, Account: "123-456-7890", NightlyAt: "06:00", Config: map[string]string{"zone": "eu"}}
	a, err := o.Update(t.Context(), o.account.ID, spec, "ann")
	if err != nil || a.NightlyAt != "06:00" || o.asked != 0 {
		t.Errorf("%+v, %v, asked %d", a, err, o.asked)
	}
	// Other settings are tried first.
	spec.Config, o.infoErr = map[string]string{"zone": "us"}, &activation.Error{Kind: activation.Unauthorized, Message: "no"}
	if _, err := o.Update(t.Context(), o.account.ID, spec, "ann"); activation.KindOf(err) != activation.Unauthorized {
		t.Errorf("%v", err)
	}
	o.infoErr, o.info.Currency = nil, "USD"
	if a, err = o.Update(t.Context(), o.account.ID, spec, "ann"); err != nil || a.Config["zone"] != "us" || a.Currency != "USD" {
		t.Errorf("%+v, %v", a, err)
	}
	for field, change := range map[string]func(*publishing.AccountSpec){
		"provider": func(s *publishing.AccountSpec) { s.Provider = "otherads" },
		"account":  func(s *publishing.AccountSpec) { s.Account = "5" },
	} {
		wrong := spec
		change(&wrong)
		var e *activation.Error
		if _, err := o.Update(t.Context(), o.account.ID, wrong, "ann"); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	o.info.Currency = "CHF"
	if info, err := o.CheckAccount(t.Context(), o.account.ID); err != nil || info.Name != "Shop" {
		t.Errorf("%+v, %v", info, err)
	}
	if a, err = o.Account(t.Context(), o.account.ID); err != nil || a.Currency != "CHF" {
		t.Errorf("%+v, %v", a, err)
	}
	e, err := o.Sync(t.Context(), o.account.ID, "costs", "bob")
	if err != nil || e.Operation != activation.OpSync || e.Status != activation.EntryQueued || e.Detail[publishing.DetailWhat] != publishing.ReadCosts || e.By != "bob" {
		t.Errorf("%+v, %v", e, err)
	}
	if !slices.Contains(o.woken, "pass "+string(o.account.PostJob)) {
		t.Errorf("woken: %v", o.woken)
	}
	if _, err := o.Sync(t.Context(), o.account.ID, "everything", "bob"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("%v", err)
	}
	o.ok(o.Unlink(t.Context(), o.account.ID, "ann"))
	if _, err := o.Account(t.Context(), o.account.ID); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
