package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/provider"
)

// TestSchedules says what Meta is sent for what people write, and the one form in
// which it is kept; "" = it is refused without a call.
func TestSchedules(t *testing.T) {
	for text, want := range map[string]struct{ kept, sent string }{
		"mon-fri 09:00-17:00":            {"mon-fri 09:00-17:00", `[{"start_minute":540,"end_minute":1020,"days":[1,2,3,4,5],"timezone_type":"USER"}]`},
		"Sun 9-24, sat 9-24":             {"sat-sun 09:00-24:00", `[{"start_minute":540,"end_minute":1440,"days":[0,6],"timezone_type":"USER"}]`},
		"fri-mon 0-1 account":            {"mon fri-sun 00:00-01:00 account", `[{"start_minute":0,"end_minute":60,"days":[0,1,5,6],"timezone_type":"ADVERTISER"}]`},
		"tue 20-22 account,tue 08:00-10": {"tue 08:00-10:00,tue 20:00-22:00 account", `[{"start_minute":480,"end_minute":600,"days":[2],"timezone_type":"USER"},{"start_minute":1200,"end_minute":1320,"days":[2],"timezone_type":"ADVERTISER"}]`},
		"wed thu 8-9,fri 8-9":            {"wed-fri 08:00-09:00", `[{"start_minute":480,"end_minute":540,"days":[3,4,5],"timezone_type":"USER"}]`},
		"9-17":                           {}, "mon": {}, "mon 9": {}, "mon 17-9": {}, "mon 9-9": {}, "mon 09:30-10:30": {}, "mon 9-25": {}, "someday 9-10": {}, "mon-payday 9-10": {},
		"mon 9-10 viewer": {}, "account 9-10": {}, "mon 9-10,": {"mon 09:00-10:00", `[{"start_minute":540,"end_minute":600,"days":[1],"timezone_type":"USER"}]`}, "9-10 mon": {},
	} {
		p, n := openPublisher(t, answer{body: good})
		out, err := p.Post(context.Background(), []provider.Edit{editedSet("20", map[string]string{fieldSchedule: text})})
		if err != nil {
			t.Fatal(err)
		}
		if want.sent == "" {
			if o := out[0]; o.State != provider.EditRefused || o.Field != fieldSchedule || len(n.calls) > 0 {
				t.Errorf("%q: %+v", text, o)
			}
			continue
		}
		if kept := out[0].Values[fieldSchedule]; kept != want.kept && (kept != "" || text != want.kept) {
			t.Errorf("%q is kept as %q, want %q", text, kept, want.kept)
		}
		if got := spelled(n.calls); !strings.Contains(got, "= adset_schedule = "+want.sent+"\n") || !strings.Contains(got, `= pacing_type = ["day_parting"]`) {
			t.Errorf("%q: sent %s", text, got)
		}
		if got := readWeek(json.RawMessage(want.sent)).String(); got != want.kept {
			t.Errorf("%s is read as %q, want %q", want.sent, got, want.kept)
		}
	}
	p, n := openPublisher(t, answer{body: good})
	if out, err := p.Post(context.Background(), []provider.Edit{editedSet("20", nil, fieldSchedule)}); err != nil || out[0].State != provider.EditDone {
		t.Fatal(out, err)
	}
	if got := spelled(n.calls); !strings.Contains(got, "= adset_schedule = []\n") || !strings.Contains(got, `= pacing_type = ["standard"]`) {
		t.Errorf("taken away by %s", got)
	}
}

// TestScheduleRoundTrip: what is written is read back as it is kept, and what is kept
// says the same hours when it is written again.
func TestScheduleRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []string
		asked := map[[3]int]bool{} // day, hour, zone
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			from := rapid.IntRange(0, 22).Draw(t, "from")
			to := rapid.IntRange(from+1, 24).Draw(t, "to")
			zone := rapid.IntRange(0, 1).Draw(t, "zone")
			part := ""
			for _, day := range rapid.SliceOfN(rapid.IntRange(0, 6), 1, 7).Draw(t, "days") {
				part += weekdays[day] + " "
				for hour := from; hour < to; hour++ {
					asked[[3]int{day, hour, zone}] = true
				}
			}
			parts = append(parts, part+fmt.Sprintf("%d-%d", from, to)+strings.Repeat(" "+ofAccount, zone))
		}
		w, ok := parseWeek(parts)
		if !ok {
			t.Fatalf("%q is refused", parts)
		}
		again, ok := parseWeek(provider.List(w.String()))
		if !ok || again.String() != w.String() {
			t.Fatalf("%q is kept as %q, which is kept as %q", parts, w, again)
		}
		sent := written{form: url.Values{}, values: map[string]string{}}
		sent.setSchedule(w)
		back := readWeek(json.RawMessage(sent.form.Get("adset_schedule")))
		if back.String() != w.String() {
			t.Fatalf("%q is read back as %q", w, back)
		}
		got := map[[3]int]bool{}
		for _, h := range back {
			zone := 0
			if h.account {
				zone = 1
			}
			for day, on := range h.days {
				for hour := h.from / 60; on && hour < h.to/60; hour++ {
					got[[3]int{day, hour, zone}] = true
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(asked) {
			t.Fatalf("%q runs in other hours", parts)
		}
	})
}

// TestWindows: attribution settings and floors, as they are written, kept and sent.
func TestWindows(t *testing.T) {
	for text, want := range map[string]struct{ kept, sent string }{
		"7d_click":          {"7d_click", `[{"event_type":"CLICK_THROUGH","window_days":7}]`},
		"1d_view, 7d_Click": {"7d_click,1d_view", `[{"event_type":"CLICK_THROUGH","window_days":7},{"event_type":"VIEW_THROUGH","window_days":1}]`},
		"1d_ev":             {"1d_ev", `[{"event_type":"ENGAGED_VIDEO_VIEW","window_days":1}]`},
		"1d_something_new":  {"1d_something_new", `[{"event_type":"SOMETHING_NEW","window_days":1}]`},
		"7d_click,1d_click": {}, "click": {}, "0d_click": {}, "7_click": {}, "-7d_click": {}, "7d_": {},
	} {
		list, ok := parseWindows(provider.List(text))
		if ok != (want.sent != "") {
			t.Errorf("%q: %v", text, ok)
		}
		if ok && (list.String() != want.kept || list.spec() != want.sent || readWindows(json.RawMessage(list.spec())).String() != want.kept) {
			t.Errorf("%q: %s %s", text, list, list.spec())
		}
	}
	for text, want := range map[string][2]string{
		"1.5": {`{"roas_average_floor":15000}`, "1.5"}, "0.01": {`{"roas_average_floor":100}`, "0.01"}, "1000": {`{"roas_average_floor":10000000}`, "1000"},
		"1.23456": {`{"roas_average_floor":12346}`, "1.2346"}, "0.009": {}, "1000.1": {}, "-1": {}, "much": {}, "": {},
	} {
		sent, kept, ok := writeFloor(text)
		if ok != (want[0] != "") || sent != want[0] || kept != want[1] || ok && readFloor(json.RawMessage(sent)) != kept {
			t.Errorf("%q: %s %s %v", text, sent, kept, ok)
		}
	}
	for _, raw := range []string{``, `null`, `{}`, `[1]`, `"a"`, `[{"days":[7],"start_minute":0,"end_minute":60}]`, `[{"days":[],"start_minute":0,"end_minute":60}]`} {
		if w, l, f := readWeek(json.RawMessage(raw)), readWindows(json.RawMessage(raw)), readFloor(json.RawMessage(raw)); len(w) > 0 || l.String() != "" && raw[0] != '[' || f != "" {
			t.Errorf("%s is read as %v, %v and %q", raw, w, l, f)
		}
	}
}

// FuzzSchedule: whatever is written or told, nothing breaks, and what is taken has one
// form.
func FuzzSchedule(f *testing.F) {
	f.Add("mon-fri 09:00-17:00,sat 10-14 account", `[{"start_minute":540,"end_minute":1020,"days":[1,2],"timezone_type":"USER"}]`)
	f.Add("7d_click,1d_view", `[{"event_type":"CLICK_THROUGH","window_days":"7"}]`)
	f.Fuzz(func(t *testing.T, text, raw string) {
		if w, ok := parseWeek(provider.List(text)); ok {
			if again, ok := parseWeek(provider.List(w.String())); !ok || again.String() != w.String() {
				t.Errorf("%q is kept as %q, and that as %q", text, w, again)
			}
		}
		if l, ok := parseWindows(provider.List(text)); ok {
			if again, ok := parseWindows(provider.List(l.String())); !ok || again.String() != l.String() {
				t.Errorf("%q is kept as %q, and that as %q", text, l, again)
			}
		}
		_ = readWeek(json.RawMessage(raw)).String()
		_ = readWindows(json.RawMessage(raw)).String()
		_ = readFloor(json.RawMessage(raw))
	})
}
