package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	cron "github.com/netresearch/go-cron"
	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// odd are zones with changes unlike Europe's: at midnight, of half an hour,
// over midnight, by a day, in the middle of Ramadan, and one without any.
var odd = []string{
	"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "America/Nuuk", "Pacific/Apia",
	"America/Havana", "America/St_Johns", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca", "Asia/Pyongyang",
	"America/Caracas", "Antarctica/Troll", "Asia/Gaza", "Pacific/Fakaofo", "America/Scoresbysund", "UTC",
}

var anyZone = rapid.OneOf(rapid.SampledFrom(odd), rapid.SampledFrom(schedule.Zones()))

// piece is a stretch of time with one offset: the clock shows instant+offset.
type piece struct{ start, end, offset int64 }

// pieces cuts the time between two instants, minute by minute where the offset
// changes. It asks the zone for offsets only, and shares nothing with the code.
func pieces(loc *time.Location, start, end time.Time) []piece {
	offset := func(at int64) int64 {
		_, o := time.Unix(at, 0).In(loc).Zone()
		return int64(o)
	}
	var all []piece
	add := func(from, to int64) {
		o := offset(from)
		if n := len(all); n > 0 && all[n-1].offset == o {
			all[n-1].end = to
			return
		}
		all = append(all, piece{from, to, o})
	}
	const hour, minute = 3600, 60
	for at := start.Unix(); at < end.Unix(); at += hour {
		if offset(at) == offset(at+hour) && offset(at) == offset(at+hour/2) {
			add(at, at+hour)
			continue
		}
		for m := at; m < at+hour; m += minute {
			add(m, m+minute)
		}
	}
	return all
}

// onceEach returns the instants at which a clock first shows each of the wall
// times, or something later; of days that the clock never shows, none.
func onceEach(all []piece, walls []int64) []int64 {
	const day = 86400
	shown := map[int64]bool{}
	for _, p := range all {
		for w := p.start + p.offset; w < p.end+p.offset; w += 900 {
			shown[w/day] = true
		}
		shown[(p.end+p.offset-1)/day] = true
	}
	var runs []int64
	for _, p := range all {
		for len(walls) > 0 && walls[0] < p.end+p.offset {
			if at := max(p.start, walls[0]-p.offset); shown[walls[0]/day] && (len(runs) == 0 || at > runs[len(runs)-1]) {
				runs = append(runs, at)
			}
			walls = walls[1:]
		}
	}
	return runs
}

// eachTime returns the instants at which a clock shows any of the wall times.
func eachTime(all []piece, walls []int64) []int64 {
	var runs []int64
	for _, p := range all {
		i, _ := slices.BinarySearch(walls, p.start+p.offset)
		for ; i < len(walls) && walls[i] < p.end+p.offset; i++ {
			runs = append(runs, walls[i]-p.offset)
		}
	}
	return runs
}

// pattern is a set of wall times: the minutes of the day, on some days.
type pattern struct {
	minutes [24 * 60]bool
	day     func(date time.Time) bool
}

// every is a pattern of all days.
func every(minute func(h, m int) bool) pattern {
	p := pattern{day: func(time.Time) bool { return true }}
	for i := range p.minutes {
		p.minutes[i] = minute(i/60, i%60)
	}
	return p
}

// matching returns the wall times of a span that match, in order.
func matching(all []piece, p pattern) []int64 {
	const day = 86400
	var walls []int64
	first, last := all[0].start+all[0].offset, all[len(all)-1].end+2*day
	for at := first - first%day; at < last; at += day {
		if !p.day(time.Unix(at, 0).UTC()) {
			continue
		}
		for m, is := range p.minutes {
			if w := at + int64(m)*60; is && w >= first {
				walls = append(walls, w)
			}
		}
	}
	return walls
}

// part draws some days out of many runs, most often with a change of the clock.
func part(t *rapid.T, all []piece, runs []int64, start, end time.Time) (from, to time.Time) {
	if len(runs) < 500 {
		return start, end
	}
	from = time.Unix(runs[rapid.IntRange(0, len(runs)-1).Draw(t, "part")], 0)
	if i := rapid.IntRange(0, len(all)-1).Draw(t, "change"); i > 0 {
		from = time.Unix(all[i].start, 0).AddDate(0, 0, -1)
	}
	if from.Before(start) {
		from = start
	}
	if to = from.AddDate(0, 0, 3); to.After(end) {
		to = end
	}
	return from, to
}

// compare takes every run between two instants and says what differs.
func compare(t *rapid.T, s activation.Schedule, start, end time.Time, want []int64) {
	at := start.Add(-1)
	for i, w := range want {
		if w < start.Unix() || w >= end.Unix() {
			continue
		}
		got := schedule.Next(s, at)
		if got.Unix() != w || got.Nanosecond() != 0 {
			t.Fatalf("%s: run %d after %s is at %s, want %s", schedule.Words(s), i, at, got, time.Unix(w, 0).UTC())
		}
		if again := schedule.Next(s, got.Add(-1)); !again.Equal(got) {
			t.Fatalf("%s: Next(Next-1ns) is %s, want %s", schedule.Words(s), again, got)
		}
		// The same from within the repeated hour, if there is one.
		for later := at.Add(30 * time.Minute); later.Before(got) && later.Before(at.Add(3*time.Hour)); later = later.Add(30 * time.Minute) {
			if again := schedule.Next(s, later); !again.Equal(got) {
				t.Fatalf("%s: after %s it is %s, want %s", schedule.Words(s), later, again, got)
			}
		}
		at = got
	}
	if got := schedule.Next(s, at); got.Before(end) {
		t.Fatalf("%s: a run too many at %s", schedule.Words(s), got)
	}
}

// span draws a year of a zone, and some days more on either side for the
// oracle to begin in.
func span(t *rapid.T) (zone string, loc *time.Location, start, end time.Time) {
	zone = anyZone.Draw(t, "zone")
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	start = time.Date(rapid.IntRange(1975, 2080).Draw(t, "year"), 1, 1, 0, 0, 0, 0, time.UTC)
	return zone, loc, start, start.AddDate(1, 0, 0)
}

// TestDailyOnceADay: on every day of any year in any zone exactly one run.
func TestDailyOnceADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, loc, start, end := span(t)
		if loc == time.UTC && rapid.Bool().Draw(t, "skip UTC") {
			return
		}
		h, m := rapid.IntRange(0, 23).Draw(t, "h"), rapid.IntRange(0, 59).Draw(t, "m")
		s := daily(zone, fmt.Sprintf("%02d:%02d", h, m))
		all := pieces(loc, start.AddDate(0, 0, -3), end.AddDate(0, 0, 3))
		walls := matching(all, every(func(wh, wm int) bool { return wh == h && wm == m }))
		want := onceEach(all, walls)
		compare(t, s, start, end, want)

		// Said otherwise: each day the clock shows has one run, on that day, or
		// at the midnight after it where the clock skips the end of the day.
		runs := map[string]int{}
		for _, run := range schedule.Upcoming(s, start, 300) {
			at := run.In(loc)
			if at.Hour() == 0 && at.Minute() == 0 && h >= 20 {
				at = at.Add(-1)
			}
			runs[at.Format(time.DateOnly)]++
		}
		for at := start.AddDate(0, 0, 2); at.Before(start.AddDate(0, 0, 290)); at = at.Add(time.Hour) {
			if n := runs[at.In(loc).Format(time.DateOnly)]; n != 1 {
				t.Fatalf("%s: %d runs on %s", schedule.Words(s), n, at.In(loc).Format(time.DateOnly))
			}
		}
	})
}

// TestHourlyEveryHour: at each instant whose minute it is, which is an hour
// after the one before unless the zone changes by part of an hour.
func TestHourlyEveryHour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, loc, start, end := span(t)
		m := rapid.IntRange(0, 59).Draw(t, "m")
		s := activation.Schedule{Continuous: true, Frequency: "hourly", TimeOfDay: fmt.Sprintf("00:%02d", m), Timezone: zone}
		all := pieces(loc, start.AddDate(0, 0, -3), end.AddDate(0, 0, 3))
		want := eachTime(all, matching(all, every(func(_, wm int) bool { return wm == m })))
		start, end = part(t, all, want, start, end)
		compare(t, s, start, end, want)
		whole := true
		for i := 1; i < len(all); i++ {
			whole = whole && (all[i].offset-all[i-1].offset)%3600 == 0
		}
		for i := 1; i < len(want); i++ {
			if gap := want[i] - want[i-1]; whole && gap != 3600 || gap < 600 || gap > 7200-600 {
				t.Fatalf("%s: %d seconds between two runs at %s", schedule.Words(s), gap, time.Unix(want[i], 0).UTC())
			}
		}
	})
}

// field is one field of a cron expression with what it means.
type field struct {
	text string
	set  map[int]bool
	free bool // * alone
}

// drawField draws a field. What it means is built beside the text and never
// read from it.
func drawField(t *rapid.T, name string, low, high int) field {
	f := field{set: map[int]bool{}}
	if rapid.IntRange(0, 2).Draw(t, name+" star") == 0 {
		for n := low; n <= high; n++ {
			f.set[n] = true
		}
		f.text, f.free = "*", true
		return f
	}
	var parts []string
	for range rapid.IntRange(1, 3).Draw(t, name+" parts") {
		a := rapid.IntRange(low, high).Draw(t, name+" from")
		b := rapid.IntRange(a, high).Draw(t, name+" to")
		step := rapid.IntRange(1, max(1, (b-a)/2)).Draw(t, name+" step")
		switch {
		case rapid.Bool().Draw(t, name+" one"):
			b, step = a, 1
			parts = append(parts, fmt.Sprint(a))
		case step == 1:
			parts = append(parts, fmt.Sprintf("%d-%d", a, b))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d/%d", a, b, step))
		}
		for n := a; n <= b; n += step {
			f.set[n] = true
		}
	}
	f.text = strings.Join(parts, ",")
	return f
}

// drawCron draws an expression and what it matches.
func drawCron(t *rapid.T) (text string, everyHour bool, p pattern) {
	minute, hour := drawField(t, "minute", 0, 59), drawField(t, "hour", 0, 23)
	day, month, weekday := drawField(t, "day", 1, 31), drawField(t, "month", 1, 12), drawField(t, "weekday", 0, 6)
	p = every(func(h, m int) bool { return hour.set[h] && minute.set[m] })
	p.day = func(date time.Time) bool {
		d, wd := day.set[date.Day()], weekday.set[int(date.Weekday())]
		if day.free || weekday.free {
			return month.set[int(date.Month())] && d && wd
		}
		return month.set[int(date.Month())] && (d || wd)
	}
	text = strings.Join([]string{minute.text, hour.text, day.text, month.text, weekday.text}, " ")
	return text, len(hour.set) == 24, p
}

// TestCronByBruteForce compares with every minute of the year, looked at.
func TestCronByBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, everyHour, p := drawCron(t)
		zone, loc, start, end := span(t)
		s, problems := schedule.Normalize(cronAt(zone, text))
		all := pieces(loc, start.AddDate(0, 0, -3), end.AddDate(0, 0, 3))
		walls := matching(all, p)
		if len(problems) > 0 {
			if len(walls) > 0 || !strings.HasPrefix(problems[0].Message, "never comes") {
				t.Fatalf("%s: %v", text, problems)
			}
			return
		}
		want := onceEach(all, walls)
		if everyHour {
			want = eachTime(all, walls)
		}
		start, end = part(t, all, want, start, end)
		compare(t, s, start, end, want)
	})
}

// TestCronAgreesWithTheLibrary where no clock is changed.
func TestCronAgreesWithTheLibrary(t *testing.T) {
	parser := cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom).WithMaxSearchYears(12)
	rapid.Check(t, func(t *rapid.T) {
		text, _, _ := drawCron(t)
		theirs, err := parser.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s, problems := schedule.Normalize(cronAt("", text))
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0).UTC()
		for range 50 {
			want := theirs.Next(at)
			if len(problems) > 0 {
				if !want.IsZero() {
					t.Fatalf("%s: %v, and yet it comes at %s", text, problems, want)
				}
				return
			}
			if got := schedule.Next(s, at); !got.Equal(want) {
				t.Fatalf("%s (%s) after %s: %s, and the library says %s", text, s.Frequency, at, got, want)
			}
			at = want
		}
	})
}
