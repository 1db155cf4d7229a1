package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
)

// target is the only target, as the API shows it.
func (n *near) target() (t struct {
	activation.Target
	Job      string `json:"job_name"`
	Baseline int64  `json:"baseline"`
	Holdings struct{ In, Maybe int64 }
},
) {
	n.t.Helper()
	var all []activation.Target
	n.must(http.MethodGet, "/v2/target", nil, &all)
	if len(all) != 1 {
		n.t.Fatalf("%d targets, want one", len(all))
	}
	n.must(http.MethodGet, "/v2/target/"+string(all[0].ID), nil, &t)
	return t
}

// edit changes the job.
func (n *near) edit(job activation.JobID, with map[string]any) {
	n.t.Helper()
	n.must(http.MethodPut, "/v2/job/"+string(job), with, nil)
}

// kill ends the job, which leaves this at the network, and waits until that is so.
func (n *near) killJob(job activation.JobID, end activation.OnEnd) {
	n.t.Helper()
	n.edit(job, map[string]any{"on_end": end})
	n.must(http.MethodPost, "/v2/job/"+string(job)+"/kill", nil, nil)
}

func (n *near) released() {
	n.t.Helper()
	n.eventually("target is given up", 30*time.Second, func() (bool, string) {
		t := n.target()
		return t.Release == "" && t.OpenRun == "", fmt.Sprintf("release %q, run %q", t.Release, t.OpenRun)
	})
}

// TestEndDeletes: a killed job takes its audience along, once everybody agreed.
func TestEndDeletes(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	job := n.declare(far)
	n.load(csvOf("1,a@example.com,90", "2,b@example.com,90"))
	n.settle(job, 30*time.Second)
	id := n.target().ID
	_, err := n.Do(t.Context(), http.MethodDelete, "/v2/target/"+string(id)+"?remote=delete", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "High scores to Meta") {
		t.Fatalf("the target of a living job: %v", err)
	}
	n.killJob(job, activation.EndDelete)
	n.released()
	if left := far.Meta().Audiences(); len(left) != 0 {
		t.Fatalf("the network still has %d audiences", len(left))
	}
	if got := n.target(); got.RemoteID != "" || got.Generation != 2 || got.Holdings.In+got.Holdings.Maybe != 0 {
		t.Errorf("target %+v", got)
	}
	if sins(far) > 0 {
		t.Errorf("the sandbox counts %d sins", sins(far))
	}
}

// TestEndEmpties: the audience stays, with nobody in it, and the next job fills
// it again.
func TestEndEmpties(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	job := n.declare(far)
	n.load(csvOf("1,a@example.com,90", "2,b@example.com,90"))
	n.settle(job, 30*time.Second)
	before := n.target()
	n.killJob(job, activation.EndEmpty)
	n.released()
	after := n.target()
	if len(far.Meta().Audiences()) != 1 || len(far.ids(t)) != 0 || after.RemoteID != before.RemoteID || after.Generation != 1 {
		t.Fatalf("the network holds %v in %d audiences; target %+v", far.ids(t), len(far.Meta().Audiences()), after)
	}
	var next struct{ ID activation.JobID }
	n.must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": "Again", "destination_id": before.Destination, "segment_ids": []string{"high"}}, &next)
	n.settle(next.ID, 30*time.Second)
	if got, want := far.ids(t), []string{"id-1", "id-2"}; !slices.Equal(got, want) {
		t.Fatalf("the next job sent %v, want %v", got, want)
	}
}

// TestLetGo: a kept audience is forgotten by hand and stays as it is.
func TestLetGo(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	job := n.declare(far)
	n.load(csvOf("1,a@example.com,90"))
	n.settle(job, 30*time.Second)
	n.killJob(job, activation.EndKeep)
	id := n.target().ID
	n.eventually("target is let go", 30*time.Second, func() (bool, string) {
		_, err := n.Do(t.Context(), http.MethodDelete, "/v2/target/"+string(id)+"?remote=keep", nil, nil)
		return err == nil, fmt.Sprint(err)
	})
	if got := n.target(); got.RemoteID != "" || got.Holdings.In != 0 || len(far.ids(t)) != 1 {
		t.Fatalf("target %+v; the network holds %v", got, far.ids(t))
	}
}

// TestReach: who was there before is left out, and of the others as many are
// sent as the limit allows, by the network's own count.
func TestReach(t *testing.T) {
	far := startSandbox(t)
	n := serve(t, t.TempDir(), far, nil)
	job := n.declare(far)
	n.must(http.MethodPost, "/v2/job/"+string(job)+"/pause", nil, nil)
	n.edit(job, map[string]any{"withbackfill": false, "user_limit": 2, "user_limit_frequency": "monthly"})
	n.load(csvOf("1,a@example.com,90", "2,b@example.com,90"))
	n.must(http.MethodPost, "/v2/job/"+string(job)+"/resume", nil, nil)
	n.settle(job, 30*time.Second)
	if got := n.target(); got.Baseline != 2 || len(far.Meta().Audiences()) != 0 {
		t.Fatalf("baseline %d, %d audiences", got.Baseline, len(far.Meta().Audiences()))
	}
	n.load(csvOf("3,c@example.com,90", "4,d@example.com,90", "5,e@example.com,90", "1,a@example.com,10"))
	r := n.settle(job, 30*time.Second)
	if got := far.ids(t); len(got) != 2 || r.Counts.Capped != 1 || r.Counts.Excluded != 1 || slices.Contains(got, "id-1") || slices.Contains(got, "id-2") {
		t.Fatalf("the network holds %v; %+v", got, r.Counts)
	}
}

// TestKillWhileReleasing kills the process before and after it deletes the
// audience; the next one ends what was begun.
func TestKillWhileReleasing(t *testing.T) {
	for _, point := range []delivery.CrashPoint{delivery.BeforeDelete, delivery.AfterDelete} {
		t.Run(string(point), func(t *testing.T) {
			far, dir := startSandbox(t), t.TempDir()
			p := start(t, dir, far, crashSpec(point).spec())
			job := p.declare(far)
			p.load(csvOf("1,a@example.com,90", "2,b@example.com,90"))
			p.settle(job, time.Minute)
			p.killJob(job, activation.EndDelete)
			select {
			case <-p.dead:
			case <-time.After(patience * 30 * time.Second):
				t.Fatal("the point was not reached")
			}
			p = start(t, dir, far, "")
			p.released()
			if left := far.Meta().Audiences(); len(left) != 0 {
				t.Fatalf("the network still has %d audiences", len(left))
			}
			p.kill()
		})
	}
}
