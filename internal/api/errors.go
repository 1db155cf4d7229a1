package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/warehouse/inbox"
)

// failure is the shape of every unsuccessful answer: message and errors[],
// since clients of both generations exist.
type failure struct {
	Data      any           `json:"data"`
	Code      int           `json:"status"`
	Message   string        `json:"message"`
	Errors    []failureItem `json:"errors"`
	RequestID string        `json:"request_id"`
	// OldCode is Code again, for clients of the older generation.
	OldCode int `json:"statuscode,omitempty" doc:"the same as status, where the path begins with /api/"`
	header  http.Header
}

// old makes f an answer to a client of the older generation, if it is one.
func (f *failure) old(path string) {
	if isOld(path) {
		f.OldCode = f.Code
	}
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

// GetHeaders returns the headers the answer has beside the common ones.
func (f *failure) GetHeaders() http.Header { return f.header }

// installErrors puts every error huma makes into our envelope: bad input is
// 400, never 422, and the submitted value is left out of it.
func installErrors() {
	errorsOnce.Do(func() {
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			f := newFailure(status, msg, errs...)
			if ctx != nil {
				f.RequestID = requestID(ctx.Context())
				u := ctx.URL()
				f.old(u.Path)
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
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusMethodNotAllowed:
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
	f := &failure{RequestID: requestID(ctx), Code: statusOf(err), header: http.Header{}}
	code, message := activation.CodeOf(err), activation.SafeMessage(err)
	switch f.Code {
	case http.StatusNotFound:
		code, message = textOf(err, "NOTFOUND-003", "not found")
	case http.StatusConflict:
		code, message = textOf(err, "JOB-FAULT-022", "not possible in the present state")
	case http.StatusTooManyRequests:
		f.header.Set("Retry-After", strconv.Itoa(a.secondsUntil(err)))
	case http.StatusInternalServerError, http.StatusInsufficientStorage:
		a.Log.ErrorContext(ctx, "request failed", slog.String("request_id", f.RequestID), slog.Any("err", err))
	}
	f.Message = message
	now := a.Now().UTC()
	var many interface{ Each() []*activation.Error }
	if errors.As(err, &many) {
		for _, e := range many.Each() {
			f.Errors = append(f.Errors, failureItem{e.Code, "error", e.Message, now})
		}
		return f
	}
	f.Errors = []failureItem{{code, "error", message, now}}
	return f
}

// statusOf is the HTTP status of an error of a use case.
func statusOf(err error) int {
	switch {
	case errors.Is(err, activation.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, activation.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, inbox.ErrDiskFull):
		return http.StatusInsufficientStorage
	case errors.Is(err, ingest.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	}
	switch activation.KindOf(err) {
	case activation.Invalid, activation.Unauthorized:
		return http.StatusBadRequest
	case activation.WaitUntil:
		return http.StatusTooManyRequests
	case activation.Unavailable, activation.Gone, activation.RefusedWhole:
		return http.StatusBadGateway
	case activation.Internal:
	}
	return http.StatusInternalServerError
}

// secondsUntil is how long a caller should wait before asking again: at least 1.
func (a *API) secondsUntil(err error) int {
	var e *activation.Error
	if !errors.As(err, &e) {
		return 1
	}
	return max(1, int(math.Ceil(e.Until.Sub(a.Now()).Seconds())))
}

// textOf is code and safe text of err when it carries them, else those given.
func textOf(err error, code, message string) (string, string) {
	var e *activation.Error
	if errors.As(err, &e) {
		return cmp.Or(e.Code, code), cmp.Or(e.Message, message)
	}
	return code, message
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: message}
}
