package web_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/publishing"
	"usher/internal/tracking"
	"usher/internal/web"
)

// adverts is a provider whose campaigns can be edited.
var adverts = provider.Definition{
	Name: "adverts", Title: "Adverts", DestinationType: "Google Ads", Icon: "brand-google", Description: "Campaigns.",
	AuthFields: []provider.Field{{Name: "token", Label: "Token", Type: "string", Required: true, Secret: true}},
	Publishing: &provider.Publishing{
		Sync: "adverts_sync", Post: "adverts_post", AccountHelp: "The ten digits at the top right.",
		Fields: []provider.Field{{Name: "manager", Label: "Manager account", Type: "string", Help: "Where the account is managed by another one."}},
		Objects: []provider.ObjectType{
			{Name: "campaign", Title: "Campaigns", Kind: activation.KindCampaign, Creates: true, Deletes: true, Fields: []provider.ObjectField{
				{Name: "name", Label: "Name", Type: "text", Required: true},
				{Name: "status", Label: "Status", Type: "select", Options: []string{"enabled", "paused"}, Operation: activation.OpStatus},
				{Name: "budget", Label: "Daily budget", Type: "amount", Example: "120.00"},
				{Name: "start", Label: "Starts", Type: "date", Fixed: true},
				{Name: "strategy", Label: "Bidding", Type: "select", Options: []string{"manual_cpc", "target_cpa"}},
				{Name: "serving", Label: "Serving", Type: "text", Shown: true},
			}},
			{Name: "ad group", Title: "Ad groups", Kind: activation.KindGroup, Parent: "campaign", Creates: true, Deletes: true, Fields: []provider.ObjectField{
				{Name: "name", Label: "Name", Type: "text", Required: true},
				{Name: "status", Label: "Status", Type: "select", Options: []string{"enabled", "paused"}, Operation: activation.OpStatus},
				{Name: "bid", Label: "Bid", Type: "amount", Operation: activation.OpBid},
			}},
			{Name: "keyword", Title: "Keywords", Kind: activation.KindKeyword, Parent: "ad group", Creates: true, Deletes: true, Fields: []provider.ObjectField{
				{Name: "keyword", Label: "Keyword", Type: "text", Required: true, Fixed: true},
				{Name: "match", Label: "Match", Type: "select", Options: []string{"exact", "phrase", "broad"}, Fixed: true},
				{Name: "status", Label: "Status", Type: "select", Options: []string{"enabled", "paused"}, Operation: activation.OpStatus},
				{Name: "bid", Label: "Bid", Type: "amount", Operation: activation.OpBid},
			}},
			{Name: "budget", Title: "Shared budgets", Kind: activation.KindOther, Creates: true, Fields: []provider.ObjectField{{Name: "name", Label: "Name", Type: "text"}, {Name: "budget", Label: "Per day", Type: "amount"}}},
		},
	},
}

const (
	shop     = activation.PublisherID("shop")
	nasty    = `<script>alert("campaign")</script>`
	upload   = activation.EntryID(1041)
	conflict = activation.EntryID(1038)
	broken   = activation.EntryID(1030)
)

// desk is a desk that keeps what a test says in memory. Its rules are a few of the real
// ones; those are proved where they live.
type desk struct {
	mu        sync.Mutex
	accounts  []activation.PublisherAccount
	objects   []activation.PublisherObject
	entries   []activation.Entry
	schedules []activation.ScheduledOperation
	plans     []activation.Strategy
	proposed  []activation.BidProposal
	told      []string
	uploaded  string
	wrong     error
	yen       bool // a part of the costs is in another currency
}

func (d *desk) note(format string, args ...any) {
	d.told = append(d.told, fmt.Sprintf(format, args...))
}

// last is what the desk was told last.
func (d *desk) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.told) == 0 {
		return ""
	}
	return d.told[len(d.told)-1]
}

func (d *desk) Link(_ context.Context, s publishing.AccountSpec, user string) (activation.PublisherAccount, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wrong != nil {
		return activation.PublisherAccount{}, d.wrong
	}
	if len(s.Account) != 10 {
		return activation.PublisherAccount{}, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-PUB-001", Field: "account", Message: "account: must be ten digits"}
	}
	d.note("link %s %s %s %s by %s", s.Name, s.Account, s.NightlyAt, s.Config["manager"], user)
	a := activation.PublisherAccount{ID: "new", Name: s.Name, Provider: s.Provider, Account: s.Account, Currency: "EUR", Timezone: "Europe/Berlin", NightlyAt: s.NightlyAt, Authorization: s.Authorization}
	d.accounts = append(d.accounts, a)
	return a, nil
}

func (d *desk) Update(ctx context.Context, id activation.PublisherID, s publishing.AccountSpec, user string) (activation.PublisherAccount, error) {
	if _, err := time.Parse("15:04", s.NightlyAt); err != nil {
		return activation.PublisherAccount{}, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-PUB-001", Field: "nightly_at", Message: "nightly_at: must be a time such as 20:00"}
	}
	d.mu.Lock()
	d.note("update %s %s %s by %s", id, s.Name, s.NightlyAt, user)
	d.mu.Unlock()
	return d.Account(ctx, id)
}

func (d *desk) Unlink(_ context.Context, id activation.PublisherID, user string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("unlink %s by %s", id, user)
	d.accounts = slices.DeleteFunc(d.accounts, func(a activation.PublisherAccount) bool { return a.ID == id })
	return nil
}

func (d *desk) Account(ctx context.Context, id activation.PublisherID) (activation.PublisherAccount, error) {
	all, err := d.Accounts(ctx)
	for _, a := range all {
		if a.ID == id {
			return a, err
		}
	}
	return activation.PublisherAccount{}, activation.ErrNotFound
}

func (d *desk) Accounts(context.Context) ([]activation.PublisherAccount, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := slices.Clone(d.accounts)
	for i := range out {
		out[i].Waiting = d.counts(out[i].ID)
	}
	return out, nil
}

func (d *desk) CheckAccount(context.Context, activation.PublisherID) (provider.PublisherInfo, error) {
	return provider.PublisherInfo{Name: "Shop at the publisher", Currency: "EUR", Timezone: "Europe/Berlin"}, d.wrong
}

func (d *desk) Sync(_ context.Context, id activation.PublisherID, what, user string) (activation.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("sync %s of %s by %s", what, id, user)
	return activation.Entry{ID: 2000}, nil
}

func (d *desk) Objects(_ context.Context, q activation.ObjectQuery) (out []activation.PublisherObject, next string, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.objects {
		if o.Publisher == q.Publisher && o.Kind == q.Kind && (q.Type == "" || o.Type == q.Type) && (q.Parent.ID == "" || o.Parent == q.Parent) && (q.Status == "" || o.Local["status"] == q.Status) &&
			strings.Contains(strings.ToLower(o.Name()+o.ID), strings.ToLower(q.Text)) && (!q.Waiting || o.Waiting > 0) && (q.Removed || !o.Removed) {
			out = append(out, o)
		}
	}
	from, _ := strconv.Atoi(q.After)
	out = out[min(from, len(out)):]
	if q.Limit > 0 && len(out) > q.Limit {
		out, next = out[:q.Limit], strconv.Itoa(from+q.Limit)
	}
	return out, next, nil
}

func (d *desk) ObjectsOf(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]activation.PublisherObject, error) {
	out := map[activation.ObjectRef]activation.PublisherObject{}
	for _, ref := range refs {
		if o, err := d.Object(ctx, id, ref); err == nil {
			out[ref] = o.PublisherObject
		}
	}
	return out, nil
}

func (d *desk) Object(_ context.Context, id activation.PublisherID, ref activation.ObjectRef) (publishing.ObjectView, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.objects {
		if o.Publisher != id || o.ObjectRef != ref {
			continue
		}
		v := publishing.ObjectView{PublisherObject: o}
		for _, e := range d.entries {
			if e.Object == ref && e.Status.Waits() {
				v.Waits = append(v.Waits, e)
			} else if e.Object == ref {
				v.History = append(v.History, e)
			}
		}
		return v, nil
	}
	return publishing.ObjectView{}, activation.ErrNotFound
}

func (d *desk) Edit(_ context.Context, id activation.PublisherID, edits []publishing.EditSpec, send activation.Send, source, user string) (publishing.EditResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var r publishing.EditResult
	for i, e := range edits {
		for _, name := range []string{"bid", "budget"} {
			if _, err := strconv.ParseFloat(cmp.Or(e.Fields[name], "0"), 64); err != nil {
				r.Errors++
				r.Problems = append(r.Problems, publishing.Problem{Index: i, Field: name, Code: "BADREQ-PUB-002", Message: "must be an amount such as 0.55"})
			}
		}
	}
	if r.Errors > 0 {
		return r, nil
	}
	for _, e := range edits {
		ref := activation.ObjectRef{Kind: e.Kind, ID: e.ID}
		switch e.Action {
		case publishing.ActionCreate:
			r.Adds++
			ref.ID = "new-3000"
			d.objects = append(d.objects, activation.PublisherObject{Publisher: id, ObjectRef: ref, Type: e.Type, Parent: e.Parent, Local: e.Fields, Waiting: 1})
		case publishing.ActionDelete:
			r.Deletes++
		default:
			r.Edits++
		}
		for j := range d.objects {
			if o := &d.objects[j]; o.ObjectRef == ref && e.Action != publishing.ActionCreate {
				o.Local = copied(o.Local, e.Fields)
				o.Waiting++
				o.Deleted = e.Action == publishing.ActionDelete
				for _, name := range e.Clear {
					delete(o.Local, name)
				}
			}
		}
		r.Entries = append(r.Entries, activation.Entry{ID: 3000, Publisher: id, Object: ref})
		d.note("%s %s %s %v clear %v parent %s send %s from %s by %s", e.Action, e.Kind, ref.ID, e.Fields, e.Clear, e.Parent.ID, send, source, user)
	}
	return r, nil
}

func copied(maps ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func (d *desk) Preview(_ context.Context, _ activation.PublisherID, name string, body io.Reader) (publishing.UploadPreview, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return publishing.UploadPreview{}, err
	}
	if strings.HasPrefix(string(raw), "\x00") {
		return publishing.UploadPreview{}, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-PUB-003", Message: "the file is neither CSV nor TSV"}
	}
	p := publishing.UploadPreview{
		EditResult: publishing.EditResult{Adds: 1, Edits: 120, Deletes: 3, Same: 41},
		Columns:    []publishing.UploadColumn{{Header: "Campaign", Field: "parent"}, {Header: "Max. CPC", Field: "bid"}, {Header: "Comment", Field: ""}},
		Rows:       167, Format: "CSV, UTF-8",
		Sample: []publishing.UploadChange{{Row: 2, Operation: activation.OpBid, Type: "keyword", Object: nasty, Changes: []activation.Change{{Field: "bid", Before: "0.42", After: "0.55"}}}, {Row: 3, Operation: activation.OpDelete, Type: "keyword", Object: "parka"}},
	}
	if strings.Contains(string(raw), "wrong") {
		p.Errors = 2
		p.Problems = []publishing.Problem{{Row: 7, Column: "Max. CPC", Field: "bid", Code: "BADREQ-PUB-002", Message: "“cheap” is no amount; write one such as 0.55"}, {Row: 9, Column: "Campaign", Code: "BADREQ-PUB-004", Message: "there is no campaign “" + nasty + "”"}}
	}
	return p, nil
}

func (d *desk) Upload(ctx context.Context, id activation.PublisherID, name string, body io.Reader, send activation.Send, skip bool, user string) (publishing.UploadPreview, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return publishing.UploadPreview{}, err
	}
	p, err := d.Preview(ctx, id, name, strings.NewReader(string(raw)))
	if err != nil || p.Errors > 0 && !skip {
		return p, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p.Parent, d.uploaded = upload, string(raw)
	d.note("upload %s to %s send %s skip %v by %s", name, id, send, skip, user)
	return p, nil
}

func (d *desk) ErrorFile(_ context.Context, parent activation.EntryID, w io.Writer) error {
	if parent != upload {
		return activation.ErrNotFound
	}
	_, err := io.WriteString(w, "Keyword,Result,Error code\nparka,failed,GOOGLE-INVALID\n")
	return err
}

func (d *desk) Template(_ context.Context, _ activation.PublisherID, w io.Writer) error {
	_, err := io.WriteString(w, "Type,ID,Name\ncampaign,11,Coats\n")
	return err
}

func (d *desk) Entries(_ context.Context, q activation.EntryQuery) (out []activation.Entry, next string, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.entries {
		if fitsEntry(q, e) {
			out = append(out, e)
		}
	}
	if q.Posting {
		slices.SortFunc(out, func(a, b activation.Entry) int { return a.Key().Compare(b.Key()) })
		out = slices.DeleteFunc(out, func(e activation.Entry) bool { return !e.Status.Waits() || e.IsParent() })
	} else {
		slices.SortFunc(out, func(a, b activation.Entry) int { return cmp.Compare(b.ID, a.ID) })
	}
	from, _ := strconv.Atoi(q.After)
	out = out[min(from, len(out)):]
	if q.Limit > 0 && len(out) > q.Limit {
		out, next = out[:q.Limit], strconv.Itoa(from+q.Limit)
	}
	return out, next, nil
}

func in[T comparable](list []T, one T) bool { return len(list) == 0 || slices.Contains(list, one) }

func fitsEntry(q activation.EntryQuery, e activation.Entry) bool {
	return (q.Publisher == "" || e.Publisher == q.Publisher) && in(q.IDs, e.ID) && in(q.Statuses, e.Status) && in(q.Origins, e.Origin) && in(q.Kinds, e.Object.Kind) && in(q.Ops, e.Operation) &&
		(q.Parent == 0 || e.Parent == q.Parent) && (!q.Top || e.Parent == 0) && (q.Object.ID == "" || e.Object == q.Object) && strings.Contains(strings.ToLower(e.Text)+strconv.Itoa(int(e.ID)), strings.ToLower(q.Text)) &&
		(q.Since.IsZero() || !e.CreatedAt.Before(q.Since)) && (q.Until.IsZero() || e.CreatedAt.Before(q.Until))
}

func (d *desk) Entry(ctx context.Context, id activation.EntryID) (publishing.EntryView, error) {
	all, _, err := d.Entries(ctx, activation.EntryQuery{IDs: []activation.EntryID{id}})
	if len(all) == 0 {
		return publishing.EntryView{}, cmp.Or(err, activation.ErrNotFound)
	}
	v := publishing.EntryView{Entry: all[0]}
	if v.Status.Waits() && !v.IsParent() {
		v.Place = &publishing.Position{
			Place: 100001, Released: v.Status == activation.EntryQueued, Why: "behind #1041: 100,000 deletes by upload", Seconds: 4000, DecidedBy: "object",
			Behind: []publishing.Behind{{Text: "100,000 deletes by upload", Count: 100000, First: upload}}, Before: &activation.Entry{ID: 1041, Text: "Delete 100,000 ads"},
		}
	}
	return v, nil
}

func (d *desk) Next(ctx context.Context, id activation.PublisherID, limit int) ([]publishing.NextEntry, error) {
	all, _, err := d.Entries(ctx, activation.EntryQuery{Publisher: id, Posting: true, Statuses: []activation.EntryStatus{activation.EntryQueued, activation.EntryToBeSent}, Limit: limit})
	var out []publishing.NextEntry
	for i, e := range all {
		n := publishing.NextEntry{Entry: e, Why: "the first of all"}
		if i > 0 {
			n.DecidedBy, n.Why = "object", "campaigns go before groups"
		}
		out = append(out, n)
	}
	return out, err
}

func (d *desk) Counts(_ context.Context, id activation.PublisherID) (map[activation.EntryStatus]int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts(id), nil
}

func (d *desk) counts(id activation.PublisherID) map[activation.EntryStatus]int64 {
	out := map[activation.EntryStatus]int64{}
	for _, e := range d.entries {
		if (id == "" || e.Publisher == id) && !e.IsParent() {
			out[e.Status]++
		}
	}
	return out
}

func (d *desk) Move(_ context.Context, c activation.EntryCommand, q activation.EntryQuery, dry bool, user string) (activation.EntriesMoved, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c == activation.CommandPostAll && q.Publisher == "" {
		return activation.EntriesMoved{}, &activation.Error{Kind: activation.Invalid, Message: "name the account"}
	}
	moves := map[activation.EntryCommand]struct {
		from []activation.EntryStatus
		to   activation.EntryStatus
	}{
		activation.CommandPost:    {[]activation.EntryStatus{activation.EntryHeld, activation.EntryToBeSent}, activation.EntryQueued},
		activation.CommandPostAll: {[]activation.EntryStatus{activation.EntryToBeSent}, activation.EntryQueued},
		activation.CommandHold:    {[]activation.EntryStatus{activation.EntryToBeSent}, activation.EntryHeld},
		activation.CommandRelease: {[]activation.EntryStatus{activation.EntryHeld}, activation.EntryToBeSent},
		activation.CommandCancel:  {[]activation.EntryStatus{activation.EntryHeld, activation.EntryToBeSent}, activation.EntryCancelled},
		activation.CommandRetry:   {[]activation.EntryStatus{activation.EntryFailed}, activation.EntryQueued},
	}
	var m activation.EntriesMoved
	for i, e := range d.entries {
		switch {
		case !fitsEntry(q, e) || e.IsParent():
		case c == activation.CommandPostAll && e.Status != activation.EntryToBeSent:
		case !slices.Contains(moves[c].from, e.Status):
			if len(m.Refused) == 0 {
				m.Refused = []activation.EntryRefusal{{Code: "PUB-MOVE-001", Reason: "it is " + string(e.Status) + " already", Example: e.ID}}
			}
			m.Refused[0].Count++
		default:
			m.Done++
			if !dry {
				d.entries[i].Status = moves[c].to
			}
		}
	}
	if !dry {
		d.note("%s %d by %s", c, m.Done, user)
	}
	return m, nil
}

func (d *desk) Schedules(context.Context, activation.PublisherID) ([]activation.ScheduledOperation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.schedules), nil
}

func (d *desk) PutSchedule(_ context.Context, s activation.ScheduledOperation, user string) (activation.ScheduledOperation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("schedule %s %s at %s days %v by %s", s.Action, s.Object.ID, s.At.UTC().Format(time.RFC3339), s.Days, user)
	s.ID, s.CreatedBy = "s9", user
	d.schedules = append(d.schedules, s)
	return s, nil
}

func (d *desk) DeleteSchedule(_ context.Context, _ activation.PublisherID, schedule, user string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("unschedule %s by %s", schedule, user)
	return nil
}

func (d *desk) Strategies(context.Context, activation.PublisherID) ([]activation.Strategy, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.plans), nil
}

func (d *desk) PutStrategy(_ context.Context, s activation.Strategy, user string) (activation.Strategy, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.Floor == 0 || s.Ceiling < s.Floor {
		return s, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-PUB-005", Field: "ceiling", Message: "ceiling: must be the lowest bid or more"}
	}
	d.note("strategy %s %s %s %v-%v target %v within %v by %s", s.Name, s.Mode, s.Goal, s.Floor, s.Ceiling, s.Target, s.Within, user)
	if s.ID == "" {
		s.ID = "b9"
	}
	d.plans = append(slices.DeleteFunc(d.plans, func(o activation.Strategy) bool { return o.ID == s.ID }), s)
	return s, nil
}

func (d *desk) DeleteStrategy(_ context.Context, _ activation.PublisherID, strategy, user string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("delete strategy %s by %s", strategy, user)
	return nil
}

func (d *desk) RunStrategy(_ context.Context, _ activation.PublisherID, strategy, user string) ([]activation.BidProposal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("run %s by %s", strategy, user)
	return slices.Clone(d.proposed), nil
}

func (d *desk) Proposals(context.Context, activation.PublisherID, string) ([]activation.BidProposal, error) {
	return slices.Clone(d.proposed), nil
}

func (d *desk) Override(_ context.Context, _ activation.PublisherID, strategy string, o activation.BidOverride, user string) (activation.Strategy, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("override %s %s %v until %s by %s", strategy, o.Object.ID, o.Bid, o.Until, user)
	return activation.Strategy{}, nil
}

// Costs are some a day, for every object; in two currencies where the test says so.
func (d *desk) Costs(_ context.Context, q activation.CostQuery) (publishing.CostReport, error) {
	r := publishing.CostReport{Currency: cmp.Or(q.Currency, "EUR"), Currencies: []string{"EUR"}}
	if d.yen {
		r.Currencies = []string{"EUR", "JPY"}
		if q.Currency == "" {
			return publishing.CostReport{Currencies: r.Currencies}, nil
		}
	}
	from, err := time.Parse(time.DateOnly, q.From)
	if err != nil {
		return r, err
	}
	for i := int64(0); i < 90; i++ {
		day := from.AddDate(0, 0, int(i)).Format(time.DateOnly)
		if day > q.Until {
			break
		}
		micros := 31_500_000 + 4_250_000*((i*5)%7)
		if r.Currency == "JPY" {
			micros *= 160
		}
		row := activation.CostRow{Cost: activation.Cost{Date: day, Object: q.Object, Currency: r.Currency, Impressions: 4200 + 90*i, Clicks: 96 + (i*11)%37, Micros: micros, Conversions: 4, Value: 310.5}}
		if q.By != "object" || len(r.Rows) == 0 {
			r.Rows = append(r.Rows, row)
			continue
		}
		r.Rows[0].Clicks, r.Rows[0].Micros, r.Rows[0].Conversions = r.Rows[0].Clicks+row.Clicks, r.Rows[0].Micros+row.Micros, r.Rows[0].Conversions+row.Conversions
	}
	if len(q.Objects) > 0 && len(r.Rows) == 1 {
		sum := r.Rows[0]
		r.Rows = nil
		for _, id := range q.Objects {
			sum.Object = activation.ObjectRef{Kind: q.Kind, ID: id}
			r.Rows = append(r.Rows, sum)
		}
	}
	return r, nil
}

// publishWorld is a console over a desk of fakes.
type publishWorld struct {
	*dataWorld
	desk *desk
	auth activation.Authorization
}

func startPublishing(t testing.TB) *publishWorld {
	t.Helper()
	d := fullDesk()
	w := &publishWorld{desk: d}
	w.dataWorld = startData(t, func(c *web.Config) {
		c.Publishing = d
		c.Providers = append(c.Providers, adverts)
		c.Catalog = catalog.New(catalog.Config{Store: c.Store, Warehouse: c.Warehouse, Providers: c.Providers, Log: c.Log, Now: c.Now})
		c.Tracking = &tracking.Tracking{Store: c.Store, Ledger: struct{ tracking.Ledger }{}, Providers: c.Providers}
	})
	var err error
	if w.auth, err = w.store.CreateAuthorization(t.Context(), activation.Authorization{Provider: "adverts", Label: "Shop's credentials", Sealed: []byte("x")}, "test"); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"Shop sync", "Shop post"} {
		j, err := w.store.CreateJobOnce(t.Context(), activation.Job{Name: name, Workflow: []string{"adverts_sync", "adverts_post"}[i], Provider: "adverts", Type: "publishing", State: activation.JobRunnable, Schedule: activation.Schedule{Continuous: true, Frequency: "daily"}, FailAfter: time.Hour, StallAfter: time.Hour}, activation.Once{})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			d.accounts[0].SyncJob = j.ID
		} else {
			d.accounts[0].PostJob = j.ID
		}
	}
	d.accounts[0].Authorization = w.auth.ID
	return w
}

// form is a form by names and values, in turn.
func form(pairs ...string) url.Values {
	out := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out.Add(pairs[i], pairs[i+1])
	}
	return out
}
