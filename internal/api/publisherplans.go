package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/publishing"
)

// scheduleBody is a scheduled operation; what is left out of a change stays.
type scheduleBody struct {
	Object *activation.ObjectRef `json:"object,omitempty"`
	Action *string               `json:"action,omitempty" enum:"pause,resume"`
	At     *time.Time            `json:"at,omitempty" doc:"a moment on the hour; without days it is done once"`
	Days   *[]int                `json:"days,omitempty" doc:"days of the week on which it is done again, Monday = 1 to Sunday = 7"`
	Hour   *int                  `json:"hour,omitempty" minimum:"0" maximum:"23" doc:"with days: the hour, in the account's zone"`
}

func (b scheduleBody) over(s activation.ScheduledOperation) activation.ScheduledOperation {
	set(&s.Object, b.Object)
	set(&s.Action, b.Action)
	set(&s.At, b.At)
	set(&s.Days, b.Days)
	set(&s.Hour, b.Hour)
	return s
}

// strategyBody is a bidding strategy; what is left out of a change stays.
type strategyBody struct {
	Name    *string                 `json:"name,omitempty"`
	Goal    *string                 `json:"goal,omitempty" enum:"cpa,roas,given" doc:"cost per conversion, value per cost, or bids that come through the API"`
	Target  *float64                `json:"target,omitempty" doc:"the cost per conversion in the account's currency, or value per cost (4 = 400 %)"`
	Kind    *activation.ObjectKind  `json:"kind,omitempty" enum:"group,keyword" doc:"whose bids they are"`
	Within  *[]activation.ObjectRef `json:"within,omitempty" doc:"campaigns and groups they belong to; none = all"`
	Floor   *float64                `json:"floor,omitempty" doc:"the least bid"`
	Ceiling *float64                `json:"ceiling,omitempty" doc:"the highest bid"`
	Mode    *string                 `json:"mode,omitempty" enum:"off,preview,traffic" doc:"preview calculates only, traffic posts"`
}

func (b strategyBody) over(s activation.Strategy) activation.Strategy {
	set(&s.Name, b.Name)
	set(&s.Goal, b.Goal)
	set(&s.Target, b.Target)
	set(&s.Kind, b.Kind)
	set(&s.Within, b.Within)
	set(&s.Floor, b.Floor)
	set(&s.Ceiling, b.Ceiling)
	set(&s.Mode, b.Mode)
	return s
}

// PlanPath is a scheduled operation or a strategy in a path.
type PlanPath struct {
	PublisherPath
	Plan string `path:"plan" doc:"its id"`
}

// publisherPlans are the routes of scheduled operations and of bidding.
func (a *API) publisherPlans(h huma.API) {
	huma.Register(h, route("GET /v2/publisher/{id}/schedule", Viewer, "list-schedules", "Scheduled operations of an account", publishersTag), func(ctx context.Context, in *PublisherPath) (*reply[[]activation.ScheduledOperation], error) {
		all, err := a.Publishing.Schedules(ctx, in.id())
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("POST /v2/publisher/{id}/schedule", Operator, "create-schedule", "Pause or resume an object on the hour, once or on days of the week", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		Body scheduleBody
	},
	) (*reply[activation.ScheduledOperation], error) {
		s, err := a.Publishing.PutSchedule(ctx, in.Body.over(activation.ScheduledOperation{Publisher: in.id()}), CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, s)
	})
	huma.Register(h, route("PUT /v2/publisher/{id}/schedule/{plan}", Operator, "edit-schedule", "Change a scheduled operation; what is left out stays", publishersTag), func(ctx context.Context, in *struct {
		PlanPath
		Body scheduleBody
	},
	) (*reply[activation.ScheduledOperation], error) {
		all, err := a.Publishing.Schedules(ctx, in.id())
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		s, err := one("scheduled operation", all, func(s activation.ScheduledOperation) bool { return s.ID == in.Plan }, in.Plan)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return answer(a.Publishing.PutSchedule(ctx, in.Body.over(s), CallerOf(ctx).Name))(ctx, a)
	})
	huma.Register(h, route("DELETE /v2/publisher/{id}/schedule/{plan}", Operator, "delete-schedule", "Take a scheduled operation away; what it has queued stays", publishersTag), func(ctx context.Context, in *PlanPath) (*reply[any], error) {
		if err := a.Publishing.DeleteSchedule(ctx, in.id(), in.Plan, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})

	huma.Register(h, route("GET /v2/publisher/{id}/strategy", Viewer, "list-strategies", "Bidding strategies of an account", publishersTag), func(ctx context.Context, in *PublisherPath) (*reply[[]activation.Strategy], error) {
		all, err := a.Publishing.Strategies(ctx, in.id())
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("POST /v2/publisher/{id}/strategy", Operator, "create-strategy", "Let bids be found; floor and ceiling are required", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		Body strategyBody
	},
	) (*reply[activation.Strategy], error) {
		s, err := a.Publishing.PutStrategy(ctx, in.Body.over(activation.Strategy{Publisher: in.id()}), CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, s)
	})
	huma.Register(h, route("PUT /v2/publisher/{id}/strategy/{plan}", Operator, "edit-strategy", "Change a strategy; what is left out stays", publishersTag), func(ctx context.Context, in *struct {
		PlanPath
		Body strategyBody
	},
	) (*reply[activation.Strategy], error) {
		all, err := a.Publishing.Strategies(ctx, in.id())
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		s, err := one("strategy", all, func(s activation.Strategy) bool { return s.ID == in.Plan }, in.Plan)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return answer(a.Publishing.PutStrategy(ctx, in.Body.over(s), CallerOf(ctx).Name))(ctx, a)
	})
	huma.Register(h, route("DELETE /v2/publisher/{id}/strategy/{plan}", Operator, "delete-strategy", "Take a strategy away; bids stay as they are", publishersTag), func(ctx context.Context, in *PlanPath) (*reply[any], error) {
		if err := a.Publishing.DeleteStrategy(ctx, in.id(), in.Plan, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, route("POST /v2/publisher/{id}/strategy/{plan}/run", Operator, "run-strategy", "Calculate bids now; in the mode traffic they become entries", publishersTag), func(ctx context.Context, in *PlanPath) (*reply[[]activation.BidProposal], error) {
		made, err := a.Publishing.RunStrategy(ctx, in.id(), in.Plan, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, made)
	})
	huma.Register(h, route("GET /v2/publisher/{id}/strategy/{plan}/proposals", Viewer, "list-proposals", "What the last run of a strategy made of each object, with its inputs", publishersTag), func(ctx context.Context, in *PlanPath) (*reply[[]activation.BidProposal], error) {
		made, err := a.Publishing.Proposals(ctx, in.id(), in.Plan)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, made)
	})
	bids := route("POST /v2/publisher/{id}/strategy/{plan}/bids", Operator, "give-bids", "Give bids to a strategy whose goal is given; floor, ceiling and overrides hold", publishersTag)
	bids.MaxBodyBytes = 8 << 20
	huma.Register(h, bids, func(ctx context.Context, in *struct {
		PlanPath
		Body struct {
			Bids []publishing.GivenBid `json:"bids" minItems:"1" maxItems:"10000"`
		}
	},
	) (*reply[publishing.EditResult], error) {
		r, err := a.Publishing.GiveBids(ctx, in.id(), in.Plan, in.Body.Bids, CallerOf(ctx).Name)
		return answer(r, orProblems(r, err, true))(ctx, a)
	})
	huma.Register(h, route("POST /v2/publisher/{id}/strategy/{plan}/override", Operator, "override-bid", "Keep one object's bid as it is given, until a day; without a day the override is taken away", publishersTag), func(ctx context.Context, in *struct {
		PlanPath
		Body activation.BidOverride
	},
	) (*reply[activation.Strategy], error) {
		return answer(a.Publishing.Override(ctx, in.id(), in.Plan, in.Body, CallerOf(ctx).Name))(ctx, a)
	})
}
