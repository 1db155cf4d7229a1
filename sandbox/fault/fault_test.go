package fault_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
)

// met lets n equal calls pass and tells with 1 and 0 which met a fault.
func met(p *fault.Plan, c fault.Call, n int) string {
	var out strings.Builder
	for range n {
		if _, ok := p.Take(c); ok {
			out.WriteByte('1')
		} else {
			out.WriteByte('0')
		}
	}
	return out.String()
}

func TestWhichCallsMeetAFault(t *testing.T) {
	call := fault.Call{Network: "meta", Method: "POST", Path: "/v26.0/123/users", Op: "add"}
	tests := []struct {
		name  string
		fault fault.Fault
		want  string
	}{
		{"once", fault.Fault{}, "1000"},
		{"three times", fault.Fault{Times: 3}, "1110"},
		{"without end", fault.Fault{Times: -1}, "1111"},
		{"after two", fault.Fault{Skip: 2}, "0010"},
		{"after one, twice", fault.Fault{Skip: 1, Times: 2}, "0110"},
		{"network", fault.Fault{Network: "meta"}, "1000"},
		{"other network", fault.Fault{Network: "linkedin"}, "0000"},
		{"method", fault.Fault{Method: "POST"}, "1000"},
		{"other method", fault.Fault{Method: "DELETE"}, "0000"},
		{"op", fault.Fault{Op: "add"}, "1000"},
		{"other op", fault.Fault{Op: "remove"}, "0000"},
		{"path", fault.Fault{Path: "/v26.0/123/users"}, "1000"},
		{"path, end", fault.Fault{Path: "*/users"}, "1000"},
		{"path, beginning", fault.Fault{Path: "/v26.0/*"}, "1000"},
		{"path, middle", fault.Fault{Path: "/v*/12*/us*s"}, "1000"},
		{"other path", fault.Fault{Path: "*/sessions"}, "0000"},
		{"other path, middle", fault.Fault{Path: "/v*/9*/users"}, "0000"},
		{"beginning of the path only", fault.Fault{Path: "/v26.0"}, "0000"},
		{"always by chance", fault.Fault{Probability: 1}, "1111"},
		{"by chance, twice", fault.Fault{Probability: 1, Times: 2}, "1100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := fault.NewPlan(1)
			tt.fault.Kind = fault.Status
			if _, err := p.Add(tt.fault); err != nil {
				t.Fatal(err)
			}
			if got := met(p, call, 4); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if s := p.Scripts()[0]; s.Met != strings.Count(tt.want, "1") {
				t.Errorf("counted %d", s.Met)
			}
		})
	}
}

func TestScriptsComeInOrder(t *testing.T) {
	p := fault.NewPlan(1)
	for _, f := range []fault.Fault{{Kind: fault.Status, Op: "add"}, {Kind: fault.Throttle}, {Kind: fault.HTML}} {
		if _, err := p.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	var got []fault.Kind
	for _, op := range []string{"read", "add", "add", "add"} {
		f, _ := p.Take(fault.Call{Op: op})
		got = append(got, f.Kind)
	}
	if want := "[throttle status html ]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	p.Reset()
	if len(p.Scripts()) != 0 {
		t.Error("scripts are left after reset")
	}
}

func TestChanceRepeatsWithItsSeed(t *testing.T) {
	run := func(seed uint64) string {
		p := fault.NewPlan(seed)
		if _, err := p.Add(fault.Fault{Kind: fault.Status, Probability: 0.5}); err != nil {
			t.Fatal(err)
		}
		return met(p, fault.Call{}, 200)
	}
	if first, again := run(1), run(1); first != again {
		t.Error("the same seed gives another sequence")
	}
	if run(1) == run(2) {
		t.Error("another seed gives the same sequence")
	}
	if hits := strings.Count(run(1), "1"); hits < 70 || hits > 130 {
		t.Errorf("%d of 200 at a probability of one half", hits)
	}
}

func TestParse(t *testing.T) {
	list, err := fault.Parse([]byte(`[{"op":"add","kind":"slow","delay":"1.5s"},{"kind":"error","code":613,"times":-1}]`))
	if err != nil || len(list) != 2 || time.Duration(list[0].Delay) != 1500*time.Millisecond || list[1].Code != 613 {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := fault.Parse([]byte(` {"kind":"cut"}`)); err != nil || len(list) != 1 {
		t.Errorf("a single one: %+v %v", list, err)
	}
	for _, text := range []string{
		``, `x`, `5`, `{}`, `{"kind":"dance"}`, `{"kind":"cut","colour":"red"}`, `{"kind":"slow"}`, `{"kind":"slow","delay":5}`,
		`{"kind":"slow","delay":"soon"}`, `{"kind":"invalid"}`, `{"kind":"error"}`, `{"kind":"status","status":99}`,
		`{"kind":"cut","probability":1.5}`, `{"kind":"cut","probability":-1}`, `{"kind":"cut","times":-2}`, `{"kind":"cut","skip":-1}`,
		`{"kind":"cut","delay":"-1s"}`, `{"kind":"throttle","minutes":-1}`, `[{"kind":"cut"},{"kind":"dance"}]`,
	} {
		if list, err := fault.Parse([]byte(text)); err == nil && len(list) > 0 {
			t.Errorf("%s: taken as %+v", text, list)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"kind":"slow","delay":"1.5s"}`)
	f.Add(`[{"op":"add","kind":"error","code":613,"times":-1,"path":"*/users"}]`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := fault.Parse([]byte(text))
		if err != nil {
			return
		}
		again, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		same, err := fault.Parse(again)
		if err != nil || fmt.Sprint(same) != fmt.Sprint(list) {
			t.Fatalf("%s became %v, %v", again, same, err)
		}
		p := fault.NewPlan(1)
		for _, one := range list {
			if _, err := p.Add(one); err != nil {
				t.Fatalf("parsed but not added: %v", err)
			}
		}
		p.Take(fault.Call{Network: "meta", Method: "POST", Path: "/v26.0/1/users", Op: "add"})
	})
}
