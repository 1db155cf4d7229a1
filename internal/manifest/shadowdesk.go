package manifest

import (
	"context"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

// shadowDesk is a store of publishers that looks like the real one and keeps accounts to
// itself. Of schedules and strategies nothing is kept: nothing refers to them. What a
// plan never does is left to the nil interface.
type shadowDesk struct {
	publishing.Store
	real      publishing.Store
	providers []provider.Definition
	accounts  []activation.PublisherAccount
}

// trial are the use cases of publishers on a shadow: they ask publishers as ever, and
// change nothing.
func (m *Manifest) trial() Desk {
	cfg := m.Publishing
	cfg.Store, cfg.Wake, cfg.Changed = &shadowDesk{real: cfg.Store, providers: cfg.Providers}, nil, nil
	return publishing.New(cfg)
}

func (s *shadowDesk) Publishers(ctx context.Context) ([]activation.PublisherAccount, error) {
	all, err := s.real.Publishers(ctx)
	return overlaid(all, s.accounts, func(a activation.PublisherAccount) activation.PublisherID { return a.ID }), err
}

func (s *shadowDesk) Publisher(ctx context.Context, id activation.PublisherID) (activation.PublisherAccount, error) {
	if i := slices.IndexFunc(s.accounts, func(a activation.PublisherAccount) bool { return a.ID == id }); i >= 0 {
		return s.accounts[i], nil
	}
	return s.real.Publisher(ctx, id)
}

func (s *shadowDesk) CreatePublisher(_ context.Context, a activation.PublisherAccount, _, _, _ string) (activation.PublisherAccount, error) {
	a.ID = activation.NewID[activation.PublisherID]()
	s.accounts = append(s.accounts, a)
	return a, nil
}

func (s *shadowDesk) UpdatePublisher(ctx context.Context, a activation.PublisherAccount, _ string) (activation.PublisherAccount, error) {
	before, err := s.Publisher(ctx, a.ID)
	if err != nil {
		return a, err
	}
	a.SyncedAt = before.SyncedAt
	s.accounts = overlaid(s.accounts, []activation.PublisherAccount{a}, func(a activation.PublisherAccount) activation.PublisherID { return a.ID })
	return a, nil
}

func (s *shadowDesk) SavePublisherInfo(_ context.Context, id activation.PublisherID, currency, timezone string) error {
	for i := range s.accounts {
		if s.accounts[i].ID == id {
			s.accounts[i].Currency, s.accounts[i].Timezone = currency, timezone
		}
	}
	return nil
}

// WriteEntries takes what linking an account asks for.
func (s *shadowDesk) WriteEntries(_ context.Context, _ activation.PublisherID, _ *activation.Entry, entries []activation.Entry, _ activation.EntryWrite) ([]activation.Entry, error) {
	return entries, nil
}

func (s *shadowDesk) Schedules(ctx context.Context, id activation.PublisherID) ([]activation.ScheduledOperation, error) {
	return s.real.Schedules(ctx, id)
}

func (s *shadowDesk) PutSchedule(_ context.Context, o activation.ScheduledOperation, _ string) (activation.ScheduledOperation, error) {
	return o, nil
}

func (s *shadowDesk) DeleteSchedule(context.Context, activation.PublisherID, string, string) error {
	return nil
}

func (s *shadowDesk) Strategies(ctx context.Context, id activation.PublisherID) ([]activation.Strategy, error) {
	return s.real.Strategies(ctx, id)
}

func (s *shadowDesk) PutStrategy(_ context.Context, o activation.Strategy, _ string) (activation.Strategy, error) {
	return o, nil
}

// Object is what is there, or, before the structure was read, one of which all may be
// true: what is planned for it can be judged but for that.
func (s *shadowDesk) Object(ctx context.Context, id activation.PublisherID, ref activation.ObjectRef) (activation.PublisherObject, error) {
	account, err := s.Publisher(ctx, id)
	if err != nil {
		return activation.PublisherObject{}, err
	}
	if account.SyncedAt.IsZero() {
		if o, ok := s.supposed(account.Provider, ref); ok {
			return o, nil
		}
	}
	return s.real.Object(ctx, id, ref)
}

func (s *shadowDesk) ObjectsOf(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]activation.PublisherObject, error) {
	out := map[activation.ObjectRef]activation.PublisherObject{}
	account, err := s.Publisher(ctx, id)
	if err != nil {
		return nil, err
	}
	if !account.SyncedAt.IsZero() {
		return s.real.ObjectsOf(ctx, id, refs)
	}
	for _, ref := range refs {
		if o, ok := s.supposed(account.Provider, ref); ok {
			out[ref] = o
		}
	}
	return out, nil
}

// supposed is an object as a publisher may have it: of a type of its kind that can be
// paused, where there is one.
func (s *shadowDesk) supposed(name string, ref activation.ObjectRef) (activation.PublisherObject, bool) {
	o := activation.PublisherObject{ObjectRef: ref, Confirmed: map[string]string{}}
	for _, def := range s.providers {
		if def.Name != name || def.Publishing == nil {
			continue
		}
		for _, t := range def.Publishing.Objects {
			if t.Kind != ref.Kind {
				continue
			}
			if f, ok := t.Field(activation.FieldStatus); o.Type == "" || ok && !f.Fixed && !f.Shown {
				o.Type = t.Name
			}
		}
	}
	return o, o.Type != ""
}
