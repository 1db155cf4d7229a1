package tradedesk_test

import (
	"testing"

	"usher/internal/provider/providertest"
	"usher/internal/provider/tradedesk/tradedesktest"
)

func TestConformance(t *testing.T) { providertest.Run(t, tradedesktest.Harness()) }
