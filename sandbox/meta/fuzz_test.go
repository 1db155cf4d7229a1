package meta

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"usher/sandbox/fault"
)

// FuzzUsers sends any body to an audience: whatever comes, the books add up and
// the roster's index stays whole.
func FuzzUsers(f *testing.F) {
	f.Add("application/json", `{"payload":{"schema":["EMAIL"],"data":[["`+hashOfNothing+`"]]}}`, false)
	f.Add("application/json", `{"payload":{"schema":"EMAIL_SHA256","data":["x"]},"session":{"session_id":1,"batch_seq":1,"last_batch_flag":true}}`, true)
	f.Add("application/json", `{"payload":{"schema":["EXTERN_ID","DATA_PROCESSING_OPTIONS"],"data":[["1",["LDU"]]]}}`, false)
	f.Add("application/x-www-form-urlencoded", `payload={"schema":["EXTERN_ID"],"data":[["1"]]}`, false)
	f.Fuzz(func(t *testing.T, kind, body string, remove bool) {
		n, err := New(Options{}, Deps{Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: fault.NewPlan(1)})
		if err != nil {
			t.Fatal(err)
		}
		n.apply(event{Kind: eventCreate, Audience: "17", Account: "7", Settings: &settings{Name: "x", Subtype: "CUSTOM"}})
		// Whatever comes to a replacement, it ends in the members or nowhere.
		rr := httptest.NewRequest("POST", "/v26.0/17/usersreplace?access_token="+DefaultToken, bytes.NewBufferString(body))
		rr.Header.Set("Content-Type", kind)
		ww := httptest.NewRecorder()
		n.ServeHTTP(ww, rr)
		if a, _ := n.Audience("17"); ww.Code >= 500 || ww.Code != 200 && a.Books.ReplaceCalls != 0 || a.Members != a.Books.NewMembers {
			t.Fatalf("replacement: status %d, members %d, books %+v", ww.Code, a.Members, a.Books)
		}
		n.apply(event{Kind: eventDelete, Audience: "17"})
		n.apply(event{Kind: eventCreate, Audience: "17", Account: "7", Settings: &settings{Name: "x", Subtype: "CUSTOM"}})
		n.account("7").sessions = map[int64]*session{}
		method := "POST"
		if remove {
			method = "DELETE"
		}
		r := httptest.NewRequest(method, "/v26.0/17/users?access_token="+DefaultToken, bytes.NewBufferString(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		n.ServeHTTP(w, r)
		a, _ := n.Audience("17")
		if w.Code != 200 {
			if a.Books.AddCalls+a.Books.RemoveCalls != 0 || w.Code >= 500 {
				t.Fatalf("status %d, books %+v", w.Code, a.Books)
			}
			return
		}
		b := a.Books
		rows := b.NewMembers + b.KnownMembers + b.Sins[SinUnmatchable] + b.NobodyRemoved + b.InvalidRows
		if rows != b.AddRows+b.RemoveRows || a.Members != b.NewMembers {
			t.Fatalf("members %d, books %+v", a.Members, b)
		}
	})
}

// FuzzReplay reads any state file: it is refused or applied, never a panic, and
// what counts as whole ends with a line.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"kind":"create","audience":"17","account":"7","settings":{"name":"x"}}` + "\n" +
		`{"kind":"users","audience":"17","upload":{"op":"add","session":1,"keys":["EMAIL"],"rows":[["a"]]}}` + "\n"))
	f.Add([]byte(`{"kind":"delete","audience":"17"}` + "\n" + `{"kind":`))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := New(Options{}, Deps{Now: time.Now, Faults: fault.NewPlan(1)})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := replay(bytes.NewReader(text), n.apply)
		if err == nil && whole > 0 && text[whole-1] != '\n' {
			t.Fatalf("%d bytes end within a line", whole)
		}
		for _, a := range n.Audiences() {
			n.Members(a.ID)
		}
	})
}
