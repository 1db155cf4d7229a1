package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usher/internal/activation"
)

// TestAuthorizationPage changes, tries, replaces and deletes credentials on
// their page; no secret comes back on any answer.
func TestAuthorizationPage(t *testing.T) {
	w := start(t)
	w.fill()
	w.run("first run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted })
	w.checked()
	b := w.signedIn()
	path := "/authorizations/" + w.auth
	wantPage(t, b, "/authorizations", `href="`+path+`"`, "Connected", "1 destination, 1 job")
	wantPage(t, b, path, "Shop&#39;s token", "Leave it empty to keep what is stored", "/destinations/"+w.dest, "High scores to Meta", "Next check", "Created", "It is used by Shop, High scores to Meta")

	wantRedirect(t, b, path+"/test", nil, path)
	wantPage(t, b, path, "The credentials work")

	// Label and description alone keep the credentials and their health.
	edit := url.Values{"label": {"Renamed"}, "description": {"of the shop"}, "config.access_token": {""}, "config.base_url": {"http://" + w.network + "/meta"}}
	wantRedirect(t, b, path, edit, path)
	wantPage(t, b, path, "Renamed", "of the shop", "Connected", "label")
	// A wrong one is named, kept where it is no secret, and never shown where it is.
	bad := url.Values{"label": {""}, "description": {"kept words"}, "config.access_token": {"hunter2-hunter2"}, "config.base_url": {"not a url"}}
	res, body := b.submit(path, bad)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `id="e-label"`) || !strings.Contains(body, `id="e-config.base_url"`) || !strings.Contains(body, "kept words") || strings.Contains(body, "hunter2") {
		t.Errorf("a wrong change: status %d", res.StatusCode)
	}
	// New secrets are unproven until they are tried.
	edit.Set("config.access_token", "hunter2-hunter2")
	wantRedirect(t, b, path, edit, path)
	wantRedirect(t, b, path+"/test", nil, path)
	wantPage(t, b, path, "Not working", "It does not work")
	wantPage(t, b, "/authorizations", "“Renamed” does not work.", "It stops 1 destination, 1 job.")
	wantPage(t, b, "/", "Renamed", "Give new credentials")

	// Replacing tries the other one first.
	var second, wrong struct{ ID string }
	for label, at := range map[string]*struct{ ID string }{"Second": &second, "Wrong": &wrong} {
		token := map[string]string{"Second": secretToken, "Wrong": "EAA-very-secret-wrong"}[label]
		w.must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": label, "config": map[string]string{"access_token": token, "base_url": "http://" + w.network + "/meta"}}, at)
	}
	wantPage(t, b, path, "Move 1 destination, 1 job", "Second (not checked)")
	res, body = b.submit(path+"/replace", url.Values{"with": {wrong.ID}})
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Nothing was moved.") || !strings.Contains(body, "Does not open the account of Shop") {
		t.Errorf("replace by one that does not work: status %d", res.StatusCode)
	}
	if res, body := b.submit(path+"/delete", nil); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != path {
		t.Errorf("delete what is used: status %d %.200s", res.StatusCode, body)
	}
	wantPage(t, b, path, "The authorization is used by")
	wantRedirect(t, b, path+"/replace", url.Values{"with": {second.ID}}, "/authorizations/"+second.ID)
	wantPage(t, b, "/authorizations/"+second.ID, "Moved 1 destination and 0 other jobs", "Connected", "/destinations/"+w.dest)
	wantPage(t, b, path, "Nothing uses it", "Delete for good", "Nothing uses it yet, so there is no account to try it on")
	wantRedirect(t, b, path+"/delete", nil, "/authorizations")
	if res, _ := b.get(path); res.StatusCode != http.StatusNotFound {
		t.Errorf("the deleted one: status %d", res.StatusCode)
	}
	if _, body := b.get("/authorizations/" + second.ID); strings.Contains(body, secretToken) {
		t.Error("the page shows the secret")
	}
}

// checked has the credentials tried, which otherwise happens a minute after the
// first look where there was nothing yet to try them on.
func (w *world) checked() {
	w.t.Helper()
	w.must(http.MethodPost, "/v2/auth/"+w.auth+"/test", nil, nil)
}

// TestDestinationPage edits a destination, confirms a rebuild, switches it off
// and on, and releases what a job left there.
func TestDestinationPage(t *testing.T) {
	w := start(t)
	w.fill()
	w.run("first run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted })
	w.checked()
	b := w.signedIn()
	path := "/destinations/" + w.dest
	wantPage(t, b, "/destinations", `href="`+path+`"`, "On", "Connected", ">140<")
	wantPage(t, b, path, "Shop", "account 1", "high", ">140<", "Release…", "keeps it in step; terminate that first", "#1", "It can&#39;t change while audiences are kept there", "No run is pending, so none is withdrawn", "It is used by 1 target and 1 job")
	wantRedirect(t, b, path+"/test", url.Values{"here": {"1"}}, path)
	wantPage(t, b, path, "accepts credentials and account")

	same := func(change ...string) url.Values {
		f := url.Values{"name": {"Shop"}, "account": {"1"}, "mapping.EXTERN_ID": {"customer"}, "mapping.EMAIL": {"email"}}
		for i := 0; i < len(change); i += 2 {
			f.Set(change[i], change[i+1])
		}
		return f
	}
	wantRedirect(t, b, path, same("name", "Shop two"), path)
	wantPage(t, b, path, "Saved “Shop two”", "Shop two")
	if res, body := b.submit(path, same("name", "", "mapping.EMAIL", "nosuch")); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `id="e-name"`) || !strings.Contains(body, `id="e-mapping.EMAIL"`) {
		t.Errorf("a wrong change: status %d", res.StatusCode)
	}
	if res, body := b.submit(path, same("account", "77")); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "The account cannot change while 1 audiences are kept there") {
		t.Errorf("another account: status %d", res.StatusCode)
	}
	// Other match keys are asked about in numbers, with what was typed kept.
	res, body := b.submit(path, same("name", "Shop three", "mapping.EMAIL", ""))
	if res.StatusCode != http.StatusConflict || !strings.Contains(body, "This mapping rebuilds 1 audience: 140 people are removed") || !strings.Contains(body, `value="Shop three"`) {
		t.Errorf("another mapping: status %d", res.StatusCode)
	}
	var d activation.Destination
	w.must(http.MethodGet, "/v2/destination/"+w.dest, nil, &d)
	if d.Mapping["EMAIL"] != "email" {
		t.Error("the mapping changed before it was confirmed")
	}

	// Switching off says what it does, and withdraws what waits.
	w.load(func(id int) int { return map[bool]int{true: 90, false: 10}[id < 3] })
	w.runJob(activation.RunPending)
	wantPage(t, b, path, "It withdraws 1 pending run")
	wantRedirect(t, b, path+"/switch", url.Values{"enabled": {"false"}}, path)
	wantPage(t, b, path, "Switched off", "is switched off: nothing is sent there", "Switch on")
	w.run("the run is withdrawn", func(r activation.Run) bool { return r.Status == activation.RunWithdrawn })
	wantRedirect(t, b, path+"/switch", url.Values{"enabled": {"true"}}, path)
	wantPage(t, b, path, "is switched on")
	w.runJob(activation.RunPending)

	// A target is released once no job owns it; deleting asks for the word.
	var targets []struct{ ID string }
	w.must(http.MethodGet, "/v2/target?destination_id="+w.dest, nil, &targets)
	release := path + "/targets/" + targets[0].ID + "/release"
	wantRedirect(t, b, release, url.Values{"remote": {"empty"}}, path)
	wantPage(t, b, path, "kill it first")
	w.must(http.MethodPost, "/v2/job/"+string(w.job)+"/kill", nil, nil)
	w.run("its runs are over", func(r activation.Run) bool { return r.Status.Final() })
	wantPage(t, b, path, `action="`+release+`"`, "What becomes of the 140 people")
	wantRedirect(t, b, release, url.Values{"remote": {"delete"}, "confirm": {"dele"}}, path)
	wantPage(t, b, path, "the word “delete” was not typed")
	wantRedirect(t, b, release, url.Values{"remote": {"burn"}}, path)
	wantPage(t, b, path, "choose keep, empty or delete")
	if res, _ := b.submit("/destinations/x/targets/"+targets[0].ID+"/release", url.Values{"remote": {"keep"}}); res.StatusCode != http.StatusNotFound {
		t.Errorf("a target of another destination: status %d", res.StatusCode)
	}
	wantRedirect(t, b, release, url.Values{"remote": {"keep"}}, path)
	wantPage(t, b, path, "Usher has let go of the remote audience", "not made yet")
	wantRedirect(t, b, path+"/delete", nil, path)
	wantPage(t, b, path, "jobs or priority lists use the destination")
}

// TestViewersLook: who may only look sees the pages and no way to act.
func TestViewersLook(t *testing.T) {
	w := start(t)
	w.fill()
	v := w.as(activation.RoleViewer)
	for _, path := range []string{"/authorizations/" + w.auth, "/destinations/" + w.dest, "/settings", "/search?q=high", "/authorizations", "/destinations"} {
		res, body := v.get(path)
		main := body[strings.Index(body, "<main"):]
		if res.StatusCode != http.StatusOK || strings.Contains(main, `method="post"`) || strings.Contains(main, secretToken) {
			t.Errorf("GET %s by a viewer: status %d, or a form that posts", path, res.StatusCode)
		}
	}
	if _, body := v.get("/authorizations/" + w.auth); !strings.Contains(body, "aria-disabled") || strings.Contains(body, "History") {
		t.Error("a viewer is not told why, or sees who changed what")
	}
	if _, body := v.get("/settings"); strings.Contains(body, "Change the key") || strings.Contains(body, `href="/audit"`) {
		t.Error("a viewer sees the keys")
	}
	for path, role := range map[string]string{"/configuration": "operator", "/configuration/export.zip": "operator", "/audit": "admin"} {
		if res, body := v.get(path); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "This page needs the role "+role) {
			t.Errorf("GET %s by a viewer: status %d", path, res.StatusCode)
		}
	}
}
