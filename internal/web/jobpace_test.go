package web

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// steady are answers for rows each, every gap, until a moment before noon.
func steady(n int, rows int64, gap, ago time.Duration) []answered {
	var out []answered
	for i := range n {
		out = append(out, answered{noon.Add(-ago - time.Duration(n-1-i)*gap), rows})
	}
	return out
}

func TestEstimate(t *testing.T) {
	minute := noon.Add(-time.Minute)
	jerky := append(steady(4, 1000, 20*time.Second, 0), steady(3, 100, 20*time.Second, 10*time.Second)...)
	slower := append(steady(3, 1000, time.Second, 50*time.Second), steady(2, 10, 20*time.Second, 0)...)
	for name, c := range map[string]struct {
		pace pace
		want time.Duration
		rate float64
		ok   bool
	}{
		"steady":                     {pace{Now: noon, Since: noon.Add(-70 * time.Second), Answers: steady(20, 1000, 3500*time.Millisecond, 0), Left: 8619}, 30166500 * time.Microsecond, 285.714, true},
		"the wait is added":          {pace{Now: noon, Since: minute, Answers: steady(12, 500, 5*time.Second, 0), Left: 1000, Wait: 9 * time.Second}, 19 * time.Second, 100, true},
		"the first seconds":          {pace{Now: noon, Since: noon.Add(-4 * time.Second), Answers: steady(4, 1000, time.Second, 0), Left: 1000}, 0, 0, false},
		"just after them":            {pace{Now: noon, Since: noon.Add(-5 * time.Second), Answers: steady(5, 1000, time.Second, 0), Left: 1000}, time.Second, 1000, true},
		"nothing answered":           {pace{Now: noon, Since: minute, Left: 1000}, 0, 0, false},
		"nothing in the last minute": {pace{Now: noon, Since: noon.Add(-time.Hour), Answers: steady(9, 1000, time.Second, 2*time.Minute), Left: 1000}, 0, 0, false},
		"nothing left":               {pace{Now: noon, Since: minute, Answers: steady(12, 500, 5*time.Second, 0)}, 0, 0, false},
		"too jerky":                  {pace{Now: noon, Since: minute, Answers: jerky, Left: 1000}, 0, 0, false},
		"one burst is no jerk":       {pace{Now: noon, Since: minute, Answers: slower, Left: 10}, 24 * time.Second, 0.41667, true},
		"only the last minute":       {pace{Now: noon, Since: noon.Add(-time.Hour), Answers: append(steady(100, 9000, time.Second, 2*time.Minute), steady(13, 100, 5*time.Second, 0)...), Left: 600}, 30 * time.Second, 20, true},
	} {
		got, rate, ok := c.pace.estimate()
		if ok != c.ok || (got-c.want).Abs() > 50*time.Millisecond || math.Abs(rate-c.rate) > 0.01*c.rate+0.001 {
			t.Errorf("%s: %v, %g, %v; want %v, %g, %v", name, got, rate, ok, c.want, c.rate, c.ok)
		}
	}
}

// TestEstimateProperty: whatever was answered, the slices hold no more rows than
// there were, and an estimate is the wait at least, and more of the rest is more.
func TestEstimateProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pace{Now: noon, Since: noon.Add(-time.Duration(rapid.IntRange(0, 200).Draw(t, "age")) * time.Second), Left: rapid.Int64Range(0, 1e6).Draw(t, "left"), Wait: time.Duration(rapid.IntRange(0, 90).Draw(t, "wait")) * time.Second}
		var rows int64
		for range rapid.IntRange(0, 60).Draw(t, "answers") {
			a := answered{noon.Add(-time.Duration(rapid.IntRange(0, 200000).Draw(t, "ago")) * time.Millisecond), rapid.Int64Range(1, 10000).Draw(t, "rows")}
			if a.At.Before(p.Since) {
				continue
			}
			p.Answers = append(p.Answers, a)
			rows += a.Rows
		}
		from := latest(noon.Add(-paceOver), p.Since)
		sum := 0.0
		for _, r := range p.rates(from) {
			if r < 0 || math.IsNaN(r) || math.IsInf(r, 0) {
				t.Fatalf("a rate of %g", r)
			}
			sum += r
		}
		var last time.Time
		for _, a := range p.Answers {
			last = latest(last, a.At)
		}
		if counted := sum * last.Sub(from).Seconds() / paceSlices; counted > float64(rows)*1.0001+0.001 {
			t.Fatalf("the slices hold %g rows of %d", counted, rows)
		}
		got, _, ok := p.estimate()
		if !ok {
			return
		}
		if got < p.Wait {
			t.Fatalf("%v is less than the wait of %v", got, p.Wait)
		}
		p.Left *= 2
		if more, _, _ := p.estimate(); more < got {
			t.Fatalf("twice the rows take %v instead of %v", more, got)
		}
	})
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1 s", 32 * time.Second: "32 s", 59400 * time.Millisecond: "59 s", 59600 * time.Millisecond: "1 min", 4 * time.Minute: "4 min", 59 * time.Minute: "59 min",
		time.Hour: "1 h", 68 * time.Minute: "1 h 10 min", 47 * time.Hour: "47 h", 50 * time.Hour: "2 days",
	} {
		if got := about(d); got != want {
			t.Errorf("about(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestPauseFor(t *testing.T) {
	for _, c := range []struct {
		text, zone string
		now        time.Time
		want       time.Duration
		ok         bool
	}{
		{"", "", noon, 0, true},
		{"1h", "", noon, time.Hour, true},
		{morning, "", noon, 20 * time.Hour, true},
		{morning, "Europe/Berlin", noon, 19 * time.Hour, true},
		// The clocks go back in the night: an hour more until 08:00.
		{morning, "Europe/Berlin", time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC), 11 * time.Hour, true},
		{"-1h", "", noon, -time.Hour, false},
		{"9999h", "", noon, 9999 * time.Hour, false},
		{"soon", "", noon, 0, false},
	} {
		if got, ok := pauseFor(c.text, c.zone, c.now); got != c.want || ok != c.ok {
			t.Errorf("pauseFor(%q, %q, %v) = %v, %v; want %v, %v", c.text, c.zone, c.now, got, ok, c.want, c.ok)
		}
	}
	for _, o := range pauses("") {
		if _, ok := pauseFor(o.Value, "", noon); !ok {
			t.Errorf("the button %q says nothing", o.Text)
		}
	}
}

// TestWithheld: a button can be pressed in the states that the table of moves
// names, and says why not in all others.
func TestWithheld(t *testing.T) {
	for _, command := range activation.JobCommands {
		for _, state := range activation.JobStates {
			if command == activation.CommandKill {
				continue
			}
			why := withheld(command, state, 0)
			if taken := command.Check(state) == nil; taken != (why == "") {
				t.Errorf("%s in %s: %q, taken: %v", command, state, why, taken)
			}
			if command == activation.CommandRun && why == "" && withheld(command, state, 12) != "Run #12 is in progress" {
				t.Errorf("run in %s beside an open run", state)
			}
		}
	}
}

func TestAttempts(t *testing.T) {
	at := func(d time.Duration, event activation.LogEvent, code string, run int64) activation.LogEntry {
		return activation.LogEntry{At: noon.Add(d), Event: event, Code: code, Context: activation.LogContext{Run: run}}
	}
	got := attemptsOf([]activation.LogEntry{
		at(0, activation.LogError, "X", 1), at(30*time.Second, activation.LogError, activation.CodeStalled, 2), at(time.Minute+time.Second, activation.LogError, "X", 2),
		at(3*time.Minute, activation.LogError, "Y", 3), at(7*time.Minute, activation.LogError, "Y", 4), at(7*time.Minute, activation.LogFailed, "Y", 0),
	})
	want := []attempt{{1, noon, "X", ""}, {2, noon.Add(61 * time.Second), "X", "1 min"}, {3, noon.Add(3 * time.Minute), "Y", "2 min"}, {4, noon.Add(7 * time.Minute), "Y", "4 min"}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestColored(t *testing.T) {
	const text = `{"a": "x: \"1\"", "n": -1.5, "t": true, "l": ["b"]}`
	whole, classes := "", ""
	for _, c := range colored(text) {
		whole += c.Text
		classes += c.Class
	}
	if whole != text || classes != "kskn"+"kn"+"ks" {
		t.Errorf("%q, %q", whole, classes)
	}
}
