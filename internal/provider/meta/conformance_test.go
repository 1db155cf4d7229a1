package meta_test

import (
	"testing"

	"usher/internal/provider/meta/metatest"
	"usher/internal/provider/providertest"
)

func TestConformance(t *testing.T) { providertest.Run(t, metatest.Harness()) }

// TestConformanceOfValues judges value-based audiences with all settings.
func TestConformanceOfValues(t *testing.T) { providertest.Run(t, metatest.ValueHarness()) }

func TestEventConformance(t *testing.T) { providertest.RunEvents(t, metatest.EventHarness()) }

func TestPublisherConformance(t *testing.T) {
	providertest.RunPublisher(t, metatest.PublisherHarness())
}
