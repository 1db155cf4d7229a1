package web_test

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"usher/sandbox/oauth"
)

// choose clicks the control of a form that has a value.
func (b *tab) choose(name, value string) {
	b.t.Helper()
	act(b, "choose "+value, chromedp.Click("input[name='"+name+"'][value='"+value+"']"))
}

// enter replaces what a field of a form has.
func (b *tab) enter(name, value string) {
	b.t.Helper()
	act(b, "enter "+name, chromedp.SetValue("[id='f-"+name+"']", value))
}

// TestConnectBrowser makes a job on a network that is connected by consent on
// the way: a real browser keeps the session's cookie from the network's
// redirect, and the answers must survive it.
func TestConnectBrowser(t *testing.T) {
	b := chromium(t)
	w := start(t)
	w.fill()
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.signIn)
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("signed in", "location.pathname === '/'")
	const on = "main form[method=post] .btn-primary"

	b.open(w.url + "/jobs/new")
	b.choose("provider", "google")
	act(b, "continue", chromedp.Click(on))
	b.until("the type is asked", "location.pathname.endsWith('/type')")
	b.choose("type", "google_customer_match")
	act(b, "continue", chromedp.Click(on))
	b.until("the authorization is asked", "location.pathname.endsWith('/authorization')")
	lookAt(t, b, w, map[string]string{"job-new-connect": act(b, "address", chromedp.Evaluate[string]("location.pathname"))})
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	act(b, "connect", chromedp.Click("button[value=authorization]"))
	b.until("the form of the credentials", "location.pathname === '/authorizations/new' && document.querySelector('button[value=connect]')")
	b.enter("label", "Ads of the shop")
	for name, value := range map[string]string{
		"client_id": oauth.DefaultClientID, "client_secret": oauth.DefaultClientSecret,
		"authorize_url": "http://" + w.network + "/oauth/authorize", "token_url": "http://" + w.network + "/oauth/token",
	} {
		b.enter("config."+name, value)
	}
	act(b, "connect", chromedp.Click("button[value=connect]"))

	// Refused at the network: back at the form, with what was typed.
	b.until("the network asks", "location.pathname === '/oauth/authorize'")
	act(b, "refuse", chromedp.Click("button[value=refuse]"))
	b.until("the form again, with the answers", "location.pathname === '/authorizations/new' && document.querySelector('#f-label').value === 'Ads of the shop' && document.querySelector('.note.bad, [role=alert], [role=status]')")
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.accessible("connect-refused")
	b.shot("connect-refused")
	act(b, "connect again", chromedp.Click("button[value=connect]"))
	b.until("the network asks again", "location.pathname === '/oauth/authorize'")
	act(b, "allow", chromedp.Click("button[value=approve]"))
	b.until("back in the new job, connected", "location.pathname.endsWith('/authorization') && document.querySelector('.tile input[name=auth]:checked')")
	if all := w.authorizations(); len(all) != 1 {
		t.Fatalf("the authorizations are %+v", all)
	}
	act(b, "continue", chromedp.Click(on))
	b.until("the settings are asked", "location.pathname.endsWith('/configure')")

	// The destination is made on the way, too.
	b.enter("name", "High scores to Google")
	act(b, "new destination", chromedp.Click("button[value=destination]"))
	b.until("the form of the destination", "location.pathname === '/destinations/new' && document.querySelector('#f-account')")
	b.shot("connect-destination")
	b.enter("name", "Ads account")
	b.enter("account", "123-456-7890")
	b.enter("mapping.email_address", "email")
	act(b, "create", chromedp.Click(on))
	b.until("back at the settings, with what was typed", "location.pathname.endsWith('/configure') && document.querySelector('#f-name').value === 'High scores to Google' && document.querySelector('#f-destination_id').selectedOptions[0].innerText.startsWith('Ads account')")
	act(b, "create without consent", chromedp.Click(on))
	b.until("the terms must be agreed to", "document.querySelector('[id=\"f-config.customer_match_terms\"][aria-invalid]')")
	lookAt(t, b, w, map[string]string{"job-new-agreement": act(b, "address", chromedp.Evaluate[string]("location.pathname"))})
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	act(b, "agree", chromedp.Click("[id='f-config.customer_match_terms']"))
	b.choose("segment_ids", "high")
	act(b, "create", chromedp.Click(on))
	b.until("the job is made", "/^\\/jobs\\/[0-9a-f]{32}$/.test(location.pathname) && document.querySelector('h1').innerText === 'High scores to Google'")
	b.quiet()
}

// TestNetworkPages looks at what networks with open columns, events, templates
// and public ids have of their own.
func TestNetworkPages(t *testing.T) {
	b := chromium(t)
	w := start(t)
	w.fill()
	lookAt(t, b, w, map[string]string{"oauth-stranger": "/oauth/return?state=x&code=y"})
	b.open(w.signIn)
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("signed in", "location.pathname === '/'")
	var none, made, files, hook, end, site struct {
		ID string `json:"id"`
	}
	w.must(http.MethodPost, "/v2/field", map[string]any{"name": "city", "type": "text", "merge": "latest", "pii": false, "public": true}, &none)
	lookAt(t, b, w, map[string]string{"templates-none": "/templates", "template-new": "/templates/new"})
	w.must(http.MethodPost, "/v2/template", map[string]string{"name": "Chat message", "description": "One line for a chat", "text": "local event = std.extVar('event');\n{\n  text: 'new: ' + event.data.segments[0],\n}\n"}, &made)
	w.must(http.MethodPost, "/v2/auth/sftp", map[string]any{"label": "Partner's server", "config": map[string]string{"host": "127.0.0.1", "username": "shop", "password": "let-me-in-1", "host_key": "SHA256:uJWjuSw0FBmZ0zjGUdVyl9+tQmjqqWlwZG0XIAcfCFQ"}}, &hook)
	w.must(http.MethodPost, "/v2/destination", map[string]any{"name": "Partner's folder", "provider": "sftp", "auth_id": hook.ID, "mapping": map[string]string{"mail": "email", "customer_number": "customer"}, "config": map[string]string{"id_column": "customer_number", "hash_columns": "mail"}}, &files)
	w.must(http.MethodPost, "/v2/auth/webhook", map[string]any{"label": "Our endpoint", "config": map[string]string{"webhook_url": "http://" + w.network + "/webhook/in"}}, &hook)
	w.must(http.MethodPost, "/v2/destination", map[string]any{"name": "Endpoint", "provider": "webhook", "auth_id": hook.ID, "mapping": map[string]string{"mail": "email"}}, &end)
	w.must(http.MethodPost, "/v2/destination", map[string]any{"name": "Our site", "provider": "web", "mapping": map[string]string{"public_id": "customer", "city": "city"}}, &site)
	lookAt(t, b, w, map[string]string{
		"templates": "/templates", "template": "/templates/" + made.ID, "authorization-new-google": "/authorizations/new?provider=google",
		"authorization-new-sftp": "/authorizations/new?provider=sftp", "authorization-new-webhook": "/authorizations/new?provider=webhook",
		"destination-sftp": "/destinations/" + files.ID, "destination-web": "/destinations/" + site.ID, "destination-webhook": "/destinations/" + end.ID,
		"destination-new-web": "/destinations/new?provider=web", "destination-new-google": "/destinations/new?provider=google", "oauth-nothing": "/oauth/return?state=x&code=y",
	})

	// Trying a template shows what it makes.
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.url + "/templates/" + made.ID)
	act(b, "try", chromedp.Click("button[value=try]"))
	b.until("the payload", "document.querySelector('[role=status] pre')?.innerText.includes('\"new: vips\"')")
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.accessible("template-tried")
	b.shot("template-tried")

	// The settings of events: which stream, which columns, which template.
	for _, one := range []struct{ name, provider, workflow, check string }{
		{"stream-events", "webhook", "webhook_events", "document.querySelector('#f-stream') && document.querySelectorAll('#event-columns option').length > 8 && document.querySelector('[id=\"f-config.event_id\"]').list.id === 'event-columns' && [...document.querySelector('[id=\"f-config.template_id\"]').options].some(o => o.text === 'Chat message')"},
		{"triggers", "webhook", "webhook_triggers", "!document.querySelector('#f-stream') && document.querySelector('[id=\"f-config.audience_events\"]').value === '' && document.querySelector('[id=\"f-config.audience_events\"]').options.length === 3"},
		{"site", "web", "web_audience", "document.querySelector('#f-destination_id').value !== ''"},
		{"files", "sftp", "sftp_export", "document.querySelector('#f-destination_id').value !== ''"},
	} {
		act(b, "size", chromedp.EmulateViewport(1440, 900))
		b.open(w.url + "/jobs/new")
		b.choose("provider", one.provider)
		for at := "/jobs/new"; !strings.HasSuffix(at, "/configure"); {
			act(b, "continue", chromedp.Click("main form[method=post] .btn-primary"))
			b.until(one.name+" goes on", fmt.Sprintf("location.pathname !== %q && document.querySelector('[aria-current=step]')", at))
			at = act(b, "address", chromedp.Evaluate[string]("location.pathname"))
			switch path.Base(at) {
			case "type":
				b.choose("type", one.workflow)
			case "authorization":
				act(b, "choose", chromedp.Click(".tile input"))
			}
		}
		b.until(one.name+" is configured", "location.pathname.endsWith('/configure') && "+one.check)
		lookAt(t, b, w, map[string]string{"job-new-" + one.name: act(b, "address", chromedp.Evaluate[string]("location.pathname"))})
	}
	b.quiet()
}
