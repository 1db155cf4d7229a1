package web

import (
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
	"usher/internal/tracking"
)

type entryPage struct {
	Row     entryRow
	View    publishing.EntryView
	Account link
	Object  link
	Parent  link
	Changes []editRow
	// Conflict: the two buttons that settle it are Overwrite and Take.
	Conflict        bool
	Overwrite, Take button
	// Gone: the conflict is that the publisher has the object no more; only Take is left.
	Gone bool
	// Fix is the page about its error, Source the way it came.
	Fix      string
	Source   string
	Buttons  []button
	Cancel   *ask
	Place    string
	Wait     string
	Ahead    []aheadRow
	More     int64
	Before   link
	Detail   []pair
	Refers   []link
	Tally    []segment
	Rows     string
	Errors   string
	Kids     []entryRow
	KidsMore int64
}

// editRow is what an entry does to one field.
type editRow struct {
	Label, Before, After, Theirs string
}

type aheadRow struct {
	Text, Path string
	Count      int64
}

func (c *Console) entry(v visit) (view, error) {
	e, err := c.entryOf(v)
	if err != nil {
		return view{}, err
	}
	p, err := c.entryPage(v, e)
	if err != nil {
		return view{}, err
	}
	title := "Change " + numbered(e.ID)
	if e.IsParent() {
		title = "Upload " + numbered(e.ID)
	}
	q := url.Values{"id": {v.PathValue("id")}}
	return view{
		Template: "entry", Title: title, Section: "/activity", Crumbs: []link{{"/activity", "Activity log"}}, Page: "entry", Query: q,
		Regions: []string{"entry-head", "entry-what", "entry-where"}, Body: p,
	}, nil
}

func (c *Console) entryPage(v visit, e publishing.EntryView) (*entryPage, error) {
	accounts, err := c.Publishing.Accounts(v.Context())
	if err != nil {
		return nil, err
	}
	p := &entryPage{Row: c.entryRow(e.Entry, accounts), View: e, Account: link{publisherPath(e.Publisher), orText(c.entryRow(e.Entry, accounts).Account, string(e.Publisher))}}
	p.Source = sourceWord(e.Source)
	p.Changes = c.editRows(e.Entry, accounts)
	if e.Object.ID != "" && e.Status != activation.EntryCancelled {
		p.Object = link{objectPath(e.Publisher, e.Object), orText(e.ObjectName, e.Object.ID)}
	}
	if e.Parent != 0 {
		p.Parent = link{entryPath(e.Parent), "Upload " + numbered(e.Parent)}
	}
	if e.ErrorCode != "" {
		p.Fix = helpPath(tracking.Page(e.ErrorCode))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		if e.IsParent() && (name == "columns" || name == "problems") || e.Operation == activation.OpSync && name == publishing.DetailWhat {
			continue // they are in the error file; what is read is in the title
		}
		p.Detail = append(p.Detail, pair{sentenceWord(strings.ReplaceAll(name, "_", " ")), e.Detail[name]})
	}
	for _, id := range e.Refers {
		p.Refers = append(p.Refers, link{entryPath(id), numbered(id)})
	}
	if e.IsParent() {
		if err := c.entryKids(v, p, accounts); err != nil {
			return nil, err
		}
	}
	p.place(e)
	if err := c.conflict(v, p, e); err != nil {
		return nil, err
	}
	c.entryButtons(v, p, e)
	return p, nil
}

// conflict says whether an entry is held by a conflict, and by which sort.
func (c *Console) conflict(v visit, p *entryPage, e publishing.EntryView) error {
	if p.Conflict = e.Reason == activation.ReasonConflict && e.Status == activation.EntryHeld; !p.Conflict {
		return nil
	}
	there, err := c.Publishing.ObjectsOf(v.Context(), e.Publisher, []activation.ObjectRef{e.Object})
	if err != nil {
		return err
	}
	o, ok := there[e.Object]
	if p.Gone = ok && o.Removed; !p.Gone {
		return nil
	}
	for i := range p.Changes {
		p.Changes[i].Theirs = ""
	}
	return nil
}

// place says where an entry waits and what it waits for.
func (p *entryPage) place(e publishing.EntryView) {
	at := e.Place
	switch {
	case at == nil:
		return
	case at.Released:
		p.Place = "Place " + num(at.Place) + " of its account's queue"
	default:
		p.Place = "Place " + num(at.Place) + " if it were released now"
	}
	if at.Seconds > 0 {
		p.Wait = "in about " + roughly(time.Duration(at.Seconds)*time.Second)
	}
	for _, b := range at.Behind {
		row := aheadRow{Text: b.Text, Count: b.Count}
		if b.First != 0 {
			row.Path = entryPath(b.First)
		}
		p.Ahead = append(p.Ahead, row)
	}
	if len(p.Ahead) > 12 {
		for _, b := range p.Ahead[12:] {
			p.More += b.Count
		}
		p.Ahead = p.Ahead[:12]
	}
	if at.Before != nil {
		p.Before = link{entryPath(at.Before.ID), numbered(at.Before.ID) + " " + at.Before.Text}
	}
}

// entryButtons are what can be done with an entry as it stands.
func (c *Console) entryButtons(v visit, p *entryPage, e publishing.EntryView) {
	press := func(command activation.EntryCommand, text, icon string) button {
		b := v.press(entryPath(e.ID), text, icon)
		b.Hidden = []hidden{{"command", string(command)}}
		return b
	}
	waits := func(s activation.EntryStatus) bool {
		return e.Status == s || e.IsParent() && e.Children[s] > 0
	}
	if p.Gone {
		p.Take = press(activation.CommandCancel, "Cancel this change", "ban")
		return
	}
	if p.Conflict {
		p.Overwrite, p.Take = press(activation.CommandPost, "Overwrite with ours", "send").as("btn-primary"), press(activation.CommandCancel, "Take theirs", "check")
		return
	}
	if waits(activation.EntryHeld) || waits(activation.EntryToBeSent) {
		p.Buttons = append(p.Buttons, press(activation.CommandPost, "Post now", "send").as("btn-primary"))
	}
	if waits(activation.EntryToBeSent) {
		p.Buttons = append(p.Buttons, press(activation.CommandHold, "Hold", "hand-stop"))
	}
	if waits(activation.EntryHeld) {
		p.Buttons = append(p.Buttons, press(activation.CommandRelease, "Release", "player-play"))
	}
	if waits(activation.EntryFailed) {
		text := "Retry"
		if e.IsParent() {
			text = "Retry " + num(e.Children[activation.EntryFailed]) + " failed"
		}
		p.Buttons = append(p.Buttons, press(activation.CommandRetry, text, "refresh"))
	}
	if waits(activation.EntryHeld) || waits(activation.EntryToBeSent) {
		p.Cancel = c.askCancel(v, e, press(activation.CommandCancel, "Cancel change", "ban"))
	}
}

// askCancel asks about the cancel of one entry, or of the rows of an upload, in the
// numbers of a dry run.
func (c *Console) askCancel(v visit, e publishing.EntryView, b button) *ask {
	s := selection{ids: []activation.EntryID{e.ID}}
	err := c.queriesOf(v, &s)
	var m activation.EntriesMoved
	if err == nil {
		m, err = c.move(v, activation.CommandCancel, s, true)
	}
	if err != nil {
		c.Log.WarnContext(v.Context(), "cancel not counted", slog.Any("err", err))
		return nil
	}
	n := many(m.Done, "change")
	lines := []string{"It will never be sent, and the values here go back to what the publisher has."}
	if m.Done > 1 {
		b.Text, lines[0] = "Cancel "+n, "They will never be sent, and the values here go back to what the publisher has."
	}
	if m.Also > 0 {
		lines = append(lines, alsoWords(activation.CommandCancel, m.Also, false))
	}
	for _, r := range m.Refused {
		lines = append(lines, refusalWords(r))
	}
	if m.Done == 0 && b.Withheld == "" {
		b.Withheld = "Nothing of it can be cancelled any more"
	}
	return askFirst("cancel", "Cancel "+n+"?", b, "Keep", lines...).grave()
}

// editRows are the changes of an entry, under the labels of its publisher.
func (c *Console) editRows(e activation.Entry, accounts []activation.PublisherAccount) []editRow {
	var declared *provider.Publishing
	for _, a := range accounts {
		if a.ID == e.Publisher {
			declared = c.publishingOf(a.Provider)
		}
	}
	out := make([]editRow, len(e.Changes))
	for i, ch := range e.Changes {
		out[i] = editRow{sentenceWord(strings.ReplaceAll(ch.Field, "_", " ")), ch.Before, ch.After, ch.Theirs}
		if declared == nil {
			continue
		}
		if t, ok := declared.Object(e.Type); ok {
			if f, ok := t.Field(ch.Field); ok {
				out[i] = editRow{labelOf(f), shownValue(f, ch.Before), shownValue(f, ch.After), shownValue(f, ch.Theirs)}
			}
		}
	}
	return out
}

// entryKids is what became of the rows of an upload.
func (c *Console) entryKids(v visit, p *entryPage, accounts []activation.PublisherAccount) error {
	e := p.View
	p.Rows = rowsOf(e.Entry)
	for _, s := range statusSegments {
		if n := e.Children[s]; n > 0 {
			p.Tally = append(p.Tally, segment{link{p.Rows + "&status=" + string(s), entryChip(activation.Entry{Status: s}).Word}, n, false})
		}
	}
	if p.Row.HasErrors {
		p.Errors = entryPath(e.ID) + "/errors.csv"
	}
	// What failed first: it is what somebody looks for here.
	q := activation.EntryQuery{Publisher: e.Publisher, Parent: e.ID, Limit: childrenShown}
	if e.Children[activation.EntryFailed] > 0 {
		q.Statuses = []activation.EntryStatus{activation.EntryFailed}
	}
	kids, _, err := c.Publishing.Entries(v.Context(), q)
	if err != nil {
		return err
	}
	for _, k := range kids {
		p.Kids = append(p.Kids, c.entryRow(k, accounts))
	}
	p.KidsMore = p.Row.Of - int64(len(p.Kids))
	return nil
}

// entryOpen is an entry as its opened row shows it.
func (c *Console) entryOpen(v visit) (view, error) {
	e, err := c.entryOf(v)
	if err != nil {
		return view{}, err
	}
	p, err := c.entryPage(v, e)
	return view{Template: "entry", Fragment: "entry-open", Title: "Change", Section: "/activity", Body: p}, err
}

// errorFile is what failed of an upload, as a file to mend and upload again.
func (c *Console) errorFile(w http.ResponseWriter, r *http.Request) {
	c.download(w, r, "errors.csv", func(v visit, to *lateFile) error {
		e, err := c.entryOf(v)
		if err != nil {
			return err
		}
		to.name = "upload-" + v.PathValue("id") + "-errors.csv"
		return c.Publishing.ErrorFile(v.Context(), e.ID, to)
	})
}

// lateFile sends the head of a download with its first byte, so that what fails
// before it is a page.
type lateFile struct {
	http.ResponseWriter
	name  string
	begun bool
}

func (f *lateFile) Write(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		secure(f.ResponseWriter)
		f.Header().Set("Content-Type", "text/csv; charset=utf-8")
		f.Header().Set("Content-Disposition", `attachment; filename="`+f.name+`"`)
		f.Header().Set("Cache-Control", "no-store")
	}
	return f.ResponseWriter.Write(p)
}

// download sends a file that make writes. One that fails on the way is cut, so that
// no browser takes it for whole.
func (c *Console) download(w http.ResponseWriter, r *http.Request, name string, make func(v visit, to *lateFile) error) {
	v, ok := c.visitor(r)
	if !ok {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	to := &lateFile{ResponseWriter: w, name: name}
	err := make(v, to)
	switch {
	case err != nil && !to.begun:
		c.render(w, v, c.failed(v, err))
	case err != nil:
		c.cut(v, err)
	case !to.begun:
		_, _ = to.Write(nil)
	}
}
