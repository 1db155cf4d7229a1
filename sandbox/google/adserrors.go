package google

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// adsFailure is an answer of the Google Ads API in which all is refused.
type adsFailure struct {
	status  int
	message string
	// reason is that of the front end; without it, errors say what is wrong.
	reason string
	errors []adsError
	// malformed: the body is not what the definitions say, which the front end tells
	// without a GoogleAdsFailure.
	malformed bool
}

// adsError is one error of a GoogleAdsFailure.
type adsError struct {
	// code is the family and the word, such as "campaignError.DUPLICATE_CAMPAIGN_NAME".
	code, message string
	operation     int // -1 = none
	path          []string
	retry         time.Duration
}

func (e adsError) at(path ...string) *adsError {
	e.path = path
	return &e
}

func wrong(code, message string) *adsError {
	if !adsCodeExists(code) {
		panic(code + " is no error code of Google's")
	}
	return &adsError{code: code, message: message, operation: -1}
}

// adsCodeExists reports whether the definitions have the code.
func adsCodeExists(code string) bool {
	family, name, _ := strings.Cut(code, ".")
	m := mustAdsMessage("errors.ErrorCode")
	f := m.Descriptor().Fields().ByJSONName(family)
	return f != nil && f.Enum() != nil && f.Enum().Values().ByName(protoreflect.Name(name)) != nil
}

func adsRefusal(code, message string) *adsFailure {
	return &adsFailure{status: http.StatusBadRequest, errors: []adsError{*wrong(code, message)}}
}

func adsForbidden(code, message string) *adsFailure {
	f := adsRefusal(code, message)
	f.status = http.StatusForbidden
	return f
}

func adsUnauthenticated(code string) *adsFailure {
	f := adsRefusal(code, "The access token is missing or not good.")
	f.status = http.StatusUnauthorized
	return f
}

func adsMalformed(message string) *adsFailure {
	return &adsFailure{status: http.StatusBadRequest, message: message, malformed: true}
}

func adsExhausted(word string, retry time.Duration) *adsFailure {
	f := adsRefusal("quotaError."+word, "The quota is used up.")
	f.status = http.StatusTooManyRequests
	f.errors[0].retry = retry
	return f
}

// code is the first thing that is wrong, for the log.
func (f *adsFailure) code() string {
	switch {
	case f.reason != "":
		return f.reason
	case len(f.errors) > 0:
		return f.errors[0].code
	case f.malformed:
		return "INVALID_ARGUMENT"
	}
	return states[f.status]
}

const adsFailureType = "type.googleapis.com/google.ads.googleads.v25.errors.GoogleAdsFailure"

// failureBody is the GoogleAdsFailure of some errors.
func failureBody(errs []adsError, request string) map[string]any {
	list := make([]any, len(errs))
	for i, e := range errs {
		family, word, _ := strings.Cut(e.code, ".")
		one := map[string]any{"errorCode": map[string]string{family: word}, "message": e.message}
		var path []any
		if e.operation >= 0 {
			path = append(path, map[string]any{"fieldName": "mutate_operations", "index": e.operation})
		}
		for _, p := range e.path {
			element := map[string]any{"fieldName": p}
			if name, index, ok := strings.Cut(p, "#"); ok {
				n, _ := strconv.Atoi(index)
				element = map[string]any{"fieldName": name, "index": n}
			}
			path = append(path, element)
		}
		if path != nil {
			one["location"] = map[string]any{"fieldPathElements": path}
		}
		if e.retry > 0 {
			one["details"] = map[string]any{"quotaErrorDetails": map[string]any{
				"rateScope": "DEVELOPER", "rateName": "Number of operations", "retryDelay": fmt.Sprintf("%ds", int64(e.retry/time.Second)),
			}}
		}
		list[i] = one
	}
	return map[string]any{"@type": adsFailureType, "errors": list, "requestId": request}
}

// envelope is the JSON form of the failure.
func (f *adsFailure) envelope(request string) map[string]any {
	state, ok := states[f.status]
	if !ok {
		state = "UNKNOWN"
	}
	message := f.message
	if message == "" {
		message = "Request contains an invalid argument."
	}
	e := map[string]any{"code": f.status, "message": message, "status": state}
	switch {
	case f.reason != "":
		e["details"] = []any{map[string]any{"@type": rpc + "ErrorInfo", "reason": f.reason, "domain": "googleapis.com", "metadata": map[string]string{"service": "googleads.googleapis.com"}}}
	case len(f.errors) > 0:
		e["details"] = []any{failureBody(f.errors, request)}
	case f.malformed:
		e["details"] = []any{map[string]any{"@type": rpc + "BadRequest", "fieldViolations": []any{map[string]any{"description": f.message}}}}
	}
	return map[string]any{"error": e}
}
