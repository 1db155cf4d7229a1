package activation

import "testing"

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "ann@example.com": "a•••@example.com", "Ánna": "Á•••", "+491511234": "+•••", "@": "•••", "M": "•••", "é": "•••",
		"a@b@secret": "a•••", "ana@x.com,bob@y.com": "a•••", "write to ana@x.com": "w•••", "\xff\xfe": "\xff•••", "@x.com": "@•••@x.com",
	} {
		if got := Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}
