package web

import (
	"net/http"
	"net/url"

	"usher/internal/access"
	"usher/internal/activation"
)

// settings is the block of the sidebar about people and tokens.
func settings(role activation.Role) navGroup {
	g := navGroup{"Settings", "Settings", []navLink{{"/settings", "Settings", "settings", false, ""}}}
	if role.Includes(activation.RoleAdmin) {
		g.Links = append(g.Links, navLink{"/people", "People", "user", false, ""})
	}
	g.Links = append(g.Links, navLink{"/tokens", "API tokens", "code", false, ""}, navLink{"/account", "Your account", "user-circle", false, ""})
	return g
}

func (c *Console) registerPeople(mux *http.ServeMux) {
	c.page(mux, "/people", "", c.adminsOnly(c.people))
	c.page(mux, "/people/new", "", c.adminsOnly(func(v visit) (view, error) { return personForm(v, nil), nil }))
	c.page(mux, "/people/{id}", "", c.adminsOnly(func(v visit) (view, error) { return c.person(v, nil) }))
	c.action(mux, "/people", activation.RoleAdmin, c.createPerson)
	c.action(mux, "/people/{id}", activation.RoleAdmin, c.editPerson)
	c.action(mux, "/people/{id}/password", activation.RoleAdmin, c.resetPassword)
	c.action(mux, "/people/{id}/delete", activation.RoleAdmin, c.deletePerson)
	c.page(mux, "/account", "", func(v visit) (view, error) { return c.account(v, nil) })
	mux.HandleFunc("POST /account/password", c.changePassword)
}

// adminsOnly keeps a page to administrators.
func (c *Console) adminsOnly(load loader) loader {
	return func(v visit) (view, error) {
		if !v.who.May(activation.RoleAdmin) {
			return trouble(http.StatusForbidden, "Administrators only", "This page needs the role admin; you are "+string(v.who.Role)+"."), nil
		}
		return load(v)
	}
}

type peoplePage struct{ Rows []personRow }

type personRow struct {
	activation.User
	Chip chip
	Path string
	Self bool
}

func personChip(u activation.User) chip {
	if u.Disabled {
		return chip{"off", "ban", "Disabled", false}
	}
	return chip{"ok", "check", "Active", false}
}

// roleNames are the roles as options, each with what it may do.
var roleNames = []option{
	{string(activation.RoleViewer), "Viewer: reads", false},
	{string(activation.RoleOperator), "Operator: runs, retries, edits jobs and audiences", false},
	{string(activation.RoleAdmin), "Admin: credentials, people, tokens and settings too", false},
}

func personPath(id activation.UserID) string { return "/people/" + url.PathEscape(string(id)) }

func (c *Console) people(v visit) (view, error) {
	all, err := c.Access.Users(v.Context())
	if err != nil {
		return view{}, err
	}
	var p peoplePage
	for _, u := range all {
		p.Rows = append(p.Rows, personRow{u, personChip(u), personPath(u.ID), u.ID == v.who.User})
	}
	return view{Template: "people", Title: "People", Section: "/people", Body: p}, nil
}

type personPage struct {
	CSRF, Wrong                   string
	Person                        personRow
	Fields, Password              []field
	Path                          string
	OneTime                       bool
	SignedInAs                    string
	Role                          activation.Role
	PasswordWrong, PasswordAction string
}

// personForm is the form of a new person.
func personForm(v visit, wrong map[string]string) view {
	role := v.post("role")
	if role == "" {
		role = string(activation.RoleViewer)
	}
	fields := personFields(v.Request, wrong)
	fields = append(fields[:2:2], append([]field{{Name: "role", Label: "Role", Type: "select", Options: choose(roleNames, role), Error: wrong["role"]}}, fields[2:]...)...)
	out := view{Template: "person-new", Title: "New person", Section: "/people", Crumbs: []link{{"/people", "People"}}, Body: personPage{CSRF: v.who.CSRF, Wrong: wrong[""], Fields: fields}}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out
}

func (c *Console) createPerson(v visit) (view, error) {
	if wrong := typedTwice(v.Request, nil); wrong != nil {
		return personForm(v, wrong), nil
	}
	u, err := c.Access.CreateUser(v.Context(), access.NewUser{Login: v.post("email"), Name: v.post("name"), Role: activation.Role(v.post("role")), Password: v.PostFormValue("password")}, v.who)
	wrong, err := wrongFields(err, "name", "email", "role", "password")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return personForm(v, wrong), nil
	}
	return view{To: "/people", Said: flash{"ok", u.Name + " can sign in now."}}, nil
}

// person is the page of one person.
func (c *Console) person(v visit, wrong map[string]string) (view, error) {
	u, err := c.Access.User(v.Context(), activation.UserID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	name, role, disabled := u.Name, string(u.Role), "false"
	if u.Disabled {
		disabled = "true"
	}
	if wrong != nil && v.PostFormValue("role") != "" {
		name, role, disabled = v.post("name"), v.post("role"), v.post("disabled")
	}
	p := personPage{
		CSRF: v.who.CSRF, Wrong: wrong[""], Person: personRow{u, personChip(u), personPath(u.ID), u.ID == v.who.User}, Path: personPath(u.ID),
		Fields: []field{
			{Name: "name", Label: "Name", Type: "text", Required: true, Value: name, Error: wrong["name"]},
			{Name: "role", Label: "Role", Type: "select", Options: choose(roleNames, role), Error: wrong["role"], Help: "Another role signs the person out."},
			{Name: "disabled", Label: "May sign in", Type: "select", Options: choose([]option{{"false", "Yes", false}, {"true", "No: disabled, with all their tokens", false}}, disabled)},
		},
		Password: passwordFields(wrong),
	}
	out := view{Template: "person", Title: u.Name, Section: "/people", Crumbs: []link{{"/people", "People"}}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// changed answers to a change of a person: the page again where something was
// wrong, else where to go.
func (c *Console) changed(v visit, err error, to, said string) (view, error) {
	wrong, err := wrongFields(err, "name", "role", "password")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.person(v, wrong)
	}
	return view{To: to, Said: flash{"ok", said}}, nil
}

func (c *Console) editPerson(v visit) (view, error) {
	name, role, disabled := v.post("name"), activation.Role(v.post("role")), v.post("disabled") == "true"
	u, err := c.Access.UpdateUser(v.Context(), activation.UserID(v.PathValue("id")), access.Change{Name: &name, Role: &role, Disabled: &disabled}, v.who)
	return c.changed(v, err, "/people", "Saved “"+u.Name+"”.")
}

func (c *Console) resetPassword(v visit) (view, error) {
	if wrong := typedTwice(v.Request, nil); wrong != nil {
		return c.person(v, wrong)
	}
	password := v.PostFormValue("password")
	u, err := c.Access.UpdateUser(v.Context(), activation.UserID(v.PathValue("id")), access.Change{Password: &password}, v.who)
	return c.changed(v, err, "/people", u.Name+" has a new password and is signed out everywhere.")
}

func (c *Console) deletePerson(v visit) (view, error) {
	err := c.Access.DeleteUser(v.Context(), activation.UserID(v.PathValue("id")), v.who)
	return c.changed(v, err, "/people", "The person is gone, with their sessions and tokens.")
}

// account is the page of whoever is signed in.
func (c *Console) account(v visit, wrong map[string]string) (view, error) {
	p := personPage{CSRF: v.who.CSRF, Wrong: wrong[""], SignedInAs: v.who.Name, Role: v.who.Role, OneTime: v.who.User == ""}
	if !p.OneTime {
		u, err := c.Access.User(v.Context(), v.who.User)
		if err != nil {
			return view{}, err
		}
		p.Person = personRow{u, personChip(u), "", true}
		p.Fields = append([]field{{Name: "present_password", Label: "Present password", Type: "password", Required: true, Error: wrong["present_password"], Complete: "current-password"}}, passwordFields(wrong)...)
	}
	out := view{Template: "account", Title: "Your account", Section: "/account", Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// changePassword gives the person another password. All their sessions end but
// for this browser's, which gets a new one.
func (c *Console) changePassword(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	v, ok := c.visitor(r)
	switch {
	case !ok:
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	case !access.CheckCSRF(r, v.who.CSRF):
		c.render(w, v, tooOld())
		return
	}
	c.answer(w, v, func(v visit) (view, error) {
		wrong := typedTwice(r, nil)
		if wrong == nil {
			err := c.Access.ChangePassword(r.Context(), v.who, v.PostFormValue("present_password"), v.PostFormValue("password"))
			if kind := activation.KindOf(err); err != nil && (kind == activation.WaitUntil || kind == activation.Unavailable) {
				status, text := c.refusedSignIn(w, r, err, "")
				return trouble(status, "Not now", text), nil
			}
			if wrong, err = wrongFields(err, "present_password", "password"); err != nil {
				return view{}, err
			}
		}
		if wrong != nil {
			return c.account(v, wrong)
		}
		cookie, err := c.Access.Continue(r, v.who)
		if err != nil {
			return view{}, err
		}
		http.SetCookie(w, cookie)
		return view{To: "/account", Said: flash{"ok", "Your password is changed. You are signed out everywhere else."}}, nil
	})
}
