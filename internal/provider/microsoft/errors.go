package microsoft

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// class is one way a call can fail: what to do, and what it is called. Each has a
// page in docs/troubleshooting.
type class = provider.Failure

var (
	classAuth        = provider.Fails("MSADS-AUTH", activation.Unauthorized, "microsoft does not accept the credentials: connect again, and look at the developer token")
	classPermission  = provider.Fails("MSADS-PERMISSION", activation.Invalid, "the person who connected may not do this: check the role on the account, the customer id and the developer token")
	classThrottle    = provider.Fails("MSADS-THROTTLE", activation.WaitUntil, "microsoft takes no more calls for a time")
	classUnavailable = provider.Fails("MSADS-UNAVAILABLE", activation.Unavailable, "microsoft is not working as it should")
	classAnswer      = provider.Fails("MSADS-ANSWER", activation.Unavailable, "microsoft answered in a way that cannot be understood")
	classReport      = provider.Fails("MSADS-REPORT", activation.Unavailable, "microsoft did not finish the report of costs")
	classRequest     = provider.Fails("MSADS-REQUEST", activation.Invalid, "microsoft refuses the request")
	classSize        = provider.Fails("MSADS-SIZE", activation.Invalid, "these edits cannot travel in one call")
	classSettings    = provider.Fails("MSADS-SETTINGS", activation.Invalid, "a setting is wrong")
	// classRefused and classField are of one edit: Microsoft refused it, or it could
	// only have been refused.
	classRefused = provider.Fails("MSADS-REFUSED", activation.Invalid, "microsoft refuses the edit")
	classField   = provider.Fails("MSADS-FIELD", activation.Invalid, "microsoft cannot do that with this field")
)

// Codes are those of all classes.
func Codes() []string { return provider.Codes(classes) }

var classes = []class{classAuth, classPermission, classThrottle, classUnavailable, classAnswer, classReport, classRequest, classSize, classSettings, classRefused, classField}

// The codes that say more than their status (page "codes").
const (
	codeInternal   = 0
	codeRate       = 117  // CallRateExceeded
	codeConcurrent = 207  // ConcurrentRequestOverLimit, of reports
	codeReadOnly   = 1010 // CampaignServiceSystemInReadOnlyMode: only reading works for now
	codeBulk       = 4204 // BulkServiceNoMoreCallsPermittedForTheTimePeriod
)

var (
	// waitCodes pass by themselves, and come before any work.
	waitCodes = []int{codeRate, codeConcurrent, codeReadOnly, codeBulk}
	// authCodes ask for somebody to sign in (again, or with another identity): 105
	// InvalidCredentials, 108 UserCompromised, 109 AuthenticationTokenExpired, 120
	// UserLoginAccessDenied, and 122 to 126, an identity that may not sign in here.
	authCodes = []int{105, 108, 109, 120, 122, 123, 124, 125, 126}
	// permissionCodes: the person may not do this, or not with this account: 106
	// UserIsNotAuthorized, 208 InvalidAccount, 1102 CampaignServiceInvalidAccountId.
	permissionCodes = []int{106, 208, 1102}
)

// How long to wait where the answer names no time: a minute after 117 (page
// "errors"), a quarter of an hour after 4204 (guides/bulk-download-upload) and, by our
// choice, after 1010.
const (
	rateWait = time.Minute
	bulkWait = 15 * time.Minute
)

func waitOf(code int) time.Duration {
	if code == codeBulk || code == codeReadOnly {
		return bulkWait
	}
	return rateWait
}

// noRow is the index of an error that names no row.
const noRow = -1

// rowError is what Microsoft says of one row, or of a whole call.
type rowError struct {
	Index     int // noRow = it names none
	Code      int
	ErrorCode string
	Message   string
	Details   string
	FieldPath string
}

// Code comes as a number or as text.
func (e *rowError) UnmarshalJSON(text []byte) error {
	var in struct {
		Index                                  *int
		Code                                   json.RawMessage
		ErrorCode, Message, Details, FieldPath string
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	if in.Index == nil {
		in.Index = new(int)
		*in.Index = noRow
	}
	*e = rowError{Index: *in.Index, Code: -1, ErrorCode: in.ErrorCode, Message: in.Message, Details: in.Details, FieldPath: in.FieldPath}
	if n, err := strconv.Atoi(strings.Trim(string(in.Code), `"`)); err == nil {
		e.Code = n
	}
	return nil
}

func (e rowError) internal() bool { return e.Code == codeInternal || e.ErrorCode == "InternalError" }

func (e rowError) throttled() bool {
	return slices.Contains(waitCodes, e.Code)
}

// missing reports whether an error of a query says that there is no such object: 516
// EntityIdFilterMismatch (it is of a type that was not asked for), 1044
// CampaignServiceEntityDoesNotExist, and the ids that are not valid of campaigns, ad
// groups, ads and keywords (1100, 1201, 1308, 1501). Others have words of these forms.
func (e rowError) missing() bool {
	word := strings.TrimPrefix(e.ErrorCode, "CampaignService")
	return slices.Contains([]int{516, 1044, 1100, 1201, 1308, 1501}, e.Code) || strings.HasPrefix(word, "Invalid") && strings.HasSuffix(word, "Id") ||
		strings.HasSuffix(word, "Mismatch") || strings.HasSuffix(word, "DoesNotExist")
}

// words is what Microsoft says, in its own words and short.
func (e rowError) words() string {
	var parts []string
	for _, p := range []string{e.ErrorCode, e.Message, e.Details} {
		if p = strings.TrimSpace(p); p != "" && !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	text := strings.Join(parts, ": ")
	if text == "" {
		text = "error " + strconv.Itoa(e.Code)
	}
	if r := []rune(text); len(r) > maxText {
		text = string(r[:maxText])
	}
	return text
}

// maxText is the most characters that are kept of Microsoft's words.
const maxText = 500

// fault is the body of an answer that is no success.
type fault struct {
	TrackingID      string     `json:"TrackingId"`
	OperationErrors []rowError `json:"OperationErrors"`
	Errors          []rowError `json:"Errors"`
	BatchErrors     []rowError `json:"BatchErrors"`
}

// faultOf reads a body. ok is false for what is no JSON object.
func faultOf(body []byte) (f fault, ok bool) {
	text := strings.TrimSpace(string(body))
	if text == "" {
		return f, true
	}
	if !strings.HasPrefix(text, "{") || !json.Valid(body) {
		return f, false
	}
	_ = json.Unmarshal(body, &f) // a field of another form counts as none
	return f, true
}

// all are the errors of it, whatever list they are in.
func (f fault) all() []rowError { return slices.Concat(f.Errors, f.OperationErrors, f.BatchErrors) }

// classify finds the class of an answer that is none of success, and the error that
// it comes from.
func classify(status int, f fault, isObject bool) (class, rowError) {
	has := func(codes ...int) (rowError, bool) {
		i := slices.IndexFunc(f.all(), func(e rowError) bool { return slices.Contains(codes, e.Code) })
		if i < 0 {
			return rowError{Code: -1}, false
		}
		return f.all()[i], true
	}
	if e, ok := has(authCodes...); ok {
		return classAuth, e
	}
	if e, ok := has(waitCodes...); ok {
		return classThrottle, e
	}
	if e, ok := has(permissionCodes...); ok {
		return classPermission, e
	}
	first := rowError{Code: -1}
	if all := f.all(); len(all) > 0 {
		first = all[0]
	}
	switch {
	case status == http.StatusUnauthorized:
		return classAuth, first
	case status == http.StatusTooManyRequests:
		return classThrottle, first
	case status == http.StatusForbidden:
		return classPermission, first
	case status >= 500, status == http.StatusRequestTimeout, !isObject, len(f.all()) > 0 && first.internal():
		return classUnavailable, first
	case status/100 == 3:
		return classSettings, first
	}
	return classRequest, first
}

// answered is the error of a class with what the answer said of itself. Microsoft's
// word for the error stays in the message, what it quotes does not.
func answered(c class, status int, e rowError) *activation.Error {
	said := []string{"HTTP status " + strconv.Itoa(status)}
	if e.Code > 0 {
		said = append(said, "code "+strconv.Itoa(e.Code))
	}
	if word := provider.OnlyOf(e.ErrorCode, 100, provider.UpperCase, provider.LowerCase, provider.Digits); word != "" {
		said = append(said, word)
	}
	err := c.New(said...)
	if c == classSettings {
		err.Field = campaignURLField
	}
	return err
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: classSettings.Code, Message: message, Field: field}
}
