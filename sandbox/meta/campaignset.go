package meta

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// What is special of ad sets: when they run, and what their conversions count by.

// strictly decodes JSON and refuses what is not known.
func strictly(raw json.RawMessage, into any) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into) == nil
}

// readWeek checks an adset_schedule (marketing-api/bidding/overview/
// pacing-and-scheduling): minutes of whole hours, an hour at least, days from 0, which
// is Sunday, to 6. That parts may not overlap is our inference.
func readWeek(raw json.RawMessage) *apiError {
	var list []struct {
		From *int   `json:"start_minute"`
		To   *int   `json:"end_minute"`
		Days []int  `json:"days"`
		Zone string `json:"timezone_type"`
	}
	bad := func(why string) *apiError { return blame("adset_schedule", "The parameter adset_schedule "+why) }
	if !strictly(raw, &list) || list == nil {
		return bad("must be a list of parts of a day")
	}
	type hour struct {
		day, hour int
	}
	taken := map[hour]bool{}
	for _, part := range list {
		switch {
		case part.From == nil || part.To == nil || len(part.Days) == 0:
			return bad("needs start_minute, end_minute and days")
		case *part.From%60 != 0 || *part.To%60 != 0 || *part.From < 0 || *part.To > 24*60 || *part.From >= *part.To:
			return bad("must begin and end at whole hours of one day")
		case part.Zone != "" && part.Zone != "USER" && part.Zone != "ADVERTISER":
			return bad("has an unknown timezone_type")
		}
		for _, day := range part.Days {
			if day < 0 || day > 6 {
				return bad("has a day that is none")
			}
			for h := *part.From / 60; h < *part.To/60; h++ {
				if taken[hour{day, h}] {
					return bad("has an hour twice")
				}
				taken[hour{day, h}] = true
			}
		}
	}
	return nil
}

// attributions are the windows that there are, in days (business/help/
// 460276478298895).
var attributions = map[string][]int{"CLICK_THROUGH": {1, 7}, "VIEW_THROUGH": {1}, "ENGAGED_VIDEO_VIEW": {1}}

func readWindows(raw json.RawMessage) *apiError {
	var list []struct {
		Event string `json:"event_type"`
		Days  int    `json:"window_days"`
	}
	if !strictly(raw, &list) || len(list) == 0 {
		return blame("attribution_spec", "The parameter attribution_spec must be a list of windows")
	}
	seen := map[string]bool{}
	for _, w := range list {
		if !slices.Contains(attributions[w.Event], w.Days) || seen[w.Event] {
			return blame("attribution_spec", "The attribution window "+strconv.Itoa(w.Days)+" of "+w.Event+" is not supported")
		}
		seen[w.Event] = true
	}
	return nil
}

// readConstraints checks bid_constraints: a floor of ROAS in ten-thousandths.
func readConstraints(raw json.RawMessage) *apiError {
	var in struct {
		Floor *int `json:"roas_average_floor"`
	}
	if !strictly(raw, &in) || in.Floor == nil || *in.Floor < 100 || *in.Floor > 10_000_000 {
		return blame("bid_constraints", "The roas_average_floor must be from 100 to 10000000")
	}
	return nil
}

// fitsSchedule checks an ad set's schedule, its pacing and its floor against the rest
// of it and its campaign.
func fitsSchedule(d, campaign *node, strategy string) *apiError {
	var parts []json.RawMessage
	var pacing []string
	_ = json.Unmarshal(d.values["adset_schedule"], &parts) // it was checked
	_ = json.Unmarshal(d.values["pacing_type"], &pacing)
	parted := slices.Contains(pacing, "day_parting")
	switch {
	case parted != (len(parts) > 0):
		return blame("adset_schedule", "A schedule goes with the pacing_type day_parting, and the other way round")
	case parted && d.values["lifetime_budget"] == nil && campaign.values["lifetime_budget"] == nil:
		return blame("adset_schedule", "A schedule needs a lifetime budget")
	case strategy == "LOWEST_COST_WITH_MIN_ROAS" && d.values["bid_constraints"] == nil:
		return blame("bid_constraints", "The bid strategy needs a roas_average_floor")
	case strategy != "LOWEST_COST_WITH_MIN_ROAS" && d.values["bid_constraints"] != nil:
		return blame("bid_constraints", "A roas_average_floor goes with LOWEST_COST_WITH_MIN_ROAS")
	}
	return nil
}
