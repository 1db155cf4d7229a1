package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
)

// failure is the shape of every unsuccessful answer: message and errors[],
// since clients of both generations exist.
type failure struct {
	Data      any           `json:"data"`
	Code      int           `json:"status"`
	Message   string        `json:"message"`
	Errors    []failureItem `json:"errors"`
	RequestID string        `json:"request_id"`
}

type failureItem struct {
	Code      string    `json:"code"`
	Level     string    `json:"level"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
}

// Error returns the message.
func (f *failure) Error() string { return f.Message }

// GetStatus returns the HTTP status.
func (f *failure) GetStatus() int { return f.Code }

// installErrors puts every error huma makes into our envelope: bad input is
// 400, never 422, and the submitted value is left out of it.
func installErrors() {
	errorsOnce.Do(func() {
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			f := newFailure(status, msg, errs...)
			if ctx != nil {
				f.RequestID = requestID(ctx.Context())
			}
			return f
		}
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return newFailure(status, msg, errs...)
		}
	})
}

func newFailure(status int, msg string, errs ...error) *failure {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	f := &failure{Code: status, Message: msg}
	now := time.Now().UTC()
	for _, err := range errs {
		text := safeDetail(err)
		if text != "" {
			f.Errors = append(f.Errors, failureItem{statusCode(status), "error", text, now})
		}
	}
	if len(f.Errors) == 0 {
		f.Errors = []failureItem{{statusCode(status), "error", msg, now}}
	} else if msg == "validation failed" {
		texts := make([]string, len(f.Errors))
		for i, e := range f.Errors {
			texts[i] = e.Message
		}
		f.Message = strings.Join(texts, "; ")
	}
	return f
}

// safeDetail is the text of a validation error without the submitted value.
func safeDetail(err error) string {
	var d huma.ErrorDetailer
	if errors.As(err, &d) {
		det := d.ErrorDetail()
		if det.Location == "" {
			return det.Message
		}
		return det.Location + ": " + det.Message
	}
	var e *activation.Error
	if errors.As(err, &e) {
		return e.Message
	}
	if err == nil {
		return ""
	}
	return "cannot be read"
}

func statusCode(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return "BADREQ-001"
	case http.StatusUnauthorized:
		return "UNAUTHORIZED-017"
	case http.StatusForbidden:
		return "FORBIDDEN-026"
	case http.StatusNotFound:
		return "NOTFOUND-003"
	case http.StatusInternalServerError:
		return "INTERNAL-019"
	}
	return "UNKNOWN-000"
}

// fail turns an error of a use case into an answer. What is our own fault is
// logged with its cause and shown without it.
func (a *API) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	f := &failure{RequestID: requestID(ctx)}
	code, message := activation.CodeOf(err), activation.SafeMessage(err)
	var coded *activation.Error
	switch {
	case errors.Is(err, activation.ErrNotFound):
		f.Code, code = http.StatusNotFound, orCode(coded, err, "NOTFOUND-003")
		message = orMessage(err, "not found")
	case errors.Is(err, activation.ErrConflict):
		f.Code, code = http.StatusConflict, orCode(coded, err, "JOB-FAULT-022")
		message = orMessage(err, "not possible in the present state")
	case activation.KindOf(err) == activation.Invalid:
		f.Code = http.StatusBadRequest
	case activation.KindOf(err) == activation.Unauthorized:
		f.Code = http.StatusBadRequest
	case activation.KindOf(err) == activation.WaitUntil:
		f.Code = http.StatusTooManyRequests
	default:
		f.Code = http.StatusInternalServerError
		if activation.KindOf(err) == activation.Unavailable {
			f.Code = http.StatusBadGateway
		}
	}
	if f.Code == http.StatusInternalServerError {
		a.Log.ErrorContext(ctx, "request failed", slog.String("request_id", f.RequestID), slog.Any("err", err))
	}
	f.Message = message
	f.Errors = []failureItem{{code, "error", message, time.Now().UTC()}}
	return f
}

func orCode(e *activation.Error, err error, code string) string {
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	return code
}

// orMessage is the safe text of err when it carries one, else text.
func orMessage(err error, text string) string {
	var e *activation.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return text
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: message}
}
