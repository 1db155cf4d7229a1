package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// Store is what the vault needs of the control store.
type Store interface {
	Authorization(ctx context.Context, id activation.AuthorizationID) (activation.Authorization, error)
	Authorizations(ctx context.Context) ([]activation.Authorization, error)
	// MarkHealthy wakes what slept because of the authorization; MarkUnhealthy
	// puts it to sleep.
	MarkHealthy(ctx context.Context, id activation.AuthorizationID) error
	MarkUnhealthy(ctx context.Context, id activation.AuthorizationID, reason string) error
}

// Fields returns the opened credentials of a destination, as provider.Deps
// wants them: none where it needs no authorization.
func (v *Vault) Fields(ctx context.Context, s Store, d activation.Destination) (map[string]provider.Secret, error) {
	if d.Authorization == "" {
		return map[string]provider.Secret{}, nil
	}
	a, err := s.Authorization(ctx, d.Authorization)
	if err != nil {
		return nil, fmt.Errorf("open authorization: %w", err)
	}
	secrets, err := v.Open(a.Sealed, a.KeyID)
	if err != nil {
		return nil, fmt.Errorf("open authorization %q: %w", a.ID, err)
	}
	return secrets, nil
}

// How often an authorization is probed: one that works once a day, one that
// does not every hour, so that one mended at the network is found without
// hammering it.
//
// A probe that said nothing (the network is down, or asks for fewer calls) is
// tried again after a minute, then two, four, up to mendEvery.
const (
	checkEvery = 24 * time.Hour
	mendEvery  = time.Hour
	tryAgain   = time.Minute
)

// ErrNothingToProbe is what a probe returns for an authorization that nothing
// uses yet.
var ErrNothingToProbe = errors.New("nothing uses the authorization")

// Health probes authorizations and records what it finds. It is a worker of the
// engine.
type Health struct {
	Store Store
	// Probe proves the credentials without writing anything at the network.
	Probe func(ctx context.Context, a activation.Authorization) error
	Log   *slog.Logger
	Now   func() time.Time

	mu    sync.Mutex
	tried map[activation.AuthorizationID]trial
}

// A trial is the last probe that said nothing.
type trial struct {
	at   time.Time
	next time.Time
	row  int // how many in a row
}

// KindAuthorization is the kind of work that Health does.
const KindAuthorization = "authorization"

// Kind names the kind of work.
func (h *Health) Kind() string { return KindAuthorization }

// Due lists the authorizations to be probed now.
func (h *Health) Due(ctx context.Context, limit int) ([]activation.Work, error) {
	all, err := h.Store.Authorizations(ctx)
	if err != nil {
		return nil, fmt.Errorf("list authorizations: %w", err)
	}
	var works []activation.Work
	for _, a := range all {
		if len(works) < limit && !h.Now().Before(NextProbe(a)) && !h.waits(a) {
			works = append(works, activation.Work{Kind: KindAuthorization, ID: string(a.ID), Lease: "auth:" + string(a.ID)})
		}
	}
	return works, nil
}

// NextProbe returns when an authorization is to be probed next.
func NextProbe(a activation.Authorization) time.Time {
	switch a.Status {
	case activation.AuthHealthy:
		return a.LastCheckedAt.Add(checkEvery)
	case activation.AuthUnhealthy:
		return a.LastCheckedAt.Add(mendEvery)
	case activation.AuthUnknown:
	}
	if a.LastCheckedAt.IsZero() {
		return a.CreatedAt
	}
	return a.LastCheckedAt.Add(mendEvery)
}

// waits reports whether the last probe of an authorization said nothing and it
// is too early for another. New credentials are probed at once.
func (h *Health) waits(a activation.Authorization) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.tried[a.ID]
	return ok && h.Now().Before(t.next) && !a.UpdatedAt.After(t.at)
}

// noteTrial remembers that a probe said something, or nothing and when to try
// again.
func (h *Health) noteTrial(id activation.AuthorizationID, found error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found == nil || activation.KindOf(found) == activation.Unauthorized {
		delete(h.tried, id)
		return
	}
	t, now := h.tried[id], h.Now()
	wait := min(tryAgain<<min(t.row, 10), mendEvery)
	if errors.Is(found, ErrNothingToProbe) {
		wait = tryAgain // a destination may come any time
	}
	t.at, t.next, t.row = now, now.Add(wait), t.row+1
	var e *activation.Error
	if errors.As(found, &e) && e.Until.After(t.next) {
		t.next = e.Until
	}
	if h.tried == nil {
		h.tried = map[activation.AuthorizationID]trial{}
	}
	h.tried[id] = t
}

// Do probes one authorization and records the finding. An error that says
// nothing about the credentials (the network is down) changes nothing.
func (h *Health) Do(ctx context.Context, w activation.Work) error {
	a, err := h.Store.Authorization(ctx, activation.AuthorizationID(w.ID))
	if err != nil {
		return fmt.Errorf("probe authorization: %w", err)
	}
	found := h.Probe(ctx, a)
	h.noteTrial(a.ID, found)
	return h.Report(ctx, a.ID, found)
}

// Test probes one authorization now, records the finding and returns it. One
// that nothing uses can't be tried; the error says so.
func (h *Health) Test(ctx context.Context, id activation.AuthorizationID) error {
	a, err := h.Store.Authorization(ctx, id)
	if err != nil {
		return fmt.Errorf("test authorization: %w", err)
	}
	found := h.Probe(ctx, a)
	if errors.Is(found, ErrNothingToProbe) {
		return &activation.Error{Kind: activation.Invalid, Code: "AUTH-BADREQ-008", Field: "id", Message: "nothing uses the authorization yet, so there is no account to try it on; name a destination or an alert job that uses it first"}
	}
	h.noteTrial(id, found)
	if found == nil || activation.KindOf(found) == activation.Unauthorized {
		if err := h.Report(ctx, id, found); err != nil {
			return errors.Join(found, err)
		}
	}
	return found
}

// Report records what a call said about an authorization: nil means it works,
// Unauthorized that it does not; anything else says nothing and comes back,
// unless there was nothing to probe.
func (h *Health) Report(ctx context.Context, id activation.AuthorizationID, found error) error {
	switch {
	case found == nil:
		return h.Store.MarkHealthy(ctx, id)
	case errors.Is(found, ErrNothingToProbe):
		return nil
	case activation.KindOf(found) == activation.Unauthorized:
		h.Log.WarnContext(ctx, "an authorization does not work any more", "authorization_id", id, "code", activation.CodeOf(found))
		return h.Store.MarkUnhealthy(ctx, id, activation.SafeMessage(found))
	}
	return fmt.Errorf("probe authorization %q: %w", id, found)
}
