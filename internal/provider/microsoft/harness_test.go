package microsoft

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// far answers calls and keeps what it was sent. The account is read before anything
// else is answered.
type far struct {
	status int
	answer string
	header http.Header
	sent   []string // method, path and body
}

const accountAnswer = `{"Account":{"Id":"1","Name":"Shoes","CurrencyCode":"EUR","TimeZone":"BrusselsCopenhagenMadridParis"}}`

func (f *far) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	_ = req.Body.Close() // it is memory
	status, text := f.status, f.answer
	if req.URL.Path == accountPath {
		status, text = http.StatusOK, accountAnswer
	} else {
		f.sent = append(f.sent, req.Method+" "+req.URL.Path+" "+string(body))
	}
	h := f.header
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader([]byte(text))), Request: req}, nil
}

type oneToken struct{}

func (oneToken) Token(context.Context) (string, error) { return "token", nil }
func (oneToken) Refused(string)                        {}

func deps(f *far, config map[string]string) provider.Deps {
	settings := map[string]string{customerIDField: "7"}
	for name, v := range config {
		settings[name] = v
	}
	return provider.Deps{
		Auth: map[string]provider.Secret{developerTokenField: "developer"}, Account: "1", Config: settings, Tokens: oneToken{},
		HTTP: &http.Client{Transport: f}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
	}
}

func open(t *testing.T, f *far, config map[string]string) *publisher {
	t.Helper()
	p, err := NewPublisher(deps(f, config))
	if err != nil {
		t.Fatal(err)
	}
	return p.(*publisher)
}

func asError(t *testing.T, err error) *activation.Error {
	t.Helper()
	var e *activation.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v", err)
	}
	return e
}

// create, change and remove are edits of a type in a parent.
func create(typ, parent string, set map[string]string) provider.Edit {
	s, _ := specOf(typ)
	return provider.Edit{Entry: 5, Operation: activation.OpCreate, Type: typ, Object: activation.ObjectRef{Kind: s.kind, ID: "new-5"}, Parent: s.parentRef(parent), Set: set}
}

func change(typ, id string, have, set map[string]string, clear ...string) provider.Edit {
	s, _ := specOf(typ)
	parent, _ := split(id)
	return provider.Edit{Operation: activation.OpEdit, Type: typ, Object: activation.ObjectRef{Kind: s.kind, ID: id}, Parent: s.parentRef(parent), Have: have, Set: set, Clear: clear}
}

func remove(typ, id string) provider.Edit {
	e := change(typ, id, nil, nil)
	e.Operation = activation.OpDelete
	return e
}
