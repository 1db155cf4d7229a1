package template

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

const event = `{"id":"e1","data":{"email":"ana@example.com","n":3,"segment_events":[{"slug":"vip","event":"enter"}]}}`

// render evaluates one event in a fresh process.
func render(t *testing.T, text, event string) (string, error) {
	t.Helper()
	s, err := Open(t.Context(), text)
	if err != nil {
		return "", err
	}
	defer s.Close()
	out, err := s.Render(t.Context(), []byte(event))
	return string(out), err
}

func TestTemplates(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"external variable", `{mail: std.extVar("event").data.email}`, `{"mail":"ana@example.com"}`},
		{"function", `function(event) {mail: event.data.email}`, `{"mail":"ana@example.com"}`},
		{"the event itself", `std.extVar("event")`, compact(event)},
		{"list", `function(event) [e.slug for e in event.data.segment_events]`, `["vip"]`},
		{"text", `"plain"`, `"plain"`},
		{"default of a field", `function(event) std.get(event.data, "phone", "none")`, `"none"`},
		{"a local and a comprehension", "local e = std.extVar('event');\n{[k]: std.asciiUpper(std.toString(e.data[k])) for k in ['email', 'n']}", `{"email":"ANA@EXAMPLE.COM","n":"3"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := render(t, tc.text, event)
			if err != nil || got != tc.want {
				t.Errorf("%s, %v; want %s", got, err, tc.want)
			}
		})
	}
}

func compact(text string) string {
	var out bytes.Buffer
	var v any
	_ = json.Unmarshal([]byte(text), &v)
	raw, _ := json.Marshal(v)
	_ = json.Compact(&out, raw)
	return out.String()
}

// TestErrors: each names its place and quotes nothing of the event.
func TestErrors(t *testing.T) {
	const secret = "ana@example.com"
	for _, tc := range []struct {
		name, text, want string
		static           bool
	}{
		{"syntax", "{\n  a: ,\n}", "line 2, column 6: ", true},
		{"unknown variable", "{\n  a: evnt.data,\n}", "line 2, column 6: Unknown variable: evnt", true},
		{"empty", "", "", true},
		{"missing field", "local e = std.extVar('event');\n{a: e.data.phone}", "line 2, column 5: a field is asked for", false},
		{"a field named by the event", "local e = std.extVar('event');\n{a: e[e.data.email]}", "line 2, column 5: a field is asked for", false},
		{"an error of its own", "local e = std.extVar('event');\n{a: error 'no ' + e.data.email}", "line 2, column 5: the evaluation failed", false},
		{"an assertion", "local e = std.extVar('event');\nassert false : e.data.email; e", "line 2, column 1: the evaluation failed", false},
		{"wrong type", "local e = std.extVar('event');\n{a: e.data.email - 1}", "line 2, column 5: ", false},
		{"a function", "{a: function(x) x}", "the template makes a function", false},
		{"a function of two", "function(event, other) event", "a function is called with fewer arguments", false},
		{"another external variable", "std.extVar('secrets')", "there is no such external variable", false},
		{"import", "import '/etc/passwd'", "line 1, column 1: a template cannot import anything", false},
		{"importstr", "importstr '/etc/passwd'", "line 1, column 1: a template cannot import anything", false},
		{"recursion", "local f(n) = f(n + 1) + 1; f(0)", "calls nest deeper than 500", false},
		{"much output", "std.foldl(function(a, i) a + a, std.range(1, 17), 'xxxxxxxx')", "more than 1048576 bytes", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := render(t, tc.text, event)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tc.want) || e.Static != tc.static {
				t.Fatalf("%q, error %v (%+v); want %q", got, err, e, tc.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error quotes the event: %v", err)
			}
		})
	}
}

// TestLimits: what never ends or takes all memory is ended, the next event of the
// same template is evaluated, and no process and no goroutine is left.
func TestLimits(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, tc := range []struct{ name, body, want string }{
		{"never ends", `local f(n) = f(n + 1) tailstrict; f(0)`, "takes longer than 1s"},
		{"a list of a billion", `std.length([i + 1 for i in std.range(1, 1000000000)])`, "memory"},
		{"a text that doubles", `std.length(std.foldl(function(a, i) a + a, std.range(1, 40), "xxxxxxxx"))`, "memory"},
		{"a text of a gigabyte", `std.length(std.repeat("xxxxxxxxxx", 100000000))`, "memory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Open(t.Context(), `function(event) if event.bad then `+tc.body+` else "fine"`)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, err = s.Render(t.Context(), []byte(`{"bad": true}`))
			var e *Error
			if !errors.As(err, &e) || !(strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "takes longer than 1s")) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			t.Log(err)
			// On a machine under load even this may take longer than a second.
			out, err := s.Render(t.Context(), []byte(`{"bad": false}`))
			for tries := 0; tries < 20 && err != nil && strings.Contains(err.Error(), "takes longer than 1s"); tries++ {
				out, err = s.Render(t.Context(), []byte(`{"bad": false}`))
			}
			if err != nil || string(out) != `"fine"` {
				t.Errorf("the next event: %s, %v", out, err)
			}
		})
	}
	deep := strings.Repeat("[", MaxTextBytes/2) + strings.Repeat("]", MaxTextBytes/2)
	if err := Check(t.Context(), deep); err != nil {
		t.Logf("nested as deep as the text allows: %v", err)
	}
	if err := Check(t.Context(), strings.Repeat(" ", MaxTextBytes)+"1"); err == nil {
		t.Error("a text that is too long was taken")
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if runtime.NumGoroutine() <= before {
			return
		}
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestCancelling(t *testing.T) {
	s, err := Open(t.Context(), `function(event) local f(n) = f(n + 1) tailstrict; if event.slow then f(0) else 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	begun := time.AfterFunc(10*time.Millisecond, cancel)
	defer begun.Stop()
	if _, err := s.Render(ctx, []byte(`{"slow": true}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled evaluation: %v", err)
	}
	if out, err := s.Render(t.Context(), []byte(`{"slow": false}`)); err != nil || string(out) != "1" {
		t.Errorf("after it: %s %v", out, err)
	}
	s.Close()
	if _, err := s.Render(t.Context(), []byte(`{"slow": false}`)); !errors.Is(err, errClosed) {
		t.Errorf("after closing: %v", err)
	}
}

// TestEventsAreData: whatever an event holds, it comes out as it went in, and is
// never code.
func TestEventsAreData(t *testing.T) {
	s, err := Open(t.Context(), "function(event) event")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, in := range []string{
		`"std.extVar('event')"`, `"'; local x = 1; '"`, `"||| \n text\n|||"`, `{"a":{"+":1,"$":2,"self":3,"super":4,"":5}}`, `"\u0000\u001f\"\\ \u2028"`, `["%s", "%%", "@'x'"]`,
		`{"a":1,"a":2}`, `null`, `true`, `-1.5e3`, `"` + strings.Repeat("long ", 10000) + `"`,
	} {
		out, err := s.Render(t.Context(), []byte(in))
		if err != nil || compact(string(out)) != compact(in) {
			t.Errorf("%.40s became %.40s, %v", in, out, err)
		}
	}
	for _, in := range []string{"", "{", "1 2", "{a: 1}", "import 'x'"} {
		if out, err := s.Render(t.Context(), []byte(in)); err == nil {
			t.Errorf("%q is no event, and made %s", in, out)
		}
	}
}

// FuzzRead: no text takes the reader out of its errors, and what it quotes of
// them has a place.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"{}", "{a:", "function(event) event", "local a = 1; a", "'\\u12", "|||\n x\n|||", "[", "import 'a'", "\xff", "/*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		p, wrong := read(text)
		if (p == nil) == (wrong == nil) {
			t.Fatal("neither a program nor an error, or both")
		}
		if wrong != nil && (wrong.Message == "" || !wrong.Static || wrong.Line < 0) {
			t.Errorf("%+v", wrong)
		}
	})
}

// FuzzFrame: frames come out as they went in, and nothing else is taken for one.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{'e', 0, 0, 0, 1, 'x'})
	f.Add([]byte{'e', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, body, err := readFrame(bytes.NewReader(raw))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeFrame(&out, k, body); err != nil || !bytes.HasPrefix(raw, out.Bytes()) {
			t.Errorf("%v: %v of %v", err, out.Bytes(), raw)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	s, err := Open(b.Context(), `function(event) {mail: event.data.email, events: [e {at: "now"} for e in event.data.segment_events]}`)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if _, err := s.Render(b.Context(), []byte(event)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		if err := Check(b.Context(), fmt.Sprintf("{a: %d}", b.N)); err != nil {
			b.Fatal(err)
		}
	}
}
