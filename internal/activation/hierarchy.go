package activation

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Issue is the top of the next-best-action hierarchy, such as Sales.
type Issue struct {
	ID          IssueID   `json:"id"`
	Name        string    `json:"name"` // letters, digits, space and _, no - and no /
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"created"`
	UpdatedAt   time.Time `json:"updated"`
}

// Group divides an issue, such as Retention offers.
type Group struct {
	ID          GroupID   `json:"id"`
	Issue       IssueID   `json:"issue_id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"created"`
	UpdatedAt   time.Time `json:"updated"`
}

// Action is what a customer may be decided for.
type Action struct {
	ID          ActionID `json:"id"`
	Group       GroupID  `json:"group_id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	// Eligibility is FilterQL: who may be decided for it.
	Eligibility string `json:"eligibility"`
	// Priority decides between eligible actions: the highest wins, ties by name.
	Priority int64 `json:"priority"`
	// Enabled actions take part in decisions.
	Enabled bool `json:"enabled"`
	// Audience is Issue-Group-Action; Negative is Issue-Group-Action-N.
	Audience  AudienceID `json:"segment_id"`
	Negative  AudienceID `json:"negative_segment_id"`
	CreatedAt time.Time  `json:"created"`
	UpdatedAt time.Time  `json:"updated"`
}

// Hierarchy is all of it, each list by name.
type Hierarchy struct {
	Issues  []Issue
	Groups  []Group
	Actions []Action
}

// LevelAll is the level of every action.
const LevelAll = "all"

// Level is where a decision is made: "all", "Issue" or "Issue/Group", by names.
type Level string

// Names returns the level's issue and group; "" = any.
func (l Level) Names() (issue, group string) {
	if l == LevelAll {
		return "", ""
	}
	issue, group, _ = strings.Cut(string(l), "/")
	return issue, group
}

// Exists reports whether the hierarchy has the level.
func (h Hierarchy) Exists(l Level) bool {
	issue, group := l.Names()
	switch {
	case l == LevelAll:
		return true
	case l == "":
		return false
	case group == "" && strings.Contains(string(l), "/"):
		return false
	}
	i := slices.IndexFunc(h.Issues, func(x Issue) bool { return x.Name == issue })
	if i < 0 {
		return false
	}
	return group == "" || slices.ContainsFunc(h.Groups, func(g Group) bool { return g.Issue == h.Issues[i].ID && g.Name == group })
}

// LevelOf is the narrowest level an action belongs to: its issue and group.
func (h Hierarchy) LevelOf(a Action) Level {
	for _, g := range h.Groups {
		if g.ID != a.Group {
			continue
		}
		for _, i := range h.Issues {
			if i.ID == g.Issue {
				return Level(i.Name + "/" + g.Name)
			}
		}
	}
	return ""
}

// At returns the actions of a level, those that win first: by priority, the
// highest first, then by name, then by the names of issue and group.
func (h Hierarchy) At(l Level) []Action {
	issue, group := l.Names()
	var out []Action
	levels := map[ActionID]Level{}
	for _, a := range h.Actions {
		levels[a.ID] = h.LevelOf(a)
		in, of := levels[a.ID].Names()
		if (issue == "" || issue == in) && (group == "" || group == of) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Action) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name), cmp.Compare(levels[a.ID], levels[b.ID]))
	})
	return out
}

// AudienceName is the name of an action's audience: Issue-Group-Action.
func (h Hierarchy) AudienceName(a Action) string {
	issue, group := h.LevelOf(a).Names()
	return issue + "-" + group + "-" + a.Name
}
