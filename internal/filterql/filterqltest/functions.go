package filterqltest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// near judges geodistance by the angle between two vectors from the middle of
// the Earth.
func near(here, there, km string) bool {
	a, ok := vector(here)
	b, _ := vector(there)
	most, err := strconv.ParseFloat(km, 64)
	if err != nil {
		panic("not a distance: " + km)
	}
	cross := math.Hypot(math.Hypot(a[1]*b[2]-a[2]*b[1], a[2]*b[0]-a[0]*b[2]), a[0]*b[1]-a[1]*b[0])
	return ok && 6371.0088*math.Atan2(cross, a[0]*b[0]+a[1]*b[1]+a[2]*b[2]) <= most
}

// vector is the point on a globe of radius 1 that a text names, if it does.
func vector(text string) (v [3]float64, ok bool) {
	parts := strings.Split(text, ",")
	if len(parts) != 2 {
		return v, false
	}
	var radians [2]float64
	for i, most := range []float64{90, 180} {
		number := strings.Trim(parts[i], " ")
		digits := strings.TrimLeft(number, "+-")
		before, after, broken := strings.Cut(digits, ".")
		degrees, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(before+after, "0123456789") != "" || before == "" || len(before) > 3 ||
			broken && (after == "" || len(after) > 20) || math.Abs(degrees) > most {
			return v, false
		}
		radians[i] = degrees * math.Pi / 180
	}
	sin, cos := math.Sincos(radians[0])
	east, north := math.Sincos(radians[1])
	return [3]float64{cos * north, cos * east, sin}, true
}

// within judges timewindow.
func (w World) within(v any, count, days string) bool {
	var least, window int
	if _, err := fmt.Sscan(count+" "+days, &least, &window); err != nil {
		panic("not a window: " + count + ", " + days)
	}
	from, found := w.Now.Add(-time.Duration(window)*24*time.Hour), 0
	texts, _ := v.([]string)
	times := []time.Time{}
	if at, one := v.(time.Time); one {
		times = append(times, at)
	}
	for _, text := range texts {
		if at, ok := instantOf(text); ok {
			times = append(times, at)
		}
	}
	for _, at := range times {
		if !at.Before(from) && !at.After(w.Now) {
			found++
		}
	}
	return found >= least
}

// instantOf reads a member of a set as a time.
func instantOf(text string) (time.Time, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strings.Trim(text, "0123456789") == "" {
		switch len(text) {
		case 9, 10, 11:
			return time.Unix(n, 0), true
		case 12, 13, 14:
			return time.UnixMilli(n), true
		}
		return time.Time{}, false
	}
	if len(text) > 10 && (len(text) < 16 || text[13] != ':') && strings.Trim(text[10:], "Z+-:0123456789") != "" || strings.Contains(text, ",") {
		return time.Time{}, false // Go reads 1:00 and a comma before the fraction too
	}
	for _, day := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		for _, zone := range []string{"", "Z", "-07:00", "-0700"} {
			if at, err := time.Parse(day+zone, text); err == nil {
				return at.Truncate(time.Microsecond), true
			}
		}
	}
	return time.Time{}, false
}
