package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
)

// made submits a form that makes something and returns the path of a page that
// leads there.
func made(t *testing.T, b *browser, path string, form url.Values, list, pattern string) string {
	t.Helper()
	res, body := b.submit(path, form)
	if res.StatusCode != http.StatusSeeOther {
		t.Fatalf("POST %s: status %d: %.600s", path, res.StatusCode, body)
	}
	if list == "" {
		return res.Header.Get("Location")
	}
	_, body = b.get(list)
	m := regexp.MustCompile(`href="(` + pattern + `[0-9a-zA-Z_-]+)">` + regexp.QuoteMeta(form.Get("name"))).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("%s has no %s%s", list, pattern, form.Get("name"))
	}
	return m[1]
}

// wantForm submits a form that is answered with a page.
func wantForm(t *testing.T, b *browser, path string, form url.Values, status int, want ...string) string {
	t.Helper()
	res, body := b.submit(path, form)
	if res.StatusCode != status {
		t.Errorf("POST %s %v: status %d to %q, want %d", path, form, res.StatusCode, res.Header.Get("Location"), status)
	}
	for _, text := range want {
		if !strings.Contains(body, text) {
			t.Errorf("POST %s %v: %q is not on the page", path, form, text)
		}
	}
	return body
}

// testWho asks about people, and looks that what was asked for stays unsaid. Only
// the first three are in the audience by now.
func testWho(t *testing.T, b *browser, w *world, r activation.Run) {
	to := "/targets/" + string(r.Target) + "/explain"
	wantPage(t, b, to, "Was this person synced?", "High scores at Shop", `value="customer"`)
	wantPage(t, b, "/runs/"+string(r.ID), `action="`+to+`"`)
	body := wantForm(t, b, to, url.Values{"field": {"customer"}, "value": {"id-1"}}, http.StatusOK, ">Synced<", "found by customer", "Passed")
	if strings.Contains(body, "id-1") {
		t.Error("the answer repeats who was asked about")
	}
	wantForm(t, b, to, url.Values{"field": {"customer"}, "value": {"id-100"}}, http.StatusOK, ">Not synced<", "this is why")
	wantForm(t, b, to, url.Values{"field": {"customer"}}, http.StatusBadRequest, "e-value")
	wantForm(t, b, to, url.Values{"field": {"score"}, "value": {"90"}}, http.StatusBadRequest, "id=\"e-")
	_, page := b.get("/audit?verb=explain")
	if strings.Count(page, string(r.Target)) < 2 || strings.Contains(page, "id-100") {
		t.Error("the audit log does not tell who asked, or tells about whom")
	}
	_ = w
}

// testCompared compares the target with its network, where nobody has meddled.
func testCompared(t *testing.T, b *browser, r activation.Run) {
	target := "/targets/" + string(r.Target)
	wantPage(t, b, target, "Ledger and network", "Not compared yet", "Compare now")
	wantRedirect(t, b, target+"/reconcile", nil, target)
	// Meta tells no size of an audience as small as this.
	wantPage(t, b, target, "tells nothing that could be compared", "Nothing told", "and not who")
	if _, body := b.get(target); strings.Contains(body, ">-1<") {
		t.Error("a size that was not told is shown as a number")
	}
	if res, _ := b.submit(target+"/repair", nil); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != target {
		t.Errorf("a repair without differences: status %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

// testDecisions makes a hierarchy by the forms and decides by it.
func testDecisions(t *testing.T, b *browser, w *world) {
	wantPage(t, b, "/decisions", "No issues yet")
	wantForm(t, b, "/decisions/issues", url.Values{"name": {"Sa-les"}}, http.StatusBadRequest, "e-name", "Sa-les")
	issue := made(t, b, "/decisions/issues", url.Values{"name": {"Sales"}}, "/decisions", "/decisions/issues/")
	group := made(t, b, "/decisions/groups", url.Values{"name": {"Cards"}, "issue_id": {strings.TrimPrefix(issue, "/decisions/issues/")}}, "/decisions", "/decisions/groups/")
	of := strings.TrimPrefix(group, "/decisions/groups/")
	for field, form := range map[string]url.Values{
		"e-priority":   {"name": {"Gold"}, "group_id": {of}, "segment_ql": {"FILTER *"}, "priority": {"high"}},
		"e-segment_ql": {"name": {"Gold"}, "group_id": {of}, "segment_ql": {"FILTER nosuch > 1"}, "priority": {"1"}},
		"e-name":       {"name": {""}, "group_id": {of}, "segment_ql": {"FILTER *"}, "priority": {"1"}},
	} {
		wantForm(t, b, "/decisions/actions", form, http.StatusBadRequest, field)
	}
	gold := made(t, b, "/decisions/actions", url.Values{"name": {"Gold"}, "group_id": {of}, "segment_ql": {"FILTER score > 50"}, "priority": {"10"}, "enabled": {"true"}}, "", "")
	basic := made(t, b, "/decisions/actions", url.Values{"name": {"Basic"}, "group_id": {of}, "segment_ql": {"FILTER *"}, "priority": {"1"}, "enabled": {"true"}}, "", "")
	wantPage(t, b, "/decisions", "FILTER score &gt; 50", "Nowhere yet", "137 in Sales-Cards-Gold-N", "Takes part")

	// Three people have a high score: they would be decided for Gold, all others
	// for Basic. No job decides at the level yet.
	wantPage(t, b, "/decisions/preview?level=Sales%2FCards", "Decide at Sales / Cards", ">140<", "create the outbound job first", "Create the outbound job", "Sales/Cards/Gold")
	if _, body := b.get("/decisions/preview?level=Sales%2FCards"); !regexp.MustCompile(`Sales/Cards/Gold</a></td><td class="r num">10</td><td class="r num p1">0</td><td class="r num">3</td>`).MatchString(body) {
		t.Error("the preview does not say that 3 people would be decided for Gold")
	}
	body := wantForm(t, b, "/decisions/customer", url.Values{"id": {"id-1"}, "level": {"Sales"}}, http.StatusOK, "It is Sales/Cards/Gold", "Decided")
	if strings.Contains(body, "id-1") {
		t.Error("the answer repeats who was decided for")
	}
	wantForm(t, b, "/decisions/customer", url.Values{"id": {"id-1"}, "level": {"Sales"}, "action": {"Basic"}}, http.StatusOK, "It is Sales/Cards/Basic", "Left: Sales/Cards/Gold")
	wantForm(t, b, "/decisions/customer", url.Values{"id": {"id-9999"}, "level": {"all"}}, http.StatusOK, "Not known")
	wantForm(t, b, "/decisions/customer", url.Values{"level": {"all"}}, http.StatusBadRequest, "e-id")

	// The outbound job is made in the wizard, with the level filled in.
	at := b.next("/jobs/new", url.Values{"go": {"begin"}, "provider": {"usher"}, "type": {"next_best_action"}, "config.level": {"Sales/Cards"}, "name": {"Decide nightly"}, "run_frequency": {"daily"}})
	wantPage(t, b, at, `value="Sales/Cards" selected`, "Decide nightly")
	job := b.next(at, url.Values{"name": {"Decide nightly"}, "config.level": {"Sales/Cards"}, "run_frequency": {"daily"}})
	w.eventually("everybody is decided for", func() bool {
		_, body := b.get("/decisions")
		return strings.Contains(body, "137 in Sales-Cards-Basic\"") && strings.Contains(body, "3 in Sales-Cards-Gold\"")
	})
	wantPage(t, b, "/decisions/preview?level=Sales%2FCards", "Decide nightly", "ask-decide")
	wantRedirect(t, b, "/decisions/decide", url.Values{"level": {"Sales/Cards"}}, job)
	wantRedirect(t, b, "/decisions/decide", url.Values{"level": {"Sales"}}, "/decisions/preview?level=Sales")

	// Sending the level begins a job with it chosen.
	at = b.next("/jobs/new", url.Values{"go": {"begin"}, "level": {"Sales/Cards"}, "name": {"Send"}})
	at = b.next(b.next(at, nil), url.Values{"provider": {"meta"}})
	at = b.next(at, url.Values{"type": {"meta_custom_audience"}})
	at = b.next(at, url.Values{"auth": {w.auth}})
	wantPage(t, b, at, `<option value="Sales/Cards" selected>`, "Leave out who is in", "Hold out")
	wantForm(t, b, at, url.Values{"name": {"Send"}, "level": {"Sales/Cards"}, "holdout_percent": {"many"}}, http.StatusBadRequest, "e-holdout_percent")
	job = b.next(at, url.Values{"name": {"Send"}, "level": {"Sales/Cards"}, "destination_id": {w.dest}, "exclude": {"high"}, "holdout_percent": {"2.5"}, "run_frequency": {"monthly"}, "time_of_day": {"03:00"}, "config.customer_file_source": {"USER_PROVIDED_ONLY"}})
	wantPage(t, b, job+"/edit", `<option value="Sales/Cards" selected>`, `name="exclude" value="high" checked`, `value="2.5"`)
	wantPage(t, b, job, "Sales/Cards", "holdout_percent")

	// Another eligibility is asked about in numbers before it is saved.
	other := url.Values{"name": {"Gold"}, "segment_ql": {"FILTER score > 99"}, "priority": {"10"}, "enabled": {"true"}}
	wantForm(t, b, gold, other, http.StatusConflict, "0 people would be eligible; now 3 are", "The 3 people decided for it stay")
	wantPage(t, b, gold, "FILTER score &gt; 50")
	other.Set("confirm", "effect")
	wantRedirect(t, b, gold, other, gold)
	wantPage(t, b, gold, "FILTER score &gt; 99", "3 people leave its audience", "emptied, at 2 targets")
	wantPage(t, b, group, "It has 2 actions; delete these first")
	wantPage(t, b, issue, "It has 1 group; delete these first", "renames the audiences of its 2 actions")

	// People do not change what Usher keeps.
	wantPage(t, b, "/audiences", "Not eligible", "Sales-Cards-Gold-N")
	_, body = b.get("/audiences")
	slug := regexp.MustCompile(`href="(/audiences/[^"]+)">Sales-Cards-Basic<`).FindStringSubmatch(body)
	if slug == nil {
		t.Fatal("the audience of Basic is not listed")
	}
	_, page := b.get(slug[1])
	for _, want := range []string{"kept by Usher", "Decisions put people in", "Run now", "/targets/"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of an action's audience lacks %q", want)
		}
	}
	if strings.Contains(page, "Save audience") {
		t.Error("an action's audience is offered to be changed")
	}
	wantRedirect(t, b, job+"/kill", url.Values{"confirm": {"terminate"}}, job)
	wantRedirect(t, b, basic+"/delete", nil, "/decisions")
	if _, page := b.get("/decisions"); strings.Contains(page, ">Basic<") {
		t.Error("a deleted action is still there")
	}
}

// testPriorities makes a list and orders it by its buttons.
func testPriorities(t *testing.T, b *browser, w *world) {
	wantPage(t, b, "/priorities", "No lists yet")
	form := url.Values{"name": {"Best first"}, "destination_id": {w.dest}}
	order := func(body string) (names []string) {
		for _, m := range regexp.MustCompile(`name="order" value="([^"]+)"><span class="grow">([^<]+)`).FindAllStringSubmatch(body, -1) {
			form.Add("order", m[1])
			names = append(names, m[2])
		}
		return names
	}
	press := func(move string) []string {
		t.Helper()
		form.Set("move", move)
		body := wantForm(t, b, "/priorities", form, http.StatusOK)
		form.Del("order")
		form.Del("move")
		return order(body)
	}
	_, body := b.get("/priorities/new?destination=" + w.dest)
	for _, name := range []string{"High scores", "Low"} {
		m := regexp.MustCompile(`<option value="([^"]+)">` + name + `</option>`).FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("%s is not offered", name)
		}
		form.Set("add", m[1])
		press("add")
	}
	if got := press("up-1"); !slices.Equal(got, []string{"Low", "High scores"}) {
		t.Errorf("after up: %v", got)
	}
	if got := press("down-0"); !slices.Equal(got, []string{"High scores", "Low"}) {
		t.Errorf("after down: %v", got)
	}
	one := url.Values{"name": {"Best first"}, "destination_id": {w.dest}, "order": form["order"][:1]}
	wantForm(t, b, "/priorities", one, http.StatusBadRequest, "at least two", "Best first")
	list := made(t, b, "/priorities", form, "", "")
	wantPage(t, b, list, "Best first", "Delete list")
	wantPage(t, b, "/priorities", "Best first", "High scores</span> <span class=\"tag\">Low", "Shop")
	wantRedirect(t, b, list+"/delete", nil, "/priorities")
}
