package linkedin

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestControl(t *testing.T) {
	w := open(t, Options{})
	id := w.segment()
	add := `{"elements":[{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"` + mail + `"}],"country":"US"}]}`
	w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", add), 200, "201")
	w.want(w.call("POST", "/rest/conversionEvents", "BATCH_CREATE", `{"elements":[`+goodEvent+`]}`), 200, "201")
	for _, tc := range []struct {
		method, path, body string
		status             int
		part               string
	}{
		{"GET", "/segments", "", 200, `"source_segment_id":"our-42"`},
		{"GET", "/segments/" + id, "", 200, `"members":1`},
		{"GET", "/segments/" + id + "/members", "", 200, mail},
		{"GET", "/segments/9", "", 404, "no such segment"},
		{"GET", "/segments/9/members", "", 404, "no such segment"},
		{"POST", "/segments/" + id + "/status", `{"status":"EXPIRED"}`, 204, ""},
		{"POST", "/segments/" + id + "/status", `{}`, 400, ""},
		{"GET", "/rules", "", 200, `"id":"104"`},
		{"POST", "/rules", `{"id":"105","conversion_method":"INSIGHT_TAG"}`, 204, ""},
		{"POST", "/rules", `{"id":"x"}`, 400, ""},
		{"GET", "/events", "", 200, `"event_id":"o-1"`},
		{"GET", "/calls", "", 200, `"op":"users"`},
		{"GET", "/counters", "", 200, `"writes":3`},
		{"POST", "/tokens", `{"value":"new"}`, 204, ""},
		{"POST", "/tokens", `{}`, 400, ""},
		{"DELETE", "/segments/" + id, "", 204, ""},
		{"DELETE", "/segments/" + id, "", 404, ""},
		{"POST", "/withdraw", `{"refresh_token":"` + DefaultRefreshToken + `"}`, 204, ""},
		{"POST", "/withdraw", `[]`, 400, ""},
		{"DELETE", "/calls", "", 204, ""},
	} {
		rec := httptest.NewRecorder()
		w.Control().ServeHTTP(rec, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
		if rec.Code != tc.status || !strings.Contains(rec.Body.String(), tc.part) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, rec.Code, rec.Body)
		}
	}
	if o := w.Overview(); o["segments"] != 0 || o["events"] != 1 {
		t.Errorf("overview %v", o)
	}
}

func FuzzBody(f *testing.F) {
	f.Add("/rest/dmpSegments", goodSegment)
	f.Add("/rest/dmpSegments/1/users", `{"elements":[{"action":"ADD"}]}`)
	f.Add("/rest/conversionEvents", `{"elements":[`+goodEvent+`]}`)
	f.Add("/rest/conversions", goodRule)
	f.Add("/oauth/v2/accessToken", "grant_type=refresh_token")
	f.Fuzz(func(t *testing.T, path, body string) {
		w := open(t, Options{})
		for _, method := range []string{"", "BATCH_CREATE"} {
			r := request("POST", "/", method, body)
			r.URL.Path = path
			if got := w.do(r); got.status < 200 || got.status >= 500 {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
	})
}
