package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
)

// offered sets up people with scores, the hierarchy of the campaign, and a job
// that sends the level Sales/Offers to the sandbox.
func offered(t *testing.T) (n *near, far *far, job string) {
	t.Helper()
	far = startSandbox(t)
	n = serve(t, t.TempDir(), far, nil)
	high := n.declare(far)
	n.must(http.MethodPost, "/v2/job/"+string(high)+"/kill", nil, nil)
	n.load(csvOf("1,a@example.com,90", "2,b@example.com,50", "3,c@example.com,10"))
	issues := map[string]string{}
	for _, o := range offers {
		var made struct{ ID string }
		if issues[o.issue] == "" {
			n.must(http.MethodPost, "/v2/paid/issue", map[string]any{"name": o.issue}, &made)
			issues[o.issue] = made.ID
			n.must(http.MethodPost, "/v2/paid/group", map[string]any{"issue_id": made.ID, "name": o.group}, &made)
			issues[o.issue+"/"] = made.ID
		}
		n.must(http.MethodPost, "/v2/paid/action", map[string]any{
			"group_id": issues[o.issue+"/"], "name": o.name, "eligibility": fmt.Sprintf("FILTER score > %d", o.above), "priority": o.priority,
		}, nil)
	}
	var all []struct{ ID string }
	n.must(http.MethodGet, "/v2/destination", nil, &all)
	var made struct{ ID string }
	n.must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": "Offers", "destination_id": all[0].ID, "level": "Sales/Offers"}, &made)
	return n, far, made.ID
}

// at are the customers in the sandbox's audience of that name.
func (f *far) at(name string) []string {
	out := []string{}
	for _, a := range f.Meta().Audiences() {
		if a.Name != name {
			continue
		}
		members, _ := f.Meta().Members(a.ID)
		for _, m := range members {
			out = append(out, m.ExternID)
		}
	}
	slices.Sort(out)
	return out
}

// holds waits until the sandbox's audiences have exactly these customers.
func (n *near) holds(far *far, job string, want map[string]string) {
	n.t.Helper()
	n.eventually("the sandbox holds who was decided", 30*time.Second, func() (bool, string) {
		for name, ids := range want {
			if got := strings.Join(far.at(name), " "); got != ids {
				_, _ = n.Do(n.t.Context(), http.MethodPost, "/v2/job/"+job+"/run", nil, nil)
				time.Sleep(30 * time.Millisecond)
				return false, fmt.Sprintf("%s holds %q, want %q", name, got, ids)
			}
		}
		return true, ""
	})
}

// TestNextBestAction: the scheduled decision and decisions in real time move
// customers among the audiences of a level, and nowhere else; the network holds
// them, their contraries, and whoever is deleted leaves.
func TestNextBestAction(t *testing.T) {
	n, far, job := offered(t)
	negative := map[string]string{"Sales-Offers-Upsell-N": "id-2 id-3", "Sales-Offers-Basic-N": "id-3"}
	n.holds(far, job, map[string]string{"Sales-Offers-Upsell": "", "Sales-Offers-Basic": "", "Sales-Offers-Upsell-N": negative["Sales-Offers-Upsell-N"], "Sales-Offers-Basic-N": negative["Sales-Offers-Basic-N"]})

	var outbound struct{ ID string }
	n.must(http.MethodPost, "/v2/job/next_best_action", map[string]any{"name": "Outbound", "config": map[string]any{"level": "all"}, "continuous_update": false}, &outbound)
	n.eventually("a run of the scheduled decision", 30*time.Second, func() (bool, string) {
		return slices.ContainsFunc(n.runs(), func(r runRow) bool { return r.Cause == activation.CauseOutbound }), fmt.Sprint(len(n.runs()))
	})
	// Upsell (priority 10) beats Thanks (7), which beats Basic (5): nobody else is
	// eligible for anything but Basic.
	n.holds(far, job, map[string]string{"Sales-Offers-Upsell": "id-1", "Sales-Offers-Basic": "id-2"})

	type outcome struct{ ID, Status, Action string }
	decide := func(want []outcome, customers ...map[string]string) {
		t.Helper()
		var got []outcome
		n.must(http.MethodPost, "/v2/paid/decision", map[string]any{"customers": customers}, &got)
		for i := range got {
			got[i].Action = got[i].Action[strings.LastIndex(got[i].Action, "/")+1:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("decided %+v, want %+v", got, want)
		}
	}
	decide([]outcome{{"id-1", "decided", "Basic"}, {"id-2", "not_eligible", ""}, {"id-3", "nothing", ""}, {"id-99", "unknown_customer", ""}},
		map[string]string{"id": "id-1", "level": "Sales/Offers", "action": "Basic"}, map[string]string{"id": "id-2", "level": "Sales", "action": "Upsell"},
		map[string]string{"id": "id-3", "level": "all"}, map[string]string{"id": "id-99", "level": "all"})
	n.holds(far, job, map[string]string{"Sales-Offers-Upsell": "", "Sales-Offers-Basic": "id-1 id-2", "Sales-Offers-Upsell-N": "id-2 id-3"})

	// A decision at another level leaves this one alone.
	decide([]outcome{{"id-1", "decided", "Thanks"}}, map[string]string{"id": "id-1", "level": "Care"})
	n.holds(far, job, map[string]string{"Sales-Offers-Basic": "id-1 id-2"})
	// Who is no longer eligible stays until the next decision, and is among the
	// contrary at once.
	n.load(csvOf("2,b@example.com,5"))
	n.holds(far, job, map[string]string{"Sales-Offers-Basic": "id-1 id-2", "Sales-Offers-Basic-N": "id-2 id-3"})
	decide([]outcome{{"id-2", "nothing", ""}}, map[string]string{"id": "id-2", "level": "Sales/Offers"})
	n.holds(far, job, map[string]string{"Sales-Offers-Basic": "id-1"})

	for _, r := range n.runs() {
		if r.Job == activation.JobID(job) && (r.SyncType != activation.SyncNextBestAction || r.TriggeredBy != "Sales / Offers" || r.Cause == "") {
			t.Errorf("run #%d is %s, by %q, because of %q", r.Number, r.SyncType, r.TriggeredBy, r.Cause)
		}
	}
	n.deleteAction(far, job)
}

// deleteAction deletes Basic: whoever was decided for it leaves the network.
func (n *near) deleteAction(far *far, job string) {
	n.t.Helper()
	var actions []struct{ ID, Name string }
	n.must(http.MethodGet, "/v2/paid/action?level=Sales/Offers", nil, &actions)
	if len(actions) != 2 || actions[0].Name != "Upsell" {
		n.t.Fatalf("actions: %+v", actions)
	}
	var leaving struct {
		People  int64    `json:"people"`
		Targets []string `json:"target_ids"`
	}
	n.must(http.MethodDelete, "/v2/paid/action/"+actions[1].ID+"?dry_run=true", nil, &leaving)
	if len(leaving.Targets) != 2 || leaving.People == 0 {
		n.t.Errorf("leaving: %+v", leaving)
	}
	n.must(http.MethodDelete, "/v2/paid/action/"+actions[1].ID, nil, nil)
	n.holds(far, job, map[string]string{"Sales-Offers-Basic": "", "Sales-Offers-Basic-N": ""})
	var j struct {
		Audiences []string `json:"segment_ids"`
	}
	n.must(http.MethodGet, "/v2/job/"+job, nil, &j)
	if len(j.Audiences) != 2 {
		n.t.Errorf("the job sends %d audiences, want the 2 of Upsell", len(j.Audiences))
	}
}
