package google_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/google"
	"usher/sandbox/fault"
	sandbox "usher/sandbox/google"
)

const customer = "1234567890"

// adsWire carries calls to a stand-in of Google Ads, judges each body by Google's own
// definitions and writes it down.
type adsWire struct {
	t      *testing.T
	far    *sandbox.Network
	faults *fault.Plan
	text   bytes.Buffer
	bodies []string // of mutate
}

func (w *adsWire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	_ = req.Body.Close()
	message := "services.SearchGoogleAdsStreamRequest"
	if req.URL.Path == "/v25/customers/"+customer+"/googleAds:mutate" {
		message = "services.MutateGoogleAdsRequest"
		w.bodies = append(w.bodies, string(body))
	}
	if _, err := sandbox.JudgeAds(message, body); err != nil {
		w.t.Errorf("%s is not as Google defines it: %v\n%s", message, err, body)
	}
	fmt.Fprintf(&w.text, "%s %s\n", req.Method, req.URL.RequestURI())
	for _, name := range []string{"Authorization", "Login-Customer-Id", "Developer-Token", "Content-Type", "Accept"} {
		if v := req.Header.Get(name); v != "" {
			fmt.Fprintf(&w.text, "%s: %s\n", name, v)
		}
	}
	in := httptest.NewRequestWithContext(req.Context(), req.Method, req.URL.RequestURI(), bytes.NewReader(body))
	in.Header = req.Header
	rec := httptest.NewRecorder()
	w.far.ServeHTTP(rec, in)
	fmt.Fprintf(&w.text, "\n%s\n\n-> %d\n\n", body, rec.Code)
	return rec.Result(), nil
}

// openAds makes a client of a fresh stand-in.
func openAds(t *testing.T, is sandbox.AdsCustomer, config map[string]string) (provider.Publisher, *adsWire) {
	t.Helper()
	plan := fault.NewPlan(1)
	far, err := sandbox.New(
		sandbox.Options{Customers: map[string]sandbox.AdsCustomer{customer: is}},
		sandbox.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Faults: plan},
	)
	if err != nil {
		t.Fatal(err)
	}
	w := &adsWire{t: t, far: far, faults: plan}
	d := deps(w, config)
	d.Tokens = &pool{tokens: []string{sandbox.DefaultToken}}
	pub, err := google.NewCampaigns(d)
	if err != nil {
		t.Fatal(err)
	}
	return pub, w
}

// entries numbers edits.
type entries int64

func (n *entries) create(typ string, parent activation.ObjectRef, set map[string]string) provider.Edit {
	*n++
	id := activation.EntryID(*n)
	t, _ := google.Definition().Publishing.Object(typ)
	return provider.Edit{
		Entry: id, Operation: activation.OpCreate, Type: typ, Parent: parent, Set: set,
		Object: activation.ObjectRef{Kind: t.Kind, ID: activation.NewObjectID(id)},
	}
}

func (n *entries) set(typ, id string, have, set map[string]string, clears ...string) provider.Edit {
	*n++
	t, _ := google.Definition().Publishing.Object(typ)
	return provider.Edit{
		Entry: activation.EntryID(*n), Operation: activation.OpEdit, Type: typ, Have: have, Set: set, Clear: clears,
		Object: activation.ObjectRef{Kind: t.Kind, ID: id},
	}
}

func (n *entries) remove(typ, id string) provider.Edit {
	e := n.set(typ, id, nil, nil)
	e.Operation = activation.OpDelete
	return e
}

func newCampaign(name string, more ...string) map[string]string {
	set := map[string]string{"name": name, "channel_type": "search", "budget": "5", "eu_political_advertising": "no"}
	for i := 0; i+1 < len(more); i += 2 {
		if set[more[i]] = more[i+1]; more[i+1] == "" {
			delete(set, more[i])
		}
	}
	return set
}

func newAd(headline string) map[string]string {
	return map[string]string{
		"headline_1": headline, "headline_2": "Second", "headline_3": "Third", "description_1": "One", "description_2": "Two, and more",
		"final_url": "https://www.example.com/shoes?a=b&c=d", "path_1": "shoes",
	}
}
