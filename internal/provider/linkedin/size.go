package linkedin

import (
	"context"

	"usher/internal/provider"
)

// smallestServed is how many matched members a segment needs to be used, and
// below which its size says nothing (marketing/matched-audiences/matched-audiences-faq).
const smallestServed = 300

// Size reads the members that LinkedIn has matched. A segment that is being built
// has no size yet, which takes a day or two.
func (s *segments) Size(ctx context.Context, a provider.Audience) (provider.Size, error) {
	size := provider.Size{Low: -1, High: -1, Matched: true}
	if !isNumber(string(a.Remote)) {
		return provider.Size{}, invalid("remote", "the id of the segment is not one of linkedin's")
	}
	got, _, err := s.get(ctx, a.Remote)
	if err != nil {
		return provider.Size{}, err
	}
	for _, d := range got.Destinations {
		if d.Status != "BUILDING" && d.Size != nil && *d.Size >= smallestServed {
			size.Low, size.High = *d.Size, *d.Size
		}
	}
	return size, nil
}
