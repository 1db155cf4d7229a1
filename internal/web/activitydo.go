package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/publishing"
)

// askedMove is a question in numbers before entries are moved.
type askedMove struct {
	Title   string
	Lines   []string
	Refused []activation.EntryRefusal
	// By are the accounts with how many of each.
	By []pair
	Do button
	// Keep leaves everything as it is; KeepText is the button that does.
	Keep, KeepText string
	// Nothing: there is nothing that could be moved.
	Nothing bool
}

// moveWords are a command's words: the button, what was done, and to whom it may be
// done when a filter selects.
var moveWords = map[activation.EntryCommand]struct {
	verb, done string
	of         []activation.EntryStatus
}{
	activation.CommandPost:    {"Post", "Posted", []activation.EntryStatus{activation.EntryHeld, activation.EntryToBeSent}},
	activation.CommandPostAll: {"Post", "Posted", []activation.EntryStatus{activation.EntryToBeSent}},
	activation.CommandHold:    {"Hold", "Held", []activation.EntryStatus{activation.EntryToBeSent}},
	activation.CommandRelease: {"Release", "Released", []activation.EntryStatus{activation.EntryHeld}},
	activation.CommandCancel:  {"Cancel", "Cancelled", []activation.EntryStatus{activation.EntryHeld, activation.EntryToBeSent}},
	activation.CommandRetry:   {"Retry", "Retried", []activation.EntryStatus{activation.EntryFailed}},
}

// selection is what a form names: entries, uploads by their rows, or all that fit the
// filters.
type selection struct {
	queries []activation.EntryQuery
	ids     []activation.EntryID
	all     bool
}

// selected reads the entries of a form. An upload stands for its rows.
func (c *Console) selected(v visit, command activation.EntryCommand) (selection, error) {
	s := selection{all: v.post("all") != "" || command == activation.CommandPostAll}
	if s.all {
		var p activityPage
		q := c.activityQuery(v, &p)
		if command == activation.CommandPostAll {
			return c.everyAccount(v, s, q.Publisher)
		}
		if q.Top = false; len(q.Statuses) == 0 {
			q.Statuses = moveWords[command].of
		}
		s.queries = []activation.EntryQuery{q}
		return s, nil
	}
	for _, text := range v.PostForm["id"] {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && len(s.ids) < 10*entriesPerPage {
			s.ids = append(s.ids, activation.EntryID(n))
		}
	}
	return s, c.queriesOf(v, &s)
}

// everyAccount selects what is to be sent of one account, or account by account of all.
func (c *Console) everyAccount(v visit, s selection, only activation.PublisherID) (selection, error) {
	accounts, err := c.Publishing.Accounts(v.Context())
	for _, a := range accounts {
		if only == "" || a.ID == only {
			s.queries = append(s.queries, activation.EntryQuery{Publisher: a.ID})
		}
	}
	return s, err
}

// queriesOf makes the queries of the entries that a selection names.
func (c *Console) queriesOf(v visit, s *selection) error {
	if len(s.ids) == 0 {
		return nil
	}
	entries, _, err := c.Publishing.Entries(v.Context(), activation.EntryQuery{IDs: s.ids, Limit: len(s.ids)})
	if err != nil {
		return err
	}
	var plain []activation.EntryID
	for _, e := range entries {
		if e.IsParent() {
			s.queries = append(s.queries, activation.EntryQuery{Publisher: e.Publisher, Parent: e.ID})
		} else {
			plain = append(plain, e.ID)
		}
	}
	if len(plain) > 0 {
		s.queries = append(s.queries, activation.EntryQuery{IDs: plain})
	}
	return nil
}

// move does a command to a selection, or with dry says what it would do.
func (c *Console) move(v visit, command activation.EntryCommand, s selection, dry bool) (activation.EntriesMoved, error) {
	var sum activation.EntriesMoved
	for _, q := range s.queries {
		if q.Parent != 0 && len(q.Statuses) == 0 {
			q.Statuses = moveWords[command].of
		}
		one, err := c.Publishing.Move(v.Context(), command, q, dry, v.who.Name)
		if err != nil {
			return sum, err
		}
		sum.Done, sum.Also = sum.Done+one.Done, sum.Also+one.Also
		for _, r := range one.Refused {
			i := slices.IndexFunc(sum.Refused, func(have activation.EntryRefusal) bool { return have.Code == r.Code && have.Reason == r.Reason })
			if i < 0 {
				sum.Refused = append(sum.Refused, r)
			} else {
				sum.Refused[i].Count += r.Count
			}
		}
	}
	return sum, nil
}

// moveEntries does what a button of the bulk bar says. What can't be taken back, and
// what a filter selects, is asked about in numbers first.
func (c *Console) moveEntries(v visit) (view, error) {
	command := activation.EntryCommand(v.post("command"))
	words, ok := moveWords[command]
	if !ok {
		return view{}, activation.ErrNotFound
	}
	back := withQuery("/activity", v.URL.Query())
	s, err := c.selected(v, command)
	if err != nil {
		return view{}, err
	}
	if len(s.queries) == 0 {
		return view{To: back, Said: flash{"bad", "Tick the changes first."}}, nil
	}
	asks := s.all || command == activation.CommandCancel
	if asks && v.post("sure") == "" {
		asked, err := c.askMove(v, command, s, back)
		if err != nil {
			return refused(back, err)
		}
		return c.activity(v, asked)
	}
	undo, err := c.undoOf(v, command, s)
	if err != nil {
		return view{}, err
	}
	moved, err := c.move(v, command, s, false)
	if err != nil {
		return refused(back, err)
	}
	c.waits.drop("")
	if moved.Done == 0 {
		undo = ""
	}
	return view{To: back, Said: movedWords(words.done, command, moved), Undo: undo}, nil
}

// undoOf is the form that takes back what a command does to the entries it names: only
// to those that it moves.
func (c *Console) undoOf(v visit, command activation.EntryCommand, s selection) (string, error) {
	opposite := map[activation.EntryCommand]activation.EntryCommand{activation.CommandHold: activation.CommandRelease, activation.CommandRelease: activation.CommandHold}[command]
	if opposite == "" || s.all || len(s.queries) != 1 || len(s.ids) > entriesPerPage || s.queries[0].Parent != 0 {
		return "", nil
	}
	entries, _, err := c.Publishing.Entries(v.Context(), activation.EntryQuery{IDs: s.ids, Statuses: moveWords[command].of, Limit: len(s.ids)})
	if err != nil {
		return "", err
	}
	var ids []string
	for _, e := range entries {
		if e.Reason != activation.ReasonConflict {
			ids = append(ids, strconv.FormatInt(int64(e.ID), 10))
		}
	}
	if len(ids) == 0 {
		return "", nil
	}
	return "/activity/undo/" + string(opposite) + "?ids=" + strings.Join(ids, ","), nil
}

// undoMove takes a hold or a release back.
func (c *Console) undoMove(v visit) (view, error) {
	command := activation.EntryCommand(v.PathValue("command"))
	if command != activation.CommandHold && command != activation.CommandRelease {
		return view{}, activation.ErrNotFound
	}
	var s selection
	for _, text := range strings.Split(v.get("ids"), ",") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && len(s.ids) < entriesPerPage {
			s.ids = append(s.ids, activation.EntryID(n))
		}
	}
	if err := c.queriesOf(v, &s); err != nil {
		return view{}, err
	}
	moved, err := c.move(v, command, s, false)
	if err != nil {
		return refused("/activity", err)
	}
	return view{To: "/activity", Said: movedWords(moveWords[command].done, command, moved)}, nil
}

// movedWords says what a command did.
func movedWords(done string, command activation.EntryCommand, m activation.EntriesMoved) flash {
	var parts []string
	if m.Done > 0 {
		parts = append(parts, done+" "+many(m.Done, "change")+".")
	}
	if m.Also > 0 {
		parts = append(parts, alsoWords(command, m.Also, true))
	}
	for _, r := range m.Refused {
		parts = append(parts, refusalWords(r))
	}
	if len(parts) == 0 {
		return flash{"bad", "Nothing was selected that could be moved."}
	}
	tone := "ok"
	if m.Done == 0 {
		tone = "bad"
	}
	return flash{tone, strings.Join(parts, " ")}
}

func refusalWords(r activation.EntryRefusal) string {
	return sentence(many(r.Count, "change") + " left as " + map[bool]string{true: "it is", false: "they are"}[r.Count == 1] + ": " + r.Reason)
}

// alsoWords says what moves along.
func alsoWords(command activation.EntryCommand, n int64, done bool) string {
	goes := map[bool]string{true: "goes", false: "go"}[n == 1]
	if done {
		goes = "went"
	}
	if command == activation.CommandCancel {
		if done {
			return sentence(many(n, "change") + " that can't be without them " + map[bool]string{true: "was", false: "were"}[n == 1] + " cancelled too")
		}
		return sentence(many(n, "more change") + " can't be without them and " + map[bool]string{true: "is", false: "are"}[n == 1] + " cancelled too")
	}
	return sentence(many(n, "create") + " that they need " + goes + " along")
}

// askMove asks about a command in the numbers of a dry run.
func (c *Console) askMove(v visit, command activation.EntryCommand, s selection, back string) (*askedMove, error) {
	m, err := c.move(v, command, s, true)
	if err != nil {
		return nil, err
	}
	words := moveWords[command]
	n := many(m.Done, "change")
	a := &askedMove{Title: words.verb + " " + n + "?", Refused: m.Refused, Keep: back, KeepText: "Not now", Nothing: m.Done == 0}
	a.Do = v.press(back, words.verb+" "+n, "").as("btn-primary")
	a.Do.Hidden = []hidden{{"command", string(command)}, {"sure", "1"}}
	if s.all && command != activation.CommandPostAll {
		a.Do.Hidden = append(a.Do.Hidden, hidden{"all", "1"})
	}
	for _, id := range s.ids {
		a.Do.Hidden = append(a.Do.Hidden, hidden{"id", strconv.FormatInt(int64(id), 10)})
	}
	switch command {
	case activation.CommandPostAll:
		a.Title = "Post " + n + " now?"
		if err := c.askPostAll(v, a, s); err != nil {
			return nil, err
		}
	case activation.CommandCancel:
		a.KeepText, a.Do = "Keep changes", a.Do.as("btn-bad solid")
		a.Lines = []string{"They will never be sent, and the values here go back to what the publisher has. Of a conflict, the publisher’s value stays."}
		if m.Done == 1 {
			a.Lines = []string{"It will never be sent, and the value here goes back to what the publisher has."}
		}
	case activation.CommandPost:
		a.Lines = []string{"They are queued and go out in their turn, held ones included."}
		if m.Done == 1 {
			a.Lines = []string{"It is queued and goes out in its turn."}
		}
	case activation.CommandHold:
		a.Lines = []string{"They are kept back until somebody posts or releases them; the nightly sync leaves them."}
		if m.Done == 1 {
			a.Lines = []string{"It is kept back until somebody posts or releases it; the nightly sync leaves it."}
		}
	case activation.CommandRelease:
		a.Lines = []string{"They go out with the next nightly sync."}
		if m.Done == 1 {
			a.Lines = []string{"It goes out with the next nightly sync."}
		}
	case activation.CommandRetry:
		a.Lines = []string{"They are queued again in their old places."}
		if m.Done == 1 {
			a.Lines = []string{"It is queued again in its old place."}
		}
	}
	if m.Also > 0 {
		a.Lines = append(a.Lines, alsoWords(command, m.Also, false))
	}
	if a.Nothing {
		a.Title, a.Lines, a.KeepText = "Nothing to "+lower(words.verb), nil, "Back"
		if len(m.Refused) == 0 {
			a.Lines = []string{"No change that was selected can be moved so."}
		}
	}
	return a, nil
}

// askPostAll says of Post all now how many go by account, and how many stay held.
func (c *Console) askPostAll(v visit, a *askedMove, s selection) error {
	a.Lines = []string{"All changes marked To be sent are queued and go out in their turn, each account by itself."}
	of := func(one activation.PublisherAccount) bool {
		return slices.ContainsFunc(s.queries, func(q activation.EntryQuery) bool { return q.Publisher == one.ID })
	}
	accounts, err := c.Publishing.Accounts(v.Context())
	if err != nil {
		return err
	}
	held := int64(0)
	for _, one := range accounts {
		if !of(one) {
			continue
		}
		counts, err := c.Publishing.Counts(v.Context(), one.ID)
		if err != nil {
			return err
		}
		held += counts[activation.EntryHeld]
		if n := counts[activation.EntryToBeSent]; n > 0 {
			a.By = append(a.By, pair{one.Name, many(n, "change")})
		}
	}
	switch {
	case held == 1:
		a.Lines = append(a.Lines, "The 1 held change stays held; select it to post it.")
	case held > 1:
		a.Lines = append(a.Lines, "The "+many(held, "held change")+" stay held; select them to post them.")
	}
	return nil
}

// moveEntry does what a button of one entry's page says.
func (c *Console) moveEntry(v visit) (view, error) {
	command := activation.EntryCommand(v.post("command"))
	words, ok := moveWords[command]
	e, err := c.entryOf(v)
	if err != nil {
		return view{}, err
	}
	if !ok || command == activation.CommandPostAll {
		return view{}, activation.ErrNotFound
	}
	to := entryPath(e.ID)
	s := selection{ids: []activation.EntryID{e.ID}}
	if err := c.queriesOf(v, &s); err != nil {
		return view{}, err
	}
	moved, err := c.move(v, command, s, false)
	if err != nil {
		return refused(to, err)
	}
	c.waits.drop("")
	return view{To: to, Said: movedWords(words.done, command, moved)}, nil
}

// entryOf reads the entry that the address names.
func (c *Console) entryOf(v visit) (publishing.EntryView, error) {
	n, err := strconv.ParseInt(v.PathValue("id"), 10, 64)
	if err != nil {
		return publishing.EntryView{}, activation.ErrNotFound
	}
	return c.Publishing.Entry(v.Context(), activation.EntryID(n))
}

// rowsOf is the address of the rows of an upload.
func rowsOf(e activation.Entry) string {
	return "/activity?publisher=" + url.QueryEscape(string(e.Publisher)) + "&upload=" + strconv.FormatInt(int64(e.ID), 10)
}
