package ingest_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/ingest"
	"usher/internal/warehouse"
	"usher/internal/warehouse/duckdb"
	"usher/internal/warehouse/inbox"
)

// plant is the real thing: collector, inbox, merger and DuckDB.
type plant struct {
	db     *duckdb.DB
	merger *ingest.Merger
	*ingest.Collector
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	dir := t.TempDir()
	db, err := duckdb.Open(t.Context(), duckdb.Config{Path: filepath.Join(dir, "data.duckdb"), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inbox.Open(t.Context(), inbox.Config{Dir: filepath.Join(dir, "inbox")})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{
		db: db, merger: ingest.NewMerger(ingest.MergerConfig{Inbox: in, Warehouse: db}),
		Collector: ingest.NewCollector(ingest.CollectorConfig{Inbox: in, Schema: db}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.merger.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// merged sends a body and waits for its merge.
func (p *plant) merged(t *testing.T, r ingest.Request) warehouse.LoadResult {
	t.Helper()
	s, err := p.Bulk(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l, err := p.merger.Wait(ctx, s.LoadID)
	if err != nil {
		t.Fatal(err)
	}
	if l.Result.Rows != s.MessageCount {
		t.Errorf("%d rows merged of %d accepted", l.Result.Rows, s.MessageCount)
	}
	return l.Result
}

func TestUploadsBecomeProfiles(t *testing.T) {
	p := newPlant(t)
	_, err := p.db.Apply(t.Context(), warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1, PII: true},
			{Name: "name", Type: warehouse.Text, Merge: warehouse.Latest},
			{Name: "orders", Type: warehouse.Integer, Merge: warehouse.Sum},
		},
		Streams: []warehouse.Stream{{Name: "customers", TimestampField: "since", DateOrder: "mdy"}, {Name: "orders"}},
		Mappings: []warehouse.Mapping{
			{Stream: "customers", Field: "email", Expression: "mail"},
			{Stream: "customers", Field: "name", Expression: "name"},
			{Stream: "orders", Field: "email", Expression: "mail"},
			{Stream: "orders", Field: "orders", Expression: "n"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	customers := "\uFEFFmail,name,since\r\n" +
		"jon@example.com,\"Yang, \"\"Jon\"\"\",04/08/2020\r\n" +
		"jon@example.com,old name,5/14/2019\r\n" +
		"eve@example.com,\"two\nlines\",5/14/2019\r\n\r\n"
	if r := p.merged(t, ingest.Request{Stream: "customers", Body: strings.NewReader(customers)}); r.NewProfile != 2 {
		t.Errorf("result = %+v, want 2 new profiles", r)
	}
	orders := `[{"mail":"jon@example.com","n":2,"tags":["a","b"]},{"n":3,"mail":"jon@example.com","gift":true}]`
	if r := p.merged(t, ingest.Request{Stream: "orders", Body: strings.NewReader(orders)}); r.NewProfile != 0 || r.Touched != 1 {
		t.Errorf("result = %+v, want one profile touched", r)
	}
	for mail, want := range map[string]string{"jon@example.com": "Yang, \"Jon\"", "eve@example.com": "two\nlines"} {
		got, err := p.db.Find(t.Context(), "email", mail)
		if err != nil || got.Values["name"] != want {
			t.Errorf("profile = %v, %v; want the name %q", got.Values, err, want)
		}
	}
	jon, err := p.db.Find(t.Context(), "email", "jon@example.com")
	if err != nil || jon.Values["orders"] != int64(5) {
		t.Errorf("profile = %v, %v; want 5 orders", jon.Values, err)
	}
}

// Every text that is accepted stands in the raw message as it was sent.
func TestValuesReachTheWarehouseAsSent(t *testing.T) {
	p := newPlant(t)
	values := []string{
		"plain", " spaces ", "a,b", "say \"hi\"", "\"", "\"\"", "line\nbreak", "line\r\nbreak", "car\rriage", "tab\t", "back\\slash", "\\\"", "\\N", "NULL", "null",
		"'single'", "é😀", "#comment", "$90,000 ", "1,5", "=1+1", ";", "|", "\u00a0", "\ufeffmark", strings.Repeat("\n", 50), strings.Repeat("\"", 51), strings.Repeat("x", 5_000),
	}
	for _, stream := range []string{"from_csv", "from_json"} {
		if _, err := p.db.Apply(t.Context(), warehouse.Schema{Streams: []warehouse.Stream{{Name: stream}}}); err != nil {
			t.Fatal(err)
		}
	}
	var csv, objects strings.Builder
	csv.WriteString("v,w\n")
	for _, v := range values {
		quoted := `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
		csv.WriteString(quoted + "," + quoted + "\n")
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		objects.WriteString(`{"v":` + string(text) + `,"w":` + string(text) + "}\n")
	}
	p.merged(t, ingest.Request{Stream: "from_csv", Body: strings.NewReader(csv.String())})
	p.merged(t, ingest.Request{Stream: "from_json", Body: strings.NewReader(objects.String())})
	for _, stream := range []string{"from_csv", "from_json"} {
		messages, err := p.db.Messages(t.Context(), stream, 1000)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, m := range messages {
			if m.Values["v"] == m.Values["w"] {
				found[m.Values["v"]] = true
			}
		}
		for _, v := range values {
			if !found[v] {
				t.Errorf("%s: %q is not there as sent", stream, v[:min(len(v), 20)])
			}
		}
	}
}
