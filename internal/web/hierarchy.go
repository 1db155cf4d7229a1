package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"usher/internal/activation"
)

// nodePage is the form of an issue, a group or an action.
type nodePage struct {
	New      bool
	To, CSRF string
	Wrong    string
	Fields   []field
	// Hint says what saving does beside.
	Hint string
	// Rule is the eligibility, whose size is told while it is typed.
	Rule  *field
	Tried tried
	// Effect is asked about before it is saved.
	Effect string
	Delete *ask
	// Facts are what is known of an action.
	Row  *actionRow
	Back string
}

func issuePath(id activation.IssueID) string {
	return "/decisions/issues/" + url.PathEscape(string(id))
}

func groupPath(id activation.GroupID) string {
	return "/decisions/groups/" + url.PathEscape(string(id))
}

func actionPath(id activation.ActionID) string {
	return "/decisions/actions/" + url.PathEscape(string(id))
}

func (c *Console) registerHierarchy(mux *http.ServeMux) {
	for _, kind := range []struct {
		path         string
		show         func(v visit, wrong map[string]string, effect string) (view, error)
		save, remove loader
	}{
		{"/decisions/issues", c.issueForm, c.saveIssue, c.deleteIssue},
		{"/decisions/groups", c.groupForm, c.saveGroup, c.deleteGroup},
		{"/decisions/actions", c.actionForm, c.saveAction, c.deleteAction},
	} {
		show := func(v visit) (view, error) { return kind.show(v, nil, "") }
		c.page(mux, kind.path+"/new", "", show)
		c.page(mux, kind.path+"/{id}", "", show)
		c.action(mux, kind.path, activation.RoleOperator, kind.save)
		c.action(mux, kind.path+"/{id}", activation.RoleOperator, kind.save)
		c.action(mux, kind.path+"/{id}/delete", activation.RoleOperator, kind.remove)
	}
}

// node makes the view of a form.
func node(title string, p nodePage, wrong map[string]string) view {
	out := view{Template: "node", Title: title, Section: "/decisions", Crumbs: []link{{"/decisions", "Next-best-action"}}, Body: p}
	switch {
	case wrong != nil:
		out.Status = http.StatusBadRequest
	case p.Effect != "":
		out.Status = http.StatusConflict
	}
	return out
}

// nameFields are the inputs that all three have: as it is, or as it was typed.
func nameFields(v visit, name, description string, wrong map[string]string) []field {
	if v.Method == http.MethodPost {
		name, description = v.post("name"), v.post("description")
	}
	return []field{
		{Name: "name", Label: "Name", Type: "text", Required: true, Value: name, Error: wrong["name"], Help: "Letters, digits, spaces, _ and full stops. It is a part of the names of its audiences."},
		{Name: "description", Label: "Description", Type: "text", Value: description, Error: wrong["description"]},
	}
}

func find[T any](list []T, fits func(T) bool) (T, error) {
	if i := slices.IndexFunc(list, fits); i >= 0 {
		return list[i], nil
	}
	var none T
	return none, activation.ErrNotFound
}

func (c *Console) issueForm(v visit, wrong map[string]string, _ string) (view, error) {
	p := nodePage{New: v.PathValue("id") == "", To: "/decisions/issues", CSRF: v.who.CSRF, Wrong: wrong[""], Back: "/decisions"}
	if p.New {
		p.Fields = nameFields(v, "", "", wrong)
		return node("New issue", p, wrong), nil
	}
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		return view{}, err
	}
	i, err := find(h.Issues, func(i activation.Issue) bool { return string(i.ID) == v.PathValue("id") })
	if err != nil {
		return view{}, err
	}
	p.To, p.Fields = issuePath(i.ID), nameFields(v, i.Name, i.Description, wrong)
	p.Hint = "Another name renames the audiences of its " + many(int64(len(h.At(activation.Level(i.Name)))), "action") + ", and the level in the jobs that name it."
	b := v.press(p.To+"/delete", "Delete issue", "trash")
	groups := 0
	for _, g := range h.Groups {
		if g.Issue == i.ID {
			groups++
		}
	}
	if groups > 0 {
		b.Withheld = orText(b.Withheld, "It has "+many(int64(groups), "group")+"; delete these first")
	}
	p.Delete = askFirst("delete", "Delete the issue "+i.Name+"?", b, "Keep it", "It has no groups, so nobody is in an audience of it.").grave()
	return node(i.Name, p, wrong), nil
}

func (c *Console) saveIssue(v visit) (view, error) {
	i := activation.Issue{ID: activation.IssueID(v.PathValue("id")), Name: v.post("name"), Description: v.post("description")}
	do := c.Decisions.CreateIssue
	if i.ID != "" {
		do = c.Decisions.UpdateIssue
	}
	saved, err := do(v.Context(), i, v.who.Name)
	wrong, err := wrongFields(err, "name", "description")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.issueForm(v, wrong, "")
	}
	return view{To: "/decisions", Said: flash{"ok", "Saved “" + saved.Name + "”."}}, nil
}

func (c *Console) deleteIssue(v visit) (view, error) {
	id := activation.IssueID(v.PathValue("id"))
	if err := c.Decisions.DeleteIssue(v.Context(), id, v.who.Name); err != nil {
		return refused(issuePath(id), err)
	}
	return view{To: "/decisions", Said: flash{"ok", "The issue is deleted."}}, nil
}

func (c *Console) groupForm(v visit, wrong map[string]string, _ string) (view, error) {
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		return view{}, err
	}
	p := nodePage{New: v.PathValue("id") == "", To: "/decisions/groups", CSRF: v.who.CSRF, Wrong: wrong[""], Back: "/decisions"}
	if p.New {
		chosen := field{Name: "issue_id", Label: "Issue", Type: "select", Error: wrong["issue_id"]}
		for _, i := range h.Issues {
			chosen.Options = append(chosen.Options, option{string(i.ID), i.Name, string(i.ID) == orText(v.post("issue_id"), v.get("issue"))})
		}
		p.Fields = append([]field{chosen}, nameFields(v, "", "", wrong)...)
		return node("New group", p, wrong), nil
	}
	g, err := find(h.Groups, func(g activation.Group) bool { return string(g.ID) == v.PathValue("id") })
	if err != nil {
		return view{}, err
	}
	actions := 0
	for _, a := range h.Actions {
		if a.Group == g.ID {
			actions++
		}
	}
	p.To, p.Fields = groupPath(g.ID), nameFields(v, g.Name, g.Description, wrong)
	p.Hint = "Another name renames the audiences of its " + many(int64(actions), "action") + ", and the level in the jobs that name it."
	b := v.press(p.To+"/delete", "Delete group", "trash")
	if actions > 0 {
		b.Withheld = orText(b.Withheld, "It has "+many(int64(actions), "action")+"; delete these first")
	}
	p.Delete = askFirst("delete", "Delete the group "+g.Name+"?", b, "Keep it", "It has no actions, so nobody is in an audience of it.").grave()
	return node(g.Name, p, wrong), nil
}

func (c *Console) saveGroup(v visit) (view, error) {
	g := activation.Group{ID: activation.GroupID(v.PathValue("id")), Issue: activation.IssueID(v.post("issue_id")), Name: v.post("name"), Description: v.post("description")}
	do := c.Decisions.CreateGroup
	if g.ID != "" {
		do = c.Decisions.UpdateGroup
	}
	saved, err := do(v.Context(), g, v.who.Name)
	wrong, err := wrongFields(err, "name", "description", "issue_id")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.groupForm(v, wrong, "")
	}
	return view{To: "/decisions", Said: flash{"ok", "Saved “" + saved.Name + "”."}}, nil
}

func (c *Console) deleteGroup(v visit) (view, error) {
	id := activation.GroupID(v.PathValue("id"))
	if err := c.Decisions.DeleteGroup(v.Context(), id, v.who.Name); err != nil {
		return refused(groupPath(id), err)
	}
	return view{To: "/decisions", Said: flash{"ok", "The group is deleted."}}, nil
}

func (c *Console) actionForm(v visit, wrong map[string]string, effect string) (view, error) {
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		return view{}, err
	}
	p := nodePage{New: v.PathValue("id") == "", To: "/decisions/actions", CSRF: v.who.CSRF, Wrong: wrong[""], Effect: effect, Back: "/decisions"}
	a, title := activation.Action{Enabled: true, Eligibility: "FILTER "}, "New action"
	if !p.New {
		if a, err = find(h.Actions, func(a activation.Action) bool { return string(a.ID) == v.PathValue("id") }); err != nil {
			return view{}, err
		}
		title, p.To = a.Name, actionPath(a.ID)
		rows, err := c.actionRows(v, activation.Hierarchy{Issues: h.Issues, Groups: h.Groups, Actions: []activation.Action{a}})
		if err != nil {
			return view{}, err
		}
		row := rows[a.ID]
		p.Row = &row
		if p.Delete, err = c.deletionOfAction(v, a); err != nil {
			return view{}, err
		}
	}
	priority, enabled, rule := strconv.FormatInt(a.Priority, 10), a.Enabled, a.Eligibility
	if v.Method == http.MethodPost {
		priority, enabled, rule = v.post("priority"), v.post("enabled") != "", v.post("segment_ql")
	}
	p.Fields = nameFields(v, a.Name, a.Description, wrong)
	if p.New {
		group := field{Name: "group_id", Label: "Group", Type: "select", Error: wrong["group_id"]}
		for _, l := range h.Groups {
			issue, err := find(h.Issues, func(i activation.Issue) bool { return i.ID == l.Issue })
			if err != nil {
				continue
			}
			group.Options = append(group.Options, option{string(l.ID), issue.Name + " / " + l.Name, string(l.ID) == orText(v.post("group_id"), v.get("group"))})
		}
		p.Fields = append([]field{group}, p.Fields...)
	}
	p.Fields = append(p.Fields,
		field{Name: "priority", Label: "Priority", Type: "text", Value: priority, Error: wrong["priority"], Help: "A whole number. The highest eligible one wins, ties go by name."},
		field{Name: "enabled", Label: "Takes part in decisions", Type: "checkbox", Checked: enabled})
	p.Rule = &field{Name: "segment_ql", Label: "Who is eligible", Type: "textarea", Rows: 5, Value: rule, Error: orText(wrong["eligibility"], wrong["segment_ql"]), Help: "FilterQL, as of an audience. FILTER * is everybody."}
	return node(title, p, wrong), nil
}

// deletionOfAction asks in numbers before an action goes.
func (c *Console) deletionOfAction(v visit, a activation.Action) (*ask, error) {
	leaving, err := c.Decisions.Leaving(v.Context(), a.ID)
	if err != nil {
		return nil, err
	}
	line := "Its audiences are kept at no network."
	if n := len(leaving.Targets); n > 0 {
		line = "What networks hold of its audiences is emptied, at " + many(int64(n), "target") + ", past the removal guard."
	}
	b := v.press(actionPath(a.ID)+"/delete", "Delete action", "trash")
	return askFirst("delete", "Delete the action "+a.Name+"?", b, "Keep it", many(leaving.People, "person")+" leave its audience.", line).grave(), nil
}

// saveAction saves an action. Another eligibility, or switching it on or off, is
// asked about first, in numbers.
func (c *Console) saveAction(v visit) (view, error) {
	ctx := v.Context()
	a := activation.Action{ID: activation.ActionID(v.PathValue("id")), Group: activation.GroupID(v.post("group_id")), Name: v.post("name"), Description: v.post("description"), Eligibility: v.post("segment_ql"), Enabled: v.post("enabled") != ""}
	var err error
	if text := v.post("priority"); text != "" {
		if a.Priority, err = strconv.ParseInt(text, 10, 64); err != nil {
			return c.actionForm(v, map[string]string{"priority": "Must be a whole number."}, "")
		}
	}
	do := c.Decisions.CreateAction
	if a.ID != "" {
		do = c.Decisions.UpdateAction
		if v.post("confirm") != "effect" {
			effect, wrong, err := c.effectOf(v, a)
			if err != nil {
				return view{}, err
			}
			if effect != "" || wrong != nil {
				return c.actionForm(v, wrong, effect)
			}
		}
	}
	saved, err := do(ctx, a, v.who.Name)
	wrong, err := wrongFields(err, "name", "description", "priority", "group_id", "eligibility")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.actionForm(v, wrong, "")
	}
	return view{To: actionPath(saved.ID), Said: flash{"ok", "Saved “" + saved.Name + "”. Who was decided for it stays so until the next decision."}}, nil
}

// effectOf says in numbers what another eligibility of an action changes; "" =
// nothing that has to be asked about.
func (c *Console) effectOf(v visit, a activation.Action) (string, map[string]string, error) {
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		return "", nil, err
	}
	before, err := find(h.Actions, func(b activation.Action) bool { return b.ID == a.ID })
	if err != nil {
		return "", nil, err
	}
	members, err := c.Warehouse.Size(v.Context(), before.Audience)
	if err != nil {
		return "", nil, err
	}
	switch {
	case a.Eligibility != before.Eligibility:
		was, err := c.Warehouse.Try(v.Context(), before.Eligibility, c.Now())
		if err != nil {
			return "", nil, err
		}
		will, err := c.Warehouse.Try(v.Context(), a.Eligibility, c.Now())
		if wrong, err := wrongRule(err); err != nil || wrong != nil {
			return "", wrong, err
		}
		return num(will) + " people would be eligible; now " + num(was) + " are. Its negative audience changes at once where it is sent. The " + many(members, "person") + " decided for it stay until the next decision.", nil, nil
	case before.Enabled && !a.Enabled:
		return "It takes no more part in decisions. The " + many(members, "person") + " decided for it leave at the next decision of their level.", nil, nil
	}
	return "", nil, nil
}

func (c *Console) deleteAction(v visit) (view, error) {
	id := activation.ActionID(v.PathValue("id"))
	if err := c.Decisions.DeleteAction(v.Context(), id, v.who.Name); err != nil {
		return refused(actionPath(id), err)
	}
	return view{To: "/decisions", Said: flash{"ok", "The action is deleted. Everybody has left its audiences."}}, nil
}
