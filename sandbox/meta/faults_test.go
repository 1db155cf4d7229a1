package meta_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

func (p *peer) script(f fault.Fault) {
	p.t.Helper()
	if _, err := p.faults.Add(f); err != nil {
		p.t.Fatal(err)
	}
}

func TestFaultsThatAnswer(t *testing.T) {
	tests := []struct {
		name   string
		fault  fault.Fault
		status int
		code   string
	}{
		{"unavailable", fault.Fault{Kind: fault.Status}, 503, "2"},
		{"other status", fault.Fault{Kind: fault.Status, Status: 500}, 500, "2"},
		{"page", fault.Fault{Kind: fault.HTML}, 502, ""},
		{"page with 200", fault.Fault{Kind: fault.HTML, Status: 200}, 200, ""},
		{"throttle", fault.Fault{Kind: fault.Throttle}, 400, "80003"},
		{"throttle as 429", fault.Fault{Kind: fault.Throttle, Status: 429}, 429, "80003"},
		{"throttle as 200", fault.Fault{Kind: fault.Throttle, Status: 200}, 200, "80003"},
		{"token", fault.Fault{Kind: fault.Token}, 401, "190/463"},
		{"token, password", fault.Fault{Kind: fault.Token, Subcode: 460, Status: 400}, 400, "190/460"},
		{"gone", fault.Fault{Kind: fault.Gone}, 400, "100/33"},
		{"flagged", fault.Fault{Kind: fault.Flagged}, 400, "100/1713230"},
		{"any", fault.Fault{Kind: fault.Error, Code: 613, Subcode: 1487742, Transient: true, Message: "m"}, 400, "613/1487742"},
	}
	for _, tt := range tests {
		for _, applied := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				p := newPeer(t, meta.Options{})
				id := p.audience(settings())
				tt.fault.Op, tt.fault.Applied = "add", applied
				p.script(tt.fault)
				r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"1"}))
				if r.status != tt.status || r.fault() != tt.code {
					t.Errorf("%d %s", r.status, r.text)
				}
				if got := p.members(id) == "1"; got != applied {
					t.Errorf("took effect: %v, want %v", got, applied)
				}
				if tt.fault.Kind == fault.HTML && !strings.Contains(r.text, "<html>") {
					t.Errorf("no page: %s", r.text)
				}
				last := p.net.Calls()[1]
				if last.Fault != string(tt.fault.Kind) || last.Applied != applied || last.Status != tt.status {
					t.Errorf("log: %+v", last)
				}
				if r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"2"})); r.status != 200 {
					t.Errorf("the next call: %d %s", r.status, r.text)
				}
			})
		}
	}
}

func TestFaultsThatDoNotAnswer(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Timeout, fault.Cut} {
		for _, applied := range []bool{false, true} {
			t.Run(string(kind), func(t *testing.T) {
				p := newPeer(t, meta.Options{})
				id := p.audience(settings())
				p.script(fault.Fault{Op: "add", Kind: kind, Applied: applied, Delay: fault.Duration(30 * time.Millisecond)})
				r, err := p.try("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"1"}), nil)
				if err == nil {
					t.Errorf("answered %d %s", r.status, r.text)
				}
				if got := p.members(id) == "1"; got != applied {
					t.Errorf("took effect: %v, want %v", got, applied)
				}
				if last := p.net.Calls()[1]; last.Status != 0 || last.Applied != applied {
					t.Errorf("log: %+v", last)
				}
			})
		}
	}
}

func TestTimeoutEndsWithTheNetwork(t *testing.T) {
	p := newPeer(t, meta.Options{})
	p.script(fault.Fault{Kind: fault.Timeout})
	done := make(chan error, 1)
	go func() {
		_, err := p.try("GET", "/v26.0/me", nil, nil)
		done <- err
	}()
	for len(p.net.Calls()) == 0 {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-done:
		t.Fatalf("answered before its end: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	p.net.Release()
	if err := <-done; err == nil {
		t.Error("answered after its end")
	}
}

func TestInvalidFaultSpoilsRows(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	p.script(fault.Fault{Op: "add", Kind: fault.Invalid, Rows: 2})
	r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"1"}, []any{"2"}, []any{"3"}))
	if r.status != 200 || r.body["num_received"] != 3.0 || r.body["num_invalid_entries"] != 2.0 {
		t.Errorf("%d %s", r.status, r.text)
	}
	if samples, ok := r.body["invalid_entry_samples"].([]any); !ok || len(samples) != 2 {
		t.Errorf("samples: %s", r.text)
	}
	if got := p.members(id); got != "3" {
		t.Errorf("members %q", got)
	}
}

func TestSlowFaultAnswersLater(t *testing.T) {
	p := newPeer(t, meta.Options{})
	p.script(fault.Fault{Kind: fault.Slow, Delay: fault.Duration(50 * time.Millisecond)})
	began := time.Now()
	if r := p.call("GET", "/v26.0/me", nil); r.status != 200 {
		t.Errorf("%d %s", r.status, r.text)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestEnvelope(t *testing.T) {
	p := newPeer(t, meta.Options{})
	p.script(fault.Fault{Kind: fault.Error, Code: 2, Transient: true})
	e := p.call("GET", "/v26.0/me", nil).body["error"].(object)
	if e["is_transient"] != true || e["type"] != "OAuthException" || e["message"] == "" {
		t.Errorf("%v", e)
	}
	first := e["fbtrace_id"]
	p.script(fault.Fault{Kind: fault.Error, Code: 2})
	e = p.call("GET", "/v26.0/me", nil).body["error"].(object)
	if e["is_transient"] != false || e["fbtrace_id"] == first || first == "" {
		t.Errorf("%v", e)
	}
}

// buc is the header of business use cases.
type buc map[string][]struct {
	Type   string  `json:"type"`
	Calls  float64 `json:"call_count"`
	Regain int     `json:"estimated_time_to_regain_access"`
}

func usage(t *testing.T, r reply) (calls float64, regain int) {
	t.Helper()
	var b buc
	if err := json.Unmarshal([]byte(r.header.Get("X-Business-Use-Case-Usage")), &b); err != nil || len(b["7"]) != 1 || b["7"][0].Type != "custom_audience" {
		t.Fatalf("header %q: %v", r.header.Get("X-Business-Use-Case-Usage"), err)
	}
	for _, name := range []string{"X-App-Usage", "X-Ad-Account-Usage"} {
		if !json.Valid([]byte(r.header.Get(name))) {
			t.Errorf("%s: %q", name, r.header.Get(name))
		}
	}
	return b["7"][0].Calls, b["7"][0].Regain
}

func TestUsageGrowsAndThrottles(t *testing.T) {
	p := newPeer(t, meta.Options{HourlyCalls: 4})
	for want := 25.0; want <= 100; want += 25 {
		r := p.call("GET", "/v26.0/act_7", nil)
		if calls, regain := usage(t, r); r.status != 200 || calls != want || regain != 0 {
			t.Errorf("%d: %v %%, want %v, regain %d", r.status, calls, want, regain)
		}
	}
	p.clock.pass(20 * time.Minute)
	r := p.call("GET", "/v26.0/act_7", nil)
	if _, regain := usage(t, r); r.status != 400 || r.fault() != "80003" || regain != 40 {
		t.Errorf("beyond: %d %s, regain %d", r.status, r.text, regain)
	}
	if r := p.call("GET", "/v26.0/act_8", nil); r.status != 200 {
		t.Errorf("another account: %d %s", r.status, r.text)
	}
	p.clock.pass(40 * time.Minute)
	if r := p.call("GET", "/v26.0/act_7", nil); r.status != 200 {
		t.Errorf("an hour later: %d %s", r.status, r.text)
	}
}

func TestThrottleFaultTellsWhenToComeBack(t *testing.T) {
	p := newPeer(t, meta.Options{})
	p.script(fault.Fault{Kind: fault.Throttle, Minutes: 7})
	calls, regain := usage(t, p.call("GET", "/v26.0/act_7", nil))
	if calls < 100 || regain != 7 {
		t.Errorf("%v %%, regain %d", calls, regain)
	}
}
