package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/sandbox/fault"
)

// TestJobPage: what the page of a job shows, and what its buttons do without
// JavaScript.
func TestJobPage(t *testing.T) {
	w := start(t)
	w.fill()
	w.run("first run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted })
	b := w.signedIn()
	job := "/jobs/" + string(w.job)
	w.eventually("it sleeps until its time", func() bool { _, body := b.get(job); return strings.Contains(body, "until its time") })
	wantPage(t, b, job, "Every day at 00:00, UTC", "Next runs", "Facebook Ads", "Shop&#39;s token", "Created by", `title="The job is not paused"`, "For 1 hour", "Until tomorrow 08:00, UTC",
		`data-style="up">Added`, `data-style="down">Removed`, `data-style="more">Omitted`, `data-style="line">Rejected`, `data-v="140">140`, "Added <b>140</b>", "Nobody is told when this job fails")
	for path, want := range map[string]string{
		"?range=7d": "per 6 hours", "?range=30d": "per day", "?range=custom&since=2020-01-01&until=2020-01-31": "Nothing was counted in this time",
		"?range=custom&since=2020-02-01&until=2020-01-31": "The last day must not be before the first", "?event=synced&range=30d": `<option value="synced" selected>`,
		"?event=killed": "No lines of the event killed", "?before=1": "No older runs",
	} {
		wantPage(t, b, job+path, want)
	}

	t.Run("the log is downloaded whole", func(t *testing.T) { testLogFile(t, b, w, job) })
	t.Run("commands", func(t *testing.T) { testJobCommands(t, b, job) })

	w.must(http.MethodPost, "/v2/job/alert-webhook", map[string]any{"name": "Tell operations", "config": map[string]string{"webhook_url": "http://" + w.network + "/hooks/xyzsecretxyz"}}, nil)
	wantPage(t, b, job, "Tell operations", "Everything: what matters")
	wantRedirect(t, b, job+"/kill", url.Values{"confirm": {"terminate"}}, job)
	wantPage(t, b, job, "ended for good", "Release the remote audience", `title="The job was ended for good"`)
	wantRedirect(t, b, job+"/delete", nil, "/jobs")
	wantPage(t, b, "/jobs", "“High scores to Meta” was deleted", "Tell operations")
}

func testLogFile(t *testing.T, b *browser, w *world, job string) {
	res, body := b.get(job + "/log?format=ndjson")
	if res.Header.Get("Content-Disposition") != `attachment; filename="job-`+string(w.job)+`.ndjson"` || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/x-ndjson") {
		t.Errorf("headers: %v", res.Header)
	}
	var events []string
	for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
		var e activation.LogEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events = append(events, string(e.Event))
	}
	if got := strings.Join(events, " "); got != "created started synced" {
		t.Errorf("events: %s", got)
	}
	if _, body := b.get(job + "/log?format=text&event=synced"); strings.Count(body, "\n") != 1 || !strings.Contains(body, " synced    synced, run #1: 140 added, 0 removed, 0 omitted") {
		t.Errorf("text: %q", body)
	}
	if res, _ := b.get("/jobs/none/log"); res.StatusCode != http.StatusNotFound {
		t.Errorf("no such job: status %d", res.StatusCode)
	}
	if res, _ := w.browser().get(job + "/log"); res.Header.Get("Location") != "/login" {
		t.Errorf("without a session: status %d", res.StatusCode)
	}
}

func testJobCommands(t *testing.T, b *browser, job string) {
	wantRedirect(t, b, job+"/pause", url.Values{"for": {"soon"}}, job)
	wantPage(t, b, job, "a pause lasts as long as 1h says")
	wantRedirect(t, b, job+"/pause", url.Values{"for": {"1h"}}, job)
	wantPage(t, b, job, "It resumes by itself at", `action="`+job+`/resume"><input`, "Undo", "resumes by itself", "The job is paused; resume it first", "The job is paused already")
	_, body := b.get(job)
	if strings.Contains(body, "Undo") {
		t.Error("Undo is offered twice")
	}
	wantRedirect(t, b, job+"/resume", nil, job)
	_, body = b.get(job)
	back := strings.ReplaceAll(between(t, body, `<form method="post" action="`+job+`/pause?`, `"`), "&amp;", "&")
	if !strings.HasPrefix(back, "for=59m") {
		t.Errorf("Undo of resuming pauses %q", back)
	}
	wantRedirect(t, b, job+"/pause?"+back, nil, job)
	wantPage(t, b, job, "resumes by itself at")
	wantRedirect(t, b, job+"/resume", nil, job)
	wantRedirect(t, b, job+"/delete", nil, job)
	wantPage(t, b, job, "was not typed")
}

// TestJobFailed: the page of a job that the network refuses names the cause,
// what mends it, and how it has tried.
func TestJobFailed(t *testing.T) {
	w := start(t)
	w.fill()
	w.run("first run done", func(r activation.Run) bool { return r.Status == activation.RunCompleted })
	if _, err := w.sandbox.Fault(fault.Fault{Path: "*/users", Kind: fault.Error, Status: http.StatusForbidden, Code: 200, Message: "Permissions error"}); err != nil {
		t.Fatal(err)
	}
	w.load(func(id int) int { return map[bool]int{true: 90, false: 10}[id > 20] })
	failed := w.runJob(activation.RunFailed)
	b := w.signedIn()
	job := "/jobs/" + string(w.job)
	wantPage(t, b, job, `<div class="note bad" role="alert"`, "What was not sent is kept", "META-PERMISSION", "<b>Why</b>", "<code>ads_management</code>", "<b>What to do</b>", `href="/help/meta-permission"`, "What the job tried", "First error", "Last correct",
		"of run #"+strconv.FormatInt(failed.Number, 10), "Resume", "Retry failed items", `class="fail"`, "Open the run that failed")
	wantPage(t, b, job+"?range=24h", "Rejected")

	viewer := w.as(activation.RoleViewer)
	wantPage(t, viewer, job, "Your role may only look", "META-PERMISSION")
	if _, body := viewer.get(job); strings.Contains(body, `action="`+job+`/`) {
		t.Error("a viewer is offered a form")
	}
	for _, path := range []string{job, job + "/log", job + "/log?format=text"} {
		_, body := b.get(path)
		for _, secret := range []string{secretToken, emailOf(3), emailOf(100)} {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
}
