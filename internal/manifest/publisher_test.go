package manifest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/manifest"
	"usher/internal/provider"
	"usher/internal/provider/google"
	"usher/internal/publishing"
)

// adverts is a publisher, with a setting that is a secret and one that has a default.
func adverts() provider.Definition {
	name := provider.ObjectField{Name: activation.FieldName, Label: "Name", Type: "text"}
	status := provider.ObjectField{Name: activation.FieldStatus, Label: "Status", Type: "select", Options: []string{"enabled", "paused"}, Operation: activation.OpStatus}
	bid := provider.ObjectField{Name: activation.FieldBid, Label: "Bid", Type: "amount", Operation: activation.OpBid}
	return provider.Definition{
		Name: "adverts", AuthFields: []provider.Field{{Name: "key", Type: "string", Secret: true, Required: true}},
		Workflows: []provider.Workflow{{Name: "adverts_sync", Direction: provider.Editing, Scheduled: true}, {Name: "adverts_post", Direction: provider.Editing, RealTime: true}},
		Publishing: &provider.Publishing{
			Sync: "adverts_sync", Post: "adverts_post", AccountHelp: "The ten digits at the top right.",
			Fields: []provider.Field{{Name: "manager", Type: "int"}, {Name: "zone", Type: "select", Options: []string{"eu", "us"}, Default: "eu"}, {Name: "pin", Type: "string", Secret: true}},
			Objects: []provider.ObjectType{
				{Name: "budget", Kind: activation.KindOther, Fields: []provider.ObjectField{name}},
				{Name: "campaign", Kind: activation.KindCampaign, Fields: []provider.ObjectField{name, status}},
				{Name: "ad group", Kind: activation.KindGroup, Parent: "campaign", Fields: []provider.ObjectField{name, status, bid}},
				{Name: "keyword", Kind: activation.KindKeyword, Parent: "ad group", Fields: []provider.ObjectField{name, status, bid}},
			},
		},
	}
}

// opener opens accounts, but for "0", which it refuses, and "1", while it is down.
type opener struct {
	provider.Publisher
	account string
}

func (o opener) Check(context.Context) (provider.PublisherInfo, error) {
	switch o.account {
	case "0":
		return provider.PublisherInfo{}, &activation.Error{Kind: activation.Unauthorized, Code: "ADVERTS-AUTH", Message: "the key is not accepted"}
	case "1":
		return provider.PublisherInfo{}, &activation.Error{Kind: activation.Unavailable, Code: "ADVERTS-DOWN", Message: "answers 503"}
	}
	return provider.PublisherInfo{Name: "Shop", Currency: "EUR", Timezone: "Europe/Berlin"}, nil
}

// publishers are what the world's desk is made of.
func (w *world) publishers() publishing.Config {
	return publishing.Config{
		Store: w.store, Jobs: w.store, Providers: []provider.Definition{adverts(), google.Definition()}, Authorization: w.store.Authorization, Now: w.clock,
		Connect: func(_ context.Context, a activation.PublisherAccount) (provider.Publisher, provider.Definition, error) {
			return opener{account: a.Account}, adverts(), nil
		},
	}
}

// read makes a small structure that of an account, as a reading does.
func (w *world) read(t testing.TB, name string, gone ...string) {
	t.Helper()
	ctx := context.Background()
	a := w.account(t, name)
	p, err := w.store.TakePass(ctx, a.PostJob, "node", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	reading, err := w.store.BeginStructure(ctx, p, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	campaign := activation.ObjectRef{Kind: activation.KindCampaign, ID: "11"}
	var seen []activation.PublisherObject
	for _, o := range []activation.PublisherObject{
		{ObjectRef: campaign, Type: "campaign"},
		{ObjectRef: activation.ObjectRef{Kind: activation.KindCampaign, ID: "12"}, Type: "campaign"},
		{ObjectRef: activation.ObjectRef{Kind: activation.KindGroup, ID: "21"}, Type: "ad group", Parent: campaign},
		{ObjectRef: activation.ObjectRef{Kind: activation.KindOther, ID: "31"}, Type: "budget"},
	} {
		if o.Confirmed = map[string]string{"name": o.ID, "status": "enabled"}; !slices.Contains(gone, o.ID) {
			seen = append(seen, o)
		}
	}
	_, err = w.store.SaveStructure(ctx, p, a.ID, reading, seen)
	_, err2 := w.store.EndStructure(ctx, p, a.ID, reading, w.clock())
	p.Status = activation.RunCompleted
	if err := errors.Join(err, err2, w.store.FinishPass(ctx, p)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) account(t testing.TB, name string) activation.PublisherAccount {
	t.Helper()
	all, err := w.store.Publishers(context.Background())
	if i := slices.IndexFunc(all, func(a activation.PublisherAccount) bool { return a.Name == name }); err == nil && i >= 0 {
		return all[i]
	}
	t.Fatalf("there is no account %q: %v", name, err)
	return activation.PublisherAccount{}
}

// planned are the operations of an account that are still to be done, in words.
func (w *world) planned(t testing.TB, name string) []string {
	t.Helper()
	all, err := w.store.Schedules(context.Background(), w.account(t, name).ID)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range all {
		if !o.At.IsZero() {
			out = append(out, fmt.Sprintf("%s %s %s %v %d %s", o.Action, o.Object.Kind, o.Object.ID, o.Days, o.Hour, o.At.UTC().Format("01-02 15:04")))
		}
	}
	return out
}

// ads are an account with all that can be planned for it. It is Sunday, 12:00 UTC.
func ads() map[string]string {
	return map[string]string{"ads.yaml": `kind: bidding_strategy
publisher: Shop ads
name: Cheap clicks
target: 12.5
bids_of: group
within:
  - {kind: campaign, id: 11}
floor: 0.1
ceiling: 2
mode: traffic
overrides:
  - {id: "21", bid: 0.5, until: "2026-12-31"}
---
kind: bidding_strategy
publisher: Shop ads
name: Given
goal: given
bids_of: keyword
floor: 0.1
ceiling: 2
---
kind: publisher_schedule
publisher: Shop ads
object: {kind: campaign, id: 11}
operations:
  - {action: pause, days: [6, 5], hour: 22}
  - {action: resume, days: [1], hour: 6}
  - {action: pause, at: "2026-12-24T18:00:00+01:00"}
---
kind: job
name: Edits by file
workflow: sftp_publisher_upload
authorizations: [Files]
run_frequency: hourly
config: {folder: in, publisher: Shop ads}
---
kind: publisher
name: Shop ads
provider: adverts
authorization: Adverts
account: 123-456
config: {manager: 77}
`}
}

// TestPublishers: an account is linked at once, what is planned for its objects waits
// until they are read, and then everything is as it is declared.
func TestPublishers(t *testing.T) {
	w := newWorld(t, "Our Meta")
	brief := func(steps []manifest.Step) (out []string) {
		for _, s := range steps {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s:%d %s", s.Action, s.Name, s.File, s.Line, strings.Join(s.Changes, ","))))
		}
		return out
	}
	want := []string{
		"create Shop ads ads.yaml:37", "pending Shop ads/campaign 11 ads.yaml:22", "pending Shop ads/Cheap clicks ads.yaml:1", "create Shop ads/Given ads.yaml:14",
		"create Edits by file (sftp_publisher_upload) ads.yaml:30",
	}
	plan, err := w.Plan(t.Context(), ads())
	if err != nil || !slices.Equal(brief(plan), want) {
		t.Fatalf("the plan is %q, %v", brief(plan), err)
	}
	w.isEmpty()
	if got := brief(w.apply(ads())); !slices.Equal(got, want) {
		t.Errorf("did %q", got)
	}
	a := w.account(t, "Shop ads")
	if a.Account != "123-456" || a.NightlyAt != "20:00" || a.Timezone != "Europe/Berlin" || !maps.Equal(a.Config, map[string]string{"manager": "77", "zone": "eu"}) {
		t.Errorf("the account is %+v", a)
	}
	again := w.apply(ads())
	if count(again, manifest.Pending) != 2 || count(again, manifest.Unchanged) != 3 {
		t.Errorf("before the reading: %q", brief(again))
	}
	w.read(t, "Shop ads")
	if then := w.apply(ads()); count(then, manifest.Create) != 2 || count(then, manifest.Unchanged) != 3 {
		t.Errorf("after the reading: %q", brief(then))
	}
	if got, want := w.planned(t, "Shop ads"), []string{"resume campaign 11 [1] 6 11-23 05:00", "pause campaign 11 [5 6] 22 11-27 21:00", "pause campaign 11 [] 18 12-24 17:00"}; !slices.Equal(got, want) {
		t.Errorf("planned %q", got)
	}
	all, err := w.store.Strategies(t.Context(), a.ID)
	if err != nil || len(all) != 2 || all[0].Mode != "traffic" || all[0].Goal != "cpa" || len(all[0].Within) != 1 || all[0].Overrides[0].Object.Kind != activation.KindGroup || all[1].Mode != "preview" {
		t.Errorf("strategies %+v, %v", all, err)
	}
	if again := w.apply(ads()); count(again, manifest.Unchanged) != len(again) {
		t.Errorf("the apply after that changes something: %q", brief(again))
	}
	files, err := w.Export(t.Context())
	if err != nil || len(files["jobs/shop-ads.yaml"]) > 0 || !strings.Contains(files["jobs/edits-by-file.yaml"], "publisher: Shop ads\n") {
		t.Fatalf("the export is %v, %v", files, err)
	}
	if again := w.apply(files); count(again, manifest.Unchanged) != len(again) {
		t.Errorf("its own export changes something: %q", brief(again))
	}
	other := newWorld(t, "Our Meta")
	other.apply(files)
	other.read(t, "Shop ads")
	other.apply(files)
	if back, err := other.Export(t.Context()); err != nil || !maps.Equal(files, back) {
		t.Errorf("the export of the copy differs: %v\n%v\n%v", err, files, back)
	}
}

// TestPublisherChanges: what differs is named and only that is done; nothing but the
// list of an object's operations is shortened.
func TestPublisherChanges(t *testing.T) {
	w := newWorld(t, "Our Meta")
	w.apply(ads())
	w.read(t, "Shop ads")
	w.apply(ads())
	id := w.account(t, "Shop ads").ID
	pinned := w.account(t, "Shop ads")
	pinned.Config = map[string]string{"manager": "77", "zone": "eu", "pin": "4711"}
	if _, err := w.store.UpdatePublisher(t.Context(), pinned, "ann"); err != nil {
		t.Fatal(err)
	}
	replaced := func(pairs ...string) map[string]string {
		text := ads()["ads.yaml"]
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("there is no %q", pairs[i])
			}
			text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
		}
		return map[string]string{"ads.yaml": text}
	}
	for _, c := range []struct {
		files   map[string]string
		want    []string
		planned int
	}{
		{replaced("config: {manager: 77}", "nightly_at: \"04:30\"\nconfig: {manager: 78, zone: us}"), []string{"update Shop ads: config, nightly_at"}, 3},
		{ads(), []string{"update Shop ads: config, nightly_at"}, 3},
		{replaced("mode: traffic\n", "", "target: 12.5", "target: 13", "bids_of: group", "bids_of: keyword"), []string{"update Shop ads/Cheap clicks: target, bids_of, mode, overrides"}, 3},
		{ads(), []string{"update Shop ads/Cheap clicks: target, bids_of, mode, overrides"}, 3},
		{replaced("hour: 6", "hour: 7"), []string{"update Shop ads/campaign 11: operations"}, 3},
		{replaced("  - {action: resume, days: [1], hour: 6}\n", ""), []string{"update Shop ads/campaign 11: operations; 1 of the object's operations are taken away"}, 2},
		{replaced("days: [1], hour: 6", "days: [1], hour: 6, from: \"2027-01-01T00:00:00Z\""), []string{"update Shop ads/campaign 11: operations"}, 3},
		{map[string]string{"other.yaml": "kind: publisher_schedule\npublisher: Shop ads\nobject: {kind: campaign, id: 12}\noperations: [{action: pause, days: [7], hour: 3}]\n"}, []string{"create Shop ads/campaign 12: "}, 4},
		{map[string]string{"other.yaml": "kind: publisher_schedule\npublisher: Shop ads\nobject: {kind: campaign, id: 12}\noperations: []\n"}, []string{"update Shop ads/campaign 12: operations; 1 of the object's operations are taken away"}, 3},
	} {
		var got []string
		for _, s := range w.apply(c.files) {
			if s.Action != manifest.Unchanged {
				got = append(got, strings.TrimSuffix(fmt.Sprintf("%s %s: %s; %s", s.Action, s.Name, strings.Join(s.Changes, ", "), s.Note), "; "))
			}
		}
		if !slices.Equal(got, c.want) || len(w.planned(t, "Shop ads")) != c.planned {
			t.Errorf("did %q, want %q; planned are %q", got, c.want, w.planned(t, "Shop ads"))
		}
		if again := w.apply(c.files); count(again, manifest.Unchanged) != len(again) {
			t.Errorf("not settled after %q: %+v", c.want, again)
		}
	}
	if a := w.account(t, "Shop ads"); a.ID != id || a.Config["pin"] != "4711" {
		t.Errorf("the account is %+v", a)
	}
	if files, err := w.Export(t.Context()); err != nil || strings.Contains(files["publishers/shop-ads.yaml"], "4711") || !strings.Contains(files["publishers/shop-ads.yaml"], `from: "2027-01-04T06:00:00+01:00"`) {
		t.Errorf("the export is %v, %v", files, err)
	}
}

// TestPassingTime: what is done is not done again, what is overdue is no difference, and
// an object that is gone holds up no apply.
func TestPassingTime(t *testing.T) {
	w := newWorld(t, "Our Meta")
	w.apply(ads())
	w.read(t, "Shop ads")
	w.apply(ads())
	w.now = w.now.AddDate(0, 0, 40) // nothing was done meanwhile, as when the server was down
	if late := w.apply(ads()); count(late, manifest.Update) != 1 || late[1].Note != "1 of the object's operations are taken away" {
		t.Errorf("late: %+v", late)
	}
	again := w.apply(ads())
	if count(again, manifest.Unchanged) != len(again) || again[1].Note != "what is in the past is not done again" {
		t.Errorf("later: %+v", again)
	}
	w.read(t, "Shop ads", "11")
	again = w.apply(ads())
	if count(again, manifest.Unchanged) != len(again) || !strings.Contains(again[1].Note, "the publisher does not have it any more") {
		t.Errorf("gone: %+v", again)
	}
	if got := w.planned(t, "Shop ads"); !slices.Equal(got, []string{"resume campaign 11 [1] 6 11-23 05:00", "pause campaign 11 [5 6] 22 11-27 21:00"}) {
		t.Errorf("what was missed is not made up for: %q", got)
	}
	if files, err := w.Export(t.Context()); err != nil || strings.Contains(files["publishers/shop-ads.yaml"], "2026-12-24") {
		t.Errorf("the export is %v, %v", files, err)
	}
}

// TestPublisherProblems: what is wrong is named with its line, and nothing is stored.
func TestPublisherProblems(t *testing.T) {
	const mark = "mark-of-a-value"
	account := func(rest string) string {
		return "kind: publisher\nname: Other\nprovider: adverts\nauthorization: Adverts\n" + rest
	}
	schedule := func(op string) string {
		return "kind: publisher_schedule\npublisher: Shop ads\nobject: {kind: campaign, id: 12}\noperations:\n  - {action: pause, days: [1], hour: 1}\n  - " + op
	}
	strategy := func(rest string) string {
		return "kind: bidding_strategy\npublisher: Shop ads\nname: S\nfloor: 0.1\nceiling: 2\n" + rest
	}
	w := newWorld(t, "Our Meta")
	w.apply(ads())
	read := newWorld(t, "Our Meta")
	read.apply(ads())
	read.read(t, "Shop ads")
	for name, c := range map[string]struct {
		text, want string
		read       bool // it can be told only when the structure is read
	}{
		"no name":             {"kind: publisher\nprovider: adverts", "x.yaml:1: name is needed", false},
		"no authorization":    {strings.Replace(account("account: 9"), "Adverts", mark, 1), "x.yaml:4: authorization: there is no authorization of adverts", false},
		"no publisher":        {"kind: publisher\nname: N\nprovider: meta\nauthorization: Our Meta\naccount: 9", "x.yaml:3: provider: must be a publisher: one of adverts, google", false},
		"no account":          {account(""), "x.yaml:1: account: is needed, without spaces: The ten digits", false},
		"linked twice":        {account("account: 123-456"), "x.yaml:5: account: the account \"123-456\" is linked already", false},
		"other account":       {"kind: publisher\nname: Shop ads\nprovider: adverts\nauthorization: Adverts\naccount: " + mark, "x.yaml:5: account: can't be changed", false},
		"time of day":         {account("account: 9\nnightly_at: " + mark), "x.yaml:6: nightly_at: must be a time of day", false},
		"setting":             {account("account: 9\nconfig:\n  zone: " + mark), "x.yaml:7: config.zone: must be one of eu, us", false},
		"unknown setting":     {account("account: 9\nconfig:\n  zzz: " + mark), "x.yaml:7: config.zzz: is not a setting", false},
		"refused":             {account("account: 0"), "x.yaml:4: authorization: the key is not accepted", false},
		"down":                {account("account: 1"), "x.yaml:5: account: the publisher does not open it: answers 503", false},
		"object without id":   {"kind: publisher_schedule\npublisher: Shop ads\nobject: {kind: campaign}", "x.yaml:1: publisher and object, with its kind and id, are needed", false},
		"nobody's schedule":   {"kind: publisher_schedule\nobject: {kind: campaign, id: 1}\npublisher: " + mark, "x.yaml:3: publisher: there is no publisher account of this name", false},
		"action":              {schedule("{action: " + mark + ", days: [1], hour: 1}"), "x.yaml:6: operations.1.action: must be pause or resume", false},
		"day":                 {schedule("{action: pause, days: [8], hour: 1}"), "x.yaml:6: operations.1.days: must be from 1", false},
		"hour":                {schedule("action: pause\n    days: [1]\n    hour: 24"), "x.yaml:8: operations.1.hour: must be from 0 to 23", false},
		"no hour":             {schedule("{action: pause, days: [1]}"), "x.yaml:6: operations.1: needs an hour", false},
		"neither":             {schedule("{action: pause}"), "x.yaml:6: operations.1: needs days and hour, or at", false},
		"one key":             {schedule("action: pause"), "x.yaml:6: operations.1: needs days and hour, or at", false},
		"both":                {schedule("{action: pause, hour: 3, at: \"2027-01-01T00:00:00+01:00\"}"), "x.yaml:6: operations.1: needs days and hour, or at", false},
		"no time":             {schedule("{action: pause, at: " + mark + "}"), "x.yaml:6: operations.1.at: must be a time such as", false},
		"from when":           {schedule("{action: pause, days: [1], hour: 1, from: " + mark + "}"), "x.yaml:6: operations.1.from: must be a time such as", false},
		"off the hour":        {schedule("{action: pause, at: \"2027-01-01T00:30:00+01:00\"}"), "x.yaml:6: operations.1.at: must be on the hour in Europe/Berlin", false},
		"unknown kind":        {strings.Replace(schedule("{action: pause, days: [1], hour: 1}"), "campaign", mark, 1), "x.yaml:3: object: the account has no such object", false},
		"no status":           {strings.Replace(schedule("{action: pause, days: [1], hour: 1}"), "campaign, id: 12", "other, id: 31", 1), "x.yaml:3: object: has no status that can be changed", false},
		"no object":           {strings.Replace(schedule("{action: pause, days: [1], hour: 1}"), "12", "99", 1), "x.yaml:3: object: the account has no such object", true},
		"nobody's strategy":   {"kind: bidding_strategy\nname: S\npublisher: " + mark, "x.yaml:3: publisher: there is no publisher account of this name", false},
		"goal":                {strategy("bids_of: group\ngoal: " + mark), "x.yaml:7: goal: must be cpa, roas or given", false},
		"no target":           {strategy("bids_of: group"), "x.yaml:1: target: is needed", false},
		"bids of":             {strategy("target: 1\nbids_of: campaign"), "x.yaml:7: bids_of: must be group or keyword", false},
		"floor":               {strings.Replace(strategy("target: 1\nbids_of: group"), "0.1", "-1", 1), "x.yaml:4: floor: is needed", false},
		"mode":                {strategy("target: 1\nbids_of: group\nmode: " + mark), "x.yaml:8: mode: must be off, preview or traffic", false},
		"override":            {strategy("target: 1\nbids_of: group\noverrides: [{id: 21, bid: 3, until: " + mark + "}]"), "x.yaml:8: overrides: must be the last day", false},
		"within nothing":      {strategy("target: 1\nbids_of: group\nwithin: [{kind: campaign, id: 98}]"), "x.yaml:8: within: there is no campaign or group", true},
		"no such account":     {"kind: job\nname: J\nworkflow: sftp_publisher_upload\nauthorizations: [Files]\nrun_frequency: hourly\nconfig:\n  publisher: " + mark, "x.yaml:7: config.publisher: there is no publisher account of this name", false},
		"a job of an account": {"kind: job\nname: Shop ads\nworkflow: adverts_sync\nrun_frequency: daily", "x.yaml:3: workflow: comes with a publisher account", false},
		"two of one object":   {schedule("{action: pause, days: [1], hour: 1}\n---\n") + schedule("{action: pause, days: [1], hour: 1}"), "x.yaml:8: the publisher_schedule \"Shop ads/campaign 12\" is declared in x.yaml already", false},
	} {
		t.Run(name, func(t *testing.T) {
			in := w
			if c.read {
				in = read
			}
			before, err := in.Export(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			files := ads()
			if name == "other account" {
				files["ads.yaml"], _, _ = strings.Cut(files["ads.yaml"], "kind: publisher\n")
			}
			files["x.yaml"] = c.text
			_, err = in.Apply(t.Context(), files, "ann")
			if activation.KindOf(err) != activation.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v\nlacks %q", err, c.want)
			}
			if strings.Contains(err.Error(), mark) {
				t.Errorf("gives back a value: %v", err)
			}
			if after, err := in.Export(t.Context()); err != nil || !maps.Equal(before, after) {
				t.Errorf("something was stored: %v %v", after, err)
			}
		})
	}
}

// TestPage: the examples of the page, all together, apply and settle.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration-as-code.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for i, part := range strings.Split(string(page), "```yaml\n")[1:] {
		files[fmt.Sprint("example-", i+1, ".yaml")], _, _ = strings.Cut(part, "```")
	}
	w := newWorld(t, "Our Meta")
	first := w.apply(files)
	if len(files) != 3 || count(first, manifest.Pending) != 2 || count(first, manifest.Create)+count(first, manifest.Unchanged)+2 != len(first) {
		t.Errorf("%d examples: %+v", len(files), first)
	}
	w.read(t, "Shop on Google")
	if then := w.apply(files); count(then, manifest.Create) != 2 || count(then, manifest.Unchanged)+2 != len(then) {
		t.Errorf("after the reading: %+v", then)
	}
	if again := w.apply(files); count(again, manifest.Unchanged) != len(again) {
		t.Errorf("the examples do not settle: %+v", again)
	}
}

// TestRoundTrip: whatever is made by other ways, its export makes the same elsewhere, and
// changes nothing at home.
func TestRoundTrip(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // each fills two servers
		if err := f.Value.Set("15"); err != nil {
			t.Fatal(err)
		}
	}
	home, away := newWorld(t, "Our Meta"), newWorld(t, "Our Meta")
	ctx := context.Background()
	rapid.Check(t, func(r *rapid.T) {
		fill(r, home)
		files, err := home.Export(ctx)
		if err != nil {
			r.Fatal(err)
		}
		again, err := home.Apply(ctx, files, "ann")
		if err != nil || count(again, manifest.Unchanged) != len(again) {
			r.Fatalf("at home: %+v, %v", again, err)
		}
		for range 2 { // before and after the reading
			if _, err := away.Apply(ctx, files, "ann"); err != nil {
				r.Fatal(err)
			}
			all, err := away.store.Publishers(ctx)
			if err != nil {
				r.Fatal(err)
			}
			for _, a := range all {
				away.read(t, a.Name)
			}
		}
		back, err := away.Export(ctx)
		if err != nil || !maps.Equal(files, back) {
			r.Fatalf("the copy differs: %v\n%v\n%v", err, files, back)
		}
		for _, w := range []*world{home, away} {
			all, err := w.store.Publishers(ctx)
			if err != nil {
				r.Fatal(err)
			}
			for _, a := range all {
				if err := w.store.DeletePublisher(ctx, a.ID, "ann"); err != nil {
					r.Fatal(err)
				}
			}
		}
	})
}

// fill makes accounts with anything planned for them, by the use cases that the API has.
func fill(r *rapid.T, w *world) {
	ctx := context.Background()
	auths, err := w.store.Authorizations(ctx)
	if err != nil {
		r.Fatal(err)
	}
	auth := auths[slices.IndexFunc(auths, func(a activation.Authorization) bool { return a.Provider == "adverts" })].ID
	objects := rapid.SampledFrom([]activation.ObjectRef{{Kind: activation.KindCampaign, ID: "11"}, {Kind: activation.KindCampaign, ID: "12"}, {Kind: activation.KindGroup, ID: "21"}})
	name := rapid.StringOfN(rapid.RuneFrom([]rune("aé 'Z#:-{1")), 1, 8, -1).Filter(func(s string) bool { return strings.TrimSpace(s) == s })
	for i := range rapid.IntRange(0, 2).Draw(r, "accounts") {
		a, err := w.Desk.Link(ctx, publishing.AccountSpec{
			Name: fmt.Sprint(name.Draw(r, "name"), i), Provider: "adverts", Authorization: auth, Account: fmt.Sprint("12", i), NightlyAt: rapid.SampledFrom([]string{"", "04:30"}).Draw(r, "nightly"),
			Config: map[string]string{"manager": rapid.SampledFrom([]string{"", "7"}).Draw(r, "manager"), "zone": rapid.SampledFrom([]string{"", "eu", "us"}).Draw(r, "zone")},
		}, "ann")
		if err != nil {
			r.Fatal(err)
		}
		w.read(w.t, a.Name)
		for range rapid.IntRange(0, 5).Draw(r, "operations") {
			o := activation.ScheduledOperation{Publisher: a.ID, Object: objects.Draw(r, "object"), Action: rapid.SampledFrom([]string{"pause", "resume"}).Draw(r, "action")}
			if o.Days = rapid.SliceOfN(rapid.IntRange(1, 7), 0, 3).Draw(r, "days"); len(o.Days) > 0 {
				o.Hour = rapid.IntRange(0, 23).Draw(r, "hour")
			}
			if len(o.Days) == 0 || rapid.Bool().Draw(r, "later") {
				o.At = w.now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(r, "in")) * time.Hour)
			}
			if _, err := w.Desk.PutSchedule(ctx, o, "ann"); err != nil {
				r.Fatal(err)
			}
		}
		for n := range rapid.IntRange(0, 2).Draw(r, "strategies") {
			s := activation.Strategy{
				Publisher: a.ID, Name: fmt.Sprint(name.Draw(r, "strategy"), n), Goal: rapid.SampledFrom([]string{"cpa", "roas", "given"}).Draw(r, "goal"), Target: rapid.Float64Range(0.01, 1e6).Draw(r, "target"),
				Kind: activation.KindGroup, Within: rapid.SliceOfNDistinct(objects, 0, 2, rapid.ID).Draw(r, "within"), Floor: 0.01, Ceiling: rapid.Float64Range(0.02, 1e6).Draw(r, "ceiling"), Mode: rapid.SampledFrom([]string{"off", "preview", "traffic"}).Draw(r, "mode"),
			}
			if rapid.Bool().Draw(r, "override") {
				s.Overrides = []activation.BidOverride{{Object: activation.ObjectRef{Kind: activation.KindGroup, ID: "21"}, Bid: s.Ceiling, Until: "2026-12-31"}}
			}
			if _, err := w.Desk.PutStrategy(ctx, s, "ann"); err != nil {
				r.Fatal(err)
			}
		}
	}
}
