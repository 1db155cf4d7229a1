package activation

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// JobCommand is what a person can tell a job to do.
type JobCommand string

const (
	// CommandPause stops a job until it is resumed.
	CommandPause JobCommand = "pause"
	// CommandResume makes a paused job due now; its error count is kept.
	CommandResume JobCommand = "resume"
	// CommandBounce makes a failed job due now with a clean slate.
	CommandBounce JobCommand = "bounce"
	// CommandKill ends a job for good.
	CommandKill JobCommand = "kill"
	// CommandRun makes a job due now.
	CommandRun JobCommand = "run"
)

// JobCommands lists the commands in the order the docs use.
var JobCommands = []JobCommand{CommandPause, CommandResume, CommandBounce, CommandKill, CommandRun}

// Mover is who moves a job.
type Mover string

const (
	// ByPerson: somebody said so.
	ByPerson Mover = "person"
	// ByRuntime: the server does it by itself.
	ByRuntime Mover = "runtime"
)

// MoveName names a move of a job.
type MoveName string

const (
	MoveCreate   MoveName = "create"
	MovePause    MoveName = "pause"
	MoveResume   MoveName = "resume"
	MoveUnpause  MoveName = "resume by itself"
	MoveBounce   MoveName = "bounce"
	MoveRun      MoveName = "run"
	MoveRetry    MoveName = "retry"
	MoveKill     MoveName = "kill"
	MoveDelete   MoveName = "delete"
	MoveSleep    MoveName = "sleep"
	MoveWake     MoveName = "wake"
	MoveComplete MoveName = "complete"
	MoveFail     MoveName = "fail"
	MoveExpire   MoveName = "expire"
)

// JobMove is one move of a job: from which states it is made, and to which.
type JobMove struct {
	Name MoveName
	// From is empty for the move that makes a job.
	From []JobState
	To   []JobState
	By   Mover
	// Command is what a person calls it, "" where there is none.
	Command JobCommand
	// When says in the docs what brings it about and what it does.
	When string
}

// JobMoves is the table of all moves of a job. What it does not list does not
// happen: the constructors below ask it, and the store makes no other move.
var JobMoves = []JobMove{
	{MoveCreate, nil, []JobState{JobRunnable, JobSleeping}, ByPerson, "", "due now; with a time of day it sleeps (`schedule`) until then"},
	{MovePause, []JobState{JobRunnable, JobSleeping}, []JobState{JobPaused}, ByPerson, CommandPause, "its open runs stop at a safe point and stay open"},
	{MoveResume, []JobState{JobPaused}, []JobState{JobRunnable}, ByPerson, CommandResume, "due now, its quiet window obeyed; the error count is kept"},
	{MoveUnpause, []JobState{JobPaused}, []JobState{JobRunnable}, ByRuntime, "", "the time it was paused for is over"},
	{MoveBounce, []JobState{JobFailed}, []JobState{JobRunnable}, ByPerson, CommandBounce, "due now; error count and `failing_since` are cleared; where Retry would be allowed it retries the failed run"},
	{MoveRun, []JobState{JobRunnable, JobSleeping}, []JobState{JobRunnable}, ByPerson, CommandRun, "due now; the error count is kept; targets that have failed start afresh"},
	{MoveRetry, []JobState{JobRunnable, JobSleeping, JobFailed}, []JobState{JobRunnable}, ByPerson, "", "Retry of its failed run; a failed job starts with a clean slate"},
	{MoveKill, JobStates, []JobState{JobKilled}, ByPerson, CommandKill, "its runs are ended; a killed job stays as it is"},
	{MoveDelete, JobStates, []JobState{JobKilled}, ByPerson, "", "killed if it was not, and hidden"},
	{MoveSleep, []JobState{JobRunnable, JobSleeping}, []JobState{JobSleeping}, ByRuntime, "", "all its targets sleep: after an error (1, 2, 4 … minutes), for a provider, until its time, for its quiet window, an authorization or an approval"},
	{MoveWake, []JobState{JobRunnable, JobSleeping}, []JobState{JobRunnable}, ByRuntime, "", "a run of it begins; its authorization is mended; its approval is answered"},
	{MoveComplete, []JobState{JobRunnable, JobSleeping}, []JobState{JobCompleted}, ByRuntime, "", "it runs once, and all its targets had their run"},
	{MoveFail, []JobState{JobRunnable, JobSleeping}, []JobState{JobFailed}, ByRuntime, "", "no target goes on: errors lasted `fail_after`, or the configuration is wrong"},
	{MoveExpire, []JobState{JobRunnable, JobSleeping, JobPaused}, []JobState{JobCompleted}, ByRuntime, "", "`expires_at` has come and its runs are ended"},
}

// move returns the row of the table with a name.
func move(name MoveName) JobMove {
	i := slices.IndexFunc(JobMoves, func(m JobMove) bool { return m.Name == name })
	return JobMoves[i]
}

// From returns the states in which a job takes the command.
func (c JobCommand) From() []JobState {
	for _, m := range JobMoves {
		if m.Command == c && c != "" {
			return m.From
		}
	}
	return nil
}

// Takes lists the commands that a job in state s takes.
func (s JobState) Takes() []JobCommand {
	var out []JobCommand
	for _, c := range JobCommands {
		if slices.Contains(c.From(), s) {
			out = append(out, c)
		}
	}
	return out
}

// Check returns an Invalid error, naming the state and the commands it takes,
// unless a job in state s takes the command.
func (c JobCommand) Check(s JobState) error {
	if slices.Contains(c.From(), s) {
		return nil
	}
	return refused(Standing{State: s}, string(c))
}

// refused is the error of a move that a job does not make as it stands.
func refused(s Standing, what string) error {
	var takes []string
	for _, c := range s.State.Takes() {
		takes = append(takes, string(c))
	}
	as := string(s.State)
	if s.Reason != "" {
		as += " (" + string(s.Reason) + ")"
	}
	return &Error{
		Kind: Invalid, Code: "JOB-BADREQ-002",
		Message: fmt.Sprintf("the job is %s, which does not take %s; it takes %s", as, what, strings.Join(takes, ", ")),
	}
}

// Standing is how a job stands: all that its moves read and change.
type Standing struct {
	State JobState
	// Reason and Until are set while it sleeps, and only then.
	Reason SleepReason
	Until  time.Time
	// ResumeAt is when a paused job resumes by itself; zero = it does not.
	ResumeAt time.Time
	// ConsecutiveErrors counts errors since the last success, FailingSince is
	// when the first of them was.
	ConsecutiveErrors int
	FailingSince      time.Time
	// Since is when it entered State.
	Since time.Time
}

// Standing returns how the job stands.
func (j Job) Standing() Standing {
	return Standing{
		State: j.State, Reason: j.SleepReason, Until: j.SleepUntil, ResumeAt: j.ResumeAt,
		ConsecutiveErrors: j.ConsecutiveErrors, FailingSince: j.FailingSince, Since: j.StateSince,
	}
}

// Over reports whether the job's open runs are to be ended: it was killed or
// deleted, has completed or failed, or its time is over.
func (j Job) Over(at time.Time) bool {
	switch j.State {
	case JobKilled, JobFailed, JobCompleted:
		return true
	case JobRunnable, JobSleeping, JobPaused:
	}
	return j.Deleted || j.Expired(at)
}

// Expired reports whether the job's time is over.
func (j Job) Expired(at time.Time) bool { return !j.ExpiresAt.IsZero() && !at.Before(j.ExpiresAt) }

// to makes a move of the table, to a state without sleep or pause.
func (s Standing) to(name MoveName, to JobState, at time.Time) (Standing, error) {
	m := move(name)
	if !slices.Contains(m.From, s.State) || !slices.Contains(m.To, to) {
		return s, refused(s, string(name))
	}
	if s.State != to {
		s.Since = at
	}
	s.State, s.Reason, s.Until, s.ResumeAt = to, "", time.Time{}, time.Time{}
	return s, nil
}

// Created is how a new job stands: due now, or asleep until first, its time of
// day, where that is set.
func Created(at, first time.Time) Standing {
	if first.After(at) {
		return Standing{State: JobSleeping, Reason: SleepSchedule, Until: first, Since: at}
	}
	return Standing{State: JobRunnable, Since: at}
}

// Paused stops a job, for a while where d is given.
func Paused(s Standing, at time.Time, d time.Duration) (Standing, error) {
	next, err := s.to(MovePause, JobPaused, at)
	if err == nil && d > 0 {
		next.ResumeAt = at.Add(d)
	}
	return next, err
}

// Resumed lets a paused job go on: due now, its error count kept.
func Resumed(s Standing, at time.Time) (Standing, error) {
	return s.to(MoveResume, JobRunnable, at)
}

// Unpaused is Resumed for a job whose pause is over by itself, and nothing
// before that.
func Unpaused(s Standing, at time.Time) (Standing, error) {
	if s.State == JobPaused && (s.ResumeAt.IsZero() || at.Before(s.ResumeAt)) {
		return s, refused(s, string(MoveUnpause))
	}
	return s.to(MoveUnpause, JobRunnable, at)
}

// Bounced makes a failed job due now with a clean slate.
func Bounced(s Standing, at time.Time) (Standing, error) {
	next, err := s.to(MoveBounce, JobRunnable, at)
	if err == nil {
		next.ConsecutiveErrors, next.FailingSince = 0, time.Time{}
	}
	return next, err
}

// Called makes a job due now because somebody wants a run.
func Called(s Standing, at time.Time) (Standing, error) { return s.to(MoveRun, JobRunnable, at) }

// Retried makes a job runnable because a failed run of it goes on. A failed job
// starts with a clean slate, as if it was bounced.
func Retried(s Standing, at time.Time) (Standing, error) {
	next, err := s.to(MoveRetry, JobRunnable, at)
	if err == nil && s.State == JobFailed {
		next.ConsecutiveErrors, next.FailingSince = 0, time.Time{}
	}
	return next, err
}

// Killed ends a job for good. A killed job stays as it is.
func Killed(s Standing, at time.Time) (Standing, error) { return s.to(MoveKill, JobKilled, at) }

// Deleted ends a job for good, to be hidden.
func Deleted(s Standing, at time.Time) (Standing, error) { return s.to(MoveDelete, JobKilled, at) }

// Expired completes a job whose time is over. Its runs must be ended before.
func Expired(s Standing, at time.Time) (Standing, error) { return s.to(MoveExpire, JobCompleted, at) }

// Settled is what the rests of a job's targets come to. Only a runnable or a
// sleeping job is moved by them; of any other they tell how the errors stand. A
// job without targets stays as it is.
func Settled(s Standing, rests []Rest, at time.Time) Standing {
	if len(rests) == 0 {
		return s
	}
	s.ConsecutiveErrors, s.FailingSince = 0, time.Time{}
	for _, r := range rests {
		s.ConsecutiveErrors = max(s.ConsecutiveErrors, r.ConsecutiveErrors)
		if !r.FailingSince.IsZero() && (s.FailingSince.IsZero() || r.FailingSince.Before(s.FailingSince)) {
			s.FailingSince = r.FailingSince
		}
	}
	state, reason, until := JobRest(rests)
	name := map[JobState]MoveName{JobRunnable: MoveWake, JobSleeping: MoveSleep, JobCompleted: MoveComplete, JobFailed: MoveFail}[state]
	next, err := s.to(name, state, at)
	if err != nil {
		return s
	}
	next.Reason, next.Until = reason, until
	return next
}
