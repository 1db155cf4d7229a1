package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/ingest"
)

// collect registers the routes that take data in. They are no huma operations,
// because their body is a stream that must never be held in memory; the OpenAPI
// document has them all the same.
func (a *API) collect(h huma.API, t traced) {
	for _, c := range []struct {
		pattern, id, summary string
		types                []string
		take                 func(context.Context, ingest.Request) (ingest.Summary, error)
	}{
		{
			"POST /collect/bulk/{stream}", "collect-bulk", "Load CSV, gzip CSV, a JSON array or NDJSON into a stream, all of it or nothing",
			[]string{"text/csv", "application/gzip", "application/json", "application/x-ndjson"},
			a.Collector.Bulk,
		},
		{
			"POST /collect/json/{stream}", "collect-json", "Load a JSON object, array or NDJSON under 10 MB into a stream",
			[]string{"application/json", "application/x-ndjson"},
			a.Collector.JSON,
		},
	} {
		t.HandleFunc(c.pattern, a.taking(c.take))
		op := route(c.pattern, Operator, c.id, c.summary, "data")
		op.MaxBodyBytes = 0
		op.Parameters = collectParameters()
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
		for _, mime := range c.types {
			op.RequestBody.Content[mime] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
		}
		answer := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[envelope[ingest.Summary]](), true, "Summary")
		op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: answer}}}}
		refusal := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[failure](), true, "Failure")
		for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusInsufficientStorage} {
			op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: refusal}}}
		}
		op.Responses[strconv.Itoa(http.StatusTooManyRequests)].Headers = map[string]*huma.Param{
			"Retry-After": {Description: "seconds until it should be sent again; nothing of it was kept", Schema: &huma.Schema{Type: huma.TypeInteger}},
		}
		h.OpenAPI().AddOperation(&op)
	}
}

// collectParameters are what the query of a collection route takes.
func collectParameters() []*huma.Param {
	text, flag := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeBoolean}
	return []*huma.Param{
		{Name: "stream", In: "path", Required: true, Schema: text, Description: "name of the stream"},
		{Name: "dryrun", In: "query", Schema: flag, Description: "check everything and keep nothing"},
		{Name: "droperrors", In: "query", Schema: flag, Description: "skip bad rows and count them"},
		{Name: "timestamp_field", In: "query", Schema: text, Description: "column with the message's time"},
		{Name: "date_order", In: "query", Schema: text, Description: "order of dates such as 5/14/1965: mdy, dmy or ymd"},
		{Name: "headers", In: "query", Schema: text, Description: "column names, comma-separated, for a CSV without a header line"},
		{Name: "delimiter", In: "query", Schema: text, Description: "column separator of a CSV; t = tab"},
		{Name: "append", In: "query", Schema: text, Description: "JSON object added to every row"},
		{Name: "filename", In: "query", Schema: text, Description: "the sender's own name of the upload"},
		{Name: "access_token", In: "query", Schema: text, Description: "API token, where no header can be sent; key is the same"},
	}
}

// taking answers one upload.
func (a *API) taking(take func(context.Context, ingest.Request) (ingest.Summary, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		r = withQueryToken(r)
		if f := a.mayCollect(r); f != nil {
			writeFailure(w, r, f)
			return
		}
		request, err := collectRequest(r, q)
		var sum ingest.Summary
		if err == nil {
			sum, err = take(r.Context(), request)
		}
		if err != nil {
			f := newFailure(http.StatusInternalServerError, "internal error")
			errors.As(a.fail(r.Context(), err), &f)
			writeFailure(w, r, f)
			return
		}
		writeJSON(w, http.StatusOK, envelope[ingest.Summary]{Data: sum, Status: http.StatusOK, RequestID: requestID(r.Context()), Message: "success"})
	}
}

// mayCollect is nil when the caller may send data.
func (a *API) mayCollect(r *http.Request) *failure {
	caller, known := a.Authenticate(r)
	switch {
	case !known:
		return newFailure(http.StatusUnauthorized, noToken)
	case !caller.Role.Includes(Operator):
		return newFailure(http.StatusForbidden, mayNot)
	}
	return nil
}

func collectRequest(r *http.Request, q url.Values) (ingest.Request, error) {
	dryRun, err := flag(q, "dryrun")
	if err != nil {
		return ingest.Request{}, err
	}
	drop, err := flag(q, "droperrors")
	if err != nil {
		return ingest.Request{}, err
	}
	return ingest.Request{
		Stream: r.PathValue("stream"), Body: r.Body, ContentLength: r.ContentLength,
		ContentType: r.Header.Get("Content-Type"), ContentEncoding: r.Header.Get("Content-Encoding"),
		DryRun: dryRun, DropErrors: drop, TimestampField: q.Get("timestamp_field"), DateOrder: q.Get("date_order"),
		Headers: q.Get("headers"), Delimiter: q.Get("delimiter"), Append: q.Get("append"), Filename: q.Get("filename"),
	}, nil
}

// flag reads a switch of the query. One without a value is on; one with a value
// that is neither true nor false is refused: a dry run must never turn real.
func flag(q url.Values, name string) (bool, error) {
	if !q.Has(name) {
		return false, nil
	}
	if q.Get(name) == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(q.Get(name))
	if err != nil {
		return false, invalid(name, name+": must be true or false")
	}
	return on, nil
}
