package delivery

import (
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

func TestJudgeSize(t *testing.T) {
	t.Parallel()
	h := warehouse.Holdings{In: 100, Maybe: 5, Refused: 50, Shared: 3}
	for _, c := range []struct {
		name string
		size provider.Size
		want activation.ReconcileStatus
	}{
		{"exactly", provider.Size{Low: 100, High: 100}, activation.ReconcileEqual},
		{"those who are maybe as well", provider.Size{Low: 105, High: 105}, activation.ReconcileEqual},
		{"and those whose values others hold", provider.Size{Low: 108, High: 108}, activation.ReconcileEqual},
		{"one too many", provider.Size{Low: 109, High: 109}, activation.ReconcileDrifted},
		{"one too few", provider.Size{Low: 99, High: 99}, activation.ReconcileDrifted},
		{"between two numbers", provider.Size{Low: 90, High: 120}, activation.ReconcileEqual},
		{"between two numbers, both too small", provider.Size{Low: 50, High: 99}, activation.ReconcileDrifted},
		{"between two numbers, both too large", provider.Size{Low: 109, High: 200}, activation.ReconcileDrifted},
		{"few of them matched", provider.Size{Low: 10, High: 20, Matched: true}, activation.ReconcileEqual},
		{"none of them matched", provider.Size{Matched: true}, activation.ReconcileEqual},
		{"more matched than there are", provider.Size{Low: 109, High: 120, Matched: true}, activation.ReconcileDrifted},
		{"not told", provider.Size{Low: -1, High: -1}, activation.ReconcileUntold},
		{"at least so many", provider.Size{Low: 50, High: -1}, activation.ReconcileEqual},
		{"at least too many", provider.Size{Low: 109, High: -1}, activation.ReconcileDrifted},
		{"at most so many", provider.Size{Low: -1, High: 120}, activation.ReconcileEqual},
		{"nobody", provider.Size{}, activation.ReconcileDrifted},
	} {
		if got := judgeSize(h, c.size); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestNight(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		t.Helper()
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		at        time.Duration
		now, want string
	}{
		{3 * time.Hour, "2026-03-02T02:59:59Z", ""},
		{3 * time.Hour, "2026-03-02T03:00:00Z", "2026-03-02T03:00:00Z"},
		{3 * time.Hour, "2026-03-02T08:59:59Z", "2026-03-02T03:00:00Z"},
		{3 * time.Hour, "2026-03-02T09:00:00Z", ""},
		{3 * time.Hour, "2026-03-02T23:00:00-05:00", "2026-03-03T03:00:00Z"},
		{22 * time.Hour, "2026-03-02T01:00:00Z", "2026-03-01T22:00:00Z"},
		{24 * time.Hour, "2026-03-02T05:00:00Z", "2026-03-02T00:00:00Z"},
	} {
		d := New(Config{Settings: Settings{ReconcileAt: c.at}})
		var want time.Time
		if c.want != "" {
			want = at(c.want)
		}
		if got := d.night(at(c.now)); !got.Equal(want) {
			t.Errorf("at %s the night of %s began at %s, want %s", c.now, c.at, got, c.want)
		}
	}
	if d := New(Config{Settings: Settings{ReconcileAt: -1}}); !d.night(time.Now()).IsZero() {
		t.Error("there are nights where there are to be none")
	}
}
