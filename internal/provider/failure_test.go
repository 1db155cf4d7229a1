package provider_test

import (
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

func TestFailures(t *testing.T) {
	busy := provider.Fails("X-BUSY", activation.Unavailable, "x is busy")
	if e := busy.New(); e.Code != "X-BUSY" || e.Kind != activation.Unavailable || e.Message != "x is busy" || e.MayHaveApplied {
		t.Errorf("%+v", e)
	}
	if e := busy.New("code 7", "SLOW_DOWN"); e.Message != "x is busy (code 7, SLOW_DOWN)" {
		t.Error(e.Message)
	}
	if got := provider.Codes([]provider.Failure{busy, {Code: "X-ROW"}}); !slices.Equal(got, []string{"X-BUSY", "X-ROW"}) {
		t.Error(got)
	}
}

// TestOnlyOf: what may be somebody's is not let through.
func TestOnlyOf(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "Abc-19": true, "12345678": true, "123456789": false, "a@b": false, "a b": false, "a.b": false, "ä": false, "a\x00": false, "<b>": false,
	} {
		if got := provider.OnlyOf(text, 8, provider.UpperCase, provider.LowerCase, provider.Digits, "-"); (got == text) != want || !want && got != "" {
			t.Errorf("%q became %q", text, got)
		}
	}
}
