package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/explain"
)

// Explainer says why somebody was or was not sent.
type Explainer interface {
	Explain(ctx context.Context, q explain.Question) (explain.Answer, error)
}

func (a *API) explain(h huma.API) {
	huma.Register(h, route("POST /v2/explain", Operator, "explain", "Why a person was or was not sent to a target, step by step from message to receipt; the look-up is audited, the value kept nowhere", "runs"), func(ctx context.Context, in *struct {
		Body struct {
			Identifier identifier `json:"identifier"`
			Target     string     `json:"target_id"`
		}
	},
	) (*reply[explain.Answer], error) {
		// Noted before anything is looked at: an answer nobody knows of is worse than
		// a look-up that failed.
		if err := a.Audit.AddAudit(ctx, activation.AuditEntry{Actor: CallerOf(ctx).Name, Verb: "explain", SubjectType: "target", SubjectID: in.Body.Target}); err != nil {
			return nil, a.fail(ctx, err)
		}
		out, err := a.Explainer.Explain(ctx, explain.Question{Field: in.Body.Identifier.Field, Value: in.Body.Identifier.Value, Target: activation.TargetID(in.Body.Target)})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
}
