package web

import (
	"bytes"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
)

// templates are the parsed pages by name; each knows the layout and all parts.
type templates map[string]*template.Template

// parseTemplates reads templates/: layout and parts are shared, every other file
// is a page. They are embedded, so a mistake in them stops every start.
func parseTemplates() templates {
	shared := template.Must(template.New("").Funcs(functions()).ParseFS(files, "templates/layout.html", "templates/part-*.html"))
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err)
	}
	out := templates{}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".html")
		if base == "layout" || strings.HasPrefix(base, "part-") {
			continue
		}
		out[base] = template.Must(template.Must(shared.Clone()).ParseFS(files, name))
	}
	return out
}

func functions() template.FuncMap {
	return template.FuncMap{
		"asset": asset, "num": num, "utc": utc, "day": func(t time.Time) string { return t.UTC().Format(time.DateOnly) }, "iso": iso, "clock": clock, "dur": dur, "sentence": sentence, "icon": iconOf, "iconSpin": spinningIcon, "help": helpPath, "pct": pct, "value": valueText, "lower": lower, "word": sentenceWord, "by": byWord,
	}
}

// link is an address with its text.
type link struct{ Href, Text string }

// navGroup is a block of the sidebar.
type navGroup struct {
	Heading, Label string
	Links          []navLink
}

type navLink struct {
	Href, Text, Icon string
	Current          bool
	// Count is how many wait there, "" = nothing is counted.
	Count string
}

// pageData is what every template gets.
type pageData struct {
	view
	Nav           []navGroup
	User, Version string
	CSRF          string
	Flash         *flash
	Undo          string // form that takes back what Flash says
	Now           time.Time
	Events        string
	May           bool // may change things
}

// sections are the pages of the sidebar, and nothing that does not exist. waiting is
// how many changes have not reached their publisher yet.
func (c *Console) sections(current string, role activation.Role, waiting int64) []navGroup {
	groups := []navGroup{
		{"", "Operate", []navLink{{"/", "Overview", "layout-dashboard", false, ""}, {"/jobs", "Jobs", "arrows-exchange", false, ""}, {"/sync", "Sync tracking", "activity", false, ""}, {"/alerts", "Alerts", "bell", false, ""}}},
		{"Customer data", "Customer data", []navLink{{"/audiences", "Audiences", "users-group", false, ""}, {"/data", "Data", "database", false, ""}}},
		{"Set-up", "Set-up", []navLink{{"/destinations", "Destinations", "target", false, ""}, {"/templates", "Payload templates", "code", false, ""}, {"/authorizations", "Authorizations", "key", false, ""}}},
		settings(role),
	}
	if c.Publishing != nil {
		count := ""
		if waiting > 0 {
			count = num(waiting)
		}
		groups[0].Links = slices.Insert(groups[0].Links, 3, navLink{"/activity", "Activity log", "list-check", false, count})
		groups[2].Links = slices.Insert(groups[2].Links, 1, navLink{"/publishers", "Publishers", "bolt", false, ""})
	}
	if c.Decisions != nil {
		groups[1].Links = slices.Insert(groups[1].Links, 1, navLink{"/decisions", "Next-best-action", "sparkles", false, ""})
	}
	for _, g := range groups {
		for i := range g.Links {
			g.Links[i].Current = g.Links[i].Href == current
		}
	}
	return groups
}

func (c *Console) data(v visit, out view) pageData {
	d := pageData{
		view: out, Nav: c.sections(out.Section, v.who.Role, c.waitingCount(v.Context())), User: v.who.Name, Version: c.Version, CSRF: v.who.CSRF, Now: c.Now().UTC(),
		May: v.who.May(activation.RoleOperator),
	}
	if out.Page != "" {
		q := out.Query
		if q == nil {
			q = map[string][]string{}
		}
		q.Set("page", out.Page)
		d.Events = "/events?" + q.Encode()
	}
	return d
}

// render sends a page, or one fragment of it. It is made whole before the first
// byte leaves, so that an error never leaves half a page.
func (c *Console) render(w http.ResponseWriter, v visit, out view) {
	d := c.data(v, out)
	name := "layout"
	if out.Fragment != "" {
		name = out.Fragment
	} else {
		d.Flash, d.Undo = takeFlash(w, v.Request), takeUndo(w, v.Request)
	}
	var b bytes.Buffer
	if err := c.templates[out.Template].ExecuteTemplate(&b, name, d); err != nil {
		c.Log.ErrorContext(v.Context(), "page not rendered", slog.String("template", out.Template), slog.Any("err", err))
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	if out.Refresh != "" {
		w.Header().Set("Refresh", "0; url="+out.Refresh)
	}
	send(w, out.Status, b.Bytes())
}

func send(w http.ResponseWriter, status int, body []byte) {
	secure(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader has gone: nothing to tell
}
