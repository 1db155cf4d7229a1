package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// person stores somebody who may sign in.
func (w *world) person(login string, role activation.Role) activation.User {
	w.t.Helper()
	u, err := w.CreateUser(w.t.Context(), activation.User{Login: login, Name: "Some One", Role: role, PasswordHash: "hash of " + login}, "ann")
	w.ok(err)
	return u
}

// signedIn starts a session of a person and returns its hash.
func (w *world) signedIn(u activation.User, hash string) []byte {
	w.t.Helper()
	now := w.clock.Now()
	w.ok(w.StartSession(w.t.Context(), activation.Session{
		Hash: []byte(hash), User: u.Login, UserID: u.ID, Role: u.Role, CSRF: "c", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}, u.PasswordHash, u.PasswordHash))
	return []byte(hash)
}

func (w *world) hasSession(hash []byte) bool {
	w.t.Helper()
	_, err := w.SessionByHash(w.t.Context(), hash)
	if errors.Is(err, activation.ErrNotFound) {
		return false
	}
	w.ok(err)
	return true
}

// audited fails unless the newest entries of the audit log about a kind of
// thing are these, newest first, and none of them holds a hash.
func (w *world) audited(subject string, want ...string) {
	w.t.Helper()
	all, err := w.Audit(w.t.Context(), store.AuditFilter{Limit: 100})
	w.ok(err)
	var got []string
	for _, e := range all {
		if strings.Contains(e.Before+e.After, "hash of") {
			w.t.Errorf("the audit log holds a hash: %+v", e)
		}
		if e.SubjectType == subject && len(got) < len(want) {
			got = append(got, e.Actor+" "+e.Verb)
		}
	}
	w.equal(want, got)
}

// tokens are found by their hashes alone.
func tokens(w *world) {
	ctx := w.t.Context()
	hash := []byte("0123")
	v, err := w.CreateToken(ctx, activation.Token{Name: "ci", Description: "for the builds", Hash: hash, Role: activation.RoleOperator, User: "u1", CreatedBy: "ann", ExpiresAt: w.clock.Now().Add(time.Hour)})
	w.ok(err)
	_, err = w.CreateToken(ctx, activation.Token{Name: "ci", Hash: []byte("4567"), Role: activation.RoleViewer})
	w.is(activation.ErrConflict, err)
	w.ok(w.TouchToken(ctx, v.ID, w.clock.Now()))
	got, err := w.TokenByHash(ctx, hash)
	w.ok(err)
	v.LastUsedAt = w.clock.Now()
	w.equal(v, got)
	got, err = w.Token(ctx, v.ID)
	w.ok(err)
	w.equal(v, got)
	_, err = w.TokenByHash(ctx, []byte("nope"))
	w.is(activation.ErrNotFound, err)
	_, err = w.Token(ctx, "nope")
	w.is(activation.ErrNotFound, err)
	own, err := w.CreateToken(ctx, activation.Token{Name: "own", Hash: []byte("89"), Role: activation.RoleAdmin, CreatedBy: "system"})
	w.ok(err)
	w.equal("", own.User)
	w.ok(w.DeleteToken(ctx, v.ID, "ann"))
	w.is(activation.ErrNotFound, w.DeleteToken(ctx, v.ID, "ann"))
	list, err := w.Tokens(ctx)
	w.ok(err)
	w.equal([]activation.Token{own}, list)
	w.audited("token", "ann delete", "system create", "ann create")
}

// sessions are found by their hashes, and begin and end in the audit log.
func sessions(w *world) {
	ctx := w.t.Context()
	hash := []byte("0123")
	s := activation.Session{Hash: hash, User: "ann", Role: activation.RoleAdmin, CSRF: "c", CreatedAt: w.clock.Now(), ExpiresAt: w.clock.Now().Add(time.Hour)}
	w.ok(w.CreateSession(ctx, s))
	w.ok(w.ExtendSession(ctx, hash, w.clock.Now().Add(2*time.Hour)))
	s.ExpiresAt = s.CreatedAt.Add(2 * time.Hour)
	found, err := w.SessionByHash(ctx, hash)
	w.ok(err)
	w.equal(s, found)
	w.ok(w.DeleteSession(ctx, hash))
	w.ok(w.DeleteSession(ctx, hash))
	w.equal(false, w.hasSession(hash))
	w.audited("user", "ann sign_out", "ann sign_in")

	u := w.person("a@example.com", activation.RoleAdmin)
	w.clock.Add(time.Minute)
	hash = w.signedIn(u, "4567")
	found, err = w.SessionByHash(ctx, hash)
	w.ok(err)
	w.equal(u.ID, found.UserID)
	seen, err := w.User(ctx, u.ID)
	w.ok(err)
	w.equal(w.clock.Now(), seen.LastSignInAt)
	// The one that is over goes when the next begins.
	w.clock.Add(2 * time.Hour)
	w.signedIn(u, "89")
	w.equal(false, w.hasSession(hash))
}

// oneTimeSignIn works once, until its time or until there is a person.
func oneTimeSignIn(w *world) {
	ctx := w.t.Context()
	use := func(hash string, at time.Time) error {
		return w.SignInOnce(ctx, []byte(hash), activation.Session{Hash: []byte("session of " + hash), User: "admin", Role: activation.RoleAdmin, CSRF: "c", CreatedAt: at, ExpiresAt: at.Add(time.Hour)})
	}
	now := w.clock.Now()
	w.ok(w.ReplaceSignIn(ctx, []byte("a"), now.Add(time.Minute)))
	w.ok(w.ReplaceSignIn(ctx, []byte("b"), now.Add(time.Minute)))
	w.is(activation.ErrNotFound, use("a", now))
	w.is(activation.ErrNotFound, use("b", now.Add(time.Minute)))
	w.equal(false, w.hasSession([]byte("session of b")))
	w.ok(use("b", now))
	w.is(activation.ErrNotFound, use("b", now))
	w.equal(true, w.hasSession([]byte("session of b")))

	// The first person ends what the one-time sign-in began, and its successor.
	w.ok(w.ReplaceSignIn(ctx, []byte("c"), now.Add(time.Minute)))
	w.person("a@example.com", activation.RoleAdmin)
	w.equal(false, w.hasSession([]byte("session of b")))
	w.is(activation.ErrNotFound, use("c", now))
	w.ok(w.ReplaceSignIn(ctx, []byte("d"), now.Add(time.Minute)))
	w.is(activation.ErrNotFound, use("d", now))
	w.equal(false, w.hasSession([]byte("session of d")))
}

// settingUp makes the first person, once.
func settingUp(w *world) {
	ctx := w.t.Context()
	now := w.clock.Now()
	setUp := func(sign, login, session string, role activation.Role) (activation.User, error) {
		return w.SetUp(ctx, []byte(sign), activation.User{Login: login, Name: "First", Role: role, PasswordHash: "hash of it"},
			activation.Session{Hash: []byte(session), CSRF: "c", CreatedAt: now, ExpiresAt: now.Add(time.Hour)})
	}
	w.ok(w.ReplaceSignIn(ctx, []byte("a"), now.Add(time.Minute)))
	_, err := setUp("b", "a@example.com", "s", activation.RoleAdmin)
	w.is(activation.ErrNotFound, err)
	_, err = setUp("a", "a@example.com", "s", activation.RoleOperator)
	w.is(activation.ErrConflict, err)
	has, err := w.HasUsers(ctx)
	w.ok(err)
	w.equal(false, has)
	// What was refused used nothing up.
	u, err := setUp("a", "A@Example.com", "s", activation.RoleAdmin)
	w.ok(err)
	w.equal("a@example.com", u.Login)
	s, err := w.SessionByHash(ctx, []byte("s"))
	w.ok(err)
	w.equal([]any{u.ID, u.Login, activation.RoleAdmin}, []any{s.UserID, s.User, s.Role})
	w.audited("user", "a@example.com sign_in", "a@example.com create")

	w.ok(w.ReplaceSignIn(ctx, []byte("c"), now.Add(time.Minute)))
	_, err = setUp("c", "b@example.com", "s2", activation.RoleAdmin)
	w.is(activation.ErrNotFound, err)
	w.equal(false, w.hasSession([]byte("s2")))
}

// people are kept by login, which is one whatever its capitals.
func people(w *world) {
	ctx := w.t.Context()
	has, err := w.HasUsers(ctx)
	w.ok(err)
	w.equal(false, has)
	_, err = w.CreateUser(ctx, activation.User{Login: "v@example.com", Name: "V", Role: activation.RoleViewer, PasswordHash: "x"}, "ann")
	w.is(activation.ErrConflict, err)
	b := w.person("B@example.com", activation.RoleAdmin)
	a := w.person("a@example.com", activation.RoleViewer)
	w.equal("b@example.com", b.Login)
	_, err = w.CreateUser(ctx, activation.User{Login: "A@EXAMPLE.com", Name: "Other", Role: activation.RoleViewer, PasswordHash: "x"}, "ann")
	w.is(activation.ErrConflict, err)
	list, err := w.Users(ctx)
	w.ok(err)
	w.equal([]activation.User{a, b}, list)
	got, err := w.UserByLogin(ctx, "A@example.COM")
	w.ok(err)
	w.equal(a, got)
	_, err = w.UserByLogin(ctx, "secret@example.com")
	w.is(activation.ErrNotFound, err)
	if strings.Contains(err.Error(), "secret") {
		w.t.Errorf("the error names what was typed: %v", err)
	}
	_, err = w.User(ctx, "nope")
	w.is(activation.ErrNotFound, err)

	w.clock.Add(time.Minute)
	a, err = w.UpdateUser(ctx, a.ID, func(u *activation.User) {
		u.Name, u.Role, u.Login, u.ID = "Ann", activation.RoleOperator, "other@example.com", "other"
	}, "ann")
	w.ok(err)
	got, err = w.User(ctx, a.ID)
	w.ok(err)
	w.equal(a, got)
	w.equal([]any{"a@example.com", "Ann", activation.RoleOperator, "hash of a@example.com", w.clock.Now()}, []any{a.Login, a.Name, a.Role, a.PasswordHash, a.UpdatedAt})
	_, err = w.UpdateUser(ctx, "nope", func(*activation.User) {}, "ann")
	w.is(activation.ErrNotFound, err)

	_, err = w.CreateToken(ctx, activation.Token{Name: "a's", Hash: []byte("1"), Role: activation.RoleViewer, User: a.ID, CreatedBy: a.Login})
	w.ok(err)
	_, err = w.CreateToken(ctx, activation.Token{Name: "b's", Hash: []byte("2"), Role: activation.RoleViewer, User: b.ID, CreatedBy: b.Login})
	w.ok(err)
	w.ok(w.DeleteUser(ctx, a.ID, "ann"))
	w.is(activation.ErrNotFound, w.DeleteUser(ctx, a.ID, "ann"))
	left, err := w.Tokens(ctx)
	w.ok(err)
	w.equal("b's", left[0].Name)
	w.equal(1, len(left))
	w.audited("user", "ann delete", "ann update", "ann create", "ann create")
	w.audited("token", "ann delete", "b@example.com create", "a@example.com create")
}

// endsSessions: who may do less, or proves anew who they are, is signed out at
// once; and nobody is signed in by what was true before.
func endsSessions(w *world) {
	ctx := w.t.Context()
	w.person("admin@example.com", activation.RoleAdmin)
	other := w.signedIn(w.person("other@example.com", activation.RoleViewer), "other")
	change := func(fn func(*activation.User)) func(activation.User) error {
		return func(u activation.User) error { _, err := w.UpdateUser(ctx, u.ID, fn, "ann"); return err }
	}
	for i, c := range []struct {
		name string
		ends bool
		do   func(activation.User) error
	}{
		{"name", false, change(func(u *activation.User) { u.Name = "New" })},
		{"role", true, change(func(u *activation.User) { u.Role = activation.RoleOperator })},
		{"disabled", true, change(func(u *activation.User) { u.Disabled = true })},
		{"password, by an administrator", true, change(func(u *activation.User) { u.PasswordHash = "hash of another" })},
		{"own password", true, func(u activation.User) error {
			return w.SetPassword(ctx, u.ID, u.PasswordHash, "hash of another", u.Login)
		}},
		{"deleted", true, func(u activation.User) error { return w.DeleteUser(ctx, u.ID, "ann") }},
	} {
		u := w.person(string(rune('a'+i))+"@example.com", activation.RoleViewer)
		one, two := w.signedIn(u, c.name+"1"), w.signedIn(u, c.name+"2")
		w.ok(c.do(u))
		if w.hasSession(one) == c.ends || w.hasSession(two) == c.ends {
			w.t.Errorf("%s: ends sessions is %v", c.name, !c.ends)
		}
		err := w.StartSession(ctx, activation.Session{Hash: []byte("late"), User: u.Login, UserID: u.ID, Role: u.Role, CSRF: "c", CreatedAt: w.clock.Now(), ExpiresAt: w.clock.Now().Add(time.Hour)}, u.PasswordHash, u.PasswordHash)
		if signsIn := err == nil; signsIn != slices.Contains([]string{"name", "role"}, c.name) {
			w.t.Errorf("%s: a sign-in that was checked before: %v", c.name, err)
		}
		w.ok(w.DeleteSession(ctx, []byte("late")))
	}
	w.equal(true, w.hasSession(other))
	u := w.person("z@example.com", activation.RoleViewer)
	w.is(activation.ErrConflict, w.SetPassword(ctx, u.ID, "not it", "hash of another", u.Login))
	w.ok(w.StartSession(ctx, activation.Session{Hash: []byte("z"), User: u.Login, UserID: u.ID, Role: u.Role, CSRF: "c", CreatedAt: w.clock.Now(), ExpiresAt: w.clock.Now().Add(time.Hour)}, u.PasswordHash, "hash of dearer"))
	got, err := w.User(ctx, u.ID)
	w.ok(err)
	w.equal("hash of dearer", got.PasswordHash)
	w.equal(true, w.hasSession([]byte("z")))
}

// lastAdministrator: the last who may sign in can't be taken away in any way.
func lastAdministrator(w *world) {
	ctx := w.t.Context()
	a, b := w.person("a@example.com", activation.RoleAdmin), w.person("b@example.com", activation.RoleAdmin)
	w.person("c@example.com", activation.RoleOperator)
	disable := func(u *activation.User) { u.Disabled = true }
	_, err := w.UpdateUser(ctx, b.ID, disable, "ann")
	w.ok(err)
	for _, change := range []func(*activation.User){disable, func(u *activation.User) { u.Role = activation.RoleOperator }} {
		_, err := w.UpdateUser(ctx, a.ID, change, "ann")
		w.is(activation.ErrConflict, err)
		if !strings.Contains(activation.SafeMessage(err), "last administrator") {
			w.t.Errorf("the refusal does not say why: %v", err)
		}
	}
	w.is(activation.ErrConflict, w.DeleteUser(ctx, a.ID, "ann"))
	_, err = w.UpdateUser(ctx, a.ID, func(u *activation.User) { u.Name = "Renamed" }, "ann")
	w.ok(err)
	w.ok(w.DeleteUser(ctx, b.ID, "ann")) // disabled, so none of those who may
	w.is(activation.ErrConflict, w.DeleteUser(ctx, a.ID, "ann"))
}

// twoLastAdministrators demote each other at once, from two nodes: one stays.
func twoLastAdministrators(w *world) {
	ctx := w.t.Context()
	nodes := []*store.Store{w.Store, w.again()}
	for range 10 {
		all, err := w.Users(ctx)
		w.ok(err)
		if len(all) == 0 {
			w.person("a@example.com", activation.RoleAdmin)
			w.person("b@example.com", activation.RoleAdmin)
		}
		all, err = w.Users(ctx)
		w.ok(err)
		for _, u := range all {
			_, err := w.UpdateUser(ctx, u.ID, func(u *activation.User) { u.Role = activation.RoleAdmin }, "ann")
			w.ok(err)
		}
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i, u := range all {
			both.Go(func() {
				_, errs[i] = nodes[i].UpdateUser(ctx, u.ID, func(u *activation.User) { u.Role = activation.RoleViewer }, "ann")
			})
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			w.t.Fatalf("of two administrators who demote each other, one has to stay: %v, %v", errs[0], errs[1])
		}
		w.is(activation.ErrConflict, errors.Join(errs...))
	}
}
