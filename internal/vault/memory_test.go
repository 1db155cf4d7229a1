package vault_test

import (
	"context"
	"time"

	"usher/internal/activation"
)

type ctx = context.Context

type clock struct{ t time.Time }

func newClock() *clock               { return &clock{time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)} }
func (c *clock) Now() time.Time      { return c.t }
func (c *clock) add(d time.Duration) { c.t = c.t.Add(d) }

// memory is a vault.Store in a map.
type memory struct {
	auths map[activation.AuthorizationID]activation.Authorization
	now   func() time.Time
}

func (m *memory) Authorization(_ context.Context, id activation.AuthorizationID) (activation.Authorization, error) {
	a, ok := m.auths[id]
	if !ok {
		return a, activation.ErrNotFound
	}
	return a, nil
}

func (m *memory) Authorizations(context.Context) ([]activation.Authorization, error) {
	var out []activation.Authorization
	for _, a := range m.auths {
		out = append(out, a)
	}
	return out, nil
}

func (m *memory) MarkHealthy(_ context.Context, id activation.AuthorizationID) error {
	return m.mark(id, activation.AuthHealthy)
}

func (m *memory) MarkUnhealthy(_ context.Context, id activation.AuthorizationID, _ string) error {
	return m.mark(id, activation.AuthUnhealthy)
}

func (m *memory) mark(id activation.AuthorizationID, s activation.AuthStatus) error {
	a := m.auths[id]
	a.Status, a.LastCheckedAt = s, m.now()
	m.auths[id] = a
	return nil
}
