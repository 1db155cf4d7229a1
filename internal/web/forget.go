package web

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"usher/internal/activation"
)

// forgetsShown is how many requests the page lists.
const forgetsShown = 100

// forgetFacts are the card of the page of data.
type forgetFacts struct {
	Pending    int
	Suppressed int64
	Known      bool
}

type forgetPage struct {
	CSRF         string
	Wrong        string
	Field, Value field
	Confirm      field
	May          bool
	NoFields     bool
	Rows         []forgetRow
	Facts        forgetFacts
}

type forgetRow struct {
	activation.Forget
	Path string
	Chip chip
	Says string
}

// receiptPage is one request and what became of it, to be printed.
type receiptPage struct {
	forgetRow
	Stages  []receiptStage
	Counts  []count
	Nobody  bool
	Targets []receiptTarget
	Help    string
}

type receiptStage struct {
	Name, Says    string
	At            time.Time
	Done, Current bool
}

type receiptTarget struct {
	activation.ForgetTarget
	Chip chip
	Says string
	Help string
}

func (c *Console) registerForget(mux *http.ServeMux) {
	c.page(mux, "/data/forget", "forget", func(v visit) (view, error) { return c.forgetPage(v, nil) })
	c.action(mux, "/data/forget", activation.RoleAdmin, c.askForget)
	c.page(mux, "/data/forget/{id}", "receipt", c.receipt)
}

// forgetFacts is nil where nobody forgets.
func (c *Console) forgetFacts(v visit) (*forgetFacts, error) {
	if c.Forgets == nil {
		return nil, nil //nolint:nilnil // no card
	}
	all, err := c.Forgets.Forgets(v.Context(), forgetsShown)
	if err != nil {
		return nil, err
	}
	f := &forgetFacts{}
	for _, one := range all {
		if one.Status == activation.ForgetPending {
			f.Pending++
		}
	}
	if c.Suppressed != nil {
		f.Known = true
		f.Suppressed, err = c.Suppressed(v.Context())
	}
	return f, err
}

// forgetPage asks for somebody to be forgotten, and lists who was asked for. wrong
// is what is wrong with the form; what was typed into it is gone.
func (c *Console) forgetPage(v visit, wrong map[string]string) (view, error) {
	if c.Forgets == nil {
		return view{}, activation.ErrNotFound
	}
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return view{}, err
	}
	p := forgetPage{CSRF: v.who.CSRF, Wrong: wrong[""], May: v.who.May(activation.RoleAdmin)}
	p.Field, p.Value = identifierFields(schema, v.post("field"))
	p.NoFields = len(p.Field.Options) == 0
	p.Field.Error, p.Value.Error = wrong["field"], wrong["value"]
	p.Value.Help = "It stands in no address, no log and no answer; what is left of it is a keyed digest that keeps it from coming back."
	p.Confirm = field{Name: "confirm", Label: "Type the identifier's name to confirm", Type: "text", Required: true, Error: wrong["confirm"]}
	all, err := c.Forgets.Forgets(v.Context(), forgetsShown)
	if err != nil {
		return view{}, err
	}
	for _, f := range all {
		p.Rows = append(p.Rows, forgetRowOf(f))
	}
	facts, err := c.forgetFacts(v)
	if err != nil {
		return view{}, err
	}
	p.Facts = *facts
	out := view{Template: "forget", Title: "Forget a person", Section: "/data", Crumbs: []link{{"/data", "Data"}}, Page: "forget", Regions: []string{"forget-list"}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// forgetAsk is the question before the person who was found is forgotten. The
// value is asked for again, since no page shows what was looked up.
func (c *Console) forgetAsk(v visit, by string) *ask {
	b := v.press("/data/forget", "Forget this person", "trash").needs(v, activation.RoleAdmin)
	b.Hidden = []hidden{{"field", by}}
	a := askFirst("forget", "Forget this person for good?", b, "Keep them",
		"Profile and messages are erased, every network that holds them is told to remove them, and no later message brings them back. It cannot be undone.").grave()
	a.Fields = []field{{Name: "value", Label: "The value of " + by + " once more", Type: "text"}}
	a.Word = by
	return a
}

func forgetPath(id activation.ForgetID) string { return "/data/forget/" + url.PathEscape(string(id)) }

func (c *Console) askForget(v visit) (view, error) {
	if c.Forgets == nil {
		return view{}, activation.ErrNotFound
	}
	name, value := v.post("field"), v.post("value")
	wrong := map[string]string{}
	if name == "" {
		wrong["field"] = "Choose an identifier."
	}
	if value == "" {
		wrong["value"] = "Give the value to forget."
	}
	if name != "" && v.post("confirm") != name {
		wrong["confirm"] = "Type " + name + " to confirm. Nobody was forgotten."
	}
	if len(wrong) > 0 {
		return c.forgetPage(v, wrong)
	}
	f, err := c.Forgets.Ask(v.Context(), name, value, v.who.Name)
	wrong, err = wrongFields(err, "field", "value")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.forgetPage(v, wrong)
	}
	return view{To: forgetPath(f.ID), Said: flash{"ok", "Forgetting has begun. This page becomes the receipt."}}, nil
}

func forgetRowOf(f activation.Forget) forgetRow {
	row := forgetRow{Forget: f, Path: forgetPath(f.ID), Chip: chip{"ok", "check", "Complete", false}}
	row.Says = "Nothing of the person is left."
	if n := int64(unreached(f)); n > 0 {
		row.Says = "Nothing of the person is left here; " + many(n, "network audience") + verb(int(n), " has", " have") + " to be asked by other ways."
	}
	if f.Status == activation.ForgetPending {
		row.Chip = chip{"run", "loader-2", "Under way", false}
		row.Says = stageSays[f.Stage]
	}
	if f.ErrorCode != "" {
		row.Chip, row.Says = chip{"warn", "alert-circle", "Tries again", false}, f.ErrorCode+": "+sentence(f.ErrorText)
	}
	return row
}

// unreached is how many targets Usher could not have the person removed from.
func unreached(f activation.Forget) (n int) {
	for _, t := range f.Targets {
		if t.Status == activation.ForgetAtRefused || t.Status == activation.ForgetAtReleased {
			n++
		}
	}
	return n
}

// stageSays is what a request waits for.
var stageSays = map[activation.ForgetStage]string{
	activation.ForgetErase:   "Profile and messages are being erased.",
	activation.ForgetRemove:  "Networks are told to remove the person.",
	activation.ForgetCompact: "Files are rewritten without what was erased, at most once an hour.",
}

// receiptStages are the stages in their order.
var receiptStages = []struct {
	stage      activation.ForgetStage
	name, says string
	at         func(activation.Forget) time.Time
}{
	{activation.ForgetErase, "Erased", "Profile, messages, memberships and what waited to be sent are gone.", func(f activation.Forget) time.Time { return f.ErasedAt }},
	{activation.ForgetRemove, "Removed at networks", "Every network that held the person has answered.", func(f activation.Forget) time.Time { return f.RemovedAt }},
	{activation.ForgetCompact, "Files rewritten", "No file of the data directory holds bytes of the person.", func(f activation.Forget) time.Time { return f.CompletedAt }},
}

func (c *Console) receipt(v visit) (view, error) {
	if c.Forgets == nil {
		return view{}, activation.ErrNotFound
	}
	f, err := c.Forgets.Forget(v.Context(), activation.ForgetID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	p := receiptPage{forgetRow: forgetRowOf(f), Help: codeHelp(f.ErrorCode)}
	for _, s := range receiptStages {
		one := receiptStage{Name: s.name, Says: s.says, At: s.at(f), Current: s.stage == f.Stage}
		one.Done = !one.At.IsZero()
		if one.Current {
			one.Says = stageSays[s.stage]
		} else if !one.Done {
			one.Says = "Waits for the stage before."
		}
		p.Stages = append(p.Stages, one)
	}
	for _, one := range erasedNames {
		p.Counts = append(p.Counts, count{Name: one.Text, Value: f.Counts[one.Name]})
	}
	p.Nobody = !f.ErasedAt.IsZero() && !slices.ContainsFunc(p.Counts, func(n count) bool { return n.Value > 0 })
	for _, t := range f.Targets {
		p.Targets = append(p.Targets, receiptTargetOf(t))
	}
	return view{
		Template: "receipt", Title: "Receipt of a forget", Section: "/data", Crumbs: []link{{"/data", "Data"}, {"/data/forget", "Forget a person"}},
		Page: "receipt", Query: url.Values{"id": {string(f.ID)}}, Regions: []string{"receipt"}, Body: p,
	}, nil
}

// erasedNames are the counts of a receipt in words, in their order.
var erasedNames = []struct{ Name, Text string }{
	{"profiles", "Profiles"},
	{"messages", "Messages"},
	{"identifiers", "Identifiers"},
	{"memberships", "Memberships"},
	{"staged_rows", "Rows of runs not sent"},
	{"waiting_loads", "Uploads not merged"},
}

func receiptTargetOf(t activation.ForgetTarget) receiptTarget {
	row := receiptTarget{ForgetTarget: t, Help: codeHelp(t.Code)}
	switch t.Status {
	case activation.ForgetAtPending:
		row.Chip, row.Says = chip{"run", "loader-2", "Being removed", false}, "The network has not accepted the remove yet."
	case activation.ForgetAtRemoved:
		row.Chip, row.Says = chip{"ok", "check", "Removed", false}, "The network accepted the remove."
	case activation.ForgetAtRefused:
		row.Chip, row.Says = chip{"bad", "alert-triangle", "Refused", false}, "The network will not remove the person: ask it by other ways."
	case activation.ForgetAtGone:
		row.Chip, row.Says = chip{"off", "ban", "Audience gone", false}, "The remote audience is not there any more."
	case activation.ForgetAtReleased:
		row.Chip, row.Says = chip{"warn", "alert-circle", "Given up before", false}, "Usher gave the remote audience up and does not reach it: ask the network by other ways."
	default:
		row.Chip = chip{"line", "info-circle", string(t.Status), false}
	}
	return row
}
