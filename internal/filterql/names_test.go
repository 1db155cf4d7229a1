package filterql

import (
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	f, err := Parse(`FILTER AND (country = "Germany", NOT INCLUDE vips, OR (age > 30, INCLUDE ` + "`long-term`" + `, country = "Austria"))`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Includes(), []string{"vips", "long-term"}; !slices.Equal(got, want) {
		t.Errorf("Includes = %q, want %q", got, want)
	}
	(*Filter)(nil).Rename(nil)
	f.Rename(func(name string) string { return map[string]string{"vips": "best"}[name] + "s" })
	if got, want := f.Includes(), []string{"bests", "s"}; !slices.Equal(got, want) {
		t.Errorf("renamed, Includes = %q, want %q", got, want)
	}
	if got, want := f.Fields(), []string{"country", "age"}; !slices.Equal(got, want) {
		t.Errorf("Fields = %q, want %q", got, want)
	}
}
