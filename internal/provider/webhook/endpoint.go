package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the legacy signature is what old receivers check, beside or instead of a good one
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/hook"
)

// codeSettings: a setting of the authorization, the destination or the job is
// wrong.
const codeSettings = "WEBHOOK-SETTINGS"

// endpoint is where requests go, with everything that all of them carry. Its
// methods may be called by any goroutine.
type endpoint struct {
	http   *http.Client
	url    string // a secret, parameters included
	static http.Header
	sign   signers
	legacy []byte // nil = none
	tokens *tokens
}

// newEndpoint reads an authorization.
func newEndpoint(d provider.Deps) (*endpoint, error) {
	e := &endpoint{http: d.HTTP}
	u, err := url.Parse(strings.TrimSpace(d.Auth[hook.URLField].Reveal()))
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, hook.Address("is needed, and must be an address that begins with https:// and has no user name in it")
	}
	if text := strings.TrimPrefix(strings.TrimSpace(d.Auth[paramsField].Reveal()), "?"); text != "" {
		params, err := url.ParseQuery(text)
		if err != nil {
			return nil, settings(paramsField, "must be like name=value&other=value, with special characters written as %41")
		}
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += params.Encode()
	}
	e.url = u.String()
	if e.static, err = readHeaders(d.Auth[headersField].Reveal()); err != nil {
		return nil, err
	}
	if e.sign, err = readSecrets(d.Auth[secretField].Reveal()); err != nil {
		return nil, err
	}
	if secret := d.Auth[legacyField].Reveal(); secret != "" {
		e.legacy = []byte(secret)
	}
	e.tokens, err = newTokens(d)
	if err == nil && e.tokens != nil && e.static.Get("Authorization") != "" {
		err = settings(headersField, "has an Authorization header, which the access token takes the place of: leave one of them out")
	}
	return e, err
}

// reserved are headers that are not for people to set: they frame the request,
// or are ours.
var reserved = []string{
	"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Expect",
	textproto.CanonicalMIMEHeaderKey(standardwebhooks.HeaderWebhookID),
	textproto.CanonicalMIMEHeaderKey(standardwebhooks.HeaderWebhookTimestamp),
	textproto.CanonicalMIMEHeaderKey(standardwebhooks.HeaderWebhookSignature),
	"X-Signature",
}

// headerName and headerValue are what HTTP takes (RFC 9110, section 5).
var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[\t\x20-\x7e\x80-\xff]*$`)
)

// readHeaders reads "Name: value" lines or a JSON object. The error quotes
// nothing: values are secrets, and so may be what is taken for a name.
func readHeaders(text string) (http.Header, error) {
	wrong := settings(headersField, `must be lines of "Name: value", or a JSON object of texts`)
	given := map[string]string{}
	if text = strings.TrimSpace(text); strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &given) != nil {
			return nil, wrong
		}
	} else {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				return nil, wrong
			}
			given[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	out := http.Header{}
	for name, value := range given {
		if !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return nil, wrong
		}
		if slices.Contains(reserved, textproto.CanonicalMIMEHeaderKey(name)) {
			return nil, settings(headersField, "names a header that Usher sets itself: "+strings.Join(reserved, ", "))
		}
		out.Set(name, value)
	}
	return out, nil
}

// header makes the headers of one request. id is the same however often it is
// sent.
func (e *endpoint) header(id string, at time.Time, body []byte) (http.Header, error) {
	h := e.static.Clone()
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	if len(e.sign) > 0 {
		signature, err := e.sign.sign(id, at, body)
		if err != nil {
			return nil, err
		}
		h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	if e.legacy != nil {
		mac := hmac.New(sha1.New, e.legacy)
		mac.Write(body)
		h.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	}
	return h, nil
}

// call makes one request and returns the whole answer, whatever its status. A
// token that was had before and is refused is replaced once: nothing was applied,
// and only the refusal of a fresh one says that somebody must act.
func (e *endpoint) call(ctx context.Context, method, id string, now func() time.Time, body []byte) (outbound.Answer, error) {
	for {
		t, err := e.tokens.token(ctx)
		if err != nil {
			return outbound.Answer{}, err
		}
		answer, err := e.post(ctx, method, id, now(), body, t)
		if err != nil || answer.Status != http.StatusUnauthorized || t.text == "" {
			return answer, err
		}
		e.tokens.refused(t)
		if t.fresh {
			return answer, nil
		}
	}
}

func (e *endpoint) post(ctx context.Context, method, id string, at time.Time, body []byte, t token) (outbound.Answer, error) {
	header, err := e.header(id, at, body)
	if err != nil {
		return outbound.Answer{}, err
	}
	// A good status is a good answer here, even as a page: many receivers answer so.
	req, err := http.NewRequestWithContext(outbound.WithPages(ctx), method, e.url, bytes.NewReader(body))
	if err != nil {
		return outbound.Answer{}, hook.Address("cannot be called")
	}
	req.Header = header
	t.put(req.Header)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Usher")
	answer, err := outbound.Do(e.http, req)
	var own *activation.Error
	if errors.As(err, &own) && own.Kind == activation.Invalid && own.Field == "" {
		at := *own
		at.Field = hook.URLField
		return answer, &at
	}
	return answer, err
}

// settings is the error of a setting that is wrong and will be wrong again.
func settings(field, what string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeSettings, Field: field, Message: field + " " + what}
}
