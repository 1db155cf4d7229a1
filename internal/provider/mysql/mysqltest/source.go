package mysqltest

import (
	"fmt"
	"strings"
	"testing"

	"usher/internal/provider"
	"usher/internal/provider/mysql"
	"usher/internal/provider/sourcetest"
)

// Harness returns what the suite of sources needs to judge queries.
func Harness(t testing.TB) sourcetest.Harness {
	return sourcetest.Harness{
		Definition: mysql.Definition(), Workflow: "mysql_import",
		Open: func() (sourcetest.World, error) {
			n := New(t)
			n.Do("CREATE TABLE people (id bigint AUTO_INCREMENT PRIMARY KEY, name text)")
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
	d.Config = map[string]string{"table": "people", "cursor_column": "id"}
	return d
}

// Add inserts rows.
func (s *shop) Add(words []string) error {
	s.Do("INSERT INTO people (name) VALUES ('" + strings.Join(words, "'), ('") + "')")
	return nil
}

// Missing names another table.
func (s *shop) Missing() map[string]string { return map[string]string{"table": "nobody"} }

// Fail arranges the fault.
func (s *shop) Fail(f sourcetest.Fault) error {
	switch f {
	case sourcetest.BadCredentials:
		s.Do("ALTER USER " + s.User + "@localhost ACCOUNT LOCK")
	case sourcetest.Cut:
		s.most.Store(cutBytes)
	case sourcetest.Down:
		s.down.Store(true)
	default:
		return fmt.Errorf("a server does not fail by %q", f)
	}
	return nil
}

// Heal ends all faults.
func (s *shop) Heal() {
	s.most.Store(0)
	s.down.Store(false)
}
