package duckdb

import (
	"context"
	"fmt"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// BenchmarkDecide1M decides for a million people among 20 actions: anew, when
// all of them enter; again, when nobody moves; and when all rules have moved on by
// one, so that everybody chosen leaves one audience and enters another. Then for
// one person.
func BenchmarkDecide1M(b *testing.B) {
	people := benchPeople(b)
	w := benchWorld(b, people)
	ctx := context.Background()
	var rules []warehouse.Rule
	for i := range 20 {
		id := activation.AudienceID(fmt.Sprint("action", i))
		rules = append(rules, warehouse.Rule{ID: id, Slug: string(id), Given: true})
	}
	if err := w.d.SetAudiences(ctx, rules, w.now); err != nil {
		b.Fatal(err)
	}
	request := func(shift int) warehouse.DecideRequest {
		r := warehouse.DecideRequest{Now: w.now}
		for i, rule := range rules {
			r.Level = append(r.Level, rule.ID)
			eligible := fmt.Sprintf(`FILTER AND (EXISTS email, email LIKE "*%d@example.com", first_name = "ann")`, (i+shift)%20)
			if i >= 10 {
				eligible = fmt.Sprintf(`FILTER AND (phone LIKE "+12*", email LIKE "*%d?@*", NOT first_name = "bob")`, (i+shift)%10)
			}
			r.Choices = append(r.Choices, warehouse.Choice{Audience: rule.ID, Eligible: eligible})
		}
		return r
	}
	decide := func(b *testing.B, r warehouse.DecideRequest, fn func(warehouse.Decision)) {
		began := time.Now()
		sums, err := w.d.Decide(ctx, r, fn)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%s: considered %d, nothing %d, entered %d, left %d", time.Since(began), sums.Considered, sums.Nothing, sums.Entered, sums.Left)
	}
	shift := 0
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			r := request(0)
			r.Choices = nil
			decide(b, r, nil)
			b.StartTimer()
			decide(b, request(0), nil)
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			decide(b, request(0), nil)
		}
	})
	b.Run("moved", func(b *testing.B) {
		for b.Loop() {
			shift++
			decide(b, request(shift), nil)
		}
	})
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			shift++
			r := request(shift)
			r.Profiles = []int64{people / 2}
			decide(b, r, func(warehouse.Decision) {})
		}
	})
}
