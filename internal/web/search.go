package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/store"
)

// searchLimit is the most that is found of one kind.
const searchLimit = 8

func (c *Console) registerSearch(mux *http.ServeMux) {
	c.page(mux, "/search", "", c.search)
}

type searchPage struct {
	Query  string
	Groups []foundGroup
	None   bool
}

// foundGroup is what was found of one kind.
type foundGroup struct {
	Title string
	Found []found
	// More leads to a list with the rest, "" when all is shown.
	More string
}

type found struct {
	link
	Logo, Note string
	Chip       *chip
}

// search finds things by name, in any case. Asked by the dialog it answers the
// list alone.
func (c *Console) search(v visit) (view, error) {
	p := searchPage{Query: v.get("q")}
	if p.Query != "" {
		for _, find := range []func(visit, string) (foundGroup, error){c.findPages, c.findEntry, c.findJobs, c.findAudiences, c.findDestinations, c.findPublishers, c.findAuthorizations} {
			g, err := find(v, p.Query)
			if err != nil {
				return view{}, err
			}
			if len(g.Found) > 0 {
				p.Groups = append(p.Groups, g)
			}
		}
		p.None = len(p.Groups) == 0
	}
	out := view{Template: "search", Title: "Search", Body: p}
	if v.get("part") != "" {
		out.Fragment = "search-found"
	}
	return out, nil
}

// fits reports whether any of the texts holds the query, in any case.
func fits(query string, texts ...string) bool {
	for _, t := range texts {
		if strings.Contains(strings.ToLower(t), strings.ToLower(query)) {
			return true
		}
	}
	return false
}

func (c *Console) findPages(v visit, query string) (foundGroup, error) {
	g := foundGroup{Title: "Pages"}
	for _, group := range c.sections("", v.who.Role, 0) {
		for _, l := range group.Links {
			if fits(query, l.Text) {
				g.Found = append(g.Found, found{link: link{l.Href, l.Text}, Logo: l.Icon})
			}
		}
	}
	return g, nil
}

func (c *Console) findJobs(v visit, query string) (foundGroup, error) {
	g := foundGroup{Title: "Jobs"}
	jobs, err := c.Store.Jobs(v.Context(), store.JobFilter{Text: query, Limit: searchLimit + 1})
	if err != nil {
		return g, err
	}
	if len(jobs) > searchLimit {
		jobs, g.More = jobs[:searchLimit], "/jobs?name="+url.QueryEscape(query)
	}
	for _, j := range jobs {
		state := jobChip(j)
		g.Found = append(g.Found, found{link{jobPath(j.ID), j.Name}, c.logo(j.Provider), every(j), &state})
	}
	return g, nil
}

func (c *Console) findAudiences(v visit, query string) (foundGroup, error) {
	g := foundGroup{Title: "Audiences"}
	all, err := c.Store.Audiences(v.Context())
	if err != nil {
		return g, err
	}
	for _, a := range all {
		if fits(query, a.Name, a.Slug) {
			g.Found = append(g.Found, found{link{"/audiences/" + url.PathEscape(a.Slug), a.Name}, "users-group", a.Slug, nil})
		}
	}
	return g.cut("/audiences"), nil
}

func (c *Console) findDestinations(v visit, query string) (foundGroup, error) {
	g := foundGroup{Title: "Destinations"}
	all, err := c.Store.Destinations(v.Context())
	if err != nil {
		return g, err
	}
	for _, d := range all {
		if fits(query, d.Name, d.Account) {
			g.Found = append(g.Found, found{link{destinationPath(d.ID), d.Name}, c.logo(d.Provider), "Account " + d.Account, nil})
		}
	}
	return g.cut("/destinations"), nil
}

func (c *Console) findPublishers(v visit, query string) (foundGroup, error) {
	g := foundGroup{Title: "Publishers"}
	if c.Publishing == nil {
		return g, nil
	}
	all, err := c.Publishing.Accounts(v.Context())
	if err != nil {
		return g, err
	}
	for _, a := range all {
		if fits(query, a.Name, a.Account) {
			g.Found = append(g.Found, found{link{publisherPath(a.ID), a.Name}, c.logo(a.Provider), "Account " + a.Account, nil})
		}
	}
	return g.cut("/publishers"), nil
}

// findEntry finds the change that is asked for by its number, as 1041 or #1041.
func (c *Console) findEntry(v visit, query string) (foundGroup, error) {
	g := foundGroup{Title: "Activity log"}
	n, err := strconv.ParseInt(strings.TrimPrefix(query, "#"), 10, 64)
	if err != nil || c.Publishing == nil {
		return g, nil //nolint:nilerr // it is no number: none is meant
	}
	e, err := c.Publishing.Entry(v.Context(), activation.EntryID(n))
	if errors.Is(err, activation.ErrNotFound) {
		return g, nil
	}
	if err != nil {
		return g, err
	}
	state := entryChip(e.Entry)
	g.Found = []found{{link{entryPath(e.ID), e.Text}, originIcon(e.Origin), numbered(e.ID), &state}}
	return g, nil
}

func (c *Console) findAuthorizations(v visit, query string) (foundGroup, error) {
	g := foundGroup{Title: "Authorizations"}
	all, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return g, err
	}
	for _, a := range all {
		if fits(query, a.Label, a.Description) {
			state := authChip(a.Status)
			g.Found = append(g.Found, found{link{authorizationPath(a.ID), a.Label}, c.logo(a.Provider), typeOf(c.Providers, a.Provider), &state})
		}
	}
	return g.cut("/authorizations"), nil
}

// cut keeps the first few and leads to the list with the rest.
func (g foundGroup) cut(list string) foundGroup {
	if len(g.Found) > searchLimit {
		g.Found, g.More = g.Found[:searchLimit], list
	}
	return g
}

// troubled reports whether a job needs a person, or soon will: it failed, it
// tries again after an error, waits for credentials, or stands still.
func troubled(j activation.Job) bool {
	return j.State == activation.JobFailed || !j.StalledAt.IsZero() && j.State == activation.JobRunnable ||
		j.State == activation.JobSleeping && (j.SleepReason == activation.SleepError || j.SleepReason == activation.SleepAuthorization)
}
