package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/all"
	"usher/internal/publishing"
	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// hasty are all providers, whose publishers are read back soon after a call was cut,
// and take few edits in one call.
func hasty() []provider.Definition {
	defs := all.Definitions()
	for i := range defs {
		if defs[i].Publishing == nil {
			continue
		}
		p := *defs[i].Publishing
		p.Settles, p.MaxEdits = 200*time.Millisecond, 8
		defs[i].Publishing = &p
	}
	return defs
}

// advertised is a campaign or an ad set as it should be at the publisher.
type advertised struct {
	kind    activation.ObjectKind
	id      string // the publisher's, or new-<entry> where the test does not know it
	name    string
	status  string
	budget  int
	deleted bool
}

// adAccount is an account at the sandbox, and what the test has asked for.
type adAccount struct {
	*process
	far     *far
	id      activation.PublisherID
	post    activation.JobID
	account string
	r       *rand.Rand
	objects []*advertised
	serial  int // makes every value a new one, so that no two edits look alike
	edits   int
}

// TestKillPosting kills the server while it posts edits of campaigns, and lets calls
// be cut after they took effect. In the end the sandbox's tree is the expected one, and
// no operation took effect twice: every name and every budget was set once.
func TestKillPosting(t *testing.T) {
	if os.Getenv("USHER_KILLS") == "" {
		t.Skip("make kill runs it")
	}
	kills := killCount(t)
	seed := seedOf(t)
	far, dir := startSandbox(t), t.TempDir()
	a := &adAccount{far: far, account: "77", r: rand.New(rand.NewPCG(seed, 7))}
	for i := range 20 {
		name := fmt.Sprintf("first %d", i)
		id, err := far.Meta().MakeNode(a.account, "campaigns", map[string]json.RawMessage{
			"name": quoted(name), "objective": quoted("OUTCOME_TRAFFIC"), "status": quoted("PAUSED"), "daily_budget": quoted("1000"), "special_ad_categories": json.RawMessage("[]"),
		})
		if err != nil {
			t.Fatal(err)
		}
		a.objects = append(a.objects, &advertised{kind: activation.KindCampaign, id: id, name: name, status: activation.StatusPaused, budget: 1000})
	}
	a.process = start(t, dir, far, "", envHasty+"=1")
	a.link()
	for i := range kills {
		for range 5 + a.r.IntN(30) {
			a.change()
		}
		if i%3 == 2 {
			for _, path := range []string{"/batch/*", "*"} {
				if _, err := far.Fault(fault.Fault{Network: "meta", Method: http.MethodPost, Path: path, Times: 1 + a.r.IntN(2), Kind: fault.Cut, Applied: a.r.IntN(2) == 0}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for moment := time.Now().Add(time.Duration(a.r.IntN(500)) * time.Millisecond); time.Now().Before(moment); {
			ask(a.process, a.post) // it may sleep because of a cut
			time.Sleep(20 * time.Millisecond)
		}
		a.kill()
		a.process = start(t, dir, far, "", envHasty+"=1")
		if i%10 == 9 {
			a.settled()
		}
		if t.Failed() {
			t.Fatalf("after kill %d", i+1)
		}
	}
	far.ResetFaults()
	a.settled()
	t.Logf("seed %d: %d kills; %d edits of %d objects; %d effects at the sandbox, %d calls", seed, kills, a.edits, len(a.objects), len(far.Meta().Effects()), far.Meta().Counters().Calls)
}

// quoted is a text as JSON.
func quoted(s string) json.RawMessage {
	raw, _ := json.Marshal(s)
	return raw
}

// link makes credentials and the account, and reads its structure.
func (a *adAccount) link() {
	a.t.Helper()
	var auth struct{ ID string }
	var made struct {
		ID   string
		Post activation.JobID `json:"post_job"`
	}
	a.must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": "sandbox", "config": map[string]string{"access_token": meta.DefaultToken, "base_url": "http://" + a.far.addr + "/meta"}}, &auth)
	a.must(http.MethodPost, "/v2/publisher", map[string]any{"name": "Shop", "provider": "meta", "auth_id": auth.ID, "account": a.account}, &made)
	a.id, a.post = activation.PublisherID(made.ID), made.Post
	a.must(http.MethodPost, "/v2/publisher/"+made.ID+"/sync", nil, nil)
	a.eventually("the structure is read", time.Minute, func() (bool, string) {
		var all []activation.PublisherObject
		a.must(http.MethodGet, "/v2/publisher/"+made.ID+"/object?limit=1000", nil, &all)
		return len(all) == len(a.objects), fmt.Sprintf("%d objects", len(all))
	})
}

// change asks for one edit, to be sent now.
func (a *adAccount) change() {
	a.t.Helper()
	a.serial++
	a.edits++
	o := a.objects[a.r.IntN(len(a.objects))]
	path := "/v2/publisher/" + string(a.id) + "/object/"
	if a.r.IntN(12) == 0 {
		a.create()
		return
	}
	if o.deleted {
		return
	}
	one := path + string(o.kind) + "/" + o.id
	fields := map[string]string{}
	switch n := a.r.IntN(20); {
	case n < 8:
		o.name = fmt.Sprintf("%s %d", o.kind, a.serial)
		fields[activation.FieldName] = o.name
	case n < 14:
		o.budget = 1000 + a.serial
		fields[activation.FieldBudget] = fmt.Sprintf("%d.%02d", o.budget/100, o.budget%100)
	case n < 19:
		if o.status = activation.StatusPaused; a.r.IntN(2) == 0 {
			o.status = activation.StatusEnabled
		}
		fields[activation.FieldStatus] = o.status
	default:
		if _, unborn := activation.CreatedBy(o.id); unborn {
			return // one that waits to be created is cancelled instead
		}
		o.deleted = true
		var r publishing.EditResult
		a.must(http.MethodDelete, one+"?send=now", nil, &r)
		return
	}
	a.must(http.MethodPatch, one, map[string]any{"fields": fields, "send": "now"}, nil)
}

// create asks for a campaign and posts it.
func (a *adAccount) create() {
	a.t.Helper()
	o := &advertised{kind: activation.KindCampaign, name: fmt.Sprintf("new %d", a.serial), status: activation.StatusPaused, budget: 1000 + a.serial}
	var r publishing.EditResult
	a.must(http.MethodPost, "/v2/publisher/"+string(a.id)+"/object/campaign", map[string]any{"send": "now", "fields": map[string]string{
		"name": o.name, "status": o.status, "objective": "OUTCOME_TRAFFIC", "budget": fmt.Sprintf("%d.%02d", o.budget/100, o.budget%100),
	}}, &r)
	if len(r.Entries) != 1 {
		a.t.Fatalf("a create made %d entries", len(r.Entries))
	}
	o.id = activation.NewObjectID(r.Entries[0].ID)
	a.objects = append(a.objects, o)
}

// settled waits until nothing waits, and compares the sandbox's tree with what was
// asked for.
func (a *adAccount) settled() {
	a.t.Helper()
	a.eventually("everything is posted", 3*time.Minute, func() (bool, string) {
		ask(a.process, a.post)
		var counts map[activation.EntryStatus]int64
		a.must(http.MethodGet, "/v2/entry/count", nil, &counts)
		return counts[activation.EntryHeld]+counts[activation.EntryToBeSent]+counts[activation.EntryQueued]+counts[activation.EntryProcessing] == 0, fmt.Sprint(counts)
	})
	var failed []activation.Entry
	a.must(http.MethodGet, "/v2/entry?status=failed,held,cancelled", nil, &failed)
	for _, e := range failed {
		a.t.Errorf("#%d %s is %s: %s %s %s", e.ID, e.Text, e.Status, e.Reason, e.ErrorCode, e.ErrorText)
	}
	type state struct {
		status, budget string
		gone           bool
	}
	have := map[string][]state{}
	for _, node := range a.far.Meta().Tree(a.account) {
		have[string(node.Values["name"])] = append(have[string(node.Values["name"])], state{string(node.Values["status"]), string(node.Values["daily_budget"]), node.Gone})
	}
	for _, o := range a.objects {
		want := state{string(quoted("PAUSED")), string(quoted(fmt.Sprint(o.budget))), o.deleted}
		if o.status == activation.StatusEnabled {
			want.status = string(quoted("ACTIVE"))
		}
		got := have[string(quoted(o.name))]
		if len(got) != 1 || got[0].gone != o.deleted || !o.deleted && got[0] != want {
			a.t.Errorf("%s %q is %v at the sandbox, want %v", o.kind, o.name, got, want)
		}
	}
	if n := len(a.far.Meta().Tree(a.account)); n != len(a.objects) {
		a.t.Errorf("%d nodes at the sandbox, want %d", n, len(a.objects))
	}
	seen := map[string]bool{}
	for _, e := range a.far.Meta().Effects() {
		for _, field := range []string{"name", "daily_budget"} {
			key := fmt.Sprintf("%s %s %s", e.ID, field, e.Set[field])
			if e.Op == "outside" || e.Set[field] == nil {
				continue
			}
			if seen[key] {
				a.t.Errorf("it took effect twice: %s", key)
			}
			seen[key] = true
		}
	}
	for sin, n := range a.far.Meta().CampaignSins() {
		a.t.Errorf("%d calls sinned: %s", n, sin)
	}
}
