package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/template"
)

// remote names what takes the events: the endpoint, of which there is one.
const remote = "endpoint"

// destination sends the events of one workflow to one endpoint.
type destination struct {
	workflow provider.Workflow
	to       *endpoint
	texts    func(ctx context.Context, id string) (string, error)
	log      *slog.Logger
	now      func() time.Time
}

func newTriggers(d provider.Deps) (provider.Destination, error) {
	return newDestination(d, "webhook_triggers")
}

func newStream(d provider.Deps) (provider.Destination, error) {
	return newDestination(d, "webhook_events")
}

func newDestination(d provider.Deps, workflow string) (provider.Destination, error) {
	end, err := newEndpoint(d)
	if err != nil {
		return nil, err
	}
	w, _ := Definition().Workflow(workflow)
	return &destination{workflow: w, to: end, texts: d.Template, log: d.Log, now: d.Now}, nil
}

// Check proves client credentials by asking for a token. An endpoint itself can
// be asked nothing that is not an event.
func (d *destination) Check(ctx context.Context) error {
	_, err := d.to.tokens.token(ctx)
	return err
}

// EnsureAudience proves the settings of the job and its template; the receiver is
// not asked.
func (d *destination) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	j, err := readJob(d.workflow, a.Config)
	if err != nil {
		return "", err
	}
	s, err := d.open(ctx, j)
	if err != nil {
		return "", err
	}
	if s != nil {
		s.Close()
	}
	return remote, nil
}

// Post sends one payload by POST, under an id that nothing else has.
func (d *destination) Post(ctx context.Context, payload []byte) (string, error) {
	id := messageID("trial", activation.NewID[string]())
	answer, err := d.to.call(ctx, http.MethodPost, id, d.now, payload)
	if err != nil {
		return "", err
	}
	if answer.Status/100 != 2 {
		if (job{}).refuses(answer.Status) {
			return "", &activation.Error{Kind: activation.Invalid, Code: fmt.Sprintf("%s-%d", codeRefused, answer.Status), Message: fmt.Sprintf("the receiver refuses the payload (HTTP status %d)", answer.Status), RequestID: id}
		}
		return "", d.fault(answer)
	}
	return fmt.Sprintf("HTTP %d", answer.Status), nil
}

// Poll is not for webhooks: they are answered at once.
func (d *destination) Poll(context.Context, string, int64) (activation.Receipt, error) {
	return activation.Receipt{}, &activation.Error{Kind: activation.Invalid, Code: codeSettings, Message: "a webhook is answered at once; there is nothing to ask for later"}
}

// open starts the template of a job; nil where it has none.
func (d *destination) open(ctx context.Context, j job) (*template.Session, error) {
	if j.template == "" {
		return nil, nil
	}
	if d.texts == nil {
		return nil, &activation.Error{Kind: activation.Internal, Message: "templates cannot be read here"}
	}
	text, err := d.texts(ctx, j.template)
	if errors.Is(err, activation.ErrNotFound) {
		return nil, wrongTemplate("there is no such template any more")
	}
	if err != nil {
		return nil, &activation.Error{Kind: activation.Internal, Message: "the template could not be read", Err: err}
	}
	s, err := template.Open(ctx, text)
	var wrong *template.Error
	switch {
	case errors.As(err, &wrong):
		return nil, wrongTemplate(wrong.Error())
	case err != nil && ctx.Err() != nil:
		return nil, cancelled(ctx)
	case err != nil:
		return nil, &activation.Error{Kind: activation.Internal, Message: "the template could not be evaluated", Err: err}
	}
	return s, nil
}

func wrongTemplate(what string) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeTemplate, Field: templateID, Message: templateID + ": " + what}
}
