package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The classes of error about access tokens; each has a page in
// docs/troubleshooting.
const (
	// CodeConnect: the consent is over; somebody must connect again.
	CodeConnect = "OAUTH-CONNECT"
	// CodeClient: the network refuses the app or the service account itself.
	CodeClient = "OAUTH-CLIENT"
	// CodeAnswer: where tokens are had gives no answer that can be used.
	CodeAnswer = "OAUTH-ANSWER"
	// CodeMints: as many tokens were asked for within the hour as may be.
	CodeMints = "OAUTH-MINTS"
)

const (
	// spare is how long a token that is handed out is good for at least.
	spare = time.Minute
	// unsaid is how long a token is taken to be good that comes without its end.
	unsaid = time.Hour
	// refusedFor is how long an answer that only a person can change is taken for
	// the next one too, so that many callers ask once.
	refusedFor = time.Minute
	// defaultMints is OAuth.Mints where the provider sets none.
	defaultMints = 20
	mintWindow   = time.Hour
)

// mintWithin bounds asking for a token; lettingGo is what is left of it once
// whoever asked has stopped waiting, because a refresh token that the network
// has changed must not be lost on its way here.
const (
	mintWithin = 30 * time.Second
	lettingGo  = 5 * time.Second
)

// TokenStore is what access tokens need of the control store.
type TokenStore interface {
	Authorization(ctx context.Context, id activation.AuthorizationID) (activation.Authorization, error)
	// Reseal stores other sealed secrets if those given are still there, and
	// reports whether they were. It leaves UpdatedAt alone.
	Reseal(ctx context.Context, a activation.Authorization, sealed []byte, keyID string) (bool, error)
	// NoteExpiry stores when what the authorization has ends, and leaves UpdatedAt
	// alone.
	NoteExpiry(ctx context.Context, id activation.AuthorizationID, at time.Time) error
}

// Tokens gives the access tokens of authorizations. All clients of one
// authorization share what it keeps. Its methods may be called by any goroutine.
type Tokens struct {
	Store TokenStore
	Vault *Vault
	Log   *slog.Logger
	Now   func() time.Time

	mu      sync.Mutex
	sources map[activation.AuthorizationID]*source
}

// Of returns what gives the tokens of an authorization, asked for by client.
// Credentials other than those it knew end the token that it keeps.
func (t *Tokens) Of(a activation.Authorization, o provider.OAuth, client *http.Client) provider.Tokens {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sources[a.ID]
	if !ok {
		s = &source{tokens: t, id: a.ID, busy: make(chan struct{}, 1)}
		if t.sources == nil {
			t.sources = map[activation.AuthorizationID]*source{}
		}
		t.sources[a.ID] = s
	}
	s.renew(a, o, client)
	return s
}

// source is the tokens of one authorization.
type source struct {
	tokens *Tokens
	id     activation.AuthorizationID
	// busy holds one value while a token is asked for.
	busy chan struct{}

	mu      sync.Mutex
	oauth   provider.OAuth
	client  *http.Client
	sealed  []byte
	updated time.Time
	age     int // counts the changes of credentials
	token   string
	until   time.Time // to which token may be handed out
	// declined is the last token that the network did not take, and when.
	declined   string
	declinedAt time.Time

	// These belong to whoever holds busy.
	asked   []time.Time // when tokens were asked for, within the last hour
	refused refusal
	unsaved rotation
}

// refusal is an answer that only a person can change, to certain credentials.
type refusal struct {
	err   error
	of    [sha256.Size]byte
	until time.Time
}

// rotation is a refresh token that took the place of the stored one at the
// network and is not stored yet.
type rotation struct{ was, is string }

// renew takes what the clients of the authorization are built with now.
func (s *source) renew(a activation.Authorization, o provider.OAuth, client *http.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oauth, s.client = o, client
	if a.UpdatedAt.Equal(s.updated) {
		return
	}
	if !bytes.Equal(a.Sealed, s.sealed) {
		s.token, s.declined = "", ""
		s.age++
	}
	s.sealed, s.updated = a.Sealed, a.UpdatedAt
}

// Token returns a token that is good for a minute at least.
func (s *source) Token(ctx context.Context) (string, error) {
	if token := s.have(); token != "" {
		return token, nil
	}
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return "", &activation.Error{Kind: activation.Unavailable, Code: CodeAnswer, Message: "the wait for an access token was cut short", Err: ctx.Err()}
	}
	defer func() { <-s.busy }()
	if token := s.have(); token != "" {
		return token, nil
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	for range 2 {
		token, again, err := s.mint(ctx)
		if !again {
			return token, err
		}
	}
	return "", &activation.Error{Kind: activation.Unavailable, Code: CodeAnswer, Message: "the credentials were changed while an access token was asked for"}
}

// Refused drops the token, if it is still the one that is handed out.
func (s *source) Refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token != "" && s.token == token {
		s.token, s.declined, s.declinedAt = "", token, s.tokens.Now()
	}
}

func (s *source) have() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && s.tokens.Now().Before(s.until) {
		return s.token
	}
	return ""
}

// mint gets a token by the credentials as they are stored now. Again is true
// when others took their place meanwhile.
func (s *source) mint(ctx context.Context) (token string, again bool, err error) {
	s.mu.Lock()
	o, client, age := s.oauth, s.client, s.age
	s.mu.Unlock()
	a, secrets, err := s.stored(ctx)
	if err != nil {
		return "", false, err
	}
	now, by := s.tokens.Now(), digest(secrets)
	if s.refused.err != nil && s.refused.of == by && now.Before(s.refused.until) {
		return "", false, s.refused.err
	}
	s.refused = refusal{}
	var got grant
	switch {
	case secrets[provider.RefreshTokenField] != "" || secrets[provider.ServiceAccountField] != "":
		got, again, err = s.ask(ctx, a, secrets, o, client)
	default:
		got, err = s.static(secrets, now)
	}
	if activation.KindOf(err) == activation.Unauthorized {
		s.refused = refusal{err: err, of: by, until: now.Add(refusedFor)}
	}
	if err != nil || again {
		return "", again, err
	}
	return got.token, !s.keep(age, got.token, now.Add(got.lives-spare)), nil
}

// keep keeps a token, unless the credentials that it was had by are not those
// of the authorization any more.
func (s *source) keep(age int, token string, until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.age != age {
		return false
	}
	s.token, s.until = token, until
	return true
}

// ask asks the network for a token, as often as may be.
func (s *source) ask(ctx context.Context, a activation.Authorization, secrets map[string]provider.Secret, o provider.OAuth, client *http.Client) (got grant, again bool, err error) {
	now := s.tokens.Now()
	if err := s.count(o, now); err != nil {
		return grant{}, false, err
	}
	refresh := secrets[provider.RefreshTokenField].Reveal()
	if refresh == "" {
		got, err = byServiceAccount(ctx, client, o, secrets)
	} else {
		now := refresh
		if s.unsaved.was == refresh {
			now = s.unsaved.is
		}
		got, err = byRefresh(ctx, client, o, secrets, now)
	}
	if err != nil {
		s.tokens.Log.WarnContext(ctx, "no access token was given", "authorization_id", s.id, "code", activation.CodeOf(err))
		return grant{}, false, err
	}
	s.tokens.Log.DebugContext(ctx, "an access token was given", "authorization_id", s.id, "seconds", int64(got.lives/time.Second))
	if refresh == "" {
		return got, false, nil
	}
	if got.refresh != "" && got.refresh != refresh {
		s.unsaved = rotation{was: refresh, is: got.refresh}
	}
	if s.unsaved.was == refresh {
		again, err = s.save(ctx, a, secrets)
		if err != nil { // it is kept here, and stored with the next token
			s.tokens.Log.ErrorContext(ctx, "a refresh token that the network changed could not be stored yet", "authorization_id", s.id, "error", err)
		}
	}
	if !again {
		s.noteEnd(ctx, a, got, now)
	}
	return got, again, nil
}

// count notes that a token is asked for, or says until when none may be.
func (s *source) count(o provider.OAuth, now time.Time) error {
	most := o.Mints
	if most <= 0 {
		most = defaultMints
	}
	s.asked = slices.DeleteFunc(s.asked, func(at time.Time) bool { return !now.Before(at.Add(mintWindow)) })
	if len(s.asked) >= most {
		return &activation.Error{
			Kind: activation.WaitUntil, Code: CodeMints, Until: s.asked[0].Add(mintWindow),
			Message: fmt.Sprintf("%d access tokens were asked for within an hour, which is as many as may be", most),
		}
	}
	s.asked = append(s.asked, now)
	return nil
}

// static is the token that is used as it is stored. One that the network did
// not take is not handed out again at once.
func (s *source) static(secrets map[string]provider.Secret, now time.Time) (grant, error) {
	token := secrets[provider.AccessTokenField].Reveal()
	if token == "" {
		return grant{}, unauthorized(CodeConnect, "there is no token to call the network with; connect the authorization, or store a token in it")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == s.declined && now.Before(s.declinedAt.Add(refusedFor)) {
		return grant{}, unauthorized(CodeConnect, "the network refused the access token; connect the authorization again, or store another token in it")
	}
	return grant{token: token, lives: unsaid}, nil
}

// stored returns the authorization and its opened fields.
func (s *source) stored(ctx context.Context) (activation.Authorization, map[string]provider.Secret, error) {
	if s.id == "" {
		return activation.Authorization{}, map[string]provider.Secret{}, nil
	}
	a, err := s.tokens.Store.Authorization(ctx, s.id)
	if err != nil {
		return a, nil, fmt.Errorf("open authorization: %w", err)
	}
	secrets, err := s.tokens.Vault.Open(a.Sealed, a.KeyID)
	if err != nil {
		return a, nil, fmt.Errorf("open authorization %q: %w", s.id, err)
	}
	return a, secrets, nil
}

// save stores the refresh token that the network put in the place of the stored
// one. Replaced is true when a person stored another one meanwhile: that counts.
func (s *source) save(ctx context.Context, a activation.Authorization, secrets map[string]provider.Secret) (replaced bool, err error) {
	for {
		if secrets[provider.RefreshTokenField].Reveal() != s.unsaved.was {
			s.unsaved = rotation{}
			return true, nil
		}
		secrets = maps.Clone(secrets)
		secrets[provider.RefreshTokenField] = provider.Secret(s.unsaved.is)
		sealed, keyID, err := s.tokens.Vault.Seal(secrets)
		if err != nil {
			return false, err
		}
		done, err := s.tokens.Store.Reseal(ctx, a, sealed, keyID)
		if done || err != nil {
			if done {
				s.unsaved = rotation{}
			}
			return false, err
		}
		if a, secrets, err = s.stored(ctx); err != nil { // sealed with another key, or replaced
			return false, err
		}
	}
}

// noteEnd stores when the refresh token ends, where the network says so.
func (s *source) noteEnd(ctx context.Context, a activation.Authorization, got grant, now time.Time) {
	if got.refreshLives <= 0 {
		return
	}
	end := now.Add(got.refreshLives)
	if !a.ExpiresAt.IsZero() && end.Sub(a.ExpiresAt).Abs() < time.Hour {
		return
	}
	if err := s.tokens.Store.NoteExpiry(ctx, s.id, end); err != nil {
		s.tokens.Log.WarnContext(ctx, "when an authorization ends could not be stored", "authorization_id", s.id, "error", err)
	}
}

// outlast returns a context that goes on for a moment after ctx has ended.
func outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithTimeout(context.WithoutCancel(ctx), mintWithin)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(lettingGo)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// digest tells credentials apart without keeping them.
func digest(secrets map[string]provider.Secret) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		v := secrets[name].Reveal()
		fmt.Fprintf(h, "%d:%s=%d:%s;", len(name), name, len(v), v)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
