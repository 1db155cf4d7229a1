package google

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
)

// longestLook is the longest time between two looks at a request.
const longestLook = 4 * time.Hour

// pending is a request that is not final, as a poll token keeps it: rows that were
// rejected before it was taken are told with its end. It holds nothing of anybody.
type pending struct {
	Request string `json:"request"`
	Op      string `json:"op"`
	// Looks is how often it was asked for.
	Looks int `json:"looks,omitempty"`
	// Rejected are codes by row.
	Rejected map[int]string `json:"rejected,omitempty"`
}

func (p pending) token() string {
	text, err := json.Marshal(p)
	if err != nil {
		return p.Request // cannot be: it is words and numbers
	}
	return string(text)
}

// readPending reads a poll token for a batch of so many rows.
func readPending(token string, rows int64) (pending, error) {
	var p pending
	err := json.Unmarshal([]byte(token), &p)
	known := p.Op == opAdd || p.Op == opRemove || p.Op == opEvent
	if err != nil || !known || p.Request == "" || safeID(p.Request) == "" || p.Looks < 0 || int64(len(p.Rejected)) > rows {
		return pending{}, noSuchToken()
	}
	for i, code := range p.Rejected {
		if i < 0 || int64(i) >= rows || code == "" {
			return pending{}, noSuchToken()
		}
	}
	return p, nil
}

func noSuchToken() error {
	e := failure(classRequest, envelope{})
	e.Message = "this is no request that google was asked about"
	return e
}

// status is what Google says of a request: one entry per destination. Texts are
// not read.
type status struct {
	PerDestination []struct {
		Status string `json:"requestStatus"`
		Errors struct {
			Counts []count `json:"errorCounts"`
		} `json:"errorInfo"`
		Warnings struct {
			Counts []count `json:"warningCounts"`
		} `json:"warningInfo"`
		Ingested map[string]detail `json:"audienceMembersIngestionStatus"`
		Removed  map[string]detail `json:"audienceMembersRemovalStatus"`
		Events   *detail           `json:"eventsIngestionStatus"`
	} `json:"requestStatusPerDestination"`
}

type count struct {
	Records number `json:"recordCount"`
	Reason  string `json:"reason"`
}

type detail struct {
	Records   number `json:"recordCount"`
	MatchRate string `json:"uploadMatchRateRange"`
}

// number is a whole number that comes as JSON text.
type number int64

// UnmarshalJSON reads 7 and "7".
func (n *number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = number(v)
	return err
}

// outcome is the sum of a status.
type outcome struct {
	word     string // of the request
	reasons  map[string]int64
	warnings map[string]int64
	records  int64
	match    string
}

// sum reads a status. A request is as far as its last destination; one whose
// status Google does not know is not final.
func (s status) sum() outcome {
	o := outcome{reasons: map[string]int64{}, warnings: map[string]int64{}}
	if len(s.PerDestination) != 1 { // we name one
		return o
	}
	d := s.PerDestination[0]
	o.word = d.Status
	for _, c := range d.Errors.Counts {
		o.reasons[c.Reason] += max(0, int64(c.Records))
	}
	for _, c := range d.Warnings.Counts {
		o.warnings[c.Reason] += max(0, int64(c.Records))
	}
	all := slices.Collect(maps.Values(d.Ingested))
	all = append(all, slices.Collect(maps.Values(d.Removed))...)
	if d.Events != nil {
		all = append(all, *d.Events)
	}
	for _, one := range all {
		o.records += int64(one.Records)
		if one.MatchRate != "" {
			o.match = one.MatchRate
		}
	}
	return o
}

// The reasons of reference/rest/v1/ProcessingErrorReason without their prefix.
var processed = map[string]class{
	"EVENT_TOO_OLD":   classTime,
	"DENIED_CONSENT":  classConsent,
	"NO_CONSENT":      classConsent,
	"UNKNOWN_CONSENT": classConsent,
	"INVALID_GCLID":   classClick,
	"INVALID_GBRAID":  classClick,
	"INVALID_WBRAID":  classClick,
	"PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER": classClick,
	"INVALID_FORMAT": classFormat,
	"DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED": classTerms,
	"INVALID_EVENT":                    classFormat,
	"TOO_RECENT_CLICK":                 classRecent,
	"DESTINATION_TOO_RECENTLY_CREATED": classRecent,
	"INTERNAL_ERROR":                   classUnavailable,
}

const reasonPrefix = "PROCESSING_ERROR_REASON_"

// repeated are reasons that say that the event is there already: what was sent
// twice counts once, which is what was wanted.
var repeated = []string{reasonPrefix + "DUPLICATE_TRANSACTION_ID", reasonPrefix + "DUPLICATE_GCLID"}

// wrong is how many rows failed, and by what for the most part.
func (o outcome) wrong() (rows int64, c class) {
	c = classProcessing
	most := int64(0)
	for _, reason := range slices.Sorted(maps.Keys(o.reasons)) {
		if slices.Contains(repeated, reason) {
			continue
		}
		rows += o.reasons[reason]
		if o.reasons[reason] <= most {
			continue
		}
		most, c = o.reasons[reason], classProcessing
		if known, ok := processed[strings.TrimPrefix(reason, reasonPrefix)]; ok {
			c = known
		}
	}
	return rows, c
}

// repeats is how many rows failed because they are there already.
func (o outcome) repeats() (rows int64) {
	for _, reason := range repeated {
		rows += o.reasons[reason]
	}
	return rows
}

// poll asks what became of a request.
//
// Google never says which rows failed: it counts them by reason. Where some
// did, all rows count as accepted and the number as unplaced; where all did, they
// are rejected, or unsent where the reason is one that passes. A request that
// failed has nothing accepted but what was there already.
func (g *account) poll(ctx context.Context, token string, rows int64) (activation.Receipt, error) {
	p, err := readPending(token, rows)
	if err != nil {
		return activation.Receipt{}, err
	}
	var got status
	a, err := g.call(ctx, http.MethodGet, "requestStatus:retrieve", url.Values{"requestId": {p.Request}}, nil, &got)
	if err != nil {
		if codeIs(err, classGone) { // the request is not there, which says nothing of the list
			err = as(err, classRequest)
		}
		return activation.Receipt{}, notABatch(err)
	}
	o := got.sum()
	rc := activation.Receipt{RequestID: p.Request, HTTPStatus: a.Status, Headers: o.headers()}
	sent := rows - int64(len(p.Rejected))
	wrong, c := o.wrong()
	switch o.word {
	case "SUCCESS":
		wrong = 0
	case "PARTIAL_SUCCESS":
	case "FAILED":
		there := o.repeats()
		if there == 0 || wrong >= sent {
			return ended(rc, p, rows, c), nil
		}
		wrong = max(wrong, sent-there) // what is not counted failed as well
	default: // PROCESSING, REQUEST_STATUS_UNKNOWN, and what there may be one day
		p.Looks++
		rc.PollToken, rc.PollAfter = p.token(), g.now().Add(g.nextLook(p.Looks))
		return rc, nil
	}
	rc = ended(rc, p, rows, class{})
	rc.Unplaced = min(wrong, rc.Accepted)
	g.log.DebugContext(ctx, "google processed a request", "op", p.Op, "status", o.word, "rows", sent, "wrong", wrong, "request_id", p.Request)
	return rc, nil
}

// nextLook is how long to wait after so many looks: as long as before the first,
// then twice as long each time.
func (g *account) nextLook(looks int) time.Duration {
	return min(g.look<<min(max(0, looks-1), 10), max(longestLook, g.look))
}

// ended fills the receipt: rows that were rejected before they were sent, and
// the others as failed says, accepted where it says nothing.
func ended(rc activation.Receipt, p pending, rows int64, failed class) activation.Receipt {
	for i := range rows {
		code, isRejected := p.Rejected[int(i)]
		x := activation.Exception{Ordinal: i, Outcome: activation.Rejected, Code: code}
		switch {
		case isRejected:
			rc.Rejected++
		case failed.Code == "":
			rc.Accepted++
			continue
		case failed == classRecent || failed == classUnavailable: // it passes, and nothing was done
			x.Outcome, x.Code = activation.Unsent, failed.Code
			rc.Unsent++
		default:
			x.Code = failed.Code
			rc.Rejected++
		}
		rc.Exceptions = append(rc.Exceptions, x)
	}
	return rc
}

// headers are what Google told of the request, kept for whoever looks into it.
func (o outcome) headers() map[string]string {
	h := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			h[name] = value
		}
	}
	set("google-request-status", word(o.word))
	set("google-match-rate", strings.TrimPrefix(word(o.match), "MATCH_RATE_RANGE_"))
	if o.records > 0 {
		set("google-records", strconv.FormatInt(o.records, 10))
	}
	set("google-errors", counts(o.reasons))
	set("google-warnings", counts(o.warnings))
	return h
}

func counts(by map[string]int64) string {
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		if w := word(reason); w != "" && len(out) < 20 {
			out = append(out, fmt.Sprintf("%s=%d", strings.TrimPrefix(w, reasonPrefix), by[reason]))
		}
	}
	return strings.Join(out, ", ")
}
