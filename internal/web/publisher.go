package web

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/publishing"
)

type publisherPage struct {
	publisherTab
	CSRF             string
	Jobs             []jobState
	Segments         []segment
	Log              string
	Syncs            []button
	Check            button
	Unlink           *ask
	Authorization    link
	Health           chip
	Fields, Settings []field
	Wrong            string
	Admin            bool
	Open             bool // the form of settings
	Costs            costChart
	Queue            []postQueue
}

// costChart is what an account or an object cost by day, in one currency.
type costChart struct {
	// Ranges are the periods that end today, Range the chosen one.
	Range, Since, Until, Wrong string
	Ranges                     []segmentLink
	Path                       string
	Currency                   string
	Currencies                 []segmentLink
	Rows                       []costDay
	Total                      costDay
	Label                      string
}

// costDay is one day, with the amounts as text and as numbers to draw.
type costDay struct {
	At                             time.Time
	Date                           string
	Impressions, Clicks            int64
	Cost, Value, Conversions, Draw string
	micros                         int64
	value, conversions             float64
}

// costRanges are the periods of a cost chart, in days that end today.
var costRanges = []struct {
	name, text string
	days       int
}{{"7d", "7 d", 7}, {"30d", "30 d", 30}, {"90d", "90 d", 90}}

func (c *Console) publisher(v visit) (view, error) { return c.publisherPage(v, nil) }

// publisherPage is the summary of an account; wrong is what was wrong with its form.
func (c *Console) publisherPage(v visit, wrong map[string]string) (view, error) {
	t, err := c.publisherHead(v, "Summary")
	if err != nil {
		return view{}, err
	}
	p := publisherPage{publisherTab: t, CSRF: v.who.CSRF, Wrong: wrong[""], Open: wrong != nil, Admin: v.who.May(activation.RoleAdmin), Log: "/activity?publisher=" + url.QueryEscape(string(t.ID))}
	if p.Jobs, err = c.jobsOf(v, t.PublisherAccount); err != nil {
		return view{}, err
	}
	counts, err := c.Publishing.Counts(v.Context(), t.ID)
	if err != nil {
		return view{}, err
	}
	for _, s := range statusSegments[:5] {
		p.Segments = append(p.Segments, segment{link{p.Log + "&status=" + string(s), entryChip(activation.Entry{Status: s}).Word}, counts[s], false})
	}
	c.publisherButtons(v, &p, counts)
	if err := c.publisherForm(v, &p, wrong); err != nil {
		return view{}, err
	}
	if p.Costs, err = c.costsOf(v, t.PublisherAccount, t.Path, activation.ObjectRef{}); err != nil {
		return view{}, err
	}
	if p.Queue, err = c.postQueues(v, []activation.PublisherAccount{t.PublisherAccount}, t.ID); err != nil {
		return view{}, err
	}
	out := publisherView("publisher", t, "", p)
	q := filters(v)
	q.Set("id", v.PathValue("id"))
	out.Page, out.Query, out.Regions = "publisher", q, []string{"publisher-state", "publisher-next"}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) publisherButtons(v visit, p *publisherPage, counts map[activation.EntryStatus]int64) {
	structure := v.press(p.Path+"/sync", "Sync now", "refresh")
	structure.Hidden = []hidden{{"what", "structure"}}
	costs := v.press(p.Path+"/sync", "Read costs", "download")
	costs.Hidden = []hidden{{"what", "costs"}}
	p.Syncs = []button{structure, costs}
	p.Check = v.press(p.Path+"/check", "Check", "plug-connected").as("btn-s")
	waiting := int64(0)
	for s, n := range counts {
		if s.Waits() {
			waiting += n
		}
	}
	p.Unlink = askFirst("unlink", "Unlink “"+p.Name+"”?", v.press(p.Path+"/unlink", "Unlink account", "plug-connected-x").needs(v, activation.RoleAdmin), "Keep it",
		many(waiting, "waiting change")+" "+map[bool]string{true: "is", false: "are"}[waiting == 1]+" never sent.",
		"The structure, the log, the costs and the two jobs of the account are deleted here. Nothing is changed at "+p.Publisher+".").grave()
}

// publisherForm is the form of an account's settings.
func (c *Console) publisherForm(v visit, p *publisherPage, wrong map[string]string) error {
	auths, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return err
	}
	var own []activation.Authorization
	for _, a := range auths {
		if a.Provider == p.Provider {
			own = append(own, a)
		}
		if a.ID == p.PublisherAccount.Authorization {
			p.Authorization, p.Health = link{authorizationPath(a.ID), a.Label}, authChip(a.Status)
		}
	}
	a, given := p.PublisherAccount, func(name string) string { return p.Config[strings.TrimPrefix(name, "config.")] }
	if wrong != nil {
		a.Name, a.NightlyAt, a.Authorization, given = v.post("name"), v.post("nightly_at"), activation.AuthorizationID(v.post("auth_id")), v.post
	}
	p.Fields = accountFields(a, own, wrong, false, "")
	p.Settings = declared(given, "config.", c.publishingOf(p.Provider).Fields, wrong)
	return nil
}

func (c *Console) changeAccount(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	a, err := c.Publishing.Account(v.Context(), id)
	if err != nil {
		return view{}, err
	}
	spec, names := accountSpec(v, a.Provider, c.publishingOf(a.Provider))
	spec.Account = a.Account
	_, err = c.Publishing.Update(v.Context(), id, spec, v.who.Name)
	wrong, err := wrongOf(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.publisherPage(v, wrong)
	}
	return view{To: publisherPath(id), Said: flash{"ok", "Saved. The next nightly sync goes by it."}}, nil
}

// syncAccount queues a reading of the structure, or of the costs.
func (c *Console) syncAccount(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	what := v.post("what")
	if what != "costs" {
		what = "structure"
	}
	e, err := c.Publishing.Sync(v.Context(), id, what, v.who.Name)
	if err != nil {
		return refused(publisherPath(id), err)
	}
	c.waits.drop("")
	return view{To: publisherPath(id), Said: flash{"ok", "Queued as " + numbered(e.ID) + ". It goes in its turn, before the edits of its origin."}}, nil
}

func (c *Console) checkAccount(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	info, err := c.Publishing.CheckAccount(v.Context(), id)
	if err != nil {
		return refused(publisherPath(id), err)
	}
	return view{To: publisherPath(id), Said: flash{"ok", "The publisher knows the account as “" + info.Name + "”, in " + info.Currency + " and " + info.Timezone + ". Nothing was written there."}}, nil
}

func (c *Console) unlinkAccount(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	if err := c.Publishing.Unlink(v.Context(), id, v.who.Name); err != nil {
		return refused(publisherPath(id), err)
	}
	c.waits.drop("")
	return view{To: "/publishers", Said: flash{"ok", "The account is unlinked. Nothing was changed at its publisher."}}, nil
}

// costPeriod is the period of a cost chart, as days of the account's zone.
func costPeriod(v visit, now time.Time) (name string, from, until time.Time, wrong string) {
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	name = orText(v.get("range"), "30d")
	for _, r := range costRanges {
		if r.name == name {
			return name, day.AddDate(0, 0, 1-r.days), day, ""
		}
	}
	since, err := time.Parse(time.DateOnly, v.get("since"))
	last, err2 := time.Parse(time.DateOnly, orText(v.get("until"), day.Format(time.DateOnly)))
	switch {
	case name != customRange:
		wrong = "There is no such period."
	case err != nil || err2 != nil:
		wrong = "Give both days as 2026-11-22."
	case last.Before(since):
		wrong = "The last day must not be before the first."
	case last.Sub(since) > 400*24*time.Hour:
		wrong = "Give at most 400 days."
	default:
		return name, since, last, ""
	}
	return name, day.AddDate(0, 0, -29), day, wrong
}

// costsOf is what an account, or one object of it, cost by day. Amounts of several
// currencies are never added up: each has its own chart.
func (c *Console) costsOf(v visit, a activation.PublisherAccount, path string, object activation.ObjectRef) (costChart, error) {
	name, from, until, wrong := costPeriod(v, c.Now().In(zoneOf(a)))
	ch := costChart{Range: name, Wrong: wrong, Since: from.Format(time.DateOnly), Until: until.Format(time.DateOnly), Path: path}
	q := activation.CostQuery{Publisher: a.ID, From: ch.Since, Until: ch.Until, Kind: orKind(object.Kind, activation.KindCampaign), Object: object, By: "date", Currency: v.get("currency")}
	report, err := c.Publishing.Costs(v.Context(), q)
	if err == nil && report.Currency == "" && len(report.Currencies) > 0 {
		q.Currency = report.Currencies[0]
		report, err = c.Publishing.Costs(v.Context(), q)
	}
	if err != nil {
		return ch, err
	}
	ch.Currency = orText(report.Currency, a.Currency)
	at := func(name, value string) string {
		q := url.Values{}
		for _, keep := range []string{"range", "since", "until", "currency"} {
			if have := v.get(keep); have != "" && (name != "range" || keep == "currency") {
				q.Set(keep, have)
			}
		}
		q.Set(name, value)
		return path + "?" + q.Encode() + "#costs"
	}
	for _, r := range costRanges {
		ch.Ranges = append(ch.Ranges, segmentLink{r.text, at("range", r.name), r.name == name})
	}
	if len(report.Currencies) > 1 {
		for _, one := range report.Currencies {
			ch.Currencies = append(ch.Currencies, segmentLink{one, at("currency", one), one == ch.Currency})
		}
	}
	ch.fill(report, from, until)
	return ch, nil
}

func orKind(k, otherwise activation.ObjectKind) activation.ObjectKind {
	if k == "" {
		return otherwise
	}
	return k
}

// fill makes one row a day; a day without costs is a row of zeros.
func (ch *costChart) fill(report publishing.CostReport, from, until time.Time) {
	by := map[string]costDay{}
	for _, r := range report.Rows {
		d := by[r.Date]
		d.add(costDay{Impressions: r.Impressions, Clicks: r.Clicks, micros: r.Micros, conversions: r.Conversions, value: r.Value})
		by[r.Date] = d
	}
	for t := from; !t.After(until); t = t.AddDate(0, 0, 1) {
		d := by[t.Format(time.DateOnly)]
		d.At, d.Date = t, t.Format(time.DateOnly)
		ch.Total.add(d)
		ch.Rows = append(ch.Rows, d.said())
	}
	ch.Total = ch.Total.said()
	ch.Label = "Cost per day in " + ch.Currency + ": " + ch.Total.Cost + " from " + ch.Since + " to " + ch.Until + ". The same numbers are in the table below."
}

func (d *costDay) add(o costDay) {
	d.Impressions, d.Clicks, d.micros = d.Impressions+o.Impressions, d.Clicks+o.Clicks, d.micros+o.micros
	d.conversions, d.value = d.conversions+o.conversions, d.value+o.value
}

// said puts the sums into words.
func (d costDay) said() costDay {
	d.Cost, d.Draw = amountText(d.micros), strconv.FormatFloat(float64(d.micros)/1e6, 'f', 2, 64)
	d.Conversions, d.Value = conversionsText(d.conversions), amountText(int64(d.value*1e6))
	return d
}

// conversionsText is a number of conversions, of which publishers give parts too.
func conversionsText(n float64) string {
	if n == math.Trunc(n) {
		return num(int64(n))
	}
	return amountText(int64(math.Round(n * 1e6)))
}
