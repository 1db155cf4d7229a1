package google

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// class is one way a call or a row can fail: what to do, and what it is called.
// Each has a page in docs/troubleshooting.
type class = provider.Failure

// What becomes of a call.
var (
	classAuth        = provider.Fails("GOOGLE-AUTH", activation.Unauthorized, "google does not accept the access token: connect again")
	classProject     = provider.Fails("GOOGLE-PROJECT", activation.Unauthorized, "this google project may not use the data manager api: switch it on, or connect with an app whose project may")
	classPermission  = provider.Fails("GOOGLE-PERMISSION", activation.Invalid, "google shows no such account to these credentials, or they may not do this: check the account, the manager account and the user's role")
	classTerms       = provider.Fails("GOOGLE-TERMS", activation.Invalid, "terms of google have not been accepted for this account")
	classPolicy      = provider.Fails("GOOGLE-POLICY", activation.Invalid, "google does not let this account do this")
	classDestination = provider.Fails("GOOGLE-DESTINATION", activation.Invalid, "google does not take this account, list or conversion action together")
	classClosed      = provider.Fails("GOOGLE-CLOSED", activation.Invalid, "the list is closed and takes nobody in: open it in google ads")
	classGone        = provider.Fails("GOOGLE-GONE", activation.Gone, "the list does not exist any more")
	classQuota       = provider.Fails("GOOGLE-QUOTA", activation.WaitUntil, "the google project has used up its calls")
	classUnavailable = provider.Fails("GOOGLE-UNAVAILABLE", activation.Unavailable, "google is not working as it should")
	classAnswer      = provider.Fails("GOOGLE-ANSWER", activation.Unavailable, "google answered in a way that cannot be understood")
	classData        = provider.Fails("GOOGLE-DATA", activation.RefusedWhole, "google refuses the request and does not say which row is wrong")
	classSize        = provider.Fails("GOOGLE-SIZE", activation.RefusedWhole, "the batch is larger than one request may be")
	className        = provider.Fails("GOOGLE-NAME", activation.Invalid, "the account has another list of this name")
	classRequest     = provider.Fails("GOOGLE-REQUEST", activation.Invalid, "google refuses the request")
	classSettings    = provider.Fails("GOOGLE-SETTINGS", activation.Invalid, "a setting is wrong")
)

// What becomes of a row.
var (
	classFormat     = provider.Failure{Code: "GOOGLE-FORMAT", Message: "google does not take a value of the row"}
	classNoKey      = provider.Failure{Code: "GOOGLE-NOKEY", Message: "the row has nothing by which google could match it"}
	classTime       = provider.Failure{Code: "GOOGLE-TIME", Message: "the time of the conversion is none, or outside of what google takes"}
	classCurrency   = provider.Failure{Code: "GOOGLE-CURRENCY", Message: "google does not know the currency"}
	classConsent    = provider.Failure{Code: "GOOGLE-CONSENT", Message: "the person's consent is denied or missing"}
	classClick      = provider.Failure{Code: "GOOGLE-CLICK", Message: "google does not know the click"}
	classRecent     = provider.Failure{Code: "GOOGLE-RECENT", Message: "the click or the conversion action is too new"}
	classProcessing = provider.Failure{Code: "GOOGLE-PROCESSING", Message: "google could not process the rows"}
)

// classes lists them all, in the order of the docs.
var classes = []class{
	classAuth, classProject, classPermission, classTerms, classPolicy, classDestination, classClosed, classGone, classQuota,
	classUnavailable, classAnswer, classData, classSize, className, classRequest, classSettings,
	classFormat, classNoKey, classTime, classCurrency, classConsent, classClick, classRecent, classProcessing,
}

// Codes are the codes of the errors and rows this provider returns.
func Codes() []string { return provider.Codes(classes) }

// reasons are those of reference/rest/v1/ErrorReason that say more than the
// canonical code, and of the front end that checks tokens.
var reasons = map[string]class{
	"ACCESS_TOKEN_SCOPE_INSUFFICIENT": classAuth,
	"SERVICE_DISABLED":                classProject,
	"CONSUMER_INVALID":                classProject,
	"CONSUMER_SUSPENDED":              classProject,
	"BILLING_DISABLED":                classProject,

	"PERMISSION_DENIED":                         classPermission,
	"DATA_PARTNER_USER_LIST_MUTATE_NOT_ALLOWED": classPermission,
	"OWNERSHIP_REQUIRED_FOR_UPDATE":             classPermission,
	"CUSTOMER_NOT_ALLOWED_TO_CREATE_LICENSE":    classPermission,

	"TERMS_AND_CONDITIONS_NOT_SIGNED":                                classTerms,
	"ADVERTISER_TOS_NOT_ACCEPTED":                                    classTerms,
	"DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED":      classTerms,
	"DESTINATION_ACCOUNT_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS": classTerms,

	"NOT_ALLOWLISTED": classPolicy,
	"EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED":                  classPolicy,
	"ADVERTISER_NOT_ALLOWLISTED_FOR_UPLOADED_DATA":                   classPolicy,
	"SENSITIVE_USER_LIST_IMMUTABLE":                                  classPolicy,
	"DESTINATION_ACCOUNT_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS": classPolicy,
	"ACCOUNT_INELIGIBLE_FOR_STORE_SALES":                             classPolicy,
	"USER_LIST_TYPE_NOT_SUPPORTED_FOR_ACCOUNT":                       classPolicy,

	"INVALID_DESTINATION":                                         classDestination,
	"INVALID_CONVERSION_ACTION_ID":                                classDestination,
	"INVALID_CONVERSION_ACTION_TYPE":                              classDestination,
	"INVALID_USER_LIST_TYPE":                                      classDestination,
	"USER_LIST_MUTATION_NOT_SUPPORTED":                            classDestination,
	"DESTINATION_ACCOUNT_TYPE_MISMATCH":                           classDestination,
	"OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH":                    classDestination,
	"LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT": classDestination,
	"UNSUPPORTED_OPERATING_ACCOUNT_FOR_DATA_PARTNER":              classDestination,
	"UNSUPPORTED_LINKED_ACCOUNT_FOR_DATA_PARTNER":                 classDestination,
	"EVENT_SOURCE_AND_DESTINATION_MISMATCH":                       classDestination,
	"MISMATCHED_ACCOUNT_TYPE":                                     classDestination,

	"INVALID_USER_LIST_ID": classGone, // settled by missing()
	"NOT_FOUND":            classGone,

	"RESOURCE_EXHAUSTED": classQuota,
	"INTERNAL_ERROR":     classUnavailable,
	"DEADLINE_EXCEEDED":  classUnavailable,

	"TOO_MANY_AUDIENCE_MEMBERS": classSize,
	"TOO_MANY_EVENTS":           classSize,

	"DISPLAY_NAME_ALREADY_USED": className,
	"ALREADY_EXISTS":            className,

	"INVALID_ENUM_VALUE":                           classRequest,
	"INVALID_REQUEST_ID":                           classRequest,
	"INVALID_RESOURCE_NAME":                        classRequest,
	"TOO_MANY_DESTINATIONS":                        classRequest,
	"DUPLICATE_DESTINATION_REFERENCE":              classRequest,
	"MULTIPLE_DATA_TYPES_NOT_ALLOWED":              classRequest,
	"MEMBERSHIP_DURATION_TOO_LONG":                 classRequest,
	"IMMUTABLE_FIELD_FOR_UPDATE":                   classRequest,
	"UNSUPPORTED_ACCOUNT_TYPES_FOR_USER_LIST_TYPE": classRequest,
}

// rowReasons are the reasons of a violation that names a row. Others are
// classFormat.
var rowReasons = map[string]class{
	"NO_IDENTIFIERS_PROVIDED": classNoKey,
	"EVENT_TIME_INVALID":      classTime,
	"INVALID_CURRENCY_CODE":   classCurrency,
}

// states are the canonical codes. HTTP statuses follow from them.
var states = map[string]class{
	"UNAUTHENTICATED":    classAuth,
	"PERMISSION_DENIED":  classPermission,
	"NOT_FOUND":          classGone,
	"RESOURCE_EXHAUSTED": classQuota,
	"UNAVAILABLE":        classUnavailable,
	"DEADLINE_EXCEEDED":  classUnavailable,
	"INTERNAL":           classUnavailable,
	"UNKNOWN":            classUnavailable,
	"ABORTED":            classUnavailable,
	"CANCELLED":          classUnavailable,
	"DATA_LOSS":          classUnavailable,
	"INVALID_ARGUMENT":   classData,
	"OUT_OF_RANGE":       classData,
	"ALREADY_EXISTS":     className,
}

// envelope is the error object of Google's APIs. Its texts are not read: they may
// repeat values that were sent.
type envelope struct {
	Code    int               `json:"code"`
	Status  string            `json:"status"`
	Details []json.RawMessage `json:"details"`

	reason     string // of ErrorInfo
	quota      string // which limit, of ErrorInfo
	request    string
	retry      time.Duration // of RetryInfo
	violations []fieldViolation
}

type fieldViolation struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// open reads the details.
func (e *envelope) open() {
	for _, raw := range e.Details {
		var d struct {
			Type       string            `json:"@type"`
			Reason     string            `json:"reason"`
			Metadata   map[string]string `json:"metadata"`
			RequestID  string            `json:"requestId"`
			Delay      string            `json:"retryDelay"`
			Violations []fieldViolation  `json:"fieldViolations"`
		}
		if json.Unmarshal(raw, &d) != nil {
			continue
		}
		switch d.Type[strings.LastIndexByte(d.Type, '.')+1:] {
		case "ErrorInfo":
			e.reason, e.quota = d.Reason, d.Metadata["quota_limit"]
			e.request = first(e.request, d.Metadata["requestId"])
		case "RequestInfo":
			e.request = first(d.RequestID, e.request)
		case "RetryInfo":
			if delay, err := time.ParseDuration(d.Delay); err == nil && delay > 0 {
				e.retry = min(delay, 24*time.Hour)
			}
		case "BadRequest":
			e.violations = append(e.violations, d.Violations...)
		}
	}
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// classify finds the class of an error: by the first reason that says more than
// the canonical code, then by that. A token that is refused comes before all,
// and nothing that came with 401 or 403 says that a list is gone.
func (e *envelope) classify(status int) class {
	if status == http.StatusUnauthorized || e.Status == "UNAUTHENTICATED" {
		return classAuth
	}
	said := []string{}
	for _, v := range e.violations {
		said = append(said, v.Reason)
	}
	for _, reason := range append(said, e.reason) {
		if c, ok := reasons[reason]; ok && (c != classGone || status != http.StatusForbidden) {
			return c
		}
	}
	if c, ok := states[e.Status]; ok && (c != classGone || status != http.StatusForbidden) {
		return c
	}
	return classOfStatus(status, true)
}

// classOfStatus is for answers without a readable error object.
func classOfStatus(status int, isObject bool) class {
	switch {
	case status/100 == 2:
		return classAnswer
	case status/100 == 3:
		return classSettings
	case status == http.StatusTooManyRequests:
		return classQuota
	case !isObject, status >= 500, status == http.StatusConflict: // a page of some machine in between
		return classUnavailable
	case status == http.StatusUnauthorized:
		return classAuth
	case status == http.StatusForbidden:
		return classPermission
	case status == http.StatusRequestEntityTooLarge:
		return classSize
	}
	return classRequest
}

var (
	rowPattern  = regexp.MustCompile(`(?:^|\.)(?:audience_members|audienceMembers|events)\[(\d{1,6})\]`)
	wordPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,99}$`)
)

// rows are the rows that the violations name, with what is wrong with each, of
// count rows that were sent; nil when one of them is not among those.
func (e *envelope) rows(count int) map[int]class {
	named := map[int]class{}
	for _, v := range e.violations {
		m := rowPattern.FindStringSubmatch(v.Field)
		if m == nil {
			continue
		}
		i, err := strconv.Atoi(m[1])
		if err != nil || i >= count {
			return nil
		}
		if _, told := named[i]; told {
			continue
		}
		named[i] = classFormat
		if c, ok := rowReasons[v.Reason]; ok {
			named[i] = c
		}
	}
	return named
}

// word returns a word of Google's that can be nothing but one, else "".
func word(s string) string {
	if wordPattern.MatchString(s) {
		return s
	}
	return ""
}

// failure makes the error of a class. The reason stays in the message.
func failure(c class, e envelope) *activation.Error {
	var said []string
	for _, v := range e.violations {
		if w := word(v.Reason); w != "" && !slices.Contains(said, w) && len(said) < 3 {
			said = append(said, w)
		}
	}
	if w := word(first(e.reason, e.Status)); w != "" && len(said) == 0 {
		said = append(said, w)
	}
	err := c.New(said...)
	err.RequestID = safeID(e.request)
	return err
}

// safeID returns id if it can be nothing but an id.
func safeID(id string) string {
	return provider.OnlyOf(id, 128, provider.UpperCase, provider.LowerCase, provider.Digits, "_-/+=:.")
}
