package meta_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// BenchmarkUsers adds bodies of 10,000 new people with three keys each.
func BenchmarkUsers(b *testing.B) {
	n, err := meta.New(meta.Options{MaxBytes: 1 << 22, HourlyCalls: 1 << 40}, meta.Deps{Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: fault.NewPlan(1)})
	if err != nil {
		b.Fatal(err)
	}
	send := func(path string, in any) map[string]any {
		raw, err := json.Marshal(in)
		if err != nil {
			b.Fatal(err)
		}
		r := httptest.NewRequest("POST", path, bytes.NewReader(raw))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+meta.DefaultToken)
		w := httptest.NewRecorder()
		b.StartTimer()
		n.ServeHTTP(w, r)
		b.StopTimer()
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
		return out
	}
	id := send("/act_7/customaudiences", settings())["id"].(string)
	rows := make([][]any, 10_000)
	b.ResetTimer()
	for i := range b.N {
		for j := range rows {
			name := fmt.Sprint(i, "-", j)
			rows[j] = []any{name, hash("e" + name), hash("p" + name)}
		}
		send("/"+id+"/users", body([]string{"EXTERN_ID", "EMAIL", "PHONE"}, rows...))
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "rows/s")
}
