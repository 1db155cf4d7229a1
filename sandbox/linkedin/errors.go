package linkedin

import (
	"fmt"
	"net/http"
)

// apiError is an answer in LinkedIn's error envelope.
type apiError struct {
	status  int
	service int    // serviceErrorCode, 0 = none
	code    string // "" = none
	message string
}

// The service codes of tokens.
const (
	serviceInvalidToken = 65600
	serviceRevokedToken = 65601
	serviceExpiredToken = 65602
)

func badToken(service int) *apiError {
	texts := map[int][2]string{
		serviceInvalidToken: {"INVALID_ACCESS_TOKEN", "Invalid access token"},
		serviceRevokedToken: {"REVOKED_ACCESS_TOKEN", "The token was withdrawn"},
		serviceExpiredToken: {"EXPIRED_ACCESS_TOKEN", "The token is over"},
	}
	t, ok := texts[service]
	if !ok {
		t = texts[serviceInvalidToken]
	}
	return &apiError{status: http.StatusUnauthorized, service: service, code: t[0], message: t[1]}
}

func denied(what string) *apiError {
	return &apiError{status: http.StatusForbidden, service: 100, code: "ACCESS_DENIED", message: "The member may not reach " + what}
}

func notFound(what string) *apiError {
	return &apiError{status: http.StatusNotFound, code: "NOT_FOUND", message: what + " not found"}
}

func badRequest(format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "ILLEGAL_ARGUMENT", message: fmt.Sprintf(format, args...)}
}

func missingField(name string) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "MISSING_FIELD", message: "The field " + name + " is required"}
}

func throttled(what string) *apiError {
	return &apiError{status: http.StatusTooManyRequests, service: 101, code: "TOO_MANY_REQUESTS", message: "The calls are used up: " + what}
}

func noVersion(version string) *apiError {
	return &apiError{status: http.StatusUpgradeRequired, code: "NONEXISTENT_VERSION", message: "There is no version " + version + " now"}
}

func internalError(status int) *apiError {
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	return &apiError{status: status, code: "INTERNAL_ERROR", message: "Internal server error"}
}

// unprocessable is what the schema refuses of a batch of events.
func unprocessable(message string) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, message: message}
}

func (e *apiError) envelope() map[string]any {
	body := map[string]any{"status": e.status, "message": e.message}
	if e.service != 0 {
		body["serviceErrorCode"] = e.service
	}
	if e.code != "" {
		body["code"] = e.code
	}
	return body
}
