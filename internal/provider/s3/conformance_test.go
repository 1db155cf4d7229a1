package s3_test

import (
	"testing"

	"usher/internal/provider/providertest"
	"usher/internal/provider/s3/s3test"
)

func TestConformance(t *testing.T) { providertest.Run(t, s3test.Harness()) }
