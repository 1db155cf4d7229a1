package postgres_test

import (
	"os"
	"testing"

	"usher/internal/provider/postgres/postgrestest"
	"usher/internal/provider/providertest"
	"usher/internal/provider/sourcetest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func TestConformance(t *testing.T) { providertest.Run(t, postgrestest.Harness(t)) }

// TestMarkedConformance: a table that marks who leaves keeps the same contract.
func TestMarkedConformance(t *testing.T) {
	h := postgrestest.Harness(t)
	h.Settings = map[string]string{"leavers": "mark"}
	for _, name := range []string{"all are accepted", "add then remove", "replay of the same item", "an empty key is sent as none", "one row is rejected at its index"} {
		if err := h.Judge(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEventConformance(t *testing.T) { providertest.RunEvents(t, postgrestest.EventHarness(t)) }

func TestSourceConformance(t *testing.T) { sourcetest.Run(t, postgrestest.SourceHarness(t)) }
