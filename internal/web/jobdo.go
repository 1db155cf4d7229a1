package web

import (
	"time"

	"usher/internal/activation"
)

// killWord is what a person types to end a job for good.
const killWord = "terminate"

// commandJob does what a button of a job's page says, and says what became of it.
func (c *Console) commandJob(v visit) (view, error) {
	ctx, id := v.Context(), activation.JobID(v.PathValue("id"))
	to := jobPath(id)
	before, err := c.Store.Job(ctx, id)
	if err != nil {
		return view{}, err
	}
	var lasts time.Duration
	command := activation.JobCommand(v.PathValue("command"))
	switch command {
	case activation.CommandRun:
		return c.runJob(v, before)
	case activation.CommandKill:
		if v.post("confirm") != killWord {
			return view{To: to, Said: flash{"bad", "Nothing was changed: the word “" + killWord + "” was not typed."}}, nil
		}
	case activation.CommandPause:
		ok := false
		if lasts, ok = pauseFor(orText(v.post("for"), v.get("for")), before.Timezone, c.Now()); !ok {
			return view{To: to, Said: flash{"bad", "Nothing was changed: a pause lasts as long as 1h says, at most a year."}}, nil
		}
	case activation.CommandResume, activation.CommandBounce:
	case "delete":
		return c.deleteJob(v, before)
	default:
		return view{}, activation.ErrNotFound
	}
	after, err := c.Catalog.Command(ctx, id, command, lasts, v.who.Name)
	if err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", told(command, after)}, Undo: undo(command, before, c.Now())}, nil
}

func (c *Console) runJob(v visit, j activation.Job) (view, error) {
	to := jobPath(j.ID)
	if j.Destination == "" {
		if _, err := c.Catalog.Command(v.Context(), j.ID, activation.CommandRun, 0, v.who.Name); err != nil {
			return refused(to, err)
		}
		return view{To: to, Said: flash{"ok", "The job runs now."}}, nil
	}
	runs, err := c.Delivery.RunJob(v.Context(), j.ID)
	if err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", "Started " + many(int64(len(runs)), "run") + "."}}, nil
}

// told says what a job does after a command.
func told(command activation.JobCommand, j activation.Job) string {
	switch {
	case command == activation.CommandPause && !j.ResumeAt.IsZero():
		return "The job is now paused. It resumes by itself at " + utc(j.ResumeAt) + "."
	case command == activation.CommandPause:
		return "The job is now paused until it is resumed."
	case command == activation.CommandKill:
		return "The job is ended for good."
	}
	return "The job is now " + lower(jobChip(j).Word) + "."
}

// undo is the address that takes a command back, "" where nothing does.
func undo(command activation.JobCommand, before activation.Job, now time.Time) string {
	switch command {
	case activation.CommandPause:
		return jobPath(before.ID) + "/" + string(activation.CommandResume)
	case activation.CommandResume:
		back := jobPath(before.ID) + "/" + string(activation.CommandPause)
		if left := before.ResumeAt.Sub(now).Truncate(time.Second); !before.ResumeAt.IsZero() && left > 0 {
			back += "?for=" + left.String()
		}
		return back
	case activation.CommandBounce, activation.CommandKill, activation.CommandRun:
	}
	return ""
}

// deleteJob hides a job for good, and ends it first where it has not ended. The
// alerts that were made for it alone go with it.
func (c *Console) deleteJob(v visit, j activation.Job) (view, error) {
	to := jobPath(j.ID)
	if j.State != activation.JobKilled && v.post("confirm") != killWord {
		return view{To: to, Said: flash{"bad", "Nothing was changed: the word “" + killWord + "” was not typed."}}, nil
	}
	if err := c.Catalog.DeleteJob(v.Context(), j.ID, v.who.Name); err != nil {
		return refused(to, err)
	}
	return view{To: "/jobs", Said: flash{"ok", "“" + j.Name + "” was deleted."}}, nil
}
