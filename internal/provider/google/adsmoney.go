package google

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

const microsPerUnit = 1_000_000

var adsAmountPattern = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,20})?$`)

// micros reads an amount and rounds it to a multiple of unit, halves up. ok is
// false for what is no amount, or rounds to nothing.
func micros(amount string, unit int64) (n int64, ok bool) {
	r, valid := new(big.Rat).SetString(amount)
	if !adsAmountPattern.MatchString(amount) || !valid || unit <= 0 {
		return 0, false
	}
	r.Mul(r, big.NewRat(microsPerUnit, unit))
	r.Add(r, big.NewRat(1, 2))
	units := new(big.Int).Quo(r.Num(), r.Denom())
	units.Mul(units, big.NewInt(unit))
	return units.Int64(), units.IsInt64() && units.Sign() > 0
}

// amount is the text of micros: no zeros at its end, "" for none.
func amount(n int64) string {
	if n <= 0 {
		return ""
	}
	text := strconv.FormatInt(n/microsPerUnit, 10)
	if rest := n % microsPerUnit; rest > 0 {
		digits := strconv.FormatInt(microsPerUnit+rest, 10)[1:]
		text += "." + strings.TrimRight(digits, "0")
	}
	return text
}

// amountOf is the amount of micros as Google writes them, a number as text.
func amountOf(text string) string { return amount(int64Of(text)) }

// int64Of reads one of Google's 64-bit numbers, which are texts in JSON; 0 for what
// is none.
func int64Of(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// decimal is the shortest text of a number.
func decimal(v float64, bits int) string { return strconv.FormatFloat(v, 'f', -1, bits) }
