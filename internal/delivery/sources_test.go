package delivery_test

import (
	"slices"
	"testing"

	"usher/internal/provider"
	"usher/internal/warehouse"
)

// TestSourcesAreTheWarehouses: what people are told may feed a column is what the
// warehouse takes from an event, which does not know providers.
func TestSourcesAreTheWarehouses(t *testing.T) {
	var told []string
	for _, s := range provider.EventSources {
		told = append(told, s.Name)
	}
	taken := []string{
		warehouse.SourceID, warehouse.SourceTime, warehouse.SourceReceived, warehouse.SourceStream, warehouse.SourceMessage,
		warehouse.SourceEvent, warehouse.SourceAudience, warehouse.SourceAudienceID, warehouse.SourceAudiences, warehouse.SourceProfile,
	}
	if !slices.Equal(told, taken) {
		t.Errorf("people are told of %q, the warehouse takes %q", told, taken)
	}
}
