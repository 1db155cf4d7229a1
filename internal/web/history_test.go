package web

import (
	"testing"

	"usher/internal/activation"
	"usher/internal/delivery"
)

func TestPushedWords(t *testing.T) {
	two := []delivery.Pushed{
		{Run: activation.Run{Number: 7}, Counts: activation.Counts{Staged: 1, Omitted: 1200}},
		{Counts: activation.Counts{Staged: 2}, Withheld: "run #5 sent a part of this period"},
	}
	for want, got := range map[string]string{
		"There are 3 conversions of the period, from before the job began, and 1,200 left out because they are too old or name nobody. Run #7 sends them. Run #5 sent a part of this period.": pushedWords(two, false),
		"It would send 1 conversion of the period, from before the job began, and 0 left out because they are too old or name nobody.":                                                        pushedWords([]delivery.Pushed{{Counts: activation.Counts{Staged: 1}}}, true),
	} {
		if got != want {
			t.Errorf("it says\n%s\nwant\n%s", got, want)
		}
	}
}
