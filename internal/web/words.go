package web

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/schedule"
	"usher/internal/tracking"
)

// chip is a state: always an icon, a word and a colour.
type chip struct {
	Tone, Icon, Word string
	Spin             bool
}

// jobChip is the state of a job.
func jobChip(j activation.Job) chip {
	switch j.State {
	case activation.JobRunnable:
		return chip{"run", "loader-2", "Running", false}
	case activation.JobSleeping:
		switch j.SleepReason {
		case activation.SleepError:
			return chip{"warn", "rotate-clockwise-2", "Sleeping, retrying", false}
		case activation.SleepAuthorization:
			return chip{"bad", "plug-connected-x", "Sleeping, authorization", false}
		case activation.SleepProviderLimit:
			return chip{"wait", "moon", "Sleeping, network limit", false}
		case activation.SleepApproval:
			return chip{"warn", "hand-stop", "Sleeping, approval", false}
		case activation.SleepSchedule, activation.SleepQuietWindow:
		}
		return chip{"wait", "moon", "Sleeping", false}
	case activation.JobPaused:
		return chip{"off", "player-pause", "Paused", false}
	case activation.JobCompleted:
		return chip{"ok", "check", "Completed", false}
	case activation.JobFailed:
		return chip{"bad", "alert-triangle", "Failed", false}
	case activation.JobKilled:
		return chip{"off", "square-x", "Terminated", false}
	}
	return chip{"line", "info-circle", string(j.State), false}
}

// runChip is the status of a run.
func runChip(r tracking.View) chip {
	switch r.Status {
	case activation.RunPending:
		if r.Reason == activation.SleepApproval {
			return chip{"warn", "hand-stop", "Pending, approval", false}
		}
		return chip{"line", "clock", "Pending", false}
	case activation.RunRunning:
		return chip{"run", "loader-2", "Running", true}
	case activation.RunAwaiting:
		return chip{"wait", "hourglass-low", "Awaiting response", false}
	case activation.RunCompleted:
		if r.WithErrors() {
			return chip{"warn", "alert-circle", "With errors", false}
		}
		return chip{"ok", "check", "Completed", false}
	case activation.RunWithdrawn:
		return chip{"off", "arrow-back-up", "Withdrawn", false}
	case activation.RunFailed:
		return chip{"bad", "alert-triangle", "Failed", false}
	}
	return chip{"line", "info-circle", string(r.Status), false}
}

// itemChip is the state of a queue item.
func itemChip(s activation.ItemState) chip {
	switch s {
	case activation.ItemQueued:
		return chip{"wait", "stack-2", "Queued", false}
	case activation.ItemSending:
		return chip{"run", "send", "Sending", false}
	case activation.ItemDelivered:
		return chip{"ok", "check", "Delivered", false}
	case activation.ItemAwaiting:
		return chip{"wait", "hourglass-low", "Awaiting response", false}
	case activation.ItemFailed:
		return chip{"bad", "alert-triangle", "Failed", false}
	case activation.ItemUnknown:
		return chip{"warn", "alert-circle", "Unknown", false}
	case activation.ItemWithdrawn:
		return chip{"off", "arrow-back-up", "Withdrawn", false}
	case activation.ItemSuperseded:
		return chip{"off", "arrow-forward-up", "Superseded", false}
	case activation.ItemSplit:
		return chip{"off", "git-compare", "Split", false}
	}
	return chip{"line", "info-circle", string(s), false}
}

// authChip is the health of an authorization.
func authChip(s activation.AuthStatus) chip {
	switch s {
	case activation.AuthHealthy:
		return chip{"ok", "plug-connected", "Connected", false}
	case activation.AuthUnhealthy:
		return chip{"bad", "plug-connected-x", "Not working", false}
	case activation.AuthUnknown:
	}
	return chip{"line", "clock", "Not checked", false}
}

// targetChip is the state of a target: what one audience at one destination
// waits for.
func targetChip(t activation.Target) chip {
	switch t.Release {
	case activation.EndEmpty:
		return chip{"warn", "hourglass-low", "Being emptied", false}
	case activation.EndDelete:
		return chip{"warn", "hourglass-low", "Being deleted", false}
	case activation.EndKeep:
	}
	switch t.State {
	case activation.TargetRunnable:
		return chip{"run", "loader-2", "Running", false}
	case activation.TargetSleeping:
		return jobChip(activation.Job{State: activation.JobSleeping, SleepReason: t.SleepReason})
	case activation.TargetCompleted:
		return chip{"ok", "check", "Completed", false}
	case activation.TargetFailed:
		return chip{"bad", "alert-triangle", "Failed", false}
	}
	return chip{"line", "info-circle", string(t.State), false}
}

// syncTypes are the sync types in the order of the drop-down.
var syncTypes = []option{
	{"segment", "Segment", false},
	{"pii_update", "PII update", false},
	{"next_best_action", "Next-best-action", false},
	{"offline_conversion", "Offline conversion", false},
	{"conversion_audience", "Conversion audience", false},
	{"events", "Events", false},
}

func syncName(t activation.SyncType) string {
	for _, o := range syncTypes {
		if o.Value == string(t) {
			return o.Text
		}
	}
	return string(t)
}

// stageNames are the six stages as the rail names them.
var stageNames = map[activation.Stage]string{
	activation.StagePayload: "Payload", activation.StageAudiences: "Audiences", activation.StageStaging: "Staging",
	activation.StageQueue: "Queue items", activation.StageRemote: "Remote audiences", activation.StageMembers: "Members",
}

// logo is the icon of a provider.
func (c *Console) logo(provider string) string {
	for _, d := range c.Providers {
		if d.Name == provider && d.Icon != "" {
			return d.Icon
		}
	}
	return "world"
}

// typeOf is how people know a provider, such as "Facebook Ads".
func typeOf(defs []provider.Definition, name string) string {
	for _, d := range defs {
		if d.Name == name {
			return orText(d.DestinationType, d.Title)
		}
	}
	return name
}

func iconOf(name string) template.HTML { return iconHTML(name, "i") }

func spinningIcon(name string) template.HTML { return iconHTML(name, "i spin") }

// iconHTML is one icon of the sprite. Names come from this package alone.
func iconHTML(name, class string) template.HTML {
	return template.HTML(`<svg class="` + class + `" aria-hidden="true"><use href="` + asset("icons.svg") + `#` + template.HTMLEscapeString(name) + `"/></svg>`) //nolint:gosec // no part of it is anyone's input
}

// num is a whole number with thousands apart: 12,020.
func num(n any) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// utc is a time as every page shows it.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// iso is a time to the last digit, shown on hover.
func iso(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// dur is a length of time for people.
func dur(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// pct is part of whole in per cent, for widths and texts.
func pct(part, whole int64) string {
	if whole <= 0 {
		return "0"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64)
}

// sentence makes a message a sentence: a capital first, a full stop last.
func sentence(s string) string {
	if s == "" {
		return s
	}
	first, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[n:]
	if strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}

// many is a number with its noun: "1 job", "2 jobs", "3 people".
func many(n int64, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case one == "person":
		return num(n) + " people"
	}
	return num(n) + " " + one + "s"
}

// every is a job's rhythm for people.
func every(j activation.Job) string {
	if j.Once() {
		return "Once"
	}
	return schedule.Words(j.Schedule)
}
