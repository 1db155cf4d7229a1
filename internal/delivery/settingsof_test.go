package delivery

import (
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// TestSettingsOf: the audience of a job's conversions is kept by its own settings,
// everything else by the job's.
func TestSettingsOf(t *testing.T) {
	t.Parallel()
	def := provider.Definition{Workflows: []provider.Workflow{
		{Name: "tell", Kind: provider.Event, Converted: &provider.Converted{
			Workflow: "keep", Settings: func(job map[string]string) (map[string]string, bool) {
				return map[string]string{"days": job["for"]}, true
			},
		}},
		{Name: "keep", Kind: provider.State},
	}}
	tells := activation.Job{Workflow: "tell", Config: map[string]string{"for": "30"}}
	keeps := activation.Job{Workflow: "keep", Config: map[string]string{"days": "9"}}
	for _, c := range []struct {
		name   string
		job    activation.Job
		target activation.Target
		want   string
	}{
		{"its conversions", tells, activation.Target{Workflow: "keep", Audience: "a"}, "30"},
		{"its events", tells, activation.Target{Workflow: "tell", Stream: "orders"}, ""},
		{"an audience that people keep", keeps, activation.Target{Workflow: "keep", Audience: "a"}, "9"},
	} {
		if got := settingsOf(def, c.job, c.target)["days"]; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestConversionAudienceIsNamed(t *testing.T) {
	t.Parallel()
	for event, slug := range map[string]string{
		"Purchase": "conversion-purchase", "Repeat Purchase/2": "conversion-repeat-purchase-2", "add_to_cart": "conversion-add_to_cart", "Käufe": "conversion-k-ufe",
		strings.Repeat("x", 99): "conversion-" + strings.Repeat("x", 52),
	} {
		a := conversionAudience(event)
		if a.Slug != slug || a.Name != "Conversion-"+event || a.Kind != activation.KindConversion {
			t.Errorf("%q: %+v", event, a)
		}
	}
}
