package microsoft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// request is one call: a method, an address and a body of JSON. writes says that it
// changes something; a query is a POST as well.
type request struct {
	method, address string
	body            any
	writes          bool
}

// call makes one call and decodes a good answer into out. A token that Microsoft
// refuses is exchanged once, and the call made again: it was refused before any work.
func (p *publisher) call(ctx context.Context, r request, out any) error {
	token, err := p.token(ctx)
	if err != nil {
		return err
	}
	err = p.once(ctx, r, token, out)
	if activation.KindOf(err) != activation.Unauthorized {
		return err
	}
	p.tokens.Refused(token)
	again, tokenErr := p.token(ctx)
	switch {
	case tokenErr != nil:
		return tokenErr
	case again == token: // there is no other one
		return err
	}
	return p.once(ctx, r, again, out)
}

// token returns an access token, or an error that can be told.
func (p *publisher) token(ctx context.Context) (string, error) {
	token, err := p.tokens.Token(ctx)
	var own *activation.Error
	switch {
	case err == nil && token != "":
		return token, nil
	case errors.As(err, &own):
		return "", fmt.Errorf("get an access token: %w", err)
	}
	e := classUnavailable.New()
	e.Message = "no access token could be had"
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, cause) {
			e.Err = cause
		}
	}
	return "", e
}

func (p *publisher) once(ctx context.Context, r request, token string, out any) error {
	body := p.bodies.Take()
	defer body.Release()
	text, err := json.Marshal(r.body)
	if err != nil {
		return &activation.Error{Kind: activation.Internal, Message: "the request cannot be written as JSON", Err: err}
	}
	body.B = append(body.B, text...)
	req, err := body.Request(ctx, r.method, r.address)
	if err != nil {
		return invalid(campaignURLField, "the API address cannot be called")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("DeveloperToken", p.developerToken.Reveal())
	req.Header.Set("CustomerId", p.customer)
	req.Header.Set("CustomerAccountId", p.account)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	_, err = outbound.Call(p.http, req, func(a outbound.Answer) error { return p.read(r, a, out) })
	if r.writes {
		return err
	}
	return harmless(err)
}

// harmless is the error of a call that changes nothing, whatever its method.
func harmless(err error) error {
	var e *activation.Error
	if !errors.As(err, &e) || !e.MayHaveApplied {
		return err
	}
	other := *e
	other.MayHaveApplied = false
	return &other
}

// read makes the answer a value or an error.
//
// What may have been applied: an answer of the class Unavailable to a call that
// changes something, because the server may have broken after its work, and a good
// status whose body cannot be read. All else names a reason that comes before any
// work. A good status whose body is a fault is the fault.
func (p *publisher) read(r request, a outbound.Answer, out any) error {
	f, isObject := faultOf(a.Body)
	if a.Status/100 == 2 && len(f.all()) == 0 {
		if strings.HasPrefix(strings.TrimSpace(string(a.Body)), "{") && json.Unmarshal(a.Body, out) == nil {
			return nil
		}
		err := answered(classAnswer, a.Status, rowError{Code: -1})
		err.MayHaveApplied = r.writes
		return err
	}
	kind, row := classify(a.Status, f, isObject)
	err := answered(kind, a.Status, row)
	err.RequestID = safeID(f.TrackingID)
	err.MayHaveApplied = r.writes && kind.Kind == activation.Unavailable
	if kind == classThrottle {
		now := p.now()
		err.Until = now.Add(waitOf(row.Code))
		if until, ok := outbound.RetryAfter(a.Header, now); ok {
			err.Until = until
		}
	}
	return err
}

// safeID returns id if it can be nothing but an id.
func safeID(id string) string {
	return provider.OnlyOf(id, 64, provider.UpperCase, provider.LowerCase, provider.Digits, "-")
}

// query is a call that reads.
func (p *publisher) query(ctx context.Context, path string, body, out any) error {
	return p.call(ctx, request{method: http.MethodPost, address: p.campaignURL + path, body: body}, out)
}
