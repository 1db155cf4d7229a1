package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"usher/internal/activation"
	"usher/internal/store"
)

// priorityPage is one priority list, or the lists.
type priorityPage struct {
	Rows     []priorityRow
	New      string
	To, CSRF string
	Wrong    string
	Fields   []field
	// Order are the audiences in order, each with its buttons.
	Order []orderRow
	Add   []option
	Is    bool // a list that is there
	Del   *ask
}

type priorityRow struct {
	activation.PriorityList
	Path  string
	Where string
	Names []string
}

type orderRow struct {
	Value, Text         string
	Up, Down            bool
	UpTo, DownTo, OutTo string
}

func (c *Console) registerPriorities(mux *http.ServeMux) {
	c.page(mux, "/priorities", "", c.priorities)
	c.page(mux, "/priorities/new", "", func(v visit) (view, error) { return c.priorityForm(v, nil, nil) })
	c.page(mux, "/priorities/{id}", "", func(v visit) (view, error) { return c.priorityForm(v, nil, nil) })
	c.action(mux, "/priorities", activation.RoleOperator, c.savePriority)
	c.action(mux, "/priorities/{id}", activation.RoleOperator, c.savePriority)
	c.action(mux, "/priorities/{id}/delete", activation.RoleOperator, func(v visit) (view, error) {
		if err := c.Catalog.DeletePriorityList(v.Context(), activation.PriorityListID(v.PathValue("id")), v.who.Name); err != nil {
			return refused(priorityPath(activation.PriorityListID(v.PathValue("id"))), err)
		}
		return view{To: "/priorities", Said: flash{"ok", "The list is deleted. Its audiences catch up at their next runs."}}, nil
	})
}

func priorityPath(id activation.PriorityListID) string {
	return "/priorities/" + url.PathEscape(string(id))
}

func (c *Console) priorities(v visit) (view, error) {
	lists, err := c.Catalog.PriorityLists(v.Context(), activation.DestinationID(v.get("destination")))
	if err != nil {
		return view{}, err
	}
	audiences, err := c.Store.Audiences(v.Context())
	if err != nil {
		return view{}, err
	}
	where, err := c.destinationNames(v.Context())
	if err != nil {
		return view{}, err
	}
	names := map[activation.AudienceID]string{}
	for _, a := range audiences {
		names[a.ID] = a.Name
	}
	p := priorityPage{New: "/priorities/new"}
	for _, l := range lists {
		row := priorityRow{PriorityList: l, Path: priorityPath(l.ID), Where: where[l.Destination]}
		for _, id := range l.Audiences {
			row.Names = append(row.Names, names[id])
		}
		p.Rows = append(p.Rows, row)
	}
	return view{Template: "priorities", Title: "Priority lists", Section: "/audiences", Crumbs: []link{{"/audiences", "Audiences"}}, Body: p}, nil
}

// priorityForm is the form of a list. order is as it was typed, nil = as it is.
func (c *Console) priorityForm(v visit, order []string, wrong map[string]string) (view, error) {
	ctx := v.Context()
	p := priorityPage{To: "/priorities", CSRF: v.who.CSRF, Wrong: wrong[""]}
	title, name, destination := "New priority list", v.post("name"), orText(v.post("destination_id"), v.get("destination"))
	if id := v.PathValue("id"); id != "" {
		l, err := c.Catalog.PriorityList(ctx, activation.PriorityListID(id))
		if err != nil {
			return view{}, err
		}
		p.Is, p.To, title, destination = true, priorityPath(l.ID), l.Name, string(l.Destination)
		if v.Method == http.MethodGet {
			name = l.Name
			for _, a := range l.Audiences {
				order = append(order, string(a))
			}
		}
		p.Del = askFirst("delete", "Delete the list "+l.Name+"?", v.press(p.To+"/delete", "Delete list", "trash"), "Keep it", "People who are in several of its "+many(int64(len(l.Audiences)), "audience")+" go to each of them again, from the next run on.").grave()
	}
	where := field{Name: "destination_id", Label: "Destination", Type: "select", Error: wrong["destination_id"]}
	destinations, err := c.Store.Destinations(ctx)
	if err != nil {
		return view{}, err
	}
	for _, d := range destinations {
		if !p.Is || string(d.ID) == destination {
			where.Options = append(where.Options, option{string(d.ID), d.Name, string(d.ID) == destination})
		}
	}
	p.Fields = []field{{Name: "name", Label: "Name", Type: "text", Required: true, Value: name, Error: wrong["name"]}, where}
	all, err := c.Store.Audiences(ctx)
	if err != nil {
		return view{}, err
	}
	names := map[string]string{}
	for _, a := range all {
		names[string(a.ID)] = a.Name
		if a.Kind != activation.KindRetired && !slices.Contains(order, string(a.ID)) {
			p.Add = append(p.Add, option{string(a.ID), a.Name, false})
		}
	}
	for i, id := range order {
		n := strconv.Itoa(i)
		p.Order = append(p.Order, orderRow{Value: id, Text: orText(names[id], "gone"), Up: i > 0, Down: i < len(order)-1, UpTo: "up-" + n, DownTo: "down-" + n, OutTo: "out-" + n})
	}
	if text := wrong["segment_ids"]; text != "" {
		p.Wrong = text
	}
	out := view{Template: "priority", Title: title, Section: "/audiences", Crumbs: []link{{"/audiences", "Audiences"}, {"/priorities", "Priority lists"}}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// savePriority saves a list, or only moves an audience in it.
func (c *Console) savePriority(v visit) (view, error) {
	_ = v.ParseForm() // CheckCSRF has read it
	order := slices.DeleteFunc(slices.Clone(v.PostForm["order"]), func(s string) bool { return s == "" })
	if moved, ok := moved(order, v.post("move"), v.post("add")); ok {
		return c.priorityForm(v, moved, nil)
	}
	l := activation.PriorityList{ID: activation.PriorityListID(v.PathValue("id")), Name: v.post("name"), Destination: activation.DestinationID(v.post("destination_id"))}
	do := c.Catalog.CreatePriorityList
	if l.ID != "" {
		do = c.Catalog.UpdatePriorityList
	}
	saved, err := do(v.Context(), l, order, v.who.Name)
	wrong, err := wrongFields(err, "name", "destination_id", "segment_ids")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.priorityForm(v, order, wrong)
	}
	return view{To: priorityPath(saved.ID), Said: flash{"ok", "Saved “" + saved.Name + "”. Its audiences catch up at their next runs."}}, nil
}

// moved is the order after a button was pressed: up-2, down-0, out-1, or add with
// what is added. It is false where none of these was.
func moved(order []string, button, added string) ([]string, bool) {
	for i := range order {
		n := strconv.Itoa(i)
		switch button {
		case "up-" + n:
			if i > 0 {
				order[i], order[i-1] = order[i-1], order[i]
			}
			return order, true
		case "down-" + n:
			if i < len(order)-1 {
				order[i], order[i+1] = order[i+1], order[i]
			}
			return order, true
		case "out-" + n:
			return slices.Delete(order, i, i+1), true
		}
	}
	if button == "add" {
		if added != "" && !slices.Contains(order, added) {
			order = append(order, added)
		}
		return order, true
	}
	return order, false
}

// kindNames are the kinds of audiences as people read them.
var kindNames = map[activation.AudienceKind]string{
	activation.KindRule: "Rule", activation.KindAction: "Action", activation.KindNegative: "Not eligible", activation.KindConversion: "Conversion", activation.KindRetired: "Retired",
}

// enabledFor are the destinations an audience is sent to, each target once.
func (c *Console) enabledFor(v visit, id activation.AudienceID) ([]targetLink, error) {
	targets, err := c.Tracking.Targets(v.Context(), store.TargetFilter{Audience: id})
	var out []targetLink
	for _, t := range targets {
		row := targetLink{Link: link{targetPath(t.ID), t.DestinationName}, Logo: c.logoOf(t.DestinationType), Chip: targetChip(t.Target), Holds: holdingsText(t.Holdings), Job: link{jobPath(t.Job), t.JobName}}
		if t.Job == "" {
			row.Chip, row.Job = chip{"off", "player-pause", "Kept by no job", false}, link{}
		}
		out = append(out, row)
	}
	return out, err
}

// targetLink is a destination of an audience.
type targetLink struct {
	Link, Job link
	Logo      string
	Chip      chip
	Holds     string
}
