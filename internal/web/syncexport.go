package web

import (
	"encoding/csv"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/tracking"
)

// exportedAtOnce is how many runs are read at a time for a file.
const exportedAtOnce = 500

// exportColumns are the columns of the list, and the numbers that its rows open
// to.
var exportColumns = []string{
	"run", "status", "destination_type", "destination", "sync_type", "triggered_by", "cause", "started", "ended", "action", "job",
	"items", "items_done", "items_failed", "selected", "added", "removed", "omitted", "rejected", "unknown", "error_code", "error",
}

// syncFile is the filtered list as a file, every page of it.
func (c *Console) syncFile(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	c.sendSync(w, v)
}

func (c *Console) sendSync(w http.ResponseWriter, v visit) {
	var p syncPage
	f, err := c.syncFilter(v, &p)
	if err != nil {
		c.render(w, v, c.failed(v, err))
		return
	}
	if p.Status != "" {
		f.Status = []activation.RunStatus{activation.RunStatus(p.Status)}
	}
	runs, next, err := c.runsOf(v, f, v.get("action"), exportedAtOnce)
	if err != nil {
		c.render(w, v, c.failed(v, err))
		return
	}
	secure(w)
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="sync-tracking.csv"`)
	w.Header().Set("Cache-Control", "no-store")
	out := csv.NewWriter(w)
	_ = out.Write(exportColumns) // the first error is Flush's
	for {
		rows, err := c.runRows(v, runs)
		if err != nil {
			c.cut(v, err)
		}
		for _, row := range rows {
			_ = out.Write(exported(row))
		}
		if out.Flush(); out.Error() != nil || next == 0 {
			return // to the end, or the reader has gone
		}
		f.Before = next
		if runs, next, err = c.runsOf(v, f, v.get("action"), exportedAtOnce); err != nil {
			c.cut(v, err)
		}
	}
}

// cut ends a file that cannot be made to its end, so that nobody takes it for
// whole.
func (c *Console) cut(v visit, err error) {
	c.Log.ErrorContext(v.Context(), "list not sent to its end", slog.Any("err", err))
	panic(http.ErrAbortHandler)
}

func exported(r runRow) []string {
	action := ""
	switch {
	case r.View.Retry.Allowed:
		action = "Retry"
	case r.Withheld != "":
		action = "No Retry: " + r.Withheld
	}
	n := r.Counts
	ended := ""
	if !r.EndedAt.IsZero() {
		ended = iso(r.EndedAt)
	}
	out := []string{
		strconv.FormatInt(r.Number, 10), runChip(tracking.View{Run: r.Run}).Word, r.DestinationType, r.DestinationName, r.SyncName, r.Trigger, r.Because,
		iso(r.StartedAt), ended, action, r.JobName, strconv.FormatInt(r.Items.Total, 10), strconv.FormatInt(r.Items.Done, 10), strconv.FormatInt(r.Items.Failed, 10),
	}
	for _, one := range []int64{n.Selected, n.Added, n.Removed, n.Omitted, n.Rejected, n.Unknown} {
		out = append(out, strconv.FormatInt(one, 10))
	}
	out = append(out, r.ErrorCode, r.ErrorText)
	for i, text := range out {
		out[i] = inert(text)
	}
	return out
}

// inert keeps a spreadsheet from taking a text for a formula.
func inert(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r") {
		return "'" + text
	}
	return text
}
