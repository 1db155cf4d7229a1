package matchkey

import (
	"fmt"
	"testing"
)

// BenchmarkCompute is the hot path of every import: keys a second on one core.
func BenchmarkCompute(b *testing.B) {
	rs := RuleSet{Name: "bench/1", Keys: []Key{
		{Name: "EXTERN_ID", Identifies: true, Normalize: ExternalID},
		{Name: "EMAIL", Hash: true, Identifies: true, Normalize: Email},
		{Name: "FN", Hash: true, Normalize: Name},
		{Name: "LN", Hash: true, Normalize: Name},
		{Name: "COUNTRY", Hash: true, Normalize: Country},
	}}
	set, err := NewSet(rs, map[string]string{"EXTERN_ID": "id", "EMAIL": "email", "FN": "first", "LN": "last", "COUNTRY": "country"}, "")
	if err != nil {
		b.Fatal(err)
	}
	people := make([][]string, 1000)
	for i := range people {
		people[i] = []string{fmt.Sprintf("cust-%d", i), fmt.Sprintf("Person.%d@Example.com", i), "Maria", "Müller", "DE"}
		if i%5 != 0 {
			people[i][3] = "Miller"
		}
	}
	out := make([][]byte, len(set.Keys))
	var buf []byte
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		_, buf = set.Compute(people[n%len(people)], out, buf)
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkPhone(b *testing.B) {
	phone := PhoneDigits("COUNTRY")
	row := values{"COUNTRY": "US"}
	for b.Loop() {
		if phone("(415) 555-2671", row) == "" {
			b.Fatal("no number")
		}
	}
}
