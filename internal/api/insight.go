package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/insight"
	"usher/internal/warehouse"
)

// Insight counts people for whoever makes audiences.
type Insight interface {
	Breakdown(ctx context.Context, rule, field string, limit int) (warehouse.Breakdown, error)
	Overlap(ctx context.Context, audiences []string) (insight.Overlaps, error)
	Reach(ctx context.Context, audience string) ([]insight.Reach, error)
	Trend(ctx context.Context, audience string, from, until time.Time) ([]insight.Point, error)
	Text(tree json.RawMessage) (string, error)
}

func (a *API) insight(h huma.API) {
	huma.Register(h, route("POST /v2/segment/breakdown", Viewer, "breakdown-audience", "How the values of a field spread over the people a rule selects; of personal fields only how many have one", "audiences"), func(ctx context.Context, in *struct {
		Body struct {
			Rule  string `json:"segment_ql,omitempty" doc:"the rule; or id"`
			ID    string `json:"id,omitempty" doc:"id or slug of an audience"`
			Field string `json:"field"`
			Limit int    `json:"limit,omitempty" minimum:"0" maximum:"100" doc:"values listed; 0 = 10"`
		}
	},
	) (*reply[warehouse.Breakdown], error) {
		rule, err := a.ruleOf(ctx, in.Body.Rule, in.Body.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		limit := in.Body.Limit
		if limit == 0 {
			limit = 10
		}
		out, err := a.Insight.Breakdown(ctx, rule, in.Body.Field, limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("POST /v2/segment/overlap", Viewer, "overlap-audiences", "How many people each two of some audiences share", "audiences"), func(ctx context.Context, in *struct {
		Body struct {
			Audiences []string `json:"segment_ids" minItems:"1" maxItems:"20" doc:"ids or slugs"`
		}
	},
	) (*reply[insight.Overlaps], error) {
		out, err := a.Insight.Overlap(ctx, in.Body.Audiences)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("GET /v2/segment/{id}/reach", Viewer, "audience-reach", "Which match keys the members have, per destination", "audiences"), func(ctx context.Context, in *SegmentPath) (*reply[[]insight.Reach], error) {
		out, err := a.Insight.Reach(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
	huma.Register(h, route("GET /v2/segment/{id}/trend", Viewer, "audience-trend", "The size of an audience over time", "audiences"), func(ctx context.Context, in *struct {
		SegmentPath
		MetricQuery
	},
	) (*reply[[]insight.Point], error) {
		from, until, err := a.period(&in.MetricQuery)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out, err := a.Insight.Trend(ctx, in.ID, from, until)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
}

// ruleOf is a rule as given, or that of an audience.
func (a *API) ruleOf(ctx context.Context, rule, id string) (string, error) {
	if (rule == "") == (id == "") {
		return "", invalid("segment_ql", "segment_ql: give a rule, or the id of an audience")
	}
	if rule != "" {
		return rule, nil
	}
	s, err := a.Catalog.Audience(ctx, id)
	if err == nil && s.Kind.Given() {
		return "FILTER INCLUDE " + s.Slug, nil
	}
	return s.Rule, err
}
