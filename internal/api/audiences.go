package api

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/warehouse"
)

// SegmentPath is the audience in a path.
type SegmentPath struct {
	ID string `path:"id" doc:"id or slug of the audience"`
}

type segmentBody struct {
	Slug        string   `json:"slug_name,omitempty"`
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	Rule        string   `json:"segment_ql,omitempty" doc:"the rule, in FilterQL"`
	Public      *bool    `json:"is_public,omitempty" doc:"sites may read who is in it, through the web destination; default false"`
	_           struct{} `json:"-" additionalProperties:"true"`
}

// segment is an audience with its live size.
type segment struct {
	activation.Audience
	Size         int64                   `json:"size"`
	Kind         string                  `json:"kind"`
	AudienceKind activation.AudienceKind `json:"audience_kind" doc:"who decides about its members: rule, action, negative, conversion or retired; people change only the first"`
	Table        string                  `json:"table"`
}

func (a *API) segment(ctx context.Context, s activation.Audience) (segment, error) {
	size, err := a.Warehouse.Size(ctx, s.ID)
	return segment{Audience: s, Size: size, Kind: "segment", AudienceKind: s.Kind, Table: "user"}, err
}

func (a *API) listSegments(ctx context.Context) (*reply[[]segment], error) {
	all, err := a.Config.Audiences(ctx)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := make([]segment, 0, len(all))
	for _, s := range all {
		if s.Kind == activation.KindRetired {
			continue // what is kept of it shows among the targets
		}
		one, err := a.segment(ctx, s)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out = append(out, one)
	}
	return ok(ctx, out)
}

func (a *API) showSegment(ctx context.Context, id string) (*reply[segment], error) {
	s, err := a.Catalog.Audience(ctx, id)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out, err := a.segment(ctx, s)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, out)
}

func (a *API) segmentSize(ctx context.Context, id string) (*reply[map[string]int64], error) {
	s, err := a.Catalog.Audience(ctx, id)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	n, err := a.Warehouse.Size(ctx, s.ID)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, map[string]int64{"size": n})
}

// nextProfile is where the page after these people begins, "" when it is the
// last.
func nextProfile(people []warehouse.Profile, limit int) string {
	if len(people) < limit {
		return ""
	}
	return strconv.FormatInt(people[limit-1].ID, 10)
}

func (a *API) audiences(h huma.API) {
	huma.Register(h, route("GET /v2/segment", Viewer, "list-audiences", "List audiences with their live size", "audiences"), func(ctx context.Context, _ *struct{}) (*reply[[]segment], error) {
		return a.listSegments(ctx)
	})
	huma.Register(h, route("POST /v2/segment", Operator, "create-audience", "Save a rule as an audience", "audiences"), func(ctx context.Context, in *struct{ Body segmentBody }) (*reply[segment], error) {
		s, err := a.Catalog.CreateAudience(ctx, activation.Audience{Slug: in.Body.Slug, Name: in.Body.Name, Description: in.Body.Description, Rule: in.Body.Rule, Public: in.Body.Public != nil && *in.Body.Public}, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out, err := a.segment(ctx, s)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, out)
	})
	huma.Register(h, route("GET /v2/segment/{id}", Viewer, "show-audience", "Show an audience", "audiences"), func(ctx context.Context, in *SegmentPath) (*reply[segment], error) {
		return a.showSegment(ctx, in.ID)
	})
	huma.Register(h, route("PUT /v2/segment/{id}", Operator, "edit-audience", "Change an audience; empty fields stay", "audiences"), func(ctx context.Context, in *struct {
		SegmentPath
		Body segmentBody
	},
	) (*reply[segment], error) {
		s, err := a.Catalog.UpdateAudience(ctx, in.ID, activation.Audience{Name: in.Body.Name, Description: in.Body.Description, Rule: in.Body.Rule}, CallerOf(ctx).Name)
		if err == nil && in.Body.Public != nil {
			s, err = a.Catalog.SetPublic(ctx, in.ID, *in.Body.Public, CallerOf(ctx).Name)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out, err := a.segment(ctx, s)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("DELETE /v2/segment/{id}", Operator, "delete-audience", "Delete an audience nothing uses", "audiences"), func(ctx context.Context, in *SegmentPath) (*reply[any], error) {
		if err := a.Catalog.DeleteAudience(ctx, in.ID, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})

	type verdict struct {
		Rule   string   `json:"segment_ql" doc:"the rule in its canonical form"`
		Size   int64    `json:"size" doc:"how many people it selects now"`
		Fields []string `json:"fields"`
		JSON   any      `json:"json" doc:"the rule in its JSON form"`
	}
	huma.Register(h, route("POST /v2/segment/validate", Operator, "validate-audience", "Check a rule and count whom it would select", "audiences"), func(ctx context.Context, in *struct {
		Body struct {
			Rule string          `json:"segment_ql,omitempty" doc:"the rule, in FilterQL; or json"`
			JSON json.RawMessage `json:"json,omitempty" doc:"the rule in its JSON form"`
		}
	},
	) (*reply[verdict], error) {
		if len(in.Body.JSON) > 0 {
			text, err := a.Insight.Text(in.Body.JSON)
			if err == nil && in.Body.Rule != "" {
				err = invalid("json", "json: give the rule as text or as JSON, not both")
			}
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			in.Body.Rule = text
		}
		f, err := filterql.Parse(in.Body.Rule)
		if err != nil {
			return nil, a.fail(ctx, invalid("segment_ql", err.Error()))
		}
		n, err := a.Warehouse.Try(ctx, in.Body.Rule, a.Now())
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, verdict{Rule: f.String(), Size: n, Fields: f.Fields(), JSON: f})
	})
	huma.Register(h, route("GET /v2/segment/{id}/sizes", Viewer, "audience-size", "Live size of an audience", "audiences"), func(ctx context.Context, in *SegmentPath) (*reply[map[string]int64], error) {
		return a.segmentSize(ctx, in.ID)
	})
	huma.Register(h, route("POST /v2/segment/scan", Viewer, "scan-rule", "Page through whom a rule selects, without saving it; personal values masked", "audiences"), func(ctx context.Context, in *struct {
		Start int64 `query:"start" minimum:"0" doc:"profile id to start after"`
		Limit int   `query:"limit" default:"20" minimum:"1" maximum:"1000"`
		Body  struct {
			Rule string `json:"segment_ql" minLength:"1" doc:"the rule, in FilterQL"`
		}
	},
	) (*reply[[]warehouse.Profile], error) {
		people, err := a.Warehouse.Scan(ctx, in.Body.Rule, a.Now(), in.Start, in.Limit)
		if err == nil {
			err = a.mask(ctx, people)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return page(ctx, people, nextProfile(people, in.Limit))
	})
	huma.Register(h, route("GET /v2/segment/{id}/scan", Viewer, "scan-audience", "Page through the members, personal values masked", "audiences"), func(ctx context.Context, in *struct {
		SegmentPath
		Start int64 `query:"start" doc:"profile id to start after"`
		Limit int   `query:"limit" default:"20" minimum:"1" maximum:"1000"`
	},
	) (*reply[[]warehouse.Profile], error) {
		s, err := a.Catalog.Audience(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		people, err := a.Warehouse.Members(ctx, s.ID, in.Start, in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if err := a.mask(ctx, people); err != nil {
			return nil, a.fail(ctx, err)
		}
		next := ""
		if len(people) == in.Limit {
			next = strconv.FormatInt(people[len(people)-1].ID, 10)
		}
		return page(ctx, people, next)
	})
	huma.Register(h, route("POST /v2/segment/{id}/run", Operator, "run-audience", "Send an audience to all its destinations now", "audiences"), func(ctx context.Context, in *SegmentPath) (*reply[[]activation.Run], error) {
		s, err := a.Catalog.Audience(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		runs, err := a.Delivery.RunAudience(ctx, s.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, runs)
	})
}
