package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usher/internal/activation"
)

// TestAlerts: an alert job whose webhook is gone fails, another one says so, and
// the page takes what a person does about it.
func TestAlerts(t *testing.T) {
	w := start(t)
	b := w.signedIn()
	const path = "/hooks/xyzsecretxyz" // the sandbox knows no such page
	var auth activation.Authorization
	w.must(http.MethodPost, "/v2/auth/webhook", map[string]any{"label": "Our pager", "config": map[string]string{"webhook_url": "http://" + w.network + path}}, &auth)
	var broken, told struct {
		ID activation.JobID `json:"id"`
	}
	w.must(http.MethodPost, "/v2/job/alert-webhook", map[string]any{
		"name": "Tell of audiences", "auth_ids": []string{string(auth.ID)}, "config": map[string]string{"system_event_multiple_types": "created", "system_event_single_source": "segment"},
	}, &broken)
	w.must(http.MethodPost, "/v2/job/alert-webhook", map[string]any{"name": "Tell operations", "config": map[string]string{"webhook_url": "http://" + w.network + path + "2"}}, &told)
	wantPage(t, b, "/alerts", "Nothing is wrong", "Tell operations", "Everything: what matters", "Nothing was told yet")

	w.must(http.MethodPost, "/v2/segment", map[string]any{"slug_name": "everyone", "name": "Everyone", "segment_ql": "FILTER *"}, nil)
	var firing []struct {
		SubjectID string `json:"subject_id"`
		Shown     string `json:"shown"`
		Message   string `json:"message"`
	}
	w.eventually("somebody is told that an alert job failed", func() bool {
		w.must(http.MethodGet, "/v2/alert?state=firing&job="+string(told.ID), nil, &firing)
		return len(firing) > 0
	})
	if firing[0].SubjectID != string(broken.ID) || !strings.Contains(firing[0].Message, "webhook_url takes no notices") {
		t.Errorf("told: %+v", firing)
	}
	wantPage(t, b, "/alerts", "Job Tell of audiences failed", "Firing", "Acknowledge", "Silence 4 h", "Open job", "Told by")
	base := "/alerts/" + string(told.ID) + "/work/" + string(broken.ID)
	wantRedirect(t, b, base+"/acknowledge", url.Values{}, "/alerts")
	wantPage(t, b, "/alerts", "Acknowledged", "Acknowledged. Nothing more is told")
	wantRedirect(t, b, base+"/silence", url.Values{}, "/alerts")
	wantPage(t, b, "/alerts", "Silenced until")
	wantRedirect(t, b, base+"/unsilence", url.Values{}, "/alerts")
	wantRedirect(t, b, "/alerts/"+string(told.ID)+"/test", url.Values{}, "/alerts")
	wantPage(t, b, "/alerts", "takes no notices", "Failed")
	_, page := b.get("/alerts")
	if strings.Contains(page, "xyzsecret") || strings.Contains(page, w.network) {
		t.Error("the address of a webhook is on the page")
	}
	var notices []activation.Notice
	w.must(http.MethodGet, "/v2/notice?job="+string(told.ID), nil, &notices)
	if len(notices) != 2 || notices[0].State != activation.NoticeFailed || notices[0].ErrorCode != "NOTICE-ADDRESS" {
		t.Errorf("notices: %+v", notices)
	}
}
