package linkedin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// class is one way a call can fail: what to do, and what it is called. Each has
// a page in docs/troubleshooting.
type class = provider.Failure

var (
	classAuth        = provider.Fails("LINKEDIN-AUTH", activation.Unauthorized, "linkedin does not accept the access token: connect again")
	classPermission  = provider.Fails("LINKEDIN-PERMISSION", activation.Invalid, "the token may not do this: check its scopes, the app's products and the member's role on the ad account")
	classAccount     = provider.Fails("LINKEDIN-ACCOUNT", activation.Invalid, "linkedin shows no such ad account to this token: check the account id and the member's role on it")
	classVersion     = provider.Fails("LINKEDIN-VERSION", activation.Invalid, "linkedin does not serve this version of its API any more, or not yet: set another one")
	classThrottle    = provider.Fails("LINKEDIN-THROTTLE", activation.WaitUntil, "linkedin asks for fewer calls")
	classPending     = provider.Fails("LINKEDIN-PENDING", activation.WaitUntil, "the segment is new and not ready for people yet")
	classUnavailable = provider.Fails("LINKEDIN-UNAVAILABLE", activation.Unavailable, "linkedin is not working as it should")
	classAnswer      = provider.Fails("LINKEDIN-ANSWER", activation.Unavailable, "linkedin answered in a way that cannot be understood")
	classConflict    = provider.Fails("LINKEDIN-CONFLICT", activation.Unavailable, "linkedin refused the change twice because of another one at the same time")
	classGone        = provider.Fails("LINKEDIN-GONE", activation.Gone, "the segment does not exist any more")
	classSegment     = provider.Fails("LINKEDIN-SEGMENT", activation.Invalid, "the segment cannot be used by campaigns any more: delete it in Campaign Manager and a new one is made")
	classRule        = provider.Fails("LINKEDIN-RULE", activation.Invalid, "the conversion rule takes no events: it must belong to the ad account, be enabled and have the method Conversions API")
	classData        = provider.Fails("LINKEDIN-DATA", activation.RefusedWhole, "linkedin refuses the batch and does not say which row is wrong")
	classSize        = provider.Fails("LINKEDIN-SIZE", activation.RefusedWhole, "the batch is larger than one request may be")
	classRequest     = provider.Fails("LINKEDIN-REQUEST", activation.Invalid, "linkedin refuses the request")
	classSettings    = provider.Fails("LINKEDIN-SETTINGS", activation.Invalid, "a setting is wrong")
)

// codeRow is the code of a row that LinkedIn refused by its place, or that it
// could only have refused.
const codeRow = "LINKEDIN-ROW"

// envelope is LinkedIn's error object. Its message is not kept: it may repeat
// values that were sent.
type envelope struct {
	Service int    `json:"serviceErrorCode"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The serviceErrorCodes of tokens
// (shared/authentication/token-introspection, error handling).
const (
	serviceInvalid = 65600
	serviceRevoked = 65601
	serviceExpired = 65602
)

// stale reports whether another token may do: this one is not known or over, but
// nobody has withdrawn consent.
func (e envelope) stale() bool {
	return e.Service != serviceRevoked && e.Code != "REVOKED_ACCESS_TOKEN"
}

var (
	// tokenCodes and brokenCodes are error codes that say more than their status.
	tokenCodes  = []string{"INVALID_ACCESS_TOKEN", "EXPIRED_ACCESS_TOKEN", "REVOKED_ACCESS_TOKEN"}
	brokenCodes = []string{"INTERNAL_ERROR", "TIMEOUT", "UNDER_MAINTENANCE"}
	// dataCodes are about what was sent (shared/api-guide/concepts/error-handling).
	dataCodes = []string{"MISSING_FIELD", "FIELD_VALUE_TOO_HIGH", "FIELD_VALUE_TOO_LOW", "STATUS_CHANGE_NOT_ALLOWED", "MULTIPLE_VALIDATIONS_FAILED"}
)

// classify finds the class of an answer that is none of success. isObject tells
// a JSON object, or nothing at all, from a page of some machine in between.
func classify(status int, e envelope, isObject bool) class {
	token := e.Service >= serviceInvalid && e.Service <= serviceExpired || slices.Contains(tokenCodes, e.Code)
	switch {
	case status == http.StatusTooManyRequests:
		return classThrottle
	case status/100 == 3:
		return classSettings
	case !isObject, status >= 500, status == http.StatusRequestTimeout, slices.Contains(brokenCodes, e.Code):
		return classUnavailable
	case token, status == http.StatusUnauthorized:
		return classAuth
	case status == http.StatusUpgradeRequired:
		return classVersion
	case status == http.StatusMethodNotAllowed, status == http.StatusLengthRequired:
		return classRequest // our fault
	case slices.Contains(dataCodes, e.Code):
		return classData
	case status == http.StatusForbidden, strings.HasPrefix(e.Code, "NO_PERMISSION_ON_"), strings.HasSuffix(e.Code, "_NOT_ALLOWED"):
		return classPermission
	case status == http.StatusNotFound:
		return classGone // settled by whoever asked
	case status == http.StatusConflict, status == http.StatusPreconditionFailed, e.Code == "CONFLICT", e.Code == "PRECONDITION_FAILED":
		return classConflict
	case status == http.StatusRequestEntityTooLarge:
		return classSize
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		return classData
	}
	return classRequest
}

// envelopeOf reads a body. ok is false for what is neither a JSON object nor
// nothing.
func envelopeOf(body []byte) (e envelope, ok bool) {
	text := strings.TrimSpace(string(body))
	if text == "" {
		return e, true
	}
	if !strings.HasPrefix(text, "{") || !json.Valid(body) {
		return e, false
	}
	_ = json.Unmarshal(body, &e) // a field of another form counts as none
	return e, true
}

// failure is the error of a class with what the answer said of itself. The code and
// the numbers stay in the message.
func failure(c class, status int, e envelope) *activation.Error {
	said := []string{"HTTP status " + strconv.Itoa(status)}
	if e.Service != 0 {
		said = append(said, "service error "+strconv.Itoa(e.Service))
	}
	if word := provider.OnlyOf(e.Code, 64, provider.UpperCase, provider.Digits, "_"); word != "" && !digits(word) {
		said = append(said, "code "+word)
	}
	err := c.New(said...)
	if c == classVersion {
		err.Field = versionField
	}
	if c == classSettings {
		err.Field = "base_url"
	}
	return err
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: classSettings.Code, Message: message, Field: field}
}

// safeID returns id if it can be nothing but an id.
func safeID(id string) string {
	return provider.OnlyOf(id, 64, provider.UpperCase, provider.LowerCase, provider.Digits, "_-/+=")
}
