package web

import (
	"errors"
	"net/url"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// nextTimes is how many of the next scheduled times a job's page shows.
const nextTimes = 5

// jobHead is how a job stands, and what it can be told.
type jobHead struct {
	// Says is why it stands so, Until when that ends by itself.
	Says          string
	Until         time.Time
	Stalled       *chip
	StalledAt     time.Time
	Authorization *link
	Next          []time.Time
	NextSays      string
	Run, Resume   button
	// Pause is a choice of how long, or one button that says why not.
	Pause     button
	PauseFor  []button
	Edit      string
	EditNever string
}

func (c *Console) jobHeadOf(v visit, j activation.Job, p *jobPage) error {
	h := &p.Head
	h.Says, h.Until = standing(j)
	if !j.StalledAt.IsZero() {
		h.Stalled, h.StalledAt = &chip{"warn", "clock-pause", "Stalled", false}, j.StalledAt
	}
	id, err := c.authorizationOf(v, j)
	if err != nil {
		return err
	}
	if id != "" && p.Job.Authorization != "" {
		h.Authorization = &link{"/authorizations/" + url.PathEscape(string(id)), p.Job.Authorization}
	}
	switch {
	case j.State != activation.JobRunnable && j.State != activation.JobSleeping:
		h.NextSays = "None while it is " + lower(jobChip(activation.Job{State: j.State}).Word)
	case j.RealTime():
		// The schedule says it all.
	default:
		h.Next = schedule.Upcoming(j.Schedule, c.Now(), nextTimes)
		h.NextSays = "None"
	}
	c.jobActions(v, j, p)
	return nil
}

// authorizationOf is the authorization that a job uses, itself or through its
// destination; "" = none.
func (c *Console) authorizationOf(v visit, j activation.Job) (activation.AuthorizationID, error) {
	if j.Destination == "" {
		if len(j.Authorizations) == 0 {
			return "", nil
		}
		return j.Authorizations[0], nil
	}
	d, err := c.Store.Destination(v.Context(), j.Destination)
	if errors.Is(err, activation.ErrNotFound) {
		return "", nil
	}
	return d.Authorization, err
}

// standing says why a job stands as it does, and until when.
func standing(j activation.Job) (string, time.Time) {
	switch j.State {
	case activation.JobPaused:
		if j.ResumeAt.IsZero() {
			return "until it is resumed", time.Time{}
		}
		return "resumes by itself", j.ResumeAt
	case activation.JobSleeping:
		switch j.SleepReason {
		case activation.SleepSchedule:
			return "until its time", j.SleepUntil
		case activation.SleepError:
			return "tries again", j.SleepUntil
		case activation.SleepProviderLimit:
			return "the network takes calls again", j.SleepUntil
		case activation.SleepQuietWindow:
			return "nothing is sent in its quiet window", j.SleepUntil
		case activation.SleepAuthorization:
			return "until its authorization works again", time.Time{}
		case activation.SleepApproval:
			return "until a run of it is approved or declined", j.SleepUntil
		}
	case activation.JobRunnable, activation.JobCompleted, activation.JobFailed, activation.JobKilled:
	}
	return "", time.Time{}
}

// jobActions are the buttons of a job. Those that it does not take now stay
// where they are and say why.
func (c *Console) jobActions(v visit, j activation.Job, p *jobPage) {
	h := &p.Head
	tell := func(command activation.JobCommand, text, icon string) button {
		b := v.press(jobPath(j.ID)+"/"+string(command), text, icon)
		b.Withheld = orText(b.Withheld, withheld(command, j.State, p.running()))
		return b
	}
	h.Run = tell(activation.CommandRun, "Run now", "bolt")
	h.Resume = tell(activation.CommandResume, "Resume", "player-play")
	if j.State == activation.JobFailed {
		h.Resume = tell(activation.CommandBounce, "Resume", "player-play")
	}
	h.Pause = tell(activation.CommandPause, "Pause", "player-pause")
	if h.Pause.Withheld == "" {
		for _, o := range pauses(j.Timezone) {
			b := h.Pause
			b.Text, b.Icon, b.Hidden = o.Text, "", []hidden{{"for", o.Value}}
			h.PauseFor = append(h.PauseFor, b)
		}
	}
	switch {
	case !v.who.May(activation.RoleOperator):
		h.EditNever = "Your role may only look"
	case j.State == activation.JobKilled:
		h.EditNever = "The job was ended for good"
	default:
		h.Edit = jobPath(j.ID) + "/edit"
	}
	if j.State != activation.JobKilled {
		kill := v.press(jobPath(j.ID)+"/kill", "Terminate job", "square-x").as("btn-bad solid")
		p.Kill = &kill
	}
	if !j.Deleted {
		gone := v.press(jobPath(j.ID)+"/delete", "Delete job", "trash").as("btn-bad solid")
		p.Delete = &gone
	}
}

// withheld is why a job in a state does not take a command, "" when it does. open
// is the number of its open run, 0 = none.
func withheld(command activation.JobCommand, state activation.JobState, open int64) string {
	if slices.Contains(command.From(), state) {
		if command == activation.CommandRun && open > 0 {
			return "Run #" + num(open) + " is in progress"
		}
		return ""
	}
	switch state {
	case activation.JobKilled:
		return "The job was ended for good"
	case activation.JobCompleted:
		return "The job has completed"
	case activation.JobPaused:
		if command == activation.CommandPause {
			return "The job is paused already"
		}
		return "The job is paused; resume it first"
	case activation.JobFailed:
		if command == activation.CommandPause {
			return "The job has failed: there is nothing to pause"
		}
		return "The job has failed; resume it first"
	case activation.JobRunnable, activation.JobSleeping:
	}
	return "The job is not paused"
}

// morning names the pause that lasts until tomorrow.
const morning = "morning"

// pauses are how long a job can be paused from its page.
func pauses(zone string) []option {
	return []option{
		{"", "Until it is resumed", false},
		{"1h", "For 1 hour", false},
		{"4h", "For 4 hours", false},
		{morning, "Until tomorrow 08:00, " + orText(zone, "UTC"), false},
		{"24h", "For 1 day", false},
		{"168h", "For 1 week", false},
	}
}

// pauseFor is how long a job pauses from now on, 0 = until it is resumed. It is
// false for what no button says.
func pauseFor(text, zone string, now time.Time) (time.Duration, bool) {
	switch text {
	case "":
		return 0, true
	case morning:
		at, err := time.LoadLocation(zone)
		if err != nil {
			at = time.UTC
		}
		y, m, d := now.In(at).Date()
		return time.Date(y, m, d+1, 8, 0, 0, 0, at).Sub(now), true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0 && d <= 365*24*time.Hour
}
