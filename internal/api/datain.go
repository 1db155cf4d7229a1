package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// RejectedRows are what uploads with droperrors did not take.
type RejectedRows interface {
	Rejected(ctx context.Context, load string) (io.ReadCloser, error)
}

// mappings registers how messages become fields, and what changed in them.
func (a *API) mappings(h huma.API) {
	huma.Register(h, route("POST /v2/mapping/{name}/preview", Operator, "preview-mappings", "What mappings would make of a stream's newest messages, and whether they need a rebuild; nothing is stored", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Body struct {
			Mappings map[string]string `json:"mappings" doc:"field to expression; those that are left out stay as they are"`
			Fields   []warehouse.Field `json:"fields,omitempty" doc:"fields that are declared with it"`
			Limit    int               `json:"limit,omitempty" minimum:"0" maximum:"100" doc:"messages that come back; 0 = 20"`
		}
	},
	) (*reply[warehouse.MappingPreview], error) {
		out, err := a.previewMappings(ctx, in.Name, in.Body.Fields, in.Body.Mappings, in.Body.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("DELETE /v2/mapping/{name}/{field}", Operator, "delete-mapping", "Take a mapping away; the field keeps what it has until a rebuild", "data"), func(ctx context.Context, in *struct {
		StreamPath
		Field string `path:"field" doc:"name of the field"`
	},
	) (*reply[declared], error) {
		rebuild, err := a.Catalog.DeleteMapping(ctx, in.Name, in.Field, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, declared{rebuild})
	})
	huma.Register(h, route("GET /v2/stream/{name}/drift", Viewer, "stream-drift", "What a stream brings that nobody declared: new and missing columns, values that no longer parse", "data"), func(ctx context.Context, in *StreamPath) (*reply[[]warehouse.Drifting], error) {
		out, err := a.Mapping.StreamDrift(ctx, in.Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
	huma.Register(h, route("POST /v2/stream/{name}/drift/accept", Operator, "accept-drift", "Take what a stream brings now for how it should be", "data"), func(ctx context.Context, in *StreamPath) (*reply[[]warehouse.Drifting], error) {
		err := a.Mapping.SettleDrift(ctx, in.Name)
		if err == nil {
			err = a.note(ctx, "accept drift", "stream", in.Name)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, []warehouse.Drifting{})
	})
}

// previewMappings shows personal values to administrators only; to others they
// are masked, raw text and results alike.
func (a *API) previewMappings(ctx context.Context, stream string, fields []warehouse.Field, mappings map[string]string, limit int) (warehouse.MappingPreview, error) {
	s := warehouse.Schema{Fields: fields}
	for field, expr := range mappings {
		s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: stream, Field: field, Expression: expr})
	}
	if limit <= 0 {
		limit = 20
	}
	out, err := a.Mapping.PreviewMappings(ctx, s, stream, previewLooksAt, limit)
	if err != nil {
		return out, err
	}
	if CallerOf(ctx).Role.Includes(Admin) {
		return out, a.note(ctx, "preview mappings", "stream", stream)
	}
	MaskPreview(out)
	return out, nil
}

// previewLooksAt is how many of the newest messages a preview counts over.
const previewLooksAt = 1000

// MaskPreview replaces everything that stands in messages by a hint, in place: who
// may not see messages may not see what is made of them.
func MaskPreview(p warehouse.MappingPreview) {
	for _, row := range p.Rows {
		for name, v := range row.Values {
			row.Values[name] = activation.Mask(v)
		}
		for name, v := range row.Results {
			row.Results[name] = maskValue(v)
		}
	}
}

// identifier names a person.
type identifier struct {
	Field string `json:"field" minLength:"1" doc:"an identifier field, such as email or customer_id"`
	Value string `json:"value" minLength:"1"`
}

// identities registers how people are told apart.
func (a *API) identities(h huma.API) {
	type settings struct {
		MaxIdentifiers int      `json:"max_identifiers" doc:"identifier values one profile may have; default 50"`
		StopList       []string `json:"stop_list" doc:"values that identify nobody, in lower case, beside the known placeholders"`
		Placeholders   []string `json:"placeholders,omitempty" readOnly:"true" doc:"the known placeholders"`
		Rebuild        []string `json:"rebuild,omitempty" readOnly:"true" doc:"what needs a rebuild to reach messages received before"`
	}
	show := func(i warehouse.Identity, rebuild []string) settings {
		out := settings{MaxIdentifiers: i.MaxIdentifiers, StopList: append([]string{}, i.StopList...), Placeholders: warehouse.Placeholders, Rebuild: rebuild}
		if out.MaxIdentifiers == 0 {
			out.MaxIdentifiers = warehouse.DefaultMaxIdentifiers
		}
		return out
	}
	huma.Register(h, route("GET /v2/identity", Viewer, "show-identity", "How people are told apart", "data"), func(ctx context.Context, _ *struct{}) (*reply[settings], error) {
		s, err := a.Warehouse.Schema(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, show(s.Identity, nil))
	})
	huma.Register(h, route("PUT /v2/identity", Operator, "set-identity", "Say how people are told apart; takes effect at the next rebuild", "data"), func(ctx context.Context, in *struct {
		Body struct {
			MaxIdentifiers int      `json:"max_identifiers,omitempty" doc:"0 = 50"`
			StopList       []string `json:"stop_list,omitempty"`
		}
	},
	) (*reply[settings], error) {
		i := warehouse.Identity{MaxIdentifiers: in.Body.MaxIdentifiers, StopList: in.Body.StopList}
		rebuild, err := a.Catalog.SetIdentity(ctx, i, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, show(i, rebuild))
	})
	huma.Register(h, route("GET /v2/merge", Viewer, "list-merges", "Profiles that were found to be one, or parted, newest first; never a value", "profiles"), func(ctx context.Context, in *struct {
		Profile int64  `query:"profile_id" doc:"of one profile with all that went into it; left out = of all"`
		Until   string `query:"until" doc:"older than this time, RFC 3339"`
		Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	},
	) (*reply[[]warehouse.MergeEvent], error) {
		var before time.Time
		var err error
		if in.Until != "" {
			before, err = a.moment("until", in.Until)
		}
		var out []warehouse.MergeEvent
		if err == nil {
			out, err = a.Warehouse.Merges(ctx, in.Profile, before, in.Limit)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
}

// rejected registers the download of what an upload did not take. It is no huma
// operation, because its body is a stream.
func (a *API) rejected(h huma.API, t traced) {
	const pattern = "GET /v2/load/{id}/rejected"
	t.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		caller, known := a.Authenticate(r)
		switch {
		case !known:
			writeFailure(w, r, newFailure(http.StatusUnauthorized, noToken))
			return
		case !caller.Role.Includes(Admin):
			writeFailure(w, r, newFailure(http.StatusForbidden, mayNot))
			return
		}
		ctx := r.Context()
		rows, err := a.RejectedRows.Rejected(ctx, r.PathValue("id"))
		if err == nil {
			defer func() { _ = rows.Close() }() // it is only read
			err = a.Audit.AddAudit(ctx, activation.AuditEntry{Actor: caller.Name, Verb: "read rejected rows", SubjectType: "load", SubjectID: r.PathValue("id")})
		}
		if err != nil {
			f := newFailure(http.StatusInternalServerError, "internal error")
			errors.As(a.fail(ctx, err), &f)
			writeFailure(w, r, f)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "rejected-"+r.PathValue("id")+".ndjson"))
		if _, err := io.Copy(w, rows); err != nil {
			a.Log.WarnContext(ctx, "sending rejected rows", slog.Any("error", err))
		}
	})
	op := route(pattern, Admin, "rejected-rows", "Rows that an upload with droperrors did not take, as received, one JSON object a line; audited", "data")
	op.Parameters = []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}, Description: "id of the upload"}}
	op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	refusal := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[failure](), true, "Failure")
	for _, status := range []string{"401", "403", "404"} {
		op.Responses[status] = &huma.Response{Description: status, Content: map[string]*huma.MediaType{"application/json": {Schema: refusal}}}
	}
	h.OpenAPI().AddOperation(&op)
}
