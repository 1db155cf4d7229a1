package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/api/client"
)

// TestConsole walks one server through a story and looks at the pages on the way.
func TestConsole(t *testing.T) {
	w := start(t)
	stranger := w.browser()
	t.Run("sign-in is asked for", func(t *testing.T) { testSignInAsked(t, stranger) })

	b := w.signedIn()
	t.Run("the sign-in works once", func(t *testing.T) {
		_, token, _ := strings.Cut(w.signIn, "token=")
		if res, body := w.browser().post("/login", url.Values{"token": {token}}); res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "not known") {
			t.Errorf("second use: status %d", res.StatusCode)
		}
	})
	t.Run("empty pages offer the first step", func(t *testing.T) {
		for path, want := range map[string]string{
			"/": "First steps", "/jobs": "No jobs yet", "/sync": "No runs yet", "/audiences": "No audiences yet", "/destinations": "No destinations yet",
			"/authorizations": "No authorizations yet", "/alerts": "No rules yet", "/data": "No streams yet",
		} {
			wantPage(t, b, path, want)
		}
	})

	w.fill()
	done := w.run("first run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted })
	t.Run("pages show what there is", func(t *testing.T) { testPages(t, b, w, done) })
	t.Run("rules and what audiences are made of", func(t *testing.T) {
		testRules(t, b)
		testInsight(t, b, w)
	})
	t.Run("forms keep what was typed", func(t *testing.T) { testForms(t, b) })
	t.Run("a form without its token is refused", func(t *testing.T) { testCSRF(t, b, w, done) })
	t.Run("a job takes commands", func(t *testing.T) { testCommands(t, b, w) })

	// Everyone but three leaves: the guard asks.
	w.load(func(id int) int {
		if id < 3 {
			return 90
		}
		return 10
	})
	waiting := w.runJob(activation.RunPending)
	t.Run("a run that waits says what approving does", func(t *testing.T) {
		path := "/runs/" + string(waiting.ID)
		wantPage(t, b, path, "would remove 137 of the 140 people", "Declining keeps these 137 people", "Approve 137 removals", "It asks because more than 20%")
		wantPage(t, b, "/", "1 run waits for your approval", "Approve 137 removals")
		wantRedirect(t, b, path+"/approve", nil, path)
		w.run("approved run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted && r.Counts.Removed == 137 })
		wantPage(t, b, path, "Completed", "in after = in before", "Approved by <b>admin</b>")
	})
	t.Run("was this person synced", func(t *testing.T) { testWho(t, b, w, waiting) })
	t.Run("differences are found and mended", func(t *testing.T) { testCompared(t, b, waiting) })
	t.Run("next-best-action", func(t *testing.T) { testDecisions(t, b, w) })
	t.Run("priority lists", func(t *testing.T) { testPriorities(t, b, w) })
	t.Run("nothing private on any page", func(t *testing.T) { testLeaks(t, b, w, waiting) })
	t.Run("signing out ends the session", func(t *testing.T) {
		wantRedirect(t, b, "/logout", nil, "/login")
		if res, _ := b.get("/"); res.Header.Get("Location") != "/login" {
			t.Error("the session still works")
		}
	})
}

// protected are pages and forms that need a session.
var protected = map[string][]string{
	http.MethodGet:  {"/", "/jobs", "/jobs/new", "/jobs/new/x/type", "/jobs/x", "/jobs/x/edit", "/sync", "/runs/x", "/runs/x/rail", "/runs/x/items/1", "/runs/x/items/1/open", "/sync/export.csv", "/targets/x", "/targets/x/plan", "/targets/x/repair", "/targets/x/explain", "/jobs/x/plan", "/decisions", "/decisions/preview", "/decisions/issues/new", "/decisions/issues/x", "/decisions/groups/new", "/decisions/groups/x", "/decisions/actions/new", "/decisions/actions/x", "/priorities", "/priorities/new", "/priorities/x", "/audiences", "/audiences/new", "/audiences/x", "/audiences/x/parts/reach", "/destinations", "/destinations/new", "/destinations/x", "/authorizations", "/authorizations/new", "/authorizations/x", "/settings", "/audit", "/configuration", "/configuration/export.zip", "/search", "/search?q=x&part=1", "/alerts", "/data", "/data/streams/x", "/data/streams/x/mappings", "/data/streams/x/messages", "/data/fields", "/data/fields/x", "/data/profile", "/data/forget", "/data/forget/x", "/data/loads/x/rejected", "/help/badreq", "/people", "/people/new", "/people/x", "/tokens", "/templates", "/templates/new", "/templates/x", "/account", "/nothing"},
	http.MethodPost: {"/jobs/new", "/jobs/new/x/type", "/jobs/x/edit", "/jobs/x/run", "/jobs/x/kill", "/runs/x/retry", "/runs/x/withdraw", "/runs/x/approve", "/runs/x/decline", "/targets/x/run", "/targets/x/reconcile", "/targets/x/repair", "/targets/x/replace", "/targets/x/explain", "/decisions/decide", "/decisions/customer", "/decisions/issues", "/decisions/issues/x", "/decisions/issues/x/delete", "/decisions/groups", "/decisions/groups/x", "/decisions/groups/x/delete", "/decisions/actions", "/decisions/actions/x", "/decisions/actions/x/delete", "/priorities", "/priorities/x", "/priorities/x/delete", "/audiences/x/run", "/audiences", "/audiences/try", "/audiences/x", "/destinations", "/destinations/x/test", "/destinations/x", "/destinations/x/switch", "/destinations/x/delete", "/destinations/x/targets/y/release", "/authorizations", "/authorizations/x", "/authorizations/x/test", "/authorizations/x/replace", "/authorizations/x/delete", "/settings/keys", "/configuration", "/alerts/x/test", "/alerts/x/work/y/acknowledge", "/data/streams", "/data/streams/x/mappings", "/data/streams/x/settings", "/data/streams/x/accept", "/data/fields", "/data/identity", "/data/profile", "/data/forget", "/data/rebuild", "/data/rebuild/x/cancel", "/data/loads/x/retry", "/data/loads/x/discard", "/jobs/x/preview", "/jobs/x/reset", "/people", "/people/x", "/people/x/password", "/people/x/delete", "/tokens", "/tokens/x/revoke", "/templates", "/templates/x", "/templates/x/delete", "/account/password"},
}

func testSignInAsked(t *testing.T, b *browser) {
	for _, path := range protected[http.MethodGet] {
		if res, _ := b.get(path); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login" {
			t.Errorf("GET %s: status %d to %q", path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	for _, path := range protected[http.MethodPost] {
		if res, _ := b.post(path, url.Values{"csrf_token": {"x"}}); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login" {
			t.Errorf("POST %s: status %d to %q", path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	if res, _ := b.get("/events?page=overview"); res.StatusCode != http.StatusNotFound {
		t.Errorf("events without a session: status %d", res.StatusCode)
	}
	if res, body := b.get("/login?token=abc"); res.StatusCode != http.StatusOK || !strings.Contains(body, `name="token" value="abc"`) {
		t.Errorf("login: status %d", res.StatusCode)
	}
}

func testCSRF(t *testing.T, b *browser, w *world, r activation.Run) {
	for _, path := range append(protected[http.MethodPost], "/jobs/"+string(w.job)+"/kill", "/runs/"+string(r.ID)+"/retry", "/logout") {
		for _, token := range []string{"", "wrong"} {
			if res, body := b.post(path, url.Values{"csrf_token": {token}, "confirm": {"terminate"}}); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "Nothing was changed") {
				t.Errorf("POST %s with token %q: status %d", path, token, res.StatusCode)
			}
		}
	}
	var j client.Job
	w.must(http.MethodGet, "/v2/job/"+string(w.job), nil, &j)
	if j.Status == activation.JobKilled {
		t.Error("a refused form ended the job")
	}
}

func testPages(t *testing.T, b *browser, w *world, r activation.Run) {
	run := "/runs/" + string(r.ID)
	wantPage(t, b, "/", "Everything is in order", "High scores", ">140<", "people", "Shop")
	wantPage(t, b, "/jobs", "High scores to Meta", "Facebook Ads", "Shop&#39;s token", "export", "1 run: 1 ok")
	wantPage(t, b, "/jobs?state=failed", "No job fits these filters")
	wantPage(t, b, "/jobs/"+string(w.job), "Created by", "Run now", "Pause", "Terminate", "customer_file_source", "created", ">140<")
	wantPage(t, b, "/sync", "Completed", "Facebook Ads", "Segment", "Audience: high", "4 of 4")
	wantPage(t, b, "/sync?status=failed", "No run fits these filters")
	wantPage(t, b, "/sync?sync_type=segment&type=meta&within=24h&before=99", "Run #1", "Newest")
	wantPage(t, b, run, "Run #1", "Payload", "Remote audiences", "140 selected", "selected = held out", "in after = in before", "4 items")
	wantPage(t, b, run+"/rail", "Members", "Open run #1")
	wantPage(t, b, run+"/items/1/open", "HTTP 200", "EXTERN_ID", "Answers of the network")
	wantPage(t, b, run+"?items=errors", "No item has errors")
	wantPage(t, b, "/sync?triggered_by=high", "Run #1", "value=\"high\"")
	wantPage(t, b, "/sync?job="+string(w.job), "Job: High scores to Meta", "Run #1")
	wantPage(t, b, "/targets/"+string(r.Target), "High scores at Shop", "140 in", "Run now", "Run #1"[4:])
	wantPage(t, b, "/targets/"+string(r.Target)+"/plan", "Nobody is removed", "There afterwards", "0 calls")
	wantPage(t, b, "/jobs/"+string(w.job)+"/plan", "High scores to Meta", "Unchanged")
	if res, body := b.get("/sync/export.csv?status=completed"); res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "run,status,") || !strings.Contains(body, "1,Completed,Facebook Ads,Shop,Segment,Audience: high") {
		t.Errorf("the file: status %d: %s", res.StatusCode, body)
	}
	wantPage(t, b, run+"/items/1", "HTTP 200", "EXTERN_ID", "EMAIL", "accepted")
	wantPage(t, b, "/audiences", "FILTER score &gt; 50", "Shop", ">140<")
	wantPage(t, b, "/audiences/high", "140 people", "p•••@private.example", "High scores to Meta")
	wantPage(t, b, "/destinations", "EXTERN_ID", "customer", "Test")
	wantPage(t, b, "/authorizations", "Shop&#39;s token", "Shop")
	wantPage(t, b, "/data", "people", "unused", "Merged", "rank 1", "/data/profile")
	wantPage(t, b, "/help/badreq", "BADREQ", "<h2", "Cause", "<code>droperrors=true</code>")
	wantPage(t, b, "/data/streams/people", "concat(&#34;id-&#34;, id)", "unused")
	for path, status := range map[string]int{"/nothing": 404, "/help/none": 404, "/runs/x": 404, "/jobs/x": 404, "/audiences/none": 404, "/data/streams/none": 404, "/targets/x": 404, "/targets/x/plan": 404, "/targets/x/repair": 404, "/targets/x/explain": 404, "/decisions/actions/x": 404, "/decisions/preview?level=No": 404, "/priorities/x": 404, "/jobs/x/plan": 404, run + "/items/99/open": 404, run + "/items/99": 404, run + "/items/x": 404} {
		if res, body := b.get(path); res.StatusCode != status || !strings.Contains(body, "There is nothing here") || !strings.Contains(body, "</html>") {
			t.Errorf("GET %s: status %d", path, res.StatusCode)
		}
	}
	res, _ := b.get("/")
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'; script-src 'self';") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", res.Header)
	}
}

func testForms(t *testing.T, b *browser) {
	cases := []struct {
		path string
		form url.Values
		want []string
	}{
		{"/audiences", url.Values{"name": {"Kept name"}, "slug_name": {"Bad Slug"}, "segment_ql": {"FILTER score >"}}, []string{"Kept name", "Bad Slug", "FILTER score &gt;", "Must be lower-case letters", "Line 1, column"}},
		{"/audiences", url.Values{"name": {"A"}, "slug_name": {"a"}, "segment_ql": {"FILTER nosuch > 1"}}, []string{"nosuch", "e-segment_ql"}},
		{"/audiences/high", url.Values{"name": {"High scores"}, "segment_ql": {"FILTER ("}}, []string{"FILTER (", "e-segment_ql"}},
		{"/authorizations", url.Values{"provider": {"meta"}, "label": {"Kept label"}, "config.base_url": {"not a url"}}, []string{"Kept label", "e-config.access_token", "e-config.base_url"}},
		{"/destinations", url.Values{"provider": {"meta"}, "name": {"Kept dest"}, "mapping.FN": {"email"}}, []string{"Kept dest", "e-account", "at least one of"}},
		{"/data/fields", url.Values{"name": {"Bad Name"}, "type": {"text"}, "merge": {"latest"}}, []string{"Bad Name", "role=\"alert\""}},
		{"/data/fields", url.Values{"name": {"x"}, "identifier_rank": {"-1"}}, []string{"Must be a whole number"}},
		{"/data/streams", url.Values{"stream": {"Bad Stream"}}, []string{"Bad Stream", "e-stream"}},
		{"/data/streams/people/mappings", url.Values{"field": {"score"}, "expression": {"lower("}}, []string{"lower(", "e-row-1"}},
	}
	for _, c := range cases {
		res, body := b.submit(c.path, c.form)
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("POST %s %v: status %d to %q", c.path, c.form, res.StatusCode, res.Header.Get("Location"))
		}
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("POST %s %v: %q is not on the page", c.path, c.form, want)
			}
		}
	}
	if _, body := b.submit("/audiences/try", url.Values{"segment_ql": {"FILTER score > 50"}}); !strings.Contains(body, "140 people would be in it") || strings.Contains(body, "<html") {
		t.Errorf("try: %s", body)
	}
	if _, body := b.submit("/audiences/try", url.Values{"segment_ql": {"FILTER"}}); !strings.Contains(body, "t-bad") {
		t.Errorf("try a wrong rule: %s", body)
	}
	wantRedirect(t, b, "/audiences", url.Values{"name": {"Low"}, "slug_name": {"low"}, "segment_ql": {"FILTER score < 50"}}, "/audiences/low")
	wantPage(t, b, "/audiences/low", "Saved “Low”", "0 people")
	wantRedirect(t, b, "/data/fields", url.Values{"name": {"city"}, "type": {"text"}, "merge": {"latest"}, "pii": {"true"}}, "/data/fields")
	wantRedirect(t, b, "/data/streams/people/mappings", url.Values{"field": {"customer", "email", "score", "city"}, "expression": {`concat("id-", id)`, "email", "score", "lower(unused)"}}, "/data/streams/people")
	wantPage(t, b, "/data/streams/people", "lower(unused)", "need a rebuild for city")
	wantRedirect(t, b, "/data/streams", url.Values{"stream": {"orders"}}, "/data/streams/orders")
	wantRedirect(t, b, "/authorizations", url.Values{"provider": {"meta"}, "label": {"Second"}, "config.access_token": {"EAA-very-secret-second"}}, "/authorizations")
	if _, body := b.submit("/data/profile", url.Values{"field": {"customer"}, "value": {"id-7"}}); !strings.Contains(body, "p•••@private.example") || strings.Contains(body, emailOf(7)) || !strings.Contains(body, "high") {
		t.Error("the look-up does not show the masked person")
	}
	if _, body := b.submit("/data/profile", url.Values{"field": {"customer"}, "value": {"id-nobody"}}); !strings.Contains(body, "Nobody has this customer") {
		t.Error("a missing person is not told")
	}
}

func testCommands(t *testing.T, b *browser, w *world) {
	job := "/jobs/" + string(w.job)
	for _, c := range []struct {
		command, want string
	}{{"pause", "Paused"}, {"resume", "Running"}} {
		wantRedirect(t, b, job+"/"+c.command, nil, job)
		wantPage(t, b, job, "The job is now")
	}
	wantRedirect(t, b, job+"/bounce", nil, job)
	wantPage(t, b, job, "does not take bounce")
	wantRedirect(t, b, job+"/kill", url.Values{"confirm": {"nope"}}, job)
	wantPage(t, b, job, "was not typed")
	if res, _ := b.submit(job+"/explode", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown command: status %d", res.StatusCode)
	}
	w.run("runs are over", func(r activation.Run) bool { return r.Status.Final() })
	var dests []struct{ ID string }
	w.must(http.MethodGet, "/v2/destination", nil, &dests)
	wantRedirect(t, b, "/destinations/"+dests[0].ID+"/test", nil, "/destinations")
	wantPage(t, b, "/destinations", "accepts credentials")
}

// testLeaks looks for secrets, e-mail addresses and hashes on every page.
func testLeaks(t *testing.T, b *browser, w *world, r activation.Run) {
	pages := []string{"/", "/jobs", "/jobs/new", "/jobs/" + string(w.job), "/sync", "/runs/" + string(r.ID), "/runs/" + string(r.ID) + "/rail", "/runs/" + string(r.ID) + "/items/1", "/targets/" + string(r.Target), "/targets/" + string(r.Target) + "/plan", "/sync/export.csv", "/targets/" + string(r.Target) + "/explain", "/decisions", "/decisions/preview", "/priorities", "/audiences", "/audiences/high", "/destinations", "/destinations/new", "/authorizations", "/authorizations/new", "/authorizations/" + w.auth, "/destinations/" + w.dest, "/settings", "/audit", "/configuration", "/search?q=s", "/data", "/data/streams/people", "/data/streams/people/mappings", "/data/fields", "/data/profile"}
	var private []string
	for id := range peopleCount {
		sum := sha256.Sum256([]byte(emailOf(id)))
		private = append(private, emailOf(id), hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:]))
	}
	private = append(private, secretToken, "very-secret")
	for _, path := range pages {
		res, body := b.get(path)
		if res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: status %d", path, res.StatusCode)
		}
		for _, p := range private {
			if strings.Contains(body, p) {
				t.Errorf("GET %s shows %q", path, p)
			}
		}
	}
}

func wantPage(t *testing.T, b *browser, path string, want ...string) {
	t.Helper()
	res, body := b.get(path)
	if res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: status %d", path, res.StatusCode)
	}
	for _, text := range want {
		if !strings.Contains(body, text) {
			t.Errorf("GET %s: %q is not on the page", path, text)
		}
	}
}

func wantRedirect(t *testing.T, b *browser, path string, form url.Values, to string) {
	t.Helper()
	res, body := b.submit(path, form)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != to {
		t.Errorf("POST %s: status %d to %q, want %q: %.300s", path, res.StatusCode, res.Header.Get("Location"), to, body)
	}
}
