package web_test

import (
	"bytes"
	"html"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/publishing"
	"usher/internal/web"
)

// TestPublishing looks at the pages of publishers, by role, over a desk of fakes.
func TestPublishing(t *testing.T) {
	w := startPublishing(t)
	admin, operator, viewer := w.as(activation.RoleAdmin), w.as(activation.RoleOperator), w.as(activation.RoleViewer)
	t.Run("nothing leaks out of its quotes", func(t *testing.T) { testEscaped(t, w, operator) })
	t.Run("roles", func(t *testing.T) { testPublishingRoles(t, operator, viewer) })
	t.Run("log", func(t *testing.T) { testActivity(t, viewer, operator) })
	t.Run("moves", func(t *testing.T) { testMoves(t, w, operator) })
	t.Run("entry", func(t *testing.T) { testEntry(t, w, operator) })
	t.Run("account", func(t *testing.T) { testPublisher(t, w, admin, operator) })
	t.Run("grid", func(t *testing.T) { testGrid(t, w, operator, viewer) })
	t.Run("many at once", func(t *testing.T) { testMulti(t, w, operator) })
	t.Run("object", func(t *testing.T) { testObject(t, w, operator) })
	t.Run("upload", func(t *testing.T) { testUpload(t, w, admin, operator, viewer) })
	t.Run("schedules", func(t *testing.T) { testSchedules(t, w, operator) })
	t.Run("bidding", func(t *testing.T) { testBidding(t, w, operator) })
}

// TestWithoutPublishing: a server that has no desk has none of its pages.
func TestWithoutPublishing(t *testing.T) {
	d := startData(t)
	b := d.as(activation.RoleAdmin)
	for _, path := range []string{"/activity", "/publishers", "/publishers/new"} {
		if res, _ := b.get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d", path, res.StatusCode)
		}
	}
	_, body := b.get("/")
	wantNot(t, body, "the overview", "/activity", "/publishers")
}

var publishingPages = []string{
	"/activity", "/activity?status=held", "/activity?publisher=shop&view=order", "/activity/1041", "/activity/1038", "/activity/1030", "/activity/1034", "/activity/1041/open", "/activity/1038/open",
	"/publishers", "/publishers/new", "/publishers/new?provider=adverts", "/publishers/shop", "/publishers/shop/structure", "/publishers/shop/structure?kind=keyword", "/publishers/shop/structure?kind=other",
	"/publishers/shop/structure/new?type=keyword", "/publishers/shop/object/campaign/13", "/publishers/shop/object/keyword/31", "/publishers/shop/upload", "/publishers/shop/schedules", "/publishers/shop/bidding", "/publishers/shop/bidding/b1", "/publishers/shop/bidding/new",
}

var publishingForms = []string{
	"/activity", "/activity/1034", "/activity/undo/hold", "/publishers/shop/sync", "/publishers/shop/check", "/publishers/shop/structure", "/publishers/shop/structure/cell", "/publishers/shop/structure/new",
	"/publishers/shop/object/campaign/11", "/publishers/shop/object/campaign/11/delete", "/publishers/shop/upload", "/publishers/shop/upload/confirm", "/publishers/shop/schedules", "/publishers/shop/schedules/s1/delete",
	"/publishers/shop/bidding/b1", "/publishers/shop/bidding/b1/run", "/publishers/shop/bidding/b1/override", "/publishers/shop/bidding/b1/delete",
}

var publishingAdmins = []string{"/publishers", "/publishers/shop", "/publishers/shop/unlink"}

func testEscaped(t *testing.T, w *publishWorld, b *browser) {
	for _, path := range publishingPages {
		res, body := b.get(path)
		if res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: status %d: %.200s", path, res.StatusCode, body)
		}
		wantNot(t, body, path, nasty, "<no value>", "%!")
	}
	_, body := b.get("/publishers/shop/structure")
	if !strings.Contains(body, html.EscapeString(nasty)) {
		t.Error("the campaign with a script for a name is not in the grid")
	}
	b2 := w.browser()
	for _, path := range publishingPages {
		if res, _ := b2.get(path); res.Header.Get("Location") != "/login" {
			t.Errorf("GET %s without a session: status %d", path, res.StatusCode)
		}
	}
}

func testPublishingRoles(t *testing.T, operator, viewer *browser) {
	for _, path := range append(slices.Clone(publishingForms), publishingAdmins...) {
		if res, body := viewer.submit(path, nil); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "Your role may only look") {
			t.Errorf("a viewer posts to %s: status %d", path, res.StatusCode)
		}
		for _, token := range []string{"", "wrong"} {
			if res, body := operator.post(path, form("csrf_token", token, "command", "cancel", "id", "1037", "sure", "1")); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "Nothing was changed") {
				t.Errorf("POST %s with token %q: status %d", path, token, res.StatusCode)
			}
		}
	}
	for _, path := range publishingAdmins {
		if res, _ := operator.submit(path, nil); res.StatusCode != http.StatusForbidden {
			t.Errorf("an operator posts to %s: status %d", path, res.StatusCode)
		}
	}
	// Nothing of a page can be sent by a viewer: its buttons say why they are off.
	for _, path := range publishingPages {
		_, body := viewer.get(path)
		_, main, _ := strings.Cut(body, "<main")
		for _, form := range regexp.MustCompile(`(?s)<form[^>]* method="post".*?</form>`).FindAllString(main, -1) {
			if regexp.MustCompile(`<button(| [^>]*)>`).MatchString(strings.ReplaceAll(form, `<button type="button"`, "<off")) {
				t.Errorf("GET %s: a viewer may press %.300s", path, form)
			}
		}
	}
	for _, path := range []string{"/publishers/shop", "/publishers/shop/structure", "/activity", "/activity/1037", "/publishers/shop/bidding/b1"} {
		if _, body := viewer.get(path); !strings.Contains(body, "Your role may only look") && !strings.Contains(body, "This needs the role") {
			t.Errorf("GET %s does not tell a viewer why", path)
		}
	}
}

// rowsIn are the ids of the entries of a page, in its order.
func rowsIn(body string) (out []string) {
	for _, m := range regexp.MustCompile(`<tr id="run-(\d+)"`).FindAllStringSubmatch(body, -1) {
		out = append(out, m[1])
	}
	return out
}

func wantRows(t *testing.T, b *browser, path string, want ...string) {
	t.Helper()
	_, body := b.get(path)
	if got := rowsIn(body); !slices.Equal(got, want) {
		t.Errorf("GET %s: rows %v, want %v", path, got, want)
	}
}

func testActivity(t *testing.T, viewer, operator *browser) {
	// Without a filter an upload is one line; with one, its rows are lines themselves.
	wantRows(t, viewer, "/activity", "1041", "1040", "1039", "1038", "1037", "1036", "1035", "1034", "1033", "1030", "1029")
	wantRows(t, viewer, "/activity?status=failed", "1043", "1030")
	wantRows(t, viewer, "/activity?upload=1041&publisher=shop", "1044", "1043", "1042")
	wantRows(t, viewer, "/activity?origin=system", "1040")
	wantRows(t, viewer, "/activity?object=keyword&operation=bid", "1040", "1037")
	wantRows(t, viewer, "/activity?q=coats", "1034", "1030", "1029")
	wantRows(t, viewer, "/activity?ref=group:21", "1039", "1035")
	wantRows(t, viewer, "/activity?publisher=outlet")
	wantRows(t, viewer, "/activity?within=custom&since=2026-11-20&until=2026-11-19")
	// In the order of posting, with places: origin, then object, then operation, then id.
	_, body := viewer.get("/activity?publisher=shop&view=order")
	if got, want := rowsIn(body), []string{"1033", "1036", "1034", "1038", "1035", "1039", "1037", "1040"}; !slices.Equal(got, want) {
		t.Errorf("in order: %v, want %v", got, want)
	}
	wantPage(t, viewer, "/activity?publisher=shop&view=order", `<td class="r num p1">8</td>`)
	wantPage(t, operator, "/activity", "Activity log", `title="8 changes wait">8<`, ">Held <span class=\"num\">2<", "Held, conflict", "1 of 3 done", "What is sent next, and why", `class="tag win">Campaign<`, "All 13 matching", "Budget amount is below the minimum")
	wantPage(t, operator, "/activity?status=held&publisher=shop", "All 2 matching", "at 20:00 Europe/Berlin")
	wantPage(t, operator, "/activity?q=parka", "All that match")
	wantPage(t, viewer, "/activity?within=custom&since=2026-11-20&until=2026-11-19", "The last day is before the first", "No change fits these filters")
	wantPage(t, viewer, "/activity/1041/open", "1043", "The resource was not found", "/activity/1041/errors.csv")
	wantPage(t, viewer, "/activity/1037/open", "100,000 deletes by upload", "0.55")
	wantPage(t, viewer, "/search?q=%231034", "Budget of “Coats, search”", "/activity/1034")
	wantPage(t, viewer, "/search?q=471108", "/publishers/shop")
	wantPage(t, viewer, "/jobs/new", "File server")
	if res, _ := viewer.get("/events?page=nothing"); res.StatusCode != http.StatusNotFound {
		t.Error("there is a stream of nothing")
	}
}

func testMoves(t *testing.T, w *publishWorld, b *browser) {
	status := func(id activation.EntryID) activation.EntryStatus {
		v, err := w.desk.Entry(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return v.Status
	}
	// Hold and its undo: what was held before stays so.
	wantRedirect(t, b, "/activity?status=to_be_sent", form("command", "hold", "id", "1037", "id", "1039"), "/activity?status=to_be_sent")
	_, page := b.get("/activity")
	if !strings.Contains(page, "Held 1 change. 1 change left as it is: it is held already.") {
		t.Error("what a hold did is not said")
	}
	undo := regexp.MustCompile(`action="(/activity/undo/[^"]+)"`).FindStringSubmatch(page)
	if undo == nil || undo[1] != "/activity/undo/release?ids=1037" {
		t.Fatalf("undo: %v", undo)
	}
	wantRedirect(t, b, undo[1], nil, "/activity")
	if status(1037) != activation.EntryToBeSent || status(1039) != activation.EntryHeld {
		t.Errorf("after undo: %s, %s", status(1037), status(1039))
	}
	// Cancel asks in numbers, and does nothing by that.
	body := wantAnswer(t, b, "/activity?origin=user", form("command", "cancel", "id", "1037", "id", "1034"), http.StatusOK, "Cancel 1 change?", "It will never be sent", "stays as it is: It is queued already", `name="sure" value="1"`, `name="id" value="1034"`)
	if status(1037) != activation.EntryToBeSent || !strings.Contains(body, `href="/activity?origin=user" autofocus`) {
		t.Error("the question cancelled, or has no way back")
	}
	wantRedirect(t, b, "/activity", form("command", "cancel", "id", "1037", "sure", "1"), "/activity")
	if status(1037) != activation.EntryCancelled {
		t.Errorf("cancelled: %s", status(1037))
	}
	// All that match asks too, whatever the command.
	wantAnswer(t, b, "/activity?status=failed", form("command", "retry", "all", "1"), http.StatusOK, "Retry 2 changes?", `name="all" value="1"`)
	// An upload stands for its rows.
	wantRedirect(t, b, "/activity", form("command", "retry", "id", "1041"), "/activity")
	if status(1043) != activation.EntryQueued || status(broken) != activation.EntryFailed {
		t.Errorf("retry of an upload: %s, %s", status(1043), status(broken))
	}
	// Post all now goes account by account and leaves what is held.
	wantAnswer(t, b, "/activity", form("command", "post_all"), http.StatusOK, "Post 2 changes now?", "The 2 held changes stay held", "<dt>Shop</dt>", "2 changes")
	wantRedirect(t, b, "/activity", form("command", "post_all", "sure", "1"), "/activity")
	if status(1036) != activation.EntryQueued || status(1039) != activation.EntryHeld {
		t.Errorf("post all: %s, %s", status(1036), status(1039))
	}
	wantPage(t, b, "/activity", "Posted 2 changes.")
	wantAnswer(t, b, "/activity", form("command", "post_all"), http.StatusOK, "Nothing to post")
	wantRedirect(t, b, "/activity", form("command", "hold"), "/activity")
	wantPage(t, b, "/activity", "Tick the changes first.")
	wantAnswer(t, b, "/activity", form("command", "explode", "id", "1039"), http.StatusNotFound)
}

func testEntry(t *testing.T, w *publishWorld, b *browser) {
	wantPage(t, b, "/activity/1038", "The publisher has another value by now", "48.00", "55.00", "Overwrite with ours", "Take theirs")
	wantPage(t, b, "/activity/1030", "BADREQ-PUB-002", "Budget amount is below the minimum of 0.01", "req-9f2", "Retry")
	wantPage(t, b, "/activity/1033", "Place 100,001 of its account", "Behind #1041: 100,000 deletes by upload", "in about 1 h 10 min", "Directly behind", "100,000")
	wantPage(t, b, "/activity/1040", "Bidding", "210.00", "Conversions")
	wantPage(t, b, "/activity/1041", "Upload", "Cancelled <b", "/activity/1041/errors.csv")
	wantPage(t, b, "/activity/1043", "row 3 of", "Upload #1041")
	// Of what the publisher has no more only Cancel is left.
	gone := func(is bool) {
		w.desk.mu.Lock()
		defer w.desk.mu.Unlock()
		w.desk.objects[2].Removed = is
		for i := range w.desk.entries {
			if w.desk.entries[i].ID == conflict {
				w.desk.entries[i].Changes[0].Theirs = map[bool]string{true: "removed", false: "48.00"}[is]
			}
		}
	}
	gone(true)
	wantPage(t, b, "/activity/1038", "The publisher does not have it any more", "Cancel this change")
	_, body := b.get("/activity/1038")
	wantNot(t, body, "a conflict with what is gone", "Overwrite with ours", "Take theirs", "removed.00", "has another value")
	gone(false)
	wantRedirect(t, b, "/activity/1038", form("command", "cancel"), "/activity/1038")
	if got := w.desk.last(); got != "cancel 1 by operator" {
		t.Errorf("take theirs: %s", got)
	}
	wantAnswer(t, b, "/activity/1038", form("command", "post_all"), http.StatusNotFound)
	for _, path := range []string{"/activity/9", "/activity/x", "/activity/9/errors.csv", "/activity/9/open"} {
		if res, _ := b.get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d", path, res.StatusCode)
		}
	}
	var res *http.Response
	res, body = b.get("/activity/1041/errors.csv")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "Keyword,Result") || res.Header.Get("Content-Disposition") != `attachment; filename="upload-1041-errors.csv"` {
		t.Errorf("error file: status %d, %v: %s", res.StatusCode, res.Header, body)
	}
}

func testPublisher(t *testing.T, w *publishWorld, admin, operator *browser) {
	wantPage(t, operator, "/publishers", "Shop", "4711081500", "Europe/Berlin", "Running", "/activity?publisher=shop", "This needs the role admin")
	wantPage(t, admin, "/publishers/new", "Google Ads", "Campaigns, ad groups, keywords, shared budgets", "/publishers/new?provider=adverts")
	wantPage(t, admin, "/publishers/new?provider=adverts", "Shop&#39;s credentials (not checked)", "The ten digits", "Manager account", "/authorizations/new?provider=adverts&amp;return=%2Fpublishers%2Fnew%3Fprovider%3Dadverts")
	// The detour to new credentials comes back here.
	wantPage(t, admin, "/authorizations/new?provider=adverts&return=%2Fpublishers%2Fnew%3Fprovider%3Dadverts", "return=%2Fpublishers%2Fnew%3Fprovider%3Dadverts")
	given := form("provider", "adverts", "auth_id", string(w.auth.ID), "account", "12", "name", "Kept name", "nightly_at", "21:00", "config.manager", "42")
	wantAnswer(t, admin, "/publishers", given, http.StatusBadRequest, "Kept name", "Must be ten digits", "Look at what is marked: Account.", `value="21:00"`, `value="42"`)
	w.desk.wrong = &activation.Error{Kind: activation.Unauthorized, Code: "UNAUTHORIZED-1", Message: "the publisher does not take these credentials"}
	wantAnswer(t, admin, "/publishers", given, http.StatusBadRequest, "The publisher does not take these credentials")
	wantRedirect(t, operator, "/publishers/shop/check", nil, "/publishers/shop")
	wantPage(t, operator, "/publishers/shop", "does not take these credentials")
	w.desk.wrong = nil
	given.Set("account", "1234567890")
	wantRedirect(t, admin, "/publishers", given, "/publishers/new")
	if got := w.desk.told[max(0, len(w.desk.told)-1):]; !slices.Equal(got, []string{"link Kept name 1234567890 21:00 42 by admin"}) {
		t.Errorf("told: %s", got)
	}
	wantPage(t, operator, "/publishers/shop", "Sync job", "Post job", "20:00", "Sync now", "Read costs", "per day, EUR", `data-style="up"`, "2026-11-20", "What is sent next")
	wantPage(t, operator, "/publishers/shop?range=7d", "<dd class=\"num b\">309.75</dd>")
	wantPage(t, operator, "/publishers/shop?range=custom&since=2026-11-19&until=2026-11-18", "must not be before the first", "The last 30 days are shown")
	w.desk.yen = true
	_, euros := operator.get("/publishers/shop?range=7d")
	_, yen := operator.get("/publishers/shop?range=7d&currency=JPY")
	if !strings.Contains(euros, "309.75") || !strings.Contains(yen, "49,560.00") || !strings.Contains(euros, "they are never added up") {
		t.Error("currencies are added up, or not shown apart")
	}
	w.desk.yen = false
	wantRedirect(t, operator, "/publishers/shop/sync", form("what", "costs"), "/publishers/shop")
	if got := w.desk.last(); got != "sync costs of shop by operator" {
		t.Errorf("told: %s", got)
	}
	wantAnswer(t, admin, "/publishers/shop", form("name", "Shop 2", "nightly_at", "late"), http.StatusBadRequest, "Must be a time", "Shop 2", "<details class=\"card more\" id=\"settings\" open>")
	wantRedirect(t, admin, "/publishers/shop", form("name", "Shop 2", "nightly_at", "22:00"), "/publishers/shop")
	wantPage(t, admin, "/publishers/shop", "Unlink “Shop”?", "waiting changes", "Nothing is changed at Google Ads")
	wantRedirect(t, admin, "/publishers/outlet/unlink", nil, "/publishers")
	if got := w.desk.last(); got != "unlink outlet by admin" {
		t.Errorf("told: %s", got)
	}
	if res, _ := operator.get("/publishers/outlet"); res.StatusCode != http.StatusNotFound {
		t.Errorf("an account that is unlinked: status %d", res.StatusCode)
	}
}

func testGrid(t *testing.T, w *publishWorld, b, viewer *browser) {
	wantPage(t, b, "/publishers/shop/structure", "Daily budget", "Bidding", "Serving", "150.00", "the publisher has </span>120.00", "1 waiting", "New campaign", "Gift cards", "Cost 7 d (EUR)", ">309.75<", `name="field"`)
	_, body := viewer.get("/publishers/shop/structure")
	wantNot(t, body, "a viewer's grid", `name="id"`, "data-cell", "/structure/new")
	wantPage(t, b, "/publishers/shop/structure?kind=keyword&parent=group:21", "Parkas", "winter parka", "Match")
	wantPage(t, b, "/publishers/shop/structure?kind=keyword&q=zzz", "Nothing fits these filters")
	// A cell opens by a link, and is saved by a form; what can't be changed has no link.
	_, grid := b.get("/publishers/shop/structure?kind=keyword")
	if !strings.Contains(grid, "edit=keyword%3A31%3Abid") || strings.Contains(grid, "edit=keyword%3A31%3Amatch") {
		t.Error("the wrong cells can be edited")
	}
	wantPage(t, b, "/publishers/shop/structure?kind=keyword&edit=keyword%3A31%3Abid", `name="field.bid" value="0.55"`, "Save Bid")
	cell := form("ref", "keyword:31", "field", "bid", "field.bid", "0.6", "send", "now", "keep", "kind=keyword&q=parka")
	wantRedirect(t, b, "/publishers/shop/structure/cell", cell, "/publishers/shop/structure?kind=keyword&q=parka#o-keyword-31")
	if got := w.desk.last(); got != "set keyword 31 map[bid:0.6] clear [] parent  send now from console by operator" {
		t.Errorf("told: %s", got)
	}
	cell.Set("part", "1")
	body = wantAnswer(t, b, "/publishers/shop/structure/cell", cell, http.StatusOK, `<tr id="o-keyword-31"`, "0.6")
	wantNot(t, body, "a row alone", "<html", "<tr id=\"o-keyword-32\"")
	cell.Set("field.bid", "cheap")
	wantAnswer(t, b, "/publishers/shop/structure/cell", cell, http.StatusOK, `aria-invalid="true" aria-describedby="cell-wrong"`, `id="cell-wrong" role="alert">Bid: must be an amount such as 0.55.`, `value="cheap"`)
	cell.Set("field.bid", "")
	wantAnswer(t, b, "/publishers/shop/structure/cell", cell, http.StatusOK, `<tr id="o-keyword-31"`)
	if got := w.desk.last(); got != "set keyword 31 map[] clear [bid] parent  send now from console by operator" {
		t.Errorf("told: %s", got)
	}
	wantAnswer(t, b, "/publishers/shop/structure/cell", form("ref", "keyword:99", "field", "bid", "field.bid", "1", "part", "1"), http.StatusNotFound)
}

func testMulti(t *testing.T, w *publishWorld, b *browser) {
	const path = "/publishers/shop/structure?kind=campaign"
	told := len(w.desk.told)
	wantAnswer(t, b, path, form("do", "pause", "id", "campaign:11", "id", "campaign:12"), http.StatusOK, "Pause 2 campaigns?", "Nothing was changed yet", "Pause 1<", "Are so already")
	wantAnswer(t, b, "/publishers/shop/structure?kind=keyword", form("do", "pause", "id", "keyword:31"), http.StatusOK, "winter parka</a><div class=\"xs mute\">Parkas</div>")
	wantAnswer(t, b, path, form("do", "field", "field", "budget", "id", "campaign:11"), http.StatusOK, "Say what to", `name="field.budget"`, "Preview")
	wantAnswer(t, b, path, form("do", "field", "field", "budget", "id", "campaign:11", "field.budget", "99"), http.StatusOK, "150.00", "Change 1<", `name="previewed" value="99"`)
	// What is pressed must be what was shown.
	wantAnswer(t, b, path, form("do", "field", "field", "budget", "id", "campaign:11", "field.budget", "98", "previewed", "99", "sure", "1"), http.StatusOK, `name="previewed" value="98"`)
	if len(w.desk.told) != told {
		t.Errorf("a preview did something: %v", w.desk.told[told:])
	}
	wantAnswer(t, b, path, form("do", "field", "field", "budget", "id", "campaign:11", "field.budget", "x", "previewed", "x", "sure", "1"), http.StatusBadRequest, "Nothing was changed: Daily budget: must be an amount")
	wantRedirect(t, b, path, form("do", "pause", "all", "1", "sure", "1", "previewed", "paused", "send", "hold"), path)
	wantPage(t, b, path, "2 edits. They are held until somebody posts them.")
	wantRedirect(t, b, path, form("do", "delete", "id", "campaign:12", "sure", "1"), path)
	if got := w.desk.last(); got != "delete campaign 12 map[] clear [] parent  send nightly from console by operator" {
		t.Errorf("told: %s", got)
	}
	wantRedirect(t, b, path, form("do", "pause"), path)
	wantPage(t, b, path, "Tick the rows first.", "To be deleted")
	wantRedirect(t, b, path, form("do", "field", "field", "serving", "id", "campaign:11"), path)
	wantPage(t, b, path, "Choose a field that can be changed.")
	wantRedirect(t, b, "/publishers/shop/structure?kind=other", form("do", "delete", "id", "other:41"), "/publishers/shop/structure?kind=other")
}

func testObject(t *testing.T, w *publishWorld, b *browser) {
	const path = "/publishers/shop/object/campaign/11"
	wantPage(t, b, path, "At the publisher", "<b>150.00</b>", "120.00", "Waiting changes", "1034", "History", "1029", "Ad groups", "Schedule", "Delete “Coats, search”?", `name="field.budget"`)
	_, body := b.get(path)
	wantNot(t, body, path, `name="field.start"`, `name="field.serving"`)
	wantRedirect(t, b, path, form("field.name", "Coats, search", "field.budget", "175.00", "field.start", "2027-01-01x", "send", "now"), path)
	if got := w.desk.last(); !strings.HasPrefix(got, "set campaign 11 map[budget:175.00") {
		t.Errorf("told: %s", got)
	}
	wantAnswer(t, b, path, form("field.budget", "many"), http.StatusBadRequest, "e-field.budget", "Look at what is marked: Daily budget.", `value="many"`)
	wantRedirect(t, b, path, form("field.budget", "175.00"), path)
	wantPage(t, b, path, "Nothing changes")
	wantRedirect(t, b, path+"/delete", form("send", "hold"), path)
	wantPage(t, b, path, "It is held until somebody posts it", "It is to be deleted. Cancel that change to edit it again.")
	// A new object, in what it lies in.
	wantPage(t, b, "/publishers/shop/structure/new?type=keyword&parent=group:21", `<option value="group:21" selected>Parkas</option>`, `name="field.match"`)
	wantAnswer(t, b, "/publishers/shop/structure/new", form("type", "keyword", "field.keyword", "kept words"), http.StatusBadRequest, "Choose the ad group", "Look at what is marked: Ad group.", "kept words")
	wantRedirect(t, b, "/publishers/shop/structure/new", form("type", "keyword", "parent", "group:21", "field.keyword", "rain parka", "field.bid", "0.2"), "/publishers/shop/object/keyword/new-3000")
	if got := w.desk.last(); got != "create keyword new-3000 map[bid:0.2 keyword:rain parka] clear [] parent 21 send nightly from console by operator" {
		t.Errorf("told: %s", got)
	}
	for _, path := range []string{"/publishers/shop/object/campaign/99", "/publishers/none/structure", "/publishers/shop/structure?kind=creative", "/publishers/shop/structure/new?type=nothing"} {
		if res, _ := b.get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d", path, res.StatusCode)
		}
	}
}

// give uploads a file by the page's form.
func give(t *testing.T, b *browser, path, name, text string) (*http.Response, string) {
	t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	_ = m.WriteField("csrf_token", b.csrf)
	if name != "" {
		f, err := m.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(text))
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.w.url+path, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", m.FormDataContentType())
	return b.do(req)
}

var keptID = regexp.MustCompile(`name="kept" value="([^"]+)"`)

func testUpload(t *testing.T, w *publishWorld, admin, b, viewer *browser) {
	const path = "/publishers/shop/upload"
	if res, _ := give(t, viewer, path, "x.csv", "a"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a viewer uploads: status %d", res.StatusCode)
	}
	if res, body := give(t, b, path, "", ""); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Choose a file first") {
		t.Errorf("no file: status %d", res.StatusCode)
	}
	if res, body := give(t, b, path, "x.csv", "\x00"); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "The file is neither CSV nor TSV.") {
		t.Errorf("no table: status %d", res.StatusCode)
	}
	res, body := give(t, b, path, "q4.csv", "wrong rows")
	for _, want := range []string{"What “q4.csv” would do", "CSV, UTF-8, 167 rows", ">120<", ">41<", "2 rows are wrong", "“cheap” is no amount", "Max. CPC", "passed over", "2 of 3", html.EscapeString(nasty), "0.42", "Leave out the 2 rows", "Take 124 changes"} {
		if !strings.Contains(body, want) {
			t.Errorf("the preview does not say %q", want)
		}
	}
	wantNot(t, body, "a preview", nasty)
	kept := keptID.FindStringSubmatch(body)
	if res.StatusCode != http.StatusOK || kept == nil {
		t.Fatalf("preview: status %d, kept %v", res.StatusCode, kept)
	}
	wantAnswer(t, b, path+"/confirm", form("kept", kept[1], "send", "now"), http.StatusBadRequest, "rows are wrong", "Take 124 changes")
	// Another person can't confirm it, and nobody twice.
	wantRedirect(t, admin, path+"/confirm", form("kept", kept[1], "skip_errors", "1"), path)
	wantRedirect(t, b, path+"/confirm", form("kept", kept[1], "skip_errors", "1", "send", "now"), "/activity/1041")
	if got := w.desk.last(); got != "upload q4.csv to shop send now skip true by operator" || w.desk.uploaded != "wrong rows" {
		t.Errorf("told: %s, of %q", got, w.desk.uploaded)
	}
	wantRedirect(t, b, path+"/confirm", form("kept", kept[1], "skip_errors", "1"), path)
	wantPage(t, b, path, "The file is not kept any more", "q4-clean.csv", "/activity/1041/errors.csv")
	// What was kept the longest makes room.
	var ids []string
	for range 9 {
		_, body := give(t, b, path, "ok.csv", "fine")
		ids = append(ids, keptID.FindStringSubmatch(body)[1])
	}
	wantRedirect(t, b, path+"/confirm", form("kept", ids[0]), path)
	wantRedirect(t, b, path+"/confirm", form("kept", ids[8]), "/activity/1041")
	if res, body := b.get(path + "/template.csv"); res.StatusCode != http.StatusOK || !strings.Contains(body, "Coats") || !strings.Contains(res.Header.Get("Content-Disposition"), "campaigns.csv") {
		t.Errorf("template: status %d", res.StatusCode)
	}
}

func testSchedules(t *testing.T, w *publishWorld, b *browser) {
	const path = "/publishers/shop/schedules"
	wantPage(t, b, path, "Monday to Friday at 19:00", "Fri 20 Nov 2026, 19:00", "Europe/Berlin", "Once", "#1029", `name="days" value="7"`)
	wantPage(t, b, path+"?object=group:21", `<option value="group:21" selected>Parkas</option>`)
	// 2026-11-21 is a Saturday; the first Monday after it is the 23rd, 08:00 in Berlin.
	wantRedirect(t, b, path, form("action", "resume", "object", "group:21", "day", "2026-11-21", "hour", "8", "days", "1"), path)
	if got := w.desk.last(); got != "schedule resume 21 at 2026-11-23T07:00:00Z days [1] by operator" {
		t.Errorf("told: %s", got)
	}
	wantPage(t, b, path, "resume on Monday 23 November 2026 at 08:00")
	wantAnswer(t, b, path, form("action", "pause", "day", "2026-11-21", "hour", "8"), http.StatusBadRequest, "Choose what is to be paused")
	wantAnswer(t, b, path, form("action", "pause", "object", "campaign:11", "day", "soon", "hour", "8"), http.StatusBadRequest, "Give a day such as")
	wantAnswer(t, b, path, form("action", "pause", "object", "campaign:11", "day", "2026-11-21", "hour", "8:30"), http.StatusBadRequest, "Choose a full hour")
	wantRedirect(t, b, path+"/s1/delete", nil, path)
	if got := w.desk.last(); got != "unschedule s1 by operator" {
		t.Errorf("told: %s", got)
	}
}

func testBidding(t *testing.T, w *publishWorld, b *browser) {
	const path = "/publishers/shop/bidding"
	wantPage(t, b, path, "Parkas at 8 euros", "EUR 8.00 a conversion", "Preview only", "400% value for cost", "From EUR 0.10 to 1.20")
	wantPage(t, b, path+"/b1", "2 change, 1 stay", `winter parka</a><div class="xs mute nw">Parkas`, `waterproof parka (Parkas)</option>`, "&#43;19.0%", "-20.0%", "Only 4 conversions", "Conversions 18", "A step is at most 20%", "2026-12-24", `value="campaign:11" checked`)
	wantAnswer(t, b, path+"/new", form("name", "Kept", "floor", "cheap"), http.StatusBadRequest, "Must be a number", "Kept")
	wantAnswer(t, b, path+"/new", form("name", "Kept", "floor", "2", "ceiling", "1"), http.StatusBadRequest, "Must be the lowest bid or more")
	wantRedirect(t, b, path+"/new", form("name", "New", "mode", "traffic", "goal", "cpa", "kind", "keyword", "target", "7,5", "floor", "0.1", "ceiling", "2", "within", "campaign:12"), path+"/b9")
	if got := w.desk.last(); got != "strategy New traffic cpa 0.1-2 target 7.5 within [{campaign 12}] by operator" {
		t.Errorf("told: %s", got)
	}
	wantRedirect(t, b, path+"/b1/run", nil, path+"/b1")
	wantPage(t, b, path+"/b1", "Calculated 3 bids, of which 2 would change.")
	wantAnswer(t, b, path+"/b1/override", form("bid", "x", "until", "y"), http.StatusBadRequest, "Choose whose bid", "Must be a number", "Give a day such as")
	wantRedirect(t, b, path+"/b1/override", form("object", "keyword:32", "bid", "0.5", "until", "2026-12-31"), path+"/b1")
	if got := w.desk.last(); got != "override b1 32 0.5 until 2026-12-31 by operator" {
		t.Errorf("told: %s", got)
	}
	wantRedirect(t, b, path+"/b2/delete", nil, path)
	if res, _ := b.get(path + "/none"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a strategy that is not there: status %d", res.StatusCode)
	}
}

// The desk of the server is what the console asks for.
var _ web.Publishing = (*publishing.Desk)(nil)
