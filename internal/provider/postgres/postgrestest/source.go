package postgrestest

import (
	"fmt"
	"strings"
	"testing"

	"usher/internal/provider"
	"usher/internal/provider/postgres"
	"usher/internal/provider/sourcetest"
)

// SourceHarness returns what the suite of sources needs to judge queries.
func SourceHarness(t testing.TB) sourcetest.Harness {
	return sourcetest.Harness{
		Definition: postgres.Definition(), Workflow: "postgres_import",
		Open: func() (sourcetest.World, error) {
			n := Open(t, nil)
			n.Do(`CREATE TABLE ` + n.Schema + `.people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)`)
			n.Do(`GRANT SELECT ON ` + n.Schema + `.people TO ` + n.Role)
			return &shop{n}, nil
		},
	}
}

// cutBytes is after how many bytes a connection is cut.
const cutBytes = 30_000

// shop is a table that is imported.
type shop struct{ *Network }

// Deps are those of the table.
func (s *shop) Deps() provider.Deps {
	d := s.Network.Deps()
	d.Config = map[string]string{"database": d.Account, "table": s.Schema + ".people", "cursor_column": "id"}
	d.Account = ""
	return d
}

// Add inserts rows.
func (s *shop) Add(words []string) error {
	s.Do(`INSERT INTO ` + s.Schema + `.people (name) VALUES ('` + strings.Join(words, `'), ('`) + `')`)
	return nil
}

// Missing names another table.
func (s *shop) Missing() map[string]string { return map[string]string{"table": s.Schema + ".nobody"} }

// Fail arranges the fault.
func (s *shop) Fail(f sourcetest.Fault) error {
	switch f {
	case sourcetest.BadCredentials:
		s.Do(`ALTER ROLE ` + s.Role + ` NOLOGIN`)
	case sourcetest.Cut:
		s.proxy.most.Store(cutBytes)
	case sourcetest.Down:
		s.proxy.down.Store(true)
	default:
		return fmt.Errorf("postgresql does not fail by %q", f)
	}
	return nil
}

// Heal ends all faults.
func (s *shop) Heal() {
	s.proxy.most.Store(0)
	s.proxy.down.Store(false)
}
