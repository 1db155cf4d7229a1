package oauth

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// asked is what a client asks a person for.
type asked struct {
	Client, Redirect, State, Scope, Challenge string
}

// page asks the person.
var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Consent (sandbox)</title></head><body>
<h1>Let {{.Client}} act for you?</h1><p>It asks for: {{.Scope}}</p><p>This is a stand-in. Nothing real is connected.</p>
<form method="post" action="authorize"><input type="hidden" name="client_id" value="{{.Client}}"><input type="hidden" name="redirect_uri" value="{{.Redirect}}"><input type="hidden" name="state" value="{{.State}}"><input type="hidden" name="scope" value="{{.Scope}}"><input type="hidden" name="code_challenge" value="{{.Challenge}}">
<button name="decision" value="approve">Allow</button> <button name="decision" value="refuse">Cancel</button></form>
</body></html>
`))

// read checks what is asked. What is wrong before the address to answer at is
// known to be right is told to the person, not sent anywhere; what is wrong after
// is told there by one of the codes of RFC 6749, section 4.1.2.1.
func (n *Network) read(q url.Values, first bool) (a asked, wrong, code string) {
	for name, values := range q {
		if len(values) > 1 {
			return a, "the parameter " + name + " is there twice", ""
		}
	}
	a = asked{Client: q.Get("client_id"), Redirect: q.Get("redirect_uri"), State: q.Get("state"), Scope: q.Get("scope"), Challenge: q.Get("code_challenge")}
	n.mu.Lock()
	client, ok := n.clients[a.Client]
	n.mu.Unlock()
	to, err := url.Parse(a.Redirect)
	switch {
	case !ok:
		return a, "no app has this client_id", ""
	case err != nil || to.Scheme != "https" && to.Scheme != "http" || to.Host == "" || to.Fragment != "" || to.User != nil:
		return a, "redirect_uri is not an address of a page", ""
	case !client.knows(a.Redirect):
		return a, "redirect_uri is not one that the app names", ""
	case first && q.Get("response_type") == "":
		return a, "", "invalid_request"
	case first && q.Get("response_type") != "code":
		return a, "", "unsupported_response_type"
	case a.State == "", a.Scope == "":
		return a, "", "invalid_request"
	case first && a.Challenge != "" && q.Get("code_challenge_method") != "S256":
		return a, "", "invalid_request"
	case a.Challenge == "" && n.opts.PKCE, a.Challenge != "" && len(a.Challenge) != 43:
		return a, "", "invalid_request"
	}
	return a, "", ""
}

// ask shows the page.
func (n *Network) ask(w http.ResponseWriter, r *http.Request) {
	if n.fails(w, r, "authorize") {
		return
	}
	a, wrong, code := n.read(r.URL.Query(), true)
	if n.answered(w, r, a, wrong, code) {
		return
	}
	n.mu.Lock()
	n.counters.Asked++
	n.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Frame-Options", "DENY")
	_ = page.Execute(w, a) // the caller may be gone
}

// decide takes the person's answer.
func (n *Network) decide(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form can't be read", http.StatusBadRequest)
		return
	}
	a, wrong, problem := n.read(r.PostForm, false)
	if n.answered(w, r, a, wrong, problem) {
		return
	}
	switch r.PostForm.Get("decision") {
	case "approve":
		n.mu.Lock()
		n.counters.Approved++
		given := n.name("ac")
		n.codes[given] = &code{client: a.Client, redirect: a.Redirect, challenge: a.Challenge, scope: a.Scope, until: n.deps.Now().Add(codeLife)}
		n.mu.Unlock()
		back(w, r, a, url.Values{"code": {given}})
	case "refuse":
		n.mu.Lock()
		n.counters.Refused++
		n.mu.Unlock()
		back(w, r, a, url.Values{"error": {"access_denied"}, "error_description": {"The person pressed Cancel"}})
	default:
		http.Error(w, "decision is approve or refuse", http.StatusBadRequest)
	}
}

// answered tells what is wrong, if anything is.
func (n *Network) answered(w http.ResponseWriter, r *http.Request, a asked, wrong, code string) bool {
	if wrong == "" && code == "" {
		return false
	}
	n.mu.Lock()
	n.counters.Errors["authorize:"+strings.TrimSpace(code)]++
	n.mu.Unlock()
	if wrong != "" {
		http.Error(w, wrong, http.StatusBadRequest)
		return true
	}
	back(w, r, a, url.Values{"error": {code}})
	return true
}

// back sends the browser where the client wants its answer.
func back(w http.ResponseWriter, r *http.Request, a asked, answer url.Values) {
	to, err := url.Parse(a.Redirect)
	if err != nil {
		http.Error(w, "redirect_uri is not an address", http.StatusBadRequest)
		return
	}
	q := to.Query()
	for name, values := range answer {
		q[name] = values
	}
	if a.State != "" {
		q.Set("state", a.State)
	}
	to.RawQuery = q.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound)
}
