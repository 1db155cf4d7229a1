package provider_test

import (
	"strings"
	"testing"
	"time"

	"usher/internal/matchkey"
	"usher/internal/provider"
)

// TestReferenceTellsWorkflowsApart has a provider whose workflows differ in all
// that may differ, and wants each difference on the page.
func TestReferenceTellsWorkflowsApart(t *testing.T) {
	d := provider.Definition{
		Name: "post", Title: "Post", DestinationType: "Post", Description: "Sends letters.", AccountHelp: "The box.",
		AuthFields:        []provider.Field{{Name: provider.PaceField, Type: "int", Help: "Pace."}},
		OAuth:             &provider.OAuth{Scopes: []string{"letters"}, RefreshLife: 365 * 24 * time.Hour},
		RequestsPerMinute: 300, MaxRows: 10, Concurrency: 2, Replay: provider.ReplayHarmless,
		RuleSet: matchkey.RuleSet{Name: "post/1", Keys: []matchkey.Key{{Name: "STREET", Identifies: true, Help: "Street."}}},
		Workflows: []provider.Workflow{
			{Name: "post_list", Title: "List", Direction: provider.Export, Kind: provider.State},
			{
				Name: "post_letter", Title: "Letter", Direction: provider.Export, Kind: provider.Event, Feed: provider.FeedStream,
				Events: []matchkey.Key{{Name: "text", Required: true, Help: "What is in it."}},
				Window: func(map[string]string, map[string]string) time.Duration { return 7 * 24 * time.Hour },
				Adjust: func(d *provider.Definition) {
					d.MaxRows, d.Replay, d.ReplayWindow, d.Async = 1, provider.ReplayDeduplicated, 48*time.Hour, true
					d.RuleSet.Name, d.RuleSet.Keys = "letter/1", []matchkey.Key{{Name: "NAME", Hash: true, Identifies: true, Help: "Name."}}
				},
			},
			{
				Name: "post_file", Title: "File", Direction: provider.Export, Kind: provider.State,
				Adjust: func(d *provider.Definition) {
					d.RuleSet, d.OpenColumns = matchkey.RuleSet{}, &provider.OpenColumns{Rules: "file/1"}
				},
			},
		},
		NewDestination: func(provider.Deps) (provider.Destination, error) { return nil, nil },
	}
	page := d.Reference()
	for _, want := range []string{
		"| Sign-in | OAuth 2.0 by an app of your own, scopes `letters`; somebody connects again within 365 days |",
		"| Calls per minute | at most 300 per authorization, or what its setting `requests_per_minute` says |",
		"|  | List | Letter | File |\n|---|---|---|---|",
		"| Takes | people: an audience is kept in step | the messages of a stream, each once | people: an audience is kept in step |",
		"| Rows per call | at most 10 | at most 1 | at most 10 |",
		"| Sent twice | the same as once; what is unknown is sent again by itself | dropped by the network within 2 days | the same as once",
		"| Members are kept | until they are removed |  | until they are removed |",
		"| Events are taken |  | until they are 7 days old |  |",
		"| Answers | at once | later; Usher asks for them | at once |",
		"### Event: Letter\n\n| Key | Required |",
		"| `text` | yes | no | no | What is in it. |",
		"### Match keys (post/1)\n\nFor List.\n",
		"### Match keys (letter/1)\n\nFor Letter.\n",
		"| `NAME` | yes | yes | Name. |",
		"### Columns of your own\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if d.RuleSet.Name != "post/1" || d.MaxRows != 10 {
		t.Error("writing the page changed the definition")
	}
	if t.Failed() {
		t.Log(page)
	}
}

// TestReferenceShowsWhatIsEdited has a publisher with all that a declaration may say,
// and wants it on the page.
func TestReferenceShowsWhatIsEdited(t *testing.T) {
	d := provider.Definition{Name: "paper", Description: "Prints.", Publishing: &provider.Publishing{
		Sync: "paper_sync", Post: "paper_post", AccountHelp: "The page.", MaxEdits: 50, Settles: 90 * time.Second, CostDays: 30,
		Fields: []provider.Field{{Name: "manager", Type: "string", Help: "Whose account it is."}},
		Objects: []provider.ObjectType{
			{Name: "ad set", Title: "Ad sets", Kind: "group", Creates: true, Deletes: true, Fields: []provider.ObjectField{
				{Name: "name", Type: "text", Max: 80, Required: true, Aliases: []string{"Ad set name", "Set"}, Help: "What people call it."},
				{Name: "status", Type: "select", Options: []string{"enabled", "paused"}, Operation: "status", Help: "Whether it runs."},
				{Name: "goal", Type: "text", Fixed: true, Help: "What for."},
			}},
			{Name: "ad", Title: "Ads", Kind: "creative", Parent: "ad set", Fields: []provider.ObjectField{
				{Name: "review", Type: "text", Shown: true, Help: "What the review says."},
				{Name: "set", Type: "object", Object: "ad set", Help: "Another one."},
			}},
		},
	}}
	page := d.Reference()
	for _, want := range []string{
		"| Account | The page. |",
		"| Jobs of an account | `paper_sync`, `paper_post` |",
		"| Edits per call | at most 50 |",
		"| A call without an answer | is read back after 90 seconds, and not sent again before |",
		"| Costs | the last 30 days are read again each night |",
		"### Publisher account\n\n",
		"| `manager` | string | no |  | Whose account it is. |",
		"### Object: Ad sets\n\nType `ad set`, posted as group. Can be created and deleted.\n",
		"| `name` | text, at most 80 characters | required | yes: edit | `Ad set name`, `Set` | What people call it. |",
		"| `status` | select: `enabled`, `paused` |  | yes: status |  | Whether it runs. |",
		"| `goal` | text |  | no: as created |  | What for. |",
		"Type `ad`, posted as creative. Lies in one of ad sets. Can be neither created nor deleted.\n",
		"| `review` | text | never given | no: only read |  | What the review says. |",
		"| `set` | id of one of ad sets |  | yes: edit |  | Another one. |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
