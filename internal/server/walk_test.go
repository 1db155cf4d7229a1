package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/sandbox/fault"
)

// TestWalk takes one job through every state with the Go client, as a person
// would: each command is taken in the states the docs say, and refused with the
// state and the commands it takes in the others.
func TestWalk(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	first := n.declare(far)
	n.must(http.MethodPost, "/v2/job/"+string(first)+"/kill", nil, nil) // its destination is all that is wanted
	n.load(csvOf("1,a@example.com,90", "2,b@example.com,90"))
	var shown client.Job
	n.must(http.MethodGet, "/v2/job/"+string(first), nil, &shown)
	n.must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": "walk", "name": "Walk", "segment_ql": "FILTER score > 80"}, nil)

	job := client.Job{}
	path := func(command string) string { return "/v2/job/" + string(job.ID) + command }
	is := func(what string, want activation.JobState, reason activation.SleepReason) {
		t.Helper()
		n.eventually(what, 30*time.Second, func() (bool, string) {
			now := client.Job{}
			n.must(http.MethodGet, path(""), nil, &now)
			job = now
			return job.Status == want && job.SleepReason == reason, string(job.Status) + " " + string(job.SleepReason)
		})
		t.Logf("%s: %s %s", what, job.Status, job.SleepReason)
	}
	tell := func(command string) {
		t.Helper()
		now := client.Job{}
		n.must(http.MethodPost, path("/"+command), nil, &now)
		job = now
	}
	refused := func(command string) {
		t.Helper()
		_, err := n.Do(t.Context(), http.MethodPost, path("/"+command), nil, nil)
		e, ok := err.(*client.Error)
		if !ok || e.Status != http.StatusBadRequest || e.Code != "JOB-BADREQ-002" || !strings.Contains(e.Message, "the job is "+string(job.Status)) || !strings.Contains(e.Message, "it takes") {
			t.Errorf("%s on a %s job: %v", command, job.Status, err)
		}
		t.Logf("%s is refused: %v", command, err)
	}

	// With a time of day it waits for it; a command makes it due.
	at := time.Now().UTC().Add(-time.Hour).Format("15:04")
	n.must(http.MethodPost, "/v2/job/meta-custom-audience", map[string]any{
		"name": "Walker", "destination_id": shown.Destination, "segment_ids": []string{"walk"}, "run_frequency": "daily", "time_of_day": at,
	}, &job)
	is("made with a time of day", activation.JobSleeping, activation.SleepSchedule)
	refused("resume")
	refused("bounce")
	far.fault(t, fault.Fault{Path: "*/users", Kind: fault.Flagged, Times: -1})
	tell("pause?for=4s")
	is("paused for a while", activation.JobPaused, "")
	refused("run")
	refused("pause")
	// It resumes by itself, is due, and the network refuses its configuration.
	is("resumed by itself, refused by the network", activation.JobFailed, "")
	refused("resume")
	refused("run")
	far.ResetFaults()
	tell("bounce")
	is("bounced, and its run retried", activation.JobSleeping, activation.SleepSchedule)
	if got := adds(far); got != 2 {
		t.Errorf("%d people were added at the network, want 2", got)
	}
	far.fault(t, fault.Fault{Path: "*/users", Kind: fault.Flagged, Times: -1})
	tell("pause")
	tell("resume")
	is("resumed", activation.JobSleeping, activation.SleepSchedule)
	far.ResetFaults()
	n.must(http.MethodPut, path(""), map[string]any{"continuous_update": false}, &job)
	n.must(http.MethodPost, path("/run"), nil, nil)
	is("told to run once", activation.JobCompleted, "")
	refused("pause")
	tell("kill")
	is("killed", activation.JobKilled, "")
	tell("kill") // again: as it was
	refused("bounce")
	var log []struct {
		Event string `json:"event"`
	}
	n.must(http.MethodGet, path("/logs"), nil, &log)
	var events []string
	for _, l := range log {
		events = append(events, l.Event)
	}
	for _, want := range []string{"created", "paused", "resumed", "started", "failed", "bounced", "synced", "updated", "completed", "killed"} {
		if !slices.Contains(events, want) {
			t.Errorf("its log lacks %q: %q", want, events)
		}
	}
	t.Logf("its log: %s", strings.Join(events, ", "))
	n.must(http.MethodDelete, path(""), nil, nil)
	if _, err := n.Do(t.Context(), http.MethodGet, path(""), nil, nil); err == nil {
		t.Error("a deleted job is found")
	}
}
