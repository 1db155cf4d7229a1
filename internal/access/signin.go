package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"usher/internal/activation"
)

// codeSignIn is the code of a sign-in that has to wait.
const codeSignIn = "SIGN-IN"

// attempt is one try to prove who one is, counted before it is judged.
type attempt struct {
	a             *Access
	at            time.Time
	from          origin
	name          string // the login's key; "" where none is given
	left, leftFor int
}

// attempt counts a try from somewhere, and of a login if there is one. Where
// too many have failed it is refused with WaitUntil, the same for all reasons.
func (a *Access) attempt(from origin, login string) (*attempt, error) {
	t := &attempt{a: a, at: a.now(), from: from}
	var until time.Time
	if t.left, until = a.byAddress.take(from.counted, t.at); until.IsZero() && login != "" {
		t.name = string(hashOf(login)) // a login of any length takes this much memory
		t.leftFor, until = a.byName.take(t.name, t.at)
	}
	if !until.IsZero() {
		return nil, &activation.Error{Kind: activation.WaitUntil, Code: codeSignIn, Message: "too many failed sign-ins", Until: until}
	}
	return t, nil
}

// end judges the try by its error. What proves nothing either way is not
// counted; a failure stays, and the one after which nobody may try goes into
// the audit log, without what was typed.
func (t *attempt) end(ctx context.Context, user activation.UserID, err error) {
	if !errors.Is(err, errUnknown) {
		t.a.byAddress.give(t.from.counted, t.at)
		if t.name != "" {
			t.a.byName.give(t.name, t.at)
		}
		return
	}
	if t.left == 0 {
		t.a.lockedOut(ctx, "address", t.from.written)
	}
	if t.name != "" && t.leftFor == 0 {
		id := string(user)
		if id == "" {
			id = "unknown"
		}
		t.a.lockedOut(ctx, "user", id)
	}
}

// lockedOut notes that nobody may try for a while.
func (a *Access) lockedOut(ctx context.Context, kind, id string) {
	a.log.WarnContext(ctx, "too many failed sign-ins", slog.String("subject_type", kind), slog.String("subject_id", id))
	ctx = context.WithoutCancel(ctx) // who is shut out may hang up
	if err := a.store.AddAudit(ctx, activation.AuditEntry{Actor: "unknown", Verb: "lock_out", SubjectType: kind, SubjectID: id}); err != nil {
		a.log.ErrorContext(ctx, "lock-out not audited", slog.Any("err", err))
	}
}

// SignIn starts the session of a person with a password. People who are not
// there, are disabled or have another password get one answer after the same
// work. A hash made at less than today's cost is made again.
func (a *Access) SignIn(r *http.Request, login, password string) (_ *http.Cookie, err error) {
	ctx := r.Context()
	login = cleanLogin(login)
	try, err := a.attempt(a.origin(r), login)
	if err != nil {
		return nil, err
	}
	var u activation.User
	defer func() { try.end(ctx, u.ID, err) }()
	if u, err = a.known(ctx, login); err != nil {
		return nil, err
	}
	now, err := a.prove(ctx, u, password)
	if err != nil {
		return nil, err
	}
	return a.begin(r, u, now)
}

// known returns the person with a login; nobody is the zero User.
func (a *Access) known(ctx context.Context, login string) (activation.User, error) {
	u, err := a.store.UserByLogin(ctx, login)
	if errors.Is(err, activation.ErrNotFound) {
		return activation.User{}, nil
	}
	if err != nil {
		return u, fmt.Errorf("check credentials: %w", err)
	}
	return u, nil
}

// prove checks a person's password and returns the hash to be stored from now
// on. All that is wrong takes as long, and is errUnknown.
func (a *Access) prove(ctx context.Context, u activation.User, password string) (hash string, err error) {
	ok, stale, err := a.hash.fits(ctx, password, u.PasswordHash)
	if err != nil {
		return "", fmt.Errorf("check credentials: %w", err)
	}
	if !ok || u.Disabled {
		return "", errUnknown
	}
	if !stale {
		return u.PasswordHash, nil
	}
	if hash, err = a.hash.hash(ctx, password); err != nil {
		return "", fmt.Errorf("check credentials: %w", err)
	}
	return hash, nil
}

// begin starts the session of a person who was proved to be there, and stores
// the hash of their password.
func (a *Access) begin(r *http.Request, u activation.User, hash string) (*http.Cookie, error) {
	text, s := a.newSession()
	s.UserID, s.User, s.Role = u.ID, u.Login, u.Role
	if err := a.store.StartSession(r.Context(), s, u.PasswordHash, hash); err != nil {
		return nil, unknown(err)
	}
	return a.cookie(r, text, int(SessionTime.Seconds())), nil
}

// SignInOnce uses up the one-time token and starts the session of an
// administrator without a name. It works until there is a person.
func (a *Access) SignInOnce(r *http.Request, token string) (_ *http.Cookie, err error) {
	try, err := a.attempt(a.origin(r), "")
	if err != nil {
		return nil, err
	}
	defer func() { try.end(r.Context(), "", err) }()
	text, s := a.newSession()
	s.User, s.Role = "admin", activation.RoleAdmin
	if err := a.store.SignInOnce(r.Context(), hashOf(token), s); err != nil {
		return nil, unknown(err)
	}
	return a.cookie(r, text, int(SessionTime.Seconds())), nil
}

// SetUp uses up the one-time token for the first person, an administrator, and
// starts their session. What is wrong with the person is told before the token
// is touched. It works until there is a person.
func (a *Access) SetUp(r *http.Request, token string, p NewUser) (_ *http.Cookie, err error) {
	p.Role = activation.RoleAdmin
	u, err := p.check()
	if err != nil {
		return nil, err
	}
	try, err := a.attempt(a.origin(r), "")
	if err != nil {
		return nil, err
	}
	defer func() { try.end(r.Context(), "", err) }()
	if u.PasswordHash, err = a.hash.hash(r.Context(), p.Password); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	text, s := a.newSession()
	if _, err := a.store.SetUp(r.Context(), hashOf(token), u, s); err != nil {
		return nil, unknown(err)
	}
	return a.cookie(r, text, int(SessionTime.Seconds())), nil
}

// ChangePassword gives the caller another password, after the present one. All
// their sessions end: Continue starts another.
func (a *Access) ChangePassword(ctx context.Context, by Caller, present, next string) error {
	if by.User == "" {
		return &activation.Error{Kind: activation.Invalid, Code: "CONFLICT", Message: "only a person has a password, and this is not one", Err: activation.ErrConflict}
	}
	u, err := a.store.User(ctx, by.User)
	if err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	if err := CheckPassword(next, u.Login); err != nil {
		return err
	}
	try, err := a.attempt(by.from, u.Login)
	if err != nil {
		return err
	}
	_, err = a.prove(ctx, u, present)
	try.end(ctx, u.ID, err)
	if errors.Is(err, errUnknown) {
		return invalid("present_password", "is not your password")
	}
	if err != nil {
		return err
	}
	hash, err := a.hash.hash(ctx, next)
	if err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return a.store.SetPassword(ctx, u.ID, u.PasswordHash, hash, by.Name)
}

// Continue starts a new session for a person whose sessions ended because of
// what they have just done themselves.
func (a *Access) Continue(r *http.Request, by Caller) (*http.Cookie, error) {
	u, err := a.store.User(r.Context(), by.User)
	if err != nil {
		return nil, unknown(err)
	}
	return a.begin(r, u, u.PasswordHash)
}

// cleanLogin is a login as it is stored.
func cleanLogin(login string) string { return strings.ToLower(strings.TrimSpace(login)) }
