package google

import (
	"slices"
	"strconv"

	"usher/internal/activation"
)

// What is special of a campaign: its budget is a resource of its own, and its way of
// bidding is one of several messages.

// newCampaign fills what a create alone sets.
func (w *writer) newCampaign() {
	budget, shared := w.e.Set[activation.FieldBudget], w.e.Set[fieldShared]
	switch {
	case budget == "" && shared == "":
		w.refuse(adsBudget, activation.FieldBudget, "a campaign needs a daily budget, or a shared budget")
	case budget != "" && shared != "":
		w.refuse(adsBudget, fieldShared, "a campaign has a daily budget or a shared budget, not both")
	case shared != "":
		w.body["campaignBudget"] = w.c.name(inBudgets, w.id(shared))
	default:
		w.ownBudget(budget)
	}
	w.body[bodyOf(first(w.e.Set[fieldBidding], biddingManual))] = w.bidding(first(w.e.Set[fieldBidding], biddingManual), w.e.Set[fieldTargetCPA], w.e.Set[fieldTargetROAS])
	if w.e.Set[fieldBidding] == "" {
		w.values[fieldBidding] = biddingManual
	}
}

// ownBudget makes a budget for this campaign alone. It has no name: Google gives it
// that of the campaign.
func (w *writer) ownBudget(budget string) {
	name := w.c.name(inBudgets, w.temporary())
	w.ops = append(w.ops, mutation{kind: opBudget, create: map[string]any{
		"resourceName": name, "amountMicros": w.money(activation.FieldBudget, budget), "deliveryMethod": "STANDARD", "explicitlyShared": false,
	}})
	w.body["campaignBudget"] = name
}

// changeBudget changes the amount of the campaign's own budget, or which one it has.
func (w *writer) changeBudget() {
	budget, sets := w.e.Set[activation.FieldBudget]
	shared, moves := w.e.Set[fieldShared]
	leaves := slices.Contains(w.e.Clear, fieldShared)
	switch {
	case moves && sets:
		w.refuse(adsBudget, fieldShared, "a campaign has a daily budget or a shared budget, not both")
	case moves:
		w.body["campaignBudget"] = w.c.name(inBudgets, w.id(shared))
		w.mask = append(w.mask, "campaignBudget")
		w.values[activation.FieldBudget], w.values[fieldBudgetID] = "", ""
	case leaves && !sets:
		w.refuse(adsBudget, fieldShared, "a campaign that leaves its shared budget needs a daily budget in the same edit")
	case leaves:
		w.ownBudget(budget)
		w.mask = append(w.mask, "campaignBudget")
	case sets && w.e.Have[fieldShared] != "":
		w.refuse(adsBudget, activation.FieldBudget, "the campaign has a shared budget: change that one, or clear it here in the same edit")
	case sets && w.e.Have[fieldBudgetID] == "":
		w.refuse(adsBudget, activation.FieldBudget, "it is not known which budget the campaign has: sync the account first")
	case sets:
		w.ops = append(w.ops, mutation{
			kind: opBudget, mask: []string{"amountMicros"},
			update: map[string]any{"resourceName": w.c.name(inBudgets, w.e.Have[fieldBudgetID]), "amountMicros": w.money(activation.FieldBudget, budget)},
		})
	}
}

// bodyOf is the message that a way of bidding is.
func bodyOf(bidding string) string {
	return map[string]string{
		biddingManual: "manualCpc", biddingClicks: "targetSpend", biddingConversions: "maximizeConversions", biddingValue: "maximizeConversionValue",
	}[bidding]
}

// masked is a field of that message: a mask may not name one that has fields.
var masked = map[string]string{
	biddingManual: "manualCpc.enhancedCpcEnabled", biddingClicks: "targetSpend.cpcBidCeilingMicros",
	biddingConversions: "maximizeConversions.targetCpaMicros", biddingValue: "maximizeConversionValue.targetRoas",
}

// bidding fills the message of a way of bidding. Targets that do not belong to it
// are refused.
func (w *writer) bidding(how, cpa, roas string) map[string]any {
	message := map[string]any{}
	switch {
	case bodyOf(how) == "":
		w.refuse(adsEdit, fieldBidding, "this bid strategy can't be set here")
	case cpa != "" && how != biddingConversions:
		w.refuse(adsEdit, fieldTargetCPA, "a target CPA goes with "+biddingConversions+" only")
	case roas != "" && how != biddingValue:
		w.refuse(adsEdit, fieldTargetROAS, "a target ROAS goes with "+biddingValue+" only")
	}
	if cpa != "" {
		message["targetCpaMicros"] = w.money(fieldTargetCPA, cpa)
	}
	if roas != "" {
		n, err := strconv.ParseFloat(roas, 64)
		if err != nil || n < 0.01 || n > 1000 {
			w.refuse(adsEdit, fieldTargetROAS, "the target ROAS must be a number from 0.01 to 1000")
		}
		message["targetRoas"] = n
		if text := decimal(n, 64); text != roas {
			w.values[fieldTargetROAS] = text
		}
	}
	return message
}

// changeBidding changes how the campaign bids, or only the target it has.
func (w *writer) changeBidding() {
	how, moves := w.e.Set[fieldBidding]
	cpa, setsCPA := w.e.Set[fieldTargetCPA]
	roas, setsROAS := w.e.Set[fieldTargetROAS]
	clears := slices.Contains(w.e.Clear, fieldTargetCPA) || slices.Contains(w.e.Clear, fieldTargetROAS)
	if slices.Contains(w.e.Clear, fieldBidding) {
		w.refuse(adsEdit, fieldBidding, "a campaign has a bid strategy: set another one")
	}
	if !moves && !setsCPA && !setsROAS && !clears {
		return
	}
	if !moves {
		how = w.e.Have[fieldBidding]
	}
	if clears && !moves && !setsCPA && !setsROAS && bodyOf(how) == "" {
		return
	}
	w.body[bodyOf(how)] = w.bidding(how, cpa, roas)
	w.mask = append(w.mask, masked[how])
	for _, target := range []string{fieldTargetCPA, fieldTargetROAS} { // it goes with the way of bidding
		if w.e.Set[target] == "" && w.e.Have[target] != "" {
			w.values[target] = ""
		}
	}
}
