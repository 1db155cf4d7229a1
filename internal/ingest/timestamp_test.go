package ingest

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTime(t *testing.T) {
	tests := []struct {
		in    string
		order dateOrder
		want  string // RFC 3339, or a reason
	}{
		{"2026-01-02T03:04:05Z", "", "2026-01-02T03:04:05Z"},
		{"2026-01-02t03:04:05z", "", "2026-01-02T03:04:05Z"},
		{"2026-01-02T03:04:05.123456789+01:30", "", "2026-01-02T01:34:05.123456Z"},
		{"2026-01-02T03:04:05-0800", "", "2026-01-02T11:04:05Z"},
		{"2026-01-02 03:04:05 +02", "", "2026-01-02T01:04:05Z"},
		{"2026-01-02 03:04:05 UTC", "", "2026-01-02T03:04:05Z"},
		{"2026-01-02 03:04", "", "2026-01-02T03:04:00Z"},
		{" 2026-01-02 ", "", "2026-01-02T00:00:00Z"},
		{"2026/1/2", "", "2026-01-02T00:00:00Z"},
		{"2026.01.02", "dmy", "2026-01-02T00:00:00Z"},
		{"2024-02-29", "", "2024-02-29T00:00:00Z"},
		{"0001-01-01", "", "0001-01-01T00:00:00Z"},
		{"9999-12-31T23:59:59.9Z", "", "9999-12-31T23:59:59.9Z"},
		{"5/14/1965", "mdy", "1965-05-14T00:00:00Z"},
		{"04/08/1966", "mdy", "1966-04-08T00:00:00Z"},
		{"04/08/1966", "dmy", "1966-08-04T00:00:00Z"},
		{"14.05.1965", "dmy", "1965-05-14T00:00:00Z"},
		{"04-08-1966 5:06 PM", "mdy", "1966-04-08T17:06:00Z"},
		{"4/8/1966 12:00:30 am", "mdy", "1966-04-08T00:00:30Z"},
		{"4/8/1966 12:00:30PM", "mdy", "1966-04-08T12:00:30Z"},
		{"1700000000", "", "2023-11-14T22:13:20Z"},
		{"1700000000.25", "", "2023-11-14T22:13:20.25Z"},
		{"100000000", "", "1973-03-03T09:46:40Z"},
		{"1700000000123", "", "2023-11-14T22:13:20.123Z"},
		{"1700000000123456", "", "2023-11-14T22:13:20.123456Z"},
		{"Mon, 02 Jan 2006 15:04:05 GMT", "", "2006-01-02T15:04:05Z"},
		{"Mon, 02 Jan 2006 15:04:05 -0700", "", "2006-01-02T22:04:05Z"},
		{"14 May 1965", "", "1965-05-14T00:00:00Z"},
		{"May 14, 1965 3:04 PM", "", "1965-05-14T15:04:00Z"},
		{"2-Jan-2006 15:04", "", "2006-01-02T15:04:00Z"},

		{"", "", "the time is empty"},
		{"   ", "", "the time is empty"},
		{"04/08/1966", "", declareIt},
		{"14/05/1965", "", declareIt},
		{"04/08/1966", "ymd", orderIsLast},
		{"04/08/66", "mdy", twoDigits},
		{"66/08/04", "ymd", twoDigits},
		{"14/05/1965", "mdy", outOfRange},
		{"2026-02-29", "", outOfRange},
		{"2026-13-01", "", outOfRange},
		{"2026-00-01", "", outOfRange},
		{"0000-01-01", "", outOfRange},
		{"0001-01-01T00:00+01:00", "", outOfRange},
		{"2026-01-02T24:00:00Z", "", outOfRange},
		{"2026-01-02T23:59:60Z", "", outOfRange},
		{"2026-01-02 13:00 PM", "", outOfRange},
		{"2026-01-02T03:04:05+16:00", "", outOfRange},
		{"2026-01-02T03:04:05 EST", "", notATime},
		{"2026-01-02T03:04:05+1:00", "", notATime},
		{"2026-01-02T03:04:05Zx", "", notATime},
		{"2026-01-02T", "", notATime},
		{"2026-01-02T3", "", notATime},
		{"2026-01-02x03:04", "", notATime},
		{"2026-01/02", "", notATime},
		{"12345-01-02", "", notATime},
		{"966-01-02", "", notATime},
		{"yesterday", "", notATime},
		{"Mon, 02 Jan 2006 15:04:05 EST", "", notATime},
		{"-5", "", notATime},
		{"20260102", "", badUnix},
		{"0", "", badUnix},
		{"0170000000", "", badUnix},
		{"12345678901", "", badUnix},
		{"12345678901234567", "", badUnix},
		{"99999999999999999999999", "", badUnix},
	}
	for _, tt := range tests {
		micros, reason := parseTime([]byte(tt.in), tt.order)
		got := reason
		if reason == "" {
			got = time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)
		}
		if got != tt.want {
			t.Errorf("parseTime(%q, %q) = %s, want %s", tt.in, tt.order, got, tt.want)
		}
	}
}

// Every time written in any of the formats is read back as itself.
func TestParseTimeReadsWhatIsWritten(t *testing.T) {
	layouts := map[string]dateOrder{
		time.RFC3339Nano: "", "2006-01-02 15:04:05.999999": "", "2006-1-2T15:04:05.999999Z07:00": "",
		"1/2/2006 15:04:05.999999": monthFirst, "02.01.2006 3:04:05.999999 PM": dayFirst, "2006/01/02 15:04:05.999999 -0700": yearFirst,
	}
	rapid.Check(t, func(t *rapid.T) {
		first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
		last := time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC).UnixMicro()
		want := rapid.Int64Range(first, last).Draw(t, "micros")
		for layout, order := range layouts {
			text := time.UnixMicro(want).UTC().Format(layout)
			if got, reason := parseTime([]byte(text), order); reason != "" || got != want {
				t.Fatalf("parseTime(%q, %q) = %d, %s; want %d", text, order, got, reason, want)
			}
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"2026-01-02T03:04:05.5+01:00", "5/14/1965 3:04 PM", "1700000000123", "1700000000.5", "2 Jan 2006", "0001-01-01T00:00+15:59", "9/9/9999"} {
		f.Add([]byte(s), "mdy")
		f.Add([]byte(s), "dmy")
	}
	f.Fuzz(func(t *testing.T, text []byte, order string) {
		micros, reason := parseTime(text, dateOrder(order))
		if reason != "" {
			return
		}
		if year := time.UnixMicro(micros).UTC().Year(); year < 1 || year > 10000 {
			t.Errorf("parseTime(%q) is in year %d", text, year)
		}
		if want, err := time.Parse(time.RFC3339Nano, string(text)); err == nil && want.UnixMicro() != micros {
			t.Errorf("parseTime(%q) = %d, RFC 3339 says %d", text, micros, want.UnixMicro())
		}
	})
}
