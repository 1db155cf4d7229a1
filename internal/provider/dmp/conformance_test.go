package dmp_test

import (
	"testing"

	"usher/internal/provider/dmp/dmptest"
	"usher/internal/provider/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, dmptest.Lines())
	providertest.Run(t, dmptest.LiveRamp())
}
