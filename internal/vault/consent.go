package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The classes of error of connecting; each has a page in docs/troubleshooting.
const (
	// CodeState: who comes back from the network is not whom the server sent, or
	// too late.
	CodeState = "OAUTH-STATE"
	// CodeRefused: the network or the person said no.
	CodeRefused = "OAUTH-REFUSED"
	// CodeAddress: the server does not know the address that browsers reach it at.
	CodeAddress = "OAUTH-ADDRESS"
)

// CallbackPath is where networks send people back to.
const CallbackPath = "/oauth/callback"

// ConsentStore is what consents need of the control store.
type ConsentStore interface {
	SaveConsent(ctx context.Context, c activation.Consent) error
	// TakeConsent returns a consent and forgets it; ErrNotFound for one that is
	// not there or too old.
	TakeConsent(ctx context.Context, stateHash []byte) (activation.Consent, error)
}

// Consents sends people to a network and takes the answer they bring back: an
// authorization code with a state that is good once, for one session, and where
// the network has it a code challenge. What was typed is sealed meanwhile.
type Consents struct {
	Store ConsentStore
	Vault *Vault
	// PublicURL is the address of the console as people reach it, "" = not set.
	PublicURL string
	// Client makes the client that exchanges a code, guarded like those of networks.
	Client func() *http.Client
	Log    *slog.Logger
	Now    func() time.Time
}

// Question is what a person is to consent to.
type Question struct {
	Provider string
	OAuth    provider.OAuth
	// Authorization is the one to connect; Known when it is there already.
	Authorization      activation.AuthorizationID
	Known              bool
	Label, Description string
	// Given are the values that were typed, Fields all that will be stored.
	Given, Fields map[string]string
	Person        string
	// Session is the browser session that may bring the answer; "" = any that may
	// store authorizations.
	Session string
	// Origin is the address at which the request reached the server.
	Origin   string
	ReturnTo string
}

// baggage is what is sealed while the person is away.
type baggage struct {
	Known    bool              `json:"known,omitempty"`
	Given    map[string]string `json:"given"`
	Fields   map[string]string `json:"fields,omitempty"`
	Verifier string            `json:"verifier,omitempty"`
	Session  string            `json:"session,omitempty"`
	Callback string            `json:"callback,omitempty"`
}

// SessionOf names a browser session without keeping what proves it.
func SessionOf(csrf string) string {
	sum := sha256.Sum256([]byte("consent of " + csrf))
	return hex.EncodeToString(sum[:])
}

// Begin keeps the question and returns the network's address that asks it.
func (c *Consents) Begin(ctx context.Context, q Question) (address string, err error) {
	callback, err := c.callback(q.Origin)
	if err != nil {
		return "", err
	}
	b := baggage{Known: q.Known, Given: q.Given, Fields: q.Fields, Session: q.Session, Callback: callback}
	conf, err := app(q.OAuth, secretsOf(q.Fields))
	if err != nil {
		return "", &activation.Error{Kind: activation.Invalid, Code: CodeClient, Field: "config." + provider.ClientIDField, Message: "the client id of your app is needed to connect"}
	}
	if u, err := url.Parse(conf.Endpoint.AuthURL); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Host)) {
		return "", &activation.Error{Kind: activation.Invalid, Code: CodeAddress, Field: "config." + provider.AuthorizeURLField, Message: "the address where people consent must begin with https://"}
	}
	conf.RedirectURL = callback
	options := make([]oauth2.AuthCodeOption, 0, len(q.OAuth.Params)+1)
	for name, value := range q.OAuth.Params {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	if q.OAuth.PKCE {
		b.Verifier = oauth2.GenerateVerifier()
		options = append(options, oauth2.S256ChallengeOption(b.Verifier))
	}
	state, err := c.keep(ctx, activation.Consent{
		Person: q.Person, Provider: q.Provider, Authorization: q.Authorization, Label: q.Label, Description: q.Description, ReturnTo: q.ReturnTo,
	}, b)
	if err != nil {
		return "", err
	}
	return conf.AuthCodeURL(state, options...), nil
}

// keep stores a consent under a new state.
func (c *Consents) keep(ctx context.Context, consent activation.Consent, b baggage) (state string, err error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // it never fails
	state = base64.RawURLEncoding.EncodeToString(raw[:])
	text, err := json.Marshal(b)
	if err != nil {
		return "", errors.New("keep consent: it does not encode")
	}
	consent.StateHash = hashOf(state)
	if consent.Sealed, consent.KeyID, err = c.Vault.Seal(map[string]provider.Secret{"consent": provider.Secret(text)}); err != nil {
		return "", err
	}
	return state, c.Store.SaveConsent(ctx, consent)
}

func hashOf(state string) []byte {
	sum := sha256.Sum256([]byte(state))
	return sum[:]
}

// take returns the consent of a state, once.
func (c *Consents) take(ctx context.Context, state, session string) (activation.Consent, baggage, error) {
	var b baggage
	consent, err := c.Store.TakeConsent(ctx, hashOf(state))
	if errors.Is(err, activation.ErrNotFound) {
		return consent, b, notOurs("the way back from the network is not known, was used already, or took longer than 15 minutes; connect again")
	}
	if err != nil {
		return consent, b, err
	}
	fields, err := c.Vault.Open(consent.Sealed, consent.KeyID)
	if err != nil {
		return consent, b, err
	}
	if json.Unmarshal([]byte(fields["consent"].Reveal()), &b) != nil {
		return consent, b, notOurs("the way back from the network can't be read; connect again")
	}
	if b.Session != "" && subtle.ConstantTimeCompare([]byte(b.Session), []byte(session)) != 1 {
		c.Log.WarnContext(ctx, "somebody else came back from a network than was sent there", "provider", consent.Provider, "asked_by", consent.Person)
		return activation.Consent{}, baggage{}, notOurs("another session was sent to the network than came back; connect again in this browser")
	}
	return consent, b, nil
}

func notOurs(message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeState, Field: "state", Message: message}
}

// Answer is what a person brings back from a network.
type Answer struct {
	State, Code, Error string
	// Session is the browser session that brings it.
	Session string
}

// Consented is what came of a consent.
type Consented struct {
	activation.Consent
	// Known: the authorization was there before.
	Known bool
	// Given are the values to store: those that were typed, and the tokens.
	Given map[string]string
	// ExpiresAt is when what was given ends; zero = not known, or never.
	ExpiresAt time.Time
	// Again brings back what was typed, after a refusal.
	Again string
}

// Finish takes the answer and exchanges its code for tokens. On an error of the
// network or the person, what comes back says where they came from and keeps
// what they typed.
func (c *Consents) Finish(ctx context.Context, a Answer, oauth func(providerName string) (provider.OAuth, error)) (Consented, error) {
	consent, b, err := c.take(ctx, a.State, a.Session)
	if err != nil {
		return Consented{}, err
	}
	out := Consented{Consent: consent, Known: b.Known}
	if b.Callback == "" {
		return Consented{}, notOurs("this is no way back from a network; connect again")
	}
	o, err := oauth(consent.Provider)
	if err == nil {
		err = refusalOf(a)
	}
	if err == nil {
		out.Given, out.ExpiresAt, err = c.exchange(ctx, o, b, a.Code)
	}
	if err == nil {
		return out, nil
	}
	b.Fields, b.Verifier, b.Callback = nil, "", ""
	again, keepErr := c.keep(ctx, consent, b)
	if keepErr != nil {
		c.Log.WarnContext(ctx, "what was typed for a consent is not kept", "error", keepErr)
	}
	out.Again = again
	return out, err
}

// Kept returns what was typed for a consent that was refused. It may be called
// again with the same word, by the same session.
func (c *Consents) Kept(ctx context.Context, again, session string) (Consented, error) {
	consent, b, err := c.take(ctx, again, session)
	if err != nil {
		return Consented{}, err
	}
	if b.Callback != "" {
		return Consented{}, notOurs("this consent was not refused")
	}
	return Consented{Consent: consent, Known: b.Known, Given: b.Given}, c.Store.SaveConsent(ctx, consent)
}

// refusalOf is the error of an answer that is none.
func refusalOf(a Answer) error {
	switch {
	case a.Error == "access_denied", a.Error == "user_cancelled_login", a.Error == "user_cancelled_authorize":
		return refusedBy("the consent was refused at the network; nothing was stored")
	case a.Error == "invalid_scope", a.Error == "unauthorized_scope_error":
		return refusedBy("the network does not let the app ask for what is needed (scope); nothing was stored")
	case a.Error == "redirect_uri_mismatch":
		return refusedBy("the app does not name the server's address as one to come back to; nothing was stored")
	case a.Error != "":
		return refusedBy("the network did not give its consent; nothing was stored")
	case a.Code == "":
		return refusedBy("the network gave no code; nothing was stored")
	}
	return nil
}

func refusedBy(message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeRefused, Message: message}
}

// exchange gets the tokens for a code.
func (c *Consents) exchange(ctx context.Context, o provider.OAuth, b baggage, code string) (map[string]string, time.Time, error) {
	conf, err := app(o, secretsOf(b.Fields))
	if err != nil {
		return nil, time.Time{}, err
	}
	conf.RedirectURL = b.Callback
	var options []oauth2.AuthCodeOption
	if b.Verifier != "" {
		options = append(options, oauth2.VerifierOption(b.Verifier))
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	way := &guarded{client: c.Client(), ctx: ctx}
	now := c.Now()
	t, err := conf.Exchange(way.context(), code, options...)
	got, err := way.granted(t, err)
	if activation.CodeOf(err) == CodeConnect {
		err = refusedBy("the network does not take the code that it gave; connect again")
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	given := maps.Clone(b.Given)
	if given == nil {
		given = map[string]string{}
	}
	var ends time.Time
	if got.refresh != "" {
		given[provider.RefreshTokenField] = got.refresh
		given[provider.AccessTokenField] = "" // not used beside it
		switch {
		case got.refreshLives > 0:
			ends = now.Add(got.refreshLives)
		case o.RefreshLife > 0:
			ends = now.Add(o.RefreshLife)
		}
	} else {
		given[provider.AccessTokenField], given[provider.RefreshTokenField] = got.token, ""
		ends = now.Add(got.lives)
	}
	return given, ends, nil
}

// callback is the address that a network sends people back to: the server's
// public one, else the one the request came to where that is this machine.
func (c *Consents) callback(origin string) (string, error) {
	if c.PublicURL != "" {
		return strings.TrimRight(c.PublicURL, "/") + CallbackPath, nil
	}
	if loopback(origin) {
		return "http://" + origin + CallbackPath, nil
	}
	return "", &activation.Error{
		Kind: activation.Invalid, Code: CodeAddress, Field: "public_url",
		Message: "the server does not know the address that browsers reach it at, which the network must send people back to: set public_url",
	}
}

// loopback reports whether host or host:port is this machine.
func loopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	a, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return strings.EqualFold(name, "localhost") || err == nil && a.IsLoopback()
}

func secretsOf(fields map[string]string) map[string]provider.Secret {
	out := make(map[string]provider.Secret, len(fields))
	for k, v := range fields {
		out[k] = provider.Secret(v)
	}
	return out
}
