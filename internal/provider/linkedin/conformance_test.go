package linkedin_test

import (
	"testing"

	"usher/internal/provider/linkedin/linkedintest"
	"usher/internal/provider/providertest"
)

func TestConformance(t *testing.T) { providertest.Run(t, linkedintest.Harness()) }

func TestEventConformance(t *testing.T) { providertest.RunEvents(t, linkedintest.EventHarness()) }
