package webhook_test

import (
	"testing"

	"usher/internal/provider/providertest"
	"usher/internal/provider/webhook/webhooktest"
)

func TestEventConformance(t *testing.T) {
	providertest.RunEvents(t, webhooktest.Triggers())
	providertest.RunEvents(t, webhooktest.Stream())
}
