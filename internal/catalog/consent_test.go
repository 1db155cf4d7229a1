package catalog_test

import (
	"net/url"
	"testing"

	"usher/internal/catalog"
)

func TestLocalPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/jobs": true, "/authorizations/new?provider=google&return=%2Fjobs%2Fnew%2Fx": true, "/a//b": true,
		"": false, "jobs": false, "//evil.example": false, "///evil.example": false, `/\evil.example`: false, "/\t/evil.example": false, "/a\r\nX: 1": false,
		"https://evil.example/": false, "javascript:alert(1)": false, "/%2Fevil.example": false, "/%5Cevil.example": false, "/a\x00": false,
	} {
		if got := catalog.LocalPath(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// FuzzLocalPath: whatever is local stays at the server when a browser resolves it.
func FuzzLocalPath(f *testing.F) {
	base, err := url.Parse("https://usher.example.com/oauth/return")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/jobs")
	f.Add(`/\evil.example`)
	f.Add("//evil.example")
	f.Fuzz(func(t *testing.T, path string) {
		if !catalog.LocalPath(path) {
			return
		}
		to, err := base.Parse(path)
		if err != nil || to.Host != base.Host || to.Scheme != base.Scheme {
			t.Errorf("%q leads to %v (%v)", path, to, err)
		}
	})
}
