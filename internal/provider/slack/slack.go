// Package slack tells a channel of Slack what happens in Usher, by an incoming
// webhook (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
//
// It owns the message and what Slack's answers mean; the call is package hook's.
// Slack knows no id of ours, so a notice whose answer was lost may be there twice.
package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/hook"
)

// maxHeader is the most characters of a header block
// (docs.slack.dev/reference/block-kit/blocks/header-block).
const maxHeader = 150

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "slack", Title: "Slack", Icon: "brand-slack",
		Description: "Tells a channel of Slack what happens in Usher.",
		Workflows: []provider.Workflow{{
			Name: "alert_slack", Title: "Alert in Slack", Direction: provider.Alerting, Subject: provider.SystemEvents, RealTime: true,
			Description: "Posts to a channel when something happens that somebody should know of.",
			Fields:      provider.AlertFields(),
		}},
		AuthFields: []provider.Field{
			hook.URLOf("The address of an incoming webhook; it begins with https://hooks.slack.com/services/."),
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
	text := string(bytes.TrimSpace(answer.Body))
	if answer.Status == http.StatusOK && text == "ok" {
		return "ok", nil
	}
	if known, ok := answers[text]; ok && answer.Status/100 == 4 && answer.Status != http.StatusTooManyRequests {
		return "", known(text)
	}
	return "", a.hook.Fault(answer)
}

// answers are the bodies that Slack explains
// (docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks
// and "Handling errors" of the page on incoming webhooks).
var answers = map[string]func(text string) *activation.Error{
	"invalid_payload": refused, "invalid_blocks": refused, "invalid_blocks_format": refused, "invalid_attachments": refused, "no_text": refused,
	"missing_text_or_fallback_or_attachments": refused, "too_many_attachments": refused,
	"action_prohibited": gone, "posting_to_general_channel_denied": gone, "channel_not_found": gone, "channel_is_archived": gone,
	"no_service": gone, "no_service_id": gone, "no_team": gone, "team_disabled": gone, "invalid_token": gone, "user_not_found": gone,
}

func refused(text string) *activation.Error {
	return &activation.Error{Kind: activation.RefusedWhole, Code: hook.CodeRefused, Message: "Slack refuses this notice (" + text + ")"}
}

func gone(text string) *activation.Error {
	return hook.Address("takes no notices: Slack answers " + text)
}

type textObject struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type block struct {
	Type     string       `json:"type"`
	Text     *textObject  `json:"text,omitempty"`
	Elements []textObject `json:"elements,omitempty"`
}

type post struct {
	// Text is what notifications show, and readers that know no blocks.
	Text   string  `json:"text"`
	Blocks []block `json:"blocks"`
}

// message is the notice in Slack's blocks.
func message(n provider.Notice) post {
	title := mark(n) + " " + n.Title()
	var facts []string
	var context []textObject
	for _, d := range n.Details() {
		switch d.Name {
		case "What":
			facts = append([]string{escape(d.Text)}, facts...)
		case "Open":
			facts = append(facts, "<"+escapeLink(d.Text)+"|Open in Usher>")
		default:
			context = append(context, textObject{"mrkdwn", escape(d.Name + ": " + d.Text)})
		}
	}
	blocks := []block{{Type: "header", Text: &textObject{"plain_text", cut(title, maxHeader)}}}
	if len(facts) > 0 {
		blocks = append(blocks, block{Type: "section", Text: &textObject{"mrkdwn", strings.Join(facts, "\n")}})
	}
	if len(context) > 0 {
		blocks = append(blocks, block{Type: "context", Elements: context})
	}
	return post{Text: escape(title), Blocks: blocks}
}

func mark(n provider.Notice) string {
	switch {
	case n.Recovery:
		return "✅"
	case n.Level == "error":
		return "🔴"
	case n.Level == "warn":
		return "🟠"
	}
	return "ℹ️"
}

// escape makes a text of others harmless: in Slack's format these three
// characters begin mentions and links, and nothing else does.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

var escapeLink = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C").Replace

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
