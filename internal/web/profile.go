package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// mergesShown is how many merges of a person the page lists.
const mergesShown = 50

type profilePage struct {
	CSRF         string
	Field, Value field
	NoFields     bool
	Missing      string
	Person       *knownPerson
}

// knownPerson is who was found, personal values masked.
type knownPerson struct {
	ID int64
	// By is the field that they were found by.
	By          string
	Identifiers []pair
	Attributes  []pair
	Audiences   []link
	Told        []warehouse.PersonStream
	Merges      []mergeRow
	Merging     bool
	Sent        []link // where it can be asked what became of them
	Forget      *ask
}

type mergeRow struct {
	At     time.Time
	Chip   chip
	Says   string
	Fields []string
	Stream string
}

func (c *Console) registerProfile(mux *http.ServeMux) {
	c.page(mux, "/data/profile", "", func(v visit) (view, error) { return c.profilePage(v, nil, "") })
	c.action(mux, "/data/profile", activation.RoleViewer, c.lookUp)
}

// profilePage is the look-up, with who was found or why nobody was.
func (c *Console) profilePage(v visit, found *knownPerson, missing string) (view, error) {
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return view{}, err
	}
	p := profilePage{CSRF: v.who.CSRF, Person: found, Missing: missing}
	p.Field, p.Value = identifierFields(schema, v.post("field"))
	p.NoFields = len(p.Field.Options) == 0
	return view{Template: "profile", Title: "Find a person", Section: "/data", Crumbs: []link{{"/data", "Data"}}, Body: p}, nil
}

// identifierFields ask for a person: by which identifier, and its value. What was
// typed is never shown again.
func identifierFields(schema warehouse.Schema, chosen string) (by, value field) {
	by = field{Name: "field", Label: "Identifier", Type: "select"}
	for _, f := range identityOf(schema).Ranked {
		by.Options = append(by.Options, option{f.Name, f.Name, f.Name == chosen})
	}
	return by, field{Name: "value", Label: "Value", Type: "text"}
}

// lookUp finds one person by an identifier. The value is in the body alone, so
// that no log of addresses has it, and the audit log keeps who was looked at by
// profile number.
func (c *Console) lookUp(v visit) (view, error) {
	ctx := v.Context()
	p, err := c.Warehouse.Find(ctx, v.post("field"), v.post("value"))
	switch {
	case errors.Is(err, activation.ErrNotFound):
		return c.profilePage(v, nil, "Nobody has this "+v.post("field")+".")
	case activation.KindOf(err) == activation.Invalid:
		return c.profilePage(v, nil, sentence(reason(err)))
	case err != nil:
		return view{}, err
	}
	if err := c.note(v, "lookup", "profile", strconv.FormatInt(p.ID, 10)); err != nil {
		return view{}, err
	}
	found, err := c.known(v, p)
	if err != nil {
		return view{}, err
	}
	return c.profilePage(v, found, "")
}

// known is what is known of somebody.
func (c *Console) known(v visit, p warehouse.Profile) (*knownPerson, error) {
	ctx := v.Context()
	schema, err := c.Warehouse.Schema(ctx)
	if err != nil {
		return nil, err
	}
	out := &knownPerson{ID: p.ID, By: v.post("field"), Merging: c.Merges != nil}
	columns, rows := table(schema, []warehouse.Profile{p})
	for i, name := range columns[1:] {
		one := pair{name, rows[0][i+1]}
		if slices.ContainsFunc(schema.Fields, func(f warehouse.Field) bool { return f.Name == name && f.Rank > 0 }) {
			out.Identifiers = append(out.Identifiers, one)
		} else {
			out.Attributes = append(out.Attributes, one)
		}
	}
	told, err := c.Warehouse.Explain(ctx, warehouse.PlanRequest{}, p.ID, nil)
	if err != nil {
		return nil, err
	}
	out.Told = told.Messages
	if err := c.personAudiences(v, p, out); err != nil {
		return nil, err
	}
	if c.Merges != nil {
		merges, err := c.Merges.Merges(ctx, p.ID, time.Time{}, mergesShown)
		if err != nil {
			return nil, err
		}
		for _, m := range merges {
			out.Merges = append(out.Merges, mergeRowOf(m, p.ID))
		}
	}
	if c.Forgets != nil {
		out.Forget = c.forgetAsk(v, out.By)
	}
	return out, nil
}

// personAudiences finds the audiences of a person and where those are sent.
func (c *Console) personAudiences(v visit, p warehouse.Profile, out *knownPerson) error {
	all, err := c.Store.Audiences(v.Context())
	if err != nil {
		return err
	}
	for _, slug := range p.Audiences {
		i := slices.IndexFunc(all, func(a activation.Audience) bool { return a.Slug == slug })
		if i < 0 {
			out.Audiences = append(out.Audiences, link{audiencePath(slug), slug})
			continue
		}
		out.Audiences = append(out.Audiences, link{audiencePath(slug), all[i].Name})
		if c.Explain == nil {
			continue
		}
		targets, err := c.Tracking.Targets(v.Context(), store.TargetFilter{Audience: all[i].ID})
		if err != nil {
			return err
		}
		for _, t := range targets {
			out.Sent = append(out.Sent, link{targetPath(t.ID) + "/explain", all[i].Name + " at " + t.DestinationName})
		}
	}
	return nil
}

func mergeRowOf(m warehouse.MergeEvent, self int64) mergeRow {
	row := mergeRow{At: m.At, Fields: m.Fields, Stream: m.Stream}
	switch {
	case m.Kind == "capped":
		row.Chip, row.Says = chip{"warn", "hand-stop", "Left apart", false}, "A value would have linked more than one person may have."
	case m.Kind == "part" || m.Gone == 0:
		row.Chip, row.Says = chip{"off", "git-compare", "Parted", false}, "Profile "+num(m.Survivor)+" was parted from others."
	default:
		row.Chip, row.Says = chip{"run", "users-group", "Joined", false}, "Profile "+num(m.Gone)+" became part of "+num(m.Survivor)+"."
	}
	if m.Survivor != self && m.Kind != "capped" {
		row.Says = strings.TrimSuffix(row.Says, ".") + ", which is part of this person."
	}
	if m.Stream == "" {
		row.Stream = "a rebuild"
	}
	return row
}
