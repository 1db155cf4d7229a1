package google_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/google"
)

// TestRulesMatchGooglesVectors: those of the tests of googleads/data-manager-node
// and -java. What the normalisers do is tested in matchkey.
func TestRulesMatchGooglesVectors(t *testing.T) {
	const (
		alex   = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"
		phone  = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"
		given  = "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814"
		family = "77762c287e61ce065bee5c15464012c6fbe088398b8057627d5577249430d574"
	)
	whole := map[string]string{"given_name": " Givenname", "family_name": "Familyname", "region_code": "us", "postal_code": "94045"}
	for _, tc := range []struct {
		key, value, want string
	}{
		{"email_address", "alexz@example.com", alex},
		{"email_address", "  ALEXZ@example.com   ", alex},
		{"email_address", "  alexz@EXAMPLE.com   ", alex},
		{"email_address", strings.ToUpper(alex), alex},
		{"email_address", "", ""},
		{"email_address", "not an address", ""},
		{"phone_number", "+18005550100", phone},
		{"phone_number", "   +1-800-555-0100", phone},
		{"phone_number", "1-800-555-0100   ", phone},
		{"phone_number", "1\u2011800\u2011555\u20110100", phone},
		{"given_name", "  GivenName  ", given},
		{"given_name", strings.ToUpper(given), given},
		{"family_name", "Familyname", family},
		{"postal_code", "94045", given + " " + family + " US 94045"},
		{"postal_code", "9404", ""},
		{"region_code", " us", "US"},
		{"mobile_id", "EA7583CD-A667-48BC-B806-42ECB2B48606", "ea7583cd-a667-48bc-b806-42ecb2b48606"},
		{"mobile_id", "00000000-0000-0000-0000-000000000000", ""},
		{"user_id", "c-1", "c-1"},
	} {
		raw, mapping := map[string]string{tc.key: tc.value}, map[string]string{tc.key: tc.key, "user_id": "user_id"}
		if tc.key == "postal_code" {
			for k, v := range whole {
				raw[k], mapping[k] = v, k
			}
			raw["postal_code"] = tc.value
		}
		if tc.key != "user_id" {
			raw["user_id"] = "beside"
		}
		set, err := matchkey.NewSet(google.RuleSet(), mapping, "")
		if err != nil {
			t.Fatal(err)
		}
		values, out := make([]string, len(set.Keys)), make([][]byte, len(set.Keys))
		for i, k := range set.Keys {
			values[i] = raw[k.Name]
		}
		set.Compute(values, out, nil)
		for i, k := range set.Keys {
			got := string(out[i])
			if k.Hash && out[i] != nil {
				got = hex.EncodeToString(out[i])
			}
			if k.Name == tc.key && got != tc.want {
				t.Errorf("%s %q: %q, want %q", tc.key, tc.value, got, tc.want)
			}
		}
	}
	if raw, _ := hex.DecodeString(alex); base64.StdEncoding.EncodeToString(raw) != "UJ6TMBm7KFoTSpM0uLtnnf950M4CPVKa9L10TUe0/Yo=" {
		t.Error("the two encodings of Google's own vector differ")
	}
}

func TestSettingsAreRead(t *testing.T) {
	for _, tc := range []struct {
		name, field string
		change      func(*provider.Deps)
	}{
		{"no credentials", "refresh_token", func(d *provider.Deps) { d.Tokens = nil }},
		{"no account", "account", func(d *provider.Deps) { d.Account = "" }},
		{"an account that is a name", "account", func(d *provider.Deps) { d.Account = "accounts/1" }},
		{"a kind of account", "account_type", func(d *provider.Deps) { d.Config["account_type"] = "GOOGLE" }},
		{"a partner as the account", "account_type", func(d *provider.Deps) { d.Config["account_type"] = "DATA_PARTNER" }},
		{"a manager", "login_account", func(d *provider.Deps) { d.Config["login_account"] = "me" }},
		{"a linked account alone", "linked_account", func(d *provider.Deps) { d.Config["linked_account"] = "7" }},
		{"consent", "ad_user_data", func(d *provider.Deps) { d.Config["ad_user_data"] = "GRANTED" }},
		{"no membership", "membership_days", func(d *provider.Deps) { d.Config["membership_days"] = "0" }},
		{"a long membership", "membership_days", func(d *provider.Deps) { d.Config["membership_days"] = "541" }},
		{"a look at once", "first_status_check", func(d *provider.Deps) { d.Config["first_status_check"] = "0s" }},
		{"an address", "base_url", func(d *provider.Deps) { d.Auth["base_url"] = "ftp://example.com" }},
		{"an address with a user", "base_url", func(d *provider.Deps) { d.Auth["base_url"] = "https://me:secret@example.com" }},
	} {
		d := deps(always(200, "{}"), map[string]string{})
		d.Auth = map[string]provider.Secret{}
		tc.change(&d)
		_, err := google.NewLists(d)
		if e := wrong(t, err); e.Kind != activation.Invalid || e.Field != tc.field || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", tc.name, err)
		}
		if _, err = google.NewConversions(d); wrong(t, err).Field != tc.field {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	d := deps(always(200, "{}"), map[string]string{"login_account": "5", "login_account_type": "DATA_PARTNER", "linked_account": "7"})
	dest, err := google.NewLists(d)
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v", dest, dest); s != "google account 1234567890 google account 1234567890" {
		t.Errorf("printed: %s", s)
	}
}

func TestDefinitionFollowsTheSettings(t *testing.T) {
	const day = 24 * time.Hour
	for days, want := range map[string]time.Duration{"": 486 * day, "540": 486 * day, "30": 27 * day, "10": 9 * day} {
		if got := google.Definition().Configured(map[string]string{"membership_days": days}).Refresh; got != want {
			t.Errorf("%q days: %v, want %v", days, got, want)
		}
	}
	events := google.Definition().For("google_offline_conversion")
	if got := events.Configured(nil); got.Refresh != 0 || got.MaxRows != 2000 || got.Replay != provider.ReplayDeduplicated || got.Deletes || got.Opens || !got.Async {
		t.Errorf("%+v", got)
	}
	d, err := events.NewDestination(deps(always(200, "{}"), nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.(provider.Deleter); ok {
		t.Error("what takes conversions deletes lists")
	}
	w, _ := google.Definition().Workflow("google_offline_conversion")
	for days, want := range map[string]time.Duration{"": 90 * day, "63": 63 * day, "0": 0, "x": 0, "-1": 0} {
		if got := w.Window(nil, map[string]string{"max_age_days": days}); got != want {
			t.Errorf("%q days: %v, want %v", days, got, want)
		}
	}
	if perSecond, burst := google.Definition().Pace(map[string]provider.Secret{provider.PaceField: "60"}); perSecond != 1 || burst != 1 {
		t.Errorf("%v, %d", perSecond, burst)
	}
	if perSecond, _ := google.Definition().Pace(nil); perSecond != 5 {
		t.Errorf("%v calls a second", perSecond)
	}
}
