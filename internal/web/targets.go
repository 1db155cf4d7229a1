package web

import (
	"net/http"
	"net/url"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/tracking"
)

type destinationPage struct {
	Row                       destinationRow
	CSRF, Wrong, MappingWrong string
	Open                      bool
	Fields, Mapping, Settings []field
	// Rebuild says what saving the mapping does, once it was asked to be saved.
	Rebuild string
	Given   []pair // settings, for those who may only look
	// Switch is the button that switches it on or off, Effect what that does.
	Switch  button
	Effect  string
	Targets []targetRow
	Runs    []runRow
	Delete  button
	// Snippet is what a web page asks with, where sites read the destination.
	Snippet string
	// Conversions: a job sends conversions there, so the past of them can be sent.
	Conversions bool
}

// targetRow is one audience at the destination.
type targetRow struct {
	tracking.TargetView
	Chip     chip
	Held     int64
	Withheld string // why it cannot be released
	Release  string // where the form of releasing goes
}

// destination is the page of one destination. wrong is what was wrong with its
// form, rebuild what its form has to be confirmed for.
func (c *Console) destination(v visit, wrong map[string]string, rebuild *string) (view, error) {
	ctx := v.Context()
	d, err := c.Store.Destination(ctx, activation.DestinationID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	auths, err := c.Store.Authorizations(ctx)
	if err != nil {
		return view{}, err
	}
	p := destinationPage{Row: c.destinationRow(v, d, auths), CSRF: v.who.CSRF, Wrong: wrong[""], MappingWrong: wrong["mapping"]}
	p.Row.Test = v.press(destinationPath(d.ID)+"/test", "Test", "plug-connected")
	p.Row.Test.Hidden = []hidden{{"here", "1"}}
	if rebuild != nil {
		p.Rebuild = *rebuild
	}
	if err := c.targetRows(v, &p, d); err != nil {
		return view{}, err
	}
	if err := c.destinationFields(v, &p, d, wrong, rebuild != nil || wrong != nil); err != nil {
		return view{}, err
	}
	p.Snippet = c.snippet(v, d)
	if err := c.switchOf(v, &p, d); err != nil {
		return view{}, err
	}
	if err := c.deletionOf(v, &p, d); err != nil {
		return view{}, err
	}
	runs, err := c.Tracking.List(ctx, store.RunFilter{Destination: d.ID, Limit: 5})
	if err != nil {
		return view{}, err
	}
	if p.Runs, err = c.runRows(v, runs); err != nil {
		return view{}, err
	}
	out := view{Template: "destination", Title: d.Name, Section: "/destinations", Crumbs: []link{{"/destinations", "Destinations"}}, Body: p}
	switch {
	case wrong != nil:
		out.Status = http.StatusBadRequest
	case rebuild != nil:
		out.Status = http.StatusConflict
	}
	return out, nil
}

// destinationFields are the inputs of a destination: as it is, or as it was
// typed.
func (c *Console) destinationFields(v visit, p *destinationPage, d activation.Destination, wrong map[string]string, typed bool) error {
	def, ok := c.only(d.Provider)
	if !ok {
		return nil
	}
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return err
	}
	for _, t := range p.Targets {
		w, _ := def.Workflow(t.Workflow)
		p.Conversions = p.Conversions || t.Stream != "" && t.Job != "" && w.SyncType == activation.SyncOfflineConversion
	}
	name, account, mapping := d.Name, d.Account, d.Mapping
	if typed {
		name, account, mapping = v.post("name"), v.post("account"), postedMapping(v, def)
	}
	p.Fields = []field{
		{Name: "name", Label: "Name", Type: "text", Required: true, Value: name, Error: wrong["name"]},
		{Name: "account", Label: "Account", Type: "text", Required: true, Value: account, Error: wrong["account"], Help: def.AccountHelp},
	}
	switch {
	case def.AccountHelp == "":
		p.Fields = p.Fields[:1]
	case len(p.Targets) > 0:
		p.Fields[1].Help = "It can't change while audiences are kept there. " + def.AccountHelp
	}
	filled := make([]provider.Field, len(def.DestinationFields))
	for i, f := range def.DestinationFields {
		filled[i] = f
		if have, ok := d.Config[f.Name]; ok {
			filled[i].Default = have
		}
		p.Given = append(p.Given, pair{f.Label, filled[i].Default})
	}
	p.Settings = declared(v.post, "config.", filled, wrong)
	p.Mapping, p.Open = mappingFields(def, schema, mapping, wrong), def.OpenColumns != nil
	return nil
}

// switchOf makes the button that switches a destination on or off, and says
// what pressing it withdraws.
func (c *Console) switchOf(v visit, p *destinationPage, d activation.Destination) error {
	to := destinationPath(d.ID) + "/switch"
	if !d.Enabled {
		p.Switch = v.press(to, "Switch on", "player-play")
		p.Switch.Hidden = []hidden{{"enabled", "true"}}
		p.Effect = "Nothing is sent there. Once it is on, each audience catches up with what has changed meanwhile."
		return nil
	}
	counts, err := c.Store.RunCounts(v.Context(), store.RunFilter{Destination: d.ID, Status: []activation.RunStatus{activation.RunPending, activation.RunRunning}})
	if err != nil {
		return err
	}
	p.Switch = v.press(to, "Switch off", "player-pause").as("btn-bad solid")
	p.Switch.Hidden = []hidden{{"enabled", "false"}}
	p.Effect = "Nothing more is sent to " + many(int64(len(p.Targets)), "audience") + " there, and no run begins. "
	if n := counts[activation.RunPending]; n > 0 {
		p.Effect += "It withdraws " + many(n, "pending run") + ". "
	} else {
		p.Effect += "No run is pending, so none is withdrawn. "
	}
	if n := counts[activation.RunRunning]; n > 0 {
		p.Effect += "What the " + many(n, "running run") + " already sent stays. "
	}
	p.Effect += "People stay in the audiences at the network."
	return nil
}

func (c *Console) deletionOf(v visit, p *destinationPage, d activation.Destination) error {
	p.Delete = v.press(destinationPath(d.ID)+"/delete", "Delete for good", "trash").as("btn-bad solid")
	jobs, err := c.Store.Jobs(v.Context(), store.JobFilter{Destination: d.ID, Hidden: true, Deleted: true})
	if err != nil {
		return err
	}
	if n, m := len(p.Targets), len(jobs); n+m > 0 && p.Delete.Withheld == "" {
		p.Delete.Withheld = "It is used by " + many(int64(n), "target") + " and " + many(int64(m), "job") + "; targets outlive their jobs until they are released and purged"
	}
	return nil
}

func (c *Console) targetRows(v visit, p *destinationPage, d activation.Destination) error {
	targets, err := c.Tracking.Targets(v.Context(), store.TargetFilter{Destination: d.ID})
	if err != nil {
		return err
	}
	for _, t := range targets {
		row := targetRow{TargetView: t, Chip: targetChip(t.Target), Held: t.Holdings.In + t.Holdings.Maybe, Release: destinationPath(d.ID) + "/targets/" + url.PathEscape(string(t.ID)) + "/release"}
		row.Withheld, err = c.ownedBy(v, t)
		if err != nil {
			return err
		}
		p.Targets = append(p.Targets, row)
		p.Row.Targets++
		p.Row.People += row.Held
	}
	return nil
}

// ownedBy says why a target cannot be given up: a job that may run again owns
// it, or it is being given up already. "" = it can.
func (c *Console) ownedBy(v visit, t tracking.TargetView) (string, error) {
	if !v.who.May(activation.RoleOperator) {
		return "Your role may only look", nil
	}
	if t.Release != "" {
		return "It is being given up already", nil
	}
	if t.Job == "" {
		return "", nil
	}
	jobs, err := c.Store.Jobs(v.Context(), store.JobFilter{Destination: t.Destination, Hidden: true})
	if err != nil {
		return "", err
	}
	for _, j := range jobs {
		if j.ID == t.Job && j.State != activation.JobKilled && j.State != activation.JobCompleted {
			return "The job “" + j.Name + "” keeps it in step; terminate that first", nil
		}
	}
	return "", nil
}

// editDestination saves a destination. A mapping that gives people other keys
// is asked about first, in numbers.
func (c *Console) editDestination(v visit) (view, error) {
	ctx, id := v.Context(), activation.DestinationID(v.PathValue("id"))
	before, err := c.Store.Destination(ctx, id)
	if err != nil {
		return view{}, err
	}
	def, err := c.Catalog.Definition(before.Provider)
	if err != nil {
		return view{}, err
	}
	after := before
	after.Name, after.Account, after.Mapping, after.Config = v.post("name"), v.post("account"), postedMapping(v, def), values(v, "config.", def.DestinationFields)
	names := append([]string{"name", "account", "mapping"}, declaredNames(def, postedMapping(v, def))...)
	changes, err := c.Catalog.ChangesKeys(ctx, before, after)
	if err == nil && changes && v.post("confirm") != "rebuild" {
		targets, err := c.Tracking.Targets(ctx, store.TargetFilter{Destination: id})
		if err != nil {
			return view{}, err
		}
		var people int64
		for _, t := range targets {
			people += t.Holdings.In + t.Holdings.Maybe
		}
		if people > 0 {
			text := "This mapping rebuilds " + many(int64(len(targets)), "audience") + ": " + many(people, "person") + " are removed under their old match keys and added under new ones at the next run."
			return c.destination(v, nil, &text)
		}
	}
	if err == nil {
		after, err = c.Catalog.UpdateDestination(ctx, after, v.who.Name)
	}
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.destination(v, wrong, nil)
	}
	return view{To: destinationPath(id), Said: flash{"ok", "Saved “" + after.Name + "”."}}, nil
}

func (c *Console) switchDestination(v visit) (view, error) {
	ctx, id := v.Context(), activation.DestinationID(v.PathValue("id"))
	d, err := c.Store.Destination(ctx, id)
	if err != nil {
		return view{}, err
	}
	d.Enabled = v.post("enabled") == "true"
	if _, err := c.Catalog.UpdateDestination(ctx, d, v.who.Name); err != nil {
		return refused(destinationPath(id), err)
	}
	said := "“" + d.Name + "” is switched off: nothing is sent there."
	if d.Enabled {
		said = "“" + d.Name + "” is switched on."
	}
	return view{To: destinationPath(id), Said: flash{"ok", said}}, nil
}

func (c *Console) deleteDestination(v visit) (view, error) {
	id := activation.DestinationID(v.PathValue("id"))
	if err := c.Store.DeleteDestination(v.Context(), id, v.who.Name); err != nil {
		return refused(destinationPath(id), err)
	}
	return view{To: "/destinations", Said: flash{"ok", "The destination is deleted. The network was not asked anything."}}, nil
}

// releaseWord is what a person types to have a remote audience deleted.
const releaseWord = "delete"

func (c *Console) releaseAt(v visit) (view, error) {
	ctx, to := v.Context(), destinationPath(activation.DestinationID(v.PathValue("id")))
	t, err := c.Store.Target(ctx, activation.TargetID(v.PathValue("target")))
	if err != nil {
		return view{}, err
	}
	if string(t.Destination) != v.PathValue("id") {
		return view{}, activation.ErrNotFound
	}
	how, said := activation.OnEnd(v.post("remote")), ""
	switch how {
	case activation.EndKeep:
		said = "Usher has let go of the remote audience. Whoever is in it stays there."
	case activation.EndEmpty:
		said = "A run is due that removes everybody from the remote audience."
	case activation.EndDelete:
		said = "A run is due that removes everybody and then deletes the remote audience."
		if v.post("confirm") != releaseWord {
			return view{To: to, Said: flash{"bad", "Nothing was changed: the word “" + releaseWord + "” was not typed."}}, nil
		}
	default:
		return view{To: to, Said: flash{"bad", "Nothing was changed: choose keep, empty or delete."}}, nil
	}
	if _, err := c.Delivery.ReleaseTarget(ctx, t.ID, how, v.who.Name); err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", said}}, nil
}
