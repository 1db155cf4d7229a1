package publishing_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
)

// office is a desk where edits come in, of one account whose structure is known.
type office struct {
	*publishing.Desk
	t       testing.TB
	store   *store.Store
	account activation.PublisherAccount
	auth    activation.AuthorizationID
	now     time.Time
	info    provider.PublisherInfo
	infoErr error
	asked   int
	woken   []string
	source  func(job activation.Job) (provider.Source, error)
	// between is called before each writing of entries.
	between func()
}

var (
	statusField = provider.ObjectField{Name: activation.FieldStatus, Label: "Status", Type: "select", Options: []string{"enabled", "paused"}, Operation: activation.OpStatus}
	bidField    = provider.ObjectField{Name: activation.FieldBid, Label: "Max CPC", Type: "amount", Operation: activation.OpBid, Help: "The most a click may cost."}
	urlField    = provider.ObjectField{Name: "final_url", Label: "Final URL", Type: "url", Required: true, Help: "Where a click leads.", Example: "https://example.com"}
)

// officeAds declares a publisher that has one of every sort of field.
func officeAds() provider.Definition {
	name := func(most int) provider.ObjectField {
		return provider.ObjectField{Name: activation.FieldName, Label: "Name", Type: "text", Required: true, Max: most, Help: "What people call it."}
	}
	return provider.Definition{Name: "officeads", Title: "Office Ads", Publishing: &provider.Publishing{
		Sync: "officeads_sync", Post: "officeads_post", AccountHelp: "ten digits, such as 123-456-7890", MaxEdits: 10,
		Fields: []provider.Field{
			{Name: "manager", Label: "Manager", Type: "int", Help: "The id of the manager account."},
			{Name: "zone", Label: "Zone", Type: "select", Options: []string{"eu", "us"}, Default: "eu"},
		},
		Objects: []provider.ObjectType{
			{Name: "campaign", Title: "Campaigns", Kind: activation.KindCampaign, Creates: true, Deletes: true, Fields: []provider.ObjectField{
				name(40), statusField,
				{Name: activation.FieldBudget, Label: "Budget", Type: "amount", Required: true, Help: "The amount per day."},
				{Name: "channel", Label: "Channel", Type: "select", Options: []string{"search", "display only"}, Required: true, Fixed: true, Help: "Where it is shown."},
				{Name: "start_date", Label: "Start date", Type: "date"},
				{Name: "ends_at", Label: "Ends", Type: "time"},
				{Name: "labels", Label: "Labels", Type: "list"},
				{Name: "shared_budget", Label: "Shared budget", Type: "object", Object: "budget"},
				{Name: "serving", Label: "Serving", Type: "text", Shown: true},
			}},
			{Name: "ad group", Title: "Ad groups", Kind: activation.KindGroup, Parent: "campaign", Creates: true, Deletes: true, Fields: []provider.ObjectField{
				name(40), statusField, bidField, {Name: "rotate", Label: "Rotate", Type: "bool"},
			}},
			{Name: "ad", Title: "Ads", Kind: activation.KindCreative, Parent: "ad group", Creates: true, Deletes: true, Fields: []provider.ObjectField{
				{Name: "headline", Label: "Headline", Type: "text", Required: true, Fixed: true, Max: 30}, urlField, statusField,
			}},
			{Name: "keyword", Title: "Keywords", Kind: activation.KindKeyword, Parent: "ad group", Creates: true, Deletes: true, Fields: []provider.ObjectField{
				{Name: "keyword", Label: "Keyword", Type: "text", Required: true, Fixed: true, Max: 80},
				{Name: "match_type", Label: "Match type", Type: "select", Options: []string{"exact", "phrase", "broad"}, Required: true, Fixed: true},
				statusField, bidField,
				{Name: "final_url", Label: "Final URL", Type: "url"},
			}},
			{Name: "budget", Title: "Shared budgets", Kind: activation.KindOther, Creates: true, Fields: []provider.ObjectField{name(40), {Name: "amount", Label: "Amount", Type: "amount", Required: true}}},
			{Name: "location", Title: "Locations", Kind: activation.KindOther, Parent: "campaign", Creates: true, Deletes: true, Fields: []provider.ObjectField{
				{Name: "location_id", Label: "Location ID", Type: "number", Required: true, Fixed: true, Help: "The publisher's number of a place."},
				{Name: "bid_adjustment", Label: "Bid adjustment", Type: "number", Operation: activation.OpGeo},
			}},
		},
	}}
}

// officeStore is a store in which a test may do something before each writing.
type officeStore struct {
	*store.Store
	o *office
}

func (s officeStore) WriteEntries(ctx context.Context, id activation.PublisherID, parent *activation.Entry, entries []activation.Entry, w activation.EntryWrite) ([]activation.Entry, error) {
	if s.o.between != nil {
		s.o.between()
	}
	return s.Store.WriteEntries(ctx, id, parent, entries, w)
}

// officeClient answers questions about the account, and nothing else.
type officeClient struct {
	provider.Publisher
	o *office
}

func (c officeClient) Check(context.Context) (provider.PublisherInfo, error) {
	c.o.asked++
	return c.o.info, c.o.infoErr
}

func openOffice(t testing.TB) *office {
	t.Helper()
	o := &office{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), info: provider.PublisherInfo{Name: "Shop", Currency: "EUR", Timezone: "Europe/Berlin"}}
	var err error
	o.store, err = sqlite.Open(t.Context(), sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.sqlite")), sqlite.Options{Now: func() time.Time { return o.now }})
	o.ok(err)
	t.Cleanup(func() { _ = o.store.Close() })
	a, err := o.store.CreateAuthorization(t.Context(), activation.Authorization{Label: "office", Provider: "officeads", KeyID: "k", Sealed: []byte("sealed")}, "ann")
	o.ok(err)
	o.auth = a.ID
	o.Desk = publishing.New(publishing.Config{
		Store: officeStore{o.store, o}, Jobs: o.store, Providers: append([]provider.Definition{officeAds()}, dropDefinitions()...), Now: func() time.Time { return o.now },
		Connect: func(context.Context, activation.PublisherAccount) (provider.Publisher, provider.Definition, error) {
			return officeClient{o: o}, officeAds(), nil
		},
		Authorization: o.store.Authorization,
		Source: func(_ context.Context, job activation.Job) (provider.Source, provider.Definition, error) {
			src, err := o.source(job)
			return src, provider.Definition{}, err
		},
		Wake: func(kind, id string) { o.woken = append(o.woken, kind+" "+id) },
	})
	o.account, err = o.store.CreatePublisher(t.Context(), activation.PublisherAccount{ // as Link does, whose first reading is not waited for
		Name: "Shop", Provider: "officeads", Authorization: o.auth, Account: "123-456-7890", Currency: o.info.Currency, Timezone: o.info.Timezone, NightlyAt: activation.DefaultNightlyAt, Config: map[string]string{"zone": "eu"},
	}, officeAds().Publishing.Sync, officeAds().Publishing.Post, "ann")
	o.ok(err)
	o.woken, o.asked = nil, 0
	return o
}

func (o *office) ok(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatalf("unexpected error: %v", err)
	}
}

func ref(kind activation.ObjectKind, id string) activation.ObjectRef {
	return activation.ObjectRef{Kind: kind, ID: id}
}

// thing is an object of the structure. fields are "name=value" in one text.
func thing(kind activation.ObjectKind, id, typ string, parent activation.ObjectRef, fields ...string) activation.PublisherObject {
	x := activation.PublisherObject{ObjectRef: ref(kind, id), Type: typ, Parent: parent, Confirmed: map[string]string{}}
	for _, f := range fields {
		name, v, _ := strings.Cut(f, "=")
		x.Confirmed[name] = v
	}
	return x
}

// has makes these the structure of the account, as a reading does.
func (o *office) has(all ...activation.PublisherObject) {
	o.t.Helper()
	ctx := o.t.Context()
	p, err := o.store.TakePass(ctx, o.account.PostJob, "node", time.Minute)
	o.ok(err)
	reading, err := o.store.BeginStructure(ctx, p, o.account.ID)
	o.ok(err)
	for len(all) > 0 {
		part := all[:min(len(all), 1000)]
		_, err = o.store.SaveStructure(ctx, p, o.account.ID, reading, part)
		o.ok(err)
		all = all[len(part):]
	}
	_, err = o.store.EndStructure(ctx, p, o.account.ID, reading, o.now)
	o.ok(err)
	p.Status = activation.RunCompleted
	o.ok(o.store.FinishPass(ctx, p))
}

var (
	shoes   = ref(activation.KindCampaign, "11")
	bags    = ref(activation.KindCampaign, "12")
	red     = ref(activation.KindGroup, "21")
	blue    = ref(activation.KindGroup, "22")
	bagsRed = ref(activation.KindGroup, "23")
)

// shop is a small structure.
func shop() []activation.PublisherObject {
	return []activation.PublisherObject{
		thing(activation.KindOther, "61", "budget", activation.ObjectRef{}, "name=Pool", "amount=100"),
		thing(activation.KindCampaign, "11", "campaign", activation.ObjectRef{}, "name=Shoes", "status=enabled", "budget=50", "channel=search", "labels=a,b", "serving=ok"),
		thing(activation.KindCampaign, "12", "campaign", activation.ObjectRef{}, "name=Bags", "status=paused", "budget=20.5", "channel=search", "start_date=2026-11-01", "shared_budget=61"),
		thing(activation.KindCampaign, "13", "campaign", activation.ObjectRef{}, "name=Twin", "status=paused", "budget=1", "channel=search"),
		thing(activation.KindCampaign, "14", "campaign", activation.ObjectRef{}, "name=Twin", "status=paused", "budget=1", "channel=search"),
		thing(activation.KindGroup, "21", "ad group", shoes, "name=Red", "status=enabled", "bid=0.42"),
		thing(activation.KindGroup, "22", "ad group", shoes, "name=Blue", "status=enabled", "bid=1.25", "rotate=true"),
		thing(activation.KindGroup, "23", "ad group", bags, "name=Red", "status=enabled"),
		thing(activation.KindCreative, "41", "ad", red, "headline=Red shoes, now", "final_url=https://example.com/red", "status=enabled"),
		thing(activation.KindCreative, "42", "ad", red, "headline=All \"red\" shoes", "final_url=https://example.com/red", "status=paused"),
		thing(activation.KindKeyword, "51", "keyword", red, "keyword=red shoes", "match_type=exact", "status=enabled", "bid=0.5"),
		thing(activation.KindKeyword, "52", "keyword", red, "keyword=red shoes", "match_type=broad", "status=enabled", "bid=0.3"),
		thing(activation.KindKeyword, "53", "keyword", blue, "keyword=blue shoes", "match_type=exact", "status=paused"),
		thing(activation.KindOther, "71", "location", shoes, "location_id=1003854", "bid_adjustment=1.1"),
	}
}

// stocked is an office with that structure.
func stocked(t testing.TB) *office {
	t.Helper()
	o := openOffice(t)
	o.has(shop()...)
	return o
}

// log are all entries, the oldest first.
func (o *office) log() (out []activation.Entry) {
	o.t.Helper()
	o.ok(o.store.EachEntry(o.t.Context(), activation.EntryQuery{Publisher: o.account.ID}, func(e activation.Entry) error {
		out = append(out, e)
		return nil
	}))
	return out
}

// local is a local value of an object.
func (o *office) local(r activation.ObjectRef, field string) string {
	o.t.Helper()
	x, err := o.store.Object(o.t.Context(), o.account.ID, r)
	o.ok(err)
	return x.Local[field]
}

// edit makes edits that are to be right.
func (o *office) edit(send activation.Send, edits ...publishing.EditSpec) publishing.EditResult {
	o.t.Helper()
	r, err := o.Edit(o.t.Context(), o.account.ID, edits, send, "api", "bob")
	o.ok(err)
	if len(r.Problems) > 0 {
		o.t.Fatalf("problems: %+v", r.Problems)
	}
	return r
}

// set is an edit of fields, "name=value" in one text.
func set(r activation.ObjectRef, fields ...string) publishing.EditSpec {
	e := publishing.EditSpec{Action: publishing.ActionSet, Kind: r.Kind, ID: r.ID, Fields: map[string]string{}}
	for _, f := range fields {
		name, v, _ := strings.Cut(f, "=")
		e.Fields[name] = v
	}
	return e
}

// inOneLine writes an entry so that tests can say what they want of it.
func inOneLine(e activation.Entry) string {
	changes := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = fmt.Sprintf("%s:%s>%s", c.Field, c.Before, c.After)
	}
	line := fmt.Sprintf("%s %s %s %s [%s] %s", e.Status, e.Operation, e.Object.Kind, e.Object.ID, strings.Join(changes, " "), e.Text)
	if len(e.Refers) > 0 {
		line += fmt.Sprintf(" needs %v", e.Refers)
	}
	return line
}

// asJSON is a value as people read it in a failure.
func asJSON(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}
