package activation

import "time"

// End says what the end of a run means for its target.
type End struct {
	// Done: everything the plan saw is dealt with; done_seq moves.
	Done bool
	// Due: the target wants another run (rows left maybe or superseded).
	Due bool
	// Until is when the provider takes calls again, for WaitUntil, or when to
	// poll, for Awaiting.
	Until time.Time
	// Released: the run has given its target's remote audience up, or a person
	// said no to it. Gone: the audience is not there any more.
	Released, Gone bool
}
