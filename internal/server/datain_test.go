package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"usher/internal/activation"
	"usher/internal/server/servertest"
	"usher/internal/warehouse"
)

// TestRealTimeLane: what is sent as it happens is in the profiles, in the audience
// and in the counts of its stream while a file of many rows is being merged, and
// the newest value of each field wins whichever way it came.
func TestRealTimeLane(t *testing.T) {
	s := servertest.Start(t)
	shop := s.Declare()
	s.Must(http.MethodPut, "/v2/stream/moves", map[string]any{"timestamp_field": "at"}, nil)
	s.Must(http.MethodPut, "/v2/mapping/moves", map[string]string{"customer": `concat("id-", id)`, "score": "score"}, nil)

	var file strings.Builder
	file.WriteString("id,score,at\n")
	for i := range 20_000 {
		fmt.Fprintf(&file, "%d,10,2020-01-02\n", i)
	}
	var bulk struct {
		Load string `json:"load_id"`
	}
	if err := s.Client(activation.RoleOperator).Upload(t.Context(), "/collect/bulk/moves", "text/csv", strings.NewReader(file.String()), &bulk); err != nil {
		t.Fatal(err)
	}
	// Newer than the file for 7 and 8, older for 9.
	for _, e := range []string{`{"id":"7","score":99,"at":"2020-01-03"}`, `{"id":"8","score":98,"at":"2020-01-03"}`, `{"id":"9","score":97,"at":"2020-01-01"}`} {
		if err := s.Client(activation.RoleOperator).Upload(t.Context(), "/collect/json/moves", "application/json", strings.NewReader(e), nil); err != nil {
			t.Fatal(err)
		}
	}
	s.Await(bulk.Load)
	score := func(id string) any {
		var p warehouse.Profile
		if _, err := s.Client(activation.RoleViewer).Do(t.Context(), http.MethodPost, "/v2/profile/lookup", map[string]string{"field": "customer", "value": id}, &p); err != nil {
			return err.Error()
		}
		return p.Values["score"]
	}
	want := map[string]any{"id-7": 99.0, "id-8": 98.0, "id-9": 10.0}
	s.Eventually("the newest score of each", func() bool {
		for id, n := range want {
			if score(id) != n {
				return false
			}
		}
		return true
	})
	s.Eventually("the audience and the counts", func() bool {
		var size struct{ Size int64 }
		s.Must(http.MethodGet, "/v2/segment/high/sizes", nil, &size)
		var counted []struct {
			Name  string
			Total int64
		}
		s.Must(http.MethodGet, "/v2/metric?dimension=stream&id=moves", nil, &counted)
		total := int64(0)
		for _, m := range counted {
			if m.Name == "messages" {
				total = m.Total
			}
		}
		// 1 and 2 were high before, and what says so is newer than the file.
		return size.Size == 4 && total == 20_003
	})
	_ = shop
}

// TestRejectedRows: what an upload did not take can be downloaded by an
// administrator, as it was, and by nobody else.
func TestRejectedRows(t *testing.T) {
	s := servertest.Start(t)
	var sum struct {
		Load     string `json:"load_id"`
		Rejected int64  `json:"rejected_count"`
	}
	if err := s.Client(activation.RoleOperator).Upload(t.Context(), "/collect/bulk/people?droperrors=true", "text/csv", strings.NewReader("id,email\n1,a@example.com\n2,b@example.com,surplus\n"), &sum); err != nil || sum.Rejected != 1 {
		t.Fatalf("upload: %+v, %v", sum, err)
	}
	var got bytes.Buffer
	if err := s.Client(activation.RoleAdmin).Download(t.Context(), "/v2/load/"+sum.Load+"/rejected", &got); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.String(), "2,b@example.com,surplus") || !strings.Contains(got.String(), `"line":3`) {
		t.Errorf("rejected rows: %s", got.String())
	}
	if err := s.Client(activation.RoleOperator).Download(t.Context(), "/v2/load/"+sum.Load+"/rejected", io.Discard); err == nil {
		t.Error("an operator may read personal data as it was sent")
	}
}

// TestRebuildChangesWhatChanged: a new expression reaches old messages by a
// rebuild, and the next run sends those alone whom it moved.
func TestRebuildChangesWhatChanged(t *testing.T) {
	s := servertest.Start(t)
	shop := s.Declare()
	s.Must(http.MethodPut, "/v2/mapping/people", map[string]string{"score": "number(score) + 45"}, nil)
	var r activation.Rebuild
	s.Must(http.MethodPost, "/v2/rebuild", map[string]string{"reason": "bonus"}, &r)
	s.Eventually("the rebuild", func() bool {
		s.Must(http.MethodGet, "/v2/rebuild/"+string(r.ID), nil, &r)
		return r.Status != activation.RebuildRunning
	})
	if r.Status != activation.RebuildCompleted || r.Total != 3 || r.Counts["changed_profiles"] != 3 || r.Counts["new_profiles"] != 0 {
		t.Fatalf("rebuild: %+v", r)
	}
	s.Must(http.MethodPost, "/v2/job/"+shop.Job+"/resume", nil, nil)
	var runs []activation.Run
	s.Eventually("the run after it", func() bool {
		s.Must(http.MethodGet, "/v2/run?status=completed", nil, &runs)
		return len(runs) > 1
	})
	if c := runs[0].Counts; c.Add != 1 || c.Unchanged != 2 || c.Remove != 0 {
		t.Errorf("the run after the rebuild: %+v, want one added and two unchanged", c)
	}
}

// TestStreamDriftIsTold: a load that changes what its stream brings is told of once,
// and so is that somebody accepted it.
func TestStreamDriftIsTold(t *testing.T) {
	var mu sync.Mutex
	var told []string
	far := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		told = append(told, string(body))
	}))
	defer far.Close()
	s := servertest.Start(t, strings.TrimPrefix(far.URL, "http://"))
	s.Declare()
	s.Must(http.MethodPost, "/v2/job/alert-webhook", map[string]any{
		"name": "Tell", "config": map[string]string{"webhook_url": far.URL + "/hook", "system_event_single_source": "query"},
	}, nil)
	wantTold := func(what string, n int, words ...string) {
		t.Helper()
		s.Eventually(what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(told) >= n
		})
		mu.Lock()
		defer mu.Unlock()
		for _, w := range words {
			if len(told) != n || !strings.Contains(told[n-1], w) {
				t.Fatalf("told %q, want %d, the last with %s", told, n, w)
			}
		}
	}
	load := s.Load("people", "id,email,score,shoe_size\n4,d@example.com,high,44\n")
	s.Load("people", "id,email,score,shoe_size\n5,e@example.com,70,45\n")
	wantTold("the drift", 1, load, "shoe_size", "is new", "1 of 1 values of score cannot be read", "drifted")
	var drift []warehouse.Drifting
	if s.Must(http.MethodGet, "/v2/stream/people/drift", nil, &drift); len(drift) != 2 {
		t.Errorf("drift %+v, want the column and the field", drift)
	}
	s.Must(http.MethodPost, "/v2/stream/people/drift/accept", nil, nil)
	if s.Must(http.MethodGet, "/v2/stream/people/drift", nil, &drift); len(drift) != 0 {
		t.Errorf("drift %+v after it was accepted", drift)
	}
	wantTold("the end of it", 2, "accepted", "recovered")
}

// TestImportJob: files behind an address become messages, each once, and people.
func TestImportJob(t *testing.T) {
	var mu sync.Mutex
	text, tag, asked := "id,email,score,at\n4,d@example.com,80,2026-01-01\n5,e@example.com,20,2026-01-01\n", "one", 0
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if r.Header.Get("If-None-Match") == `"`+tag+`"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"`+tag+`"`)
		w.Header().Set("Content-Type", "text/csv")
		_, _ = io.WriteString(w, text)
	}))
	defer far.Close()
	s := servertest.Start(t, strings.TrimPrefix(far.URL, "http://"))
	s.Declare()
	settings := map[string]any{"path": "people.csv", "stream": "people", "timestamps": "at"}
	var preview struct {
		Rows  [][]string
		Times []string
	}
	var auth struct{ ID string }
	s.Must(http.MethodPost, "/v2/auth/http", map[string]any{"label": "files", "config": map[string]string{"address": far.URL}}, &auth)
	s.Must(http.MethodPost, "/v2/job/http_import/preview", map[string]any{"auth_ids": []string{auth.ID}, "config": settings}, &preview)
	if len(preview.Rows) != 2 || len(preview.Times) != 2 || preview.Times[0] != "2026-01-01T00:00:00Z" {
		t.Errorf("preview: %+v", preview)
	}
	var job struct{ ID string }
	s.Must(http.MethodPost, "/v2/job/http_import", map[string]any{"name": "People by HTTP", "auth_ids": []string{auth.ID}, "run_frequency": "hourly", "config": settings}, &job)
	passes := func(n int) (last activation.Pass) {
		s.Eventually(fmt.Sprintf("pass %d", n), func() bool {
			var all []activation.Pass
			s.Must(http.MethodGet, "/v2/job/"+job.ID+"/passes", nil, &all)
			if len(all) == 0 || all[0].Number != int64(n) || all[0].Status == activation.RunRunning {
				return false
			}
			last = all[0]
			return true
		})
		if last.Status != activation.RunCompleted {
			t.Fatalf("pass %d: %+v", n, last)
		}
		return last
	}
	if p := passes(1); p.Counts["rows"] != 2 || p.Counts["new_profiles"] != 2 {
		t.Errorf("first pass counts %v", p.Counts)
	}
	s.Must(http.MethodPost, "/v2/job/"+job.ID+"/run", nil, nil)
	if p := passes(2); p.Counts["rows"] != 0 {
		t.Errorf("nothing has changed, and the pass counts %v", p.Counts)
	}
	mu.Lock()
	text, tag = text+"6,f@example.com,90,2026-01-02\n", "two"
	mu.Unlock()
	s.Must(http.MethodPost, "/v2/job/"+job.ID+"/run", nil, nil)
	passes(3)
	var people struct{ Profiles int64 }
	s.Must(http.MethodGet, "/v2/profile/count", nil, &people)
	if people.Profiles != 6 {
		t.Errorf("%d people, want 6", people.Profiles)
	}
	var view map[string]any
	s.Must(http.MethodGet, "/v2/job/"+job.ID+"/position", nil, &view)
	s.Must(http.MethodPost, "/v2/job/"+job.ID+"/reset", nil, &view)
}
