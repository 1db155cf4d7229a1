package microsoft_test

import (
	"testing"

	"usher/internal/provider/microsoft/microsofttest"
	"usher/internal/provider/providertest"
)

func TestPublisherConformance(t *testing.T) { providertest.RunPublisher(t, microsofttest.Harness()) }
