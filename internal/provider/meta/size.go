package meta

import (
	"context"
	"net/http"
	"net/url"

	"usher/internal/provider"
)

const (
	// smallestTold: of an audience below it Meta says no more than that it is
	// (audiences guide).
	smallestTold = 1000
	// statusUpdating is the operation_status while people are being matched.
	statusUpdating = 300
)

// Size reads how many accounts Meta has matched, between two bounds.
func (m *destination) Size(ctx context.Context, a provider.Audience) (provider.Size, error) {
	if !numberPattern.MatchString(string(a.Remote)) {
		return provider.Size{}, invalid("remote", "the id of the audience is not one of meta's")
	}
	var got struct {
		remote
		Low  *number `json:"approximate_count_lower_bound"`
		High *number `json:"approximate_count_upper_bound"`
	}
	fields := url.Values{"fields": {"id,operation_status,approximate_count_lower_bound,approximate_count_upper_bound"}}
	if _, err := m.call(ctx, http.MethodGet, string(a.Remote), fields, nil, &got); err != nil {
		return provider.Size{}, m.missing(ctx, notABatch(err))
	}
	if got.ID != string(a.Remote) {
		return provider.Size{}, failure(classAnswer, envelope{})
	}
	size := provider.Size{Low: -1, High: -1, Matched: true}
	if got.Status.Code == statusUpdating || got.Low == nil || got.High == nil || *got.Low < 0 || *got.High < *got.Low || *got.High <= smallestTold {
		return size, nil
	}
	size.Low, size.High = int64(*got.Low), int64(*got.High)
	return size, nil
}
