package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse/site"
)

// Site is what web pages may ask, and who may.
type Site struct {
	Table Visitors
	// Origins are those of the pages that may ask from a browser; "*" = all.
	Origins []string
	// PerMinute is how many questions one address may ask in a minute; 0 = no limit.
	PerMinute int
}

// Visitors tells in which public audiences somebody is.
type Visitors interface {
	Visitor(ctx context.Context, publicID string) (site.Visitor, error)
}

// visitor is the answer to a page.
type visitor struct {
	Audiences  []string                   `json:"audiences" doc:"short names of the public audiences the visitor is in, in order"`
	Attributes map[string]json.RawMessage `json:"attributes" doc:"public attributes by name"`
}

const (
	// visitorTime bounds one question: a page does not wait longer.
	visitorTime = 2 * time.Second
	// preflightLife is how long a browser remembers that it may ask.
	preflightLife = time.Hour
	visitorRoute  = "/web/audiences/{public_id}"
	visitorID     = "show-visitor"
)

// site registers what web pages ask. It is no huma operation, because who asks
// is counted before it is known, and browsers need other headers; the OpenAPI
// document has it all the same.
func (a *API) site(h huma.API, t traced) {
	pace := newPace(a.Site.PerMinute)
	answered := func(handle func(w http.ResponseWriter, r *http.Request) *failure) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			start, status := a.Now(), http.StatusOK
			a.allowOrigin(w, r)
			f := a.withinPace(pace, r)
			if f == nil {
				f = handle(w, r)
			}
			if f != nil {
				status = f.Code
				writeFailure(w, r, f)
			}
			// Neither path nor query: they hold the public id and the token.
			a.Log.DebugContext(r.Context(), "request", slog.String("request_id", requestID(r.Context())), slog.String("operation", visitorID),
				slog.Int("status", status), slog.Duration("took", a.Now().Sub(start)))
		}
	}
	t.HandleFunc("GET "+visitorRoute, answered(a.visitor))
	t.HandleFunc("OPTIONS "+visitorRoute, answered(preflight))

	op := route("GET "+visitorRoute, Viewer, visitorID, "Which public audiences a visitor is in, for web pages: a token of scope site is enough", "web")
	text := &huma.Schema{Type: huma.TypeString}
	op.Parameters = []*huma.Param{
		{Name: "public_id", In: "path", Required: true, Schema: text, Description: "the visitor's public id; never an e-mail address or a phone number"},
		{Name: "access_token", In: "query", Schema: text, Description: "API token, where no header can be sent"},
	}
	answer := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[envelope[visitor]](), true, "Visitor")
	refusal := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[failure](), true, "Failure")
	op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: answer}}}}
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError} {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: refusal}}}
	}
	h.OpenAPI().AddOperation(&op)
}

// visitor answers a page. Whoever is not known gets the same answer as somebody
// who is in nothing, so that nobody learns who is.
func (a *API) visitor(w http.ResponseWriter, r *http.Request) *failure {
	caller, ok := a.Authenticate(withQueryToken(r))
	switch {
	case !ok:
		return newFailure(http.StatusUnauthorized, noToken)
	case caller.Role != activation.RoleSite && !caller.Role.Includes(Viewer):
		return newFailure(http.StatusForbidden, mayNot)
	}
	id := matchkey.PublicID(r.PathValue("public_id"), nil)
	if id == "" {
		return newFailure(http.StatusBadRequest, "public_id: must be a public id of at most "+strconv.Itoa(matchkey.MaxPublicID)+" bytes, and no e-mail address or phone number")
	}
	ctx, cancel := context.WithTimeout(r.Context(), visitorTime)
	defer cancel()
	v, err := a.Site.Table.Visitor(ctx, id)
	if err != nil {
		f := newFailure(http.StatusInternalServerError, "internal error")
		errors.As(a.fail(ctx, err), &f)
		return f
	}
	writeJSON(w, http.StatusOK, envelope[visitor]{Data: visitor{v.Audiences, v.Attributes}, Status: http.StatusOK, RequestID: requestID(r.Context()), Message: "success"})
	return nil
}

// preflight tells a browser that a page of a known origin may send its token in
// a header.
func preflight(w http.ResponseWriter, _ *http.Request) *failure {
	if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", http.MethodGet)
		h.Set("Access-Control-Allow-Headers", "Authorization")
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(preflightLife.Seconds())))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowOrigin lets pages of known origins read the answer. Cookies are never
// asked for.
func (a *API) allowOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(a.Site.Origins, "*") && !slices.Contains(a.Site.Origins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
}

// withinPace is nil when the sender has not asked too much.
func (a *API) withinPace(p *pace, r *http.Request) *failure {
	wait := p.take(a.Access.From(r), a.Now())
	if wait == 0 {
		return nil
	}
	f := newFailure(http.StatusTooManyRequests, "too many questions from this address; ask again later")
	f.header = http.Header{"Retry-After": {strconv.Itoa(int(wait.Seconds()) + 1)}}
	return f
}
