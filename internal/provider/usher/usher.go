// Package usher is Usher itself as a provider: what it does on a schedule
// without any network, which is to decide.
//
// It owns the declaration of that workflow; package decision does it. It must
// not call anybody, and has neither credentials nor destinations. It is built for
// the form and the docs that would otherwise need a second kind of job.
package usher

import "usher/internal/provider"

const (
	// Workflow is the outbound schedule of next-best-action.
	Workflow = "next_best_action"
	// LevelField is its setting that says at which level is decided.
	LevelField = "level"
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "usher", Title: "Usher", Icon: "sparkles",
		Description: "Decides by itself, without any network: it moves people among the audiences of its own next-best-action hierarchy.",
		Workflows: []provider.Workflow{{
			Name: Workflow, Title: "Next-best-action", Direction: provider.Deciding, Subject: provider.Profiles, Scheduled: true, Once: true,
			Description: "Decides for everybody at a level, and has the outcome sent wherever an export job sends that level.",
			Fields: []provider.Field{{
				Name: LevelField, Label: "Level", Type: "string", Required: true, Example: "Sales/Retention offers",
				Help: "Where to decide: the name of an issue, an issue and a group divided by a slash, or the word all.",
			}},
		}},
	}
}
