package meta_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"usher/sandbox/meta"
)

var keys = []string{"EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY", "MADID"}

const device = "cdda802e-fb9c-47ad-9866-0794d394c912"

// goodRow is a row of keys.
func goodRow(name string) []any {
	return []any{name, hash("e" + name), hash("p" + name), hash("f"), hash("l"), hash("z"), hash("c"), ""}
}

// goodCall is the vendor's example: a full session block and a full schema.
func goodCall(rows ...[]any) object {
	b := body(keys, rows...)
	b["session"] = object{"session_id": 8123456789, "batch_seq": 1, "last_batch_flag": false, "estimated_num_total": 24000}
	return b
}

func TestUsersAcceptsTheVendorsExamples(t *testing.T) {
	legacy := func(schema any, data any) object {
		return object{"payload": object{"schema": schema, "data": data}}
	}
	tests := map[string]object{
		"full":                     goodCall(goodRow("cust-7")),
		"without session":          body(keys, goodRow("1")),
		"session id as text":       with(goodCall(goodRow("1")), "session", object{"session_id": "9223372036854775807", "batch_seq": "2", "last_batch_flag": true}),
		"one key, flat":            legacy("EMAIL_SHA256", []any{hash("a"), hash("b")}),
		"one key in a list, flat":  legacy([]string{"PHONE_SHA256"}, []any{hash("a")}),
		"one key, rows":            legacy([]string{"EMAIL"}, [][]any{{hash("a")}}),
		"device ids":               legacy("MOBILE_ADVERTISER_ID", []any{device}),
		"user ids":                 {"payload": object{"schema": "UID", "data": []any{"17"}, "app_ids": []int{5}}},
		"limited data use":         body([]string{"EMAIL", "DATA_PROCESSING_OPTIONS", "DATA_PROCESSING_OPTIONS_COUNTRY", "DATA_PROCESSING_OPTIONS_STATE"}, []any{hash("a"), []string{"LDU"}, 1, 1000}, []any{hash("b"), []string{}, 0, 0}),
		"payload as text":          {"payload": `{"schema":["EMAIL"],"data":[["` + hash("a") + `"]]}`},
		"is_raw and more are fine": {"payload": object{"schema": []string{"EMAIL"}, "data": [][]any{{hash("a")}}, "is_raw": false}, "customer_consent": true},
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, meta.Options{})
			id := p.audience(settings())
			for _, method := range []string{"POST", "DELETE"} {
				r := p.call(method, "/v26.0/"+id+"/users", in)
				if r.status != 200 || r.body["audience_id"] != id || r.body["num_invalid_entries"] != 0.0 || r.body["num_received"] == 0.0 {
					t.Errorf("%s: %d %s", method, r.status, r.text)
				}
				if session, ok := r.body["session_id"].(string); !ok || session == "" {
					t.Errorf("%s: session id %v is no text", method, r.body["session_id"])
				}
				if samples, ok := r.body["invalid_entry_samples"].(object); !ok || len(samples) != 0 {
					t.Errorf("%s: samples %v", method, r.body["invalid_entry_samples"])
				}
			}
			if got, _ := p.net.Members(id); len(got) != 0 {
				t.Errorf("after removal: %v", got)
			}
		})
	}
}

func TestUsersRefusesEachCorruption(t *testing.T) {
	payload := func(name string, v any) func() object {
		return func() object {
			in := goodCall(goodRow("1"))
			in["payload"] = with(in["payload"].(object), name, v)
			return in
		}
	}
	session := func(name string, v any) func() object {
		return func() object {
			in := goodCall(goodRow("1"))
			in["session"] = with(in["session"].(object), name, v)
			return in
		}
	}
	whole := func(name string, v any) func() object {
		return func() object { return with(goodCall(goodRow("1")), name, v) }
	}
	tests := map[string]func() object{
		"no payload":            whole("payload", nil),
		"payload a number":      whole("payload", 5),
		"no schema":             payload("schema", nil),
		"empty schema":          payload("schema", []string{}),
		"unknown key":           payload("schema", []string{"EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY", "SHOE_SIZE"}),
		"key twice":             payload("schema", []string{"EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY", "EMAIL"}),
		"key in lower case":     payload("schema", []string{"EXTERN_ID", "email", "PHONE", "FN", "LN", "ZIP", "COUNTRY", "MADID"}),
		"single key in company": payload("schema", []string{"EXTERN_ID", "EMAIL_SHA256", "PHONE", "FN", "LN", "ZIP", "COUNTRY", "MADID"}),
		"schema too short":      payload("schema", keys[1:]),
		"no data":               payload("data", nil),
		"empty data":            payload("data", []any{}),
		"data a text":           payload("data", "x"),
		"row too short":         payload("data", [][]any{goodRow("1"), goodRow("2")[1:]}),
		"row too long":          payload("data", [][]any{append(goodRow("1"), "")}),
		"row no list":           payload("data", []any{"x"}),
		"too many rows":         payload("data", [][]any{goodRow("1"), goodRow("2"), goodRow("3"), goodRow("4")}),
		"session a text":        whole("session", "x"),
		"no session id":         session("session_id", nil),
		"session id zero":       session("session_id", 0),
		"session id negative":   session("session_id", -1),
		"session id too large":  session("session_id", "9223372036854775808"),
		"session id a fraction": session("session_id", 1.5),
		"no batch number":       session("batch_seq", nil),
		"batch number zero":     session("batch_seq", 0),
		"no last flag":          session("last_batch_flag", nil),
		"last flag a text":      session("last_batch_flag", "true"),
		"total negative":        session("estimated_num_total", -1),
		"value on an audience without": func() object {
			return body([]string{"EMAIL", "LOOKALIKE_VALUE"}, []any{hash("a"), 5})
		},
		"user ids without app ids": func() object { return body([]string{"UID"}, []any{"17"}) },
	}
	p := newPeer(t, meta.Options{MaxRows: 3})
	id := p.audience(settings())
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"POST", "DELETE"} {
				r := p.call(method, "/v26.0/"+id+"/users", in())
				if r.status != 400 || r.fault() != "100" {
					t.Errorf("%s: %d %s", method, r.status, r.text)
				}
			}
		})
	}
	if books := p.books(id); books.AddCalls+books.RemoveCalls != 0 || p.members(id) != "" {
		t.Errorf("refused calls had an effect: %+v", books)
	}
}

func TestUsersCountsInvalidRowsInside200(t *testing.T) {
	tests := map[string]struct {
		column int
		cell   any
		sin    meta.Sin
	}{
		"upper-case hash":         {1, strings.ToUpper(hash("e") + "")[:63] + "A", ""},
		"not hexadecimal":         {1, strings.Repeat("g", 64), ""},
		"too short":               {2, hash("p")[:63], ""},
		"plain address":           {1, "jon@example.com", ""},
		"plain name":              {3, "jon", ""},
		"hash of nothing":         {1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", meta.SinHashOfNothing},
		"device id in upper case": {7, strings.ToUpper(device), ""},
		"hashed device id":        {7, hash("d"), ""},
		"number for text":         {0, 5, ""},
		"null":                    {1, nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, meta.Options{})
			id := p.audience(settings())
			bad := goodRow("bad")
			bad[tt.column] = tt.cell
			r := p.call("POST", "/v26.0/"+id+"/users", body(keys, goodRow("1"), bad, goodRow("2")))
			if r.status != 200 || r.body["num_received"] != 3.0 || r.body["num_invalid_entries"] != 1.0 {
				t.Errorf("%d %s", r.status, r.text)
			}
			if strings.Contains(r.text, "index") || strings.Contains(r.text, "row") {
				t.Errorf("the answer tells which row it was: %s", r.text)
			}
			if got := p.members(id); got != "1 2" {
				t.Errorf("members %q", got)
			}
			if got := p.books(id).Sins[tt.sin]; tt.sin != "" && got != 1 {
				t.Errorf("sins %v", p.books(id).Sins)
			}
		})
	}
}

func TestUsersCountsAnEmptyRowAsInvalid(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EMAIL", "FN"}, []any{"", ""}, []any{"", hash("f")}))
	if r.body["num_invalid_entries"] != 1.0 {
		t.Errorf("%s", r.text)
	}
	if got := p.books(id); got.Sins[meta.SinUnmatchable] != 1 || p.members(id) != "" {
		t.Errorf("a name alone: %+v", got)
	}
}

func TestValueBasedAudience(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(with(settings(), "is_value_based", true))
	path := "/v26.0/" + id + "/users"
	if r := p.call("POST", path, body([]string{"EMAIL"}, []any{hash("a")})); r.fault() != "100" {
		t.Errorf("add without value: %s", r.text)
	}
	r := p.call("POST", path, body([]string{"EMAIL", "LOOKALIKE_VALUE"}, []any{hash("a"), 44.5}, []any{hash("b"), "0"}, []any{hash("c"), -1}, []any{hash("d"), "x"}, []any{hash("e"), ""}))
	if r.status != 200 || r.body["num_invalid_entries"] != 3.0 {
		t.Errorf("add with values: %s", r.text)
	}
	if r := p.call("DELETE", path, body([]string{"EMAIL"}, []any{hash("a")})); r.status != 200 {
		t.Errorf("remove by key: %s", r.text)
	}
	if got, _ := p.net.Members(id); len(got) != 1 {
		t.Errorf("members %v", got)
	}
}

func TestUsersBounds(t *testing.T) {
	p := newPeer(t, meta.Options{MaxBytes: 2000})
	id := p.audience(settings())
	var rows [][]any
	for i := range 3 {
		rows = append(rows, goodRow(fmt.Sprint(i)))
	}
	if r := p.call("POST", "/v26.0/"+id+"/users", body(keys, rows...)); r.status != 200 {
		t.Errorf("within the limit: %d %s", r.status, r.text)
	}
	for i := range 3 {
		rows = append(rows, goodRow(fmt.Sprint("x", i)))
	}
	if r := p.call("POST", "/v26.0/"+id+"/users", body(keys, rows...)); r.status != 413 || r.fault() != "100" {
		t.Errorf("body too large: %d %s", r.status, r.text)
	}
	if got := p.books(id).AddRows; got != 3 {
		t.Errorf("%d rows taken", got)
	}
}

func TestUsersByDefaultTakesTenThousandRows(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	data := make([][]any, 10_001)
	for i := range data {
		data[i] = []any{fmt.Sprint(i)}
	}
	if r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, data[1:]...)); r.body["num_received"] != 10_000.0 {
		t.Errorf("10,000 rows: %d %s", r.status, r.text)
	}
	if r := p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, data...)); r.fault() != "100" {
		t.Errorf("10,001 rows: %d %s", r.status, r.text)
	}
	if r := p.call("GET", "/v26.0/"+id+"?fields=approximate_count_lower_bound,approximate_count_upper_bound", nil); r.body["approximate_count_lower_bound"] != 10_000.0 {
		t.Errorf("%s", r.text)
	}
}

func TestUsersAsForm(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	form := url.Values{
		"payload": {`{"schema":["EXTERN_ID"],"data":[["1"]]}`},
		"session": {`{"session_id":5,"batch_seq":1,"last_batch_flag":true}`},
	}
	r, err := p.try("POST", "/v26.0/"+id+"/users", form.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	if err != nil || r.status != 200 || r.body["session_id"] != "5" || p.members(id) != "1" {
		t.Errorf("%v %s", err, r.text)
	}
}

func TestParametersThatCannotBeRead(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	tests := map[string]struct {
		body   string
		header map[string]string
	}{
		"not JSON":       {"{", nil},
		"a list":         {"[]", nil},
		"a form as JSON": {"a=b", nil},
		"other type":     {"x", map[string]string{"Content-Type": "text/plain"}},
		"no type":        {"x", map[string]string{"Content-Type": ""}},
		"bad form":       {"a=%zz", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
		"packed":         {"{}", map[string]string{"Content-Encoding": "gzip"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := p.try("POST", "/v26.0/"+id+"/users", tt.body, tt.header)
			if err != nil || r.status != 400 || r.fault() != "100" {
				t.Errorf("%v %d %s", err, r.status, r.text)
			}
		})
	}
}

func TestBooksCountEverything(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id := p.audience(settings())
	path := "/v26.0/" + id + "/users"
	schema := []string{"EXTERN_ID", "EMAIL"}
	first := body(schema, []any{"1", hash("a")}, []any{"2", hash("a")})
	p.call("POST", path, first)
	again := with(first, "session", object{"session_id": 4, "batch_seq": 1, "last_batch_flag": true})
	p.call("POST", path, again)                                        // the same rows in another session
	p.call("POST", path, body(schema, []any{"3", "X"}))                // invalid
	p.call("DELETE", path, body(schema, []any{"1", hash("a")}))        // takes 2 along
	p.call("DELETE", path, body(schema, []any{"9", ""}))               // nobody
	p.call("POST", path, body(schema, []any{"2", ""}, []any{"4", ""})) // one back, one new
	p.call("POST", path, body([]string{"EXTERN_ID"}, []any{"2"}))      // known
	got := p.books(id)
	if got.AddCalls != 5 || got.RemoveCalls != 2 || got.AddRows != 8 || got.RemoveRows != 2 || got.InvalidRows != 1 {
		t.Errorf("calls and rows: %+v", got)
	}
	if got.NewMembers != 4 || got.KnownMembers != 3 || got.RemovedMembers != 2 || got.NobodyRemoved != 1 {
		t.Errorf("members: %+v", got)
	}
	if got.Sins[meta.SinCollateral] != 1 || got.Repeated() != 1 || len(got.Bodies) != 6 {
		t.Errorf("sins and bodies: %+v", got)
	}
}

func TestEraseReachesEveryAudienceOfTheAccount(t *testing.T) {
	p := newPeer(t, meta.Options{})
	first, second := p.audience(settings()), p.audience(settings())
	for _, id := range []string{first, second} {
		p.call("POST", "/v26.0/"+id+"/users", body([]string{"EXTERN_ID"}, []any{"1"}, []any{"2"}))
	}
	other := p.call("POST", "/v26.0/act_8/customaudiences", settings()).body["id"].(string)
	p.call("POST", "/v26.0/"+other+"/users", body([]string{"EXTERN_ID"}, []any{"1"}))
	if r := p.call("DELETE", "/v26.0/act_7/usersofanyaudience", body([]string{"EXTERN_ID"}, []any{"1"})); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.text)
	}
	if got := fmt.Sprint(p.members(first), ",", p.members(second), ",", p.members(other)); got != "2,2,1" {
		t.Errorf("left: %s", got)
	}
}
