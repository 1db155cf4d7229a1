package sftp_test

import (
	"testing"

	"usher/internal/provider/providertest"
	"usher/internal/provider/sftp/sftptest"
)

func TestConformance(t *testing.T) { providertest.Run(t, sftptest.Harness()) }
