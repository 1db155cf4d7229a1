package publishing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/publishing/bidding"
)

// The modes of a strategy.
const (
	// ModeOff does nothing.
	ModeOff = "off"
	// ModePreview calculates, and nothing goes out.
	ModePreview = "preview"
	// ModeTraffic writes entries.
	ModeTraffic = "traffic"
)

const (
	sourceBidding = "bidding"
	// maxStrategyName is how many characters the name of a strategy may have.
	maxStrategyName = 200
	// maxOverrides is how many bids of one strategy may be kept as they are.
	maxOverrides = 10_000
	// maxBid bounds bids, so that millionths of them are numbers.
	maxBid = 1_000_000
)

// whole are the currencies whose least part is their unit.
var whole = []string{"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}

// bidUnit is the least step of a bid in a currency, in millionths.
func bidUnit(currency string) int64 {
	if slices.Contains(whole, currency) {
		return bidding.Million
	}
	return bidding.Million / 100
}

// Strategies returns the bidding strategies of an account.
func (d *Desk) Strategies(ctx context.Context, id activation.PublisherID) ([]activation.Strategy, error) {
	if _, err := d.cfg.Store.Publisher(ctx, id); err != nil {
		return nil, err
	}
	return d.cfg.Store.Strategies(ctx, id)
}

// PutStrategy stores a strategy, a new one where it has no id.
func (d *Desk) PutStrategy(ctx context.Context, s activation.Strategy, user string) (activation.Strategy, error) {
	account, err := d.cfg.Store.Publisher(ctx, s.Publisher)
	if err != nil {
		return s, err
	}
	if s, err = d.checkStrategy(ctx, account, s); err != nil {
		return s, err
	}
	s, err = d.cfg.Store.PutStrategy(ctx, s, user)
	d.cfg.Changed()
	return s, err
}

// DeleteStrategy deletes a strategy. Entries that it wrote stay.
func (d *Desk) DeleteStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) error {
	err := d.cfg.Store.DeleteStrategy(ctx, id, strategy, user)
	d.cfg.Changed()
	return err
}

// checkStrategy names every wrong field.
func (d *Desk) checkStrategy(ctx context.Context, account activation.PublisherAccount, s activation.Strategy) (activation.Strategy, error) {
	var p activation.Problems
	s.Name = strings.TrimSpace(s.Name)
	s.Goal, s.Mode = cmp.Or(s.Goal, string(bidding.CPA)), cmp.Or(s.Mode, ModePreview)
	if n := utf8.RuneCountInString(s.Name); n == 0 || n > maxStrategyName {
		p.Add(CodeSettings, "name", "is needed, at most %d characters", maxStrategyName)
	}
	switch bidding.Goal(s.Goal) {
	case bidding.CPA, bidding.ROAS:
		if !(s.Target > 0) || s.Target > maxBid {
			p.Add(CodeSettings, "target", "is needed: the wanted cost per conversion in %s, or the wanted value per cost, such as 4 for 400 %%", account.Currency)
		}
	case bidding.Given:
		s.Target = 0
	default:
		p.Add(CodeSettings, "goal", "must be cpa, roas or given")
	}
	if s.Kind != activation.KindGroup && s.Kind != activation.KindKeyword {
		p.Add(CodeSettings, "kind", "must be group or keyword")
	} else if !d.hasBids(account, s.Kind) {
		p.Add(CodeSettings, "kind", "objects of this kind have no bid at this publisher")
	}
	if !slices.Contains([]string{ModeOff, ModePreview, ModeTraffic}, s.Mode) {
		p.Add(CodeSettings, "mode", "must be off, preview or traffic")
	}
	if micros(s.Floor) <= 0 || s.Floor > maxBid {
		p.Add(CodeSettings, "floor", "is needed: the least bid in %s", account.Currency)
	}
	if micros(s.Ceiling) <= 0 || s.Ceiling > maxBid || s.Ceiling < s.Floor {
		p.Add(CodeSettings, "ceiling", "is needed: the highest bid in %s, not below the floor", account.Currency)
	}
	if len(s.Overrides) > maxOverrides {
		p.Add(CodeSettings, "overrides", "there may be %d", maxOverrides)
	}
	for _, o := range s.Overrides {
		checkOverride(&p, s, o)
	}
	there, err := d.cfg.Store.ObjectsOf(ctx, account.ID, s.Within)
	if err != nil {
		return s, err
	}
	for _, ref := range s.Within {
		if o, ok := there[ref]; !ok || o.Removed || ref.Kind != activation.KindCampaign && ref.Kind != activation.KindGroup {
			p.Add(CodeSettings, "within", "there is no campaign or group %q in the account", ref.ID)
		}
	}
	return s, p.Err()
}

func checkOverride(p *activation.Problems, s activation.Strategy, o activation.BidOverride) {
	if _, err := time.Parse(dateForm, o.Until); err != nil {
		p.Add(CodeSettings, "until", "must be the last day, written as 2026-12-31")
	}
	if !(o.Bid >= s.Floor && o.Bid <= s.Ceiling) {
		p.Add(CodeSettings, "bid", "must be between the floor and the ceiling of the strategy, %s and %s", money(micros(s.Floor)), money(micros(s.Ceiling)))
	}
	if o.Object.Kind != s.Kind || o.Object.ID == "" {
		p.Add(CodeSettings, "object", "must be a %s", s.Kind)
	}
}

// hasBids reports whether a kind has objects with a bid that can be changed.
func (d *Desk) hasBids(account activation.PublisherAccount, kind activation.ObjectKind) bool {
	pub, ok := d.publishing(account.Provider)
	if !ok {
		return false
	}
	for _, t := range pub.Objects {
		if f, ok := t.Field(activation.FieldBid); ok && t.Kind == kind && !f.Fixed && !f.Shown {
			return true
		}
	}
	return false
}

// Proposals returns what the last run of a strategy made of each object.
func (d *Desk) Proposals(ctx context.Context, id activation.PublisherID, strategy string) ([]activation.BidProposal, error) {
	if _, err := d.cfg.Store.Strategy(ctx, id, strategy); err != nil {
		return nil, err
	}
	return d.cfg.Store.Proposals(ctx, id, strategy)
}

// Override keeps one object's bid as it is given, until the end of a day. Without a bid
// or a day it is taken away.
func (d *Desk) Override(ctx context.Context, id activation.PublisherID, strategy string, o activation.BidOverride, user string) (activation.Strategy, error) {
	s, err := d.cfg.Store.Strategy(ctx, id, strategy)
	if err != nil {
		return s, err
	}
	s.Overrides = slices.DeleteFunc(slices.Clone(s.Overrides), func(x activation.BidOverride) bool { return x.Object == o.Object })
	if o.Bid != 0 && o.Until != "" {
		var p activation.Problems
		checkOverride(&p, s, o)
		if err := p.Err(); err != nil {
			return s, err
		}
		if _, err := d.cfg.Store.Object(ctx, id, o.Object); err != nil {
			return s, err
		}
		s.Overrides = append(s.Overrides, o)
	}
	return d.PutStrategy(ctx, s, user)
}

// RunStrategy calculates the bids of a strategy now. In the mode traffic they become
// entries, which go out with the nightly sync.
func (d *Desk) RunStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) ([]activation.BidProposal, error) {
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := d.cfg.Store.Strategy(ctx, id, strategy)
	if err != nil {
		return nil, err
	}
	if s.Mode == ModeOff {
		return nil, &activation.Error{Kind: activation.Invalid, Code: CodeSettings, Field: "mode", Message: "mode: the strategy is off; preview calculates only, traffic makes entries"}
	}
	return d.bid(ctx, account, s, user)
}

// runTraffic runs all strategies of an account that are not off, for the nightly sync.
// What can't be run does not hold up the others.
func (d *Desk) runTraffic(ctx context.Context, account activation.PublisherAccount) error {
	all, err := d.cfg.Store.Strategies(ctx, account.ID)
	if err != nil {
		return err
	}
	var failed error
	for _, s := range all {
		if s.Mode == ModeOff {
			continue
		}
		if _, err := d.bid(ctx, account, s, systemUser); err != nil {
			failed = errors.Join(failed, fmt.Errorf("strategy %q: %w", s.ID, err))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return failed
}

// systemUser is who calculates bids at night.
const systemUser = "system"

// bid calculates, stores what came of it, and in the mode traffic writes entries.
func (d *Desk) bid(ctx context.Context, account activation.PublisherAccount, s activation.Strategy, user string) ([]activation.BidProposal, error) {
	made, err := d.propose(ctx, account, s)
	if err != nil {
		return nil, err
	}
	if s.Mode == ModeTraffic {
		if err := d.traffic(ctx, account, s, made, user); err != nil {
			return nil, err
		}
	}
	if err := d.cfg.Store.SaveProposals(ctx, account.ID, s.ID, d.cfg.Now(), made); err != nil {
		return nil, err
	}
	d.cfg.Changed()
	return made, nil
}

// traffic writes the entries of proposals, and notes their ids.
func (d *Desk) traffic(ctx context.Context, account activation.PublisherAccount, s activation.Strategy, made []activation.BidProposal, user string) error {
	at := map[activation.ObjectRef]int{}
	w := writing{send: activation.SendNightly, origin: activation.OriginSystem, source: sourceBidding, user: user, detail: map[activation.ObjectRef]map[string]string{}}
	var edits []EditSpec
	for i, m := range made {
		if micros(m.New) == micros(m.Old) {
			continue
		}
		at[m.Object] = i
		edits = append(edits, bidEdit(m.Object, m.New))
		w.detail[m.Object] = inputsInWords(s, m)
	}
	for part := range slices.Chunk(edits, writeChunk) {
		for len(part) > 0 {
			result, err := d.edit(ctx, account.ID, part, w)
			if err != nil {
				return err
			}
			for _, e := range result.Entries {
				made[at[e.Object]].Entry = e.ID
			}
			part = refused(part, result.Problems, func(ref activation.ObjectRef, why string) {
				m := &made[at[ref]]
				m.New, m.Why = m.Old, why
			})
		}
	}
	return nil
}

// refused are the edits that remain to be made where some can't be, such as those of an
// object that somebody deletes just now; none where all are made. One of them does not
// keep the others back, nor the night.
func refused(edits []EditSpec, problems []Problem, tell func(ref activation.ObjectRef, why string)) (rest []EditSpec) {
	if len(problems) == 0 {
		return nil
	}
	why := map[int]string{}
	for _, p := range problems {
		why[p.Index] = p.Message
	}
	for i, e := range edits {
		if w, bad := why[i]; bad {
			tell(activation.ObjectRef{Kind: e.Kind, ID: e.ID}, w)
		} else {
			rest = append(rest, e)
		}
	}
	return rest
}

func bidEdit(ref activation.ObjectRef, bid float64) EditSpec {
	return EditSpec{Action: ActionSet, Kind: ref.Kind, ID: ref.ID, Fields: map[string]string{activation.FieldBid: money(micros(bid))}}
}

// inputsInWords is what an entry of bidding shows of its making.
func inputsInWords(s activation.Strategy, m activation.BidProposal) map[string]string {
	out := map[string]string{"strategy": s.Name, "strategy_id": s.ID, "goal": s.Goal}
	for name, v := range m.Inputs {
		out[name] = strconv.FormatFloat(v, 'f', -1, 64)
	}
	if m.Why != "" {
		out["bounded_by"] = m.Why
	}
	return out
}

// propose calculates the bids of a strategy from the costs of the last days.
func (d *Desk) propose(ctx context.Context, account activation.PublisherAccount, s activation.Strategy) ([]activation.BidProposal, error) {
	today := d.cfg.Now().In(location(account))
	from, until := today.AddDate(0, 0, -bidding.Days).Format(dateForm), today.AddDate(0, 0, -1).Format(dateForm)
	costs := map[activation.ObjectRef]activation.Cost{}
	if bidding.Goal(s.Goal) != bidding.Given {
		rows, err := d.cfg.Store.Costs(ctx, activation.CostQuery{Publisher: account.ID, From: from, Until: until, Kind: s.Kind, By: "object", Currency: account.Currency, Limit: math.MaxInt32})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			costs[r.Object] = r.Cost
		}
	}
	day := today.Format(dateForm)
	overrides := map[activation.ObjectRef]activation.BidOverride{}
	for _, o := range s.Overrides {
		if o.Until >= day {
			overrides[o.Object] = o
		}
	}
	waits, err := d.waitingBids(ctx, account, s.Kind)
	if err != nil {
		return nil, err
	}
	var out []activation.BidProposal
	err = d.eachBid(ctx, account, s, func(o activation.PublisherObject) {
		kept := overrides[o.ObjectRef]
		m := proposal(account, s, o, costs[o.ObjectRef], kept)
		if waits[o.ObjectRef] && kept.Bid == 0 {
			m.New, m.Why = m.Old, "a calculated bid waits"
		}
		out = append(out, m)
	})
	return out, err
}

// waitingBids are the objects whose last calculated bid is not posted yet: another
// step would be made of the costs that made the first, also where a night is cut and
// done again.
func (d *Desk) waitingBids(ctx context.Context, account activation.PublisherAccount, kind activation.ObjectKind) (map[activation.ObjectRef]bool, error) {
	q := activation.EntryQuery{Publisher: account.ID, Origins: []activation.Origin{activation.OriginSystem}, Kinds: []activation.ObjectKind{kind}, Ops: []activation.Operation{activation.OpBid}}
	for _, s := range activation.EntryStatuses {
		if s.Waits() {
			q.Statuses = append(q.Statuses, s)
		}
	}
	out := map[activation.ObjectRef]bool{}
	return out, d.cfg.Store.EachEntry(ctx, q, func(e activation.Entry) error {
		out[e.Object] = true
		return nil
	})
}

// proposal is what a strategy makes of one object.
func proposal(account activation.PublisherAccount, s activation.Strategy, o activation.PublisherObject, cost activation.Cost, kept activation.BidOverride) activation.BidProposal {
	old := microsOf(o.Local[activation.FieldBid])
	m := activation.BidProposal{Object: o.ObjectRef, Name: o.Name(), Old: units(old), New: units(old), Inputs: map[string]float64{}}
	if kept.Bid > 0 {
		m.New, m.Why = kept.Bid, "kept until "+kept.Until
		return m
	}
	if bidding.Goal(s.Goal) == bidding.Given {
		m.Why = "bids are given"
		return m
	}
	r := bidding.Next(bidding.Input{
		Goal: bidding.Goal(s.Goal), Target: s.Target, Old: old, Floor: micros(s.Floor), Ceiling: micros(s.Ceiling), Unit: bidUnit(account.Currency),
		Cost: cost.Micros, Conversions: cost.Conversions, Value: cost.Value,
	})
	m.New, m.Why = units(r.New), r.Why
	m.Inputs["days"], m.Inputs["target"], m.Inputs["cost"], m.Inputs["conversions"] = bidding.Days, s.Target, units(cost.Micros), cost.Conversions
	if bidding.Goal(s.Goal) == bidding.ROAS {
		m.Inputs["value"] = cost.Value
	}
	if !math.IsInf(r.Actual, 0) && !math.IsNaN(r.Actual) {
		m.Inputs["actual"] = r.Actual
	}
	return m
}

// eachBid calls yield with every object whose bid a strategy finds.
func (d *Desk) eachBid(ctx context.Context, account activation.PublisherAccount, s activation.Strategy, yield func(activation.PublisherObject)) error {
	f := newFinder(d.cfg.Store, account.ID)
	pub, _ := d.publishing(account.Provider)
	q := activation.ObjectQuery{Publisher: account.ID, Kind: s.Kind, Limit: planChunk}
	for {
		page, next, err := d.cfg.Store.Objects(ctx, q)
		if err != nil {
			return err
		}
		for _, o := range page {
			t, _ := pub.Object(o.Type)
			if b, ok := t.Field(activation.FieldBid); !ok || b.Fixed || b.Shown || o.Deleted || o.Confirmed == nil {
				continue
			}
			in, err := f.lies(ctx, o, s.Within)
			if err != nil {
				return err
			}
			if in {
				yield(o)
			}
		}
		if q.After = next; next == "" {
			return nil
		}
	}
}

// lies reports whether an object is in one of these, or is one; none = all.
func (f *finder) lies(ctx context.Context, o activation.PublisherObject, within []activation.ObjectRef) (bool, error) {
	if len(within) == 0 || slices.Contains(within, o.ObjectRef) {
		return true, nil
	}
	for up := o.Parent; up.ID != ""; {
		if slices.Contains(within, up) {
			return true, nil
		}
		in, err := f.object(ctx, up)
		if err != nil || in == nil {
			return false, err
		}
		up = in.Parent
	}
	return false, nil
}

// GiveBids takes bids that somebody else calculated, for a strategy of the goal given:
// all of them or, where one is wrong, none. In the mode preview they are proposals
// only. One that changes less than 1 % makes no entry.
func (d *Desk) GiveBids(ctx context.Context, id activation.PublisherID, strategy string, bids []GivenBid, user string) (EditResult, error) {
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return EditResult{}, err
	}
	s, err := d.cfg.Store.Strategy(ctx, id, strategy)
	switch {
	case err != nil:
		return EditResult{}, err
	case bidding.Goal(s.Goal) != bidding.Given:
		return EditResult{}, &activation.Error{Kind: activation.Invalid, Code: CodeSettings, Field: "goal", Message: "goal: the strategy calculates its bids; give bids to one of the goal given"}
	case s.Mode == ModeOff:
		return EditResult{}, &activation.Error{Kind: activation.Invalid, Code: CodeSettings, Field: "mode", Message: "mode: the strategy is off"}
	case len(bids) > MaxEdits:
		return EditResult{}, &activation.Error{Kind: activation.Invalid, Code: CodeField, Field: "bids", Message: fmt.Sprintf("bids: there are %d; one call takes %d", len(bids), MaxEdits)}
	}
	there := map[activation.ObjectRef]activation.PublisherObject{}
	if err := d.eachBid(ctx, account, s, func(o activation.PublisherObject) { there[o.ObjectRef] = o }); err != nil {
		return EditResult{}, err
	}
	made, problems, same := weigh(s, bids, there, d.cfg.Now().In(location(account)).Format(dateForm))
	if len(problems) > 0 {
		return EditResult{Errors: int64(len(problems)), Problems: problems[:min(len(problems), maxProblems)]}, nil
	}
	result := EditResult{Same: same}
	if s.Mode == ModeTraffic {
		if err := d.traffic(ctx, account, s, made, user); err != nil {
			return EditResult{}, err
		}
	}
	for _, m := range made {
		if micros(m.New) == micros(m.Old) {
			continue
		}
		result.Edits++
		if m.Entry != 0 && len(result.Entries) < maxEntries {
			e, err := d.cfg.Store.Entry(ctx, m.Entry)
			if err != nil {
				return result, err
			}
			result.Entries = append(result.Entries, e)
		}
	}
	if err := d.cfg.Store.SaveProposals(ctx, id, s.ID, d.cfg.Now(), made); err != nil {
		return result, err
	}
	d.cfg.Changed()
	return result, nil
}

// weigh compares given bids with those that are there.
func weigh(s activation.Strategy, bids []GivenBid, there map[activation.ObjectRef]activation.PublisherObject, day string) (made []activation.BidProposal, problems []Problem, same int64) {
	seen := map[activation.ObjectRef]bool{}
	kept := map[activation.ObjectRef]activation.BidOverride{}
	for _, o := range s.Overrides {
		if o.Until >= day {
			kept[o.Object] = o
		}
	}
	for i, b := range bids {
		bad := func(code, field, format string, args ...any) {
			problems = append(problems, Problem{Index: i, Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
		}
		o, ok := there[b.Object]
		switch {
		case !ok:
			bad(CodeObject, "object", "the strategy has no %s %s with a bid", s.Kind, quoted(b.Object.ID))
			continue
		case seen[b.Object]:
			bad(CodeObject, "object", "is here twice")
			continue
		case !(b.Bid >= s.Floor && b.Bid <= s.Ceiling):
			bad(CodeValue, activation.FieldBid, "must be between the floor and the ceiling of the strategy, %s and %s", money(micros(s.Floor)), money(micros(s.Ceiling)))
			continue
		}
		seen[b.Object] = true
		old := microsOf(o.Local[activation.FieldBid])
		m := activation.BidProposal{Object: b.Object, Name: o.Name(), Old: units(old), New: b.Bid, Inputs: map[string]float64{"given": b.Bid}}
		switch k, stays := kept[b.Object]; {
		case stays:
			m.New, m.Why = k.Bid, "kept until "+k.Until
		case old > 0 && !bidding.Matters(old, micros(b.Bid)):
			m.New, m.Why = m.Old, bidding.WhySmall
		}
		if micros(m.New) == old {
			same++
		}
		made = append(made, m)
	}
	return made, problems, same
}

// micros are millionths of an amount, 0 for what is no amount.
func micros(amount float64) int64 {
	if !(amount > 0) || amount > 1e12 {
		return 0
	}
	return int64(math.Round(amount * bidding.Million))
}

func units(micros int64) float64 { return float64(micros) / bidding.Million }

// microsOf reads an amount, 0 where there is none.
func microsOf(text string) int64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return micros(v)
}

// money writes millionths as an amount.
func money(micros int64) string {
	return plain(fmt.Sprintf("%d.%06d", micros/bidding.Million, micros%bidding.Million))
}
