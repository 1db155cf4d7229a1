package web_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"usher/internal/activation"
)

//go:embed testdata/axe/axe.min.js
var axe string

// tab is a page in a real browser that notes what its console complains about.
type tab struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the tab is the context
	mu  sync.Mutex
	bad []string
}

// chromium opens a browser, or skips the test where there is none.
func chromium(t *testing.T) *tab {
	t.Helper()
	if raceEnabled {
		t.Skip("make test looks at pages in a browser without the race detector, to be done in time; what serves them is tried with it by the other tests")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if strings.Contains(os.Getenv("USHER_MUST_RUN"), "browser") {
			t.Fatal("there is no browser, and this test must run")
		}
		t.Skip("there is no browser")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Headless, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("force-prefers-reduced-motion", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, timeout := context.WithTimeout(ctx, 12*time.Minute)
	t.Cleanup(timeout)
	b := &tab{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	go func() { // ends with ctx
		for m, err := range messages {
			if err != nil {
				return
			}
			if strings.HasSuffix(m.URL, "/runs/none") || strings.HasSuffix(m.URL, "/configuration") || strings.HasSuffix(m.URL, "/configure") || strings.Contains(m.URL, "/oauth/return?") || strings.HasSuffix(m.URL, "/favicon.ico") || strings.Contains(m.String(), "status of 409") {
				continue // meant: the page that is not there, files and forms with a problem, nobody who returns, the sandbox without an icon, and the question before a rebuild
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.mu.Lock()
				b.bad = append(b.bad, m.String()+" "+m.URL)
				b.mu.Unlock()
			}
		}
	}()
	return b
}

func act[T any](b *tab, what string, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		at, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.title + ' ' + document.body.innerText.slice(0, 600)"))
		b.t.Fatalf("%s: %v, at %s", what, err, at)
	}
	return v
}

func (b *tab) open(url string) { b.t.Helper(); act(b, "open "+url, chromedp.Navigate(url)) }

// until waits for an expression to be true, over page changes too.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			at, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.title + ' ' + document.body.innerText.slice(0, 600)"))
			b.t.Fatalf("%s: not within two minutes (%v), at %s", what, err, at)
		}
	}
}

// shot keeps a picture when USHER_SHOTS names a directory.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("USHER_SHOTS")
	if dir == "" {
		return
	}
	png := act(b, "picture", chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// accessible runs axe-core, which the page has been given, on the page as it is;
// only those of its rules, where some are named.
func (b *tab) accessible(name string, rules ...string) {
	b.t.Helper()
	only := ""
	if len(rules) > 0 {
		only = `, runOnly: ['` + strings.Join(rules, `', '`) + `']`
	}
	raw := act(b, "axe on "+name, chromedp.EvaluateAsDevTools[string](
		`axe.run(document, {resultTypes: ['violations']`+only+`}).then(r => JSON.stringify(r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target.join(' ') + ' — ' + n.failureSummary.replaceAll('\n', ' ')).slice(0, 3).join(' | '))))`,
		chromedp.EvalAwaitPromise))
	var violations []string
	if err := json.Unmarshal([]byte(raw), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range violations {
		b.t.Errorf("%s: %s", name, v)
	}
}

func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.bad {
		b.t.Errorf("console: %s", m)
	}
}

// TestBrowser is the console as a person uses it, with JavaScript.
func TestBrowser(t *testing.T) {
	b := chromium(t)
	w := start(t)
	w.fill()
	w.run("first run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted })

	lookAt(t, b, w, map[string]string{"login-once": "/login", "login-link": "/login?token=x", "setup": "/setup", "setup-link": "/setup?token=x"})
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.signIn)
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("overview", "document.querySelector('h1')?.innerText === 'Everything is in order'")
	b.until("live", "document.querySelector('#live b').innerText === 'Live'")

	b.open(w.url + "/sync")
	act(b, "expand", chromedp.Click("[data-expand]"))
	b.until("the opened row", "document.querySelectorAll('tr.exp:not([hidden]) .rail .done').length === 6")

	// A run that waits comes while the row is open: it may not push rows about.
	w.load(func(id int) int { return map[bool]int{true: 90, false: 10}[id < 3] })
	waiting := w.runJob(activation.RunPending)
	b.until("the newer run waits", "document.querySelector('[data-newer] span')?.innerText === '1 newer run'")
	b.until("the row stays open", "document.querySelectorAll('tr.exp:not([hidden]) .rail .done').length === 6")
	act(b, "show", chromedp.Click("[data-show-newer]"))
	b.until("the newer run is there", "document.querySelector('#sync-runs tr[id^=run-] .chip')?.innerText === 'Pending, approval'")

	b.open(w.url + "/runs/" + string(waiting.ID))
	b.until("the question", "document.querySelector('#run-guard b')?.innerText.includes('would remove 137 of the 140 people')")
	allPages(t, b, w, waiting)

	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.url + "/runs/" + string(waiting.ID))
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.until("live", "document.querySelector('#live b').innerText === 'Live'")
	act(b, "approve…", chromedp.Click("#ask-approve > summary"))
	b.until("the focus is on what is safe", "document.activeElement.matches('#ask-approve [data-keep]')")
	b.accessible("run-approve")
	b.shot("run-approve")
	act(b, "approve", chromedp.Click("#ask-approve .btn-bad.solid"))
	b.until("the run completes under the reader's eyes", "document.querySelector('#run-head .chip')?.innerText === 'Completed'")

	b.open(w.url + "/audiences/high")
	act(b, "type a rule", chromedp.SetValue("#f-segment_ql", "FILTER score > 5"))
	act(b, "type on", chromedp.SendKeys("#f-segment_ql", "0"))
	b.until("the size while typing", "document.querySelector('#tried').innerText === '3 people would be in it'")
	buildRule(b, w)
	peoplePages(t, b, w)
	b.quiet()
}

// peoplePages makes the first account, by which the one-time session ends, and
// signs in with it.
func peoplePages(t *testing.T, b *tab, w *world) {
	lookAt(t, b, w, map[string]string{"people-none": "/people", "account-once": "/account"})
	var ann activation.User
	w.must("POST", "/v2/user", map[string]string{"email": "ann@example.com", "name": "Ann", "role": "admin", "password": firstPassword}, &ann)
	lookAt(t, b, w, map[string]string{"login": "/login"})
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	act(b, "e-mail", chromedp.SendKeys("#email", "ann@example.com"))
	act(b, "password", chromedp.SendKeys("#password", firstPassword))
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("signed in with a password", "document.querySelector('h1')?.innerText === 'Everything is in order'")
	b.open(w.url + "/tokens")
	act(b, "name", chromedp.SendKeys("#f-name", "ci"))
	act(b, "make a token", chromedp.Click("form.in .btn-primary"))
	b.until("the token is shown", "document.querySelector('#made')?.value.startsWith('usher_')")
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.accessible("token-made")
	act(b, "copy", chromedp.Click("[data-copy]"))
	lookAt(t, b, w, map[string]string{"people": "/people", "person-new": "/people/new", "person": "/people/" + string(ann.ID), "tokens": "/tokens", "account": "/account"})
}

// allPages looks at every page, wide and narrow, light and dark.
func allPages(t *testing.T, b *tab, w *world, r activation.Run) {
	pages := map[string]string{
		"overview": "/", "jobs": "/jobs", "job": "/jobs/" + string(w.job), "job-new": "/jobs/new", "sync": "/sync", "run": "/runs/" + string(r.ID), "audiences": "/audiences",
		"audience": "/audiences/high", "destinations": "/destinations", "destination-new": "/destinations/new", "alerts": "/alerts", "authorizations": "/authorizations",
		"authorization-new": "/authorizations/new", "authorization-new-meta": "/authorizations/new?provider=meta", "authorization": "/authorizations/" + w.auth, "destination": "/destinations/" + w.dest,
		"settings": "/settings", "audit": "/audit", "configuration": "/configuration", "search": "/search?q=s", "search-none": "/search?q=zzz", "job-edit": "/jobs/" + string(w.job) + "/edit",
		"data": "/data", "stream": "/data/streams/people", "item": "", "help": "/help/badreq", "missing": "/runs/none",
	}
	var done []activation.Run
	w.must("GET", "/v2/run?status=completed&limit=1", nil, &done)
	pages["item"] = "/runs/" + string(done[0].ID) + "/items/1"
	pages["target"], pages["plan"] = "/targets/"+string(r.Target), "/targets/"+string(r.Target)+"/plan"
	decidedPages(t, w, pages)
	lookAt(t, b, w, pages)
	wizardPages(t, b, w)
	// The form of another mapping asks in numbers.
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.url + "/destinations/" + w.dest)
	act(b, "another mapping", chromedp.SetValue("#f-mapping\\.EMAIL", ""))
	act(b, "save", chromedp.Click("form[action^='/destinations/'] .btn-primary"))
	b.until("the question", "document.querySelector('#rebuild')?.innerText.includes('rebuilds 1 audience: 140 people')")
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.accessible("destination-rebuild")
	b.shot("destination-rebuild")
	// Somebody is asked about, and the answer does not say who.
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.url + "/runs/" + string(r.ID))
	act(b, "whom", chromedp.SendKeys("#f-value", "id-1"))
	act(b, "look", chromedp.Click("form[action$='/explain'] .btn"))
	b.until("the answer", "/Synced|Not synced/.test(document.querySelector('main [role=status]')?.innerText) && !document.body.innerHTML.includes('id-1<')")
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.accessible("who-1440")
	b.shot("who-1440-light")
	act(b, "size", chromedp.EmulateViewport(390, 900))
	b.accessible("who-390")
	b.shot("who-390-light")
	// A plan, and what is wrong by file and line.
	for name, text := range map[string]string{"plan": "kind: audience\nslug: low\nname: Low scores\nrule: FILTER score < 50\n", "problems": "kind: audience\nslug: low\nname: Low\nrule: FILTER nosuch > 1\n"} {
		act(b, "size", chromedp.EmulateViewport(1440, 900))
		b.open(w.url + "/configuration")
		act(b, "paste", chromedp.SetValue("textarea[name=text]", text))
		act(b, "plan", chromedp.Click("button[value=plan]"))
		b.until("planned", "document.querySelector('main [role=alert], #plan')")
		act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
		b.accessible("configuration-" + name)
		b.shot("configuration-" + name)
	}
}

// decidedPages makes a small hierarchy and an order of audiences, and adds their
// pages.
func decidedPages(t *testing.T, w *world, pages map[string]string) {
	b := w.as(activation.RoleOperator)
	issue := made(t, b, "/decisions/issues", url.Values{"name": {"Sales"}, "description": {"What we sell"}}, "/decisions", "/decisions/issues/")
	group := made(t, b, "/decisions/groups", url.Values{"name": {"Cards"}, "issue_id": {strings.TrimPrefix(issue, "/decisions/issues/")}}, "/decisions", "/decisions/groups/")
	of := strings.TrimPrefix(group, "/decisions/groups/")
	pages["action"] = made(t, b, "/decisions/actions", url.Values{"name": {"Gold"}, "group_id": {of}, "segment_ql": {"FILTER score > 50"}, "priority": {"10"}, "enabled": {"true"}}, "", "")
	made(t, b, "/decisions/actions", url.Values{"name": {"Basic"}, "group_id": {of}, "segment_ql": {"FILTER *"}, "priority": {"1"}}, "", "")
	var all []activation.Audience
	w.must("GET", "/v2/segment", nil, &all)
	order := url.Values{"name": {"Best first"}, "destination_id": {w.dest}}
	for _, a := range all[:2] {
		order.Add("order", string(a.ID))
	}
	pages["priority"] = made(t, b, "/priorities", order, "", "")
	pages["decisions"], pages["decide"], pages["priorities"] = "/decisions", "/decisions/preview?level=Sales", "/priorities"
}

// wizardPages walks the steps of a new job with the buttons and looks at each.
func wizardPages(t *testing.T, b *tab, w *world) {
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.url + "/jobs/new")
	act(b, "provider", chromedp.Click("input[value=meta]"))
	act(b, "continue", chromedp.Click("form[method=post] .btn-primary"))
	for _, step := range []string{"type", "authorization", "configure"} {
		b.until("step "+step, "location.pathname.endsWith('/"+step+"')")
		at := act(b, "address", chromedp.Evaluate[string]("location.pathname"))
		lookAt(t, b, w, map[string]string{"job-new-" + step: at})
		act(b, "size", chromedp.EmulateViewport(1440, 900))
		if step != "configure" {
			act(b, "choose", chromedp.Click(".tile input"))
			act(b, "continue", chromedp.Click("form[method=post] .btn-primary"))
		}
	}
}

// TestKeys opens the search by its key, finds, walks a list and other pages by
// keys, and switches them off.
func TestKeys(t *testing.T) {
	b := chromium(t)
	w := start(t)
	w.fill()
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.signIn)
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("signed in", "location.pathname === '/'")
	b.open(w.url + "/jobs")
	act(b, "slash", chromedp.KeyEvent("/"))
	b.until("the dialog", "document.querySelector('#cmd').open")
	act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
	b.accessible("search-dialog")
	b.shot("search-dialog")
	act(b, "type", chromedp.SetValue("#cmd [data-search]", "hig")) // a pressed / is typed too, which only a driven browser does
	act(b, "type on", chromedp.SendKeys("#cmd [data-search]", "h"))
	b.until("what is found", "document.querySelectorAll('#cmd-found a').length >= 2")
	b.accessible("search-dialog-found")
	b.shot("search-dialog-found")
	act(b, "escape", chromedp.KeyEvent("\x1b"))
	b.until("closed", "!document.querySelector('#cmd').open")
	act(b, "j", chromedp.KeyEvent("j"))
	b.until("the first row has the focus", "document.activeElement.closest('table[data-keys] tbody tr') === document.querySelector('table[data-keys] tbody tr')")
	act(b, "g", chromedp.KeyEvent("g"))
	act(b, "l", chromedp.KeyEvent("l"))
	b.until("alerts", "location.pathname === '/alerts'")
	b.open(w.url + "/search")
	act(b, "switch off", chromedp.Click("main [data-keys-switch] input"))
	act(b, "g", chromedp.KeyEvent("g"))
	act(b, "j", chromedp.KeyEvent("j"))
	act(b, "slash", chromedp.KeyEvent("/"))
	if act(b, "nothing happens", chromedp.Evaluate[bool]("location.pathname !== '/search' || document.querySelector('#cmd').open")) {
		t.Error("a key works although keys are switched off")
	}
	act(b, "switch on", chromedp.Click("main [data-keys-switch] input"))
	act(b, "elsewhere", chromedp.Evaluate[chromedp.Void]("void document.activeElement.blur()"))
	act(b, "slash", chromedp.KeyEvent("/"))
	b.until("the dialog again", "document.querySelector('#cmd').open")
	b.quiet()
}

// colourRules are the rules of axe that look at colours, the only thing in which
// the dark theme differs from the light one.
var colourRules = []string{"color-contrast", "link-in-text-block"}

// lookAt looks at pages, wide and narrow, light and dark.
func lookAt(t *testing.T, b *tab, w *world, pages map[string]string) {
	for name, path := range pages {
		b.open(w.url + path)
		act(b, "axe", chromedp.EvaluateAsDevTools[any](axe+";1"))
		for _, width := range []int64{1440, 390} {
			act(b, "size", chromedp.EmulateViewport(width, 900))
			for _, theme := range []string{"light", "dark"} {
				full := fmt.Sprintf("%s-%d-%s", name, width, theme)
				act(b, "theme", chromedp.Evaluate[chromedp.Void](fmt.Sprintf("void document.documentElement.setAttribute('data-bs-theme', %q)", theme)))
				if wide := act(b, "width", chromedp.Evaluate[int64]("document.documentElement.scrollWidth")); wide > width {
					t.Errorf("%s scrolls sideways: %d wide", full, wide)
				}
				if theme == "dark" {
					b.accessible(full, colourRules...)
				} else {
					b.accessible(full)
				}
				b.shot(full)
			}
		}
	}
}
