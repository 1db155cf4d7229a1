package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
	"usher/internal/publishing/bidding"
)

// Desk is what publisher accounts, and what is planned for them, are changed by.
// publishing.Desk is one.
type Desk interface {
	Accounts(ctx context.Context) ([]activation.PublisherAccount, error)
	Link(ctx context.Context, spec publishing.AccountSpec, user string) (activation.PublisherAccount, error)
	Update(ctx context.Context, id activation.PublisherID, spec publishing.AccountSpec, user string) (activation.PublisherAccount, error)
	Schedules(ctx context.Context, id activation.PublisherID) ([]activation.ScheduledOperation, error)
	PutSchedule(ctx context.Context, s activation.ScheduledOperation, user string) (activation.ScheduledOperation, error)
	DeleteSchedule(ctx context.Context, id activation.PublisherID, schedule, user string) error
	Strategies(ctx context.Context, id activation.PublisherID) ([]activation.Strategy, error)
	PutStrategy(ctx context.Context, s activation.Strategy, user string) (activation.Strategy, error)
}

// unread is why something of an account waits.
const unread = "the structure of the account is not read yet; apply again when it is"

// apply links the account, which asks the publisher for it: also a plan does that, since
// whether the publisher opens it is what is most often wrong.
func (d *publisherDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	auth, problem := w.authorization(d.Authorization, d.Provider)
	if problem != "" {
		return unnamed("auth_id", problem)
	}
	config, err := settings(d.Config)
	if err != nil {
		return err
	}
	all, err := w.desk.Accounts(ctx)
	if err != nil {
		return err
	}
	fields := w.accountFields(d.Provider)
	err = settle(ctx, s, user, settling[activation.PublisherAccount]{
		there: all, is: func(a activation.PublisherAccount) bool { return a.Name == d.Name },
		want: activation.PublisherAccount{
			Name: d.Name, Provider: d.Provider, Authorization: auth, Account: d.Account, Config: config, NightlyAt: cmp.Or(d.NightlyAt, activation.DefaultNightlyAt),
		},
		adjust: func(have activation.PublisherAccount, want *activation.PublisherAccount) {
			want.Timezone = have.Timezone
			keepSecrets(fields, want.Config, have.Config)
			want.Config = withDefaults(fields, want.Config)
		},
		create: func(ctx context.Context, a activation.PublisherAccount, user string) (activation.PublisherAccount, error) {
			return w.desk.Link(ctx, specOf(a), user)
		},
		update: func(ctx context.Context, a activation.PublisherAccount, user string) (activation.PublisherAccount, error) {
			return w.desk.Update(ctx, a.ID, specOf(a), user)
		},
	})
	return notOpened(err)
}

func specOf(a activation.PublisherAccount) publishing.AccountSpec {
	return publishing.AccountSpec{Name: a.Name, Provider: a.Provider, Authorization: a.Authorization, Account: a.Account, Config: a.Config, NightlyAt: a.NightlyAt}
}

// notOpened makes a problem of the file of what a publisher answers instead of opening an
// account; other errors stay.
func notOpened(err error) error {
	switch activation.KindOf(err) {
	case activation.Unauthorized:
		return unnamed("auth_id", activation.SafeMessage(err))
	case activation.WaitUntil, activation.Unavailable, activation.RefusedWhole, activation.Gone:
		return unnamed("account", "the publisher does not open it: "+activation.SafeMessage(err))
	case activation.Invalid, activation.Internal:
	}
	return err
}

// accountFields are the settings that the accounts of a publisher have.
func (w *world) accountFields(name string) []provider.Field {
	def, err := w.cat.Definition(name)
	if err != nil || def.Publishing == nil {
		return nil
	}
	return def.Publishing.Fields
}

func (w *world) accountNamed(ctx context.Context, field, name string) (activation.PublisherAccount, error) {
	all, err := w.desk.Accounts(ctx)
	if err != nil {
		return activation.PublisherAccount{}, err
	}
	return named(all, field, "publisher account", func(a activation.PublisherAccount) bool { return a.Name == name })
}

// apply waits where bids are to be found within objects that are not read yet.
func (d *strategyDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	account, err := w.accountNamed(ctx, "publisher", d.Publisher)
	if err != nil {
		return err
	}
	want := activation.Strategy{
		Publisher: account.ID, Name: d.Name, Goal: cmp.Or(d.Goal, string(bidding.CPA)), Target: d.Target, Kind: activation.ObjectKind(d.BidsOf), Floor: d.Floor, Ceiling: d.Ceiling, Mode: cmp.Or(d.Mode, publishing.ModePreview),
	}
	if want.Goal == string(bidding.Given) {
		want.Target = 0
	}
	for _, o := range d.Within {
		want.Within = append(want.Within, o.ref())
	}
	for _, o := range d.Overrides {
		want.Overrides = append(want.Overrides, activation.BidOverride{Object: activation.ObjectRef{Kind: want.Kind, ID: o.ID}, Bid: o.Bid, Until: o.Until})
	}
	waits := account.SyncedAt.IsZero() && len(want.Within) > 0
	if waits && !w.shadow {
		s.pend(unread)
		return nil
	}
	all, err := w.desk.Strategies(ctx, account.ID)
	if err != nil {
		return err
	}
	err = settle(ctx, s, user, settling[activation.Strategy]{
		there: all, is: func(o activation.Strategy) bool { return o.Name == d.Name }, want: want, create: w.desk.PutStrategy, update: w.desk.PutStrategy,
	})
	if waits && err == nil && s.Action != Unchanged {
		s.pend(unread)
	}
	return err
}

func (o objectDoc) ref() activation.ObjectRef {
	return activation.ObjectRef{Kind: activation.ObjectKind(o.Kind), ID: o.ID}
}

// pend says that the step waits for something.
func (s *Step) pend(why string) { s.Action, s.Changes, s.Note = Pending, nil, why }

// dropFolder puts the id of the publisher account in the place of its name in the
// settings of a job that has one. An id that the job has already stays.
func (w *world) dropFolder(ctx context.Context, d jobDoc, config map[string]string) error {
	workflow, _, err := w.cat.Workflow(d.Workflow)
	name := config[provider.PublisherField]
	if err != nil || workflow.Subject != provider.Campaigns || name == "" {
		return nil //nolint:nilerr // the workflow is refused by whoever checks the job
	}
	account, err := w.accountNamed(ctx, "config."+provider.PublisherField, name)
	if err == nil {
		config[provider.PublisherField] = string(account.ID)
		return nil
	}
	for _, j := range w.jobs {
		if j.Name == d.Name && j.Workflow == workflow.Name && j.Config[provider.PublisherField] == name {
			return nil
		}
	}
	return err
}

// exportPublishers writes each account with what is planned for it, and returns the
// names of accounts by id.
func (m *Manifest) exportPublishers(ctx context.Context, e *exporter, labels map[activation.AuthorizationID]string) (map[string]string, error) {
	names := map[string]string{}
	accounts, err := m.Desk.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		names[string(a.ID)] = a.Name
		file := "publishers/" + fileName(a.Name) + ".yaml"
		def, err := m.Catalog.Definition(a.Provider)
		if err != nil || def.Publishing == nil {
			return nil, errors.Join(err, fmt.Errorf("%q is not a publisher", a.Provider))
		}
		doc := publisherDoc{Kind: kindPublisher, Name: a.Name, Provider: a.Provider, Authorization: labels[a.Authorization], Account: a.Account, Config: declaredConfig(def.Publishing.Fields, a.Config)}
		if a.NightlyAt != activation.DefaultNightlyAt {
			doc.NightlyAt = a.NightlyAt
		}
		e.add(file, doc)
		if err := m.exportSchedules(ctx, e, file, a); err != nil {
			return nil, err
		}
		strategies, err := m.Desk.Strategies(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		for _, s := range strategies {
			e.add(file, strategyDocOf(a, s))
		}
	}
	return names, nil
}

func strategyDocOf(a activation.PublisherAccount, s activation.Strategy) strategyDoc {
	doc := strategyDoc{Kind: kindStrategy, Publisher: a.Name, Name: s.Name, Goal: s.Goal, Target: s.Target, BidsOf: string(s.Kind), Floor: s.Floor, Ceiling: s.Ceiling, Mode: s.Mode}
	for _, o := range s.Within {
		doc.Within = append(doc.Within, objectDoc{string(o.Kind), o.ID})
	}
	for _, o := range s.Overrides {
		doc.Overrides = append(doc.Overrides, overrideDoc{o.Object.ID, o.Bid, o.Until})
	}
	return doc
}
