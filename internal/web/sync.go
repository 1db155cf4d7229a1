package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

// syncLimit is how many runs one page of Sync Tracking has.
const syncLimit = 50

type syncPage struct {
	Segments                             []segment
	SyncTypes, Types, Destinations, Time []option
	Rows                                 []runRow
	// Status is the chosen segment, kept by the filter form.
	Status string
	Next   string
	First  string
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
	Items    store.ItemTally
	Retry    button
	// Withheld is why Retry is not offered on a failed run.
	Withheld string
	Path     string
}

func (c *Console) registerSync(mux *http.ServeMux) {
	c.page(mux, "/sync", "sync", c.sync)
}

var runStatuses = []activation.RunStatus{
	activation.RunPending, activation.RunRunning, activation.RunAwaiting, activation.RunCompleted, activation.RunWithdrawn, activation.RunFailed,
}

// times are the choices of how far back a list goes.
var times = []option{{"1h", "Last hour", false}, {"24h", "Last 24 hours", false}, {"168h", "Last 7 days", false}, {"", "Any time", false}}

func (c *Console) sync(v visit) (view, error) {
	ctx := v.Context()
	f := c.runFilter(v)
	counts, err := c.Store.RunCounts(ctx, f)
	if err != nil {
		return view{}, err
	}
	status := v.get("status")
	p := syncPage{Status: status, Clear: len(filters(v)) > 0, SyncTypes: choose(syncTypes, v.get("sync_type")), Time: choose(times, v.get("within"))}
	p.Segments = append(p.Segments, segment{link: link{filtered(v, "status", ""), "All"}, Current: status == ""})
	for _, s := range runStatuses {
		p.Total += counts[s]
		p.Segments = append(p.Segments, segment{link{filtered(v, "status", string(s)), runChip(tracking.View{Run: activation.Run{Status: s}}).Word}, counts[s], status == string(s)})
	}
	p.Segments[0].Count = p.Total
	if err := c.destinationOptions(v, &p); err != nil {
		return view{}, err
	}

	f.Limit = syncLimit + 1
	f.Before, _ = strconv.ParseInt(v.get("before"), 10, 64)
	if status != "" {
		f.Status = []activation.RunStatus{activation.RunStatus(status)}
	}
	runs, err := c.Tracking.List(ctx, f)
	if err != nil {
		return view{}, err
	}
	if len(runs) > syncLimit {
		runs = runs[:syncLimit]
		p.Next = filtered(v, "before", strconv.FormatInt(runs[syncLimit-1].Number, 10))
	}
	if f.Before > 0 {
		p.First = filtered(v, "before", "")
	}
	if p.Rows, err = c.runRows(v, runs); err != nil {
		return view{}, err
	}
	return view{
		Template: "sync", Title: "Sync tracking", Section: "/sync", Page: "sync", Query: v.URL.Query(), Body: p,
		Regions: []string{"sync-status", "sync-runs"},
	}, nil
}

func (c *Console) runFilter(v visit) store.RunFilter {
	f := store.RunFilter{Destination: activation.DestinationID(v.get("destination")), Job: activation.JobID(v.get("job")), Audience: activation.AudienceID(v.get("audience"))}
	if t := v.get("sync_type"); t != "" {
		f.SyncType = []activation.SyncType{activation.SyncType(t)}
	}
	if t := v.get("type"); t != "" {
		f.Providers = []string{t}
	}
	if d, err := time.ParseDuration(v.get("within")); err == nil {
		f.Since = c.Now().Add(-d)
	}
	return f
}

func (c *Console) destinationOptions(v visit, p *syncPage) error {
	for _, d := range c.Providers {
		p.Types = append(p.Types, option{d.Name, d.DestinationType, d.Name == v.get("type")})
	}
	destinations, err := c.Store.Destinations(v.Context())
	for _, d := range destinations {
		p.Destinations = append(p.Destinations, option{string(d.ID), d.Name, string(d.ID) == v.get("destination")})
	}
	return err
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
			Path: runPath(r.ID), Retry: v.press(runPath(r.ID)+"/retry", "Retry", "refresh").as("btn-s"),
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
	case activation.SyncPIIUpdate, activation.SyncNextBestAction:
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
