package web_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"usher/internal/activation"
	"usher/sandbox/fault"
)

// TestJobBrowser is a job's page as a person uses it: while a run is in
// progress, with the buttons, and when the job has failed.
func TestJobBrowser(t *testing.T) {
	b := chromium(t)
	w := start(t)
	// Each of the four batches takes three seconds.
	if _, err := w.sandbox.Fault(fault.Fault{Path: "*/users", Kind: fault.Slow, Delay: fault.Duration(3 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	w.fill()
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.signIn)
	act(b, "sign in", chromedp.Click("form .btn-primary"))
	b.until("signed in", "document.querySelector('#live b')?.innerText === 'Live'")
	job := "/jobs/" + string(w.job)
	b.open(w.url + job)
	b.until("the run is on its way", "/ of 140 sent, 0 rejected/.test(document.querySelector('#job-progress')?.innerText) && document.querySelector('.acts .btn[aria-disabled=true]')?.title.startsWith('Run #1 is in progress')")
	act(b, "open the table", chromedp.Click("#as-table summary"))
	act(b, "open the pause menu", chromedp.Click("#pause-for summary"))
	b.shot("job-progress-1440-light")
	b.until("it ends under the reader's eyes", "!document.querySelector('#job-progress section') && document.querySelector('#job-runs .chip')?.innerText === 'Completed'")
	b.until("what was opened stays open", "document.querySelector('#pause-for').open && document.querySelector('#as-table').open")
	b.until("the chart has what the table has", "document.querySelector('#job-legend b')?.innerText === '140' && [...document.querySelectorAll('#job-chart tr[data-t]')].at(-1).cells[1].dataset.v === '140' && document.querySelector('.chart canvas')?.width > 300")

	act(b, "pause for an hour", chromedp.Click("#pause-for form:nth-of-type(2) button"))
	b.until("paused, with a way back", "document.querySelector('#job-head .chip')?.innerText === 'Paused' && document.querySelector('[role=status] button')?.innerText === 'Undo'")
	lookAt(t, b, w, map[string]string{"job-paused": job})
	act(b, "size", chromedp.EmulateViewport(1440, 900))
	b.open(w.url + job)
	act(b, "resume", chromedp.Click(".acts form[action$=resume] button"))
	b.until("resumed", "document.querySelector('#job-head .chip')?.innerText !== 'Paused'")
	act(b, "undo", chromedp.Click("[role=status] button"))
	b.until("paused again for what was left", "/resumes by itself/.test(document.querySelector('#job-head').innerText)")
	b.open(w.url + job)
	act(b, "resume", chromedp.Click(".acts form[action$=resume] button"))
	b.until("resumed again", "document.querySelector('#job-head .chip')?.innerText !== 'Paused'")

	b.open(w.url + job + "?range=7d")
	act(b, "only one event", chromedp.SetValue("#log select", "synced"))
	b.until("the log is filtered and the period kept", "location.search.includes('event=synced') && location.search.includes('range=7d') && [...document.querySelectorAll('#job-log em')].every(e => e.innerText === 'synced')")
	act(b, "expand", chromedp.Click("#job-runs [data-expand]"))
	b.until("the opened run", "document.querySelectorAll('#job-runs tr.exp:not([hidden]) .rail .done').length === 6")

	w.sandbox.ResetFaults()
	if _, err := w.sandbox.Fault(fault.Fault{Path: "*/users", Kind: fault.Error, Status: http.StatusForbidden, Code: 200, Message: "Permissions error"}); err != nil {
		t.Fatal(err)
	}
	w.load(func(id int) int { return map[bool]int{true: 90, false: 10}[id > 20] })
	w.runJob(activation.RunFailed)
	lookAt(t, b, w, map[string]string{"job-failed": job, "job-7d": job + "?range=7d", "job-custom": job + "?range=custom&since=2020-01-01&until=x"})
	var hook struct {
		ID activation.JobID `json:"id"`
	}
	w.must(http.MethodPost, "/v2/job/alert-webhook", map[string]any{"name": "Tell operations", "config": map[string]string{"webhook_url": "http://" + w.network + "/hooks/none"}}, &hook)
	lookAt(t, b, w, map[string]string{"job-alert": fmt.Sprint("/jobs/", hook.ID)})
	b.quiet()
}
