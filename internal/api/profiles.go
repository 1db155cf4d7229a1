package api

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

func (a *API) profiles(h huma.API) {
	huma.Register(h, route("POST /v2/profile/lookup", Viewer, "lookup-profile", "One person by an identifier; personal values masked", "profiles"), func(ctx context.Context, in *struct {
		Body struct {
			Field string `json:"field" minLength:"1"`
			Value string `json:"value" minLength:"1"`
		}
	},
	) (*reply[warehouse.Profile], error) {
		p, err := a.lookUp(ctx, in.Body.Field, in.Body.Value, true)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, p)
	})
	type number struct {
		Profiles int64 `json:"profiles"`
	}
	huma.Register(h, route("GET /v2/profile/count", Viewer, "count-profiles", "How many people there are", "profiles"), func(ctx context.Context, _ *struct{}) (*reply[number], error) {
		n, err := a.Warehouse.CountProfiles(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, number{n})
	})
}

// mask replaces the personal values of people by a hint, in place.
func (a *API) mask(ctx context.Context, people []warehouse.Profile) error {
	s, err := a.Warehouse.Schema(ctx)
	if err != nil {
		return err
	}
	MaskProfiles(s, people)
	return nil
}

// MaskProfiles replaces the values of personal fields by a hint, in place.
func MaskProfiles(s warehouse.Schema, people []warehouse.Profile) {
	for _, f := range s.Fields {
		if !f.PII {
			continue
		}
		for _, p := range people {
			if v, ok := p.Values[f.Name]; ok {
				p.Values[f.Name] = maskValue(v)
			}
		}
	}
}

// maskValue masks a value of any field type; of a set, each member.
func maskValue(v any) any {
	switch v := v.(type) {
	case []string:
		out := make([]string, len(v))
		for i, s := range v {
			out[i] = activation.Mask(s)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = maskValue(s)
		}
		return out
	}
	return activation.Mask(fmt.Sprint(v))
}
