package matchkey

import (
	"strings"
	"testing"
)

func TestPublicID(t *testing.T) {
	for in, want := range map[string]string{
		" 8f14e45f-ceea ": "8f14e45f-ceea", "4155550100": "4155550100", "Ä 1": "Ä 1", "+": "+", "+1": "+1",
		"": "", "ann@example.com": "", "ann%40example.com": "ann%40example.com", "+1 (415) 555-0100": "", "+14155550100": "", "a\x00b": "", "\xff": "",
		strings.Repeat("x", MaxPublicID): strings.Repeat("x", MaxPublicID), strings.Repeat("x", MaxPublicID+1): "",
	} {
		if got := PublicID(in, nil); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzPublicID(f *testing.F) {
	f.Add(" +49 228 1 ")
	f.Fuzz(func(t *testing.T, in string) {
		out := PublicID(in, nil)
		if again := PublicID(out, nil); again != out || strings.Contains(out, "@") {
			t.Errorf("%q becomes %q", out, again)
		}
	})
}
