package activation_test

import (
	"errors"
	"strings"
	"testing"

	"usher/internal/activation"
)

func TestRetryRule(t *testing.T) {
	good := func() activation.RetryFacts {
		return activation.RetryFacts{
			Run: activation.Run{Status: activation.RunFailed, Stage: activation.StageMembers, Generation: 1, ErrorKind: activation.Unavailable, ErrorCode: "META-2", SyncType: activation.SyncSegment},
			Job: activation.JobSleeping, Generation: 1, Auth: activation.AuthHealthy, Left: 1,
		}
	}
	cases := []struct {
		name   string
		change func(*activation.RetryFacts)
		reason string // "" = may be retried
	}{
		{"failed at the destination", func(*activation.RetryFacts) {}, ""},
		{"failed at the remote audience", func(f *activation.RetryFacts) { f.Run.Stage = activation.StageRemote }, ""},
		{"of a failed job", func(f *activation.RetryFacts) { f.Job = activation.JobFailed }, ""},
		{"running", func(f *activation.RetryFacts) { f.Run.Status = activation.RunRunning }, "only a failed run"},
		{"killed", func(f *activation.RetryFacts) { f.Job = activation.JobKilled }, "ended"},
		{"deleted", func(f *activation.RetryFacts) { f.JobGone = true }, "ended"},
		{"completed", func(f *activation.RetryFacts) { f.Job = activation.JobCompleted }, "completed"},
		{"paused", func(f *activation.RetryFacts) { f.Job = activation.JobPaused }, "paused"},
		{"gone", func(f *activation.RetryFacts) { f.Run.ErrorCode = activation.CodeRemoteGone }, "remote audience"},
		{"another generation", func(f *activation.RetryFacts) { f.Generation = 2 }, "remote audience"},
		{"counts", func(f *activation.RetryFacts) { f.Run.ErrorCode = activation.CodeCounts }, "plans afresh"},
		{"its job ended", func(f *activation.RetryFacts) { f.Run.ErrorCode = activation.CodeJobEnded }, "plans afresh"},
		{"cut while replacing everybody", func(f *activation.RetryFacts) {
			f.Run.Mode, f.Run.ErrorCode = activation.ModeReplace, activation.CodeReplaceCut
		}, "cut in the middle"},
		{"refused while replacing everybody", func(f *activation.RetryFacts) { f.Run.Mode = activation.ModeReplace }, ""},
		{"failed while staging", func(f *activation.RetryFacts) { f.Run.Stage = activation.StageStaging }, "plans afresh"},
		{"failed while cutting items", func(f *activation.RetryFacts) { f.Run.Stage = activation.StageQueue }, "plans afresh"},
		{"failed before it began", func(f *activation.RetryFacts) { f.Run.Stage = "" }, "plans afresh"},
		{"failed while planning", func(f *activation.RetryFacts) { f.Run.Stage = activation.StageAudiences }, "plans afresh"},
		{"one is open", func(f *activation.RetryFacts) { f.OpenRun = 12 }, "run #12 is open"},
		{"a later one was staged", func(f *activation.RetryFacts) { f.Later = 13 }, "run #13 carries these"},
		{"a later one of next-best-action", func(f *activation.RetryFacts) { f.Later, f.Run.SyncType = 13, activation.SyncNextBestAction }, "run #13 carries these"},
		{"a later one, and it moved keys", func(f *activation.RetryFacts) {
			f.Later, f.Run.SyncType, f.Run.Mode = 13, activation.SyncPIIUpdate, activation.ModeKeys
		}, "run #13 carries these"},
		{"a later one moved keys", func(f *activation.RetryFacts) { f.Moved = 13 }, "run #13 has moved identifiers since then"},
		{"a later one does the same, and another moved keys", func(f *activation.RetryFacts) { f.Later, f.Moved = 13, 14 }, "run #13 carries these"},
		{"a later one moved keys, but conversions only add", func(f *activation.RetryFacts) { f.Moved, f.Run.SyncType = 13, activation.SyncOfflineConversion }, ""},
		{"a later one, but conversion audiences only add", func(f *activation.RetryFacts) { f.Later, f.Run.SyncType = 13, activation.SyncConversionAudience }, ""},
		{"a later one, but events only add", func(f *activation.RetryFacts) { f.Later, f.Run.SyncType = 13, activation.SyncEvents }, ""},
		{"a later one, but the past was pushed", func(f *activation.RetryFacts) {
			f.Later, f.Run.SyncType, f.Run.Mode = 13, activation.SyncOfflineConversion, activation.ModeHistory
		}, ""},
		{"conversions while one is open", func(f *activation.RetryFacts) { f.OpenRun, f.Run.SyncType = 12, activation.SyncOfflineConversion }, "run #12 is open"},
		{"a later one, but conversions only add", func(f *activation.RetryFacts) { f.Later, f.Run.SyncType = 13, activation.SyncOfflineConversion }, ""},
		{"not mended", func(f *activation.RetryFacts) {
			f.Run.ErrorKind, f.Auth = activation.Unauthorized, activation.AuthUnknown
		}, "not healthy"},
		{"mended", func(f *activation.RetryFacts) { f.Run.ErrorKind = activation.Unauthorized }, ""},
		{"unhealthy, but not the cause", func(f *activation.RetryFacts) { f.Auth = activation.AuthUnhealthy }, ""},
		{"nothing left", func(f *activation.RetryFacts) { f.Left = 0 }, "nothing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := good()
			c.change(&f)
			ok, reason := activation.RetryRule(f)
			if ok != (c.reason == "") || !strings.Contains(reason, c.reason) || ok != (reason == "") {
				t.Fatalf("ok %v, reason %q", ok, reason)
			}
		})
	}
}

func TestGuardVerdictCovers(t *testing.T) {
	for _, c := range []struct {
		v       activation.GuardVerdict
		removes int64
		want    bool
	}{
		{activation.GuardVerdict{}, 0, false},
		{activation.GuardVerdict{Answer: activation.Approved, Removes: 100}, 101, true},
		{activation.GuardVerdict{Answer: activation.Approved, Removes: 100}, 102, false},
		{activation.GuardVerdict{Answer: activation.Declined, Removes: 99}, 100, false},
		{activation.GuardVerdict{Answer: activation.Declined, Removes: 99}, 1, true},
	} {
		if got := c.v.Covers(c.removes); got != c.want {
			t.Errorf("%+v covers %d: %v", c.v, c.removes, got)
		}
	}
}

func TestJobCommandCheck(t *testing.T) {
	takes := map[activation.JobState]string{
		activation.JobRunnable: "pause kill run", activation.JobSleeping: "pause kill run", activation.JobPaused: "resume kill",
		activation.JobFailed: "bounce kill", activation.JobCompleted: "kill", activation.JobKilled: "kill",
	}
	for state, list := range takes {
		for _, c := range activation.JobCommands {
			err := c.Check(state)
			if (err == nil) != strings.Contains(" "+list+" ", " "+string(c)+" ") {
				t.Errorf("%s on a %s job: %v", c, state, err)
			}
			if err != nil && (activation.KindOf(err) != activation.Invalid || !strings.HasSuffix(activation.SafeMessage(err), strings.ReplaceAll(list, " ", ", "))) {
				t.Errorf("%s on a %s job says %v, it takes %s", c, state, err, list)
			}
		}
	}
}

func TestErrPausedIsFenced(t *testing.T) {
	if !errors.Is(activation.ErrPaused, activation.ErrFenced) || errors.Is(activation.ErrFenced, activation.ErrPaused) {
		t.Fatal("a paused job must look fenced to those who do not know it, and not the other way round")
	}
}

func TestRoleIncludes(t *testing.T) {
	for _, c := range []struct {
		have, need activation.Role
		want       bool
	}{
		{activation.RoleAdmin, activation.RoleViewer, true},
		{activation.RoleViewer, activation.RoleOperator, false},
		{activation.RoleOperator, activation.RoleOperator, true},
		{"", activation.RoleViewer, false},
		{activation.RoleAdmin, "", false},
		{"", "", false},
	} {
		if got := c.have.Includes(c.need); got != c.want {
			t.Errorf("%q includes %q: %v", c.have, c.need, got)
		}
	}
}
