package schedule_test

import (
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"usher/internal/activation"
	"usher/internal/schedule"
)

func load(t testing.TB, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// instant reads "2026-03-29T01:00Z" or "2026-03-29T01:00:00Z".
func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// normal returns the normal form of a schedule that must be right.
func normal(t testing.TB, s activation.Schedule) activation.Schedule {
	t.Helper()
	n, problems := schedule.Normalize(s)
	if len(problems) > 0 {
		t.Fatalf("%+v: %v", s, problems)
	}
	return n
}

func daily(zone, at string) activation.Schedule {
	return activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: at, Timezone: zone}
}

func cronAt(zone, expression string) activation.Schedule {
	return activation.Schedule{Continuous: true, Frequency: expression, Timezone: zone}
}
