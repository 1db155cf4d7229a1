package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/api/client"
)

// next submits a step and returns where it leads.
func (b *browser) next(path string, form url.Values) string {
	b.w.t.Helper()
	res, body := b.submit(path, form)
	if res.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("POST %s: status %d: %s", path, res.StatusCode, body)
	}
	return res.Header.Get("Location")
}

// TestWizard walks the four steps with every detour: the answers are there
// after each, nothing secret is kept, and a wrong one is named on its field.
func TestWizard(t *testing.T) {
	w := start(t)
	w.fill()
	b := w.signedIn()
	wantPage(t, b, "/jobs/new", "Where should this job connect?", "Meta (Facebook Ads)", `aria-current="step"`)
	if res, body := b.submit("/jobs/new", nil); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Choose a provider") {
		t.Fatalf("nothing chosen: status %d", res.StatusCode)
	}
	at := b.next("/jobs/new", url.Values{"provider": {"meta"}})
	root := strings.TrimSuffix(at, "type")
	wantPage(t, b, at, "Custom audience", "Export · real time, on a schedule, once")
	// A step that is not reached yet leads to the one that is missing.
	if res, _ := b.get(root + "configure"); res.Header.Get("Location") != at {
		t.Errorf("configure without a type leads to %q", res.Header.Get("Location"))
	}
	at = b.next(at, url.Values{"type": {"meta_custom_audience"}})
	wantPage(t, b, at, "Which credentials", "Shop&#39;s token")

	// A detour to new credentials comes back with them chosen.
	detour := b.next(at, url.Values{"go": {"authorization"}})
	if !strings.HasPrefix(detour, "/authorizations/new?provider=meta&return=") {
		t.Fatalf("new credentials are at %q", detour)
	}
	_, body := b.get(detour)
	action := "/authorizations" + between(t, body, `action="/authorizations`, `"`)
	back := b.next(strings.ReplaceAll(action, "&amp;", "&"), url.Values{"provider": {"meta"}, "label": {"Second"}, "config.access_token": {"hunter2-hunter2"}})
	if !strings.HasPrefix(back, at+"?auth=") {
		t.Fatalf("back at %q, want %q", back, at)
	}
	wantPage(t, b, back, "Second", "checked")
	auth := strings.TrimPrefix(back, at+"?auth=")
	configure := b.next(at, url.Values{"auth": {auth}})

	// Everything wrong is named, and what was typed is kept over a reload.
	res, body := b.submit(configure, url.Values{
		"name": {""}, "description": {"kept words"}, "run_frequency": {"weekly"}, "time_of_day": {"25:00"}, "day_of_week": {"friday"}, "timezone": {"Mars/Base"},
		"user_limit": {"many"}, "fail_after": {"soon"}, "quiet_period": {"x"}, "config.customer_file_source": {"BOTH_USER_AND_PARTNER_PROVIDED"},
	})
	for _, want := range []string{`id="e-user_limit"`, `id="e-fail_after"`, `id="e-quiet_period"`, "kept words", `value="weekly" selected`, `value="friday" selected`, `value="BOTH_USER_AND_PARTNER_PROVIDED" selected`} {
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("status %d, the page lacks %q", res.StatusCode, want)
		}
	}
	wantPage(t, b, configure, "kept words", `value="weekly" selected`, "Mars/Base")
	res, body = b.submit(configure, url.Values{"name": {""}, "run_frequency": {"weekly"}, "time_of_day": {"25:00"}, "timezone": {"Mars/Base"}, "user_limit": {""}, "fail_after": {""}, "quiet_period": {""}, "user_limit_frequency": {"daily"}})
	for _, want := range []string{`id="e-name"`, `id="e-segment_ids"`, `id="e-destination_id"`, `id="e-time_of_day"`, `id="e-timezone"`, `id="e-user_limit_frequency"`} {
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("status %d, the page lacks %q", res.StatusCode, want)
		}
	}

	// A detour to a new destination comes back with it chosen; the back button
	// finds the answers of the steps before.
	detour = b.next(configure, url.Values{"name": {"Nightly"}, "go": {"destination"}})
	_, body = b.get(detour)
	action = "/destinations" + strings.ReplaceAll(between(t, body, `action="/destinations`, `"`), "&amp;", "&")
	back = b.next(action, url.Values{"provider": {"meta"}, "name": {"Second shop"}, "account": {"77"}, "auth_id": {auth}, "mapping.EMAIL": {"email"}})
	wantPage(t, b, back, "Second shop, account 77", "Nightly", "selected")
	destination := strings.TrimPrefix(back, configure+"?destination=")
	wantPage(t, b, root+"type", "checked")

	good := url.Values{
		"name": {"Nightly"}, "destination_id": {destination}, "segment_ids": {"high"}, "run_frequency": {"custom"}, "custom": {"30 2 * * 1-5"}, "time_of_day": {""}, "timezone": {"Europe/Berlin"},
		"day_of_week": {""}, "backfill": {"none"}, "user_limit": {"500"}, "user_limit_frequency": {"daily"}, "quiet_time_of_day": {"22:00"}, "quiet_period": {"8"}, "fail_after": {"2h"}, "on_end": {"empty"},
	}
	good.Set("go", "validate")
	if res, body := b.submit(configure, good); res.StatusCode != http.StatusOK || !strings.Contains(body, "Nothing was stored yet") || !strings.Contains(body, "First run, estimated") {
		t.Fatalf("validate: status %d", res.StatusCode)
	}
	if n := w.jobsNamed("Nightly"); len(n) != 0 {
		t.Fatal("validating stored a job")
	}
	good.Del("go")
	made := b.next(configure, good)
	jobs := w.jobsNamed("Nightly")
	if len(jobs) != 1 || made != "/jobs/"+string(jobs[0].ID) {
		t.Fatalf("%d jobs, at %q", len(jobs), made)
	}
	j := jobs[0]
	if j.Frequency != "30 2 * * 1-5" || j.Timezone != "Europe/Berlin" || j.WithBackfill || j.UserLimit != 500 || j.QuietPeriod != 8 || j.FailAfter != "2h0m0s" || j.OnEnd != activation.EndEmpty {
		t.Errorf("the job is %+v", j)
	}
	if res, _ := b.get(configure); res.StatusCode != http.StatusNotFound {
		t.Errorf("the draft is still there: %d", res.StatusCode)
	}

	// The same form changes it, and shows what it is.
	edit := made + "/edit"
	wantPage(t, b, edit, "Edit Nightly", `value="30 2 * * 1-5"`, `value="8"`, `value="2h"`, `value="none" selected`, `value="500"`)
	if res, body := b.submit(edit, url.Values{"name": {""}, "segment_ids": {"high"}, "run_frequency": {"daily"}}); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `id="e-name"`) {
		t.Errorf("edit without a name: %d", res.StatusCode)
	}
	wantRedirect(t, b, edit, url.Values{"name": {"Nightly, renamed"}, "segment_ids": {"high"}, "run_frequency": {"daily"}, "time_of_day": {"3:15"}}, made)
	if jobs := w.jobsNamed("Nightly, renamed"); len(jobs) != 1 || jobs[0].TimeOfDay != "03:15" || jobs[0].UserLimit != 0 {
		t.Errorf("changed to %+v", jobs)
	}
}

// TestDraftsAreOnesOwn: nobody sees another's answers, and no secret is in them.
func TestDraftsAreOnesOwn(t *testing.T) {
	w := start(t)
	w.fill()
	b := w.signedIn()
	at := b.next("/jobs/new", url.Values{"provider": {"meta"}})
	if !strings.HasPrefix(at, "/jobs/new/") {
		t.Fatalf("the draft is at %q", at)
	}
	for _, path := range []string{"/jobs/new/x/type", "/jobs/new/" + strings.Repeat("0", 32) + "/configure"} {
		if res, _ := b.get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, res.StatusCode)
		}
	}
	// Only forms of ours are gone back to.
	_, body := b.get("/authorizations/new?provider=meta&return=" + url.QueryEscape("https://example.com/jobs/new/"))
	if strings.Contains(body, "example.com") {
		t.Error("a foreign address is gone back to")
	}
}

// jobsNamed are the jobs of a name.
func (w *world) jobsNamed(name string) (out []client.Job) {
	w.t.Helper()
	var jobs []client.Job
	w.must(http.MethodGet, "/v2/job?q="+url.QueryEscape(name), nil, &jobs)
	for _, j := range jobs {
		if j.Name == name {
			out = append(out, j)
		}
	}
	return out
}

// between returns what stands between two texts.
func between(t *testing.T, s, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, from)
	out, _, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%q is not there", from)
	}
	return out
}
