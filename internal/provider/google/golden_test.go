package google_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/google"
	"usher/sandbox/fault"
	sandbox "usher/sandbox/google"
)

var update = flag.Bool("update", false, "write the golden files")

// wire carries calls to a stand-in and writes them down.
type wire struct {
	t    *testing.T
	far  http.Handler
	text bytes.Buffer
}

// messages are Google's own names of the bodies, by path.
var messages = map[string]string{
	"/v1/audienceMembers:ingest": "IngestAudienceMembersRequest", "/v1/audienceMembers:remove": "RemoveAudienceMembersRequest",
	"/v1/events:ingest": "IngestEventsRequest",
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	fmt.Fprintf(&w.text, "%s %s\n", req.Method, req.URL.RequestURI())
	for _, name := range []string{"Authorization", "Login-Account", "Linked-Account", "Content-Type", "Accept"} {
		if v := req.Header.Get(name); v != "" {
			fmt.Fprintf(&w.text, "%s: %s\n", name, v)
		}
	}
	if len(body) > 0 {
		fmt.Fprintf(&w.text, "\n%s\n", body)
		message := messages[req.URL.Path]
		if message == "" && req.Method != "PATCH" {
			message = "UserList"
		}
		if message != "" {
			if _, wrong, err := sandbox.Judge(message, body); err != nil || len(wrong) > 0 {
				w.t.Errorf("%s is not as Google defines it: %v %v", req.URL.Path, wrong, err)
			}
		}
	}
	in := httptest.NewRequestWithContext(req.Context(), req.Method, req.URL.RequestURI(), bytes.NewReader(body))
	in.Header = req.Header
	rec := httptest.NewRecorder()
	w.far.ServeHTTP(rec, in)
	fmt.Fprintf(&w.text, "\n-> %d\n\n", rec.Code)
	return rec.Result(), nil
}

// golden compares what went over the wire with the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got) {
		t.Errorf("%s: run go test -update and look at the difference\n%s", name, got)
	}
}

func TestRequestsOnTheWire(t *testing.T) {
	far, err := sandbox.New(sandbox.Options{}, sandbox.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Faults: fault.NewPlan(1)})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, far: far}
	config := map[string]string{
		"login_account": "111-222-3333", "ad_user_data": "CONSENT_GRANTED", "ad_personalization": "CONSENT_DENIED", "membership_days": "90", "default_country": "US",
	}
	d := deps(w, config)
	d.Tokens = &pool{tokens: []string{sandbox.DefaultToken}}
	d.Account = " 123-456-7890 "
	dest, err := google.NewLists(d)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(dest.Check(ctx))
	a := provider.Audience{Marker: `target-1.g1 "x"`, Name: "Lapsed VIPs", Config: accepted}
	id, err := dest.EnsureAudience(ctx, a)
	must(err)
	a.Marker = "target-2.g1"
	_, err = dest.EnsureAudience(ctx, a) // the name is taken
	must(err)

	set, err := matchkey.NewSet(google.RuleSet(), map[string]string{
		"email_address": "e", "phone_number": "p", "given_name": "g", "family_name": "f", "region_code": "r", "postal_code": "z",
	}, "US")
	must(err)
	b := provider.Batch{Remote: id, Op: activation.OpAdd, Keys: set.Keys, Audience: a}
	for _, raw := range [][]string{
		{"ALEXZ@example.com ", "1\u2011800\u2011555\u20110100", "Dr. Givenname", "Familyname, Jr.", "us", "94045"},
		{"Cloudy.SanFrancisco+shopping@gmail.com", "", "Ana", "", "us", "94045"},
	} {
		out := make([][]byte, len(set.Keys))
		set.Compute(raw, out, nil)
		b.Values = append(b.Values, out...)
	}
	rc, err := dest.Deliver(ctx, b)
	must(err)
	rc, err = dest.Poll(ctx, rc.PollToken, 2)
	must(err)
	if rc.Accepted != 2 || rc.Headers["google-match-rate"] != "51_TO_60" {
		t.Errorf("%+v", rc)
	}
	b.Op = activation.OpRemove
	_, err = dest.Deliver(ctx, b)
	must(err)

	device := row(t, activation.OpAdd, nil, map[string][]byte{"mobile_id": []byte("ea7583cd-a667-48bc-b806-42ecb2b48606")})
	device.Audience = provider.Audience{Marker: "target-3.g1", Name: "Devices", Config: map[string]string{"customer_match_terms": "x", "upload_key_type": "MOBILE_ID", "app_id": "com.example.app", "key_space": "IOS"}}
	device.Remote, err = dest.EnsureAudience(ctx, device.Audience)
	must(err)
	_, err = dest.Deliver(ctx, device)
	must(err)

	config["membership_days"] = "30"
	longer, err := google.NewLists(d)
	must(err)
	a = provider.Audience{Marker: `target-1.g1 "x"`, Name: "Lapsed VIPs", Config: accepted, Remote: id}
	_, err = longer.EnsureAudience(ctx, a)
	must(err)
	must(longer.(provider.Deleter).DeleteAudience(ctx, id))

	conversions, err := google.NewConversions(d)
	must(err)
	events := conversion(t, map[string]string{
		"event_timestamp": "2026-11-20T10:15:00+01:00", "transaction_id": "ord-77", "event_source": "web", "conversion_value": "0", "currency": "EUR",
		"gclid": "EAIa", "email_address": "alexz@example.com", "ad_user_data": "granted",
	})
	rc, err = conversions.Deliver(ctx, events)
	must(err)
	_, err = conversions.Poll(ctx, rc.PollToken, 1)
	must(err)
	golden(t, "requests.txt", w.text.Bytes())

	if strings.Contains(w.text.String(), "developer-token") || strings.Contains(w.text.String(), "e3b0c44298fc") {
		t.Error("a developer token or the hash of nothing was sent")
	}
}
