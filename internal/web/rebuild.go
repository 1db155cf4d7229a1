package web

import (
	"net/http"
	"net/url"
	"time"

	"usher/internal/activation"
	"usher/internal/rebuild"
	"usher/internal/tracking"
)

// rebuildsShown is how many rebuilds the card lists.
const rebuildsShown = 5

// rebuildCard is the rebuild under way, or the question before one, and those
// before.
type rebuildCard struct {
	Cost    string
	Ask     *ask
	Running *rebuildRow
	Past    []rebuildRow
}

type rebuildRow struct {
	activation.Rebuild
	Chip    chip
	Says    string
	Left    string
	Begun   string
	Took    time.Duration
	Changed string
	Help    string
	Cancel  button
}

func (c *Console) registerRebuild(mux *http.ServeMux) {
	c.action(mux, "/data/rebuild", activation.RoleOperator, c.startRebuild)
	c.action(mux, "/data/rebuild/{id}/cancel", activation.RoleOperator, c.cancelRebuild)
}

// rebuildCard is nil where nobody rebuilds.
func (c *Console) rebuildCard(v visit) (*rebuildCard, error) {
	if c.Rebuilds == nil {
		return nil, nil //nolint:nilnil // no card
	}
	card := &rebuildCard{}
	cost, err := c.costs.get("", c.Now(), func() (rebuild.Cost, error) { return c.Rebuilds.Cost(v.Context()) })
	if err != nil {
		return nil, err
	}
	card.Cost = costText(cost)
	all, err := c.Rebuilds.Rebuilds(v.Context(), rebuildsShown+1)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		row := c.rebuildRow(v, r)
		if r.Status == activation.RebuildRunning {
			card.Running = &row
		} else if len(card.Past) < rebuildsShown {
			card.Past = append(card.Past, row)
		}
	}
	b := v.press("/data/rebuild", "Rebuild profiles", "refresh")
	if card.Running != nil {
		b.Withheld = orText(b.Withheld, "Rebuild #"+num(card.Running.Number)+" is under way")
	}
	card.Ask = askFirst("rebuild", "Rebuild all profiles?", b, "Not now", card.Cost,
		"People and their audiences stay as they are until it is done, and change all at once then; jobs send what differs at their next run. Messages that come meanwhile are not lost.")
	card.Ask.Fields = []field{{Name: "reason", Label: "Reason", Type: "text", Help: "For the history, such as the mapping that was changed."}}
	return card, nil
}

// costText says what a rebuild would have to do.
func costText(cost rebuild.Cost) string {
	text := "It replays " + many(cost.Messages, "message")
	if cost.Bytes > 0 { // what is not on disk yet has no size
		text += " (" + bytesText(cost.Bytes) + ")"
	}
	if cost.Seconds <= 0 {
		return text + "; how long that takes is known after the first one."
	}
	return text + " in about " + roughly(time.Duration(cost.Seconds*float64(time.Second))) + "."
}

// roughly is a length of time that is not known to the second.
func roughly(d time.Duration) string {
	switch {
	case d < time.Second:
		return "a second"
	case d < time.Minute:
		return many(int64(d.Round(time.Second)/time.Second), "second")
	case d < time.Hour:
		return num(int64(d.Round(time.Minute)/time.Minute)) + " min"
	}
	d = d.Round(10 * time.Minute)
	if d%time.Hour == 0 {
		return num(int64(d/time.Hour)) + " h"
	}
	return num(int64(d/time.Hour)) + " h " + num(int64(d%time.Hour/time.Minute)) + " min"
}

func (c *Console) rebuildRow(v visit, r activation.Rebuild) rebuildRow {
	row := rebuildRow{Rebuild: r, Chip: rebuildChip(r.Status), Says: num(r.Done) + " of " + many(r.Total, "message"), Took: c.Now().Sub(r.StartedAt)}
	if !r.EndedAt.IsZero() {
		row.Took = r.EndedAt.Sub(r.StartedAt)
	}
	switch r.Status {
	case activation.RebuildRunning:
		row.Begun = "Asked for by " + r.AskedBy + " at " + utc(r.StartedAt)
		if r.Attempt > 1 {
			row.Begun += ", begun anew after a restart"
		}
		if r.Left > 0 {
			row.Left = "about " + roughly(r.Left) + " left"
		}
		if r.Total > 0 && r.Done >= r.Total {
			row.Left = "what came meanwhile is caught up"
		}
		if r.CancelledBy != "" {
			row.Left = "it is being cancelled"
		}
		row.Cancel = v.press("/data/rebuild/"+url.PathEscape(string(r.ID))+"/cancel", "Cancel", "x").as("btn-s")
		if r.CancelledBy != "" {
			row.Cancel.Withheld = "It stops within seconds"
		}
	case activation.RebuildFailed:
		row.Changed, row.Help = r.ErrorCode+": "+sentence(r.ErrorText), codeHelp(r.ErrorCode)
	case activation.RebuildCancelled:
		row.Changed = "Nothing was changed; cancelled by " + orText(r.CancelledBy, "nobody") + "."
	case activation.RebuildCompleted:
		row.Changed = "Of " + many(r.Counts["profiles"], "profile") + ", " + num(r.Counts["changed_profiles"]) + " changed, " + num(r.Counts["new_profiles"]) + " new, " + num(r.Counts["gone_profiles"]) + " gone."
	}
	return row
}

func rebuildChip(s activation.RebuildStatus) chip {
	switch s {
	case activation.RebuildRunning:
		return chip{"run", "loader-2", "Running", true}
	case activation.RebuildCompleted:
		return chip{"ok", "check", "Completed", false}
	case activation.RebuildCancelled:
		return chip{"off", "ban", "Cancelled", false}
	case activation.RebuildFailed:
		return chip{"bad", "alert-triangle", "Failed", false}
	}
	return chip{"line", "info-circle", string(s), false}
}

func (c *Console) startRebuild(v visit) (view, error) {
	if c.Rebuilds == nil {
		return view{}, activation.ErrNotFound
	}
	r, err := c.Rebuilds.Start(v.Context(), v.post("reason"), v.who.Name)
	if err != nil {
		return refused("/data", err)
	}
	c.costs.drop("")
	return view{To: "/data#rebuilds", Said: flash{"ok", "Rebuild #" + num(r.Number) + " has begun. People stay as they are until it is done."}}, nil
}

func (c *Console) cancelRebuild(v visit) (view, error) {
	if c.Rebuilds == nil {
		return view{}, activation.ErrNotFound
	}
	r, err := c.Rebuilds.Cancel(v.Context(), activation.RebuildID(v.PathValue("id")), v.who.Name)
	if err != nil {
		return refused("/data", err)
	}
	return view{To: "/data#rebuilds", Said: flash{"ok", "Rebuild #" + num(r.Number) + " is cancelled and stops within seconds. Nothing is changed."}}, nil
}

// codeHelp is the page about an error code, "" where there is none.
func codeHelp(code string) string {
	if code == "" {
		return ""
	}
	return helpPath(tracking.Page(code))
}
