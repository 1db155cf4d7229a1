package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
)

// The most characters of a name, of a description, and of a login in bytes.
const (
	maxName        = 100
	maxDescription = 500
	maxLogin       = 254
)

// NewUser is a person to be made.
type NewUser struct {
	Login, Name string
	Role        activation.Role
	Password    string
}

// check returns the person without a hash, or all that is wrong at once.
func (p NewUser) check() (activation.User, error) {
	u := activation.User{Login: cleanLogin(p.Login), Name: strings.TrimSpace(p.Name), Role: p.Role}
	var wrong []error
	if !isLogin(u.Login) {
		wrong = append(wrong, invalid("email", "must be an e-mail address"))
	}
	return u, together(append(wrong, checkName(u.Name), checkRole(u.Role), CheckPassword(p.Password, u.Login))...)
}

func checkName(name string) error {
	switch {
	case name == "":
		return invalid("name", "is needed")
	case !plain(name, maxName):
		return invalid("name", textRule(maxName))
	}
	return nil
}

func checkRole(role activation.Role) error {
	if !role.Includes(activation.RoleViewer) {
		return invalid("role", "must be viewer, operator or admin")
	}
	return nil
}

// isLogin reports whether a text can be an e-mail address. Whether it is one is
// never tried: nothing is sent there.
func isLogin(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && strings.Contains(domain, ".") && !strings.HasPrefix(domain, ".") && !strings.HasSuffix(domain, ".") &&
		!strings.Contains(domain, "@") && len(s) <= maxLogin && plain(s, maxLogin) && !strings.ContainsFunc(s, unicode.IsSpace)
}

// plain reports whether a text is UTF-8 of one line and not too long.
func plain(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

func textRule(most int) string { return fmt.Sprintf("must be one line of at most %d characters", most) }

// invalid is a request that will be wrong again. It names the field.
func invalid(field, text string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: field + ": " + text}
}

// together is one error that says all that is wrong; nil when nothing is.
func together(errs ...error) error {
	var first error
	var texts []string
	for _, err := range errs {
		if err != nil {
			if first == nil {
				first = err
			}
			texts = append(texts, activation.SafeMessage(err))
		}
	}
	if len(texts) < 2 {
		return first
	}
	var e *activation.Error
	errors.As(first, &e)
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: e.Field, Message: strings.Join(texts, "; ")}
}

// HasUsers reports whether there is a person: until then the one-time sign-in
// works.
func (a *Access) HasUsers(ctx context.Context) (bool, error) { return a.store.HasUsers(ctx) }

// Users lists the people.
func (a *Access) Users(ctx context.Context) ([]activation.User, error) { return a.store.Users(ctx) }

// User returns one person, or ErrNotFound.
func (a *Access) User(ctx context.Context, id activation.UserID) (activation.User, error) {
	return a.store.User(ctx, id)
}

// CreateUser makes a person who may sign in.
func (a *Access) CreateUser(ctx context.Context, p NewUser, by Caller) (activation.User, error) {
	u, err := p.check()
	if err != nil {
		return u, err
	}
	if u.PasswordHash, err = a.hash.hash(ctx, p.Password); err != nil {
		return u, fmt.Errorf("create user: %w", err)
	}
	return a.store.CreateUser(ctx, u, by.Name)
}

// Change is what is to change of a person; nil leaves a thing as it is.
type Change struct {
	Name     *string
	Role     *activation.Role
	Disabled *bool
	Password *string
}

// UpdateUser changes a person. Another role or password, and disabling, end
// their sessions at once; the last administrator who may sign in stays one.
func (a *Access) UpdateUser(ctx context.Context, id activation.UserID, c Change, by Caller) (activation.User, error) {
	u, err := a.store.User(ctx, id)
	if err != nil {
		return u, err
	}
	var wrong []error
	var name, hash string
	if c.Name != nil {
		name = strings.TrimSpace(*c.Name)
		wrong = append(wrong, checkName(name))
	}
	if c.Role != nil {
		wrong = append(wrong, checkRole(*c.Role))
	}
	if c.Password != nil {
		wrong = append(wrong, CheckPassword(*c.Password, u.Login))
	}
	if err := together(wrong...); err != nil {
		return u, err
	}
	if c.Password != nil {
		if hash, err = a.hash.hash(ctx, *c.Password); err != nil {
			return u, fmt.Errorf("update user: %w", err)
		}
	}
	return a.store.UpdateUser(ctx, id, func(u *activation.User) {
		if c.Name != nil {
			u.Name = name
		}
		if c.Role != nil {
			u.Role = *c.Role
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		if c.Password != nil {
			u.PasswordHash = hash
		}
	}, by.Name)
}

// DeleteUser removes a person with their sessions and API tokens; the last
// administrator who may sign in stays.
func (a *Access) DeleteUser(ctx context.Context, id activation.UserID, by Caller) error {
	return a.store.DeleteUser(ctx, id, by.Name)
}
