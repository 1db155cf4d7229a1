package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"usher/internal/api/client"
	"usher/sandbox/oauth"
)

// consentForm is the form of a new authorization that is to be connected.
func (w *world) consentForm() url.Values {
	return url.Values{
		"provider": {"google"}, "label": {"Ads of the shop"}, "description": {"by consent"}, "go": {"connect"},
		"config.client_id": {oauth.DefaultClientID}, "config.client_secret": {oauth.DefaultClientSecret},
		"config.authorize_url": {"http://" + w.network + "/oauth/authorize"}, "config.token_url": {"http://" + w.network + "/oauth/token"},
	}
}

// begin presses the button and returns the network's address.
func (b *browser) begin(path string, form url.Values) *url.URL {
	b.w.t.Helper()
	res, body := b.submit(path, form)
	_, address, ok := strings.Cut(res.Header.Get("Refresh"), "0; url=")
	u, err := url.Parse(address)
	if !ok || err != nil || res.StatusCode != http.StatusOK || !strings.Contains(body, "Go on to Google") {
		b.w.t.Fatalf("%d, on to %q", res.StatusCode, res.Header.Get("Refresh"))
	}
	return u
}

// decide answers at the network and returns the way back.
func (b *browser) decide(question *url.URL, decision string) *url.URL {
	b.w.t.Helper()
	q := question.Query()
	form := url.Values{"decision": {decision}}
	for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "code_challenge"} {
		form.Set(name, q.Get(name))
	}
	res, err := b.http.PostForm("http://"+question.Host+question.Path, form)
	if err != nil {
		b.w.t.Fatal(err)
	}
	_ = res.Body.Close()
	back, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound || "http://"+back.Host != b.w.url || back.Path != "/oauth/callback" {
		b.w.t.Fatalf("%d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	return back
}

// comeBack follows the way back and returns where the person ends, and the page.
func (b *browser) comeBack(back *url.URL) (*http.Response, string) {
	b.w.t.Helper()
	res, _ := b.get(back.RequestURI())
	_, onward, ok := strings.Cut(res.Header.Get("Refresh"), "0; url=")
	if !ok || !strings.HasPrefix(onward, "/oauth/return?") {
		b.w.t.Fatalf("%d, on to %q", res.StatusCode, res.Header.Get("Refresh"))
	}
	return b.get(onward)
}

func (w *world) authorizations() []client.Authorization {
	w.t.Helper()
	var all []client.Authorization
	w.must(http.MethodGet, "/v2/auth?type=google", nil, &all)
	return all
}

func TestConnecting(t *testing.T) {
	w := start(t)
	b := w.signedIn()
	_, page := b.get("/authorizations/new?provider=google")
	if !strings.Contains(page, "Connect with Google") {
		t.Fatal("the form has no way to connect")
	}

	question := b.begin("/authorizations", w.consentForm())
	q := question.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 43 || q.Get("access_type") != "offline" || q.Get("redirect_uri") != w.url+"/oauth/callback" || strings.Contains(question.String(), oauth.DefaultClientSecret) {
		t.Fatalf("asks %s", question)
	}
	if len(w.authorizations()) != 0 {
		t.Fatal("something is stored before the consent")
	}

	// Refused: the person is back at the form, with what was typed and why.
	res, _ := b.comeBack(b.decide(question, "refuse"))
	back := res.Header.Get("Location")
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(back, "/authorizations/new?provider=google&again=") {
		t.Fatalf("%d to %q", res.StatusCode, back)
	}
	again := regexp.MustCompile(`name="again" value="([^"]+)"`)
	for range 2 { // a reload keeps it
		_, page = b.get(back)
		if !strings.Contains(page, "Ads of the shop") || !strings.Contains(page, w.network+"/oauth/token") || strings.Contains(page, oauth.DefaultClientSecret) || again.FindStringSubmatch(page) == nil {
			t.Fatalf("the answers are lost: %s", page)
		}
	}
	if len(w.authorizations()) != 0 {
		t.Fatal("a refusal stored something")
	}

	// Pressed again without the secret, and approved.
	form := w.consentForm()
	form.Del("config.client_secret")
	form.Set("again", again.FindStringSubmatch(page)[1])
	way := b.decide(b.begin("/authorizations", form), "approve")
	res, _ = b.comeBack(way)
	all := w.authorizations()
	if len(all) != 1 || all[0].Label != "Ads of the shop" || all[0].Settings["client_id"] != oauth.DefaultClientID || res.Header.Get("Location") != "/authorizations/"+string(all[0].ID) {
		t.Fatalf("%d to %q, %+v", res.StatusCode, res.Header.Get("Location"), all)
	}
	if _, page = b.get(res.Header.Get("Location")); !strings.Contains(page, "Connected “Ads of the shop”") || !strings.Contains(page, "Connect with Google (Ads, Display &amp; Video 360) again") {
		t.Fatal("the page does not say that it is connected")
	}

	// The state is good once.
	if res, page = b.comeBack(way); res.Header.Get("Location") != "/authorizations" {
		t.Fatalf("used twice: %d to %q %s", res.StatusCode, res.Header.Get("Location"), page)
	}

	// Connected again, it stays the same one.
	path := "/authorizations/" + string(all[0].ID)
	form = w.consentForm()
	form.Del("config.client_secret")
	res, _ = b.comeBack(b.decide(b.begin(path, form), "approve"))
	after := w.authorizations()
	if len(after) != 1 || after[0].ID != all[0].ID || !after[0].UpdatedAt.After(all[0].UpdatedAt) || res.Header.Get("Location") != path {
		t.Fatalf("to %q, %+v", res.Header.Get("Location"), after)
	}
}

// TestConnectingIsOfOneSession: neither a stranger nor somebody without a session
// completes a consent, and what they bring is used up.
func TestConnectingIsOfOneSession(t *testing.T) {
	w := start(t)
	b := w.signedIn()
	way := b.decide(b.begin("/authorizations", w.consentForm()), "approve")

	stranger := w.browser()
	if res, page := stranger.comeBack(way); res.StatusCode != http.StatusForbidden || !strings.Contains(page, "Sign in") {
		t.Fatalf("without a session: %d", res.StatusCode)
	}
	for name, forged := range map[string]string{
		"no state": "/oauth/return?code=x", "another state": "/oauth/return?code=x&state=" + strings.Repeat("A", 43), "an error without a state": "/oauth/return?error=access_denied",
	} {
		if res, _ := b.get(forged); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/authorizations" {
			t.Errorf("%s: %d to %q", name, res.StatusCode, res.Header.Get("Location"))
		}
	}
	// A state of the command line is anybody's who may store authorizations.
	var begun client.Connecting
	w.must(http.MethodPost, "/v2/auth/google/connect", map[string]any{"label": "By hand", "return_to": "/jobs", "config": map[string]string{
		"client_id": oauth.DefaultClientID, "client_secret": oauth.DefaultClientSecret,
		"authorize_url": "http://" + w.network + "/oauth/authorize", "token_url": "http://" + w.network + "/oauth/token",
	}}, &begun)
	question, err := url.Parse(begun.AuthorizeURL)
	if err != nil {
		t.Fatal(err)
	}
	res, _ := b.comeBack(b.decide(question, "approve"))
	all := w.authorizations()
	if len(all) != 1 || all[0].ID != begun.AuthID || res.Header.Get("Location") != "/jobs" {
		t.Fatalf("%+v, to %q", all, res.Header.Get("Location"))
	}

	if res, _ := b.post("/authorizations", w.consentForm()); res.StatusCode != http.StatusForbidden {
		t.Errorf("without the session's CSRF token: %d", res.StatusCode)
	}
}
