package delivery

import (
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// TestOvertaken: a plan is made anew where people came meanwhile, and not where
// they are left out by what the run is for.
func TestOvertaken(t *testing.T) {
	left := warehouse.Plan{Counts: activation.Counts{Eligible: 100, Deferred: 11}}
	for name, c := range map[string]struct {
		req  warehouse.PlanRequest
		plan warehouse.Plan
		want bool
	}{
		"many came":        {plan: left, want: true},
		"few came":         {plan: warehouse.Plan{Counts: activation.Counts{Eligible: 100, Deferred: 10}}},
		"answers are owed": {req: warehouse.PlanRequest{Awaiting: []warehouse.Range{{First: 1, Last: 2}}}, plan: left},
		"moves keys":       {req: warehouse.PlanRequest{KeysOnly: true}, plan: left},
	} {
		if got := overtaken(c.req, c.plan); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
