package meta

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestMoney(t *testing.T) {
	for _, tc := range []struct{ currency, amount, units, back string }{
		{"EUR", "12.50", "1250", "12.5"},
		{"USD", "0.01", "1", "0.01"},
		{"USD", "0.005", "1", "0.01"},
		{"USD", "0.0049", "0", "0"},
		{"USD", "10", "1000", "10"},
		{"USD", "999999999999999.99", "99999999999999999", "999999999999999.99"},
		{"JPY", "1250", "1250", "1250"},
		{"JPY", "0.5", "1", "1"},
		{"KRW", "1000.4", "1000", "1000"},
		{"VND", "25000", "25000", "25000"},
		// These have hundredths elsewhere, and none at Meta.
		{"COP", "12.5", "13", "13"},
		{"CRC", "12", "12", "12"},
		{"HUF", "500", "500", "500"},
		{"IDR", "15000", "15000", "15000"},
		{"TWD", "30", "30", "30"},
		// These have three decimals elsewhere, and two at Meta.
		{"BHD", "1.005", "101", "1.01"},
		{"JOD", "1.234", "123", "1.23"},
		{"KWD", "0.5", "50", "0.5"},
	} {
		units, ok := toUnits(tc.amount, tc.currency)
		back, ok2 := fromUnits(units, tc.currency)
		if !ok || !ok2 || units != tc.units || back != tc.back {
			t.Errorf("%s %s: %q and back %q, want %q and %q", tc.amount, tc.currency, units, back, tc.units, tc.back)
		}
	}
	for _, bad := range []string{"", "-1", "+1", "1,5", "1e3", "1/2", ".5", "5.", "0x10", " 1", "Inf", "1000000000000000000"} {
		if units, ok := toUnits(bad, "EUR"); ok {
			t.Errorf("%q became %q", bad, units)
		}
	}
	for _, bad := range []string{"", "-5", "1.5", "x"} {
		if got, ok := fromUnits(bad, "EUR"); ok {
			t.Errorf("%q became %q", bad, got)
		}
	}
	for text, want := range map[string]int64{"12.345678": 12_345_678, "0": 0, "3": 3_000_000, "0.0000005": 1} {
		if got, ok := micros(text); !ok || got != want {
			t.Errorf("%s: %d micros, want %d", text, got, want)
		}
	}
}

// TestMoneyComesBack: what the currency can hold is kept, and what it can't is off
// by no more than half a unit.
func TestMoneyComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		currency := rapid.SampledFrom([]string{"EUR", "JPY", "BHD", "COP"}).Draw(t, "currency")
		milli := rapid.Int64Range(0, 1_000_000_000).Draw(t, "thousandths")
		units, ok := toUnits(fmt.Sprintf("%d.%03d", milli/1000, milli%1000), currency)
		if !ok {
			t.Fatal("it is no amount")
		}
		per := unitsIn(currency)
		var n int64
		if _, err := fmt.Sscan(units, &n); err != nil {
			t.Fatal(err)
		}
		if off := n*1000 - milli*per; off > 500 || off <= -500 {
			t.Fatalf("%d thousandths are %d units", milli, n)
		}
		text, _ := fromUnits(units, currency)
		if again, ok := toUnits(text, currency); !ok || again != units {
			t.Fatalf("%s is %s and then %s", units, text, again)
		}
	})
}
