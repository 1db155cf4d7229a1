package access_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/store"
)

const (
	good  = "correct horse battery"
	other = "another long password"
)

// person makes somebody who may sign in with the password good.
func (b *bench) person(login string, role activation.Role) activation.User {
	b.t.Helper()
	u, err := b.CreateUser(b.t.Context(), access.NewUser{Login: login, Name: "Some One", Role: role, Password: good}, machine)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

func (b *bench) signIn(login, password, address string) (*http.Cookie, error) {
	return b.SignIn(b.from(address), login, password)
}

// caller is who a cookie is, if anybody.
func (b *bench) caller(c *http.Cookie) (access.Caller, bool) {
	return b.Caller(b.request("GET", "", c))
}

// audit is the audit log, newest first, as "actor verb subject".
func (b *bench) audit() []string {
	b.t.Helper()
	all, err := b.store.Audit(b.t.Context(), store.AuditFilter{Limit: 500})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		if text := fmt.Sprint(e); strings.Contains(text, good) || strings.Contains(text, other) || strings.Contains(text, "argon2") {
			b.t.Errorf("the audit log holds a secret: %s", text)
		}
		out = append(out, e.Actor+" "+e.Verb+" "+e.SubjectType+" "+e.SubjectID)
	}
	return out
}

func TestPersonDeclaration(t *testing.T) {
	b := newBench(t)
	ok := access.NewUser{Login: " Ann@Example.com ", Name: " Ann ", Role: activation.RoleAdmin, Password: good}
	for _, c := range []struct {
		name  string
		wrong func(*access.NewUser)
		want  []string
	}{
		{"no login", func(p *access.NewUser) { p.Login = "" }, []string{"email: must be an e-mail address"}},
		{"no domain", func(p *access.NewUser) { p.Login = "ann" }, []string{"email: "}},
		{"two lines", func(p *access.NewUser) { p.Login = "ann@example.com\nx" }, []string{"email: "}},
		{"two", func(p *access.NewUser) { p.Login = "ann@example.com,bob@example.com" }, []string{"email: "}},
		{"too long", func(p *access.NewUser) { p.Login = strings.Repeat("x", 250) + "@example.com" }, []string{"email: "}},
		{"no name", func(p *access.NewUser) { p.Name = " " }, []string{"name: is needed"}},
		{"no role", func(p *access.NewUser) { p.Role = "owner" }, []string{"role: must be viewer, operator or admin"}},
		{"all of it", func(p *access.NewUser) { *p = access.NewUser{} }, []string{"email: ", "name: ", "role: ", "password: "}},
		{"password", func(p *access.NewUser) { p.Password = "ANN@example.com" }, []string{"password: must not be the login"}},
	} {
		p := ok
		c.wrong(&p)
		_, err := b.CreateUser(t.Context(), p, machine)
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field == "" {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(e.Message, want) {
				t.Errorf("%s: %q lacks %q", c.name, e.Message, want)
			}
		}
	}
	p := ok
	p.Role = activation.RoleViewer
	if _, err := b.CreateUser(t.Context(), p, machine); !errors.Is(err, activation.ErrConflict) {
		t.Errorf("a first person who is no administrator: %v", err)
	}
	u, err := b.CreateUser(t.Context(), ok, machine)
	if err != nil || u.Login != "ann@example.com" || u.Name != "Ann" || !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
		t.Fatalf("%q %q %v", u.Login, u.Name, err)
	}
	if _, err := b.CreateUser(t.Context(), ok, machine); !errors.Is(err, activation.ErrConflict) || strings.Contains(activation.SafeMessage(err), "ann") {
		t.Errorf("a login twice: %v", err)
	}
}

func TestSignInWithPassword(t *testing.T) {
	b := newBench(t)
	ann := b.person("ann@example.com", activation.RoleAdmin)
	bob := b.person("bob@example.com", activation.RoleViewer)
	off := true
	if _, err := b.UpdateUser(t.Context(), bob.ID, access.Change{Disabled: &off}, machine); err != nil {
		t.Fatal(err)
	}
	c, err := b.signIn(" ANN@example.com", good, "192.0.2.1")
	if err != nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" {
		t.Fatalf("%+v %v", c, err)
	}
	who, ok := b.caller(c)
	if !ok || who.Name != "ann@example.com" || who.User != ann.ID || who.Role != activation.RoleAdmin || who.CSRF == "" || who.Token != "" {
		t.Fatalf("%+v %v", who, ok)
	}
	if u, err := b.User(t.Context(), ann.ID); err != nil || !u.LastSignInAt.Equal(b.now) {
		t.Errorf("last sign-in %s, %v", u.LastSignInAt, err)
	}
	// Who is not there, has another password or is disabled gets one answer.
	var said string
	for i, try := range [][2]string{{"ann@example.com", other}, {"nobody@example.com", good}, {"bob@example.com", good}, {"ann@example.com", ""}, {"", good}, {"", ""}, {"ann", good}} {
		_, err := b.signIn(try[0], try[1], fmt.Sprintf("192.0.2.%d", 10+i))
		if activation.KindOf(err) != activation.Unauthorized || said != "" && err.Error() != said {
			t.Errorf("try %d: %v, before it %s", i, err, said)
		}
		if err != nil {
			said = err.Error()
		}
	}
	if log := b.log.String(); strings.Contains(log, "example.com") || strings.Contains(log, good) || strings.Contains(log, other) {
		t.Errorf("the log names people or passwords: %s", log)
	}
	b.audit()
}

// TestRehash: what was hashed at less than today's cost is hashed again when
// its owner signs in, and still fits.
func TestRehash(t *testing.T) {
	b := newBench(t)
	u := b.person("ann@example.com", activation.RoleAdmin)
	dearer := access.New(access.Config{Store: b.store, Cost: access.Cost{MemoryKiB: 128, Passes: 1, Lanes: 1}, Now: func() time.Time { return b.now }})
	hash := func() string {
		v, err := b.User(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return v.PasswordHash
	}
	if _, err := dearer.SignIn(b.from("192.0.2.1"), u.Login, other); activation.KindOf(err) != activation.Unauthorized || hash() != u.PasswordHash {
		t.Errorf("a wrong password hashes anew: %v", err)
	}
	c, err := dearer.SignIn(b.from("192.0.2.1"), u.Login, good)
	if err != nil || !strings.Contains(hash(), "$m=128,t=1,p=1$") {
		t.Fatalf("the hash is not made again: %v", err)
	}
	if _, ok := b.caller(c); !ok {
		t.Error("the session does not hold")
	}
	again := hash()
	if _, err := b.signIn(u.Login, good, "192.0.2.1"); err != nil || hash() != again {
		t.Errorf("a cheaper server hashes anew: %v", err)
	}
}

// TestRightsEndSessions proves on live sessions that taken rights are gone with
// the next request.
func TestRightsEndSessions(t *testing.T) {
	b := newBench(t)
	b.person("admin@example.com", activation.RoleAdmin)
	role, off, password := activation.RoleOperator, true, other
	for i, c := range []struct {
		name string
		do   func(activation.User, access.Caller) error
	}{
		{"role", func(u activation.User, _ access.Caller) error {
			_, err := b.UpdateUser(t.Context(), u.ID, access.Change{Role: &role}, machine)
			return err
		}},
		{"disabled", func(u activation.User, _ access.Caller) error {
			_, err := b.UpdateUser(t.Context(), u.ID, access.Change{Disabled: &off}, machine)
			return err
		}},
		{"password by an administrator", func(u activation.User, _ access.Caller) error {
			_, err := b.UpdateUser(t.Context(), u.ID, access.Change{Password: &password}, machine)
			return err
		}},
		{"own password", func(_ activation.User, who access.Caller) error {
			return b.ChangePassword(t.Context(), who, good, other)
		}},
		{"deleted", func(u activation.User, _ access.Caller) error { return b.DeleteUser(t.Context(), u.ID, machine) }},
	} {
		u := b.person(fmt.Sprintf("p%d@example.com", i), activation.RoleViewer)
		one, err1 := b.signIn(u.Login, good, "192.0.2.1")
		two, err2 := b.signIn(u.Login, good, "192.0.2.2")
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		who, ok := b.caller(one)
		if !ok {
			t.Fatalf("%s: no session to end", c.name)
		}
		if err := c.do(u, who); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, cookie := range []*http.Cookie{one, two} {
			if who, ok := b.caller(cookie); ok {
				t.Errorf("%s: a session goes on as %s", c.name, who.Role)
			}
		}
	}
	name := "New Name"
	u := b.person("z@example.com", activation.RoleViewer)
	c, err := b.signIn(u.Login, good, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.UpdateUser(t.Context(), u.ID, access.Change{Name: &name}, machine); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.caller(c); !ok {
		t.Error("another name ends the session")
	}
}

func TestOwnPassword(t *testing.T) {
	b := newBench(t)
	u := b.person("ann@example.com", activation.RoleAdmin)
	c, err := b.signIn(u.Login, good, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	who, _ := b.caller(c)
	change := func(present, next string) error {
		return b.ChangePassword(t.Context(), who, present, next)
	}
	for _, x := range []struct{ present, next, field string }{{other, other, "present_password"}, {"", other, "present_password"}, {good, "short", "password"}, {good, u.Login, "password"}} {
		var e *activation.Error
		if err := change(x.present, x.next); !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != x.field {
			t.Errorf("%s: %v", x.field, err)
		}
	}
	if _, ok := b.caller(c); !ok {
		t.Fatal("a refused change ended the session")
	}
	if err := b.ChangePassword(t.Context(), machine, good, other); !errors.Is(err, activation.ErrConflict) {
		t.Errorf("of a token: %v", err)
	}
	if err := change(good, other); err != nil {
		t.Fatal(err)
	}
	next, err := b.Continue(b.from("192.0.2.1"), who)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.caller(c); ok {
		t.Error("the old cookie works")
	}
	if _, ok := b.caller(next); !ok {
		t.Error("the new cookie does not work")
	}
	if _, err := b.signIn(u.Login, good, "192.0.2.1"); activation.KindOf(err) != activation.Unauthorized {
		t.Errorf("the old password: %v", err)
	}
	if _, err := b.signIn(u.Login, other, "192.0.2.1"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	// A thief of the cookie may not try every password through it.
	var kinds []activation.Kind
	for range 12 {
		kinds = append(kinds, activation.KindOf(change(good, good+"!")))
	}
	if kinds[0] != activation.Invalid || kinds[11] != activation.WaitUntil {
		t.Errorf("tries are not limited: %v", kinds)
	}
}

// TestSetUp: the one-time token makes the first person, once, and signs nobody
// in from then on.
func TestSetUp(t *testing.T) {
	b := newBench(t)
	token, err := b.OneTimeToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := access.NewUser{Login: "ann@example.com", Name: "Ann", Password: good}
	if _, err := b.SetUp(b.from("192.0.2.1"), token, access.NewUser{Login: "ann", Password: "short"}); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a wrong person: %v", err)
	}
	if _, err := b.SetUp(b.from("192.0.2.1"), "wrong", p); activation.KindOf(err) != activation.Unauthorized {
		t.Errorf("a wrong token: %v", err)
	}
	c, err := b.SetUp(b.from("192.0.2.1"), token, p)
	if err != nil {
		t.Fatal(err)
	}
	if who, ok := b.caller(c); !ok || who.Name != "ann@example.com" || who.Role != activation.RoleAdmin {
		t.Fatalf("%+v %v", who, ok)
	}
	p.Login = "eve@example.com"
	for range 2 {
		if _, err := b.SetUp(b.from("192.0.2.1"), token, p); activation.KindOf(err) != activation.Unauthorized {
			t.Errorf("again: %v", err)
		}
		if _, err := b.SignInOnce(b.from("192.0.2.1"), token); activation.KindOf(err) != activation.Unauthorized {
			t.Errorf("as a sign-in: %v", err)
		}
		if token, err = b.OneTimeToken(t.Context()); err != nil { // as after a restart
			t.Fatal(err)
		}
	}
}

// TestOneTimeSessionEnds: who came in by the one-time link is out as soon as
// there is a person.
func TestOneTimeSessionEnds(t *testing.T) {
	b := newBench(t)
	c := b.signedIn()
	b.person("ann@example.com", activation.RoleAdmin)
	if _, ok := b.caller(c); ok {
		t.Error("the one-time session goes on")
	}
}

// TestPasswordTriesAreLimited by address and by login, known or not; the one
// that shuts the door is in the audit log, without what was typed.
func TestPasswordTriesAreLimited(t *testing.T) {
	b := newBench(t)
	ann := b.person("ann@example.com", activation.RoleAdmin)
	kind := func(login, password, address string) activation.Kind {
		_, err := b.signIn(login, password, address)
		return activation.KindOf(err)
	}
	// One address, many logins.
	for i := range 10 {
		if got := kind(fmt.Sprintf("guess%d@example.com", i), "secret guess", "192.0.2.77"); got != activation.Unauthorized {
			t.Fatalf("failure %d is %s", i, got)
		}
	}
	var e *activation.Error
	if _, err := b.signIn("ann@example.com", good, "192.0.2.77"); !errors.As(err, &e) || e.Kind != activation.WaitUntil || !e.Until.Equal(b.now.Add(15*time.Minute)) {
		t.Errorf("the right password from there: %v", err)
	}
	if got := b.audit()[0]; got != "unknown lock_out address 192.0.2.0/24" {
		t.Errorf("the audit log says %q", got)
	}
	// Many addresses, one login; an IPv6 network counts as one address.
	for i := range 20 {
		if got := kind("ann@example.com", "secret guess", fmt.Sprintf("198.51.100.%d", i)); got != activation.Unauthorized {
			t.Fatalf("failure %d is %s", i, got)
		}
		kind("nobody@example.com", "secret guess", fmt.Sprintf("203.0.113.%d", i))
	}
	if kind("ann@example.com", good, "2001:db8::1") != activation.WaitUntil || kind("nobody@example.com", good, "2001:db8:1::1") != activation.WaitUntil {
		t.Error("a login without end of tries")
	}
	if log := b.audit(); log[1] != "unknown lock_out user "+string(ann.ID) || log[0] != "unknown lock_out user unknown" {
		t.Errorf("the audit log says %q", log[:2])
	}
	for i := range 10 {
		kind(fmt.Sprintf("x%d@example.com", i), "secret guess", fmt.Sprintf("2001:db8:2::%d", i+1))
	}
	if got := kind("y@example.com", "secret guess", "2001:db8:2::ffff"); got != activation.WaitUntil {
		t.Errorf("another address of the same network: %s", got)
	}
	all, err := b.store.Audit(t.Context(), store.AuditFilter{Limit: 500})
	if err != nil || strings.Contains(fmt.Sprint(all), "guess") || strings.Contains(b.log.String(), "guess") || strings.Contains(b.log.String(), "@") {
		t.Errorf("what was typed is written down: %v", err)
	}
	b.now = b.now.Add(15 * time.Minute)
	if _, err := b.signIn("ann@example.com", good, "192.0.2.77"); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

// TestManyTriesAtOnce are no way around the limit.
func TestManyTriesAtOnce(t *testing.T) {
	b := newBench(t)
	b.person("ann@example.com", activation.RoleAdmin)
	kinds := make(chan activation.Kind)
	for range 40 {
		go func() {
			_, err := b.signIn("ann@example.com", "secret guess", "192.0.2.1")
			kinds <- activation.KindOf(err)
		}()
	}
	judged := 0
	for range 40 {
		if <-kinds == activation.Unauthorized {
			judged++
		}
	}
	if judged != 10 {
		t.Errorf("%d tries were judged, want 10", judged)
	}
}

// TestSuccessIsNoFailure: who signs in all day is never shut out, and a success
// does not wipe out the failures of the same address.
func TestSuccessIsNoFailure(t *testing.T) {
	b := newBench(t)
	b.person("ann@example.com", activation.RoleAdmin)
	for i := range 60 {
		if i%6 == 5 && i < 54 { // nine failures in between
			if _, err := b.signIn("eve@example.com", good, "192.0.2.1"); activation.KindOf(err) != activation.Unauthorized {
				t.Fatalf("failure %d: %v", i, err)
			}
			continue
		}
		if _, err := b.signIn("ann@example.com", good, "192.0.2.1"); err != nil {
			t.Fatalf("sign-in %d: %v", i, err)
		}
	}
	if _, err := b.signIn("eve@example.com", good, "192.0.2.1"); activation.KindOf(err) != activation.Unauthorized {
		t.Fatalf("the tenth failure: %v", err)
	}
	if _, err := b.signIn("ann@example.com", good, "192.0.2.1"); activation.KindOf(err) != activation.WaitUntil {
		t.Errorf("after ten failures: %v", err)
	}
}

// TestBehindProxies: their word counts only when they are trusted, and only up
// to the first address that is none of theirs.
func TestBehindProxies(t *testing.T) {
	b := newBench(t)
	a := access.New(access.Config{Store: b.store, Cost: cheap, Now: func() time.Time { return b.now }, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	a.CreateUser(t.Context(), access.NewUser{Login: "ann@example.com", Name: "Ann", Role: activation.RoleAdmin, Password: good}, machine)
	for _, c := range []struct {
		name, remote, forwarded, proto string
		tls, secure                    bool
	}{
		{"plain", "192.0.2.1", "", "", false, false},
		{"TLS", "192.0.2.1", "", "", true, true},
		{"a stranger says TLS", "192.0.2.1", "", "https", false, false},
		{"the proxy says TLS", "10.0.0.1", "192.0.2.1", "https", false, true},
		{"the proxy says plain", "10.0.0.1", "192.0.2.1", "http", false, false},
	} {
		r := b.from(c.remote)
		r.Header.Set("X-Forwarded-Proto", c.proto)
		r.Header.Set("X-Forwarded-For", c.forwarded)
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		cookie, err := a.SignIn(r, "ann@example.com", good)
		if err != nil || cookie.Secure != c.secure {
			t.Errorf("%s: Secure is %v, want %v; %v", c.name, cookie != nil && cookie.Secure, c.secure, err)
		}
		if gone, err := a.SignOut(r); err != nil || gone.Secure != c.secure {
			t.Errorf("%s: the cookie that takes it away differs", c.name)
		}
	}
	try := func(remote string, forwarded ...string) activation.Kind {
		r := b.from(remote)
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		_, err := a.SignIn(r, "x@example.com", good)
		return activation.KindOf(err)
	}
	for range 10 {
		try("10.0.0.1", "1.1.1.1", "203.0.113.9, 10.0.0.2") // what the client wrote itself comes first
	}
	if try("10.0.0.1", "2.2.2.2, 203.0.113.9, 10.0.0.2") != activation.WaitUntil || try("203.0.113.9") != activation.WaitUntil {
		t.Error("the address behind the proxies is not counted")
	}
	if try("10.0.0.1", "1.1.1.1") == activation.WaitUntil {
		t.Error("another behind the same proxy is shut out")
	}
	if try("203.0.113.9", "1.1.1.1") != activation.WaitUntil {
		t.Error("a stranger chooses its own address")
	}
}

// TestTokenRights: who may make, see and end which tokens.
func TestTokenRights(t *testing.T) {
	b := newBench(t)
	b.person("admin@example.com", activation.RoleAdmin)
	callers := map[string]access.Caller{"machine": machine}
	for _, name := range []string{"admin", "operator", "viewer"} {
		login := name + "@example.com"
		if name != "admin" {
			b.person(login, activation.Role(name))
		}
		c, err := b.signIn(login, good, "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		callers[name], _ = b.caller(c)
	}
	made := map[string]activation.Token{}
	for _, c := range []struct {
		by, name string
		role     activation.Role
		field    string
	}{
		{"viewer", "v", activation.RoleViewer, ""},
		{"viewer", "v2", activation.RoleOperator, "scope"},
		{"operator", "o", activation.RoleOperator, ""},
		{"operator", "o2", activation.RoleAdmin, "scope"},
		{"admin", "a", activation.RoleAdmin, ""},
		{"machine", "m", activation.RoleAdmin, ""},
	} {
		text, stored, err := b.MakeToken(t.Context(), activation.Token{Name: c.name, Role: c.role}, callers[c.by])
		var e *activation.Error
		if c.field == "" && (err != nil || stored.User != callers[c.by].User || stored.CreatedBy != callers[c.by].Name) || c.field != "" && (!errors.As(err, &e) || e.Field != c.field) {
			t.Fatalf("%s makes %s: %+v %v", c.by, c.name, stored, err)
		}
		if err == nil {
			made[c.name] = stored
			who, ok := b.Caller(b.request("GET", text, nil))
			if !ok || who.Name != "token:"+c.name || who.Token != stored.ID || who.User != callers[c.by].User {
				t.Fatalf("the token of %s is %+v", c.by, who)
			}
			callers["token "+c.name] = who
		}
	}
	// Tokens make tokens only when they are an administrator's, and none that
	// outlives them.
	for name, forbidden := range map[string]bool{"token v": true, "token o": true, "token a": false} {
		_, _, err := b.MakeToken(t.Context(), activation.Token{Name: "by " + name, Role: activation.RoleViewer}, callers[name])
		if errors.Is(err, access.ErrForbidden) != forbidden || !forbidden && err != nil {
			t.Errorf("%s makes a token: %v", name, err)
		}
	}
	brief := callers["token a"]
	brief.TokenEnds = b.now.Add(time.Hour)
	for _, c := range []struct {
		ends time.Time
		ok   bool
	}{{time.Time{}, false}, {b.now.Add(2 * time.Hour), false}, {b.now.Add(time.Hour), true}} {
		if _, _, err := b.MakeToken(t.Context(), activation.Token{Name: "brief", Role: activation.RoleViewer, ExpiresAt: c.ends}, brief); (err == nil) != c.ok {
			t.Errorf("a token until %s by one that ends at %s: %v", c.ends, brief.TokenEnds, err)
		}
	}
	for name, want := range map[string][]string{
		"viewer": {"v"}, "operator": {"o"}, "token v": {"v"}, "token o": {"o"}, "admin": {"a", "brief", "by token a", "m", "o", "v"}, "token a": {"a", "brief", "by token a", "m", "o", "v"}, "machine": {"a", "brief", "by token a", "m", "o", "v"},
	} {
		list, err := b.Tokens(t.Context(), callers[name])
		var got []string
		for _, v := range list {
			got = append(got, v.Name)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s sees %v, want %v", name, got, want)
		}
		for token, stored := range made {
			_, err := b.Token(t.Context(), stored.ID, callers[name])
			if sees := err == nil; sees != slices.Contains(want, token) || !sees && !errors.Is(err, activation.ErrNotFound) {
				t.Errorf("%s looks at %s: %v", name, token, err)
			}
			if !slices.Contains(want, token) {
				if err := b.RevokeToken(t.Context(), stored.ID, callers[name]); !errors.Is(err, activation.ErrNotFound) {
					t.Errorf("%s ends %s: %v", name, token, err)
				}
			}
		}
	}
	if err := b.RevokeToken(t.Context(), made["v"].ID, callers["viewer"]); err != nil {
		t.Error(err)
	}
	if _, err := b.Tokens(t.Context(), access.Caller{}); err != nil {
		t.Error(err)
	}
	if list, _ := b.Tokens(t.Context(), access.Caller{Role: activation.RoleViewer}); len(list) > 0 {
		t.Error("nobody by name sees the server's own tokens")
	}
}

// TestTokenNeverOutlivesRights walks any order of changes of people, and after
// each asks every token what it can do: never more than it was made for, nor
// than its maker can at that moment, and nothing when the maker can nothing.
func TestTokenNeverOutlivesRights(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.person("root@example.com", activation.RoleAdmin)
	own, err := b.NewToken(ctx, "own", activation.RoleOperator, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		type token struct {
			text  string
			scope activation.Role
			maker activation.UserID
		}
		var tokens []token
		people := map[activation.UserID]*activation.User{} // the model
		var ids []activation.UserID
		roles := rapid.SampledFrom(activation.Roles)
		pick := func() *activation.User { return people[ids[rapid.IntRange(0, len(ids)-1).Draw(t, "who")]] }
		for n := range 2 {
			u := b.person(fmt.Sprintf("p%d-%d@example.com", round, n), roles.Draw(t, "role"))
			people[u.ID] = &u
			ids = append(ids, u.ID)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			u := pick()
			switch rapid.SampledFrom([]string{"make", "make", "role", "disable", "enable", "delete"}).Draw(t, "step") {
			case "make":
				if u == nil {
					break
				}
				scope := roles.Draw(t, "scope")
				text, _, err := b.MakeToken(ctx, activation.Token{Name: fmt.Sprintf("t%d-%d", round, len(tokens)), Role: scope}, access.Caller{Name: u.Login, User: u.ID, Role: u.Role})
				if (err == nil) != u.Role.Includes(scope) {
					t.Fatalf("a token for %s by %s: %v", scope, u.Role, err)
				}
				if err == nil {
					tokens = append(tokens, token{text, scope, u.ID})
				}
			case "role":
				if u != nil {
					u.Role = roles.Draw(t, "new role")
					if _, err := b.UpdateUser(ctx, u.ID, access.Change{Role: &u.Role}, machine); err != nil {
						t.Fatal(err)
					}
				}
			case "disable", "enable":
				if u != nil {
					u.Disabled = !u.Disabled
					if _, err := b.UpdateUser(ctx, u.ID, access.Change{Disabled: &u.Disabled}, machine); err != nil {
						t.Fatal(err)
					}
				}
			case "delete":
				if u != nil {
					if err := b.DeleteUser(ctx, u.ID, machine); err != nil {
						t.Fatal(err)
					}
					people[u.ID] = nil
				}
			}
			for i, x := range tokens {
				who, ok := b.Caller(b.request("GET", x.text, nil))
				maker := people[x.maker]
				if able := maker != nil && !maker.Disabled; ok != able {
					t.Fatalf("token %d works: %v, its maker may do things: %v", i, ok, able)
				}
				if !ok {
					continue
				}
				for _, role := range activation.Roles {
					if who.May(role) != (x.scope.Includes(role) && maker.Role.Includes(role)) {
						t.Fatalf("token %d, made as %s by one who is %s now, may %s: %v", i, x.scope, maker.Role, role, who.May(role))
					}
				}
			}
			if who, ok := b.Caller(b.request("GET", own, nil)); !ok || who.Role != activation.RoleOperator {
				t.Fatal("the server's own token depends on people")
			}
		}
	})
}

// TestTokenStatus is what a list says of a token.
func TestTokenStatus(t *testing.T) {
	b := newBench(t)
	b.person("root@example.com", activation.RoleAdmin)
	u := b.person("ann@example.com", activation.RoleAdmin)
	by := access.Caller{Name: u.Login, User: u.ID, Role: u.Role}
	_, stored, err := b.MakeToken(t.Context(), activation.Token{Name: "ci", Role: activation.RoleAdmin, ExpiresAt: b.now.Add(time.Hour)}, by)
	if err != nil {
		t.Fatal(err)
	}
	check := func(status access.TokenStatus, role activation.Role) {
		t.Helper()
		v, err := b.Token(t.Context(), stored.ID, machine)
		list, err2 := b.Tokens(t.Context(), machine)
		if err != nil || err2 != nil || v.Status != status || v.Effective != role || len(list) != 1 || list[0].Status != status || list[0].Effective != role {
			t.Errorf("%s %q, in the list %+v, want %s %q", v.Status, v.Effective, list, status, role)
		}
	}
	check(access.TokenActive, activation.RoleAdmin)
	role, off, on := activation.RoleViewer, true, false
	for _, c := range []access.Change{{Role: &role}, {Disabled: &off}} {
		if _, err := b.UpdateUser(t.Context(), u.ID, c, machine); err != nil {
			t.Fatal(err)
		}
		if c.Role != nil {
			check(access.TokenActive, activation.RoleViewer)
		}
	}
	check(access.TokenSuspended, "")
	if _, err := b.UpdateUser(t.Context(), u.ID, access.Change{Disabled: &on}, machine); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Hour)
	check(access.TokenExpired, "")
	for name, want := range map[string]time.Time{"7d": b.now.AddDate(0, 0, 7), "30d": b.now.AddDate(0, 0, 30), "90d": b.now.AddDate(0, 0, 90), "never": {}} {
		if got, err := access.Expiry(name, b.now); err != nil || !got.Equal(want) {
			t.Errorf("%s ends at %s, %v", name, got, err)
		}
	}
	if _, err := access.Expiry("1y", b.now); activation.KindOf(err) != activation.Invalid {
		t.Errorf("1y: %v", err)
	}
}
