package google

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// adsClass is one way an edit or a call of the Google Ads API can fail. Each has a
// page in docs/troubleshooting.
type adsClass struct {
	class
	// edit is what becomes of one edit that fails so while others of its call do not.
	edit provider.EditState
	// applied: when the whole call fails so, it may have taken effect.
	applied bool
}

func adsWhole(code string, kind activation.Kind, message string) adsClass {
	return adsClass{class: provider.Fails(code, kind, message), edit: provider.EditLater}
}

func adsRefuses(code, message string) adsClass {
	// A call of several edits that says so without naming one is halved.
	return adsClass{class: provider.Fails(code, activation.RefusedWhole, message), edit: provider.EditRefused}
}

// What is not the fault of one edit: the others of the account would fail as well.
var (
	adsAuth       = adsWhole("GADS-AUTH", activation.Unauthorized, "google ads does not accept the access token: connect again")
	adsScopeClass = adsWhole("GADS-SCOPE", activation.Invalid, "the connection does not include google ads: connect again, and agree to google ads too")
	adsProject    = adsWhole("GADS-PROJECT", activation.Invalid, "this google project may not use the google ads api")
	adsPermission = adsWhole("GADS-PERMISSION", activation.Invalid, "google ads shows no such account to these credentials, or they may not do this: check the account, the manager account and the user's role")
	adsAccount    = adsWhole("GADS-ACCOUNT", activation.Invalid, "google ads does not take edits of this account in its present state")
	adsPolitical  = adsWhole("GADS-POLITICAL", activation.Invalid, "google ads takes no edits of this account until somebody declares there whether its campaigns have political advertising in the european union")
	adsQuota      = adsWhole("GADS-QUOTA", activation.WaitUntil, "the google project or the account has used up its calls")
	adsBusy       = adsWhole("GADS-BUSY", activation.Unavailable, "google ads was changing the same thing at that moment")
	adsDown       = adsClass{provider.Fails("GADS-UNAVAILABLE", activation.Unavailable, "google ads is not working as it should"), provider.EditUnknown, true}
	adsAnswer     = adsClass{provider.Fails("GADS-ANSWER", activation.Unavailable, "google ads answered in a way that cannot be understood"), provider.EditUnknown, true}
	adsRequest    = adsWhole("GADS-REQUEST", activation.Invalid, "google ads refuses the request")
	adsSettings   = adsWhole("GADS-SETTINGS", activation.Invalid, "a setting is wrong")
	adsTogether   = adsWhole("GADS-TOGETHER", activation.Unavailable, "another edit of the same call was refused, and they are made together or not at all")
)

// What is the fault of one edit.
var (
	adsEdit   = adsRefuses("GADS-EDIT", "google ads refuses the edit")
	adsName   = adsRefuses("GADS-NAME", "there is another one of that name, or such a one already")
	adsGone   = adsRefuses("GADS-GONE", "it is not there any more")
	adsAmount = adsRefuses("GADS-AMOUNT", "google ads does not take the amount")
	adsBudget = adsRefuses("GADS-BUDGET", "the budget can't be set this way")
	adsPolicy = adsRefuses("GADS-POLICY", "google's policies do not allow it")
	adsLimit  = adsRefuses("GADS-LIMIT", "the account has as many as it may")
	adsNeeds  = adsRefuses("GADS-NEEDS", "what it needs was refused in the same call")
)

var adsClasses = []adsClass{
	adsAuth, adsScopeClass, adsProject, adsPermission, adsAccount, adsPolitical, adsQuota, adsBusy, adsDown, adsAnswer, adsRequest, adsSettings, adsTogether,
	adsEdit, adsName, adsGone, adsAmount, adsBudget, adsPolicy, adsLimit, adsNeeds,
}

// AdsCodes are the codes of errors and outcomes about campaigns.
func AdsCodes() []string {
	out := make([]string, len(adsClasses))
	for i, c := range adsClasses {
		out[i] = c.Code
	}
	return out
}

// adsCodes are the error codes that say more than their family
// (docs/best-practices/error-types and the definitions of v25).
var adsCodes = map[string]adsClass{
	"authenticationError.CUSTOMER_NOT_FOUND":                                       adsPermission,
	"authenticationError.CLIENT_CUSTOMER_ID_INVALID":                               adsPermission,
	"authenticationError.NOT_ADS_USER":                                             adsPermission,
	"authenticationError.DEVELOPER_TOKEN_INVALID":                                  adsProject,
	"authenticationError.ORGANIZATION_NOT_RECOGNIZED":                              adsProject,
	"authenticationError.ORGANIZATION_NOT_APPROVED":                                adsProject,
	"authenticationError.ORGANIZATION_NOT_ASSOCIATED_WITH_DEVELOPER_TOKEN":         adsProject,
	"authorizationError.PROJECT_DISABLED":                                          adsProject,
	"authorizationError.DEVELOPER_TOKEN_NOT_ON_ALLOWLIST":                          adsProject,
	"authorizationError.DEVELOPER_TOKEN_PROHIBITED":                                adsProject,
	"authorizationError.DEVELOPER_TOKEN_NOT_APPROVED":                              adsProject,
	"authorizationError.CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION":                 adsProject,
	"authorizationError.CLOUD_PROJECT_NOT_UNDER_ORGANIZATION":                      adsProject,
	"authorizationError.CUSTOMER_NOT_ENABLED":                                      adsAccount,
	"authorizationError.INCOMPLETE_SIGNUP":                                         adsAccount,
	"authorizationError.MISSING_TOS":                                               adsAccount,
	"authorizationError.ACCESS_DENIED_FOR_ACCOUNT_TYPE":                            adsAccount,
	"authorizationError.ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT":                adsAccount,
	"operationAccessDeniedError.MUTATE_NOT_PERMITTED_FOR_CUSTOMER":                 adsAccount,
	"operationAccessDeniedError.OPERATION_NOT_PERMITTED_FOR_REMOVED_RESOURCE":      adsGone,
	"contextError.OPERATION_NOT_PERMITTED_FOR_REMOVED_RESOURCE":                    adsGone,
	"adGroupAdError.CANNOT_OPERATE_ON_REMOVED_ADGROUPAD":                           adsGone,
	"campaignBudgetError.CAMPAIGN_BUDGET_REMOVED":                                  adsGone,
	"mutateError.RESOURCE_NOT_FOUND":                                               adsGone,
	"requestError.RESOURCE_NOT_FOUND":                                              adsGone,
	"idError.NOT_FOUND":                                                            adsGone,
	"mutateError.EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED":                    adsPolitical,
	"mutateError.RESOURCE_ALREADY_EXISTS":                                          adsName,
	"mutateError.ID_EXISTS_IN_MULTIPLE_MUTATES":                                    adsRequest,
	"mutateError.OPERATION_DOES_NOT_SUPPORT_PARTIAL_FAILURE":                       adsRequest,
	"mutateError.RESOURCE_DOES_NOT_SUPPORT_VALIDATE_ONLY":                          adsRequest,
	"campaignError.DUPLICATE_CAMPAIGN_NAME":                                        adsName,
	"campaignBudgetError.DUPLICATE_NAME":                                           adsName,
	"adGroupError.DUPLICATE_ADGROUP_NAME":                                          adsName,
	"campaignCriterionError.CANNOT_ADD_EXISTING_FIELD":                             adsName,
	"campaignBudgetError.MONEY_AMOUNT_IN_WRONG_CURRENCY":                           adsAmount,
	"campaignBudgetError.MONEY_AMOUNT_LESS_THAN_CURRENCY_MINIMUM_CPC":              adsAmount,
	"campaignBudgetError.MONEY_AMOUNT_TOO_LARGE":                                   adsAmount,
	"campaignBudgetError.NEGATIVE_MONEY_AMOUNT":                                    adsAmount,
	"campaignBudgetError.NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT":                    adsAmount,
	"campaignBudgetError.BUDGET_BELOW_PER_DAY_MINIMUM":                             adsAmount,
	"adGroupError.BID_TOO_BIG":                                                     adsAmount,
	"biddingError.BID_TOO_SMALL":                                                   adsAmount,
	"biddingError.BID_TOO_BIG":                                                     adsAmount,
	"biddingError.INVALID_BID":                                                     adsAmount,
	"biddingError.BID_TOO_MANY_FRACTIONAL_DIGITS":                                  adsAmount,
	"campaignError.BUDGET_CANNOT_BE_SHARED":                                        adsBudget,
	"campaignError.CAMPAIGN_CANNOT_USE_SHARED_BUDGET":                              adsBudget,
	"campaignError.CANNOT_USE_SHARED_CAMPAIGN_BUDGET_WHILE_PART_OF_CAMPAIGN_GROUP": adsBudget,
	"databaseError.CONCURRENT_MODIFICATION":                                        adsBusy,
	"databaseError.REQUEST_TOO_LARGE":                                              adsRequest,
	"databaseError.DATA_CONSTRAINT_VIOLATION":                                      adsEdit,
	"internalError.TRANSIENT_ERROR":                                                adsDown,
	"internalError.INTERNAL_ERROR":                                                 adsDown,
	"internalError.DEADLINE_EXCEEDED":                                              adsDown,
	"requestError.RPC_DEADLINE_TOO_SHORT":                                          adsDown,
	"newResourceCreationError.TEMP_ID_RESOURCE_HAD_ERRORS":                         adsNeeds,
	"requestError.IMMUTABLE_FIELD":                                                 adsEdit,
	"requestError.CANNOT_MODIFY_FOREIGN_FIELD":                                     adsEdit,
	"requestError.REQUIRED_FIELD_MISSING":                                          adsEdit,
	"requestError.INVALID_ENUM_VALUE":                                              adsEdit,
	"requestError.RESOURCE_NAME_MALFORMED":                                         adsEdit,
	"requestError.BAD_RESOURCE_ID":                                                 adsEdit,
	"requestError.INVALID_CUSTOMER_ID":                                             adsPermission,
	"requestError.LOGIN_CUSTOMER_ID_PARAMETER_MISSING":                             adsPermission,
	"requestError.CANNOT_BE_EXECUTED_BY_MANAGER_ACCOUNT":                           adsAccount,
	"requestError.DEVELOPER_TOKEN_PARAMETER_MISSING":                               adsProject,
	"requestError.CLOUD_PROJECT_NOT_FOUND":                                         adsProject,
	"queryError.REQUESTED_METRICS_FOR_MANAGER":                                     adsAccount,
	"resourceCountLimitExceededError.RESPONSE_ROW_LIMIT_EXCEEDED":                  adsRequest,
}

// adsFamilies are the families of error codes. Others are about the edit.
var adsFamilies = map[string]adsClass{
	"authenticationError":             adsAuth,
	"authorizationError":              adsPermission,
	"headerError":                     adsPermission,
	"resourceAccessDeniedError":       adsPermission,
	"notAllowlistedError":             adsAccount,
	"quotaError":                      adsQuota,
	"internalError":                   adsDown,
	"campaignBudgetError":             adsBudget,
	"policyFindingError":              adsPolicy,
	"policyViolationError":            adsPolicy,
	"policyValidationParameterError":  adsPolicy,
	"resourceCountLimitExceededError": adsLimit,
	"requestError":                    adsRequest,
	"queryError":                      adsRequest,
	"changeEventError":                adsRequest,
	"sizeLimitError":                  adsRequest,
	"fieldMaskError":                  adsRequest,
}

// adsFault is the error object of an answer. What is in its texts is shown of edits
// alone, since those name nobody.
type adsFault struct {
	Code    int               `json:"code"`
	Status  string            `json:"status"`
	Details []json.RawMessage `json:"details"`

	errors  []adsError
	reason  string // of ErrorInfo
	request string
	retry   time.Duration
}

// adsError is one error of a GoogleAdsFailure.
type adsError struct {
	family, code, message string
	retry                 time.Duration
	// operation is the index of the operation at fault, -1 = it names none.
	operation int
	path      []pathElement
}

type pathElement struct {
	Name  string `json:"fieldName"`
	Index *int   `json:"index"`
}

// open reads the details.
func (f *adsFault) open() {
	for _, raw := range f.Details {
		var d struct {
			Type      string `json:"@type"`
			Reason    string `json:"reason"`
			Delay     string `json:"retryDelay"`
			RequestID string `json:"requestId"`
			Errors    []struct {
				Code     map[string]string `json:"errorCode"`
				Message  string            `json:"message"`
				Location struct {
					Path []pathElement `json:"fieldPathElements"`
				} `json:"location"`
				Details struct {
					Quota struct {
						Delay string `json:"retryDelay"`
					} `json:"quotaErrorDetails"`
				} `json:"details"`
			} `json:"errors"`
		}
		if json.Unmarshal(raw, &d) != nil {
			continue
		}
		f.request = first(f.request, d.RequestID)
		switch {
		case strings.HasSuffix(d.Type, ".errors.GoogleAdsFailure"):
			for _, e := range d.Errors {
				one := adsError{message: e.Message, retry: delay(e.Details.Quota.Delay), operation: -1, path: e.Location.Path}
				for family, code := range e.Code { // there is one
					one.family, one.code = family, code
				}
				if len(one.path) > 0 && one.path[0].Name == "mutate_operations" && one.path[0].Index != nil {
					one.operation = *one.path[0].Index
				}
				f.retry = max(f.retry, one.retry)
				f.errors = append(f.errors, one)
			}
		case strings.HasSuffix(d.Type, ".ErrorInfo"):
			f.reason = d.Reason
		case strings.HasSuffix(d.Type, ".RetryInfo"):
			f.retry = max(f.retry, delay(d.Delay))
		}
	}
}

// delay reads a duration; a day is the most, 0 = none.
func delay(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0
	}
	return min(d, 24*time.Hour)
}

func (e adsError) class() adsClass {
	if c, ok := adsCodes[e.family+"."+e.code]; ok {
		return c
	}
	if c, ok := adsFamilies[e.family]; ok {
		return c
	}
	return adsEdit
}

// word is the error's code in Google's words, "" for what can be none.
func (e adsError) word() string {
	if word(e.code) == "" || !isFamily(e.family) {
		return ""
	}
	return e.family + "." + e.code
}

func isFamily(s string) bool {
	return s != "" && len(s) < 80 && !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) })
}

// maxText is how much of Google's own words is kept of an edit that is refused.
const maxText = 500

// text is the error in Google's own words.
func (e adsError) text() string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(e.message, " "))
	if long := []rune(text); len(long) > maxText {
		text = string(long[:maxText]) + "…"
	}
	return strings.Trim(e.word()+": "+strings.TrimSpace(text), ": ")
}

// adsStates are the canonical codes, for errors without a GoogleAdsFailure.
var adsStates = map[string]adsClass{
	"UNAUTHENTICATED":    adsAuth,
	"PERMISSION_DENIED":  adsPermission,
	"NOT_FOUND":          adsRequest,
	"INVALID_ARGUMENT":   adsRequest,
	"UNIMPLEMENTED":      adsRequest,
	"RESOURCE_EXHAUSTED": adsQuota,
	"UNAVAILABLE":        adsDown,
	"DEADLINE_EXCEEDED":  adsDown,
	"INTERNAL":           adsDown,
	"UNKNOWN":            adsDown,
	"ABORTED":            adsBusy,
	"CANCELLED":          adsDown,
}

// adsReasons are those of the front end that checks tokens and projects.
var adsReasons = map[string]adsClass{
	"ACCESS_TOKEN_SCOPE_INSUFFICIENT": adsScopeClass,
	"SERVICE_DISABLED":                adsProject,
	"CONSUMER_INVALID":                adsProject,
	"CONSUMER_SUSPENDED":              adsProject,
}

// classify finds the class of a call that failed as a whole: by the code of its
// first error, or of one by which it may have taken effect, then by what the front end says, then by the canonical code. isObject
// says that the answer could be read.
func (f *adsFault) classify(status int, isObject bool) adsClass {
	if c, ok := adsReasons[f.reason]; ok {
		return c
	}
	for _, e := range f.errors {
		if c := e.class(); c.applied {
			return c
		}
	}
	if len(f.errors) > 0 {
		return f.errors[0].class()
	}
	if c, ok := adsStates[f.Status]; ok {
		return c
	}
	switch c := classOfStatus(status, isObject); c {
	case classAnswer:
		return adsAnswer
	case classAuth:
		return adsAuth
	case classPermission:
		return adsPermission
	case classQuota:
		return adsQuota
	case classUnavailable:
		return adsDown
	case classSettings:
		return adsSettings
	}
	return adsRequest
}

// whole makes the error of a call that failed so as a whole. The message has Google's
// words for it, never its texts.
func (c adsClass) whole(f adsFault) *activation.Error {
	said := word(first(f.reason, f.Status))
	if len(f.errors) > 0 {
		said = f.errors[0].word()
	}
	err := c.New()
	switch {
	case said != "":
		err = c.New(said)
	case f.Code > 0:
		err = c.New("HTTP status " + strconv.Itoa(f.Code))
	}
	err.RequestID = safeID(f.request)
	return err
}

// until is when calls are taken again.
func (c *campaigns) until(f adsFault, h http.Header) time.Time {
	if f.retry > 0 {
		return c.now().Add(f.retry)
	}
	if until, ok := outbound.RetryAfter(h, c.now()); ok {
		return until
	}
	for _, e := range f.errors {
		if e.code == "RESOURCE_EXHAUSTED" || e.code == "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION" {
			return c.now().Add(dayWait)
		}
	}
	return c.now().Add(minuteWait)
}

func adsInvalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: adsSettings.Code, Message: message, Field: field}
}
