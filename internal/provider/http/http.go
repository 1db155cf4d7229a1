// Package http reads files that a web server offers, for imports.
//
// It owns addresses, credentials and what the server's answers mean; it reads by
// GET alone and changes nothing. It is built for these failures: a server that
// says nothing more in the middle of a file, a page for people where a file should
// be, an address that leads into the own network, and a file that is read again
// although nobody has changed it.
//
// Conditional requests are RFC 9110, section 13.1.
package http

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// The classes of error; each has a page in docs/troubleshooting.
const (
	codeAuth        = "HTTP-AUTH"
	codeGone        = "HTTP-GONE"
	codeLimit       = "HTTP-LIMIT"
	codeRefused     = "HTTP-REFUSED"
	codeSettings    = "HTTP-SETTINGS"
	codeUnavailable = "HTTP-UNAVAILABLE"
)

// The settings.
const (
	addressField  = "address"
	userField     = "username"
	passwordField = "password"
	headersField  = "headers"
	pathField     = "path"
	sizeField     = "max_megabytes"
)

// limitWait is how long a limit is waited for that names no time.
const limitWait = time.Minute

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "http", Title: "HTTP", Icon: "world",
		Description: "Reads CSV, JSON and NDJSON that a web server offers at an address.",
		Workflows: []provider.Workflow{{
			Name: "http_import", Title: "Import by HTTP", Direction: provider.Import, Subject: provider.Profiles,
			Description: "Gets a file by its address and reads its rows into a stream, again whenever the server says that it has changed.",
			Scheduled:   true, Once: true,
			Fields: slices.Concat([]provider.Field{
				{Name: pathField, Label: "Path", Type: "string", Example: "daily/customers.csv?format=full", Help: "What is put behind the address of the authorization, with parameters where there are any. Empty = the address itself."},
				{Name: sizeField, Label: "Largest file", Type: "int", Default: "10240", Help: "The most megabytes of one file, as it is sent; 1 to 65536."},
			}, provider.FileFields(), provider.ImportFields()),
		}},
		AuthFields: []provider.Field{
			{Name: addressField, Label: "Address", Type: "url", Required: true, Example: "https://data.example.com/exports/", Help: "Where files are had; https unless the host is among the allowed ones. Credentials are sent there and nowhere else."},
			{Name: userField, Label: "User name", Type: "string", Example: "usher", Help: "For servers that ask for a user name and a password. Empty = none is sent."},
			{Name: passwordField, Label: "Password", Type: "string", Secret: true, Help: "The password of the user."},
			{Name: headersField, Label: "Headers", Type: "text", Secret: true, Help: `Headers that are sent with every request, such as an API key: one "Name: value" a line, or as a JSON object of texts.`},
		},
		// Concurrency is ours: one file at a time is enough for most servers.
		Concurrency: 2,
		NewSource:   New,
	}
}

// source reads one address.
type source struct {
	http   *http.Client
	url    string // a secret, parameters included
	name   string
	header http.Header
	most   int64
	now    func() time.Time

	body io.Closer // of the answer that is read or waits to be
	read bool      // it was read in this pass, by a server that has no versions
}

// New makes the client of one address.
func New(d provider.Deps) (provider.Source, error) {
	w, _ := Definition().Workflow("http_import")
	base, err := url.Parse(strings.TrimSpace(d.Auth[addressField].Reveal()))
	if err != nil || base.Host == "" || base.User != nil || base.Fragment != "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, wrong(addressField, "must be an address that begins with https:// and has no user name in it")
	}
	u, err := join(base, provider.Setting(w.Fields, d.Config, pathField))
	if err != nil {
		return nil, err
	}
	s := &source{http: d.HTTP, url: u.String(), name: name(u), now: d.Now}
	if s.header, err = headers(d.Auth[headersField].Reveal()); err != nil {
		return nil, err
	}
	if user := d.Auth[userField].Reveal(); user != "" {
		if strings.Contains(user, ":") || s.header.Get("Authorization") != "" {
			return nil, wrong(userField, "must have no colon in it, and no Authorization header beside it")
		}
		r := http.Request{Header: s.header}
		r.SetBasicAuth(user, d.Auth[passwordField].Reveal())
	}
	megabytes, err := strconv.Atoi(provider.Setting(w.Fields, d.Config, sizeField))
	if err != nil || megabytes < 1 || megabytes > 65536 {
		return nil, wrong(sizeField, "must be a whole number from 1 to 65536")
	}
	s.most = int64(megabytes) << 20
	return s, nil
}

// join puts a path behind an address, which stays at its host and below it.
func join(base *url.URL, text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return base, nil
	}
	ref, err := url.Parse(strings.TrimPrefix(text, "/"))
	if err != nil || strings.HasPrefix(text, "//") || ref.IsAbs() || ref.Host != "" || ref.Fragment != "" {
		return nil, wrong(pathField, "must be a path, without a host")
	}
	for part := range strings.SplitSeq(ref.Path, "/") {
		if part == ".." {
			return nil, wrong(pathField, "must not hold ..")
		}
	}
	u := *base
	u.Path, u.RawPath = strings.TrimRight(base.Path, "/")+"/"+ref.Path, ""
	if ref.Path == "" {
		u.Path = base.Path
	}
	if u.RawQuery = base.RawQuery; ref.RawQuery != "" {
		u.RawQuery = strings.TrimPrefix(base.RawQuery+"&"+ref.RawQuery, "&")
	}
	return &u, nil
}

// name is that of the file, for people: what stands last in the path, else the
// host.
func name(u *url.URL) string {
	if base := path.Base(u.Path); base != "." && base != "/" {
		return base
	}
	return u.Hostname()
}

var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[\t\x20-\x7e\x80-\xff]*$`)
	// reserved are headers that frame the request, or are ours.
	reserved = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Expect", "Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Range", "Accept-Encoding"}
)

// headers reads "Name: value" lines or a JSON object. The error quotes nothing:
// values are secrets, and so may be what is taken for a name.
func headers(text string) (http.Header, error) {
	bad := wrong(headersField, `must be lines of "Name: value", or a JSON object of texts`)
	given := map[string]string{}
	if text = strings.TrimSpace(text); strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &given) != nil {
			return nil, bad
		}
	} else {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			key, value, ok := strings.Cut(line, ":")
			if !ok {
				return nil, bad
			}
			given[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	out := http.Header{}
	for key, value := range given {
		if !headerName.MatchString(key) || !headerValue.MatchString(value) {
			return nil, bad
		}
		if slices.Contains(reserved, http.CanonicalHeaderKey(key)) {
			return nil, wrong(headersField, "names a header that Usher sets itself: "+strings.Join(reserved, ", "))
		}
		out.Set(key, value)
	}
	return out, nil
}

// String says what it is and nothing else: settings are not for print.
func (s *source) String() string { return "file at an address" }

// GoString is String.
func (s *source) GoString() string { return s.String() }

// state is what is kept: the validators of the content that is in.
type state struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
	Size     int64  `json:"size,omitempty"`
}

// same reports whether two answers have the same content, as far as they say.
func (v state) same(o state) bool {
	if v.ETag != "" || o.ETag != "" {
		return v.ETag == o.ETag
	}
	return v.Modified != "" && v == o
}

// version names the content; "" where the server does not.
func (v state) version() string {
	switch {
	case v.ETag != "":
		return v.ETag
	case v.Modified != "":
		return v.Modified + " " + strconv.FormatInt(v.Size, 10)
	}
	return ""
}

// Check asks for the file and reads nothing of it.
func (s *source) Check(ctx context.Context) error {
	resp, err := s.get(ctx, state{})
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // the answer alone was wanted
	return nil
}

// Next returns the file where it is another than that of state.
func (s *source) Next(ctx context.Context, kept []byte) (provider.Piece, bool, error) {
	_ = s.Close() // nobody reads an earlier answer any more
	var had state
	if kept != nil {
		if err := json.Unmarshal(kept, &had); err != nil {
			return provider.Piece{}, false, &activation.Error{Kind: activation.Internal, Message: "what was kept of the file can't be read: reset the import", Err: err}
		}
	}
	if s.read {
		return provider.Piece{}, false, nil
	}
	resp, err := s.get(ctx, had) //nolint:bodyclose // Close ends it, or who reads the piece
	if err != nil {
		return provider.Piece{}, false, err
	}
	now := state{ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified"), Size: max(resp.ContentLength, 0)}
	if resp.StatusCode == http.StatusNotModified || resp.StatusCode == http.StatusNoContent || kept != nil && had.same(now) {
		_ = resp.Body.Close() // nothing of it is wanted
		return provider.Piece{}, false, nil
	}
	s.body = resp.Body
	modified, _ := http.ParseTime(now.Modified) // zero where the server does not say
	return provider.Piece{
		Name: s.name, Version: now.version(), ContentType: contentType(resp.Header), Modified: modified, Size: now.Size, Whole: true,
		Open:  func(context.Context) (io.ReadCloser, error) { return resp.Body, nil },
		After: func() ([]byte, error) { s.read = now.version() == ""; return json.Marshal(now) },
	}, true, nil
}

// contentType is the header where it says anything of use. Servers give files
// they do not know the type of text.
func contentType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || !slices.Contains([]string{"text/csv", "application/csv", "text/tab-separated-values", "application/json", "text/json", "application/x-ndjson", "application/ndjson", "application/jsonl"}, kind) {
		return ""
	}
	return h.Get("Content-Type")
}

// Close ends the answer that is open.
func (s *source) Close() error {
	if s.body != nil {
		_ = s.body.Close() // it was read, or nobody wants it
		s.body = nil
	}
	return nil
}

// get asks for the file unless it is what state says.
func (s *source) get(ctx context.Context, had state) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, wrong(addressField, "can't be called")
	}
	req.Header = s.header.Clone()
	req.Header.Set("User-Agent", "Usher")
	if had.ETag != "" {
		req.Header.Set("If-None-Match", had.ETag)
	} else if had.Modified != "" {
		req.Header.Set("If-Modified-Since", had.Modified)
	}
	resp, err := outbound.Stream(s.http, req, s.most)
	if err != nil {
		return nil, err
	}
	if err := s.fault(resp); err != nil {
		_ = resp.Body.Close() // its text is not ours to show
		return nil, err
	}
	return resp, nil
}

// fault is the error of an answer that is no file.
func (s *source) fault(resp *http.Response) error {
	status := fmt.Sprintf(" (HTTP status %d)", resp.StatusCode)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	until, timed := outbound.RetryAfter(resp.Header, s.now())
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		return &activation.Error{Kind: activation.Unauthorized, Code: codeAuth, Message: "the server refuses the credentials" + status}
	case code == http.StatusNotFound, code == http.StatusGone, code/100 == 3 && code != http.StatusNotModified:
		return &activation.Error{Kind: activation.Gone, Code: codeGone, Message: "there is no file at the address" + status}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && timed:
		if !timed {
			until = s.now().Add(limitWait)
		}
		return &activation.Error{Kind: activation.WaitUntil, Code: codeLimit, Message: "the server asks for fewer calls" + status, Until: until}
	case code/100 == 5, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return &activation.Error{Kind: activation.Unavailable, Code: codeUnavailable, Message: "the server is out of order" + status}
	case code/100 == 4:
		return &activation.Error{Kind: activation.Invalid, Code: codeRefused, Message: "the server refuses the request" + status}
	case kind == "text/html":
		return &activation.Error{Kind: activation.Unavailable, Code: codeUnavailable, Message: "a page for people stands at the address instead of a file" + status}
	}
	return nil
}

func wrong(field, what string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeSettings, Field: field, Message: field + " " + what}
}
