// Package webhook tells any program what happens in Usher, by Standard Webhooks
// (standardwebhooks.com, specification 1.0): a signed POST whose webhook-id stays
// the same however often it is sent, so that the receiver can drop repetitions.
//
// It also sends people who enter or leave audiences and the messages of streams
// to such programs, each once, with a body of the receiver's choice.
//
// It owns payloads, signatures and credentials, and what an answer means for each
// event; how a notice is posted is package hook's, how a template is evaluated
// package template's. It decides no retry and knows nothing of what is worth
// telling. It is built for receivers that took an event and whose answer was
// lost: what is sent again has the webhook-id it had.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/hook"
)

// secretField holds the signing secret.
const secretField = "signing_secret"

type alert struct {
	hook *hook.Hook
	end  *endpoint
	now  func() time.Time
}

// New builds the sender.
func New(d provider.Deps) (provider.Alert, error) {
	end, err := newEndpoint(d)
	if err != nil {
		return nil, err
	}
	d.Auth = maps.Clone(d.Auth)
	d.Auth[hook.URLField] = provider.Secret(end.url)
	h, err := hook.New(d)
	if err != nil {
		return nil, err
	}
	return &alert{hook: h, end: end, now: d.Now}, nil
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
	header, err := a.end.header(n.ID, a.now(), body)
	if err != nil {
		return "", err
	}
	token, err := a.end.tokens.token(ctx)
	if err != nil {
		return "", err
	}
	token.put(header)
	answer, err := a.hook.Post(ctx, header, body)
	if err != nil {
		return "", err
	}
	if answer.Status == http.StatusUnauthorized {
		a.end.tokens.refused(token)
	}
	if answer.Status/100 != 2 {
		return "", a.hook.Fault(answer)
	}
	return fmt.Sprintf("HTTP %d", answer.Status), nil
}
