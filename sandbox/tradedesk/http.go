package tradedesk

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the network signs with it
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"usher/sandbox/fault"
)

// request is the body of a call. Pointers tell what is missing.
type request struct {
	AdvertiserID   string `json:"AdvertiserId"`
	DataProviderID string `json:"DataProviderId"`
	Items          []item `json:"Items"`
}

// item is one id and what it is put into.
type item struct {
	TDID      *string `json:"TDID"`
	DAID      *string `json:"DAID"`
	UID2      *string `json:"UID2"`
	UID2Token *string `json:"UID2Token"`
	EUID      *string `json:"EUID"`
	RampID    *string `json:"RampID"`
	Data      []data  `json:"Data"`
}

type data struct {
	Name         string `json:"Name"`
	TTLInMinutes *int   `json:"TTLInMinutes"`
}

// failure is a line of an answer: an item that was not taken, or the reason why
// nothing was.
type failure struct {
	ErrorCode string `json:"ErrorCode"`
	Message   string `json:"Message"`
}

// answer is what a call is answered with; failed are the lines of a 200.
type answer struct {
	status int
	whole  *failure
	failed []failure
	items  int
}

func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBytes+1))
	c := Call{At: n.deps.Now(), Method: r.Method, Path: r.URL.Path, Bytes: len(body)}
	if err != nil {
		n.note(c)
		panic(http.ErrAbortHandler)
	}
	var peek request
	if json.Unmarshal(body, &peek) == nil {
		c.Items = len(peek.Items)
	}
	f, met := n.deps.Faults.Take(fault.Call{Network: "tradedesk", Method: r.Method, Path: r.URL.Path, Op: opOf(peek)})
	if !met {
		a := n.answer(r, body, nil, &c)
		n.write(w, c, a)
		return
	}
	c.Fault = string(f.Kind)
	n.serveFault(w, r, body, c, f)
}

// opOf names a call for fault scripts: check is one without items.
func opOf(in request) string {
	if len(in.Items) == 0 {
		return "check"
	}
	for _, d := range in.Items[0].Data {
		if d.TTLInMinutes != nil && *d.TTLInMinutes == 0 {
			return "remove"
		}
	}
	return "add"
}

const htmlPage = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"

// serveFault answers a call that met a fault.
func (n *Network) serveFault(w http.ResponseWriter, r *http.Request, body []byte, c Call, f fault.Fault) {
	fault.Met{
		Writer: w, Request: r, Closing: n.closing, Page: htmlPage,
		Usual: func() {
			bad := &f
			if f.Kind != fault.Invalid {
				bad = nil
			}
			a := n.answer(r, body, bad, &c)
			n.write(w, c, a)
		},
		Apply: func() (int, any) {
			good := n.answer(r, body, nil, &c)
			return http.StatusOK, shown(good)
		},
		Log: func(status int) {
			c.Status = status
			n.note(c)
		},
		Refuse: func() {
			if f.Kind == fault.Throttle && f.Minutes > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(f.Minutes*60))
			}
			n.write(w, c, failed(f))
		},
	}.Serve(f)
}

// failed is the error that a fault answers with.
func failed(f fault.Fault) answer {
	switch f.Kind {
	case fault.Throttle:
		return refused(cmp.Or(f.Status, http.StatusTooManyRequests), "TooManyRequests", "Too many requests")
	case fault.Token:
		return refused(http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed")
	case fault.Error:
		return refused(cmp.Or(f.Status, http.StatusBadRequest), "SerializationFailed", cmp.Or(f.Message, "Scripted error"))
	}
	return refused(cmp.Or(f.Status, http.StatusServiceUnavailable), "InternalError", "Internal error")
}

func (n *Network) write(w http.ResponseWriter, c Call, a answer) {
	c.Status, c.Failed = a.status, len(a.failed)
	n.note(c)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(shown(a)) // the caller may be gone
}

// shown is the body of an answer.
func shown(a answer) any {
	switch {
	case a.whole != nil:
		return a.whole
	case len(a.failed) > 0:
		return map[string]any{"FailedLines": a.failed}
	}
	return struct{}{}
}

func refused(status int, code, message string) answer {
	return answer{status: status, whole: &failure{code, message}}
}

// answer carries the call out. bad names items that a fault makes invalid.
func (n *Network) answer(r *http.Request, body []byte, bad *fault.Fault, c *Call) answer {
	switch {
	case r.URL.Path != "/data/advertiser":
		return refused(http.StatusNotFound, "NotFound", "No such resource")
	case r.Method != http.MethodPost:
		return refused(http.StatusMethodNotAllowed, "MethodNotAllowed", "Use POST")
	case len(body) > maxBytes:
		return refused(http.StatusRequestEntityTooLarge, "MaxRequestSizeExceeded", "The request is too large")
	case r.Header.Get("Content-Type") != "application/json":
		return refused(http.StatusUnsupportedMediaType, "SerializationFailed", "Content-Type must be application/json")
	}
	var in request
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || dec.More() {
		return refused(http.StatusBadRequest, "SerializationFailed", "The request body is not valid")
	}
	if a, ok := n.authenticate(r, body, in); !ok {
		return a
	}
	if len(in.Items) == 0 {
		return refused(http.StatusBadRequest, "MissingData", "Items is missing")
	}
	a := answer{status: http.StatusOK, items: len(in.Items)}
	var changes []change
	for i, it := range in.Items {
		found, wrong := it.read(i + 1)
		if bad != nil && i >= bad.Row && i < bad.Row+bad.Rows {
			wrong = &failure{"MissingUserId", fmt.Sprintf("Invalid %s, item #%d", it.kind(), i+1)}
		}
		if wrong != nil {
			a.failed = append(a.failed, *wrong)
			continue
		}
		changes = append(changes, found...)
	}
	if !n.apply(in.AdvertiserID, changes) {
		return refused(http.StatusForbidden, "TargetingDataLimitReached", "The advertiser has too many data elements")
	}
	c.Applied = true
	return a
}

// authenticate compares signatures over the exact bytes of the body.
func (n *Network) authenticate(r *http.Request, body []byte, in request) (answer, bool) {
	secret, known := n.opts.Advertisers[in.AdvertiserID]
	token := r.Header.Get("TTD-Auth")
	switch {
	case token != "" && (!known || n.opts.Tokens[token] != in.AdvertiserID):
		return refused(http.StatusUnauthorized, "InvalidToken", "The token is not valid"), false
	case token == "" && (!known || !signed(secret, body, r.Header.Get("TtdSignature"))):
		return refused(http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed"), false
	}
	if in.DataProviderID != "" {
		secret, known := n.opts.Providers[in.DataProviderID]
		if !known || !signed(secret, body, r.Header.Get("TtdSignature-dp")) {
			return refused(http.StatusUnauthorized, "AuthenticationFailed", "Authentication of the data provider failed"), false
		}
	}
	if slices.Contains(n.opts.Misconfigured, in.AdvertiserID) {
		return refused(http.StatusForbidden, "AdvertiserMisconfigured", "The advertiser may not send data"), false
	}
	return answer{}, true
}

func signed(secret string, body []byte, signature string) bool {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal([]byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(signature))
}

// The forms of ids.
var forms = map[string]*regexp.Regexp{
	"TDID":      regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
	"DAID":      regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
	"UID2":      regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`),
	"EUID":      regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`),
	"UID2Token": regexp.MustCompile(`^[A-Za-z0-9+/_=-]{16,1000}$`),
	"RampID":    regexp.MustCompile(`^[A-Za-z0-9_-]{16,256}$`),
}

// ids are those that the item has.
func (it item) ids() []ID {
	var list []ID
	for _, v := range []struct {
		kind  string
		value *string
	}{{"TDID", it.TDID}, {"DAID", it.DAID}, {"UID2", it.UID2}, {"UID2Token", it.UID2Token}, {"EUID", it.EUID}, {"RampID", it.RampID}} {
		if v.value != nil {
			list = append(list, ID{v.kind, *v.value})
		}
	}
	return list
}

func (it item) kind() string {
	if ids := it.ids(); len(ids) > 0 {
		return ids[0].Kind
	}
	return "user id"
}

// read returns what an item changes, or what is wrong with it.
func (it item) read(number int) ([]change, *failure) {
	wrong := func(code, what string) ([]change, *failure) {
		return nil, &failure{code, fmt.Sprintf("%s, item #%d", what, number)}
	}
	ids := it.ids()
	switch {
	case len(ids) == 0:
		return wrong("MissingUserId", "Missing user id")
	case len(ids) > 1:
		return wrong("MissingUserId", "More than one user id")
	case !forms[ids[0].Kind].MatchString(ids[0].Value):
		return wrong("MissingUserId", "Invalid "+ids[0].Kind)
	case len(it.Data) == 0:
		return wrong("MissingData", "Missing Data")
	}
	var list []change
	for _, d := range it.Data {
		switch {
		case d.Name == "" || len(d.Name) > 256:
			return wrong("MissingData", "Invalid Name")
		case d.TTLInMinutes == nil || *d.TTLInMinutes < 0 || *d.TTLInMinutes > maxTTL:
			return wrong("MissingData", "Invalid TTLInMinutes")
		}
		list = append(list, change{d.Name, ids[0], *d.TTLInMinutes})
	}
	return list, nil
}
