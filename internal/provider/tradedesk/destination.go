package tradedesk

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the network signs with it
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// path is that of first-party data.
const path = "/data/advertiser"

// destination is one advertiser. Its methods may be called in parallel.
type destination struct {
	http           *http.Client
	log            *slog.Logger
	now            func() time.Time
	advertiser     string
	dataProvider   string
	secret         provider.Secret
	token          provider.Secret
	providerSecret provider.Secret
	address        string
	maxBytes       int
	minutes        int64 // that an id stays
	bodies         outbound.Buffers
}

var (
	idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	// elementPattern is what names of elements are made of here.
	elementPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
)

// New makes the client of one advertiser. A wrong setting is an Invalid error
// that names its field.
func New(d provider.Deps) (provider.Destination, error) {
	t := &destination{
		http: d.HTTP, log: d.Log, now: d.Now,
		advertiser: strings.TrimSpace(d.Account), secret: d.Auth[secretField], token: d.Auth[tokenField],
		providerSecret: d.Auth[providerSecretField], dataProvider: d.Config[providerField],
	}
	switch {
	case t.secret == "" && t.token == "":
		return nil, invalid(secretField, "the advertiser's secret or a token is needed")
	case strings.ContainsFunc(t.token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, invalid(tokenField, "the token has characters that no token has: copy it again")
	case !idPattern.MatchString(t.advertiser):
		return nil, invalid("account", "the advertiser's id must be letters and digits")
	case t.dataProvider != "" && !idPattern.MatchString(t.dataProvider):
		return nil, invalid(providerField, "the data provider's id must be letters and digits")
	case t.dataProvider != "" && t.providerSecret == "":
		return nil, invalid(providerSecretField, "the destination names a data provider, whose secret is missing")
	}
	def := Definition()
	base := d.Auth[baseField].Reveal()
	if base == "" {
		base = hosts[provider.Setting(def.DestinationFields, d.Config, regionField)]
	}
	u, err := url.Parse(base)
	switch {
	case base == "":
		return nil, invalid(regionField, "there is no such region")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, invalid(baseField, "the API address must be like "+hosts["use"])
	}
	t.address = strings.TrimRight(u.String(), "/") + path
	t.maxBytes, err = strconv.Atoi(provider.Setting(def.DestinationFields, d.Config, provider.MaxBytesField))
	if err != nil || t.maxBytes < 10_000 {
		return nil, invalid(provider.MaxBytesField, "the largest request must be a number of bytes, at least 10000")
	}
	days, err := strconv.Atoi(provider.Setting(def.DestinationFields, d.Config, provider.MembershipDaysField))
	if err != nil || days < 1 || days > longestLifetime {
		return nil, invalid(provider.MembershipDaysField, "the lifetime must be 1 to 180 days")
	}
	t.minutes = int64(days) * 24 * 60
	return t, nil
}

// Check sends a signed request without items. The endpoint has no call that only
// reads: it refuses this one as empty once it has accepted the signature.
func (t *destination) Check(ctx context.Context) error {
	body := t.bodies.Take()
	defer body.Release()
	body.B = append(t.appendHead(body.B), `]}`...)
	_, err := t.call(ctx, body, false)
	if activation.CodeOf(err) == classEmpty.Code {
		return nil
	}
	return err
}

// EnsureAudience names the data element. There is nothing to make: the first id
// that is sent makes it, and it is never gone.
func (t *destination) EnsureAudience(_ context.Context, a provider.Audience) (provider.RemoteID, error) {
	if a.Remote != "" {
		return a.Remote, nil
	}
	name := a.Config[nameField]
	if name == "" {
		name = a.Slug
	}
	id := a.Marker
	if name != "" {
		id = name + "_" + a.Marker
	}
	if !elementPattern.MatchString(id) {
		return "", invalid(nameField, "the name of a data element must be letters, digits, - and _, not too many")
	}
	return provider.RemoteID(id), nil
}

// Poll is not for The Trade Desk: it answers at once.
func (t *destination) Poll(context.Context, string, int64) (activation.Receipt, error) {
	return activation.Receipt{}, invalid("", "the trade desk answers a batch at once; there is nothing to ask for later")
}

// call signs the bytes of the body and sends exactly those. changes is false for
// a call that changes nothing.
func (t *destination) call(ctx context.Context, body *outbound.Buffer, changes bool) (reply, error) {
	req, err := body.Request(ctx, http.MethodPost, t.address)
	if err != nil {
		return reply{}, invalid(baseField, "the API address cannot be called")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if t.token != "" {
		req.Header.Set("TTD-Auth", t.token.Reveal())
	} else {
		req.Header.Set("TtdSignature", sign(t.secret, body.B))
	}
	if t.dataProvider != "" {
		req.Header.Set("TtdSignature-dp", sign(t.providerSecret, body.B))
	}
	var got reply
	_, err = outbound.Call(t.http, req, func(a outbound.Answer) error {
		got, err = t.read(a, changes)
		return err
	})
	if !changes {
		err = unapplied(err)
	}
	return got, err
}

// sign is the base64 of the HMAC-SHA1 of the exact bytes that are sent.
func sign(secret provider.Secret, body []byte) string {
	mac := hmac.New(sha1.New, []byte(secret.Reveal()))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func invalid(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: classSettings.Code, Message: message, Field: field}
}

// String names the advertiser only: nothing else of a destination is for print.
func (t *destination) String() string { return fmt.Sprintf("tradedesk advertiser %s", t.advertiser) }
