package api

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/decision"
	"usher/internal/delivery"
	"usher/internal/paid"
)

// Paid is what the API needs of paid media's answers.
type Paid interface {
	Capture(ctx context.Context, r paid.Response, user string) (paid.Captured, error)
	CaptureAll(ctx context.Context, all []paid.Response, user string) (paid.Captured, error)
	History(ctx context.Context, d activation.DestinationID, p activation.Period, dry bool, user string) ([]delivery.Pushed, error)
}

// responseBody is CapturePaidResponse, in the names its callers know: one
// response, or several under responses.
type responseBody struct {
	OneResponse
	Responses []OneResponse `json:"responses,omitempty" doc:"up to 1,000 instead of one; all are stored, or none where one is wrong"`
}

// OneResponse is one response of a customer.
type OneResponse struct {
	CustomerID       string          `json:"CustomerID,omitempty" doc:"as in the customer-id field; somebody not known yet is kept until then"`
	AdSet            string          `json:"Adset_id,omitempty" doc:"the ad set that was answered; or"`
	ExternalAudience string          `json:"ExternalAudienceId,omitempty" doc:"the audience at the network; exactly one of the two"`
	Time             string          `json:"time,omitempty" doc:"RFC 3339; default now"`
	Value            json.RawMessage `json:"value,omitempty" doc:"what it is worth, a number or a text, with currency"`
	Currency         string          `json:"currency,omitempty" doc:"ISO 4217, with value"`
	EventID          string          `json:"event_id,omitempty" doc:"names the response: sent twice it is stored once; made where it is left out"`
	EventName        string          `json:"event_name,omitempty" doc:"what the customer did; default Purchase with a value, Lead without"`
}

func (b OneResponse) response(place string) (paid.Response, error) {
	r := paid.Response{
		CustomerID: b.CustomerID, AdSet: b.AdSet, ExternalAudience: b.ExternalAudience, Time: b.Time,
		Currency: b.Currency, EventID: b.EventID, EventName: b.EventName,
	}
	if len(b.Value) > 0 && string(b.Value) != "null" {
		if err := r.Value.UnmarshalJSON(b.Value); err != nil {
			return r, invalid(place+"value", place+"value: must be a number such as 19.90")
		}
	}
	return r, nil
}

// capture stores what was sent.
func (a *API) capture(ctx context.Context, b responseBody) (paid.Captured, error) {
	if b.Responses == nil {
		r, err := b.response("")
		if err != nil {
			return paid.Captured{}, err
		}
		return a.Paid.Capture(ctx, r, CallerOf(ctx).Name)
	}
	if !reflect.DeepEqual(b.OneResponse, OneResponse{}) {
		return paid.Captured{}, invalid("responses", "responses: give one response, or several under responses, and not both")
	}
	all := make([]paid.Response, len(b.Responses))
	for i, one := range b.Responses {
		var err error
		if all[i], err = one.response(fmt.Sprintf("responses[%d].", i)); err != nil {
			return paid.Captured{}, err
		}
	}
	return a.Paid.CaptureAll(ctx, all, CallerOf(ctx).Name)
}

// paidMedia are the routes of decisions, captured responses and pushes of the past.
func (a *API) paidMedia(h huma.API) {
	const tag = "next-best-action"
	huma.Register(h, route("POST /v2/paid/decision", Operator, "decide", "Decide the next best action for customers, in real time, and move them among the level's audiences", tag), func(ctx context.Context, in *struct {
		Body struct {
			Customers []decision.Customer `json:"customers" doc:"up to 1,000; one without an action gets the best one it is eligible for"`
		}
	},
	) (*reply[[]decision.Outcome], error) {
		out, err := a.Decision.Decide(ctx, in.Body.Customers, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
	huma.Register(h, route("POST /v2/paid/preview", Viewer, "preview-decision", "What the outbound decision at a level would change now; nothing is written", tag), func(ctx context.Context, in *struct {
		Body struct {
			Level activation.Level `json:"level" doc:"all, an issue, or issue/group"`
		}
	},
	) (*reply[decision.Preview], error) {
		out, err := a.Decision.Preview(ctx, in.Body.Level)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("POST /v2/paid/response", Operator, "capture-response", "CapturePaidResponse: a customer answered paid media; sent as a conversion where a destination is switched on for it", tag), func(ctx context.Context, in *struct{ Body responseBody }) (*reply[paid.Captured], error) {
		out, err := a.capture(ctx, in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("POST /v2/paid/history", Operator, "push-history", "Send a destination the conversions of a past period, once; events too old for the network are left out and counted", tag), func(ctx context.Context, in *struct {
		Body struct {
			Destination string `json:"destination_id"`
			From        string `json:"from" doc:"RFC 3339, or such as now-30d; included"`
			To          string `json:"to" doc:"the same; not included"`
			DryRun      bool   `json:"dry_run,omitempty" doc:"count only"`
		}
	},
	) (*reply[[]delivery.Pushed], error) {
		var p activation.Period
		var err error
		if p.From, err = a.moment("from", in.Body.From); err != nil {
			return nil, a.fail(ctx, err)
		}
		if p.Until, err = a.moment("to", in.Body.To); err != nil {
			return nil, a.fail(ctx, err)
		}
		out, err := a.Paid.History(ctx, activation.DestinationID(in.Body.Destination), p, in.Body.DryRun, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
}
