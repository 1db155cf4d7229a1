package filterql

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds on the arguments of the functions.
const (
	// MaxDistanceKM is the largest distance of geodistance: half way round the Earth.
	MaxDistanceKM = 20_040
	// MaxWindowCount is the largest count of timewindow: as many values as a set has.
	MaxWindowCount = 1_000
	// MaxWindowDays is the longest window of timewindow.
	MaxWindowDays = 36_500
)

// earthRadiusKM is the mean radius of the Earth.
const earthRadiusKM = 6371.0088

// function compiles geodistance or timewindow on a column, given as SQL, that
// holds a value. The expression may be NULL where the value is no point or time.
func (c *compiler) function(n *Condition, t Type, column string) (string, error) {
	if n.Op == GeoDistance {
		return c.near(n, column)
	}
	return c.within(n, t, column)
}

// near is true where the text is a point at most so far from the point given.
func (c *compiler) near(n *Condition, column string) (string, error) {
	at, far := n.Values[0], n.Values[1]
	lat, lon, err := point(at)
	if err != nil {
		return "", err
	}
	km, ok := decimal(far.Text)
	if !ok || km <= 0 || km > MaxDistanceKM {
		return "", errorAt(far.Pos, "%q is no distance (use kilometres: more than 0, at most %d)", brief(far.Text), MaxDistanceKM)
	}
	params := make([]string, 3)
	for i, arg := range []float64{lat, lon, km} {
		if params[i], err = c.bind(at.Pos, arg, Number); err != nil {
			return "", err
		}
	}
	return c.forms.distance(column, params[0], params[1]) + " <= " + params[2], nil
}

// within is true where at least so many times lie in the days before now.
func (c *compiler) within(n *Condition, t Type, column string) (string, error) {
	count, err := whole(n.Values[0], "count", MaxWindowCount)
	if err != nil {
		return "", err
	}
	days, err := whole(n.Values[1], "number of days", MaxWindowDays)
	if err != nil {
		return "", err
	}
	if t == Time && count > 1 {
		return "", errorAt(n.Values[0].Pos, "field %q is time, which is one time: a count above 1 takes a set of times", brief(n.Field.Name()))
	}
	c.timeDependent = true
	until := c.opt.Now.UTC().Truncate(time.Microsecond)
	params := make([]string, 2)
	for i, at := range []time.Time{until.Add(-time.Duration(days) * 24 * time.Hour), until} {
		if params[i], err = c.bind(n.Values[1].Pos, at.UnixMicro(), Time); err != nil {
			return "", err
		}
	}
	if t == Time {
		return column + " BETWEEN " + c.forms.time(params[0]) + " AND " + c.forms.time(params[1]), nil
	}
	least, err := c.bind(n.Values[0].Pos, count, Integer)
	if err != nil {
		return "", err
	}
	return c.forms.setCount(column, func(x string) string {
		return c.forms.instant(x) + " BETWEEN " + params[0] + " AND " + params[1]
	}) + " >= " + least, nil
}

// point reads "latitude,longitude" in degrees.
func point(v Value) (lat, lon float64, err error) {
	first, second, two := strings.Cut(v.Text, ",")
	lat, ok := decimal(strings.TrimSpace(first))
	lon, ok2 := decimal(strings.TrimSpace(second))
	switch {
	case !two || !ok || !ok2:
		return 0, 0, errorAt(v.Pos, "%q is no point (use \"latitude,longitude\" in degrees, such as \"41.9,12.5\")", brief(v.Text))
	case math.Abs(lat) > 90:
		return 0, 0, errorAt(v.Pos, "the latitude %s is not between -90 and 90", brief(first))
	case math.Abs(lon) > 180:
		return 0, 0, errorAt(v.Pos, "the longitude %s is not between -180 and 180", brief(strings.TrimSpace(second)))
	}
	return lat, lon, nil
}

// decimal reads a number written with digits, a sign and a point alone.
func decimal(s string) (float64, bool) {
	if strings.Trim(s, "+-.0123456789") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// whole reads a whole number from 1 to most.
func whole(v Value, what string, most int64) (int64, error) {
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, errorAt(v.Pos, "%q is no %s (use a whole number from 1 to %d)", brief(v.Text), what, most)
	}
	return n, nil
}

// Patterns of the texts that geodistance and timewindow understand. Go and RE2
// read them alike.
const (
	pointPattern = ` *[+-]?[0-9]{1,3}([.][0-9]{1,20})? *, *[+-]?[0-9]{1,3}([.][0-9]{1,20})? *`
	// Unix time: seconds have 9 to 11 digits, milliseconds 12 to 14.
	secondsPattern = `[0-9]{9,11}`
	millisPattern  = `[0-9]{12,14}`
	// isoPattern captures the time without its offset, then sign, hours and
	// minutes of the offset.
	isoPattern = `([0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,9})?)?)?)(?:Z|([+-])(0[0-9]|1[0-4]):?([0-5][0-9]))?`
)

// duckDBDistance is the great-circle distance in km (haversine); NULL where the
// column holds no point. Out of range nothing may fail: a database is free to
// work it out for rows that another condition leaves out.
func duckDBDistance(column, lat, lon string) string {
	here := func(part int) string {
		return fmt.Sprintf("TRY_CAST(trim(split_part(%s, ',', %d)) AS DOUBLE)", column, part)
	}
	return fmt.Sprintf("CASE WHEN regexp_full_match(%[1]s, '%[2]s') AND abs(%[3]s) <= 90 AND abs(%[4]s) <= 180 THEN"+
		" 2 * %[7]v * asin(sqrt(greatest(0, least(1, pow(sin(radians(%[3]s - %[5]s) / 2), 2)"+
		" + cos(radians(%[5]s)) * cos(radians(%[3]s)) * pow(sin(radians(%[4]s - %[6]s) / 2), 2))))) END",
		column, pointPattern, here(1), here(2), lat, lon, earthRadiusKM)
}

// duckDBInstant is the Unix microseconds of a text, NULL where it is no time.
// DuckDB reads a timestamp without looking at its offset, so that is taken off here.
func duckDBInstant(text string) string {
	group := func(n int) string { return fmt.Sprintf("regexp_extract(%s, '%s', %d)", text, isoPattern, n) }
	return fmt.Sprintf("CASE WHEN regexp_full_match(%[1]s, '%[2]s') THEN TRY_CAST(%[1]s AS BIGINT) * 1000000"+
		" WHEN regexp_full_match(%[1]s, '%[3]s') THEN TRY_CAST(%[1]s AS BIGINT) * 1000"+
		" WHEN regexp_full_match(%[1]s, '%[4]s') THEN epoch_us(TRY_CAST(%[5]s AS TIMESTAMP))"+
		" - CASE %[6]s WHEN '' THEN 0 WHEN '-' THEN -60000000 ELSE 60000000 END * coalesce(TRY_CAST(%[7]s AS BIGINT) * 60 + TRY_CAST(%[8]s AS BIGINT), 0) END",
		text, secondsPattern, millisPattern, isoPattern, group(1), group(2), group(3), group(4))
}
