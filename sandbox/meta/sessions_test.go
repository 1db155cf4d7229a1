package meta_test

import (
	"encoding/json"
	"testing"
	"time"

	"usher/sandbox/meta"
)

// batch is a users call that belongs to a session.
func batch(session int64, seq int, last bool, name string) object {
	b := body([]string{"EXTERN_ID"}, []any{name})
	b["session"] = object{"session_id": session, "batch_seq": seq, "last_batch_flag": last}
	return b
}

func TestSessionRules(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id, other := p.audience(settings()), p.audience(settings())
	steps := []struct {
		name  string
		pass  time.Duration
		id    string
		in    object
		fault string
	}{
		{"first", 0, id, batch(5, 1, false, "1"), ""},
		{"out of order", 0, id, batch(5, 3, false, "3"), ""},
		{"the same again", 0, id, batch(5, 1, false, "1"), ""},
		{"another audience", 0, other, batch(5, 2, false, "2"), "100"},
		{"late in the window", 89 * time.Minute, id, batch(5, 4, true, "4"), ""},
		{"filling a gap", 0, id, batch(5, 2, false, "2"), ""},
		{"the last again", 0, id, batch(5, 4, true, "4"), ""},
		{"behind the last", 0, id, batch(5, 5, false, "5"), "100"},
		{"a new session", 0, id, batch(6, 1, true, "6"), ""},
		{"after the window", 2 * time.Minute, id, batch(5, 2, false, "7"), "100"},
	}
	for _, step := range steps {
		p.clock.pass(step.pass)
		if r := p.call("POST", "/v26.0/"+step.id+"/users", step.in); r.fault() != step.fault {
			t.Errorf("%s: %d %s", step.name, r.status, r.text)
		}
	}
	if got := p.members(id); got != "1 2 3 4 6" {
		t.Errorf("members %q", got)
	}
}

func TestSessionsAreTold(t *testing.T) {
	p := newPeer(t, meta.Options{Lag: time.Minute})
	id := p.audience(settings())
	in := batch(5, 1, true, "1")
	in["payload"] = object{"schema": []string{"EMAIL"}, "data": [][]any{{hash("a")}, {"X"}}}
	p.call("POST", "/v26.0/"+id+"/users", in)
	p.clock.pass(time.Second)
	p.call("POST", "/v26.0/"+id+"/users", batch(9, 1, false, "2"))
	told := func(query string) []object {
		r := p.call("GET", "/v26.0/"+id+"/sessions"+query, nil)
		var out struct{ Data []object }
		if err := json.Unmarshal([]byte(r.text), &out); err != nil {
			t.Fatal(err)
		}
		return out.Data
	}
	if got := told("?session_id=5"); len(got) != 1 || got[0]["num_received"] != "2" || got[0]["num_invalid_entries"] != "1" || got[0]["num_matched"] != "0" || got[0]["stage"] != "matching" {
		t.Errorf("while matching: %v", got)
	}
	p.clock.pass(time.Minute)
	if got := told(""); len(got) != 2 || got[0]["num_matched"] != "1" || got[0]["stage"] != "finished" || got[1]["stage"] != "uploading" {
		t.Errorf("after matching: %v", got)
	}
	if r := p.call("GET", "/v26.0/"+id+"/sessions?session_id=x", nil); r.fault() != "100" {
		t.Errorf("no number: %s", r.text)
	}
}

func TestLagDelaysMatchingInOrder(t *testing.T) {
	p := newPeer(t, meta.Options{Lag: time.Minute})
	id := p.audience(settings())
	path := "/v26.0/" + id + "/users"
	one := body([]string{"EXTERN_ID"}, []any{"1"})
	p.call("POST", path, one)
	p.clock.pass(30 * time.Second)
	p.call("DELETE", path, one)
	p.call("POST", path, body([]string{"EXTERN_ID"}, []any{"2"}))
	if got := p.members(id); got != "" {
		t.Errorf("at once: %q", got)
	}
	r := p.call("GET", "/v26.0/"+id+"?fields=operation_status", nil)
	if code := r.body["operation_status"].(object)["code"]; code != 300.0 {
		t.Errorf("status while matching: %v", code)
	}
	p.clock.pass(30 * time.Second)
	if got := p.members(id); got != "1" {
		t.Errorf("after the lag of the first: %q", got)
	}
	p.clock.pass(30 * time.Second)
	if got := p.members(id); got != "2" {
		t.Errorf("after the lag of all: %q", got)
	}
}
