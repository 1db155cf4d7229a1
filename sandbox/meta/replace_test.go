package meta_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"usher/sandbox/meta"
)

func (p *peer) replace(id string, in object) reply {
	p.t.Helper()
	return p.call(http.MethodPost, "/v26.0/"+id+"/usersreplace", in)
}

// told is what the network tells of one session, nil when it knows none.
func (p *peer) told(id string, session int64) object {
	p.t.Helper()
	r := p.call(http.MethodGet, fmt.Sprintf("/v26.0/%s/sessions?session_id=%d", id, session), nil)
	list, _ := r.body["data"].([]any)
	if r.status != http.StatusOK || len(list) > 1 {
		p.t.Fatalf("%d %s", r.status, r.text)
	}
	if len(list) == 0 {
		return nil
	}
	return list[0].(object)
}

func TestReplaceTakesTheVendorsExample(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	r := p.replace(id, goodCall(goodRow("cust-7")))
	if r.status != 200 || r.body["audience_id"] != id || r.body["session_id"] != "8123456789" || r.body["num_received"] != 1.0 || r.body["num_invalid_entries"] != 0.0 {
		t.Errorf("%d %s", r.status, r.text)
	}
	if r := p.replace(p.audience(settings()), object{
		"payload": object{"schema": "EMAIL_SHA256", "data": []any{hash("a")}, "is_raw": true}, "namespace": "x",
		"session": object{"session_id": "7", "batch_seq": "1", "last_batch_flag": true},
	}); r.status != 200 {
		t.Errorf("one key: %d %s", r.status, r.text)
	}
}

func TestReplaceRefusesEachCorruption(t *testing.T) {
	part := func(part, name string, v any) object {
		in := goodCall(goodRow("1"))
		in[part] = with(in[part].(object), name, v)
		return in
	}
	tests := map[string]object{
		"no payload":            with(goodCall(goodRow("1")), "payload", nil),
		"no session":            with(goodCall(goodRow("1")), "session", nil),
		"session a text":        with(goodCall(goodRow("1")), "session", "x"),
		"no session id":         part("session", "session_id", nil),
		"session id zero":       part("session", "session_id", 0),
		"session id too large":  part("session", "session_id", "9223372036854775808"),
		"no batch number":       part("session", "batch_seq", nil),
		"batch number zero":     part("session", "batch_seq", 0),
		"no last flag":          part("session", "last_batch_flag", nil),
		"last flag a text":      part("session", "last_batch_flag", "true"),
		"total negative":        part("session", "estimated_num_total", -1),
		"total too large":       part("session", "estimated_num_total", 100_000_001),
		"no schema":             part("payload", "schema", nil),
		"unknown key":           part("payload", "schema", []string{"EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY", "SHOE_SIZE"}),
		"schema too short":      part("payload", "schema", keys[1:]),
		"no data":               part("payload", "data", nil),
		"empty data":            part("payload", "data", []any{}),
		"row too short":         part("payload", "data", [][]any{goodRow("1")[1:]}),
		"too many rows":         part("payload", "data", [][]any{goodRow("1"), goodRow("2"), goodRow("3")}),
		"value, not with these": with(goodCall(goodRow("1")), "payload", object{"schema": []string{"EMAIL", "LOOKALIKE_VALUE"}, "data": [][]any{{hash("a"), 5}}}),
	}
	p := newPeer(t, meta.Options{MaxRows: 2})
	id := p.audience(settings())
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			if r := p.replace(id, in); r.status != 400 || r.fault() != "100" {
				t.Errorf("%d %s", r.status, r.text)
			}
		})
	}
	if a, _ := p.net.Audience(id); a.Replacing || a.Books.ReplaceCalls != 0 {
		t.Errorf("refused calls had an effect: %+v", a)
	}
	valued := p.audience(with(settings(), "is_value_based", true))
	if r := p.replace(valued, batch(5, 1, true, "1")); r.fault() != "100" {
		t.Errorf("of a value-based audience: %s", r.text)
	}
	p.net.SetFlagged(id, true)
	if r := p.replace(id, batch(5, 1, true, "1")); r.fault() != "100/1713230" {
		t.Errorf("of a flagged audience: %s", r.text)
	}
	if r := p.replace("17", batch(5, 1, true, "1")); r.fault() != "100/33" {
		t.Errorf("of no audience: %s", r.text)
	}
	if r := p.call(http.MethodGet, "/v26.0/"+id+"/usersreplace", nil); r.fault() != "100/33" {
		t.Errorf("a reading of it: %s", r.text)
	}
}

// TestReplaceSession is the life of one replacement: nothing of it is seen
// before its last batch, nothing else goes on meanwhile, and then all is new.
func TestReplaceSession(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id, other := p.audience(settings()), p.audience(settings())
	users := "/v26.0/" + id + "/users"
	p.call("POST", users, batch(1, 1, true, "old"))
	p.call("POST", users, batch(2, 1, true, "both"))
	for _, step := range []struct {
		name    string
		pass    time.Duration
		do      func() reply
		fault   string
		members string
	}{
		{"a session of users", 0, func() reply { return p.replace(id, batch(2, 1, true, "x")) }, "100", "both old"},
		{"it begins", 0, func() reply { return p.replace(id, batch(5, 1, false, "new")) }, "", "both old"},
		{"the same again", 0, func() reply { return p.replace(id, batch(5, 1, false, "new")) }, "", "both old"},
		{"an add meanwhile", 0, func() reply { return p.call("POST", users, batch(6, 1, true, "add")) }, "2650", "both old"},
		{"an add into its session", 0, func() reply { return p.call("POST", users, batch(5, 2, true, "add")) }, "2650", "both old"},
		{"an add without session", 0, func() reply { return p.call("POST", users, body([]string{"EXTERN_ID"}, []any{"add"})) }, "2650", "both old"},
		{"a removal meanwhile", 0, func() reply { return p.call("DELETE", users, batch(6, 1, true, "old")) }, "2650", "both old"},
		{"a second replacement", 0, func() reply { return p.replace(id, batch(7, 1, true, "x")) }, "2650", "both old"},
		{"another audience by the session", 0, func() reply { return p.replace(other, batch(5, 2, false, "x")) }, "100", "both old"},
		{"late in the window", 89 * time.Minute, func() reply { return p.replace(id, batch(5, 2, false, "both")) }, "", "both old"},
		{"it ends", 0, func() reply { return p.replace(id, batch(5, 3, true, "last")) }, "", "both last new"},
		{"the last again", 0, func() reply { return p.replace(id, batch(5, 3, true, "last")) }, "100", "both last new"},
		{"a batch afterwards", 0, func() reply { return p.replace(id, batch(5, 2, false, "x")) }, "100", "both last new"},
		{"users by its session", 0, func() reply { return p.call("POST", users, batch(5, 1, false, "x")) }, "100", "both last new"},
		{"an add afterwards", 0, func() reply { return p.call("POST", users, batch(8, 1, true, "add")) }, "", "add both last new"},
		{"a removal afterwards", 0, func() reply { return p.call("DELETE", users, batch(9, 1, true, "new")) }, "", "add both last"},
		{"the next one", 0, func() reply { return p.replace(id, batch(10, 1, true, "only")) }, "", "only"},
	} {
		p.clock.pass(step.pass)
		if r := step.do(); r.fault() != step.fault {
			t.Errorf("%s: %d %s", step.name, r.status, r.text)
		}
		if got := p.members(id); got != step.members {
			t.Errorf("%s: members %q, want %q", step.name, got, step.members)
		}
	}
	b := p.books(id)
	if b.ReplaceCalls != 5 || b.ReplaceRows != 5 || b.NewMembers-b.RemovedMembers != 1 {
		t.Errorf("books %+v", b)
	}
}

func TestReplaceIsForgottenAfterItsWindow(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	users := "/v26.0/" + id + "/users"
	p.call("POST", users, batch(1, 1, true, "old"))
	p.replace(id, batch(5, 1, false, "new"))
	p.clock.pass(91 * time.Minute)
	if r := p.replace(id, batch(5, 2, true, "last")); r.fault() != "100" {
		t.Errorf("after the window: %s", r.text)
	}
	if r := p.call("POST", users, batch(6, 1, true, "add")); r.status != 200 || p.members(id) != "add old" {
		t.Errorf("an add after it: %s, members %s", r.text, p.members(id))
	}
	if s := p.told(id, 5); s["stage"] != "expired" || s["end_time"] == nil || s["num_matched"] != "0" {
		t.Errorf("told %v", s)
	}
	if r := p.replace(id, batch(7, 1, true, "new")); r.status != 200 || p.members(id) != "new" {
		t.Errorf("the next one: %s, members %s", r.text, p.members(id))
	}
}

func TestReplaceIsTold(t *testing.T) {
	p := newPeer(t, meta.Options{Lag: time.Minute})
	id := p.audience(settings())
	first := batch(5, 1, false, "1")
	first["session"].(object)["estimated_num_total"] = 4
	p.replace(id, first)
	second := batch(5, 2, true, "2")
	second["payload"] = object{"schema": []string{"EMAIL"}, "data": [][]any{{hash("a")}, {"X"}}}
	want := func(when string, fields object) {
		t.Helper()
		got := p.told(id, 5)
		for name, v := range fields {
			if got[name] != v {
				t.Errorf("%s: %s is %v, want %v", when, name, got[name], v)
			}
		}
		for name, v := range got {
			if _, isText := v.(string); !isText {
				t.Errorf("%s: %s is no text", when, name)
			}
		}
	}
	want("begun", object{"stage": "uploading", "progress": "25", "num_received": "1", "num_matched": "0", "start_time": fmt.Sprint(p.clock.Now().Unix()), "end_time": nil})
	p.replace(id, second)
	want("uploaded", object{"stage": "matching", "progress": "99", "num_received": "3", "num_invalid_entries": "1", "num_matched": "0"})
	if a, _ := p.net.Audience(id); a.Replacing || a.Members != 0 {
		t.Errorf("before the lag: %+v", a)
	}
	p.clock.pass(time.Minute)
	want("matched", object{"stage": "finished", "progress": "100", "num_received": "3", "num_matched": "2", "session_id": "5"})
	if p.told(id, 6) != nil {
		t.Error("a session that never was is told")
	}
	if r := p.call("GET", "/v26.0/"+id+"/sessions?session_id=0", nil); r.fault() != "100" {
		t.Errorf("session 0: %s", r.text)
	}
}

func TestReplaceOutlivesTheNetwork(t *testing.T) {
	file := stateFile(t)
	p := newPeerWith(t, meta.Options{}, file)
	id := p.audience(settings())
	p.call("POST", "/v26.0/"+id+"/users", batch(1, 1, true, "old"))
	p.replace(id, batch(5, 1, false, "new"))
	want := picture(t, p.net)
	if err := p.net.Close(); err != nil {
		t.Fatal(err)
	}
	again := newPeerWith(t, meta.Options{}, file)
	if got := picture(t, again.net); got != want {
		t.Errorf("after the restart %s, before it %s", got, want)
	}
	if r := again.replace(id, batch(5, 2, true, "last")); r.status != 200 || again.members(id) != "last new" {
		t.Errorf("%s, members %s", r.text, again.members(id))
	}
}

func TestEraseGoesOnDuringAReplacement(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	p.call("POST", "/v26.0/"+id+"/users", batch(1, 1, true, "old"))
	p.replace(id, batch(5, 1, false, "new"))
	if r := p.call("DELETE", "/v26.0/act_7/usersofanyaudience", body([]string{"EXTERN_ID"}, []any{"old"})); r.status != 200 || p.members(id) != "" {
		t.Errorf("%s, members %s", r.text, p.members(id))
	}
}

func TestReplaceNeedsThePermission(t *testing.T) {
	p := newPeer(t, meta.Options{Tokens: []meta.Token{{Value: meta.DefaultToken}, {Value: "reader", ReadOnly: true}}})
	id := p.audience(settings())
	p.token = "reader"
	if r := p.replace(id, batch(5, 1, true, "1")); r.fault() != "200" {
		t.Errorf("%d %s", r.status, r.text)
	}
	if p.told(id, 5) != nil {
		t.Error("a session was begun")
	}
}
