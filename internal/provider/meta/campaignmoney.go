package meta

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// whole are the currencies that Meta counts in whole units. It counts all others in
// hundredths, those with three decimals as well, and some of these have decimals
// elsewhere (docs/marketing-api/currencies, read 2026-11-22).
var whole = []string{"CLP", "COP", "CRC", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "TWD", "VND"}

// unitsIn is how many of Meta's units one of the currency has.
func unitsIn(currency string) int64 {
	if slices.Contains(whole, currency) {
		return 1
	}
	return 100
}

// amountPattern is an amount as it is kept: digits with a point.
var amountPattern = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,9})?$`)

// toUnits converts an amount. A half is rounded up. ok is false for what is no
// amount.
func toUnits(text, currency string) (units string, ok bool) {
	if !amountPattern.MatchString(text) {
		return "", false
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", false
	}
	return n.Mul(n, new(big.Rat).SetInt64(unitsIn(currency))).FloatString(0), true
}

// fromUnits converts back, without zeros at the end: 1250 hundredths are 12.5.
func fromUnits(units, currency string) (text string, ok bool) {
	n, ok := new(big.Int).SetString(units, 10)
	if !ok || n.Sign() < 0 {
		return "", false
	}
	per := unitsIn(currency)
	if per == 1 {
		return n.String(), true
	}
	return plain(new(big.Rat).SetFrac(n, big.NewInt(per)).FloatString(2)), true
}

// plain is a decimal without needless zeros.
func plain(text string) string {
	if !strings.Contains(text, ".") {
		return text
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// micros converts what Meta says was spent, a decimal in the currency itself.
func micros(text string) (int64, bool) {
	n, ok := new(big.Rat).SetString(text)
	if !ok || !amountPattern.MatchString(text) {
		return 0, false
	}
	out, ok := new(big.Int).SetString(n.Mul(n, big.NewRat(1_000_000, 1)).FloatString(0), 10)
	if !ok || !out.IsInt64() {
		return 0, false
	}
	return out.Int64(), true
}
