package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/sandbox/meta"
)

// converting sets up people, and a destination at the sandbox for conversions.
func converting(t *testing.T) (n *near, far *far, destination string) {
	t.Helper()
	far = startSandbox(t)
	n = serve(t, t.TempDir(), far, nil)
	n.must(http.MethodPost, "/v2/job/"+string(n.declare(far))+"/kill", nil, nil)
	n.load(csvOf("1,a@example.com,90", "2,b@example.com,50", "3,c@example.com,10"))
	var all []struct{ ID string }
	n.must(http.MethodGet, "/v2/destination", nil, &all)
	return n, far, all[0].ID
}

// events are the ids of the conversions at the sandbox.
func (f *far) events() []string {
	all, _ := f.Meta().Conversions(meta.DefaultDataset)
	out := each(all, func(c meta.Conversion) string { return c.ID })
	slices.Sort(out)
	return out
}

func (n *near) sends(far *far, want string) {
	n.t.Helper()
	n.eventually("conversions arrive", 30*time.Second, func() (bool, string) {
		n.runTargets("") // sooner than a minute after the run before
		got := strings.Join(far.events(), " ")
		return got == want, fmt.Sprintf("the sandbox has %q, want %q", got, want)
	})
}

// TestConversionAudience: a run of conversions brings everybody whose event was
// accepted into an audience at the same destination, in a run of its own, and
// nobody ever leaves it.
func TestConversionAudience(t *testing.T) {
	n, far, destination := converting(t)
	n.must(http.MethodPut, "/v2/stream/orders", map[string]any{"message_id_fields": []string{"order"}}, nil)
	n.must(http.MethodPut, "/v2/mapping/orders", map[string]string{"customer": `concat("id-", customer)`}, nil)
	n.awaitLoad(n.post("orders", "order,customer,total\no1,1,10\no2,2,20\n"))
	var job struct{ ID string }
	n.must(http.MethodPost, "/v2/job/meta_offline_conversion", map[string]any{
		"name": "Orders", "destination_id": destination, "stream": "orders",
		"config": map[string]any{"dataset_id": meta.DefaultDataset, "event_id": "order", "event_name": `"Purchase"`, "value": "total", "currency": `"EUR"`},
	}, &job)
	n.sends(far, "o1 o2")
	n.eventually("the audience of conversions", 30*time.Second, func() (bool, string) {
		got := strings.Join(far.at("Conversion-Purchase"), " ")
		return got == "id-1 id-2", fmt.Sprintf("it holds %q", got)
	})
	n.load(csvOf("2,b2@example.com,50")) // another e-mail changes nothing about it
	n.awaitLoad(n.post("orders", "order,customer,total\no3,3,30\n"))
	n.sends(far, "o1 o2 o3")
	n.eventually("the audience grows", 90*time.Second, func() (bool, string) {
		n.runTargets(job.ID)
		got := strings.Join(far.at("Conversion-Purchase"), " ")
		return got == "id-1 id-2 id-3", fmt.Sprintf("it holds %q", got)
	})
	seen := map[activation.SyncType]bool{}
	for _, r := range n.runs() {
		if r.Job != activation.JobID(job.ID) {
			continue
		}
		seen[r.SyncType] = true
		if r.TriggeredBy != "" || r.Counts.Removed > 0 {
			t.Errorf("run #%d (%s) was triggered by %q and removed %d", r.Number, r.SyncType, r.TriggeredBy, r.Counts.Removed)
		}
	}
	if !seen[activation.SyncOfflineConversion] || !seen[activation.SyncConversionAudience] {
		t.Errorf("sync types seen: %v", seen)
	}
}

// runTargets asks for a run of each target of a job; "" = of every job.
func (n *near) runTargets(job string) {
	var all []struct{ ID string }
	n.must(http.MethodGet, "/v2/target?job_id="+job, nil, &all)
	for _, one := range all {
		_, _ = n.Do(n.t.Context(), http.MethodPost, "/v2/target/"+one.ID+"/run", nil, nil)
	}
	time.Sleep(30 * time.Millisecond)
}

// post sends CSV to a stream.
func (n *near) post(stream, csv string) string {
	n.t.Helper()
	var sum struct {
		ID string `json:"load_id"`
	}
	if err := n.Upload(n.t.Context(), "/collect/bulk/"+stream, "text/csv", strings.NewReader(csv), &sum); err != nil {
		n.t.Fatal(err)
	}
	return sum.ID
}

// TestPaidResponse: a captured response is stored once however often it is sent,
// goes to a destination that is switched on for it, waits for a customer who is
// not known yet, and what came before the switch is sent by a push, once.
func TestPaidResponse(t *testing.T) {
	n, far, destination := converting(t)
	type captured struct {
		EventIDs []string `json:"event_ids"`
		Repeated int64    `json:"repeated"`
		Settled  bool     `json:"settled"`
		SentTo   []any    `json:"sent_to"`
		Note     string   `json:"note"`
	}
	at := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	capture := func(customer, event string) (out captured) {
		t.Helper()
		n.must(http.MethodPost, "/v2/paid/response", map[string]any{
			"CustomerID": customer, "Adset_id": "6042", "event_id": event, "value": 19.9, "currency": "EUR", "time": at,
		}, &out)
		return out
	}
	if out := capture("id-1", "r0"); len(out.SentTo) != 0 || out.Note != "stored, not sent" || !slices.Equal(out.EventIDs, []string{"r0"}) {
		t.Errorf("captured without a destination: %+v", out)
	}
	n.eventually("the response is a message", 30*time.Second, func() (bool, string) {
		var all []map[string]any
		n.must(http.MethodGet, "/v2/stream/paid_responses/events", nil, &all)
		return len(all) == 1, fmt.Sprint(len(all))
	})
	var job struct{ ID string }
	n.must(http.MethodPost, "/v2/job/meta_offline_conversion", map[string]any{
		"name": "Responses", "destination_id": destination, "stream": "paid_responses", "withbackfill": false,
		"config": map[string]any{"dataset_id": meta.DefaultDataset, "event_id": "event_id", "event_name": `"Purchase"`, "value": "value", "currency": "currency", "conversion_audience": false},
	}, &job)
	n.eventually("the job begins", 30*time.Second, func() (bool, string) {
		rs := n.runs()
		return len(rs) > 0 && rs[0].Job == activation.JobID(job.ID) && rs[0].Status == activation.RunCompleted, fmt.Sprint(len(rs))
	})
	if out := capture("id-1", "r1"); len(out.SentTo) != 1 {
		t.Errorf("captured: %+v", out)
	}
	n.eventually("captured again", 30*time.Second, func() (bool, string) {
		out := capture("id-1", "r1")
		if out.Settled && out.Repeated != 1 {
			t.Fatalf("captured again: %+v", out)
		}
		return out.Settled, "it is not merged in time"
	})
	capture("id-77", "r2")
	n.sends(far, "r1")
	n.load(csvOf("77,late@example.com,10")) // now known
	n.eventually("the response of the customer who came late", 2*time.Minute, func() (bool, string) {
		n.runTargets(job.ID)
		got := strings.Join(far.events(), " ")
		return got == "r1 r2", got
	})

	// What came before the destination was switched on.
	var pushed []struct {
		Target string            `json:"target_id"`
		Counts activation.Counts `json:"counts"`
	}
	period := map[string]any{"destination_id": destination, "from": "now-2d", "to": "now"}
	n.must(http.MethodPost, "/v2/paid/history", merged(period, map[string]any{"dry_run": true}), &pushed)
	if len(pushed) != 1 || pushed[0].Counts.Staged != 1 {
		t.Fatalf("a push would send %+v, want one event", pushed)
	}
	n.must(http.MethodPost, "/v2/paid/history", period, &pushed)
	n.sends(far, "r0 r1 r2")
	_, err := n.Do(t.Context(), http.MethodPost, "/v2/paid/history", period, nil)
	if err == nil || !strings.Contains(err.Error(), "#") {
		t.Errorf("the same period again: %v, want a refusal that names the earlier run", err)
	}
}
