package web

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

// Publishing is what the console needs to edit campaigns at publishers.
type Publishing interface {
	PublisherAccounts
	PublisherEdits
	ActivityLog
	PublisherPlans
	Costs(ctx context.Context, q activation.CostQuery) (publishing.CostReport, error)
}

// PublisherAccounts links accounts.
type PublisherAccounts interface {
	Link(ctx context.Context, s publishing.AccountSpec, user string) (activation.PublisherAccount, error)
	Update(ctx context.Context, id activation.PublisherID, s publishing.AccountSpec, user string) (activation.PublisherAccount, error)
	Unlink(ctx context.Context, id activation.PublisherID, user string) error
	Account(ctx context.Context, id activation.PublisherID) (activation.PublisherAccount, error)
	Accounts(ctx context.Context) ([]activation.PublisherAccount, error)
	CheckAccount(ctx context.Context, id activation.PublisherID) (provider.PublisherInfo, error)
	// Sync queues a reading of what: structure or costs.
	Sync(ctx context.Context, id activation.PublisherID, what, user string) (activation.Entry, error)
}

// PublisherEdits reads and edits structure.
type PublisherEdits interface {
	Objects(ctx context.Context, q activation.ObjectQuery) ([]activation.PublisherObject, string, error)
	Object(ctx context.Context, id activation.PublisherID, ref activation.ObjectRef) (publishing.ObjectView, error)
	ObjectsOf(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]activation.PublisherObject, error)
	Edit(ctx context.Context, id activation.PublisherID, edits []publishing.EditSpec, send activation.Send, source, user string) (publishing.EditResult, error)
	Preview(ctx context.Context, id activation.PublisherID, name string, body io.Reader) (publishing.UploadPreview, error)
	Upload(ctx context.Context, id activation.PublisherID, name string, body io.Reader, send activation.Send, skipErrors bool, user string) (publishing.UploadPreview, error)
	ErrorFile(ctx context.Context, parent activation.EntryID, w io.Writer) error
	Template(ctx context.Context, id activation.PublisherID, w io.Writer) error
}

// ActivityLog reads and moves entries.
type ActivityLog interface {
	Entries(ctx context.Context, q activation.EntryQuery) ([]activation.Entry, string, error)
	Entry(ctx context.Context, id activation.EntryID) (publishing.EntryView, error)
	Next(ctx context.Context, id activation.PublisherID, limit int) ([]publishing.NextEntry, error)
	Counts(ctx context.Context, id activation.PublisherID) (map[activation.EntryStatus]int64, error)
	Move(ctx context.Context, c activation.EntryCommand, q activation.EntryQuery, dryRun bool, user string) (activation.EntriesMoved, error)
}

// PublisherPlans keeps scheduled operations and bidding strategies.
type PublisherPlans interface {
	Schedules(ctx context.Context, id activation.PublisherID) ([]activation.ScheduledOperation, error)
	PutSchedule(ctx context.Context, s activation.ScheduledOperation, user string) (activation.ScheduledOperation, error)
	DeleteSchedule(ctx context.Context, id activation.PublisherID, schedule, user string) error
	Strategies(ctx context.Context, id activation.PublisherID) ([]activation.Strategy, error)
	PutStrategy(ctx context.Context, s activation.Strategy, user string) (activation.Strategy, error)
	DeleteStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) error
	RunStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) ([]activation.BidProposal, error)
	Proposals(ctx context.Context, id activation.PublisherID, strategy string) ([]activation.BidProposal, error)
	Override(ctx context.Context, id activation.PublisherID, strategy string, o activation.BidOverride, user string) (activation.Strategy, error)
}

func (c *Console) registerPublishing(mux *http.ServeMux) {
	if c.Publishing == nil {
		return
	}
	c.registerActivity(mux)
	c.registerPublishers(mux)
	c.registerStructure(mux)
	c.registerUploads(mux)
	c.registerSchedules(mux)
	c.registerBidding(mux)
}

func publisherPath(id activation.PublisherID) string {
	return "/publishers/" + url.PathEscape(string(id))
}

func entryPath(id activation.EntryID) string {
	return "/activity/" + strconv.FormatInt(int64(id), 10)
}

func objectPath(id activation.PublisherID, ref activation.ObjectRef) string {
	return publisherPath(id) + "/object/" + url.PathEscape(string(ref.Kind)) + "/" + url.PathEscape(ref.ID)
}

// publishingOf is the declaration of a publisher, an empty one where this server does
// not know it any more.
func (c *Console) publishingOf(name string) *provider.Publishing {
	for _, d := range c.Providers {
		if d.Name == name && d.Publishing != nil {
			return d.Publishing
		}
	}
	return &provider.Publishing{}
}

// zoneOf is the zone of an account, UTC until the publisher has said.
func zoneOf(a activation.PublisherAccount) *time.Location {
	zone, err := time.LoadLocation(cmp.Or(a.Timezone, "UTC"))
	if err != nil {
		return time.UTC
	}
	return zone
}

// publisherTab is what every page of an account has at its top.
type publisherTab struct {
	activation.PublisherAccount
	Logo, Publisher, Path string
	Tabs                  []segmentLink
}

// publisherHead reads the account of a page, with its tabs.
func (c *Console) publisherHead(v visit, current string) (publisherTab, error) {
	a, err := c.Publishing.Account(v.Context(), activation.PublisherID(v.PathValue("id")))
	if err != nil {
		return publisherTab{}, err
	}
	t := publisherTab{PublisherAccount: a, Logo: c.logo(a.Provider), Publisher: typeOf(c.Providers, a.Provider), Path: publisherPath(a.ID)}
	for _, one := range []link{{"", "Summary"}, {"/structure", "Structure"}, {"/upload", "Upload"}, {"/schedules", "Schedules"}, {"/bidding", "Bidding"}} {
		t.Tabs = append(t.Tabs, segmentLink{one.Text, t.Path + one.Href, one.Text == current})
	}
	t.Tabs = append(t.Tabs, segmentLink{"Activity log", "/activity?publisher=" + url.QueryEscape(string(a.ID)), false})
	return t, nil
}

// publisherView is the view of one page of an account.
func publisherView(template string, t publisherTab, title string, body any) view {
	out := view{Template: template, Title: t.Name, Section: "/publishers", Crumbs: []link{{"/publishers", "Publishers"}}, Body: body}
	if title != "" {
		out.Title, out.Crumbs = title, append(out.Crumbs, link{t.Path, t.Name})
	}
	return out
}

// entryChip is the status of an entry.
func entryChip(e activation.Entry) chip {
	switch e.Status {
	case activation.EntryHeld:
		if e.Reason == activation.ReasonConflict {
			return chip{"bad", "git-compare", "Held, conflict", false}
		}
		return chip{"warn", "hand-stop", "Held", false}
	case activation.EntryToBeSent:
		return chip{"run", "send", "To be sent", false}
	case activation.EntryQueued:
		return chip{"wait", "stack-2", "Queued", false}
	case activation.EntryProcessing:
		return chip{"run", "loader-2", "Processing", true}
	case activation.EntryDone:
		return chip{"ok", "check", "Done", false}
	case activation.EntryFailed:
		return chip{"bad", "alert-triangle", "Failed", false}
	case activation.EntryCancelled:
		return chip{"off", "ban", "Cancelled", false}
	case activation.EntryPartial:
		return chip{"warn", "alert-circle", "Partial", false}
	}
	return chip{"line", "info-circle", string(e.Status), false}
}

func originWord(o activation.Origin) string {
	switch o {
	case activation.OriginScheduled:
		return "Scheduled"
	case activation.OriginUser:
		return "User"
	case activation.OriginSystem:
		return "System"
	}
	return string(o)
}

func originIcon(o activation.Origin) string {
	switch o {
	case activation.OriginScheduled:
		return "calendar-time"
	case activation.OriginSystem:
		return "robot"
	case activation.OriginUser:
	}
	return "user"
}

func kindWord(k activation.ObjectKind) string {
	switch k {
	case activation.KindCampaign:
		return "Campaign"
	case activation.KindGroup:
		return "Group"
	case activation.KindCreative:
		return "Creative"
	case activation.KindKeyword:
		return "Keyword"
	case activation.KindOther:
		return "Other"
	}
	return "Account"
}

func operationWord(o activation.Operation) string {
	switch o {
	case activation.OpSync:
		return "Sync"
	case activation.OpCreate:
		return "Create"
	case activation.OpEdit:
		return "Edit"
	case activation.OpBid:
		return "Bid"
	case activation.OpGeo:
		return "Locations"
	case activation.OpStatus:
		return "Status"
	case activation.OpDelete:
		return "Delete"
	case activation.OpUpload:
		return "Upload"
	}
	return string(o)
}

// sourceWords are the ways in which entries come.
var sourceWords = map[string]string{"console": "Console", "api": "API", "upload": "Upload", "drop": "Drop folder", "bidding": "Bidding", "schedule": "Schedule", "report": "Nightly sync"}

func sourceWord(s string) string { return orText(sourceWords[s], s) }

// objectWord is how people call the object of an entry.
func objectWord(e activation.Entry) string {
	if e.Type != "" {
		return sentenceWord(e.Type)
	}
	return kindWord(e.Object.Kind)
}

// sends are the choices of when edits go out.
var sends = []option{
	{string(activation.SendNightly), "With the nightly sync", false},
	{string(activation.SendNow), "Now", false},
	{string(activation.SendHold), "Hold them back", false},
}

// sendOf is the choice that somebody made; nightly where it is none.
func sendOf(text string) activation.Send {
	for _, s := range []activation.Send{activation.SendNow, activation.SendHold} {
		if text == string(s) {
			return s
		}
	}
	return activation.SendNightly
}

// sendWords says what becomes of edits that were sent so.
func sendWords(s activation.Send, a activation.PublisherAccount) string {
	switch s {
	case activation.SendNow:
		return "They are queued and go out in their turn."
	case activation.SendHold:
		return "They are held until somebody posts them."
	case activation.SendNightly:
	}
	return "They go out with the nightly sync at " + nightly(a) + "."
}

// nightly is when an account posts, with its zone.
func nightly(a activation.PublisherAccount) string {
	return orText(a.NightlyAt, activation.DefaultNightlyAt) + " " + orText(a.Timezone, "UTC")
}

// sendField is the select of when edits go out.
func sendField(chosen string) field {
	return field{Name: "send", Label: "Send", Type: "select", Options: choose(sends, string(sendOf(chosen)))}
}

// waitingOf counts what of an account has not ended.
func waitingOf(a activation.PublisherAccount) (n int64) {
	for s, of := range a.Waiting {
		if s.Waits() {
			n += of
		}
	}
	return n
}

// waitingCount is how many entries of all accounts wait, asked for now and then only:
// every page shows it.
func (c *Console) waitingCount(ctx context.Context) int64 {
	if c.Publishing == nil {
		return 0
	}
	n, err := c.waits.get("", c.Now(), func() (n int64, err error) {
		counts, err := c.Publishing.Counts(ctx, "")
		for s, of := range counts {
			if s.Waits() {
				n += of
			}
		}
		return n, err
	})
	if err != nil {
		return 0 // the page itself says what is wrong
	}
	return n
}

// valueText is a field's value, a dash for none.
func valueText(s string) string { return orText(s, "–") }

// amountText is an amount of millionths with two digits: 1,204.50.
func amountText(micros int64) string {
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	cents := (micros + 5000) / 10000
	return sign + num(cents/100) + "." + strconv.FormatInt(100+cents%100, 10)[1:]
}

// decimal is a number as people type it.
func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// bidText is an amount as people write it, with two digits or more.
func bidText(f float64) string {
	if text := decimal(f); len(text)-strings.LastIndex(text+".", ".") > 3 && strings.Contains(text, ".") {
		return text
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// numbered is the id of an entry as people say it: #1041.
func numbered(id activation.EntryID) string { return "#" + strconv.FormatInt(int64(id), 10) }

// enumWord is a value that a publisher chose from its own list, such as
// responsive_search_ad.
var enumWord = regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)

// choiceWord is one of several values as people read it: manual_cpc is Manual CPC, and
// OUTCOME_SALES is Outcome sales.
func choiceWord(value string) string {
	if strings.Contains(value, "_") && value == strings.ToUpper(value) {
		value = strings.ToLower(value)
	}
	words := strings.Split(value, "_")
	for i, w := range words {
		if slices.Contains([]string{"cpa", "cpc", "cpm", "cpv", "roas", "url"}, w) {
			words[i] = strings.ToUpper(w)
		}
	}
	return sentenceWord(strings.Join(words, " "))
}

// shownAmount is an amount with two digits or more behind the point, so that those of
// a column compare at a glance.
func shownAmount(value string) string {
	whole, cents, _ := strings.Cut(value, ".")
	if _, err := strconv.ParseFloat(value, 64); err != nil || len(cents) > 1 {
		return value
	}
	return whole + "." + (cents + "00")[:2]
}

// shownValue is a value as people read it: choices are words.
func shownValue(f provider.ObjectField, value string) string {
	switch {
	case f.Type == "select" || f.Shown && f.Type == "text" && enumWord.MatchString(value):
		return choiceWord(value)
	case f.Type == "amount":
		return shownAmount(value)
	case f.Type == "bool" && value == "true":
		return "Yes"
	case f.Type == "bool" && value == "false":
		return "No"
	}
	return value
}

// upTo calls each with the pages of a list until there are limit things or no more;
// more tells that there are.
func upTo[T any](limit int, page func(after string) ([]T, string, error)) (out []T, more bool, err error) {
	for after := ""; ; {
		some, next, err := page(after)
		if err != nil {
			return nil, false, err
		}
		out = append(out, some...)
		if len(out) > limit {
			return out[:limit], true, nil
		}
		if next == "" {
			return out, false, nil
		}
		if len(out) == limit {
			return out, true, nil
		}
		after = next
	}
}

// objectNames are the names of objects by ref; of one that is gone, its id.
func (c *Console) objectNames(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]string, error) {
	out := map[activation.ObjectRef]string{}
	var asked []activation.ObjectRef
	for _, ref := range refs {
		if _, ok := out[ref]; !ok && ref.ID != "" {
			out[ref] = ref.ID
			asked = append(asked, ref)
		}
	}
	there, err := c.Publishing.ObjectsOf(ctx, id, asked)
	for ref, o := range there {
		out[ref] = o.Name()
	}
	return out, err
}

// parentNames are the names of what objects lie in, by their refs: what tells two of one
// name apart. What lies in nothing has none.
func (c *Console) parentNames(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]string, error) {
	there, err := c.Publishing.ObjectsOf(ctx, id, refs)
	if err != nil {
		return nil, err
	}
	var parents []activation.ObjectRef
	for _, ref := range refs {
		parents = append(parents, there[ref].Parent)
	}
	names, err := c.objectNames(ctx, id, parents)
	out := map[activation.ObjectRef]string{}
	for i, ref := range refs {
		out[ref] = names[parents[i]]
	}
	return out, err
}

// formWrong sums up above a form what is wrong with it: what belongs to no input of it,
// and which inputs are marked.
func formWrong(wrong map[string]string, inputs []field) string {
	parts, marked := []string{wrong[""]}, []string{}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		if name != "" && !slices.ContainsFunc(inputs, func(f field) bool { return f.Name == name }) {
			parts = append(parts, wrong[name])
		}
	}
	for _, f := range inputs {
		if f.Error != "" {
			marked = append(marked, f.Label)
		}
	}
	if len(marked) > 0 {
		parts = append(parts, "Nothing was stored. Look at what is marked: "+joinComma(marked)+".")
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// publishers are the providers whose campaigns can be edited.
func (c *Console) publishers() []provider.Definition {
	return slices.DeleteFunc(slices.Clone(c.Providers), func(d provider.Definition) bool { return d.Publishing == nil })
}

// refText is an object's ref as a form carries it: campaign:12.
func refText(ref activation.ObjectRef) string {
	if ref.ID == "" {
		return ""
	}
	return string(ref.Kind) + ":" + ref.ID
}

// refOf reads what refText made; the zero ref for anything else.
func refOf(text string) activation.ObjectRef {
	kind, id, ok := strings.Cut(text, ":")
	if !ok || id == "" || !slices.Contains(activation.ObjectKinds, activation.ObjectKind(kind)) {
		return activation.ObjectRef{}
	}
	return activation.ObjectRef{Kind: activation.ObjectKind(kind), ID: id}
}

// problemWords are the first problems of some edits in a sentence; each field is called
// as the type does.
func problemWords(problems []publishing.Problem, t provider.ObjectType) string {
	var parts []string
	for _, p := range problems {
		where := ""
		if p.Field != "" {
			f, _ := t.Field(p.Field)
			f.Name = p.Field
			where = labelOf(f) + ": "
		}
		if text := where + p.Message; !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
		if len(parts) == 3 {
			break
		}
	}
	return strings.Join(parts, "; ")
}
