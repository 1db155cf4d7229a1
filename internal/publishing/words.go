package publishing

import (
	"strconv"
	"strings"
)

// number writes 100000 as 100,000.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// count writes 1 and 2 with a word: "1 row", "2 rows".
func count(n int64, word string) string {
	if n != 1 {
		word += "s"
	}
	return number(n) + " " + word
}

// isAre writes "1 entry … is" and "2 entries … are" without the rest.
func isAre(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one + " is"
	}
	return number(n) + " " + many + " are"
}
