package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/publishing"
)

// sends are when edits may go out.
var sends = []activation.Send{activation.SendHold, activation.SendNightly, activation.SendNow}

// sendWhen is a Send in a query, nightly where nothing is said.
func sendWhen(s string) (activation.Send, error) {
	if s == "" {
		return activation.SendNightly, nil
	}
	one, err := words("send", s, sends)
	if err != nil || len(one) != 1 {
		return "", orInvalid(err, "send", "send: must be hold, nightly or now")
	}
	return one[0], nil
}

// kindOf reads the kind of an object.
func kindOf(s string) (activation.ObjectKind, error) {
	one, err := words("kind", s, activation.ObjectKinds)
	if err != nil || len(one) != 1 {
		return "", orInvalid(err, "kind", "kind: must be one of campaign, group, creative, keyword, other")
	}
	return one[0], nil
}

// bulkKinds are the kinds of the bulk routes, by their last word.
var bulkKinds = map[string]activation.ObjectKind{
	"campaigns": activation.KindCampaign, "groups": activation.KindGroup, "creatives": activation.KindCreative, "keywords": activation.KindKeyword, "others": activation.KindOther,
}

// ObjectPath is one object in a path.
type ObjectPath struct {
	PublisherPath
	Kind   string `path:"kind" doc:"campaign, group, creative, keyword or other"`
	Object string `path:"object" doc:"the publisher's id of the object, or new-<entry> while it waits to be created"`
}

func (p ObjectPath) ref() (activation.ObjectRef, error) {
	kind, err := kindOf(p.Kind)
	return activation.ObjectRef{Kind: kind, ID: p.Object}, err
}

// BulkEdit is one edit of a bulk request, whose route names the kind.
type BulkEdit struct {
	Action string               `json:"action,omitempty" enum:"set,create,delete" doc:"set where there is an id, else create"`
	ID     string               `json:"id,omitempty"`
	Type   string               `json:"type,omitempty"`
	Parent activation.ObjectRef `json:"parent,omitzero"`
	Fields map[string]string    `json:"fields,omitempty"`
	Clear  []string             `json:"clear,omitempty"`
	Client string               `json:"client_id,omitempty" doc:"an id of the caller's own, for the caller's own books"`
}

// publisherObjects are the routes of the structure and of edits.
func (a *API) publisherObjects(h huma.API) {
	huma.Register(h, route("GET /v2/publisher/{id}/object", Viewer, "list-objects", "Campaigns, groups, creatives, keywords and others of an account: as the publisher has them, and with what waits", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		Kind       string `query:"kind" default:"campaign" doc:"campaign, group, creative, keyword or other"`
		Type       string `query:"type" doc:"the publisher's word, such as location"`
		ParentKind string `query:"parent_kind"`
		Parent     string `query:"parent" doc:"id of what it lies in"`
		Status     string `query:"status" enum:",enabled,paused" doc:"of the local value"`
		Text       string `query:"text" doc:"within the name or the id"`
		Waiting    bool   `query:"waiting" doc:"only those with waiting edits"`
		Removed    bool   `query:"removed" doc:"those too that the publisher does not have any more"`
		Start      string `query:"start" doc:"_next of the page before"`
		Limit      int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	},
	) (*reply[[]activation.PublisherObject], error) {
		kind, err := kindOf(in.Kind)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		q := activation.ObjectQuery{
			Publisher: in.id(), Kind: kind, Type: in.Type, Status: in.Status, Text: in.Text, Waiting: in.Waiting, Removed: in.Removed, After: in.Start, Limit: in.Limit,
		}
		if in.Parent != "" {
			parent, err := kindOf(in.ParentKind)
			if err != nil {
				return nil, a.fail(ctx, invalid("parent_kind", "parent_kind: must say of which kind the parent is"))
			}
			q.Parent = activation.ObjectRef{Kind: parent, ID: in.Parent}
		}
		objects, next, err := a.Publishing.Objects(ctx, q)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return page(ctx, objects, next)
	})
	huma.Register(h, route("GET /v2/publisher/{id}/object/{kind}/{object}", Viewer, "show-object", "One object with what waits for it and its history", publishersTag), func(ctx context.Context, in *ObjectPath) (*reply[publishing.ObjectView], error) {
		ref, err := in.ref()
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return answer(a.Publishing.Object(ctx, in.id(), ref))(ctx, a)
	})
	huma.Register(h, route("PATCH /v2/publisher/{id}/object/{kind}/{object}", Operator, "edit-object", "Change fields of an object: writes an entry", publishersTag), func(ctx context.Context, in *struct {
		ObjectPath
		Body struct {
			Fields map[string]string `json:"fields,omitempty" doc:"new values by field"`
			Clear  []string          `json:"clear,omitempty" doc:"fields that are to have no value"`
			Send   string            `json:"send,omitempty" doc:"hold (kept until somebody posts it), nightly or now; nightly unless told"`
		}
	},
	) (*reply[publishing.EditResult], error) {
		ref, err := in.ref()
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return a.edit(ctx, in.id(), in.Body.Send, publishing.EditSpec{Action: publishing.ActionSet, Kind: ref.Kind, ID: ref.ID, Fields: in.Body.Fields, Clear: in.Body.Clear})
	})
	huma.Register(h, route("DELETE /v2/publisher/{id}/object/{kind}/{object}", Operator, "delete-object", "Delete an object at the publisher: writes an entry", publishersTag), func(ctx context.Context, in *struct {
		ObjectPath
		Send string `query:"send" doc:"hold (kept until somebody posts it), nightly or now; nightly unless told"`
	},
	) (*reply[publishing.EditResult], error) {
		ref, err := in.ref()
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return a.edit(ctx, in.id(), in.Send, publishing.EditSpec{Action: publishing.ActionDelete, Kind: ref.Kind, ID: ref.ID})
	})
	huma.Register(h, route("POST /v2/publisher/{id}/object/{kind}", Operator, "new-object", "Create an object: writes an entry, whose new-<entry> names it until the publisher has created it", publishersTag), func(ctx context.Context, in *struct {
		PublisherPath
		Kind string `path:"kind" doc:"campaign, group, creative, keyword or other"`
		Body struct {
			Type   string               `json:"type,omitempty" doc:"needed where the publisher has several types of the kind"`
			Parent activation.ObjectRef `json:"parent,omitzero" doc:"what it lies in"`
			Fields map[string]string    `json:"fields"`
			Send   string               `json:"send,omitempty" doc:"hold (kept until somebody posts it), nightly or now; nightly unless told"`
		}
	},
	) (*reply[publishing.EditResult], error) {
		kind, err := kindOf(in.Kind)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return a.edit(ctx, in.id(), in.Body.Send, publishing.EditSpec{Action: publishing.ActionCreate, Kind: kind, Type: in.Body.Type, Parent: in.Body.Parent, Fields: in.Body.Fields})
	})
	bulk := route("POST /v2/publisher/{id}/bulk/{kinds}", Operator, "bulk-edit", "Up to 10,000 edits of one kind, all of them or, where one is wrong, none: the answer says what is wrong with each", publishersTag)
	bulk.MaxBodyBytes = 32 << 20
	huma.Register(h, bulk, func(ctx context.Context, in *struct {
		PublisherPath
		Kinds string `path:"kinds" enum:"campaigns,groups,creatives,keywords,others"`
		Body  struct {
			Edits []BulkEdit `json:"edits" maxItems:"10000" minItems:"1"`
			Send  string     `json:"send,omitempty" doc:"hold (kept until somebody posts it), nightly or now; nightly unless told"`
		}
	},
	) (*reply[publishing.EditResult], error) {
		edits := make([]publishing.EditSpec, len(in.Body.Edits))
		for i, e := range in.Body.Edits {
			if e.Action == "" {
				e.Action = publishing.ActionSet
				if e.ID == "" {
					e.Action = publishing.ActionCreate
				}
			}
			edits[i] = publishing.EditSpec{Action: e.Action, Kind: bulkKinds[in.Kinds], ID: e.ID, Type: e.Type, Parent: e.Parent, Fields: e.Fields, Clear: e.Clear, Client: e.Client}
		}
		return a.edit(ctx, in.id(), in.Body.Send, edits...)
	})
}

// edit writes entries, or says what is wrong.
func (a *API) edit(ctx context.Context, id activation.PublisherID, send string, edits ...publishing.EditSpec) (*reply[publishing.EditResult], error) {
	when, err := sendWhen(send)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	r, err := a.Publishing.Edit(ctx, id, edits, when, "api", CallerOf(ctx).Name)
	return answer(r, orProblems(r, err, len(edits) > 1))(ctx, a)
}

// orProblems is err, or that the edits are wrong: every problem with its field, and of
// several edits with the number of the edit. Nothing of them was written.
func orProblems(r publishing.EditResult, err error, several bool) error {
	if err != nil || r.Errors == 0 {
		return err
	}
	var p activation.Problems
	for _, one := range r.Problems {
		field := one.Field
		if several {
			field = fmt.Sprintf("edits[%d].%s", one.Index, field)
		}
		p.Add(one.Code, field, "%s", one.Message)
	}
	if more := r.Errors - int64(len(r.Problems)); more > 0 {
		p.Add("BADREQ-001", "edits", "%d more are wrong", more)
	}
	return p.Err()
}

// publisherFiles registers what is taken and given as a file. They are no huma
// operations, because a file is a stream.
func (a *API) publisherFiles(h huma.API, t traced) {
	text, yes := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeBoolean}
	const csvType = "text/csv"
	account := &huma.Param{Name: "id", In: "path", Required: true, Schema: text, Description: "id of the publisher account"}
	refusal := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[failure](), true, "Failure")
	add := func(op huma.Operation, ok *huma.Response, failures ...int) {
		op.Responses = map[string]*huma.Response{"200": ok}
		for _, status := range append(failures, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound) {
			op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: refusal}}}
		}
		h.OpenAPI().AddOperation(&op)
	}
	file := &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{csvType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}

	const upload = "POST /v2/publisher/{id}/upload"
	t.HandleFunc(upload, a.streamed(Operator, func(w http.ResponseWriter, r *http.Request, caller Caller) error {
		q := r.URL.Query()
		preview, err := flag(q, "preview")
		if err != nil {
			return err
		}
		skip, err := flag(q, "skip_errors")
		if err != nil {
			return err
		}
		send, err := sendWhen(q.Get("send"))
		if err != nil {
			return err
		}
		id := activation.PublisherID(r.PathValue("id"))
		var made publishing.UploadPreview
		if preview {
			made, err = a.Publishing.Preview(r.Context(), id, q.Get("filename"), r.Body)
		} else {
			made, err = a.Publishing.Upload(r.Context(), id, q.Get("filename"), r.Body, send, skip, caller.Name)
		}
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, envelope[publishing.UploadPreview]{Data: made, Status: http.StatusOK, RequestID: requestID(r.Context()), Message: "success"})
		return nil
	}))
	op := route(upload, Operator, "upload-edits", "Edits as a CSV or TSV: with preview=true what it would do, row by row, else a parent entry with one child per row that changes something. A file with an error writes nothing unless skip_errors is set", publishersTag)
	op.MaxBodyBytes = 0
	op.Parameters = []*huma.Param{
		account,
		{Name: "preview", In: "query", Schema: yes, Description: "say what it would do, and do nothing"},
		{Name: "skip_errors", In: "query", Schema: yes, Description: "leave out rows that have an error"},
		{Name: "send", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"hold", "nightly", "now"}}, Description: "when it goes out; nightly unless told"},
		{Name: "filename", In: "query", Schema: text, Description: "the sender's own name of the file"},
	}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{csvType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	made := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[envelope[publishing.UploadPreview]](), true, "UploadPreview")
	add(op, &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: made}}}, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge)

	const template = "GET /v2/publisher/{id}/template"
	t.HandleFunc(template, a.streamed(Viewer, func(w http.ResponseWriter, r *http.Request, _ Caller) error {
		return download(w, "structure.csv", func(w io.Writer) error {
			return a.Publishing.Template(r.Context(), activation.PublisherID(r.PathValue("id")), w)
		})
	}))
	op = route(template, Viewer, "upload-template", "The structure as a file for uploads; unchanged, it changes nothing", publishersTag)
	op.Parameters = []*huma.Param{account}
	add(op, file)

	const failed = "GET /v2/entry/{id}/errors"
	t.HandleFunc(failed, a.streamed(Viewer, func(w http.ResponseWriter, r *http.Request, _ Caller) error {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return activation.ErrNotFound
		}
		return download(w, "errors-"+strconv.FormatInt(id, 10)+".csv", func(w io.Writer) error { return a.Publishing.ErrorFile(r.Context(), activation.EntryID(id), w) })
	}))
	op = route(failed, Viewer, "entry-errors", "What failed of an upload, as a file: its columns, and result, code, message and field", publishersTag)
	op.Parameters = []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64"}, Description: "id of the upload's entry"}}
	add(op, file)
}

// streamed answers a request whose body or answer is a stream, for whom it is
// allowed to.
func (a *API) streamed(need activation.Role, do func(w http.ResponseWriter, r *http.Request, caller Caller) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, known := a.Authenticate(r)
		switch {
		case !known:
			writeFailure(w, r, newFailure(http.StatusUnauthorized, noToken))
			return
		case !caller.Role.Includes(need):
			writeFailure(w, r, newFailure(http.StatusForbidden, mayNot))
			return
		}
		err := do(w, r, caller)
		var cut cutError
		if errors.As(err, &cut) {
			a.Log.WarnContext(r.Context(), "sending a file", slog.Any("error", cut.err))
			return
		}
		if err != nil {
			f := newFailure(http.StatusInternalServerError, "internal error")
			errors.As(a.fail(r.Context(), err), &f)
			writeFailure(w, r, f)
		}
	}
}

// cutError is an error after the answer has begun: nothing more can be said.
type cutError struct{ err error }

func (e cutError) Error() string { return e.err.Error() }
func (e cutError) Unwrap() error { return e.err }

// download sends a CSV that write makes. An error before its first byte can still be
// answered.
func download(w http.ResponseWriter, name string, write func(io.Writer) error) error {
	begun := &begun{to: w, name: name}
	err := write(begun)
	switch {
	case err != nil && begun.any:
		return cutError{err}
	case err == nil && !begun.any:
		_, err = begun.Write(nil)
	}
	return err
}

// begun sets the headers of a download with its first byte.
type begun struct {
	to   http.ResponseWriter
	name string
	any  bool
}

func (b *begun) Write(p []byte) (int, error) {
	if !b.any {
		b.any = true
		b.to.Header().Set("Content-Type", "text/csv; charset=utf-8")
		b.to.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote(b.name))
	}
	return b.to.Write(p)
}
