package microsoft

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// amountPattern is a decimal without a sign.
var amountPattern = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,12})?$`)

// whole and thousandths are the currencies that have no cents, or more than a hundred
// of them (ISO 4217).
var (
	whole       = []string{"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
	thousandths = []string{"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
)

// decimals is how many digits behind the point an amount of the currency has.
func decimals(currency string) int {
	switch {
	case slices.Contains(whole, currency):
		return 0
	case slices.Contains(thousandths, currency):
		return 3
	}
	return 2
}

// amount is text as it can be billed in the currency, rounded half up.
func amount(text, currency string) (string, error) {
	if !amountPattern.MatchString(text) {
		return "", fmt.Errorf("%q is no amount such as 12.50", text)
	}
	r, _ := new(big.Rat).SetString(text)
	return plain(r.FloatString(decimals(currency))), nil
}

// plain takes zeros away that say nothing.
func plain(text string) string {
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// plainNumber is a number of JSON as canonical text.
func plainNumber(text string) string {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return ""
	}
	return plain(r.FloatString(6))
}

// micros are millionths of a decimal.
func micros(text string) (int64, error) {
	r, ok := new(big.Rat).SetString(text)
	if !ok || !amountPattern.MatchString(text) {
		return 0, fmt.Errorf("%d characters that are no amount", len(text))
	}
	r.Mul(r, big.NewRat(1_000_000, 1))
	n, ok := new(big.Int).SetString(r.FloatString(0), 10)
	if !ok || !n.IsInt64() {
		return 0, fmt.Errorf("an amount out of range")
	}
	return n.Int64(), nil
}
