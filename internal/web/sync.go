package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

// syncLimit is how many runs one page of Sync Tracking has.
const syncLimit = 50

type syncPage struct {
	Segments                                             []segment
	SyncTypes, Types, Destinations, Causes, Action, Time []option
	// Triggered is what was typed, Triggers what fits it.
	Triggered string
	Triggers  []string
	// Custom shows the two days of a period of one's own.
	Custom              bool
	Since, Until, Wrong string
	Rows                []runRow
	// Status is the chosen segment, and Kept what else the filter form carries on.
	Status string
	Kept   []hidden
	// Only are filters that a link has set, with the address without each.
	Only   []link
	Next   string
	First  string
	Export string
	Clear  bool
	Total  int64
}

// segment is one entry of a row of statuses with how many there are.
type segment struct {
	link
	Count   int64
	Current bool
}

// runRow is a run as lists show it.
type runRow struct {
	tracking.View
	Chip     chip
	Logo     string
	SyncName string
	Trigger  string
	// Because is what triggered it, in words.
	Because string
	Items   store.ItemTally
	Retry   button
	// Asks is where Retry is asked about first, because it may remove people.
	Asks string
	// Withheld is why Retry is not offered on a failed run.
	Withheld string
	Path     string
}

func (c *Console) registerSync(mux *http.ServeMux) {
	c.page(mux, "/sync", "sync", c.sync)
	mux.HandleFunc("GET /sync/export.csv", c.syncFile)
}

var runStatuses = []activation.RunStatus{
	activation.RunPending, activation.RunRunning, activation.RunAwaiting, activation.RunCompleted, activation.RunWithdrawn, activation.RunFailed,
}

func (c *Console) sync(v visit) (view, error) {
	if id, ok := c.runNumbered(v); ok && v.URL.Path == "/sync" {
		return view{To: runPath(id)}, nil
	}
	var p syncPage
	f, err := c.syncFilter(v, &p)
	if err != nil {
		return view{}, err
	}
	counts, err := c.Store.RunCounts(v.Context(), f)
	if err != nil {
		return view{}, err
	}
	p.Segments = append(p.Segments, segment{link: link{filtered(v, "status", ""), "All"}, Current: p.Status == ""})
	for _, s := range runStatuses {
		p.Total += counts[s]
		p.Segments = append(p.Segments, segment{link{filtered(v, "status", string(s)), runChip(tracking.View{Run: activation.Run{Status: s}}).Word}, counts[s], p.Status == string(s)})
	}
	p.Segments[0].Count = p.Total
	if p.Status != "" {
		f.Status = []activation.RunStatus{activation.RunStatus(p.Status)}
	}
	f.Before, _ = strconv.ParseInt(v.get("before"), 10, 64)
	if f.Before > 0 {
		p.First = filtered(v, "before", "")
	}
	runs, next, err := c.runsOf(v, f, v.get("action"), syncLimit)
	if err != nil {
		return view{}, err
	}
	if next > 0 {
		p.Next = filtered(v, "before", strconv.FormatInt(next, 10))
	}
	if p.Rows, err = c.runRows(v, runs); err != nil {
		return view{}, err
	}
	p.Export = "/sync/export.csv"
	if q := filters(v); len(q) > 0 {
		p.Clear, p.Export = true, p.Export+"?"+q.Encode()
	}
	return view{
		Template: "sync", Title: "Sync tracking", Section: "/sync", Page: "sync", Query: v.URL.Query(), Body: p,
		Regions: []string{"sync-status", "sync-runs"},
	}, nil
}

// runRows makes rows of runs, with how far their items are.
func (c *Console) runRows(v visit, runs []tracking.View) ([]runRow, error) {
	ids := make([]activation.RunID, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	tallies, err := c.Store.ItemTallies(v.Context(), ids)
	if err != nil {
		return nil, err
	}
	rows := make([]runRow, len(runs))
	for i, r := range runs {
		rows[i] = runRow{
			View: r, Chip: runChip(r), Logo: c.logoOf(r.DestinationType), SyncName: syncName(r.SyncType), Trigger: c.trigger(r), Items: tallies[r.ID],
			Because: causeWords(r.Run), Path: runPath(r.ID), Retry: v.press(runPath(r.ID)+"/retry", "Retry", "refresh").as("btn-s"),
		}
		if r.Counts.Remove > 0 && r.Stream == "" {
			rows[i].Asks = runPath(r.ID) + "#retry"
		}
		if r.Status == activation.RunFailed && !r.Retry.Allowed {
			rows[i].Withheld = sentence(r.Retry.Reason)
		}
	}
	return rows, nil
}

// trigger is what made the run: the audience, the agent, or nothing.
func (c *Console) trigger(r tracking.View) string {
	switch r.SyncType {
	case activation.SyncSegment:
		return "Audience: " + r.AudienceSlug
	case activation.SyncOfflineConversion, activation.SyncConversionAudience:
		return ""
	case activation.SyncEvents:
		if r.Stream == "" {
			return "Audience: " + r.AudienceSlug
		}
		return "Stream: " + r.Stream
	case activation.SyncPIIUpdate:
		return "Agent"
	case activation.SyncNextBestAction:
	}
	return r.TriggeredBy
}

func (c *Console) logoOf(destinationType string) string {
	for _, d := range c.Providers {
		if d.DestinationType == destinationType {
			return c.logo(d.Name)
		}
	}
	return "world"
}

// filters are the filters of a list that are set.
func filters(v visit) url.Values {
	out := url.Values{}
	for name, values := range v.URL.Query() {
		if name != "page" && name != "before" && name != "after" && len(values) > 0 && values[0] != "" {
			out.Set(name, values[0])
		}
	}
	return out
}

// filtered is the address of the list with one filter changed, from its start.
func filtered(v visit, name, value string) string {
	q := filters(v)
	q.Del(name)
	if value != "" {
		q.Set(name, value)
	}
	path := v.URL.Path
	if page := v.get("page"); page != "" {
		path = "/" + page // asked by the page's stream
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func runPath(id activation.RunID) string { return "/runs/" + url.PathEscape(string(id)) }
func jobPath(id activation.JobID) string { return "/jobs/" + url.PathEscape(string(id)) }

func lower(s string) string { return strings.ToLower(s) }

func joinComma(parts []string) string { return strings.Join(parts, ", ") }

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
