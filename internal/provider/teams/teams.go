// Package teams tells a channel or chat of Microsoft Teams what happens in
// Usher, by the webhook of a Workflows flow ("When a Teams webhook request is
// received", support.microsoft.com and learn.microsoft.com/microsoftteams/
// platform/webhooks-and-connectors). The Office 365 connectors that came before
// are switched off; their answers are understood all the same.
//
// It owns the Adaptive Card and what the answers mean; the call is package
// hook's. Teams knows no id of ours, so a notice whose answer was lost may be
// there twice.
package teams

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/hook"
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "teams", Title: "Microsoft Teams", Icon: "brand-windows",
		Description: "Tells a channel or chat of Microsoft Teams what happens in Usher.",
		Workflows: []provider.Workflow{{
			Name: "alert_teams", Title: "Alert in Teams", Direction: provider.Alerting, Subject: provider.SystemEvents, RealTime: true,
			Description: "Posts to a channel or chat when something happens that somebody should know of.",
			Fields:      provider.AlertFields(),
		}},
		AuthFields: []provider.Field{
			hook.URLOf("The address that the Workflows flow shows once it is made."),
		},
		NewAlert: New,
	}
}

type alert struct{ hook *hook.Hook }

// New builds the sender.
func New(d provider.Deps) (provider.Alert, error) {
	h, err := hook.New(d)
	if err != nil {
		return nil, err
	}
	return &alert{hook: h}, nil
}

// Check has nothing to prove that would not post: that there is an address was
// proved by New.
func (a *alert) Check(context.Context) error { return nil }

// Notify posts one notice.
func (a *alert) Notify(ctx context.Context, n provider.Notice) (string, error) {
	body, err := json.Marshal(message(n))
	if err != nil {
		return "", &activation.Error{Kind: activation.RefusedWhole, Code: hook.CodeRefused, Message: "the notice cannot be written as JSON", Err: err}
	}
	answer, err := a.hook.Post(ctx, http.Header{}, body)
	if err != nil {
		return "", err
	}
	if fault := a.fault(answer); fault != nil {
		return "", fault
	}
	return fmt.Sprintf("HTTP %d", answer.Status), nil
}

// fault is what an answer means; nil = taken. A flow answers 202 without a body.
// A connector answers 200 with "1", or 200 with the error of the channel in the
// text (learn.microsoft.com, "Rate limiting for connectors"). A flow that was
// switched off or whose address was replaced says so in a code.
func (a *alert) fault(answer outbound.Answer) error {
	text := string(answer.Body)
	switch {
	case answer.Status/100 == 2 && strings.Contains(text, "HTTP error 429"):
		return a.hook.Limit(answer.Header)
	case answer.Status/100 == 2 && strings.Contains(text, "Webhook message delivery failed"):
		return &activation.Error{Kind: activation.Unavailable, Code: hook.CodeUnavailable, Message: "Teams took the notice and could not post it"}
	case answer.Status/100 == 2 && strings.HasPrefix(strings.TrimSpace(text), "<"):
		return hook.Strange(answer.Status)
	case answer.Status/100 == 2:
		return nil
	}
	for _, code := range switchedOff {
		if answer.Status/100 == 4 && strings.Contains(text, code) {
			return hook.Address("takes no notices: the flow answers " + code)
		}
	}
	return a.hook.Fault(answer)
}

// switchedOff are the codes of a flow that takes nothing any more, or from an
// address that was replaced (learn.microsoft.com/azure/logic-apps, "Workflow
// run and trigger errors").
var switchedOff = []string{"WorkflowNotFound", "WorkflowDisabled", "WorkflowTriggerIsNotEnabled", "AuthorizationFailed", "DirectApiAuthorizationRequired", "InvalidSignature", "FlowSuspended"}

type object = map[string]any

// message is the notice as an Adaptive Card, in the envelope that flows expect.
// Texts are runs, which Teams does not read as Markdown: the names in them are
// other people's. The size is far under the 28 KB that Teams takes.
func message(n provider.Notice) object {
	body := []object{rich(object{"type": "TextRun", "text": n.Title(), "weight": "bolder", "size": "medium", "color": color(n)})}
	var actions []object
	for _, d := range n.Details() {
		switch d.Name {
		case "What":
			body = append(body, rich(object{"type": "TextRun", "text": d.Text}))
		case "Open":
			actions = append(actions, object{"type": "Action.OpenUrl", "title": "Open in Usher", "url": d.Text})
		default:
			body = append(body, rich(object{"type": "TextRun", "text": d.Name + ": ", "isSubtle": true}, object{"type": "TextRun", "text": d.Text}))
		}
	}
	card := object{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"fallbackText": n.Title(), "msteams": object{"width": "Full"}, "body": body,
	}
	if len(actions) > 0 {
		card["actions"] = actions
	}
	return object{"type": "message", "attachments": []object{{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card}}}
}

func rich(inlines ...object) object {
	return object{"type": "RichTextBlock", "inlines": inlines}
}

func color(n provider.Notice) string {
	switch {
	case n.Recovery:
		return "good"
	case n.Level == "error":
		return "attention"
	case n.Level == "warn":
		return "warning"
	}
	return "default"
}
