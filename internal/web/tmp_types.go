package web

import (
	"context"
	"log/slog"
	"time"

	"usher/internal/activation"
)

type whoQuestion struct {
	Field, Value string
	Target       activation.TargetID
}
type whoAnswer struct {
	Target  activation.TargetID
	Synced  bool
	Summary string
	Steps   []whoStepText
}
type whoStepText struct {
	Name, Text, Status string
	Cause              bool
	Run                *int64
	Item               *int
	At                 time.Time
	Code, Page         string
}
type Explains interface {
	Explain(ctx context.Context, q whoQuestion) (whoAnswer, error)
}
type Decisions interface {
	Hierarchy(ctx context.Context) (activation.Hierarchy, error)
}

// levelNames are the levels as runs name them: Issue / Group.
func (c *Console) levelNames(v visit) (out []string) {
	if c.Decisions == nil {
		return nil
	}
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		c.Log.WarnContext(v.Context(), "levels not listed", slog.Any("err", err))
	}
	for _, g := range h.Groups {
		for _, i := range h.Issues {
			if i.ID == g.Issue {
				out = append(out, i.Name+" / "+g.Name)
			}
		}
	}
	return out
}
