package meta_test

import (
	"testing"

	"usher/internal/provider/meta/metatest"
	"usher/internal/provider/providertest"
)

func TestConformance(t *testing.T) { providertest.Run(t, metatest.Harness()) }

func TestEventConformance(t *testing.T) { providertest.RunEvents(t, metatest.EventHarness()) }
