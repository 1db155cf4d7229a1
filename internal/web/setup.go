package web

import (
	"errors"
	"log/slog"
	"net/http"

	"usher/internal/access"
	"usher/internal/activation"
)

// setupPage makes the first person, with the one-time token printed at start.
type setupPage struct {
	Token, Error, Version string
	Fields                []field
}

// fields are those of a person, with what was typed but for passwords.
func personFields(r *http.Request, wrong map[string]string) []field {
	return append([]field{
		{Name: "name", Label: "Name", Type: "text", Required: true, Value: r.PostFormValue("name"), Error: wrong["name"], Complete: "name"},
		{Name: "email", Label: "E-mail", Type: "email", Required: true, Value: r.PostFormValue("email"), Error: wrong["email"], Help: "This is the login. Nothing is sent there.", Complete: "username"},
	}, passwordFields(wrong)...)
}

// passwordFields are a new password, typed twice.
func passwordFields(wrong map[string]string) []field {
	return []field{
		{Name: "password", Label: "Password", Type: "password", Required: true, Error: wrong["password"], Help: passwordHelp, Complete: "new-password"},
		{Name: "again", Label: "Password again", Type: "password", Required: true, Error: wrong["again"], Complete: "new-password"},
	}
}

const passwordHelp = "At least 12 characters. A few words are easier to keep in mind than signs."

// typedTwice adds to what is wrong when a new password was not typed twice.
func typedTwice(r *http.Request, wrong map[string]string) map[string]string {
	if r.PostFormValue("password") == r.PostFormValue("again") {
		return wrong
	}
	if wrong == nil {
		wrong = map[string]string{}
	}
	wrong["again"] = "Is not the same password."
	return wrong
}

func (c *Console) setup(w http.ResponseWriter, r *http.Request) {
	if c.settled(w, r) {
		return
	}
	c.renderSetup(w, r, http.StatusOK, r.URL.Query().Get("token"), "", nil)
}

// settled answers, and returns true, when there are people: then nobody is set
// up any more.
func (c *Console) settled(w http.ResponseWriter, r *http.Request) bool {
	people, err := c.Access.HasUsers(r.Context())
	if err != nil {
		c.Log.ErrorContext(r.Context(), "set-up not shown", slog.Any("err", err))
		c.renderSetup(w, r, http.StatusInternalServerError, "", "The set-up could not be checked. The server's log says why.", nil)
		return true
	}
	if people {
		secure(w)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	}
	return people
}

func (c *Console) renderSetup(w http.ResponseWriter, r *http.Request, status int, token, text string, wrong map[string]string) {
	p := setupPage{Token: token, Error: text, Version: c.Version, Fields: personFields(r, wrong)}
	if wrong[""] != "" {
		p.Error = wrong[""]
	}
	c.renderBare(w, r, "setup", status, p)
}

func (c *Console) setUp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := r.PostFormValue("token")
	switch {
	case c.settled(w, r):
		return
	case !ours(r):
		c.renderSetup(w, r, http.StatusForbidden, "", notOurs, nil)
		return
	case r.PostFormValue("password") != r.PostFormValue("again"):
		c.renderSetup(w, r, http.StatusBadRequest, token, "", typedTwice(r, nil))
		return
	}
	cookie, err := c.Access.SetUp(r, token, access.NewUser{Login: r.PostFormValue("email"), Name: r.PostFormValue("name"), Password: r.PostFormValue("password")})
	if err == nil {
		secure(w)
		http.SetCookie(w, cookie)
		leaveFlash(w, c.Access.ByTLS(r), flash{"ok", "You are the first administrator. The one-time link does not work any more."})
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	var e *activation.Error
	if errors.As(err, &e) && e.Kind == activation.Invalid {
		if wrong, err := wrongFields(err, "name", "email", "password"); err == nil {
			c.renderSetup(w, r, http.StatusBadRequest, token, "", wrong)
			return
		}
	}
	status, text := c.refusedSignIn(w, r, err, "This token is not known, was used, or is over. Start Usher again for a new one.")
	c.renderSetup(w, r, status, "", text, nil)
}
