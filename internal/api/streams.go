package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/expression"
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
	a.oneStream(h)
	huma.Register(h, route("PUT /v2/stream/{name}", Operator, "declare-stream", "Say how a stream's messages are read", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Body struct {
			Name           string   `json:"name,omitempty"`
			ReferenceKey   string   `json:"reference_key,omitempty"`
			MessageID      []string `json:"message_id_fields,omitempty"`
			TimestampField string   `json:"timestamp_field,omitempty"`
			DateOrder      string   `json:"date_order,omitempty" enum:"mdy,dmy,ymd,"`
			PhoneCountry   string   `json:"phone_country,omitempty" doc:"ISO 3166 code of the country whose numbers phone() reads without a country code, such as US"`
			RetentionDays  int      `json:"raw_retention_days,omitempty" minimum:"0" doc:"how long raw messages are kept; 0 = for ever"`
		}
	},
	) (*reply[declared], error) {
		b := in.Body
		return a.declare(ctx, warehouse.Schema{Streams: []warehouse.Stream{{
			Name: in.Name, ReferenceKey: b.ReferenceKey, MessageID: b.MessageID, TimestampField: b.TimestampField, DateOrder: b.DateOrder,
			PhoneCountry: b.PhoneCountry, RetentionDays: b.RetentionDays,
		}}})
	})
	huma.Register(h, route("GET /v2/stream/{name}/events", Admin, "stream-messages", "Recent raw messages of a stream, as received", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Limit int `query:"limit" default:"10" minimum:"1" maximum:"100"`
	},
	) (*reply[[]warehouse.Message], error) {
		out, err := a.messages(ctx, in.Name, in.Limit)
		if err != nil {
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
	huma.Register(h, route("DELETE /v2/field/{name}", Operator, "delete-field", "Delete a field that nothing uses", "data"), func(ctx context.Context, in *struct {
		Name string `path:"name" doc:"name of the field"`
	},
	) (*reply[any], error) {
		if err := a.Catalog.DeleteField(ctx, in.Name, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
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
	a.mappings(h)
	a.loads(h)
}

// streamField is one column of a stream, and what is made of it.
type streamField struct {
	Name   string   `json:"name" doc:"column as it was received"`
	Fields []string `json:"fields" doc:"profile fields whose mapping names the column"`
}

// streamView is one stream.
type streamView struct {
	Name   string              `json:"stream"`
	Fields []streamField       `json:"fields"`
	Recent []warehouse.Message `json:"recent_events" doc:"the newest messages, for administrators who ask for them; else empty"`
	StreamStats
	ReferenceKey   string   `json:"reference_key,omitempty"`
	MessageID      []string `json:"message_id_fields,omitempty"`
	TimestampField string   `json:"timestamp_field,omitempty"`
	DateOrder      string   `json:"date_order,omitempty"`
	PhoneCountry   string   `json:"phone_country,omitempty"`
	RetentionDays  int      `json:"raw_retention_days,omitempty"`
}

// StreamStats is how much a stream has received.
type StreamStats struct {
	Messages    int64     `json:"ct" doc:"messages"`
	Columns     int       `json:"column_count"`
	Unmapped    []string  `json:"unmapped_columns" doc:"columns that no mapping names"`
	LastMessage time.Time `json:"last_msg_ts,omitzero" doc:"time of the newest message"`
	LastReceipt time.Time `json:"last_received,omitzero" doc:"when the newest message came"`
}

// oneStream registers what can be asked of one stream.
func (a *API) oneStream(h huma.API) {
	huma.Register(h, route("GET /v2/stream/names", Viewer, "stream-names", "Names of the streams", "data"), func(ctx context.Context, _ *struct{}) (*reply[[]string], error) {
		all, err := a.Warehouse.Streams(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		names := make([]string, len(all))
		for i, s := range all {
			names[i] = s.Name
		}
		return ok(ctx, names)
	})
	huma.Register(h, route("GET /v2/stream/{name}", Viewer, "show-stream", "One stream with counts and columns", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Recent bool `query:"recent_events" doc:"with the newest messages as received; for administrators"`
	},
	) (*reply[streamView], error) {
		s, fields, err := a.stream(ctx, in.Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := streamView{
			Name: s.Name, Fields: fields, Recent: []warehouse.Message{}, StreamStats: statsOf(s),
			ReferenceKey: s.ReferenceKey, MessageID: s.MessageID, TimestampField: s.TimestampField, DateOrder: s.DateOrder,
			PhoneCountry: s.PhoneCountry, RetentionDays: s.RetentionDays,
		}
		if in.Recent && !CallerOf(ctx).Role.Includes(Admin) {
			return nil, newFailure(http.StatusForbidden, mayNot)
		}
		if in.Recent {
			if out.Recent, err = a.messages(ctx, in.Name, 10); err != nil {
				return nil, a.fail(ctx, err)
			}
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("GET /v2/stream/{name}/fields", Viewer, "stream-fields", "Columns of a stream, and the profile fields made of each", "data"), func(ctx context.Context, in *StreamPath) (*reply[[]streamField], error) {
		_, fields, err := a.stream(ctx, in.Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, fields)
	})
	huma.Register(h, route("GET /v2/stream/{name}/stats", Viewer, "stream-stats", "How much a stream has received", "data"), func(ctx context.Context, in *StreamPath) (*reply[StreamStats], error) {
		s, _, err := a.stream(ctx, in.Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, statsOf(s))
	})
}

func statsOf(s warehouse.StreamStat) StreamStats {
	return StreamStats{Messages: s.Messages, Columns: len(s.Columns), Unmapped: append([]string{}, s.Unmapped...), LastMessage: s.LastMessage, LastReceipt: s.LastReceipt}
}

// stream returns one stream and what is made of its columns.
func (a *API) stream(ctx context.Context, name string) (warehouse.StreamStat, []streamField, error) {
	all, err := a.Warehouse.Streams(ctx)
	if err != nil {
		return warehouse.StreamStat{}, nil, err
	}
	i := slices.IndexFunc(all, func(s warehouse.StreamStat) bool { return s.Name == name })
	if i < 0 {
		return warehouse.StreamStat{}, nil, warehouse.NoStream()
	}
	schema, err := a.Warehouse.Schema(ctx)
	if err != nil {
		return warehouse.StreamStat{}, nil, err
	}
	made := map[string][]string{}
	for _, m := range schema.Mappings {
		e, err := expression.Parse(m.Expression)
		if m.Stream != name || err != nil {
			continue
		}
		for _, column := range expression.Columns(e) {
			made[column] = append(made[column], m.Field)
		}
	}
	fields := make([]streamField, len(all[i].Columns))
	for n, column := range all[i].Columns {
		fields[n] = streamField{Name: column, Fields: append([]string{}, made[column]...)}
	}
	return all[i], fields, nil
}

// messages are the newest raw messages of a stream. Who read them is noted.
func (a *API) messages(ctx context.Context, stream string, limit int) ([]warehouse.Message, error) {
	out, err := a.Warehouse.Messages(ctx, stream, limit)
	if err != nil {
		return nil, err
	}
	return out, a.note(ctx, "read messages", "stream", stream)
}

func (a *API) declare(ctx context.Context, s warehouse.Schema) (*reply[declared], error) {
	rebuild, err := a.Catalog.Declare(ctx, s, CallerOf(ctx).Name)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, declared{rebuild})
}
