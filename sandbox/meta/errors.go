package meta

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an answer in the Graph API's error envelope.
type apiError struct {
	status    int
	typ       string
	code      int
	subcode   int
	transient bool
	message   string
	title     string
	detail    string
	blamed    string // parameter at fault
}

// useCase is what a call counts for, and the code of its limit (error reference).
type useCase struct {
	name string
	code int
}

// useCaseOf is that of an operation.
func useCaseOf(op string) useCase {
	switch {
	case op == opInsights:
		return useCase{"ads_insights", 80000}
	case op == opNodeRead, op == opBatchRead, changesCampaigns(op), strings.HasSuffix(op, suffixList):
		return useCase{"ads_management", 80004}
	}
	return useCase{"custom_audience", 80003}
}

func invalidParam(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, typ: "OAuthException", code: 100, message: "(#100) " + message}
}

func missingParam(name string) *apiError {
	return invalidParam(fmt.Sprintf("The parameter %s is required", name))
}

func noSuchObject(id string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, typ: "GraphMethodException", code: 100, subcode: 33,
		message: fmt.Sprintf("There is no object %s for this token, or it does not do this.", id),
	}
}

func unknownPath() *apiError {
	return &apiError{status: http.StatusBadRequest, typ: "OAuthException", code: 2500, message: "Unknown path components"}
}

func noPermission() *apiError {
	return &apiError{status: http.StatusForbidden, typ: "OAuthException", code: 200, message: "(#200) The token lacks the ads_management permission"}
}

func termsPending() *apiError {
	return &apiError{
		status: http.StatusForbidden, typ: "OAuthException", code: 200, subcode: 1870034, message: "Permissions error",
		title: "Custom Audience terms not accepted", detail: "Accept the Custom Audience terms before you create or edit an audience.",
	}
}

func flagged() *apiError {
	return &apiError{
		status: http.StatusBadRequest, typ: "OAuthException", code: 100, subcode: 1713230, message: "Invalid parameter",
		title: "Audience upload blocked", detail: "This audience was flagged for review. People cannot be added or removed.",
	}
}

// replacing is the answer while another session replaces the audience. Which code
// it has is not published; this is that of every update that does not succeed.
func replacing() *apiError {
	return &apiError{
		status: http.StatusBadRequest, typ: "OAuthException", code: 2650, message: "(#2650) Failed to update the custom audience",
		title: "Audience update in progress", detail: "The audience is being replaced. Wait until its session is over.",
	}
}

func throttled(status int, op string) *apiError {
	if status == 0 {
		status = http.StatusBadRequest
	}
	code := useCaseOf(op).code
	return &apiError{
		status: status, typ: "OAuthException", code: code,
		message: fmt.Sprintf("(#%d) The calls of this ad account are used up for now.", code),
	}
}

func badToken(subcode int) *apiError {
	reasons := map[int]string{
		458: "the app is not installed",
		459: "somebody must pass a checkpoint",
		460: "the password has changed",
		463: "the time is over",
		464: "the person is not confirmed",
		467: "the session is over",
	}
	reason, ok := reasons[subcode]
	if !ok {
		reason = "it is none"
	}
	return &apiError{status: http.StatusUnauthorized, typ: "OAuthException", code: 190, subcode: subcode, message: "The access token is not good: " + reason}
}

func badProof() *apiError {
	return &apiError{status: http.StatusBadRequest, typ: "OAuthException", code: 104, message: "The appsecret_proof is not good"}
}

func tooLarge(maxBytes int64) *apiError {
	e := invalidParam(fmt.Sprintf("The request body is larger than %d bytes", maxBytes))
	e.status = http.StatusRequestEntityTooLarge
	return e
}

func unknownError(status int) *apiError {
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	return &apiError{status: status, typ: "OAuthException", code: 2, transient: true, message: "Out of order for a moment."}
}

// envelope is the JSON form of the error.
func (e *apiError) envelope(trace string) map[string]any {
	body := map[string]any{
		"message": e.message, "type": e.typ, "code": e.code,
		"is_transient": e.transient, "fbtrace_id": trace,
	}
	if e.subcode != 0 {
		body["error_subcode"] = e.subcode
	}
	if e.title != "" {
		body["error_user_title"], body["error_user_msg"] = e.title, e.detail
	}
	if e.blamed != "" {
		body["error_data"] = map[string]any{"blame_field_specs": [][]string{{e.blamed}}}
	}
	return map[string]any{"error": body}
}
