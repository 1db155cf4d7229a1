package api_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/server/servertest"
)

// scenario is one request and what must come of it. In path and body {job},
// {dest}, {auth}, {run}, {load}, {target}, {made} and {free} (the target of the job made last) stand for ids.
type scenario struct {
	op     string // operation id
	path   string // "METHOD /path"
	body   string
	status int
	has    []string
	lacks  []string
	keep   bool   // the id in the answer is {made} from here on
	as     string // with keep: its name instead of {made}
	entry  bool   // the id of the first entry in the answer is {entry} from here on
	person bool   // asked with a person's own token, not the server's
	quiet  bool   // asked when nothing of {pub} is under way any more
}

// noGood are operations whose success is another suite's, with the reason.
var noGood = map[string]string{
	"retry-run":      "needs a run that failed at the network: the server's story tests make one",
	"approve-run":    "needs a run held by the removal guard: the server's story tests make one",
	"decline-run":    "needs a run held by the removal guard: the server's story tests make one",
	"withdraw-run":   "needs a pending run: the server's story tests make one",
	"cancel-rebuild": "needs one that is under way: the suite of rebuild makes one", "rejected-rows": "needs an upload with faulty rows: the server's story of data in makes one",
	"import-position": "needs an import job: the server's story of data in makes one", "reset-import": "the same", "preview-import": "the same",
	"compact": "waits for the rebuild that another scenario begins: the suite of forget compacts",
	"forget":  "would take a person of the other scenarios away: the server's story of a forget does it", "show-forget": "the same",
	"retry-load": "needs an upload whose merge failed: the suite of ingest makes one", "discard-load": "the same",
	"push-history":  "needs a conversions job: the server's story of paid responses makes one",
	"run-target":    "needs a job that may run: the server's stories run their targets",
	"repair-target": "needs a difference: the server's story of drift makes one", "replace-target": "the same",
	"delete-issue": "needs an id beside {made}: the suite of decisions deletes", "delete-group": "the same",
	"acknowledge-alert": "needs something that is wrong: the suite of alerting makes it so", "silence-alert": "the same", "unsilence-alert": "the same", "test-alert": "needs a far side: the same",
	"create-schedule": "needs an object that is there: the server's story of publishers schedules one", "edit-schedule": "the same", "delete-schedule": "the same",
	"delete-object": "the same", "give-bids": "the same", "override-bid": "the same", "delete-publisher": "what is under way keeps it: the same",
	"upload-edits": "a file is no scenario: the same", "upload-template": "the same", "entry-errors": "the same",
	"bounce-job": "needs a failed job: the store's suite makes one", "bounce-workflow-job": "the same",
}

var scenarios = []scenario{
	{op: "health", path: "GET /healthz", status: 200, has: []string{`"version":"test"`}},
	{op: "ready", path: "GET /readyz", status: 200},

	{op: "list-jobs", path: "GET /v2/job", status: 200, has: []string{"{job}", `"status":"paused"`}},
	{op: "list-jobs", path: "GET /v2/job?workflow=meta-custom-audience&account_id=1", status: 200, has: []string{"{job}"}},
	{op: "list-jobs", path: "GET /v2/job?status=failed", status: 200, lacks: []string{"{job}"}},
	{op: "list-jobs", path: "GET /v2/job?status=mark-of-a-secret-value", status: 400, has: []string{"status"}},
	{op: "show-job", path: "GET /v2/job/{job}", status: 200, has: []string{`"workflow":"meta_custom_audience"`}},
	{op: "show-workflow-job", path: "GET /v2/job/meta-custom-audience/{job}", status: 200, has: []string{"{job}"}},
	{op: "show-workflow-job", path: "GET /v2/job/meta_custom_audience/{job}", status: 200, has: []string{"{job}"}},
	{op: "show-workflow-job", path: "GET /v2/job/mark-of-a-secret-value/{job}", status: 404, has: []string{"WF-NOTFOUND-005"}},
	{op: "job-logs", path: "GET /v2/job/{job}/logs", status: 200, has: []string{"created", "paused"}},
	{op: "workflow-job-logs", path: "GET /v2/job/meta-custom-audience/{job}/logs", status: 200, has: []string{"created"}},
	{op: "job-logs", path: "GET /v2/job/{job}/logs?level=info&event=created&since=now-1h&include_errors=true", status: 200, has: []string{"created"}, lacks: []string{"paused"}},
	{op: "job-logs", path: "GET /v2/job/{job}/logs?limit=1", status: 200, has: []string{`"_next":"`, "created"}, lacks: []string{"paused"}},
	{op: "job-logs", path: "GET /v2/job/{job}/logs?since=mark-of-a-secret-value", status: 400, has: []string{"since: must be a time"}},
	{op: "job-logs", path: "GET /v2/job/{job}/logs?since=now&until=now-1h", status: 400, has: []string{"until: must be later"}},
	{op: "job-logs", path: "GET /v2/job/{job}/logs?event=mark-of-a-secret-value", status: 400, has: []string{"event: must be one of"}},
	{op: "job-logs", path: "GET /v2/job/{job}/logs?level=mark-of-a-secret-value", status: 400, has: []string{"level: must be one of"}},
	{op: "jobs-logs", path: "GET /v2/job/logs", status: 200, has: []string{"created", "{job}"}},
	{op: "job-passes", path: "GET /v2/job/{job}/passes", status: 200, has: []string{`"data":[]`}},
	{op: "job-passes", path: "GET /v2/job/{job}/passes?limit=0", status: 400, has: []string{"limit"}},
	{op: "workflow-job-passes", path: "GET /v2/job/meta-custom-audience/{job}/passes", status: 200, has: []string{`"data":[]`}},
	{op: "metrics", path: "GET /v2/metric?dimension=works&range=now-24h", status: 200, has: []string{`"name":"added"`, `"total":2`, `"width_seconds":60`}},
	{op: "metrics", path: "GET /v2/metric?dimension=works&id={job}&range=now-30d&fill=true", status: 200, has: []string{`"width_seconds":3600`, `"value":2`, `"value":0`}},
	{op: "metrics", path: "GET /v2/metric?dimension=mark-of-a-secret-value", status: 400, has: []string{"dimension: must be works"}},
	{op: "metrics", path: "GET /v2/metric?range=mark-of-a-secret-value", status: 400, has: []string{"range: must count from now"}},
	{op: "metrics", path: "GET /v2/metric?range=now-9y", status: 400, has: []string{"1500 days"}},
	{op: "metrics", path: "GET /v2/metric?range=now-1h&since=now-2h", status: 400, has: []string{"either range or since"}},
	{op: "metrics", path: "GET /v2/metric?id=nothing", status: 404},
	{op: "job-metrics", path: "GET /v2/job/{job}/metric?since=now-200d", status: 200, has: []string{`"width_seconds":86400`, `"total":2`}},
	{op: "workflow-job-metrics", path: "GET /v2/job/meta-custom-audience/{job}/metric", status: 200, has: []string{`"name":"omitted"`}},
	{op: "reconcile-target", path: "POST /v2/target/{target}/reconcile", status: 200, has: []string{`"target_id":"{target}"`, `"method":"size"`, `"ledger":2`, `"asked_by"`}},
	{op: "list-reconciliations", path: "GET /v2/target/{target}/reconcile?limit=5", status: 200, has: []string{`"target_id":"{target}"`}},
	{op: "plan-job", path: "POST /v2/job/{job}/plan", status: 200, has: []string{`"unchanged":2`}},
	{op: "plan-workflow-job", path: "POST /v2/job/meta-custom-audience/{job}/plan", status: 200, has: []string{`"unchanged":2`}},
	{op: "bounce-job", path: "POST /v2/job/{job}/bounce", status: 400, has: []string{"the job is paused", "resume"}},
	{op: "bounce-workflow-job", path: "POST /v2/job/meta-custom-audience/{job}/bounce", status: 400, has: []string{"the job is paused"}},
	{op: "run-job", path: "POST /v2/job/{job}/run", status: 400, has: []string{"JOB-BADREQ-002", "the job is paused", "it takes resume"}},
	{op: "resume-job", path: "POST /v2/job/{job}/resume", status: 200},
	{op: "pause-workflow-job", path: "POST /v2/job/meta-custom-audience/{job}/pause", status: 200, has: []string{`"status":"paused"`}},
	{op: "resume-workflow-job", path: "POST /v2/job/meta-custom-audience/{job}/resume", status: 200},
	{op: "pause-job", path: "POST /v2/job/{job}/pause", status: 200, has: []string{`"status":"paused"`}},
	{op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta-custom-audience","name":"High scores to Meta","destination_id":"{dest}","segment_ids":["high"]}`, status: 409},
	{op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta-custom-audience","name":"Another","destination_id":"{dest}","segment_ids":["high"]}`, status: 409, has: []string{"High scores to Meta"}},
	{
		op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta-custom-audience","name":"","destination_id":"mark-of-a-secret-value","segment_ids":["mark-of-a-secret-value"],"run_frequency":"mark-of-a-secret-value","config":{"zzz":"mark-of-a-secret-value"}}`,
		status: 400, has: []string{"name: ", "destination_id: ", "segment_ids: ", "run_frequency: ", "config.zzz: "},
	},
	{op: "create-job", path: "POST /v2/job", body: `{"workflow":"mark-of-a-secret-value","name":"x","destination_id":"{dest}","segment_ids":["high"]}`, status: 400, has: []string{"WF-NOTFOUND-005"}},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"low","name":"Low scores","segment_ql":"FILTER score < 50","tags":["ours to ignore"]}`, status: 201, has: []string{`"size":1`, `"kind":"segment"`}},
	{op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta-custom-audience","name":"Low","destination_id":"{dest}","segment_ids":["low"],"continuous_update":false,"tag":"ours to ignore"}`, status: 201, has: []string{`"status":"runnable"`}, keep: true},
	{op: "kill-job", path: "POST /v2/job/{made}/kill", status: 200, has: []string{`"status":"killed"`}},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"middle","name":"Middle","segment_ql":"FILTER score BETWEEN 60 AND 80"}`, status: 201},
	{op: "create-workflow-job", path: "POST /v2/job/meta-custom-audience", body: `{"name":"Middle","destination_id":"{dest}","segment_ids":["middle"],"run_frequency":"daily"}`, status: 201, keep: true},
	{op: "run-workflow-job", path: "POST /v2/job/meta-custom-audience/{made}/run", status: 0}, // 200, or 409 while its first is open
	{op: "run-job", path: "POST /v2/job/{made}/run", status: 0},
	{op: "kill-workflow-job", path: "POST /v2/job/meta-custom-audience/{made}/kill", status: 200, has: []string{`"status":"killed"`}},
	{op: "release-target", path: "DELETE /v2/target/{free}?remote=empty", status: 200, has: []string{"{free}", `"job_name":"Middle"`}},
	{op: "reconcile-target", path: "POST /v2/target/" + nobody + "/reconcile", status: 404},
	{op: "list-reconciliations", path: "GET /v2/target/{target}/reconcile?limit=0", status: 400, has: []string{"limit"}},
	{op: "list-reconciliations", path: "GET /v2/target/" + nobody + "/reconcile", status: 404},
	{op: "target-drift", path: "GET /v2/target/{target}/drift", status: 200, has: []string{`"data":[]`}},
	{op: "target-drift", path: "GET /v2/target/" + nobody + "/drift", status: 404},
	{op: "repair-target", path: "POST /v2/target/{target}/repair?dry_run=true", status: 409},
	{op: "repair-target", path: "POST /v2/target/" + nobody + "/repair", status: 404},
	{op: "replace-target", path: "POST /v2/target/{target}/replace", status: 400, has: []string{"the job is paused"}},
	{op: "replace-target", path: "POST /v2/target/" + nobody + "/replace", status: 404},
	{op: "run-target", path: "POST /v2/target/{target}/run", status: 400, has: []string{"the job is paused"}},
	{op: "run-target", path: "POST /v2/target/" + nobody + "/run", status: 404},
	{op: "explain", path: "POST /v2/explain", body: `{"identifier":{"field":"customer","value":"id-1"},"target_id":"{target}"}`, status: 200, has: []string{`"synced":true`, `"steps":[`, `"summary"`}},
	{op: "explain", path: "POST /v2/explain", body: `{"identifier":{"field":"customer","value":"mark-of-a-secret-value"},"target_id":"{target}"}`, status: 200, has: []string{`"synced":false`, `"cause":true`}, lacks: []string{"mark-of-a-secret-value"}},
	{op: "explain", path: "POST /v2/explain", body: `{"identifier":{"field":"zzz","value":"mark-of-a-secret-value"},"target_id":"{target}"}`, status: 400, has: []string{"field"}},
	{op: "explain", path: "POST /v2/explain", body: `{"identifier":{"field":"customer","value":"id-1"},"target_id":"` + nobody + `"}`, status: 404},
	{op: "create-priority-list", path: "POST /v2/priority-list", body: `{"name":"First high","destination_id":"{dest}","segment_ids":["high","low"]}`, status: 201, has: []string{`"name":"First high"`}, keep: true},
	{op: "create-priority-list", path: "POST /v2/priority-list", body: `{"name":"","destination_id":"mark-of-a-secret-value","segment_ids":["mark-of-a-secret-value"]}`, status: 400, has: []string{"name: ", "destination_id: ", "segment_ids: "}},
	{op: "create-priority-list", path: "POST /v2/priority-list", body: `{"name":"Again","destination_id":"{dest}","segment_ids":["high","middle"]}`, status: 400, has: []string{"segment_ids: number 1"}},
	{op: "list-priority-lists", path: "GET /v2/priority-list?destination_id={dest}", status: 200, has: []string{"{made}"}},
	{op: "list-priority-lists", path: "GET /v2/priority-list?destination_id=" + nobody, status: 200, has: []string{`"data":[]`}},
	{op: "show-priority-list", path: "GET /v2/priority-list/{made}", status: 200, has: []string{`"destination_id":"{dest}"`}},
	{op: "show-priority-list", path: "GET /v2/priority-list/" + nobody, status: 404},
	{op: "edit-priority-list", path: "PUT /v2/priority-list/{made}", body: `{"segment_ids":["low","high","middle"]}`, status: 200, has: []string{`"name":"First high"`}},
	{op: "edit-priority-list", path: "PUT /v2/priority-list/{made}", body: `{"destination_id":"` + nobody + `"}`, status: 400, has: []string{"destination_id"}},
	{op: "edit-priority-list", path: "PUT /v2/priority-list/" + nobody, body: `{}`, status: 404},
	{op: "delete-priority-list", path: "DELETE /v2/priority-list/{made}", status: 200},
	{op: "delete-priority-list", path: "DELETE /v2/priority-list/{made}", status: 404},
	{op: "list-issues", path: "GET /v2/paid/issue", status: 200, has: []string{`"data":[]`}},
	{op: "create-issue", path: "POST /v2/paid/issue", body: `{"name":"mark-of-a-secret-value"}`, status: 400, has: []string{"name: "}},
	{op: "create-issue", path: "POST /v2/paid/issue", body: `{"name":"Sales","zzz":"mark-of-a-secret-value"}`, status: 400, has: []string{"zzz"}},
	{op: "create-issue", path: "POST /v2/paid/issue", body: `{"name":"Sales","description":"what we sell"}`, status: 201, has: []string{`"name":"Sales"`}, keep: true},
	{op: "create-issue", path: "POST /v2/paid/issue", body: `{"name":"Sales"}`, status: 400, has: []string{"name: "}},
	{op: "edit-issue", path: "PUT /v2/paid/issue/{made}", body: `{"description":"all of it"}`, status: 200, has: []string{`"name":"Sales"`, "all of it"}},
	{op: "edit-issue", path: "PUT /v2/paid/issue/" + nobody, body: `{}`, status: 404},
	{op: "create-group", path: "POST /v2/paid/group", body: `{"name":"","issue_id":"` + nobody + `"}`, status: 400, has: []string{"name: ", "issue_id: "}},
	{op: "create-group", path: "POST /v2/paid/group", body: `{"name":"Offers","issue_id":"{made}"}`, status: 201, has: []string{`"name":"Offers"`}, keep: true},
	{op: "list-groups", path: "GET /v2/paid/group", status: 200, has: []string{"{made}"}},
	{op: "edit-group", path: "PUT /v2/paid/group/{made}", body: `{"name":"Best offers"}`, status: 200, has: []string{"Best offers"}},
	{op: "edit-group", path: "PUT /v2/paid/group/" + nobody, body: `{}`, status: 404},
	{op: "delete-issue", path: "DELETE /v2/paid/issue/" + nobody, status: 404},
	{op: "create-action", path: "POST /v2/paid/action", body: `{"name":"","group_id":"` + nobody + `","eligibility":"FILTER mark_of_a_secret_value","priority":99999999}`, status: 400, has: []string{"name: ", "group_id: ", "eligibility: ", "priority: "}},
	{op: "create-action", path: "POST /v2/paid/action", body: `{"name":"Upsell","group_id":"{made}","eligibility":"FILTER score > 80","priority":5}`, status: 201, has: []string{`"level":"Sales/Best offers"`, `"size":0`, `"negative_size":2`}, keep: true},
	{op: "list-actions", path: "GET /v2/paid/action?level=Sales", status: 200, has: []string{"{made}", `"enabled":true`}},
	{op: "list-actions", path: "GET /v2/paid/action?level=mark-of-a-secret-value", status: 400, has: []string{"level: "}},
	{op: "show-action", path: "GET /v2/paid/action/{made}", status: 200, has: []string{`"priority":5`}},
	{op: "show-action", path: "GET /v2/paid/action/" + nobody, status: 404},
	{op: "edit-action", path: "PUT /v2/paid/action/{made}", body: `{"priority":7}`, status: 200, has: []string{`"priority":7`, `"name":"Upsell"`}},
	{op: "edit-action", path: "PUT /v2/paid/action/{made}", body: `{"eligibility":"FILTER ("}`, status: 400, has: []string{"eligibility: "}},
	{op: "edit-action", path: "PUT /v2/paid/action/" + nobody, body: `{}`, status: 404},
	{op: "preview-decision", path: "POST /v2/paid/preview", body: `{"level":"all"}`, status: 200, has: []string{`"considered":3`, `"entered":1`, `"chosen":1`}},
	{op: "preview-decision", path: "POST /v2/paid/preview", body: `{"level":"mark-of-a-secret-value"}`, status: 400, has: []string{"level"}},
	{op: "decide", path: "POST /v2/paid/decision", body: `{"customers":[{"id":"id-1","level":"Sales"},{"id":"id-2","level":"Sales","action":"Upsell"},{"id":"id-77","level":"all"}]}`, status: 200, has: []string{`"status":"decided"`, `"status":"not_eligible"`, `"status":"unknown_customer"`}},
	{op: "decide", path: "POST /v2/paid/decision", body: `{"customers":[]}`, status: 400, has: []string{"customers"}},
	{op: "capture-response", path: "POST /v2/paid/response", body: `{"CustomerID":"id-1","Adset_id":"6042","value":19.90,"currency":"EUR","event_id":"r1"}`, status: 200, has: []string{`"stored":1`, "stored, not sent", `"event_ids":["r1"]`}},
	{op: "capture-response", path: "POST /v2/paid/response", body: `{"responses":[{"CustomerID":"id-1","ExternalAudienceId":"1","event_id":"r2"},{"CustomerID":"id-1","ExternalAudienceId":"1","event_id":"r3","value":"5","currency":"USD"}]}`, status: 200, has: []string{`"stored":2`}},
	{op: "capture-response", path: "POST /v2/paid/response", body: `{"CustomerID":"","Adset_id":"1","ExternalAudienceId":"mark-of-a-secret-value","value":-1,"currency":"mark-of-a-secret-value","time":"mark-of-a-secret-value"}`, status: 400, has: []string{"CustomerID: ", "Adset_id", "value: ", "currency: ", "time: "}},
	{op: "push-history", path: "POST /v2/paid/history", body: `{"destination_id":"{dest}","from":"mark-of-a-secret-value","to":"now"}`, status: 400, has: []string{"from: "}},
	{op: "push-history", path: "POST /v2/paid/history", body: `{"destination_id":"{dest}","from":"now-1d","to":"now-2d"}`, status: 400, has: []string{"to: "}},
	{op: "push-history", path: "POST /v2/paid/history", body: `{"destination_id":"` + nobody + `","from":"now-2d","to":"now"}`, status: 404},
	{op: "delete-action", path: "DELETE /v2/paid/action/{made}?dry_run=true", status: 200, has: []string{`"people":`}},
	{op: "delete-action", path: "DELETE /v2/paid/action/{made}", status: 200, has: []string{`"target_ids":`}},
	{op: "delete-action", path: "DELETE /v2/paid/action/{made}", status: 404},
	{op: "delete-group", path: "DELETE /v2/paid/group/" + nobody, status: 404},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"low2","name":"Low, too","segment_ql":"FILTER score < 40"}`, status: 201},
	{
		op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta_custom_audience","name":"mark-of-a-secret-value","destination_id":"{dest}","config":{"continuous_update":"x","segment_ids":7,"user_limit":1.5,"withbackfill":1,"zzz":{"a":1}},"fail_after":"x","expires_at":"x","drop_events_during_quiet_window":true,"on_end":"mark-of-a-secret-value","timezone":"mark-of-a-secret-value"}`,
		status: 400, has: []string{"config.continuous_update: ", "config.segment_ids: ", "config.user_limit: ", "config.withbackfill: ", "config.zzz: ", "fail_after: ", "expires_at: ", "drop_events_during_quiet_window: ", "on_end: ", "timezone: "},
	},
	{op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta-custom-audience","name":"Low, too","config":{"destination_id":"{dest}","segment_id":"low2","run_frequency":"daily","time_of_day":"2:30","timezone":"Europe/Berlin","withbackfill":false,"user_limit":100,"user_limit_frequency":"daily"},"quiet_time_of_day":"22:00","quiet_period":8.5,"fail_after":"2h","hidden":true}`, status: 201, has: []string{`"status":"sleeping"`, `"sleep_reason":"`, `"time_of_day":"02:30"`, `"withbackfill":false`, `"user_limit":100`, `"quiet_period":8.5`, `"next_runs":[`, `"fail_after":"2h0m0s"`, `"auth_ids":["{auth}"]`}, keep: true},
	{op: "list-templates", path: "GET /v2/template", status: 200, has: []string{`"data":[]`}},
	{op: "create-template", path: "POST /v2/template", body: `{"name": "Orders", "text": "function(event) {mail: event.data.email}"}`, status: 201, has: []string{`"name":"Orders"`, `"created_by"`}},
	{op: "create-template", path: "POST /v2/template", body: `{"name": "Orders", "text": "{}"}`, status: 409, has: []string{"exists already"}},
	{op: "create-template", path: "POST /v2/template", body: `{"name": "", "text": "{\n a: mark_of_a_secret_value"}`, status: 400, has: []string{"TEMPLATE", "name: is needed", "text: line 2, column"}},
	{op: "show-template", path: "GET /v2/template/Orders", status: 200, has: []string{"event.data.email"}},
	{op: "show-template", path: "GET /v2/template/Orders", status: 200, has: []string{"event.data.email"}},
	{op: "show-template", path: "GET /v2/template/" + nobody, status: 404},
	{op: "test-template", path: "POST /v2/template/Orders/test", body: `{"destination_id": ""}`, status: 200, has: []string{`"payload":{"mail":"sample@example.com"}`, `"sent":false`}},
	{op: "test-template", path: "POST /v2/template/Orders/test", body: `{"event": {"data": {"email": "ana@example.com"}}}`, status: 200, has: []string{`"payload":{"mail":"ana@example.com"}`}},
	{op: "test-template", path: "POST /v2/template/Orders/test", body: `{"event": {"mark-of-a-secret-value": 1}}`, status: 400, has: []string{"TEMPLATE", "line 1, column"}},
	{op: "test-template", path: "POST /v2/template/Orders/test", body: `{"destination_id": "{dest}"}`, status: 400, has: []string{"webhooks only"}},
	{op: "test-template", path: "POST /v2/template/Orders/test", body: `{"destination_id": "` + nobody + `"}`, status: 404},
	{op: "test-template", path: "POST /v2/template/" + nobody + "/test", body: `{"destination_id": ""}`, status: 404},
	{op: "edit-template", path: "PUT /v2/template/Orders", body: `{"text": "[]"}`, status: 200, has: []string{`"text":"[]"`, `"name":"Orders"`}},
	{op: "edit-template", path: "PUT /v2/template/Orders", body: `{"text": "["}`, status: 400, has: []string{"text: line 1"}},
	{op: "edit-template", path: "PUT /v2/template/" + nobody, body: `{"name": "x"}`, status: 404},
	{op: "delete-template", path: "DELETE /v2/template/Orders", status: 200},
	{op: "delete-template", path: "DELETE /v2/template/Orders", status: 404},
	{op: "list-alerts", path: "GET /v2/alert", status: 200, has: []string{`"data":[]`}},
	{op: "list-alerts", path: "GET /v2/alert?state=mark-of-a-secret-value", status: 400},
	{op: "list-notices", path: "GET /v2/notice?state=sent&limit=5", status: 200, has: []string{`"data":[]`}},
	{op: "list-notices", path: "GET /v2/notice?job=" + nobody, status: 200, has: []string{`"data":[]`}},
	{op: "test-alert", path: "POST /v2/alert/{job}/test", status: 400, has: []string{"only alert jobs"}},
	{op: "test-alert", path: "POST /v2/alert/" + nobody + "/test", status: 404},
	{op: "acknowledge-alert", path: "POST /v2/alert/{job}/work/{job}/acknowledge", status: 404},
	{op: "silence-alert", path: "POST /v2/alert/{job}/work/{job}/silence?for=1h", status: 404},
	{op: "silence-alert", path: "POST /v2/alert/{job}/work/{job}/silence?for=mark-of-a-secret-value", status: 400, has: []string{"for: "}},
	{op: "silence-alert", path: "POST /v2/alert/{job}/mark-of-a-secret-value/{job}/silence", status: 400},
	{op: "unsilence-alert", path: "POST /v2/alert/{job}/work/{job}/unsilence", status: 404},
	{op: "list-jobs", path: "GET /v2/job?limit=1&show_all=true", status: 200, has: []string{`"_next"`}},
	{op: "list-jobs", path: "GET /v2/job", status: 200, lacks: []string{"{made}"}},
	{op: "list-jobs", path: "GET /v2/job?show_hidden=true&show_state=true&auth_ids={auth}&q=low&type=export&provider=meta", status: 200, has: []string{"{made}", `"commands":["pause"`}},
	{op: "list-jobs", path: "GET /v2/job?auth_ids=mark-of-a-secret-value", status: 200, has: []string{`"data":[]`}},
	{op: "list-jobs", path: "GET /v2/job?status=fault&show_hidden=true", status: 200, lacks: []string{"{made}"}},
	{op: "edit-job", path: "PUT /v2/job/{made}", body: `{"description":"at night","hidden":false,"id":"ignored","created":"ignored","config":{"run_frequency":"weekly","day_of_week":"Mon"}}`, status: 200, has: []string{"at night", `"run_frequency":"weekly"`, `"day_of_week":"monday"`, `"time_of_day":"02:30"`}},
	{op: "edit-job", path: "PUT /v2/job/{made}", body: `{"workflow":"meta_custom_audience","destination_id":"elsewhere"}`, status: 400, has: []string{"destination_id: can't be changed"}},
	{op: "edit-workflow-job", path: "PUT /v2/job/meta-custom-audience/{made}", body: `{"name":"Low, renamed"}`, status: 200, has: []string{"Low, renamed"}},
	{op: "pause-job", path: "POST /v2/job/{made}/pause?for=mark-of-a-secret-value", status: 400, has: []string{"for: "}},
	{op: "pause-job", path: "POST /v2/job/{made}/pause?for=1h", status: 200, has: []string{`"status":"paused"`}},
	{op: "delete-job", path: "DELETE /v2/job/{made}", status: 200, has: []string{"deleted"}},
	{op: "show-job", path: "GET /v2/job/{made}", status: 404},
	{op: "list-jobs", path: "GET /v2/job?show_deleted=true", status: 200, has: []string{"{made}", `"deleted":true`}},
	{op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta-custom-audience","name":"Low, too","destination_id":"{dest}","segment_ids":["low2"],"continuous_update":false}`, status: 201, keep: true},
	{op: "delete-workflow-job", path: "DELETE /v2/job/meta-custom-audience/{made}", status: 200},
	{op: "create-job", path: "POST /v2/job", body: `{"workflow":"meta-custom-audience","name":"Low once more","destination_id":"{dest}","segment_ids":["low2"]}`, status: 201},

	{op: "export", path: "GET /v2/export", status: 200, has: []string{"audiences/high.yaml", "kind: destination"}, lacks: []string{"sandbox-token"}},
	{op: "apply", path: "POST /v2/apply", body: `{"files":{"x.yaml":"kind: audience\nslug: from-git\nname: From git\nrule: FILTER score > 90"},"dry_run":true}`, status: 200, has: []string{`"applied":false`, `"action":"create"`}},
	{op: "apply", path: "POST /v2/apply", body: `{"files":{"x.yaml":"kind: audience\nslug: from-git\nname: From git\nrule: FILTER score > 90"}}`, status: 200, has: []string{`"applied":true`, `"action":"create"`}},
	{op: "apply", path: "POST /v2/apply", body: `{"files":{"x.yaml":"kind: audience\nslug: from-git\nname: From git\nrule: FILTER score > 90"}}`, status: 200, has: []string{`"action":"unchanged"`}},
	{op: "apply", path: "POST /v2/apply", body: `{"files":{"x.yaml":"kind: audience\nslug: more\nname: More\nrule: FILTER scores > \"mark-of-a-secret-value\"","y.yaml":"kind: mark-of-a-secret-value"}}`, status: 400, has: []string{"x.yaml:4: rule: ", "y.yaml:1: kind must be"}},
	{op: "list-runs", path: "GET /v2/run?limit=1", status: 200, has: []string{`"_next"`}},
	{op: "list-runs", path: "GET /v2/run?destination_type=Facebook+Ads&segment_id=&since=2020-01-01T00:00:00Z&sync_type=segment", status: 200, has: []string{`"segment_slug":"high"`}},
	{op: "list-runs", path: "GET /v2/run?limit=0", status: 400, has: []string{"limit"}},
	{op: "list-runs", path: "GET /v2/run?limit=mark-of-a-secret-value", status: 400, has: []string{"limit"}},
	{op: "list-runs", path: "GET /v2/run?since=mark-of-a-secret-value", status: 400, has: []string{"since"}},
	{op: "list-runs", path: "GET /v2/run?status=mark-of-a-secret-value", status: 400, has: []string{"status"}},
	{op: "show-run", path: "GET /v2/run/{run}", status: 200, has: []string{`"laws":[`, `"segment_slug":"high"`}},
	{op: "run-items", path: "GET /v2/run/{run}/items", status: 200, has: []string{`"delivered"`}},
	{op: "run-errors", path: "GET /v2/run/{run}/errors", status: 200, has: []string{`"data":[]`}},
	{op: "run-item", path: "GET /v2/run/{run}/item/1", status: 200, has: []string{`"outcome":"accepted"`}, lacks: []string{"a@example.com"}},
	{op: "run-item", path: "GET /v2/run/{run}/item/0", status: 400},
	{op: "run-item", path: "GET /v2/run/{run}/item/99", status: 404},
	{op: "retry-run", path: "POST /v2/run/{run}/retry", status: 409, has: []string{"only a failed run"}},
	{op: "approve-run", path: "POST /v2/run/{run}/approve", status: 409},
	{op: "decline-run", path: "POST /v2/run/{run}/decline", status: 409},
	{op: "withdraw-run", path: "POST /v2/run/{run}/withdraw", status: 409},
	{op: "list-targets", path: "GET /v2/target", status: 200, has: []string{`"in":2`}},
	{op: "list-targets", path: "GET /v2/target?job_id={job}&destination_id={dest}&segment_id=high", status: 200, has: []string{`"in":2`, "{target}"}},
	{op: "list-targets", path: "GET /v2/target?job_id=mark-of-a-secret-value", status: 200, lacks: []string{"{target}"}},
	{op: "list-targets", path: "GET /v2/target?segment_id=mark-of-a-secret-value", status: 404},
	{op: "show-target", path: "GET /v2/target/{target}", status: 200, has: []string{`"in":2`, `"baseline":0`, `"job_name":"High scores to Meta"`}},
	{op: "release-target", path: "DELETE /v2/target/{target}", status: 409, has: []string{"High scores to Meta"}},
	{op: "release-target", path: "DELETE /v2/target/{target}?remote=mark-of-a-secret-value", status: 400, has: []string{"remote"}},
	{op: "release-target", path: "DELETE /v2/target/{target}?remote=empty", status: 409, has: []string{"High scores to Meta", "kill it first"}},

	{op: "list-audiences", path: "GET /v2/segment", status: 200, has: []string{`"slug_name":"high"`, `"size":2`}},
	{op: "show-audience", path: "GET /v2/segment/high", status: 200, has: []string{`"size":2`, `"table":"user"`}},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"high","name":"x","segment_ql":"FILTER score > 1"}`, status: 409},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"Not A Slug","segment_ql":"FILTER score >"}`, status: 400, has: []string{"slug_name: ", "name: ", "segment_ql: ", "line 1, column"}},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"x","name":"x","segment_ql":"FILTER nothing_there = \"mark-of-a-secret-value\""}`, status: 400, has: []string{"nothing_there"}},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"x","name":"x","segment_ql":"FILTER score = \"mark-of-a-secret-value\" \"mark-of-a-secret-value\""}`, status: 400},
	{op: "edit-audience", path: "PUT /v2/segment/high", body: `{"description":"everyone over fifty","tags":[]}`, status: 200, has: []string{"everyone over fifty", `"size":2`}},
	{op: "edit-audience", path: "PUT /v2/segment/high", body: `{"segment_ql":"FILTER"}`, status: 400, has: []string{"segment_ql"}},
	{op: "validate-audience", path: "POST /v2/segment/validate", body: `{"segment_ql":"filter score>50"}`, status: 200, has: []string{`"size":2`, `FILTER score > 50`, `"fields":["score"]`}},
	{op: "validate-audience", path: "POST /v2/segment/validate", body: `{"segment_ql":"FILTER mark = "}`, status: 400, has: []string{"line 1, column"}},
	{op: "audience-size", path: "GET /v2/segment/high/sizes", status: 200, has: []string{`"size":2`}},
	{op: "scan-audience", path: "GET /v2/segment/high/scan?limit=1", status: 200, has: []string{`"_next"`, "•••"}, lacks: []string{"a@example.com"}},
	{op: "scan-audience", path: "GET /v2/segment/high/scan?limit=100000", status: 400, has: []string{"limit"}},
	{op: "run-audience", path: "POST /v2/segment/middle/run", status: 400, has: []string{"the job is killed"}},
	{op: "run-audience", path: "POST /v2/segment/low2/run", status: 0},
	{op: "create-audience", path: "POST /v2/segment", body: `{"slug_name":"unused","name":"Unused","segment_ql":"FILTER NOT INCLUDE high"}`, status: 201},
	{op: "delete-audience", path: "DELETE /v2/segment/high", status: 409, has: []string{"unused"}},
	{op: "delete-audience", path: "DELETE /v2/segment/unused", status: 200, has: []string{`"data":null`, "deleted"}},

	{op: "list-destinations", path: "GET /v2/destination", status: 200, has: []string{"{dest}"}},
	{op: "show-destination", path: "GET /v2/destination/{dest}", status: 200, has: []string{`"account":"1"`}},
	{op: "test-destination", path: "POST /v2/destination/{dest}/test", status: 200, has: []string{`"healthy":true`}},
	{
		op: "create-destination", path: "POST /v2/destination", body: `{"name":"","provider":"meta","auth_id":"mark-of-a-secret-value","account":"","mapping":{"EMAIL":"mark-of-a-secret-value"},"config":{"zzz":"mark-of-a-secret-value"}}`,
		status: 400, has: []string{"name: ", "auth_id: ", "account: ", "mapping.EMAIL: ", "config.zzz: "},
	},
	{op: "create-destination", path: "POST /v2/destination", body: `{"name":"x","provider":"mark-of-a-secret-value","auth_id":"{auth}","account":"1","mapping":{}}`, status: 400, has: []string{"PROVIDER-NOTFOUND-016"}},
	{op: "create-destination", path: "POST /v2/destination", body: `{"name":"Second","provider":"meta","auth_id":"{auth}","account":"2","mapping":{"EMAIL":"email"}}`, status: 201, keep: true},
	{op: "delete-destination", path: "DELETE /v2/destination/{dest}", status: 409},
	{op: "delete-destination", path: "DELETE /v2/destination/{made}", status: 200},

	{op: "list-authorizations", path: "GET /v2/auth", status: 200, has: []string{"{auth}"}, lacks: []string{"sandbox-token", "sealed"}},
	{op: "show-authorization", path: "GET /v2/auth/{auth}", status: 200, has: []string{`"label":"sandbox"`}, lacks: []string{"sandbox-token", "sealed"}},
	{op: "create-authorization", path: "POST /v2/auth/meta", body: `{"label":"Second","config":{"access_token":"mark-of-a-secret-value"}}`, status: 201, lacks: []string{mark}, keep: true},
	{op: "create-authorization", path: "POST /v2/auth/meta", body: `{"label":"","config":{"base_url":"mark-of-a-secret-value","zzz":"mark-of-a-secret-value"}}`, status: 400, has: []string{"label: ", "config.access_token: ", "config.base_url: ", "config.zzz: "}},
	{op: "create-authorization", path: "POST /v2/auth/mark-of-a-secret-value", body: `{"label":"x","config":{}}`, status: 400, has: []string{"PROVIDER-NOTFOUND-016", "meta"}},
	{op: "delete-authorization", path: "DELETE /v2/auth/{auth}", status: 409},
	{op: "delete-authorization", path: "DELETE /v2/auth/{made}", status: 200},
	{op: "list-providers", path: "GET /v2/provider", status: 200, has: []string{`"slug":"meta"`, `"name":"meta_custom_audience"`, `"hashed":true`}},

	{op: "list-streams", path: "GET /v2/stream", status: 200, has: []string{`"people"`}},
	{op: "declare-stream", path: "PUT /v2/stream/products", body: `{"reference_key":"key"}`, status: 200},
	{op: "declare-stream", path: "PUT /v2/stream/products", body: `{"date_order":"mark-of-a-secret-value"}`, status: 400, has: []string{"date_order"}},
	{op: "stream-messages", path: "GET /v2/stream/people/events?limit=1", status: 200, has: []string{"score"}},
	{op: "list-fields", path: "GET /v2/field", status: 200, has: []string{`"email"`}},
	{op: "declare-field", path: "POST /v2/field", body: `{"name":"country","type":"text","merge":"latest","pii":false,"public":false}`, status: 200},
	{op: "declare-field", path: "POST /v2/field", body: `{"name":"country","type":"mark-of-a-secret-value","merge":"latest","pii":false,"public":false}`, status: 400, has: []string{"type"}},
	{op: "declare-field", path: "POST /v2/field", body: `{"name":"unused","type":"text","merge":"latest","pii":false,"public":false}`, status: 200},
	{op: "delete-field", path: "DELETE /v2/field/unused", status: 200, has: []string{"deleted"}},
	{op: "delete-field", path: "DELETE /v2/field/unused", status: 404, has: []string{"no such field"}},
	{op: "delete-field", path: "DELETE /v2/field/score", status: 409, has: []string{`the mapping of the stream \"people\"`, `the audience \"high\"`}},
	{op: "delete-field", path: "DELETE /v2/field/email", status: 409, has: []string{`the mapping of the stream`, `the mapping of the destination`}},
	{op: "list-mappings", path: "GET /v2/mapping/people", status: 200, has: []string{`concat(`}},
	{op: "set-mappings", path: "PUT /v2/mapping/people", body: `{"country":"upper(country)"}`, status: 200, has: []string{`"rebuild":["country"]`}},
	{op: "set-mappings", path: "PUT /v2/mapping/people", body: `{"country":"upper("}`, status: 400},
	{op: "set-mappings", path: "PUT /v2/mapping/people", body: `{"nothing_there":"country"}`, status: 400, has: []string{"nothing_there"}},
	{op: "set-mappings", path: "PUT /v2/mapping/people", body: `{"country":7}`, status: 400},
	{op: "preview-mappings", path: "POST /v2/mapping/people/preview", body: `{"mappings":{"email":"lower(email)"},"limit":2}`, status: 200, has: []string{`"messages_looked_at":3`, `"rebuild":["email","country"]`}},
	{op: "preview-mappings", path: "POST /v2/mapping/people/preview", body: `{"mappings":{"email":"lower("}}`, status: 400, has: []string{"email"}},
	{op: "delete-mapping", path: "DELETE /v2/mapping/people/country", status: 200},
	{op: "delete-mapping", path: "DELETE /v2/mapping/people/nothing", status: 404},
	{op: "stream-drift", path: "GET /v2/stream/people/drift", status: 200, has: []string{`"data":[`}},
	{op: "accept-drift", path: "POST /v2/stream/people/drift/accept", status: 200, has: []string{`"data":[]`}},
	{op: "show-identity", path: "GET /v2/identity", status: 200, has: []string{`"max_identifiers":50`, "test@test.com"}},
	{op: "set-identity", path: "PUT /v2/identity", body: `{"max_identifiers":1}`, status: 400, has: []string{"max_identifiers"}},
	{op: "set-identity", path: "PUT /v2/identity", body: `{"max_identifiers":40,"stop_list":["info@example.com"]}`, status: 200, has: []string{`"max_identifiers":40`, "info@example.com"}},
	{op: "list-merges", path: "GET /v2/merge?limit=5", status: 200, has: []string{`"data":[`}},
	{op: "list-merges", path: "GET /v2/merge?until=mark-of-a-secret-value", status: 400, has: []string{"until"}},
	{op: "rebuild-cost", path: "GET /v2/rebuild/cost", status: 200, has: []string{`"messages":`, `"seconds":`}},
	{op: "rebuild", path: "POST /v2/rebuild", body: `{"reason":"a new rule"}`, status: 200, has: []string{`"reason":"a new rule"`, `"number":1`}, keep: true},
	{op: "show-rebuild", path: "GET /v2/rebuild/{made}", status: 200, has: []string{`"id":"{made}"`}},
	{op: "list-rebuilds", path: "GET /v2/rebuild", status: 200, has: []string{"{made}"}},
	{op: "cancel-rebuild", path: "POST /v2/rebuild/nothing/cancel", status: 404},
	{op: "breakdown-audience", path: "POST /v2/segment/breakdown", body: `{"id":"high","field":"score"}`, status: 200, has: []string{`"people":2`, `"present":2`}},
	{op: "breakdown-audience", path: "POST /v2/segment/breakdown", body: `{"segment_ql":"FILTER score > 50","field":"email"}`, status: 200, has: []string{`"present":2`}, lacks: []string{"@example.com"}},
	{op: "breakdown-audience", path: "POST /v2/segment/breakdown", body: `{"field":"score"}`, status: 400, has: []string{"segment_ql"}},
	{op: "overlap-audiences", path: "POST /v2/segment/overlap", body: `{"segment_ids":["high"]}`, status: 200, has: []string{`"both":[[2]]`}},
	{op: "overlap-audiences", path: "POST /v2/segment/overlap", body: `{"segment_ids":["nothing"]}`, status: 404},
	{op: "audience-reach", path: "GET /v2/segment/high/reach", status: 200, has: []string{`"usable":2`, "{dest}"}},
	{op: "audience-trend", path: "GET /v2/segment/high/trend?range=now-1h", status: 200, has: []string{`"data":[`}},
	{op: "metrics", path: "GET /v2/metric?dimension=stream&id=people", status: 200, has: []string{`"name":"messages"`, `"total":3`}},
	{op: "metrics", path: "GET /v2/metric?dimension=segment&id=high", status: 200, has: []string{`"data":[`}},
	{op: "metrics", path: "GET /v2/metric?dimension=stream", status: 400, has: []string{"id: say which"}},
	{op: "validate-audience", path: "POST /v2/segment/validate", body: `{"json":{"op":">","args":[{"ident":"score"},{"val":"50"}]}}`, status: 200, has: []string{`"size":2`, "FILTER score > 50"}},
	{op: "import-position", path: "GET /v2/job/{job}/position", status: 400, has: []string{"only import jobs"}},
	{op: "reset-import", path: "POST /v2/job/{job}/reset", status: 400, has: []string{"only import jobs"}},
	{op: "preview-import", path: "POST /v2/job/meta_custom_audience/preview", body: `{}`, status: 400, has: []string{"only imports"}},
	{op: "preview-import", path: "POST /v2/job/sftp_import/preview", body: `{"config":{"zzz":"mark-of-a-secret-value"}}`, status: 400, has: []string{"auth_ids: ", "config.zzz: "}},
	{op: "compact", path: "POST /v2/compaction", status: 0},
	{op: "list-forgets", path: "GET /v2/forget", status: 200, has: []string{`"data":[]`}},
	{op: "show-forget", path: "GET /v2/forget/nothing", status: 404},
	{op: "forget", path: "POST /v2/forget", body: `{"identifier":{"field":"score","value":"mark-of-a-secret-value"}}`, status: 400, has: []string{"field"}},
	{op: "rejected-rows", path: "GET /v2/load/nothing/rejected", status: 404},
	{op: "show-load", path: "GET /v2/load/{load}", status: 200, has: []string{`"status":"merged"`, `"rows":3`}},
	{op: "list-loads", path: "GET /v2/load?stream=people", status: 200, has: []string{`"stream":"people"`}},
	{op: "retry-load", path: "POST /v2/load/{load}/retry", status: 409},
	{op: "retry-load", path: "POST /v2/load/nothing/retry", status: 404},
	{op: "discard-load", path: "DELETE /v2/load/{load}", status: 409},
	{op: "collect-bulk", path: "POST /collect/bulk/people?filename=x.csv", body: "id,email,score\n9,z@example.com,1\n", status: 200, has: []string{`"message_count":1`, `"load_id"`}},
	{op: "collect-json", path: "POST /collect/json/people", body: `{"id":"10","score":2}`, status: 200, has: []string{`"message_count":1`}},

	{op: "collect-bulk", path: "POST /collect/bulk/nobody_declared", body: "id\n77\n", status: 200, has: []string{`"message_count":1`}},
	{op: "set-mappings", path: "PUT /v2/mapping/nobody_sent", body: `{"country":"id"}`, status: 400, has: []string{"unknown stream"}},
	{op: "lookup-profile", path: "POST /v2/profile/lookup", body: `{"field":"customer","value":"id-1"}`, status: 200, has: []string{"a•••@example.com"}, lacks: []string{`"a@example.com"`}},
	{op: "lookup-profile", path: "POST /v2/profile/lookup", body: `{"field":"customer","value":"mark-of-a-secret-value"}`, status: 404},
	{op: "lookup-profile", path: "POST /v2/profile/lookup", body: `{"field":"mark-of-a-secret-value","value":"x"}`, status: 400},
	{op: "lookup-profile", path: "POST /v2/profile/lookup", body: `{"field":"","value":""}`, status: 400, has: []string{"field", "value"}},
	{op: "count-profiles", path: "GET /v2/profile/count", status: 200, has: []string{`"profiles":`}},
	{op: "create-user", path: "POST /v2/user", body: `{"email":"first@example.org","name":"First","role":"viewer","password":"mark-of-a-secret-value"}`, status: 409, has: []string{"the first person must be an administrator", "CONFLICT"}},
	{op: "create-user", path: "POST /v2/user", body: `{"email":"First@Example.org","name":"First","role":"admin","password":"correct horse battery"}`, status: 201, has: []string{`"email":"first@example.org"`, `"role":"admin"`, `"disabled":false`}, lacks: []string{"argon2", "horse", "password"}, keep: true},
	{op: "create-user", path: "POST /v2/user", body: `{"email":"first@example.org","name":"Again","role":"admin","password":"mark-of-a-secret-value"}`, status: 409, has: []string{"exists already"}, lacks: []string{"first@"}},
	{op: "create-user", path: "POST /v2/user", body: `{"email":"mark-of-a-secret-value","name":" ","role":"viewer","password":"short"}`, status: 400, has: []string{"email: must be", "name: is needed", "password: must have at least 12"}},
	{op: "create-user", path: "POST /v2/user", body: `{"email":"second@example.org","name":"Second","role":"mark-of-a-secret-value","password":"mark-of-a-secret-value"}`, status: 400, has: []string{"role"}},
	{op: "create-user", path: "POST /v2/user", body: `{"email":"second@example.org","name":"Second","role":"viewer","password":"SECOND@example.org"}`, status: 400, has: []string{"PASSWORD", "must not be the login"}},
	{op: "list-users", path: "GET /v2/user", status: 200, has: []string{"{made}", "first@example.org"}, lacks: []string{"argon2", "password"}},
	{op: "show-user", path: "GET /v2/user/{made}", status: 200, has: []string{`"name":"First"`}, lacks: []string{"argon2", "password"}},
	{op: "edit-user", path: "PUT /v2/user/{made}", body: `{"name":"The First"}`, status: 200, has: []string{`"name":"The First"`, `"role":"admin"`}},
	{op: "edit-user", path: "PUT /v2/user/{made}", body: `{"password":"a quite other password"}`, status: 200, lacks: []string{"argon2", "quite"}},
	{op: "edit-user", path: "PUT /v2/user/{made}", body: `{"role":"operator"}`, status: 409, has: []string{"the last administrator"}},
	{op: "edit-user", path: "PUT /v2/user/{made}", body: `{"disabled":true}`, status: 409, has: []string{"the last administrator"}},
	{op: "edit-user", path: "PUT /v2/user/{made}", body: `{"name":"","password":"short"}`, status: 400, has: []string{"name: ", "password: "}},
	{op: "delete-user", path: "DELETE /v2/user/{made}", status: 409, has: []string{"the last administrator"}},
	{op: "create-user", path: "POST /v2/user", body: `{"email":"third@example.org","name":"Third","role":"admin","password":"correct horse battery"}`, status: 201, keep: true},
	{op: "delete-user", path: "DELETE /v2/user/{made}", status: 200, has: []string{"deleted"}},
	{op: "change-password", path: "POST /v2/user/password", body: `{"present_password":"correct horse battery","password":"mark-of-a-secret-value"}`, status: 409, has: []string{"only a person has a password"}},
	{op: "change-password", path: "POST /v2/user/password", body: `{"present_password":"mark-of-a-secret-value","password":"another long password"}`, status: 400, has: []string{"present_password: is not"}, person: true},
	{op: "change-password", path: "POST /v2/user/password", body: `{"present_password":"correct horse battery","password":"short"}`, status: 400, has: []string{"PASSWORD", "at least 12"}, person: true},
	{op: "change-password", path: "POST /v2/user/password", body: `{"present_password":"correct horse battery","password":"another long password"}`, status: 200, lacks: []string{"horse", "another"}, person: true},
	{op: "create-token", path: "POST /v2/token", body: `{"name":"pages","scope":"site","expires":"never"}`, status: 201, has: []string{`"token":"usher_`, `"scope":"site"`}},
	{op: "show-visitor", path: "GET /web/audiences/nobody-0001", status: 200, has: []string{`"audiences":[]`, `"attributes":{}`}},
	{op: "show-visitor", path: "GET /web/audiences/mark-of-a-secret-value%40example.com", status: 400, has: []string{"public_id: must be a public id"}},
	{op: "create-token", path: "POST /v2/token", body: `{"name":"ci","description":"for the builds","scope":"operator","expires":"7d"}`, status: 201, has: []string{`"token":"usher_`, `"scope":"operator"`, `"expires_at":`, `"created_by":"token:test admin"`}, keep: true},
	{op: "create-token", path: "POST /v2/token", body: `{"name":"ci","scope":"viewer"}`, status: 409, has: []string{"exists already"}},
	{op: "create-token", path: "POST /v2/token", body: `{"name":"","scope":"viewer"}`, status: 400, has: []string{"name: is needed"}},
	{op: "create-token", path: "POST /v2/token", body: `{"name":"x","scope":"mark-of-a-secret-value"}`, status: 400, has: []string{"scope"}},
	{op: "create-token", path: "POST /v2/token", body: `{"name":"x","scope":"viewer","expires":"mark-of-a-secret-value"}`, status: 400, has: []string{"expires"}},
	{op: "create-token", path: "POST /v2/token", body: `{"name":"x","scope":"viewer"}`, status: 403, person: true},
	{op: "list-tokens", path: "GET /v2/token", status: 200, has: []string{"{made}", `"status":"active"`, `"effective_scope":"operator"`}, lacks: []string{"usher_", "hash"}},
	{op: "show-token", path: "GET /v2/token/{made}", status: 200, has: []string{`"name":"ci"`}, lacks: []string{"usher_", "hash"}},
	{op: "show-token", path: "GET /v2/token/{made}", status: 404, person: true},
	{op: "delete-token", path: "DELETE /v2/token/{made}", status: 404, person: true},
	{op: "delete-token", path: "DELETE /v2/token/{made}", status: 200, has: []string{"deleted"}},
	{op: "list-runs", path: "GET /v2/run?since=now-1d&until=now", status: 200, has: []string{`"segment_slug":"high"`}},
	{op: "list-runs", path: "GET /v2/run?until=now-1d", status: 200, has: []string{`"data":[]`}},
	{op: "list-runs", path: "GET /v2/run?triggered_by=nobody", status: 200, has: []string{`"data":[]`}},
	{op: "audit-log", path: "GET /v2/event?type=job&verb=pause&after=now-1d&limit=1", status: 200, has: []string{`"verb":"pause"`, `"_next"`}},
	{op: "audit-log", path: "GET /v2/event?type=job&verb=pause&before=now-1d", status: 200, has: []string{`"data":[]`}},
	{op: "audit-log", path: "GET /v2/event?after=mark-of-a-secret-value", status: 400, has: []string{"after: "}},
	{op: "audit-log", path: "GET /v2/event?limit=500", status: 200, has: []string{"token:test admin"}, lacks: []string{mark, "sandbox-token"}},
}

// awaitQuiet waits until everything of a publisher account is done that was begun by
// itself: linking one reads it.
func awaitQuiet(t *testing.T, s *servertest.Server, account string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var count map[string]int64
		s.Must(http.MethodGet, "/v2/entry/count?publisher_id="+account, nil, &count)
		if count["queued"]+count["processing"] == 0 {
			return
		}
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("still under way: %v", count)
		}
	}
}

// TestScenarios walks the table on one server; then what holds for every
// operation is tried on every operation of the OpenAPI document.
func TestScenarios(t *testing.T) {
	s, shop := start(t)
	ids := map[string]string{"{job}": shop.Job, "{dest}": shop.Destination, "{auth}": shop.Auth, "{run}": shop.Run, "{load}": shop.Load, "{target}": shop.Target, "{network}": s.Network}
	fill := func(text string) string {
		for name, id := range ids {
			text = strings.ReplaceAll(text, name, id)
		}
		return text
	}
	good := map[string]scenario{}
	for _, c := range slices.Concat(scenarios, accountScenarios, publisherScenarios) {
		t.Run(c.op+" "+c.path, func(t *testing.T) {
			if strings.Contains(c.path, "{free}") {
				var free []activation.Target
				s.Must(http.MethodGet, "/v2/target?job_id="+ids["{made}"], nil, &free)
				ids["{free}"] = string(free[0].ID)
			}
			if c.quiet {
				awaitQuiet(t, s, ids["{pub}"])
			}
			method, path, _ := strings.Cut(fill(c.path), " ")
			token := s.Tokens[activation.RoleAdmin]
			if c.person {
				token = personToken(t, s)
			}
			a := call(t, s, token, method, path, reader(fill(c.body)))
			status := c.status
			if status == 0 && (a.StatusCode == http.StatusOK || a.StatusCode == http.StatusConflict) {
				status = a.StatusCode
			}
			checkAnswer(t, s, a, status)
			for _, text := range c.has {
				if !strings.Contains(a.body, fill(text)) {
					t.Errorf("the answer lacks %q: %s", text, a.body)
				}
			}
			for _, text := range c.lacks {
				if strings.Contains(a.body, fill(text)) {
					t.Errorf("the answer has %q: %s", text, a.body)
				}
			}
			if c.keep {
				var made struct{ Data struct{ ID string } }
				if err := json.Unmarshal([]byte(a.body), &made); err != nil {
					t.Fatal(err)
				}
				ids[cmp.Or(c.as, "{made}")] = made.Data.ID
			}
			if c.entry {
				var made struct {
					Data struct{ Entries []struct{ ID int64 } }
				}
				if err := json.Unmarshal([]byte(a.body), &made); err != nil || len(made.Data.Entries) == 0 {
					t.Fatal(err, a.body)
				}
				ids["{entry}"] = strconv.FormatInt(made.Data.Entries[0].ID, 10)
			}
		})
		if _, ok := good[c.op]; !ok && c.status < 300 {
			c.body = fill(c.body)
			good[c.op] = c
		}
	}
	ops := operations(t, s)
	t.Run("every operation has a scenario", func(t *testing.T) { everyOperationIsTried(t, ops, good) })
	t.Run("who may call what", func(t *testing.T) { whoMay(t, s, ops) })
	t.Run("not found", func(t *testing.T) { notFound(t, s, ops, good) })
	t.Run("bad bodies", func(t *testing.T) { badBodies(t, s, ops, good) })
}

func everyOperationIsTried(t *testing.T, ops []operation, good map[string]scenario) {
	if len(ops) < 40 {
		t.Fatalf("the OpenAPI document has %d operations: is it read at all?", len(ops))
	}
	for _, o := range ops {
		if _, ok := good[o.ID]; !ok && noGood[o.ID] == "" {
			t.Errorf("%s %s (%s) has no scenario that succeeds", o.Method, o.Path, o.ID)
		}
	}
	for _, c := range slices.Concat(scenarios, accountScenarios, publisherScenarios) {
		if !slices.ContainsFunc(ops, func(o operation) bool { return o.ID == c.op }) {
			t.Errorf("scenario for %q, which is no operation", c.op)
		}
	}
}

// whoMay tries every operation without a token, with a wrong one, and in every
// role below the one it needs.
func whoMay(t *testing.T, s *servertest.Server, ops []operation) {
	for _, o := range ops {
		need := roleOf(o.ID)
		if need == "" {
			continue
		}
		for _, token := range []string{"", mark, "Bearer " + mark} {
			checkAnswer(t, s, call(t, s, token, o.Method, o.nowhere(), nil), http.StatusUnauthorized)
		}
		for role, token := range s.Tokens {
			if role.Includes(need) {
				continue
			}
			a := call(t, s, token, o.Method, o.nowhere(), nil)
			if a.StatusCode != http.StatusForbidden {
				t.Errorf("%s as %s: %d, want 403", o.ID, role, a.StatusCode)
				continue
			}
			checkAnswer(t, s, a, http.StatusForbidden)
		}
		// The role it needs is enough: whatever comes, it is not 401 or 403.
		if o.Method == http.MethodGet {
			if a := call(t, s, s.Tokens[need], o.Method, o.nowhere(), nil); a.StatusCode == http.StatusForbidden || a.StatusCode == http.StatusUnauthorized {
				t.Errorf("%s as %s: %d", o.ID, need, a.StatusCode)
			}
		}
	}
}

// elsewhere are bodies of operations whose success is another suite's.
var elsewhere = map[string]string{
	"create-schedule": `{"object":{"kind":"campaign","id":"1"},"action":"pause","days":[1],"hour":6}`, "edit-schedule": `{"hour":7}`,
	"give-bids": `{"bids":[{"object":{"kind":"group","id":"1"},"bid":0.5}]}`, "override-bid": `{"object":{"kind":"group","id":"1"},"bid":0.5,"until":"2030-01-01"}`,
}

// notFound asks for things that are not there.
func notFound(t *testing.T, s *servertest.Server, ops []operation, good map[string]scenario) {
	for _, o := range ops {
		if !strings.Contains(o.Path, "{id}") {
			continue
		}
		a := call(t, s, s.Tokens[activation.RoleAdmin], o.Method, o.nowhere(), reader(cmp.Or(good[o.ID].body, elsewhere[o.ID])))
		if a.StatusCode != http.StatusNotFound {
			t.Errorf("%s of nothing: %d, want 404: %s", o.ID, a.StatusCode, a.body)
			continue
		}
		checkAnswer(t, s, a, http.StatusNotFound)
	}
}

// lenient are the operations whose bodies are those of the older API: unknown
// fields are ignored, since its clients send more than we read. Mappings are an
// object of any names.
var lenient = []string{"create-job", "create-workflow-job", "edit-job", "edit-workflow-job", "create-audience", "edit-audience", "set-mappings", "preview-import", "create-authorization", "edit-authorization", "edit-typed-authorization"}

// optional are the operations that need no body.
var optional = []string{"rebuild", "sync-publisher", "post-all-entries"}

// badBodies sends what is no JSON, of another type, nothing, and unknown fields.
func badBodies(t *testing.T, s *servertest.Server, ops []operation, good map[string]scenario) {
	for _, o := range ops {
		if !o.JSON {
			continue
		}
		send := func(what, body string) answer {
			a := call(t, s, s.Tokens[activation.RoleAdmin], o.Method, o.nowhere(), reader(body))
			if a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s with %s: %d, want 400: %s", o.ID, what, a.StatusCode, a.body)
			} else {
				checkAnswer(t, s, a, http.StatusBadRequest)
			}
			return a
		}
		if !slices.Contains(optional, o.ID) {
			send("no body", "")
		}
		send("half a body", `{"a":"`+mark)
		send("a body that is an array", `["`+mark+`"]`)
		send("a body that is a text", `"`+mark+`"`)
		if !slices.Contains(lenient, o.ID) {
			body := strings.TrimSuffix(good[o.ID].body, "}") + ","
			if body == "," {
				body = "{"
			}
			if a := send("an unknown field", body+`"zzz_unknown":"`+mark+`"}`); !strings.Contains(a.body, "zzz_unknown") {
				t.Errorf("%s does not name the unknown field: %s", o.ID, a.body)
			}
		}
		size := 1 << 20
		switch o.ID {
		case "apply": // takes whole folders
			size = 16 << 20
		case "bulk-edit":
			size = 32 << 20
		case "give-bids":
			size = 8 << 20
		}
		if a := call(t, s, s.Tokens[activation.RoleAdmin], o.Method, o.nowhere(), strings.NewReader(`{"a":"`+strings.Repeat("x", size)+`"}`)); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s with %d MiB: %d, want 413", o.ID, size>>20, a.StatusCode)
		} else {
			checkAnswer(t, s, a, http.StatusRequestEntityTooLarge)
		}
	}
}
