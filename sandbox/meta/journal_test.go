package meta_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// picture is all that may be read back of a network's audiences.
func picture(t *testing.T, n *meta.Network) string {
	t.Helper()
	var out []any
	for _, a := range n.Audiences() {
		list, _ := n.Members(a.ID)
		out = append(out, a, list)
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// live makes a network do a bit of everything and returns it.
func live(t *testing.T, o meta.Options, file string) *peer {
	p := newPeerWith(t, o, file)
	p.call("POST", "/v26.0/act_7/customaudiencestos", object{"tos_id": "1"})
	id, gone := p.audience(settings()), p.audience(settings())
	path := "/v26.0/" + id + "/users"
	p.call("POST", path, with(body([]string{"EXTERN_ID", "EMAIL"}, []any{"1", hash("a")}, []any{"2", hash("a")}, []any{"3", "X"}),
		"session", object{"session_id": 5, "batch_seq": 1, "last_batch_flag": true}))
	p.call("DELETE", path, body([]string{"EXTERN_ID"}, []any{"1"}))
	p.call("POST", "/v26.0/"+id, object{"name": "New"})
	p.call("DELETE", "/v26.0/"+gone, nil)
	p.net.SetFlagged(id, true)
	return p
}

func TestStateOutlivesTheNetwork(t *testing.T) {
	file := stateFile(t)
	options := meta.Options{TermsPending: []string{"7"}}
	p := live(t, options, file)
	want := picture(t, p.net)
	if err := p.net.Close(); err != nil {
		t.Fatal(err)
	}
	if r := p.call("POST", "/v26.0/act_7/customaudiences", settings()); r.status != 503 {
		t.Errorf("a closed network took a change: %d %s", r.status, r.text)
	}
	again := newPeerWith(t, options, file)
	if got := picture(t, again.net); got != want {
		t.Errorf("after the restart\n%s\nwant\n%s", got, want)
	}
	id := again.net.Audiences()[0].ID
	again.net.SetFlagged(id, false)
	if r := again.call("POST", "/v26.0/"+id+"/users", batch(5, 2, false, "9")); r.fault() != "100" {
		t.Errorf("the session's end was forgotten: %s", r.text)
	}
	if next := again.audience(settings()); next <= id {
		t.Errorf("id %s is not after %s", next, id)
	}
}

func TestStateIsForItsOwnerOnly(t *testing.T) {
	file := stateFile(t)
	live(t, meta.Options{}, file)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestEveryBeginningOfTheStateOpens cuts the file where a crash could.
func TestEveryBeginningOfTheStateOpens(t *testing.T) {
	file := stateFile(t)
	p := live(t, meta.Options{}, file)
	if err := p.net.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	deps := meta.Deps{Now: time.Now, Faults: fault.NewPlan(1)}
	for size := 0; size <= len(text); size += 7 {
		deps.StateFile = stateFile(t)
		if err := os.WriteFile(deps.StateFile, text[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := meta.New(meta.Options{}, deps)
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(deps.StateFile)
		if err != nil {
			t.Fatal(err)
		}
		if want := text[:1+strings.LastIndexByte(string(text[:size]), '\n')]; string(kept) != string(want) {
			t.Fatalf("cut at %d: kept %d bytes, want %d", size, len(kept), len(want))
		}
	}
}

func TestBrokenStateIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":           "x\n",
		"unknown kind":      `{"kind":"dance"}` + "\n",
		"create of nothing": `{"kind":"create","audience":"1","account":"7"}` + "\n",
		"users of nothing":  `{"kind":"users","audience":"1"}` + "\n",
		"ragged rows":       `{"kind":"users","audience":"1","upload":{"op":"add","keys":["EMAIL"],"rows":[["a","b"]]}}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := stateFile(t)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := meta.New(meta.Options{}, meta.Deps{Now: time.Now, Faults: fault.NewPlan(1), StateFile: file}); err == nil {
				t.Error("opened")
			}
			if kept, _ := os.ReadFile(file); string(kept) != text {
				t.Error("the refused file was changed")
			}
		})
	}
	if _, err := meta.New(meta.Options{}, meta.Deps{Now: time.Now, Faults: fault.NewPlan(1), StateFile: t.TempDir()}); err == nil {
		t.Error("a folder was opened")
	}
}
