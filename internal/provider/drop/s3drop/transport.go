package s3drop

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"strings"
)

type recordKey struct{}

// tap is the transport of the library: it writes down what happened, and puts
// the path of the endpoint before that of the request, after it was signed.
type tap struct {
	base http.RoundTripper
	path string
}

// RoundTrip makes one call.
func (t tap) RoundTrip(req *http.Request) (*http.Response, error) {
	r, ok := req.Context().Value(recordKey{}).(*record)
	if !ok {
		r = &record{}
	}
	r.method, r.status, r.header, r.err = req.Method, 0, http.Header{}, nil
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { r.left.Store(true) }})
	if out := req.WithContext(ctx); t.path == "" {
		req = out
	} else {
		req = out.Clone(ctx)
		escaped := t.path + req.URL.EscapedPath()
		req.URL.Path, req.URL.RawPath = t.path+req.URL.Path, escaped
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		r.err = err
		return nil, err
	}
	r.status, r.header = resp.StatusCode, resp.Header
	return resp, nil
}

// recorded returns a context in which calls are written down.
func recorded(ctx context.Context) (context.Context, *record) {
	r := &record{header: http.Header{}}
	return context.WithValue(ctx, recordKey{}, r), r
}

// join puts a name behind a prefix that is empty or ends in a slash.
func join(prefix, name string) string { return prefix + strings.TrimPrefix(name, "/") }
