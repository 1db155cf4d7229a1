package linkedin

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// How the message of a refused batch of events names those at fault. Neither is
// on a public page; both are what senders have recorded.
var (
	// "…, indices [0, 3] (0-indexed)", with status 400.
	listPattern = regexp.MustCompile(`, indices \[([0-9]{1,6}(?:, ?[0-9]{1,6})*)\] \(0-indexed\)$`)
	// "Index: 0, ERROR :: /conversionValue/amount :: field is required…", a line for
	// each fault, with status 422. Further faults of the same event have no index.
	linePattern = regexp.MustCompile(`^(?:Index: ([0-9]{1,6}), )?ERROR :: /`)
)

// badIndices reads which of n events a refusal names, ascending. ok is false
// where the message is not wholly of one of the known forms: then nothing of it
// is believed.
func badIndices(status int, message string, n int) (bad []int, ok bool) {
	switch status {
	case http.StatusBadRequest:
		m := listPattern.FindStringSubmatch(message)
		if m == nil {
			return nil, false
		}
		for text := range strings.SplitSeq(m[1], ",") {
			bad = append(bad, number(strings.TrimSpace(text)))
		}
	case http.StatusUnprocessableEntity:
		for line := range strings.SplitSeq(strings.TrimSuffix(message, "\n"), "\n") {
			m := linePattern.FindStringSubmatch(line)
			if m == nil || m[1] == "" && len(bad) == 0 {
				return nil, false
			}
			if m[1] != "" {
				bad = append(bad, number(m[1]))
			}
		}
	}
	slices.Sort(bad)
	bad = slices.Compact(bad)
	if len(bad) == 0 || bad[len(bad)-1] >= n {
		return nil, false
	}
	return bad, true
}

// number reads up to six digits.
func number(text string) int {
	v, err := strconv.Atoi(text)
	if err != nil {
		return -1 // the patterns let digits through only
	}
	return v
}
