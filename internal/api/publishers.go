package api

import (
	"context"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

// Publishing is what the API needs of campaign edits.
type Publishing interface {
	Accounts(ctx context.Context) ([]activation.PublisherAccount, error)
	Account(ctx context.Context, id activation.PublisherID) (activation.PublisherAccount, error)
	Link(ctx context.Context, spec publishing.AccountSpec, user string) (activation.PublisherAccount, error)
	Update(ctx context.Context, id activation.PublisherID, spec publishing.AccountSpec, user string) (activation.PublisherAccount, error)
	Unlink(ctx context.Context, id activation.PublisherID, user string) error
	CheckAccount(ctx context.Context, id activation.PublisherID) (provider.PublisherInfo, error)
	Sync(ctx context.Context, id activation.PublisherID, what, user string) (activation.Entry, error)

	Objects(ctx context.Context, q activation.ObjectQuery) ([]activation.PublisherObject, string, error)
	Object(ctx context.Context, id activation.PublisherID, ref activation.ObjectRef) (publishing.ObjectView, error)
	Edit(ctx context.Context, id activation.PublisherID, edits []publishing.EditSpec, send activation.Send, source, user string) (publishing.EditResult, error)
	Preview(ctx context.Context, id activation.PublisherID, name string, body io.Reader) (publishing.UploadPreview, error)
	Upload(ctx context.Context, id activation.PublisherID, name string, body io.Reader, send activation.Send, skipErrors bool, user string) (publishing.UploadPreview, error)
	ErrorFile(ctx context.Context, parent activation.EntryID, w io.Writer) error
	Template(ctx context.Context, id activation.PublisherID, w io.Writer) error

	Entries(ctx context.Context, q activation.EntryQuery) ([]activation.Entry, string, error)
	Entry(ctx context.Context, id activation.EntryID) (publishing.EntryView, error)
	Position(ctx context.Context, id activation.EntryID) (publishing.Position, error)
	Next(ctx context.Context, id activation.PublisherID, limit int) ([]publishing.NextEntry, error)
	Counts(ctx context.Context, id activation.PublisherID) (map[activation.EntryStatus]int64, error)
	Move(ctx context.Context, c activation.EntryCommand, q activation.EntryQuery, dryRun bool, user string) (activation.EntriesMoved, error)

	Schedules(ctx context.Context, id activation.PublisherID) ([]activation.ScheduledOperation, error)
	PutSchedule(ctx context.Context, s activation.ScheduledOperation, user string) (activation.ScheduledOperation, error)
	DeleteSchedule(ctx context.Context, id activation.PublisherID, schedule, user string) error
	Strategies(ctx context.Context, id activation.PublisherID) ([]activation.Strategy, error)
	PutStrategy(ctx context.Context, s activation.Strategy, user string) (activation.Strategy, error)
	DeleteStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) error
	RunStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) ([]activation.BidProposal, error)
	Proposals(ctx context.Context, id activation.PublisherID, strategy string) ([]activation.BidProposal, error)
	GiveBids(ctx context.Context, id activation.PublisherID, strategy string, bids []publishing.GivenBid, user string) (publishing.EditResult, error)
	Override(ctx context.Context, id activation.PublisherID, strategy string, o activation.BidOverride, user string) (activation.Strategy, error)
	Costs(ctx context.Context, q activation.CostQuery) (publishing.CostReport, error)
}

// publishersTag groups the routes of campaign edits.
const publishersTag = "publishers"

// PublisherPath is the publisher account in a path.
type PublisherPath struct {
	ID string `path:"id" doc:"id of the publisher account"`
}

func (p PublisherPath) id() activation.PublisherID { return activation.PublisherID(p.ID) }

// publisherBody is what somebody says of an account; what is left out of a change
// stays.
type publisherBody struct {
	Name          *string            `json:"name,omitempty"`
	Provider      *string            `json:"provider,omitempty" doc:"such as google; can't be changed later"`
	Authorization *string            `json:"auth_id,omitempty"`
	Account       *string            `json:"account,omitempty" doc:"the publisher's own id of the account; can't be changed later"`
	Config        *map[string]string `json:"config,omitempty"`
	NightlyAt     *string            `json:"nightly_at,omitempty" doc:"when what waits is posted, in the account's zone; 20:00 unless told" example:"20:00"`
}

func (b publisherBody) over(a activation.PublisherAccount) publishing.AccountSpec {
	spec := publishing.AccountSpec{Name: a.Name, Provider: a.Provider, Authorization: a.Authorization, Account: a.Account, Config: a.Config, NightlyAt: a.NightlyAt}
	set(&spec.Name, b.Name)
	set(&spec.Provider, b.Provider)
	set(&spec.Account, b.Account)
	set(&spec.Config, b.Config)
	set(&spec.NightlyAt, b.NightlyAt)
	if b.Authorization != nil {
		spec.Authorization = activation.AuthorizationID(*b.Authorization)
	}
	return spec
}

// publishers are the routes of publisher accounts.
func (a *API) publishers(h huma.API) {
	huma.Register(h, route("GET /v2/publisher", Viewer, "list-publishers", "Publisher accounts, with what waits in each", publishersTag), func(ctx context.Context, _ *struct{}) (*reply[[]activation.PublisherAccount], error) {
		all, err := a.Publishing.Accounts(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/publisher/{id}", Viewer, "show-publisher", "Show a publisher account", publishersTag), func(ctx context.Context, in *PublisherPath) (*reply[activation.PublisherAccount], error) {
		return answer(a.Publishing.Account(ctx, in.id()))(ctx, a)
	})
	huma.Register(h, asking(route("POST /v2/publisher", Admin, "create-publisher", "Link an account at an ad publisher, once the publisher opens it; it gets its two jobs", publishersTag)), func(ctx context.Context, in *struct{ Body publisherBody }) (*reply[activation.PublisherAccount], error) {
		account, err := a.Publishing.Link(ctx, in.Body.over(activation.PublisherAccount{}), CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, account)
	})
	huma.Register(h, asking(route("PUT /v2/publisher/{id}", Admin, "edit-publisher", "Change name, authorization, settings or the time of the nightly sync; what is left out stays", publishersTag)), func(ctx context.Context, in *struct {
		PublisherPath
		Body publisherBody
	},
	) (*reply[activation.PublisherAccount], error) {
		account, err := a.Publishing.Account(ctx, in.id())
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return answer(a.Publishing.Update(ctx, in.id(), in.Body.over(account), CallerOf(ctx).Name))(ctx, a)
	})
	huma.Register(h, route("DELETE /v2/publisher/{id}", Admin, "delete-publisher", "Unlink an account, with Usher's copy of its structure, its log and its jobs; the publisher keeps everything. 409 while something is under way", publishersTag), func(ctx context.Context, in *PublisherPath) (*reply[any], error) {
		if err := a.Publishing.Unlink(ctx, in.id(), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, asking(route("POST /v2/publisher/{id}/test", Operator, "test-publisher", "Ask the publisher whether the account opens, and in which currency and zone it is", publishersTag)), func(ctx context.Context, in *PublisherPath) (*reply[provider.PublisherInfo], error) {
		return answer(a.Publishing.CheckAccount(ctx, in.id()))(ctx, a)
	})
	huma.Register(h, route("POST /v2/publisher/{id}/sync", Operator, "sync-publisher", "Read the structure (a hard sync) or the costs from the publisher, in its turn as an entry of the Activity Log", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		Body *struct {
			What string `json:"what,omitempty" enum:"structure,costs" default:"structure"`
		}
	},
	) (*reply[activation.Entry], error) {
		what := "structure"
		if in.Body != nil && in.Body.What != "" {
			what = in.Body.What
		}
		return answer(a.Publishing.Sync(ctx, in.id(), what, CallerOf(ctx).Name))(ctx, a)
	})
	huma.Register(h, route("GET /v2/publisher/{id}/next", Viewer, "next-entries", "What is sent next, in order, and why each is where it is", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		Limit int `query:"limit" default:"10" minimum:"1" maximum:"200"`
	},
	) (*reply[[]publishing.NextEntry], error) {
		next, err := a.Publishing.Next(ctx, in.id(), in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, next)
	})
	huma.Register(h, route("GET /v2/publisher/{id}/cost", Viewer, "publisher-costs", "Stored costs by date, object or both, in one currency", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		From     string `query:"from" doc:"first day, in the account's zone, such as 2026-11-01; 30 days back unless told"`
		Until    string `query:"until" doc:"last day; today unless told"`
		Kind     string `query:"kind" default:"campaign" doc:"campaign, group, creative or keyword"`
		Object   string `query:"object" doc:"id of one object of the kind"`
		By       string `query:"by" default:"date" enum:"date,object,both"`
		Currency string `query:"currency" doc:"needed where the account's rows are in several"`
		Limit    int    `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
	},
	) (*reply[publishing.CostReport], error) {
		kinds, err := words("kind", in.Kind, activation.ObjectKinds)
		if err != nil || len(kinds) != 1 {
			return nil, a.fail(ctx, orInvalid(err, "kind", "kind: must be one of campaign, group, creative, keyword, other"))
		}
		q := activation.CostQuery{Publisher: in.id(), From: in.From, Until: in.Until, Kind: kinds[0], By: in.By, Currency: in.Currency, Limit: in.Limit}
		if in.By == "both" {
			q.By = ""
		}
		if in.Object != "" {
			q.Object = activation.ObjectRef{Kind: kinds[0], ID: in.Object}
		}
		return answer(a.Publishing.Costs(ctx, q))(ctx, a)
	})
	a.publisherObjects(h)
	a.publisherPlans(h)
	a.entries(h)
}

// answer makes the reply of what a use case returned.
func answer[T any](v T, err error) func(ctx context.Context, a *API) (*reply[T], error) {
	return func(ctx context.Context, a *API) (*reply[T], error) {
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, v)
	}
}

// orInvalid is err, or where there is none that the field is wrong.
func orInvalid(err error, field, message string) error {
	if err != nil {
		return err
	}
	return invalid(field, message)
}
