package google

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Violation is one thing that is wrong with a request (google.rpc.BadRequest).
type Violation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
	Reason      string `json:"reason"`
}

// apiError is an answer in the error envelope of Google's APIs
// (data-manager/api/devguides/concepts/understand-errors).
type apiError struct {
	status     int
	state      string // the canonical code by name
	reason     string // of ErrorInfo
	message    string
	violations []Violation
	retry      time.Duration     // of RetryInfo, 0 = none
	metadata   map[string]string // of ErrorInfo
}

// states are the canonical codes by HTTP status.
var states = map[int]string{
	http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED",
	http.StatusNotFound: "NOT_FOUND", http.StatusConflict: "ABORTED", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED",
	http.StatusInternalServerError: "INTERNAL", http.StatusServiceUnavailable: "UNAVAILABLE", http.StatusGatewayTimeout: "DEADLINE_EXCEEDED",
}

func failure(status int, reason, message string) *apiError {
	state, ok := states[status]
	if !ok {
		state = "UNKNOWN"
	}
	return &apiError{status: status, state: state, reason: reason, message: message}
}

// refused is a whole request refused for these reasons: nothing of it is done.
func refused(wrong ...Violation) *apiError {
	e := failure(http.StatusBadRequest, "INVALID_ARGUMENT", "The request is refused whole.")
	e.violations = wrong
	if len(wrong) > 0 {
		e.reason = wrong[0].Reason
	}
	return e
}

func violation(field, reason, description string) Violation {
	return Violation{Field: field, Reason: reason, Description: description}
}

func notFound() *apiError {
	return failure(http.StatusNotFound, "NOT_FOUND", "There is no such resource.")
}

func denied() *apiError {
	return failure(http.StatusForbidden, "PERMISSION_DENIED", "There is no such resource for this caller.")
}

func unauthenticated(reason string) *apiError {
	return failure(http.StatusUnauthorized, reason, "The access token is missing or not good.")
}

func exhausted(bucket string, retry time.Duration) *apiError {
	e := failure(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "The quota is used up.")
	e.retry = retry
	if bucket != "" {
		e.metadata = map[string]string{"quota_limit": bucket}
	}
	return e
}

const rpc = "type.googleapis.com/google.rpc."

// envelope is the JSON form of the error.
func (e *apiError) envelope(request string) map[string]any {
	metadata := map[string]string{"requestId": request}
	for k, v := range e.metadata {
		metadata[k] = v
	}
	details := []any{
		map[string]any{"@type": rpc + "ErrorInfo", "reason": e.reason, "domain": "datamanager.googleapis.com", "metadata": metadata},
		map[string]any{"@type": rpc + "RequestInfo", "requestId": request},
	}
	if len(e.violations) > 0 {
		details = append(details, map[string]any{"@type": rpc + "BadRequest", "fieldViolations": e.violations})
	}
	if e.retry > 0 {
		details = append(details, map[string]any{"@type": rpc + "RetryInfo", "retryDelay": strconv.FormatInt(int64(e.retry/time.Second), 10) + "s"})
	}
	return map[string]any{"error": map[string]any{"code": e.status, "message": e.message, "status": e.state, "details": details}}
}

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
