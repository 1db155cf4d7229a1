package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
	"usher/internal/tracking"
)

type publishersPage struct {
	Rows []publisherRow
	// Link leads to the form of a new account, "" for who may not.
	Link string
	// None: no provider of this server has campaigns.
	None bool
}

// publisherRow is an account as the list shows it.
type publisherRow struct {
	activation.PublisherAccount
	Path, Logo, Publisher, Log string
	Waits, Failed              int64
	Jobs                       []jobState
}

// jobState is one of the two jobs of an account.
type jobState struct {
	link
	Chip               chip
	Title              string
	LastRunAt, NextRun time.Time
	// Says is its last error, Help the page about it.
	Says, Help string
}

func (c *Console) registerPublishers(mux *http.ServeMux) {
	c.page(mux, "/publishers", "publishers", c.publisherList)
	c.page(mux, "/publishers/new", "", func(v visit) (view, error) { return c.linkForm(v, v.get("provider"), nil) })
	c.action(mux, "/publishers", activation.RoleAdmin, c.linkAccount)
	c.page(mux, "/publishers/{id}", "publisher", c.publisher)
	c.action(mux, "/publishers/{id}", activation.RoleAdmin, c.changeAccount)
	c.action(mux, "/publishers/{id}/sync", activation.RoleOperator, c.syncAccount)
	c.action(mux, "/publishers/{id}/check", activation.RoleOperator, c.checkAccount)
	c.action(mux, "/publishers/{id}/unlink", activation.RoleAdmin, c.unlinkAccount)
}

func (c *Console) publisherList(v visit) (view, error) {
	accounts, err := c.Publishing.Accounts(v.Context())
	if err != nil {
		return view{}, err
	}
	p := publishersPage{None: len(c.publishers()) == 0}
	if v.who.May(activation.RoleAdmin) {
		p.Link = "/publishers/new"
	}
	for _, a := range accounts {
		jobs, err := c.jobsOf(v, a)
		if err != nil {
			return view{}, err
		}
		p.Rows = append(p.Rows, publisherRow{
			PublisherAccount: a, Path: publisherPath(a.ID), Logo: c.logo(a.Provider), Publisher: typeOf(c.Providers, a.Provider),
			Log: "/activity?publisher=" + url.QueryEscape(string(a.ID)), Waits: waitingOf(a), Jobs: jobs,
		})
	}
	return view{Template: "publishers", Title: "Publishers", Section: "/publishers", Page: "publishers", Regions: []string{"publishers-list"}, Body: p}, nil
}

// jobsOf are the two jobs of an account, as they are now.
func (c *Console) jobsOf(v visit, a activation.PublisherAccount) ([]jobState, error) {
	var out []jobState
	for _, one := range []struct {
		id    activation.JobID
		title string
	}{{a.SyncJob, "Sync"}, {a.PostJob, "Post"}} {
		if one.id == "" {
			continue
		}
		j, err := c.Store.Job(v.Context(), one.id)
		if err != nil {
			return nil, err
		}
		state := jobState{link: link{jobPath(j.ID), one.title + " job"}, Chip: jobChip(j), Title: one.title, LastRunAt: j.LastRunAt, NextRun: j.NextRunAt}
		if !j.FailingSince.IsZero() || j.State == activation.JobFailed {
			passes, err := c.Store.Passes(v.Context(), j.ID, 0, 1)
			if err != nil {
				return nil, err
			}
			if len(passes) > 0 && passes[0].ErrorText != "" {
				state.Says, state.Help = passes[0].ErrorCode+": "+sentence(passes[0].ErrorText), helpPath(tracking.Page(passes[0].ErrorCode))
			}
		}
		out = append(out, state)
	}
	return out, nil
}

// linkForm is the form of a new account: first the publisher, then credentials and
// account as the publisher declares them.
func (c *Console) linkForm(v visit, name string, wrong map[string]string) (view, error) {
	out := view{Template: "publisher-new", Title: "Link an account", Section: "/publishers", Crumbs: []link{{"/publishers", "Publishers"}}}
	p := linkPage{CSRF: v.who.CSRF, Wrong: wrong[""], Admin: v.who.May(activation.RoleAdmin)}
	all := c.publishers()
	i := slices.IndexFunc(all, func(d provider.Definition) bool { return d.Name == name })
	if i < 0 {
		for _, d := range all {
			p.Tiles = append(p.Tiles, tile{Value: "/publishers/new?provider=" + url.QueryEscape(d.Name), Logo: c.logo(d.Name), Title: orText(d.DestinationType, d.Title), Text: objectTitles(d.Publishing)})
		}
		out.Body = p
		return out, nil
	}
	def := all[i]
	p.Provider, p.Title = def.Name, orText(def.DestinationType, def.Title)
	auths, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return view{}, err
	}
	p.NewAuth = "/authorizations/new?provider=" + url.QueryEscape(def.Name) + "&return=" + url.QueryEscape("/publishers/new?provider="+url.QueryEscape(def.Name))
	chosen := orText(v.post("auth_id"), v.get("auth"))
	for _, a := range auths {
		if a.Provider == def.Name {
			p.Auths = append(p.Auths, a)
		}
	}
	given := activation.PublisherAccount{Name: v.post("name"), Account: v.post("account"), NightlyAt: v.post("nightly_at"), Authorization: activation.AuthorizationID(chosen)}
	p.Fields = accountFields(given, p.Auths, wrong, true, def.Publishing.AccountHelp)
	p.Settings = declared(v.post, "config.", def.Publishing.Fields, wrong)
	p.Wrong = formWrong(wrong, slices.Concat(p.Fields, p.Settings))
	out.Body = p
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

type linkPage struct {
	CSRF, Wrong      string
	Admin            bool
	Tiles            []tile
	Provider, Title  string
	Auths            []activation.Authorization
	NewAuth          string
	Fields, Settings []field
}

// objectTitles says what of a publisher can be edited.
func objectTitles(p *provider.Publishing) string {
	var titles []string
	for i, t := range p.Objects {
		title := orText(t.Title, t.Name)
		if i > 0 {
			title = lower(title)
		}
		titles = append(titles, title)
	}
	return joinComma(titles)
}

// accountFields are the inputs of an account that all publishers have.
func accountFields(a activation.PublisherAccount, auths []activation.Authorization, wrong map[string]string, anew bool, help string) []field {
	auth := field{Name: "auth_id", Label: "Authorization", Type: "select", Required: true, Error: wrong["auth_id"]}
	for _, one := range auths {
		auth.Options = append(auth.Options, option{string(one.ID), one.Label + " (" + lower(authChip(one.Status).Word) + ")", one.ID == a.Authorization})
	}
	account := field{Name: "account", Label: "Account", Type: "text", Required: true, Value: a.Account, Error: wrong["account"], Help: help}
	name := field{Name: "name", Label: "Name", Type: "text", Required: true, Value: a.Name, Error: wrong["name"], Help: "How you call it here."}
	at := field{
		Name: "nightly_at", Label: "Nightly sync at", Type: "time", Value: orText(a.NightlyAt, activation.DefaultNightlyAt), Error: wrong["nightly_at"],
		Help: "In the account's own time zone. Then costs and changes are read, and what is marked To be sent goes out.",
	}
	if !anew {
		return []field{name, auth, at}
	}
	return []field{auth, account, name, at}
}

// offerAccounts makes a select of the setting of a job that names a publisher account.
func (c *Console) offerAccounts(v visit, settings []field) error {
	i := slices.IndexFunc(settings, func(f field) bool { return f.Name == "config."+provider.PublisherField })
	if i < 0 || c.Publishing == nil {
		return nil
	}
	accounts, err := c.Publishing.Accounts(v.Context())
	if err != nil {
		return err
	}
	f := &settings[i]
	f.Type, f.Help, f.Options = "select", "Whose campaigns the files edit.", []option{{"", "Choose one", f.Value == ""}}
	for _, a := range accounts {
		f.Options = append(f.Options, option{string(a.ID), a.Name, string(a.ID) == f.Value})
	}
	return nil
}

// accountSpec reads an account from a form.
func accountSpec(v visit, name string, declared *provider.Publishing) (publishing.AccountSpec, []string) {
	names := []string{"name", "account", "auth_id", "nightly_at", "provider"}
	for _, f := range declared.Fields {
		names = append(names, "config."+f.Name)
	}
	return publishing.AccountSpec{
		Name: v.post("name"), Provider: name, Authorization: activation.AuthorizationID(v.post("auth_id")), Account: v.post("account"),
		Config: values(v, "config.", declared.Fields), NightlyAt: v.post("nightly_at"),
	}, names
}

// linkAccount checks the account at its publisher and stores it.
func (c *Console) linkAccount(v visit) (view, error) {
	name := v.post("provider")
	if !slices.ContainsFunc(c.publishers(), func(d provider.Definition) bool { return d.Name == name }) {
		return c.linkForm(v, "", nil)
	}
	spec, names := accountSpec(v, name, c.publishingOf(name))
	a, err := c.Publishing.Link(v.Context(), spec, v.who.Name)
	wrong, err := wrongOf(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.linkForm(v, name, wrong)
	}
	return view{To: publisherPath(a.ID), Said: flash{"ok", "Linked “" + a.Name + "”: " + cmp.Or(a.Currency, "no currency yet") + ", " + cmp.Or(a.Timezone, "no time zone yet") + ". Its structure and its costs are read now."}}, nil
}

// wrongOf is wrongFields, and tells what the publisher refuses in the form as well.
func wrongOf(err error, names ...string) (map[string]string, error) {
	switch activation.KindOf(err) {
	case activation.Unauthorized, activation.Unavailable, activation.WaitUntil:
		return map[string]string{"": sentence(reason(err))}, nil
	default:
		return wrongFields(err, names...)
	}
}
