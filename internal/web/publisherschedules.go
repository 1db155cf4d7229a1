package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
)

type schedulesPage struct {
	publisherTab
	CSRF, Wrong, Withheld string
	Rows                  []scheduleRow
	Object, Action        field
	Day, Hour             field
	Days                  []option
	DaysWrong             string
	Zone                  string
}

// scheduleRow is a scheduled operation as the list shows it.
type scheduleRow struct {
	activation.ScheduledOperation
	Name, Path, Kind, Says string
	Chip                   chip
	Next                   string
	Last                   link
	Delete                 button
}

func (c *Console) registerSchedules(mux *http.ServeMux) {
	c.page(mux, "/publishers/{id}/schedules", "", func(v visit) (view, error) { return c.schedules(v, nil) })
	c.action(mux, "/publishers/{id}/schedules", activation.RoleOperator, c.putSchedule)
	c.action(mux, "/publishers/{id}/schedules/{schedule}/delete", activation.RoleOperator, c.deleteSchedule)
}

// weekdays are the days as schedules count them, Monday first.
var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

func (c *Console) schedules(v visit, wrong map[string]string) (view, error) {
	head, err := c.publisherHead(v, "Schedules")
	if err != nil {
		return view{}, err
	}
	zone := zoneOf(head.PublisherAccount)
	p := schedulesPage{publisherTab: head, CSRF: v.who.CSRF, Wrong: wrong[""], Withheld: v.press("", "", "").Withheld, Zone: zone.String(), DaysWrong: wrong["days"]}
	all, err := c.Publishing.Schedules(v.Context(), head.ID)
	if err != nil {
		return view{}, err
	}
	var refs []activation.ObjectRef
	for _, s := range all {
		refs = append(refs, s.Object)
	}
	names, err := c.objectNames(v.Context(), head.ID, refs)
	if err != nil {
		return view{}, err
	}
	for _, s := range all {
		row := scheduleRow{ScheduledOperation: s, Name: names[s.Object], Path: objectPath(head.ID, s.Object), Kind: kindWord(s.Object.Kind), Says: rhythm(s), Chip: chip{"off", "player-pause", "Pause", false}, Delete: v.press(head.Path+"/schedules/"+url.PathEscape(s.ID)+"/delete", "Delete", "trash").as("btn-s")}
		if s.Action == activation.ActionResume {
			row.Chip = chip{"ok", "player-play", "Resume", false}
		}
		if !s.At.IsZero() {
			row.Next = s.At.In(zone).Format("Mon 2 Jan 2006, 15:04")
		}
		if s.LastEntry != 0 {
			row.Last = link{entryPath(s.LastEntry), numbered(s.LastEntry)}
		}
		p.Rows = append(p.Rows, row)
	}
	if err := c.scheduleForm(v, &p, wrong, c.Now().In(zone)); err != nil {
		return view{}, err
	}
	out := publisherView("schedules", head, "Schedules", p)
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// rhythm says how often an operation is done.
func rhythm(s activation.ScheduledOperation) string {
	at := fmt.Sprintf("%02d:00", s.Hour)
	switch {
	case len(s.Days) == 0:
		return "Once"
	case len(s.Days) == 7:
		return "Every day at " + at
	case slices.Equal(s.Days, []int{1, 2, 3, 4, 5}):
		return "Monday to Friday at " + at
	}
	var days []string
	for _, d := range s.Days {
		if d >= 1 && d <= 7 {
			days = append(days, weekdays[d-1])
		}
	}
	return joinComma(days) + " at " + at
}

func (c *Console) scheduleForm(v visit, p *schedulesPage, wrong map[string]string, now time.Time) error {
	declared := c.publishingOf(p.Provider)
	chosen := refOf(orText(v.post("object"), v.get("object")))
	p.Object = field{Name: "object", Label: "What", Type: "select", Required: true, Error: wrong["object"], Options: []option{{"", "Choose one", chosen.ID == ""}}, Help: "Campaigns are offered here; for anything else, open it in the structure and press Schedule."}
	for _, t := range declared.Objects {
		if t.Kind != activation.KindCampaign {
			continue
		}
		of := chosen
		if of.Kind != activation.KindCampaign {
			of = activation.ObjectRef{}
		}
		options, err := c.objectOptions(v, p.ID, declared, t, of)
		if err != nil {
			return err
		}
		for _, o := range options {
			if o.Value != "" {
				p.Object.Options = append(p.Object.Options, o)
			}
		}
	}
	if chosen.ID != "" && chosen.Kind != activation.KindCampaign {
		names, err := c.objectNames(v.Context(), p.ID, []activation.ObjectRef{chosen})
		if err != nil {
			return err
		}
		p.Object.Options = append(p.Object.Options, option{refText(chosen), names[chosen], true})
	}
	p.Action = field{Name: "action", Label: "Do", Type: "select", Error: wrong["action"], Options: choose([]option{{activation.ActionPause, "Pause", false}, {activation.ActionResume, "Resume", false}}, orText(v.post("action"), activation.ActionPause))}
	next := now.Truncate(time.Hour).Add(time.Hour)
	p.Day = field{Name: "day", Label: "First on", Type: "date", Required: true, Value: orText(v.post("day"), next.Format(time.DateOnly)), Error: wrong["day"]}
	p.Hour = field{Name: "hour", Label: "At", Type: "select", Error: orText(wrong["hour"], wrong["at"])}
	hour := orText(v.post("hour"), strconv.Itoa(next.Hour()))
	for h := range 24 {
		p.Hour.Options = append(p.Hour.Options, option{strconv.Itoa(h), fmt.Sprintf("%02d:00", h), strconv.Itoa(h) == hour})
	}
	for i, d := range weekdays {
		p.Days = append(p.Days, option{strconv.Itoa(i + 1), d[:3], slices.Contains(v.PostForm["days"], strconv.Itoa(i+1))})
	}
	return nil
}

func (c *Console) putSchedule(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	a, err := c.Publishing.Account(v.Context(), id)
	if err != nil {
		return view{}, err
	}
	s := activation.ScheduledOperation{Publisher: id, Object: refOf(v.post("object")), Action: v.post("action")}
	day, err := time.Parse(time.DateOnly, v.post("day"))
	if err != nil {
		return c.schedules(v, map[string]string{"day": "Give a day such as 2026-11-22."})
	}
	if s.Hour, err = strconv.Atoi(v.post("hour")); err != nil || s.Hour < 0 || s.Hour > 23 {
		return c.schedules(v, map[string]string{"hour": "Choose a full hour."})
	}
	if s.Object.ID == "" {
		return c.schedules(v, map[string]string{"object": "Choose what is to be paused or resumed."})
	}
	for _, text := range v.PostForm["days"] {
		if d, err := strconv.Atoi(text); err == nil && d >= 1 && d <= 7 && !slices.Contains(s.Days, d) {
			s.Days = append(s.Days, d)
		}
	}
	slices.Sort(s.Days)
	s.At = firstAt(day, s.Hour, s.Days, zoneOf(a))
	made, err := c.Publishing.PutSchedule(v.Context(), s, v.who.Name)
	wrong, err := wrongFields(err, "object", "action", "day", "hour", "at", "days")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.schedules(v, wrong)
	}
	at := made.At
	if at.IsZero() {
		at = s.At
	}
	return view{To: publisherPath(id) + "/schedules", Said: flash{"ok", "Scheduled: " + strings.ToLower(s.Action) + " on " + at.In(zoneOf(a)).Format("Monday 2 January 2006 at 15:04") + "."}}, nil
}

// firstAt is the first time from a day on that fits the days of the week.
func firstAt(day time.Time, hour int, days []int, zone *time.Location) time.Time {
	at := time.Date(day.Year(), day.Month(), day.Day(), hour, 0, 0, 0, zone)
	for range 7 {
		if len(days) == 0 || slices.Contains(days, (int(at.Weekday())+6)%7+1) {
			return at
		}
		at = time.Date(at.Year(), at.Month(), at.Day()+1, hour, 0, 0, 0, zone)
	}
	return at
}

func (c *Console) deleteSchedule(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	to := publisherPath(id) + "/schedules"
	if err := c.Publishing.DeleteSchedule(v.Context(), id, v.PathValue("schedule"), v.who.Name); err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", "The schedule is deleted. What it has queued stays in the log."}}, nil
}
