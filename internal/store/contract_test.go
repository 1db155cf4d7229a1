package store_test

import (
	"testing"

	"usher/internal/delivery"
	"usher/internal/publishing"
	"usher/internal/store"
)

// TestStoreIsWhatDeliveryNeeds is checked by the compiler: the store offers
// what delivery asks for, without knowing delivery.
func TestStoreIsWhatDeliveryNeeds(t *testing.T) {
	var _ delivery.Store = (*store.Store)(nil)
}

// TestStoreIsWhatPublishingNeeds likewise.
func TestStoreIsWhatPublishingNeeds(t *testing.T) {
	var _ publishing.Store = (*store.Store)(nil)
	var _ publishing.Jobs = (*store.Store)(nil)
}
