package delivery_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
)

// TestKindsEndToEnd: what each kind of error, met before anything is sent, makes
// of the run, the job and the authorization.
func TestKindsEndToEnd(t *testing.T) {
	t.Parallel()
	empty := template(t)
	minute := time.Minute
	for _, c := range []struct {
		name   string
		err    *activation.Error
		state  activation.JobState
		reason activation.SleepReason
		sleep  time.Duration
		errors int
		run    activation.RunStatus
		code   string
		text   string
		auth   activation.AuthStatus
	}{
		{
			"invalid", &activation.Error{Kind: activation.Invalid, Code: "META-SETTINGS", Field: "base_url", Message: "the address is not one"},
			activation.JobFailed, "", 0, 1, activation.RunFailed, "META-SETTINGS", "base_url", activation.AuthUnknown,
		},
		{
			"unauthorized", &activation.Error{Kind: activation.Unauthorized, Code: "META-AUTH", Message: "the token was revoked"},
			activation.JobSleeping, activation.SleepAuthorization, 1000 * time.Hour, 1, activation.RunFailed, "META-AUTH", "revoked", activation.AuthUnhealthy,
		},
		{
			"internal", &activation.Error{Kind: activation.Internal, Message: "the database is locked"},
			activation.JobSleeping, activation.SleepError, minute, 1, activation.RunFailed, "INTERNAL-019", "locked", activation.AuthUnknown,
		},
		{
			"unavailable", &activation.Error{Kind: activation.Unavailable, Code: "META-UNAVAILABLE", Message: "down"},
			activation.JobSleeping, activation.SleepError, minute, 1, activation.RunFailed, "META-UNAVAILABLE", "down", activation.AuthUnknown,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				w := onSQLite(t, empty, 1, provider.ReplayHarmless, false)
				s := w.store.(*control).Store
				w.plane.set(1, [2]string{"e1"}, true)
				d := delivery.New(delivery.Config{
					Node: "n", Store: s, Ledger: w.plane, Audiences: w.plane, Settings: w.set,
					Providers: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
						return nil, w.def, c.err
					},
				})
				r, err := d.RunTarget(ctx, w.target)
				if err != nil {
					t.Fatal(err)
				}
				for _, k := range d.Workers() {
					if k.Kind() == delivery.KindRun {
						if err := k.Do(ctx, activation.Work{Kind: k.Kind(), ID: string(r.ID)}); err != nil {
							t.Fatal(err)
						}
					}
				}
				job, err := s.Job(ctx, w.job)
				if err != nil {
					t.Fatal(err)
				}
				sleep := time.Duration(0)
				if !job.SleepUntil.IsZero() {
					sleep = time.Until(job.SleepUntil)
				}
				if job.State != c.state || job.SleepReason != c.reason || sleep != c.sleep || job.ConsecutiveErrors != c.errors {
					t.Errorf("the job is %s (%s) for %s after %d errors", job.State, job.SleepReason, sleep, job.ConsecutiveErrors)
				}
				if r, err = s.Run(ctx, r.ID); err != nil || r.Status != c.run || r.ErrorCode != c.code || !strings.Contains(r.ErrorText, c.text) {
					t.Errorf("the run is %s: %s %q (%v)", r.Status, r.ErrorCode, r.ErrorText, err)
				}
				auths, err := s.Authorizations(ctx)
				if err != nil || auths[0].Status != c.auth {
					t.Errorf("the authorization is %s (%v)", auths[0].Status, err)
				}
				due, err := s.DueTargets(ctx, 10)
				if err != nil || len(due) != 0 {
					t.Errorf("%d targets are due at once (%v)", len(due), err)
				}
			})
		})
	}
}
