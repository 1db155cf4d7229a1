package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// secret is the value that every question asks for.
const secret = "Ann.Secret@example.com"

// world is what the tables say. The person is a member, was sent with run #12 and
// is in.
type world struct {
	target    activation.Target
	dest      activation.Destination
	auth      activation.Authorization
	job       activation.Job
	noJob     bool
	audiences map[activation.AudienceID]activation.Audience
	runs      []activation.Run
	items     []activation.Item
	receipt   activation.Receipt
	retry     string
	verdict   activation.GuardVerdict

	unknown bool
	person  warehouse.Person
	req     warehouse.PlanRequest
	events  bool
	planErr error
}

var day = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

func hours(n int) time.Time { return day.Add(time.Duration(n) * time.Hour) }

func newWorld() *world {
	return &world{
		target:    activation.Target{ID: "t", Destination: "d", Audience: "a", Job: "j", Generation: 1, State: activation.TargetRunnable},
		dest:      activation.Destination{ID: "d", Name: "Main account", Provider: "letters", Authorization: "x", Enabled: true},
		auth:      activation.Authorization{ID: "x", Label: "Our key", Status: activation.AuthHealthy},
		job:       activation.Job{ID: "j", Name: "Danes to Letters", State: activation.JobRunnable, StateSince: hours(-9)},
		audiences: map[activation.AudienceID]activation.Audience{"a": {ID: "a", Name: "Danes"}, "b": {ID: "b", Name: "Staff"}, "c": {ID: "c", Name: "Big spenders"}},
		runs:      []activation.Run{{ID: "r12", Number: 12, Target: "t", Status: activation.RunCompleted, Stage: activation.StageMembers, StartedAt: hours(1), StagedAt: hours(2), EndedAt: hours(3)}},
		items:     []activation.Item{{ID: "i", Run: "r12", Number: 3, Op: activation.OpAdd, First: 1, Last: 10, State: activation.ItemDelivered, UpdateAt: hours(3)}},
		req:       warehouse.PlanRequest{Keys: matchkey.Set{Keys: []matchkey.Key{{Name: "EMAIL"}}}},
		person: warehouse.Person{
			Profile: 17, Member: true, Changed: hours(0), Usable: true,
			Messages: []warehouse.PersonStream{{Stream: "customers", Messages: 2, LastTime: hours(-2), LastReceived: hours(-1)}},
			Keys: []warehouse.PersonKey{
				{Name: "EMAIL", Field: "email", Present: true, HasValue: true, Identifies: true},
				{Name: "PHONE", Field: "phone", Identifies: true},
				{Name: "COUNTRY", Field: "country"},
			},
			Ledger: []warehouse.PersonLedger{{State: "in", Current: true, DeliveredAt: hours(3)}},
			Staged: []warehouse.PersonStaged{{Run: "r12", Ordinal: 5, Op: activation.OpAdd, Phase: 1}},
		},
	}
}

func (w *world) Target(_ context.Context, id activation.TargetID) (activation.Target, error) {
	return w.target, found(id == w.target.ID)
}

func (w *world) Destination(_ context.Context, id activation.DestinationID) (activation.Destination, error) {
	return w.dest, found(id == w.dest.ID)
}

func (w *world) Audience(_ context.Context, id activation.AudienceID) (activation.Audience, error) {
	a, ok := w.audiences[id]
	return a, found(ok)
}

func (w *world) Job(_ context.Context, id activation.JobID) (activation.Job, error) {
	return w.job, found(id == w.job.ID && !w.noJob)
}

func (w *world) Authorization(_ context.Context, id activation.AuthorizationID) (activation.Authorization, error) {
	return w.auth, found(id == w.auth.ID)
}

func (w *world) Runs(_ context.Context, f store.RunFilter) ([]activation.Run, error) {
	if f.Target != w.target.ID || f.Limit <= 0 {
		return nil, fmt.Errorf("runs of %+v", f)
	}
	return w.runs, nil
}

func (w *world) Items(_ context.Context, run activation.RunID) ([]activation.Item, error) {
	return slices.DeleteFunc(slices.Clone(w.items), func(it activation.Item) bool { return it.Run != run }), nil
}

func (w *world) Receipts(context.Context, activation.RunID) (map[activation.ItemID][]activation.Receipt, error) {
	return map[activation.ItemID][]activation.Receipt{"i": {{Exceptions: []activation.Exception{{Ordinal: 4, Outcome: activation.Unsent}}}, w.receipt}}, nil
}

func (w *world) RetryVerdict(context.Context, activation.RunID) (bool, string, error) {
	return w.retry == "", w.retry, nil
}

func (w *world) LastVerdict(context.Context, activation.TargetID) (activation.GuardVerdict, error) {
	return w.verdict, nil
}

func (w *world) Find(_ context.Context, field, value string) (warehouse.Profile, error) {
	if field != "email" {
		return warehouse.Profile{}, &activation.Error{Kind: activation.Invalid, Code: "SCHEMA", Field: field, Message: "the field is not an identifier"}
	}
	return warehouse.Profile{ID: 17, Values: map[string]any{"email": value}}, found(!w.unknown)
}

func (w *world) Explain(_ context.Context, _ warehouse.PlanRequest, profile int64, runs []activation.RunID) (warehouse.Person, error) {
	if profile != 17 || len(runs) != len(w.runs) {
		return warehouse.Person{}, fmt.Errorf("asked for profile %d in %v", profile, runs)
	}
	return w.person, nil
}

func (w *world) AsPlanned(context.Context, activation.Target) (warehouse.PlanRequest, bool, error) {
	return w.req, w.events, w.planErr
}

func found(ok bool) error {
	if !ok {
		return fmt.Errorf("it: %w", activation.ErrNotFound)
	}
	return nil
}

func (w *world) explainer() *Explainer {
	return &Explainer{Store: w, Warehouse: w, Planner: w, Providers: []provider.Definition{{Name: "letters", Title: "Letters"}}, Page: func(code string) string { return "page-of-" + code }}
}

// notSent takes the person out of the rows and the ledger.
func (w *world) notSent() {
	w.person.Ledger, w.person.Staged = nil, nil
}

// answered makes the item end so, with the person not in the ledger.
func (w *world) answered(state activation.ItemState) *activation.Item {
	w.person.Ledger = nil
	w.items[0].State = state
	return &w.items[0]
}

// receives makes the network say this of the person's row.
func (w *world) receives(outcome activation.Outcome, code string) {
	w.person.Ledger = nil
	w.receipt.Exceptions = []activation.Exception{{Ordinal: 3, Outcome: activation.Rejected, Code: "OTHER-001"}, {Ordinal: 4, Outcome: outcome, Code: code}}
}

func (w *world) stream() {
	w.events, w.target.Audience, w.target.Stream = true, "", "orders"
	w.person.Messages[0].Stream, w.person.Ledger, w.person.Member = "orders", nil, false
}

var cases = []struct {
	name  string
	given func(w *world)
	// cause is the name of the step that is one, "" = synced; says is in its text,
	// code is its code. summary is in the summary, and also in the text of any step.
	cause, says, code, summary, also string
}{
	{name: "accepted", given: func(*world) {}, summary: "Yes: Letters has this person in “Danes” since 3 November 2026, 12:00 UTC.", also: "Letters took the person, with item 3 of run #12."},
	{name: "nobody has that value", given: func(w *world) { w.unknown = true }, cause: "Message", says: "Nobody is known by this email"},
	{name: "never a member", given: func(w *world) { w.notSent(); w.person.Member, w.person.Changed = false, time.Time{} }, cause: "Audience", says: "never was"},
	{name: "left, and was removed", given: func(w *world) {
		w.person.Member, w.person.Ledger, w.person.Staged[0].Op = false, nil, activation.OpRemove
	}, cause: "Audience", says: "left “Danes” on 3 November 2026, 09:00 UTC", also: "Letters removed the person, with item 3 of run #12."},
	{name: "left, and is there yet", given: func(w *world) { w.person.Member, w.person.Ledger[0].State = false, "maybe" }, cause: "Audience", summary: "Not for long: Letters still has"},
	{name: "left what nobody is taken from", given: func(w *world) { w.person.Member, w.req.Keep = false, true }, cause: "Audience", summary: "nobody is taken away there"},
	{name: "being given up", given: func(w *world) { w.req.Nobody = true }, cause: "Audience", says: "being given up"},
	{name: "held out", given: func(w *world) { w.notSent(); w.person.HeldOut, w.req.Holdout = true, &warehouse.Holdout{Percent: 12.5} }, cause: "Holdout", says: "12.5 % of “Danes”"},
	{name: "excluded", given: func(w *world) { w.notSent(); w.person.ExcludedBy = []activation.AudienceID{"b", "c", "gone"} }, cause: "Exclusion", says: "in “Staff”, “Big spenders” and an audience that was deleted"},
	{name: "outranked", given: func(w *world) {
		w.notSent()
		w.person.ExcludedBy, w.person.OutrankedBy = []activation.AudienceID{"c"}, []activation.AudienceID{"c"}
	}, cause: "Priority", says: "goes to “Big spenders” instead, which comes before “Danes” in a priority list of Main account"},
	{name: "there when the job began", given: func(w *world) { w.notSent(); w.person.Begun = true }, cause: "Beginning", says: "only who comes later"},
	{name: "no usable key", given: func(w *world) {
		w.notSent()
		w.person.Usable, w.person.Keys[0].Present = false, false
	}, cause: "Keys", says: "nothing is known of phone (PHONE) and what is known of email (EMAIL) does not have the form"},
	{name: "one key is not usable", given: func(w *world) { w.person.Keys[1].HasValue = true }, also: "Letters can find the person by EMAIL; what is known of phone (PHONE)"},
	{name: "the mapping fits no run", given: func(w *world) {
		w.notSent()
		w.person.Keys, w.person.Usable = nil, false
		w.planErr = &activation.Error{Kind: activation.Invalid, Code: "MAPPING", Message: "the mapping does not fit"}
	}, cause: "Keys", says: "the mapping does not fit", code: "MAPPING"},
	{name: "destination off", given: func(w *world) { w.notSent(); w.dest.Enabled = false }, cause: "Delivery", says: "switched off"},
	{name: "authorization unhealthy", given: func(w *world) {
		w.notSent()
		w.auth.Status, w.auth.Reason = activation.AuthUnhealthy, "the token of "+secret+" is over"
	}, cause: "Delivery", says: "“Our key” does not work any more: the token of … is over"},
	{name: "job paused", given: func(w *world) { w.notSent(); w.job.State = activation.JobPaused }, cause: "Delivery", says: "paused since 3 November 2026, 00:00 UTC"},
	{name: "job paused, and sent before", given: func(w *world) { w.job.State = activation.JobPaused }, also: "is paused since"},
	{name: "job ended", given: func(w *world) { w.notSent(); w.noJob = true }, cause: "Delivery", says: "was ended"},
	{name: "no job", given: func(w *world) { w.notSent(); w.target.Job = "" }, cause: "Delivery", says: "no job sends “Danes” there any more"},
	{name: "job completed", given: func(w *world) { w.notSent(); w.job.State = activation.JobCompleted }, cause: "Delivery", says: "had its run"},
	{name: "target completed", given: func(w *world) { w.notSent(); w.target.State = activation.TargetCompleted }, cause: "Delivery", says: "had its run there"},
	{name: "target failed", given: func(w *world) {
		w.notSent()
		w.target.State = activation.TargetFailed
		w.runs[0].Status, w.runs[0].ErrorCode, w.runs[0].ErrorText = activation.RunFailed, "META-1", "no such account"
	}, cause: "Delivery", says: "run #12, META-1: no such account"},
	{name: "resting after an error", given: func(w *world) {
		w.notSent()
		w.target.State, w.target.SleepReason, w.target.SleepUntil = activation.TargetSleeping, activation.SleepError, hours(9)
	}, cause: "Delivery", says: "rests after an error until 3 November 2026, 18:00 UTC"},
	{name: "in a quiet window", given: func(w *world) {
		w.target.State, w.target.SleepReason, w.target.SleepUntil = activation.TargetSleeping, activation.SleepQuietWindow, hours(9)
	}, also: "sleeps until 3 November 2026, 18:00 UTC (quiet_window)"},
	{name: "no run yet", given: func(w *world) { w.notSent(); w.runs = nil; w.target.NextAt = hours(30) }, cause: "Staged", says: "no run has been made there yet; the next one comes on 4 November 2026, 15:00 UTC"},
	{name: "no run since", given: func(w *world) { w.notSent(); w.person.Changed = hours(5) }, cause: "Staged", says: "no run has been planned since this person last changed; the next one comes by itself"},
	{name: "being planned", given: func(w *world) {
		w.notSent()
		w.runs[0].Status, w.runs[0].StagedAt = activation.RunRunning, time.Time{}
	}, cause: "Staged", says: "Run #12 is being planned"},
	{name: "only keys were moved", given: func(w *world) { w.notSent(); w.runs[0].Mode = activation.ModeKeys }, cause: "Staged", says: "only moved changed identifiers"},
	{name: "over the limit", given: func(w *world) { w.notSent(); w.runs[0].Counts.Capped = 40 }, cause: "Limit", says: "left 40 people to later runs"},
	{name: "deferred", given: func(w *world) { w.notSent(); w.runs[0].Counts.Deferred = 4 }, cause: "Deferred", says: "put 4 people off"},
	{name: "not among the rows", given: func(w *world) { w.notSent() }, cause: "Staged", says: "Run #12 did not have the person among its rows"},
	{name: "the newest run failed before", given: func(w *world) {
		w.notSent()
		w.runs[0].Status, w.runs[0].Stage, w.runs[0].ErrorCode, w.runs[0].ErrorText = activation.RunFailed, activation.StageStaging, "DISK-1", "full"
		w.retry = "the run did not fail at the destination"
	}, cause: "Run", says: "Run #12 failed in the stage staging, DISK-1: full; it can't be retried: the run did not fail", code: "DISK-1"},
	{name: "waits for approval", given: func(w *world) {
		w.person.Ledger = nil
		w.items = nil
		w.runs[0].Status, w.runs[0].Reason, w.runs[0].Counts.Remove = activation.RunPending, activation.SleepApproval, 900
	}, cause: "Approval", says: "would remove 900 people and waits"},
	{name: "waits for approval, not staged", given: func(w *world) {
		w.notSent()
		w.runs[0].Status, w.runs[0].Reason = activation.RunPending, activation.SleepApproval
	}, cause: "Approval"},
	{name: "removal declined", given: func(w *world) {
		w.person.Staged[0].Op, w.items, w.person.Member = activation.OpRemove, nil, false
		w.runs[0].Counts.Withheld = 3
		w.verdict = activation.GuardVerdict{Answer: activation.Declined, At: hours(4)}
	}, cause: "Audience", also: "its removals were declined on 3 November 2026, 13:00 UTC"},
	{name: "queued", given: func(w *world) { w.answered(activation.ItemQueued); w.runs[0].Status = activation.RunRunning }, cause: "Answer", says: "Item 3 of run #12 waits to be sent"},
	{name: "queued when the run failed", given: func(w *world) {
		w.answered(activation.ItemQueued)
		w.runs[0].Status, w.runs[0].ErrorCode = activation.RunFailed, "META-190"
	}, cause: "Run", says: "META-190; it can be retried", code: "META-190"},
	{name: "under way", given: func(w *world) { w.answered(activation.ItemSending) }, cause: "Answer", says: "is being sent"},
	{name: "awaiting", given: func(w *world) { w.answered(activation.ItemAwaiting) }, cause: "Answer", says: "Letters has taken item 3 of run #12 and answers later"},
	{name: "not queued yet", given: func(w *world) { w.notSentYet() }, cause: "Run", says: "is being made ready"},
	{name: "withdrawn run", given: func(w *world) { w.notSentYet(); w.runs[0].Status = activation.RunWithdrawn }, cause: "Run", says: "withdrawn before anything was sent"},
	{name: "item failed", given: func(w *world) {
		it := w.answered(activation.ItemFailed)
		it.Code, it.Message = "META-100", "Invalid parameter for "+strings.ToUpper(secret)
	}, cause: "Answer", says: "failed, META-100: Invalid parameter for …; it can be retried", code: "META-100"},
	{name: "item unknown", given: func(w *world) { w.answered(activation.ItemUnknown).Code = "TAKEN-OVER" }, cause: "Answer", says: "nobody knows whether Letters took item 3", code: "TAKEN-OVER"},
	{name: "item withdrawn", given: func(w *world) { w.answered(activation.ItemWithdrawn) }, cause: "Answer", says: "withdrawn before it was sent"},
	{name: "item superseded", given: func(w *world) { w.answered(activation.ItemSuperseded) }, cause: "Answer", says: "a newer run carries its rows"},
	{name: "rejected", given: func(w *world) {
		w.receives(activation.Rejected, "LETTERS-400")
		w.person.Ledger = []warehouse.PersonLedger{{State: "refused", Current: true, Code: "LETTERS-400", DeliveredAt: hours(3)}}
	}, cause: "Answer", says: "Letters refused the person's row in item 3 of run #12, LETTERS-400", code: "LETTERS-400", also: "sent again when the keys change"},
	{name: "rejected, and the rows are gone", given: func(w *world) {
		w.notSent()
		w.job.State = activation.JobPaused
		w.person.Ledger = []warehouse.PersonLedger{{State: "refused", Current: true, Code: "LETTERS-400", DeliveredAt: hours(3)}}
	}, cause: "Ledger", says: "refused the person's present keys", code: "LETTERS-400"},
	{name: "row unknown", given: func(w *world) { w.receives(activation.Unknown, "") }, cause: "Answer", says: "did not say whether it took"},
	{name: "row unsent", given: func(w *world) { w.receives(activation.Unsent, "LIMIT-1") }, cause: "Answer", says: "was not sent, LIMIT-1", code: "LIMIT-1"},
	{name: "row superseded", given: func(w *world) { w.receives(activation.Superseded, "") }, cause: "Answer", says: "changed meanwhile"},
	{name: "doubtful", given: func(w *world) {
		w.person.Staged, w.person.Ledger[0].State = nil, "maybe"
		w.runs[0].Counts.Deferred = 1
	}, cause: "Deferred", also: "nobody knows whether Letters has the person"},
	{name: "older keys are there", given: func(w *world) {
		w.person.Ledger[0].Current, w.person.Staged = false, nil
		w.person.Ledger = append(w.person.Ledger, warehouse.PersonLedger{State: "refused"}, warehouse.PersonLedger{State: "shared"})
	}, cause: "Staged", also: "by keys they had before"},
	{name: "a newer run failed", given: func(w *world) {
		w.receives(activation.Unsent, "LIMIT-1")
		w.runs = append([]activation.Run{{ID: "r13", Number: 13, Status: activation.RunFailed, Stage: activation.StageRemote, ErrorCode: "META-200", EndedAt: hours(7)}}, w.runs...)
	}, cause: "Answer", code: "LIMIT-1", also: "Run #13 failed in the stage remote_audiences, META-200; it can be retried."},
	{name: "a child of a split item", given: func(w *world) {
		w.items[0].State = activation.ItemSplit
		w.items = append(w.items, activation.Item{ID: "k", Run: "r12", Number: 4, Op: activation.OpAdd, First: 5, Last: 5, State: activation.ItemDelivered})
	}, also: "with item 4 of run #12"},

	{name: "an event that was taken", given: func(w *world) { w.stream() }, summary: "Yes: Letters took the newest event", also: "Letters took the event, with item 3 of run #12."},
	{name: "an event that was refused", given: func(w *world) { w.stream(); w.receives(activation.Rejected, "LETTERS-7") }, cause: "Answer", code: "LETTERS-7"},
	{name: "no event of the person", given: func(w *world) { w.stream(); w.notSent(); w.person.Messages = nil }, cause: "Message", says: "“orders”, which feeds this destination, told nothing of this person"},
	{name: "an event that was not staged", given: func(w *world) { w.stream(); w.notSent() }, cause: "Staged", says: "None of the last 1 run has an event of this person"},
	{name: "an event that came since", given: func(w *world) { w.stream(); w.notSent(); w.person.Messages[0].LastReceived = hours(4) }, cause: "Staged", says: "since the last message"},
	{name: "events without keys", given: func(w *world) { w.stream(); w.notSent(); w.person.Usable, w.person.Keys[0].Present = false, false }, cause: "Staged", also: "has no usable key"},
	{name: "events and no run", given: func(w *world) { w.stream(); w.notSent(); w.runs = nil }, cause: "Staged", says: "No run has been made"},
	{name: "events and a failed run", given: func(w *world) {
		w.stream()
		w.notSent()
		w.runs[0].Status, w.runs[0].ErrorCode = activation.RunFailed, "X-1"
	}, cause: "Run", code: "X-1"},
	{name: "events of an audience", given: func(w *world) { w.events, w.person.Ledger = true, nil }, also: "entering and leaving it are the events"},
}

func (w *world) notSentYet() {
	w.person.Ledger, w.items = nil, nil
	w.runs[0].Status, w.runs[0].Stage = activation.RunRunning, activation.StageStaging
}

func TestExplain(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			c.given(w)
			a, err := w.explainer().Explain(context.Background(), Question{Field: "email", Value: " " + secret, Target: "t"})
			if err != nil {
				t.Fatal(err)
			}
			text := read(t, a)
			if a.Synced != (c.cause == "") {
				t.Errorf("synced is %t, want a cause in %q", a.Synced, c.cause)
			}
			for _, s := range a.Steps {
				if s.Cause && (s.Name != c.cause || !strings.Contains(strings.ToLower(s.Text), strings.ToLower(c.says)) || s.Code != c.code) {
					t.Errorf("the cause is %+v, want %q saying %q with code %q", s, c.cause, c.says, c.code)
				}
				if s.Code != "" && s.Page != "page-of-"+s.Code {
					t.Errorf("step %+v has another page", s)
				}
			}
			if !strings.Contains(a.Summary, c.summary) {
				t.Errorf("the summary is %q, want %q", a.Summary, c.summary)
			}
			if !slices.ContainsFunc(a.Steps, func(s Step) bool { return strings.Contains(strings.ToLower(s.Text), strings.ToLower(c.also)) }) {
				t.Errorf("no step says %q", c.also)
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// read checks what holds for every answer, and returns it as text.
func read(t *testing.T, a Answer) string {
	t.Helper()
	raw, err := json.MarshalIndent(a, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(raw)), strings.ToLower(secret)) {
		t.Errorf("the value that was asked for is in the answer: %s", raw)
	}
	causes := 0
	for i, s := range a.Steps {
		if s.Cause {
			causes++
			if s.Status != Stop || slices.ContainsFunc(a.Steps[:i], func(b Step) bool { return b.Status == Stop }) {
				t.Errorf("step %d is not the first stop: %+v", i, s)
			}
		}
		if s.Status == Stop && a.Synced {
			t.Errorf("somebody synced stops at %+v", s)
		}
		checkSentence(t, s.Text)
	}
	if want := map[bool]int{true: 0, false: 1}[a.Synced]; causes != want {
		t.Errorf("%d causes, want %d", causes, want)
	}
	checkSentence(t, a.Summary)
	return string(raw)
}

func checkSentence(t *testing.T, text string) {
	t.Helper()
	if text == "" || text[0] >= 'a' && text[0] <= 'z' || !strings.HasSuffix(text, ".") || strings.Contains(text, "..") || strings.Contains(text, "%!") || strings.Contains(text, "  ") || strings.Contains(text, ": .") {
		t.Errorf("%q is no sentence", text)
	}
}

func TestExplainErrors(t *testing.T) {
	ask := func(change func(w *world, q *Question)) error {
		w := newWorld()
		q := Question{Field: "email", Value: secret, Target: "t"}
		change(w, &q)
		_, err := w.explainer().Explain(context.Background(), q)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("error %v", err)
		}
		return err
	}
	if err := ask(func(_ *world, q *Question) { q.Field = "country" }); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a field that is no identifier: %v", err)
	}
	if err := ask(func(_ *world, q *Question) { q.Target = "other" }); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("a target that is not there: %v", err)
	}
	broken := errors.New("broken")
	if err := ask(func(w *world, _ *Question) { w.planErr = broken }); !errors.Is(err, broken) {
		t.Errorf("a planner that fails: %v", err)
	}
}

func TestHider(t *testing.T) {
	hide := hider("  A.b+c@x ")
	for text, want := range map[string]string{
		"bad a.B+C@x, twice A.b+c@x":            "bad …, twice …",
		"axb+c@x":                               "axb+c@x",
		"hash fa92e86f3d5b1ac9d2ab2a9a4bf36cb6": "hash fa92e86f3d5b1ac9d2ab2a9a4bf36cb6",
		"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb is a": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb is a",
	} {
		if got := hide(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := hider("a")("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb."); strings.Contains(got, "978112") {
		t.Errorf("a digest of the value is shown: %q", got)
	}
	if got := hider(" ")("as it is"); got != "as it is" {
		t.Errorf("%q", got)
	}
}
