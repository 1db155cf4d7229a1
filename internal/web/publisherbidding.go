package web

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
)

// proposalsShown is how many proposals of a strategy its page lists.
const proposalsShown = 200

type biddingPage struct {
	publisherTab
	Rows     []strategyRow
	New      string
	Withheld string
}

// strategyRow is a strategy as lists show it.
type strategyRow struct {
	activation.Strategy
	Path, Aim, Bounds, Of string
	Chip                  chip
}

type strategyPage struct {
	publisherTab
	CSRF, Wrong, Withheld string
	Row                   strategyRow
	New                   bool
	To                    string
	Fields                []field
	Within                []option
	WithinMore            bool
	Run                   button
	Delete                *ask
	Proposals             []proposalRow
	Proposed              int64
	Changing, Kept        int64
	Overrides             []overrideRow
	Override              []field
	OverrideWrong         string
}

// proposalRow is what the last run made of one object.
type proposalRow struct {
	activation.BidProposal
	Path, Old, New, Change string
	// In is what the object lies in.
	In       string
	Up, Down bool
	Inputs   []pair
	Entry    link
}

type overrideRow struct {
	Name, Path, Bid, Until string
}

func (c *Console) registerBidding(mux *http.ServeMux) {
	c.page(mux, "/publishers/{id}/bidding", "", c.bidding)
	c.page(mux, "/publishers/{id}/bidding/{strategy}", "", func(v visit) (view, error) { return c.strategy(v, nil, nil) })
	c.action(mux, "/publishers/{id}/bidding/{strategy}", activation.RoleOperator, c.putStrategy)
	c.action(mux, "/publishers/{id}/bidding/{strategy}/run", activation.RoleOperator, c.runStrategy)
	c.action(mux, "/publishers/{id}/bidding/{strategy}/override", activation.RoleOperator, c.overrideBid)
	c.action(mux, "/publishers/{id}/bidding/{strategy}/delete", activation.RoleOperator, c.deleteStrategy)
}

// newStrategy stands for one that is not made yet, in an address.
const newStrategy = "new"

func strategyPath(id activation.PublisherID, strategy string) string {
	return publisherPath(id) + "/bidding/" + url.PathEscape(strategy)
}

func (c *Console) bidding(v visit) (view, error) {
	head, err := c.publisherHead(v, "Bidding")
	if err != nil {
		return view{}, err
	}
	all, err := c.Publishing.Strategies(v.Context(), head.ID)
	if err != nil {
		return view{}, err
	}
	p := biddingPage{publisherTab: head, New: strategyPath(head.ID, newStrategy), Withheld: v.press("", "", "").Withheld}
	for _, s := range all {
		p.Rows = append(p.Rows, strategyRowOf(s, head.PublisherAccount))
	}
	return publisherView("bidding", head, "Bidding", p), nil
}

func strategyRowOf(s activation.Strategy, a activation.PublisherAccount) strategyRow {
	row := strategyRow{Strategy: s, Path: strategyPath(a.ID, s.ID), Of: "All " + lower(kindWord(s.Kind)) + "s", Bounds: "From " + a.Currency + " " + bidText(s.Floor) + " to " + bidText(s.Ceiling)}
	if n := len(s.Within); n > 0 {
		row.Of = kindWord(s.Kind) + "s of " + many(int64(n), "campaign or group")
	}
	switch s.Goal {
	case "cpa":
		row.Aim = a.Currency + " " + bidText(s.Target) + " a conversion"
	case "roas":
		row.Aim = decimal(math.Round(s.Target*10000)/100) + "% value for cost"
	default:
		row.Aim = "Bids are given through the API"
	}
	switch s.Mode {
	case "traffic":
		row.Chip = chip{"ok", "send", "Posts", false}
	case "preview":
		row.Chip = chip{"run", "eye", "Preview only", false}
	default:
		row.Chip = chip{"off", "player-pause", "Off", false}
	}
	return row
}

// strategyOf finds the strategy that the address names.
func (c *Console) strategyOf(v visit, id activation.PublisherID) (activation.Strategy, error) {
	if v.PathValue("strategy") == newStrategy {
		return activation.Strategy{Publisher: id, Goal: "cpa", Kind: activation.KindKeyword, Mode: "preview"}, nil
	}
	all, err := c.Publishing.Strategies(v.Context(), id)
	for _, s := range all {
		if s.ID == v.PathValue("strategy") {
			return s, nil
		}
	}
	if err == nil {
		err = activation.ErrNotFound
	}
	return activation.Strategy{}, err
}

// strategy is the page of one strategy, with what its last run proposed. typed is what
// a form held that was refused.
func (c *Console) strategy(v visit, wrong map[string]string, typed *activation.Strategy) (view, error) {
	head, err := c.publisherHead(v, "Bidding")
	if err != nil {
		return view{}, err
	}
	s, err := c.strategyOf(v, head.ID)
	if err != nil {
		return view{}, err
	}
	path := strategyPath(head.ID, orText(s.ID, newStrategy))
	p := strategyPage{publisherTab: head, CSRF: v.who.CSRF, Wrong: wrong[""], Withheld: v.press("", "", "").Withheld, New: s.ID == "", To: path, Row: strategyRowOf(s, head.PublisherAccount)}
	shown := s
	if typed != nil {
		shown = *typed
	}
	if err := c.strategyForm(v, &p, shown, wrong); err != nil {
		return view{}, err
	}
	title := "New bidding strategy"
	if !p.New {
		title = s.Name
		p.Run = v.press(path+"/run", "Calculate now", "refresh")
		p.Delete = askFirst("delete", "Delete “"+s.Name+"”?", v.press(path+"/delete", "Delete", "trash"), "Keep it", "No bid is calculated by it any more. Bids that are posted stay as they are, and changes that wait are still sent.").grave()
		if err := c.proposals(v, &p, s); err != nil {
			return view{}, err
		}
		if err := c.overrides(v, &p, s, wrong); err != nil {
			return view{}, err
		}
	}
	out := publisherView("strategy", head, title, p)
	out.Crumbs = append(out.Crumbs, link{head.Path + "/bidding", "Bidding"})
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) strategyForm(v visit, p *strategyPage, s activation.Strategy, wrong map[string]string) error {
	amount := func(f float64) string {
		if f == 0 {
			return ""
		}
		return decimal(f)
	}
	money := " In " + orText(p.Currency, "the account's currency") + "."
	p.Fields = []field{
		{Name: "name", Label: "Name", Type: "text", Required: true, Value: s.Name, Error: wrong["name"]},
		{Name: "mode", Label: "Mode", Type: "select", Error: wrong["mode"], Options: choose([]option{{"off", "Off", false}, {"preview", "Preview: calculate only", false}, {"traffic", "Traffic: post with the nightly sync", false}}, s.Mode)},
		{Name: "goal", Label: "Goal", Type: "select", Error: wrong["goal"], Options: choose([]option{{"cpa", "Cost per conversion", false}, {"roas", "Value for cost", false}, {"given", "Bids given through the API", false}}, s.Goal)},
		{Name: "target", Label: "Target", Type: "text", Value: amount(s.Target), Error: wrong["target"], Help: "What a conversion may cost, or what one unit of cost is to bring: 4 = 400%."},
		{Name: "kind", Label: "Bids of", Type: "select", Error: wrong["kind"], Options: choose([]option{{string(activation.KindKeyword), "Keywords", false}, {string(activation.KindGroup), "Groups", false}}, string(s.Kind))},
		{Name: "floor", Label: "Lowest bid", Type: "text", Required: true, Value: amount(s.Floor), Error: wrong["floor"], Help: "No bid goes below." + money},
		{Name: "ceiling", Label: "Highest bid", Type: "text", Required: true, Value: amount(s.Ceiling), Error: wrong["ceiling"], Help: "No bid goes above." + money},
	}
	declared := c.publishingOf(p.Provider)
	for _, t := range declared.Objects {
		if t.Kind != activation.KindCampaign {
			continue
		}
		options, err := c.objectOptions(v, p.ID, declared, t, activation.ObjectRef{})
		if err != nil {
			return err
		}
		for _, o := range options {
			if o.Value == "" {
				p.WithinMore = true
				break
			}
			o.Chosen = slices.Contains(s.Within, refOf(o.Value))
			p.Within = append(p.Within, o)
		}
	}
	// What is not among the campaigns offered, such as a group, stays chosen.
	for _, ref := range s.Within {
		if !slices.ContainsFunc(p.Within, func(o option) bool { return o.Value == refText(ref) }) {
			names, err := c.objectNames(v.Context(), p.ID, []activation.ObjectRef{ref})
			if err != nil {
				return err
			}
			p.Within = append(p.Within, option{refText(ref), names[ref], true})
		}
	}
	return nil
}

// proposals are what the last run made of each object, the largest changes first.
func (c *Console) proposals(v visit, p *strategyPage, s activation.Strategy) error {
	all, err := c.Publishing.Proposals(v.Context(), p.ID, s.ID)
	if err != nil {
		return err
	}
	change := func(b activation.BidProposal) float64 {
		if b.Old == 0 {
			return 0
		}
		return b.New/b.Old - 1
	}
	slices.SortStableFunc(all, func(a, b activation.BidProposal) int {
		switch x, y := math.Abs(change(a)), math.Abs(change(b)); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	p.Proposed = int64(len(all))
	var refs []activation.ObjectRef
	for _, b := range all[:min(len(all), proposalsShown)] {
		refs = append(refs, b.Object)
	}
	in, err := c.parentNames(v.Context(), p.ID, refs)
	if err != nil {
		return err
	}
	for i, b := range all {
		if b.New != b.Old {
			p.Changing++
		} else {
			p.Kept++
		}
		if i >= proposalsShown {
			continue
		}
		row := proposalRow{BidProposal: b, In: in[b.Object], Path: objectPath(p.ID, b.Object), Old: bidText(b.Old), New: bidText(b.New), Up: b.New > b.Old, Down: b.New < b.Old, Inputs: inputsOf(b.Inputs)}
		if b.Old != 0 && b.New != b.Old {
			row.Change = strconv.FormatFloat(100*change(b), 'f', 1, 64) + "%"
			if row.Up {
				row.Change = "+" + row.Change
			}
		}
		if b.Entry != 0 {
			row.Entry = link{entryPath(b.Entry), numbered(b.Entry)}
		}
		p.Proposals = append(p.Proposals, row)
	}
	return nil
}

// inputsOf are the numbers of a calculation, in the order in which people check it.
func inputsOf(in map[string]float64) (out []pair) {
	order := []string{"days", "cost", "conversions", "value", "actual", "target"}
	for _, name := range order {
		if f, ok := in[name]; ok {
			out = append(out, pair{sentenceWord(name), decimal(math.Round(f*100) / 100)})
		}
	}
	var rest []string
	for name := range in {
		if !slices.Contains(order, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	for _, name := range rest {
		out = append(out, pair{sentenceWord(strings.ReplaceAll(name, "_", " ")), decimal(math.Round(in[name]*100) / 100)})
	}
	return out
}

// overrides are the bids that the strategy leaves as somebody gave them.
func (c *Console) overrides(v visit, p *strategyPage, s activation.Strategy, wrong map[string]string) error {
	var refs []activation.ObjectRef
	for _, o := range s.Overrides {
		refs = append(refs, o.Object)
	}
	names, err := c.objectNames(v.Context(), p.ID, refs)
	if err != nil {
		return err
	}
	in, err := c.parentNames(v.Context(), p.ID, refs)
	if err != nil {
		return err
	}
	for _, o := range s.Overrides {
		p.Overrides = append(p.Overrides, overrideRow{inParent(names[o.Object], in[o.Object]), objectPath(p.ID, o.Object), p.Currency + " " + bidText(o.Bid), o.Until})
	}
	object := field{Name: "object", Label: "Whose bid", Type: "select", Required: true, Error: wrong["object"], Options: []option{{"", "Choose one", false}}}
	for _, b := range p.Proposals {
		object.Options = append(object.Options, option{refText(b.Object), inParent(orText(b.Name, b.Object.ID), b.In), refText(b.Object) == orText(v.post("object"), v.get("object"))})
	}
	p.OverrideWrong = wrong["override"]
	p.Override = []field{
		object,
		{Name: "bid", Label: "Bid", Type: "text", Required: true, Value: v.post("bid"), Error: wrong["bid"]},
		{Name: "until", Label: "Until", Type: "date", Required: true, Value: orText(v.post("until"), c.Now().In(zoneOf(p.PublisherAccount)).AddDate(0, 0, 14).Format(time.DateOnly)), Error: wrong["until"]},
	}
	return nil
}

// inParent is the name of an object with what it lies in, which tells keywords of one
// text apart.
func inParent(name, parent string) string {
	if parent == "" {
		return name
	}
	return name + " (" + parent + ")"
}

// number reads a number of a form; wrong says so beside its field.
func number(v visit, name string, wrong map[string]string) float64 {
	text := v.post(name)
	if text == "" {
		return 0
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", "."), 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		wrong[name] = "Must be a number, such as 0.50."
	}
	return f
}

func (c *Console) putStrategy(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	s, err := c.strategyOf(v, id)
	if err != nil {
		return view{}, err
	}
	wrong := map[string]string{}
	s.Name, s.Mode, s.Goal, s.Kind = v.post("name"), v.post("mode"), v.post("goal"), activation.ObjectKind(v.post("kind"))
	s.Target, s.Floor, s.Ceiling, s.Within = number(v, "target", wrong), number(v, "floor", wrong), number(v, "ceiling", wrong), nil
	for _, text := range v.PostForm["within"] {
		if ref := refOf(text); ref.ID != "" {
			s.Within = append(s.Within, ref)
		}
	}
	if len(wrong) > 0 {
		return c.strategy(v, wrong, &s)
	}
	made, err := c.Publishing.PutStrategy(v.Context(), s, v.who.Name)
	wrong, err = wrongFields(err, "name", "mode", "goal", "kind", "target", "floor", "ceiling", "within")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.strategy(v, wrong, &s)
	}
	said := map[string]string{"traffic": "Its bids are posted with the nightly sync.", "preview": "It calculates with the nightly sync and posts nothing.", "off": "It calculates nothing."}[made.Mode]
	return view{To: strategyPath(id, made.ID), Said: flash{"ok", strings.TrimSpace("Saved “" + made.Name + "”. " + said)}}, nil
}

// runStrategy calculates now. What is proposed is posted only by the nightly sync or
// by somebody.
func (c *Console) runStrategy(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	to := strategyPath(id, v.PathValue("strategy"))
	made, err := c.Publishing.RunStrategy(v.Context(), id, v.PathValue("strategy"), v.who.Name)
	if err != nil {
		return refused(to, err)
	}
	changes, written := int64(0), int64(0)
	for _, b := range made {
		if b.New != b.Old {
			changes++
		}
		if b.Entry != 0 {
			written++
		}
	}
	c.waits.drop("")
	said := "Calculated " + many(int64(len(made)), "bid") + ", of which " + num(changes) + " would change."
	if written > 0 {
		said += " " + many(written, "change") + " went into the log."
	}
	return view{To: to, Said: flash{"ok", said}}, nil
}

func (c *Console) overrideBid(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	wrong := map[string]string{}
	o := activation.BidOverride{Object: refOf(v.post("object")), Bid: number(v, "bid", wrong), Until: v.post("until")}
	if o.Object.ID == "" {
		wrong["object"] = "Choose whose bid it is."
	}
	if aDay(o.Until) == "" {
		wrong["until"] = "Give a day such as 2026-12-31."
	}
	if len(wrong) > 0 {
		return c.strategy(v, wrong, nil)
	}
	_, err := c.Publishing.Override(v.Context(), id, v.PathValue("strategy"), o, v.who.Name)
	wrong, err = wrongFields(err, "object", "bid", "until")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		wrong["override"], wrong[""] = wrong[""], ""
		return c.strategy(v, wrong, nil)
	}
	return view{To: strategyPath(id, v.PathValue("strategy")), Said: flash{"ok", "The strategy leaves this bid at " + bidText(o.Bid) + " until " + o.Until + "."}}, nil
}

func (c *Console) deleteStrategy(v visit) (view, error) {
	id := activation.PublisherID(v.PathValue("id"))
	if err := c.Publishing.DeleteStrategy(v.Context(), id, v.PathValue("strategy"), v.who.Name); err != nil {
		return refused(strategyPath(id, v.PathValue("strategy")), err)
	}
	return view{To: publisherPath(id) + "/bidding", Said: flash{"ok", "The strategy is deleted."}}, nil
}
