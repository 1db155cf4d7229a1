package all

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/meta"
)

var update = flag.Bool("update", false, "write the generated part of the docs pages")

const (
	begin = "<!-- generated from the definition: begin -->\n"
	end   = "<!-- generated from the definition: end -->\n"
)

// TestPagesAreCurrent compares the generated part of docs/providers with the
// definitions.
func TestPagesAreCurrent(t *testing.T) {
	for _, d := range Definitions() {
		path := filepath.Join("..", "..", "..", "docs", "providers", d.Name+".md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		head, rest, ok := strings.Cut(string(text), begin)
		got, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("%s has no generated part", path)
			continue
		}
		want := "\n" + d.Reference() + "\n"
		if *update {
			if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
				t.Error(err)
			}
			got = want
		}
		if got != want {
			t.Errorf("%s is not what the definition says: run go test ./internal/provider/all -update", path)
		}
	}
}

func TestDefinitionsAreWhole(t *testing.T) {
	names, workflows := map[string]bool{}, map[string]bool{}
	for _, d := range Definitions() {
		if names[d.Name] || d.Name == "" || d.Title == "" || d.Description == "" || len(d.Workflows) == 0 {
			t.Errorf("%s: a name that is there once, a title, a description and a workflow are needed", d.Name)
		}
		names[d.Name] = true
		fields := slices.Concat(d.AuthFields, d.DestinationFields)
		for _, w := range d.Workflows {
			if workflows[w.Name] || w.Name == "" || w.Title == "" || w.Description == "" || !slices.Contains(provider.Directions, w.Direction) || w.Subject == "" {
				t.Errorf("%s: workflow %q needs a name that is there once, a title, a description, a direction and a subject", d.Name, w.Name)
			}
			if !w.RealTime && !w.Scheduled && !w.Once {
				t.Errorf("%s: workflow %q can't start", d.Name, w.Name)
			}
			if (w.Direction == provider.Export) != (w.Kind != "") || (w.Direction == provider.Export && d.NewDestination == nil) || (w.Direction == provider.Alerting && d.NewAlert == nil) {
				t.Errorf("%s: workflow %q has no kind or no constructor", d.Name, w.Name)
			}
			workflows[w.Name] = true
			fields = append(fields, w.Fields...)
		}
		for _, f := range fields {
			checkField(t, d.Name, f)
		}
		if d.NewDestination == nil {
			continue
		}
		if d.DestinationType == "" {
			t.Errorf("%s: what a destination must say is missing", d.Name)
		}
		checkRules(t, d.Name, d)
		for _, w := range d.Workflows {
			checkExport(t, d, w)
		}
	}
}

// checkExport looks at what the definition is for one of its workflows.
func checkExport(t *testing.T, d provider.Definition, w provider.Workflow) {
	t.Helper()
	if w.Direction != provider.Export {
		return
	}
	of := d.For(w.Name)
	if of.Replay == "" || of.MaxRows <= 0 || of.Concurrency <= 0 {
		t.Errorf("%s: what a destination must say is missing", w.Name)
	}
	if (of.Replay == provider.ReplayDeduplicated) != (of.ReplayWindow > 0) {
		t.Errorf("%s: a replay window goes with deduplication", w.Name)
	}
	checkRules(t, w.Name, of)
	if w.Kind == provider.Event && (of.Lists || of.Sizes || of.Replaces) {
		t.Errorf("%s: events have no members", w.Name)
	}
	if w.Kind == provider.State {
		if w.Feed != "" || len(w.Events) > 0 || w.Window != nil {
			t.Errorf("%s: a feed, keys of events and a window go with events", w.Name)
		}
		return
	}
	if w.Feed != provider.FeedStream && w.Feed != provider.FeedAudience {
		t.Errorf("%s: feed %q is unknown", w.Name, w.Feed)
	}
	for _, k := range w.Events {
		if k.Name == "" || k.Help == "" || k.Normalize == nil {
			t.Errorf("%s: event key %q lacks name, help or normaliser", w.Name, k.Name)
		}
		i := slices.IndexFunc(w.Fields, func(f provider.Field) bool { return f.Name == k.Name })
		switch {
		case i < 0 || w.Fields[i].Type != "column":
			t.Errorf("%s: event key %s has no setting of its name and of type column", w.Name, k.Name)
		case k.Required && !w.Fields[i].Required && w.Fields[i].Default == "":
			t.Errorf("%s: event key %s is required and its setting is neither required nor has a default", w.Name, k.Name)
		}
	}
	for _, f := range w.Fields {
		if f.Type == "column" && !slices.ContainsFunc(w.Events, func(k matchkey.Key) bool { return k.Name == f.Name }) {
			t.Errorf("%s: the setting %s feeds no key", w.Name, f.Name)
		}
	}
}

// TestConversionAudiences: each workflow of conversions says which workflow keeps
// its audience, and gives it settings that this one has and takes.
func TestConversionAudiences(t *testing.T) {
	const agreed = "accepted by ana at 2026-11-22T08:00:00Z"
	for _, tc := range []struct {
		workflow, audience string
		job                map[string]string
		event              string
		wanted             bool
		settings           map[string]string
	}{
		{"meta_offline_conversion", "meta_custom_audience", nil, "Purchase", true, map[string]string{"data_processing_options": "off"}},
		{"meta_offline_conversion", "meta_custom_audience", map[string]string{"event_name": `"Lead"`, "data_processing_options": "LDU", "data_processing_options_country": "1"}, "Lead", true, map[string]string{"data_processing_options": "LDU", "data_processing_options_country": "1"}},
		{"meta_offline_conversion", "meta_custom_audience", map[string]string{"event_name": "kind"}, "", true, nil},
		{"meta_offline_conversion", "meta_custom_audience", map[string]string{"event_name": `""`}, "", true, nil},
		{"meta_offline_conversion", "meta_custom_audience", map[string]string{"conversion_audience": "false"}, "Purchase", false, nil},
		{"meta_offline_conversion", "meta_custom_audience", map[string]string{"test_event_code": "TEST1"}, "Purchase", false, nil},
		{"google_offline_conversion", "google_customer_match", map[string]string{"conversion_action": "44"}, "44", false, nil},
		{"google_offline_conversion", "google_customer_match", map[string]string{"conversion_action": "44", "customer_match_terms": agreed}, "44", false, nil},
		{"google_offline_conversion", "google_customer_match", map[string]string{"conversion_action": "44", "conversion_audience": "true"}, "44", false, nil},
		{"google_offline_conversion", "google_customer_match", map[string]string{"conversion_action": "44", "conversion_audience": "true", "customer_match_terms": agreed}, "44", true, map[string]string{"customer_match_terms": agreed}},
		{"linkedin_conversion", "linkedin_dmp_segment", map[string]string{"conversion": "urn:lla:llaPartnerConversion:104"}, "104", false, nil},
		{"linkedin_conversion", "linkedin_dmp_segment", map[string]string{"conversion": "104", "conversion_audience": "true"}, "104", true, nil},
	} {
		i := slices.IndexFunc(Definitions(), func(d provider.Definition) bool { _, ok := d.Workflow(tc.workflow); return ok })
		d := Definitions()[i]
		w, _ := d.Workflow(tc.workflow)
		keeps, ok := d.Workflow(w.Converted.Workflow)
		if !ok || keeps.Name != tc.audience || keeps.Kind != provider.State {
			t.Errorf("%s is kept by %q", tc.workflow, w.Converted.Workflow)
		}
		if got := w.Converted.Event(tc.job); got != tc.event {
			t.Errorf("%s %v: the event is %q, want %q", tc.workflow, tc.job, got, tc.event)
		}
		settings, wanted := w.Converted.Settings(tc.job)
		if wanted != tc.wanted {
			t.Errorf("%s %v: wanted is %t", tc.workflow, tc.job, wanted)
		}
		for name, want := range tc.settings {
			if settings[name] != want {
				t.Errorf("%s %v: %s is %q, want %q", tc.workflow, tc.job, name, settings[name], want)
			}
		}
		for name := range settings {
			if !slices.ContainsFunc(keeps.Fields, func(f provider.Field) bool { return f.Name == name }) {
				t.Errorf("%s has no setting %s", keeps.Name, name)
			}
		}
		if wanted && keeps.Fits != nil {
			if err := keeps.Fits(settings, nil); err != nil {
				t.Errorf("%s does not take the settings: %v", keeps.Name, err)
			}
		}
		if w.Fits != nil && tc.job["conversion_audience"] == "true" && (w.Fits(tc.job, nil) == nil) != tc.wanted {
			t.Errorf("%s %v: it fits is %v", tc.workflow, tc.job, w.Fits(tc.job, nil))
		}
	}
	for _, d := range Definitions() {
		for _, w := range d.Workflows {
			if has := slices.ContainsFunc(w.Fields, func(f provider.Field) bool { return f.Name == provider.ConversionAudienceField }); has != (w.Converted != nil) {
				t.Errorf("%s: the setting of a conversion audience goes with one", w.Name)
			}
		}
	}
}

func TestConfiguredSetsTheLargestRequest(t *testing.T) {
	d := meta.Definition()
	for value, want := range map[string]int64{"": 1_000_000, "200000": 200_000, "x": 1_000_000, "-1": 1_000_000} {
		if got := d.Configured(map[string]string{provider.MaxBytesField: value}).MaxBytes; got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}

func checkField(t *testing.T, owner string, f provider.Field) {
	t.Helper()
	types := []string{"string", "bool", "int", "duration", "select", "url", "text", "list", "column", "agreement", "template"}
	switch {
	case f.Name == "" || f.Label == "" || f.Help == "":
		t.Errorf("%s: field %q lacks name, label or help", owner, f.Name)
	case !slices.Contains(types, f.Type):
		t.Errorf("%s: field %s is of unknown type %q", owner, f.Name, f.Type)
	case (f.Type == "select") != (len(f.Options) > 0):
		t.Errorf("%s: field %s: options go with select", owner, f.Name)
	case len(f.Options) > 0 && f.Default != "" && !slices.Contains(f.Options, f.Default):
		t.Errorf("%s: the default of %s is no option", owner, f.Name)
	case f.Secret && (f.Default != "" || f.Example != ""):
		t.Errorf("%s: secret %s has a default or an example", owner, f.Name)
	case f.Required && f.Default != "":
		t.Errorf("%s: %s is required and has a default", owner, f.Name)
	}
}

func checkRules(t *testing.T, owner string, d provider.Definition) {
	t.Helper()
	rs := d.RuleSet
	if d.OpenColumns != nil {
		if len(rs.Keys) > 0 || !strings.HasPrefix(d.OpenColumns.Rules, d.Name+"/") {
			t.Errorf("%s: columns of people's own choosing go without keys, and are named network/version", owner)
		}
		return
	}
	if !strings.HasPrefix(rs.Name, d.Name) || !strings.Contains(rs.Name, "/") {
		t.Errorf("%s: rule set %q is not named network/version", owner, rs.Name)
	}
	if !slices.ContainsFunc(rs.Keys, func(k matchkey.Key) bool { return k.Identifies }) {
		t.Errorf("%s: no key identifies", owner)
	}
	for _, k := range rs.Keys {
		if k.Name == "" || k.Help == "" || k.Normalize == nil {
			t.Errorf("%s: key %q lacks name, help or normaliser", owner, k.Name)
		}
	}
}
