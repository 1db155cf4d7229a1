package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/warehouse"
)

// StreamPath is the stream in a path. Exported, because only exported embedded
// fields are read from a request.
type StreamPath struct {
	Name string `path:"name" doc:"name of the stream"`
}

type declared struct {
	Rebuild []string `json:"rebuild" doc:"fields that need a rebuild to reach messages received before"`
}

func (a *API) streams(h huma.API) {
	huma.Register(h, route("GET /v2/stream", Viewer, "list-streams", "Streams with counts, columns and what is not mapped", "data"), func(ctx context.Context, _ *struct{}) (*reply[[]warehouse.StreamStat], error) {
		all, err := a.Warehouse.Streams(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("PUT /v2/stream/{name}", Operator, "declare-stream", "Say how a stream's messages are read", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Body struct {
			Name           string   `json:"name,omitempty"`
			ReferenceKey   string   `json:"reference_key,omitempty"`
			MessageID      []string `json:"message_id_fields,omitempty"`
			TimestampField string   `json:"timestamp_field,omitempty"`
			DateOrder      string   `json:"date_order,omitempty" enum:"mdy,dmy,ymd,"`
		}
	},
	) (*reply[declared], error) {
		b := in.Body
		return a.declare(ctx, warehouse.Schema{Streams: []warehouse.Stream{{
			Name: in.Name, ReferenceKey: b.ReferenceKey, MessageID: b.MessageID, TimestampField: b.TimestampField, DateOrder: b.DateOrder,
		}}})
	})
	huma.Register(h, route("GET /v2/stream/{name}/events", Admin, "stream-messages", "Recent raw messages of a stream, as received", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Limit int `query:"limit" default:"10" minimum:"1" maximum:"100"`
	},
	) (*reply[[]warehouse.Message], error) {
		out, err := a.Warehouse.Messages(ctx, in.Name, in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if err := a.note(ctx, "read messages", "stream", in.Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
	huma.Register(h, route("GET /v2/field", Viewer, "list-fields", "List fields", "data"), func(ctx context.Context, _ *struct{}) (*reply[[]warehouse.Field], error) {
		s, err := a.Warehouse.Schema(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, s.Fields)
	})
	huma.Register(h, route("POST /v2/field", Operator, "declare-field", "Declare a field, or change it", "data"), func(ctx context.Context, in *struct{ Body warehouse.Field }) (*reply[declared], error) {
		return a.declare(ctx, warehouse.Schema{Fields: []warehouse.Field{in.Body}})
	})
	huma.Register(h, route("GET /v2/mapping/{name}", Viewer, "list-mappings", "Mappings of a stream", "data"), func(ctx context.Context, in *StreamPath) (*reply[[]warehouse.Mapping], error) {
		s, err := a.Warehouse.Schema(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := []warehouse.Mapping{}
		for _, m := range s.Mappings {
			if m.Stream == in.Name {
				out = append(out, m)
			}
		}
		return list(ctx, out)
	})
	huma.Register(h, route("PUT /v2/mapping/{name}", Operator, "set-mappings", "Set mappings of a stream: field to expression", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Body map[string]string
	},
	) (*reply[declared], error) {
		var s warehouse.Schema
		for field, expr := range in.Body {
			s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: in.Name, Field: field, Expression: expr})
		}
		return a.declare(ctx, s)
	})
	huma.Register(h, route("POST /v2/rebuild", Operator, "rebuild", "Replay all messages under the present fields and mappings", "data"), func(ctx context.Context, _ *struct{}) (*reply[map[string]bool], error) {
		if err := a.Warehouse.Rebuild(ctx, nil); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, map[string]bool{"rebuilt": true})
	})
	a.loads(h)
}

func (a *API) declare(ctx context.Context, s warehouse.Schema) (*reply[declared], error) {
	rebuild, err := a.Catalog.Declare(ctx, s)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, declared{rebuild})
}
