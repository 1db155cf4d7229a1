package api_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/server/servertest"
)

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// TestCollect sends every form of data over HTTP and reads back the people.
func TestCollect(t *testing.T) {
	s := servertest.Start(t)
	s.Must(http.MethodPost, "/v2/field", map[string]any{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false}, nil)
	s.Must(http.MethodPost, "/v2/field", map[string]any{"name": "income", "type": "number", "merge": "latest", "pii": false, "public": false}, nil)
	people := func() int64 {
		var n struct{ Profiles int64 }
		s.Must(http.MethodGet, "/v2/profile/count", nil, &n)
		return n.Profiles
	}
	send := func(query, contentType, body string) (answer, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/collect/"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", s.Tokens[activation.RoleOperator])
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		return do(t, req)
	}
	for i, c := range []struct {
		name, query, contentType, body string
		status                         int
		has                            []string
		people                         int64 // how many more there are
	}{
		{"CSV with BOM, CRLF and money", "bulk/$", "text/csv", "\ufeffid,income\r\n1,\"$90,000 \"\r\n2,\"$1,000 \"\r\n", 200, []string{`"message_count":2`, `"content-type":"text/csv"`, `"columns":["id","income"]`}, 2},
		{"gzip, told by looking", "bulk/$", "", zipped("id,income\n1,5\n2,6\n3,7\n"), 200, []string{`"message_count":3`}, 3},
		{"JSON array", "bulk/$", "application/json", `[{"id":"1","income":5},{"id":"2"}]`, 200, []string{`"message_count":2`, `"content-type":"application/json"`}, 2},
		{"NDJSON", "bulk/$", "application/x-ndjson", `{"id":"1"}` + "\n" + `{"id":"2"}` + "\n", 200, []string{`"message_count":2`}, 2},
		{"small JSON", "json/$", "application/json", `{"id":"1"}`, 200, []string{`"message_count":1`}, 1},
		{"small route, CSV", "json/$", "text/csv", "id\n1\n", 400, []string{"bulk route"}, 0},
		{"dry run", "bulk/$?dryrun=true", "text/csv", "id\n1\n2\n", 200, []string{`"dryrun":true`, `"message_count":2`}, 0},
		{"a dry run that can't be read", "bulk/$?dryrun=yes", "text/csv", "id\n1\n2\n", 400, []string{"dryrun: must be true or false"}, 0},
		{"bad rows dropped", "bulk/$?droperrors=true", "text/csv", "id,income\n1,5\n2,6,7\n3,8\n", 200, []string{`"rejected_count":1`, `"line":3`}, 2},
		{"bad row", "bulk/$", "text/csv", "id,income\n1,5\n2,6,mark-of-a-secret-value\n", 400, []string{"line 3", "expected 2 columns, found 3", "BADREQ-001"}, 0},
		{"bad quote", "bulk/$", "text/csv", "id,income\n1,\"5\" x\n", 400, []string{"line 2, column 6"}, 0},
		{"bad JSON", "bulk/$", "application/x-ndjson", `{"id":"1"}` + "\n" + `{"id":mark-of-a-secret-value}`, 400, []string{"line 2, column 7", "JSON-BADREQ-025"}, 0},
		{"headers, tab, append", "bulk/$?headers=id,income&delimiter=t&append=" + url.QueryEscape(`{"source":"shop"}`), "text/csv", "1\t5\n2\t6\n", 200, []string{`"columns":["id","income","source"]`}, 2},
		{"bad append", "bulk/$?append=mark-of-a-secret-value", "text/csv", "id\n1\n", 400, []string{"append"}, 0},
		{"bad delimiter", "bulk/$?delimiter=mark-of-a-secret-value", "text/csv", "id\n1\n", 400, []string{"delimiter"}, 0},
		{"bad stream", "bulk/Mark-of-a-secret-value", "text/csv", "id\n1\n", 400, []string{"stream"}, 0},
		{"empty", "bulk/$", "text/csv", "", 400, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := fmt.Sprintf("s%d", i)
			s.Must(http.MethodPut, "/v2/stream/"+stream, map[string]any{}, nil)
			s.Must(http.MethodPut, "/v2/mapping/"+stream, map[string]string{"customer": fmt.Sprintf("concat(%q, id)", stream+"-"), "income": "number(income)"}, nil)
			before := people()
			a, load := send(strings.ReplaceAll(c.query, "$", stream), c.contentType, c.body)
			checkAnswer(t, s, a, c.status)
			for _, text := range c.has {
				if !strings.Contains(a.body, text) {
					t.Errorf("the answer lacks %q: %s", text, a.body)
				}
			}
			if load != "" {
				s.Await(load)
			}
			if strings.HasPrefix(c.query, "json/") && c.people > 0 { // merged by itself, within a second
				s.Eventually("the people", func() bool { return people()-before == c.people })
			}
			if got := people() - before; got != c.people {
				t.Errorf("%d people came, want %d", got, c.people)
			}
			if c.people == 0 {
				nothingOf(t, s, stream)
			}
		})
	}
	t.Run("money is a number", func(t *testing.T) {
		a := call(t, s, s.Tokens[activation.RoleViewer], http.MethodPost, "/v2/profile/lookup", strings.NewReader(`{"field":"customer","value":"s0-1"}`))
		if !strings.Contains(a.body, `"income":90000`) {
			t.Errorf("income is not 90000: %s", a.body)
		}
	})
}

// TestCollectToken: where no header can be sent, the token may stand in the query.
func TestCollectToken(t *testing.T) {
	s := servertest.Start(t)
	operator, viewer := s.Tokens[activation.RoleOperator], s.Tokens[activation.RoleViewer]
	for query, status := range map[string]int{
		"access_token=" + operator: 200, "key=" + operator: 200, "access_token=" + operator + "&key=" + operator: 200,
		"": 401, "access_token=": 401, "access_token=" + mark: 401, "key=" + viewer: 403,
	} {
		a := call(t, s, "", http.MethodPost, "/collect/bulk/people?dryrun&"+query, strings.NewReader("id\n1\n"))
		checkAnswer(t, s, a, status)
	}
	// Older clients read that way too; nothing else is changed by a token in an address.
	if a := call(t, s, "", http.MethodGet, "/v2/job?access_token="+operator, nil); a.StatusCode != http.StatusOK {
		t.Errorf("reading with a token in the query: %d, want 200", a.StatusCode)
	}
	if a := call(t, s, "", http.MethodPost, "/v2/job?access_token="+operator, strings.NewReader(`{}`)); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("changing with a token in the query: %d, want 401", a.StatusCode)
	}
}

// TestCutUpload: a connection that breaks half-way leaves nothing, whether the
// length was promised or the body came in chunks.
func TestCutUpload(t *testing.T) {
	s := servertest.Start(t)
	s.Must(http.MethodPut, "/v2/stream/people", map[string]any{}, nil)
	rows := strings.Repeat("1,a@example.com\n", 50_000)
	for name, head := range map[string]string{
		"promised length": fmt.Sprintf("Content-Length: %d\r\n\r\nid,email\n%s", 2*len(rows), rows),
		"chunks":          fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\nid,email\n%s\r\n", len(rows)+9, rows),
	} {
		t.Run(name, func(t *testing.T) {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = fmt.Fprintf(conn, "POST /collect/bulk/people HTTP/1.1\r\nHost: usher\r\nContent-Type: text/csv\r\nAuthorization: %s\r\n%s", s.Tokens[activation.RoleOperator], head)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // let the server be in the midst of it
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			s.Load("people", "id,email\n1,a@example.com\n") // what comes after is taken
			var streams []struct {
				Name     string `json:"stream"`
				Messages int64  `json:"ct"`
			}
			s.Must(http.MethodGet, "/v2/stream", nil, &streams)
			for _, st := range streams {
				if st.Name == "people" && st.Messages > 2 {
					t.Errorf("%d messages are there, want those of the whole uploads only", st.Messages)
				}
			}
			spoolEmpty(t, s)
		})
	}
}

// TestRefusedEarly: a large file with a bad third line gets its answer, though
// the server stops reading long before the end.
func TestRefusedEarly(t *testing.T) {
	s := servertest.Start(t)
	body := "id,email\n1,a\n2,b,c\n" + strings.Repeat("1,a@example.com\n", 2_000_000)
	a := call(t, s, s.Tokens[activation.RoleOperator], http.MethodPost, "/collect/bulk/people", strings.NewReader(body))
	checkAnswer(t, s, a, http.StatusBadRequest)
	if !strings.Contains(a.body, "line 3") {
		t.Errorf("the answer does not name the line: %s", a.body)
	}
}
