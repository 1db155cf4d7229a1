package meta

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// events are the words for what a conversion may follow, as insights have them, by
// those of attribution_spec (reference ad-campaign; business/help/460276478298895 says
// which windows there are). One that is not here is its own word in small letters.
var events = []struct{ ours, theirs string }{{"click", "CLICK_THROUGH"}, {"view", "VIEW_THROUGH"}, {"ev", "ENGAGED_VIDEO_VIEW"}}

// window is one of attribution_spec.
type window struct {
	Event string `json:"event_type"`
	Days  number `json:"window_days"`
}

// windows are an attribution setting, each event once, clicks before views.
type windows []window

var windowPattern = regexp.MustCompile(`^([1-9][0-9]{0,2})d_([a-z]+(?:_[a-z]+)*)$`)

// parseWindows reads 7d_click and 1d_view.
func parseWindows(words []string) (windows, bool) {
	var list windows
	for _, word := range words {
		m := windowPattern.FindStringSubmatch(strings.ToLower(word))
		if m == nil {
			return nil, false
		}
		days, _ := strconv.Atoi(m[1]) // three digits
		one := window{Event: strings.ToUpper(m[2]), Days: number(days)}
		for _, e := range events {
			if e.ours == m[2] {
				one.Event = e.theirs
			}
		}
		if slices.ContainsFunc(list, func(other window) bool { return other.Event == one.Event }) {
			return nil, false
		}
		list = append(list, one)
	}
	return list.inOrder(), len(list) > 0
}

func (l windows) inOrder() windows {
	slices.SortStableFunc(l, func(a, b window) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Days, b.Days))
	})
	return l
}

// rank is its place among the events that are known, behind them for another.
func (w window) rank() int {
	for i, e := range events {
		if e.theirs == w.Event {
			return i
		}
	}
	return len(events)
}

// String is the form in which it is kept.
func (l windows) String() string {
	words := make([]string, len(l))
	for i, w := range l {
		event := strings.ToLower(w.Event)
		if r := w.rank(); r < len(events) {
			event = events[r].ours
		}
		words[i] = fmt.Sprintf("%dd_%s", w.Days, event)
	}
	return strings.Join(words, ",")
}

// spec is the form in which Meta takes it.
func (l windows) spec() string {
	text, err := json.Marshal(l)
	if err != nil {
		return "[]" // words and numbers can be written
	}
	return string(text)
}

// readWindows reads what Meta says, nothing of what cannot be understood.
func readWindows(raw json.RawMessage) windows {
	var l windows
	if json.Unmarshal(raw, &l) != nil || slices.ContainsFunc(l, func(w window) bool { return w.Event == "" || w.Days < 0 }) {
		return nil
	}
	return l.inOrder()
}

// A floor of ROAS is counted in ten-thousandths (marketing-api/bidding/overview/
// bid-strategy): 15000 is 1.5.
const (
	floorUnits = 10_000
	leastFloor = floorUnits / 100
	mostFloor  = 1000 * floorUnits
)

// writeFloor makes bid_constraints of a floor, and the floor as it will be kept.
func writeFloor(text string) (constraints, kept string, ok bool) {
	n, ok := new(big.Rat).SetString(text)
	if !ok || !amountPattern.MatchString(text) {
		return "", "", false
	}
	units, err := strconv.ParseInt(n.Mul(n, big.NewRat(floorUnits, 1)).FloatString(0), 10, 64)
	if err != nil || units < leastFloor || units > mostFloor {
		return "", "", false
	}
	return `{"roas_average_floor":` + strconv.FormatInt(units, 10) + `}`, plain(big.NewRat(units, floorUnits).FloatString(4)), true
}

// readFloor reads it, "" where there is none.
func readFloor(raw json.RawMessage) string {
	var in struct {
		Floor number `json:"roas_average_floor"`
	}
	if json.Unmarshal(raw, &in) != nil || in.Floor <= 0 {
		return ""
	}
	return plain(big.NewRat(int64(in.Floor), floorUnits).FloatString(4))
}
