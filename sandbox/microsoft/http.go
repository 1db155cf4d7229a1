package microsoft

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/sandbox/fault"
)

// maxBytes is the most bytes of a body; the real limit is not published.
const maxBytes = 16 << 20

// call is one request on its way through the network.
type call struct {
	request *http.Request
	body    []byte
	at      time.Time
	path    string
	changes bool // it edits campaigns
	spoil   fault.Fault
	record  Call
}

// answer is what a call is answered with; raw is a file instead of JSON.
type answer struct {
	status int
	body   any
	raw    []byte
}

const (
	campaignPath = "CampaignManagement/v13/"
	reportPath   = "Reporting/v13/GenerateReport/"
	accountPath  = "CustomerManagement/v13/Account/Query"
	filePath     = "reports/"
	tokenPath    = "token"
)

const htmlPage = "<!DOCTYPE html>\n<html><head><title>Service unavailable</title></head><body><h1>Our services aren't available right now</h1></body></html>\n"

// apiError is a call that is refused as a whole.
type apiError struct {
	status     int
	code       int
	word, text string
}

// body is the error as ApiFaultDetail has it.
func (e *apiError) body() any {
	return map[string]any{
		"Type": "ApiFaultDetail", "TrackingId": "0a1b2c3d-0000-4000-8000-00000000abcd", "BatchErrors": []any{},
		"OperationErrors": []any{map[string]any{"Code": e.code, "ErrorCode": e.word, "Message": e.text, "Details": nil}},
	}
}

func refusal(e *apiError) answer { return answer{status: e.status, body: e.body()} }

func bad(word, format string, a ...any) *apiError {
	return &apiError{http.StatusBadRequest, 100, word, fmt.Sprintf(format, a...)}
}

func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, readErr := io.ReadAll(io.LimitReader(r.Body, maxBytes+1))
	c := &call{request: r, body: body, at: n.deps.Now(), path: strings.Trim(r.URL.Path, "/")}
	c.record = Call{At: c.at, Method: r.Method, Path: r.URL.Path}
	resource, isCampaign := strings.CutPrefix(c.path, campaignPath)
	c.changes = isCampaign && !strings.Contains(resource, "/")
	n.mu.Lock()
	n.calls++
	if c.changes {
		n.writes++
	}
	n.mu.Unlock()
	if readErr != nil {
		n.finish(c, 0)
		panic(http.ErrAbortHandler)
	}
	op := "read"
	if c.changes {
		op = "edit"
	}
	f, met := n.deps.Faults.Take(fault.Call{Network: "microsoft", Method: r.Method, Path: r.URL.Path, Op: op})
	if met {
		c.record.Fault = string(f.Kind)
		n.serveFault(w, c, f)
		return
	}
	n.write(w, c, n.answer(c))
}

// serveFault answers a call that met a fault.
func (n *Network) serveFault(w http.ResponseWriter, c *call, f fault.Fault) {
	fault.Met{
		Writer: w, Request: c.request, Closing: n.closing, Page: htmlPage,
		Usual: func() {
			if f.Kind == fault.Invalid {
				c.spoil = f
			}
			n.write(w, c, n.answer(c))
		},
		Apply: func() (int, any) {
			good := n.answer(c)
			return good.status, good.body
		},
		Log: func(status int) { n.finish(c, status) },
		Refuse: func() {
			if f.Kind == fault.Throttle && f.Minutes > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(f.Minutes*60))
			}
			n.write(w, c, refusal(errorOf(f)))
		},
	}.Serve(f)
}

// errorOf is the error that a fault answers with.
func errorOf(f fault.Fault) *apiError {
	switch f.Kind {
	case fault.Throttle:
		return &apiError{cmp.Or(f.Status, http.StatusTooManyRequests), 117, "CallRateExceeded", "You have exceeded the number of calls per minute."}
	case fault.Token:
		return badToken()
	case fault.Error:
		return &apiError{cmp.Or(f.Status, http.StatusBadRequest), f.Code, cmp.Or(f.Message, "Scripted"), "A scripted error."}
	default:
		return &apiError{cmp.Or(f.Status, http.StatusInternalServerError), 0, "InternalError", "An internal error has occurred"}
	}
}

func badToken() *apiError {
	return &apiError{http.StatusUnauthorized, 109, "AuthenticationTokenExpired", "Authentication token expired. Please renew the token or obtain a new one."}
}

// answer carries the call out.
func (n *Network) answer(c *call) answer {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case c.path == tokenPath && c.request.Method == http.MethodPost:
		return n.mint(c)
	case strings.HasPrefix(c.path, filePath) && c.request.Method == http.MethodGet:
		return n.file(c)
	}
	if e := n.admit(c); e != nil {
		return refusal(e)
	}
	var body any
	e := &apiError{http.StatusNotFound, 0, "NotFound", "There is no such resource."}
	switch {
	case c.path == accountPath && c.request.Method == http.MethodPost:
		body, e = n.account(c)
	case strings.HasPrefix(c.path, reportPath) && c.request.Method == http.MethodPost:
		body, e = n.reporting(c, strings.TrimPrefix(c.path, reportPath))
	case strings.HasPrefix(c.path, campaignPath):
		body, e = n.campaigns(c, strings.TrimPrefix(c.path, campaignPath))
	}
	if e != nil {
		return refusal(e)
	}
	return answer{status: http.StatusOK, body: body}
}

// admit checks what every call of the API needs.
func (n *Network) admit(c *call) *apiError {
	h := c.request.Header
	token, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case !ok || !n.tokens[token]:
		return badToken()
	case h.Get("DeveloperToken") != DefaultDeveloperToken:
		return &apiError{http.StatusUnauthorized, 105, "InvalidCredentials", "Authentication failed. Either supplied credentials are invalid or the account is inactive"}
	case h.Get("CustomerId") != n.opts.Customer || h.Get("CustomerAccountId") != n.opts.Account:
		return &apiError{http.StatusForbidden, 106, "UserIsNotAuthorized", "The user does not represent a authorized developer."}
	case err != nil || kind != "application/json":
		return &apiError{http.StatusUnsupportedMediaType, 0, "UnsupportedMediaType", "The content type must be application/json."}
	case len(c.body) > maxBytes:
		return &apiError{http.StatusRequestEntityTooLarge, 0, "RequestTooLarge", "The request is too large."}
	}
	return nil
}

// mint gives a token for the refresh token (RFC 6749, section 6).
func (n *Network) mint(c *call) answer {
	wrong := func(code string) answer {
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": code}}
	}
	form, err := url.ParseQuery(string(c.body))
	kind, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	switch {
	case err != nil || kind != "application/x-www-form-urlencoded":
		return wrong("invalid_request")
	case form.Get("grant_type") != "refresh_token":
		return wrong("unsupported_grant_type")
	case form.Get("client_id") != DefaultClientID || form.Get("client_secret") != DefaultClientSecret:
		return wrong("invalid_client")
	case form.Get("refresh_token") != DefaultRefreshToken:
		return wrong("invalid_grant")
	}
	token := "EwB4A" + strconv.FormatUint(n.rand.Uint64(), 36) + strconv.FormatUint(n.rand.Uint64(), 36)
	n.tokens[token] = true
	return answer{status: http.StatusOK, body: map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600, "refresh_token": DefaultRefreshToken}}
}

// write sends the answer and closes the call's books.
func (n *Network) write(w http.ResponseWriter, c *call, a answer) {
	n.finish(c, a.status)
	if a.raw != nil {
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write(a.raw) // the caller may be gone
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the caller may be gone
}

// decode reads a JSON object and refuses fields that are not known.
func decode(body []byte, into any) *apiError {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return bad("InvalidJson", "The request message cannot be read: %v", err)
	}
	if dec.More() {
		return bad("InvalidJson", "The body has more than one object.")
	}
	return nil
}

// account tells of the account.
func (n *Network) account(c *call) (any, *apiError) {
	var in struct {
		AccountID id `json:"AccountId"`
	}
	if e := decode(c.body, &in); e != nil {
		return nil, e
	}
	if string(in.AccountID) != n.opts.Account {
		return nil, &apiError{http.StatusBadRequest, 106, "UserIsNotAuthorized", "There is no such account for the user."}
	}
	return map[string]any{"Account": map[string]any{
		"Id": n.opts.Account, "Name": n.opts.Name, "Number": "F123ABCD", "CurrencyCode": n.opts.Currency, "TimeZone": n.opts.TimeZone,
		"ParentCustomerId": n.opts.Customer, "AccountLifeCycleStatus": "Active",
	}}, nil
}
