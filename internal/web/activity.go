package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/publishing"
)

const (
	// entriesPerPage is how many entries a page of the log has, childrenShown how many
	// of an opened upload.
	entriesPerPage = 50
	childrenShown  = 20
	// nextShown is how many of an account's entries are said to be sent next, nextOf of
	// how many accounts.
	nextShown = 6
	nextOf    = 3
)

type activityPage struct {
	Segments                                   []segment
	Accounts, Origins, Kinds, Operations, Time []option
	Status, Text                               string
	Custom                                     bool
	Since, Until, Wrong                        string
	// Order shows one account's waiting entries in the order of posting.
	Order           bool
	InOrder, Newest string
	Rows            []entryRow
	Next, First     string
	Clear           bool
	Total           int64
	Only            []link
	Queues          []postQueue
	Nights          string
	Bulk            bulkBar
	PostAll         button
	Asked           *askedMove
}

// entryRow is an entry as lists show it.
type entryRow struct {
	activation.Entry
	Path, Logo, Account       string
	Chip                      chip
	OriginIcon, OriginText    string
	ObjectWord, OperationWord string
	// Place is where it waits, "" where it does not.
	Place string
	// Done, Failed and Of count the rows of an upload; HasErrors that some failed or were
	// left out, so that there is an error file.
	Done, Failed, Of int64
	HasErrors        bool
}

// bulkBar is the form that does something to what is ticked.
type bulkBar struct {
	To, CSRF string
	// Matching offers all that the filters let through, "" = it is not offered.
	Matching string
	Withheld string
}

// postQueue is what of one account is sent next.
type postQueue struct {
	Name, Logo, Path, All string
	Rows                  []nextRow
	// Later go out with the nightly sync at Nightly, where nobody posts them before.
	Later   []nextRow
	Nightly string
	More    int64
}

type nextRow struct {
	publishing.NextEntry
	Path string
	Tags []whyTag
}

// whyTag is one key of the order; the one that decided is marked.
type whyTag struct {
	Text    string
	Decided bool
}

func (c *Console) registerActivity(mux *http.ServeMux) {
	c.page(mux, "/activity", "activity", func(v visit) (view, error) { return c.activity(v, nil) })
	c.action(mux, "/activity", activation.RoleOperator, c.moveEntries)
	c.action(mux, "/activity/undo/{command}", activation.RoleOperator, c.undoMove)
	c.page(mux, "/activity/{id}", "entry", c.entry)
	c.page(mux, "/activity/{id}/open", "", c.entryOpen)
	c.action(mux, "/activity/{id}", activation.RoleOperator, c.moveEntry)
	mux.HandleFunc("GET /activity/{id}/errors.csv", c.errorFile)
}

// statusSegments are the statuses that the log counts, in the order of the page.
var statusSegments = []activation.EntryStatus{
	activation.EntryHeld, activation.EntryToBeSent, activation.EntryQueued, activation.EntryProcessing, activation.EntryFailed, activation.EntryDone, activation.EntryCancelled,
}

// activityHref is the address of the log with one filter changed, from its start.
func activityHref(v visit, name, value string) string {
	q := filters(v)
	q.Del(name)
	q.Del("from")
	if value != "" {
		q.Set(name, value)
	}
	return withQuery("/activity", q)
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// activity is the log: newest first, or in the order of posting.
func (c *Console) activity(v visit, asked *askedMove) (view, error) {
	p := activityPage{Asked: asked, Status: v.get("status"), Text: v.get("q")}
	accounts, err := c.Publishing.Accounts(v.Context())
	if err != nil {
		return view{}, err
	}
	q := c.activityQuery(v, &p)
	if q.Publisher == "" && len(accounts) == 1 {
		q.Publisher = accounts[0].ID // there is one order
	}
	p.Order = v.get("view") == "order" && q.Publisher != ""
	c.activityFilters(v, &p, accounts)
	counts, err := c.Publishing.Counts(v.Context(), q.Publisher)
	if err != nil {
		return view{}, err
	}
	p.Segments = []segment{{link: link{activityHref(v, "status", ""), "All"}, Current: p.Status == ""}}
	for _, s := range statusSegments {
		p.Total += counts[s]
		p.Segments = append(p.Segments, segment{link{activityHref(v, "status", string(s)), entryChip(activation.Entry{Status: s}).Word}, counts[s], p.Status == string(s)})
	}
	p.Segments[0].Count = p.Total
	if err := c.activityRows(v, &p, q, accounts); err != nil {
		return view{}, err
	}
	if p.Queues, err = c.postQueues(v, accounts, q.Publisher); err != nil {
		return view{}, err
	}
	c.activityBulk(v, &p, q, counts)
	out := view{
		Template: "activity", Title: "Activity log", Section: "/activity", Page: "activity", Query: v.URL.Query(), Body: p,
		Regions: []string{"activity-status", "activity-list", "activity-next"},
	}
	return out, nil
}

// activityRows reads a page of entries.
func (c *Console) activityRows(v visit, p *activityPage, q activation.EntryQuery, accounts []activation.PublisherAccount) error {
	from := int64(0)
	q.Limit, q.After = entriesPerPage, v.get("after")
	if p.Order {
		q.Posting, q.Top = true, false
		from, _ = strconv.ParseInt(v.get("from"), 10, 64)
	}
	if q.Publisher != "" {
		p.Newest, p.InOrder = activityHref(v, "view", ""), activityHref(v, "view", "order")
	}
	page, next, err := c.Publishing.Entries(v.Context(), q)
	if err != nil {
		return err
	}
	places := map[activation.EntryID]int64{}
	if !p.Order {
		if places, err = c.places(v, page); err != nil {
			return err
		}
	}
	for i, e := range page {
		row := c.entryRow(e, accounts)
		if place := places[e.ID]; place > 0 {
			row.Place = num(place)
		}
		if p.Order {
			row.Place = num(max(0, from) + int64(i) + 1)
		}
		p.Rows = append(p.Rows, row)
	}
	if q.After != "" {
		p.First = activityHref(v, "after", "")
	}
	if next != "" {
		p.Next = activityHref(v, "after", next)
		if p.Order {
			p.Next += "&from=" + strconv.FormatInt(max(0, from)+int64(len(page)), 10)
		}
	}
	return nil
}

// places are where the entries of a page stand in the queues of their accounts, as far
// as those are looked at: what is released in the queue, what is to be sent as if it
// were released now.
func (c *Console) places(v visit, page []activation.Entry) (map[activation.EntryID]int64, error) {
	out := map[activation.EntryID]int64{}
	type asked struct {
		account activation.PublisherID
		status  activation.EntryStatus
	}
	looked := map[asked]bool{}
	for _, e := range page {
		of := asked{e.Publisher, e.Status}
		if e.IsParent() || looked[of] || e.Status != activation.EntryQueued && e.Status != activation.EntryToBeSent {
			continue
		}
		looked[of] = true
		ahead, _, err := c.Publishing.Entries(v.Context(), activation.EntryQuery{Publisher: e.Publisher, Posting: true, Limit: entriesPerPage})
		if err != nil {
			return nil, err
		}
		n := int64(0)
		for _, a := range ahead {
			released := a.Status == activation.EntryQueued || a.Status == activation.EntryProcessing
			if !released && (a.Status != activation.EntryToBeSent || e.Status == activation.EntryQueued) {
				continue // it goes out later, or not before somebody says so
			}
			if n++; a.Status == e.Status {
				out[a.ID] = n
			}
		}
	}
	return out, nil
}

// activityQuery reads the filters of the log. Without any, an upload is one line.
func (c *Console) activityQuery(v visit, p *activityPage) activation.EntryQuery {
	q := activation.EntryQuery{Publisher: activation.PublisherID(v.get("publisher")), Text: v.get("q")}
	if n, err := strconv.ParseInt(v.get("upload"), 10, 64); err == nil && n > 0 {
		q.Parent = activation.EntryID(n)
	}
	q.Object = refOf(v.get("ref"))
	if s := v.get("status"); s != "" {
		q.Statuses = []activation.EntryStatus{activation.EntryStatus(s)}
	}
	if o := v.get("origin"); o != "" {
		q.Origins = []activation.Origin{activation.Origin(o)}
	}
	if k := v.get("object"); k != "" {
		q.Kinds = []activation.ObjectKind{activation.ObjectKind(k)}
	}
	if o := v.get("operation"); o != "" {
		q.Ops = []activation.Operation{activation.Operation(o)}
	}
	c.activityTime(v, p, &q)
	q.Top = q.Text == "" && q.Parent == 0 && q.Object.ID == "" && len(q.Statuses)+len(q.Origins)+len(q.Kinds)+len(q.Ops) == 0
	if !q.Top && len(q.Ops) == 0 {
		q.Ops = activation.Operations // rows, and not what stands for them
	}
	return q
}

// activityTime reads when the entries of the list came to be.
func (c *Console) activityTime(v visit, p *activityPage, q *activation.EntryQuery) {
	within := v.get("within")
	if d, err := time.ParseDuration(within); err == nil && d > 0 {
		q.Since = c.Now().Add(-d)
	}
	if p.Custom = within == customRange; !p.Custom {
		return
	}
	p.Since, p.Until = aDay(v.get("since")), aDay(v.get("until"))
	if v.get("since") != p.Since || v.get("until") != p.Until {
		p.Wrong = "Give days such as 2026-11-22; what is none is left out."
	}
	if p.Since != "" {
		q.Since, _ = time.Parse(time.DateOnly, p.Since)
	}
	if p.Until != "" {
		until, _ := time.Parse(time.DateOnly, p.Until)
		q.Until = until.AddDate(0, 0, 1)
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		p.Wrong = "The last day is before the first, so no change fits."
	}
}

func (c *Console) activityFilters(v visit, p *activityPage, accounts []activation.PublisherAccount) {
	for _, a := range accounts {
		p.Accounts = append(p.Accounts, option{string(a.ID), a.Name, string(a.ID) == v.get("publisher")})
	}
	for _, o := range activation.Origins {
		p.Origins = append(p.Origins, option{string(o), originWord(o), string(o) == v.get("origin")})
	}
	for _, k := range activation.ObjectKinds {
		p.Kinds = append(p.Kinds, option{string(k), kindWord(k), string(k) == v.get("object")})
	}
	for _, o := range append(slices.Clone(activation.Operations), activation.OpUpload) {
		p.Operations = append(p.Operations, option{string(o), operationWord(o), string(o) == v.get("operation")})
	}
	p.Time = choose(times, v.get("within"))
	if v.get("upload") != "" {
		p.Only = append(p.Only, link{activityHref(v, "upload", ""), "Upload #" + v.get("upload")})
	}
	if ref := v.get("ref"); ref != "" {
		p.Only = append(p.Only, link{activityHref(v, "ref", ""), "One object: " + ref})
	}
	q := filters(v)
	q.Del("view")
	p.Clear = len(q) > 0
	p.Nights = nights(accounts, activation.PublisherID(v.get("publisher")))
}

// nights says when the nightly syncs are, "" where each account has its own time.
func nights(accounts []activation.PublisherAccount, only activation.PublisherID) string {
	at := ""
	for _, a := range accounts {
		if only != "" && a.ID != only {
			continue
		}
		if at != "" && at != nightly(a) {
			return ""
		}
		at = nightly(a)
	}
	return at
}

// activityBulk makes what can be done with the page's entries.
func (c *Console) activityBulk(v visit, p *activityPage, q activation.EntryQuery, counts map[activation.EntryStatus]int64) {
	to := withQuery("/activity", v.URL.Query())
	p.Bulk = bulkBar{To: to, CSRF: v.who.CSRF, Withheld: v.press("", "", "").Withheld}
	if len(p.Rows) > 0 {
		p.Bulk.Matching = "All that match"
		if p.Order {
			n := counts[activation.EntryHeld] + counts[activation.EntryToBeSent] + counts[activation.EntryQueued] + counts[activation.EntryProcessing]
			p.Bulk.Matching = "All " + num(n) + " that wait"
		} else if counted := len(q.Origins)+len(q.Kinds) == 0 && q.Text == "" && q.Parent == 0 && q.Object.ID == "" && q.Since.IsZero() && q.Until.IsZero() && v.get("operation") == ""; counted {
			n := counts[activation.EntryStatus(p.Status)]
			if p.Status == "" {
				n = p.Total
			}
			p.Bulk.Matching = "All " + num(n) + " matching"
		}
	}
	p.PostAll = v.press(to, "Post all now", "send").as("btn-primary")
	p.PostAll.Hidden = []hidden{{"command", string(activation.CommandPostAll)}}
	if counts[activation.EntryToBeSent] == 0 && p.PostAll.Withheld == "" {
		p.PostAll.Withheld = "Nothing is marked To be sent"
	}
}

func (c *Console) entryRow(e activation.Entry, accounts []activation.PublisherAccount) entryRow {
	row := entryRow{Entry: e, Path: entryPath(e.ID), Chip: entryChip(e), OriginIcon: originIcon(e.Origin), OriginText: originWord(e.Origin), ObjectWord: objectWord(e), OperationWord: operationWord(e.Operation), Logo: "world"}
	if e.Origin == activation.OriginUser && e.By != "" {
		row.OriginText = byWord(e.By)
	}
	for _, a := range accounts {
		if a.ID == e.Publisher {
			row.Account, row.Logo = a.Name, c.logo(a.Provider)
		}
	}
	if e.IsParent() {
		row.ObjectWord = "Upload"
		for _, n := range e.Children {
			row.Of += n
		}
		row.Done, row.Failed = e.Children[activation.EntryDone], e.Children[activation.EntryFailed]
		row.HasErrors = row.Failed > 0 || e.Detail["errors"] != ""
	}
	return row
}

// byWord is who did something: a person's name, or a token's as such.
func byWord(by string) string {
	if name, ok := strings.CutPrefix(by, "token:"); ok {
		return "Token “" + name + "”"
	}
	return by
}

// postQueues are what is sent next, of one account or of those that have something
// to send.
func (c *Console) postQueues(v visit, accounts []activation.PublisherAccount, only activation.PublisherID) ([]postQueue, error) {
	var out []postQueue
	for _, a := range accounts {
		if only != "" && a.ID != only {
			continue
		}
		if only == "" && (a.Waiting[activation.EntryQueued]+a.Waiting[activation.EntryToBeSent]+a.Waiting[activation.EntryProcessing] == 0 || len(out) == nextOf) {
			continue
		}
		next, err := c.Publishing.Next(v.Context(), a.ID, nextShown)
		if err != nil {
			return nil, err
		}
		queue := postQueue{Nightly: nightly(a), Name: a.Name, Logo: c.logo(a.Provider), Path: publisherPath(a.ID), All: "/activity?publisher=" + url.QueryEscape(string(a.ID)) + "&view=order"}
		for _, n := range next {
			queue.Rows = append(queue.Rows, nextRow{n, entryPath(n.ID), whyTags(n)})
		}
		if a.Waiting[activation.EntryToBeSent] > 0 && len(next) < nextShown {
			if queue.Later, err = c.later(v, a.ID, next, nextShown-len(next)); err != nil {
				return nil, err
			}
		}
		queue.More = max(0, waitingOf(a)-int64(len(queue.Rows)+len(queue.Later)))
		out = append(out, queue)
	}
	return out, nil
}

// later are the first entries that nobody released yet, in the order in which they go
// out behind what is released.
func (c *Console) later(v visit, id activation.PublisherID, released []publishing.NextEntry, limit int) (out []nextRow, err error) {
	page, _, err := c.Publishing.Entries(v.Context(), activation.EntryQuery{Publisher: id, Posting: true, Limit: entriesPerPage})
	page = slices.DeleteFunc(page, func(e activation.Entry) bool { return e.Status != activation.EntryToBeSent })
	page = page[:min(limit, len(page))]
	if n := len(released); n > 0 {
		page = slices.Insert(page, 0, released[n-1].Entry)
	}
	for i, n := range publishing.Reasons(page) {
		if i == 0 && len(released) > 0 {
			continue // it is shown already
		}
		out = append(out, nextRow{n, entryPath(n.ID), whyTags(n)})
	}
	return out, err
}

// whyTags are the keys of an entry's place, of which one decided.
func whyTags(n publishing.NextEntry) []whyTag {
	tags := []whyTag{{originWord(n.Origin), n.DecidedBy == "origin"}, {objectWord(n.Entry), n.DecidedBy == "object"}, {operationWord(n.Operation), n.DecidedBy == "operation"}}
	switch n.DecidedBy {
	case "id":
		tags = append(tags, whyTag{numbered(n.ID), true})
	case "need":
		tags = append(tags, whyTag{"Needed first", true})
	}
	return tags
}
