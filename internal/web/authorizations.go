package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/vault"
)

func (c *Console) registerAuthorizations(mux *http.ServeMux) {
	c.page(mux, "/authorizations", "", c.authorizations)
	c.page(mux, "/authorizations/new", "", func(v visit) (view, error) { return c.authorizationForm(v, v.get("provider"), nil) })
	c.page(mux, "/authorizations/{id}", "", func(v visit) (view, error) { return c.authorization(v, nil, nil) })
	c.registerConsents(mux)
	c.action(mux, "/authorizations", activation.RoleAdmin, c.createAuthorization)
	c.action(mux, "/authorizations/{id}", activation.RoleAdmin, c.editAuthorization)
	c.action(mux, "/authorizations/{id}/test", activation.RoleOperator, c.testAuthorization)
	c.action(mux, "/authorizations/{id}/replace", activation.RoleAdmin, c.replaceAuthorization)
	c.action(mux, "/authorizations/{id}/delete", activation.RoleAdmin, c.deleteAuthorization)
}

func authorizationPath(id activation.AuthorizationID) string {
	return "/authorizations/" + url.PathEscape(string(id))
}

type authorizationsPage struct {
	Rows      []authorizationRow
	Broken    []authorizationRow
	Providers []link
}

// authorizationRow is an authorization as the list shows it; never its secrets.
type authorizationRow struct {
	activation.Authorization
	Path       string
	Chip       chip
	Logo, Type string
	Used       usage
	Next       time.Time
	Ending     string // that it ends soon, "" where it does not
	Test       button
}

func (c *Console) authorizationRow(v visit, a activation.Authorization, used usage) authorizationRow {
	row := authorizationRow{
		Authorization: a, Path: authorizationPath(a.ID), Chip: authChip(a.Status), Logo: c.logo(a.Provider), Type: typeOf(c.Providers, a.Provider), Used: used,
		Test: v.press(authorizationPath(a.ID)+"/test", "Test now", "plug-connected").as("btn-s"),
	}
	if def, ok := c.only(a.Provider); ok {
		row.Type = def.Title
	}
	row.Ending = ending(a.ExpiresAt, c.Now())
	if used.Count() > 0 {
		row.Next = vault.NextProbe(a)
	} else if row.Test.Withheld == "" {
		row.Test.Withheld = "Nothing uses it yet, so there is no account to try it on"
	}
	return row
}

// ending says that credentials end within 30 days, or have ended.
func ending(end, now time.Time) string {
	switch day := end.UTC().Format("2 January 2006"); {
	case end.IsZero() || end.Sub(now) > activation.ExpiryNotice:
		return ""
	case now.Before(end):
		return "The credentials end on " + day + "."
	default:
		return "The credentials ended on " + day + "."
	}
}

func (c *Console) authorizations(v visit) (view, error) {
	list, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return view{}, err
	}
	used, err := c.usages(v)
	if err != nil {
		return view{}, err
	}
	p := authorizationsPage{Providers: c.providerLinks("/authorizations/new")}
	for _, a := range list {
		row := c.authorizationRow(v, a, used[a.ID])
		p.Rows = append(p.Rows, row)
		if a.Status == activation.AuthUnhealthy {
			p.Broken = append(p.Broken, row)
		}
	}
	return view{Template: "authorizations", Title: "Authorizations", Section: "/authorizations", Body: p}, nil
}

type authorizationPage struct {
	Row             authorizationRow
	CSRF, Wrong     string
	Admin           bool
	Fields, Secrets []field
	Settings        []pair
	Others          []option
	Anew            bool
	Refusals        []string
	Delete          button
	History         []auditRow
	Connect, Again  string // as in accountPage
}

// authorization is the page of one authorization: how it is, what uses it, and
// the forms that change, replace and delete it. wrong is what was wrong with the
// first form, refusals with the second.
func (c *Console) authorization(v visit, wrong map[string]string, refusals []string) (view, error) {
	ctx := v.Context()
	a, err := c.Store.Authorization(ctx, activation.AuthorizationID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	used, err := c.usages(v)
	if err != nil {
		return view{}, err
	}
	p := authorizationPage{
		Row: c.authorizationRow(v, a, used[a.ID]), CSRF: v.who.CSRF, Wrong: wrong[""], Admin: v.who.May(activation.RoleAdmin), Refusals: refusals, Anew: v.post("new_audiences") != "",
	}
	p.Row.Test.Class = ""
	settings := c.Catalog.Settings(a)
	if def, ok := c.only(a.Provider); ok {
		c.authorizationFields(v, &p, def, a, settings, wrong)
	}
	if err := c.replacements(v, &p, a); err != nil {
		return view{}, err
	}
	p.Delete = v.press(authorizationPath(a.ID)+"/delete", "Delete for good", "trash").as("btn-bad solid").needs(v, activation.RoleAdmin)
	if p.Delete.Withheld == "" && used[a.ID].Count() > 0 {
		p.Delete.Withheld = "It is used by " + used[a.ID].names() + ". Replace it by another one first"
	}
	if p.Admin {
		if p.History, err = c.historyOfSubject(v, "authorization", string(a.ID)); err != nil {
			return view{}, err
		}
	}
	out := view{Template: "authorization", Title: a.Label, Section: "/authorizations", Crumbs: []link{{"/authorizations", "Authorizations"}}, Body: p}
	if wrong != nil || refusals != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// authorizationFields are the inputs of an authorization. A secret is never put
// into one: left empty, it stays as it is.
func (c *Console) authorizationFields(v visit, p *authorizationPage, def provider.Definition, a activation.Authorization, settings map[string]string, wrong map[string]string) {
	label, description, given := a.Label, a.Description, v.post
	if def.OAuth != nil {
		p.Connect = def.Title
	}
	typed, again := c.keptAnswers(v)
	switch p.Again = again; {
	case wrong != nil:
		label, description = v.post("label"), v.post("description")
	case typed != nil:
		label, description, given = typed["label"], typed["description"], func(name string) string { return typed[name] }
	}
	p.Fields = []field{
		{Name: "label", Label: "Label", Type: "text", Required: true, Value: label, Error: wrong["label"]},
		{Name: "description", Label: "Description", Type: "text", Value: description, Error: wrong["description"]},
	}
	filled := make([]provider.Field, len(def.AuthFields))
	for i, f := range def.AuthFields {
		filled[i] = f
		if !f.Secret {
			filled[i].Default = settings[f.Name]
			p.Settings = append(p.Settings, pair{f.Label, settings[f.Name]})
		} else {
			filled[i].Required = false
			p.Settings = append(p.Settings, pair{f.Label, "sealed"})
		}
	}
	for i, f := range declared(given, "config.", filled, wrong) {
		if def.AuthFields[i].Secret {
			f.Help = "Leave it empty to keep what is stored. " + f.Help
			p.Secrets = append(p.Secrets, f)
		} else {
			p.Fields = append(p.Fields, f)
		}
	}
}

// replacements are the other authorizations of the same provider.
func (c *Console) replacements(v visit, p *authorizationPage, a activation.Authorization) error {
	all, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Provider == a.Provider && o.ID != a.ID {
			p.Others = append(p.Others, option{string(o.ID), o.Label + " (" + lower(authChip(o.Status).Word) + ")", string(o.ID) == v.post("with")})
		}
	}
	return nil
}

func (c *Console) editAuthorization(v visit) (view, error) {
	id := activation.AuthorizationID(v.PathValue("id"))
	a, err := c.Store.Authorization(v.Context(), id)
	if err != nil {
		return view{}, err
	}
	def, err := c.Catalog.Definition(a.Provider)
	if err != nil {
		return view{}, err
	}
	names := []string{"label", "description"}
	have := c.Catalog.Settings(a)
	given := map[string]string{}
	for _, f := range def.AuthFields {
		names = append(names, "config."+f.Name)
		value := v.post("config." + f.Name)
		if _, sent := v.PostForm["config."+f.Name]; sent && (f.Secret && value != "" || !f.Secret && value != have[f.Name]) {
			given[f.Name] = value
		}
	}
	if v.post("go") == "connect" {
		return c.connect(v, def, id, given, func(wrong map[string]string) (view, error) { return c.authorization(v, wrong, nil) })
	}
	after, err := c.Catalog.UpdateAuthorization(v.Context(), id, catalog.AuthorizationSpec{Label: v.post("label"), Description: v.post("description"), Config: given}, v.who.Name)
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.authorization(v, wrong, nil)
	}
	said := "Saved “" + after.Label + "”."
	if len(given) > 0 {
		said += " What waited for working credentials tries again now."
	}
	return view{To: authorizationPath(id), Said: flash{"ok", said}}, nil
}

func (c *Console) testAuthorization(v visit) (view, error) {
	id := activation.AuthorizationID(v.PathValue("id"))
	if err := c.Catalog.TestAuthorization(v.Context(), id); err != nil {
		return refused(authorizationPath(id), err)
	}
	return view{To: authorizationPath(id), Said: flash{"ok", "The credentials work. Nothing was written anywhere."}}, nil
}

func (c *Console) replaceAuthorization(v visit) (view, error) {
	id, with := activation.AuthorizationID(v.PathValue("id")), activation.AuthorizationID(v.post("with"))
	done, err := c.Catalog.ReplaceAuthorization(v.Context(), id, with, v.post("new_audiences") != "", v.who.Name)
	var wrong interface {
		error
		Each() []*activation.Error
	}
	if errors.As(err, &wrong) {
		var texts []string
		for _, one := range wrong.Each() {
			texts = append(texts, sentence(trimField(one)))
		}
		return c.authorization(v, nil, texts)
	}
	if err != nil {
		return refused(authorizationPath(id), err)
	}
	said := "Moved " + many(int64(len(done.Destinations)), "destination") + " and " + many(int64(len(done.Jobs)), "other job") + "."
	if n := len(done.NewAudiences); n > 0 {
		said += " " + many(int64(n), "remote audience") + " stayed behind; new ones are begun."
	}
	return view{To: authorizationPath(with), Said: flash{"ok", said}}, nil
}

func (c *Console) deleteAuthorization(v visit) (view, error) {
	id := activation.AuthorizationID(v.PathValue("id"))
	if err := c.Store.DeleteAuthorization(v.Context(), id, v.who.Name); err != nil {
		return refused(authorizationPath(id), err)
	}
	return view{To: "/authorizations", Said: flash{"ok", "The authorization is deleted, with its sealed secrets."}}, nil
}

// authorizationForm is the form of new credentials, from what the provider
// declares. Secrets go in and never come out.
func (c *Console) authorizationForm(v visit, providerName string, wrong map[string]string) (view, error) {
	out := view{Template: "account-new", Title: "New authorization", Section: "/authorizations", Crumbs: []link{{"/authorizations", "Authorizations"}}}
	p := accountPage{Title: out.Title, To: withReturn(v, "/authorizations"), CSRF: v.who.CSRF, Wrong: wrong[""], Providers: c.providerLinks("/authorizations/new")}
	for i := range p.Providers {
		p.Providers[i].Href = withReturn(v, p.Providers[i].Href)
	}
	if def, ok := c.only(providerName); ok {
		p.Provider, p.Help = def.Name, "Secrets are sealed on this server and never shown again. Type them anew if the form comes back."
		if def.OAuth != nil {
			p.Connect = def.Title
		}
		given := v.post
		if typed, again := c.keptAnswers(v); typed != nil {
			if p.Again = again; wrong == nil {
				given = func(name string) string { return typed[name] }
			}
			p.Help = "Your answers are kept, for connecting the secrets too: leave those empty."
		}
		p.Fields = []field{
			{Name: "label", Label: "Label", Type: "text", Required: true, Value: given("label"), Error: wrong["label"], Help: "How you know these credentials, such as " + def.Title + " of your company."},
			{Name: "description", Label: "Description", Type: "text", Value: given("description"), Error: wrong["description"]},
		}
		p.Settings = declared(given, "config.", def.AuthFields, wrong)
	}
	out.Body = p
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) createAuthorization(v visit) (view, error) {
	def, err := c.Catalog.Definition(v.post("provider"))
	if err != nil {
		return refused("/authorizations/new", err)
	}
	if v.post("go") == "connect" {
		return c.connect(v, def, "", values(v, "config.", def.AuthFields), func(wrong map[string]string) (view, error) { return c.authorizationForm(v, def.Name, wrong) })
	}
	names := []string{"label", "description"}
	for _, f := range def.AuthFields {
		names = append(names, "config."+f.Name)
	}
	a, err := c.Catalog.StoreAuthorization(v.Context(), catalog.AuthorizationSpec{Provider: def.Name, Label: v.post("label"), Description: v.post("description"), Config: values(v, "config.", def.AuthFields)}, v.who.Name)
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.authorizationForm(v, def.Name, wrong)
	}
	if back := returning(v, "auth", string(a.ID)); back != "" {
		return view{To: back, Said: flash{"ok", "Stored “" + a.Label + "”."}}, nil
	}
	return view{To: "/authorizations", Said: flash{"ok", "Stored “" + a.Label + "”. It is checked when a destination uses it."}}, nil
}
