package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"usher/internal/access"
	"usher/internal/activation"
)

// policy is the content security policy of every answer. Styles may be inline
// because widths of bars are numbers of the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// visit is one request of a signed-in person.
type visit struct {
	*http.Request
	who access.Caller
}

// get returns a parameter of the address, trimmed.
func (v visit) get(name string) string { return strings.TrimSpace(v.URL.Query().Get(name)) }

// post returns a value of the form, trimmed.
func (v visit) post(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }

// view is what a page handler answers: a page to render, or where to go.
type view struct {
	// Template is the file in templates/, without its ending.
	Template string
	Title    string
	Crumbs   []link
	// Section is the entry of the sidebar that the page belongs to.
	Section string
	// Page and Query name the event stream of the page; "" = it has none.
	Page  string
	Query url.Values
	// Regions are the parts that the stream renews: id and template are one name.
	Regions []string
	Body    any
	// Status is the HTTP status; 0 = 200.
	Status int
	// Fragment is the name of a template to render alone, for htmx.
	Fragment string
	// Refresh sends the browser on to another site. A form can't redirect there.
	Refresh string
	// To redirects after a POST; Said is shown there.
	To   string
	Said flash
	// Undo is the form that takes back what was said, "" = there is none.
	Undo string
}

// flash is a sentence about what a person has just done.
type flash struct {
	Tone string // ok, bad
	Text string
}

type loader func(v visit) (view, error)

// page registers a page that is read. A page with a name has an event stream
// at /events?page=name.
func (c *Console) page(mux *http.ServeMux, path, name string, load loader) {
	if name != "" {
		c.live[name] = load
	}
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.visitor(r)
		if !ok {
			secure(w)
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		c.answer(w, v, load)
	})
}

// action registers a form that changes something. It needs a session, the
// session's CSRF token, and the role of an operator or above.
func (c *Console) action(mux *http.ServeMux, path string, role activation.Role, do loader) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		v, ok := c.visitor(r)
		switch {
		case !ok:
			secure(w)
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		case !access.CheckCSRF(r, v.who.CSRF):
			c.render(w, v, tooOld())
		case !v.who.May(role):
			c.render(w, v, trouble(http.StatusForbidden, "Your role may only look", "Nothing was changed. This needs the role "+string(role)+"; you are "+string(v.who.Role)+"."))
		default:
			c.answer(w, v, do)
		}
	})
}

// maxForm is the most bytes of a form; access reads CSRF fields up to the same.
const maxForm = 64 << 10

// visitor returns the signed-in person of a request, whatever its method: the
// CSRF token of a form is checked apart, so that its lack has its own page.
func (c *Console) visitor(r *http.Request) (visit, bool) {
	look := r.Clone(r.Context())
	look.Method = http.MethodGet
	look.Header.Del("Authorization")
	who, ok := c.Access.Caller(look)
	return visit{r, who}, ok
}

// answer runs a handler and sends what it says.
func (c *Console) answer(w http.ResponseWriter, v visit, do loader) {
	out, err := do(v)
	if err != nil {
		out = c.failed(v, err)
	}
	if out.To != "" {
		secure(w)
		leaveFlash(w, c.Access.ByTLS(v.Request), out.Said)
		leaveUndo(w, c.Access.ByTLS(v.Request), out.Undo)
		http.Redirect(w, v.Request, out.To, http.StatusSeeOther)
		return
	}
	c.render(w, v, out)
}

// trouble is the page of an error.
func trouble(status int, title, text string) view {
	return view{Template: "error", Title: title, Status: status, Body: errorPage{Status: status, Text: text}}
}

// tooOld is the page for a form without the session's CSRF token.
func tooOld() view {
	return trouble(http.StatusForbidden, "This form is too old", "Nothing was changed. Load the page again and repeat what you did.")
}

type errorPage struct {
	Status int
	Text   string
}

// failed is the page for an error of a use case.
func (c *Console) failed(v visit, err error) view {
	switch {
	case errors.Is(err, context.Canceled):
		return trouble(499, "The request was given up", "")
	case errors.Is(err, activation.ErrNotFound):
		return trouble(http.StatusNotFound, "There is nothing here", "What this address named does not exist, or was removed.")
	case errors.Is(err, activation.ErrConflict):
		return trouble(http.StatusConflict, "Not possible now", sentence(reason(err)))
	case activation.KindOf(err) == activation.Invalid:
		return trouble(http.StatusBadRequest, "This cannot be done", sentence(reason(err)))
	}
	c.Log.ErrorContext(v.Context(), "page failed", slog.String("path", v.URL.Path), slog.Any("err", err))
	return trouble(http.StatusInternalServerError, "This page could not be made", "The server's log says why. Runs go on meanwhile.")
}

// refused turns what a person may expect to be refused into a sentence on the
// page they came from; other errors stay errors.
func refused(to string, err error) (view, error) {
	switch kind := activation.KindOf(err); {
	case err == nil, errors.Is(err, activation.ErrNotFound):
	case errors.Is(err, activation.ErrConflict), kind == activation.Invalid, kind == activation.Unauthorized, kind == activation.Unavailable, kind == activation.WaitUntil:
		return view{To: to, Said: flash{"bad", sentence(reason(err))}}, nil
	}
	return view{}, err
}

// reason is the text of an error that anyone may see.
func reason(err error) string {
	var e *activation.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "not possible in the present state"
}

func (c *Console) nothingHere(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	c.render(w, v, c.failed(v, activation.ErrNotFound))
}
