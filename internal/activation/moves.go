package activation

import (
	"fmt"
	"slices"
	"strings"
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

// From returns the states in which a job takes the command.
func (c JobCommand) From() []JobState {
	switch c {
	case CommandPause, CommandRun:
		return []JobState{JobRunnable, JobSleeping}
	case CommandResume:
		return []JobState{JobPaused}
	case CommandBounce:
		return []JobState{JobFailed}
	case CommandKill:
		return []JobState{JobRunnable, JobSleeping, JobPaused, JobCompleted, JobFailed, JobKilled}
	}
	return nil
}

// Check returns an Invalid error, naming the state and the commands it takes,
// unless a job in state s takes the command.
func (c JobCommand) Check(s JobState) error {
	if slices.Contains(c.From(), s) {
		return nil
	}
	var takes []string
	for _, other := range JobCommands {
		if slices.Contains(other.From(), s) {
			takes = append(takes, string(other))
		}
	}
	return &Error{
		Kind: Invalid, Code: "JOB-BADREQ-002",
		Message: fmt.Sprintf("the job is %s, which does not take %s; it takes %s", s, c, strings.Join(takes, ", ")),
	}
}
