package google_test

import (
	"testing"

	"usher/internal/provider/google/googletest"
	"usher/internal/provider/providertest"
)

func TestConformance(t *testing.T) { providertest.Run(t, googletest.Harness()) }

func TestMobileConformance(t *testing.T) { providertest.Run(t, googletest.MobileHarness()) }

func TestEventConformance(t *testing.T) { providertest.RunEvents(t, googletest.EventHarness()) }

func TestPublisherConformance(t *testing.T) {
	providertest.RunPublisher(t, googletest.PublisherHarness())
}
