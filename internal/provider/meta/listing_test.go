package meta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// everySetting has all settings that the making of an audience knows.
func everySetting() map[string]string {
	return map[string]string{
		customerFileSource: "PARTNER_PROVIDED_ONLY", retentionField: "90", optOutField: "https://example.com/opt-out?a=b",
		datasetField: "123456789012345", labelsField: "HIGH_VALUE_CUSTOMERS, DISENGAGED_CUSTOMERS", valuedField: "true",
	}
}

// valued is a batch for a value-based audience, a person for each value.
func valued(op activation.Op, values ...string) provider.Batch {
	rs := RuleSet()
	set, err := matchkey.NewSet(rs, map[string]string{"EMAIL": "email", keyValued: "ltv"}, "")
	if err != nil {
		panic(err)
	}
	b := batch(0)
	b.Op, b.Keys = op, set.Keys
	b.Audience.Config = map[string]string{valuedField: "true"}
	var buf []byte
	for i, v := range values {
		out := make([][]byte, len(set.Keys))
		_, buf = set.Compute([]string{fmt.Sprintf("p%d@example.com", i), v}, out, buf)
		if op == activation.OpRemove {
			out[1] = nil // removals carry identifying keys only
		}
		b.Values = append(b.Values, out...)
	}
	return b
}

func TestListingNamesTheWrongSetting(t *testing.T) {
	if _, err := listingOf(everySetting()); err != nil {
		t.Fatal(err)
	}
	if j, err := listingOf(nil); err != nil || j.days != 0 || j.valued || j.limits.limited {
		t.Fatalf("without settings: %+v %v", j, err)
	}
	for _, tc := range []struct{ field, value string }{
		{customerFileSource, "FOUND"},
		{retentionField, "0"},
		{retentionField, "181"},
		{retentionField, "ninety"},
		{optOutField, "example.com/opt-out"},
		{optOutField, "ftp://example.com"},
		{datasetField, "ds-1"},
		{labelsField, "HIGH_VALUE_CUSTOMERS,high value"},
		{valuedField, "perhaps"},
		{optionsField, "CCPA"},
		{optionsCountry, "-1"},
		{optionsState, "CA"},
	} {
		t.Run(tc.field+" "+tc.value, func(t *testing.T) {
			config := everySetting()
			config[tc.field] = tc.value
			m, n := open(t)
			_, ensuring := m.EnsureAudience(context.Background(), provider.Audience{Marker: "m", Name: "n", Config: config})
			b := batch(1)
			b.Audience.Config = config
			_, sending := m.Deliver(context.Background(), b)
			for _, err := range []error{ensuring, sending} {
				wantField(t, err, tc.field)
			}
			if len(n.calls) > 0 {
				t.Error("something was sent")
			}
		})
	}
}

func wantField(t *testing.T, err error, field string) {
	t.Helper()
	wantError(t, err, activation.Invalid, "META-SETTINGS")
	var e *activation.Error
	if !errors.As(err, &e) || e.Field != field {
		t.Errorf("got %v, want the field %s", err, field)
	}
}

// TestValuesGoWithValueBasedAudiencesOnly: what Meta would answer with error 100
// is said before anything is sent, with the field.
func TestValuesGoWithValueBasedAudiencesOnly(t *testing.T) {
	with, without := valued(activation.OpAdd, "1"), batch(1)
	for _, tc := range []struct {
		name, valued string
		batch        provider.Batch
		field        string
	}{
		{"a value, and not value-based", "false", with, valuedField},
		{"value-based, and no value", "true", without, "mapping.LOOKALIKE_VALUE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, n := open(t)
			b := tc.batch
			b.Audience = provider.Audience{Marker: "m", Name: "n", Keys: b.Keys, Config: map[string]string{valuedField: tc.valued}}
			for _, remote := range []provider.RemoteID{"", "238000001"} {
				b.Audience.Remote = remote
				_, err := m.EnsureAudience(context.Background(), b.Audience)
				wantField(t, err, tc.field)
			}
			_, err := m.Deliver(context.Background(), b)
			wantField(t, err, tc.field)
			if len(n.calls) > 0 {
				t.Error("something was sent")
			}
		})
	}
}

func TestTheKindOfAnAudienceDoesNotChange(t *testing.T) {
	for _, is := range []string{"true", "false"} {
		for _, want := range []string{"true", "false"} {
			m, _ := open(t, answer{body: `{"id":"238000001","operation_status":{"code":200},"is_value_based":` + is + `}`})
			_, err := m.EnsureAudience(context.Background(), provider.Audience{Marker: "m", Name: "n", Remote: "238000001", Config: map[string]string{valuedField: want}})
			if is == want && err != nil {
				t.Errorf("%s: %v", is, err)
			}
			if is != want {
				wantField(t, err, valuedField)
			}
		}
	}
}

func TestPeopleWithoutAValueAreRejected(t *testing.T) {
	m, n := open(t, received(2, 0))
	rc, err := m.Deliver(context.Background(), valued(activation.OpAdd, "", "5", "-3", "7", "much"))
	if err != nil {
		t.Fatal(err)
	}
	if rc.Accepted != 2 || rc.Rejected != 3 || len(rc.Exceptions) != 3 || rc.RequestID != "Atrace" {
		t.Errorf("receipt %+v", rc)
	}
	for i, ordinal := range []int64{0, 2, 4} {
		if e := rc.Exceptions[i]; e.Ordinal != ordinal || e.Code != "META-VALUE" || e.Outcome != activation.Rejected {
			t.Errorf("exception %+v", e)
		}
	}
	golden(t, "add_some_values", n.calls[0])
	rc, err = m.Deliver(context.Background(), valued(activation.OpAdd, "", ""))
	if err != nil || rc.Rejected != 2 || rc.Accepted != 0 || len(n.calls) != 1 {
		t.Errorf("nobody with a value: %+v %v, %d calls", rc, err, len(n.calls))
	}
}

func TestAmount(t *testing.T) {
	for in, want := range map[string]string{
		"12": "12", " 12.50 ": "12.5", "0": "0", "-0": "0", "0.0": "0", "1.5e+03": "1500", "0.1234567": "0.123457", "100": "100", ".5": "0.5",
		"1e15": "1000000000000000", "0.30000000000000004": "0.3",
		"": "", "-1": "", "1e16": "", "NaN": "", "inf": "", "0x10": "", "1,5": "", "1_000": "", "12 EUR": "", "e": "",
	} {
		if got := amount(in, nil); got != want {
			t.Errorf("amount(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestAmountIsANumberAndStaysIt: what comes out is a number of JSON near the one
// that went in, and comes out again as it is.
func TestAmountIsANumberAndStaysIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64Range(0, maxAmount).Draw(t, "n")
		got := amount(strconv.FormatFloat(n, rapid.SampledFrom([]byte("efg")).Draw(t, "form"), -1, 64), nil)
		var back float64
		if err := json.Unmarshal([]byte(got), &back); err != nil {
			t.Fatalf("%v is %q: %v", n, got, err)
		}
		if d := back - n; d > 1e-6 || d < -1e-6 {
			t.Fatalf("%v is %q", n, got)
		}
		if again := amount(got, nil); again != got {
			t.Fatalf("%q is %q the second time", got, again)
		}
	})
}

func FuzzAmount(f *testing.F) {
	for _, in := range []string{"1", "-0", "1e3", ".", "0x1p-2", "9e14", "e-5"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := amount(in, nil)
		if got == "" {
			return
		}
		if !json.Valid([]byte(got)) || amount(got, nil) != got || got[0] == '-' {
			t.Errorf("%q is %q", in, got)
		}
	})
}

// TestFurtherKeysLeaveSetsAlone: a mapping that was there before LOOKALIKE_VALUE
// has the same set, so nobody's keys are taken away and sent again.
func TestFurtherKeysLeaveSetsAlone(t *testing.T) {
	mapping := map[string]string{"EMAIL": "email", "FN": "first", "MADID": "device"}
	now := RuleSet()
	before := matchkey.RuleSet{Name: now.Name}
	for _, k := range now.Keys {
		if k.Name != keyValued {
			before.Keys = append(before.Keys, k)
		}
	}
	was, err := matchkey.NewSet(before, mapping, "DE")
	if err != nil {
		t.Fatal(err)
	}
	is, err := matchkey.NewSet(now, mapping, "DE")
	if err != nil || is.ID != was.ID {
		t.Errorf("the set was %s and is %s (%v)", was.ID, is.ID, err)
	}
	more := maps.Clone(mapping)
	more[keyValued] = "ltv"
	if is, err = matchkey.NewSet(now, more, "DE"); err != nil || is.ID == was.ID {
		t.Errorf("with values the set is %s still (%v)", is.ID, err)
	}
}
