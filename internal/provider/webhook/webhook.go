// Package webhook tells any program what happens in Usher, by Standard Webhooks
// (standardwebhooks.com, specification 1.0): a signed POST whose webhook-id stays
// the same however often it is sent, so that the receiver can drop repetitions.
//
// It owns the payload and the signature; the call is package hook's. It must not
// know what is worth telling. It is built for receivers that took a notice and
// whose answer was lost.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/hook"
)

// secretField holds the signing secret.
const secretField = "signing_secret"

// minSecretBytes is the least of a signing secret (specification, "Signature
// scheme": between 24 and 64 bytes).
const minSecretBytes = 24

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name: "webhook", Title: "Webhook",
		Description: "Tells any program of yours what happens in Usher, as signed JSON by Standard Webhooks.",
		Workflows: []provider.Workflow{{
			Name: "alert_webhook", Title: "Alert by webhook", Direction: provider.Alerting, Subject: provider.SystemEvents, RealTime: true,
			Description: "Posts a signed notice when something happens that somebody should know of.",
			Fields:      provider.AlertFields(),
		}},
		AuthFields: []provider.Field{
			hook.URLOf("Where notices are posted to; https unless the host is among the allowed ones."),
			{
				Name: secretField, Label: "Signing secret", Type: "string", Secret: true,
				Help: "What notices are signed with: whsec_ and then at least 24 random bytes in base64. Without it they are not signed, and the receiver cannot tell who sent them.",
			},
		},
		NewAlert: New,
	}
}

type alert struct {
	hook *hook.Hook
	sign *standardwebhooks.Webhook // nil = unsigned
	now  func() time.Time
}

// New builds the sender.
func New(d provider.Deps) (provider.Alert, error) {
	h, err := hook.New(d)
	if err != nil {
		return nil, err
	}
	a := &alert{hook: h, now: d.Now}
	if secret := d.Auth[secretField].Reveal(); secret != "" {
		if a.sign, err = signer(secret); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Check has nothing to prove that would not tell somebody something: that the
// settings are whole was proved by New.
func (a *alert) Check(context.Context) error { return nil }

// payload is the body. type, timestamp and data are the specification's.
type payload struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	ID          string `json:"id"`
	EventID     int64  `json:"event_id"`
	Source      string `json:"source"`
	Event       string `json:"event"`
	SubjectID   string `json:"subject_id"`
	SubjectName string `json:"subject_name"`
	Level       string `json:"level"`
	Title       string `json:"title"`
	Message     string `json:"message"`
	Code        string `json:"code,omitempty"`
	Run         int64  `json:"run,omitempty"`
	PerMille    int64  `json:"per_mille,omitempty"`
	Recovery    bool   `json:"recovery"`
	Job         string `json:"job"`
	Link        string `json:"link,omitempty"`
}

// Notify posts one notice.
func (a *alert) Notify(ctx context.Context, n provider.Notice) (string, error) {
	body, err := json.Marshal(payload{
		Type: "usher." + string(n.Source) + "." + string(n.Type), Timestamp: n.Event.At.UTC(),
		Data: data{
			ID: n.ID, EventID: n.Event.ID, Source: string(n.Source), Event: string(n.Type), SubjectID: n.SubjectID, SubjectName: provider.Line(n.SubjectName), Level: n.Level,
			Title: n.Title(), Message: provider.Line(n.Message), Code: n.Code, Run: n.Run, PerMille: n.PerMille, Recovery: n.Recovery, Job: provider.Line(n.Job), Link: n.Link,
		},
	})
	if err != nil {
		return "", &activation.Error{Kind: activation.RefusedWhole, Code: hook.CodeRefused, Message: "the notice cannot be written as JSON", Err: err}
	}
	at := a.now()
	header := http.Header{}
	header.Set(standardwebhooks.HeaderWebhookID, n.ID)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	if a.sign != nil {
		signature, err := a.sign.Sign(n.ID, at, body)
		if err != nil {
			return "", wrongSecret()
		}
		header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	answer, err := a.hook.Post(ctx, header, body)
	if err != nil {
		return "", err
	}
	if answer.Status/100 != 2 {
		return "", a.hook.Fault(answer)
	}
	return fmt.Sprintf("HTTP %d", answer.Status), nil
}
