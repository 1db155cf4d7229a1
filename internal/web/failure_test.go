package web_test

import (
	"net/http"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/sandbox/fault"
)

// TestFailure follows a run that the network refuses from the overview to its
// Retry.
func TestFailure(t *testing.T) {
	w := start(t)
	// The second of four batches is refused: the token may not do it.
	if _, err := w.sandbox.Fault(fault.Fault{Path: "*/users", Kind: fault.Error, Status: http.StatusForbidden, Code: 200, Message: "Permissions error", Skip: 1, Times: 1}); err != nil {
		t.Fatal(err)
	}
	w.fill()
	failed := w.run("the run failed", func(r activation.Run) bool { return r.Status == activation.RunFailed })
	b := w.signedIn()
	job, run := "/jobs/"+string(w.job), "/runs/"+string(failed.ID)
	const cause, help = "META-PERMISSION", `href="/help/meta-permission"`
	wantPage(t, b, "/", "1 job fails", cause, "Retry failed items", "Start again", "Failed")
	wantPage(t, b, "/jobs", "0 ok, 0 with errors, 1 failed", `<i class="f">`)
	wantPage(t, b, job, cause, "Open the run that failed", "Resume")
	wantPage(t, b, "/sync?status=failed", "Retry", "failed")
	wantPage(t, b, run, cause, help, run+"/retry", "Failed", "staged = sent")
	wantPage(t, b, run+"/rail", help, "failed items only", `class="fail"`)

	accepted := failed.Counts.Accepted
	wantRedirect(t, b, run+"/retry", nil, run)
	done := w.run("the retried run completed", func(r activation.Run) bool { return r.ID == failed.ID && r.Status == activation.RunCompleted })
	if done.Attempt <= failed.Attempt || done.Counts.Accepted != peopleCount || accepted == peopleCount {
		t.Errorf("attempt %d then %d, accepted %d then %d", failed.Attempt, done.Attempt, accepted, done.Counts.Accepted)
	}
	wantPage(t, b, "/", "Everything is in order")
	wantRedirect(t, b, run+"/retry", nil, run)
	if _, body := b.get(run); !strings.Contains(body, "only a failed run can be retried.") {
		t.Error("a second Retry is not told why it is refused")
	}
}
