package schedule_test

import (
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

func BenchmarkNext(b *testing.B) {
	for name, s := range map[string]activation.Schedule{
		"daily":         daily("Europe/Berlin", "02:30"),
		"hourly":        {Continuous: true, Frequency: "hourly", Timezone: "Europe/Berlin"},
		"interval":      {Continuous: true, Frequency: "6h"},
		"cron":          cronAt("Europe/Berlin", "*/15 8-18 * * 1-5"),
		"cron leap day": cronAt("Europe/Berlin", "0 0 29 2 *"),
		"after 2037":    daily("America/New_York", "02:30"),
	} {
		from := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
		if name == "after 2037" {
			from = from.AddDate(30, 0, 0)
		}
		b.Run(name, func(b *testing.B) {
			s := normal(b, s)
			b.ReportAllocs()
			for b.Loop() {
				if schedule.Next(s, from).IsZero() {
					b.Fatal("never")
				}
			}
		})
	}
}

func BenchmarkNormalizeWrongZone(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		schedule.Normalize(activation.Schedule{Timezone: "America/New-Yrok"})
	}
}
