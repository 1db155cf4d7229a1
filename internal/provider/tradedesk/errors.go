package tradedesk

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// class is one way a call can fail: what to do, and what it is called. Each has
// a page in docs/troubleshooting.
type class = provider.Failure

var (
	classAuth        = provider.Fails("TTD-AUTH", activation.Unauthorized, "the trade desk does not accept the signature or the token: store the credentials again")
	classAccount     = provider.Fails("TTD-ACCOUNT", activation.Invalid, "the advertiser may not send data, or has as many data elements as it may")
	classData        = provider.Fails("TTD-DATA", activation.RefusedWhole, "the trade desk refuses the batch and does not say which item is wrong")
	classEmpty       = provider.Fails("TTD-EMPTY", activation.RefusedWhole, "the trade desk found nothing in the batch")
	classSize        = provider.Fails("TTD-SIZE", activation.RefusedWhole, "the batch is larger than one request may be")
	classThrottle    = provider.Fails("TTD-THROTTLE", activation.WaitUntil, "the trade desk asks for fewer calls")
	classUnavailable = provider.Fails("TTD-UNAVAILABLE", activation.Unavailable, "the trade desk is not working as it should")
	classAnswer      = provider.Fails("TTD-ANSWER", activation.Unavailable, "the trade desk answered in a way that cannot be understood")
	classSettings    = provider.Fails("TTD-SETTINGS", activation.Invalid, "a setting is wrong")
)

// codeItem is the code of a row whose item the answer calls failed.
const codeItem = "TTD-ITEM"

// throttleWait is how long a throttle lasts that names no time; no page does.
const throttleWait = time.Minute

// rules are the error table of the page, by status and then by ErrorCode; a
// status without the code falls back to the one with none.
var rules = []struct {
	status int
	code   string
	class  class
}{
	{http.StatusBadRequest, "MissingData", classEmpty},
	{http.StatusBadRequest, "SerializationFailed", classData},
	{http.StatusBadRequest, "", classData},
	{http.StatusUnauthorized, "", classAuth}, // AuthenticationFailed, InvalidToken
	{http.StatusForbidden, "", classAccount}, // AdvertiserMisconfigured, TargetingDataLimitReached
	{http.StatusNotFound, "", classSettings},
	{http.StatusMethodNotAllowed, "", classSettings},
	{http.StatusRequestEntityTooLarge, "", classSize}, // MaxRequestSizeExceeded
	{http.StatusUnsupportedMediaType, "", classData},
	{http.StatusTooManyRequests, "", classThrottle},
}

// classify finds the class of an answer that is not good.
func classify(status int, code string) class {
	fallback := classUnavailable
	for _, r := range rules {
		switch {
		case r.status != status:
		case r.code == code:
			return r.class
		case r.code == "":
			fallback = r.class
		}
	}
	if status/100 == 3 {
		return classSettings
	}
	return fallback
}

// line is an item that was not taken.
type line struct {
	item int // from 1; 0 = not told
	code string
}

// reply is a good answer.
type reply struct {
	failed    []line
	status    int
	requestID string
	headers   map[string]string
}

// body is what answers are read as. Messages are kept nowhere: they may repeat
// ids; only the number of an item is read from them.
type body struct {
	ErrorCode   string `json:"ErrorCode"`
	FailedLines []struct {
		ErrorCode string `json:"ErrorCode"`
		Message   string `json:"Message"`
	} `json:"FailedLines"`
}

var (
	itemPattern = regexp.MustCompile(`(?i)\bitem #(\d{1,9})\b`)
	codePattern = regexp.MustCompile(`^[A-Za-z]{1,64}$`)
)

// read makes the answer a value or an error.
//
// What may have been applied: a status without a rule and a good status that
// cannot be read. All statuses of the table are refusals before any work.
func (t *destination) read(a outbound.Answer, changes bool) (reply, error) {
	var in *body
	if json.Unmarshal(a.Body, &in) != nil {
		in = nil
	}
	switch {
	case a.Status/100 == 2 && in == nil && len(a.Body) > 0:
		return reply{}, t.error(classAnswer, a, "", changes)
	case a.Status/100 == 2:
		got := reply{status: a.Status, requestID: requestID(a.Header), headers: keptHeaders(a.Header)}
		if in != nil {
			for _, f := range in.FailedLines {
				got.failed = append(got.failed, line{item: itemOf(f.Message), code: codeItem})
			}
		}
		return got, nil
	case in == nil && a.Status != http.StatusTooManyRequests && a.Status/100 != 3:
		// A page of some machine in between, whatever its status says.
		if a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden || a.Status == http.StatusRequestEntityTooLarge {
			return reply{}, t.error(classify(a.Status, ""), a, "", changes)
		}
		return reply{}, t.error(classUnavailable, a, "", changes)
	}
	code := ""
	if in != nil && codePattern.MatchString(in.ErrorCode) {
		code = in.ErrorCode
	} else if in != nil && len(in.FailedLines) > 0 && codePattern.MatchString(in.FailedLines[0].ErrorCode) {
		code = in.FailedLines[0].ErrorCode
	}
	return reply{}, t.error(classify(a.Status, code), a, code, changes)
}

// itemOf is the number of the item that a message names, 0 if it names none.
func itemOf(message string) int {
	m := itemPattern.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

func (t *destination) error(c class, a outbound.Answer, code string, changes bool) error {
	e := &activation.Error{Kind: c.Kind, Code: c.Code, Message: c.Message + " (HTTP status " + strconv.Itoa(a.Status), RequestID: requestID(a.Header)}
	if code != "" {
		e.Message += ", " + code
	}
	e.Message += ")"
	e.MayHaveApplied = changes && c.Kind == activation.Unavailable
	switch {
	case c.Kind == activation.WaitUntil:
		until, ok := outbound.RetryAfter(a.Header, t.now())
		if !ok {
			until = t.now().Add(throttleWait)
		}
		e.Until = until
	case c == classSettings:
		e.Field = baseField
	case c == classAccount:
		e.Field = "account"
	}
	return e
}

func tooLarge(what string) error {
	return &activation.Error{Kind: classSize.Kind, Code: classSize.Code, Message: classSize.Message + ": " + what}
}

// unapplied is the error of a call that changes nothing.
func unapplied(err error) error {
	var e *activation.Error
	if !errors.As(err, &e) || !e.MayHaveApplied {
		return err
	}
	other := *e
	other.MayHaveApplied = false
	return &other
}

// requestHeader is the header by which support finds a call.
const requestHeader = "X-Request-Id"

var idForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

func requestID(h interface{ Get(string) string }) string {
	if id := h.Get(requestHeader); idForm.MatchString(id) {
		return id
	}
	return ""
}

// keptHeaders are those that are stored for support, and nothing else is.
func keptHeaders(h interface{ Get(string) string }) map[string]string {
	if v := h.Get("Retry-After"); v != "" && len(v) < 64 {
		return map[string]string{"Retry-After": v}
	}
	return nil
}
